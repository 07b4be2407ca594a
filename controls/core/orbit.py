"""Orbits: the distinct relabelings that a group of permutations makes, drawn, counted and enumerated.

A permutation group here is a tree (after Winkler et al. 2015, Multi-level block permutation):
blocks within blocks, rows innermost, and at each level siblings of one shape may trade places or
may not. Free, within-group, whole-group and nested shuffles are all such trees.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from scipy.special import gammaln

_EXACT_BELOW = 50.0  # log count up to which the count is also given as an exact integer


class Orbit(Protocol):
    """The distinct relabelings that one restriction allows for one problem."""

    @property
    def log_count(self) -> float:
        """Natural logarithm of the number of distinct relabelings, identity included."""
        ...

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """Return one relabeling, uniform over the group, identity included."""
        ...

    def enumerate(self) -> Iterator[np.ndarray]:
        """Yield every distinct relabeling once, the identity first."""
        ...


class IndexOrbit(Orbit, Protocol):
    """An orbit of relabelings that permute rows, or copy labels from rows."""

    @property
    def places(self) -> np.ndarray:
        """The set of places that each row can be sent to, as numbers 0 … k−1, shape (n,)."""
        ...

    def order(self, rng: np.random.Generator) -> np.ndarray:
        """Return row indices, uniform over the group: relabeled row i takes the label of row order[i]."""
        ...


def count_of(orbit: Orbit) -> float:
    """Return the number of distinct relabelings (exact below e^50, infinity where a float overflows)."""
    if orbit.log_count < _EXACT_BELOW:
        return float(round(math.exp(orbit.log_count)))
    return math.exp(orbit.log_count) if orbit.log_count < 700 else math.inf


@dataclass(frozen=True, eq=False)
class TreeOrbit:
    """Relabelings by permuting a tree of blocks.

    Parameters
    ----------
    labels : array of shape (n,)
        What is permuted.
    levels : sequence of (codes, exchange)
        From the outermost blocks to the innermost: the block of each row, and whether sibling
        blocks of one shape may trade places. Blocks must be nested.
    rows : bool
        Whether rows may trade places within their innermost block.

    Notes
    -----
    A draw costs O(n log n), counting O(n log n), enumeration O(n) a relabeling.
    """

    labels: np.ndarray
    levels: tuple[tuple[np.ndarray, bool], ...] = ()
    rows: bool = True

    # -- drawing ---------------------------------------------------------------------------------

    def order(self, rng: np.random.Generator) -> np.ndarray:
        """Return row indices, uniform over the group: relabeled row i takes the label of row order[i]."""
        sorter = self._sorter
        order = np.arange(len(sorter))
        if self.rows:
            order = np.argsort(rng.random(len(sorter)))
            if self._blocks:
                order = order[np.argsort(self._row_parent[order], kind="stable")]
        for level in reversed(range(len(self.levels))):
            if self.levels[level][1]:
                order = order[self._moved_rows(level, rng)]
        result = np.empty_like(sorter)
        result[sorter] = sorter[order]
        return result

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """Return one relabeling, uniform over the group, identity included."""
        return self.labels[self.order(rng)]

    def _moved_rows(self, level: int, rng: np.random.Generator) -> np.ndarray:
        """Return sorted-row indices after sibling blocks of one shape have traded places."""
        blocks = self._blocks[level]
        source = np.empty(len(blocks.start), dtype=np.int64)
        source[np.argsort(blocks.kind, kind="stable")] = np.lexsort((rng.random(len(blocks.start)), blocks.kind))
        offset = np.arange(len(self._sorter)) - blocks.start[blocks.of_row]
        return blocks.start[source][blocks.of_row] + offset

    # -- structure -------------------------------------------------------------------------------

    @cached_property
    def _sorter(self) -> np.ndarray:
        """Rows sorted by their path through the tree, in the order given within a block."""
        keys = [codes for codes, _ in reversed(self.levels)]
        return np.lexsort(keys) if keys else np.arange(len(self.labels))

    @cached_property
    def _row_parent(self) -> np.ndarray:
        """The innermost block of each sorted row."""
        return self._blocks[-1].of_row if self._blocks else np.zeros(len(self._sorter), dtype=np.int64)

    @cached_property
    def _blocks(self) -> list[_Blocks]:
        """Blocks of each level, outermost first, with their kinds (one parent and shape each)."""
        of_row, parents = [], np.zeros(len(self._sorter), dtype=np.int64)
        for codes, _ in self.levels:
            pair = np.stack([parents, codes[self._sorter]])
            parents = np.concatenate([[0], np.cumsum((pair[:, 1:] != pair[:, :-1]).any(axis=0))])
            of_row.append(parents)
        blocks: list[_Blocks] = []
        shapes: list[tuple] = [()] * len(self._sorter)
        child_of_row = np.arange(len(self._sorter))
        for level in reversed(range(len(of_row))):
            start = np.flatnonzero(np.diff(of_row[level], prepend=-1))
            first_child = child_of_row[start]
            ends = np.append(first_child[1:], child_of_row[-1] + 1)
            ids: dict[tuple, int] = {}
            if level == len(of_row) - 1:  # children are rows: the shape is their number
                shapes = [(int(b - a),) for a, b in zip(first_child, ends, strict=True)]
            else:
                shapes = [tuple(shapes[a:b]) for a, b in zip(first_child, ends, strict=True)]
            shape_id = np.array([ids.setdefault(shape, len(ids)) for shape in shapes])
            shapes = [(int(i),) for i in shape_id]
            parent = of_row[level - 1][start] if level else np.zeros(len(start), dtype=np.int64)
            kind = np.unique(np.stack([parent, shape_id]), axis=1, return_inverse=True)[1].ravel()
            blocks.append(_Blocks(start, of_row[level], parent, shape_id, kind))
            child_of_row = of_row[level]
        return blocks[::-1]

    @cached_property
    def places(self) -> np.ndarray:
        """The set of places that each row can be sent to, as numbers 0 … k−1, shape (n,).

        A uniform draw sends a row to every place of its set equally often.
        """
        reach = np.zeros(1, dtype=np.int64)  # of each block one level up; at first, of the tree as a whole
        for blocks, (_, exchange) in zip(self._blocks, self.levels, strict=True):
            among = blocks.shape if exchange else _rank_within(blocks.parent)
            reach = _joint_codes(reach[blocks.parent], among)
        among = np.zeros(len(self._sorter), dtype=np.int64) if self.rows else _rank_within(self._row_parent)
        places = np.empty(len(self._sorter), dtype=np.int64)
        places[self._sorter] = _joint_codes(reach[self._row_parent], among)
        return places

    # -- counting --------------------------------------------------------------------------------

    @property
    def log_count(self) -> float:
        """Natural logarithm of the number of distinct relabelings, identity included."""
        return self._log_count

    @cached_property
    def _log_count(self) -> float:
        types = np.unique(self.labels[self._sorter], return_inverse=True)[1].ravel()
        shapes = np.zeros(len(types), dtype=np.int64)
        parents = [*[block.parent for block in self._blocks], self._row_parent]
        exchanges = [*[exchange for _, exchange in self.levels], self.rows]
        total = 0.0
        for level in reversed(range(len(parents))):
            parent, exchange = parents[level], exchanges[level]
            if exchange:
                total += _log_arrangements(parent, shapes, types)
            types = _parent_types(parent, shapes, types, exchange)
            shapes = self._blocks[level - 1].shape if level else np.zeros(1, dtype=np.int64)
        return float(total)

    # -- enumerating -----------------------------------------------------------------------------

    def enumerate(self) -> Iterator[np.ndarray]:
        """Yield every distinct relabeling once, the identity first."""
        yield self.labels
        sorter, labels = self._sorter, self.labels
        for arrangement in self._arrangements(0, 0):
            relabeled = np.empty_like(labels)
            relabeled[sorter] = labels[sorter[list(arrangement)]]
            if not np.array_equal(relabeled, labels):
                yield relabeled

    def _arrangements(self, level: int, block: int) -> Iterator[tuple[int, ...]]:
        """Yield the distinct arrangements of the sorted rows of one block (level 0, block 0: all)."""
        parents = [*[blocks.parent for blocks in self._blocks], self._row_parent]
        children = np.flatnonzero(parents[level] == block)
        if level == len(self.levels):
            options = self._orders(children, level) if self.rows else iter([tuple(children.tolist())])
            yield from options
            return
        exchange = self.levels[level][1]
        orders = self._orders(children, level) if exchange else iter([tuple(children.tolist())])
        for order in orders:
            inner = [tuple(self._arrangements(level + 1, int(child))) for child in order]
            for choice in itertools.product(*inner):
                yield tuple(itertools.chain.from_iterable(choice))

    def _orders(self, children: np.ndarray, level: int) -> Iterator[tuple[int, ...]]:
        """Yield the distinct orders of siblings: those of one shape and type are interchangeable."""
        shapes = self._blocks[level].shape[children] if level < len(self.levels) else np.zeros(len(children), int)
        types = [self._type(level, int(child)) for child in children]
        places = [np.flatnonzero(shapes == shape) for shape in np.unique(shapes)]
        per_shape = [list(_distinct_orders([types[i] for i in place])) for place in places]
        for picks in itertools.product(*per_shape):
            order = np.empty(len(children), dtype=np.int64)
            for place, pick in zip(places, picks, strict=True):
                order[place] = children[place[list(pick)]]
            yield tuple(order.tolist())

    def _type(self, level: int, child: int) -> tuple:
        """Return a canonical form of a labelled subtree: equal where the group maps one onto the other."""
        if level == len(self.levels):
            return (self.labels[self._sorter[child]].item(),)
        parents = [*[blocks.parent for blocks in self._blocks], self._row_parent][level + 1]
        exchange = [*[exchange for _, exchange in self.levels], self.rows][level + 1]
        below = np.flatnonzero(parents == child)
        forms = [self._type(level + 1, int(i)) for i in below]
        if not exchange:
            return tuple(forms)
        shapes = self._blocks[level + 1].shape[below] if level + 1 < len(self.levels) else np.zeros(len(below), int)
        return tuple(sorted(zip(shapes.tolist(), forms, strict=True)))


@dataclass(frozen=True)
class _Blocks:
    start: np.ndarray  # first sorted row of each block
    of_row: np.ndarray  # block of each sorted row
    parent: np.ndarray  # block one level up
    shape: np.ndarray  # blocks of one shape have the same tree below them
    kind: np.ndarray  # siblings of one shape: these may trade places


def _joint_codes(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return pairs as numbers 0 … k−1."""
    return np.unique(np.stack([a, b]), axis=1, return_inverse=True)[1].ravel()


def _rank_within(parent: np.ndarray) -> np.ndarray:
    """Return the position of each item among those of its parent, for items sorted by parent."""
    return np.arange(len(parent)) - np.searchsorted(parent, parent)


def _log_arrangements(parent: np.ndarray, shapes: np.ndarray, types: np.ndarray) -> float:
    """Return the sum over parents and shapes of log(m! / prod k_t!)."""
    classes = np.unique(np.stack([parent, shapes]), axis=1, return_counts=True)[1]
    repeats = np.unique(np.stack([parent, shapes, types]), axis=1, return_counts=True)[1]
    return float(gammaln(classes + 1).sum() - gammaln(repeats + 1).sum())


def _parent_types(parent: np.ndarray, shapes: np.ndarray, types: np.ndarray, exchange: bool) -> np.ndarray:
    """Return a number per parent, the same for parents whose children are the same up to the group."""
    order = np.lexsort((types, shapes, parent)) if exchange else np.arange(len(parent))
    ends = np.flatnonzero(np.diff(parent[order])) + 1
    pairs = np.stack([shapes[order], types[order]], axis=1)
    ids: dict[bytes, int] = {}
    return np.array([ids.setdefault(part.tobytes(), len(ids)) for part in np.split(pairs, ends)])


def _distinct_orders(types: Sequence[tuple]) -> Iterator[tuple[int, ...]]:
    """Yield the distinct orders of items given by type; the k-th place of a type gets its k-th item."""
    items: dict[tuple, list[int]] = {}
    for i, kind in enumerate(types):
        items.setdefault(kind, []).append(i)
    for word in _words(types):
        used: Counter = Counter()
        order = []
        for kind in word:
            order.append(items[kind][used[kind]])
            used[kind] += 1
        yield tuple(order)


def _words(letters: Sequence[tuple]) -> Iterator[list[tuple]]:
    """Yield every distinct word of these letters, in dictionary order; no recursion, so any length will do."""
    rank = {letter: i for i, letter in enumerate(dict.fromkeys(letters))}
    alphabet, word = list(rank), sorted(rank[letter] for letter in letters)
    while True:
        yield [alphabet[i] for i in word]
        pivot = len(word) - 2
        while pivot >= 0 and word[pivot] >= word[pivot + 1]:
            pivot -= 1
        if pivot < 0:
            return
        swap = len(word) - 1
        while word[swap] <= word[pivot]:
            swap -= 1
        word[pivot], word[swap] = word[swap], word[pivot]
        word[pivot + 1 :] = word[:pivot:-1]


@dataclass(frozen=True, eq=False)
class ExpandedOrbit:
    """Relabelings of whole groups whose label is constant: group labels permuted, then given to every row."""

    groups: TreeOrbit  # one row per group
    of_row: np.ndarray  # the group of each row
    first_row: np.ndarray  # a row of each group

    @property
    def log_count(self) -> float:
        """Natural logarithm of the number of distinct relabelings, identity included."""
        return self.groups.log_count

    @property
    def places(self) -> np.ndarray:
        """The set of groups that each row's group can be sent to, as numbers 0 … k−1, shape (n,)."""
        return self.groups.places[self.of_row]

    def order(self, rng: np.random.Generator) -> np.ndarray:
        """Return row indices: every row of a group takes the label of one other group."""
        return self.first_row[self.groups.order(rng)][self.of_row]

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """Return one relabeling, uniform over the group, identity included."""
        return self.groups.draw(rng)[self.of_row]

    def enumerate(self) -> Iterator[np.ndarray]:
        """Yield every distinct relabeling once, the identity first."""
        return (labels[self.of_row] for labels in self.groups.enumerate())


@dataclass(frozen=True, eq=False)
class SignOrbit:
    """Relabelings by changing the sign of the labels of whole groups."""

    labels: np.ndarray
    of_row: np.ndarray  # the group of each row

    @cached_property
    def _movable(self) -> np.ndarray:
        """Groups with a label other than zero: only these change with their sign."""
        return np.unique(self.of_row[self.labels != 0])

    @property
    def log_count(self) -> float:
        """Natural logarithm of the number of distinct relabelings, identity included."""
        return len(self._movable) * math.log(2.0)

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """Return one relabeling, uniform over the signs, identity included."""
        signs = rng.choice(np.array([-1, 1]), size=int(self.of_row.max()) + 1)
        return self.labels * signs[self.of_row] + 0  # + 0: no negative zeros

    def enumerate(self) -> Iterator[np.ndarray]:
        """Yield every distinct relabeling once, the identity first."""
        for signs in itertools.product([1, -1], repeat=len(self._movable)):
            all_signs = np.ones(int(self.of_row.max()) + 1, dtype=np.int64)
            all_signs[self._movable] = signs
            yield self.labels * all_signs[self.of_row] + 0
