"""Text: the tokens of a source's inputs that a control may move or replace, and the way back into inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np

from controls.core.errors import InputError, InputTypeError
from controls.core.problem import Problem

_ADVICE = "make the problem with ct.from_model(model, inputs, layer=...), or give ct.Source(model, ids, extract)"


@final
@dataclass(frozen=True, eq=False)
class Text:
    """The free tokens of some inputs, sequence by sequence: neither padding nor special.

    Parameters
    ----------
    inputs : object
        What they are the tokens of; it stays as it is.
    ids : int array of shape (P,)
        The token ids.
    sequence, position : int array of shape (P,)
        The sequence that each is in, and its place there.
    count : int
        Number of sequences S.
    words : int array of shape (P,), optional
        The number of the word that each belongs to, within its sequence; −1 for none.
    """

    inputs: Any
    ids: np.ndarray
    sequence: np.ndarray
    position: np.ndarray
    count: int
    words: np.ndarray | None = None

    def without(self, fixed: Sequence[int]) -> Text:
        """Return the text in which tokens of these ids are not free."""
        return self.taking(~np.isin(self.ids, fixed)) if len(fixed) else self

    def taking(self, free: np.ndarray) -> Text:
        """Return the text of which only these tokens (a mask) are free."""
        words = None if self.words is None else self.words[free]
        return replace(
            self, ids=self.ids[free], sequence=self.sequence[free], position=self.position[free], words=words
        )

    def written(self, ids: np.ndarray, words: Reordered | None = None) -> Any:
        """Return new inputs of the same kind with other ids at the free places; all else is as it was."""
        if isinstance(self.inputs, np.ndarray):
            array = self.inputs.copy()
            array[self.sequence, self.position] = ids
            return array
        if isinstance(self.inputs, (list, tuple)):
            return _as_list(self.inputs, ids, self.sequence, self.position)
        import torch

        given = self.inputs.ids
        array = given.clone()
        places = torch.from_numpy(self.sequence), torch.from_numpy(self.position)
        array[places] = torch.from_numpy(np.asarray(ids)).to(array)
        name = next(name for name, value in self.inputs.arrays.items() if value is given)
        changed = replace(self.inputs, arrays={**self.inputs.arrays, name: array})
        return changed if words is None else replace(changed, words=words.words, texts=words.texts)


@final
@dataclass(frozen=True, eq=False)
class Reordered:
    """Words that have changed places: their numbers by position (S, T), and the words themselves."""

    words: np.ndarray
    texts: list[list[str]] | None


def text_of(inputs: Any) -> Text:
    """Return the free tokens of what a model reads: ModelInputs, an int array (S, T), or a list of int arrays.

    Raises
    ------
    InputError, InputTypeError
        Anything else; empty sequences; negative ids.
    """
    if isinstance(inputs, np.ndarray):
        return _checked(_of_array(inputs))
    if isinstance(inputs, (list, tuple)):
        return _checked(_of_list(inputs))
    if hasattr(inputs, "arrays") and hasattr(inputs, "mask"):
        return _checked(_of_model_inputs(inputs))
    raise InputTypeError(f"the source's inputs must be token ids, got {type(inputs).__name__}; {_ADVICE}.")


def _checked(text: Text) -> Text:
    if len(text.ids) and text.ids.min() < 0:
        where = int(np.argmin(text.ids))
        raise InputError(
            f"token ids must be at least 0, got {int(text.ids[where])} in sequence {int(text.sequence[where])}."
        )
    return text


def _of_array(ids: np.ndarray) -> Text:
    if ids.dtype.kind not in "iu" or ids.ndim != 2:
        raise InputError(
            f"the source's inputs must be whole numbers (sequences, positions), which are token ids, got shape "
            f"{ids.shape} of {ids.dtype}; {_ADVICE}."
        )
    sequence, position = np.nonzero(np.ones(ids.shape, dtype=bool))
    return Text(ids, ids.ravel().astype(np.int64), sequence, position, len(ids))


def _of_list(sequences: Sequence[Any]) -> Text:
    parts = []
    for number, given in enumerate(sequences):
        part = np.asarray(given)
        if part.ndim != 1 or (part.dtype.kind not in "iu" and len(part)):
            raise InputError(
                f"the source's inputs must be arrays of token ids, which are whole numbers, but entry {number} has "
                f"shape {part.shape} of {part.dtype}."
            )
        if not len(part):
            raise InputError(f"the source's inputs must have no empty sequences, got one at {number}; drop it.")
        parts.append(part.astype(np.int64))
    if not parts:
        raise InputError("the source's inputs must hold at least one sequence of token ids, got none.")
    sizes = np.array([len(part) for part in parts])
    position = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return Text(sequences, np.concatenate(parts), np.repeat(np.arange(len(parts)), sizes), position, len(parts))


def _as_list(given: Any, ids: np.ndarray, sequence: np.ndarray, position: np.ndarray) -> Any:
    """Return copies of sequences with other ids at these places, each of its own kind."""
    bounds = np.searchsorted(sequence, np.arange(len(given) + 1))
    found = []
    for number, old in enumerate(given):
        new = np.array(old)
        own = slice(bounds[number], bounds[number + 1])
        new[position[own]] = ids[own]
        found.append(new if isinstance(old, np.ndarray) else type(old)(new.tolist()))
    return type(given)(found)


def _of_model_inputs(inputs: Any) -> Text:
    found = inputs.ids
    if found is None:
        shapes = {name: tuple(array.shape) for name, array in inputs.arrays.items()}
        raise InputError(
            f"the source's inputs must have token ids (sequences, positions), which are whole numbers, got {shapes}; "
            "give texts with tokenizer=, or an array of ids."
        )
    ids = found.cpu().numpy().astype(np.int64)
    free = np.ones(ids.shape, dtype=bool) if inputs.mask is None else inputs.mask
    if inputs.special is not None:
        free = free & ~inputs.special
    sequence, position = np.nonzero(free)
    words = None if inputs.words is None else inputs.words[sequence, position]
    return Text(inputs, ids[sequence, position], sequence, position, len(ids), words)


def embedding_size(model: Any) -> int | None:
    """Return how many tokens a torch model's embedding has; None where that cannot be told."""
    get = getattr(model, "get_input_embeddings", None)
    found = get() if callable(get) else None
    if found is None and hasattr(model, "modules"):
        sizes = [module for module in model.modules() if type(module).__name__ == "Embedding"]
        found = max(sizes, key=lambda module: module.num_embeddings, default=None)
    return getattr(found, "num_embeddings", None)


def tokens_of_rows(problem: Problem) -> np.ndarray | None:
    """Return the token id that the model read at each row, shape (n,); None where rows are not single tokens.

    Read from the source's inputs: after a control on inputs these are the drawn tokens, while the groups
    of the problem still say what was there before.
    """
    if problem.source is None or not {"token", "sequence", "position"} <= set(problem.groups):
        return None
    inputs = problem.source.inputs
    ids = getattr(inputs, "ids", inputs)
    sequence, position = problem.groups["sequence"], problem.groups["position"]
    if hasattr(ids, "cpu"):
        ids = ids.cpu().numpy()
    if isinstance(ids, np.ndarray) and ids.ndim == 2:
        return ids[sequence, position]
    if isinstance(ids, (list, tuple)):
        return np.array([int(ids[s][p]) for s, p in zip(sequence, position, strict=True)])
    return None
