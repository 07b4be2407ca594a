"""What the network cases of the suite are made of: the probe, the verdict, the batched shares and the placebo."""

import warnings

import numpy as np
import pytest
from sklearn.linear_model import RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from controls.ground_truth import Bernoulli, Layer, redraw_gaussian
from controls.testing.suite import networks, zoo
from controls.testing.suite.case import Effort
from controls.testing.suite.networks_data import quadratic_probe
from controls.testing.suite.networks_weights import _placebo


def rng(*key):
    return np.random.default_rng([23, *key])


def _products(X):
    """Return features whose dot products are (1 + x·z)²."""
    X = np.hstack([np.ones((len(X), 1)), X / np.sqrt(X.shape[1])])
    return (X[:, :, None] * X[:, None, :]).reshape(len(X), -1)


def test_the_quadratic_probe_is_ridge_on_all_products():
    X, y = rng(0).standard_normal((80, 5)) * [1, 2, 3, 4, 5], rng(1).integers(2, size=80)
    new = rng(2).standard_normal((200, 5)) * 3
    oracle = make_pipeline(
        StandardScaler(), FunctionTransformer(_products), RidgeClassifier(alpha=1e-2, fit_intercept=False)
    ).fit(X, y)
    assert (quadratic_probe(X, y)(new) == oracle.predict(new)).mean() > 0.99


@pytest.mark.parametrize(
    ("score", "smallest_effect", "word"),
    [
        (0.9, 0.1, "SELECTIVE"),
        (0.25, 0.1, "NEGLIGIBLE"),
        (0.2, 0.1, "EQUIVALENT"),
        (0.05, 0.0, "WORSE THAN CONTROL"),
    ],
)
def test_one_network_beside_its_redraws_gets_the_librarys_verdict(score, smallest_effect, word):
    draws = 0.2 + 0.01 * rng(3).standard_normal(39)
    verdict, p = zoo.against(score, draws, smallest_effect=smallest_effect)
    assert (verdict, p) == (word, (1 + (draws >= score).sum()) / 40)


def test_shares_of_many_layers_are_those_of_each():
    stack = rng(4).standard_normal((3, 7, 6))
    stack[1, 3:] = stack[1, 0]  # duplicate neurons
    pairs = [(i, j) for i in range(6) for j in range(i)]
    layers = [Layer(weights, -0.5, inputs=Bernoulli(6)) for weights in stack]
    X, _ = Bernoulli(6).enumerate()
    for layer, mean in zip(layers, zoo.mean_shares(np.stack([each.hidden(X) for each in layers]), X), strict=True):
        assert mean == pytest.approx(layer.truth.partial_r2_of(pairs).mean(), abs=1e-12)
    found = zoo.drawn(9, "test")
    np.testing.assert_allclose(zoo.shares(found), found.layer.truth.partial_r2_of(zoo.ALL), atol=1e-10)


def test_placebo_pairs_hang_together_as_the_computed_ones_do():
    """Inputs 0 and 2 are in two pairs; the placebo must keep that, or ranks among it are not exact."""
    own = np.array([float(0 in pair) for pair in zoo.ALL])  # a layer that holds what input 0 is in
    score, scores = _placebo(own, 2000, rng(5))
    assert score == pytest.approx(2 / 6)
    shares = [(np.isclose(scores, count / 6)).mean() for count in (1, 2)]
    # a renamed input is in two pairs for 2 of 10 names, in one for the other 8
    assert shares == pytest.approx([0.8, 0.2], abs=0.04)


def test_names_are_unique_and_a_quick_case_passes():
    names = [case.name for case in networks.CASES]
    assert len(set(names)) == len(names)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        checks = next(case for case in networks.CASES if case.name == "networks: steering").run(Effort(short=True))
    assert all(check.passed(1e-5) for check in checks)
    assert len({check.what for check in checks}) == len(checks)


def test_redraws_do_not_know_the_weights():
    """A redraw that leaked the weights would correlate with them."""
    weights = rng(6).standard_normal((30, 20))
    drawn = np.array(
        [np.corrcoef(redraw_gaussian(weights, rng(7, k)).ravel(), weights.ravel())[0, 1] for k in range(50)]
    )
    assert abs(drawn.mean()) < 4 / np.sqrt(50 * 600)
