"""MatchSparsity on latents whose law is known: which margins explain co-firing, and which null is fooled by what."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import numpy as np

from controls.core.control import Control
from controls.core.problem import Problem
from controls.core.trainer import Trainer
from controls.experiment import measure
from controls.generators.sparsity import MatchSparsity
from controls.testing.suite.case import Case, Check, Effort, Rejections, Seen

ALPHA, DRAWS = 0.05, 19
ROWS, LATENTS, DOCUMENTS = 120, 12, 12
World = Callable[[np.random.Generator], Problem]


@final
@dataclass(frozen=True)
class Nothing(Trainer):
    """Finds nothing: what is scored is in the latents themselves."""

    def fit(self, problem: Problem, rng: np.random.Generator) -> None:
        """Return nothing."""


def co_firing(finding: None, problem: Problem) -> float:
    """Return the mean over pairs of the squared covariance of their firing."""
    fires = (problem.X > 0).astype(np.float64)
    return float(np.square(np.triu(np.cov(fires.T), 1)).sum() / (problem.d * (problem.d - 1) / 2))


def _margins(rng: np.random.Generator) -> Problem:
    """Return latents with rates and rows with numbers of their own, and no co-firing beyond both.

    Odds are products of one number for each row and one for each latent: given the margins, every placement is
    equally probable.
    """
    odds = np.exp(rng.normal(0, 1, (ROWS, 1)) + rng.normal(-1.5, 1, LATENTS))
    return _latents(rng.random((ROWS, LATENTS)) < odds / (1 + odds), rng)


def _pairs(rng: np.random.Generator) -> Problem:
    """Return the same with two pairs of latents of which one fires half of the times that the other does."""
    problem = _margins(rng)
    fires = problem.X > 0
    for first, second in ((0, 1), (2, 3)):
        fires[:, second] |= fires[:, first] & (rng.random(ROWS) < 0.8)
    return _latents(fires, rng)


def _documents(rng: np.random.Generator) -> Problem:
    """Return latents with rates of their own in each document, independent within it."""
    rates = 1 / (1 + np.exp(-rng.normal(-1.5, 1.5, (DOCUMENTS, LATENTS))))
    return _latents(rng.random((ROWS, LATENTS)) < np.repeat(rates, ROWS // DOCUMENTS, axis=0), rng)


def _latents(fires: np.ndarray, rng: np.random.Generator) -> Problem:
    groups = {"document": np.repeat(np.arange(DOCUMENTS), ROWS // DOCUMENTS)}
    return Problem(fires * rng.exponential(size=fires.shape), groups=groups)


FILL, COLUMNS, BOTH = (MatchSparsity(keep=keep) for keep in ("fill", "columns", "both"))
WITHIN = MatchSparsity(keep="both", within="document")
LADDER: tuple[tuple[str, World, tuple[Control, ...], tuple[Control, ...]], ...] = (
    ("uneven rates and rows", _margins, (BOTH,), (FILL, COLUMNS)),
    ("planted pairs", _pairs, (), (BOTH,)),
    ("rates that change from document to document", _documents, (WITHIN,), (BOTH,)),
)


def ladder(effort: Effort) -> list[Check]:
    """Count rejections of the nulls that are true, and of those that are not."""
    checks: list[Check] = []
    for name, world, true, false in LADDER:
        for controls, full, kind in ((true, 800, Rejections), (false, 100, Seen)):
            for control in controls:
                words = f"keep={control.keep!r}" + (f", within={control.within!r}" if control.within else "")  # type: ignore[attr-defined]
                count, rng = effort.pick(40, full), effort.stream("sparsity: ladder", name, words)
                rejected = sum(_p(world(rng), control, seed) <= ALPHA for seed in range(count))
                checks.append(kind(f"{name}: p of MatchSparsity({words})", rejected, count))
    return checks


def unmixed(effort: Effort) -> list[Check]:
    """Count false alarms of chains far from mixed: one sweep from the hub, and one from the data themselves.

    The statistic is how much a pattern shares with all the others: exchangeable patterns rank anywhere in it.
    """
    control, count = MatchSparsity(sweeps=1), effort.pick(150, 1000)
    rng = effort.stream("sparsity: unmixed")
    alarms = {"hub": 0, "data": 0}
    for _ in range(count):
        problem = _margins(rng)
        for name, start in (("hub", control.start(problem, rng)), ("data", problem)):
            fires = np.array([each.X > 0 for each in (problem, *(control.draw(start, rng) for _ in range(DRAWS)))])
            shared = np.einsum("aij,bij->ab", fires.astype(np.float64), fires.astype(np.float64)).sum(axis=1)
            alarms[name] += (shared >= shared[0] - 1e-9).mean() <= ALPHA
    return [
        Rejections("one sweep, from the hub", alarms["hub"], count),
        Seen("one sweep, from the data", alarms["data"], count),
    ]


def _p(problem: Problem, control: Control, seed: int) -> float:
    result = measure(Nothing(), problem, controls=[control], scoring=co_firing, cv=2, draws=DRAWS, seed=seed)
    return result.comparisons[0].p_value


CASES = (
    Case(
        "sparsity: ladder",
        "Does the firing of latents covary more than in matrices that keep the fill, the columns, or rows and columns?",
        "No beyond both margins, where the odds of firing are a product of a number for the row and one for the "
        "latent: then every placement is equally probable given them. Nulls that keep less are fooled by rows that "
        "are uneven. Planted pairs are found. Rates that change from document to document fool both margins, but not "
        "within documents.",
        ladder,
    ),
    Case(
        "sparsity: unmixed",
        "One sweep of trades, far from mixed: does the observed pattern share more with draws than they do among them?",
        "No more often than stated where draws start from a hub (Besag and Clifford); from the data themselves, yes.",
        unmixed,
    ),
)
