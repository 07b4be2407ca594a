"""What dictionary metrics read of a finding: checked blocks, and which latents are alive."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from controls.core.dictionary import Block, Dictionary, as_dictionary, side_by_side
from controls.core.errors import InputTypeError, TrainerError
from controls.core.problem import Problem

_ROWS_AT_ONCE = 1 << 14


def _require_problem(problem: Any) -> None:
    if not isinstance(problem, Problem):
        raise InputTypeError(f"problem must be a Problem, got {type(problem).__name__}; give ct.Problem(activations).")


def checked_blocks(dictionary: Dictionary, problem: Problem) -> Iterator[Block]:
    """Yield blocks of rows whose latents and reconstruction have the right shape and are finite."""
    _require_problem(problem)
    for block in dictionary.blocks(problem):
        if block.reconstruction.shape != block.targets.shape:
            raise TrainerError(
                f"decode must return activations of shape {block.targets.shape}, got {block.reconstruction.shape}."
            )
        _refuse_non_finite(block.reconstruction, "a reconstruction")
        yield block


def checked_latents(dictionary: Dictionary, problem: Problem) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield row indices (b,) and their latents (b, m), of the right shape and finite."""
    _require_problem(problem)
    for rows, latents in dictionary.latents(problem):
        if latents.shape != (len(rows), dictionary.n_latents):
            raise TrainerError(
                f"encode must return latents of shape {(len(rows), dictionary.n_latents)}, got {latents.shape}."
            )
        _refuse_non_finite(latents, "latents")
        yield rows, latents


def firing_rates(finding: Any, problem: Problem) -> np.ndarray:
    """Return the share of rows on which each latent is not zero, shape (m,)."""
    dictionary = as_dictionary(finding)
    counts = np.zeros(dictionary.n_latents)
    for _, latents in checked_latents(dictionary, problem):
        counts += np.count_nonzero(latents, axis=0)
    return counts / problem.n


def latents_of(dictionary: Dictionary, problem: Problem, columns: np.ndarray) -> np.ndarray:
    """Return some latents of all rows, shape (n, len(columns)), float64."""
    found = np.empty((problem.n, len(columns)))
    for rows, block in checked_latents(dictionary, problem):
        found[rows] = block[:, columns]
    return found


def target_mean(dictionary: Dictionary, problem: Problem) -> np.ndarray:
    """Return the mean of what is to be reconstructed, shape (d_out,), float64."""
    _require_problem(problem)
    total: Any = 0.0
    for start in range(0, problem.n, _ROWS_AT_ONCE):
        rows = np.arange(start, min(start + _ROWS_AT_ONCE, problem.n))
        total = total + side_by_side(problem, dictionary.writes, rows).sum(axis=0, dtype=np.float64)
    return total / problem.n


def _refuse_non_finite(array: np.ndarray, what: str) -> None:
    if not np.isfinite(array).all():
        bad = int(array.size - np.isfinite(array).sum())
        raise TrainerError(f"{what} must be finite, got {bad} NaN or infinite numbers of {array.size}; train anew.")
