"""dictionary_learning trainers as finders. The only importer of dictionary_learning."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import torch

from controls.core.dictionary import Dictionary, DictionaryTrainer, as_dictionary, side_by_side
from controls.core.errors import CannotControl, InputError, InputTypeError, TrainerError
from controls.core.problem import Problem
from controls.core.trainer import Trainer
from controls.core.validate import whole_number
from controls.finders._undisturbed import undisturbed


@final
@dataclass(frozen=True, eq=False)
class DictionaryLearning(DictionaryTrainer):
    """Trains a dictionary with ``dictionary_learning.training.trainSAE`` on the problem's activations.

    Parameters
    ----------
    config : mapping
        One of its trainer configs, as ``trainSAE`` takes them: with ``trainer`` (the class), ``dict_size`` and the
        class's own parameters. It is copied for each fit (``trainSAE`` takes keys out of what it is given), and
        stays as it is. ``activation_dim``, ``steps``, ``seed`` and ``device`` are ours.
    steps, batch_size : int
        Training steps, and rows of each, drawn with replacement.

    Raises
    ------
    InputError
        The library is not installed; a config without ``trainer`` or ``dict_size``, or with what is ours.

    Notes
    -----
    The library saves what it trains: to a temporary folder, from which it is read and which is removed. Its random
    numbers are seeded from the rng handed in. It has no way to hold a decoder: ``ct.RandomDictionary`` is refused,
    ``ct.RandomDirections`` and ``ct.SurrogateLatents`` are not. Tested with 0.1.0.

    Examples
    --------
    Where it is installed::

        from dictionary_learning.trainers.top_k import TopKTrainer  # pyright: ignore[reportMissingImports]
        config = {"trainer": TopKTrainer, "dict_size": 64, "k": 4, "layer": 0, "lm_name": "", "lr": 1e-3}
        trainer = ct.finders.DictionaryLearning(config, steps=2000, batch_size=512)
    """

    config: Mapping[str, Any]
    steps: int = 1000
    batch_size: int = 1024

    def __post_init__(self) -> None:
        _library()
        if not isinstance(self.config, Mapping):
            raise InputTypeError(f"config must be a trainer config (a dict), got {type(self.config).__name__}.")
        for name in ("trainer", "dict_size"):
            if name not in self.config:
                raise InputError(
                    f"config must have {name!r}, as trainSAE wants it, got {', '.join(map(str, self.config))}."
                )
        ours = {"activation_dim", "steps", "seed", "device"} & set(self.config)
        if ours:
            raise InputError(f"config must not hold {', '.join(sorted(ours))}: these follow the problem and the study.")
        whole_number(self.steps, "steps", low=1)
        whole_number(self.batch_size, "batch_size", low=1)

    @property
    def n_latents(self) -> int:  # type: ignore[override]
        """Number of latents."""
        return int(self.config["dict_size"])

    @property
    def uses_threads(self) -> bool:
        """It uses all of torch's threads."""
        return True

    def held(self, part: str, directions: np.ndarray, least_cosine: float = 1.0) -> Trainer:
        """Refuse: the library has no way to hold directions."""
        raise CannotControl(
            f"dictionary_learning cannot hold its {part}; use ct.RandomDirections(), or train with ct.finders.SAE."
        )

    def untrained(self) -> Trainer:
        """Refuse: the library returns trained dictionaries only."""
        raise CannotControl(
            "dictionary_learning returns trained dictionaries only; use ct.finders.SAE for an untrained one."
        )

    def fit(self, problem: Problem, rng: np.random.Generator) -> Dictionary:
        """Return the dictionary of a problem's activations."""
        from dictionary_learning.training import trainSAE  # pyright: ignore[reportMissingImports]
        from dictionary_learning.utils import load_dictionary  # pyright: ignore[reportMissingImports]

        rows = torch.tensor(side_by_side(problem, (), np.arange(problem.n)), dtype=torch.float32)
        seed = int(rng.integers(2**31))
        config = {**copy.deepcopy(dict(self.config)), "activation_dim": rows.shape[1], "steps": self.steps}
        config |= {"seed": seed, "device": "cpu"}
        with tempfile.TemporaryDirectory() as folder, undisturbed(seed):
            trainSAE(
                data=self._batches(rows, seed),
                trainer_configs=[config],
                steps=self.steps,
                save_dir=folder,
                device="cpu",
            )
            places = list(Path(folder).rglob("ae.pt"))
            if len(places) != 1:
                raise TrainerError(f"trainSAE must leave one ae.pt, left {len(places)}.")
            found, _ = load_dictionary(str(places[0].parent), "cpu")
        return as_dictionary(found)

    def _batches(self, rows: torch.Tensor, seed: int) -> Iterator[torch.Tensor]:
        generator = torch.Generator().manual_seed(seed)
        while True:
            yield rows[torch.randint(len(rows), (self.batch_size,), generator=generator)]


def _library() -> None:
    try:
        import dictionary_learning  # noqa: F401  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise InputError(
            "dictionary-learning is not installed; pip install --no-deps dictionary-learning==0.1.0, and einops tqdm "
            "nnsight datasets wandb."
        ) from error
