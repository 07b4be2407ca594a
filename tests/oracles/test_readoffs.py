"""Closed-form readoffs of the Gaussian layer against quadrature and simulation; the minimax readoff and its proof."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest
from scipy.stats import chi2, norm

from controls.core.errors import InputError
from controls.core.rng import stream
from controls.ground_truth.minimax import RAW_FLOORS, minimax
from controls.ground_truth.readoffs import CASES, readoff, readoff_law, sign_gain

TARGETS = {"and": {"00": 0, "10": 0, "11": 1}, "xor": {"00": 0, "10": 1, "11": 0}}
KINDS = [(ask, method) for ask in ("and", "xor") for method in ("sign", "stein")]


def half_line(n=120, end=9.0):
    nodes, weights = np.polynomial.legendre.leggauss(n)
    return (nodes + 1) * end / 2, weights * end / 2


def moments_by_quadrature(case, s, tuned, ask, method):
    """Integrate over both weights quadrant by quadrant; the sum of the other weights is normal, in closed form."""
    nodes, weights = half_line()
    total = np.zeros(2)
    for si, sj in product((-1, 1), repeat=2):
        wi, wj = np.meshgrid(si * nodes, sj * nodes, indexing="ij")
        density = norm.pdf(wi) * norm.pdf(wj) * np.outer(weights, weights)
        centre, spread = wi * (case[0] == "1") + wj * (case[1] == "1"), np.sqrt(s - case.count("1"))
        if spread:
            t = centre / spread
            first = centre * norm.cdf(t) + spread * norm.pdf(t)
            second = (centre**2 + spread**2) * norm.cdf(t) + centre * spread * norm.pdf(t)
        else:
            first, second = np.maximum(centre, 0), np.maximum(centre, 0) ** 2
        r = readoff(wi[..., None], wj[..., None], tuned, ask=ask, method=method)[..., 0]
        total += (density * r * first).sum(), (density * r**2 * second).sum()
    return total[0], total[1] - total[0] ** 2


@pytest.mark.parametrize(("ask", "method"), KINDS)
@pytest.mark.parametrize(("s", "tuned"), [(2, 2), (3, 3), (7, 7), (3, 6), (6, 2)])
def test_laws_equal_quadrature(ask, method, s, tuned):
    for case in CASES:
        law = readoff_law(case, s, ask=ask, method=method, tuned=tuned)
        mean, variance = moments_by_quadrature(case, s, tuned, ask, method)
        tolerance = 2e-3 if s == 2 and case == "11" else 1e-9  # the kink of ReLU runs through two quadrants
        assert law.mean == pytest.approx(mean - TARGETS[ask][case], rel=tolerance, abs=tolerance)
        assert law.neuron_variance == pytest.approx(variance, rel=tolerance)


@pytest.mark.parametrize("s", [2, 3, 6])
def test_readoffs_are_right_on_average_for_the_s_they_are_made_for(s):
    for (ask, method), case in product(KINDS, CASES):
        assert readoff_law(case, s, ask=ask, method=method).mean == pytest.approx(0, abs=1e-12)


def test_a_readoff_made_for_another_s_keeps_its_zeros_and_scales_its_one():
    assert readoff_law("10", 3, tuned=2).mean == 0
    assert 1 + readoff_law("11", 3, tuned=2).mean == pytest.approx(sign_gain(3) / sign_gain(2))
    assert 1 + readoff_law("11", 3, tuned=2, method="stein").mean == pytest.approx((2 / 3) ** 0.5)


@pytest.mark.parametrize("d", [64, 256, 1024])
def test_predicted_standard_deviations_at_three_widths(d):
    layers, s = 3000, 3
    rng = stream(0, "readoffs", d)
    wi, wj, others = rng.standard_normal((3, layers, d))
    level = 1e-3 / (2 * len(KINDS) * len(CASES))
    for case in CASES:
        active = case.count("1")
        hidden = np.maximum(wi * (active > 0) + wj * (active > 1) + others * np.sqrt(s - active), 0)
        for ask, method in KINDS:
            law = readoff_law(case, s, ask=ask, method=method)
            errors = (readoff(wi, wj, s, ask=ask, method=method) * hidden).sum(axis=1) - TARGETS[ask][case]
            below = chi2.cdf(layers * np.mean((errors - law.mean) ** 2) / law.sd(d) ** 2, layers)
            assert level < below < 1 - level
            assert abs(errors.mean() - law.mean) < norm.isf(level) * law.sd(d) / layers**0.5


def test_the_stein_readoff_beats_the_sign_readoff_on_zeros_of_and():
    for s, gain in ((2, 0.17), (200, 0.36)):
        ratio = readoff_law("00", s, method="stein").sd(1) / readoff_law("00", s).sd(1)
        assert ratio == pytest.approx(1 - gain, abs=0.005)


def test_what_cannot_be_asked_is_refused_in_one_sentence():
    with pytest.raises(InputError, match="s must be at least 2, got 1"):
        readoff_law("11", 1)
    with pytest.raises(InputError, match="ask must be one of 'and', 'xor', got 'or'"):
        readoff(np.ones(3), np.ones(3), 2, ask="or")
    with pytest.raises(InputError, match="y must be 4 finite numbers"):
        minimax(np.eye(4), [0, 1])


def sparse_inputs(m, s):
    rows = [c for k in range(s + 1) for c in combinations(range(m), k)]
    X = np.zeros((len(rows), m))
    for row, active in enumerate(rows):
        X[row, list(active)] = 1
    return X


@pytest.mark.parametrize("s", [2, 3])
def test_affine_readoffs_of_bits_miss_and_by_a_quarter_and_xor_by_a_half(s):
    X = sparse_inputs(9, s)
    for ask, y in (("and", X[:, 2] * X[:, 5]), ("xor", (X[:, 2] != X[:, 5]).astype(float))):
        assert minimax(X, y).error == pytest.approx(RAW_FLOORS[ask], abs=1e-7)


@pytest.mark.parametrize("d", [3, 12, 40])
def test_the_witness_proves_that_no_readoff_is_better(d):
    rng = stream(1, "minimax", d)
    H, y = rng.standard_normal((60, d)), rng.standard_normal(60)
    found = minimax(H, y)
    assert np.abs(H @ found.weights + found.intercept - y).max() == pytest.approx(found.error)
    assert np.abs(found.witness @ H).max() < 1e-7
    assert abs(found.witness.sum()) < 1e-7
    assert np.abs(found.witness).sum() < 1 + 1e-7
    assert found.witness @ y == pytest.approx(found.error, abs=1e-6)


def test_minimax_equals_the_midrange_where_nothing_can_be_read():
    y = np.array([3.0, -1.0, 0.5])
    found = minimax(np.ones((3, 2)), y)
    assert (found.error, found.bound) == (pytest.approx(2.0), pytest.approx(2.0))
