"""Workers: any backend of joblib, any number of them, one thread each, and the same bits."""

from __future__ import annotations

import os

import joblib
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_info, threadpool_limits

import controls as ct
from controls.core.rng import stream
from controls.runner.parallel import in_order, one_thread, side_by_side

BACKENDS = ["loky", "threading", "multiprocessing", "sequential"]


def square(number):
    return number * number, os.getpid(), most_threads()


def most_threads():
    import torch

    return max([torch.get_num_threads(), *(library["num_threads"] for library in threadpool_info())])


@pytest.mark.parametrize("backend", BACKENDS)
def test_results_come_in_order_from_workers_of_one_thread(backend):
    with joblib.parallel_config(backend=backend):
        found = list(in_order(square, iter(range(20)), 2))
    assert [value for value, _, _ in found] == [number * number for number in range(20)]
    assert all(threads == 1 for _, _, threads in found)
    own = {process == os.getpid() for _, process, _ in found}
    assert own == {backend in ("threading", "sequential")}


def test_limits_are_given_back_also_where_the_results_are_not_all_taken():
    import torch

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        with threadpool_limits(2):
            whole = [library["num_threads"] for library in threadpool_info()]
            with one_thread():
                assert most_threads() == 1
            results = in_order(square, range(5), None)
            next(results)
            assert most_threads() == 1
            results.close()
            assert [library["num_threads"] for library in threadpool_info()] == whole
            assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def study(**given):
    rng = stream(0, "workers")
    document = np.repeat(np.arange(20), 4)
    X = rng.normal(size=(80, 5))
    y = np.where(X[:, 0] + rng.normal(size=80) > 0, "yes", "no")
    problem = ct.Problem({"input": X**3, "layer": X}, y, {"document": document}, "document").at("layer")
    battery = [ct.ShuffleLabels(within="document"), ct.ControlTask(per="document"), ct.InputBaseline("input")]
    settings = {"scoring": "accuracy", "draws": 19, "cv": 3, "target": "fitted", **given}
    return ct.measure(LogisticRegression(), problem, controls=battery, **settings)


@pytest.fixture(scope="module")
def alone():
    return study()


@pytest.mark.parametrize("backend", BACKENDS)
def test_results_are_the_same_to_the_bit_on_every_backend(backend, alone):
    with joblib.parallel_config(backend=backend):
        found = study(n_jobs=2)
    for one, two in zip(alone.comparisons, found.comparisons, strict=True):
        np.testing.assert_array_equal(one.control_scores, two.control_scores)
        assert one.selectivity == two.selectivity
        assert one.p_value == two.p_value


def test_refits_without_units_are_the_same_with_two_workers():
    rng = stream(1, "workers")
    X, y = rng.normal(size=(40, 3)), np.arange(40) % 2
    given = {"controls": [ct.ShuffleLabels()], "draws": 19, "cv": 2, "target": "expected"}
    one, two = (ct.measure(LogisticRegression(), ct.Problem(X, y), n_jobs=n, **given) for n in (1, 2))
    assert one.comparisons[0].selectivity == two.comparisons[0].selectivity


def fail_in_worker(number):
    raise ZeroDivisionError(f"task {number}")


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_error_in_a_worker_reaches_the_caller(backend):
    with joblib.parallel_config(backend=backend), pytest.raises(ZeroDivisionError, match="task"):
        list(in_order(fail_in_worker, range(4), 2))


def batched(n_classes, *, cv=3):
    rng = stream(0, "blocks", n_classes)
    X = rng.normal(size=(120, 6)).astype(np.float32)
    y = rng.integers(0, n_classes, size=120) if n_classes else X[:, 0] + rng.normal(size=120)
    return lambda probe: ct.measure(
        probe, ct.Problem(X, y), controls=[ct.ShuffleLabels()], draws=99, cv=cv, block=8, scoring=scoring_of(n_classes)
    )


def scoring_of(n_classes):
    return {0: "r2", 2: "roc_auc", 4: "accuracy"}[n_classes]


@pytest.mark.parametrize(
    ("probe", "n_classes"),
    [
        (ct.probes.RidgeProbe(), 0),
        (ct.probes.RidgeProbe(), 4),
        (ct.probes.LogisticProbe(), 2),
        (ct.probes.LogisticProbe(), 4),
        (ct.probes.LDAProbe(), 2),
        (ct.probes.MeanDifferenceProbe(), 4),
    ],
)
def test_blocks_in_threads_score_what_they_score_one_after_another(probe, n_classes, monkeypatch):
    import torch

    from controls.runner import execute

    study, used = batched(n_classes), []
    before, threads = torch.get_num_threads(), execute.side_by_side
    monkeypatch.setattr(
        execute, "side_by_side", lambda work, tasks, workers: used.append(workers) or threads(work, tasks, workers)
    )
    try:
        torch.set_num_threads(1)
        one = study(probe)
        assert not used
        torch.set_num_threads(2)
        two = study(probe)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert used == [2]
    # Each block computes on one thread either way; only the problem itself was fitted on two.
    np.testing.assert_array_equal(two.comparisons[0].control_scores, one.comparisons[0].control_scores)


def test_threads_end_where_one_fails_or_the_rest_is_not_wanted():
    import threading

    def work(number):
        if number == 3:
            raise ValueError("three")
        return number

    before = threading.active_count()
    with pytest.raises(ValueError, match="three"):
        list(side_by_side(work, range(9), 2))
    results = side_by_side(work, range(3), 2)
    assert next(results) == 0
    results.close()
    assert threading.active_count() == before


def test_how_many_blocks_go_side_by_side_is_a_matter_of_the_plan_alone(monkeypatch):
    import torch
    from sklearn.model_selection import KFold

    from controls.runner.execute import blocks_together
    from controls.runner.prepare import prepare

    problem = ct.Problem(np.eye(60), np.arange(60) % 2)
    given = {"trainer": ct.probes.RidgeProbe(), "controls": (ct.ShuffleLabels(),), "scoring": "roc_auc"}
    prepared = prepare(ct.Study(**given, draws=99, block=20), problem)
    assert prepared.evaluator.concurrent
    assert not prepare(ct.Study(**given, cv=KFold(3)), problem).evaluator.concurrent  # a splitter of others
    planned = prepared.plan.controls[0]
    monkeypatch.setattr(torch, "get_num_threads", lambda: 64)
    assert blocks_together(planned, 60) == 5
    assert blocks_together(planned, 10**5) == 3  # half a gigabyte
    assert blocks_together(planned, 10**9) == 1
