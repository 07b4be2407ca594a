"""Broken versions of MatchSparsity: they say all that the sound one says, and draw otherwise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from controls.core.arrays import dense, is_sparse
from controls.core.control import Control, Level
from controls.core.problem import Problem
from controls.generators.sparsity import MatchSparsity
from controls.testing.broken_kinds import Claims


@dataclass(frozen=True)
class _Trades(Claims):
    """Claims to keep both margins, and goes on from a sound draw by pairs of rows in its own way."""

    level: ClassVar[Level] = "activations"

    @property
    def _sound(self) -> MatchSparsity:
        return MatchSparsity(keep="both", magnitudes="all")

    def _traded(self, pair: np.ndarray, rng: np.random.Generator) -> bool:
        """Change two rows in place; return whether that counts as a step."""
        raise NotImplementedError

    def draw(self, problem: Problem, rng: np.random.Generator) -> Problem:
        """Return the sound draw after a few trades more, in the form that it had."""
        X, steps = np.array(dense(self._sound.draw(problem, rng).X)), 0
        while steps < 12:
            rows = rng.choice(len(X), size=2, replace=False)
            pair = X[rows]
            steps += self._traded(pair, rng)
            X[rows] = pair
        X[X > 0] = rng.permutation(X[X > 0])
        return problem.with_activations(type(problem.X)(X) if is_sparse(problem.X) else X)


@final
@dataclass(frozen=True)
class SharesInOrder(_Trades):
    """Gives the first of two rows the first columns of those that only one has, every other time."""

    def _traded(self, pair: np.ndarray, rng: np.random.Generator) -> bool:
        apart = np.flatnonzero((pair[0] > 0) != (pair[1] > 0))
        _share_out(pair, apart if rng.random() < 0.5 else rng.permutation(apart))
        return True


@final
@dataclass(frozen=True)
class LosesColumns(_Trades):
    """Gives both rows new columns, without regard to which of them the two had."""

    def _traded(self, pair: np.ndarray, rng: np.random.Generator) -> bool:
        for row in pair:
            row[:] = rng.permutation(row)
        return True


def _share_out(pair: np.ndarray, apart: np.ndarray) -> None:
    """Give the first row as many columns of those only one has, in the order given, as it had."""
    count = int((pair[0, apart] > 0).sum())
    values = np.maximum(pair[0, apart], pair[1, apart])
    pair[:, apart] = 0.0
    pair[0, apart[:count]], pair[1, apart[count:]] = values[:count], values[count:]


BROKEN_SPARSITY: tuple[tuple[Control, str], ...] = (
    (SharesInOrder(), "SharesInOrder() claims to be exact, but its draws are not uniform over the"),
    (LosesColumns(), "claims to keep how often each feature fires"),
)
