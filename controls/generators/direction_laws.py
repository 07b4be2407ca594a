"""Laws of random directions: uniform on the sphere, of the activations' covariance, differences of two rows."""

from __future__ import annotations

from typing import Literal

import numpy as np

from controls.core.dictionary import side_by_side
from controls.core.errors import CannotControl
from controls.core.problem import Problem

Law = Literal["isotropic", "covariance", "differences"]
LAWS = ("isotropic", "covariance", "differences")
WORDS = {
    "isotropic": "uniform on the sphere",
    "covariance": "normal with the activations' covariance",
    "differences": "differences of two activations",
}
_NUMBERS = 1 << 22  # of a block of rows
_TRIES = 100


def draw_directions(law: Law, m: int, problem: Problem, sites: tuple[str, ...], rng: np.random.Generator) -> np.ndarray:
    """Return m random directions of length 1, shape (m, d), float64; their law is the same with either sign.

    Parameters
    ----------
    law : {"isotropic", "covariance", "differences"}
    m : int
    problem : Problem
        Of whose activations the covariance, or the rows, are taken.
    sites : tuple of str
        The sites, side by side, whose space directions are in; the only array where there are none.
    rng : numpy.random.Generator

    Raises
    ------
    CannotControl
        Activations that are all the same, where the law is not isotropic.

    Notes
    -----
    Cost: O(m d); with covariance O(n d² + d³ + m d²). Memory: O(m d + d²) beside a block of rows.

    Examples
    --------
    >>> import controls as ct
    >>> line = ct.Problem(np.outer(np.arange(5.0), [3.0, 4.0]))
    >>> np.abs(draw_directions("differences", 3, line, (), np.random.default_rng(0))).round(12).tolist()
    [[0.6, 0.8], [0.6, 0.8], [0.6, 0.8]]
    """
    if law == "differences":
        drawn = _differences(m, problem, sites, rng)
    else:
        d = side_by_side(problem, sites, np.arange(1)).shape[1]
        drawn = rng.standard_normal((m, d))
        if law == "covariance":
            drawn = drawn @ _root(problem, sites)
    lengths = np.linalg.norm(drawn, axis=1, keepdims=True)
    return drawn / lengths


def _root(problem: Problem, sites: tuple[str, ...]) -> np.ndarray:
    """Return R with RᵀR the covariance of the activations, up to a factor; shape (d, d)."""
    total, count = None, 0
    blocks = list(_blocks(problem, sites))
    shift = side_by_side(problem, sites, blocks[0]).mean(axis=0, dtype=np.float64)  # against cancellation
    gram = np.zeros((len(shift), len(shift)))
    total = np.zeros(len(shift))
    for rows in blocks:
        part = side_by_side(problem, sites, rows) - shift
        gram += part.T @ part
        total += part.sum(axis=0)
        count += len(rows)
    values, vectors = np.linalg.eigh(gram - np.outer(total, total) / count)
    if values[-1] <= 1e-12 * float(np.square(shift).sum()) * count:
        raise _all_the_same("covariance")
    return (vectors * np.sqrt(np.maximum(values / values[-1], 0))).T


def _blocks(problem: Problem, sites: tuple[str, ...]) -> list[np.ndarray]:
    d = side_by_side(problem, sites, np.arange(1)).shape[1]
    size = max(1, _NUMBERS // d)
    return [np.arange(start, min(start + size, problem.n)) for start in range(0, problem.n, size)]


def _differences(m: int, problem: Problem, sites: tuple[str, ...], rng: np.random.Generator) -> np.ndarray:
    """Return differences of m random pairs of rows; pairs of equal rows are drawn again."""
    drawn = np.zeros((m, side_by_side(problem, sites, np.arange(1)).shape[1]))
    todo = np.arange(m)
    for _ in range(_TRIES):
        one, other = rng.integers(problem.n, size=(2, len(todo)))
        drawn[todo] = side_by_side(problem, sites, one).astype(np.float64) - side_by_side(problem, sites, other)
        todo = todo[~drawn[todo].any(axis=1)]
        if not len(todo):
            return drawn
    raise _all_the_same("differences")


def _all_the_same(law: str) -> CannotControl:
    return CannotControl(
        f"random directions of law {law!r} need activations that differ from row to row, got ones that are (nearly) "
        "all the same; take 'isotropic'."
    )
