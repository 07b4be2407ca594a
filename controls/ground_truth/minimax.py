"""The best that any affine readoff can do in its worst case, by linear programming."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from scipy.optimize import linprog

from controls.core.errors import ControlsError, InputError
from controls.core.validate import as_activations
from controls.ground_truth.shapes import numbers

RAW_FLOORS = {"and": 0.25, "xor": 0.5}
"""Smallest worst-case error of an affine readoff of the two bits themselves, and of any other independent bits."""


@final
@dataclass(frozen=True, eq=False)
class Minimax:
    """The affine readoff whose largest error is smallest, with a proof that none is better.

    Parameters
    ----------
    error : float
        Its largest error over the rows given.
    weights : array of shape (d,)
    intercept : float
        The readoff is ``H @ weights + intercept``.
    witness : array of shape (n,)
        Weights of rows that no affine readoff can tell apart: they sum to 0, ``witness @ H`` is 0 and their
        absolute values sum to 1. So no affine readoff has a largest error below ``witness @ y``, which is `bound`.
    bound : float
        That lower bound; equal to ``error`` up to the solver's tolerance (1e-7).
    """

    error: float
    weights: np.ndarray
    intercept: float
    witness: np.ndarray
    bound: float


def minimax(H: np.ndarray, y: np.ndarray) -> Minimax:
    """Return the affine readoff of ``y`` from ``H`` whose largest error is smallest.

    Parameters
    ----------
    H : array of shape (n, d)
        Hidden values at all inputs that may come; rows that repeat do not matter.
    y : array of shape (n,)
        The right answers.

    Returns
    -------
    Minimax

    Raises
    ------
    InputError
        Where lengths differ or values are not finite.

    Notes
    -----
    Minimises ε subject to ``|H r + b − y| ≤ ε`` with the solver HiGHS (`scipy.optimize.linprog`). Time grows
    about as n d²: half a second at 700 rows of 256 neurons. The lower bound comes from the dual program.
    The floors `RAW_FLOORS`: of bits themselves, the alternating sum over the four cases of a pair is 0 for every
    affine function, so that AND is missed by ¼ somewhere, and XOR by ½.

    Examples
    --------
    >>> bits = [[0, 0], [0, 1], [1, 0], [1, 1]]
    >>> round(minimax(bits, [0, 0, 0, 1]).error, 6), round(minimax(bits, [0, 1, 1, 0]).error, 6)
    (0.25, 0.5)
    """
    H, y = _checked(H, y)
    n, d = H.shape
    affine = np.column_stack([H, np.ones(n)])
    slack = np.full((n, 1), -1.0)
    solved = linprog(
        np.append(np.zeros(d + 1), 1.0),
        A_ub=np.block([[affine, slack], [-affine, slack]]),
        b_ub=np.concatenate([y, -y]),
        bounds=[(None, None)] * (d + 1) + [(0, None)],
        method="highs",
    )
    if not solved.success:
        raise ControlsError(f"the linear program could not be solved: {solved.message}")
    weights, intercept = solved.x[:d], float(solved.x[d])
    above, below = np.split(-solved.ineqlin.marginals, 2)
    witness = below - above
    error = float(np.abs(H @ weights + intercept - y).max())
    return Minimax(error, weights, intercept, witness, float(witness @ y))


def _checked(H: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    hidden = as_activations(numbers(H, "H"), "H")
    answers = numbers(y, "y")
    if answers.shape != (len(hidden),) or not np.isfinite(answers).all():
        raise InputError(f"y must be {len(hidden)} finite numbers, one for each row of H, got shape {answers.shape}.")
    return hidden, answers
