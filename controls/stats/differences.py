"""Difference in differences: what its parts are, how much each varies, and where the trained models rank."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import combinations, islice

import numpy as np

from controls.core.result import Component, Estimate
from controls.stats.interval import FEW_UNITS, estimate, least_error
from controls.stats.pvalue import PValues, clopper_pearson

MOST_RELABELINGS = 20_000  # of trained and redrawn models, up to which all are made
_DRAWN = 9_999
_AT_ONCE = 4096
UNITS, DRAWS = "units", "label draws"


@dataclass(frozen=True, eq=False)
class Scores:
    """What M models scored on one problem, with the same L drawn labels for all, and G units."""

    own: np.ndarray  # (M,) on the observed labels
    drawn: np.ndarray  # (M, L) on the label control's draws
    deviations: np.ndarray  # (M, G) of own, by unit
    control_deviations: np.ndarray  # (M, G) of the mean over draws
    drawn_variance: np.ndarray  # (M,) over units of one draw's score, mean over draws

    @property
    def by_unit(self) -> np.ndarray:
        """What each unit does to the selectivity of each model, shape (M, G)."""
        return self.deviations - self.control_deviations

    @property
    def selectivities(self) -> np.ndarray:
        """Each model's score less its mean over drawn labels, shape (M,)."""
        return self.own - self.drawn.mean(axis=1)

    @property
    def contrast_deviations(self) -> np.ndarray:
        """What each unit does to the mean selectivity of the models, shape (G,)."""
        return self.by_unit.mean(axis=0)


@dataclass(frozen=True)
class Design:
    """What else of the design the variance depends on."""

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
        The trained models' mean selectivity less that of redrawn ones. Its variance is the sum of the components.
        A single trained model is no factor: the interval speaks of that model, on new units, beside the mean over
        the law of the redrawn ones.
    components : tuple of Component
        Units (those of the whole contrast, since all models score the same ones), redrawn models, trained ones where
        there are several, label draws (which all models share), seeds of the trainer, interactions of units and of
        label draws with models, and, beside an exact label control, what drawn labels vary beyond their units, since
        folds share training units.

    Notes
    -----
    Factors are crossed: means of models vary by the models and by what units and draws do to each model, which
    also makes the means of units and draws vary. By the method of moments a factor has the variance of its means
    less that of its interactions, so that nothing counts twice; a negative estimate counts as 0. Interactions of
    three factors, of units and label draws, and of seeds are left where they show; the last two then count twice.
    Degrees of freedom after Satterthwaite (1946), by the variance of each factor's means.

    References
    ----------
    Cornfield and Tukey (1956), Average values of mean squares in factorials.
    Searle, Casella and McCulloch (1992), Variance Components.
    """
    value = float(trained.selectivities.mean() - redrawn.selectivities.mean())
    kinds = {"redrawn models": redrawn, "trained models": trained}
    kinds = {name: scores for name, scores in kinds.items() if len(scores.own) > 1}
    whole = {part.factor: part for part in _whole(value, trained, redrawn, kinds, design, seeds)}
    pairs = [pair for name, scores in kinds.items() for pair in _pairs(name, scores, design)]
    held = {name: sum(part.variance for pair, part in pairs if name in pair) for name in whole}
    mains = [_less(part, held[name]) for name, part in whole.items()]
    parts = (*mains, *(part for _, part in pairs))
    total = sum(part.variance for part in parts)
    of_units = max(whole[UNITS].variance, held[UNITS])
    beyond = max(0.0, total - of_units)
    freedom = sum(part.variance**2 / max(part.df, 1.0) for name, part in whole.items() if name != UNITS)
    found = estimate(
        value,
        np.array([math.sqrt(of_units)]),
        design.df,
        further=(beyond, beyond**2 / freedom if freedom and beyond else 1.0),
        approximate=design.n_units < FEW_UNITS,
    )
    return found, parts


def _whole(
    value: float,
    trained: Scores,
    redrawn: Scores,
    kinds: dict[str, Scores],
    design: Design,
    seeds: np.ndarray | None,
) -> list[Component]:
    """Return how each factor's means vary, what its interactions do to them included."""
    units = trained.contrast_deviations - redrawn.contrast_deviations
    over_units = max(float(np.square(units).sum()), least_error(value, design.n_units) ** 2)
    parts = [Component(UNITS, design.n_units, over_units, design.df)]
    parts += [_of_means(name, scores.selectivities) for name, scores in kinds.items()]
    contrasts = trained.drawn.mean(axis=0) - redrawn.drawn.mean(axis=0)
    if len(contrasts) > 1:
        parts.append(replace(_of_means(DRAWS, contrasts), **({"variance": 0.0} if design.enumerated else {})))
        if design.exact:
            beyond = max(0.0, float(contrasts.var(ddof=1)) - _of_one_draw(trained, redrawn))
            parts.append(Component("folds that share units", len(contrasts), beyond, len(contrasts) - 1.0))
    if seeds is not None and len(seeds) > 1:
        parts.append(_of_means("trainer seeds", seeds))
    return parts


def _of_one_draw(trained: Scores, redrawn: Scores) -> float:
    """Return the variance over units of the contrast of one label draw.

    It is that of the contrast of the observed labels, as far as draws vary more over units than they
    do in each model: which units go together in all models is taken from the observed labels.
    """
    both = trained, redrawn
    observed = float(np.square(trained.deviations.mean(axis=0) - redrawn.deviations.mean(axis=0)).sum())
    apart = sum(float(np.square(scores.deviations).sum(axis=1).mean()) / len(scores.own) for scores in both)
    drawn = sum(float(scores.drawn_variance.mean()) / len(scores.own) for scores in both)
    return observed * drawn / apart if apart > 0 else drawn


def _of_means(factor: str, means: np.ndarray) -> Component:
    return Component(factor, len(means), float(means.var(ddof=1)) / len(means), len(means) - 1.0)


def _pairs(name: str, scores: Scores, design: Design) -> list[tuple[tuple[str, str], Component]]:
    """Return what units and label draws do to each model of a kind beyond what they do to all."""
    count, draws = scores.drawn.shape
    of_units = float(scores.by_unit.var(axis=0, ddof=1).sum()) / count
    freedom = design.df * (count - 1)
    found = [((UNITS, name), Component(f"{UNITS} × {name}", design.n_units * count, of_units, freedom))]
    if draws > 1 and not design.enumerated:
        own = scores.drawn
        residual = own - own.mean(axis=0) - own.mean(axis=1, keepdims=True) + own.mean()
        freedom = (count - 1.0) * (draws - 1.0)
        variance = float(np.square(residual).sum()) / (freedom * count * draws)
        found.append(((DRAWS, name), Component(f"{DRAWS} × {name}", count * draws, variance, freedom)))
    return found


def _less(part: Component, held: float) -> Component:
    """Return a factor's own variance: that of its means less what its interactions do to them."""
    own = part.variance - held
    return replace(part, variance=max(0.0, own), below_zero=own < 0)


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
    tolerance *= max(1.0, float(np.abs(both).max()))
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
