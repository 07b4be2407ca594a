"""SAE: trains sparse autoencoders, one or several side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, final

import numpy as np

from controls.core.dictionary import DictionaryTrainer
from controls.core.errors import InputError, InputTypeError
from controls.core.problem import Problem
from controls.core.trainer import Trainer
from controls.core.validate import (
    as_activations,
    in_one_line,
    one_of,
    read_only,
    real_number,
    site_names,
    true_or_false,
    whole_number,
)
from controls.finders.autoencoder import SparseAutoencoder

Activation = Literal["topk", "batchtopk", "jumprelu", "relu"]
_COUNTED = ("topk", "batchtopk")
_SMALL, _MANY = 1 << 20, 8  # latents of a batch below which several SAEs are trained side by side, and how many
_LARGE = 1 << 22  # latents of a batch from which one SAE uses all threads


@final
@dataclass(frozen=True)
class SAE(DictionaryTrainer):
    """Trains a sparse autoencoder; its finding is a :class:`controls.finders.SparseAutoencoder`.

    Parameters
    ----------
    n_latents : int
        Number of latents m.
    activation : {"topk", "batchtopk", "jumprelu", "relu"}
        Which latents of a row are active: the k largest (Gao et al. 2024); the k · B largest of a batch
        of B rows, in encoding those above a threshold that training finds (Bussmann et al. 2024); those
        above thresholds that are trained, with a penalty on their number (Rajamanoharan et al. 2024); or
        all positive ones, with a penalty on their size (Bricken et al. 2023).
    k : int
        Active latents of a row, for "topk"; on average, for "batchtopk". 0 for the others.
    sparsity : float
        Weight of the penalty, for "jumprelu" (of each active latent) and "relu" (of their sum), beside
        the squared error of a row of mean square length d. It is raised from 0 in the first tenth of the steps.
    steps, batch_size : int
        Training steps, and rows of each, drawn with replacement.
    lr : float
        Adam's step size; it falls to 0 in the last fifth of the steps.
    warmup : float
        Share of the steps in which ``lr`` is raised from 0.
    normalize : bool
        Whether activations are scaled to mean square length d at each site in training, so that ``lr`` and
        ``sparsity`` mean the same everywhere. The finding takes and returns activations as they are.
    dead_after : int
        A latent that was not active for so many steps is started anew, at a row that is explained badly
        (Bricken et al. 2023); none in the last half of the steps, and none where a part is held. 0: never.
    bandwidth : float
        Of the straight-through gradient of thresholds, for "jumprelu", which they start at; activations
        that are normalized have variance 1.
    sites, targets : tuple of str
        Sites of the problem to read, and to reconstruct; no targets: those that are read. A transcoder writes
        elsewhere than it reads, a crosscoder reads and writes several. The problem's only array where none is named.
    device : str
        A torch device.

    Raises
    ------
    InputError
        Settings that do not go together, before any work; rows that are all alike.
    TrainerError
        Training diverged.

    Notes
    -----
    Decoder rows have length 1 in training (over all sites that are written, side by side). The encoder
    starts as the decoder's transpose (of other shape for a transcoder: at random), output biases at the
    mean. All random numbers come from the rng handed in. The caller's arrays, torch's global random
    state and settings stay as they are.

    Cost of a step: for "topk" and "batchtopk" one dense product, 2 · B · d · m operations, the choice of
    the largest, and four sparse products of 2 · B · k · d; four dense products for the others. Memory:
    about 4 · m · (B + 4 d) bytes beside the rows.

    Examples
    --------
    >>> import numpy as np, controls as ct
    >>> rng = np.random.default_rng(0)
    >>> problem = ct.Problem(rng.exponential(size=(500, 8)) * (rng.random((500, 8)) < 0.2))
    >>> found = ct.finders.SAE(8, k=2, steps=300, batch_size=64, lr=0.01).fit(problem, rng)
    >>> found.decoder.shape, found.encode(problem.X).shape, ct.metrics.explained_variance(found, problem) > 0.8
    ((8, 8), (500, 8), True)
    """

    n_latents: int  # type: ignore[reportIncompatibleMethodOverride]
    activation: Activation = "topk"
    k: int = 0
    sparsity: float = 0.0
    steps: int = 2000
    batch_size: int = 1024
    lr: float = 1e-3
    warmup: float = 0.05
    normalize: bool = True
    dead_after: int = 0
    bandwidth: float = 0.3
    sites: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    device: str = "cpu"

    def __post_init__(self) -> None:
        whole_number(self.n_latents, "n_latents", low=1)
        one_of(self.activation, "activation", ("topk", "batchtopk", "jumprelu", "relu"))
        if self.activation in _COUNTED:
            if not 1 <= whole_number(self.k, "k", low=0) <= self.n_latents:
                raise InputError(
                    f"k must be from 1 to n_latents = {self.n_latents} for {self.activation!r}, got {self.k}."
                )
        elif self.k:
            raise InputError(f"k must not be given for {self.activation!r}, got {self.k}; sparsity= is its penalty.")
        real_number(self.sparsity, "sparsity", low=0, high=np.inf, open_ends=False)
        if self.activation in _COUNTED and self.sparsity:
            raise InputError(f"sparsity must be 0 for {self.activation!r}, got {self.sparsity:g}; k= says how sparse.")
        for name in ("steps", "batch_size"):
            whole_number(getattr(self, name), name, low=1)
        whole_number(self.dead_after, "dead_after", low=0)
        real_number(self.lr, "lr", low=0, high=np.inf)
        real_number(self.warmup, "warmup", low=0, high=1, open_ends=False)
        real_number(self.bandwidth, "bandwidth", low=0, high=np.inf)
        true_or_false(self.normalize, "normalize")
        for name in ("sites", "targets"):
            sites = site_names(getattr(self, name), name)
            if len(set(sites)) < len(sites):
                raise InputError(f"{name} must be different sites, got {sites}.")
            object.__setattr__(self, name, sites)

    @property
    def reads(self) -> tuple[str, ...]:
        """The sites it reads."""
        return self.sites

    @property
    def writes(self) -> tuple[str, ...]:
        """The sites it reconstructs: those it reads where no targets were given."""
        return self.targets or self.sites

    @property
    def together(self) -> int:
        """Eight small ones side by side; large ones one by one."""
        return _MANY if self.n_latents * self.batch_size <= _SMALL else 1

    @property
    def uses_threads(self) -> bool:
        """Whether one is large enough for all threads."""
        return self.n_latents * self.batch_size >= _LARGE

    def fit(self, problem: Problem, rng: np.random.Generator) -> SparseAutoencoder:
        """Return the SAE of a problem's activations; its labels are not read."""
        return self.fit_many([problem], [rng])[0]

    def fit_many(self, problems: Sequence[Problem], rngs: Sequence[np.random.Generator]) -> list[SparseAutoencoder]:
        """Return the SAE of each problem, all of one width, trained side by side."""
        return train_many([self] * len(problems), problems, rngs)

    def held(self, part: str, directions: np.ndarray, least_cosine: float = 1.0) -> Trainer:
        """Return the trainer whose decoder or encoder is held at ``directions`` (m, d), which are made of length 1."""
        one_of(part, "part", ("decoder", "encoder"))
        rows = as_activations(directions, "directions").astype(np.float32)
        if len(rows) != self.n_latents or not rows.any(axis=1).all():
            raise InputError(
                f"directions must have one row other than zero for each of {self.n_latents} latents, "
                f"got shape {rows.shape}."
            )
        real_number(least_cosine, "least_cosine", low=0, high=1, open_ends=False)
        return HeldSAE(self, part, read_only(rows / np.linalg.norm(rows, axis=1, keepdims=True)), least_cosine)

    def untrained(self) -> Trainer:
        """Return the trainer that takes no step."""
        return UntrainedSAE(self)


@final
@dataclass(frozen=True, eq=False)
class HeldSAE(Trainer):
    """An SAE trainer whose decoder or encoder stays at given directions, or near them; see ``SAE.held``."""

    sae: SAE
    part: str
    directions: np.ndarray  # (m, d), rows of length 1, in the activations' own scale
    least_cosine: float

    @property
    def reads(self) -> tuple[str, ...]:
        """The sites it reads."""
        return self.sae.reads

    @property
    def uses_threads(self) -> bool:
        """Whether one is large enough for all threads."""
        return self.sae.uses_threads

    def fit(self, problem: Problem, rng: np.random.Generator) -> SparseAutoencoder:
        """Return the SAE, of which everything else is trained."""
        return train_many([self], [problem], [rng])[0]

    def fit_beside(
        self, trainers: Sequence[Trainer], problem: Problem, rngs: Sequence[np.random.Generator]
    ) -> list[SparseAutoencoder]:
        """Return the SAE of each of several, held at directions of its own, trained side by side."""
        return train_many(trainers, [problem] * len(trainers), rngs)  # type: ignore[arg-type]


@final
@dataclass(frozen=True)
class UntrainedSAE(Trainer):
    """An SAE trainer that takes no step: what training starts from."""

    sae: SAE

    @property
    def reads(self) -> tuple[str, ...]:
        """The sites it reads."""
        return self.sae.reads

    def fit(self, problem: Problem, rng: np.random.Generator) -> SparseAutoencoder:
        """Return what training starts from, with biases at the rows' mean."""
        return train_many([self], [problem], [rng])[0]


def train_many(
    trainers: Sequence[SAE | HeldSAE | UntrainedSAE],
    problems: Sequence[Problem | np.ndarray],
    rngs: Sequence[np.random.Generator],
) -> list[SparseAutoencoder]:
    """Train several SAEs side by side, in one loop: other rows, seeds, k, penalties or held directions.

    Parameters
    ----------
    trainers : sequence of SAE
        They may differ in ``k``, ``sparsity``, and in what is held; nothing else.
    problems : sequence of Problem or array of shape (n, d)
        One for each trainer; numbers of rows may differ. One may stand several times.
    rngs : sequence of numpy.random.Generator
        One for each: what it draws alone it draws here.

    Returns
    -------
    list of SparseAutoencoder
        What each would be if trained by itself, up to rounding, which training makes larger step by step.

    Raises
    ------
    InputError
        Lengths or settings that differ.

    Notes
    -----
    Small SAEs leave most of a processor idle, several together less; large ones gain nothing.

    Examples
    --------
    >>> import numpy as np, controls as ct
    >>> X = np.random.default_rng(0).normal(size=(200, 4))
    >>> few = [ct.finders.SAE(8, k=k, steps=50, batch_size=32) for k in (1, 2, 4)]
    >>> found = ct.finders.train_many(few, [X] * 3, [np.random.default_rng(seed) for seed in range(3)])
    >>> [int((sae.encode(X) > 0).sum(axis=1).max()) for sae in found]
    [1, 2, 4]
    """
    from controls.finders._training import train

    if not isinstance(trainers, (list, tuple)):
        raise InputTypeError(f"trainers must be a list of SAE trainers, got {in_one_line(trainers)}; put it in a list.")
    return train(trainers, problems, rngs)


def settings_of(trainer: SAE | HeldSAE | UntrainedSAE) -> SAE:
    """Return the SAE settings of a trainer, held or not; refuse others."""
    if not isinstance(trainer, (SAE, HeldSAE, UntrainedSAE)):
        raise InputTypeError(f"trainers must be a sequence of SAE trainers, got {in_one_line(trainer)} for one.")
    return trainer if isinstance(trainer, SAE) else trainer.sae


def shared_settings(saes: Sequence[SAE]) -> SAE:
    """Return what several have in common; refuse others."""
    first = saes[0]
    for other in saes[1:]:
        if replace(other, k=first.k, sparsity=first.sparsity) != first:
            raise InputError(
                f"trainers must differ in k and sparsity only to be trained together, got {first}, {other}"
            )
    return first
