"""Stores: runs that go on, whatever stopped them, and end with the same bits."""

from __future__ import annotations

import itertools
import json
import multiprocessing
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import partial
from typing import final

import numpy as np
import pytest

import controls as ct
from controls.core.rng import stream
from controls.kept import stored
from controls.runner.memory import Memory
from controls.runner.store import SCHEMA, Setting, Store, is_store

WITHIN, FREE = ct.ShuffleLabels(within="document"), ct.ShuffleLabels()
RIDGE = ct.probes.RidgeProbe()


def world(seed=0, n_documents=24):
    rng = stream(seed, "store")
    document = np.repeat(np.arange(n_documents), 5)
    X = rng.normal(size=(len(document), 4))
    y = (X[:, 0] + rng.normal(size=len(document)) > 0).astype(int)
    return ct.Problem(X, y, groups={"document": document}, unit="document")


def record(result):
    """The result as a file has it, without when and where it was made."""
    content = json.loads(result.to_json())
    for part in [content, *content.get("results", {}).values()]:
        for name in ("started", "seconds", "store", "plan"):
            part.get("provenance", {}).pop(name, None)
    return content


class Direction:
    """Scores rows by a direction."""

    def __init__(self, w):
        self.w = w

    def predict(self, X):
        return (X @ self.w > 0).astype(int)

    def decision_function(self, X):
        return X @ self.w


def mean_difference(X, y, seconds=0.0):
    time.sleep(seconds)
    X = np.asarray(X)
    return Direction(X[y == 1].mean(axis=0) - X[y == 0].mean(axis=0))


def study(store=None, trainer=RIDGE, problem=None, **settings):
    given = {"controls": [WITHIN, FREE], "scoring": "roc_auc", "draws": 30, "block": 8, "cv": 3, **settings}
    return ct.measure(trainer, problem or world(), store=store, **given)


def never(X, y):
    raise AssertionError("nothing was to be fitted")


# -- going on -------------------------------------------------------------------------------------


@pytest.mark.parametrize("trainer", [RIDGE, mean_difference], ids=["batched", "function"])
@pytest.mark.parametrize("target", ["fitted", "expected"])
def test_with_and_without_a_store_and_from_a_finished_one_the_result_is_the_same(tmp_path, trainer, target):
    path = tmp_path / "run.db"
    plain = study(trainer=trainer, target=target)
    fresh = study(path, trainer=trainer, target=target)
    again = study(path, trainer=trainer, target=target)
    assert record(plain) == record(fresh) == record(again) == record(ct.load(path))
    assert plain.provenance.store is None
    assert fresh.provenance.store == str(path)


def counted(calls, X, y):
    with open(calls, "a") as file:
        file.write(".")
    return mean_difference(X, y)


def fits_in(calls):
    return os.path.getsize(calls) if os.path.exists(calls) else 0


def test_nothing_that_is_kept_is_fitted_again(tmp_path):
    calls, path = tmp_path / "calls", tmp_path / "run.db"
    go = partial(study, path, trainer=partial(counted, str(calls)))
    go()
    first = fits_in(calls)
    assert first == 3 * (1 + 2 * 30)
    go()
    go(alpha=0.01, smallest_effect=0.1)
    go(controls=[FREE])
    assert fits_in(calls) == first
    go(draws=40)
    assert fits_in(calls) == first + 3 * 2 * 10
    go(draws=40, controls=[FREE, ct.ShuffleLabels(whole="document", blocks=True)])
    assert fits_in(calls) == first + 3 * 2 * 10 + 3 * 40


def test_more_draws_are_the_same_as_if_asked_for_at_once(tmp_path):
    path = tmp_path / "run.db"
    for draws in (5, 30, 19, 64, 30):  # with blocks of 8: what follows a last, smaller block, is done anew
        assert record(study(path, draws=draws)) == record(study(draws=draws))


def test_a_sweep_is_kept_by_site(tmp_path):
    path, given = tmp_path / "run.db", world()
    problem = ct.Problem({"a": given.X, "b": given.X[:, ::-1] ** 3}, given.labels, given.groups, "document")
    sweep = partial(ct.sweep, RIDGE, problem, controls=[WITHIN], scoring="roc_auc", draws=19, cv=3)
    first = sweep(store=path, title="role")
    assert record(first) == record(sweep(store=path, title="role")) == record(sweep(title="role"))
    assert record(ct.load(path)) == record(first)
    study(path, title="alone")
    assert list(stored(path)) == ["alone", "role"]
    with pytest.raises(ct.InputError, match=r"2: name one by title="):
        ct.load(path)
    with pytest.raises(ct.InputError, match=r"title 'aloe' is not known.*'alone'"):
        ct.load(path, title="aloe")


# -- kills ----------------------------------------------------------------------------------------


def slow_study(path, trainer, draws):
    study(path, trainer=trainer, draws=draws)


@pytest.mark.parametrize("trainer", [partial(mean_difference, seconds=0.0005), RIDGE], ids=["function", "batched"])
def test_killed_at_twenty_random_moments_it_goes_on_and_ends_with_the_same_bits(tmp_path, trainer):
    """Lives are killed at random between their start and a tenth of the whole work, or later where that is too soon."""
    path, draws = tmp_path / "run.db", 400
    settings = {"trainer": trainer, "draws": draws}
    started = time.monotonic()
    whole = study(**settings)
    longest = (time.monotonic() - started) / 10
    rng, fork = stream(0, "kills"), multiprocessing.get_context("fork")
    filled = []
    for _ in range(20):
        life = fork.Process(target=slow_study, args=(path, trainer, draws))
        life.start()
        life.join(rng.uniform(0.0, longest))
        life.kill()
        life.join()
        filled.append(kept_draws(path))
        longest *= 1.0 if filled[-1] > max(filled[:-1], default=0) else 1.3
    assert filled == sorted(filled)
    assert filled[-1] > 0
    assert record(study(path, **settings)) == record(whole)


def kept_draws(path):
    if not path.exists():
        return 0
    with sqlite3.connect(path, timeout=60) as connection:
        tables = connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'parts'").fetchone()[0]
        if not tables:
            return 0
        names = [name for (name,) in connection.execute("SELECT name FROM parts WHERE name LIKE '%/scores/%'")]
    connection.close()
    spans = [name.rsplit("/", 1)[1].split("-") for name in names]
    return sum(int(stop) - int(start) for start, stop in spans)


def test_ctrl_c_keeps_what_is_done_and_says_how_to_go_on(tmp_path):
    path = tmp_path / "run.db"

    def stop(done, total, what):
        if done == 17:
            raise KeyboardInterrupt

    with pytest.raises(ct.Interrupted, match=r"after 17 of 61 draws.*kept in .*run\.db.*same call goes on"):
        study(path, progress=stop)
    assert not issubclass(ct.Interrupted, Exception)
    assert kept_draws(path) == 16
    assert record(study(path)) == record(study())
    with pytest.raises(ct.Interrupted, match="lost: store= would have kept them"):
        study(progress=stop)


def test_a_trainer_that_is_stopped_by_an_error_of_its_own_keeps_what_was_done(tmp_path):
    def stop(done, total, what):
        if done == 17:
            raise ZeroDivisionError("of the caller's")

    with pytest.raises(ZeroDivisionError):
        study(tmp_path / "run.db", progress=stop)
    assert kept_draws(tmp_path / "run.db") == 16


def test_two_processes_on_one_store_both_end_with_the_result(tmp_path):
    path, fork = tmp_path / "run.db", multiprocessing.get_context("fork")
    trainer = partial(mean_difference, seconds=0.0005)
    lives = [fork.Process(target=slow_study, args=(path, trainer, 60)) for _ in range(3)]
    for life in lives:
        life.start()
    for life in lives:
        life.join()
    assert [life.exitcode for life in lives] == [0, 0, 0]
    assert record(ct.load(path)) == record(study(trainer=trainer, draws=60))


def test_a_process_takes_over_what_another_did_meanwhile(tmp_path):
    calls, path = tmp_path / "calls", tmp_path / "run.db"
    go = partial(study, trainer=partial(counted, str(calls)), key="counted", controls=[FREE])

    def other(done, total, what):
        if done == 5:
            go(path)

    whole = go()
    before = fits_in(calls)
    assert record(go(path, progress=other)) == record(whole)
    assert fits_in(calls) == 2 * before + 3  # one draw was under way


# -- failures -------------------------------------------------------------------------------------


class Unlucky:
    """A trainer that fails on some of its calls, counted over the whole run."""

    def __init__(self, failing):
        self.failing, self.calls = failing, 0

    def __call__(self, X, y):
        self.calls += 1
        if self.failing(self.calls):
            raise RuntimeError(f"out of luck at call {self.calls}")
        return mean_difference(X, y)


def test_a_draw_that_fails_once_is_tried_again():
    lucky = study(trainer=mean_difference, controls=[FREE])
    once = study(trainer=Unlucky(lambda call: call == 20), controls=[FREE])
    assert once["ShuffleLabels"].failures == ()
    np.testing.assert_array_equal(lucky["ShuffleLabels"].control_scores, once["ShuffleLabels"].control_scores)


def fails_on(mask_key, X, y):
    """Fail wherever the labels of the rows sum to a number in the key: the same draws, each time."""
    if int(np.sum(np.asarray(y) * np.arange(len(y)))) % 7 in mask_key:
        raise RuntimeError("such labels are not liked")
    return mean_difference(X, y)


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_a_draw_that_keeps_failing_is_a_failure_and_counts_as_beaten(tmp_path, n_jobs):
    plain = study(trainer=mean_difference, controls=[FREE], draws=99)
    observed_fine = next(
        key for key in itertools.combinations(range(7), 1) if _runs(partial(fails_on, key), draws=1, n_jobs=None)
    )
    trainer = partial(fails_on, observed_fine)
    result = study(tmp_path / "run.db", trainer=trainer, controls=[FREE], draws=99, n_jobs=n_jobs)
    comparison = result["ShuffleLabels"]
    failed = [draw for draw, _ in comparison.failures]
    assert 0 < len(failed) < 99
    assert all("RuntimeError: such labels are not liked" in words for _, words in comparison.failures)
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(comparison.control_scores)), failed)
    fine = ~np.isnan(comparison.control_scores)
    np.testing.assert_array_equal(comparison.control_scores[fine], plain["ShuffleLabels"].control_scores[fine])
    exceeded = (comparison.control_scores[fine] >= comparison.score - 1e-12).sum()
    assert comparison.p_value == (1 + exceeded + len(failed)) / 100
    assert any(f"failed, twice, on {len(failed)} of 99 draws" in caveat for caveat in comparison.caveats)
    again = study(tmp_path / "run.db", trainer=trainer, controls=[FREE], draws=99)
    assert record(again) == record(result) == record(ct.load(result.to_json()))


def _runs(trainer, **settings):
    try:
        study(trainer=trainer, controls=[FREE], **settings)
    except ct.TrainerError:
        return False
    return True


def test_a_trainer_that_fails_on_every_draw_is_given_up_early():
    trainer = Unlucky(lambda call: call > 3)
    with pytest.raises(ct.TrainerError, match=r"each of the first 20 draws of ShuffleLabels, twice.*out of luck"):
        study(trainer=trainer, draws=500, controls=[FREE])
    assert trainer.calls == 3 + 2 * 20


@final
@dataclass(frozen=True)
class OtherSite(ct.Control):
    """Takes the activations from the source, with some noise."""

    level = "inputs"
    inference = "ensemble"
    null = "The score is no higher than from the source."
    licenses = "More than the source."
    preserves = ()
    destroys = ()

    def draw(self, problem, rng):
        return problem.with_activations(problem.source.inputs + rng.normal(size=problem.X.shape))


def test_draws_of_a_control_that_reads_the_source_are_not_those_of_another_source(tmp_path):
    def sourced(scale):
        plain = world()
        source = ct.Source(model=None, inputs=scale * plain.X, extract=lambda model, inputs: inputs)
        return ct.Problem(plain.X, plain.labels, groups=plain.groups, unit="document", source=source)

    def go(scale, path=None):
        return study(path, problem=sourced(scale), controls=[OtherSite()], draws=9)

    first, second = go(1.0, tmp_path / "run.db"), go(0.0, tmp_path / "run.db")
    assert record(second) == record(go(0.0))
    assert record(second) != record(first) == record(go(1.0, tmp_path / "run.db"))


# -- settings -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"seed": 1}, "seed was 0 and is 1"),
        ({"block": 9}, "block was 8 and is 9"),
        ({"cv": 4}, "cv was 3 folds of whole documents and is 4 folds of whole documents"),
        ({"scoring": "accuracy"}, "scoring was roc_auc and is accuracy"),
        ({"trainer": ct.probes.RidgeProbe(alpha=2.0)}, r"trainer was RidgeProbe\(\) and is RidgeProbe\(alpha=2.0\)"),
        ({"problem": world(seed=1)}, r"activations \(float64 of shape \(120, 4\)\) has another content; labels"),
    ],
)
def test_a_study_with_other_settings_is_refused_and_they_are_named(tmp_path, changed, words):
    study(tmp_path / "run.db", draws=9)
    with pytest.raises(ct.StoreError, match=words) as error:
        study(tmp_path / "run.db", draws=9, **changed)
    assert "name another store" in str(error.value)
    study(tmp_path / "run.db", draws=9, title="another", **changed)


def test_code_without_content_needs_a_key(tmp_path):
    with pytest.raises(ct.InputError, match=r"key must be given .* trainer .*lambda"):
        study(tmp_path / "run.db", trainer=lambda X, y: mean_difference(X, y), draws=5)
    first = study(tmp_path / "run.db", trainer=lambda X, y: mean_difference(X, y), draws=5, key="v1")
    again = study(tmp_path / "run.db", trainer=lambda X, y: never(X, y), draws=5, key="v1")
    assert record(first) == record(again)
    with pytest.raises(ct.StoreError, match="key was 'v1' and is 'v2'"):
        study(tmp_path / "run.db", trainer=lambda X, y: never(X, y), draws=5, key="v2")


# -- files ----------------------------------------------------------------------------------------


def test_a_foreign_file_is_refused_and_left_alone(tmp_path):
    text, database = tmp_path / "notes.txt", tmp_path / "other.db"
    text.write_text("these are my notes, thank you")
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE TABLE mine (a)")
    connection.close()
    for path in (text, database):
        before = path.read_bytes()
        with pytest.raises(ct.StoreError, match="must be a file that controls made"):
            study(path)
        assert path.read_bytes() == before
        assert not is_store(path)
    with pytest.raises(ct.StoreError, match="got the folder"):
        study(tmp_path)
    with pytest.raises(TypeError, match="store must be the path of a file, got int"):
        study(3)
    with pytest.raises(ct.StoreError, match=r"notes\.txt/run\.db"):
        study(text / "run.db")


def test_a_corrupt_store_is_refused(tmp_path):
    path = tmp_path / "run.db"
    study(path, draws=9)
    content = bytearray(path.read_bytes())
    content[1000 : len(content) - 200 : 7] = bytes(len(content[1000 : len(content) - 200 : 7]))
    path.write_bytes(content)
    for left in tmp_path.glob("run.db-*"):
        left.unlink()
    with pytest.raises(ct.StoreError, match=r"damaged|malformed"):
        study(path, draws=9)


def test_a_flipped_bit_in_a_part_is_seen(tmp_path):
    path = tmp_path / "run.db"
    study(path, draws=9)
    with sqlite3.connect(path) as connection:
        ((name, content),) = connection.execute("SELECT name, content FROM parts WHERE name = 'observed'").fetchall()
        flipped = bytes([*content[:-100], content[-100] ^ 1, *content[-99:]])
        connection.execute("UPDATE parts SET content = ? WHERE name = ?", (flipped, name))
    connection.close()
    with pytest.raises(ct.StoreError, match="'observed' is not what was written"):
        study(path, draws=9)


@pytest.mark.parametrize(("schema", "words"), [(SCHEMA + 1, "upgrade controls"), (SCHEMA - 1, "start a new store")])
def test_another_schema_is_refused(tmp_path, schema, words):
    path = tmp_path / "run.db"
    study(path, draws=9)
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {schema}")
    connection.close()
    with pytest.raises(ct.StoreError, match=rf"has schema {schema}.*{words}"):
        study(path, draws=9)


def test_a_store_that_was_only_begun_is_begun_again(tmp_path):
    empty, begun = tmp_path / "empty.db", tmp_path / "begun.db"
    empty.touch()
    with sqlite3.connect(begun) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    connection.close()
    assert record(study(empty, draws=9)) == record(study(begun, draws=9)) == record(study(draws=9))


def test_a_full_database_is_a_warning_and_the_run_ends_with_its_result(tmp_path, monkeypatch):
    path = tmp_path / "run.db"
    with pytest.raises(ct.Interrupted):
        study(path, progress=_stop_at(17))
    opened = Store._opened

    def full(self):
        connection = opened(self)
        connection.execute("PRAGMA max_page_count = 1")  # as many as there are
        return connection

    monkeypatch.setattr(Store, "_opened", full)
    with pytest.warns(ct.ControlsWarning, match=r"cannot be written .*full.*: free some space\. The run goes on"):
        result = study(path)
    assert record(result) == record(study())
    assert result.provenance.store is None
    assert 16 <= kept_draws(path) < 60
    monkeypatch.undo()
    assert record(study(path)) == record(result)


def _stop_at(count):
    def stop(done, total, what):
        if done == count:
            raise KeyboardInterrupt

    return stop


def test_what_could_not_be_written_is_written_with_what_comes_next(tmp_path, monkeypatch):
    with Store(tmp_path / "run.db") as store:
        store.enter("", {"seed": Setting("0", "0")})
        memory, put = Memory(store, ""), Store.put
        monkeypatch.setattr(Store, "put", _fails_with_full_disk)
        with pytest.warns(ct.ControlsWarning):
            memory.put({"a": {"x": np.arange(3)}, "b": {"x": np.arange(4)}})
        memory.put({"c": {"x": np.arange(5)}}, dropped=["b"])
        assert memory.where is None
        assert memory.names("") == ()
        monkeypatch.setattr(Store, "put", put)
        memory.put({"d": {"x": np.array("text")}})
        assert memory.where == str(tmp_path / "run.db")
        assert sorted(memory.names("")) == ["a", "c", "d"]
        assert memory.get("c")["x"].tolist() == [0, 1, 2, 3, 4]


def _fails_with_full_disk(self, title, parts, *, dropped=()):
    raise sqlite3.OperationalError("database or disk is full")


def limited_study(path, size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with pytest.warns(ct.ControlsWarning, match="The run goes on"):
        result = study(path)
    assert record(result) == record(study())


def test_a_file_that_may_grow_no_more_stops_nothing(tmp_path):
    path = tmp_path / "run.db"
    study(path, draws=8, controls=[WITHIN])
    size = path.stat().st_size + 8192
    life = multiprocessing.get_context("fork").Process(target=limited_study, args=(path, size))
    life.start()
    life.join()
    assert life.exitcode == 0
    assert record(study(path)) == record(study())


def test_a_place_that_cannot_be_written_is_refused_before_any_work():
    with pytest.raises(ct.StoreError, match=r"/proc/.*name another place"):
        study("/proc/controls/run.db", trainer=never)
    code = "import controls as ct; from controls.runner.store import Store; Store('/sys/run.db')"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stderr
    assert "StoreError" in said
    assert "name another place" in said
