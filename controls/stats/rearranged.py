"""Rearranged products of concepts: of rows alone, of concepts that whole groups have, or signs of whole groups."""

from __future__ import annotations

import numpy as np

from controls.core.errors import CannotControl
from controls.core.products import centred_product

_FEWEST_TRADING, _FEWEST_FLIPPED = 3, 6  # groups; signs of six have 32 sets that differ, of five 16


def rearranged(
    concepts: np.ndarray, residual: np.ndarray, groups: np.ndarray | None, draws: int, rng: np.random.Generator
) -> np.ndarray:
    """Return the centred product of concepts (P, n, k) as it is after each of ``draws`` rearrangements: (P, draws, n).

    Without groups, rows trade products. With groups (n,), numbered from 0: concepts that are constant within
    every group trade places among the groups, together, and what varies within them stays; where there are none,
    what is linear in nothing else of the product, ``residual`` (P, n), changes its sign in whole groups.
    """
    if groups is None:
        return rng.permuted(np.repeat(centred_product(concepts)[:, None, :], draws, axis=1), axis=2)
    first = np.unique(groups, return_index=True)[1]
    shared = constant_within(concepts, groups)
    return np.stack(
        [
            _traded(one, constant, groups, first, draws, rng) if constant.any() else _flipped(left, groups, draws, rng)
            for one, left, constant in zip(concepts, residual, shared, strict=True)
        ]
    )


def constant_within(concepts: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return which concepts (P, n, k) are constant within every group, shape (P, k)."""
    first = np.unique(groups, return_index=True)[1]
    return (concepts == concepts[:, first][:, groups]).all(axis=1)


def _traded(
    concepts: np.ndarray, constant: np.ndarray, groups: np.ndarray, first: np.ndarray, draws: int,
    rng: np.random.Generator,
) -> np.ndarray:  # fmt: skip
    """Return products (draws, n) with the concepts of whole groups traded among them."""
    centred = concepts - concepts.mean(axis=0)
    held = centred[:, constant].prod(axis=1)[first]  # of each group
    stays = centred[:, ~constant].prod(axis=1)
    orders = rng.permuted(np.tile(np.arange(len(first)), (draws, 1)), axis=1)
    return held[orders][:, groups] * stays


def _flipped(residual: np.ndarray, groups: np.ndarray, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Return residual products (draws, n) with a random sign for each group.

    Rows that trade within their group would keep the level only where the rows of a group are exchangeable: not
    where documents have base rates of a concept, and effects of it, of their own.
    """
    signs = 2.0 * rng.integers(2, size=(draws, int(groups.max()) + 1)) - 1.0
    return signs[:, groups] * residual


def check_groups(groups: np.ndarray, concepts: np.ndarray) -> None:
    """Refuse groups so few that there is nothing to rearrange."""
    constant, count = constant_within(concepts, groups).any(axis=1), int(groups.max()) + 1
    if constant.any() and count < _FEWEST_TRADING:
        raise CannotControl(
            f"groups must number at least {_FEWEST_TRADING} where a concept is constant within them, got {count}."
        )
    if not constant.all() and count < _FEWEST_FLIPPED:
        raise CannotControl(
            f"groups must number at least {_FEWEST_FLIPPED} where no concept is constant within them, got {count}: "
            "the signs of fewer have too few combinations for a p-value of .05."
        )
