"""What the geometry of a dictionary is compared with: random dictionaries that share its covariance or spectrum."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from controls.core.errors import InputError, InputTypeError
from controls.core.validate import one_of, random_generator, whole_number
from controls.metrics.chance import covariance_root, random_directions
from controls.metrics.geometry import directions_of

KINDS = ("isotropic", "covariance", "spectrum")
_STEPS, _CLOSE = 300, 1e-6


def geometry_reference(
    finding: Any,
    metric: Callable[..., Any],
    *,
    kind: str = "spectrum",
    covariance: Any = None,
    draws: int = 39,
    rng: np.random.Generator,
) -> np.ndarray:
    """Return the scores of random dictionaries of the same size as a finding.

    Parameters
    ----------
    finding : Dictionary, or what stands for one
    metric : callable
        A metric of geometry, such as ``NeighbourCosine()`` or ``participation_ratio``: it is given decoder
        matrices (m, d).
    kind : {"isotropic", "covariance", "spectrum"}
        What they share with the finding. "isotropic": m and d. "covariance": rows are Gaussian with
        ``covariance`` (for example that of the activations), or with the second moments of the finding's own
        directions where it is None, at length 1. "spectrum": the singular values of its directions, with
        directions whose law no rotation and no order of latents changes: see ``reference_directions``.
    covariance : array of shape (d, d), optional
    draws : int, default 39
    rng : numpy.random.Generator

    Returns
    -------
    array of shape (draws,)

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> from controls.metrics.geometry import NeighbourCosine
    >>> pairs = np.repeat(rng.normal(size=(20, 16)), 2, axis=0) + 0.1 * rng.normal(size=(40, 16))
    >>> drawn = geometry_reference(pairs, NeighbourCosine(), draws=19, rng=rng)
    >>> bool(NeighbourCosine()(pairs) > drawn.max())
    True
    """
    if not callable(metric):
        raise InputTypeError(f"metric must be a function of a decoder matrix, got {type(metric).__name__}.")
    whole_number(draws, "draws", low=1)
    return np.array(
        [
            float(metric(reference_directions(finding, kind=kind, covariance=covariance, rng=rng), None))
            for _ in range(draws)
        ]
    )


def reference_directions(
    finding: Any, *, kind: str = "spectrum", covariance: Any = None, rng: np.random.Generator
) -> np.ndarray:
    """Return one random dictionary of the same size as a finding, shape (m, d), its rows at length 1.

    Rows of zeros of the finding are left out. Parameters are those of ``geometry_reference``.

    Notes
    -----
    "spectrum": a Gaussian matrix, which has Haar-random singular vectors, gets the finding's singular
    values; its rows then have no longer length 1. Both are put right in turn until both hold (alternating
    projections; Tropp et al. 2005). Rows end at length 1 exactly, singular values within 1e-6
    of the largest (a finding always has one such dictionary: itself). Its law is invariant under
    rotations of the space and under the order of latents. Where steps do not suffice, InputError.

    "covariance": rows are at length 1, so their second moments are near the finding's, not equal.

    Time O(m d²) per step; about 10 to 100 steps.

    Raises
    ------
    InputError
        An unknown kind, a covariance where the kind takes none, or of another shape.
    """
    one_of(kind, "kind", KINDS)
    random_generator(rng)
    if covariance is not None and kind != "covariance":
        raise InputError(f"covariance is for kind='covariance' only, got kind={kind!r}; leave it out.")
    directions = directions_of(finding, 1)
    m, d = directions.shape
    if kind == "spectrum":
        return _with_spectrum(np.linalg.svd(directions, compute_uv=False), m, d, rng)
    root = None
    if kind == "covariance":
        root = covariance_root(directions.T @ directions / m if covariance is None else covariance, d)
    return random_directions(m, d, root, rng)


def _with_spectrum(values: np.ndarray, m: int, d: int, rng: np.random.Generator) -> np.ndarray:
    rows = rng.standard_normal((m, d))
    off = np.inf
    for _ in range(_STEPS):
        left, own, right = np.linalg.svd(rows, full_matrices=False)
        off = float(np.abs(own - values).max() / values[0])
        if off <= _CLOSE and np.isfinite(off):
            return rows
        rows = (left * values) @ right
        rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    raise InputError(
        f"kind='spectrum' must find random directions with the dictionary's singular values, but {_STEPS} steps leave "
        f"them off by {off:.1e}; take kind='covariance'."
    )
