"""Planted dictionaries: activations that are sums of known directions, one for each feature."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import final

import numpy as np

from controls.core.errors import InputError, InputTypeError
from controls.core.problem import Problem, Source
from controls.core.validate import as_activations, one_of, random_generator, real_number, whole_number
from controls.ground_truth.dictionary_truth import DictionaryTruth
from controls.ground_truth.features import FeatureLaw
from controls.ground_truth.shapes import numbers

ASKS = ("active", "value")


def random_directions(m: int, d: int, rng: np.random.Generator) -> np.ndarray:
    """Return m independent directions of length 1 in d dimensions, shape (m, d), uniform on the sphere.

    Examples
    --------
    >>> F = random_directions(64, 32, np.random.default_rng(0))
    >>> F.shape, np.allclose(np.square(F).sum(axis=1), 1)
    ((64, 32), True)
    """
    drawn = random_generator(rng).standard_normal((whole_number(m, "m", low=1), whole_number(d, "d", low=1)))
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def overlapping_directions(m: int, overlap: float, *, d: int | None = None) -> np.ndarray:
    """Return m directions of length 1, every two with the same cosine, shape (m, d).

    Parameters
    ----------
    m : int
        Number of directions.
    overlap : float
        Their cosine, from 0 to below 1.
    d : int, optional
        Dimensions, at least m; m where None. Those past the m-th are empty.

    Examples
    --------
    >>> F = overlapping_directions(3, 0.6)
    >>> (F @ F.T).round(12).tolist()
    [[1.0, 0.6, 0.6], [0.6, 1.0, 0.6], [0.6, 0.6, 1.0]]
    """
    m = whole_number(m, "m", low=1)
    d = m if d is None else whole_number(d, "d", low=m)
    overlap = real_number(overlap, "overlap", low=0, high=1, open_ends=False)
    if overlap == 1:
        raise InputError("overlap must be below 1, got 1: all directions would be one.")
    apart, together = np.sqrt(1 - overlap), np.sqrt(1 + (m - 1) * overlap)
    root = apart * np.eye(m) + (together - apart) / m  # the symmetric root of the Gram matrix
    return np.hstack([root, np.zeros((m, d - m))])


@final
@dataclass(frozen=True, eq=False)
class PlantedDictionary:
    """Activations that are sums of known directions: ``coefficients @ directions`` plus noise.

    With more directions than dimensions features are in superposition: no linear probe can read
    them all, however well each can be told from the others. With at most as many, probing and
    steering need different directions (``truth.probe_directions``, ``truth.mean_differences``).

    Parameters
    ----------
    directions : array of shape (m, d)
        A row per feature, such as ``random_directions(m, d, rng)``.
    features : FeatureLaw
        ``SparseFeatures``, ``CorrelatedFeatures`` or ``RareFeatures`` of m features.
    noise : float, default 0.0
        Standard deviation of independent normal noise on each of the d activations.

    Examples
    --------
    >>> from controls.ground_truth import SparseFeatures
    >>> rng = np.random.default_rng(0)
    >>> world = PlantedDictionary(random_directions(64, 32, rng), SparseFeatures(64))
    >>> world.sample(200, rng)
    Problem(n=200, d=32, labels='binary', groups=['c0'], unit=None (rows: 200 units))
    >>> round(float(world.truth.r2.mean()), 12)  # d / m, exactly
    0.5
    """

    directions: np.ndarray
    features: FeatureLaw
    noise: float = 0.0

    def __post_init__(self) -> None:
        directions = as_activations(numbers(self.directions, "directions"), "directions")
        if not isinstance(self.features, FeatureLaw):
            raise InputTypeError(
                "features must be SparseFeatures, CorrelatedFeatures or RareFeatures, "
                f"got {type(self.features).__name__}."
            )
        if len(directions) != self.features.m:
            raise InputError(
                f"directions must have one row per feature ({self.features.m}), got shape {directions.shape}."
            )
        if not directions.any(axis=1).all():
            raise InputError("directions must not be zero, got a row of zeros; leave that feature out.")
        real_number(self.noise, "noise", low=0, high=np.inf, open_ends=False)
        object.__setattr__(self, "directions", directions)

    @property
    def m(self) -> int:
        """Number of features."""
        return self.directions.shape[0]

    @property
    def d(self) -> int:
        """Number of activations."""
        return self.directions.shape[1]

    @property
    def truth(self) -> DictionaryTruth:
        """What can be read and steered, exactly."""
        return DictionaryTruth(self.directions, self.features.mean, self.features.covariance, float(self.noise))

    def activations(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Return n rows of activations alone, shape (n, d), float32; costs what active features cost, not n × m."""
        rows = self.features.sparse(n, rng) @ self.directions
        if self.noise:
            rows += self.noise * rng.standard_normal(rows.shape)
        return rows.astype(np.float32)

    def batches(self, size: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
        """Yield fresh activations (size, d), float32, without end: what a finder that streams is trained on."""
        rng = random_generator(rng)
        while True:
            yield self.activations(size, rng)

    def sample(self, n: int, rng: np.random.Generator, *, feature: int | None = 0, ask: str = "active") -> Problem:
        """Return a problem: n sums of directions, labelled by one feature or by all.

        Parameters
        ----------
        n : int
            Number of rows, which are independent.
        rng : numpy.random.Generator
        feature : int, optional
            Which feature makes the labels; all of them, as labels of m columns, where None.
        ask : {"active", "value"}, default "active"
            Whether it is active (0 or 1), or its coefficient.

        Returns
        -------
        Problem
            Site "activations" of two, the other being "features", the coefficients
            (``InputBaseline(site="features")``); a group "c0" for feature 0, 1 where it is active; and a
            source: a torch module whose ``linear`` has the directions, and the coefficients it reads.
        """
        from controls.ground_truth.modules import BitLayer, hidden_layer

        labels_of = question(feature, ask, self.m)
        coefficients = self.features.sample(n, rng)
        extra = self.noise * rng.standard_normal((n, self.d)) if self.noise else None
        activations = coefficients @ self.directions + (0.0 if extra is None else extra)
        return Problem(
            {"features": coefficients, "activations": activations},
            labels_of(coefficients),
            groups=groups_of(coefficients, feature),
            source=Source(
                BitLayer(self.directions.T, None, "identity"), coefficients, partial(hidden_layer, noise=extra)
            ),
        ).at("activations")


def question(feature: int | None, ask: str, m: int) -> partial[np.ndarray]:
    """Return the function that makes labels of coefficients (n, m); refuses features that are not there."""
    one_of(ask, "ask", ASKS)
    if feature is not None and whole_number(feature, "feature", low=0) >= m:
        raise InputError(f"feature must be a position from 0 to {m - 1}, or None for all, got {feature}.")
    return partial(_labels, feature=feature, ask=ask)


def _labels(coefficients: np.ndarray, feature: int | None, ask: str) -> np.ndarray:
    chosen = coefficients if feature is None else coefficients[:, feature]
    return chosen if ask == "value" else (chosen > 0).astype(np.int64)


def groups_of(coefficients: np.ndarray, feature: int | None) -> dict[str, np.ndarray]:
    """Return the group that says where the feature asked about is active; none where all are asked about."""
    return {} if feature is None else {f"c{feature}": (coefficients[:, feature] > 0).astype(np.int64)}
