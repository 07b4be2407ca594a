"""What counting tokens gives: the loss of a unigram and of a bigram model, in nats per token."""

from __future__ import annotations

import numpy as np

_PRIOR = 0.5  # added to each count of the unigram
_STRENGTHS = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0)


def unigram(train: np.ndarray, vocabulary: int) -> np.ndarray:
    """Return the probability of each token, from windows of shape (n, context + 1).

    Examples
    --------
    >>> unigram(np.array([[0, 0, 1], [0, 1, 1]]), 2).tolist()
    [0.3, 0.7]
    """
    counts = np.bincount(train[:, 1:].ravel(), minlength=vocabulary) + _PRIOR
    return counts / counts.sum()


def unigram_loss(train: np.ndarray, held_out: np.ndarray, vocabulary: int) -> float:
    """Return the mean of -log p(token) over the predicted tokens of the held-out windows."""
    return float(-np.log(unigram(train, vocabulary))[held_out[:, 1:]].mean())


def bigram_loss(train: np.ndarray, held_out: np.ndarray, vocabulary: int) -> float:
    """Return the mean of -log p(token | the one before), with p = (count + k * unigram) / (counts + k).

    k is the best of six *for the held-out tokens*, which favours this baseline. Memory: two arrays
    of vocabulary squared.
    """
    alone = unigram(train, vocabulary)
    pairs = train[:, :-1].astype(np.int64) * vocabulary + train[:, 1:]
    counts = np.bincount(pairs.ravel(), minlength=vocabulary**2).reshape(vocabulary, vocabulary)
    totals = counts.sum(axis=1)
    before, after = held_out[:, :-1], held_out[:, 1:]
    chances = ((counts[before, after] + k * alone[after]) / (totals[before] + k) for k in _STRENGTHS)
    return min(float(-np.log(chance).mean()) for chance in chances)
