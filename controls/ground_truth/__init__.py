"""Worlds in which the right answer is known."""

from controls.ground_truth.documents import GaussianDocuments, NullDocuments

__all__ = ["GaussianDocuments", "NullDocuments"]
