"""Strata: rows that agree in nuisance columns, numbers cut in bins; labels move among such rows only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from controls.core.errors import InputError, InputTypeError
from controls.core.exchangeability import IndexExchangeability, labels_of
from controls.core.orbit import TreeOrbit
from controls.core.problem import Problem
from controls.core.validate import whole_number

DEFAULT_BINS = 10  # of fractional numbers


def bin_codes(column: np.ndarray, bins: int | None) -> np.ndarray:
    """Return a column as numbers 0 … k−1: as it is, or cut at its quantiles.

    Parameters
    ----------
    column : array of shape (n,)
    bins : int or None
        Cut numbers that take more than ``bins`` values in so many bins of about equal size; equal
        values share a bin. None: fractional numbers in ten bins, whole numbers as they are.

    Examples
    --------
    >>> import numpy as np
    >>> bin_codes(np.array([5, 1, 9, 1]), bins=2).tolist()
    [1, 0, 1, 0]
    >>> bin_codes(np.array([5, 1, 9, 1]), bins=None).tolist()
    [1, 0, 2, 0]
    """
    values, codes = np.unique(column, return_inverse=True)
    numbers = column.dtype.kind in ("f" if bins is None else "fiu")
    size = DEFAULT_BINS if bins is None else bins
    if not numbers or len(values) <= size:
        return codes.ravel()
    edges = np.quantile(column, np.arange(1, size) / size)
    cut = np.searchsorted(np.unique(edges), column, side="left")
    return np.unique(cut, return_inverse=True)[1].ravel()


@final
@dataclass(frozen=True)
class Given(IndexExchangeability):
    """Rows are exchangeable where they agree in every nuisance column (and in a group, where one is named).

    Parameters
    ----------
    columns : tuple of str
        Names of group columns; numbers are cut in bins, see :func:`bin_codes`.
    within : str, optional
        A group in which rows must agree as well, as it is.
    bins : int, optional
        Bins of each column of numbers.
    """

    columns: tuple[str, ...]
    within: str | None = None
    bins: int | None = None

    def __post_init__(self) -> None:
        if self.bins is not None:
            whole_number(self.bins, "bins", low=2)
        if self.within in self.columns:
            raise InputError(f"given= and within= must be different groups, got {self.within!r} twice.")

    def strata(self, problem: Problem) -> np.ndarray:
        """Return the stratum of each row as numbers 0 … k−1, shape (n,)."""
        return problem.memo(("strata", self), lambda: self._strata(problem))

    def _strata(self, problem: Problem) -> np.ndarray:
        keys = [] if self.within is None else [problem.codes(self.within)]
        for name in self.columns:
            problem.codes(name)  # refuses a name that is not there
            keys.append(bin_codes(problem.groups[name], self.bins))
        return np.unique(np.stack(keys), axis=1, return_inverse=True)[1].ravel()

    def orbit(self, problem: Problem) -> TreeOrbit:
        """Return the prod_s n_s! / prod n_sk! relabelings of the strata s."""
        return TreeOrbit(labels_of(problem), ((self.strata(problem), False),))

    def movable(self, problem: Problem) -> np.ndarray:
        """Return which rows are in a stratum of several labels, shape (n,)."""
        codes = self.strata(problem)
        pairs = np.unique(np.stack([codes, problem.label_codes]), axis=1)[0]
        return np.bincount(pairs)[codes] > 1

    @property
    def confined_to(self) -> str | None:
        """The group that labels never leave."""
        return self.within

    @property
    def groups_named(self) -> tuple[str, ...]:
        """The groups that the restriction speaks of."""
        return (self.within,) if self.within else ()

    @property
    def words(self) -> str:
        """What is exchanged, in words."""
        cut = f"{self.bins} bins" if self.bins else f"{DEFAULT_BINS} bins where fractional"
        where = f"labels of rows that agree in {' and '.join(self.columns)} (numbers in {cut})"
        return where + (f" within the same {self.within}" if self.within else "")


def as_columns(given: object) -> tuple[str, ...]:
    """Return one name or several as a tuple of names; refuse anything else."""
    names = (given,) if isinstance(given, str) else tuple(given) if isinstance(given, (tuple, list)) else ()
    if not names or not all(isinstance(name, str) and name for name in names):
        raise InputTypeError(f"given must be the name of a group column, or a tuple of names, got {given!r}.")
    if len(set(names)) < len(names):
        raise InputError(f"given must name different columns, got {names!r}.")
    return names
