"""ShuffleTokens: the same tokens, words or blocks in another order, runs of k of them kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, final

import numpy as np

from controls.core.control import Inference
from controls.core.errors import CannotControl, InputError
from controls.core.problem import Problem
from controls.core.properties import Property, SameGroups, SameLabels
from controls.core.validate import one_of, whole_number
from controls.generators.token_properties import SameLayout, TokenCounts, TokenOrder, TokenPlaces
from controls.generators.tokens import DrawnText, InputControl, as_ids, documents_of_tokens, rows_of_tokens
from controls.generators.units import Units, units_of
from controls.models.tokens import Text


@final
@dataclass(frozen=True)
class ShuffleTokens(InputControl):
    """Puts the tokens of each document in another order that keeps every run of ``keep`` tokens as often as it occurs.

    Each draw is uniform over all distinct orders that do so, and every document is drawn by itself.

    Parameters
    ----------
    within : str
        "sequence", or a group that is constant within sequences, such as "document": the sequences of a
        document are joined in their order, and tokens move among them.
    keep : int
        1: how often each token occurs. k ≥ 2: how often each run of k tokens does, within the document; its
        first and last k − 1 tokens then stay.
    block : int, optional
        Tokens move in whole blocks of so many, with ``keep=1``; what is left over at the end of a document stays.
    per : {"token", "word"}
        "word": whole words move, with all their tokens, and rows stay one per word; ``keep`` then counts
        words. Needs inputs that are lists of words, and ``within="sequence"``.
    labels : {"stay", "follow"}
        "stay": each position keeps its label and groups. "follow": the label, and the groups "token" and
        "word", go with the token (with ``keep`` k ≥ 2, with the run of k tokens that it ends).
    fixed : tuple of int
        Token ids that stay where they are, such as a beginning of text that the inputs do not mark as
        special. Padding and special tokens that they do mark always stay.

    Raises
    ------
    InputError
        No source, or one without token ids; a group that varies within a sequence; ``keep`` beyond the
        longest document.
    CannotControl
        No document has another order that keeps as much.

    Notes
    -----
    Null hypothesis: given the labels, every order of a document's tokens with these counts was equally
    probable; for tokens, any Markov chain of order ``keep`` − 1 is such a law. The test is exact. With
    ``labels="follow"`` the orders are those of tokens with their labels.

    Documents with one order only are left as they are, counted ("documents with one order"), and said in
    the caveats; orders are counted by the BEST theorem, in which those of tokens that recur are a
    determinant: O(r³) for r of them in a document, once. A draw costs O(tokens), about 0.05 µs each
    (measured), and one extraction.

    References
    ----------
    Altschul and Erickson (1985), Significance of nucleotide sequence alignments, on k-let shuffles.
    Propp and Wilson (1998), How to get a perfectly random sample, on uniform arborescences.

    Examples
    --------
    >>> import numpy as np, controls as ct
    >>> ids = np.random.default_rng(0).integers(3, size=(20, 12))
    >>> before = lambda model, ids: np.roll(np.eye(3)[ids], 1, axis=1).reshape(-1, 3)  # of the token before
    >>> source = ct.Source(None, ids, before)
    >>> problem = ct.Problem(None, np.roll(ids, 1, axis=1).ravel() == 0, source=source)
    >>> drawn = ct.ShuffleTokens(keep=2).draw(problem, np.random.default_rng(0))
    >>> bool((np.sort(drawn.source.inputs) == np.sort(ids)).all()), round(drawn.proof["share of tokens changed"], 2)
    (True, 0.39)
    """

    within: str = "sequence"
    keep: int = 1
    block: int | None = None
    per: Literal["token", "word"] = "token"
    labels: Literal["stay", "follow"] = "stay"
    fixed: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.within, str) or not self.within:
            raise InputError(f"within must be 'sequence' or the name of a group, got {self.within!r}.")
        whole_number(self.keep, "keep", low=1)
        one_of(self.per, "per", ("token", "word"))
        one_of(self.labels, "labels", ("stay", "follow"))
        if self.block is not None:
            whole_number(self.block, "block", low=2)
            if self.keep > 1 or self.per == "word":
                raise InputError("block goes with keep=1 and per='token' only; leave keep and per at their defaults.")
        if self.per == "word" and self.within != "sequence":
            raise InputError(
                f"within must be 'sequence' where words move, since words differ in length and sequences keep theirs, "
                f"got {self.within!r}."
            )
        object.__setattr__(self, "fixed", as_ids(self.fixed, "fixed"))

    @property
    def inference(self) -> Inference:
        """Exact: a draw is uniform over all that has the same counts."""
        return "exact"

    @property
    def _units(self) -> str:
        return "words" if self.per == "word" else "tokens" if self.block is None else f"blocks of {self.block} tokens"

    @property
    def _kept(self) -> str:
        return "counts" if self.keep == 1 else f"counts of runs of {self.keep}"

    @property
    def null(self) -> str:
        """The null hypothesis, as one sentence."""
        if self.labels == "follow":
            return (
                f"Every order of the {self._units} of a {self.within}, each with its label, that has the same "
                f"{self._kept} was equally probable."
            )
        return (
            f"Given the labels, every order of the {self._units} of a {self.within} that has the same {self._kept} was "
            "equally probable."
        )

    @property
    def licenses(self) -> str:
        """What surviving this control licenses one to say, as one sentence."""
        single = {"words": "word", "tokens": "token"}.get(self._units, f"block of {self.block} tokens")
        if self.labels == "follow":
            kept = (
                f"the {single} itself gives" if self.keep == 1 else f"a {single} and the {self.keep - 1} before it give"
            )
            return f"The activations tell more of a label than {kept}: they depend on the order beyond that."
        less = f"which {self._units} a {self.within} has"
        if self.keep > 1:
            less += f" and which runs of {self.keep} they form"
        return f"The activations say more about the labels than {less}: the order of {self._units} matters."

    @property
    def preserves(self) -> tuple[Property, ...]:
        """Counts, layout, and labels and groups where they stay."""
        stay: tuple[Property, ...] = (SameLabels(), SameGroups()) if self.labels == "stay" else ()
        if self.per == "word":
            return stay
        lets = tuple(TokenCounts(k, self.within, self.fixed) for k in sorted({1, self.keep}))
        return (*lets, SameLayout(self.fixed), *stay)

    @property
    def destroys(self) -> tuple[Property, ...]:
        """Which token is where; beyond runs, where these are kept."""
        if self.keep == 1 and self.block is None and self.per == "token":
            return (TokenPlaces(self.within, self.fixed),)
        return (TokenOrder(self.keep if self.block is None else self.block, self.fixed),)

    def check(self, problem: Problem) -> None:
        """Refuse a problem without tokens, ``keep`` beyond all documents, and texts with one order only."""
        units = self.units(problem)
        longest = int(np.diff(units.klets.starts).max(initial=0))
        if longest < self.keep:
            raise InputError(
                f"keep must be at most the length of the longest {self.within} ({longest} {self._units}), "
                f"got {self.keep}."
            )
        if self.labels == "follow":
            self._rows(problem, units)
        if self.log_count(problem) < 1e-6:
            raise CannotControl(
                f"{self.name} can do nothing: no {self.within} has another order of its {self._units} with the same "
                f"{self._kept}; take a smaller keep, or longer documents."
            )

    def units(self, problem: Problem) -> Units:
        """Return what moves, document by document; made once."""
        source = self._source(problem)
        groups = () if self.within == "sequence" else (problem.codes(self.within).tobytes(),)
        labels = (problem.labels.tobytes(),) if self.labels == "follow" and problem.labels is not None else ()
        return source.memo(("units", self, problem.n, *groups, *labels), lambda: self._made(problem))

    def _made(self, problem: Problem) -> Units:
        text = self.text(problem)
        document = documents_of_tokens(problem, text, self.within)
        if self.per == "word" and text.words is None:
            raise InputError("per='word' needs inputs that are lists of words, with a tokenizer; use per='token'.")
        units = units_of(text, document, keep=self.keep, block=self.block, words=self.per == "word")
        if self.labels == "stay" or problem.labels is None:
            return units
        rows = self._rows(problem, units)
        kinds = np.where(rows >= 0, np.unique(problem.labels, return_inverse=True)[1].ravel()[rows], -1)
        return units.labelled(kinds)

    def _rows(self, problem: Problem, units: Units) -> np.ndarray:
        """Return the row of each item that moves; refuse items without one."""
        text = self.text(problem)
        number = text.position if self.per == "token" else text.words
        assert number is not None
        rows = rows_of_tokens(problem, text, number)
        own = rows[units.places[units.first]]
        lost = np.flatnonzero(own < 0)
        if self.block is not None:
            return rows[units.places]
        if len(lost):
            raise InputError(
                f"labels='follow' needs a row for each of the {self._units} that move, but {len(lost)} have none; make "
                f"rows of {self._units} (pooling=), or let labels stay."
            )
        return own

    def rewrite(self, problem: Problem, rng: np.random.Generator) -> DrawnText:
        """Return the text in another order, with how much of it changed."""
        text, units = self.text(problem), self.units(problem)
        order = units.klets.order(rng)
        inputs, ids = units.written(text, order)
        rows = None
        if self.labels == "follow":
            own, rows = self._rows(problem, units), np.arange(problem.n)
            source = own[units.expanded(order)] if self.block is not None else own[order]
            rows[own] = source
        changed = float((ids != text.ids).mean())
        figures = {
            "documents": float(units.klets.size),
            "documents with one order": float((units.log_counts < 1e-6).sum()),
            "share of tokens changed": changed,
            "share of tokens as they were": 1.0 - changed,
        }
        return DrawnText(inputs, figures, rows)

    def log_count(self, problem: Problem) -> float:
        """Return the natural logarithm of the number of distinct draws."""
        return float(self.units(problem).log_counts.sum())

    def orbit(self, problem: Problem) -> TextOrbit:
        """Return the distinct texts; never more than counted, but by the test kit."""
        return TextOrbit(self.units(problem), self.text(problem))


@final
@dataclass(frozen=True, eq=False)
class TextOrbit:
    """The distinct texts that a shuffle can draw."""

    units: Units
    text: Text

    @property
    def log_count(self) -> float:
        """Natural logarithm of the number of distinct texts, that observed included."""
        return float(self.units.log_counts.sum())

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """Return the ids (P,) of one text, uniform over them."""
        return self.units.written(self.text, self.units.klets.order(rng))[1]

    def enumerate(self) -> Iterator[np.ndarray]:
        """Yield the ids (P,) of every distinct text, of words with the number of each token's word after them.

        For few only, whose labels do not tell equal tokens apart.
        """
        codes = self.units.klets.codes
        first = {int(code): item for item, code in reversed(list(enumerate(codes)))}
        for sequence in self.units.klets.enumerate():
            order = np.array([first[int(code)] for code in sequence])
            ids = self.text.ids.copy()
            ids[self.units.places] = self.text.ids[self.units.places[self.units.expanded(order)]]
            yield np.append(ids, self.units.numbers(self.text, order)) if self.units.words else ids
