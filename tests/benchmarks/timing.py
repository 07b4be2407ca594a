"""What is timed: whole calls of ours and of the peer, the products they are made of, and how far fits are from done."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
import torch
from joblib import parallel_config
from problems import probe_and_scoring
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import permutation_test_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import controls as ct
from controls.core.rng import stream
from controls.probes import _engine, _logistic
from controls.probes._matrix import Matrix

FOLDS = 5


def seconds(call: Callable[[], Any]) -> float:
    """Return how long a call takes."""
    clock = time.perf_counter()
    call()
    return time.perf_counter() - clock


def ours(kind: str, problem: ct.Problem, draws: int) -> Callable[[], ct.Result]:
    """Return the call of ours: everything from labels drawn to the verdict."""
    probe, scoring = probe_and_scoring(kind)
    return lambda: ct.measure(
        probe, problem, controls=[ct.ShuffleLabels()], scoring=scoring, draws=draws, cv=splits(problem)
    )


def splits(problem: ct.Problem) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return five folds of whole units, fixed."""
    fold = stream(0, "benchmark", "folds").permutation(problem.n_units)[problem.unit_codes] % FOLDS
    return [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(FOLDS)]


def peer_model(kind: str) -> Any:
    """Return the estimator that fits what ours fits."""
    return make_pipeline(StandardScaler(), Ridge() if kind == "ridge" else LogisticRegression(max_iter=1000))


def peer(kind: str, problem: ct.Problem, draws: int) -> Callable[[], Any]:
    """Return the call of the peer: all cores, one BLAS thread each."""
    model, scoring = peer_model(kind), probe_and_scoring(kind)[1]

    def call() -> Any:
        with parallel_config(backend="loky", inner_max_num_threads=1):
            return permutation_test_score(
                model,
                problem.X,
                problem.labels,
                cv=splits(problem),
                scoring=scoring,
                n_permutations=draws,
                n_jobs=-1,
                random_state=0,
            )

    return call


@dataclass(frozen=True)
class Linear:
    """The peer's seconds as a line: so many before the first permutation, so many for each."""

    start: float
    each: float

    def at(self, draws: int) -> float:
        """Return the seconds of so many permutations."""
        return self.start + draws * self.each


def line(few: int, many: int, of_few: list[float], of_many: list[float]) -> Linear:
    """Return the line through the medians at two numbers of permutations."""
    each = (median(of_many) - median(of_few)) / (many - few)
    return Linear(median(of_few) - few * each, each)


def product_rate(n: int, d: int, columns: int = 256) -> tuple[float, float]:
    """Return the Gflop/s of one product (n, d) by (d, columns) in float32: torch's own, and that of our engines."""
    rng = stream(0, "benchmark", "product")
    rows, block = (torch.from_numpy(rng.standard_normal(shape, dtype=np.float32)) for shape in ((n, d), (d, columns)))
    matrix, work = Matrix(rows), 2e-9 * n * d * columns
    calls = (lambda: rows @ block, lambda: matrix.times(block))
    best = [min(seconds(call) for _ in range(20)) for call in calls]
    return work / best[0], work / best[1]


def useful_work(kind: str, problem: ct.Problem, draws: int) -> float:
    """Return the Gflop of products that fits cannot do without, in a run that is not timed.

    Two products of the training rows for each step of each column that is not done yet (one for
    ridge), and one of the test rows. What whitening, scatter matrices and finished columns cost
    is left out.
    """
    classes = len(problem.classes) if kind.startswith("multinomial") else 1
    steps = FOLDS * (draws + 1) / 2 if kind == "ridge" else _steps(ours(kind, problem, draws))
    train = problem.n * (FOLDS - 1) / FOLDS
    return 2e-9 * problem.d * classes * (2 * steps * train + problem.n * (draws + 1))


def _steps(call: Callable[[], Any]) -> int:
    """Return the steps that columns take in a call, summed over columns and folds."""
    taken, advance = 0, _logistic.BatchFit._advance

    def counted(fit: _logistic.BatchFit, *args: Any) -> None:
        nonlocal taken
        taken += int(fit.live.sum())
        advance(fit, *args)

    _logistic.BatchFit._advance = counted
    try:
        call()
    finally:
        _logistic.BatchFit._advance = advance
    return taken


def largest_gradient(kind: str, problem: ct.Problem, columns: int = 32) -> float:
    """Return the largest derivative that fits of shuffled labels leave, as scikit-learn's lbfgs measures it.

    That is of the mean log-loss plus its share of the penalty, in standardised features, computed in
    float64; lbfgs stops where it is below tol=1e-4.
    """
    probe, _ = probe_and_scoring(kind)
    rng, classes = stream(0, "benchmark", "gradient"), len(problem.classes)
    codes = np.column_stack([rng.permutation(problem.label_codes) for _ in range(columns)])
    engine = probe.engine(problem.X, splits(problem), "classification", classes)
    worst = 0.0
    for fold in range(FOLDS):
        space = engine._spaces[fold]
        targets = _logistic.make_targets(torch.from_numpy(codes[space.train_rows]), classes, torch.float32)
        point = _engine._solve(space, targets, probe).double().flatten(1)
        weights, shift = space.to(torch.float64).lift(point)
        standard = weights * (space.penalty.double() * probe.C).sqrt()[:, None]
        X = problem.X[space.train_rows].astype(np.float64)
        Z = torch.from_numpy((X - X.mean(axis=0)) / X.std(axis=0))
        logits = space.train.times(weights, shift).unflatten(1, targets.hot.shape[1:])
        residual = targets.double().residual(logits).flatten(1) / len(Z)
        slopes = Z.T @ residual + standard / (probe.C * len(Z))
        worst = max(worst, float(slopes.abs().max()), float(residual.sum(0).abs().max()))
    return worst


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0))
