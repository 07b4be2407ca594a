"""ModelInputs: what a model reads, as tensors, and which of its positions are words, padding or special tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch

from controls.core.errors import InputError, InputTypeError

_ANY_LENGTH = 1 << 20  # tokenizers without a longest input name one beyond this


@final
@dataclass(frozen=True, eq=False)
class ModelInputs:
    """What a model reads, one sequence (or image, or row) after the other.

    Parameters
    ----------
    arrays : mapping of str to tensor of shape (S, ...)
        Arguments of the model's forward; the name "" is its first, given by position.
    mask : bool array of shape (S, T), optional
        Which positions hold something, rather than padding.
    special : bool array of shape (S, T), optional
        Which positions hold tokens that the tokenizer added.
    words : int array of shape (S, T), optional
        The number of the word that each position belongs to, within its sequence; −1 for none.
    texts : sequence of list of str, optional
        The words themselves.
    """

    arrays: Mapping[str, torch.Tensor]
    mask: np.ndarray | None = None
    special: np.ndarray | None = None
    words: np.ndarray | None = None
    texts: Sequence[list[str]] | None = None

    def __len__(self) -> int:
        """Return the number of sequences S."""
        return len(next(iter(self.arrays.values())))

    @property
    def ids(self) -> torch.Tensor | None:
        """The token ids (S, T), where there are some."""
        found = self.arrays.get("input_ids", self.arrays.get(""))
        return found if found is not None and found.ndim == 2 and not found.is_floating_point() else None

    def shortest(self, count: int) -> np.ndarray:
        """Return the places of the shortest few sequences, in order."""
        return np.sort(np.argsort(self.lengths(), kind="stable")[:count])

    def first(self, count: int) -> ModelInputs:
        """Return the shortest few sequences."""
        return self.take(self.shortest(count))

    def spread(self, count: int) -> ModelInputs:
        """Return so many sequences, evenly spread over all lengths."""
        order = np.argsort(self.lengths(), kind="stable")
        return self.take(np.unique(order[np.linspace(0, len(order) - 1, min(count, len(order))).astype(int)]))

    def take(self, which: np.ndarray) -> ModelInputs:
        """Return the sequences at these places."""
        places = torch.from_numpy(which)
        mask, special, words = (None if part is None else part[which] for part in (self.mask, self.special, self.words))
        texts = None if self.texts is None else [self.texts[place] for place in which]
        return ModelInputs({name: array[places] for name, array in self.arrays.items()}, mask, special, words, texts)

    def lengths(self) -> np.ndarray:
        """Return how many positions of each sequence come before the padding at its end, shape (S,)."""
        if self.mask is None:
            return np.zeros(len(self), dtype=np.int64)
        return self.mask.shape[1] - np.argmax(self.mask[:, ::-1], axis=1)

    def batch(self, which: np.ndarray, device: torch.device) -> tuple[dict[str, torch.Tensor], int]:
        """Return the arguments for some sequences, without the padding at the end of all, and how long they are."""
        places = torch.from_numpy(which)
        if self.mask is None:
            return {name: array[places].to(device) for name, array in self.arrays.items()}, 0
        width, longest = self.mask.shape[1], int(self.lengths()[which].max())
        arguments = {}
        for name, array in self.arrays.items():
            part = array[places]
            with_mask = part.ndim > 1 and part.shape[1] == width and not name.startswith("decoder_")
            arguments[name] = (part[:, :longest] if with_mask else part).to(device)
        return arguments, longest


def as_inputs(inputs: Any, tokenizer: Any, *, truncation: bool) -> ModelInputs:
    """Return what a user gives as inputs: texts or words with a tokenizer, a mapping of arrays, or an array."""
    if isinstance(inputs, ModelInputs):
        return inputs
    if isinstance(inputs, str):
        raise InputTypeError("inputs must be several texts, got one str; write [text].")
    if isinstance(inputs, Mapping):
        return _of_mapping(inputs)
    if isinstance(inputs, Sequence) and inputs and isinstance(inputs[0], (str, list, tuple)):
        kind = type(inputs[0])
        if kind is str or all(isinstance(word, str) for word in inputs[0]):
            return _of_texts(inputs, tokenizer, truncation=truncation)
    array = _tensor(inputs, "inputs")
    return ModelInputs({"": array}, mask=_full(array), special=None)


def _of_mapping(inputs: Mapping[Any, Any]) -> ModelInputs:
    if not inputs:
        raise InputError("inputs must hold at least one array, got an empty mapping.")
    arrays = {str(name): _tensor(array, f"inputs[{name!r}]") for name, array in inputs.items()}
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        raise InputError(f"inputs must have one entry per sequence in every array, got lengths {lengths}.")
    special = arrays.pop("special_tokens_mask", None)
    mask = arrays.get("attention_mask")
    if mask is not None and mask.ndim == 2:
        kept = mask.bool().cpu().numpy()
        _refuse_empty(kept)
    else:
        kept = _full(arrays.get("input_ids"))
    return ModelInputs(arrays, kept, None if special is None else special.bool().cpu().numpy())


def _full(ids: torch.Tensor | None) -> np.ndarray | None:
    """Return the mask of token ids without padding; None where inputs are something else."""
    if ids is None or ids.ndim != 2 or ids.is_floating_point():
        return None
    return np.ones(tuple(ids.shape), dtype=bool)


def _refuse_empty(mask: np.ndarray) -> None:
    empty = np.flatnonzero(~mask.any(axis=1))
    if len(empty):
        raise InputError(f"inputs must have no empty sequences, got {len(empty)}, the first at {empty[0]}; drop them.")


def _tensor(value: Any, name: str) -> torch.Tensor:
    if isinstance(value, torch.Tensor):
        tensor = value.detach()
    else:
        try:
            tensor = torch.as_tensor(np.asarray(value))
        except (TypeError, ValueError) as error:
            raise InputTypeError(
                f"{name} must be texts (with tokenizer=), token ids or an array of numbers of equal lengths, "
                f"got {type(value).__name__} ({error})."
            ) from error
    if tensor.ndim == 0 or not len(tensor):
        raise InputError(f"{name} must have at least one sequence, got shape {tuple(tensor.shape)}.")
    if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
        raise InputError(f"{name} must be finite, got NaN or infinite values.")
    return tensor


def _of_texts(texts: Sequence[Any], tokenizer: Any, *, truncation: bool) -> ModelInputs:
    if tokenizer is None:
        raise InputError("tokenizer must be given where inputs are texts, got None; or give token ids.")
    split = not isinstance(texts[0], str)
    strangers = [i for i, text in enumerate(texts) if isinstance(text, str) == split]
    if strangers:
        raise InputTypeError(f"inputs must be all texts, or all lists of words, but entry {strangers[0]} is not.")
    empty = [i for i, text in enumerate(texts) if not len(text)]
    if empty:
        raise InputError(f"inputs must have no empty texts, got {len(empty)}, the first at {empty[0]}; drop them.")
    longest = getattr(tokenizer, "model_max_length", None)
    longest = longest if isinstance(longest, int) and longest < _ANY_LENGTH else None
    encoded = _tokenized(tokenizer, texts, split, longest if truncation else None)
    mask = encoded["attention_mask"].bool().numpy()
    if longest is not None and mask.shape[1] > longest:
        count = int((mask.sum(axis=1) > longest).sum())
        raise InputError(
            f"inputs must have at most {longest} tokens, which is what the tokenizer names as its longest, but {count} "
            "texts have more; split them, or set truncation=True to leave out what does not fit."
        )
    words = None
    if split:
        words = np.array([[-1 if w is None else w for w in encoded.word_ids(i)] for i in range(len(texts))])
    special = encoded.pop("special_tokens_mask").bool().numpy() & mask
    texts = [list(text) for text in texts] if split else []
    return ModelInputs(dict(encoded), mask, special, words, texts if split else None)


def _tokenized(tokenizer: Any, texts: Sequence[Any], split: bool, longest: int | None) -> Any:
    if split and not getattr(tokenizer, "is_fast", False):
        raise InputError("tokenizer must be a fast one where inputs are lists of words, since it must say which token "
                         "belongs to which word; load it with use_fast=True.")  # fmt: skip
    side, pad = tokenizer.padding_side, tokenizer.pad_token
    try:  # neither what it pads with nor on which side is the caller's concern; both are put back
        tokenizer.padding_side = "right"
        if pad is None:
            tokenizer.pad_token = tokenizer.eos_token
        return tokenizer(
            list(texts),
            is_split_into_words=split,
            padding=True,
            truncation=longest is not None,
            max_length=longest,
            return_tensors="pt",
            return_attention_mask=True,
            return_special_tokens_mask=True,
        )
    finally:
        tokenizer.padding_side = side
        if pad is None:
            tokenizer.pad_token = None
