"""dictionary_learning: its SAEs, trained on a problem's activations."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from controls.core.dictionary import Dictionary, DictionaryTrainer
from controls.core.errors import CannotControl, InputError, InputTypeError, TrainerError
from controls.core.problem import Problem
from controls.core.trainer import Trainer
from controls.core.validate import random_generator, site_names, whole_number
from controls.finders._undisturbed import imported, member, undisturbed

_PACKAGE = "dictionary-learning"


@final
@dataclass(frozen=True, eq=False)
class DictionaryLearning(DictionaryTrainer):
    """Trains an SAE of dictionary_learning on the rows of a problem, by ``trainSAE``.

    Parameters
    ----------
    config : mapping
        One trainer config, such as ``{"trainer": TopKTrainer, "dict_size": 512, "k": 8, "lr": 1e-3,
        "warmup_steps": 50}``. Copied; ``trainSAE`` deletes from what it gets. ``activation_dim``, ``steps``, ``seed``
        and ``device`` are set here; ``layer`` and ``lm_name``, which name a file, need not be given.
    steps, batch_size : int
        Training steps, and rows of each, drawn with replacement.
    normalize_activations : bool
        As of ``trainSAE``: trains on rows of mean square length 1; the finding takes rows as they are.
    device : str
        A torch device.
    sites : tuple of str
        Sites of the problem to read, side by side; its only array where none is named.

    Raises
    ------
    InputError
        dictionary-learning is missing; a config without ``trainer`` or ``dict_size``, or with what is set here.
    TrainerError
        Training failed, or ended with numbers that are not finite, or before the threshold was found by which
        a BatchTopK SAE encodes (``threshold_start_step``, 1000 by default).

    Notes
    -----
    The SAE is written to a temporary folder and loaded from it, as ``trainSAE`` returns nothing. wandb is off. Seeds
    come from the rng handed in; the random states of the process, its settings, variables and working folder
    are as before afterwards, also after an error.

    Examples
    --------
    >>> import controls as ct
    >>> ct.finders.DictionaryLearning({"dict_size": 512})
    Traceback (most recent call last):
        ...
    controls.core.errors.InputError: config must have 'trainer', as trainSAE wants it, got dict_size.
    """

    config: Mapping[str, Any]
    steps: int = 1000
    batch_size: int = 1024
    normalize_activations: bool = False
    device: str = "cpu"
    sites: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.config, Mapping):
            raise InputTypeError(f"config must be one trainer config, a dict, got {type(self.config).__name__}.")
        for name in ("trainer", "dict_size"):
            if name not in self.config:
                given = ", ".join(map(str, self.config)) or "nothing"
                raise InputError(f"config must have {name!r}, as trainSAE wants it, got {given}.")
        if ours := sorted({"activation_dim", "steps", "seed", "device"} & set(self.config)):
            raise InputError(f"config must not hold {', '.join(ours)}: these follow the problem and the study.")
        for name in ("steps", "batch_size"):
            whole_number(getattr(self, name), name, low=1)
        object.__setattr__(self, "config", copy.deepcopy(dict(self.config)))
        object.__setattr__(self, "sites", site_names(self.sites))

    @property
    def n_latents(self) -> int:
        """Number of latents m."""
        return int(self.config["dict_size"])

    @property
    def reads(self) -> tuple[str, ...]:
        """The sites it reads, and reconstructs."""
        return self.sites

    @property
    def uses_threads(self) -> bool:
        """Always: global states are set and put back, so that only one may train at a time."""
        return True

    def fit(self, problem: Problem, rng: np.random.Generator) -> Dictionary:
        """Return the SAE of a problem's activations; its labels are not read."""
        return _train(self, problem, rng, self.steps, None)

    def held(self, part: str, directions: np.ndarray, least_cosine: float = 1.0) -> Trainer:
        """Return the trainer whose decoder or encoder stays at directions (m, d), or near, after each of its steps."""
        from controls.finders._module import Hold

        return _BackHeld(self, self.steps, Hold.of(part, directions, least_cosine, self.n_latents))

    def untrained(self) -> Trainer:
        """Return the trainer that takes no step."""
        return _BackHeld(self, 0, None)


@final
@dataclass(frozen=True, eq=False)
class _BackHeld(Trainer):
    """The same trainer, with rows held, or without training."""

    trainer: DictionaryLearning
    steps: int
    hold: Any

    @property
    def reads(self) -> tuple[str, ...]:
        return self.trainer.reads

    @property
    def uses_threads(self) -> bool:
        return True

    def fit(self, problem: Problem, rng: np.random.Generator) -> Dictionary:
        return _train(self.trainer, problem, rng, self.steps, self.hold)


def _train(
    trainer: DictionaryLearning, problem: Problem, rng: np.random.Generator, steps: int, hold: Any
) -> Dictionary:
    from controls.finders._module import as_found, endless, width_of

    width = width_of(problem, trainer.sites)
    seed = int(random_generator(rng).integers(2**31))
    config = {"layer": 0, "lm_name": "none", **copy.deepcopy(dict(trainer.config))}
    config |= {"activation_dim": width, "steps": trainer.steps, "seed": seed, "device": trainer.device}
    with undisturbed(seed, _PACKAGE) as folder:
        train = member(imported("dictionary_learning.training", _PACKAGE), "trainSAE", _PACKAGE)
        if hold is not None:
            config["trainer"] = _holding(config["trainer"], hold)
        train(
            data=endless(problem, trainer.sites, trainer.batch_size, rng),
            trainer_configs=[config],
            steps=steps,
            save_dir=folder,
            normalize_activations=trainer.normalize_activations,
            device=trainer.device,
        )
        load = imported("dictionary_learning.utils", _PACKAGE).load_dictionary
        found, _ = load(f"{folder}/trainer_0", device=trainer.device)
        _refuse_without_threshold(found, steps)
        return as_found(found, width, trainer.sites)


def _refuse_without_threshold(found: Any, steps: int) -> None:
    """Refuse an SAE that encodes by a threshold that training has not reached: all positive latents would be active."""
    threshold = getattr(found, "threshold", None)
    if "BatchTopK" not in type(found).__name__ or threshold is None or float(threshold) >= 0:
        return
    if steps == 0:
        raise CannotControl("dictionary_learning cannot leave a BatchTopK SAE untrained: training finds its threshold.")
    raise TrainerError(
        f"dictionary_learning found no threshold for the BatchTopK SAE in {steps} steps; give config a smaller "
        "threshold_start_step, or more steps."
    )


def _holding(trainer_class: Any, hold: Any) -> Any:
    """Return the trainer class whose rows are turned back at the start and after each step."""

    class Holding(trainer_class):
        def __init__(self, *args: Any, **keywords: Any) -> None:
            super().__init__(*args, **keywords)
            hold.start(*_parts(self.ae))

        def update(self, step: int, activations: Any, **keywords: Any) -> Any:
            loss = super().update(step, activations, **keywords)
            hold.keep(*_parts(self.ae))
            return loss

    Holding.__name__ = trainer_class.__name__
    return Holding


def _parts(found: Any) -> tuple[Any, Any]:
    """Return views of the decoder and the encoder, (m, d) each."""
    if hasattr(found, "W_dec"):
        return found.W_dec.data, found.W_enc.data.T
    if not hasattr(found, "decoder"):
        raise CannotControl(f"dictionary_learning cannot hold directions of a {type(found).__name__}.")
    return found.decoder.weight.data.T, found.encoder.weight.data
