"""Coverage of the interval of a selectivity, against truths in closed form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial

import numpy as np

from controls.core.problem import Problem
from controls.core.rng import stream
from controls.core.trainer import Split
from controls.experiment import measure
from controls.generators.labels import ShuffleLabels
from controls.ground_truth.documents import GaussianDocuments
from controls.probes import RidgeProbe
from controls.runner.draws import draw_stream
from controls.runner.folds import make_folds
from controls.testing.suite.case import Case, Check, Coverage, Effort, Seen, Shown

DRAWS = 19
ALPHA = 10.0  # ridge penalty of the probes
_mean_size = lru_cache(GaussianDocuments.mean_size)  # of many random numbers


@dataclass(frozen=True)
class Setting:
    """A world, a metric and the target that the interval is for."""

    metric: str
    n_documents: int
    d: int
    target: str = "fitted"
    document_effect: float = 0.7
    effect: float = 1.0

    @property
    def world(self) -> GaussianDocuments:
        """The world: 30 documents are very unequal, 200 moderately so."""
        spread = 1.0 if self.n_documents <= 30 else 0.5
        return GaussianDocuments(
            self.metric == "r2",
            n_documents=self.n_documents,
            spread=spread,
            d=self.d,
            document_effect=self.document_effect,
            effect=self.effect,
        )

    @property
    def name(self) -> str:
        """The setting in words."""
        kind = "very unequal documents" if self.n_documents <= 30 else "documents"
        return f"{self.metric}, {self.n_documents} {kind}, d = {self.d}{'' if self.effect else ', no effect'}"

    @property
    def mean_size(self) -> float:
        """The expected number of rows in a document."""
        return _mean_size(self.world)

    @property
    def rate(self) -> float:
        """Not below .93 with 30 very unequal documents, .95 with 200."""
        return 0.93 if self.n_documents <= 30 else 0.95


@dataclass(frozen=True)
class Covered:
    """One repetition."""

    inside: bool  # the interval holds the truth
    width: float
    value: float
    truth: float  # of these fitted models
    standard_error: float


def one(setting: Setting, mean_size: float, seed: int) -> Covered:
    """Run one study in a fresh sample and hold its interval against the truth of its own fitted models."""
    problem = setting.world.sample(stream(seed, "coverage", setting.name))
    control = ShuffleLabels(within="document")
    result = measure(
        RidgeProbe(alpha=ALPHA),
        problem,
        controls=[control],
        scoring=setting.metric,
        draws=DRAWS,
        block=64,
        seed=seed,
        target=setting.target,
    )
    splits = make_folds(None, problem, seed).default()
    drawn = [control.relabel(problem, draw_stream(seed, control, b)) for b in range(DRAWS)]
    own, shuffled = true_scores(setting, problem, splits, np.stack([problem.labels, *drawn], axis=1), mean_size)
    truth = own - float(shuffled.mean())
    estimate = result.comparisons[0].selectivity
    return Covered(
        inside=estimate.low <= truth <= estimate.high,
        width=estimate.high - estimate.low,
        value=estimate.value,
        truth=truth,
        standard_error=estimate.standard_error,
    )


def true_scores(
    setting: Setting, problem: Problem, splits: tuple[Split, ...], labels: np.ndarray, mean_size: float
) -> tuple[float, np.ndarray]:
    """Return the population score of the fitted models on the labels, and of those fitted on each draw."""
    world = setting.world
    folds = []
    for split in splits:
        weights, intercepts = linear_maps(problem, split, labels)
        own = world.truth(setting.metric, weights[:, :1], intercepts[:1])
        shuffled = world.truth(setting.metric, weights[:, 1:], intercepts[1:], kept=1 / mean_size)
        folds.append(np.concatenate([own, shuffled]))
    mean = np.mean(folds, axis=0)
    return float(mean[0]), mean[1:]


def linear_maps(problem: Problem, split: Split, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return weights (d, B) and intercepts (B,) of the fold's models: their predictions at 0 and at unit vectors."""
    continuous = problem.target == "continuous"
    points = np.vstack([np.zeros((1, problem.d)), np.eye(problem.d)])
    rows = np.vstack([problem.X, points])
    at = np.arange(problem.n, problem.n + len(points))
    task = "regression" if continuous else "classification"
    engine = RidgeProbe(alpha=ALPHA).engine(rows, [(split[0], at)], task, 0 if continuous else 2)
    padded = np.vstack([labels, np.zeros((len(points), labels.shape[1]), dtype=labels.dtype)])
    output = engine.predict(0, padded, "labels" if continuous else "scores")
    values = output.labels if continuous else output.scores
    assert values is not None
    return values[1:] - values[0], values[0]


def token_one(setting: Setting, mean_size: float, seed: int) -> bool:
    """Return whether the percentile bootstrap of rows holds the truth of the score: the fault to be seen."""
    problem = setting.world.sample(stream(seed, "token", setting.name))
    splits = make_folds(None, problem, seed).default()
    own = true_scores(setting, problem, splits, problem.labels[:, None], mean_size)[0]
    low, high = token_bootstrap(setting, problem, splits, seed)
    return bool(low <= own <= high)


def token_bootstrap(
    setting: Setting, problem: Problem, splits: tuple[Split, ...], seed: int, resamples: int = 200
) -> tuple[float, float]:
    """Return the percentile interval of the score by resampling rows as if they were independent."""
    from controls.metrics.scoring import resolve
    from controls.runner.resample import take

    continuous = problem.target == "continuous"
    task = "regression" if continuous else "classification"
    metric = resolve(setting.metric, task)
    targets = problem.labels[:, None] if continuous else problem.label_codes[:, None]
    engine = RidgeProbe(alpha=ALPHA).engine(problem.X, splits, task, 0 if continuous else 2)
    rng, values = stream(seed, "token bootstrap"), np.zeros(resamples)
    for k, (_, test) in enumerate(splits):
        output = engine.predict(k, targets, metric.needs)  # type: ignore[attr-defined]
        picks = rng.integers(len(test), size=(resamples, len(test)))
        values += [metric.score(targets[test][rows], take(output, rows))[0] for rows in picks]  # type: ignore
    low, high = np.quantile(values / len(splits), [0.025, 0.975])
    return float(low), float(high)


def count(setting: Setting, effort: Effort) -> list[Check]:
    """Return how often the "fitted" interval holds the truth of its own fitted models."""
    repetitions = effort.pick(24, 780 if setting.rate < 0.95 else 600)  # enough to see five points
    return [fitted(setting, [one(setting, setting.mean_size, seed) for seed in range(repetitions)])]


def fitted(setting: Setting, found: Sequence[Covered]) -> Coverage:
    """Return the coverage of "fitted" intervals."""
    return Coverage(f"{setting.target} interval", sum(each.inside for each in found), len(found), rate=setting.rate)


def count_expected(setting: Setting, effort: Effort) -> list[Check]:
    """Return how often the "expected" interval holds the mean truth over samples, beside the "fitted" one."""
    seeds, beside = range(effort.pick(8, 150)), replace(setting, target="fitted")
    refitted = [one(setting, setting.mean_size, seed) for seed in seeds]
    plain = [one(beside, setting.mean_size, seed) for seed in seeds]
    truth = float(np.mean([each.truth for each in refitted]))

    def holds(found: Sequence[Covered]) -> int:
        return sum(abs(each.value - truth) <= each.width / 2 for each in found)

    return [
        Coverage("expected interval", holds(refitted), len(refitted), rate=setting.rate),
        Shown("fitted interval, of this other target", holds(plain) / len(plain)),
        Shown("spread of the estimate over samples", float(np.std([each.value for each in refitted], ddof=1))),
        Shown("mean standard error, expected", float(np.mean([each.standard_error for each in refitted]))),
        Shown("mean standard error, fitted", float(np.mean([each.standard_error for each in plain]))),
    ]


def count_tokens(effort: Effort) -> list[Check]:
    """Return how often a percentile bootstrap of tokens misses on clustered data: a fault that must be seen."""
    repetitions, size = effort.pick(40, 780), TOKENS.mean_size
    inside = sum(token_one(TOKENS, size, seed) for seed in range(repetitions))
    return [
        Seen("percentile bootstrap of tokens misses", repetitions - inside, repetitions, rate=0.07),
        fitted(TOKENS, [one(TOKENS, size, seed) for seed in range(repetitions)]),
    ]


_METRICS = ("roc_auc", "accuracy", "r2")
FITTED = (
    *(Setting(metric, n_documents, d) for metric in _METRICS for n_documents in (30, 200) for d in (10, 100)),
    *(Setting(metric, 200, 10, effect=0.0) for metric in _METRICS),
)
EXPECTED = tuple(Setting(metric, 30, d, "expected") for metric in _METRICS for d in (10, 100))
TOKENS = Setting("r2", 30, 10, document_effect=1.5)

_QUESTION = "does the 95% interval of the selectivity hold the truth?"
CASES = (
    *(Case(each.name, _QUESTION, "closed form", partial(count, each)) for each in FITTED),
    *(
        Case(
            f"expected: {each.name}",
            _QUESTION,
            "mean over samples of the closed form",
            partial(count_expected, each),
        )
        for each in EXPECTED
    ),
)
