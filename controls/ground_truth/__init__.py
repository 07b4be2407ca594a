"""Worlds in which the right answer is known."""

from controls.ground_truth.bits import Bernoulli, InputLaw, Signs, Sparse, combine
from controls.ground_truth.documents import GaussianDocuments, NullDocuments
from controls.ground_truth.layers import Layer, LayerTruth
from controls.ground_truth.population import null_certificate, partial_r2

__all__ = [
    "Bernoulli",
    "GaussianDocuments",
    "InputLaw",
    "Layer",
    "LayerTruth",
    "NullDocuments",
    "Signs",
    "Sparse",
    "combine",
    "null_certificate",
    "partial_r2",
]
