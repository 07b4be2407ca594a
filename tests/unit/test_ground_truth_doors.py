"""Odd input to the worlds with known answers is refused in one sentence, not in numpy's words."""

# pyright: reportArgumentType=false
import numpy as np
import pytest

import controls as ct
from controls import ground_truth as gt
from controls.ground_truth.interference import counting_bias, interference_sd
from controls.stats.interaction import interaction_test

CIRCUITS = gt.CircuitsInSuperposition(n_circuits=4, active=2, d=40, copies=3, width=2, layers=1)
CORRECTION = gt.ErrorCorrection(m=10, d0=40, s=2)
TYPES = gt.RandomTypes(m=4, d=5)
HEAD = gt.SkipBigrams(m=6, d_model=8, d_head=4, n_bigrams=3)
RNG = np.random.default_rng(0)
NAN = np.full((3, 10), np.nan)

ODD = {
    "circuits: shape of bits": (lambda: CIRCUITS.outputs(np.ones((3, 4))), r"bits must have shape \(n, 4, 2\)"),
    "circuits: hidden": (lambda: CIRCUITS.hidden(np.ones((3, 5, 2))), "bits must have shape"),
    "circuits: read": (lambda: CIRCUITS.read([[1]]), "bits must have shape"),
    "correction: shape": (lambda: CORRECTION.corrected(np.ones((3, 4))), r"X must have shape \(n, 10\)"),
    "correction: NaN": (lambda: CORRECTION.interference(NAN), "X must be finite"),
    "correction: bound": (lambda: CORRECTION.share_outside(np.ones((3, 10)), -1), "bound must be above 0"),
    "types: labels": (lambda: TYPES.r2(np.ones(5)), r"labels must have shape \(16,\)"),
    "types: texts": (lambda: TYPES.r2(["a"] * 16), "labels must be an array of numbers"),
    "population: probabilities": (
        lambda: gt.partial_r2(np.eye(4), np.ones(4), np.ones(3)), r"probabilities must have shape \(4,\)"),
    "population: negative": (lambda: gt.partial_r2(np.eye(2), np.ones(2), [-1, 2]), "probabilities must be at least 0"),
    "population: ragged": (
        lambda: gt.partial_r2([[1, 2], [3]], np.ones(2), np.ones(2)), "H must be an array of numbers"),
    "population: targets": (lambda: gt.partial_r2(np.eye(3), np.ones(2), np.ones(3)), r"T must have shape \(3,\)"),
    "bigrams: out of range": (lambda: HEAD.scores([0], [6]), "second must lie between 0 and 5, got 6"),
    "bigrams: negative": (lambda: HEAD.scores([-1], [2]), "first must lie between"),
    "bigrams: lengths": (lambda: HEAD.scores([0, 1], [2]), "of one length, got 2 and 1"),
    "bigrams: numbers": (lambda: HEAD.scores([0.5], [2]), "first must be whole numbers"),
    "bigrams: none absent": (lambda: HEAD.absent(0, RNG), "n must be"),
    "targets: a number": (lambda: gt.TargetedAnd(5, 3), "targets must be a tuple of sets"),
    "bias: too many active": (lambda: counting_bias("10", [3], m=4, s=5, d0=9), "s must lie between 1 and m = 4"),
    "bias: too few active": (lambda: counting_bias("11", [3], m=4, s=1, d0=9), "s must lie between 2"),
    "bias: counts": (lambda: counting_bias("10", [1], m=4, s=2, d0=9), "counts must be whole numbers from 2"),
    "bias: gate": (lambda: counting_bias("10", [3], m=4, s=2, d0=9, gate="soft"), "gate must be"),
    "interference: no room": (lambda: interference_sd(np.ones((1, 2)), np.ones((1, 2)), 0), "d0 must be"),
    "interference: shapes": (lambda: interference_sd(np.ones((1, 2)), np.ones((1, 3)), 4), "X must have shape"),
    "planted: one feature": (lambda: gt.PlantedDirection(delta=1.0, d=1), "d must be"),
    "planted truth: negative": (lambda: gt.PlantedDirection(delta=-1.0, d=4), "delta must be at least 0"),
    "planted truth: no class": (lambda: gt.PlantedDirection(delta=1.0, d=4, rate=0.0), "rate must be between 0 and 1"),
    "documents: one": (lambda: gt.NullDocuments("document", n_documents=1), "n_documents must be"),
    "documents: size": (lambda: gt.GaussianDocuments(size=-5), "size must be above 0"),
    "documents: rho": (lambda: gt.NullDocuments("autocorrelated", rho=1.0), "rho must be between"),
    "documents: spread": (lambda: gt.GaussianDocuments(spread=-1.0), "spread must be at least 0"),
    "interaction: ragged": (
        lambda: interaction_test([[1, 2], [3]], np.ones((2, 2)), rng=RNG), "H must be an array of numbers"),
}  # fmt: skip


@pytest.mark.parametrize("what", ODD)
def test_odd_input_is_one_sentence(what):
    odd, words = ODD[what]
    with pytest.raises(ct.InputError, match=words) as caught:
        odd()
    assert "\n" not in str(caught.value)


def test_circuits_of_one_neuron_have_a_law():
    one = gt.CircuitsInSuperposition(n_circuits=6, active=2, d=30, copies=3, width=1, layers=1)
    bits = one.inputs(5, np.random.default_rng(0))
    mean, sd = one.first_layer_law(bits[0], 0)
    assert np.isfinite(mean).all()
    assert np.isfinite(sd).all()
