"""k-let shuffles: uniform orders of documents of items that keep every run of k items as often as it occurs."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any, final

import numpy as np
from scipy.special import gammaln

_FEWEST = 1 << 16  # items for which a further thread is worth starting


@final
@dataclass(frozen=True, eq=False)
class Klets:
    """Documents of items, and the orders of them that keep all k-lets.

    Parameters
    ----------
    codes : int array of shape (P,)
        What each item is; items of one document are beside each other, in order.
    starts : int array of shape (D + 1,)
        Where each document begins, and P.
    k : int
        1 keeps how often each item occurs; k ≥ 2 keeps how often each run of k items does, and with that the
        first and the last k − 1 items of a document.
    kinds : int array of shape (P,), optional
        What goes with each item; None: nothing that tells equal items apart.

    Notes
    -----
    A draw costs a few passes over the items (measured: 5 to 20 million items a second and core), memory O(P).
    """

    codes: np.ndarray
    starts: np.ndarray
    k: int = 1
    kinds: np.ndarray | None = None

    @property
    def size(self) -> int:
        """Number of documents D."""
        return len(self.starts) - 1

    @cached_property
    def _document(self) -> np.ndarray:
        return np.repeat(np.arange(self.size), np.diff(self.starts))

    @cached_property
    def _runs(self) -> np.ndarray:
        """The number, among all documents, of the run of k − 1 items that begins at each item; −1 past the last."""
        return self._numbers(self.codes, self.k - 1)

    def _numbers(self, codes: np.ndarray, length: int) -> np.ndarray:
        """Return the runs of so many items as numbers that ascend with documents."""
        numbers = _joined(self._document, codes)
        single = np.unique(codes, return_inverse=True)[1].ravel()
        for ahead in range(1, length):
            following = np.full(len(codes), -1)
            inside = np.flatnonzero(self._document[ahead:] == self._document[: len(codes) - ahead])
            following[inside] = single[inside + ahead]
            numbers = np.where((following >= 0) & (numbers >= 0), numbers, -1)
            numbers[numbers >= 0] = _joined(numbers[numbers >= 0], following[numbers >= 0])
        return numbers

    @cached_property
    def _graph(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Nodes of each item within its document, where documents' nodes begin, exits of nodes, edges by exit."""
        from controls.generators._klet_kernels import sort_exits

        runs = self._runs
        valid = runs >= 0
        highest = np.full(self.size + 1, 0)
        document = self._document[valid]
        ends = np.flatnonzero(np.diff(document, append=-1))
        highest[document[ends] + 1] = np.maximum.reduceat(runs[valid], np.append(0, ends[:-1] + 1)) + 1
        offsets = np.maximum.accumulate(highest)
        nodes = np.where(valid, runs - offsets[self._document], 0).astype(np.int32)
        exits = np.empty(offsets[-1] + self.size, dtype=np.int32)
        edges = np.empty(len(runs), dtype=np.int32)
        sort_exits(self.k, self.starts, nodes, offsets, exits, edges)
        return nodes, offsets, exits, edges

    def order(self, rng: np.random.Generator) -> np.ndarray:
        """Return item indices (P,): place i takes item order[i], of its document; uniform over distinct sequences."""
        from controls.generators import _klet_kernels as kernels

        seeds = rng.integers(1 << 64, size=self.size, dtype=np.uint64)
        order = np.empty(len(self.codes), dtype=np.int64)
        if self.k == 1:
            self._share_out(lambda a, b: kernels.shuffle_items(seeds, self.starts, a, b, order))
        else:
            graph = self._graph
            self._share_out(lambda a, b: kernels.shuffle_klets(seeds, self.k, self.starts, *graph, a, b, order))
        return order

    def _share_out(self, work: Callable[[int, int], Any]) -> None:
        """Have documents worked on, in as many threads as the process uses otherwise; results do not depend on it."""
        threads = min(_threads(), max(1, len(self.codes) // _FEWEST))
        cuts = np.searchsorted(self.starts, np.linspace(0, len(self.codes), threads + 1)[1:-1])
        cuts = np.concatenate([[0], cuts, [self.size]])
        if threads == 1:
            work(0, self.size)
            return
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(work, cuts[:-1], cuts[1:]))

    @cached_property
    def log_counts(self) -> np.ndarray:
        """Natural logarithm of each document's number of distinct sequences, shape (D,) (BEST theorem for k ≥ 2)."""
        kinds = self.codes if self.kinds is None else _joined(self.codes, self.kinds)
        if self.k == 1:
            return gammaln(np.diff(self.starts) + 1) - self._log_repeats(_joined(self._document, kinds))
        from controls.generators._klet_kernels import log_trees

        nodes, offsets, exits, _ = self._graph
        found = np.empty(self.size)
        log_trees(self.k, self.starts, nodes, offsets, exits, found)
        edges = np.flatnonzero(self._runs[:-1] >= 0)
        edges = edges[(self._document[edges] == self._document[edges + 1]) & (self._runs[edges + 1] >= 0)]
        sources, counts = np.unique(self._runs[edges], return_counts=True)
        owner = self._document[edges[np.unique(self._runs[edges], return_index=True)[1]]]
        ends = {int(run) for run in self._runs[self._last_runs]}
        degree = np.array([count + (int(source) in ends) for source, count in zip(sources, counts, strict=True)])
        found += np.bincount(owner, gammaln(degree), minlength=self.size)
        lets = _joined(self._runs[edges], kinds[edges + self.k - 1])
        return found - self._log_repeats(lets, self._document[edges])

    @property
    def _last_runs(self) -> np.ndarray:
        """Where the last run of each document begins, of those that are long enough."""
        return (self.starts[1:] - self.k + 1)[np.diff(self.starts) >= self.k - 1]

    def _log_repeats(self, numbers: np.ndarray, document: np.ndarray | None = None) -> np.ndarray:
        """Return, for each document, the sum of log(c!) over the counts c of what it has."""
        document = self._document if document is None else document
        first, counts = np.unique(numbers, return_index=True, return_counts=True)[1:]
        return np.bincount(document[first], gammaln(counts + 1), minlength=self.size)

    def enumerate(self) -> Iterator[np.ndarray]:
        """Yield the codes (P,) of every distinct sequence of items, documents in all combinations; for few only."""
        yield from self._combined(0, self.codes.copy())

    def _combined(self, document: int, codes: np.ndarray) -> Iterator[np.ndarray]:
        if document == self.size:
            yield codes.copy()
            return
        start, stop = self.starts[document : document + 2]
        own = self.codes[start:stop].tolist()
        for sequence in sequences_with(own, self.k):
            codes[start:stop] = sequence
            yield from self._combined(document + 1, codes)
        codes[start:stop] = own


def sequences_with(items: list[int], k: int) -> Iterator[list[int]]:
    """Yield every distinct sequence with the first k − 1 items and the k-lets of this one; for few only."""
    left: dict[tuple[int, ...], int] = {}
    for i in range(len(items) - k + 1):
        let = tuple(items[i : i + k])
        left[let] = left.get(let, 0) + 1
    found = list(items[: k - 1])

    def extended() -> Iterator[list[int]]:
        if len(found) == len(items):
            yield list(found)
            return
        for item in sorted(set(items)):
            let = (*found[len(found) - k + 1 :], item)
            if left.get(let, 0):
                left[let] -= 1
                found.append(item)
                yield from extended()
                found.pop()
                left[let] += 1

    if len(items) < k:
        yield list(items)
    else:
        yield from extended()


def _joined(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return pairs as numbers 0 … m−1 that ascend with the first of the pair."""
    b = b - b.min() if len(b) else b
    width = int(b.max()) + 1 if len(b) else 1
    if len(a) and int(a.max()) >= (1 << 62) // width:
        b = np.unique(b, return_inverse=True)[1].ravel()
        width = int(b.max()) + 1
    return np.unique(a.astype(np.int64) * width + b, return_inverse=True)[1].ravel()


def _threads() -> int:
    """Return the number of threads that torch uses, where it is loaded; else what OMP_NUM_THREADS says, or all."""
    if "torch" in sys.modules:
        return sys.modules["torch"].get_num_threads()
    said = os.environ.get("OMP_NUM_THREADS", "")
    return int(said) if said.isdigit() and int(said) else os.cpu_count() or 1
