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
BITS = np.eye(4)
LAYER = gt.Layer(np.ones((4, 6)), inputs=gt.Bernoulli(6))
SUPERPOSED = gt.SuperposedGaussian(m=6, d0=9, d=8)
WORLD = gt.GaussianDocuments()

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
    "shape of a whole number": (lambda: gt.Bernoulli(np.eye(2)), r"m must be a whole number, got array\(\[\[1"),
    "word: an array": (lambda: gt.combine(BITS, (0, 1), np.ones(2)), "ask must be one of"),
    "combine: a number": (lambda: gt.combine(3, (0, 1), "and"), r"X must be numbers of shape \(n, m\)"),
    "combine: texts": (lambda: gt.combine([["a", "b"]], (0, 1), "and"), "X must be numbers"),
    "directions: texts": (lambda: gt.PlantedDictionary("a", gt.SparseFeatures(2)), "directions must be an array of"),
    "directions: rng": (lambda: gt.random_directions(4, 2, 0), "rng must be a numpy Generator, got 0"),
    "features: rate": (lambda: gt.SparseFeatures(4, rate=np.ones(2)), "rate must be a number"),
    "features: never": (lambda: gt.SparseFeatures(4, rate=0), "rate must be above 0"),
    "features: one": (lambda: gt.CorrelatedFeatures(4, correlation=1.0), "correlation must be below 1"),
    "features: rng": (lambda: gt.SparseFeatures(4).sample(3, None), "rng must be a numpy Generator, got None"),
    "sequences: rho": (lambda: gt.PlantedSequences(1.0, rho=1.0), "rho must be below 1"),
    "sequences: rng": (lambda: gt.PlantedDrift(1.0).sample(80, 1), "rng must be a numpy Generator"),
    "layer: texts": (lambda: gt.Layer("a", inputs=gt.Bernoulli(2)), "weights must be an array of numbers"),
    "layer: bias": (lambda: gt.Layer(np.eye(2), "a", inputs=gt.Bernoulli(2)), "bias must be an array of numbers"),
    "layer: columns": (lambda: LAYER.hidden(np.ones((2, 5))), r"X must have shape \(n, 6\), got \(2, 5\)"),
    "layer: one row": (lambda: LAYER.hidden(np.ones(6)), "X must have shape"),
    "layer: balanced": (lambda: LAYER.sample(5, RNG, balanced=(0, 1)), "balanced must be True or False"),
    "layer: concepts": (lambda: LAYER.truth.partial_r2(3), "concepts must be a tuple"),
    "layer: noise": (lambda: LAYER.truth.partial_r2((0, 1), noise=np.nan), "noise must be at least 0"),
    "layer: sets": (lambda: LAYER.truth.partial_r2_of(None), "concept_sets must be a sequence"),
    "sparse: balanced": (lambda: gt.Sparse(4, 2).rates(balanced=np.ones(2)), "balanced must be empty"),
    "superposed: inputs": (lambda: gt.SuperposedLayer(np.eye(2), np.eye(2), inputs=3), "inputs must be Bernoulli"),
    "superposed: texts": (lambda: gt.SuperposedLayer("a", np.eye(2), inputs=gt.Bernoulli(2)), "weights must be an"),
    "superposed: bits": (lambda: SUPERPOSED.read(np.ones((2, 5)), [(0, 1)]), "X must have shape"),
    "superposed: law": (lambda: SUPERPOSED.law(None, [(0, 1)]), "X must have shape"),
    "superposed: pairs": (lambda: SUPERPOSED.readoff(3), "pairs must be a sequence"),
    "superposed: m": (lambda: gt.SuperposedGaussian(m="a", d0=4, d=4), "m must be a whole number"),
    "AND: bits": (lambda: gt.SparseAnd(6, 20).read(np.ones(6), [(0, 1)]), "X must have shape"),
    "AND: pairs": (lambda: gt.SparseAnd(6, 20).worst_error(None), "pairs must be a sequence"),
    "bound: p": (lambda: gt.bernstein_bound(m=10, s=3, p=2.0, n_common=4), "p must be between 0 and 1"),
    "network: layer": (lambda: gt.least_squares_network(None, [(0, 1)]), "layer must be a Layer"),
    "network: pairs": (lambda: gt.least_squares_network(LAYER, 3), "pairs must be a sequence"),
    "network: readout": (lambda: gt.Network(LAYER, "a", np.ones(1), ((0, 1),)), "readout must be an array of numbers"),
    "network: inputs": (lambda: gt.random_network([(0, 1)], 3, RNG, inputs=4), "inputs must be Bernoulli"),
    "network: rng": (lambda: gt.random_network([(0, 1)], 3, 0, inputs=gt.Bernoulli(4)), "rng must be a numpy"),
    "contrasts: shapes": (
        lambda: gt.interaction_contrasts(np.ones((3, 1)), np.eye(4), np.ones(4), [(0, 1)]), "values must have shape"),
    "contrasts: rates": (
        lambda: gt.interaction_contrasts(np.ones((4, 1)), np.eye(4), np.ones(3), [(0, 1)]), "probabilities must have"),
    "population: tol": (
        lambda: gt.partial_r2(np.eye(4), np.arange(4), np.ones(4), tol=-1), "tol must be between 0 and 1"),
    "population: noise": (
        lambda: gt.partial_r2(np.eye(4), np.arange(4), np.ones(4), noise="a"), "noise must be a number"),
    "certificate: texts": (lambda: gt.null_certificate("a", (0, 1)), "weights must be an array of numbers"),
    "minimax: texts": (lambda: gt.minimax(np.eye(2), ["a", "b"]), "y must be an array of numbers"),
    "redraw: rng": (lambda: gt.redraw_spectrum(np.eye(2), 0), "rng must be a numpy Generator"),
    "redraw: texts": (lambda: gt.redraw_rows("a", RNG), "weights must be an array of numbers"),
    "readoff: shapes": (lambda: gt.sign_readoff(np.ones(4), np.ones(3), s=2), "wi and wj must have one shape"),
    "readoff: a number": (lambda: gt.stein_readoff(1.0, 1.0, s=2), "wi and wj must have one shape"),
    "law: texts": (lambda: gt.error_law("10", s=3, p=0.1).sd("many"), "n_common must be an array of numbers"),
    "bias: texts": (lambda: counting_bias("10", "a", m=4, s=2, d0=9), "counts must be an array of numbers"),
    "bias: no end": (lambda: counting_bias("10", [np.inf], m=4, s=2, d0=9), "counts must be whole numbers"),
    "types: concepts": (lambda: TYPES.selectivity(3), "concepts must be a tuple"),
    "planted: rows": (lambda: gt.PlantedDirection(1.0, d=4).sample(None, RNG), "n must be a whole number"),
    "planted: direction": (lambda: gt.PlantedTruth(1.0, 4).auc("a"), "direction must be an array of numbers"),
    "planted: intercept": (lambda: gt.PlantedTruth(1.0, 4).accuracy(np.ones(4), None), "intercept must be a number"),
    "truth: metric": (lambda: WORLD.truth("f1", np.ones((10, 1)), [0.0]), "metric must be one of 'roc_auc'"),
    "truth: weights": (lambda: WORLD.truth("r2", np.ones(10), [0.0]), r"weights must have shape \(10, B\)"),
    "truth: intercepts": (lambda: WORLD.truth("r2", np.ones((10, 2)), [0.0]), r"intercepts must have shape \(2,\)"),
    "truth: kept": (lambda: WORLD.truth("r2", np.ones((10, 1)), [0.0], kept=2), "kept must be between 0 and 1"),
    "documents: rng": (lambda: WORLD.sample(3), "rng must be a numpy Generator"),
    "circuits: rng": (lambda: CIRCUITS.inputs(3, None), "rng must be a numpy Generator"),
    "bigrams: rng": (lambda: HEAD.sample(3, None), "rng must be a numpy Generator"),
    "pairs: seed": (lambda: gt.AllPairs(d=4, m=4, s=2).start(-1), "seed must be at least 0"),
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
