"""From what ``trainer=`` was given to a trainer."""

from __future__ import annotations

from typing import Any

from controls.core.errors import InputTypeError
from controls.core.trainer import Trainer
from controls.probes.from_function import FunctionTrainer
from controls.probes.from_sklearn import EstimatorTrainer

_ALLOWED = "a Trainer, a scikit-learn estimator, or a function fit(X, y) -> predictor"


def as_trainer(value: Any, *, predicts: bool = True) -> Trainer:
    """Return the trainer that an object stands for.

    Parameters
    ----------
    value : Trainer, scikit-learn estimator, or callable ``fit(X, y) -> predictor``
        A trainer is returned as it is; the others are wrapped.
    predicts : bool
        Whether a function must return what predicts, rather than any finding.

    Returns
    -------
    Trainer

    Raises
    ------
    InputTypeError
        A class instead of an instance, or anything else.

    Examples
    --------
    >>> from sklearn.linear_model import Ridge
    >>> as_trainer(Ridge())
    EstimatorTrainer(estimator=Ridge())
    """
    if isinstance(value, type):
        name = value.__name__
        raise InputTypeError(f"trainer must be {_ALLOWED}, got the class {name}; write {name}().")
    if isinstance(value, Trainer):
        return value
    if hasattr(value, "fit") and hasattr(value, "get_params"):
        return EstimatorTrainer(value)
    if callable(value):
        return FunctionTrainer(value, predicts)
    raise InputTypeError(f"trainer must be {_ALLOWED}, got {type(value).__name__}.")
