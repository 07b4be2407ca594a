"""The suite's cases of controls on inputs, in their short form; and that the worlds are what they say."""

import numpy as np
import pytest

from controls.core.rng import stream
from controls.testing.suite import inputs
from controls.testing.suite.case import Effort


@pytest.mark.parametrize("case", inputs.CASES, ids=lambda case: case.name)
def test_short_form_passes(case):
    assert [check for check in case.run(Effort(short=True)) if not check.passed(0.001)] == []


@pytest.mark.parametrize("order", [0, 1, 2])
def test_kinds_of_text_differ_in_runs_of_no_shorter_length(order):
    problems = [inputs.markov_texts(order, stream(seed, "worlds", order)) for seed in range(60)]
    for length in (1, 2, 3):
        frequencies = []
        for kind in (False, True):
            texts = np.concatenate([p.source.inputs[p.labels == kind] for p in problems])
            codes = sum(texts[:, i : texts.shape[1] - length + 1 + i] * 3**i for i in range(length))
            frequencies.append(np.bincount(codes.ravel(), minlength=3**length) / codes.size)
        apart = np.abs(frequencies[1] - frequencies[0]).max() * 3**length
        assert (apart > 0.2) == (length > order), (length, apart)
