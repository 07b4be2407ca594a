"""Scores of cells side by side: differences with intervals over models, and exact tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy import stats

import controls as ct
from case_studies.sae_on_random_models.plan import MODELS, REAL, SCORES, TEXTS, TRAINED, Plan

Cells = Sequence[dict[str, Any]]
ENTROPIES = ("entropy", "excess", "share")


def values(cells: Cells, score: str, **where: Any) -> np.ndarray:
    """Return a score of the cells that are so, in the order of their seeds."""
    chosen = [cell for cell in cells if all(cell[name] == wanted for name, wanted in where.items())]
    return np.array([cell[score] for cell in sorted(chosen, key=lambda cell: cell["seed"])])


def comparisons(cells: Cells, plan: Plan) -> list[dict[str, Any]]:
    """Compare the trained models on real text with every other cell, layer by layer, model by model.

    The same models on other texts are paired with themselves, all others are another sample.
    """
    found = []
    for score in SCORES:
        for layer in plan.layers:
            own = values(cells, score, model=TRAINED, text=REAL, layer=layer)
            for model, text in ((m, t) for m in MODELS for t in TEXTS if (m, t) != (TRAINED, REAL)):
                other = values(cells, score, model=model, text=text, layer=layer)
                compared = paired(own - other) if model == TRAINED else unpaired(own, other)
                found.append({"score": score, "layer": layer, "model": model, "text": text, **compared})
    return found


def slopes(cells: Cells, plan: Plan) -> list[dict[str, Any]]:
    """Return by how much token entropy, by each of its scales, rises from the first layer to the last."""

    def rise(score: str, model: str) -> np.ndarray:
        ends = (values(cells, score, model=model, text=REAL, layer=plan.layers[place]) for place in (0, -1))
        start, end = ends
        return end - start

    return [record for score in ENTROPIES for record in _by_model(score, rise)]


def orders(cells: Cells, plan: Plan) -> list[dict[str, Any]]:
    """Return by how much scores at the last layer change where tokens are put in another order, real minus shuffled."""

    def change(score: str, model: str) -> np.ndarray:
        of = {text: values(cells, score, model=model, text=text, layer=plan.layers[-1]) for text in (REAL, "shuffled")}
        return of[REAL] - of["shuffled"]

    return [record for score in ("explained", *ENTROPIES) for record in _by_model(score, change)]


def _by_model(score: str, of: Callable[[str, str], np.ndarray]) -> list[dict[str, Any]]:
    """Return a change within each model, and the trained models' beside that of each other kind."""
    found = []
    for model in MODELS:
        record = {"score": score, "model": model, "change": paired(of(score, model))}
        if model != TRAINED:
            record["beside"] = unpaired(of(score, TRAINED), of(score, model))
        found.append(record)
    return found


def unpaired(own: np.ndarray, other: np.ndarray) -> dict[str, float]:
    """Compare two samples of models: Welch's interval, and p over all ways of telling them apart, two-sided."""
    result = ct.compare_models(own, other, names=("own", "other"))
    p = min(1.0, 2 * min(result.p_value, result.p_lower))
    return _rounded(result.estimate.value, result.estimate.low, result.estimate.high, p)


def paired(changes: np.ndarray) -> dict[str, float]:
    """Compare models with themselves: the t interval of their changes, and p over all signs, two-sided."""
    ends = stats.ttest_1samp(changes, 0.0).confidence_interval(0.95)
    exact = 2 ** len(changes)  # with room for all of them, scipy enumerates
    test = stats.permutation_test((changes,), np.mean, permutation_type="samples", n_resamples=exact)
    return _rounded(changes.mean(), ends.low, ends.high, test.pvalue)


def _rounded(value: Any, low: Any, high: Any, p: Any) -> dict[str, float]:
    found = {"value": value, "low": low, "high": high, "p": p}
    return {name: round(float(each), 4) for name, each in found.items()}
