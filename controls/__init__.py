"""Statistical controls for interpretability: would your probe have found it anyway?

``measure`` puts a probe beside its controls and says how much of the score survives, with what
certainty. See ``controls --help`` and the docs for the map from question to control.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from controls import finders as finders
    from controls import metrics as metrics
    from controls import probes as probes
    from controls import testing as testing
    from controls.cascading import cascade as cascade
    from controls.core.compose import compose as compose
    from controls.core.control import Control as Control
    from controls.core.control import IndexControl as IndexControl
    from controls.core.control import LabelControl as LabelControl
    from controls.core.errors import CannotControl as CannotControl
    from controls.core.errors import ControlsError as ControlsError
    from controls.core.errors import ControlsWarning as ControlsWarning
    from controls.core.errors import InputError as InputError
    from controls.core.errors import Interrupted as Interrupted
    from controls.core.errors import StoreError as StoreError
    from controls.core.errors import TrainerError as TrainerError
    from controls.core.model_comparison import ModelComparison as ModelComparison
    from controls.core.problem import Problem as Problem
    from controls.core.problem import Source as Source
    from controls.core.result import Comparison as Comparison
    from controls.core.result import DifferenceInDifferences as DifferenceInDifferences
    from controls.core.result import Estimate as Estimate
    from controls.core.result import Result as Result
    from controls.core.result import Sweep as Sweep
    from controls.core.study import Study as Study
    from controls.core.trainer import BatchTrainer as BatchTrainer
    from controls.core.trainer import Trainer as Trainer
    from controls.differences import difference_in_differences as difference_in_differences
    from controls.experiment import correct as correct
    from controls.experiment import measure as measure
    from controls.experiment import plan as plan
    from controls.experiment import sweep as sweep
    from controls.firing import cofiring as cofiring
    from controls.generators.activations import RotateActivations as RotateActivations
    from controls.generators.activations import ShuffleCoordinates as ShuffleCoordinates
    from controls.generators.attachment import AttachmentTask as AttachmentTask
    from controls.generators.bursts import RateMatchedLabels as RateMatchedLabels
    from controls.generators.cascade import Cascade as Cascade
    from controls.generators.cells import ClusterTask as ClusterTask
    from controls.generators.covariances import MatchCovariances as MatchCovariances
    from controls.generators.directions import RandomDirections as RandomDirections
    from controls.generators.gaussian import GaussianActivations as GaussianActivations
    from controls.generators.gaussian import MatchNorms as MatchNorms
    from controls.generators.inputs import InputBaseline as InputBaseline
    from controls.generators.interactions import InteractionLabels as InteractionLabels
    from controls.generators.labels import FlipSigns as FlipSigns
    from controls.generators.labels import ShuffleLabels as ShuffleLabels
    from controls.generators.permute import PermuteWeights as PermuteWeights
    from controls.generators.phases import RandomizePhases as RandomizePhases
    from controls.generators.planted import PlantDictionary as PlantDictionary
    from controls.generators.random_dictionary import RandomDictionary as RandomDictionary
    from controls.generators.random_dictionary import UntrainedDictionary as UntrainedDictionary
    from controls.generators.random_embeddings import RandomEmbeddings as RandomEmbeddings
    from controls.generators.random_labels import ControlTask as ControlTask
    from controls.generators.random_labels import ResampleLabels as ResampleLabels
    from controls.generators.random_tokens import RandomTokens as RandomTokens
    from controls.generators.redrawn import WeightControl as WeightControl
    from controls.generators.rescale import MatchActivations as MatchActivations
    from controls.generators.sequences import ShiftLabels as ShiftLabels
    from controls.generators.shuffle_decoder import ShuffleDecoder as ShuffleDecoder
    from controls.generators.shuffle_tokens import ShuffleTokens as ShuffleTokens
    from controls.generators.sparsity import MatchSparsity as MatchSparsity
    from controls.generators.spectrum import MatchSpectrum as MatchSpectrum
    from controls.generators.surrogate_latents import SurrogateLatents as SurrogateLatents
    from controls.generators.weights import Reinitialize as Reinitialize
    from controls.kept import load as load
    from controls.model_comparison import compare_models as compare_models
    from controls.models.from_model import from_model as from_model
    from controls.models.intervene import splice as splice
    from controls.simplicity import random_functions as random_functions
    from controls.testing.own_pipeline.run import calibrate as calibrate
    from controls.wrap.estimator import Controlled as Controlled
    from controls.wrap.function import controlled as controlled

__version__ = "0.1.0"

_HOME = {
    "finders": "",
    "metrics": "",
    "probes": "",
    "testing": "",
    "cofiring": "firing",
    "compose": "core.compose",
    "Control": "core.control",
    "IndexControl": "core.control",
    "LabelControl": "core.control",
    "CannotControl": "core.errors",
    "ControlsError": "core.errors",
    "ControlsWarning": "core.errors",
    "InputError": "core.errors",
    "Interrupted": "core.errors",
    "StoreError": "core.errors",
    "TrainerError": "core.errors",
    "ModelComparison": "core.model_comparison",
    "Problem": "core.problem",
    "Source": "core.problem",
    "Comparison": "core.result",
    "DifferenceInDifferences": "core.result",
    "difference_in_differences": "differences",
    "Estimate": "core.result",
    "Result": "core.result",
    "Sweep": "core.result",
    "Study": "core.study",
    "BatchTrainer": "core.trainer",
    "Trainer": "core.trainer",
    "calibrate": "testing.own_pipeline.run",
    "cascade": "cascading",
    "compare_models": "model_comparison",
    "correct": "experiment",
    "from_model": "models.from_model",
    "splice": "models.intervene",
    "load": "kept",
    "measure": "experiment",
    "plan": "experiment",
    "random_functions": "simplicity",
    "sweep": "experiment",
    "AttachmentTask": "generators.attachment",
    "ShuffleCoordinates": "generators.activations",
    "RotateActivations": "generators.activations",
    "RandomizePhases": "generators.phases",
    "MatchCovariances": "generators.covariances",
    "MatchNorms": "generators.gaussian",
    "GaussianActivations": "generators.gaussian",
    "Cascade": "generators.cascade",
    "ClusterTask": "generators.cells",
    "ControlTask": "generators.random_labels",
    "FlipSigns": "generators.labels",
    "InputBaseline": "generators.inputs",
    "InteractionLabels": "generators.interactions",
    "MatchActivations": "generators.rescale",
    "MatchSparsity": "generators.sparsity",
    "MatchSpectrum": "generators.spectrum",
    "PermuteWeights": "generators.permute",
    "PlantDictionary": "generators.planted",
    "RateMatchedLabels": "generators.bursts",
    "RandomDictionary": "generators.random_dictionary",
    "RandomDirections": "generators.directions",
    "Reinitialize": "generators.weights",
    "ResampleLabels": "generators.random_labels",
    "ShiftLabels": "generators.sequences",
    "ShuffleLabels": "generators.labels",
    "RandomEmbeddings": "generators.random_embeddings",
    "RandomTokens": "generators.random_tokens",
    "ShuffleDecoder": "generators.shuffle_decoder",
    "ShuffleTokens": "generators.shuffle_tokens",
    "SurrogateLatents": "generators.surrogate_latents",
    "UntrainedDictionary": "generators.random_dictionary",
    "WeightControl": "generators.redrawn",
    "Controlled": "wrap.estimator",
    "controlled": "wrap.function",
}

__all__ = ["__version__", *sorted(_HOME)]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that ``import controls`` stays light."""
    if name not in _HOME:
        raise AttributeError(f"module 'controls' has no attribute {name!r}")
    home = _HOME[name]
    value = getattr(import_module(f"controls.{home}"), name) if home else import_module(f"controls.{name}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
