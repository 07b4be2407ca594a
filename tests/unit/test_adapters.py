"""Other people's trainers: estimators, functions and torch modules, and what their findings predict."""

import functools

import numpy as np
import pytest
import torch
from sklearn.base import BaseEstimator
from sklearn.decomposition import PCA
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import BaggingClassifier, RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier, SGDClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from controls.core.errors import InputError, InputTypeError, TrainerError
from controls.core.problem import Problem
from controls.core.rng import stream
from controls.core.trainer import Trainer
from controls.probes.adapt import as_trainer
from controls.probes.from_function import FunctionTrainer
from controls.probes.from_sklearn import EstimatorTrainer
from controls.probes.from_torch import TorchTrainer
from controls.probes.outputs import ABSENT, outputs

LABELS = {
    "strings": np.array(["ant", "bee", "cat"]),
    "integers": np.array([-4, 0, 9]),
    "booleans": np.array([False, True]),
    "two strings": np.array(["no", "yes"]),
}


def make(classes: np.ndarray, n: int = 60) -> Problem:
    rng = stream(0, "adapters", len(classes))
    codes = np.arange(n) % len(classes)
    X = rng.normal(size=(n, 5)) + 2 * np.eye(5)[codes]
    return Problem(X, classes[codes])


# --- estimators -------------------------------------------------------------------------------------


def test_fit_is_that_of_a_clone_and_the_estimator_stays_as_it_is():
    problem = make(LABELS["strings"])
    given = LogisticRegression(C=0.3)
    before = dict(vars(given))
    found = EstimatorTrainer(given).fit(problem, stream(0))
    assert vars(given) == before
    np.testing.assert_array_equal(found.coef_, LogisticRegression(C=0.3).fit(problem.X, problem.labels).coef_)


def test_every_open_random_state_is_seeded_from_the_stream():
    problem = make(LABELS["strings"])
    search = GridSearchCV(
        make_pipeline(StandardScaler(), RandomForestClassifier(n_estimators=2)),
        {"randomforestclassifier__max_depth": [1, 2]},
        cv=KFold(3, shuffle=True),
    )
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    fits = [EstimatorTrainer(search).fit(problem, stream(seed)) for seed in (0, 0, 1)]
    seeds = [(fit.estimator[-1].random_state, fit.cv.random_state) for fit in fits]
    assert seeds[0] == seeds[1]
    assert len({*seeds[0], *seeds[2]}) == 4
    np.testing.assert_array_equal(fits[0].cv_results_["mean_test_score"], fits[1].cv_results_["mean_test_score"])
    assert search.cv.random_state is None
    assert search.estimator[-1].random_state is None
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002


def test_a_random_state_that_was_given_stays():
    bagging = BaggingClassifier(DecisionTreeClassifier(), n_estimators=2, random_state=7)
    found = EstimatorTrainer(bagging).fit(make(LABELS["booleans"]), stream(0))
    assert found.random_state == 7
    assert isinstance(found.estimator.random_state, int)
    shared = np.random.RandomState(3)
    before = shared.get_state()[1].copy()
    EstimatorTrainer(DecisionTreeClassifier(random_state=shared)).fit(make(LABELS["booleans"]), stream(0))
    np.testing.assert_array_equal(shared.get_state()[1], before)


@pytest.mark.parametrize(
    ("estimator", "task", "provides"),
    [
        (LogisticRegression(), "classification", {"labels", "scores", "probabilities"}),
        (make_pipeline(StandardScaler(), RidgeClassifier()), "classification", {"labels", "scores"}),
        (make_pipeline(PCA(2), GaussianNB()), "classification", {"labels", "scores", "probabilities"}),
        (SGDClassifier(loss="hinge"), "classification", {"labels", "scores"}),
        (SGDClassifier(loss="log_loss"), "classification", {"labels", "scores", "probabilities"}),
        (GridSearchCV(SVC(), {"C": [1]}), "classification", {"labels", "scores"}),
        (LinearRegression(), "regression", {"labels"}),
        (make_pipeline(PCA(2), RandomForestRegressor()), "regression", {"labels"}),
        (PCA(2), None, set()),
    ],
    ids=lambda item: type(item).__name__,
)
def test_task_and_provisions_are_known_before_a_fit(estimator, task, provides):
    trainer = EstimatorTrainer(estimator)
    assert trainer.task == task
    assert trainer.provides == provides


def test_an_estimator_that_is_not_derived_from_sklearn_has_its_task_read():
    class Own:
        _estimator_type = "regressor"

        def fit(self, X, y): ...

        def get_params(self, deep=True): ...

        def predict(self, X): ...

    assert EstimatorTrainer(Own()).task == "regression"


def test_without_labels_the_estimator_sees_activations_alone():
    problem = Problem(stream(0).normal(size=(20, 3)))
    found = EstimatorTrainer(PCA(1)).fit(problem, stream(0))
    np.testing.assert_allclose(found.mean_, problem.X.mean(axis=0))


def test_a_fit_that_fails_is_one_sentence_with_its_cause():
    with pytest.raises(TrainerError, match=r"^LogisticRegression\.fit failed with ValueError: ") as caught:
        EstimatorTrainer(LogisticRegression()).fit(Problem(np.eye(3), [1, 1, 1]), stream(0))
    assert isinstance(caught.value.__cause__, ValueError)


# --- functions and as_trainer -----------------------------------------------------------------------


def test_a_function_gets_activations_labels_and_where_it_asks_the_stream():
    problem = make(LABELS["booleans"])
    seen = []

    def plain(X, y):
        seen.append((X, y))
        return lambda new: np.zeros(len(new))

    def random(X, y, rng):
        seen.append(rng)
        return lambda new: np.zeros(len(new))

    FunctionTrainer(plain).fit(problem, stream(0))
    assert seen[0][0] is problem.X
    assert seen[0][1] is problem.labels
    assert not seen[0][0].flags.writeable
    rng = stream(0)
    FunctionTrainer(random).fit(problem, rng)
    assert seen[1] is rng
    assert FunctionTrainer(plain).provides is None
    assert FunctionTrainer(plain).task is None


def test_a_function_that_returns_no_predictor_is_told():
    def centroid(X, y):
        return X.mean(axis=0)

    with pytest.raises(TrainerError, match=r"^centroid must return an object with predict, .*got ndarray"):
        FunctionTrainer(centroid).fit(make(LABELS["booleans"]), stream(0))


def test_as_trainer_finds_the_adapter():
    class Own(Trainer):
        def fit(self, problem, rng):
            return None

    own = Own()
    assert as_trainer(own) is own
    assert isinstance(as_trainer(LogisticRegression()), EstimatorTrainer)
    assert isinstance(as_trainer(lambda X, y: None), FunctionTrainer)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (LogisticRegression, r"got the class LogisticRegression; write LogisticRegression\(\)"),
        (EstimatorTrainer, "got the class EstimatorTrainer"),
        (3, "trainer must be a Trainer, a scikit-learn estimator, or a function .* got int"),
        ("logistic", "got str"),
        (None, "got NoneType"),
    ],
)
def test_as_trainer_refuses_the_rest(value, message):
    with pytest.raises(InputTypeError, match=message):
        as_trainer(value)


# --- outputs ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", LABELS)
@pytest.mark.parametrize("needs", ["labels", "scores", "probabilities"])
def test_outputs_are_what_the_estimator_says(kind, needs):
    classes = LABELS[kind]
    problem = make(classes)
    model = LogisticRegression().fit(problem.X, problem.labels)
    output = outputs(model, problem.X, needs, problem.classes, "classification")
    if needs == "labels":
        np.testing.assert_array_equal(problem.classes[output.labels[:, 0]], model.predict(problem.X))
    elif needs == "scores":
        assert output.scores.ndim == (2 if len(classes) == 2 else 3)
        np.testing.assert_array_equal(output.scores[:, 0], model.decision_function(problem.X))
    else:
        np.testing.assert_array_equal(output.probabilities[:, 0], model.predict_proba(problem.X))


def test_scores_fall_back_on_probabilities_with_their_middle_at_zero():
    problem = make(LABELS["two strings"])
    model = GaussianNB().fit(problem.X, problem.labels)
    probabilities = model.predict_proba(problem.X)[:, 1]
    scores = outputs(model, problem.X, "scores", problem.classes, "classification").scores[:, 0]
    assert np.isfinite(scores).all()
    np.testing.assert_array_equal(scores > 0, probabilities > 0.5)
    area = roc_auc_score(problem.labels == "yes", probabilities)
    assert roc_auc_score(problem.labels == "yes", scores) == area


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_columns_are_aligned_where_a_class_was_not_seen(missing):
    problem = make(LABELS["strings"])
    rows = np.flatnonzero(problem.label_codes != missing)
    model = LogisticRegression().fit(problem.X[rows], problem.labels[rows])
    kept = [code for code in range(3) if code != missing]
    output = outputs(model, problem.X, "probabilities", problem.classes, "classification")
    np.testing.assert_array_equal(output.probabilities[:, 0, kept], model.predict_proba(problem.X))
    assert (output.probabilities[:, 0, missing] == 0).all()
    scores = outputs(model, problem.X, "scores", problem.classes, "classification").scores[:, 0]
    decision = model.decision_function(problem.X)
    np.testing.assert_array_equal(scores[:, kept], np.stack([-decision, decision], axis=1))
    assert (scores[:, missing] == ABSENT).all()
    labels = outputs(model, problem.X, "labels", problem.classes, "classification").labels[:, 0]
    np.testing.assert_array_equal(problem.classes[labels], model.predict(problem.X))


def test_a_finding_that_saw_one_of_two_classes():
    model = DummyClassifier().fit(np.eye(3), ["yes"] * 3)
    classes = LABELS["two strings"]
    output = outputs(model, np.eye(3), "probabilities", classes, "classification")
    np.testing.assert_array_equal(output.probabilities[:, 0], [[0, 1]] * 3)
    scores = outputs(model, np.eye(3), "scores", classes, "classification").scores
    assert (scores > 0).all()
    assert np.isfinite(scores).all()


class Says(BaseEstimator):
    """A finding that answers each method with what it was given."""

    def __init__(self, **answers):
        for name, answer in answers.items():
            setattr(self, name, answer if name == "classes_" else functools.partial(self._say, answer))

    @staticmethod
    def _say(answer, X):
        return answer


def test_classes_in_another_order_are_put_in_order():
    classes = np.array(["a", "b"])
    reversed_ = Says(
        classes_=["b", "a"],
        decision_function=np.array([1.0, -2.0]),
        predict_proba=np.array([[0.7, 0.3], [0.1, 0.9]]),
    )
    X = np.zeros((2, 1))
    assert outputs(reversed_, X, "scores", classes, "classification").scores.tolist() == [[-1.0], [2.0]]
    found = outputs(reversed_, X, "probabilities", classes, "classification").probabilities
    assert found[:, 0].tolist() == [[0.3, 0.7], [0.9, 0.1]]


def test_labels_of_other_types_are_understood():
    X = np.zeros((2, 1))
    for said, classes in [
        (np.array(["a", "b"], dtype=object), np.array(["a", "b"])),
        (np.array([0, 1]), np.array([False, True])),
        (np.array([[0.0], [1.0]]), np.array([0, 1])),
        (["a", "b"], np.array(["a", "b"])),
        (torch.tensor([0, 1]), np.array([0, 1])),
    ]:
        assert outputs(Says(predict=said), X, "labels", classes, "classification").labels.tolist() == [[0], [1]]
    stray = Says(predict=np.array(["zebra", "b"]))
    assert outputs(stray, X, "labels", np.array(["a", "b"]), "classification").labels.tolist() == [[-1], [1]]


def test_torch_outputs_are_detached():
    logits = torch.tensor([[1.0, 3.0], [2.0, 0.0]], requires_grad=True)
    found = Says(decision_function=logits, predict_proba=torch.softmax(logits, 1), predict=logits[:, 0])
    X = np.zeros((2, 1))
    scores = outputs(found, X, "scores", np.array([0, 1]), "classification").scores
    assert scores.tolist() == [[1.0], [-1.0]]
    assert outputs(found, X, "labels", None, "regression").labels.tolist() == [[1.0], [2.0]]
    probabilities = outputs(found, X, "probabilities", np.array([0, 1]), "classification").probabilities
    assert isinstance(probabilities, np.ndarray)


def test_a_column_of_second_class_probabilities_is_completed():
    found = Says(predict_proba=np.array([0.25, 1.0]))
    output = outputs(found, np.zeros((2, 1)), "probabilities", np.array([0, 1]), "classification")
    assert output.probabilities[:, 0].tolist() == [[0.75, 0.25], [0.0, 1.0]]


@pytest.mark.parametrize(
    ("found", "needs", "message"),
    [
        (Says(predict=np.zeros((2, 3))), "labels", r"one value per row, shape \(2,\), got \(2, 3\)"),
        (Says(predict=np.zeros(5)), "labels", r"got \(5,\)"),
        (Says(predict=np.array([np.nan, 1])), "labels", "must give finite numbers, got 1 NaN"),
        (Says(predict=np.array([0.3, 0.8])), "labels", "must predict labels such as 0, got 0.3"),
        (Says(predict=np.array(["a", "b"])), "labels", "must predict labels such as 0, got a"),
        (Says(predict_proba=np.zeros((2, 4))), "probabilities", r"shape \(2, 2\), got \(2, 4\)"),
        (Says(predict_proba=np.array([[0.5, np.nan]] * 2)), "scores", "got 2 NaN or infinite of 4"),
        (Says(predict_proba=np.array([[-1.0, 2.0]] * 2)), "probabilities", "got values from -1 to 2"),
        (Says(decision_function=np.array([np.inf, 0])), "scores", "finite numbers"),
        (Says(decision_function=np.array([1.0, 0]), classes_=[5, 6]), "scores", "classes_ must be labels"),
        (Says(), "labels", "must return something with predict, got Says"),
    ],
)
def test_bad_predictions_are_one_sentence(found, needs, message):
    with pytest.raises(TrainerError, match=message):
        outputs(found, np.zeros((2, 1)), needs, np.array([0, 1]), "classification")


def test_a_prediction_that_fails_names_the_method():
    def explode(X):
        raise ZeroDivisionError("no")

    with pytest.raises(TrainerError, match=r"^explode\S* failed with ZeroDivisionError: no"):
        outputs(explode, np.zeros((2, 1)), "labels", np.array([0, 1]), "classification")


@pytest.mark.parametrize(
    ("found", "needs", "task", "message"),
    [
        (lambda X: X[:, 0], "scores", "classification", r"needs scores .* such as scoring='accuracy'"),
        (RidgeClassifier(), "probabilities", "classification", r"needs probabilities .* scoring='roc_auc'"),
        (LinearRegression(), "scores", "regression", "needs scores"),
    ],
)
def test_a_metric_that_needs_more_than_there_is(found, needs, task, message):
    with pytest.raises(InputError, match=message):
        outputs(found, np.zeros((2, 1)), needs, np.array([0, 1]), task)


def test_regression_outputs_are_the_numbers():
    rng = stream(0)
    X, y = rng.normal(size=(20, 3)), rng.normal(size=20)
    model = LinearRegression().fit(X, y)
    found = outputs(model, X, "labels", None, "regression").labels
    np.testing.assert_array_equal(found, model.predict(X)[:, None])


# --- torch ------------------------------------------------------------------------------------------


def test_torch_finding_separates_classes_and_its_outputs_agree():
    for kind in ("strings", "two strings"):
        problem = make(LABELS[kind])
        found = TorchTrainer(torch.nn.Linear, epochs=60, lr=0.1).fit(problem, stream(0))
        said = outputs(found, problem.X, "labels", problem.classes, "classification").labels[:, 0]
        assert (said == problem.label_codes).mean() > 0.85
        probabilities = outputs(found, problem.X, "probabilities", problem.classes, "classification").probabilities
        np.testing.assert_array_equal(probabilities[:, 0].argmax(axis=1), said)
        scores = outputs(found, problem.X, "scores", problem.classes, "classification").scores[:, 0]
        np.testing.assert_array_equal((scores > 0) if kind == "two strings" else scores.argmax(axis=1), said)


def test_torch_regression_reaches_least_squares():
    rng = stream(3)
    X = rng.normal(size=(80, 3))
    y = X @ [1.0, -2.0, 0.5] + 0.3 + 0.1 * rng.normal(size=80)
    found = TorchTrainer(torch.nn.Linear, epochs=400, lr=0.05, batch_size=80).fit(Problem(X, y), stream(0))
    expected = LinearRegression().fit(X, y).predict(X)
    np.testing.assert_allclose(found.predict(X), expected, atol=1e-3)
    with pytest.raises(InputError, match="predicts numbers"):
        found.predict_proba(X)


def test_torch_fits_go_by_the_stream_and_leave_the_global_state():
    problem = make(LABELS["strings"])

    def factory(d, k):
        return torch.nn.Sequential(torch.nn.Linear(d, 8), torch.nn.Dropout(0.5), torch.nn.Linear(8, k))

    trainer = TorchTrainer(factory, epochs=3, batch_size=7)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one = trainer.fit(problem, stream(0)).predict_proba(problem.X)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(99)
    two = trainer.fit(problem, stream(0)).predict_proba(problem.X)
    other = trainer.fit(problem, stream(1)).predict_proba(problem.X)
    np.testing.assert_array_equal(one, two)
    assert np.abs(one - other).max() > 1e-3


def test_torch_failure_restores_the_global_state():
    before = torch.get_rng_state()
    with pytest.raises(TrainerError, match="training of Linear failed with RuntimeError"):
        TorchTrainer(lambda d, k: torch.nn.Linear(d + 1, k)).fit(make(LABELS["strings"]), stream(0))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_shared_module_is_neither_trained_nor_a_warm_start():
    problem = make(LABELS["booleans"])
    shared = torch.nn.Linear(5, 2)
    before = shared.weight.detach().clone()
    trainer = TorchTrainer(lambda d, k: shared, epochs=2)
    first, second = trainer.fit(problem, stream(0)), trainer.fit(problem, stream(0))
    assert torch.equal(shared.weight, before)
    np.testing.assert_array_equal(first.decision_function(problem.X), second.decision_function(problem.X))


def test_the_loss_says_the_task_and_wins_over_the_labels():
    assert TorchTrainer(torch.nn.Linear).task is None
    assert TorchTrainer(torch.nn.Linear, loss="cross_entropy").task == "classification"
    numbers = TorchTrainer(torch.nn.Linear, loss="squared_error", epochs=1)
    assert (numbers.task, numbers.provides) == ("regression", {"labels"})
    found = numbers.fit(Problem(np.eye(4), [1, 2, 3, 4]), stream(0))
    assert found.classes_ is None


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: TorchTrainer(torch.nn.Linear(2, 2)), "module_factory must be a function .* got Linear"),
        (lambda: TorchTrainer(torch.nn.Linear, epochs=0), "epochs must be at least 1"),
        (lambda: TorchTrainer(torch.nn.Linear, lr=-1.0), "lr must be above 0"),
        (lambda: TorchTrainer(torch.nn.Linear, loss="hinge"), "loss must be one of 'cross_entropy'"),
        (lambda: TorchTrainer(lambda d, k: 3).fit(Problem(np.eye(2), [0, 1]), stream(0)), "got int"),
        (lambda: TorchTrainer(torch.nn.Linear).fit(Problem(np.eye(2)), stream(0)), "labels must have shape"),
    ],
)
def test_torch_arguments_are_checked(build, message):
    with pytest.raises(InputError, match=message):
        build()
