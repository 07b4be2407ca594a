"""Laws of Boolean inputs, which can be sampled and enumerated, and the labels that are made of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import final

import numpy as np

from controls.core.errors import InputError
from controls.core.validate import as_numpy, in_one_line, one_of, random_generator, real_number, whole_number

MOST_INPUTS = 1 << 16  # as many distinct inputs are enumerated at most
ASKS = ("and", "or", "xor", "product")


class InputLaw(ABC):
    """How m inputs are drawn. An input is on where it is above 0."""

    m: int

    @property
    @abstractmethod
    def independent(self) -> bool:
        """Whether the inputs are independent of one another, on which exact nulls rest."""

    @abstractmethod
    def sample(self, n: int, rng: np.random.Generator, *, balanced: tuple[int, ...] = ()) -> np.ndarray:
        """Return n inputs, shape (n, m), float64; those named in ``balanced`` are on half of the time."""

    @abstractmethod
    def enumerate(self, *, balanced: tuple[int, ...] = ()) -> tuple[np.ndarray, np.ndarray]:
        """Return all N distinct inputs, shape (N, m), and their probabilities, shape (N,)."""

    @abstractmethod
    def rates(self, *, balanced: tuple[int, ...] = ()) -> np.ndarray:
        """Return how often each input is on, shape (m,)."""


@final
@dataclass(frozen=True)
class Bernoulli(InputLaw):
    """Independent inputs, 1 with probability q and 0 otherwise.

    Parameters
    ----------
    m : int
        Number of inputs.
    q : float, default 0.5
        Probability of 1, between 0 and 1.

    Notes
    -----
    ``balanced=(i, j)`` makes inputs i and j fair coins and leaves the others at q. Then the square of
    their centred product is constant, which permutation tests of interactions need.

    Examples
    --------
    >>> Bernoulli(3, q=0.2).rates(balanced=(0,)).tolist()
    [0.5, 0.2, 0.2]
    >>> X, probabilities = Bernoulli(3).enumerate()
    >>> X.shape, float(probabilities.sum())
    ((8, 3), 1.0)
    """

    m: int
    q: float = 0.5

    def __post_init__(self) -> None:
        whole_number(self.m, "m", low=1)
        real_number(self.q, "q", low=0, high=1)

    @property
    def independent(self) -> bool:
        """Inputs are independent."""
        return True

    def sample(self, n: int, rng: np.random.Generator, *, balanced: tuple[int, ...] = ()) -> np.ndarray:
        """Return n inputs of 0 and 1, shape (n, m)."""
        return (
            random_generator(rng).random((whole_number(n, "n", low=1), self.m)) < self.rates(balanced=balanced)
        ).astype(np.float64)

    def enumerate(self, *, balanced: tuple[int, ...] = ()) -> tuple[np.ndarray, np.ndarray]:
        """Return all 2^m inputs and their probabilities; m is at most 16."""
        X, rates = _all_bits(self.m), self.rates(balanced=balanced)
        return X, np.where(X > 0, rates, 1 - rates).prod(axis=1)

    def rates(self, *, balanced: tuple[int, ...] = ()) -> np.ndarray:
        """Return q, or ½ for balanced inputs, shape (m,)."""
        rates = np.full(self.m, float(self.q))
        rates[list(check_concepts(balanced, self.m, "balanced"))] = 0.5
        return rates


@final
@dataclass(frozen=True)
class Sparse(InputLaw):
    """Exactly s inputs out of m are 1, or at most s; all such inputs are equally likely.

    Parameters
    ----------
    m : int
        Number of inputs.
    s : int
        How many are active, at most m.
    at_most : bool, default False
        Whether fewer may be active too, down to none.

    Notes
    -----
    Inputs are not independent, so that no centred product is exactly unreadable: for nulls, take
    ``Bernoulli``. Sampling costs O(n m log m).

    Examples
    --------
    >>> len(Sparse(16, 3, at_most=True).enumerate()[0])
    697
    >>> Sparse(5, 2).sample(3, np.random.default_rng(0)).sum(axis=1).tolist()
    [2.0, 2.0, 2.0]
    """

    m: int
    s: int
    at_most: bool = False

    def __post_init__(self) -> None:
        whole_number(self.m, "m", low=1)
        if whole_number(self.s, "s", low=0) > self.m:
            raise InputError(f"s must be at most m = {self.m}, got {self.s}.")

    @property
    def independent(self) -> bool:
        """Inputs share their number."""
        return False

    @property
    def _sizes(self) -> np.ndarray:
        return np.arange(0 if self.at_most else self.s, self.s + 1)

    def _size_rates(self) -> np.ndarray:
        counts = np.array([comb(self.m, int(size)) for size in self._sizes], dtype=np.float64)
        return counts / counts.sum()

    def sample(self, n: int, rng: np.random.Generator, *, balanced: tuple[int, ...] = ()) -> np.ndarray:
        """Return n inputs of 0 and 1, shape (n, m); none can be balanced."""
        self._refuse(balanced)
        size = random_generator(rng).choice(self._sizes, size=whole_number(n, "n", low=1), p=self._size_rates())
        order = rng.random((n, self.m)).argsort(axis=1)
        X = np.zeros((n, self.m))
        np.put_along_axis(X, order, (np.arange(self.m) < size[:, None]).astype(np.float64), axis=1)
        return X

    def enumerate(self, *, balanced: tuple[int, ...] = ()) -> tuple[np.ndarray, np.ndarray]:
        """Return all inputs, which may number 65,536 at most, and their probabilities, which are equal."""
        self._refuse(balanced)
        count = sum(comb(self.m, int(size)) for size in self._sizes)
        if count > MOST_INPUTS:
            raise InputError(
                f"At most {MOST_INPUTS:,} inputs are enumerated, got m = {self.m}, s = {self.s}, which has {count:,}; "
                "sample them."
            )
        X = np.zeros((count, self.m))
        active = [places for size in self._sizes for places in combinations(range(self.m), int(size))]
        for row, places in zip(X, active, strict=True):
            row[list(places)] = 1
        return X, np.full(count, 1 / count)

    def rates(self, *, balanced: tuple[int, ...] = ()) -> np.ndarray:
        """Return the mean number of active inputs over m, shape (m,)."""
        self._refuse(balanced)
        return np.full(self.m, float(self._size_rates() @ self._sizes) / self.m)

    def _refuse(self, balanced: tuple[int, ...]) -> None:
        if not isinstance(balanced, (tuple, list)) or balanced:
            raise InputError(
                f"balanced must be empty for Sparse inputs, which are not independent, got {in_one_line(balanced)}; "
                "take Bernoulli inputs."
            )


@final
@dataclass(frozen=True)
class Signs(InputLaw):
    """Independent inputs, −1 or +1 with equal probability: every one is balanced already.

    Examples
    --------
    >>> X, _ = Signs(2).enumerate()
    >>> X.tolist()
    [[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]]
    """

    m: int

    def __post_init__(self) -> None:
        whole_number(self.m, "m", low=1)

    @property
    def independent(self) -> bool:
        """Inputs are independent."""
        return True

    def sample(self, n: int, rng: np.random.Generator, *, balanced: tuple[int, ...] = ()) -> np.ndarray:
        """Return n inputs of −1 and +1, shape (n, m)."""
        return 2 * Bernoulli(self.m).sample(n, rng, balanced=balanced) - 1

    def enumerate(self, *, balanced: tuple[int, ...] = ()) -> tuple[np.ndarray, np.ndarray]:
        """Return all 2^m inputs and their probabilities, which are equal; m is at most 16."""
        X, probabilities = Bernoulli(self.m).enumerate(balanced=balanced)
        return 2 * X - 1, probabilities

    def rates(self, *, balanced: tuple[int, ...] = ()) -> np.ndarray:
        """Return ½ for every input, shape (m,)."""
        return Bernoulli(self.m).rates(balanced=balanced)


def _all_bits(m: int) -> np.ndarray:
    if 1 << m > MOST_INPUTS:
        raise InputError(f"m must be at most 16 where all 2^m inputs are enumerated, got {m}; sample them.")
    return (np.arange(1 << m)[:, None] >> np.arange(m)[::-1] & 1).astype(np.float64)


def check_concepts(concepts: Sequence[int], m: int, name: str = "concepts") -> tuple[int, ...]:
    """Return different positions of inputs, each from 0 to m − 1, as a tuple."""
    if not isinstance(concepts, (tuple, list, np.ndarray)):
        raise InputError(f"{name} must be a tuple of positions of inputs, such as (0, 1), got {in_one_line(concepts)}.")
    places = tuple(whole_number(place, name, low=0) for place in concepts)
    if any(place >= m for place in places) or len(set(places)) < len(places):
        raise InputError(f"{name} must be different positions from 0 to {m - 1}, got {places}.")
    return places


def combine(X: np.ndarray, concepts: tuple[int, ...], ask: str, *, rates: np.ndarray | float = 0.5) -> np.ndarray:
    """Return labels made of some inputs.

    Parameters
    ----------
    X : array of shape (n, m)
        Inputs; one is on where it is above 0.
    concepts : tuple of int
        Positions of the inputs that are combined.
    ask : {"and", "or", "xor", "product"}
        All are on; any is; an odd number is; or the centred product Π (on_i − rate_i).
    rates : float or array of shape (m,), default 0.5
        How often each input is on, which "product" takes off.

    Returns
    -------
    array of shape (n,)
        Integers 0 and 1, or floats for "product".

    Notes
    -----
    Of two concepts, "and", "or" and "xor" are the centred product (times 1, −1, −2) and a linear
    function of the two. So "is the AND computed" asks whether the product can be read.

    Examples
    --------
    >>> X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    >>> combine(X, (0, 1), "xor").tolist(), combine(X, (0, 1), "product").tolist()
    ([0, 1, 1, 0], [0.25, -0.25, -0.25, 0.25])
    """
    X = as_numpy(X, "X")
    if X.ndim != 2 or X.dtype.kind not in "fiub":
        raise InputError(f"X must be numbers of shape (n, m), got {X.dtype} of shape {X.shape}.")
    places = list(check_concepts(concepts, X.shape[1]))
    if not places:
        raise InputError("concepts must name at least one input, got ().")
    on = X[:, places] > 0
    one_of(ask, "ask", ASKS)
    if ask == "product":
        return np.asarray(on - np.broadcast_to(rates, X.shape[1])[places]).prod(axis=1)
    if ask == "xor":
        return np.logical_xor.reduce(on, axis=1).astype(np.int64)
    reduce = np.logical_and.reduce if ask == "and" else np.logical_or.reduce
    return reduce(on, axis=1).astype(np.int64)
