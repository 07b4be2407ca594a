"""Label sets: labels of several columns taken as one, so that a row's labels stay together wherever they go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np

if TYPE_CHECKING:
    from controls.core.problem import Problem


@final
@dataclass(frozen=True, eq=False)
class LabelSets:
    """The P distinct rows that labels (n, k) have. A row's label is then the number of its set, 0 … P−1."""

    table: np.ndarray  # (P, k), as given

    @property
    def k(self) -> int:
        """Number of label columns."""
        return self.table.shape[1]

    def columns(self, codes: np.ndarray, which: np.ndarray) -> np.ndarray:
        """Return, of columns of set numbers (n, B), some of the B · k label columns; those of a draw are neighbours."""
        return self.table[codes[:, which // self.k], which % self.k]

    def standardised(self, observed: np.ndarray) -> np.ndarray:
        """Return the table as numbers whose columns have mean 0 and variance 1 over the rows observed (n,)."""
        values = self.table.astype(np.float64)
        spread = values[observed].std(axis=0)
        return (values - values[observed].mean(axis=0)) / np.where(spread > 0, spread, 1.0)


def as_one_column(problem: Problem) -> Problem:
    """Return a problem of labels (n, k) with the numbers of their sets as labels (n,), and ``label_sets``."""
    codes, table = problem.memo("label sets", lambda: _sets_of(np.asarray(problem.labels)))
    memo = problem.memo("memo of label sets", dict[Any, Any])  # problems that share labels and groups share it
    return problem.relabelled(codes, LabelSets(table), memo)


def _sets_of(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    table, codes = np.unique(labels, axis=0, return_inverse=True)
    return codes.ravel(), table
