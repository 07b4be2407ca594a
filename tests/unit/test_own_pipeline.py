"""ct.calibrate: honest pipelines keep their level, naive ones are caught, and bad input is refused at the door."""

import json
from dataclasses import dataclass

import numpy as np
import pytest
from scipy.stats import binom

import controls as ct
from controls.core.rng import stream
from controls.ground_truth import NullDocuments
from controls.stats.pvalue import visible_rate
from controls.testing.own_pipeline import Calibration, Level, Rate
from controls.testing.own_pipeline.repeat import _mark

RIDGE = ct.probes.RidgeProbe()
ROWS, WHOLE = ct.ShuffleLabels(), ct.ShuffleLabels(whole="document")
WITHIN, BLOCKS = ct.ShuffleLabels(within="document"), ct.ShuffleLabels(whole="document", blocks=True)


def documents(labels="document", seed=0, **changes):
    return NullDocuments(labels, **changes).sample(stream(seed, "own", labels))


def run(problem, controls, trainer=RIDGE, **changes):
    settings = {"scoring": "roc_auc", "draws": 39, "repetitions": 40, "effects": (), **changes}
    return ct.calibrate(trainer, problem, controls=controls, **settings)


def not_above_alpha(rate, alpha=0.05):
    return binom.sf(rate.count - 1, rate.repetitions, alpha) > 0.001


@pytest.fixture(scope="module")
def small():
    problem = documents(n_documents=16, size=6, d=4)
    return run(problem, [ROWS, WHOLE], draws=19, repetitions=6, effects=(2.0, 1.0), title="Mine")


# -- what it finds ---------------------------------------------------------------------------------------


def test_whole_documents_keep_the_level_and_rows_do_not():
    found = run(documents(size=10, d=5, document_effect=1.5), [ROWS, WHOLE], repetitions=30)
    assert found.levels["ShuffleLabels()"] is Level.EXCEEDED
    assert not_above_alpha(found.false_alarms["ShuffleLabels(whole='document')"])
    assert not found.kept
    assert "every document has one label" in found.null
    assert found["ShuffleLabels()"][0].warned.count == 30  # the library says so itself


def test_shuffles_within_documents_are_found_out_on_serially_dependent_labels():
    found = run(documents("autocorrelated", n_documents=12, size=50, d=5, rho=0.95), [WITHIN, BLOCKS], repetitions=35)
    assert found.levels["ShuffleLabels(within='document')"] is Level.EXCEEDED
    assert not_above_alpha(found.false_alarms["ShuffleLabels(whole='document', blocks=True)"])


def test_shuffles_within_documents_keep_the_level_with_base_rates():
    found = run(documents("base_rates", size=10, d=5), [WITHIN], repetitions=40)
    assert not_above_alpha(found.false_alarms["ShuffleLabels"])
    assert found.levels["ShuffleLabels"] in (Level.KEPT, Level.FEW)


@dataclass(frozen=True)
class Direction:
    weights: np.ndarray
    classes_: np.ndarray

    def decision_function(self, X):
        return X @ self.weights

    def predict(self, X):
        return self.classes_[(X @ self.weights > 0).astype(int)]


def difference(X, y):
    return X[y == 1].mean(axis=0) - X[y == 0].mean(axis=0)


def best(X, y):
    return np.argsort(-np.abs(difference(X, y)))[:10]


def select_and_fit(X, y):
    weights, chosen = np.zeros(X.shape[1]), best(X, y)
    weights[chosen] = difference(X, y)[chosen]
    return Direction(weights, np.unique(y))


def selected_before(trainer, problem, **settings):
    chosen = best(problem.X, problem.labels)
    return ct.measure(trainer, problem.with_activations(problem.X[:, chosen]), **settings)


def started_from_all_rows(trainer, problem, **settings):
    start = difference(problem.X, problem.labels)

    def tuned(X, y):
        return Direction(start + difference(X, y), np.unique(y))

    return ct.measure(tuned, problem, **settings)


@pytest.mark.parametrize("practice", [selected_before, started_from_all_rows])
def test_what_saw_all_labels_is_caught_through_the_users_own_measure(practice):
    problem = documents("free", n_documents=40, size=2, d=200, document_effect=0.0)
    settings = {"draws": 19, "cv": 3, "repetitions": 8}
    naive = run(problem, [ROWS], measure=practice, **settings)
    assert naive.levels["ShuffleLabels"] is Level.EXCEEDED
    assert naive.scores[0][1] > 0.6  # without anything to read
    honest = run(problem, [ROWS], trainer=select_and_fit, **settings)
    assert not_above_alpha(honest.false_alarms["ShuffleLabels"])


def test_power_rises_with_the_effect():
    found = run(documents("base_rates", size=10, d=5), [WITHIN], effects=(3.0, 0.3, 1.0), repetitions=15)
    counts = [rate.count for rate in found.power["ShuffleLabels"].values()]
    assert found.effects == (0.3, 1.0, 3.0)
    assert counts == sorted(counts)
    assert found.false_alarms["ShuffleLabels"].count < counts[1]
    assert counts[0] < counts[-1] == 15
    assert [rate.count for _, rate in found.claims][-1] >= 13
    assert np.all(np.diff([score for _, score in found.scores]) > 0)
    assert np.all(np.diff([row.selectivity for row in found["ShuffleLabels"]]) > 0)


@pytest.mark.parametrize("kind", ["classes", "numbers", "sets"])
def test_other_kinds_of_labels(kind):
    document = np.repeat(np.arange(20), 10)
    rng = stream(0, kind)
    labels = {
        "classes": np.array(list("abc"))[rng.integers(3, size=200)],
        "numbers": rng.normal(size=200),
        "sets": rng.integers(2, size=(200, 2)),
    }[kind]
    problem = ct.Problem(rng.normal(size=(200, 4)), labels, groups={"document": document}, unit="document")
    found = run(problem, [WITHIN], scoring=None, draws=19, repetitions=6, effects=(2.5,))
    assert found.power["ShuffleLabels"][2.5].count == 6
    assert found.false_alarms["ShuffleLabels"].count < 4


def test_the_input_baseline_is_calibrated_too():
    rng = stream(0, "sites")
    sites = {"input": rng.normal(size=(120, 3)), "layer": rng.normal(size=(120, 3))}
    problem = ct.Problem(sites, rng.integers(2, size=120)).at("layer")
    found = run(problem, [ct.InputBaseline(site="input"), ROWS], repetitions=6, effects=(3.0,))
    assert found.power["InputBaseline"][3.0].count == 6
    assert found.claims[0][1].count <= 3


def test_labels_may_be_redrawn_by_a_control():
    found = run(documents("type"), [ROWS], null=ct.ControlTask(per="word"), draws=19, repetitions=3)
    assert found.null == "drawn by ControlTask(per='word')"


# -- the same, whatever the workers -----------------------------------------------------------------------


def test_workers_do_not_change_the_result_and_seeds_do(small):
    problem = documents(n_documents=16, size=6, d=4)
    settings = {"draws": 19, "repetitions": 6, "effects": (2.0, 1.0), "title": "Mine"}
    shared = run(problem, [ROWS, WHOLE], n_jobs=2, **settings)
    assert shared.rows == small.rows
    assert (shared.scores, shared.claims, shared.notes) == (small.scores, small.claims, small.notes)
    assert run(problem, [ROWS, WHOLE], seed=1, **settings).scores != small.scores


def test_progress_is_told_and_data_are_left_alone():
    problem, told = documents(n_documents=16, size=6, d=4), []
    before = problem.X.copy(), problem.labels.copy()
    run(problem, [WHOLE], draws=19, repetitions=3, effects=(1.0,), progress=lambda *said: told.append(said))
    assert told == [(1, 3, "repetitions"), (2, 3, "repetitions"), (3, 3, "repetitions")]
    assert (before[0] == problem.X).all()
    assert (before[1] == problem.labels).all()


# -- what it shows ---------------------------------------------------------------------------------------


def test_reports_show_the_counts(small, tmp_path):
    text = repr(small)
    assert text.startswith("Mine\n6 repetitions of roc_auc, 19 draws, alpha .05 · 96 rows in 16 units (document)")
    assert max(map(len, text.splitlines())) <= 110
    rate = small.power["ShuffleLabels(whole='document')"][1.0]
    assert "effect 1 " in text
    shown = [line for line in text.splitlines() if line.startswith(" ShuffleLabels(whole='document')  ")]
    assert len(shown) == 2  # false alarms, and power
    assert "TOO FEW" in shown[0]
    assert shown[1].count("[") == 2
    frame = small.to_frame()
    assert len(frame) == 6
    one = frame[(frame.control == "ShuffleLabels(whole='document')") & (frame.effect == 1.0)].iloc[0]
    assert (one.rejections, one.repetitions) == (rate.count, 6)
    assert one.rejections_low == rate.low
    written = json.loads(small.to_json(tmp_path / "found.json"))
    assert json.loads((tmp_path / "found.json").read_text(encoding="utf-8")) == written
    assert written["schema"] == "controls.calibration/1"
    assert [row["rejections"] for row in written["rows"]] == frame.rejections.tolist()
    lines = small.plot().axes[0].get_lines()
    assert any(list(line.get_ydata()) == [row.rejections.value for row in small["ShuffleLabels()"]] for line in lines)


def test_html_escapes_text():
    problem = documents(n_documents=8, size=4, d=2)
    found = run(problem, [WHOLE], draws=19, repetitions=2, title="<b>&")
    assert "&lt;b&gt;&amp;" in found._repr_html_()
    assert "<b>" not in found._repr_html_()


def test_few_repetitions_and_designs_that_cannot_reject_are_named(small):
    assert small.levels["ShuffleLabels(whole='document')"] in (Level.FEW, Level.EXCEEDED)
    assert small.visible == pytest.approx(visible_rate(6, 0.05, 0.005))
    assert "TOO FEW repetitions to say that the level is kept" in repr(small)
    once = run(documents(n_documents=8, size=4, d=2), [WHOLE], draws=19, repetitions=1)
    assert once.visible is None
    assert "1 repetitions are too few to see any rate" in repr(once)
    coarse = run(documents(n_documents=4, size=8, d=2), [WHOLE], cv=2, repetitions=2)
    assert coarse.levels["ShuffleLabels"] is Level.CANNOT
    assert coarse["ShuffleLabels"][0].p_floor > 0.05
    assert "the smallest p that this design can give is" in repr(coarse)


def test_the_visible_rate_is_the_one_that_shows_nine_times_in_ten():
    for repetitions in (20, 200, 1000):
        rate = visible_rate(repetitions, 0.05, 0.01)
        least = next(k for k in range(repetitions) if Rate(k, repetitions).exceeds(0.05, 0.01))
        assert binom.sf(least - 1, repetitions, rate) == pytest.approx(0.9, abs=1e-6)


def test_repetitions_that_fail_are_kept_and_count_neither_way():
    def sometimes(trainer, problem, **settings):
        if settings["seed"] % 3 == 0:
            raise ct.TrainerError("no luck")
        return ct.measure(trainer, problem, **settings)

    found = run(documents(n_documents=8, size=4, d=2), [WHOLE], measure=sometimes, draws=19, repetitions=12)
    assert 0 < len(found.failures) < 12
    assert found.false_alarms["ShuffleLabels"].repetitions == 12 - len(found.failures)
    assert "TrainerError: no luck" in repr(found)


def test_a_pipeline_that_always_fails_is_an_error():
    def never(trainer, problem, **settings):
        raise ct.TrainerError("no luck")

    with pytest.raises(ct.TrainerError, match="failed on each of the first 5 repetitions; the first: TrainerError: no"):
        run(documents(n_documents=8, size=4, d=2), [WHOLE], measure=never)


# -- what it refuses -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class OnWeights(ct.Control):
    level = "weights"
    inference = "ensemble"
    null = licenses = "A sentence."
    preserves = destroys = ()

    def draw(self, problem, rng):
        return problem


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"labels": None}, ct.InputError, "labels must be given to calibrate a pipeline, got None"),
        ({"labels": np.zeros(40, dtype=int)}, ct.InputError, "labels must not be constant"),
        ({"controls": [OnWeights()]}, ct.InputError, "controls must act on labels, got OnWeights at level 'weights'"),
        ({"effects": 0.5}, TypeError, "effects must be a sequence of numbers, got 0.5"),
        ({"effects": [0.0]}, ct.InputError, "effects must be above 0, got 0.0"),
        ({"effects": [1, 1.0]}, ct.InputError, "effects must differ from one another"),
        ({"repetitions": 0}, ct.InputError, "repetitions must be at least 1, got 0"),
        ({"null": "document"}, TypeError, "null must be a control on labels"),
        ({"measure": 3}, TypeError, "measure must be a function"),
        ({"n_jobs": 0}, ct.InputError, "n_jobs must be a whole number other than 0"),
        ({"alpha": 2.0}, ct.InputError, "alpha must be between 0 and 0.5"),
        ({"scoring": "no such"}, ct.InputError, "no such"),
        ({"X": np.ones((40, 2)), "effects": [1.0]}, ct.InputError, "activations must vary for a planted signal"),
        ({"measure": lambda *given, **settings: 0.03}, TypeError, "measure must return a ct.Result, got float"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(changes, error, words):
    X, y = changes.pop("X", stream(0).normal(size=(40, 2))), changes.pop("labels", np.arange(40) % 2)
    with pytest.raises(error, match=words):
        run(ct.Problem(X, y), changes.pop("controls", [ROWS]), **changes)


def test_sparse_activations_are_calibrated_without_signals_only():
    from scipy.sparse import csr_array

    problem = ct.Problem(csr_array(stream(0).integers(2, size=(60, 4)).astype(float)), np.arange(60) % 2)
    with pytest.raises(TypeError, match=r"activations must be dense for a planted signal.*effects=\(\)"):
        run(problem, [ROWS], effects=(1.0,))
    assert isinstance(run(problem, [ROWS], draws=19, repetitions=2), Calibration)


def test_an_unknown_control_is_named(small):
    with pytest.raises(KeyError, match="control 'Shuffle' is not known"):
        small["Shuffle"]


@pytest.mark.parametrize(("units", "relabelings", "times"), [(4, 3, 30), (6, 10, 50), (8, 35, 150)])
def test_few_units_have_few_relabelings_which_count_once(units, relabelings, times):
    rng = np.random.default_rng(1)
    text = np.repeat(np.arange(units), 5)
    problem = ct.Problem(rng.normal(size=(len(text), 3)), text % 2, groups={"text": text}, unit="text")
    found = run(problem, [ROWS], draws=19, repetitions=times, effects=(1.0,) * (units < 8), cv=2)
    assert relabelings * 0.9 <= found.distinct <= relabelings  # halves of the units, all of them met but for chance
    assert {rate.repetitions for row in found.rows for rate in (row.rejections, row.selective)} == {found.distinct}
    assert {rate.repetitions for _, rate in found.claims} == {found.distinct}
    assert found.levels["ShuffleLabels"] is Level.FEW
    assert found.visible == visible_rate(found.distinct, 0.05, 0.01, 0.9)
    text = " ".join(repr(found).split())
    assert f"{times} repetitions ({found.distinct} different) of roc_auc" in text
    assert f"{times} repetitions met only {found.distinct} different ones" in text
    assert "more units are needed" in text
    written = json.loads(found.to_json())
    assert (written["repetitions"], written["distinct"]) == (times, found.distinct)
    assert {row["repetitions"] for row in written["rows"]} == {found.distinct}


def test_labels_that_differ_in_the_names_of_classes_alone_are_the_same():
    labels = np.array(list("aabbcc"))
    renamed = np.array(list("ccaabb"))
    X = stream(0).normal(size=(6, 2))
    same = [_mark(ct.Problem(X, each)) for each in (labels, renamed, labels == "a", labels != "a")]
    assert same[0] == same[1]
    assert same[2] == same[3] != same[0]
    assert _mark(ct.Problem(X, labels[::-1])) == same[0]  # by place, not by value
    assert _mark(ct.Problem(X, np.array(list("abbbcc")))) != same[0]
    assert _mark(ct.Problem(X, np.arange(6) + 0.5)) != _mark(ct.Problem(X, np.arange(6) + 1.5))


def test_what_an_effect_means_with_fewer_rows_than_features_is_said():
    rng = np.random.default_rng(0)
    wide = ct.Problem(rng.normal(size=(40, 90)), rng.integers(0, 2, 40))
    words = " ".join(str(run(wide, [ct.ShuffleLabels()], repetitions=2, effects=(1.0,))).split())
    assert "new rows show about 1.5 times as much" in words
