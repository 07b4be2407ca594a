"""Ugly problems for controls on inputs: ragged texts with padding on both sides, special tokens, and a small reader."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from controls.core.problem import Problem
from controls.core.rng import stream
from controls.models.from_model import from_model
from controls.models.inputs import ModelInputs

VOCABULARY, WIDTH, LONGEST = 11, 5, 15
_LENGTHS = (9, 12, 5, 13, 4, 13, 9, 11, 5, 12, 13, 9)  # of the free tokens of each sequence
_BEGIN, _END, _PAD = 1, 2, 3  # padding is also a token of the text
_SITE = "mixed"


class Reader(nn.Module):
    """Embeds tokens and mixes each with those before it."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(VOCABULARY, WIDTH)
        self.mixed = nn.Identity()

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Return what each position makes of itself and of those before it, (S, T, d)."""
        x = self.embed(input_ids) * attention_mask[..., None]
        before = torch.cumsum(x, dim=1).roll(1, dims=1)
        return self.mixed(x + torch.tanh(before))


def reader(seed: int = 0) -> Reader:
    """Return the small model, in eval mode; global random state stays."""
    with torch.random.fork_rng(devices=[]):
        model = Reader().eval()
    with torch.no_grad():
        model.embed.weight.copy_(torch.from_numpy(stream(seed, "reader").standard_normal((VOCABULARY, WIDTH))))
    return model.requires_grad_(False)


def padded(texts: list[list[int]], shifts: list[int] | None = None) -> ModelInputs:
    """Return texts between a first and a last token, padded on the right, and on the left by these shifts."""
    width = max(len(text) for text in texts) + 2 + max(shifts or [0])
    ids = np.full((len(texts), width), _PAD)
    mask, special = np.zeros(ids.shape, dtype=bool), np.zeros(ids.shape, dtype=bool)
    for row, (text, shift) in enumerate(zip(texts, shifts or [0] * len(texts), strict=True)):
        end = shift + len(text) + 1
        ids[row, shift : end + 1] = [_BEGIN, *text, _END]
        mask[row, shift : end + 1] = True
        special[row, [shift, end]] = True
    arrays = {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask.astype(np.int64))}
    return ModelInputs(arrays, mask, special)


def in_words(inputs: ModelInputs, seed: int = 0) -> ModelInputs:
    """Return inputs whose texts are words of a few tokens; equal texts have equal words."""
    assert inputs.mask is not None
    assert inputs.special is not None
    begins = stream(seed, "words").random(inputs.mask.shape[1]) < 0.85
    words, texts = np.full(inputs.mask.shape, -1), []
    for row, free in enumerate(inputs.mask & ~inputs.special):
        places = np.flatnonzero(free)
        number = np.cumsum(begins[: len(places)])
        words[row, places] = number - number[0]
        ids = inputs.arrays["input_ids"].numpy()[row]
        texts.append(["+".join(map(str, ids[words[row] == w])) for w in range(int(words[row].max()) + 1)])
    return replace(inputs, words=words, texts=texts)


def ugly_token_problems(names: tuple[str, ...] = (), seed: int = 0) -> Iterator[Problem]:
    """Yield problems of what a small model makes of ragged texts: rows of tokens, then rows of words.

    Parameters
    ----------
    names : tuple of str
        Group names that are needed beside "document": documents of several sequences too.
    seed : int
        Of weights, texts and labels.
    """
    rng = stream(seed, "ugly texts")
    texts = [rng.choice([3, 4, 5, 6, 9], p=[0.4, 0.3, 0.1, 0.1, 0.1], size=size).tolist() for size in _LENGTHS]
    inputs = padded(texts, [0, 1] * (len(texts) // 2))
    for given in (inputs, in_words(inputs, seed)):
        yield from _with_labels(given, names, seed)


def token_problem(texts: list[list[int]], seed: int = 0, *, words: bool = False) -> Problem:
    """Return the problem of some texts, all rows of one label, each sequence a document."""
    inputs = padded(texts)
    made = from_model(reader(seed), in_words(inputs) if words else inputs, _SITE)
    return replace_groups(made, np.zeros(made.n), ("document",))


def replace_groups(made: Problem, labels: np.ndarray, names: tuple[str, ...]) -> Problem:
    """Return a problem with labels, and with groups of these names of which each sequence is a member."""
    groups = {**made.groups, **{name: made.groups["sequence"] for name in names if name not in made.groups}}
    return Problem(made.activations, labels, groups, made.unit, made.source)


def _with_labels(inputs: ModelInputs, names: tuple[str, ...], seed: int) -> Iterator[Problem]:
    made = from_model(reader(seed), inputs, _SITE)
    rng = stream(seed, "ugly token labels")
    document = np.array([f"d{7 * s % 5}" for s in made.groups["sequence"]])
    extra = {name: document for name in ("document", *names) if name not in made.groups}
    numbers = rng.standard_normal(made.n)
    for labels in (numbers > 0, np.where(numbers > 0.5, "noun", np.where(numbers > 0, "verb", "other")), numbers):
        yield Problem(made.activations, labels, {**made.groups, **extra}, made.unit, made.source)
