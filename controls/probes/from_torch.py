"""A torch module, trained by Adam, as a trainer."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, final

import numpy as np
import torch

from controls.core.arrays import dense
from controls.core.errors import InputError, InputTypeError
from controls.core.problem import Problem
from controls.core.trainer import Task, Trainer
from controls.core.validate import one_of, real_number, whole_number
from controls.probes._calls import call, name_of

_SEEDS = 2**63 - 1


@final
@dataclass(frozen=True, eq=False)
class TorchFinding:
    """A trained module that predicts as a scikit-learn estimator does; ``classes_`` is None for numbers."""

    module: torch.nn.Module
    classes_: np.ndarray | None
    device: str

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Return predicted labels, or numbers, shape (m,)."""
        raw = self._forward(X)
        return raw[:, 0].numpy() if self.classes_ is None else self.classes_[raw.argmax(dim=1).numpy()]

    def decision_function(self, X: np.ndarray) -> np.ndarray:
        """Return logits (m, C); for two classes their difference (m,)."""
        raw = self._classes(X).numpy()
        return raw[:, 1] - raw[:, 0] if raw.shape[1] == 2 else raw

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Return probabilities (m, C)."""
        return torch.softmax(self._classes(X), dim=1).numpy()

    def _classes(self, X: np.ndarray) -> torch.Tensor:
        if self.classes_ is None:
            raise InputError("scores and probabilities are of classes, but this module predicts numbers; use predict.")
        return self._forward(X)

    def _forward(self, X: np.ndarray) -> torch.Tensor:
        with torch.no_grad():
            return self.module(torch.tensor(dense(X), dtype=torch.float32, device=self.device)).double().cpu()


@final
@dataclass(frozen=True)
class TorchTrainer(Trainer):
    """Trains ``module_factory(d, n_outputs)`` by Adam: cross entropy for classes, squared error for numbers.

    Weights start, and batches are shuffled, by the study's random stream alone; the random state of
    torch is afterwards as it was. Activations and labels are used as they are: a module that wants
    them scaled does so itself.

    Parameters
    ----------
    module_factory : callable
        ``module_factory(d, n_outputs)`` returns a ``torch.nn.Module`` from (m, d) to (m, n_outputs):
        one output per class among the labels, or one for numbers.
    epochs : int
        Passes over the rows.
    lr : float
        Learning rate.
    batch_size : int
        Rows per step.
    weight_decay : float
        Of Adam.
    device : str
        Where the module is trained and predicts.
    loss : {"cross_entropy", "squared_error"} or None
        None goes by the labels: squared error where they are continuous.

    Raises
    ------
    InputError, InputTypeError
        Wrong parameters, or a factory that returns no module.
    TrainerError
        Training failed.

    Notes
    -----
    Single precision. Time is epochs × n forward and backward passes; memory one copy of the
    activations and what one batch needs.

    Examples
    --------
    >>> import numpy as np, torch
    >>> from controls.core.problem import Problem
    >>> from controls.core.rng import stream
    >>> X = np.array([[-1.0], [1.0]] * 20)
    >>> problem = Problem(X, ["no", "yes"] * 20)
    >>> probe = TorchTrainer(torch.nn.Linear, epochs=40, lr=0.1).fit(problem, stream(0))
    >>> probe.predict(X[:2]).tolist()
    ['no', 'yes']
    """

    module_factory: Callable[[int, int], torch.nn.Module]
    epochs: int = 50
    lr: float = 1e-2
    batch_size: int = 256
    weight_decay: float = 0.0
    device: str = "cpu"
    loss: Literal["cross_entropy", "squared_error"] | None = None

    def __post_init__(self) -> None:
        if not callable(self.module_factory) or isinstance(self.module_factory, torch.nn.Module):
            got = type(self.module_factory).__name__
            raise InputTypeError(f"module_factory must be a function (d, n_outputs) -> torch.nn.Module, got {got}.")
        whole_number(self.epochs, "epochs", low=1)
        whole_number(self.batch_size, "batch_size", low=1)
        real_number(self.lr, "lr", low=0.0, high=float("inf"))
        real_number(self.weight_decay, "weight_decay", low=0.0, high=float("inf"), open_ends=False)
        if self.loss is not None:
            one_of(self.loss, "loss", ("cross_entropy", "squared_error"))

    @property
    def task(self) -> Task | None:
        """What the loss is for; None where it goes by the labels."""
        if self.loss is None:
            return None
        return "classification" if self.loss == "cross_entropy" else "regression"

    @property
    def provides(self) -> frozenset[str] | None:
        """Labels for numbers; scores and probabilities too for classes; None where it goes by the labels."""
        if self.loss is None:
            return None
        return frozenset({"labels"} | ({"scores", "probabilities"} if self.loss == "cross_entropy" else set()))

    def fit(self, problem: Problem, rng: np.random.Generator) -> TorchFinding:
        """Return the trained module, as something that predicts."""
        targets, classes = self._targets(problem)
        data = torch.tensor(dense(problem.X), dtype=torch.float32, device=self.device)
        device = torch.device(self.device)
        seed = int(rng.integers(_SEEDS))
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.default_generator.manual_seed(seed)
            if device.type == "cuda":
                torch.cuda.manual_seed(seed)
            module = self._module(problem.d, 1 if classes is None else len(classes))
            order = torch.Generator().manual_seed(int(rng.integers(_SEEDS)))
            call(f"training of {name_of(module)}", self._train, module, data, targets, order)
        return TorchFinding(module.eval(), classes, self.device)

    def _targets(self, problem: Problem) -> tuple[torch.Tensor, np.ndarray | None]:
        if problem.labels is None or problem.labels.ndim != 1:
            got = "None" if problem.labels is None else f"shape {problem.labels.shape}"
            raise InputError(f"labels must have shape (n,) to train a torch module on them, got {got}.")
        if self.loss == "squared_error" or (self.loss is None and problem.target == "continuous"):
            if problem.labels.dtype.kind == "U":
                raise InputTypeError("labels must be numbers for loss='squared_error', got strings.")
            return torch.tensor(problem.labels, dtype=torch.float32, device=self.device), None
        return torch.tensor(problem.label_codes, device=self.device), problem.classes

    def _module(self, d: int, n_outputs: int) -> torch.nn.Module:
        made: Any = call(name_of(self.module_factory), self.module_factory, d, n_outputs)
        if not isinstance(made, torch.nn.Module):
            raise InputTypeError(f"module_factory must return a torch.nn.Module, got {type(made).__name__}.")
        # A factory may hand out one shared module: it must not be trained, nor start the next fit.
        return copy.deepcopy(made).to(self.device).train()

    def _train(
        self, module: torch.nn.Module, data: torch.Tensor, targets: torch.Tensor, order: torch.Generator
    ) -> None:
        optimizer = torch.optim.Adam(module.parameters(), lr=self.lr, weight_decay=self.weight_decay)
        numbers = targets.is_floating_point()
        for _ in range(self.epochs):
            rows = torch.randperm(len(data), generator=order).to(self.device)
            for batch in rows.split(self.batch_size):
                said = module(data[batch])
                if numbers:
                    loss = torch.nn.functional.mse_loss(said[:, 0], targets[batch])
                else:
                    loss = torch.nn.functional.cross_entropy(said, targets[batch])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
