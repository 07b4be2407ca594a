"""Worlds in which the right answer is known."""

from controls.ground_truth.attention import SkipBigrams, SkipBigramsTruth
from controls.ground_truth.bits import Bernoulli, InputLaw, Signs, Sparse, combine
from controls.ground_truth.documents import GaussianDocuments, NullDocuments
from controls.ground_truth.error_figure import error_figure
from controls.ground_truth.layers import Layer, LayerTruth
from controls.ground_truth.networks import (
    Network,
    interaction_contrasts,
    least_squares_network,
    random_network,
    targeted_network,
)
from controls.ground_truth.population import null_certificate, partial_r2
from controls.ground_truth.redraws import REDRAWS, redraw_gaussian, redraw_rows, redraw_spectrum
from controls.ground_truth.training import AllPairs, Descent

__all__ = [
    "REDRAWS",
    "AllPairs",
    "Bernoulli",
    "Descent",
    "GaussianDocuments",
    "InputLaw",
    "Layer",
    "LayerTruth",
    "Network",
    "NullDocuments",
    "Signs",
    "SkipBigrams",
    "SkipBigramsTruth",
    "Sparse",
    "combine",
    "error_figure",
    "interaction_contrasts",
    "least_squares_network",
    "null_certificate",
    "partial_r2",
    "random_network",
    "redraw_gaussian",
    "redraw_rows",
    "redraw_spectrum",
    "targeted_network",
]
