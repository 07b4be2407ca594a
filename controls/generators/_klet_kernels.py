"""Compiled kernels of k-let shuffles; importing this file loads numba.

Documents are handled one by one with a seed each, so that results depend on neither order nor threads.
Kernels release the interpreter's lock: callers share documents out over threads of their own.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from controls.generators._random_kernels import below, compiled


@compiled
def shuffle_items(seeds: np.ndarray, starts: np.ndarray, first: int, last: int, order: np.ndarray) -> None:
    """Write, for documents first … last−1, a uniform order of their items."""
    state = np.empty(1, np.uint64)
    for document in range(first, last):
        state[0] = seeds[document]
        start, stop = starts[document], starts[document + 1]
        for i in range(start, stop):
            order[i] = i
        for i in range(stop - 1, start, -1):
            j = start + below(state, i - start + 1)
            order[i], order[j] = order[j], order[i]


@compiled
def sort_exits(
    k: int, starts: np.ndarray, nodes: np.ndarray, offsets: np.ndarray, exits: np.ndarray, edges: np.ndarray
) -> None:
    """Write each document's edges by the node that they leave, and where the exits of each node begin.

    The edge i of a document leads from its node i to its node i + 1. ``exits`` has one entry more than a
    document has nodes, at ``offsets[document] + document``.
    """
    for document in range(len(starts) - 1):
        start, count = starts[document], starts[document + 1] - starts[document] - k + 1
        base, size = offsets[document] + document, offsets[document + 1] - offsets[document]
        for u in range(size + 1):
            exits[base + u] = 0
        for i in range(count):
            exits[base + nodes[start + i] + 1] += 1
        for u in range(size):
            exits[base + u + 1] += exits[base + u]
        for i in range(count - 1, -1, -1):  # the last exit of a node is filled first: exits[u] moves to where u begins
            u = nodes[start + i]
            exits[base + u + 1] -= 1
            edges[start + exits[base + u + 1]] = i
        for u in range(size):  # exits[u + 1] is now where u begins
            exits[base + u] = exits[base + u + 1]
        exits[base + size] = max(count, 0)


@compiled
def _arborescence(state: Any, nodes: Any, exits: Any, edges: Any, chosen: Any, inside: Any, root: int) -> None:
    """Choose the last exit of every node but the root: a uniform arborescence to it (Wilson's loop-erased walks)."""
    for u in range(len(inside)):
        inside[u] = False
    inside[root] = True
    for begin in range(len(inside)):
        u = begin
        while not inside[u]:
            place = exits[u] + below(state, exits[u + 1] - exits[u])
            chosen[u] = place
            u = nodes[edges[place] + 1]
        u = begin
        while not inside[u]:
            inside[u] = True
            u = nodes[edges[chosen[u]] + 1]


@compiled
def _shuffle_exits(state: Any, exits: Any, edges: Any, chosen: Any, root: int) -> None:
    """Shuffle the exits of every node, the chosen one last."""
    for u in range(len(exits) - 1):
        low, high = exits[u], exits[u + 1]
        if u != root:
            high -= 1
            edges[chosen[u]], edges[high] = edges[high], edges[chosen[u]]
        for i in range(high - 1, low, -1):
            j = low + below(state, i - low + 1)
            edges[i], edges[j] = edges[j], edges[i]


@compiled
def shuffle_klets(
    seeds: np.ndarray,
    k: int,
    starts: np.ndarray,
    nodes: np.ndarray,
    offsets: np.ndarray,
    exits: np.ndarray,
    edges: np.ndarray,
    first: int,
    last: int,
    order: np.ndarray,
) -> None:
    """Write, for documents first … last−1, an order of their items, uniform over those that keep all k-lets, k ≥ 2.

    An arborescence of last exits, the other exits shuffled, then the Euler walk from the first node: each
    walk over distinct edges has the same probability, and each distinct sequence the same number of walks.
    """
    most, widest = 0, 0
    for document in range(first, last):
        most = max(most, starts[document + 1] - starts[document])
        widest = max(widest, offsets[document + 1] - offsets[document])
    own, chosen = np.empty(most, edges.dtype), np.empty(widest, np.int64)
    taken, inside, state = np.empty(widest, np.int64), np.empty(widest, np.bool_), np.empty(1, np.uint64)
    for document in range(first, last):
        start, stop = starts[document], starts[document + 1]
        count, size = stop - start - k + 1, offsets[document + 1] - offsets[document]
        for i in range(start, min(stop, start + k - 1)):
            order[i] = i
        if count < 1:
            continue
        state[0] = seeds[document]
        base = offsets[document] + document
        path, doors = nodes[start : start + count + 1], exits[base : base + size + 1]
        own[:count] = edges[start : start + count]
        root = path[count]
        _arborescence(state, path, doors, own, chosen, inside[:size], root)
        _shuffle_exits(state, doors, own, chosen, root)
        taken[:size] = doors[:size]
        u = path[0]
        for step in range(count):
            edge = own[taken[u]]
            taken[u] += 1
            order[start + step + k - 1] = start + edge + k - 1
            u = path[edge + 1]


@compiled
def log_trees(
    k: int, starts: np.ndarray, nodes: np.ndarray, offsets: np.ndarray, exits: np.ndarray, found: np.ndarray
) -> None:
    """Write the logarithm of each document's number of arborescences to its last node (matrix-tree theorem).

    Nodes with one exit have no choice: they are passed over, so that the matrix has only those that recur.
    """
    for document in range(len(starts) - 1):
        start, count = starts[document], starts[document + 1] - starts[document] - k + 1
        size, base = offsets[document + 1] - offsets[document], offsets[document] + document
        found[document] = 0.0
        if count < 1:
            continue
        root = nodes[start + count]
        row = np.full(size, -1, np.int64)
        several = 0
        for u in range(size):
            if u != root and exits[base + u + 1] - exits[base + u] > 1:
                row[u] = several
                several += 1
        if several == 0:
            continue
        ahead = np.empty(count + 1, np.int64)  # the first place from here on where there is a choice, or the root
        ahead[count] = count
        for i in range(count - 1, -1, -1):
            u = nodes[start + i]
            ahead[i] = i if row[u] >= 0 or u == root else ahead[i + 1]
        matrix = np.zeros((several, several))
        for i in range(count):
            u = row[nodes[start + i]]
            if u < 0:
                continue
            matrix[u, u] += 1.0
            v = row[nodes[start + ahead[i + 1]]]
            if v >= 0:
                matrix[u, v] -= 1.0
        found[document] = np.linalg.slogdet(matrix)[1]
