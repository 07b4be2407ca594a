"""The online code beside its definition, written out label by label, and what must be refused."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import binomtest

import controls as ct
from controls.core.rng import stream
from controls.core.trainer import Output
from controls.runner.folds import folds_for

MIX = 0.001


def documents(seed: int, n_units: int = 30, classes: int = 3) -> ct.Problem:
    """Documents of unequal length; activations hold the row's number, so that a probe can say what it saw."""
    rng = stream(seed, "documents")
    document = np.repeat(np.arange(n_units), rng.integers(1, 9, n_units))
    labels = np.where(rng.random(len(document)) < 0.8, 0, rng.integers(classes, size=len(document)))
    labels[:classes] = np.arange(classes)
    return ct.Problem(np.arange(len(document))[:, None], labels, groups={"document": document}, unit="document")


class Frequencies:
    """A probe that predicts the frequencies of its training labels, of the classes that it has seen."""

    def __init__(self) -> None:
        self.seen: list[np.ndarray] = []

    def __call__(self, X, y):
        self.seen.append(X[:, 0].astype(int))
        classes, counts = np.unique(y, return_counts=True)
        shares = counts / counts.sum()

        def probabilities(new):
            return np.repeat(shares[None], len(new), axis=0)

        return SimpleNamespace(
            classes_=classes, predict_proba=probabilities, predict=lambda new: np.full(len(new), classes[0])
        )


def bits_by_hand(labels: np.ndarray, trained_on: list[np.ndarray], classes: int) -> float:
    """Send the labels one by one: what no probe has coded goes by the uniform code."""
    trained_on = sorted(trained_on, key=len)
    total, coded = 0.0, np.zeros(len(labels), dtype=bool)
    for rows, following in zip(trained_on, [*trained_on[1:], np.arange(len(labels))], strict=True):
        known, counts = np.unique(labels[rows], return_counts=True)
        share = dict(zip(known.tolist(), (counts / counts.sum()).tolist(), strict=True))
        for row in np.setdiff1d(following, rows):
            total -= math.log2((1 - MIX) * share.get(labels[row], 0.0) + MIX / classes)
            coded[row] = True
    return total + (~coded).sum() * math.log2(classes)


@pytest.mark.parametrize("seed", range(5))
def test_bits_are_those_of_the_message_sent_label_by_label(seed):
    problem, probe = documents(seed), Frequencies()
    result = ct.measure(
        lambda X, y: probe(X, y), problem, controls=[ct.ShuffleLabels()], scoring="neg_codelength", draws=1, seed=seed
    )
    distinct = {tuple(sorted(rows)) for rows in probe.seen}  # blocks are the same for observed and drawn labels
    nested = [np.array(rows) for rows in sorted(distinct, key=len)]
    assert all(set(a) < set(b) for a, b in zip(map(set, nested), map(set, nested[1:]), strict=False))
    unit = problem.groups["document"]
    assert all(not np.intersect1d(unit[rows], np.delete(unit, rows)).size for rows in nested)
    known = [rows for rows in nested if len(np.unique(problem.labels[rows])) > 1]
    assert -result.score * problem.n == pytest.approx(bits_by_hand(problem.labels, known, 3))
    said = f"code length: {-result.score * problem.n:,.0f} bits for {problem.n:,} labels"
    assert any(note.startswith(said) for note in result.notes)


def test_a_probe_that_knows_nothing_sends_the_uniform_code():
    problem = documents(1)

    def uniform(X, y):
        return SimpleNamespace(
            classes_=np.arange(3), predict_proba=lambda new: np.full((len(new), 3), 1 / 3), predict=lambda new: new
        )

    metric = ct.metrics.NegCodelength(timesteps=(0.2, 0.5))
    result = ct.measure(uniform, problem, controls=[ct.ShuffleLabels()], scoring=metric, draws=5)
    assert result.score == pytest.approx(-math.log2(3), abs=1e-12)
    assert ct.metrics.compression(result.score, 3) == pytest.approx(1.0)
    assert len(result.fold_scores) == 2


def test_lengths_are_those_of_a_code():
    probabilities = np.array([[[0.0, 0.3, 0.7]], [[1.0, 0.0, 0.0]]])
    spent = [ct.metrics.NegCodelength().rows(np.full((2, 1), k), Output(probabilities=probabilities)) for k in range(3)]
    assert np.exp2(spent).sum(axis=0) == pytest.approx(1.0)  # Kraft: no bit can be saved
    assert np.min(spent) == pytest.approx(math.log2(MIX / 3))


def test_learned_late_costs_more_than_learned_early():
    y = np.tile([0, 1], 200)
    noise = stream(0, "noise").normal(size=(400, 60))
    early = ct.Problem((4.0 * y + noise[:, 0])[:, None], y)
    noise[:, 1] += 4.0 * y
    late = ct.Problem(noise, y)
    probe, control = ct.probes.LogisticProbe(), ct.ShuffleLabels()
    length, accuracy = (
        [ct.measure(probe, problem, controls=[control], scoring=scoring, draws=1).score for problem in (early, late)]
        for scoring in ("neg_codelength", "accuracy")
    )
    assert min(accuracy) > 0.85
    assert length[0] > length[1] + 0.2


def test_shuffles_keep_their_level():
    probe, alarms, repetitions = ct.probes.LogisticProbe(), 0, 80
    for i in range(repetitions):
        rng = stream(i, "null")
        problem = ct.Problem(rng.normal(size=(60, 2)), rng.integers(2, size=60))
        result = ct.measure(probe, problem, controls=[ct.ShuffleLabels()], scoring="neg_codelength", draws=19, seed=i)
        alarms += result["ShuffleLabels"].p_value <= 0.05
    assert binomtest(alarms, repetitions, 0.05).pvalue > 0.001


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"cv": 5}, "cv must be None for scoring='neg_codelength'"),
        ({"scoring": "codelength"}, "scoring='neg_codelength'"),
        ({"scoring": "mdl"}, "scoring='neg_codelength'"),
        ({"trainer": ct.probes.RidgeProbe()}, "probabilities"),
    ],
)
def test_refused(settings, words):
    given = {"trainer": ct.probes.LogisticProbe(), "scoring": "neg_codelength"} | settings
    with pytest.raises(ct.InputError, match=words):
        ct.measure(problem=documents(0), controls=[ct.ShuffleLabels()], draws=1, **given)


@pytest.mark.parametrize("timesteps", [(), (0.5, 0.1), (0.0, 0.5), (0.5, 1.0), "half", 3])
def test_timesteps_that_are_none(timesteps):
    with pytest.raises(ct.InputError, match="timesteps must be"):
        ct.metrics.NegCodelength(timesteps=timesteps)


def test_each_site_of_a_sweep_and_each_label_column_has_its_code():
    problem = documents(2, classes=2)
    rng = stream(2, "sites")
    sites = {name: rng.normal(size=(problem.n, 2)) + problem.labels[:, None] for name in ("first", "second")}
    both = ct.Problem(sites, problem.labels, groups=problem.groups, unit="document")
    settings = {"controls": [ct.ShuffleLabels()], "scoring": "neg_codelength", "draws": 3}
    swept = ct.sweep(ct.probes.LogisticProbe(), both, **settings)
    for name, result in swept.results.items():
        alone = ct.measure(ct.probes.LogisticProbe(), both.at(name), **settings)
        assert result.score == alone.score
        assert any(note.startswith(f"{name}: code length: ") for note in result.notes)
    labels = np.column_stack([problem.labels, rng.integers(2, size=problem.n)])
    columns = ct.Problem(sites["first"], labels, groups=problem.groups, unit="document")
    apart = [
        ct.measure(ct.probes.LogisticProbe(), columns.relabelled(column, None), **settings).score for column in labels.T
    ]
    together = ct.measure(ct.probes.LogisticProbe(), columns, **settings).score
    assert together == pytest.approx(np.mean(apart))


def test_intervals_speak_of_the_fitted_probes_on_new_documents():
    covered, repetitions, probe = 0, 60, ct.probes.LogisticProbe()
    for seed in range(repetitions):
        rng = stream(seed, "cover")
        problem, new = clustered(rng, 40, 6), clustered(rng, 800, 2)
        result = ct.measure(probe, problem, controls=[ct.ShuffleLabels()], scoring="neg_codelength", draws=1, seed=seed)
        folds = folds_for(ct.metrics.NegCodelength(), None, problem, seed).default()
        bits = len(folds[0][0]) * 1.0
        for train, test in folds:
            if len(np.unique(problem.labels[train])) < 2:
                bits += len(test)
                continue
            said = probe.fit(problem.take(train), rng).predict_proba(new.X)[np.arange(new.n), new.labels]
            bits -= len(test) * np.log2((1 - MIX) * said + MIX / 2).mean()
        covered += result.score_estimate.low <= -bits / problem.n <= result.score_estimate.high
    assert binomtest(covered, repetitions, 0.95, alternative="less").pvalue > 0.001


def clustered(rng: np.random.Generator, n_units: int, size: int) -> ct.Problem:
    """Documents with effects of their own, and labels that one feature carries in part."""
    document = np.repeat(np.arange(n_units), size)
    labels = rng.integers(2, size=n_units * size)
    X = 0.5 * rng.normal(size=(n_units, 4))[document] + rng.normal(size=(n_units * size, 4))
    X[:, 0] += 1.6 * labels
    return ct.Problem(X, labels, groups={"document": document}, unit="document")
