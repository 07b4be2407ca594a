"""Broken controls on inputs: each says all that the sound one inside it says, and draws otherwise."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np

from controls.core.control import Control
from controls.core.problem import Problem
from controls.generators.random_embeddings import RandomEmbeddings
from controls.generators.random_tokens import RandomTokens
from controls.generators.shuffle_tokens import ShuffleTokens
from controls.generators.tokens import DrawnText, InputControl
from controls.testing.broken_kinds import Claims


def with_ids(inputs: Any, ids: np.ndarray) -> Any:
    """Return inputs with other ids everywhere."""
    import torch

    return replace(inputs, arrays={**inputs.arrays, "input_ids": torch.from_numpy(ids)})


@dataclass(frozen=True)
class _Claims(Claims, InputControl):
    """Says what the sound control says, and draws what it draws."""

    fixed: tuple[int, ...] = ()

    @property
    def _sound(self) -> InputControl:
        raise NotImplementedError

    def rewrite(self, problem: Problem, rng: np.random.Generator) -> DrawnText:
        """Return what the sound control draws."""
        return self._sound.rewrite(problem, rng)


@final
@dataclass(frozen=True)
class KeepsLastExits(_Claims):
    """Claims all texts with these pairs of tokens, but leaves the last exit of each token where it is."""

    @property
    def _sound(self) -> ShuffleTokens:
        return ShuffleTokens(keep=2)

    def rewrite(self, problem: Problem, rng: np.random.Generator) -> DrawnText:
        """Return an Euler walk whose exits are shuffled, but for the last of each token."""
        text = self.text(problem)
        ids = text.ids.copy()
        for sequence in np.unique(text.sequence):
            own = np.flatnonzero(text.sequence == sequence)
            exits: dict[int, list[int]] = {}
            for token, following in zip(ids[own], ids[own][1:], strict=False):
                exits.setdefault(int(token), []).append(int(following))
            left = {token: [*rng.permutation(found[:-1]).tolist(), found[-1]] for token, found in exits.items()}
            for before, place in itertools.pairwise(own):
                ids[place] = left[int(ids[before])].pop(0)
        return DrawnText(text.written(ids), {})


@final
@dataclass(frozen=True)
class SharesOneOrder(_Claims):
    """Claims to shuffle each document by itself, but gives all documents of one length the same order."""

    @property
    def _sound(self) -> ShuffleTokens:
        return ShuffleTokens()

    def rewrite(self, problem: Problem, rng: np.random.Generator) -> DrawnText:
        """Return texts in an order that their length alone decides."""
        text, seed = self.text(problem), int(rng.integers(2**32))
        ids = text.ids.copy()
        for sequence in np.unique(text.sequence):
            own = np.flatnonzero(text.sequence == sequence)
            ids[own] = ids[own[np.random.Generator(np.random.PCG64([seed, len(own)])).permutation(len(own))]]
        return DrawnText(text.written(ids), {})


@final
@dataclass(frozen=True)
class ShufflesPadding(_Claims):
    """Claims that padding and special tokens stay, but shuffles whole rows of the array."""

    @property
    def _sound(self) -> ShuffleTokens:
        return ShuffleTokens()

    def rewrite(self, problem: Problem, rng: np.random.Generator) -> DrawnText:
        """Return each sequence in another order, padding and all."""
        assert problem.source is not None
        inputs = problem.source.inputs
        return DrawnText(with_ids(inputs, rng.permuted(inputs.ids.numpy(), axis=1)), {})


@final
@dataclass(frozen=True)
class DrawsSpecialTokens(_Claims):
    """Claims to leave special tokens, but draws from all that the array holds, for all of it."""

    @property
    def _sound(self) -> RandomTokens:
        return RandomTokens()

    def rewrite(self, problem: Problem, rng: np.random.Generator) -> DrawnText:
        """Return an array of tokens drawn from the array."""
        assert problem.source is not None
        inputs = problem.source.inputs
        return DrawnText(with_ids(inputs, rng.choice(inputs.ids.numpy().ravel(), size=inputs.ids.shape)), {})


@final
@dataclass(frozen=True)
class LeavesTokens(_Claims):
    """Claims to draw all tokens anew, but only does so with half of them."""

    @property
    def _sound(self) -> RandomTokens:
        return RandomTokens()

    def rewrite(self, problem: Problem, rng: np.random.Generator) -> DrawnText:
        """Return the text with half of its tokens drawn."""
        text = self.text(problem)
        drawn = rng.choice(text.ids, size=len(text.ids))
        return DrawnText(text.written(np.where(rng.random(len(drawn)) < 0.5, drawn, text.ids)), {})


@final
@dataclass(frozen=True)
class KeepsItsHook(_Claims):
    """Claims to leave the model alone, but its hook stays."""

    @property
    def _sound(self) -> RandomEmbeddings:
        return RandomEmbeddings()

    def draw(self, problem: Problem, rng: np.random.Generator) -> Problem:
        """Return what the sound control draws."""
        assert problem.source is not None
        problem.source.model.embed.register_forward_hook(lambda module, given, output: output)
        return self._sound.draw(problem, rng)


BROKEN_INPUTS: tuple[tuple[Control, str], ...] = (
    (KeepsLastExits(), "its texts are not uniform over the 27 that there are"),
    (SharesOneOrder(), "must draw each document by itself"),
    (ShufflesPadding(), "claims to keep how often each token occurs within each sequence"),
    (DrawsSpecialTokens(), "claims to keep padding, special tokens"),
    (LeavesTokens(), "claims to destroy which token is where within each sequence, but +"),
    (KeepsItsHook(), "left hooks on the caller's model"),
)
