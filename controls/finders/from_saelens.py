"""SAELens: its SAEs, trained on a problem's activations."""

from __future__ import annotations

import copy
import inspect
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, final

import numpy as np

from controls.core.dictionary import Dictionary, DictionaryTrainer
from controls.core.errors import CannotControl, InputError, InputTypeError
from controls.core.problem import Problem
from controls.core.trainer import Trainer
from controls.core.validate import random_generator, real_number, site_names, whole_number
from controls.finders._undisturbed import imported, member, undisturbed

_PACKAGE = "sae-lens"
_OURS = {
    "total_training_samples": "steps",
    "train_batch_size_samples": "batch_size",
    "lr": "lr",
    "device": "config.device",
    "logger": None,
    "n_checkpoints": None,
    "checkpoint_path": None,
    "save_final_checkpoint": None,
}
_STATEFUL = ("layer_norm", "constant_norm_rescale")


@final
@dataclass(frozen=True, eq=False)
class SAELens(DictionaryTrainer):
    """Trains an SAE of SAELens (``sae-lens``) on the rows of a problem, by ``sae_lens.SAETrainer``.

    Parameters
    ----------
    config : sae_lens.TrainingSAEConfig
        What SAE to train, such as ``TopKTrainingSAEConfig(d_in=64, d_sae=512, k=8)``. Copied; never changed.
    steps, batch_size : int
        Training steps, and rows of each, drawn with replacement.
    lr : float
        Adam's step size.
    settings : mapping
        Other settings of ``sae_lens.SAETrainerConfig``, such as ``{"lr_warm_up_steps": 100, "autocast": True}``.
    sites : tuple of str
        Sites of the problem to read, side by side; its only array where none is named.

    Raises
    ------
    InputError
        sae-lens is missing, or too old; another ``d_in`` than the activations have; settings that are set here.
    CannotControl
        From ``held``: whitened activations, of which folding turns directions. From ``untrained``: a BatchTopK SAE.
    TrainerError
        Training failed, or ended with numbers that are not finite.

    Notes
    -----
    The finding encodes as the SAE does after training (``save_inference_model``): a BatchTopK SAE by its threshold.
    Logging, checkpoints and evaluations are off. Seeds come from the rng handed in; the random states of
    the process, its settings, variables and working folder are as before afterwards, also after an error.

    SAEs that normalize each row (``normalize_activations`` "layer_norm" or "constant_norm_rescale") are refused: they
    decode by what they encoded last, so that latents alone say nothing.

    Examples
    --------
    >>> import controls as ct
    >>> ct.finders.SAELens("topk")
    Traceback (most recent call last):
        ...
    controls.core.errors.InputTypeError: config must be a training SAE config of sae_lens, such as \
TopKTrainingSAEConfig(d_in=64, d_sae=512, k=8), got str.
    """

    config: Any
    steps: int = 1000
    batch_size: int = 1024
    lr: float = 1e-3
    settings: Mapping[str, Any] = field(default_factory=dict)
    sites: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if isinstance(self.config, type) or not all(
            hasattr(self.config, name) for name in ("d_in", "d_sae", "architecture", "get_inference_config_class")
        ):
            got = self.config.__name__ if isinstance(self.config, type) else type(self.config).__name__
            raise InputTypeError(
                "config must be a training SAE config of sae_lens, such as "
                f"TopKTrainingSAEConfig(d_in=64, d_sae=512, k=8), got {got}."
            )
        if self.config.normalize_activations in _STATEFUL:
            raise InputError(
                f"config.normalize_activations must be 'none', 'expected_average_only_in' or 'covariance_whitening', "
                f"got {self.config.normalize_activations!r}; normalize the rows before instead."
            )
        for name in ("steps", "batch_size"):
            whole_number(getattr(self, name), name, low=1)
        real_number(self.lr, "lr", low=0, high=np.inf)
        for name in self.settings:
            if name in _OURS:
                instead = f"give {_OURS[name]} instead" if _OURS[name] else "nothing is logged or written"
                raise InputError(f"settings must not have {name!r}: {instead}.")
        object.__setattr__(self, "config", copy.deepcopy(self.config))
        object.__setattr__(self, "settings", copy.deepcopy(dict(self.settings)))
        object.__setattr__(self, "sites", site_names(self.sites))

    @property
    def n_latents(self) -> int:
        """Number of latents m."""
        return int(self.config.d_sae)

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
        """Return the trainer whose decoder or encoder stays at directions (m, d), or near; lengths are trained."""
        from controls.finders._module import Hold

        if self.config.normalize_activations == "covariance_whitening":
            raise CannotControl("SAELens cannot hold directions where activations are whitened: folding turns them.")
        return _BackHeld(self, self.steps, Hold.of(part, directions, least_cosine, self.n_latents))

    def untrained(self) -> Trainer:
        """Return the trainer that takes no step."""
        if "batchtopk" in self.config.architecture():
            raise CannotControl("SAELens cannot leave a BatchTopK SAE untrained: training finds its threshold.")
        return _BackHeld(self, 0, None)


@final
@dataclass(frozen=True, eq=False)
class _BackHeld(Trainer):
    """The same trainer, with rows held, or without training."""

    trainer: SAELens
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


def _train(trainer: SAELens, problem: Problem, rng: np.random.Generator, steps: int, hold: Any) -> Dictionary:
    from controls.finders._module import as_found, endless, width_of

    width = width_of(problem, trainer.sites)
    if trainer.config.d_in != width:
        raise InputError(f"config must have d_in = {width}, the activations' width, got {trainer.config.d_in}.")
    with undisturbed(int(random_generator(rng).integers(2**31)), _PACKAGE) as folder:
        library = imported("sae_lens", _PACKAGE)
        sae = _sae_of(library, trainer.config)
        parts = _parts(sae, hold.part) if hold is not None else ()
        data = endless(problem, trainer.sites, trainer.batch_size, rng)
        run = _trainer_of(library, trainer, sae, data, steps)
        if hold is not None:
            hold.start(*parts)
            run.optimizer.register_step_post_hook(lambda *_: hold.keep(*parts))
        sae = run.fit()
        path = os.path.join(folder, "sae")
        sae.save_inference_model(path)
        return as_found(library.SAE.load_from_disk(path, device=str(sae.device)), width, trainer.sites)


def _sae_of(library: Any, config: Any) -> Any:
    """Return the SAE to train, of a copy of its config, which sae-lens writes its version into."""
    own = copy.deepcopy(config)
    known = member(library, "TrainingSAE", _PACKAGE)
    return known.get_sae_class_for_architecture(own.architecture())(own)


def _parts(sae: Any, part: str) -> tuple[Any, Any]:
    """Return views of the decoder and the encoder, (m, d) each."""
    decoder, encoder = getattr(sae, "W_dec", None), getattr(sae, "W_enc", None)
    one = decoder is None or encoder is None or decoder.data_ptr() == encoder.data_ptr()
    if decoder is None or (one and part == "encoder"):
        raise CannotControl(
            f"SAELens cannot hold the {part} of the architecture {sae.cfg.architecture()!r}: it has none."
        )
    return decoder.data, decoder.data if one else encoder.data.T  # type: ignore[union-attr]


def _trainer_of(library: Any, trainer: SAELens, sae: Any, data: Any, steps: int) -> Any:
    """Return sae-lens's own trainer, called by keyword, with logging, checkpoints and evaluations off."""
    configs = imported("sae_lens.config", _PACKAGE)
    kind = member(configs, "SAETrainerConfig", _PACKAGE)
    made = imported("sae_lens.training.sae_trainer", _PACKAGE).SAETrainer
    known = {each.name for each in fields(kind)}
    wrong = sorted(set(trainer.settings) - known)
    if wrong:
        allowed = ", ".join(sorted(known - set(_OURS)))
        raise InputError(f"settings must be of {allowed}; got {', '.join(wrong)}.")
    if missing := {"cfg", "sae", "data_provider"} - set(inspect.signature(made).parameters):
        raise InputError(
            f"sae-lens {library.__version__} is too old: SAETrainer takes no {sorted(missing)[0]}; "
            f"pip install --upgrade {_PACKAGE}."
        )
    given = {
        "total_training_samples": trainer.steps * trainer.batch_size,
        "train_batch_size_samples": trainer.batch_size,
        "lr": trainer.lr,
        "lr_end": trainer.lr / 10,  # as in sae-lens's own runner; without it the trainer stops
        "device": str(sae.cfg.device),
        "n_checkpoints": 0,
        "checkpoint_path": None,
        "save_final_checkpoint": False,
        "logger": configs.LoggingConfig(log_to_wandb=False),
        **copy.deepcopy(dict(trainer.settings)),
    }
    run = made(cfg=kind(**{name: value for name, value in given.items() if name in known}), sae=sae, data_provider=data)
    if steps == 0:
        run.cfg = replace(run.cfg, total_training_samples=0)  # schedules are made for the full length
    return run
