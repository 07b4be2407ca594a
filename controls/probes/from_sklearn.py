"""A scikit-learn estimator, or a pipeline of them, as a trainer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np

from controls.core.problem import Problem
from controls.core.trainer import Task, Trainer
from controls.probes._calls import call, name_of

_SEEDS = 2**31 - 1


@final
@dataclass(frozen=True)
class EstimatorTrainer(Trainer):
    """Fits a clone of a scikit-learn estimator to activations and labels.

    Every ``random_state`` that is None is seeded from the study, those of nested estimators and of
    cross-validation splitters too; one that was given stays, so that all fits share it.

    Parameters
    ----------
    estimator : scikit-learn estimator
        Has ``fit``, ``get_params`` and ``set_params``. It is never fitted itself.

    Raises
    ------
    TrainerError
        From ``fit``, where the estimator's own ``fit`` fails.

    Notes
    -----
    Costs what one fit of the estimator costs.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.tree import DecisionTreeClassifier
    >>> from controls.core.problem import Problem
    >>> from controls.core.rng import stream
    >>> trainer = EstimatorTrainer(DecisionTreeClassifier())
    >>> trainer.task, sorted(trainer.provides)
    ('classification', ['labels', 'probabilities', 'scores'])
    >>> trainer.fit(Problem(np.eye(2), ["a", "b"]), stream(0)).predict(np.eye(2)).tolist()
    ['a', 'b']
    """

    estimator: Any

    @property
    def task(self) -> Task | None:
        """What the estimator says it is; None where it says nothing."""
        kind = _kind(self.estimator)
        if kind == "classifier":
            return "classification"
        return "regression" if kind == "regressor" else None

    @property
    def provides(self) -> frozenset[str]:
        """What the methods of the unfitted estimator promise; probabilities give scores too."""
        found = {"labels"} if hasattr(self.estimator, "predict") else set()
        if self.task == "regression":
            return frozenset(found)
        if hasattr(self.estimator, "decision_function"):
            found |= {"scores"}
        if hasattr(self.estimator, "predict_proba"):
            found |= {"scores", "probabilities"}
        return frozenset(found)

    def fit(self, problem: Problem, rng: np.random.Generator) -> Any:
        """Return a fitted clone; without labels it is fitted to the activations alone."""
        return fit_clone(self.estimator, problem.X, problem.labels, rng)


def fit_clone(estimator: Any, X: Any, y: Any, rng: np.random.Generator) -> Any:
    """Return a clone of the estimator, seeded by ``rng`` where it has no seed, and fitted."""
    from sklearn.base import clone

    fresh: Any = clone(estimator)
    _seed(fresh, rng)
    return call(f"{name_of(fresh)}.fit", fresh.fit, *((X,) if y is None else (X, y)))


def fixed_seed(estimator: Any) -> str | None:
    """Return the name of a parameter that fixes the estimator's random numbers; None where some are left free."""
    given = estimator.get_params(deep=True)
    seeds = {name: value for name, value in given.items() if name.split("__")[-1] == "random_state"}
    free = any(value is None for value in seeds.values())
    splitters = any(hasattr(v, "split") and getattr(v, "random_state", 0) is None for v in given.values())
    return None if free or splitters else next(iter(sorted(seeds)), None)


def _kind(estimator: Any) -> str | None:
    from sklearn.utils import get_tags

    try:
        return get_tags(estimator).estimator_type
    except AttributeError:  # not derived from BaseEstimator
        return getattr(estimator, "_estimator_type", None)


def _seed(estimator: Any, rng: np.random.Generator) -> None:
    """Seed whatever has no seed, in the order of names, so that the same stream gives the same fit."""
    parameters = estimator.get_params(deep=True)
    for name in sorted(parameters):
        value = parameters[name]
        if name.split("__")[-1] == "random_state":
            if value is None:
                estimator.set_params(**{name: int(rng.integers(_SEEDS))})
        elif hasattr(value, "split") and getattr(value, "random_state", 0) is None:
            value.random_state = int(rng.integers(_SEEDS))  # a splitter: the clone has its own copy of it
