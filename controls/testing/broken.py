"""Controls and trainers that are broken on purpose: the kit must find each of them out, in these words."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np

from controls.core.control import Control, IndexControl, Inference, LabelControl
from controls.core.errors import CannotControl
from controls.core.exchangeability import labels_of
from controls.core.orbit import TreeOrbit
from controls.core.problem import Problem
from controls.core.properties import LabelAlignment, LabelCounts, Property, SameActivations, SameGroups
from controls.core.trainer import BatchTrainer, Engine, Output, Split, Task, Trainer
from controls.testing.broken_activations import BROKEN_ACTIVATIONS
from controls.testing.broken_findings import BROKEN_FINDINGS
from controls.testing.broken_inputs import BROKEN_INPUTS
from controls.testing.broken_kinds import BROKEN_KINDS
from controls.testing.broken_sparsity import BROKEN_SPARSITY
from controls.testing.broken_weights import BROKEN_WEIGHTS


@dataclass(frozen=True)
class _Shuffle(LabelControl):
    """A sound free shuffle; those below break one thing each."""

    @property
    def inference(self) -> Inference:
        """Exact, as claimed."""
        return "exact"

    @property
    def null(self) -> str:
        """A sentence."""
        return "Labels are exchangeable."

    @property
    def licenses(self) -> str:
        """A sentence."""
        return "Activations and labels go together."

    @property
    def preserves(self) -> tuple[Property, ...]:
        """The activations, the groups and how often each label occurs."""
        return (SameActivations(), SameGroups(), LabelCounts())

    @property
    def destroys(self) -> tuple[Property, ...]:
        """Which row has which label."""
        return (LabelAlignment(),)

    def orbit(self, problem: Problem) -> TreeOrbit:
        """Return all relabelings."""
        return TreeOrbit(labels_of(problem))

    def check(self, problem: Problem) -> None:
        """Refuse labels that are all the same."""
        if len(problem.classes) < 2:
            raise CannotControl("labels are all the same; give labels that differ.")

    def relabel(self, problem: Problem, rng: np.random.Generator) -> np.ndarray:
        """Return the labels in random order."""
        return rng.permutation(labels_of(problem))


@final
@dataclass(frozen=True)
class DrawsIdentity(_Shuffle):
    """Draws the identity every time."""

    def relabel(self, problem: Problem, rng: np.random.Generator) -> np.ndarray:
        """Return the labels as they are."""
        return labels_of(problem).copy()


@final
@dataclass(frozen=True)
class IgnoresStream(_Shuffle):
    """Draws the same reversal every time."""

    def relabel(self, problem: Problem, rng: np.random.Generator) -> np.ndarray:
        """Return the labels backwards."""
        return labels_of(problem)[::-1].copy()


@final
@dataclass(frozen=True)
class CountsDraws(_Shuffle):
    """Draws depend on how many were drawn before."""

    count: ClassVar[Iterator[int]] = itertools.count()

    def relabel(self, problem: Problem, rng: np.random.Generator) -> np.ndarray:
        """Return the labels in random order, turned by a hidden counter."""
        return np.roll(rng.permutation(labels_of(problem)), next(self.count))


@final
@dataclass(frozen=True)
class ChangesMarginal(_Shuffle):
    """Claims to keep the label counts, but gives one row a label of another."""

    def relabel(self, problem: Problem, rng: np.random.Generator) -> np.ndarray:
        """Return the labels in random order, one of them overwritten by one that differs."""
        labels = rng.permutation(labels_of(problem))
        labels[0] = labels[labels != labels[0]][0]
        return labels


@final
@dataclass(frozen=True)
class LeaksLabels(_Shuffle):
    """Claims to destroy which row has which label, but every other row keeps its own."""

    def relabel(self, problem: Problem, rng: np.random.Generator) -> np.ndarray:
        """Return the labels with every other row shuffled."""
        labels = labels_of(problem).copy()
        labels[::2] = rng.permutation(labels[::2])
        return labels


@final
@dataclass(frozen=True)
class RefusesIdentity(_Shuffle):
    """Draws again until something has changed: p-values are then too small."""

    def relabel(self, problem: Problem, rng: np.random.Generator) -> np.ndarray:
        """Return labels in random order that are not the observed ones."""
        labels = labels_of(problem)
        while np.array_equal(drawn := rng.permutation(labels), labels):
            pass
        return drawn


@final
@dataclass(frozen=True)
class MutatesProblem(_Shuffle):
    """Shuffles the caller's own labels."""

    def relabel(self, problem: Problem, rng: np.random.Generator) -> np.ndarray:
        """Shuffle in place what the read-only labels look into."""
        labels = labels_of(problem)
        owner = labels if labels.base is None else labels.base
        rng.shuffle(owner)  # type: ignore[arg-type]
        return labels.copy()


@final
@dataclass(frozen=True)
class UsesGlobalState(_Shuffle):
    """Draws from numpy's global random state."""

    def relabel(self, problem: Problem, rng: np.random.Generator) -> np.ndarray:
        """Return the labels in an order that the stream does not know."""
        return np.random.permutation(labels_of(problem))  # noqa: NPY002 - the fault that is planted


@final
@dataclass(frozen=True)
class Rotates(_Shuffle):
    """Claims to be exact under free exchange, but draws rotations only."""

    def relabel(self, problem: Problem, rng: np.random.Generator) -> np.ndarray:
        """Return the labels, rotated."""
        return np.roll(labels_of(problem), rng.integers(problem.n))


@final
@dataclass(frozen=True)
class LeavesOrbit(_Shuffle):
    """Lists only relabelings within documents, but draws from all."""

    def orbit(self, problem: Problem) -> TreeOrbit:
        """Return the relabelings within documents."""
        return TreeOrbit(labels_of(problem), ((problem.codes("document"), False),))


@final
@dataclass(frozen=True)
class AcceptsConstant(_Shuffle):
    """Does not refuse labels that are all the same."""

    def check(self, problem: Problem) -> None:
        """Refuse nothing."""


@final
@dataclass(frozen=True)
class HasNoNull(_Shuffle):
    """States no null hypothesis."""

    @property
    def null(self) -> str:
        """Nothing."""
        return ""


@final
@dataclass(frozen=True)
class OrdersOtherwise(IndexControl):
    """Says that its draws follow row indices, but draws otherwise."""

    inference: ClassVar[Inference] = "ensemble"  # type: ignore[assignment,misc]
    null: ClassVar[str] = "Labels are exchangeable."  # type: ignore[assignment,misc]
    licenses: ClassVar[str] = "Activations and labels go together."  # type: ignore[assignment,misc]
    preserves: ClassVar[tuple[Property, ...]] = (SameActivations(),)  # type: ignore[assignment,misc]
    destroys: ClassVar[tuple[Property, ...]] = (LabelAlignment(),)  # type: ignore[assignment,misc]

    def order(self, problem: Problem, rng: np.random.Generator) -> np.ndarray:
        """Return row indices in random order."""
        return rng.permutation(problem.n)

    def relabel(self, problem: Problem, rng: np.random.Generator) -> np.ndarray:
        """Return labels in another order than that of order()."""
        return labels_of(problem)[self.order(problem, rng)][::-1]


BROKEN_CONTROLS: tuple[tuple[Control, str], ...] = (
    (DrawsIdentity(), "identity every time"),
    (IgnoresStream(), "whatever the stream"),
    (CountsDraws(), "depend on what was drawn before"),
    (ChangesMarginal(), "claims to keep how often each label occurs, but"),
    (LeaksLabels(), "claims to destroy which row has which label"),
    (RefusesIdentity(), "refuses the identity"),
    (MutatesProblem(), "changed the caller's problem (labels)"),
    (UsesGlobalState(), "global random state of numpy"),
    (Rotates(), "not uniform"),
    (LeavesOrbit(), "not among the"),
    (AcceptsConstant(), "must refuse (CannotControl)"),
    (HasNoNull(), "must state null as a sentence"),
    (OrdersOtherwise(), "in the order that order() returns"),
    *BROKEN_KINDS,
    *BROKEN_ACTIVATIONS,
    *BROKEN_SPARSITY,
    *BROKEN_WEIGHTS,
    *BROKEN_INPUTS,
    *BROKEN_FINDINGS,
)


@final
@dataclass(frozen=True, eq=False)
class _Linear:
    """Weights on features and a constant."""

    weights: np.ndarray  # (d + 1, k)
    classes_: np.ndarray | None

    def decision_function(self, X: np.ndarray) -> np.ndarray:
        """Return scores, (m,) for two classes and (m, C) otherwise."""
        scores = _with_constant(X) @ self.weights
        return scores[:, 1] - scores[:, 0] if scores.shape[1] == 2 else scores

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Return labels, or numbers."""
        scores = _with_constant(X) @ self.weights
        return scores[:, 0] if self.classes_ is None else self.classes_[scores.argmax(axis=1)]


@final
@dataclass(frozen=True)
class LeastSquares(BatchTrainer):
    """Least squares with a small ridge; sound where ``fault`` is empty, else broken as it says."""

    fault: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "_memory", [])  # of the faults that remember earlier fits

    @property
    def provides(self) -> frozenset[str]:
        """Labels and scores."""
        return frozenset({"labels", "scores"})

    def fit(self, problem: Problem, rng: np.random.Generator) -> Any:
        """Return weights."""
        X, numbers = np.asarray(problem.X, dtype=np.float64), problem.target == "continuous"
        hot = np.asarray(problem.labels)[:, None] if numbers else np.eye(len(problem.classes))[problem.label_codes]
        weights = _solve(X, hot)
        if self.fault == "global random state":
            weights = weights + np.random.standard_normal(weights.shape)  # noqa: NPY002 - the fault that is planted
        if self.fault == "own random numbers":
            weights = weights + np.random.default_rng().standard_normal(weights.shape)
        if self.fault in ("warm start", "warm start from more rows"):
            weights = self._warm(weights, problem.n)
        if self.fault == "learns nothing":
            weights = np.ones_like(weights) * np.arange(1, weights.shape[1] + 1)
        if self.fault == "changes activations":
            owner: Any = problem.X if problem.X.base is None else problem.X.base
            owner += 1.0
        return _Linear(weights, None if numbers else problem.classes)

    def _warm(self, weights: np.ndarray, n: int) -> np.ndarray:
        """Return weights that lean towards those of an earlier fit, perhaps of one to more rows only."""
        memory: list[tuple[int, np.ndarray]] = self._memory  # type: ignore[attr-defined]
        starts = [old for size, old in memory if size > n or self.fault == "warm start"]
        memory.append((n, weights))
        return weights + 0.1 * starts[-1] if starts else weights

    def engine(self, activations: np.ndarray, splits: Sequence[Split], task: Task, n_classes: int) -> Engine:
        """Return the engine, which has faults of its own."""
        return _LeastSquaresEngine(self.fault, np.asarray(activations, dtype=np.float64), splits, n_classes)


@final
@dataclass(frozen=True, eq=False)
class _LeastSquaresEngine:
    fault: str
    activations: np.ndarray
    splits: Sequence[Split]
    n_classes: int
    tolerance: float = 1e-9

    def predict(self, fold: int, targets: np.ndarray, needs: str) -> Output:
        """Return what least squares predicts for every column."""
        train, test = self.splits[fold]
        hot = np.eye(self.n_classes)[targets] if self.n_classes else targets[:, :, None].astype(np.float64)
        weights = _solve(self.activations[train], hot[train].reshape(len(train), -1))
        if self.fault == "starts from all rows":
            weights = 0.9 * weights + 0.1 * _solve(self.activations, hot.reshape(len(hot), -1))
        if self.fault == "mixes columns":
            weights = weights - 0.01 * weights.mean(axis=1, keepdims=True) * (targets.shape[1] > 1)
        if self.fault == "other penalty":
            weights = 0.999 * weights
        scores = (_with_constant(self.activations[test]) @ weights).reshape(len(test), targets.shape[1], -1)
        if not self.n_classes:
            return Output(labels=scores[:, :, 0])
        if needs == "labels":
            return Output(labels=scores.argmax(axis=2))
        return Output(scores=scores[:, :, 1] - scores[:, :, 0] if self.n_classes == 2 else scores)


def _with_constant(X: np.ndarray) -> np.ndarray:
    return np.column_stack([X, np.ones(len(X))])


def _solve(X: np.ndarray, Y: np.ndarray) -> np.ndarray:
    X = _with_constant(X)
    return np.linalg.solve(X.T @ X + 1e-3 * np.eye(X.shape[1]), X.T @ Y)


BROKEN_TRAINERS: tuple[tuple[Trainer, str], ...] = (
    (LeastSquares("global random state"), "global random state of numpy"),
    (LeastSquares("own random numbers"), "the same stream after another fit"),
    (LeastSquares("warm start"), "keep no state"),
    (LeastSquares("warm start from more rows"), "starts from an earlier fit"),
    (LeastSquares("learns nothing"), "it learns nothing"),
    (LeastSquares("changes activations"), "changed the caller's problem (activations)"),
    (LeastSquares("starts from all rows"), "labels of held-out rows change"),
    (LeastSquares("mixes columns"), "otherwise than one by one"),
    (LeastSquares("other penalty"), "otherwise in its engine"),
)
