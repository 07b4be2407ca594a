"""Units of a text that move as one: tokens, blocks of them, or words."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, final

import numpy as np

from controls.generators.klets import Klets
from controls.models.tokens import Reordered, Text


@final
@dataclass(frozen=True, eq=False)
class Units:
    """Items that move whole, document by document.

    Parameters
    ----------
    klets : Klets
        The items and their documents.
    places : int array of shape (P,)
        The free tokens that items are made of, as places in the text, item by item.
    first, sizes : int array of shape (items,)
        Where in ``places`` each item begins, and how many tokens it has.
    words : bool
        Whether items are words.
    """

    klets: Klets
    places: np.ndarray
    first: np.ndarray
    sizes: np.ndarray
    words: bool = False

    @cached_property
    def log_counts(self) -> np.ndarray:
        """Natural logarithm of each document's number of distinct orders."""
        return self.klets.log_counts

    def labelled(self, kinds: np.ndarray) -> Units:
        """Return the units whose tokens, or words, have a label each, which tells equal ones apart."""
        if len(kinds) != len(self.klets.codes):  # of tokens that move in blocks
            kinds = runs_as_numbers(kinds, self.first, self.sizes)
        return replace(self, klets=replace(self.klets, kinds=kinds))

    def expanded(self, order: np.ndarray) -> np.ndarray:
        """Return, for each of ``places``, which of them comes there where items are in this order."""
        if len(order) == len(self.places):
            return order
        sizes = self.sizes[order]
        within = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        return np.repeat(self.first[order], sizes) + within

    def written(self, text: Text, order: np.ndarray) -> tuple[Any, np.ndarray]:
        """Return the inputs with items in this order, and the ids (P,) of all free tokens."""
        source = self.expanded(order)
        ids = text.ids.copy()
        ids[self.places] = text.ids[self.places[source]]
        return text.written(ids, self._words(text, order) if self.words else None), ids

    def numbers(self, text: Text, order: np.ndarray) -> np.ndarray:
        """Return the number of each free token's word, shape (P,), where words are in this order."""
        assert text.words is not None
        numbers = text.words.copy()
        numbers[self.places] = np.repeat(text.words[self.places[self.first]], self.sizes[order])
        return numbers

    def _words(self, text: Text, order: np.ndarray) -> Reordered:
        """Return the numbers of words by position, ascending as before, and the words in their new order."""
        given, at = text.inputs, self.places[self.first]
        assert text.words is not None
        number, sequence = text.words[at], text.sequence[at]
        words = given.words.copy()
        words[text.sequence, text.position] = self.numbers(text, order)
        if given.texts is None:
            return Reordered(words, None)
        texts = [list(part) for part in given.texts]
        for new, old in zip(range(len(order)), order.tolist(), strict=True):
            texts[sequence[new]][number[new]] = given.texts[sequence[old]][number[old]]
        return Reordered(words, texts)


def units_of(text: Text, document: np.ndarray, *, keep: int, block: int | None, words: bool) -> Units:
    """Return what moves of a text whose free tokens are in these documents."""
    places = np.argsort(document, kind="stable")
    if words:
        assert text.words is not None
        places = places[text.words[places] >= 0]
    documents = document[places]
    begins = np.flatnonzero(np.diff(documents, prepend=-1) != 0)
    offset = np.arange(len(places)) - np.repeat(begins, np.diff(np.append(begins, len(places))))
    if words:
        assert text.words is not None
        number = text.words[places]
        first = np.flatnonzero((np.diff(number, prepend=-2) != 0) | (offset == 0))
    elif block is not None:
        length = np.repeat(np.diff(np.append(begins, len(places))), np.diff(np.append(begins, len(places))))
        whole = offset < length // block * block
        places, documents, offset = places[whole], documents[whole], offset[whole]
        first = np.flatnonzero(offset % block == 0)
    else:
        first = np.arange(len(places))
    sizes = np.diff(np.append(first, len(places)))
    codes = text.ids[places] if len(first) == len(places) else runs_as_numbers(text.ids[places], first, sizes)
    starts = np.append(np.flatnonzero(np.diff(documents[first], prepend=-1) != 0), len(first))
    return Units(Klets(codes, starts, keep), places, first, sizes, words)


def runs_as_numbers(values: np.ndarray, first: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Return one number for each run of values, the same for runs that are the same."""
    known: dict[bytes, int] = {}
    ends = first + sizes
    return np.array(
        [known.setdefault(values[a:b].tobytes(), len(known)) for a, b in zip(first, ends, strict=True)], dtype=np.int64
    )
