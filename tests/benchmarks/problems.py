"""The problems that are timed: correlated activations with a signal, in units of ten rows.

The variance of the k-th principal component falls as 1/k, as it roughly does in language models; on
uncorrelated activations, which no model has, scikit-learn's solver needs few steps.
"""

from __future__ import annotations

import numpy as np

import controls as ct
from controls.core.rng import stream

UNCORRELATED = "logistic, uncorrelated"
KINDS = ("ridge", "logistic", UNCORRELATED, "multinomial", "multinomial at default tol")
AT_DEFAULT = " at default tol"
TOL = 1e-3  # leaves derivatives below the 1e-4 at which scikit-learn stops, which the page shows
ROWS_PER_UNIT = 10


def make_problem(kind: str, n: int, d: int, classes: int = 2, activations: np.ndarray | None = None) -> ct.Problem:
    """Return a problem of float32 activations (n, d), labelled by a noisy linear signal."""
    rng = stream(0, "benchmark", made_like(kind), n, d, classes)
    X = _activations(kind, n, d, rng) if activations is None else activations
    weights = rng.normal(size=(d, classes)) / (np.sqrt(d) * X[:4096].std())
    signal = np.concatenate([X[start : start + 4096] @ weights for start in range(0, n, 4096)])
    if kind == "ridge":
        y = signal[:, 0] + rng.normal(size=n)
    elif kind.startswith("logistic"):
        y = (signal[:, 0] + rng.normal(size=n) > 0).astype(int)
    else:
        y = (2 * signal + rng.gumbel(size=(n, classes))).argmax(axis=1)
    unit = np.arange(n) // ROWS_PER_UNIT
    return ct.Problem(X, y, groups={"document": unit}, unit="document")


def made_like(kind: str) -> str:
    """Return the kind whose problem and peer a kind has: the same but for our tolerance."""
    return kind.removesuffix(AT_DEFAULT)


def _activations(kind: str, n: int, d: int, rng: np.random.Generator) -> np.ndarray:
    if kind == UNCORRELATED:
        return rng.standard_normal((n, d), dtype=np.float32)
    mix = rng.normal(size=(d, d)) / np.sqrt(np.arange(1, d + 1))[:, None]
    return (rng.standard_normal((n, d), dtype=np.float32) @ mix).astype(np.float32)


def probe_and_scoring(kind: str) -> tuple[ct.probes.RidgeProbe | ct.probes.LogisticProbe, str]:
    """Return the probe of a kind, and the name of its score."""
    if kind == "ridge":
        return ct.probes.RidgeProbe(), "r2"
    if kind == "multinomial":
        return ct.probes.LogisticProbe(tol=TOL), "accuracy"
    return ct.probes.LogisticProbe(), "roc_auc" if kind.startswith("logistic") else "accuracy"
