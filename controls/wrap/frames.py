"""Estimators that ask for the columns of a data frame by name: a problem's array is made a frame again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np

from controls.core.problem import Problem
from controls.core.trainer import Task, Trainer
from controls.probes.from_sklearn import EstimatorTrainer, fit_clone

_OF_ROWS = frozenset({"predict", "predict_proba", "decision_function", "transform"})


@final
@dataclass(frozen=True, repr=False)
class Layout:
    """Names and types of a frame's columns."""

    names: tuple[str, ...]
    dtypes: tuple[str, ...]

    def __repr__(self) -> str:
        """Return how many columns there are."""
        return f"<{len(self.names)} columns>"

    def frame(self, X: np.ndarray) -> Any:
        """Return the array (m, d) as a pandas frame; a copy only where types differ."""
        from pandas import DataFrame

        found = DataFrame(X, columns=list(self.names))
        wanted = {name: dtype for name, dtype in zip(self.names, self.dtypes, strict=True) if dtype != str(X.dtype)}
        return found.astype(wanted) if wanted else found


@final
@dataclass(frozen=True)
class FrameFinding:
    """A fitted estimator that takes arrays and gives its own methods frames; all else is the estimator's."""

    estimator: Any
    layout: Layout

    def __getattr__(self, name: str) -> Any:
        """Return what the estimator has by this name."""
        if name.startswith("__") or name in ("estimator", "layout"):  # a copy that is not yet filled
            raise AttributeError(name)
        found = getattr(self.estimator, name)
        return (lambda X: found(self.layout.frame(X))) if name in _OF_ROWS else found


@final
@dataclass(frozen=True)
class FrameTrainer(Trainer):
    """Fits a clone of a scikit-learn estimator to frames with the names and types of columns that it was given.

    Parameters
    ----------
    estimator : scikit-learn estimator
    layout : Layout

    Notes
    -----
    Costs one fit of the estimator, and a copy of the rows where types of columns differ from the array's.
    """

    estimator: Any
    layout: Layout

    @property
    def task(self) -> Task | None:
        """What the estimator says it is; None where it says nothing."""
        return EstimatorTrainer(self.estimator).task

    @property
    def provides(self) -> frozenset[str]:
        """What the methods of the unfitted estimator promise."""
        return EstimatorTrainer(self.estimator).provides

    def fit(self, problem: Problem, rng: np.random.Generator) -> FrameFinding:
        """Return a fitted clone."""
        return FrameFinding(fit_clone(self.estimator, self.layout.frame(problem.X), problem.labels, rng), self.layout)


def named_columns(X: Any) -> Layout | None:
    """Return the layout of a pandas frame whose columns are named by text; None for anything else."""
    if not hasattr(X, "iloc") or not hasattr(X, "columns") or not all(isinstance(name, str) for name in X.columns):
        return None
    return Layout(tuple(X.columns), tuple(str(dtype) for dtype in X.dtypes))
