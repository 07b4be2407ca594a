"""The check of exactness where draws are endless: a draw of a draw has the law of a draw."""

from __future__ import annotations

import numpy as np

from controls.core.arrays import dense
from controls.core.problem import Problem
from controls.core.rng import stream
from controls.testing.control_checks import STRICT, Trial


def check_law(trial: Trial) -> None:
    """Draws from drawn activations are distributed as draws from the observed ones, as exchangeable ones are.

    An exact control draws uniformly from what a group makes of the problem, and that is the same set,
    whichever of its members is asked. Three numbers of each draw are compared (Kolmogorov and Smirnov).
    """
    from scipy.stats import ks_2samp

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


def _numbers(problem: Problem) -> tuple[float, float, float]:
    """Return three numbers of the activations that hang on which row has which values."""
    X = dense(problem.X).astype(np.float64)
    size = np.abs(X - X.mean(axis=0)).max(axis=0)
    Z = (X - X.mean(axis=0)) / np.where(size > 0, size, 1.0)
    rng = stream(0, "law", *X.shape)
    signs, direction = rng.choice([-1.0, 1.0], size=len(X)), rng.standard_normal(X.shape[1])
    along = np.round(Z @ direction, 9)  # ties of one set of values are ties, whatever the order of sums
    return float(round(signs @ along, 7)), float(round(signs @ along**2, 7)), float(along.max())
