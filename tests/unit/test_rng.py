"""Keyed streams: a function of seed and key, and independent across keys."""

from __future__ import annotations

import itertools
import random
import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

from controls.core.rng import stream


def first(*key):
    return stream(*key).integers(2**62)


def test_same_key_gives_the_same_numbers_whatever_happened_before():
    a = first(3, "ShuffleLabels()", 17, "labels")
    stream(3, "ShuffleLabels()", 17, "labels").random(1000)
    np.random.default_rng(0).random()
    assert first(3, "ShuffleLabels()", 17, "labels") == a


def test_keys_that_look_alike_differ():
    keys = [(0,), (1,), (0, 1), (0, "1"), (0, 1, 1), (0, 11), (0, "1", "1"), (0, "11"), (0, ""), (0, "", ""), (0, -1)]
    assert len({first(*key) for key in keys}) == len(keys)


def test_numpy_integers_are_integers():
    assert first(np.int64(3), "a", np.int32(7)) == first(3, "a", 7)


def test_another_process_gives_the_same_numbers():
    code = "from controls.core.rng import stream; print(stream(5, 'a', 2).integers(2**62))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert int(said) == first(5, "a", 2)


def test_global_state_is_neither_read_nor_moved():
    numpy_state, python_state = np.random.get_state()[1].tobytes(), random.getstate()  # noqa: NPY002
    a = first(0, "x")
    random.random()
    assert first(0, "x") == a
    random.setstate(python_state)
    assert np.random.get_state()[1].tobytes() == numpy_state  # noqa: NPY002


def test_streams_of_neighbouring_keys_are_uncorrelated():
    columns = np.array([stream(0, "draw", i).standard_normal(2000) for i in range(12)])
    p = [stats.pearsonr(columns[i], columns[j]).pvalue for i, j in itertools.combinations(range(12), 2)]
    assert min(p) > 1e-3 / len(p)
    assert stats.kstest(np.array([stream(0, "draw", i).random() for i in range(2000)]), "uniform").pvalue > 1e-4


def test_negative_seeds_are_refused():
    with pytest.raises(ValueError, match="non-negative"):
        stream(-1, "a")
