"""Difference in differences: what its parts are, how much each varies, and where the trained models rank."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations, islice

import numpy as np

from controls.core.result import Component, Estimate
from controls.stats.interval import estimate, least_error
from controls.stats.pvalue import PValues, clopper_pearson

MOST_RELABELINGS = 20_000  # of trained and redrawn models, up to which all are made
_DRAWN = 9_999
_AT_ONCE = 4096


@dataclass(frozen=True, eq=False)
class Scores:
    """What M models scored on one problem, with the same L drawn labels for all, and G units."""

    own: np.ndarray  # (M,) on the observed labels
    drawn: np.ndarray  # (M, L) on the label control's draws
    deviations: np.ndarray  # (M, G) of own, by unit
    control_deviations: np.ndarray  # (M, G) of the mean over draws

    @property
    def selectivities(self) -> np.ndarray:
        """Each model's score less its mean over drawn labels, shape (M,)."""
        return self.own - self.drawn.mean(axis=1)

    @property
    def contrast_deviations(self) -> np.ndarray:
        """What each unit does to the mean selectivity of the models, shape (G,)."""
        return (self.deviations - self.control_deviations).mean(axis=0)


@dataclass(frozen=True)
class Design:
    """What of the design the variance depends on."""

    df: float  # of the variance over units
    n_units: int
    exact: bool  # whether drawn labels are exchangeable with those observed under their null
    enumerated: bool  # whether all relabelings were drawn


def difference(
    trained: Scores, redrawn: Scores, design: Design, seeds: np.ndarray | None = None
) -> tuple[Estimate, tuple[Component, ...]]:
    """Return the difference in differences with its interval, and what its variance is made of.

    Parameters
    ----------
    trained, redrawn : Scores
        Of one trained model or several, and of redrawn ones.
    design : Design
    seeds : array of shape (S,), optional
        The difference for each of several seeds of the trainer; scores are then means over them.

    Returns
    -------
    estimate : Estimate
        The trained models' mean selectivity less that of redrawn ones. Its variance is the sum of: over units
        (those of the whole contrast, since all models score the same ones), over redrawn models, over trained
        ones where there are several, over drawn labels (which all models share), over seeds of the trainer, and,
        beside an exact label control, what drawn labels vary beyond their units, since folds share training units.
    components : tuple of Component
        Each of these, and its share.
    """
    value = float(trained.selectivities.mean() - redrawn.selectivities.mean())
    units = trained.contrast_deviations - redrawn.contrast_deviations
    over_units = max(float(np.square(units).sum()), least_error(value, design.n_units) ** 2)
    parts = [Component("units", design.n_units, over_units, design.df)]
    parts += _over_models("redrawn models", redrawn.selectivities)
    parts += _over_models("trained models", trained.selectivities)
    parts += _over_labels(trained, redrawn, design)
    if seeds is not None and len(seeds) > 1:
        parts.append(Component("trainer seeds", len(seeds), float(seeds.var(ddof=1)) / len(seeds), len(seeds) - 1.0))
    beyond = parts[1:]
    further = sum(part.variance for part in beyond)
    freedom = sum(part.variance**2 / max(part.df, 1.0) for part in beyond)
    found = estimate(
        value,
        units,
        design.df,
        further=(further, further**2 / freedom if freedom else 1.0),
        approximate=design.n_units < 20,
        least_error=least_error(value, design.n_units),
    )
    return found, tuple(parts)


def _over_models(name: str, selectivities: np.ndarray) -> list[Component]:
    count = len(selectivities)
    if count < 2:
        return []
    return [Component(name, count, float(selectivities.var(ddof=1)) / count, count - 1.0)]


def _over_labels(trained: Scores, redrawn: Scores, design: Design) -> list[Component]:
    """Return the variance of the mean over drawn labels, and what they show of folds that share training units."""
    contrasts = trained.drawn.mean(axis=0) - redrawn.drawn.mean(axis=0)
    count = len(contrasts)
    if count < 2:
        return []
    spread = float(contrasts.var(ddof=1))
    parts = [Component("label draws", count, 0.0 if design.enumerated else spread / count, count - 1.0)]
    if design.exact:
        seen = float(np.square(trained.deviations.mean(axis=0) - redrawn.deviations.mean(axis=0)).sum())
        parts.append(Component("folds that share units", count, max(0.0, spread - seen), count - 1.0))
    return parts


def rank(trained: np.ndarray, redrawn: np.ndarray, rng: np.random.Generator, *, tolerance: float = 1e-12) -> PValues:
    """Return how the trained models' mean stands among all ways to call so many of the models trained.

    One trained model: its rank among the redrawn ones and itself. Several: the exact two-sample permutation test
    of the difference of means, by all relabelings up to 20,000, by 9,999 drawn ones beyond.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> rank(np.array([3.0]), np.arange(3.0), rng).upper
    0.25
    >>> rank(np.array([3.0, 4.0]), np.arange(3.0), rng).upper  # one of ten ways
    0.1
    """
    both, size = np.concatenate([trained, redrawn]), len(trained)
    observed, total = float(trained.mean()), math.comb(len(both), size)
    enumerated = total <= MOST_RELABELINGS
    means = _all_means(both, size) if enumerated else _drawn_means(both, size, rng)
    above, below = int((means >= observed - tolerance).sum()), int((means <= observed + tolerance).sum())
    if enumerated:
        floor = int((means >= means.max() - tolerance).sum()) / total
        return PValues(above / total, below / total, floor, None)
    return PValues(
        (1 + above) / (_DRAWN + 1), (1 + below) / (_DRAWN + 1), 1 / (_DRAWN + 1), clopper_pearson(above, _DRAWN)
    )


def _all_means(values: np.ndarray, size: int) -> np.ndarray:
    chosen = combinations(range(len(values)), size)
    parts = []
    while block := list(islice(chosen, _AT_ONCE)):
        parts.append(values[np.array(block)].mean(axis=1))
    return np.concatenate(parts)


def _drawn_means(values: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    return np.array([rng.permutation(values)[:size].mean() for _ in range(_DRAWN)])
