"""Skip feature-bigrams: an attention head that scores pairs of superposed features, with the noise it must have."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, final

import numpy as np

from controls.core.errors import InputError
from controls.core.problem import Problem, Source
from controls.core.rng import stream
from controls.core.validate import one_of, random_generator, read_only, whole_number
from controls.ground_truth.shapes import places

if TYPE_CHECKING:
    import torch


@final
@dataclass(frozen=True)
class SkipBigrams:
    """A head that attends from feature i to feature j wherever (i, j) is one of its bigrams.

    Features are m random unit vectors f in a residual stream of d_model dimensions, one per position.
    The ideal bilinear form is Ŵ, the sum of f_i f_jᵀ over the bigrams; a head of d_head dimensions reads
    it through a projection, so that a bigram scores 1 give or take the noise of all others.

    Parameters
    ----------
    m : int, default 1024
        Features.
    d_model : int, default 256
        Dimensions of the residual stream.
    d_head : int, default 64
        Dimensions of queries and keys, at most d_model.
    n_bigrams : int, default 1023
        Bigrams, a uniformly random set of ordered pairs of features, at most half of all m².
    projection : {"random", "svd"}, default "random"
        Keys through d_head uniformly random directions, scaled so that a bigram scores 1 on average; or the
        d_head largest singular directions of Ŵ, which keep more of it.
    seed : int, default 0
        Of features, bigrams and projection.

    Notes
    -----
    Costs O(|B| d_model) to build, and O(d_model³) more for "svd"; O(n d_model d_head) to sample.

    Examples
    --------
    >>> head = SkipBigrams(m=200, d_model=64, d_head=16, n_bigrams=20)
    >>> head.sample(500, np.random.default_rng(0))
    Problem(n=500, d=1, labels='binary', groups=['from', 'to'], unit=None (rows: 500 units))
    >>> round(head.truth.noise, 3), round(head.truth.auc, 3)
    (0.165, 0.996)
    """

    m: int = 1024
    d_model: int = 256
    d_head: int = 64
    n_bigrams: int = field(default=1023, kw_only=True)
    projection: str = field(default="random", kw_only=True)
    seed: int = field(default=0, kw_only=True)

    def __post_init__(self) -> None:
        whole_number(self.m, "m", low=2)
        whole_number(self.d_model, "d_model", low=2)
        whole_number(self.seed, "seed", low=0)
        one_of(self.projection, "projection", ("random", "svd"))
        if whole_number(self.d_head, "d_head", low=1) > self.d_model:
            raise InputError(f"d_head must be at most d_model = {self.d_model}, got {self.d_head}.")
        if whole_number(self.n_bigrams, "n_bigrams", low=1) > self.m**2 // 2:
            raise InputError(f"n_bigrams must be at most half of all m² = {self.m**2}, got {self.n_bigrams}.")

    @cached_property
    def features(self) -> np.ndarray:
        """The features, unit vectors, shape (m, d_model)."""
        F = stream(self.seed, "skip bigrams", "features").standard_normal((self.m, self.d_model))
        return read_only(F / np.linalg.norm(F, axis=1, keepdims=True))

    @cached_property
    def bigrams(self) -> np.ndarray:
        """The bigrams, shape (n_bigrams, 2): from, to."""
        rng = stream(self.seed, "skip bigrams", "bigrams")
        chosen = rng.choice(self.m**2, self.n_bigrams, replace=False, shuffle=False)
        return read_only(np.stack(np.divmod(np.sort(chosen), self.m), axis=1))

    @cached_property
    def query_and_key(self) -> tuple[np.ndarray, np.ndarray]:
        """The weights of queries and of keys, both (d_head, d_model); a score is their product."""
        F, (i, j) = self.features, self.bigrams.T
        ideal = F[i].T @ F[j]
        if self.projection == "svd":
            U, lengths, Vt = np.linalg.svd(ideal)
            return (U[:, : self.d_head] * lengths[: self.d_head]).T, Vt[: self.d_head]
        draws = stream(self.seed, "skip bigrams", "projection").standard_normal((self.d_model, self.d_head))
        keys = np.linalg.qr(draws)[0].T
        return self.d_model / self.d_head * keys @ ideal.T, keys

    @property
    def truth(self) -> SkipBigramsTruth:
        """The law of the noise, and what it leaves of the bigrams."""
        return SkipBigramsTruth(self)

    def scores(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Return the score of each pair of features (first, second), shape (n,)."""
        first, second = (places(part, name, self.m) for part, name in ((first, "first"), (second, "second")))
        if len(first) != len(second):
            raise InputError(f"first and second must be of one length, got {len(first)} and {len(second)}.")
        query, key = self.query_and_key
        return ((self.features @ query.T)[first] * (self.features @ key.T)[second]).sum(axis=1)

    def module(self) -> torch.nn.Module:
        """Return a torch module: attention scores (…, positions, positions) of a residual stream, in float64.

        Its ``query`` and ``key`` are linear, without bias.
        """
        from controls.ground_truth.attention_module import AttentionScores

        return AttentionScores(*self.query_and_key)

    def sample(self, n: int, rng: np.random.Generator) -> Problem:
        """Return a problem of n pairs of positions: labels say whether their features are a bigram.

        Parameters
        ----------
        n : int
            Rows; each is a bigram, uniformly one of them, with probability ½, and otherwise uniformly a
            pair that is none.
        rng : numpy.random.Generator

        Returns
        -------
        Problem
            Site "score", (n, 1); beside it "input", the residual stream at both positions, (n, 2 d_model).
            Groups "from" and "to", the features. The source is the torch module on streams of two positions.
        """
        from controls.ground_truth.attention_module import first_to_second

        present = random_generator(rng).random(whole_number(n, "n", low=1)) < 0.5
        pairs = np.where(present[:, None], self.bigrams[rng.integers(self.n_bigrams, size=n)], self.absent(n, rng))
        streams = self.features[pairs]
        return Problem(
            {"score": self.scores(*pairs.T)[:, None], "input": streams.reshape(n, -1)},
            present.astype(np.int64),
            groups={"from": pairs[:, 0], "to": pairs[:, 1]},
            source=Source(self.module(), streams, first_to_second),
        ).at("score")

    def absent(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Return n pairs of features, uniformly among those that are no bigram, shape (n, 2)."""
        whole_number(n, "n", low=1)
        taken = self.bigrams @ [self.m, 1]  # sorted
        place = random_generator(rng).integers(self.m**2 - self.n_bigrams, size=n)
        # the k-th number that is not taken: as many more as there are taken ones below it
        skipped = np.searchsorted(taken - np.arange(self.n_bigrams), place, side="right")
        return np.stack(np.divmod(place + skipped, self.m), axis=1)


@final
@dataclass(frozen=True)
class SkipBigramsTruth:
    """The law of a head's scores, over features, bigrams and a random projection.

    Another bigram (k, l) adds (f_i·f_k)(f_l·R f_j) to the score of (i, j), R being the projection. Its mean square is
    1/(d_model d_head) where it shares neither feature, 1/d_head where k = i, and about 1/d_model where
    l = j: the last two are few, and large.

    Examples
    --------
    >>> round(SkipBigrams(n_bigrams=4087).truth.noise, 3)
    0.572
    """

    head: SkipBigrams

    def __post_init__(self) -> None:
        if self.head.projection != "random":
            raise InputError("The law of the noise is known for projection='random', got 'svd'; measure it.")

    @property
    def signal(self) -> float:
        """Standard deviation of what a bigram itself adds to its score, about a mean of 1."""
        head = self.head
        return float(np.sqrt(2 * (head.d_model - head.d_head) / (head.d_head * (head.d_model + 2))))

    @property
    def noise(self) -> float:
        """Standard deviation of the score of a pair that is no bigram; its mean is 0."""
        head = self.head
        shared = 1 / (head.m + 1)  # how often one of the other m² − 1 pairs shares the first feature, or the second
        kept = 1 + self.signal**2
        apart = (1 - 2 * shared) / (head.d_model * head.d_head)
        return float(np.sqrt(head.n_bigrams * (apart + shared / head.d_head + shared * kept / head.d_model)))

    @property
    def auc(self) -> float:
        """Area under the ROC curve of bigrams against other pairs, were scores normal, which they are nearly."""
        from scipy.special import ndtr

        return float(ndtr(1 / np.sqrt(2 * self.noise**2 + self.signal**2)))
