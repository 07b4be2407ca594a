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
from controls.runner.parallel import in_order, one_thread

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
