"""From what ``scoring=`` was given to a metric."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from controls.core.errors import InputError, InputTypeError, NameNotFound, unknown_name
from controls.core.metric import ColumnMetric, FindingMetric, Metric
from controls.core.trainer import Task
from controls.metrics.classification import Accuracy, BalancedAccuracy, NegLogLoss, RocAuc, RocAucOvr
from controls.metrics.codelength import NegCodelength
from controls.metrics.correlation import PearsonR
from controls.metrics.precision import F1, AveragePrecision, F1Macro
from controls.metrics.regression import R2, NegMeanSquaredError

BUILT_IN: dict[str, ColumnMetric] = {
    metric.name: metric
    for metric in (
        Accuracy(),
        BalancedAccuracy(),
        RocAuc(),
        RocAucOvr(),
        NegLogLoss(),
        NegCodelength(),
        AveragePrecision(),
        F1(),
        F1Macro(),
        R2(),
        NegMeanSquaredError(),
        PearsonR(),
    )
}
_SHORT = {  # what people call it: the name that it has
    "auc": "roc_auc",
    "auroc": "roc_auc",
    "ap": "average_precision",
    "auprc": "average_precision",
    "pearson": "pearsonr",
    "correlation": "pearsonr",
    "cross_entropy": "neg_log_loss",
    "mdl": "neg_codelength",
    "description_length": "neg_codelength",
    "mse": "neg_mean_squared_error",
    "rmse": "neg_root_mean_squared_error",
    "mae": "neg_mean_absolute_error",
    "brier": "neg_brier_score",
    "brier_score_loss": "neg_brier_score",
}
_DEFAULT: dict[str, Metric] = {"classification": Accuracy(), "regression": R2()}
_WANTS = {
    "labels": "predicted labels (predict)",
    "scores": "scores (decision_function or predict_proba)",
    "probabilities": "probabilities (predict_proba)",
}


def resolve(scoring: Any, task: Task | None, *, provides: frozenset[str] | None = None) -> Metric:
    """Return the metric that ``scoring`` stands for.

    Parameters
    ----------
    scoring : None, str, Metric, scikit-learn scorer, or callable ``scoring(finding, problem)``
        None is accuracy for classes and R² for numbers. A str is one of our names (they score many
        columns at once and know their values without each unit), else any name that
        ``sklearn.metrics.get_scorer_names()`` has. A callable returns a number, or one per row.
    task : {"classification", "regression"} or None
        What kind of labels there are; None where that is not known yet (then it is not checked).
    provides : frozenset of str, optional
        What the trainer's findings predict, where known: ``Trainer.provides``.

    Returns
    -------
    Metric

    Raises
    ------
    NameNotFound
        A name that neither we nor scikit-learn have.
    InputTypeError
        Anything else than the above.
    InputError
        A metric for the other task, or one that reads what the trainer does not provide.

    Examples
    --------
    >>> resolve(None, "classification").name, resolve("f1", "classification").name
    ('accuracy', 'f1')
    """
    metric = _metric(scoring, task)
    if task is not None and metric.task not in (None, task):
        raise InputError(
            f"scoring={metric.name!r} is for {metric.task}, but these labels make a {task}; "
            f"use scoring={_DEFAULT[task].name!r}, or give labels of the other kind."
        )
    if provides is None or not isinstance(metric, ColumnMetric):
        return metric
    return _reading(metric, provides)


def loss(function: Callable[..., Any]) -> FindingMetric:
    """Return the metric of a loss ``function(finding, problem)``: lower is better, so its sign is turned.

    Parameters
    ----------
    function : callable
        Returns a number, or one per row.

    Returns
    -------
    FindingMetric
        Named ``neg_`` and the function's name.

    Raises
    ------
    InputTypeError
        Where ``function`` cannot be called.

    Examples
    --------
    >>> def error(finding, problem):
    ...     return 0.25
    >>> loss(error).name, float(loss(error)(None, None))
    ('neg_error', -0.25)
    """
    if not callable(function):
        raise InputTypeError(f"loss takes a function (finding, problem) -> float, got {type(function).__name__}.")
    return FindingMetric(function, _name_of(function), sign=-1.0)


def _metric(scoring: Any, task: Task | None) -> Metric:
    if scoring is None:
        return _DEFAULT[task or "classification"]
    if isinstance(scoring, str):
        return _named(scoring)
    if isinstance(scoring, Metric):
        return scoring
    if isinstance(scoring, type):
        raise InputTypeError(f"scoring must be a metric, got the class {scoring.__name__}; write {scoring.__name__}().")
    if not callable(scoring):
        raise InputTypeError(
            "scoring must be None, a name such as 'roc_auc', a Metric or a function (finding, problem) -> "
            f"float, got {type(scoring).__name__}."
        )
    return _called(scoring)


def _named(name: str) -> Metric:
    if name in BUILT_IN:
        return BUILT_IN[name]
    from sklearn.metrics import get_scorer, get_scorer_names

    from controls.metrics._sklearn import ScorerMetric

    known = get_scorer_names()
    if name in known:
        return ScorerMetric(name, get_scorer(name))
    raise _unknown(name, {*BUILT_IN, *known})


def _unknown(name: str, known: set[str]) -> NameNotFound:
    meant = _SHORT.get(name, f"neg_{name}")
    advice = ""
    if meant in known:
        why = ", since higher is better" if meant.startswith("neg_") else ""
        advice = f"Write scoring={meant!r}{why}."
    return unknown_name("scoring", name, known, advice=advice)


def _called(function: Callable[..., Any]) -> Metric:
    from controls.metrics._sklearn import ScorerMetric, is_scorer

    if is_scorer(function):
        return ScorerMetric(_name_of(function._score_func), function)  # type: ignore[attr-defined]
    if (getattr(function, "__module__", None) or "").startswith("sklearn.metrics"):
        name = _name_of(function)
        raise InputError(
            f"scoring must be a function (finding, problem) -> float, got {name}, which takes "
            f"(y_true, y_pred); pass its name as a scorer, or sklearn.metrics.make_scorer({name})."
        )
    return FindingMetric(function, _name_of(function))


def _name_of(function: Any) -> str:
    while isinstance(function, functools.partial):
        function = function.func
    name = getattr(function, "__name__", type(function).__name__)
    return "function" if name == "<lambda>" else name


def _reading(metric: ColumnMetric, provides: frozenset[str]) -> ColumnMetric:
    """Return the metric as far as the trainer provides what it reads."""
    if isinstance(metric, RocAucOvr) and "probabilities" not in provides:
        metric = replace(metric, needs="scores")
    # Probabilities rank rows too.
    if metric.needs in provides or (metric.needs == "scores" and "probabilities" in provides):
        return metric
    predicts = f"predicts {', '.join(sorted(provides))} only" if provides else "predicts nothing"
    instead = "scoring='accuracy'" if "labels" in provides else "a scoring function (finding, problem) -> float"
    raise InputError(
        f"scoring={metric.name!r} needs {_WANTS[metric.needs]}, but the trainer {predicts}; "
        f"choose another trainer, or {instead}."
    )
