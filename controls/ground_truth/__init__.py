"""Worlds in which the right answer is known."""

from controls.ground_truth.attention import SkipBigrams, SkipBigramsTruth
from controls.ground_truth.bits import Bernoulli, InputLaw, Signs, Sparse, combine
from controls.ground_truth.documents import GaussianDocuments, NullDocuments
from controls.ground_truth.error_figure import error_figure
from controls.ground_truth.exact_layers import OddParity, QuadraticLayer, TargetedAnd
from controls.ground_truth.layers import Layer, LayerTruth, LayerWorld
from controls.ground_truth.networks import Network, interaction_contrasts, least_squares_network, random_network
from controls.ground_truth.population import null_certificate, partial_r2
from controls.ground_truth.redraws import REDRAWS, redraw_gaussian, redraw_rows, redraw_spectrum
from controls.ground_truth.saturation import RandomTypes
from controls.ground_truth.training import AllPairs, Descent
from controls.ground_truth.u_and import ErrorLaw, SparseAnd, bernstein_bound, error_law, optimal_p

__all__ = [
    "REDRAWS",
    "AllPairs",
    "Bernoulli",
    "Descent",
    "ErrorLaw",
    "GaussianDocuments",
    "InputLaw",
    "Layer",
    "LayerTruth",
    "LayerWorld",
    "Network",
    "NullDocuments",
    "OddParity",
    "QuadraticLayer",
    "RandomTypes",
    "Signs",
    "SkipBigrams",
    "SkipBigramsTruth",
    "Sparse",
    "SparseAnd",
    "TargetedAnd",
    "bernstein_bound",
    "combine",
    "error_figure",
    "error_law",
    "interaction_contrasts",
    "least_squares_network",
    "null_certificate",
    "optimal_p",
    "partial_r2",
    "random_network",
    "redraw_gaussian",
    "redraw_rows",
    "redraw_spectrum",
]
