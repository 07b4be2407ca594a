"""Common practices that raise false alarms, each beside the restriction that keeps the level.

In every world below labels and activations have nothing to do with each other (but for chance), so
that a rejection is a false alarm.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from controls.core.problem import Problem
from controls.core.rng import stream
from controls.experiment import measure, sweep
from controls.generators.labels import ShuffleLabels
from controls.ground_truth.documents import NullDocuments
from controls.probes import RidgeProbe
from controls.testing.suite.case import Case, Check, Effort, Rejections, Seen, Shown

DRAWS = 19  # alpha (draws + 1) is whole at .05
Repetition = Callable[[int], tuple[float, float]]  # number of the repetition: (p of the naive practice, p of ours)


@dataclass(frozen=True)
class Pitfall:
    """A naive practice beside ours, in a world without signal."""

    name: str
    naive: str  # what people do
    ours: str  # what to do instead
    run: Repetition
    met: bool = True  # continuous statistic and whole alpha (draws + 1): the level is met, not only kept
    alpha: float = 0.05
    faint: str = ""  # the naive practice need not be seen to fail: "always", or "short" where that takes the full form

    @property
    def case(self) -> Case:
        """The pitfall as a case of the suite."""
        question = f"{self.naive}; instead: {self.ours}"
        return Case(self.name, question, "null: labels have nothing to do with activations", partial(count, self))


def count(pitfall: Pitfall, effort: Effort) -> list[Check]:
    """Return the false alarms of the naive practice and of ours."""
    repetitions = effort.pick(60, 640)
    p = np.array([pitfall.run(seed) for seed in range(repetitions)])
    naive, ours = (int(n) for n in (p <= pitfall.alpha + 1e-12).sum(axis=0))
    unseen = pitfall.faint == "always" or (pitfall.faint == "short" and effort.short)
    return [
        Shown(pitfall.naive, naive / repetitions)
        if unseen
        else Seen(pitfall.naive, naive, repetitions, rate=pitfall.alpha),
        Rejections(pitfall.ours, ours, repetitions, alpha=pitfall.alpha, met=pitfall.met),
    ]


def _p(problem: Problem, control: ShuffleLabels, seed: int, **settings: Any) -> float:
    settings = {"scoring": "roc_auc", "draws": DRAWS, "block": 100, **settings}
    trainer = settings.pop("trainer", RidgeProbe())
    return measure(trainer, problem, controls=[control], seed=seed, **settings).comparisons[0].p_value


def _world(world: NullDocuments, name: str, seed: int) -> Problem:
    return world.sample(stream(seed, "world", name))


def _as_rows(problem: Problem) -> Problem:
    """Return the problem as people often see it: rows, without documents."""
    return Problem(problem.X, problem.labels, groups=problem.groups)


def document_labels(seed: int) -> tuple[float, float]:
    """One label per document: rows split and shuffled, against whole documents."""
    problem = _world(NullDocuments("document"), "document", seed)
    return _p(_as_rows(problem), ShuffleLabels(), seed), _p(problem, ShuffleLabels(whole="document"), seed)


def document_labels_half_fixed(seed: int) -> tuple[float, float]:
    """One label per document: split by document but rows shuffled, against whole documents."""
    problem = _world(NullDocuments("document"), "half-fixed", seed)
    return _p(problem, ShuffleLabels(), seed), _p(problem, ShuffleLabels(whole="document"), seed)


def base_rates(seed: int) -> tuple[float, float]:
    """A base rate per document: rows split and shuffled, against shuffles within documents."""
    problem = _world(NullDocuments("base_rates"), "base rates", seed)
    return _p(_as_rows(problem), ShuffleLabels(), seed), _p(problem, ShuffleLabels(within="document"), seed)


def type_labels(seed: int) -> tuple[float, float]:
    """One label per word type: rows split and shuffled, against whole types."""
    problem = _world(NullDocuments("type", document_effect=0.0), "types", seed)
    by_type = replace(problem, unit="word")
    return _p(_as_rows(problem), ShuffleLabels(), seed), _p(by_type, ShuffleLabels(whole="word"), seed)


def selection(seed: int) -> tuple[float, float]:
    """The ten of 200 features that go best with the labels: selected once on all rows, against inside every fit."""
    problem = _world(NullDocuments("free", n_documents=40, size=2, d=200, document_effect=0.0), "selection", seed)
    chosen = best_features(problem.X, problem.labels, 10)
    naive = Problem(problem.X[:, chosen], problem.labels)
    ours = _p(_as_rows(problem), ShuffleLabels(), seed, trainer=select_then_fit, scoring="roc_auc", draws=19, cv=3)
    return _p(naive, ShuffleLabels(), seed, draws=19, cv=3), ours


def best_of_layers(seed: int) -> tuple[float, float]:
    """Best of twelve layers: its own p, against max-T over all layers."""
    rng = stream(seed, "world", "layers")
    base = NullDocuments("free", n_documents=60, size=2, d=8, document_effect=0.0).sample(rng)
    layers = {str(k): 0.5 * base.X + rng.standard_normal(base.X.shape) for k in range(12)}
    problem = Problem(layers, base.labels)
    swept = sweep(
        RidgeProbe(), problem, controls=[ShuffleLabels()], scoring="roc_auc", draws=DRAWS, block=100, seed=seed
    )
    best = max(swept.results.values(), key=lambda result: result.score)
    return best.comparisons[0].p_value, min(swept.adjusted_p["ShuffleLabels"].values())


def train_only(seed: int) -> tuple[float, float]:
    """Labels shuffled in training rows only, against the whole validation done anew for every shuffle."""
    problem = _world(NullDocuments("free", n_documents=30, size=1, d=5, document_effect=0.0), "train only", seed)
    return train_only_p(problem, seed), _p(_as_rows(problem), ShuffleLabels(), seed)


def autocorrelated(rho: float, seed: int) -> tuple[float, float]:
    """Labels and activations serially dependent within 30 documents of 60 rows."""
    world = NullDocuments("autocorrelated", n_documents=30, size=60, rho=rho)
    problem = _world(world, f"autocorrelated {rho}", seed)
    naive = _p(problem, ShuffleLabels(within="document"), seed)
    return naive, _p(problem, ShuffleLabels(whole="document", blocks=True), seed)


def few_documents(seed: int) -> tuple[float, float]:
    """Six documents, three against three: draws that refuse the identity, against all twenty enumerated.

    The direction is fixed beforehand: a probe that learns it scores a relabeling and its mirror image
    alike, so that no relabeling is ever the only best one.
    """
    problem = _world(NullDocuments("document", n_documents=6), "six", seed)
    shuffle = ShuffleLabels(whole="document")
    found = measure(
        first_feature, problem, controls=[shuffle], scoring="roc_auc", draws=999, cv=2, seed=seed
    ).comparisons[0]
    others = found.control_scores[1:]  # the identity comes first
    picked = others[stream(seed, "refusing").integers(len(others), size=999)]
    return (1 + int((picked >= found.score - 1e-9).sum())) / 1000, found.p_value


def best_features(activations: np.ndarray, labels: np.ndarray, k: int) -> np.ndarray:
    """Return the k features of the largest absolute correlation with the labels."""
    centred = activations - activations.mean(axis=0)
    strength = np.abs(centred.T @ (labels - labels.mean())) / np.linalg.norm(centred, axis=0)
    return np.argsort(-strength, kind="stable")[:k]


@dataclass(frozen=True)
class _Selected:
    """A difference of means on chosen features."""

    features: np.ndarray
    weights: np.ndarray
    middle: float
    classes_: np.ndarray

    def decision_function(self, activations: np.ndarray) -> np.ndarray:
        return activations[:, self.features] @ self.weights - self.middle

    def predict(self, activations: np.ndarray) -> np.ndarray:
        return self.classes_[(self.decision_function(activations) > 0).astype(int)]


def select_then_fit(activations: np.ndarray, labels: np.ndarray) -> _Selected:
    """Select ten features, then fit a difference of means on them: selection inside the fit, where it belongs."""
    classes, codes = np.unique(labels, return_inverse=True)
    features = best_features(activations, codes, 10)
    means = [activations[codes == c][:, features].mean(axis=0) for c in (0, 1)]
    weights = means[1] - means[0]
    return _Selected(features, weights, float(weights @ (means[0] + means[1]) / 2), classes)


def first_feature(activations: np.ndarray, labels: np.ndarray) -> _Selected:
    """Learn nothing: the first feature is the score, whatever the labels."""
    return _Selected(np.array([0]), np.ones(1), 0.0, np.unique(labels))


def train_only_p(problem: Problem, seed: int) -> float:
    """Return the p of the practice that shuffles training labels only and scores on the labels as they are."""
    from controls.metrics.classification import RocAuc
    from controls.runner.folds import make_folds

    folds = make_folds(5, _as_rows(problem), seed).default()
    rng = stream(seed, "train only")
    columns = np.stack([problem.label_codes, *(rng.permutation(problem.label_codes) for _ in range(DRAWS))], axis=1)
    engine = RidgeProbe().engine(problem.X, folds, "classification", 2)
    truth = np.repeat(problem.label_codes[:, None], columns.shape[1], axis=1)
    scores = [RocAuc().score(truth[test], engine.predict(k, columns, "scores")) for k, (_, test) in enumerate(folds)]
    mean = np.nanmean(scores, axis=0)
    return (1 + int((mean[1:] >= mean[0] - 1e-9).sum())) / (DRAWS + 1)


PITFALLS = (
    Pitfall(
        "document-level labels",
        "rows split at random, rows shuffled",
        'unit="document", ShuffleLabels(whole="document")',
        document_labels,
    ),
    Pitfall(
        "document-level labels, half fixed",
        "split by document, rows shuffled",
        'unit="document", ShuffleLabels(whole="document")',
        document_labels_half_fixed,
    ),
    Pitfall(
        "a base rate per document",
        "rows split at random, rows shuffled",
        'ShuffleLabels(within="document")',
        base_rates,
    ),
    Pitfall(
        "one label per word type",
        "rows split at random, rows shuffled",
        'unit="word", ShuffleLabels(whole="word")',
        type_labels,
    ),
    Pitfall("features selected by label", "selected once, on all rows", "selection inside the trainer", selection),
    Pitfall("best of 12 layers", "the best layer's own p", "ct.sweep: max-T over layers", best_of_layers),
    Pitfall(
        "only training labels shuffled",
        "training labels shuffled, tested on labels as they are",
        "the whole validation anew per shuffle",
        train_only,
        faint="always",
    ),
    Pitfall(
        "AR(1) labels and features, rho .8",
        'ShuffleLabels(within="document")',
        'ShuffleLabels(whole="document", blocks=True)',
        partial(autocorrelated, 0.8),
        faint="short",
    ),
    Pitfall(
        "AR(1) labels and features, rho .95",
        'ShuffleLabels(within="document")',
        'ShuffleLabels(whole="document", blocks=True)',
        partial(autocorrelated, 0.95),
    ),
    Pitfall(
        "six documents, 3 against 3, alpha .01",
        "draws that refuse the identity",
        "all 20 relabelings, the identity kept",
        few_documents,
        met=False,
        alpha=0.01,
        faint="short",
    ),
)

CASES = tuple(pitfall.case for pitfall in PITFALLS)
