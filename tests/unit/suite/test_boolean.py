"""Cases on layers of bits: all of them pass, and miss where a null layer leaks its labels or a truth is off."""

import numpy as np
import pytest

from controls.core.rng import stream
from controls.ground_truth import Bernoulli, Layer
from controls.testing.suite import _layers, boolean
from controls.testing.suite.case import Effort, NearZero, Rejections, checked

LEVEL = 1e-4


def missed(case):
    return [check for check in checked(case.run, Effort(short=True)) if not check.passed(LEVEL)]


@pytest.mark.parametrize("case", boolean.CASES, ids=lambda case: case.name)
def test_every_check_of_the_short_form_passes(case):
    assert not missed(case)


@pytest.mark.parametrize("name", ["odd parity", "targeted AND"])
def test_a_null_layer_that_leaks_is_missed(name, monkeypatch):
    def leaking(layer, concept_sets, n, rng, **settings):
        H, concepts, X = honest(layer, concept_sets, n, rng, **settings)
        H[..., 0] += 0.2 * np.sign(concepts - concepts.mean(axis=1, keepdims=True)).prod(axis=2)
        return H, concepts, X

    honest = _layers.samples
    monkeypatch.setattr(_layers, "samples", leaking)
    case = next(case for case in boolean.CASES if case.name == name)
    assert {type(check) for check in missed(case)} >= {Rejections, NearZero}


def test_agreement_is_with_the_exact_values():
    layer = Layer(stream(0, "weights").standard_normal((6, 5)), inputs=Bernoulli(5))
    pairs = [(0, 1), (1, 2), (2, 3), (3, 4)] * 5
    exact = layer.truth.partial_r2_of(pairs)
    found = _layers.estimates(layer, pairs, 800, stream(0, "rows"))
    assert _layers.agreement("R²", exact, found).passed(LEVEL)
    assert not _layers.agreement("R²", exact + 0.05, found).passed(LEVEL)
