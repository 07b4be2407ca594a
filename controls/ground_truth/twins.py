"""Twins of a planted dictionary: data that keep what is easy to match of it, and hold no dictionary to be found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from controls.core.errors import InputTypeError
from controls.core.problem import Problem
from controls.core.rng import stream
from controls.core.validate import one_of, whole_number
from controls.ground_truth.dictionaries import PlantedDictionary, groups_of, question

TWINS = ("gaussian", "rotated", "fresh", "phases", "shuffled")


@final
@dataclass(frozen=True, eq=False)
class DictionaryTwin:
    """Activations that look like those of a planted dictionary, and in which its directions are not to be found.

    Parameters
    ----------
    world : PlantedDictionary
        What they resemble.
    kind : {"gaussian", "rotated", "fresh", "phases", "shuffled"}
        "gaussian": normal, of the same mean and covariance. "rotated": the same world with its directions
        turned by ``rotation``, so that there is a dictionary, but another one. "fresh": every active
        feature of every row has a direction of its own, drawn anew; same coefficients, mean and
        covariance. "phases": each row points anywhere, at the length that it had among whitened rows;
        same mean and covariance. "shuffled": each activation is permuted among the rows on its own;
        same distribution of each.
    seed : int, default 0
        Of the rotation.

    Notes
    -----
    What a trainer finds in "gaussian", "fresh" and "phases" comes from mean and covariance alone: the
    reference for scores such as the mean max cosine similarity, since random directions match neither.
    A sample costs O(n d² + n m).

    Examples
    --------
    >>> from controls.ground_truth import PlantedDictionary, SparseFeatures, random_directions
    >>> rng = np.random.default_rng(0)
    >>> world = PlantedDictionary(random_directions(8, 4, rng), SparseFeatures(8))
    >>> DictionaryTwin(world, "fresh").sample(100, rng)
    Problem(n=100, d=4, labels='binary', groups=['c0'], unit=None (rows: 100 units))
    """

    world: PlantedDictionary
    kind: str
    seed: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.world, PlantedDictionary):
            raise InputTypeError(f"world must be a PlantedDictionary, got {type(self.world).__name__}.")
        one_of(self.kind, "kind", TWINS)
        whole_number(self.seed, "seed", low=0)

    @property
    def directions(self) -> np.ndarray | None:
        """The directions that are there to be found, shape (m, d): those of the rotated world; None elsewhere."""
        return self._turned.directions if self.kind == "rotated" else None

    @property
    def truth(self) -> TwinTruth:
        """What a linear probe can read of the features, exactly; mean and covariance of the activations."""
        return TwinTruth(self)

    def sample(self, n: int, rng: np.random.Generator, *, feature: int | None = 0, ask: str = "active") -> Problem:
        """Return a problem of n rows, labelled by the features that the rows of ``world`` had; see its ``sample``.

        Only a rotated twin has a source.
        """
        if self.kind == "rotated":
            return self._turned.sample(n, rng, feature=feature, ask=ask)
        labels_of = question(feature, ask, self.world.m)
        coefficients = self.world.features.sample(n, rng)
        made = {"gaussian": _gaussian, "fresh": _fresh, "phases": _phases, "shuffled": _shuffled}[self.kind]
        activations = made(self.world, coefficients, rng)
        return Problem(activations, labels_of(coefficients), groups=groups_of(coefficients, feature))

    @property
    def _turned(self) -> PlantedDictionary:
        turn = rotation(self.world.d, self.seed)
        return PlantedDictionary(self.world.directions @ turn, self.world.features, self.world.noise)


@final
@dataclass(frozen=True, eq=False)
class TwinTruth:
    """What is known of a twin.

    Examples
    --------
    >>> from controls.ground_truth import PlantedDictionary, SparseFeatures, random_directions
    >>> world = PlantedDictionary(random_directions(8, 4, np.random.default_rng(0)), SparseFeatures(8))
    >>> DictionaryTwin(world, "phases").truth.r2.tolist()
    [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    """

    twin: DictionaryTwin

    @property
    def r2(self) -> np.ndarray:
        """Best R² of a linear probe for each feature's coefficient, shape (m,): 0, but where rotated."""
        twin = self.twin
        return twin._turned.truth.r2 if twin.kind == "rotated" else np.zeros(twin.world.m)

    @property
    def activation_mean(self) -> np.ndarray:
        """Expected activations, shape (d,): those of the world, turned where rotated."""
        twin = self.twin
        return (twin._turned if twin.kind == "rotated" else twin.world).truth.activation_mean

    @property
    def activation_covariance(self) -> np.ndarray:
        """Covariance of the activations, shape (d, d): of shuffled ones only the diagonal is left."""
        twin = self.twin
        covariance = (twin._turned if twin.kind == "rotated" else twin.world).truth.activation_covariance
        return np.diag(np.diag(covariance)) if twin.kind == "shuffled" else covariance


def rotation(d: int, seed: int) -> np.ndarray:
    """Return a uniform random rotation or reflection, shape (d, d), of a seed.

    Examples
    --------
    >>> turn = rotation(3, 0)
    >>> np.allclose(turn @ turn.T, np.eye(3))
    True
    """
    Q, R = np.linalg.qr(stream(seed, "rotation", d).standard_normal((d, d)))
    return Q * np.sign(np.diag(R))


def _root(covariance: np.ndarray) -> np.ndarray:
    """Return the symmetric square root of a covariance."""
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T


def _gaussian(world: PlantedDictionary, coefficients: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    z = rng.standard_normal((len(coefficients), world.d))
    return z @ _root(world.truth.activation_covariance) + world.truth.activation_mean


def _fresh(world: PlantedDictionary, coefficients: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Sum directions drawn anew, then give the sum the covariance that the world's sums have."""
    from scipy.sparse import csr_array

    row, feature = np.nonzero(coefficients)
    drawn = rng.standard_normal((len(row), world.d))
    drawn *= (coefficients[row, feature] / np.linalg.norm(drawn, axis=1))[:, None]
    shape = (len(coefficients), len(row))
    sums = csr_array((np.ones(len(row)), (row, np.arange(len(row)))), shape=shape) @ drawn
    truth = world.truth
    square = float((np.diag(truth.covariance) + truth.mean**2).sum())  # of the length of a sum, expected
    coloured = sums @ _root(truth.signal_covariance) * np.sqrt(world.d / square)
    return coloured + truth.activation_mean + world.noise * rng.standard_normal(coloured.shape)


def _phases(world: PlantedDictionary, coefficients: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Keep the length of each whitened row, and let it point anywhere."""
    truth = world.truth
    rows = coefficients @ world.directions + world.noise * rng.standard_normal((len(coefficients), world.d))
    root = _root(truth.activation_covariance)
    lengths = np.linalg.norm((rows - truth.activation_mean) @ np.linalg.pinv(root, hermitian=True), axis=1)
    z = rng.standard_normal(rows.shape)
    scale = np.sqrt(world.d / np.linalg.matrix_rank(root, hermitian=True))
    z *= (scale * lengths / np.linalg.norm(z, axis=1))[:, None]
    return z @ root + truth.activation_mean


def _shuffled(world: PlantedDictionary, coefficients: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    rows = coefficients @ world.directions + world.noise * rng.standard_normal((len(coefficients), world.d))
    return rng.permuted(rows, axis=0)
