"""The check of exactness where draws are endless: a draw of a draw has the law of a draw."""

from __future__ import annotations

import numpy as np

from controls.core.arrays import dense
from controls.core.problem import Problem
from controls.core.rng import stream
from controls.testing.control_checks import STRICT, Trial

_WORLDS, _DRAWS = 300, 4  # rows of which the null is true, and draws of each


def check_law(trial: Trial) -> None:
    """Rows of which the null is true rank anywhere among their draws, and draws of draws have the law of draws.

    The first is what exact means; it is tried where the control gives such rows (``null_rows``). The second is
    necessary only: an exact control draws uniformly from what a group makes of the problem, and that is the
    same set, whichever of its members is asked. Three numbers of each draw are compared.
    """
    from scipy.stats import ks_2samp

    _check_ranks(trial)
    for problem in trial.problems():
        once = [trial.draw(problem, "law", i) for i in range(2 * trial.draws)]
        twice = np.array([_numbers(trial.draw(each, "law again", i)) for i, each in enumerate(once[::2])])
        single = np.array([_numbers(each) for each in once[1::2]])
        p = min(float(np.asarray(ks_2samp(one, other))[1]) for one, other in zip(single.T, twice.T, strict=True))
        if p < STRICT / single.shape[1]:
            raise trial.fail(
                f"claims to be exact, but draws of drawn activations are distributed otherwise than draws of the "
                f"observed ones (p = {p:.1g})."
            )


def _check_ranks(trial: Trial) -> None:
    """The null of the control is true of these rows: is their rank among draws uniform?"""
    from scipy.stats import chisquare

    make = getattr(trial.control, "null_rows", None)
    problem = trial.problems()[0]
    counts = np.zeros((3, _DRAWS + 1))
    for world in range(_WORLDS):
        rng = stream(trial.seed, "check", "null rows", world)
        rows = None if make is None else make(problem.n, problem.d, rng)
        if rows is None:
            return
        known = problem.with_activations(rows)
        own = np.array(_numbers(known))
        drawn = np.array([_numbers(trial.draw(known, "rank", world, i)) for i in range(_DRAWS)])
        below = (drawn < own).sum(axis=0) + rng.integers((drawn == own).sum(axis=0) + 1)  # ties at random
        counts[np.arange(3), below] += 1
    p = float(np.min(chisquare(counts, axis=1)[1]))
    if p < STRICT / 3:
        raise trial.fail(
            "claims to be exact, but rows of which its null is true do not rank anywhere among their draws "
            f"(p = {p:.1g})."
        )


def _numbers(problem: Problem) -> tuple[float, float, float]:
    """Return three numbers of the activations that hang on which row has which values."""
    X = dense(problem.X).astype(np.float64)
    size = np.abs(X - X.mean(axis=0)).max(axis=0)
    Z = (X - X.mean(axis=0)) / np.where(size > 0, size, 1.0)
    rng = stream(0, "law", *X.shape)
    signs, direction = rng.choice([-1.0, 1.0], size=len(X)), rng.standard_normal(X.shape[1])
    along = np.round(Z @ direction, 9)  # ties of one set of values are ties, whatever the order of sums
    return float(round(signs @ along, 7)), float(round(signs @ along**2, 7)), float(along.max())
