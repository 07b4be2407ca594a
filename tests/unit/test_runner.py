"""The runner: plans, draws, scores and deviations, beside scikit-learn and by hand."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from joblib import parallel_config
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, r2_score, roc_auc_score
from sklearn.model_selection import cross_val_score
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_info

import controls as ct
from controls.core.properties import SameGroups
from controls.core.rng import stream
from controls.core.study import Study
from controls.metrics.scoring import resolve
from controls.probes.adapt import as_trainer
from controls.runner.draws import draw_stream
from controls.runner.evaluate import Evaluator
from controls.runner.execute import Means, run_plan
from controls.runner.folds import make_folds
from controls.runner.plan import make_plan

WITHIN = ct.ShuffleLabels(within="document")
KINDS = {"binary": "classification", "strings": "classification", "numbers": "regression"}


def world(kind="binary", seed=0, n_units=17, d=4):
    """Documents of unequal sizes with labels that can be read a little, columns on unequal scales."""
    rng = stream(seed, "runner test", kind)
    document = rng.permutation(np.repeat(np.arange(n_units) * 7 - 50, rng.integers(3, 15, size=n_units)))
    n = len(document)
    X = rng.standard_t(4, size=(n, d)) * 10.0 ** rng.integers(-2, 3, size=d) + rng.normal(size=d)
    signal = (X[:, 0] - X[:, 0].mean()) / X[:, 0].std() + rng.normal(size=n)
    labels = {
        "binary": (signal > 0.3).astype(int),
        "strings": np.array(["ox", "bee", "cat"])[np.digitize(signal, [-0.8, 0.5])],
        "numbers": signal * 40 + 7,
    }[kind]
    word = rng.integers(9, size=n)
    return ct.Problem(X, labels, groups={"document": document, "word": word}, unit="document")


def set_up(trainer, problem, controls, **settings):
    """The plan and the evaluator of a study, as the verbs make them."""
    study = Study(trainer, controls, **settings)
    adapted = as_trainer(trainer)
    task = "regression" if problem.target == "continuous" else "classification"
    metric = resolve(study.scoring, task)
    folds = make_folds(study.cv, problem, study.seed)
    evaluator = Evaluator(adapted, problem, metric, folds, task, study.seed)
    return make_plan(study, problem, adapted, metric, folds), evaluator


def run(trainer, problem, controls, n_jobs=None, progress=None, **settings):
    plan, evaluator = set_up(trainer, problem, controls, **settings)
    return run_plan(plan, evaluator, means=Means(n_jobs, progress))


def drawn_labels(control, problem, seed, draw):
    return np.asarray(control.draw(problem, draw_stream(seed, control, draw)).labels)


@dataclass(frozen=True)
class AddNoise(ct.Control):
    """Keeps the groups; destroys the activations' detail."""

    scale: float = 1.0
    level: ClassVar[str] = "activations"
    inference = "ensemble"
    null = "The score is no higher than on noisy activations."
    licenses = "The probe reads something that noise destroys."
    preserves = (SameGroups(),)
    destroys = ()

    def draw(self, problem, rng):
        return problem.with_activations(
            problem.X + self.scale * problem.X.std(axis=0) * rng.normal(size=problem.X.shape)
        )


# -- plans -------------------------------------------------------------------------------------------


def test_a_plan_is_made_without_fitting_or_drawing_and_prints():
    class Refuses(ct.Trainer):
        def fit(self, problem, rng):
            raise AssertionError("a plan must not fit")

    @dataclass(frozen=True)
    class RefusesToDraw(AddNoise):
        def draw(self, problem, rng):
            raise AssertionError("a plan must not draw")

    controls = [WITHIN, RefusesToDraw()]
    planned = ct.plan(Refuses(), world(), controls=controls, draws=30, scoring=lambda finding, problem: 0.0, cv=4)
    lines = str(planned).splitlines()
    assert planned.fits == 4 * (1 + 30 + 30)
    assert "4 folds of whole documents; 244 fits, one by one" in lines[0]
    assert lines[1] == "ShuffleLabels(within='document'): 30 draws in 30 blocks, p floor 0.0323"
    assert lines[2].startswith("RefusesToDraw(): 30 draws")


@pytest.mark.parametrize(("draws", "enumerated"), [(18, False), (19, True), (500, True)])
def test_relabelings_are_enumerated_where_draws_plus_one_would_hold_them(draws, enumerated):
    problem = ct.Problem(np.eye(6), [0, 0, 0, 1, 1, 1])  # 20 relabelings
    (planned,) = ct.plan(ct.probes.RidgeProbe(), problem, controls=[ct.ShuffleLabels()], draws=draws).controls
    assert planned.enumerated is enumerated
    assert planned.draws == (20 if enumerated else draws)
    assert planned.p_floor == pytest.approx(1 / 20 if enumerated else 1 / 19)


def test_enumerated_scores_are_those_of_all_relabelings_the_observed_first():
    rng = stream(0, "enumerated")
    problem = ct.Problem(rng.normal(size=(7, 2)), [0, 1, 0, 1, 1, 0, 1])
    found = run(GaussianNB(), problem, [ct.ShuffleLabels()], draws=99, cv=2)
    assert found.drawn[0].scores[0] == found.observed.scores[0]
    relabelings = list(ct.ShuffleLabels().orbit(problem).enumerate())
    assert len(found.drawn[0].scores) == len(relabelings) == 35
    _, evaluator = set_up(GaussianNB(), problem, [ct.ShuffleLabels()], cv=2)
    assert np.array_equal(found.drawn[0].scores, evaluator.evaluate(np.stack(relabelings, axis=1)).scores)


def test_blocks_hold_all_draws():
    for block in (1, 7, 64):
        (planned,) = ct.plan(ct.probes.RidgeProbe(), world(), controls=[WITHIN], draws=100, block=block).controls
        assert sum(planned.blocks) == 100
        assert max(planned.blocks) == block


# -- the same numbers --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("probe", "kind", "scoring"),
    [
        (ct.probes.LogisticProbe(), "binary", "roc_auc"),
        (ct.probes.LogisticProbe(), "strings", "neg_log_loss"),
        (ct.probes.RidgeProbe(), "strings", "accuracy"),
        (ct.probes.RidgeProbe(), "numbers", "r2"),
    ],
)
def test_blocks_do_not_change_scores_beyond_the_tolerance_nor_ranks(probe, kind, scoring):
    problem = world(kind)
    runs = [run(probe, problem, [WITHIN], scoring=scoring, draws=70, block=block) for block in (1, 7, 64)]
    first = np.concatenate([runs[0].observed.scores, runs[0].drawn[0].scores])
    tolerance = max(runs[0].tolerance, 1e-12)
    for other in runs[1:]:
        scores = np.concatenate([other.observed.scores, other.drawn[0].scores])
        assert np.abs(scores - first).max() <= tolerance
        apart = np.abs(first[:, None] - first[None, :]) > 2 * tolerance
        assert np.array_equal(np.sign(first[:, None] - first)[apart], np.sign(scores[:, None] - scores)[apart])


def test_the_number_of_processes_does_not_change_a_bit():
    problem = world("strings")
    forest = RandomForestClassifier(n_estimators=3)  # random by itself
    one = run(forest, problem, [WITHIN], draws=4, cv=2, n_jobs=1)
    two = run(forest, problem, [WITHIN], draws=4, cv=2, n_jobs=2)
    assert np.array_equal(one.drawn[0].scores, two.drawn[0].scores)
    assert np.array_equal(one.drawn[0].deviations, two.drawn[0].deviations)
    assert np.array_equal(one.observed.fold_scores, two.observed.fold_scores)
    assert len(np.unique(one.drawn[0].scores)) > 1


@pytest.mark.parametrize("backend", ["loky", "threading", "multiprocessing"])
def test_any_backend_of_joblib_gives_the_same_bits(backend):
    problem, shift = world(), 1e-3

    def fit(X, y):  # what pickle cannot send
        return LogisticRegression().fit(X + shift, y)

    one = run(fit, problem, [WITHIN], draws=9, cv=2, n_jobs=1)
    with parallel_config(backend=backend):
        two = run(fit, problem, [WITHIN], draws=9, cv=2, n_jobs=2)
    assert np.array_equal(one.drawn[0].scores, two.drawn[0].scores)
    assert np.array_equal(one.drawn[0].deviations, two.drawn[0].deviations)


def test_the_same_seed_gives_the_same_result_and_another_seed_another():
    problem, probe = world(), ct.probes.RidgeProbe()
    first, again, other = (run(probe, problem, [WITHIN], scoring="roc_auc", draws=20, seed=s) for s in (0, 0, 1))
    assert np.array_equal(first.drawn[0].scores, again.drawn[0].scores)
    assert np.array_equal(first.observed.deviations, again.observed.deviations)
    assert not np.isin(first.drawn[0].scores, other.drawn[0].scores).any()


def test_the_battery_and_its_order_do_not_change_the_draws_of_a_control():
    problem, probe, task = world(), ct.probes.RidgeProbe(), ct.ControlTask(per="word")
    alone = run(probe, problem, [WITHIN], draws=20).drawn[0].scores
    before = run(probe, problem, [WITHIN, task, AddNoise()], draws=20).drawn[0].scores
    after = run(probe, problem, [AddNoise(), task, WITHIN], draws=20).drawn[2].scores
    more = run(probe, problem, [WITHIN], draws=33).drawn[0].scores
    assert np.array_equal(alone, before)
    assert np.array_equal(alone, after)
    assert np.allclose(alone, more[:20], rtol=0, atol=1e-12)


def test_every_draw_of_every_control_has_a_stream_of_its_own():
    controls = [ct.ShuffleLabels(), WITHIN, AddNoise(), AddNoise(2.0), ct.ResampleLabels()]
    first = [draw_stream(seed, control, b).random() for seed in (0, 1) for control in controls for b in range(70)]
    assert len(set(first)) == 2 * 5 * 70


def test_a_relabeling_that_is_the_observed_one_is_not_fitted_again():
    fits = []

    def fit(X, y):
        fits.append(len(y))
        return GaussianNB().fit(X, y)

    problem = ct.Problem(stream(0, "again").normal(size=(6, 2)), [0, 0, 0, 1, 1, 1])
    found = run(fit, problem, [ct.ShuffleLabels()], draws=99, cv=[([0, 1, 3, 4], [2, 5])])
    assert len(found.drawn[0].scores) == 20
    assert len(fits) == 20  # observed and 19 others: four training rows always hold two classes
    assert found.drawn[0].scores[0] == found.observed.scores[0]


@pytest.mark.parametrize("trainer", [ct.probes.RidgeProbe(), GaussianNB()])
def test_progress_counts_every_draw(trainer):
    seen = []
    controls = [WITHIN, AddNoise()]
    run(trainer, world(), controls, draws=10, block=4, cv=2, progress=lambda *what: seen.append(what))
    done = [count for count, _, _ in seen]
    assert seen[0] == (1, 21, "the problem itself")
    assert done == sorted(set(done))
    assert seen[-1] == (21, 21, "AddNoise")
    assert (11, 21, "ShuffleLabels") in seen


# -- beside scikit-learn and by hand ------------------------------------------------------------------


CASES = [
    (make_pipeline(StandardScaler(), LogisticRegression()), "binary", "accuracy"),
    (make_pipeline(StandardScaler(), LogisticRegression()), "binary", "roc_auc"),
    (make_pipeline(StandardScaler(), LogisticRegression()), "strings", "accuracy"),
    (GaussianNB(), "strings", "roc_auc_ovr"),
    (GaussianNB(), "strings", "neg_log_loss"),
    (make_pipeline(StandardScaler(), Ridge()), "numbers", "r2"),
]


@pytest.mark.parametrize(("estimator", "kind", "scoring"), CASES, ids=lambda value: str(value)[:12])
def test_scores_are_those_of_cross_val_score_for_the_problem_and_for_every_draw(estimator, kind, scoring):
    problem = world(kind, seed=3)
    splits = make_folds(3, problem, 5).default()
    found = run(estimator, problem, [WITHIN], scoring=scoring, draws=4, cv=list(splits), seed=5)
    expected = cross_val_score(estimator, problem.X, problem.labels, cv=splits, scoring=scoring)
    assert np.allclose(found.observed.fold_scores[:, 0], expected, rtol=0, atol=1e-10)
    by_hand = [
        cross_val_score(estimator, problem.X, drawn_labels(WITHIN, problem, 5, b), cv=splits, scoring=scoring).mean()
        for b in range(4)
    ]
    assert np.allclose(found.drawn[0].scores, by_hand, rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    ("estimator", "kind", "scoring"),
    [
        (GaussianNB(), "binary", "f1"),
        (Ridge(), "numbers", "neg_mean_absolute_error"),
        (GaussianNB(), "strings", "f1_macro"),
    ],
)
def test_any_scorer_of_scikit_learn_scores_as_it_does_there(estimator, kind, scoring):
    problem = world(kind, seed=3)
    _, evaluator = set_up(estimator, problem, [WITHIN], scoring=scoring, cv=3)
    columns = np.stack([problem.labels, *(drawn_labels(WITHIN, problem, 0, b) for b in range(3))], axis=1)
    found = evaluator.evaluate(columns, wanted=np.zeros(4, dtype=bool))
    splits = make_folds(3, problem, 0).default()
    by_hand = [cross_val_score(estimator, problem.X, y, cv=splits, scoring=scoring) for y in columns.T]
    assert np.allclose(found.fold_scores.T, by_hand, rtol=0, atol=1e-10)


def test_batched_probes_score_what_scikit_learn_scores():
    problem = world("binary", seed=4)
    splits = make_folds(None, problem, 0).default()
    sklearn = make_pipeline(StandardScaler(), LogisticRegression(tol=1e-10, max_iter=5000))
    found = run(ct.probes.LogisticProbe(), problem, [WITHIN], scoring="neg_log_loss", draws=5)
    columns = [problem.labels, *(drawn_labels(WITHIN, problem, 0, b) for b in range(5))]
    by_hand = [cross_val_score(sklearn, problem.X, y, cv=splits, scoring="neg_log_loss").mean() for y in columns]
    assert np.allclose([*found.observed.scores, *found.drawn[0].scores], by_hand, rtol=0, atol=1e-6)


def test_draws_at_other_levels_are_fitted_on_the_changed_activations():
    problem, control = world("numbers"), AddNoise(2.0)
    splits = make_folds(3, problem, 1).default()
    for trainer in (make_pipeline(StandardScaler(), Ridge()), ct.probes.RidgeProbe()):
        found = run(trainer, problem, [control], draws=3, cv=3, seed=1)
        for b in range(3):
            changed = control.draw(problem, draw_stream(1, control, b))
            expected = cross_val_score(make_pipeline(StandardScaler(), Ridge()), changed.X, problem.labels, cv=splits)
            assert found.drawn[0].scores[b] == pytest.approx(expected.mean(), abs=1e-9)


@pytest.mark.parametrize(
    ("kind", "scoring", "score_of"),
    [("binary", "accuracy", accuracy_score), ("binary", "roc_auc", roc_auc_score), ("numbers", "r2", r2_score)],
)
def test_deviations_are_those_of_leaving_each_unit_out(kind, scoring, score_of):
    problem, k = world(kind, seed=6), 3
    estimator = make_pipeline(StandardScaler(), Ridge() if kind == "numbers" else LogisticRegression())
    found = run(estimator, problem, [WITHIN], scoring=scoring, draws=3, cv=k)
    splits = make_folds(k, problem, 0).default()
    by_hand = [
        brute_force(estimator, problem, labels, splits, score_of)
        for labels in [problem.labels, *(drawn_labels(WITHIN, problem, 0, b) for b in range(3))]
    ]
    assert np.allclose(found.observed.deviations[:, 0], by_hand[0], rtol=0, atol=1e-10)
    assert np.allclose(found.drawn[0].deviations, np.mean(by_hand[1:], axis=0), rtol=0, atol=1e-10)
    assert found.observed.df[0] == problem.n_units - k


def brute_force(estimator, problem, labels, splits, score_of):
    """Score of each fold minus its score without one unit, divided by the number of folds."""
    deviations = np.zeros(problem.n_units)
    for train, test in splits:
        fitted = estimator.fit(problem.X[train], labels[train])
        ranks = score_of is roc_auc_score
        said = fitted.decision_function(problem.X[test]) if ranks else fitted.predict(problem.X[test])
        full = score_of(labels[test], said)
        for unit in np.unique(problem.unit_codes[test]):
            rest = problem.unit_codes[test] != unit
            deviations[unit] = (full - score_of(labels[test][rest], said[rest])) / len(splits)
    return deviations


def test_the_standard_error_is_the_root_of_the_summed_squares():
    problem = world()
    result = ct.measure(GaussianNB(), problem, controls=[WITHIN], draws=6, cv=3)
    found = run(GaussianNB(), problem, [WITHIN], draws=6, cv=3)
    difference = found.observed.deviations[:, 0] - found.drawn[0].deviations
    of_draws = np.var(found.drawn[0].scores, ddof=1) / 6
    shared = max(0.0, np.var(found.drawn[0].scores, ddof=1) - found.drawn[0].variance)  # what folds share
    expected = np.sqrt(np.sum(difference**2) + of_draws + shared)
    assert result.comparisons[0].selectivity.standard_error == pytest.approx(expected, rel=1e-12)
    assert result.comparisons[0].selectivity.value == pytest.approx(
        found.observed.scores[0] - found.drawn[0].scores.mean(), rel=1e-12
    )


# -- nothing of the caller's is touched ---------------------------------------------------------------


class Fails(DummyClassifier):
    """Fails at the second fit: the second fold of the problem itself."""

    calls: ClassVar[list[int]] = []

    def fit(self, X, y):
        Fails.calls.append(len(X))
        if len(Fails.calls) == 2:
            raise ZeroDivisionError("no luck")
        return super().fit(X, y)


@pytest.mark.parametrize("fails", [False, True])
def test_arrays_the_global_state_and_the_estimator_stay_as_they_were(fails):
    made = world()
    X, y, document = np.array(made.X), np.array(made.labels), np.array(made.groups["document"])
    copies = X.copy(), y.copy(), document.copy()
    problem = ct.Problem(X, y, groups={"document": document}, unit="document")
    Fails.calls.clear()
    estimator = Fails() if fails else make_pipeline(StandardScaler(), LogisticRegression())
    parameters = str(estimator.get_params())
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    controls = [WITHIN, ct.ControlTask(per="document"), AddNoise()]
    if fails:
        with pytest.raises(ct.TrainerError, match=r"fold 1.*ZeroDivisionError: no luck"):
            ct.measure(estimator, problem, controls=controls, draws=5, cv=3)
    else:
        ct.measure(estimator, problem, controls=controls, draws=5, cv=3)
    assert np.array_equal(before, np.random.get_state()[1])  # noqa: NPY002
    for kept, copied in zip((X, y, document), copies, strict=True):
        assert np.array_equal(kept, copied)
        assert kept.flags.writeable
    assert str(estimator.get_params()) == parameters
    assert not [name for name in vars(estimator) if name.endswith("_") and not name.startswith("_")]


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_a_trainer_that_fails_midway_is_named_with_its_fold(n_jobs):
    problem = world()
    label_of = {row.tobytes(): label for row, label in zip(problem.X, problem.labels, strict=True)}

    def fit(X, y):
        if [label_of[row.tobytes()] for row in X] != y.tolist():
            raise ValueError("only the labels as they are, please")
        return lambda rows: np.zeros(len(rows), dtype=int)

    with pytest.raises(ct.TrainerError, match=r"in fold 0, on \d+ rows: fit failed with ValueError: only the labels"):
        ct.measure(fit, problem, controls=[WITHIN], draws=5, cv=3, n_jobs=n_jobs)


def test_a_prediction_that_fails_is_named_with_its_fold():
    def fit(X, y):
        return lambda rows: np.zeros(len(rows) - 1, dtype=int)

    with pytest.raises(ct.TrainerError, match=r"in fold 0, predicting \d+ rows: .*must predict one value per row"):
        ct.measure(fit, world(), controls=[WITHIN], draws=5)


@pytest.mark.parametrize("trainer", [GaussianNB(), ct.probes.RidgeProbe()])
def test_thread_limits_are_as_they_were_also_after_an_exception(trainer):
    def stop(done, total, what):
        if done > 3:
            raise KeyboardInterrupt

    before = [pool["num_threads"] for pool in threadpool_info()]
    with pytest.raises(KeyboardInterrupt) as caught:
        run(trainer, world(), [WITHIN], draws=9, block=2, progress=stop)
    assert [pool["num_threads"] for pool in threadpool_info()] == before
    assert caught.tb is not None  # whose frames are still there


def test_a_control_that_draws_unknown_labels_is_refused():
    @dataclass(frozen=True)
    class Shifts(AddNoise):
        level: ClassVar[str] = "labels"

        def draw(self, problem, rng):
            return problem.with_labels(problem.labels + 1)

    with pytest.raises(ct.InputError, match="a control drew the label 2, which the problem does not have"):
        run(GaussianNB(), world(), [Shifts()], draws=3)
