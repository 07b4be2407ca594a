"""controlled: a decorator that gives a training function its controls, and leaves its calls as they are."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, ParamSpec, Protocol, TypeVar, final, overload

from controls.core.errors import InputError, InputTypeError, unknown_name
from controls.core.problem import Problem
from controls.core.result import Result
from controls.core.study import Study
from controls.experiment import measure
from controls.generators.labels import ShuffleLabels
from controls.wrap.problems import as_problem, default_controls, require_difference

P = ParamSpec("P")
R = TypeVar("R", covariant=True)
_SETTINGS = frozenset(inspect.signature(measure).parameters) - {"trainer", "problem"}
_ANY = inspect.Parameter.VAR_KEYWORD


@final
@dataclass(frozen=True)
class Measure:
    """Puts a training function beside its controls; what a decorated function has as ``measure``.

    Parameters
    ----------
    function : callable ``function(X, y, ...)``
        The function that was decorated.
    settings : mapping
        What the decorator was given.
    predict : callable ``predict(found, X) -> labels``, optional
        How to read what the function returns.
    """

    function: Callable[..., Any]
    settings: Mapping[str, Any]
    predict: Callable[..., Any] | None = None

    def __call__(self, X: Any, y: Any = None, *, groups: Any = None, unit: str | None = None, **more: Any) -> Result:
        """Return how much of the score survives the controls.

        Parameters
        ----------
        X : array-like of shape (n, d), or Problem
            Activations; a Problem brings labels, groups and unit with it.
        y : array-like of shape (n,), optional
            Labels.
        groups : array-like of shape (n,), mapping of names to such columns, or data frame, optional
            A single column is the unit; it goes by the name ``unit``, or "groups" where that is None.
        unit : str, optional
            The name of the group whose members are independent of one another. Rows where None.
        **more
            Parameters of the function, as in a call of it; every other name is a setting of
            :func:`controls.measure`, and goes before what the decorator was given.

        Returns
        -------
        Result
        """
        parameters, changes = self._sorted(more)
        if not isinstance(X, Problem):
            problem = as_problem(X, y, groups, unit)
        elif y is None and groups is None and unit is None:
            problem = X
        else:
            raise InputError("a Problem has labels, groups and unit of its own, got more of them; give it alone.")
        require_difference(problem)
        settings = {"title": self.function.__name__, **self.settings, **changes}
        if settings.get("controls") is None:
            settings["controls"] = default_controls(problem)
        return measure(self._trainer(parameters), problem, **settings)

    def _sorted(self, more: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return which of the names are parameters of the function, and which are settings."""
        taken = inspect.signature(self.function).parameters
        takes_any = any(parameter.kind is _ANY for parameter in taken.values())
        parameters, changes = {}, {}
        for name, value in more.items():
            if name in taken or (takes_any and name not in _SETTINGS):
                parameters[name] = value
            elif name in _SETTINGS:
                changes[name] = value
            else:
                raise unknown_name("argument", name, {*list(taken)[2:], *_SETTINGS})
        return parameters, changes

    def _trainer(self, parameters: dict[str, Any]) -> Callable[..., Any]:
        """Return the function with its parameters bound, by a name that tells them."""
        if self.predict is None and not parameters:
            return self.function
        bound = functools.partial(self.function, **parameters)
        signature = inspect.signature(bound)
        if self.predict is not None:
            bound = functools.partial(_fit_to_predict, self.function, self.predict, **parameters)
        shown = ", ".join(f"{name}={value!r}" for name, value in parameters.items())
        vars(bound).update(
            __name__=self.function.__name__,
            __qualname__=f"{self.function.__qualname__}({shown})" if shown else self.function.__qualname__,
            __signature__=signature,  # by which it is asked whether it takes an rng
        )
        return bound


class ControlledFunction(Protocol[P, R]):
    """A training function that is called as before, and has ``measure``."""

    measure: Measure
    __wrapped__: Callable[..., Any]

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function that was decorated."""
        ...


@overload
def controlled(function: Callable[P, R], /) -> ControlledFunction[P, R]: ...
@overload
def controlled(
    *, predict: Callable[..., Any] | None = None, **settings: Any
) -> Callable[[Callable[P, R]], ControlledFunction[P, R]]: ...
def controlled(function: Any = None, /, *, predict: Any = None, **settings: Any) -> Any:
    """Give a training function its controls: calls stay as they are, and ``function.measure(X, y)`` runs them.

    Parameters
    ----------
    function : callable ``function(X, y, ...)``
        Returns an object with ``predict`` (and ``decision_function`` or ``predict_proba``, where the
        scoring needs them) or a callable ``X -> labels``; anything else with ``predict=``. Where it
        has a parameter ``rng``, ``measure`` gives it a ``numpy.random.Generator`` by that name.
    predict : callable ``predict(found, X) -> labels``, optional
        How to read what the function returns, where that cannot predict by itself, such as a
        direction or a torch module. Calls of the function do not use it.
    **settings
        Of :func:`controls.measure`: ``controls``, ``scoring``, ``cv``, ``draws``, ``alpha``,
        ``smallest_effect``, ``seed`` and the others. Without ``controls`` the battery is that of
        :class:`controls.Controlled`.

    Returns
    -------
    ControlledFunction
        A function with the name, docstring and signature of the one given, which is its
        ``__wrapped__`` and stays as it was. Its ``measure`` is a :class:`controls.wrap.function.Measure`.

    Raises
    ------
    InputError
        A setting that there is not, or of a wrong value; when the function is decorated.

    Notes
    -----
    A call costs what the function costs. ``measure`` calls it folds × (1 + draws × controls) times.
    What the function takes by name goes to it, also where a setting has the same name: a function
    with a parameter ``seed`` gets it in ``measure(X, y, seed=1)``, and the study's seed is given to the decorator.

    Examples
    --------
    >>> import numpy as np, controls as ct
    >>> @ct.controlled(predict=lambda direction, X: X @ direction > 0, draws=99)
    ... def mean_difference(X, y):
    ...     return X[y].mean(axis=0) - X[~y].mean(axis=0)
    >>> y = np.arange(80) < 40
    >>> X = np.random.default_rng(0).normal(size=(80, 3)) + np.where(y, 1, -1)[:, None]
    >>> mean_difference(X, y).shape
    (3,)
    >>> str(mean_difference.measure(X, y).verdict)
    'HOLDS'
    """
    if function is None:
        return functools.partial(_decorated, predict=predict, settings=settings)
    return _decorated(function, predict=predict, settings=settings)


def _decorated(function: Any, *, predict: Any, settings: dict[str, Any]) -> Any:
    if not callable(function) or isinstance(function, type) or not hasattr(function, "__qualname__"):
        raise InputTypeError(
            f"controlled decorates functions (X, y, ...), got {function!r}; use ct.Controlled for estimators."
        )
    if predict is not None and not callable(predict):
        raise InputTypeError(f"predict must be a function (found, X) -> labels, or None, got {predict!r}.")
    for name in settings:
        if name not in _SETTINGS:
            raise unknown_name("setting", name, _SETTINGS)
    settings = settings | _checked(function, settings)

    @functools.wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    called.measure = Measure(function, settings, predict)  # type: ignore[attr-defined]
    return called


def _checked(function: Any, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that a study has, as it has them: checked, and iterators read."""
    given = {item.name: settings[item.name] for item in fields(Study) if item.name in settings}
    if given.get("controls") is None:
        given["controls"] = (ShuffleLabels(),)
    study = Study(trainer=function, **given)
    return {name: getattr(study, name) for name in given if settings.get(name) is not None}


def _fit_to_predict(function: Any, predict: Any, /, X: Any, y: Any, **parameters: Any) -> Any:
    """Return what predicts by what the function found."""
    finding = functools.partial(predict, function(X, y, **parameters))
    vars(finding).update(__name__=f"predict of {function.__name__}")
    return finding
