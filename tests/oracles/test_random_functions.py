"""What random networks compute, against theorems, enumeration and parsing by hand."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import stats

import controls as ct
from controls.simplicity import boolean_inputs
from controls.stats.complexity import lempel_ziv


def words_by_hand(text):
    """Lempel and Ziv's exhaustive history: the shortest word that is not a copy of what began before it."""
    words, start = 0, 0
    while start < len(text):
        length = 1
        while start + length <= len(text) and text[start : start + length] in text[: start + length - 1]:
            length += 1
        start += length
        words += 1
    return words


@pytest.mark.parametrize("length", [2, 3, 8, 9, 32])
def test_complexity_is_that_of_a_parsing_by_hand(length):
    strings = list(itertools.product((False, True), repeat=length))[:256] if length < 9 else None
    tables = np.array(strings) if strings else np.random.default_rng(length).random((200, length)) < 0.3
    found = lempel_ziv(tables)
    for table, complexity in zip(tables, found, strict=True):
        text = "".join("01"[int(value)] for value in table)
        words = (words_by_hand(text) + words_by_hand(text[::-1])) / 2
        assert complexity == pytest.approx(math.log2(length) * (words if len(set(text)) > 1 else 1))


def test_the_parsing_of_lempel_and_zivs_own_example():
    assert words_by_hand("0001101001000101") == 6  # 0.001.10.100.1000.101
    text = np.array([[int(c) for c in "0001101001000101"]], dtype=bool)
    assert lempel_ziv(text)[0] == 4 * (6 + words_by_hand("1010001001011000")) / 2


@pytest.mark.parametrize("n_bits", [3, 5])
def test_perceptrons_without_bias_have_every_number_of_ones_equally_often(n_bits):
    """Mingard et al. (2019): 0 to 2^n − 1 ones, each with probability 2^−n."""
    found = ct.random_functions((), n_bits, draws=20_000, bias_std=0.0)
    ones = np.bincount(found.tables.sum(axis=1), weights=found.counts, minlength=2**n_bits + 1)
    assert ones[-1] == 0
    assert stats.chisquare(ones[:-1]).pvalue > 1e-3


def test_two_bits_by_integration():
    """Signs of b, a + b, c + b, a + b + c, of normal a, b and c."""
    found = ct.random_functions((), 2, draws=40_000)
    rng = np.random.default_rng(0)
    weights, bias = rng.standard_normal((400_000, 2)) / math.sqrt(2), rng.standard_normal((400_000, 1))
    tables = weights @ boolean_inputs(2).T + bias > 0
    expected = np.bincount(tables @ [8, 4, 2, 1], minlength=16) / 400_000
    seen = np.zeros(16)
    seen[found.tables @ [8, 4, 2, 1]] = found.counts
    assert ((expected == 0) == (seen == 0)).all()  # neither XOR nor its complement
    some = expected > 0
    assert stats.chisquare(seen[some], 40_000 * expected[some] / expected[some].sum()).pvalue > 1e-3


def test_dense_networks_and_modules_of_the_same_law_agree():
    model = torch.nn.Sequential(torch.nn.Linear(3, 6), torch.nn.ReLU(), torch.nn.Linear(6, 1))
    one = ct.random_functions((6,), 3, draws=4000, weight_std=2.0, bias_std=0.0)
    model[0].bias.data.zero_()
    model[2].bias.data.zero_()
    other = ct.random_functions(
        model, 3, draws=1500, control=ct.Reinitialize("normal", std=2.0, exclude="biases"), seed=1
    )
    tables = {table.tobytes() for found in (one, other) for table in found.tables}
    counts = np.array(
        [
            [dict(zip(map(np.ndarray.tobytes, found.tables), found.counts, strict=True)).get(t, 0) for t in tables]
            for found in (one, other)
        ]
    )
    common = counts.sum(axis=0) > 20
    assert stats.chi2_contingency(counts[:, common]).pvalue > 1e-4


def test_places_and_what_agrees():
    found = ct.random_functions((8,), 3, draws=3000)
    constant = found.place(np.zeros(8))
    assert constant.complexity == 3
    assert constant.count == found.counts[(found.tables == 0).all(axis=1)].sum()
    assert constant.as_simple == (1 + found.counts[found.complexity <= 3].sum()) / 3001
    parity = found.place(lambda inputs: np.where(inputs.sum(axis=1) % 2, 1.0, -1.0))
    assert parity.as_simple > constant.as_simple
    assert parity.interval[0] <= parity.frequency <= parity.interval[1]
    known = found.agreeing([0, 7], [0, 1])
    assert (known.tables[:, 0] == 0).all()
    assert (known.tables[:, 7] == 1).all()
    assert 0 < known.draws < found.draws
    frame = found.to_frame()
    assert frame["count"].is_monotonic_decreasing
    assert frame["frequency"].sum() == pytest.approx(1)
    assert found.plot(np.zeros(8)).axes[0].get_yscale() == "log"


def test_draws_do_not_hang_on_their_number_and_leave_the_model_alone():
    few, many = (ct.random_functions((4,), 2, draws=draws, seed=3) for draws in (100, 700))
    assert few.draws == 100
    assert many.draws == 700
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Tanh(), torch.nn.Linear(3, 2))
    before = [p.clone() for p in model.parameters()]
    found = ct.random_functions(model, 2, draws=20)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert repr(found) == repr(ct.random_functions(model, 2, draws=20))
    assert found.place(model).draws == 20


def test_bad_input_is_one_sentence():
    with pytest.raises(ct.InputError, match="n_bits must be at most 12"):
        ct.random_functions((4,), 13)
    with pytest.raises(ct.InputError, match="network must be at least 1, got 0"):
        ct.random_functions((0,), 3)
    with pytest.raises(ct.InputError, match="goes with a module"):
        ct.random_functions((3,), 3, control=ct.Reinitialize())
    with pytest.raises(ct.InputError, match="must redraw weights"):
        ct.random_functions(torch.nn.Linear(3, 1), 3, draws=5, control=ct.ShuffleLabels())
    with pytest.raises(ct.InputError, match="activation must be one of"):
        ct.random_functions((3,), 3, activation="gelu")
    with pytest.raises(ct.InputError, match="one number for each of 8 inputs"):
        ct.random_functions(torch.nn.Linear(3, 5), 3, draws=2)
    found = ct.random_functions((3,), 3, draws=50)
    with pytest.raises(ct.InputError, match="0 or 1 for each of the 8 inputs"):
        found.place(np.zeros(7))
    with pytest.raises(ct.CannotControl, match="draw more networks"):
        found.agreeing(np.arange(8), [0, 1, 1, 0, 1, 0, 0, 1])
    with pytest.raises(ct.InputError, match="places from 0 to 7"):
        found.agreeing([8], [1])


def test_models_are_asked_in_eval_mode_and_left_as_they_were():
    model = torch.nn.Sequential(
        torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Dropout(), torch.nn.Linear(4, 1)
    )
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = ct.random_functions(model, 3, draws=10, control=ct.Reinitialize("normal"))
    assert found.place(model).complexity == found.place(model).complexity
    assert model.training
    assert model[2].training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_what_cannot_be_computed_is_said():
    with pytest.raises(ct.CannotControl, match="finite outputs"):
        ct.random_functions((4,), 2, draws=5, weight_std=1e38)
    with pytest.raises(ct.InputError, match="must take 3 bits"):
        ct.random_functions(torch.nn.Linear(4, 1), 3, draws=2)
    with pytest.raises(ct.InputError, match="go with dense networks"):
        ct.random_functions(torch.nn.Linear(3, 1), 3, draws=2, activation="tanh")
    found = ct.random_functions((3,), 3, draws=50)
    for rows, outputs in (([], []), ([0, 1], [0]), ([0.5], [1]), ([0], [2]), ([0], ["a"]), ([0], [np.nan])):
        with pytest.raises(ct.InputError, match="rows"):
            found.agreeing(rows, outputs)
    double = torch.nn.Linear(3, 1).double()
    assert ct.random_functions(double, 3, draws=3).draws == 3
