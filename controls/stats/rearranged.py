"""Rearranged products of concepts: rows alone, rows within groups, or concepts that whole groups have."""

from __future__ import annotations

import numpy as np

from controls.core.errors import CannotControl
from controls.core.products import centred_product


def rearranged(concepts: np.ndarray, groups: np.ndarray | None, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Return the centred product of concepts (P, n, k) as it is after each of ``draws`` rearrangements: (P, draws, n).

    Without groups, rows trade products. With groups (n,), numbered from 0: concepts that are constant within
    every group trade places among the groups, together, and what varies within them stays; where there are none,
    rows trade products within their group.
    """
    if groups is None:
        return rng.permuted(np.repeat(centred_product(concepts)[:, None, :], draws, axis=1), axis=2)
    first = np.unique(groups, return_index=True)[1]
    shared = (concepts == concepts[:, first][:, groups]).all(axis=1)  # (P, k)
    return np.stack(
        [
            _traded(one, constant, groups, first, draws, rng) if constant.any() else _within(one, groups, draws, rng)
            for one, constant in zip(concepts, shared, strict=True)
        ]
    )


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


def _within(concepts: np.ndarray, groups: np.ndarray, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Return products (draws, n) that rows trade within their group."""
    t, places = centred_product(concepts), np.argsort(groups, kind="stable")
    found = np.empty((draws, len(t)))
    found[:, places] = t[np.argsort(groups + rng.random((draws, len(t))), axis=1)]
    return found


def check_groups(groups: np.ndarray, concepts: np.ndarray) -> None:
    """Refuse groups that leave nothing to rearrange: one or two alone that have a concept."""
    sizes = np.bincount(groups)
    first = np.unique(groups, return_index=True)[1]
    constant = (concepts == concepts[:, first][:, groups]).all(axis=1).any(axis=1)
    if constant.any() and len(sizes) < 3:
        raise CannotControl(f"groups must number at least 3 where a concept is constant within them, got {len(sizes)}.")
