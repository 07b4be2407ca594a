"""Controls on inputs in texts of known order: the right rung, and the one below it that is fooled."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, final

import numpy as np

from controls.core.control import Control
from controls.core.problem import Problem, Source
from controls.core.rng import stream
from controls.experiment import measure
from controls.generators.random_tokens import RandomTokens
from controls.generators.shuffle_tokens import ShuffleTokens
from controls.probes import RidgeProbe
from controls.testing.suite.case import Case, Check, Effort, Rejections, Seen

TEXTS, LENGTH, TOKENS, WINDOW, READ = 40, 60, 3, 4, 12
DRAWS = 19  # alpha (draws + 1) is whole
_STRENGTH = 0.35  # of what tells the two kinds of text apart
_READER = stream(0, "suite", "reader of windows").standard_normal((TOKENS**WINDOW, READ))


def windows(model: Any, texts: np.ndarray) -> np.ndarray:
    """Return what a toy model makes of each text: mixtures of how often it has each run of four tokens."""
    codes = sum(texts[:, i : texts.shape[1] - WINDOW + 1 + i] * TOKENS**i for i in range(WINDOW))
    return np.stack([np.bincount(text, minlength=TOKENS**WINDOW) for text in np.asarray(codes)]) @ _READER


def markov_texts(order: int, rng: np.random.Generator) -> Problem:
    """Return texts of two kinds, labelled by kind, that differ in their law of order 0, 1 or 2 and in no lower one.

    In one kind each token is uniform. In the other, a token is often the sum of the ``order`` tokens before it,
    plus one: all shorter runs are then uniform too.
    """
    labels = rng.permutation(np.repeat([False, True], TEXTS // 2))
    texts = rng.integers(TOKENS, size=(TEXTS, LENGTH))
    follows = (rng.random((TEXTS, LENGTH)) < _STRENGTH) & labels[:, None]
    for t in range(order, LENGTH):
        said = (texts[:, t - order : t].sum(axis=1) + 1) % TOKENS
        texts[:, t] = np.where(follows[:, t], said, texts[:, t])
    return Problem(None, labels, source=Source(None, texts, windows))


def p_values(order: int, battery: tuple[Control, ...], seed: int) -> list[float]:
    """Return the p of each control on one sample."""
    problem = markov_texts(order, stream(seed, "suite", "inputs", order))
    found = measure(RidgeProbe(), problem, controls=battery, scoring="roc_auc", draws=DRAWS, cv=2, seed=seed)
    return [comparison.p_value for comparison in found.comparisons]


@final
@dataclass(frozen=True)
class Rung:
    """A world of one order of dependence, the control that keeps it, and the weaker one that does not."""

    order: int
    right: Control
    weaker: Control

    def run(self, effort: Effort) -> list[Check]:
        """Count rejections of both."""
        seeds = effort.seeds(16, 400)
        p = np.array([p_values(self.order, (self.right, self.weaker), seed) for seed in seeds])
        right, weaker = (int(count) for count in (p <= 0.05 + 1e-12).sum(axis=0))
        return [
            Rejections(f"{_typed(self.right)}: nothing beyond it", right, len(seeds)),
            Seen(f"{_typed(self.weaker)}: fooled", weaker, len(seeds)),
        ]


def _typed(control: Control) -> str:
    from controls.core.control import describe

    return describe(control)


RUNGS = (
    Rung(0, ShuffleTokens(), RandomTokens()),
    Rung(1, ShuffleTokens(keep=2), ShuffleTokens()),
    Rung(2, ShuffleTokens(keep=3), ShuffleTokens(keep=2)),
)
_WORDS = ("their tokens", "pairs of neighbouring tokens", "triples of neighbouring tokens")

CASES = tuple(
    Case(
        f"inputs: {words}",
        f"{TEXTS} texts of two kinds that differ in {words} alone, read by a toy model of windows of {WINDOW} tokens: "
        "does a probe of the kind find more than that?",
        f"No: the texts are Markov chains of order {rung.order}, so that all orders with the same runs of "
        f"{rung.order + 1} are equally probable, and the model sees more of them only by chance. The weaker control, "
        "which keeps less, must be fooled.",
        partial(Rung.run, rung),
    )
    for rung, words in zip(RUNGS, _WORDS, strict=True)
)
