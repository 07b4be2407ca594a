"""compare_models: two groups of models by one number each, the unit of replication being the model."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from controls.core.errors import InputError, InputTypeError
from controls.core.model_comparison import ModelComparison
from controls.core.result import Result
from controls.core.rng import stream
from controls.core.validate import one_of, plain_text, real_number, whole_number
from controls.stats.differences import rank
from controls.stats.interval import bounds
from controls.stats.two_sample import judge_models, welch
from controls.stats.verdict import Evidence


def compare_models(
    first: Iterable[Any],
    second: Iterable[Any],
    *,
    of: str = "selectivity",
    names: tuple[str, str] = ("trained", "redrawn"),
    alpha: float = 0.05,
    smallest_effect: float = 0.0,
    seed: int = 0,
) -> ModelComparison:
    """Compare two groups of models by one number each: the unit of replication is the model.

    Parameters
    ----------
    first, second : sequence of Result, or of numbers
        A result of :func:`measure` for each model (several trained seeds, several redraws or step-0
        checkpoints), or what was measured of each.
    of : {"selectivity", "score"}, default "selectivity"
        What is taken of results: the smallest selectivity over their controls, or the score.
    names : (str, str), default ("trained", "redrawn")
        What the groups are called.
    alpha, smallest_effect, seed
        As in :func:`measure`.

    Returns
    -------
    ModelComparison
        The difference of the means with an interval over models (Welch), and the p of an exact permutation
        test with its floor, 1 / C(I + J, I): all relabelings of models up to 20,000, else 9,999 drawn ones.
        Of one model in the first group, p is its rank. Prints as a table.

    Raises
    ------
    InputError
        An empty group, numbers that are not finite, results of different metrics or batteries.

    Notes
    -----
    Null hypothesis: all models are exchangeable, as where training changes nothing of the law of what is measured.
    Models that were measured on the same rows err together over rows, which this interval does not see:
    it speaks of further models on these rows. :func:`difference_in_differences` sees both.

    O(I · relabelings) time.

    Examples
    --------
    >>> import controls as ct
    >>> found = ct.compare_models([0.31, 0.28, 0.33], [0.20, 0.22, 0.19, 0.25])
    >>> round(found.estimate.value, 3), found.p_value, found.relabelings
    (0.092, 0.02857142857142857, 35)
    """
    one_of(of, "of", ("selectivity", "score"))
    whole_number(seed, "seed", low=0)
    real_number(alpha, "alpha", low=0.0, high=0.5)
    real_number(smallest_effect, "smallest_effect", low=0.0, high=1e300, open_ends=False)
    pair = _two_names(names)
    groups = [_values(models, name, of) for models, name in zip((first, second), ("first", "second"), strict=True)]
    words = {what for _, what in groups}
    if len(words) > 1:
        raise InputError(f"first and second must be measured alike, got {' and '.join(sorted(words))}.")
    one, other = (found for found, _ in groups)
    found = welch(one, other)
    p = rank(one, other, stream(seed, "rank of models"))
    reach = bounds(found, alpha)
    sizes = len(one), len(other)
    evidence = Evidence(
        found, reach, p.upper, p.lower, p.floor, sum(sizes), None, min(sizes) > 1,
        score=f"the mean of {pair[0]} models", control=f"that of {pair[1]} ones", unit="models",
    )  # fmt: skip
    verdict, reason = judge_models(evidence, sizes, pair, alpha, smallest_effect)
    return ModelComparison(
        of=words.pop(),
        names=pair,
        values=dict(zip(pair, (one, other), strict=True)),
        estimate=found,
        bounds=reach,
        p_value=p.upper,
        p_lower=p.lower,
        p_floor=p.floor,
        p_interval=p.interval,
        relabelings=math.comb(len(one) + len(other), len(one)),
        verdict=verdict,
        reason=reason,
        alpha=alpha,
        smallest_effect=smallest_effect,
    )


def _two_names(names: Any) -> tuple[str, str]:
    pair = tuple(names) if isinstance(names, Iterable) else ()
    if len(pair) != 2 or pair[0] == pair[1]:
        raise InputError(f"names must be two different names, got {names!r}.")
    return plain_text(pair[0], "names"), plain_text(pair[1], "names")


def _values(models: Any, name: str, of: str) -> tuple[np.ndarray, str]:
    """Return one number per model, and what it is."""
    if isinstance(models, (str, bytes, Result)) or not isinstance(models, Iterable):
        raise InputTypeError(f"{name} must be a sequence of results or numbers, got {type(models).__name__}.")
    listed = list(models)
    if not listed:
        raise InputError(f"{name} must hold at least one model, got none.")
    if all(isinstance(model, Result) for model in listed):
        kinds = {(model.metric, *model) for model in listed}
        if len(kinds) > 1:
            raise InputError(f"{name} must hold results of one metric and battery, got {len(kinds)} kinds.")
        words = of if of == "score" else f"selectivity against {', '.join(listed[0])}"
        values = np.array([getattr(model, of) for model in listed], dtype=np.float64)
        return _finite(values, name), f"{words} ({listed[0].metric})"
    try:
        values = np.array([float(model) for model in listed])
    except (TypeError, ValueError):
        kinds = ", ".join(sorted({type(model).__name__ for model in listed}))
        raise InputTypeError(f"{name} must hold results of ct.measure, or numbers, got {kinds}.") from None
    return _finite(values, name), "a number of each model"


def _finite(values: np.ndarray, name: str) -> np.ndarray:
    if not np.isfinite(values).all():
        raise InputError(f"{name} must hold finite numbers, got {int((~np.isfinite(values)).sum())} that are not.")
    return values
