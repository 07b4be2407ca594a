"""SAELens trainers as finders. The only importer of sae_lens."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
import torch

from controls.core.dictionary import Dictionary, DictionaryTrainer, as_dictionary, side_by_side
from controls.core.errors import InputError, InputTypeError
from controls.core.problem import Problem
from controls.core.trainer import Trainer
from controls.core.validate import as_activations, one_of, read_only, real_number, whole_number
from controls.finders._undisturbed import undisturbed

_OURS = frozenset({"total_training_samples", "train_batch_size_samples", "lr", "logger", "device", "n_checkpoints"})


@final
@dataclass(frozen=True, eq=False)
class SAELens(DictionaryTrainer):
    """Trains an SAE with SAELens' ``SAETrainer`` on the problem's activations.

    Parameters
    ----------
    config : sae_lens training SAE config
        Such as ``TopKTrainingSAEConfig(d_in=576, d_sae=4608, k=32)``. It is copied for each fit, and stays as it is.
    steps, batch_size : int
        Training steps, and rows of each, drawn with replacement.
    lr : float
    settings : mapping
        Further settings of ``sae_lens.config.SAETrainerConfig``, such as ``{"lr_warm_up_steps": 100}``.

    Raises
    ------
    InputError
        sae-lens is not installed; a config of another width than the activations; a setting that is ours.
    TrainerError
        A decoder that is not finite.

    Notes
    -----
    Weights & Biases, checkpoints and evaluation are off. sae-lens draws from the global random states of torch,
    NumPy and Python: they are seeded from the rng handed in while it trains, and then as they were. What is
    returned is the inference SAE, so that a row's latents do not depend on the rows beside it. Held directions are
    written back before each step. Tested with sae-lens 6.54.

    Examples
    --------
    Where sae-lens is installed::

        from sae_lens import TopKTrainingSAEConfig  # pyright: ignore[reportMissingImports]
        trainer = ct.finders.SAELens(TopKTrainingSAEConfig(d_in=32, d_sae=64, k=4), steps=1000, batch_size=512)
        ct.measure(trainer, problem, controls=[ct.GaussianActivations()], scoring=ct.metrics.explained_variance)
    """

    config: Any
    steps: int = 1000
    batch_size: int = 1024
    lr: float = 1e-3
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _library()
        for name in ("d_in", "d_sae", "get_inference_sae_cfg_dict"):
            if not hasattr(self.config, name):
                raise InputTypeError(
                    "config must be a training SAE config of sae_lens, such as TopKTrainingSAEConfig(d_in=..., "
                    f"d_sae=..., k=...), got {type(self.config).__name__}."
                )
        whole_number(self.steps, "steps", low=1)
        whole_number(self.batch_size, "batch_size", low=1)
        real_number(self.lr, "lr", low=0, high=np.inf)
        ours = _OURS & set(self.settings)
        if ours:
            raise InputError(f"settings must not hold {', '.join(sorted(ours))}, which are given by name or are ours.")

    @property
    def n_latents(self) -> int:  # type: ignore[override]
        """Number of latents."""
        return int(self.config.d_sae)

    @property
    def uses_threads(self) -> bool:
        """sae-lens uses all of torch's threads."""
        return True

    def fit(self, problem: Problem, rng: np.random.Generator) -> Dictionary:
        """Return the SAE of a problem's activations."""
        return self._trained(problem, rng, self.steps, None)

    def held(self, part: str, directions: np.ndarray, least_cosine: float = 1.0) -> Trainer:
        """Return the trainer whose decoder or encoder stays at ``directions`` (m, d), or within a cosine of them."""
        one_of(part, "part", ("decoder", "encoder"))
        rows = as_activations(directions, "directions").astype(np.float32)
        if rows.shape != (self.n_latents, self.config.d_in):
            raise InputError(f"directions must have shape {(self.n_latents, self.config.d_in)}, got {rows.shape}.")
        unit = read_only(rows / np.linalg.norm(rows, axis=1, keepdims=True))
        return _HeldSAELens(self, part, unit, real_number(least_cosine, "least_cosine", low=0, high=1, open_ends=False))

    def untrained(self) -> Trainer:
        """Return the trainer that takes no step."""
        return _UntrainedSAELens(self)

    def _trained(self, problem: Problem, rng: np.random.Generator, steps: int, hold: _HeldSAELens | None) -> Dictionary:
        from sae_lens.config import LoggingConfig, SAETrainerConfig  # pyright: ignore[reportMissingImports]
        from sae_lens.saes.sae import TrainingSAE  # pyright: ignore[reportMissingImports]
        from sae_lens.training.sae_trainer import SAETrainer  # pyright: ignore[reportMissingImports]

        config = copy.deepcopy(self.config)
        device = str(config.device)
        rows = torch.tensor(side_by_side(problem, (), np.arange(problem.n)), dtype=torch.float32, device=device)
        if rows.shape[1] != config.d_in:
            raise InputError(f"config must have d_in = {rows.shape[1]}, the activations' width, got {config.d_in}.")
        seed = int(rng.integers(2**31))
        with undisturbed(seed):
            sae = TrainingSAE.get_sae_class_for_architecture(config.architecture())(config)
            if steps:
                given = SAETrainerConfig(
                    total_training_samples=steps * self.batch_size,
                    train_batch_size_samples=self.batch_size,
                    lr=self.lr,
                    device=device,
                    logger=LoggingConfig(log_to_wandb=False),
                    **{"lr_end": self.lr / 10, **copy.deepcopy(dict(self.settings))},
                )
                batches = self._batches(rows, seed, sae, hold)
                SAETrainer(cfg=given, sae=sae, data_provider=batches).fit()
                if hold is not None:
                    hold.write(sae)
            return as_dictionary(_inference(sae))

    def _batches(self, rows: torch.Tensor, seed: int, sae: Any, hold: _HeldSAELens | None) -> Iterator[torch.Tensor]:
        """Yield random rows without end; what is held is put back before each step."""
        generator = torch.Generator().manual_seed(seed)
        while True:
            if hold is not None:
                hold.write(sae)
            chosen = torch.randint(len(rows), (self.batch_size,), generator=generator)
            yield rows[chosen.to(rows.device)]


@final
@dataclass(frozen=True, eq=False)
class _HeldSAELens(Trainer):
    trainer: SAELens
    part: str
    directions: np.ndarray
    least_cosine: float

    def fit(self, problem: Problem, rng: np.random.Generator) -> Dictionary:
        return self.trainer._trained(problem, rng, self.trainer.steps, self)

    @property
    def uses_threads(self) -> bool:
        return True

    def write(self, sae: Any) -> None:
        """Put directions back where they are held; lengths stay."""
        with torch.no_grad():
            own = sae.W_dec if self.part == "decoder" else sae.W_enc.T
            start = torch.tensor(self.directions).to(own)
            lengths = own.norm(dim=1, keepdim=True).clamp_min(1e-12)
            own.copy_(lengths * _within(own / lengths, start, self.least_cosine))


@final
@dataclass(frozen=True, eq=False)
class _UntrainedSAELens(Trainer):
    trainer: SAELens

    def fit(self, problem: Problem, rng: np.random.Generator) -> Dictionary:
        return self.trainer._trained(problem, rng, 0, None)


def _within(rows: torch.Tensor, start: torch.Tensor, cosine: float) -> torch.Tensor:
    """Return rows of length 1 turned back to the cone of this cosine about where they started."""
    if cosine == 1:
        return start
    along = (rows * start).sum(dim=1, keepdim=True)
    across = rows - along * start
    across = across / across.norm(dim=1, keepdim=True).clamp_min(1e-12)
    return torch.where(along < cosine, cosine * start + (1 - cosine**2) ** 0.5 * across, rows)


def _inference(sae: Any) -> Any:
    """Return the SAE by which rows are encoded one by one."""
    from sae_lens.saes.sae import SAE  # pyright: ignore[reportMissingImports]

    settings = sae.cfg.get_inference_sae_cfg_dict()
    found = SAE.get_sae_class_for_architecture(settings["architecture"])(
        SAE.get_sae_config_class_for_architecture(settings["architecture"]).from_dict(settings)
    )
    state = {name: part.detach().clone() for name, part in sae.state_dict().items()}
    sae.process_state_dict_for_saving_inference(state)
    found.process_state_dict_for_loading(state)
    found.load_state_dict(state)
    return found.eval()


def _library() -> None:
    try:
        import sae_lens  # noqa: F401  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise InputError("sae-lens is not installed; pip install sae-lens (tested with 6.54).") from error
