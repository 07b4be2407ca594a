"""A plain function as a trainer."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from controls.core.errors import TrainerError
from controls.core.problem import Problem
from controls.core.trainer import Trainer
from controls.probes._calls import call, name_of


@final
@dataclass(frozen=True)
class FunctionTrainer(Trainer):
    """Calls ``function(X, y)``, which returns a predictor.

    Parameters
    ----------
    function : callable
        ``function(X, y)`` with X (n, d) and y (n,), both read-only; X is CSR where activations are
        sparse, and y (n, k) where there are k label columns and ``scoring`` is a function. Where it
        has a parameter named ``rng`` it gets a ``numpy.random.Generator`` by that name; draw all
        randomness from it. It returns an object with ``predict`` (and ``predict_proba`` or
        ``decision_function`` where it has them), or a callable ``X -> predicted labels or numbers``.

    Raises
    ------
    TrainerError
        From ``fit``, where the function fails or returns something that cannot predict.

    Notes
    -----
    Costs what one call of the function costs.

    Examples
    --------
    >>> import numpy as np
    >>> from controls.core.problem import Problem
    >>> from controls.core.rng import stream
    >>> def by_sign(X, y):
    ...     return lambda new: (new[:, 0] > 0).astype(int)
    >>> probe = FunctionTrainer(by_sign).fit(Problem([[-1.0], [1.0]], [0, 1]), stream(0))
    >>> probe(np.array([[2.0]])).tolist()
    [1]
    """

    function: Callable[..., Any]

    def fit(self, problem: Problem, rng: np.random.Generator) -> Any:
        """Return the predictor that the function makes."""
        name = name_of(self.function)
        extra = {"rng": rng} if _takes_rng(self.function) else {}
        predictor = call(name, self.function, problem.X, problem.labels, **extra)
        if not hasattr(predictor, "predict") and not callable(predictor):
            raise TrainerError(
                f"{name} must return an object with predict, or a callable X -> labels, got {type(predictor).__name__}."
            )
        return predictor


def _takes_rng(function: Callable[..., Any]) -> bool:
    try:
        return "rng" in inspect.signature(function).parameters
    except (TypeError, ValueError):  # some builtins have no signature
        return False
