"""Gaussian documents: clustered rows in which nothing, or a known amount, can be read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from scipy.signal import lfilter
from scipy.special import ndtr

from controls.core.problem import Problem
from controls.core.validate import one_of, random_generator, real_number, whole_number
from controls.ground_truth.shapes import shaped

_LABELS = ("document", "base_rates", "type", "autocorrelated", "free")


def document_sizes(n_documents: int, mean_size: float, spread: float, rng: np.random.Generator) -> np.ndarray:
    """Return sizes of documents: lognormal with the given mean and log-scale spread, at least 2.

    Examples
    --------
    >>> document_sizes(3, 20, 0.0, np.random.default_rng(0)).tolist()
    [20, 20, 20]
    """
    sizes = mean_size * np.exp(spread * rng.standard_normal(n_documents) - spread**2 / 2)
    return np.maximum(2, np.round(sizes)).astype(np.int64)


def _check_documents(n_documents: int, size: float, spread: float, d: int, document_effect: float) -> None:
    whole_number(n_documents, "n_documents", low=2)
    real_number(size, "size", low=0, high=np.inf)
    real_number(spread, "spread", low=0, high=np.inf, open_ends=False)
    whole_number(d, "d", low=1)
    real_number(document_effect, "document_effect", low=0, high=np.inf, open_ends=False)


def _autoregression(lengths: np.ndarray, d: int, rho: float, rng: np.random.Generator) -> np.ndarray:
    """Return (n, d) stationary AR(1) series of unit variance, a new one for each document."""
    noise = rng.standard_normal((int(lengths.sum()), d)) * np.sqrt(1 - rho**2)
    noise[np.cumsum(lengths) - lengths] /= np.sqrt(1 - rho**2)
    parts = np.split(noise, np.cumsum(lengths)[:-1])
    return np.concatenate([lfilter([1.0], [1.0, -rho], part, axis=0) for part in parts])


@final
@dataclass(frozen=True)
class NullDocuments:
    """Documents in which labels and activations have nothing to do with each other, but both are clustered.

    Parameters
    ----------
    labels : {"document", "base_rates", "type", "autocorrelated", "free"}
        One label per document; a base rate per document; one label per word type, of which the
        activations hold the embedding; serially dependent within documents; independent rows.
    n_documents, size : int
        Number of documents, and their mean size in rows.
    d : int
        Number of features.
    document_effect : float
        Standard deviation of each document's own mean in the activations (row noise has 1).
    n_types : int
        Number of word types.
    rho : float
        Autocorrelation of labels, and of activations, at lag one ("autocorrelated").
    spread : float
        Log-scale spread of document sizes.

    Notes
    -----
    Any test of the right kind must reject at most as often as its level says.

    Examples
    --------
    >>> NullDocuments("document").sample(np.random.default_rng(0)).target
    'binary'
    """

    labels: str
    n_documents: int = 20
    size: int = 20
    d: int = 10
    document_effect: float = 1.0
    n_types: int = 40
    rho: float = 0.0
    spread: float = 0.0

    def __post_init__(self) -> None:
        one_of(self.labels, "labels", _LABELS)
        _check_documents(self.n_documents, self.size, self.spread, self.d, self.document_effect)
        whole_number(self.n_types, "n_types", low=2)
        real_number(self.rho, "rho", low=-1, high=1)

    def sample(self, rng: np.random.Generator, *, unit: str | None = "document") -> Problem:
        """Return a problem with groups document and word."""
        sizes = document_sizes(self.n_documents, self.size, self.spread, random_generator(rng))
        document = np.repeat(np.arange(self.n_documents), sizes)
        word = rng.integers(self.n_types, size=len(document))
        if self.labels == "autocorrelated":
            activations = _autoregression(sizes, self.d, self.rho, rng)
        else:
            activations = rng.standard_normal((len(document), self.d))
            activations += self.document_effect * rng.standard_normal((self.n_documents, self.d))[document]
        if self.labels == "type":
            activations += 2.0 * rng.standard_normal((self.n_types, self.d))[word]
        labels = self._labels(document, word, sizes, rng)
        return Problem(activations, labels, groups={"document": document, "word": word}, unit=unit)

    def _labels(
        self, document: np.ndarray, word: np.ndarray, sizes: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray:
        if self.labels == "document":
            return rng.permutation(np.arange(self.n_documents) % 2)[document]
        if self.labels == "base_rates":
            return (rng.random(len(document)) < rng.beta(0.7, 0.7, self.n_documents)[document]).astype(int)
        if self.labels == "type":
            return rng.permutation(np.arange(self.n_types) % 2)[word]
        if self.labels == "autocorrelated":
            return (_autoregression(sizes, 1, self.rho, rng)[:, 0] > 0).astype(int)
        return rng.integers(2, size=len(document))


@final
@dataclass(frozen=True)
class GaussianDocuments:
    """Documents in which a known amount can be read, so that the truth of any linear probe has a closed form.

    Rows are ``x = y·mean + u_document + noise`` with standard normal noise, ``u`` of standard
    deviation ``document_effect``, and labels y that are fair coins (classes 0 and 1 stand for
    y = −½ and ½) or standard normal.

    Parameters
    ----------
    continuous : bool
        Whether labels are numbers.
    n_documents, size : int
        Number of documents, and their mean size in rows.
    spread : float
        Log-scale spread of document sizes; 1 makes them very unequal.
    d : int
        Number of features; the label moves the first one only.
    effect : float
        How far a unit of y moves it.
    document_effect : float
        Standard deviation of each document's own mean.

    Examples
    --------
    >>> world = GaussianDocuments(effect=2.0)
    >>> weights = np.eye(10)[:1].T
    >>> round(float(world.truth("accuracy", weights, np.zeros(1))[0]), 3)
    0.794
    """

    continuous: bool = False
    n_documents: int = 30
    size: int = 20
    spread: float = 1.0
    d: int = 10
    effect: float = 1.0
    document_effect: float = 0.7

    def __post_init__(self) -> None:
        _check_documents(self.n_documents, self.size, self.spread, self.d, self.document_effect)
        real_number(self.effect, "effect", low=-np.inf, high=np.inf)

    def sample(self, rng: np.random.Generator) -> Problem:
        """Return a problem with groups document and word; the document is the unit."""
        sizes = document_sizes(self.n_documents, self.size, self.spread, random_generator(rng))
        document = np.repeat(np.arange(self.n_documents), sizes)
        n = len(document)
        labels = rng.standard_normal(n) if self.continuous else rng.integers(2, size=n)
        activations = rng.standard_normal((n, self.d))
        activations += self.document_effect * rng.standard_normal((self.n_documents, self.d))[document]
        activations[:, 0] += self.effect * (labels if self.continuous else labels - 0.5)
        return Problem(activations, labels, groups={"document": document}, unit="document")

    def truth(self, metric: str, weights: np.ndarray, intercepts: np.ndarray, kept: float = 1.0) -> np.ndarray:
        """Return the population scores of linear probes on new documents.

        Parameters
        ----------
        metric : {"roc_auc", "accuracy", "r2"}
        weights : array of shape (d, B)
        intercepts : array of shape (B,)
            Scores are ``x @ weights + intercepts``; positive means class 1.
        kept : float
            Share of rows whose label is still their own, the others having one that is independent
            of their activations: 1 for the problem itself, ``1 / mean size`` for labels shuffled
            within documents (each row keeps its label in one of n shuffles).

        Returns
        -------
        array of shape (B,)
        """
        one_of(metric, "metric", ("roc_auc", "accuracy", "r2"))
        weights = shaped(weights, "weights", (self.d, "B"))
        intercepts = shaped(intercepts, "intercepts", (weights.shape[1],))
        kept = real_number(kept, "kept", low=0, high=1, open_ends=False)
        along = self.effect * weights[0]
        scale = np.sqrt((1 + self.document_effect**2) * np.square(weights).sum(axis=0))
        scale = np.maximum(scale, np.finfo(float).tiny)
        if metric == "r2":
            errors = 1 + along**2 + scale**2 + intercepts**2 - 2 * kept * along
            return 1 - errors
        if metric == "accuracy":
            high, low = ndtr((intercepts + along / 2) / scale), ndtr((intercepts - along / 2) / scale)
            return 0.5 + kept * (high - low) / 2
        apart = ndtr(along / (np.sqrt(2) * scale)) - 0.5
        return 0.5 + kept * apart

    def mean_size(self) -> float:
        """Return the expected size of a document, over which shuffled labels keep one row."""
        sizes = document_sizes(400_000, self.size, self.spread, np.random.default_rng(0))
        return float(sizes.mean())
