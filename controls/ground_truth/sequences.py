"""Planted directions in sequences: labels that come in bursts, and labels that drift with position."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from scipy.signal import lfilter
from scipy.special import ndtr

from controls.core.errors import InputError
from controls.core.problem import Problem
from controls.core.validate import random_generator, real_number, whole_number


@final
@dataclass(frozen=True)
class PlantedSequences:
    """Documents of equal length whose labels, and activations, depend on those before them.

    Labels are a Markov chain: each repeats the last one with probability ``rho``, and is drawn anew
    otherwise. The noise of each activation is an autoregression of the same lag-one correlation and
    unit variance. Class 1 is moved by ``delta`` along the first axis.

    Parameters
    ----------
    delta : float
        How far class 1 is moved, in standard deviations of the noise; 0 plants nothing.
    d : int, default 16
        Number of features.
    size : int, default 40
        Rows of each document, at least 2.
    rho : float, default 0.8
        Autocorrelation at lag one, from 0 to below 1.
    rate : float, default 0.5
        Probability of class 1.

    Notes
    -----
    With ``delta`` 0, shuffles within documents reject too often (rows depend on one another), and
    exchanging whole documents, ``ShuffleLabels(whole="document", blocks=True)``, keeps the level.

    Examples
    --------
    >>> world = PlantedSequences(1.0, rho=0.9)
    >>> world.sample(400, np.random.default_rng(0))
    Problem(n=400, d=16, labels='binary', groups=['document', 'position'], unit='document' (10 units))
    >>> round(world.truth.best_auc, 3), round(world.truth.label_correlation(2), 3)
    (0.76, 0.81)
    """

    delta: float
    d: int = 16
    size: int = 40
    rho: float = 0.8
    rate: float = 0.5

    def __post_init__(self) -> None:
        _check(self.delta, self.d, self.size)
        if real_number(self.rho, "rho", low=0, high=1, open_ends=False) == 1:
            raise InputError("rho must be below 1, got 1: labels would never change.")
        real_number(self.rate, "rate", low=0, high=1)

    @property
    def truth(self) -> SequenceTruth:
        """What is known."""
        return SequenceTruth(float(self.delta), float(self.rho))

    def sample(self, n: int, rng: np.random.Generator) -> Problem:
        """Return a problem of n rows in documents of ``size``, which are the unit; groups document and position."""
        documents = _documents(n, self.size)
        fresh = (random_generator(rng).random((documents, self.size)) < self.rate).astype(np.int64)
        repeats = rng.random((documents, self.size)) < self.rho
        repeats[:, 0] = False
        last_fresh = np.maximum.accumulate(np.where(repeats, 0, np.arange(self.size)), axis=1)
        labels = np.take_along_axis(fresh, last_fresh, axis=1)
        shocks = rng.standard_normal((documents, self.size, self.d))
        shocks[:, 1:] *= np.sqrt(1 - self.rho**2)
        noise = np.asarray(lfilter([1.0], [1.0, -self.rho], shocks, axis=1))
        return _problem(noise, labels, self.delta)


@final
@dataclass(frozen=True)
class SequenceTruth:
    """What is known of ``PlantedSequences``.

    Examples
    --------
    >>> SequenceTruth(0.0, 0.5).best_auc
    0.5
    """

    delta: float
    rho: float

    @property
    def best_auc(self) -> float:
        """AUC of the planted direction on rows of different documents: Φ(δ/√2)."""
        return float(ndtr(self.delta / np.sqrt(2)))

    def label_correlation(self, lag: int) -> float:
        """Return the correlation of labels so many rows apart in a document: ρ to the power of the lag."""
        return self.rho ** whole_number(lag, "lag", low=0)


@final
@dataclass(frozen=True)
class PlantedDrift:
    """Documents in which labels become more frequent with position, and activations drift with it.

    The second axis moves by ``activation_drift`` from the first row to the last, class 1 by ``delta``
    along the first axis; the noise is independent and standard normal.

    Parameters
    ----------
    delta : float
        How far class 1 is moved, in standard deviations of the noise; 0 plants nothing, given the position.
    d : int, default 16
        Number of features, at least 2.
    size : int, default 40
        Rows of each document, at least 2.
    first_rate, last_rate : float, default 0.2 and 0.8
        Probability of class 1 in the first and last row; linear between them.
    activation_drift : float, default 2.0
        How far the activations move along the second axis.

    Notes
    -----
    With ``delta`` 0 labels can be read from the activations, and all that is read is the position:
    ``ShuffleLabels(within="document")`` rejects, and rightly; ``ShuffleLabels(given="position")``
    keeps its level, and says that nothing more is known.

    Examples
    --------
    >>> world = PlantedDrift(0.0)
    >>> world.sample(400, np.random.default_rng(0))
    Problem(n=400, d=16, labels='binary', groups=['document', 'position'], unit='document' (10 units))
    >>> world.truth.best_auc, round(world.truth.position_auc, 3)  # along the first axis, and along the second
    (0.5, 0.604)
    """

    delta: float
    d: int = 16
    size: int = 40
    first_rate: float = 0.2
    last_rate: float = 0.8
    activation_drift: float = 2.0

    def __post_init__(self) -> None:
        _check(self.delta, self.d, self.size)
        real_number(self.first_rate, "first_rate", low=0, high=1)
        real_number(self.last_rate, "last_rate", low=0, high=1)
        real_number(self.activation_drift, "activation_drift", low=-np.inf, high=np.inf)

    @property
    def rates(self) -> np.ndarray:
        """Probability of class 1 at each position, shape (size,)."""
        return np.linspace(self.first_rate, self.last_rate, self.size)

    @property
    def truth(self) -> DriftTruth:
        """What is known."""
        return DriftTruth(self)

    def sample(self, n: int, rng: np.random.Generator) -> Problem:
        """Return a problem of n rows in documents of ``size``, which are the unit; groups document and position."""
        documents = _documents(n, self.size)
        labels = (random_generator(rng).random((documents, self.size)) < self.rates).astype(np.int64)
        noise = rng.standard_normal((documents, self.size, self.d))
        noise[:, :, 1] += np.linspace(0, self.activation_drift, self.size)
        return _problem(noise, labels, self.delta)


@final
@dataclass(frozen=True)
class DriftTruth:
    """What is known of a ``PlantedDrift``.

    Examples
    --------
    >>> round(DriftTruth(PlantedDrift(1.0, activation_drift=0.0)).position_auc, 12)
    0.5
    """

    world: PlantedDrift

    @property
    def best_auc(self) -> float:
        """AUC of the first axis, along which the class moves rows: Φ(δ/√2), at any one position and over all."""
        return float(ndtr(self.world.delta / np.sqrt(2)))

    @property
    def position_auc(self) -> float:
        """AUC of the second axis, along which position moves rows, for rows of different documents."""
        rates = self.world.rates
        place = np.linspace(0, self.world.activation_drift, self.world.size)
        above = ndtr((place[:, None] - place) / np.sqrt(2))
        weights = np.outer(rates / rates.sum(), (1 - rates) / (1 - rates).sum())
        return float((weights * above).sum())


def _check(delta: float, d: int, size: int) -> None:
    real_number(delta, "delta", low=0, high=np.inf, open_ends=False)
    whole_number(d, "d", low=2)
    whole_number(size, "size", low=2)


def _documents(n: int, size: int) -> int:
    n = whole_number(n, "n", low=size)
    if n % size:
        raise InputError(f"n must be a multiple of the size of documents ({size}), got {n}; give {n - n % size}.")
    return n // size


def _problem(noise: np.ndarray, labels: np.ndarray, delta: float) -> Problem:
    """Return rows (documents, size, d) as a problem, class 1 moved along the first axis."""
    documents, size, d = noise.shape
    noise[:, :, 0] += delta * labels
    groups = {
        "document": np.repeat(np.arange(documents), size),
        "position": np.tile(np.arange(size), documents),
    }
    return Problem(noise.reshape(-1, d), labels.ravel(), groups=groups, unit="document")
