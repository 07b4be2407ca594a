"""What scoring= resolves to, and scikit-learn scorers on replayed predictions."""

import functools
import warnings

import numpy as np
import pytest
import sklearn
import sklearn.metrics
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import get_scorer, get_scorer_names, make_scorer
from sklearn.svm import SVC

from controls.core.errors import InputError, InputTypeError, NameNotFound
from controls.core.metric import ColumnMetric, FindingMetric
from controls.core.rng import stream
from controls.core.trainer import Output
from controls.metrics import R2, Accuracy, RocAuc, loss, resolve

TWO_CLASSES = {"f1", "precision", "recall", "jaccard", "roc_auc", "average_precision"}
TWO_CLASSES |= {"positive_likelihood_ratio", "neg_negative_likelihood_ratio"}
if tuple(map(int, sklearn.__version__.split(".")[:2])) < (1, 7):
    TWO_CLASSES.add("neg_brier_score")
AREA = make_scorer(sklearn.metrics.average_precision_score, response_method=("decision_function", "predict_proba"))
POSITIVE = {"neg_mean_poisson_deviance", "neg_mean_gamma_deviance"}
TASKS = {
    name: "regression" if get_scorer(name)._score_func.__module__.endswith("_regression") else "classification"
    for name in get_scorer_names()
}
CLASS_SCORERS = [
    (name, n_classes)
    for name, task in sorted(TASKS.items())
    for n_classes in (2, 3)
    if task == "classification"
    and not name.endswith("_samples")  # for multilabel
    and not (n_classes == 3 and name in TWO_CLASSES)
]


def data(n_classes: int, n: int = 120):
    rng = stream(0, "scoring", n_classes)
    X = rng.normal(size=(n, 4))
    y = np.argmax(X[:, :n_classes] + rng.normal(size=(n, n_classes)), axis=1)
    return X, y


def fitted(model, n_classes: int):
    """A fitted classifier, test rows and its predictions of them twice over, as a block of two columns."""
    X, y = data(n_classes)
    model.fit(X[:60], y[:60])
    test, truth = X[60:], y[60:]
    methods = [getattr(model, name, None) for name in ("predict", "decision_function", "predict_proba")]
    parts = [None if method is None else np.stack([method(test)] * 2, axis=1) for method in methods]
    return test, truth, np.stack([truth] * 2, axis=1), Output(*parts)


@pytest.mark.parametrize(("name", "n_classes"), CLASS_SCORERS)
def test_every_class_scorer_gives_what_sklearn_gives(name, n_classes):
    model = LogisticRegression()
    test, truth, truths, output = fitted(model, n_classes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        expected = get_scorer(name)(model, test, truth)
    found = resolve(name, "classification").score(truths, output)
    np.testing.assert_allclose(found, [expected, expected], rtol=1e-12)


@pytest.mark.parametrize("name", sorted(name for name, task in TASKS.items() if task == "regression"))
def test_every_number_scorer_gives_what_sklearn_gives(name):
    X, _ = data(2)
    y = np.exp(X @ [1.0, -0.5, 0.2, 0.0])
    predictor = LinearRegression().fit(X, np.log(y))
    if name in POSITIVE or "log_error" in name:
        predictor = LinearRegression(fit_intercept=False, positive=True).fit(np.abs(X), y)
        X = np.abs(X)
    expected = get_scorer(name)(predictor, X, y)
    metric = resolve(name, "regression")
    found = metric.score(np.stack([y, y], axis=1), Output(labels=np.stack([predictor.predict(X)] * 2, axis=1)))
    np.testing.assert_allclose(found, [expected, expected], rtol=1e-11)


@pytest.mark.parametrize(("name", "n_classes"), [("average_precision", 2), ("top_k_accuracy", 3)])
def test_scores_are_read_where_there_are_no_probabilities(name, n_classes):
    model = SVC()
    test, truth, truths, output = fitted(model, n_classes)
    assert output.probabilities is None
    metric = resolve(name, "classification", provides=frozenset({"labels", "scores"}))
    found = metric.score(truths, Output(scores=output.scores))
    np.testing.assert_allclose(found, get_scorer(name)(model, test, truth), rtol=1e-12)


def test_needs_follow_the_response_method():
    assert resolve("jaccard", "classification").needs == "labels"
    assert resolve(AREA, "classification").needs == "scores"
    assert resolve("neg_brier_score", "classification").needs == "probabilities"
    reversed_order = make_scorer(
        sklearn.metrics.average_precision_score, response_method=("predict_proba", "decision_function")
    )
    assert resolve(reversed_order, "classification").needs == "probabilities"


def test_sklearn_scorers_have_no_values_without_units():
    _, _, truths, output = fitted(LogisticRegression(), 2)
    assert resolve("jaccard", "classification").without_units(truths, output, np.arange(len(truths))) is None


def test_a_scorer_of_scores_is_undefined_where_a_class_is_missing():
    metric = resolve(AREA, "classification")
    truth = np.array([[0, 0], [0, 1], [0, 1]])
    score = metric.score(truth, Output(scores=np.array([[0.1, 0.1], [0.2, 0.2], [0.3, 0.3]])))
    assert np.isnan(score).tolist() == [True, False]
    assert metric.defined(np.array([[3, 1], [0, 2]])).tolist() == [False, True]
    assert resolve("jaccard", "classification").defined(np.array([[3, 1], [0, 2]])).tolist() == [True, True]


def test_edges_of_a_metric_warn_nobody_and_change_no_filters():
    before = list(warnings.filters)
    truth, said = np.array([[0], [0], [1]]), np.array([[0], [0], [0]])
    with pytest.warns(UndefinedMetricWarning):
        sklearn.metrics.precision_score(truth[:, 0], said[:, 0])
    assert resolve("precision", "classification").score(truth, Output(labels=said)).tolist() == [0.0]
    assert list(warnings.filters) == before


def test_a_scorer_that_refuses_is_one_sentence():
    _, _, truths, output = fitted(LogisticRegression(), 3)
    with pytest.raises(InputError, match="scoring='jaccard' cannot score these predictions: Target is multiclass"):
        resolve("jaccard", "classification").score(truths, output)


def test_defaults():
    assert resolve(None, "classification") == Accuracy()
    assert resolve(None, "regression") == R2()


def test_our_names_come_first_and_metrics_stay():
    for name in ("accuracy", "balanced_accuracy", "roc_auc", "roc_auc_ovr", "neg_log_loss"):
        metric = resolve(name, "classification")
        assert metric.name == name
        assert type(metric).without_units is not ColumnMetric.without_units
    metric = RocAuc()
    assert resolve(metric, "classification") is metric


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("log_loss", "Write scoring='neg_log_loss', since higher is better."),
        ("mse", "Write scoring='neg_mean_squared_error', since higher is better."),
        ("mean_squared_error", "Write scoring='neg_mean_squared_error', since higher is better."),
        ("auc", "Write scoring='roc_auc'."),
        ("acuracy", "Did you mean 'accuracy'?"),
    ],
)
def test_unknown_names_are_told_the_nearest(name, advice):
    with pytest.raises(NameNotFound) as caught:
        resolve(name, "classification")
    assert str(caught.value).startswith(f"scoring {name!r} is not known;")
    assert advice in str(caught.value)


@pytest.mark.parametrize(
    ("scoring", "task"),
    [
        ("r2", "classification"),
        (R2(), "classification"),
        ("explained_variance", "classification"),
        ("accuracy", "regression"),
        ("f1_macro", "regression"),
    ],
)
def test_metrics_of_the_other_task_are_refused(scoring, task):
    other = {"classification": "regression", "regression": "classification"}[task]
    with pytest.raises(InputError, match=f"is for {other}, but these labels make a {task}"):
        resolve(scoring, task)


@pytest.mark.parametrize("scoring", [3, ["accuracy"], {"a": 1}])
def test_other_objects_are_refused(scoring):
    with pytest.raises(InputTypeError, match="scoring must be None, a name such as 'roc_auc'"):
        resolve(scoring, "classification")


def test_a_class_is_told_to_be_called():
    with pytest.raises(InputTypeError, match=r"write RocAuc\(\)"):
        resolve(RocAuc, "classification")


def test_a_sklearn_metric_function_is_not_a_scorer():
    with pytest.raises(InputError, match=r"sklearn\.metrics\.make_scorer\(accuracy_score\)"):
        resolve(sklearn.metrics.accuracy_score, "classification")
    scorer = make_scorer(sklearn.metrics.fbeta_score, beta=2)
    metric = resolve(scorer, "classification")
    truth, said = np.array([[0], [1], [1]]), np.array([[1], [1], [0]])
    expected = sklearn.metrics.fbeta_score(truth[:, 0], said[:, 0], beta=2)
    assert metric.name == "fbeta_score"
    np.testing.assert_allclose(metric.score(truth, Output(labels=said)), [expected])


def test_functions_are_finding_metrics():
    def sparsity(finding, problem):
        return finding + problem

    metric = resolve(sparsity, "classification")
    assert isinstance(metric, FindingMetric)
    assert (metric.name, float(metric(1, 2))) == ("sparsity", 3.0)
    assert resolve(functools.partial(sparsity, problem=1), "regression").name == "sparsity"
    assert resolve(lambda finding, problem: 0.0, "regression").name == "function"
    turned = loss(sparsity)
    assert (turned.name, float(turned(1, 2))) == ("neg_sparsity", -3.0)
    assert resolve(turned, "classification") is turned
    with pytest.raises(InputTypeError, match="loss takes a function"):
        loss("mse")


def test_metrics_go_by_what_the_trainer_provides():
    labels, scores = frozenset({"labels"}), frozenset({"labels", "scores"})
    both = frozenset({"labels", "scores", "probabilities"})
    assert resolve("roc_auc_ovr", "classification").needs == "probabilities"
    assert resolve("roc_auc_ovr", "classification", provides=both).needs == "probabilities"
    assert resolve("roc_auc_ovr", "classification", provides=scores).needs == "scores"
    assert resolve("roc_auc", "classification", provides=frozenset({"probabilities"})).needs == "scores"
    assert resolve("accuracy", "classification", provides=labels).needs == "labels"
    with pytest.raises(InputError, match=r"scoring='roc_auc' needs scores .* predicts labels only"):
        resolve("roc_auc", "classification", provides=labels)
    with pytest.raises(InputError, match="scoring='neg_log_loss' needs probabilities"):
        resolve("neg_log_loss", "classification", provides=scores)
