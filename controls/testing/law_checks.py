"""The check of exactness where draws are endless: a draw of a draw has the law of a draw."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np

from controls.core.arrays import dense, is_sparse
from controls.core.problem import Problem
from controls.core.rng import stream
from controls.generators.sparsity_properties import Margin
from controls.testing.chance import STRICT
from controls.testing.control_checks import Trial

_WORLDS, _DRAWS = 300, 4  # rows of which the null is true, and draws of each
_TIMES, _MOST = 100, 4500  # draws for each pattern of non-zeros, and of all patterns


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


def check_patterns(trial: Trial) -> None:
    """Draws of sparse activations have every pattern of non-zeros with what is said to be kept, equally often.

    All patterns of a few rows and columns are enumerated, and those kept to by the properties that count
    non-zeros are what draws must be uniform over (chi-squared).
    """
    margins = [kept for kept in trial.control.preserves if isinstance(kept, Margin)]
    if not margins:
        return
    for problem in trial.problems():
        tiny = _tiny(problem)
        possible = _patterns(tiny, margins)
        times = dict.fromkeys(possible, 0)
        for i in range(min(_MOST, _TIMES * len(possible))):
            drawn = trial.draw(tiny, "pattern", i)
            pattern = (dense(drawn.X) != 0).tobytes()
            if pattern not in times:
                broken = next((kept.words for kept in margins if not kept.holds(tiny, drawn)), "margins")
                raise trial.fail(f"claims to keep {broken}, but draws a pattern of {tiny.n} rows that does not.")
            times[pattern] += 1
        _check_equal(trial, np.array(list(times.values())))


def _check_equal(trial: Trial, times: np.ndarray) -> None:
    from scipy.stats import chisquare

    p = float(chisquare(times).pvalue)
    if p < STRICT:
        raise trial.fail(
            f"claims to be exact, but its draws are not uniform over the {len(times)} patterns of non-zeros that keep "
            f"what is kept (p = {p:.1g})."
        )


def _tiny(problem: Problem) -> Problem:
    """Return four rows of three columns, three rows of one document, whose margins other patterns have too."""
    codes = problem.codes("document")
    largest = np.flatnonzero(codes == np.bincount(codes).argmax())
    few = problem.take(np.append(largest[:3], np.flatnonzero(codes != codes[largest[0]])[0]))
    fires = np.array([[1, 1, 0], [0, 1, 1], [1, 0, 0], [0, 1, 0]])
    values = fires * (1.0 + np.arange(12).reshape(4, 3))
    return few.with_activations(type(problem.X)(values) if is_sparse(problem.X) else values)


def _patterns(problem: Problem, margins: Sequence[Margin]) -> list[bytes]:
    """Return all patterns of non-zeros, as bytes, that have the margins of the problem."""
    found, total = [], (dense(problem.X) != 0).sum()  # every margin says how many there are
    for cells in product((0.0, 1.0), repeat=problem.n * problem.d):
        pattern = np.reshape(cells, (problem.n, problem.d))
        after = problem.with_activations(pattern)
        if pattern.sum() == total and all(kept.holds(problem, after) for kept in margins):
            found.append((pattern != 0).tobytes())
    return found
