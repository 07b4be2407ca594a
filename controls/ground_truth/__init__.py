"""Worlds in which the right answer is known."""

from controls.ground_truth.bits import Bernoulli, InputLaw, Signs, Sparse, combine
from controls.ground_truth.documents import GaussianDocuments, NullDocuments
from controls.ground_truth.exact_layers import OddParity, QuadraticLayer, TargetedAnd
from controls.ground_truth.layers import Layer, LayerTruth, LayerWorld
from controls.ground_truth.population import null_certificate, partial_r2
from controls.ground_truth.saturation import RandomTypes
from controls.ground_truth.u_and import ErrorLaw, SparseAnd, bernstein_bound, error_law, optimal_p

__all__ = [
    "Bernoulli",
    "ErrorLaw",
    "GaussianDocuments",
    "InputLaw",
    "Layer",
    "LayerTruth",
    "LayerWorld",
    "NullDocuments",
    "OddParity",
    "QuadraticLayer",
    "RandomTypes",
    "Signs",
    "Sparse",
    "SparseAnd",
    "TargetedAnd",
    "bernstein_bound",
    "combine",
    "error_law",
    "null_certificate",
    "optimal_p",
    "partial_r2",
]
