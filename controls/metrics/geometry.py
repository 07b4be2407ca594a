"""How the directions of a dictionary lie: neighbours, spectrum, clusters and circles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np

from controls.core.dictionary import as_dictionary
from controls.core.errors import InputError
from controls.core.problem import Problem
from controls.core.rng import stream
from controls.core.validate import real_number, true_or_false, whole_number

_AT_ONCE = 1 << 24  # cosines of a block


@final
@dataclass(frozen=True)
class NeighbourCosine:
    """Mean, or a quantile, over directions of the cosine with the nearest other one.

    Higher is more crowded: latents that are duplicates, or split one feature. Random directions have
    ``chance_cosine(m − 1, d)`` in the mean.

    Parameters
    ----------
    quantile : float, optional
        Between 0 and 1; the mean where it is None.
    absolute : bool, default False
        Whether opposite directions are near.

    Notes
    -----
    Rows of zeros in the decoder are left out. O(m² d) time, memory in blocks. Like all geometry, a score
    of the dictionary alone; compare it with ``geometry_reference``.

    Examples
    --------
    >>> import numpy as np, controls as ct
    >>> ct.metrics.NeighbourCosine()(np.array([[1.0, 0.0], [0.6, 0.8], [0.0, 2.0]]))
    0.7333333333333334
    """

    quantile: float | None = None
    absolute: bool = False

    ceiling: ClassVar[float] = 1.0
    reads_rows: ClassVar[bool] = False

    def __post_init__(self) -> None:
        true_or_false(self.absolute, "absolute")
        if self.quantile is not None:
            real_number(self.quantile, "quantile", low=0, high=1, open_ends=False)

    def __call__(self, finding: Any, problem: Problem | None = None) -> float:
        """Return the score of a finding."""
        nearest = self.per_latent(finding)
        return float(nearest.mean() if self.quantile is None else np.quantile(nearest, self.quantile))

    def per_latent(self, finding: Any) -> np.ndarray:
        """Return the cosine of each direction that is not zero with the nearest other one."""
        return neighbours(directions_of(finding, 2), 1, absolute=self.absolute)[1][:, 0]


def participation_ratio(finding: Any, problem: Problem | None = None) -> float:
    """Return (Σλ)² / Σλ² of the eigenvalues λ of the directions' Gram matrix: how many dimensions they spread over.

    d at most, for a tight frame; 1 where all directions are one. Directions have length 1 and are not centred.

    Examples
    --------
    >>> import numpy as np, controls as ct
    >>> round(ct.metrics.participation_ratio(np.eye(3)), 6), round(ct.metrics.participation_ratio(np.ones((4, 3))), 6)
    (3.0, 1.0)
    """
    values = gram_spectrum(finding)
    return float(values.sum() ** 2 / np.square(values).sum())


def effective_rank(finding: Any, problem: Problem | None = None) -> float:
    """Return exp(−Σ p log p) with p the eigenvalues of the directions' Gram matrix over their sum.

    The entropy of the spectrum as a number of dimensions; small eigenvalues count for more than in
    ``participation_ratio``.

    Examples
    --------
    >>> import numpy as np, controls as ct
    >>> round(ct.metrics.effective_rank(np.eye(3)), 6), round(ct.metrics.effective_rank(np.ones((4, 3))), 6)
    (3.0, 1.0)
    """
    values = gram_spectrum(finding)
    p = values[values > 0] / values.sum()
    return float(np.exp(-(p * np.log(p)).sum()))


participation_ratio.reads_rows = effective_rank.reads_rows = False  # type: ignore[attr-defined]


@final
@dataclass(frozen=True)
class ClusterScore:
    """How far directions fall into clusters: their mean simplified silhouette.

    Directions are put into ``n_clusters`` by k-means. Of each, a is the distance (1 − cosine) to its own
    cluster's centre and b that to the nearest other one; the silhouette is (b − a)/max(a, b). 1 is
    clusters without width, 0 none. Random directions score above 0: compare with ``geometry_reference``.

    Parameters
    ----------
    n_clusters : int, default 8
        At least 2.
    seed : int, default 0
        Of the starts of k-means.

    Examples
    --------
    >>> import numpy as np, controls as ct
    >>> rng = np.random.default_rng(0)
    >>> centres = rng.normal(size=(8, 32)).repeat(10, axis=0)
    >>> ct.metrics.ClusterScore()(centres + 0.1 * rng.normal(size=(80, 32))) > 0.9
    True
    """

    n_clusters: int = 8
    seed: int = 0

    ceiling: ClassVar[float] = 1.0
    reads_rows: ClassVar[bool] = False

    def __post_init__(self) -> None:
        whole_number(self.n_clusters, "n_clusters", low=2)
        whole_number(self.seed, "seed", low=0)

    def __call__(self, finding: Any, problem: Problem | None = None) -> float:
        """Return the score of a finding."""
        from sklearn.cluster import KMeans

        directions = directions_of(finding, self.n_clusters + 1)
        if len(np.unique(directions.round(12), axis=0)) < self.n_clusters:
            raise InputError(f"n_clusters must be at most the number of distinct directions, got {self.n_clusters}.")
        state = int(stream(self.seed, "ClusterScore").integers(1 << 31))
        means = KMeans(self.n_clusters, n_init=4, random_state=state)  # pyright: ignore[reportArgumentType]
        labels = means.fit_predict(directions)
        centres = means.cluster_centers_
        centres = centres / np.maximum(np.linalg.norm(centres, axis=1, keepdims=True), 1e-12)
        apart = np.maximum(1 - directions @ centres.T, 0)
        own = apart[np.arange(len(labels)), labels]
        apart[np.arange(len(labels)), labels] = np.inf
        other = apart.min(axis=1)
        widest = np.maximum(own, other)
        return float(np.divide(other - own, widest, out=np.zeros_like(own), where=widest > 0).mean())


@final
@dataclass(frozen=True)
class CircleScore:
    """How nearly some group of directions lies on a circle, as features of days or months do (Engels et al. 2024).

    Groups are the connected parts of the graph that joins directions which are among each other's
    ``n_neighbors`` nearest. Of each group of at least ``least`` directions, the score is the product
    of three shares, each 1 for a circle: of its variance in the plane of its first two principal
    components; of the second component's deviation in the first's; and of roundness there,
    (ρ − π/4)/(1 − π/4) from 0 up, with ρ = (mean radius)²/(mean squared radius), which is 1 on a circle
    and π/4 for a Gaussian cloud. The dictionary's score is that of its best group, so references
    must take the best of theirs too; ``geometry_reference`` does.

    This looks at directions alone. That a circle is used as one (irreducible in the sense of Engels et
    al.) is a statement about activations, which it does not make.

    Parameters
    ----------
    n_neighbors : int, default 4
    least : int, default 6
        Directions of a group, at least 4; a few points lie near a circle by chance.

    Examples
    --------
    >>> import numpy as np, controls as ct
    >>> angles = 2 * np.pi * np.arange(12) / 12
    >>> circle = np.stack([np.cos(angles), np.sin(angles), np.full(12, 0.5)], axis=1)
    >>> round(ct.metrics.CircleScore()(circle), 6)
    1.0
    """

    n_neighbors: int = 4
    least: int = 6

    ceiling: ClassVar[float] = 1.0
    reads_rows: ClassVar[bool] = False

    def __post_init__(self) -> None:
        whole_number(self.n_neighbors, "n_neighbors", low=2)
        whole_number(self.least, "least", low=4)

    def __call__(self, finding: Any, problem: Problem | None = None) -> float:
        """Return the score of a finding; 0 where no group is large enough."""
        directions = directions_of(finding, self.least)
        groups = self._groups(directions)
        scores = [_circle(directions[groups == group]) for group in np.flatnonzero(np.bincount(groups) >= self.least)]
        return float(max(scores, default=0.0))

    def groups(self, finding: Any) -> list[np.ndarray]:
        """Return the groups that are looked at: indices of the directions that are not zero, best circle first."""
        directions = directions_of(finding, self.least)
        labels = self._groups(directions)
        found = [np.flatnonzero(labels == group) for group in np.flatnonzero(np.bincount(labels) >= self.least)]
        return sorted(found, key=lambda members: -_circle(directions[members]))

    def _groups(self, directions: np.ndarray) -> np.ndarray:
        from scipy.sparse import csr_array
        from scipy.sparse.csgraph import connected_components

        k, m = min(self.n_neighbors, len(directions) - 1), len(directions)
        nearest = neighbours(directions, k)[0]
        links = csr_array((np.ones(m * k), (np.arange(m).repeat(k), nearest.ravel())), shape=(m, m))
        return connected_components(links.multiply(links.T), directed=False)[1]


def directions_of(finding: Any, least: int) -> np.ndarray:
    """Return the decoder's rows of length 1, without those that are zero; refuse fewer than ``least``."""
    directions = as_dictionary(finding).directions
    directions = directions[np.asarray(directions.any(axis=1))]
    if len(directions) < least:
        raise InputError(
            f"geometry needs a dictionary of at least {least} directions that are not zero, got {len(directions)}."
        )
    return directions


def gram_spectrum(finding: Any) -> np.ndarray:
    """Return the eigenvalues of the Gram matrix of the directions that are not zero, falling, shape (min(m, d),)."""
    directions = directions_of(finding, 1)
    return np.square(np.linalg.svd(directions, compute_uv=False))


def neighbours(directions: np.ndarray, k: int, *, absolute: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Return the k nearest others of each direction, nearest first: indices (m, k) and cosines (m, k)."""
    m = len(directions)
    indices, cosines = np.empty((m, k), dtype=np.int64), np.empty((m, k))
    size = max(1, _AT_ONCE // m)
    for start in range(0, m, size):
        block = directions[start : start + size] @ directions.T
        block = np.abs(block) if absolute else block
        rows = np.arange(len(block))
        block[rows, start + rows] = -np.inf
        near = np.argpartition(-block, k - 1, axis=1)[:, :k]
        near = np.take_along_axis(near, np.argsort(-np.take_along_axis(block, near, axis=1), axis=1), axis=1)
        indices[start : start + size] = near
        cosines[start : start + size] = np.take_along_axis(block, near, axis=1).clip(max=1.0)
    return indices, cosines


def _circle(points: np.ndarray) -> float:
    left, deviations, _ = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)
    if deviations[0] <= 1e-9 or len(deviations) < 2:
        return 0.0
    plane = left[:, :2] * deviations[:2]
    radii = np.linalg.norm(plane, axis=1)
    share = np.square(deviations[:2]).sum() / np.square(deviations).sum()
    roundness = (radii.mean() ** 2 / np.square(radii).mean() - np.pi / 4) / (1 - np.pi / 4)
    return float(share * deviations[1] / deviations[0] * max(roundness, 0.0))
