"""Worlds in which the right answer is known."""

from controls.ground_truth.bits import Bernoulli, InputLaw, Signs, Sparse, combine
from controls.ground_truth.documents import GaussianDocuments, NullDocuments
from controls.ground_truth.exact_layers import OddParity, QuadraticLayer, TargetedAnd
from controls.ground_truth.gaussian import GaussianLayer
from controls.ground_truth.interference import case_bias, interference_sd
from controls.ground_truth.layers import Layer, LayerTruth, LayerWorld
from controls.ground_truth.minimax import RAW_FLOORS, Minimax, minimax
from controls.ground_truth.population import null_certificate, partial_r2
from controls.ground_truth.readoffs import readoff_law, sign_gain, sign_readoff, stein_readoff
from controls.ground_truth.saturation import RandomTypes
from controls.ground_truth.superposed import SuperposedLayer, random_directions
from controls.ground_truth.superposed_and import SuperposedAnd, TargetedSuperposedAnd
from controls.ground_truth.superposed_gaussian import SuperposedGaussian
from controls.ground_truth.u_and import ErrorLaw, SparseAnd, bernstein_bound, error_law, optimal_p

__all__ = [
    "RAW_FLOORS",
    "Bernoulli",
    "ErrorLaw",
    "GaussianDocuments",
    "GaussianLayer",
    "InputLaw",
    "Layer",
    "LayerTruth",
    "LayerWorld",
    "Minimax",
    "NullDocuments",
    "OddParity",
    "QuadraticLayer",
    "RandomTypes",
    "Signs",
    "Sparse",
    "SparseAnd",
    "SuperposedAnd",
    "SuperposedGaussian",
    "SuperposedLayer",
    "TargetedAnd",
    "TargetedSuperposedAnd",
    "bernstein_bound",
    "case_bias",
    "combine",
    "error_law",
    "interference_sd",
    "minimax",
    "null_certificate",
    "optimal_p",
    "partial_r2",
    "random_directions",
    "readoff_law",
    "sign_gain",
    "sign_readoff",
    "stein_readoff",
]
