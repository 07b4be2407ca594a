"""The suite's cases on weights: what they are made of, their short form, and that they can miss."""

import numpy as np
import pytest
from scipy.stats import ks_2samp

import controls as ct
from controls.ground_truth import REDRAWS, Bernoulli, Layer
from controls.testing.broken_weights import ForgetsSigns
from controls.testing.suite import weights, weights_sizes, weights_verdicts, zoo
from controls.testing.suite.case import Effort

LEVEL = 0.001
LAYER = ("*.linear.weight",)


def rng(*key):
    return np.random.default_rng([31, *key])


@pytest.mark.parametrize("case", weights.CASES, ids=lambda case: case.name)
def test_the_short_form_passes(case):
    checks = case.run(Effort(short=True))
    assert [check for check in checks if not check.passed(LEVEL)] == []
    assert len({check.what for check in checks}) == len(checks)


def test_the_score_is_the_partial_r2_of_each_pair_by_enumeration():
    found, pair = zoo.drawn(9, "test"), (3, 7)
    problem, folds = weights_verdicts.whole_population(found, [pair])
    result = ct.measure(
        ct.probes.RidgeProbe(alpha=1e-9, standardize=False),
        problem,
        controls=[ct.Reinitialize(include="hidden.linear.weight")],
        scoring="r2",
        cv=folds,
        draws=1,
    )
    assert result.score == pytest.approx(found.layer.truth.partial_r2_of([pair])[0], abs=1e-9)


def test_a_network_that_is_drawn_but_called_hand_made_makes_the_case_miss(monkeypatch):
    """Negative control of the suite: the verdicts must be able to go wrong."""
    monkeypatch.setattr(weights_verdicts, "_SHORT", ("A",))
    monkeypatch.setattr(zoo, "network", lambda name, short: zoo.drawn(12, "placebo"))
    missed = {check.what for check in weights_verdicts.verdicts(Effort(short=True)) if not check.passed(LEVEL)}
    assert {f"A, {words}: computed pairs" for words in weights_verdicts.BATTERY} <= missed


def test_layers_side_by_side_are_drawn_apart_and_read_as_each_alone():
    X, _ = Bernoulli(4).enumerate()
    layers = [Layer(rng(k).standard_normal((3, 4)), -0.1, inputs=Bernoulli(4)) for k in range(5)]
    problem = weights_sizes.side_by_side(layers, X)
    np.testing.assert_allclose(problem.X, np.hstack([layer.hidden(X) for layer in layers]), atol=1e-12)
    same = weights_sizes.drawn_weights(ct.Reinitialize(scheme="normal", include=LAYER), np.ones((3, 4)), 40, rng(9))
    correlations = np.corrcoef(same.reshape(40, -1))[np.triu_indices(40, 1)]
    assert len(np.unique(same)) == same.size
    assert abs(correlations.mean()) < 4 / np.sqrt(len(correlations) * 12)


@pytest.mark.parametrize(
    ("law", "control"),
    [
        ("gaussian", ct.Reinitialize(scheme="normal", std=np.sqrt(14 / 3), include=LAYER)),
        ("spectrum", ct.MatchSpectrum(include=LAYER)),
        ("rows", ct.PermuteWeights(by="row", include=LAYER)),
    ],
)
def test_single_weights_have_the_law_of_the_plain_redraws(law, control):
    trained = np.array([[1.0, 2.0, 3.0]] * 3)
    ours = weights_sizes.drawn_weights(control, trained, 500, rng(1))
    plain = np.stack([REDRAWS[law](trained, rng(2, k)) for k in range(500)])
    for i, j in ((0, 0), (1, 2), (2, 1)):
        assert ks_2samp(ours[:, i, j].round(6), plain[:, i, j].round(6)).pvalue > 1e-3
    both = [(each[:, 0, 0] * each[:, 1, 1]).round(6) for each in (ours, plain)]
    assert ks_2samp(*both).pvalue > 1e-3


def test_redraws_of_another_law_make_the_sizes_and_the_laws_miss(monkeypatch):
    half = ct.Reinitialize(scheme="normal", std=0.5, include=LAYER)
    narrow = weights_sizes.Ensemble(
        "normal", lambda rng: rng.standard_normal((10, 8)) + 0.6, own={"half": half}, bias=-1.0
    )
    monkeypatch.setattr(weights_sizes, "ENSEMBLES", (narrow,))
    assert not all(check.passed(LEVEL) for check in weights_sizes.sizes(Effort(short=True)))
    monkeypatch.setattr(weights_sizes, "_ROWS", ct.PermuteWeights(by="entry", include=LAYER))
    assert any(
        check.what.startswith("rows") and not check.passed(LEVEL) for check in weights_sizes.laws(Effort(short=True))
    )


def test_vectors_with_signs_that_are_not_fair_are_seen():
    """Without the signs of R, singular vectors lean one way."""
    trained = rng(3).standard_normal((3, 3))
    lean = weights_sizes.drawn_weights(ForgetsSigns(), trained, 400, rng(4))
    plain = np.stack([REDRAWS["spectrum"](trained, rng(5, k)) for k in range(400)])
    assert ks_2samp(lean[:, 0, 0], plain[:, 0, 0]).pvalue < 1e-3
