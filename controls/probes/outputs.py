"""Reads what one finding predicts into an ``Output`` of one column, whoever made the finding."""

from __future__ import annotations

from typing import Any

import numpy as np

from controls.core.errors import InputError, TrainerError
from controls.core.trainer import Output, Task
from controls.core.validate import as_numpy
from controls.probes._calls import call, name_of

ABSENT = -1e300  # the score of a class that the finding never saw: under all others, and finite


def outputs(finding: Any, activations: np.ndarray, needs: str, classes: np.ndarray | None, task: Task) -> Output:
    """Return what a finding predicts for the rows of ``activations``, as a block of one column.

    Parameters
    ----------
    finding : object
        Has ``predict``, ``decision_function`` or ``predict_proba``, with ``classes_`` where it knows
        them; or is a callable ``X -> labels``.
    activations : array of shape (m, d)
        The rows to predict.
    needs : {"labels", "scores", "probabilities"}
        What is read. Scores are those of ``decision_function``, else come from probabilities.
    classes : array of shape (C,) or None
        The sorted labels that codes 0 … C−1 stand for; None for regression.
    task : {"classification", "regression"}
        What is predicted: classes or numbers.

    Returns
    -------
    Output
        Of one column (B = 1). A predicted label that is none of ``classes`` has code −1. A class
        that the finding never saw has probability 0, and a score under all others.

    Raises
    ------
    InputError
        The finding does not offer what is needed.
    TrainerError
        Predicting failed, or gave wrong shapes, NaN, or no label that is one of ``classes``.

    Notes
    -----
    Costs one prediction of m rows, and O(m C) memory.

    Examples
    --------
    >>> import numpy as np
    >>> says_b = lambda X: np.full(len(X), "b")
    >>> outputs(says_b, np.eye(2), "labels", np.array(["a", "b"]), "classification").labels.tolist()
    [[1], [1]]
    """
    m = activations.shape[0]
    if task == "regression":
        if needs != "labels":
            raise _lacks(finding, needs)
        return Output(labels=_numbers(_predict(finding, activations), finding, m)[:, None])
    if classes is None:
        raise InputError("classes must be given for classification, got None.")
    if needs == "labels":
        return Output(labels=_codes(_predict(finding, activations), finding, classes, m)[:, None])
    if needs == "scores" and hasattr(finding, "decision_function"):
        table = _table(finding, "decision_function", activations, classes)
        return Output(scores=_as_scores(table)[:, None])
    if not hasattr(finding, "predict_proba"):
        raise _lacks(finding, needs)
    table = _table(finding, "predict_proba", activations, classes)
    if needs == "probabilities":
        return Output(probabilities=table[:, None])
    return Output(scores=_ranking(table)[:, None])


def _lacks(finding: Any, needs: str) -> InputError:
    if needs == "probabilities":
        wanted, way = "probabilities (predict_proba)", "scoring='roc_auc'"
    else:
        wanted, way = "scores (decision_function or predict_proba)", "scoring='accuracy'"
    return InputError(
        f"scoring needs {wanted}, which the trainer's {name_of(finding)} has not; use a trainer that "
        f"gives them, or a metric that needs less, such as {way}."
    )


def _read(finding: Any, method: str, activations: np.ndarray) -> np.ndarray:
    what = f"{name_of(finding)}.{method}"
    function = finding if method == "__call__" else getattr(finding, method)
    return as_numpy(call(what, function, activations), f"the result of {what}")


def _predict(finding: Any, activations: np.ndarray) -> np.ndarray:
    if hasattr(finding, "predict"):
        return _read(finding, "predict", activations)
    if callable(finding):
        return _read(finding, "__call__", activations)
    raise TrainerError(f"the trainer must return something with predict, got {type(finding).__name__}.")


def _column(values: np.ndarray, finding: Any, m: int) -> np.ndarray:
    if values.shape not in ((m,), (m, 1)):
        raise TrainerError(f"{name_of(finding)} must predict one value per row, shape ({m},), got {values.shape}.")
    values = values.reshape(m)
    return np.asarray(values.tolist()) if values.dtype.kind == "O" else values


def _finite(values: np.ndarray, what: str) -> np.ndarray:
    if values.dtype.kind not in "fiub":
        raise TrainerError(f"{what} must give numbers, got dtype {values.dtype}.")
    bad = int((~np.isfinite(values)).sum())
    if bad:
        raise TrainerError(f"{what} must give finite numbers, got {bad} NaN or infinite of {values.size}.")
    return values


def _numbers(values: np.ndarray, finding: Any, m: int) -> np.ndarray:
    return _finite(_column(values, finding, m), name_of(finding)).astype(np.float64)


def _codes(values: np.ndarray, finding: Any, classes: np.ndarray, m: int) -> np.ndarray:
    column = _column(values, finding, m)
    if column.dtype.kind == "f":
        _finite(column, name_of(finding))
    codes = _positions(column, classes)
    if m and (codes < 0).all():
        raise TrainerError(
            f"{name_of(finding)} must predict labels such as {classes[0]}, got {column[0]} and "
            "nothing that is a label; return labels, not scores or codes of your own."
        )
    return codes


def _positions(values: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Return the place of each value in sorted ``classes``, −1 where it is not there."""
    if (values.dtype.kind == "U") != (classes.dtype.kind == "U"):
        return np.full(len(values), -1)
    place = np.minimum(np.searchsorted(classes, values), len(classes) - 1)
    return np.where(classes[place] == values, place, -1)


def _table(finding: Any, method: str, activations: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Return probabilities or scores as (m, C), in the order of ``classes``."""
    what = f"{name_of(finding)}.{method}"
    raw = _finite(_read(finding, method, activations), what)
    seen = _seen(finding, classes)
    m, k = activations.shape[0], len(seen)
    proba = method == "predict_proba"
    if raw.shape in ((m,), (m, 1)) and k == 2:  # of the second of two classes
        second = raw.reshape(m)
        raw = np.stack([1 - second if proba else -second, second], axis=1)
    if raw.shape == (m,) and k == 1:
        raw = raw[:, None]
    if raw.shape != (m, k):
        raise TrainerError(f"{what} must give one column per class, shape ({m}, {k}), got {raw.shape}.")
    if proba and (raw.min(initial=0) < 0 or raw.max(initial=0) > 1 + 1e-6):
        raise TrainerError(f"{what} must give probabilities, got values from {raw.min():g} to {raw.max():g}.")
    dtype = raw.dtype if raw.dtype.kind == "f" else np.float64
    table = np.full((m, len(classes)), 0.0 if proba else ABSENT, dtype=dtype if proba else np.float64)
    table[:, seen] = raw
    return table


def _seen(finding: Any, classes: np.ndarray) -> np.ndarray:
    """Return which classes the finding's columns stand for; all of them where it does not say."""
    known = getattr(finding, "classes_", None)
    if known is None:
        return np.arange(len(classes))
    known = as_numpy(known, "classes_").ravel()
    known = np.asarray(known.tolist()) if known.dtype.kind == "O" else known
    codes = _positions(known, classes)
    if (codes < 0).any():
        stray = known[codes < 0][0]
        raise TrainerError(f"{name_of(finding)}.classes_ must be labels such as {classes[0]}, got {stray}.")
    return codes


def _as_scores(table: np.ndarray) -> np.ndarray:
    """Return scores as (m,) for two classes, else (m, C)."""
    # Half the difference gives a score back that came as −score and score.
    return (table[:, 1] - table[:, 0]) / 2 if table.shape[1] == 2 else table


def _ranking(table: np.ndarray) -> np.ndarray:
    """Return scores that rank rows as probabilities do: log-odds for two classes, so that 0 is the middle."""
    if table.shape[1] != 2:
        return table
    from scipy.special import logit

    second = np.clip(table[:, 1].astype(np.float64), 0, 1)
    return np.nan_to_num(logit(second), posinf=-ABSENT, neginf=ABSENT)
