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

_SEEDS = ("seed", "random_state")
_BY_POSITION = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


@final
@dataclass(frozen=True)
class FunctionTrainer(Trainer):
    """Calls ``function(X, y)``, or ``function(X)``, which returns a predictor, or whatever the scoring reads.

    Parameters
    ----------
    function : callable
        ``function(X, y)`` with X (n, d) and y (n,), both read-only; X is CSR where activations are
        sparse, and y (n, k) where there are k label columns and ``scoring`` is a function. One that
        takes no second argument, or only the randomness below, gets no labels. Where it has a parameter named
        ``rng`` it gets a ``numpy.random.Generator`` by that name; where ``seed`` or ``random_state`` has no
        default, a whole number. Draw all randomness from it. It returns an object with ``predict`` (and
        ``predict_proba`` or ``decision_function`` where it has them), or a callable ``X -> predicted labels
        or numbers``.
    predicts : bool
        Whether what it returns must predict. Where ``scoring`` is a function of the finding, anything will do.

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
    predicts: bool = True

    def fit(self, problem: Problem, rng: np.random.Generator) -> Any:
        """Return what the function makes."""
        name, takes = name_of(self.function), _Takes.of(self.function)
        labels = (problem.labels,) if takes.labels else ()
        finding = call(name, self.function, problem.X, *labels, **takes.randomness(rng))
        if self.predicts and not hasattr(finding, "predict") and not callable(finding):
            raise TrainerError(
                f"{name} must return an object with predict, or a callable X -> labels, got {type(finding).__name__}."
            )
        return finding


@dataclass(frozen=True)
class _Takes:
    """What a function takes beside activations."""

    labels: bool
    rng: bool
    seed: str | None  # the name of a whole number that it wants

    @classmethod
    def of(cls, function: Callable[..., Any]) -> _Takes:
        """Read it from the function's signature."""
        try:
            parameters = inspect.signature(function).parameters
        except (TypeError, ValueError):  # some builtins have no signature
            return cls(True, False, None)
        seeds = [name for name in _SEEDS if name in parameters and parameters[name].default is inspect.Parameter.empty]
        second = [name for name, parameter in parameters.items() if parameter.kind in _BY_POSITION][1:2]
        many = any(parameter.kind is inspect.Parameter.VAR_POSITIONAL for parameter in parameters.values())
        labels = many if not second else second[0] not in ("rng", *seeds)
        return cls(labels, "rng" in parameters, seeds[0] if seeds else None)

    def randomness(self, rng: np.random.Generator) -> dict[str, Any]:
        """Return the randomness that it takes, by name."""
        given: dict[str, Any] = {"rng": rng} if self.rng else {}
        return given if self.seed is None else {**given, self.seed: int(rng.integers(2**31))}
