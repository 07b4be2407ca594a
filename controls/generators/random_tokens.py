"""RandomTokens: every token drawn anew from a law of single tokens, so that no context is left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, final

import numpy as np

from controls.core.control import Inference
from controls.core.errors import CannotControl, InputError
from controls.core.problem import Problem
from controls.core.properties import Property, SameGroups, SameLabels
from controls.core.validate import one_of
from controls.generators.token_properties import SameLayout, TokenPlaces
from controls.generators.tokens import DrawnText, InputControl, as_ids, documents_of_tokens
from controls.models.tokens import Text, embedding_size


@final
@dataclass(frozen=True)
class RandomTokens(InputControl):
    """Puts a token drawn at random in the place of every token; lengths, padding and special tokens stay.

    Parameters
    ----------
    law : {"unigram", "uniform", "position"}
        "unigram": tokens as often as they occur in the text. "uniform": each token that occurs equally often.
        "position": at each position, the tokens that other sequences have at that position, as often as there.
    within : str, optional
        Of "unigram" and "uniform": the frequencies, or the tokens, are those of each "sequence", or of each
        member of a group that is constant within sequences. None: of the whole text.
    vocabulary : tuple of int, or int, optional
        Of "uniform": the token ids to draw from, instead of those that occur; V means 0 … V − 1.
    fixed : tuple of int
        Token ids that stay where they are, and are not drawn, such as a beginning of text that the inputs do not mark
        as special. Special tokens that they do mark are never drawn.

    Raises
    ------
    InputError
        No source, or one without token ids; a vocabulary that goes beyond the model's embedding.
    CannotControl
        There is one token only to draw, or ("position") no position has other sequences' tokens to draw.

    Notes
    -----
    Null hypothesis: given the labels, each token came from this law, independently of all others. A rank
    among such texts ("ensemble"): the law is estimated from the text itself, which is like none of them.
    Costs O(tokens) a draw, and one extraction.

    Examples
    --------
    >>> import numpy as np, controls as ct
    >>> ids = np.array([[4, 4, 4, 7], [4, 4, 5, 4]])
    >>> problem = ct.Problem(None, source=ct.Source(None, ids, lambda model, ids: np.eye(9)[ids.ravel()]))
    >>> ct.RandomTokens("uniform", vocabulary=9).draw(problem, np.random.default_rng(0)).source.inputs
    array([[8, 0, 7, 8],
           [1, 1, 0, 7]])
    """

    law: Literal["unigram", "uniform", "position"] = "unigram"
    within: str | None = None
    vocabulary: tuple[int, ...] | int | None = None
    fixed: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        one_of(self.law, "law", ("unigram", "uniform", "position"))
        if self.within is not None and (not isinstance(self.within, str) or not self.within):
            raise InputError(f"within must be 'sequence', the name of a group, or None, got {self.within!r}.")
        if self.within is not None and (self.law == "position" or self.vocabulary is not None):
            raise InputError("within goes with law='unigram', or 'uniform' without a vocabulary; leave it out.")
        object.__setattr__(self, "fixed", as_ids(self.fixed, "fixed"))
        if self.vocabulary is None:
            return
        if self.law != "uniform":
            raise InputError(f"vocabulary goes with law='uniform', got law={self.law!r}; leave it out.")
        if isinstance(self.vocabulary, (int, np.integer)) and not isinstance(self.vocabulary, bool):
            if self.vocabulary < 2:
                raise InputError(f"vocabulary must be at least 2 tokens, got {self.vocabulary}.")
        else:
            object.__setattr__(self, "vocabulary", as_ids(self.vocabulary, "vocabulary"))

    @property
    def inference(self) -> Inference:
        """A rank among an ensemble of texts."""
        return "ensemble"

    @property
    def _drawn(self) -> str:
        where = f" of its {self.within}" if self.within else ""
        if self.law == "position":
            return "as often as other sequences have them at its position"
        if self.law == "unigram":
            return f"as often as they occur in the text{where}"
        what = "those of a vocabulary" if self.vocabulary is not None else f"those that occur in the text{where}"
        return f"uniformly from {what}"

    @property
    def null(self) -> str:
        """The null hypothesis, as one sentence."""
        return f"Given the labels, every token was drawn by itself, {self._drawn}."

    @property
    def licenses(self) -> str:
        """What surviving this control licenses one to say, as one sentence."""
        return (
            f"The activations say more about the labels than those of texts whose tokens are drawn {self._drawn}: the "
            "text matters; which token, or its order, is not told apart."
        )

    @property
    def preserves(self) -> tuple[Property, ...]:
        """The layout, the labels and the groups."""
        return (SameLayout(self.fixed), SameLabels(), SameGroups())

    @property
    def destroys(self) -> tuple[Property, ...]:
        """Which token is where."""
        where = "position" if self.law == "position" else self.within or "sequence"
        return (TokenPlaces(where, self.fixed),)

    def check(self, problem: Problem) -> None:
        """Refuse a problem without tokens, a vocabulary that the model does not have, and laws of one token."""
        text, source = self.text(problem), self._source(problem)
        limit = embedding_size(source.model)
        highest = -1
        if self.vocabulary is not None:
            highest = self.vocabulary - 1 if isinstance(self.vocabulary, int) else max(self.vocabulary)
        if limit is not None and highest >= limit:
            raise InputError(
                f"vocabulary must have token ids below {limit}, the size of the model's embedding, got {highest}."
            )
        if self.law == "position":
            movable = len(self._positions(problem)[1])
        else:
            movable = int((self._sizes(problem, text) > 1).sum())
        if not movable:
            raise CannotControl(
                f"{self.name}(law={self.law!r}) can do nothing: there is one token only to draw from; give more text, "
                "or another law."
            )

    def _strata(self, problem: Problem, text: Text) -> np.ndarray:
        """Return which law each token is drawn from, as numbers 0 … k−1."""
        if self.within is None:
            return np.zeros(len(text.ids), dtype=np.int64)
        return np.unique(documents_of_tokens(problem, text, self.within), return_inverse=True)[1].ravel()

    def _sizes(self, problem: Problem, text: Text) -> np.ndarray:
        """Return the number of different tokens that each law has."""
        if self.vocabulary is not None:
            return np.array([len(self._vocabulary)])
        strata = self._strata(problem, text)
        pairs = np.unique(np.stack([strata, text.ids]), axis=1)
        return np.bincount(pairs[0])

    @property
    def _vocabulary(self) -> np.ndarray:
        given = np.arange(self.vocabulary) if isinstance(self.vocabulary, int) else np.array(self.vocabulary)
        return np.setdiff1d(given, self.fixed)

    def _positions(self, problem: Problem) -> tuple[np.ndarray, np.ndarray]:
        """Return the free tokens sorted by position, and those of them that have another sequence's to draw."""
        text = self.text(problem)
        order = np.argsort(text.position, kind="stable")
        return order, np.flatnonzero(np.bincount(text.position)[text.position[order]] > 1)

    def rewrite(self, problem: Problem, rng: np.random.Generator) -> DrawnText:
        """Return the text with every token drawn anew."""
        text = self.text(problem)
        if self.law == "position":
            ids = self._at_positions(problem, text, rng)
        elif self.vocabulary is not None:
            ids = self._vocabulary[rng.integers(len(self._vocabulary), size=len(text.ids))]
        else:
            strata = self._strata(problem, text)
            pool = np.stack([strata, text.ids])
            pool = np.unique(pool, axis=1) if self.law == "uniform" else pool[:, np.argsort(strata, kind="stable")]
            sizes = np.bincount(pool[0])
            first = np.cumsum(sizes) - sizes
            ids = pool[1][first[strata] + rng.integers(sizes[strata])]
        changed = float((ids != text.ids).mean())
        return DrawnText(text.written(ids), {"share of tokens changed": changed})

    def _at_positions(self, problem: Problem, text: Text, rng: np.random.Generator) -> np.ndarray:
        """Return, for each token, that of another sequence at its position, where there is one."""
        order, movable = self._positions(problem)
        at = text.position[order]
        first = np.searchsorted(at, at)
        sizes = np.bincount(at)[at]
        rank = np.arange(len(order)) - first
        ids = text.ids.copy()
        step = 1 + rng.integers(np.maximum(sizes - 1, 1))
        drawn = text.ids[order[first + (rank + step) % sizes]]
        ids[order[movable]] = drawn[movable]
        return ids
