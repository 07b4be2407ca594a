"""Controlled: predictions are the estimator's, the study is that of measure; it works where estimators work."""

from __future__ import annotations

import copy
import inspect
import pickle

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn import config_context
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.compose import make_column_transformer
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, cross_val_score, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

import controls as ct
from controls.core.rng import stream

FEW = {"draws": 19, "random_state": 0}


def make_data(n=80, d=3, effect=1.0, key="data"):
    rng = stream(1, key)
    y = rng.permutation(np.arange(n) % 2)
    return rng.normal(size=(n, d)) + effect * y[:, None], y


@pytest.mark.parametrize(
    ("estimator", "methods"),
    [
        (LogisticRegression(C=0.3), ("predict", "predict_proba", "predict_log_proba", "decision_function")),
        (make_pipeline(StandardScaler(), SVC()), ("predict", "decision_function")),
        (LinearDiscriminantAnalysis(), ("predict", "predict_proba", "transform")),
    ],
    ids=["logistic", "pipeline", "lda"],
)
def test_predictions_are_those_of_the_estimator_alone(estimator, methods):
    X, y = make_data()
    words = np.array(["no", "yes"])[y]
    alone, probe = clone(estimator).fit(X, words), ct.Controlled(estimator, **FEW).fit(X, words)
    for method in methods:
        np.testing.assert_array_equal(getattr(probe, method)(X), getattr(alone, method)(X))
    assert probe.score(X, words) == alone.score(X, words)
    assert probe.classes_.tolist() == ["no", "yes"]
    assert probe.n_features_in_ == 3
    for method in {"predict_proba", "decision_function", "transform", "inverse_transform"}:
        assert hasattr(probe, method) == (hasattr(alone, method) and method != "inverse_transform")
        assert hasattr(clone(probe), method) == hasattr(probe, method)  # also before fit


def test_score_takes_weights_as_the_estimator_does():
    X, y = make_data()
    weights = stream(1, "weights").random(len(y))
    probe = ct.Controlled(Ridge(), **FEW).fit(X, y)
    assert probe.score(X, y, weights) == Ridge().fit(X, y).score(X, y, weights)


def test_result_is_that_of_measure():
    X, y = make_data()
    document = np.arange(80) // 4
    settings = {"scoring": "roc_auc", "cv": 4, "draws": 29, "alpha": 0.1, "smallest_effect": 0.02, "title": "a title"}
    battery = [ct.ShuffleLabels(within="document"), ct.ShuffleLabels()]
    probe = ct.Controlled(LogisticRegression(), controls=battery, random_state=3, **settings)
    probe.fit(X, y, groups=pd.DataFrame({"document": document, "row": np.arange(80)}), unit="document")
    problem = ct.Problem(X, y, groups={"document": document, "row": np.arange(80)}, unit="document")
    expected = ct.measure(LogisticRegression(), problem, controls=battery, seed=3, **settings)
    assert probe.result_.to_frame().equals(expected.to_frame())
    for name in ("title", "metric", "fold_scores", "verdict", "alpha", "smallest_effect", "notes"):
        assert getattr(probe.result_, name) == getattr(expected, name)
    assert probe.result_.provenance.data_key == expected.provenance.data_key
    assert probe.result_.provenance.study_key == expected.provenance.study_key
    assert probe.selectivity_ == min(comparison.selectivity.value for comparison in expected.comparisons)


@pytest.mark.parametrize(
    ("groups", "unit", "varies", "control", "named"),
    [
        (None, None, True, "ShuffleLabels()", "rows"),
        (np.arange(80) // 4, None, True, "ShuffleLabels(within='groups')", "groups"),
        (np.arange(80) // 4, "document", True, "ShuffleLabels(within='document')", "document"),
        ((np.arange(80) // 4).tolist(), "document", False, "ShuffleLabels(whole='document')", "document"),
        (pd.Series(np.arange(80) // 4), None, False, "ShuffleLabels(whole='groups')", "groups"),
        ({"document": np.arange(80) // 4}, None, True, "ShuffleLabels()", "rows"),
        ({"document": np.arange(80) // 4}, "document", True, "ShuffleLabels(within='document')", "document"),
    ],
)
def test_default_battery_goes_by_the_unit(groups, unit, varies, control, named):
    X, y = make_data()
    y = y if varies else np.repeat(y[:20], 4)
    result = ct.Controlled(Ridge(), scoring="r2", **FEW).fit(X, y, groups=groups, unit=unit).result_
    assert [comparison.description for comparison in result.comparisons] == [control]
    assert result.provenance.unit == named


@pytest.mark.parametrize("varies", [True, False])
def test_default_battery_draws_labels_that_would_get_the_same_battery(varies):
    from controls.wrap.problems import as_problem, default_controls

    X, y = make_data()
    problem = as_problem(X, y if varies else np.repeat(y[:20], 4), np.arange(80) // 4, "document")
    (control,) = default_controls(problem)
    for draw in range(20):
        assert default_controls(control.draw(problem, stream(1, draw))) == (control,)


def test_controls_see_the_columns_of_a_frame_by_name():
    X, y = make_data()
    frame = pd.DataFrame(X, columns=["a", "b", "c"]).assign(b=lambda f: (f["b"] > 0).astype(int))
    choose = make_pipeline(
        make_column_transformer((StandardScaler(), ["a"]), ("passthrough", ["b"])), LogisticRegression()
    )
    probe = ct.Controlled(choose, **FEW).fit(frame, y)
    np.testing.assert_array_equal(probe.predict(frame), clone(choose).fit(frame, y).predict(frame))
    by_place = make_pipeline(
        make_column_transformer((StandardScaler(), [0]), ("passthrough", [1])), LogisticRegression()
    )
    other = ct.Controlled(by_place, **FEW).fit(frame.to_numpy(), y)
    np.testing.assert_array_equal(
        probe.result_.comparisons[0].control_scores, other.result_.comparisons[0].control_scores
    )
    assert probe.feature_names_in_.tolist() == ["a", "b", "c"]
    assert not hasattr(other, "feature_names_in_")


def test_frames_reach_the_estimator_with_their_types():
    seen = []

    class Spy(LogisticRegression):
        def fit(self, X, y):
            seen.append((tuple(X.columns), tuple(map(str, X.dtypes))))
            return super().fit(X, y)

    X, y = make_data(d=2)
    frame = pd.DataFrame({"a": X[:, 0].astype(np.float32), "b": X[:, 1] > 0})
    ct.Controlled(Spy(), **FEW).fit(frame, y)
    assert set(seen) == {(("a", "b"), ("float32", "bool"))}
    assert len(seen) == 1 + 5 * 20


@pytest.mark.parametrize("routing", [True, False])
def test_groups_and_unit_are_routed_through_a_pipeline(routing):
    X, y = make_data()
    groups = pd.DataFrame({"document": np.arange(80) // 4})
    with config_context(enable_metadata_routing=routing):
        probe = ct.Controlled(LogisticRegression(), **FEW)
        if routing:
            pipeline = make_pipeline(StandardScaler(), probe.set_fit_request(groups=True, unit=True))
            pipeline.fit(X, y, groups=groups, unit="document")
        else:
            pipeline = make_pipeline(StandardScaler(), probe)
            pipeline.fit(X, y, controlled__groups=groups, controlled__unit="document")
    assert pipeline[-1].result_.provenance.unit == "document"
    assert pipeline[-1].result_.provenance.n_units == 20


def test_cross_validation_routes_rows_of_groups_to_the_splitter_and_to_every_fit():
    X, y = make_data()
    with config_context(enable_metadata_routing=True):
        probe = ct.Controlled(LogisticRegression(), **FEW).set_fit_request(groups=True)
        done = cross_validate(
            probe, X, y, cv=GroupKFold(4), params={"groups": np.arange(80) // 4}, return_estimator=True
        )
    assert [each.result_.provenance.n_units for each in done["estimator"]] == [15] * 4
    alone = cross_val_score(LogisticRegression(), X, y, cv=GroupKFold(4), groups=np.arange(80) // 4)
    np.testing.assert_array_equal(done["test_score"], alone)


def test_grid_search_over_the_estimator_chooses_what_it_chooses_alone():
    X, y = make_data(effect=0.4)
    folds, values = KFold(3), [1e-4, 1e-2, 1.0]
    alone = GridSearchCV(LogisticRegression(), {"C": values}, cv=folds).fit(X, y)
    search = GridSearchCV(ct.Controlled(LogisticRegression(), draws=2), {"estimator__C": values}, cv=folds).fit(X, y)
    assert search.best_params_["estimator__C"] == alone.best_params_["C"]
    np.testing.assert_array_equal(search.cv_results_["mean_test_score"], alone.cv_results_["mean_test_score"])
    inside = ct.Controlled(GridSearchCV(LogisticRegression(), {"C": values}, cv=folds), draws=2).fit(X, y)
    assert inside.estimator_.best_params_ == alone.best_params_


def test_set_output_reaches_transform():
    X, y = make_data()
    probe = ct.Controlled(LinearDiscriminantAnalysis(), **FEW).set_output(transform="pandas").fit(X, y)
    found = probe.transform(X)
    assert isinstance(found, pd.DataFrame)
    assert found.columns.tolist() == probe.get_feature_names_out().tolist()
    np.testing.assert_array_equal(found.to_numpy(), LinearDiscriminantAnalysis().fit(X, y).transform(X))
    assert isinstance(clone(probe).fit_transform(X, y), pd.DataFrame)
    assert isinstance(probe.set_output(transform="default").transform(X), np.ndarray)


def test_tags_are_the_estimators():
    assert is_classifier(ct.Controlled(LogisticRegression()))
    assert is_regressor(ct.Controlled(Ridge()))
    assert is_classifier(ct.Controlled(ct.probes.LogisticProbe()))
    assert not is_classifier(ct.Controlled(ct.probes.RidgeProbe()))


@pytest.mark.parametrize("make_copy", [copy.deepcopy, lambda probe: pickle.loads(pickle.dumps(probe))])
def test_copies_of_a_fitted_one_predict_and_report_the_same(make_copy):
    X, y = make_data()
    frame = pd.DataFrame(X, columns=list("abc"))
    probe = ct.Controlled(LogisticRegression(), **FEW).fit(frame, y)
    other = make_copy(probe)
    np.testing.assert_array_equal(other.predict(frame), probe.predict(frame))
    assert repr(other.result_) == repr(probe.result_)


@pytest.mark.parametrize(
    ("trainer", "reference"),
    [
        (ct.probes.LogisticProbe(standardize=False, C=0.5), LogisticRegression(C=0.5, tol=1e-10, max_iter=1000)),
        (ct.probes.RidgeProbe(standardize=False), Ridge()),
    ],
)
def test_trainers_of_our_own_fit_and_predict(trainer, reference):
    X, y = make_data(effect=0.5)
    y = y if isinstance(reference, LogisticRegression) else X @ [1.0, 2.0, 3.0] + y
    probe = ct.Controlled(trainer, **FEW).fit(X, y, groups=np.arange(80) // 2)
    alone = reference.fit(X, y)
    np.testing.assert_allclose(probe.predict(X), alone.predict(X))
    assert probe.score(X, y) == pytest.approx(alone.score(X, y))
    assert hasattr(probe, "predict_proba") == hasattr(alone, "predict_proba")
    assert repr(clone(probe)) == repr(probe)
    assert np.isfinite(cross_val_score(clone(probe), X, y, cv=3)).all()


def nearest_mean(X, y):
    means = np.stack([X[y == label].mean(axis=0) for label in (0, 1)])
    return lambda rows: ((rows[:, None] - means) ** 2).sum(axis=2).argmin(axis=1)


def test_a_function_fits_and_predicts():
    X, y = make_data()
    probe = ct.Controlled(nearest_mean, **FEW).fit(X, y)
    np.testing.assert_array_equal(probe.predict(X), nearest_mean(X, y)(X))
    assert probe.score(X, y) == (nearest_mean(X, y)(X) == y).mean()
    assert not hasattr(probe, "predict_proba")
    assert not hasattr(probe, "classes_")


def test_random_state_is_the_seed_or_draws_it_and_global_state_stays():
    X, y = make_data()

    def seed_of(random_state):
        return (
            ct.Controlled(Ridge(), scoring="r2", draws=2, random_state=random_state).fit(X, y).result_.provenance.seed
        )

    assert seed_of(7) == seed_of(np.int64(7)) == 7
    assert seed_of(np.random.RandomState(7)) == np.random.RandomState(7).randint(2**31 - 1)
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    assert seed_of(None) != seed_of(None)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_the_estimator_is_left_alone():
    X, y = make_data()
    estimator = LogisticRegression()
    probe = ct.Controlled(estimator, **FEW).fit(X, y)
    assert probe.estimator is estimator
    assert not hasattr(estimator, "coef_")
    assert estimator.random_state is None


def test_progress_and_verbose(capsys):
    X, y = make_data()
    seen = []
    probe = ct.Controlled(LogisticRegression(), progress=lambda *said: seen.append(said), verbose=1, **FEW).fit(X, y)
    assert seen[-1] == (20, 20, "ShuffleLabels")
    probe.set_params(progress=None, verbose=0).fit(X, y)
    assert capsys.readouterr() == ("", "")
    probe.set_params(verbose=1).fit(X, y)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "ShuffleLabels" in shown.err
    assert "20/20" in shown.err


def test_nothing_predicts_before_fit():
    probe = ct.Controlled(LogisticRegression())
    for method in ("predict", "predict_proba", "decision_function"):
        with pytest.raises(NotFittedError):
            getattr(probe, method)(np.eye(3))
    assert not hasattr(probe, "classes_")
    assert not hasattr(probe, "selectivity_")


@pytest.mark.parametrize(
    ("changes", "fit", "error", "said"),
    [
        ({"controls": []}, {}, ct.InputError, "controls must hold at least one control, got none"),
        ({"controls": [ct.ShuffleLabels]}, {}, ct.InputError, r"got the class ShuffleLabels; write ShuffleLabels\(\)"),
        ({"draws": 0}, {}, ct.InputError, "draws must be at least 1, got 0"),
        ({"random_state": -1}, {}, ct.InputError, "seed must be at least 0, got -1"),
        ({"scoring": "auc"}, {}, ct.InputError, "Write scoring='roc_auc'"),
        ({"estimator": LogisticRegression}, {}, ct.InputError, "got the class LogisticRegression"),
        ({"estimator": None}, {}, ct.InputError, "trainer must be .* got NoneType"),
        ({}, {"y": None}, ct.InputError, "requires y to be passed"),
        ({}, {"y": np.zeros((80, 2))}, ValueError, "y should be a 1d array"),
        ({"estimator": Ridge()}, {"y": np.ones(80)}, ct.InputError, r"two different labels, got 1 class \(1.0\)"),
        ({}, {"unit": "document"}, ct.InputError, "unit 'document' is not known; there are none"),
        ({}, {"unit": np.arange(80)}, ct.InputError, "unit must be the name of a column in groups, got ndarray"),
        ({}, {"groups": np.arange(79)}, ct.InputError, "must be a column with one entry per row"),
        ({}, {"groups": np.zeros(80)}, ct.InputError, "must have at least two members to split by"),
        (
            {"controls": ct.ShuffleLabels(within="row")},
            {"groups": {"row": np.arange(80)}},
            ct.CannotControl,
            "identity",
        ),
    ],
)
def test_what_cannot_be_controlled_is_refused_and_nothing_is_fitted(changes, fit, error, said):
    X, y = make_data()
    given = {"X": X, "y": y, **fit}
    probe = ct.Controlled(**{"estimator": LogisticRegression(), **FEW, **changes})
    with pytest.raises(error, match=said):
        probe.fit(given.pop("X"), given.pop("y"), **given)
    assert not hasattr(probe, "estimator_")
    assert not hasattr(probe, "result_")


@pytest.mark.parametrize("wrong", [{"alpha": 2.0}, {"block": 0}, {"n_jobs": 0}, {"title": 3}, {"progress": 3}])
def test_settings_are_refused_before_the_estimator_is_fitted(wrong):
    class Never(LogisticRegression):
        def fit(self, X, y):
            raise AssertionError("was fitted")

    with pytest.raises(ct.InputError, match=next(iter(wrong))):
        ct.Controlled(Never(), **wrong).fit(*make_data())


def test_settings_are_those_of_a_study_and_of_measure():
    names = set(inspect.signature(ct.measure).parameters) - {"trainer", "problem", "seed"}
    assert set(ct.Controlled().get_params()) == names | {"estimator", "random_state", "verbose"}
    X, y = make_data()
    probe = ct.Controlled(ct.probes.RidgeProbe(), block=7, draws=19, random_state=0).fit(X, y)
    assert "blocks of 7" in probe.result_.provenance.plan


def test_controls_and_folds_may_be_iterators():
    X, y = make_data()
    folds = KFold(4).split(X)
    probe = ct.Controlled(LogisticRegression(), controls=iter([ct.ShuffleLabels()]), cv=folds, **FEW).fit(X, y)
    expected = ct.Controlled(LogisticRegression(), controls=[ct.ShuffleLabels()], cv=KFold(4), **FEW).fit(X, y)
    assert probe.result_.fold_scores == expected.result_.fold_scores


@pytest.mark.parametrize("kind", ["csr_array", "dok_array", "coo_matrix"])
def test_sparse_rows_are_as_good_as_dense_ones(kind):
    X, y = make_data()
    X = np.where(X > 0.5, X, 0.0)
    dense = ct.Controlled(LogisticRegression(), **FEW).fit(X, y)
    thin = ct.Controlled(LogisticRegression(), **FEW).fit(getattr(sparse, kind)(X), y)
    np.testing.assert_allclose(thin.selectivity_, dense.selectivity_, atol=1e-3)
    np.testing.assert_array_equal(thin.predict(getattr(sparse, kind)(X)), dense.predict(X))
