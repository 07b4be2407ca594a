"""Cases of single latents: how often the best of many is found by chance, beside latents that fire on other rows."""

from __future__ import annotations

import numpy as np

from controls.core.problem import Problem
from controls.core.result import Comparison
from controls.experiment import measure
from controls.finders import Pretrained
from controls.generators.surrogate_latents import SurrogateLatents
from controls.metrics.auroc import BestLatentAUROC
from controls.testing.suite.case import Bound, Check, Effort, Rejections, Shown

ALPHA, DRAWS, ROWS, LATENTS, RATE = 0.05, 19, 80, 12, 0.2


def _found(seed: int, rng: np.random.Generator, lift: float) -> Comparison:
    """Return the best of some latents beside surrogates; the first fires more often on rows of the second class."""
    labels = np.arange(ROWS) % 2 == 0
    rates = np.full((ROWS, LATENTS), RATE)
    rates[labels, 0] += lift
    latents = rng.exponential(size=rates.shape) * (rng.random(rates.shape) < rates)
    settings = {"controls": [SurrogateLatents()], "scoring": BestLatentAUROC(), "cv": 2, "draws": DRAWS, "seed": seed}
    return measure(Pretrained(np.eye(LATENTS)), Problem(latents, labels), **settings).comparisons[0]


def best_latent(effort: Effort) -> list[Check]:
    """Count how often the best of twelve latents ranks first among surrogates, where none and where one fires so."""
    count, rng = effort.pick(40, 800), effort.stream("best of many latents")
    nothing = [_found(seed, rng, lift=0.0) for seed in range(count)]
    some = [_found(seed, rng, lift=0.6) for seed in range(effort.pick(20, 100))]
    naive = float(np.mean([each.score - 0.5 > 0.1 for each in nothing]))
    return [
        Rejections("no latent knows: p of SurrogateLatents", sum(each.p_value <= ALPHA for each in nothing), count),
        Bound(
            "one latent knows: share found", "at least", 0.8, float(np.mean([each.p_value <= ALPHA for each in some]))
        ),
        Shown("no latent knows: share of best areas above .6, which look like something", naive),
    ]
