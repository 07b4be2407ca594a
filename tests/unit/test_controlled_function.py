"""controlled: a decorated function is called as before, and measures itself beside controls."""

from __future__ import annotations

import inspect
import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from joblib.externals.loky.backend import reduction

import controls as ct
from controls.core.rng import stream


def make_data(n=80, d=3):
    rng = stream(1, "data")
    y = rng.permutation(np.arange(n) % 2)
    return rng.normal(size=(n, d)) + y[:, None], y


def plain(X, y, *, shrink=0.0):
    """Return what finds the nearer mean."""
    means = np.stack([X[y == label].mean(axis=0) for label in (0, 1)]) * (1 - shrink)
    return lambda rows: ((rows[:, None] - means) ** 2).sum(axis=2).argmin(axis=1)


@ct.controlled
def bare(X, y, *, shrink=0.0):
    """Return what finds the nearer mean."""
    return plain(X, y, shrink=shrink)


@ct.controlled(draws=19, controls=[ct.ShuffleLabels(within="document")], scoring="balanced_accuracy", seed=5)
def settled(X, y, *, shrink=0.0):
    return plain(X, y, shrink=shrink)


def side(direction, X):
    return X @ direction > 0


@ct.controlled(predict=side, draws=19)
def direction(X, y, *, scale=1.0):
    return scale * (X[y].mean(axis=0) - X[~y].mean(axis=0))


@ct.controlled(draws=9)
def seeded(X, y, seed, rng=None):
    start = stream(seed, "start").normal() if rng is None else rng.normal()
    return lambda rows: (rows[:, 0] > start).astype(int)


def test_a_call_is_a_call_of_the_function():
    X, y = make_data()
    np.testing.assert_array_equal(bare(X, y, shrink=0.5)(X), plain(X, y, shrink=0.5)(X))
    same = object()
    assert ct.controlled(lambda *given, **named: (given, named, same))(1, b=2) == ((1,), {"b": 2}, same)
    with pytest.raises(TypeError, match="unexpected keyword argument 'shrunk'"):
        bare(X, y, shrunk=1)


def test_the_function_keeps_its_name_signature_and_itself():
    decorated = ct.controlled(plain)
    assert decorated.__name__ == "plain"
    assert decorated.__doc__ == plain.__doc__
    assert decorated.__module__ == plain.__module__
    assert inspect.signature(decorated) == inspect.signature(plain)
    assert decorated.__wrapped__ is plain
    assert not hasattr(plain, "measure")


def test_measure_is_that_of_the_library():
    X, y = make_data()
    document = np.arange(80) // 4
    battery = [ct.ShuffleLabels(within="document")]
    mine = settled.measure(X, y, groups=pd.DataFrame({"document": document}), unit="document")
    problem = ct.Problem(X, y, groups={"document": document}, unit="document")
    theirs = ct.measure(settled.__wrapped__, problem, controls=battery, scoring="balanced_accuracy", draws=19, seed=5)
    assert mine.to_frame().equals(theirs.to_frame())
    assert mine.title == "settled"
    assert mine.provenance.study_key == theirs.provenance.study_key is not None
    assert settled.measure(problem).to_frame().equals(theirs.to_frame())


def test_settings_and_parameters_are_told_apart():
    X, y = make_data()
    result = bare.measure(X, y, shrink=0.9, draws=29, title="shrunk")
    expected = ct.measure(
        lambda X, y: plain(X, y, shrink=0.9), ct.Problem(X, y), controls=[ct.ShuffleLabels()], draws=29
    )
    np.testing.assert_array_equal(result.comparisons[0].control_scores, expected.comparisons[0].control_scores)
    assert result.title == "shrunk"
    assert result.provenance.trainer == "bare(shrink=0.9)"
    keys = {bare.measure(X, y, draws=2, **given).provenance.study_key for given in ({}, {"shrink": 0.9})}
    assert len(keys) == 2
    assert None not in keys


def test_a_name_that_both_have_is_the_functions():
    X, y = make_data()
    for seed in (1, 2):
        result = seeded.measure(X, y, seed=seed)
        assert result.provenance.seed == 0
        assert result.provenance.trainer == f"seeded(seed={seed})"


def test_measure_gives_an_rng_where_it_is_taken():
    X, y = make_data()
    given = []

    @ct.controlled(draws=2, cv=2)
    def spy(X, y, rng):
        given.append(rng.random())
        return lambda rows: np.zeros(len(rows), dtype=int)

    @ct.controlled(draws=2, cv=2, predict=lambda found, X: np.zeros(len(X), dtype=int))
    def spy_too(X, y, rng):
        given.append(rng.random())

    spy.measure(X, y)
    spy_too.measure(X, y)
    assert given[: len(given) // 2] == given[len(given) // 2 :]
    assert len(given) == 2 * 2 * 3


def test_what_cannot_predict_is_read_by_predict():
    X, y = make_data()
    X, y = X - 0.5, y == 1
    assert direction(X, y).shape == (3,)
    result = direction.measure(X, y)
    expected = ct.measure(
        lambda X, y: lambda rows: side(plain_direction(X, y), rows),
        ct.Problem(X, y),
        controls=[ct.ShuffleLabels()],
        draws=19,
    )
    np.testing.assert_array_equal(result.comparisons[0].control_scores, expected.comparisons[0].control_scores)
    assert result.provenance.trainer == "direction"
    assert direction.measure(X, y, scale=-1.0).score == pytest.approx(1 - result.score)


def plain_direction(X, y):
    return X[y].mean(axis=0) - X[~y].mean(axis=0)


def test_a_torch_module_is_read_by_predict():
    X, y = make_data()

    @ct.controlled(predict=lambda module, X: module(torch.tensor(X)).argmax(dim=1), draws=9)
    def train_probe(X, y):
        probe = torch.nn.Linear(3, 2, dtype=torch.float64)
        means = torch.tensor(np.stack([X[y == label].mean(axis=0) for label in (0, 1)]))
        with torch.no_grad():
            probe.weight.copy_(means)
            probe.bias.copy_(-(means**2).sum(dim=1) / 2)
        return probe

    assert isinstance(train_probe(X, y), torch.nn.Linear)
    assert train_probe.measure(X, y).score == bare.measure(X, y, draws=9).score


@pytest.mark.parametrize("function", [bare, settled, direction])
def test_pickle_finds_it_by_its_name(function):
    assert pickle.loads(pickle.dumps(function)) is function


SCRIPT = """
import controls as ct

@ct.controlled(draws=3)
def train_probe(X, y, *, level=0.0):
    return lambda rows: (rows[:, 0] > level).astype(int)
"""


def test_processes_of_joblib_can_be_sent_it_also_from_a_script():
    X, y = make_data()
    script = {"__name__": "__main__"}
    exec(SCRIPT, script)
    for function in (bare, script["train_probe"]):
        sent = pickle.loads(reduction.dumps(function.measure))
        assert sent is not function.measure
        assert sent(X, y, draws=3).score == function.measure(X, y, draws=3).score
    sent = pickle.loads(reduction.dumps(script["train_probe"]))
    assert sent is not script["train_probe"]
    np.testing.assert_array_equal(sent(X, y)(X), script["train_probe"](X, y)(X))
    assert sent.measure(X, y).score == script["train_probe"].measure(X, y).score


@pytest.mark.parametrize(
    ("decorate", "said"),
    [
        (lambda: ct.controlled(draw=9), "setting 'draw' is not known; .* Did you mean 'draws'"),
        (lambda: ct.controlled(draws=0), "draws must be at least 1, got 0"),
        (lambda: ct.controlled(controls=[]), "controls must hold at least one control"),
        (lambda: ct.controlled(predict="labels"), "predict must be a function"),
        (lambda: lambda function: ct.controlled(3), "controlled decorates functions .* got 3; use ct.Controlled"),
        (lambda: lambda function: ct.controlled(dict), "controlled decorates functions .* got <class 'dict'>"),
    ],
)
def test_wrong_settings_are_refused_when_the_function_is_decorated(decorate, said):
    with pytest.raises(ct.InputError, match=said):
        decorate()(plain)


@pytest.mark.parametrize(
    ("given", "named", "said"),
    [
        ((), {"shrunk": 1}, "argument 'shrunk' is not known; .* Did you mean 'shrink'"),
        ((), {"unit": "document"}, "unit 'document' is not known"),
        ((np.ones(80),), {}, "two different labels"),
    ],
)
def test_wrong_arguments_are_refused(given, named, said):
    X, y = make_data()
    with pytest.raises(ct.InputError, match=said):
        bare.measure(X, *(given or (y,)), **named)


def test_a_problem_is_given_alone():
    X, y = make_data()
    with pytest.raises(ct.InputError, match="give it alone"):
        bare.measure(ct.Problem(X, y), y)


def test_controls_and_folds_may_be_iterators_and_last():
    X, y = make_data()
    folds = [(np.arange(40), np.arange(40, 80)), (np.arange(40, 80), np.arange(40))]
    decorated = ct.controlled(draws=9, controls=iter([ct.ShuffleLabels()]), cv=iter(folds))(plain)
    for _ in range(2):
        assert decorated.measure(X, y).fold_scores == bare.measure(X, y, draws=9, cv=folds).fold_scores
