"""Scores made of means over rows, beside scores of the rows that are left."""

import pickle
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import pytest

import controls as ct
from controls.core.errors import InputError, InputTypeError, TrainerError
from controls.core.rng import stream
from controls.core.unit_score import RowMeans
from controls.metrics import loss, resolve
from controls.runner.evaluate import Evaluator
from controls.runner.folds import make_folds


def ratio(means: np.ndarray) -> np.ndarray:
    return means[..., 0] / means[..., 1]


@pytest.mark.parametrize("n_units", [2, 7, 60])
def test_units_left_out_are_rows_left_out(n_units):
    rng = stream(0, "row means", n_units)
    values, units = rng.gamma(2.0, size=(60, 2)), np.arange(60) % n_units
    score = RowMeans(values, ratio)
    assert score == pytest.approx(values[:, 0].sum() / values[:, 1].sum())
    brute = [values[units != g, 0].sum() / values[units != g, 1].sum() for g in range(n_units)]
    assert np.allclose(score.without_units(units), brute, rtol=1e-12)
    assert np.allclose((-score).without_units(units), -np.array(brute), rtol=1e-12)


def test_it_is_a_number_and_travels():
    score = RowMeans([1.0, 2.0, 6.0])
    again = pickle.loads(pickle.dumps(RowMeans([[1.0, 2.0], [3.0, 4.0]], ratio)))
    assert (score, score + 1, repr(score)) == (3.0, 4.0, "3.0")
    assert (again, again.combine) == (4 / 6, ratio)


def test_no_score_is_left_without_the_only_unit_or_without_what_it_is_divided_by():
    assert np.isnan(RowMeans([1.0, 2.0]).without_units(np.array([0, 0]))).all()
    left = RowMeans([[1.0, 0.0], [1.0, 4.0]], ratio).without_units(np.array([0, 1]))
    assert left[0] == 0.25
    assert np.isnan(left[1])


@pytest.mark.parametrize(
    ("values", "combine", "error"),
    [
        ([[1.0, 2.0]], None, InputError),
        ([], None, InputError),
        (np.ones((2, 2, 2)), ratio, InputError),
        ([1.0, np.nan], None, TrainerError),
        ([1.0], 3, InputTypeError),
    ],
)
def test_bad_values_are_refused(values, combine, error):
    with pytest.raises(error):
        RowMeans(values, combine)


@final
@dataclass(frozen=True)
class Leading(ct.Trainer):
    def fit(self, problem: ct.Problem, rng: np.random.Generator) -> Any:
        return np.linalg.svd(problem.X, full_matrices=False)[2][:3] * 0.7


def too_few(finding: Any, problem: ct.Problem) -> RowMeans:
    return RowMeans(np.ones(problem.n - 1))


@pytest.fixture(scope="module")
def problem():
    rng = stream(1, "row means")
    unit = np.repeat(np.arange(24), 10)
    common = rng.normal(size=(24, 8))[unit]
    return ct.Problem((common + rng.normal(size=(240, 8))) ** 2, groups={"document": unit}, unit="document")


def test_the_runner_takes_units_out_exactly(problem):
    metric, folds = resolve(ct.metrics.explained_variance, None), make_folds(2, problem, 0)
    evaluation = Evaluator(Leading(), problem, metric, folds, "regression", 0).evaluate(np.zeros((problem.n, 1)))
    scores, deviations = [], np.zeros(24)
    for train, test in folds.default():
        V, X = Leading().fit(problem.take(train), stream(0)), problem.X[test]
        lost = np.square(X - np.maximum(X @ V.T, 0) @ V).sum(axis=1)
        spread = np.square(X - X.mean(axis=0)).sum(axis=1)
        scores.append(1 - lost.sum() / spread.sum())
        for unit in np.unique(problem.unit_codes[test]):
            left = problem.unit_codes[test] != unit
            deviations[unit] = (scores[-1] - (1 - lost[left].sum() / spread[left].sum())) / 2
    assert evaluation.left_out
    assert evaluation.scores[0] == pytest.approx(np.mean(scores), rel=1e-12)
    assert np.allclose(evaluation.deviations[:, 0], deviations, rtol=1e-9, atol=1e-15)


def test_intervals_are_there_without_a_second_encoding(problem):
    result = ct.measure(
        Leading(), problem, controls=[ct.GaussianActivations()], scoring=ct.metrics.explained_variance, draws=19
    )
    comparison = result.comparisons[0]
    assert comparison.selectivity.low < comparison.selectivity.value < comparison.selectivity.high


def test_values_for_other_rows_are_refused(problem):
    with pytest.raises(InputError, match="each of the 120 test rows, got 119"):
        ct.measure(Leading(), problem, controls=[ct.GaussianActivations()], scoring=too_few, cv=2, draws=2)


def test_a_loss_of_rows_turns_its_sign(problem):
    metric = loss(ct.metrics.explained_variance)
    found = Leading().fit(problem, stream(0))
    assert isinstance(metric(found, problem), RowMeans)
    assert metric(found, problem) == -ct.metrics.explained_variance(found, problem)
