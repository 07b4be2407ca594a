"""Worlds in which the right answer is known."""

from controls.ground_truth.attention import SkipBigrams, SkipBigramsTruth
from controls.ground_truth.bits import Bernoulli, InputLaw, Signs, Sparse, combine
from controls.ground_truth.circuits import CircuitsInSuperposition
from controls.ground_truth.dictionaries import PlantedDictionary, overlapping_directions, random_directions
from controls.ground_truth.dictionary_truth import DictionaryTruth
from controls.ground_truth.documents import GaussianDocuments, NullDocuments
from controls.ground_truth.error_correction import ErrorCorrection
from controls.ground_truth.error_figure import error_figure
from controls.ground_truth.exact_layers import OddParity, QuadraticLayer, TargetedAnd
from controls.ground_truth.features import CorrelatedFeatures, FeatureLaw, SparseFeatures
from controls.ground_truth.gaussian import GaussianLayer
from controls.ground_truth.interference import counting_bias, interference_sd
from controls.ground_truth.layers import Layer, LayerTruth, LayerWorld
from controls.ground_truth.minimax import RAW_FLOORS, Minimax, minimax
from controls.ground_truth.networks import (
    Network,
    interaction_contrasts,
    least_squares_network,
    random_network,
)
from controls.ground_truth.planted import PlantedDirection
from controls.ground_truth.planted_truth import PlantedTruth
from controls.ground_truth.population import null_certificate, partial_r2
from controls.ground_truth.rare_features import RareFeatures, log_uniform_rates
from controls.ground_truth.readoffs import readoff_law, sign_gain, sign_readoff, stein_readoff
from controls.ground_truth.redraws import REDRAWS, redraw_gaussian, redraw_rows, redraw_spectrum
from controls.ground_truth.saturation import RandomTypes
from controls.ground_truth.sequences import DriftTruth, PlantedDrift, PlantedSequences, SequenceTruth
from controls.ground_truth.superposed import SuperposedLayer
from controls.ground_truth.superposed_and import SuperposedAnd, TargetedSuperposedAnd
from controls.ground_truth.superposed_gaussian import SuperposedGaussian
from controls.ground_truth.training import AllPairs, Descent
from controls.ground_truth.twins import DictionaryTwin, TwinTruth
from controls.ground_truth.u_and import ErrorLaw, SparseAnd, bernstein_bound, error_law, optimal_p

__all__ = [
    "RAW_FLOORS",
    "REDRAWS",
    "AllPairs",
    "Bernoulli",
    "CircuitsInSuperposition",
    "CorrelatedFeatures",
    "Descent",
    "DictionaryTruth",
    "DictionaryTwin",
    "DriftTruth",
    "ErrorCorrection",
    "ErrorLaw",
    "FeatureLaw",
    "GaussianDocuments",
    "GaussianLayer",
    "InputLaw",
    "Layer",
    "LayerTruth",
    "LayerWorld",
    "Minimax",
    "Network",
    "NullDocuments",
    "OddParity",
    "PlantedDictionary",
    "PlantedDirection",
    "PlantedDrift",
    "PlantedSequences",
    "PlantedTruth",
    "QuadraticLayer",
    "RandomTypes",
    "RareFeatures",
    "SequenceTruth",
    "Signs",
    "SkipBigrams",
    "SkipBigramsTruth",
    "Sparse",
    "SparseAnd",
    "SparseFeatures",
    "SuperposedAnd",
    "SuperposedGaussian",
    "SuperposedLayer",
    "TargetedAnd",
    "TargetedSuperposedAnd",
    "TwinTruth",
    "bernstein_bound",
    "combine",
    "counting_bias",
    "error_figure",
    "error_law",
    "interaction_contrasts",
    "interference_sd",
    "least_squares_network",
    "log_uniform_rates",
    "minimax",
    "null_certificate",
    "optimal_p",
    "overlapping_directions",
    "partial_r2",
    "random_directions",
    "random_network",
    "readoff_law",
    "redraw_gaussian",
    "redraw_rows",
    "redraw_spectrum",
    "sign_gain",
    "sign_readoff",
    "stein_readoff",
]
