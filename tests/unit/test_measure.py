"""measure: bad input is refused in one sentence before any fit, and every kind of good input works."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, make_scorer
from sklearn.naive_bayes import GaussianNB
from sklearn.svm import SVC

import controls as ct
from controls.core.properties import SameGroups
from controls.core.result import ClaimVerdict, Verdict
from controls.core.rng import stream

SHUFFLE = [ct.ShuffleLabels()]


def data(n=60, seed=0):
    """Rows in twelve documents, with a label that can be read."""
    rng = stream(seed, "measure test")
    X = rng.normal(size=(n, 3))
    y = (X[:, 0] + 0.5 * rng.normal(size=n) > 0).astype(int)
    return X, y, {"document": np.arange(n) % 12, "word": rng.integers(5, size=n)}


@dataclass(frozen=True, eq=False)
class Counting(ct.Trainer):
    """Counts its fits."""

    predicts: frozenset | None = frozenset({"labels", "scores", "probabilities"})
    fits: ClassVar[list[int]] = []

    @property
    def provides(self):
        return self.predicts

    def fit(self, problem, rng):
        self.fits.append(problem.n)
        return GaussianNB().fit(problem.X, problem.labels)


def attempt(X=None, y=None, *, groups=None, unit="document", trainer=None, **settings):
    """Measure, with whatever is not given being fine."""
    good_X, good_y, good_groups = data()
    problem = ct.Problem(
        good_X if X is None else X,
        good_y if y is None else y,
        groups=good_groups if groups is None else groups,
        unit=unit,
    )
    return ct.measure(trainer or Counting(), problem, **{"controls": SHUFFLE, "draws": 19, **settings})


def spoiled(values, place, value):
    values = np.array(values, dtype=float)
    values[place] = value
    return values


X, Y, GROUPS = data()
WITHIN_TYPO = [ct.ShuffleLabels(within="documnet")]
WHOLE = [ct.ShuffleLabels(whole="document")]
ONE = {"document": np.zeros(60, dtype=int), "word": np.arange(60)}

BAD: dict[str, tuple[Callable, type, str]] = {
    "nan in activations": (
        lambda: attempt(spoiled(X, (7, 1), np.nan)),
        ct.InputError,
        "activations must be finite, got 1 NaN or infinite value, the first at row 7, column 1; drop or impute",
    ),
    "infinity in activations": (
        lambda: attempt(spoiled(X, (0, 2), -np.inf)),
        ct.InputError,
        "activations must be finite, .* row 0, column 2",
    ),
    "nan in labels": (lambda: attempt(y=spoiled(Y, 3, np.nan)), ct.InputError, "labels must be finite, .* row 3"),
    "none in labels": (
        lambda: attempt(y=[None, *Y[1:].tolist()]),
        ct.InputError,
        "labels must have no missing values, got 1, the first at row 0",
    ),
    "text as activations": (
        lambda: attempt(X.astype(str)),
        ct.InputError,
        "activations must hold numbers, got dtype <U.*; encode it before",
    ),
    "text for regression": (
        lambda: attempt(y=np.where(Y, "yes", "no"), trainer=Ridge()),
        ct.InputError,
        "labels must be numbers for regression, got dtype <U3; use a classifier",
    ),
    "text with a score for numbers": (
        lambda: attempt(y=np.where(Y, "yes", "no"), scoring="r2"),
        ct.InputError,
        "labels must be numbers for regression",
    ),
    "constant labels": (
        lambda: attempt(y=np.full(60, 4)),
        ct.InputError,
        "labels must not be constant, got 4 in all 60 rows",
    ),
    "too few labels": (
        lambda: attempt(y=Y[:-1]),
        ct.InputError,
        r"labels must have one entry per row of activations \(60\), got 59",
    ),
    "short group": (
        lambda: attempt(groups={"document": np.arange(59)}),
        ct.InputError,
        r"groups\['document'\] must be a column with one entry per row \(60\), got shape \(59,\)",
    ),
    "one dimension": (
        lambda: attempt(X[:, 0]),
        ct.InputError,
        r"activations must have two dimensions \(n rows, d features\), got shape \(60,\)",
    ),
    "three dimensions": (lambda: attempt(X[:, :, None]), ct.InputError, r"got shape \(60, 3, 1\); pool or flatten"),
    "label table": (
        lambda: attempt(y=np.stack([Y, np.zeros_like(Y)], axis=1)),
        ct.InputError,
        "labels must not be constant, got 0 in all 60 rows of column 1; leave it out",
    ),
    "no rows": (lambda: attempt(X[:0], Y[:0], groups={}, unit=None), ct.InputError, "activations must not be empty"),
    "no features": (lambda: attempt(X[:, :0]), ct.InputError, r"activations must not be empty, got shape \(60, 0\)"),
    "unknown unit": (lambda: attempt(unit="documents"), ct.InputError, "unit 'documents' .* Did you mean 'document'?"),
    "unknown group": (
        lambda: attempt(controls=WITHIN_TYPO),
        ct.InputError,
        "group 'documnet' is not known; there are: document, word. Did you mean 'document'?",
    ),
    "unknown group of a task": (
        lambda: attempt(controls=[ct.ControlTask(per="wrod")]),
        ct.InputError,
        "group 'wrod' .* Did you mean 'word'?",
    ),
    "one unit": (
        lambda: attempt(groups=ONE),
        ct.InputError,
        "unit 'document' must have at least two members to split by, got one",
    ),
    "one group shuffled whole": (
        lambda: attempt(groups=ONE, y=Y, unit="word", controls=[ct.ShuffleLabels(whole="document", blocks=True)]),
        ct.CannotControl,
        "ShuffleLabels can only draw the identity",
    ),
    "one type": (
        lambda: attempt(groups=ONE, unit="word", controls=[ct.ControlTask(per="document")]),
        ct.CannotControl,
        "ControlTask needs at least two types, but document has a single value",
    ),
    "labels constant in groups": (
        lambda: attempt(y=GROUPS["document"] % 2, controls=[ct.ShuffleLabels(within="document")]),
        ct.CannotControl,
        "can only draw the identity",
    ),
    "fewer units than folds": (
        lambda: attempt(cv=13),
        ct.InputError,
        r"cv must be at most the number of units \(12 document\), got 13",
    ),
    "labels that vary in whole groups": (
        lambda: attempt(controls=WHOLE),
        ct.InputError,
        r"whole='document' .* labels vary within \d+ of 12; pass blocks=True",
    ),
    "no draws": (lambda: attempt(draws=0), ct.InputError, "draws must be at least 1, got 0"),
    "draws no whole number": (lambda: attempt(draws=9.5), ct.InputError, "draws must be a whole number, got 9.5"),
    "alpha": (lambda: attempt(alpha=5), ct.InputError, "alpha must be between 0 and 0.5, got 5"),
    "smallest effect": (lambda: attempt(smallest_effect=-0.1), ct.InputError, "smallest_effect must be at least 0"),
    "target": (lambda: attempt(target="new"), ct.InputError, "target must be one of 'fitted', 'expected', got 'new'"),
    "seed": (lambda: attempt(seed=None), ct.InputError, "seed must be a whole number, got None"),
    "block": (lambda: attempt(block=0), ct.InputError, "block must be at least 1, got 0"),
    "progress": (lambda: attempt(progress=True), ct.InputError, "progress must be a function"),
    "unknown scorer": (
        lambda: attempt(scoring="roc_acu"),
        ct.InputError,
        "scoring 'roc_acu' is not known; .* Did you mean 'roc_auc'?",
    ),
    "loss by its short name": (lambda: attempt(scoring="mse"), ct.InputError, "Write scoring='neg_mean_squared_error'"),
    "scorer for numbers": (
        lambda: attempt(scoring="r2", trainer=SVC()),
        ct.InputError,
        "scoring='r2' is for regression, but these labels make a classification",
    ),
    "function of labels": (lambda: attempt(scoring=accuracy_score), ct.InputError, "make_scorer"),
    "two-class score of three classes": (
        lambda: attempt(y=np.arange(60) % 3, scoring="roc_auc"),
        ct.InputError,
        "scoring='roc_auc' is for two classes, got 3; use scoring='roc_auc_ovr'",
    ),
    "two-class scorer of three classes": (
        lambda: attempt(y=np.arange(60) % 3, scoring="f1"),
        ct.InputError,
        "scoring='f1' is for two classes, got 3",
    ),
    "score below zero": (
        lambda: attempt(y=X[:, 0], trainer=Ridge(), scoring="neg_mean_squared_log_error"),
        ct.InputError,
        "scoring='neg_mean_squared_log_error' cannot score these predictions",
    ),
    "scores of a trainer without": (
        lambda: attempt(trainer=Counting(frozenset({"labels"})), scoring="roc_auc"),
        ct.InputError,
        r"scoring='roc_auc' needs scores \(decision_function or predict_proba\), but the trainer predicts labels only",
    ),
    "probabilities of a machine without": (
        lambda: attempt(trainer=SVC(), scoring="neg_log_loss"),
        ct.InputError,
        "scoring='neg_log_loss' needs probabilities",
    ),
    "no trainer": (lambda: attempt(trainer=3), ct.InputError, "trainer must be a Trainer, .* got int"),
    "trainer class": (lambda: attempt(trainer=SVC), ct.InputError, r"got the class SVC; write SVC\(\)"),
    "fractions as classes": (
        lambda: attempt(y=X[:, 1], trainer=SVC()),
        ct.InputError,
        "labels must be classes for classification, got 60 different fractional numbers; use a regression probe",
    ),
    "no controls": (lambda: attempt(controls=[]), ct.InputError, "controls must hold at least one control, got none"),
    "control class": (
        lambda: attempt(controls=[ct.ShuffleLabels]),
        ct.InputError,
        r"got the class ShuffleLabels; write ShuffleLabels\(\)",
    ),
    "control twice": (lambda: attempt(controls=SHUFFLE * 2), ct.InputError, "got the same one twice"),
    "control by name": (
        lambda: attempt(controls=["ShuffleLabels"]),
        ct.InputError,
        "controls must hold controls, got str",
    ),
    "no labels": (
        lambda: ct.measure(Counting(), ct.Problem(X), controls=SHUFFLE),
        ct.InputError,
        "labels must be given for this scoring and these controls, got None",
    ),
    "title no text": (lambda: attempt(title=3), ct.InputError, "title must be text, got 3"),
    "title of half a pair": (lambda: attempt(title="\ud800"), ct.InputError, "title must be text that UTF-8 can hold"),
    "key no text": (lambda: attempt(key=3), ct.InputError, "key must be text, got 3"),
    "no end of an effect": (lambda: attempt(smallest_effect=np.inf), ct.InputError, "smallest_effect must be finite"),
    "unit by its column": (
        lambda: attempt(unit=GROUPS["document"]),
        ct.InputError,
        "unit must be the name of a column in groups, got ndarray",
    ),
    "store of a zero byte": (lambda: attempt(store="a\0b"), ct.StoreError, "store must be a file that can be read"),
    "store of a long name": (lambda: attempt(store="x" * 5000), ct.StoreError, "store must be a file that can be read"),
    "plan of no jobs": (
        lambda: ct.plan(Counting(), ct.Problem(X, Y), controls=SHUFFLE, n_jobs=0),
        ct.InputError,
        "n_jobs must be a whole number other than 0",
    ),
    "arrays for a problem": (
        lambda: ct.measure(Counting(), X, controls=SHUFFLE),
        ct.InputError,
        r"problem must be a ct.Problem, got ndarray; write ct.Problem\(X, y\)",
    ),
    "several sites": (
        lambda: ct.measure(Counting(), ct.Problem({"a": X, "b": X}, Y), controls=SHUFFLE),
        ct.InputError,
        r"activations has 2 sites \(a, b\) where one is needed; use problem.at\(site\), or ct.sweep",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_refused_in_one_sentence_before_any_fit(name):
    call, kind, sentence = BAD[name]
    Counting.fits.clear()
    with pytest.raises(kind, match=sentence) as caught:
        call()
    assert isinstance(caught.value, ct.ControlsError)
    said = str(caught.value)
    assert "\n" not in said
    assert said.endswith((".", "?"))
    assert "np." not in said
    assert Counting.fits == []


def test_a_plan_is_had_by_the_same_call(tmp_path):
    problem, settings = ct.Problem(X, Y), {"controls": SHUFFLE, "draws": 19, "cv": 3}
    same = {"n_jobs": np.int64(1), "store": tmp_path / "run.db", "title": "a claim", "progress": print}
    plan = ct.plan(LogisticRegression(), problem, **settings, **same)
    assert not (tmp_path / "run.db").exists()
    assert plan == ct.plan(LogisticRegression(), problem, **settings)
    del same["progress"]
    assert ct.measure(LogisticRegression(), problem, **settings, **same).provenance.plan == str(plan)


def test_a_result_goes_over_the_names_by_which_it_is_asked():
    result = attempt(controls=[*SHUFFLE, *WHOLE], groups={"document": np.arange(60) // 2}, y=np.arange(60) // 2 % 2)
    assert list(result) == [comparison.control for comparison in result.comparisons]
    assert all(result[name].control == name for name in result)
    assert "no such control" not in result
    assert {result: 1}[result] == 1
    assert result != attempt()


def test_the_counting_trainer_would_have_counted():
    Counting.fits.clear()
    attempt(cv=3, draws=4)
    assert len(Counting.fits) == 3 * 5


# -- designs that cannot decide are no errors -----------------------------------------------------------


def test_too_few_draws_for_alpha_is_inconclusive_and_names_the_number():
    result = attempt(draws=18)
    (comparison,) = result.comparisons
    assert comparison.verdict is Verdict.INCONCLUSIVE
    assert comparison.p_floor == pytest.approx(1 / 19)
    assert "at least 19 draws are needed" in comparison.reason
    assert result.verdict is ClaimVerdict.UNDECIDED
    assert attempt(draws=19)["ShuffleLabels"].p_floor == pytest.approx(0.05)


def test_too_few_units_for_alpha_is_inconclusive_and_names_the_number():
    document = np.repeat(np.arange(4), 15)
    x = data()[0] + 5 * (document % 2)[:, None]
    result = attempt(x, document % 2, groups={"document": document}, controls=WHOLE, draws=199)
    (comparison,) = result.comparisons
    assert comparison.enumerated
    assert comparison.draws == 6
    assert comparison.verdict is Verdict.INCONCLUSIVE
    assert "it has 6 distinct relabelings" in comparison.reason
    assert re.search(r"at least (20|40) are needed, that is, more units", comparison.reason)  # 40 with its mirror image


def test_one_draw_gives_a_p_but_no_interval():
    (comparison,) = attempt(draws=1).comparisons
    assert comparison.p_value in (0.5, 1.0)
    assert np.isnan(comparison.selectivity.low)
    assert comparison.verdict is Verdict.INCONCLUSIVE
    assert "at least 19 draws are needed" in comparison.reason


def test_an_effect_of_nothing_names_no_number_of_units():
    constant = attempt(trainer=lambda X, y: lambda rows: np.zeros(len(rows), dtype=int))
    assert "units would decide" not in constant.comparisons[0].reason


# -- good input of every kind ---------------------------------------------------------------------------


def scores_of(problem, **settings):
    result = ct.measure(
        ct.probes.RidgeProbe(), problem, **{"controls": SHUFFLE, "draws": 9, "scoring": "accuracy", **settings}
    )
    return np.array([result.score, *result.comparisons[0].control_scores])


@pytest.mark.parametrize("kind", ["pandas", "torch", "lists", "float labels", "booleans", "strings", "categories"])
def test_the_form_of_the_input_does_not_change_the_numbers(kind):
    frame = pd.DataFrame(X, columns=["a", "b", "c"], index=np.arange(60)[::-1])
    words = np.where(Y == 1, "yes", "no")
    activations, labels = {
        "pandas": (frame, pd.Series(Y, index=frame.index)),
        "torch": (torch.tensor(X, requires_grad=True), torch.tensor(Y)),
        "lists": (X.tolist(), Y.tolist()),
        "float labels": (X, Y.astype(float)),
        "booleans": (X, Y == 1),
        "strings": (X, words.tolist()),
        "categories": (frame, pd.Series(words, dtype="category")),
    }[kind]
    assert np.array_equal(scores_of(ct.Problem(activations, labels)), scores_of(ct.Problem(X, Y)))


def test_bfloat16_activations_are_read():
    rounded = torch.tensor(X).to(torch.bfloat16)
    expected = scores_of(ct.Problem(rounded.float().numpy(), Y))
    assert np.array_equal(scores_of(ct.Problem(rounded, Y)), expected)


def test_regression_by_ridge_and_by_a_function_agree():
    def least_squares(X, y):
        middle, centre = X.mean(axis=0), y.mean()
        inner = (X - middle).T @ (X - middle) + np.eye(X.shape[1])
        weights = np.linalg.solve(inner, (X - middle).T @ (y - centre))
        return lambda rows: (rows - middle) @ weights + centre

    problem = ct.Problem(X, X[:, 0] * 3 + stream(0, "noise").normal(size=60))
    one, two = (ct.measure(t, problem, controls=SHUFFLE, draws=19) for t in (Ridge(), least_squares))
    assert one.metric == two.metric == "r2"
    assert np.allclose(one.comparisons[0].control_scores, two.comparisons[0].control_scores, rtol=0, atol=1e-10)
    assert one.score == pytest.approx(two.score, abs=1e-10)
    assert one.verdict is ClaimVerdict.HOLDS


def is_right(finding, problem):
    return finding.predict(problem.X) == problem.labels


def share_right(finding, problem):
    return np.mean(is_right(finding, problem))


def is_wrong(finding, problem):
    return ~is_right(finding, problem)


@pytest.mark.parametrize("trainer", [GaussianNB(), ct.probes.LogisticProbe()])
def test_a_function_of_rows_is_as_good_as_the_metric(trainer):
    by_name, by_rows = (attempt(trainer=trainer, scoring=s) for s in ("accuracy", is_right))
    assert by_rows.metric == "is_right"
    for attribute in ("score", "control_mean", "p_value"):
        one, two = getattr(by_name.comparisons[0], attribute), getattr(by_rows.comparisons[0], attribute)
        assert one == pytest.approx(two, abs=1e-9)
    one, two = by_name.comparisons[0].selectivity, by_rows.comparisons[0].selectivity
    assert (one.low, one.high) == pytest.approx((two.low, two.high), abs=1e-9)


def test_a_function_that_gives_a_number_gets_its_interval_by_resampling_units():
    rows, whole = attempt(trainer=GaussianNB(), scoring=is_right), attempt(trainer=GaussianNB(), scoring=share_right)
    assert rows.score == pytest.approx(whole.score, abs=1e-12)
    assert np.allclose(rows.comparisons[0].control_scores, whole.comparisons[0].control_scores, rtol=0, atol=1e-12)
    one, two = rows.score_estimate.standard_error, whole.score_estimate.standard_error
    assert 0.6 < two / one < 1.6  # two estimates of one thing


def test_a_loss_is_turned_round():
    good, bad = (
        attempt(trainer=GaussianNB(), scoring=is_right),
        attempt(trainer=GaussianNB(), scoring=ct.metrics.loss(is_wrong)),
    )
    assert bad.metric == "neg_is_wrong"
    assert bad.score == pytest.approx(good.score - 1, abs=1e-12)
    assert bad.comparisons[0].p_value == good.comparisons[0].p_value
    assert bad.comparisons[0].selectivity.value == pytest.approx(good.comparisons[0].selectivity.value, abs=1e-12)


@pytest.mark.parametrize(
    ("scoring", "sentence"),
    [
        (lambda finding, problem: finding.nothing, "failed in fold 0 with AttributeError"),
        (lambda finding, problem: "good", "failed in fold 0 with ValueError"),
        (lambda finding, problem: np.ones((2, 2)), r"scoring must return one number, or one per row \(\d+\)"),
        (lambda finding, problem: np.nan, "is not defined in any fold of this problem"),
    ],
)
def test_a_function_that_gives_no_score_is_named(scoring, sentence):
    with pytest.raises(ct.InputError, match=sentence):
        attempt(trainer=GaussianNB(), scoring=scoring)


def test_a_scorer_object_is_taken():
    result = attempt(trainer=GaussianNB(), scoring=make_scorer(accuracy_score), draws=1, cv=2)
    assert result.score == attempt(trainer=GaussianNB(), draws=1, cv=2).score
    assert result.metric == "accuracy_score"


@dataclass(frozen=True)
class Scramble(ct.Control):
    """Keeps each feature's values; destroys which row has which activations."""

    level: ClassVar[str] = "activations"
    inference = "ensemble"
    null = "The score is no higher than on activations of other rows."
    licenses = "The activations say something about the labels."
    preserves = (SameGroups(),)
    destroys = ()

    def draw(self, problem, rng):
        return problem.with_activations(problem.X[rng.permutation(problem.n)])


@pytest.mark.parametrize("trainer", [ct.probes.LogisticProbe(), LogisticRegression()])
@pytest.mark.parametrize("scoring", ["roc_auc", is_right])
def test_a_control_of_the_users_own_at_another_level(trainer, scoring):
    result = attempt(trainer=trainer, scoring=scoring, controls=[Scramble(), *SHUFFLE], draws=19)
    mine = result["Scramble"]
    assert (mine.level, mine.inference, mine.draws) == ("activations", "ensemble", 19)
    assert mine.verdict is Verdict.SELECTIVE
    assert mine.control_mean == pytest.approx(result["ShuffleLabels"].control_mean, abs=0.2)
    assert "Scramble" in repr(result)


def test_problems_without_labels_can_be_controlled_at_other_levels():
    rng = stream(0, "unlabelled")
    activations = rng.normal(size=(40, 1)) @ rng.normal(size=(1, 6)) + 0.3 * rng.normal(size=(40, 6))

    @dataclass(frozen=True)
    class ScrambleFeatures(Scramble):
        def draw(self, problem, rng):
            return problem.with_activations(rng.permuted(problem.X, axis=0))

    def component(X, y):
        assert y is None
        direction = np.linalg.svd(X - X.mean(axis=0), full_matrices=False)[2][0]
        return lambda rows: rows @ direction

    def explained(finding, problem):
        return np.var(finding(problem.X)) / problem.X.var(axis=0).sum()

    result = ct.measure(
        component, ct.Problem(activations), controls=[ScrambleFeatures()], scoring=explained, draws=19, cv=2
    )
    assert result.score > 0.8
    assert result.verdict is ClaimVerdict.HOLDS
