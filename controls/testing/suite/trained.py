"""A trained first layer beside its twin that stays as drawn; attention heads beside the law of their noise."""

from __future__ import annotations

import numpy as np

from controls.ground_truth import AllPairs, Descent, SkipBigrams
from controls.testing.suite import zoo
from controls.testing.suite.case import Bound, Case, Check, Effect, Effort, Shown


def frozen_twin(effort: Effort) -> list[Check]:
    """Train all pairs, with and without the first layer; zeros and ones apart."""
    descent = Descent(p=4.0, equal_mass=True, steps=effort.pick(600, 3000))
    checks: list[Check] = []
    for ask in ("and", "xor"):
        for d in effort.pick((64,), (32, 64)):
            task = AllPairs(d, ask=ask, descent=descent)
            seeds = range(effort.pick(1, 3))
            trained, frozen = ([make(seed).errors() for seed in seeds] for make in (task.trained, task.frozen))
            for which, words in enumerate(("zeros", "ones")):
                ours, twins = (_largest(errors, which) for errors in (trained, frozen))
                checks.append(Bound(f"{ask.upper()}, d = {d}: largest error on {words}", "at most", twins, ours))
            ours, twins = (_quantile(errors) for errors in (trained, frozen))
            what = f"{ask.upper()}, d = {d}: 99th percentile of errors on zeros"
            checks.append(Bound(what, "at most", twins, ours))
    return checks


def _largest(errors: list[tuple[np.ndarray, np.ndarray]], which: int) -> float:
    return float(np.mean([np.abs(each[which]).max() for each in errors]))


def _quantile(errors: list[tuple[np.ndarray, np.ndarray]]) -> float:
    return float(np.mean([np.quantile(np.abs(zeros), 0.99) for zeros, _ in errors]))


def skip_bigrams(effort: Effort) -> list[Check]:
    """Score bigrams and other pairs through narrow heads."""
    from sklearn.metrics import roc_auc_score

    checks: list[Check] = []
    for n_bigrams in (64, 256, 1024):
        squares, signals, areas = [], [], {"random": [], "svd": []}
        for seed in effort.seeds(20, 100):
            rng = effort.stream("skip-bigrams", n_bigrams, seed)
            for projection, found in areas.items():
                head = SkipBigrams(256, 128, 32, n_bigrams=n_bigrams, projection=projection, seed=seed)
                problem = head.sample(1000, rng)
                found.append(roc_auc_score(problem.labels, problem.X[:, 0]))
                if projection == "random":
                    squares.append(np.square(head.scores(*head.absent(1000, rng).T)).mean())
                    signals.append(problem.X[problem.labels == 1, 0].mean())
        truth = SkipBigrams(256, 128, 32, n_bigrams=n_bigrams).truth
        what, random, singular = f"{n_bigrams} bigrams", *(float(np.mean(found)) for found in areas.values())
        checks += [
            _effect(f"{what}: mean square of the noise", truth.noise**2, squares),
            _effect(f"{what}: mean score of a bigram", 1.0, signals),
            Shown(f"{what}: AUC; as if scores were normal, {truth.auc:.4f}", random),
            Bound(f"{what}: AUC, singular directions", "at least", random, singular),
        ]
    return checks


def _effect(what: str, expected: float, values: list[float]) -> Effect:
    return Effect(what, expected, float(np.mean(values)), zoo.effect_error(np.array(values)), len(values))


CASES = (
    Case(
        "trained against frozen",
        "A layer trained to combine all pairs of sparse inputs, beside a twin whose first layer stays as drawn.",
        "The trained one errs less, on zeros and on ones, for AND and for XOR: a readout over the frozen layer is one "
        "that the trained network could have had.",
        frozen_twin,
    ),
    Case(
        "skip bigrams",
        "Attention heads that score pairs of superposed features, through fewer dimensions than there are pairs.",
        "Mean square of the noise |B| (1/(d d_h) + 1/(m d_h) + 1/(m d)) up to terms of order 1/m, in closed form; mean "
        "score of a bigram 1; singular directions do better than random ones.",
        skip_bigrams,
    ),
)
