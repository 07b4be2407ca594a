"""Worlds in which the right answer is known."""

from controls.ground_truth.bits import Bernoulli, InputLaw, Signs, Sparse, combine
from controls.ground_truth.dictionaries import PlantedDictionary, overlapping_directions, random_directions
from controls.ground_truth.dictionary_truth import DictionaryTruth
from controls.ground_truth.documents import GaussianDocuments, NullDocuments
from controls.ground_truth.features import CorrelatedFeatures, FeatureLaw, SparseFeatures
from controls.ground_truth.layers import Layer, LayerTruth
from controls.ground_truth.planted import PlantedDirection
from controls.ground_truth.planted_truth import PlantedTruth
from controls.ground_truth.population import null_certificate, partial_r2
from controls.ground_truth.sequences import DriftTruth, PlantedDrift, PlantedSequences, SequenceTruth
from controls.ground_truth.twins import DictionaryTwin, TwinTruth

__all__ = [
    "Bernoulli",
    "CorrelatedFeatures",
    "DictionaryTruth",
    "DictionaryTwin",
    "DriftTruth",
    "FeatureLaw",
    "GaussianDocuments",
    "InputLaw",
    "Layer",
    "LayerTruth",
    "NullDocuments",
    "PlantedDictionary",
    "PlantedDirection",
    "PlantedDrift",
    "PlantedSequences",
    "PlantedTruth",
    "SequenceTruth",
    "Signs",
    "Sparse",
    "SparseFeatures",
    "TwinTruth",
    "combine",
    "null_certificate",
    "overlapping_directions",
    "partial_r2",
    "random_directions",
]
