"""Cases of dictionaries: rare and superposed features, probing beside steering, and what an SAE finds in nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from controls.core.problem import Problem
from controls.core.result import Result
from controls.core.trainer import Output
from controls.experiment import measure
from controls.generators.labels import ShuffleLabels
from controls.ground_truth import (
    CorrelatedFeatures,
    DictionaryTruth,
    DictionaryTwin,
    PlantedDictionary,
    PlantedDirection,
    SparseFeatures,
    overlapping_directions,
    random_directions,
)
from controls.metrics import RocAuc
from controls.probes import MeanDifferenceProbe, RidgeProbe
from controls.testing.suite.case import (
    Bound,
    Case,
    Check,
    Effect,
    Effort,
    Exact,
    NearZero,
    Rejections,
    Seen,
    Verdict,
)

if TYPE_CHECKING:
    from controls.testing.suite._sae import Trained

ALPHA = 0.05
_EXACT = 1e-8


def effect(what: str, expected: float, values: Sequence[float] | np.ndarray) -> Effect:
    """Return the mean of repetitions beside its exact value."""
    values = np.asarray(values)
    error = float(values.std(ddof=1) / np.sqrt(len(values)))
    return Effect(what, expected, float(values.mean()), error, len(values))


def rare_feature(effort: Effort) -> list[Check]:
    """2% of 4000 rows are moved by delta; a difference of means is fitted to half of them."""
    checks: list[Check] = []
    for delta, short, full in ((0.0, 80, 600), (1.0, 16, 100), (2.0, 8, 50)):
        repetitions = effort.repetitions(short, full)
        world = PlantedDirection(delta, rate=0.02)
        results = [
            _shuffled(world.sample(4000, effort.stream("rare feature", str(delta), number)), MeanDifferenceProbe())
            for number in range(repetitions)
        ]
        rejections = sum(result.comparisons[0].p_value <= ALPHA for result in results)
        kind = Seen if delta else Rejections
        expected = world.truth.split_auc(2000, world.positives(4000), 4000)
        checks.append(kind(f"delta {delta:g}: p of ShuffleLabels", rejections, repetitions, ALPHA))
        checks.append(effect(f"delta {delta:g}: AUC of fitted directions", expected, [r.score for r in results]))
    return [*checks, _nothing(effort), *_majority(effort)]


def _nothing(effort: Effort) -> NearZero:
    """The AUC of nothing, over more repetitions than there is time for controls."""
    found = []
    for number in range(effort.repetitions(300, 1000)):
        rng = effort.stream("rare feature", "nothing", number)
        problem = PlantedDirection(0.0, rate=0.02).sample(4000, rng)
        fitted = MeanDifferenceProbe().fit(problem.take(np.arange(2000)), rng)
        scores = problem.X[2000:] @ fitted.coef_.T
        found.append(RocAuc().score(problem.labels[2000:, None], Output(scores=scores)))
    return NearZero("delta 0: AUC of fitted directions − ½", float(np.mean(found)) - 0.5)


def _shuffled(problem: Problem, trainer: MeanDifferenceProbe | RidgeProbe, scoring: str = "roc_auc") -> Result:
    return measure(trainer, problem, controls=[ShuffleLabels()], scoring=scoring, cv=2, draws=19, block=20, seed=0)


def _majority(effort: Effort) -> list[Check]:
    """Accuracy where one class has 98% of the rows and nothing is planted."""
    problem = PlantedDirection(0.0, rate=0.02).sample(4000, effort.stream("rare feature", "majority"))
    result = _shuffled(problem, RidgeProbe(), "accuracy")
    comparison = result.comparisons[0]
    return [
        Bound("delta 0: accuracy, which 98% of one class give", "at least", 0.97, result.score),
        NearZero("delta 0: selectivity of the accuracy", comparison.selectivity.value),
        Verdict("delta 0: verdict on the accuracy", "not SELECTIVE", _word(comparison.verdict)),
    ]


def _word(verdict: object) -> str:
    return "SELECTIVE" if str(verdict) == "SELECTIVE" else "not SELECTIVE"


def superposed(effort: Effort) -> list[Check]:
    """More features than dimensions: R² and cross-talk of linear readouts, beside the AUC of the same probes."""
    checks: list[Check] = []
    repetitions, n = effort.repetitions(8, 40), 8000
    for m, d in ((64, 32), (200, 50)):
        directions = random_directions(m, d, effort.stream("superposed", m, d))
        world = PlantedDictionary(directions, SparseFeatures(m))
        name = f"{m} features in {d} dimensions"
        problems = (
            world.sample(n, effort.stream("superposed", m, d, number), feature=None, ask="value")
            for number in range(repetitions)
        )
        measured = [float(_adjusted_r2(problem).mean()) for problem in problems]
        truth = world.truth
        checks.append(Exact(f"{name}: mean R², closed form", d / m, float(truth.r2.mean()), _EXACT))
        checks.append(effect(f"{name}: mean adjusted R²", d / m, measured))
        floor = truth.least_cross_talk
        checks.append(Bound(f"{name}: cross-talk, pseudo-inverse", "at least", floor, truth.cross_talk(truth.dual)))
        checks.append(Bound(f"{name}: cross-talk, transpose", "at least", floor, truth.cross_talk(directions)))
        result = _shuffled(world.sample(n, effort.stream("superposed", m, d, "auc")), RidgeProbe())
        checks.append(Bound(f"{name}: AUC of such a probe", "at least", 0.9, result.score))
        word = _word(result.comparisons[0].verdict)
        checks.append(Verdict(f"{name}: verdict on the AUC (readable, not read out)", "SELECTIVE", word))
    return checks


def _adjusted_r2(problem: Problem) -> np.ndarray:
    """Return the R² of least squares for each label column, adjusted for the number of features."""
    X, Y = problem.X - problem.X.mean(axis=0), problem.labels - problem.labels.mean(axis=0)
    Q, _ = np.linalg.qr(X)
    n, d = X.shape
    left = 1 - np.square(Q.T @ Y).sum(axis=0) / np.square(Y).sum(axis=0)
    return 1 - left * (n - 1) / (n - 1 - d)


def probe_or_steer(effort: Effort) -> list[Check]:
    """Eight directions at cosine .6: which to read with, and which to steer with."""
    on_or_off = SparseFeatures(8, 0.5, 1.0, 1.0)
    world = PlantedDictionary(overlapping_directions(8, 0.6), on_or_off)
    truth, repetitions = world.truth, effort.repetitions(20, 100)
    f, p = truth.directions[0], truth.probe_directions[0]
    fits = [_directions(world, effort.stream("probe or steer", number)) for number in range(repetitions)]
    steered = [_leak(truth, means) for _, means, _ in fits]
    return [
        Exact("leak, steering with the feature's direction", 0.0, float(truth.leaks(f, 0)[1]), _EXACT),
        effect("leak, steering with a fitted difference of means", 0.0, steered),
        Exact("leak, steering with a fitted probe", float(truth.leaks(p, 0)[1]), _leak(truth, fits[0][0]), 1e-5),
        Exact("R² of the fitted probe's direction", 1.0, truth.r2_along(fits[0][0], 0), 1e-5),
        effect("R², reading with the feature's direction", truth.r2_along(f, 0), [share for _, _, share in fits]),
        *_correlated(effort),
        *_noisy(effort),
    ]


def _leak(truth: DictionaryTruth, direction: np.ndarray) -> float:
    """Return the mean leak of steering along a direction into the seven other features."""
    return float(truth.leaks(direction, 0)[1:].mean())


def _directions(world: PlantedDictionary, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, float]:
    """Return a fitted least-squares probe, a fitted difference of means, and R² along the feature's own direction."""
    problem = world.sample(10_000, rng)
    numbers = problem.with_labels(problem.labels.astype(np.float64))
    least_squares = RidgeProbe(alpha=1e-9, standardize=False).fit(numbers, rng).coef_.ravel()
    means = MeanDifferenceProbe().fit(problem, rng).coef_.ravel()
    share = np.corrcoef(problem.X @ world.directions[0], problem.labels)[0, 1] ** 2
    return least_squares, means, float(share)


def _correlated(effort: Effort) -> list[Check]:
    """Features that go together: steering with their mean differences leaks their correlation."""
    phi = 0.313
    world = PlantedDictionary(overlapping_directions(8, 0.6), CorrelatedFeatures(8, phi))
    fits = [_directions(world, effort.stream("probe or steer", "phi", k)) for k in range(effort.repetitions(10, 50))]
    along = world.truth.r2_along(fits[0][0], 0)
    leaks = [_leak(world.truth, means) for _, means, _ in fits]
    return [
        effect("correlated: leak, steering with a difference of means", phi, leaks),
        Exact("correlated: R² of the fitted probe's direction", 1.0, along, 1e-5),
    ]


def _noisy(effort: Effort) -> list[Check]:
    """Noise turns the best probe from the dual direction to the feature's own."""
    checks: list[Check] = []
    directions, law = overlapping_directions(8, 0.6), SparseFeatures(8, 0.5, 1.0, 1.0)
    dual = PlantedDictionary(directions, law).truth.probe_directions[0]
    for noise, target, name in ((1e-3, dual, "dual"), (100.0, directions[0], "own")):
        best = PlantedDictionary(directions, law, noise).truth.probe_directions[0]
        cosine = float(best @ target / np.linalg.norm(best) / np.linalg.norm(target))
        checks.append(Exact(f"noise {noise:g}: cosine of the best probe and the {name} direction", 1.0, cosine, 1e-3))
    world = PlantedDictionary(directions, law, 0.5)
    fits = [_directions(world, effort.stream("probe or steer", "noise", k)) for k in range(effort.repetitions(10, 50))]
    expected = _leak(world.truth, world.truth.probe_directions[0])
    leaks = [_leak(world.truth, fit[0]) for fit in fits]
    return [*checks, effect("noise 0.5: leak, steering with a fitted probe", expected, leaks)]


def planted(effort: Effort) -> list[Check]:
    """A TopK SAE on 64 planted directions in 32 dimensions, and on their twins."""
    truth = random_directions(64, 32, effort.stream("planted", "directions"))
    world = PlantedDictionary(truth, SparseFeatures(64), noise=0.02)
    turned = DictionaryTwin(world, "rotated")
    real = _trained(effort, world, "real", effort.pick(2, 3))
    rotated = _trained(effort, turned, "rotated", 1)
    nothing = {
        kind: _trained(effort, DictionaryTwin(world, kind), kind, effort.pick(count, 3))
        for kind, count in (("gaussian", 3), ("fresh", 1), ("phases", 1), ("shuffled", 1))
    }
    assert turned.directions is not None
    near, own = _near(truth, rotated), _near(turned.directions, rotated)
    return [
        *_found(truth, real, nothing["gaussian"]),
        *_structureless(truth, nothing),
        *_explained(real, nothing),
        Bound("rotated: MMCS to the directions before", "at most", max(_near(truth, nothing["gaussian"])), near[0]),
        Bound("rotated: MMCS to its own", "at least", 0.9, own[0]),
        _chance(effort, truth, nothing["gaussian"]),
    ]


def _trained(effort: Effort, source: PlantedDictionary | DictionaryTwin, name: str, seeds: int) -> list[Trained]:
    from controls.testing.suite._sae import train_sae

    rngs = [effort.stream("planted", name, seed) for seed in range(seeds)]
    return [train_sae(source.sample(20_000, rng).X, rng, steps=effort.pick(400, 1500)) for rng in rngs]


def _near(directions: np.ndarray, found: Sequence[Trained]) -> list[float]:
    """Return the mean max cosine similarity of each SAE to some directions."""
    from controls.testing.suite._sae import mean_max_cosine

    return [mean_max_cosine(directions, sae.decoder) for sae in found]


def _found(truth: np.ndarray, real: Sequence[Trained], reference: Sequence[Trained]) -> list[Check]:
    """What is planted is found, again and again, and beyond what its mean and covariance give."""
    found, given = _near(truth, real), _near(truth, reference)
    return [
        Bound("planted: MMCS", "at least", 0.9, min(found)),
        Verdict("planted: MMCS beside covariance-matched data", "above all", _beside(min(found), given)),
        Bound("planted: MMCS of two seeds", "at least", 0.85, _near(real[0].decoder, real[1:])[0]),
        Bound("covariance-matched: MMCS of two seeds", "at most", 0.7, _near(reference[0].decoder, reference[1:])[0]),
    ]


def _structureless(truth: np.ndarray, nothing: dict[str, list[Trained]]) -> list[Check]:
    """Data of the same mean and covariance, however else they resemble the real ones, score the reference."""
    near = {kind: float(np.mean(_near(truth, found))) for kind, found in nothing.items()}
    reference = near["gaussian"]
    return [
        NearZero("fresh directions: MMCS − covariance-matched", near["fresh"] - reference, 0.03),
        NearZero("random phases: MMCS − covariance-matched", near["phases"] - reference, 0.03),
        Bound("coordinates shuffled: MMCS", "at most", reference + 0.03, near["shuffled"]),
    ]


def _explained(real: Sequence[Trained], nothing: dict[str, list[Trained]]) -> list[Check]:
    """Explained variance is high on nothing; beside its reference nothing is left of it."""
    given = {kind: float(np.mean([sae.explained for sae in found])) for kind, found in nothing.items()}
    reference = given["gaussian"]
    return [
        Bound("covariance-matched: explained variance, of nothing", "at least", 0.5, reference),
        NearZero("fresh directions: explained variance − covariance-matched", given["fresh"] - reference),
        NearZero("random phases: explained variance − covariance-matched", given["phases"] - reference),
        Bound("planted: explained variance − covariance-matched", "at least", 0.2, real[0].explained - reference),
    ]


def _chance(effort: Effort, truth: np.ndarray, reference: Sequence[Trained]) -> Bound:
    """Random directions are too low a reference: beside them structureless data look like a finding."""
    from controls.testing.suite._sae import mean_max_cosine

    (m, d), rng = truth.shape, effort.stream("planted", "chance")
    chance = np.mean([mean_max_cosine(truth, random_directions(m, d, rng)) for _ in range(20)])
    above = float(np.mean(_near(truth, reference)) - chance)
    return Bound("covariance-matched: MMCS − random directions, too low a reference", "at least", 0.05, above)


def _beside(value: float, reference: Sequence[float]) -> str:
    return "above all" if value > max(reference) else "among them"


CASES = (
    Case(
        "rare feature",
        "Is a feature of 2% of the rows found? Difference of means on half of 4000 rows, AUC, ShuffleLabels.",
        "AUC of the fitted direction, integrated over its law; nothing at delta 0, where accuracy is .98 all the same.",
        rare_feature,
    ),
    Case(
        "superposed dictionary",
        "How much of each feature does a linear probe read where features outnumber dimensions?",
        "Mean R² = d/m for independent features of one variance; cross-talk at least √((m − d)/(d(m − 1))) (Welch).",
        superposed,
    ),
    Case(
        "planted dictionary",
        "Does a TopK SAE find 64 planted directions in 32 dimensions, and what does it score where there are none?",
        "Planted, so found; on data of the same mean and covariance it scores the reference, and no more.",
        planted,
    ),
    Case(
        "probe or steer",
        "Which direction reads a feature, and which steers it, at cosine .6 between features?",
        "Least squares is the dual basis (reads R² 1, leaks −.13); difference of means steers without a leak.",
        probe_or_steer,
    ),
)
