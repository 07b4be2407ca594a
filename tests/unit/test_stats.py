"""p-values, intervals, verdicts and corrections against closed forms, scipy, statsmodels and slow direct versions."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from controls.core.errors import InputError
from controls.core.result import ClaimVerdict, Comparison, Estimate, Verdict
from controls.core.rng import stream
from controls.stats.interval import bounds, estimate, level_reaching
from controls.stats.multiple import adjust, max_t
from controls.stats.pvalue import clopper_pearson, p_floor, p_values, tie_tolerance
from controls.stats.verdict import Evidence, judge, judge_claim, licensed

NAN = math.nan

# -- p-values -------------------------------------------------------------------------------------


def test_drawn_p_counts_ties_and_the_observed_itself():
    scores = np.array([0.1, 0.5, 0.5 - 1e-12, 0.9, 0.3])
    p = p_values(0.5, scores, tolerance=1e-9, enumerated=False, log_relabelings=None)
    assert (p.upper, p.lower, p.floor) == (4 / 6, 5 / 6, 1 / 6)
    assert p.interval == pytest.approx(proportion_confint(3, 5, method="beta"))


def test_enumerated_p_is_a_share_of_all_relabelings():
    p = p_values(
        0.9, np.array([0.9, 0.1, 0.2, 0.9 + 1e-12]), tolerance=1e-9, enumerated=True, log_relabelings=math.log(4)
    )
    # Two tie at the top, so that no relabeling can get less than a half.
    assert (p.upper, p.lower, p.floor, p.interval) == (0.5, 1.0, 0.5, None)


def test_undefined_scores_are_never_evidence():
    scores = np.array([0.1, NAN, 0.2, NAN])
    p = p_values(0.5, scores, tolerance=0.0, enumerated=False, log_relabelings=None)
    assert (p.upper, p.lower) == (3 / 5, 1.0)
    for enumerated in (False, True):
        p = p_values(NAN, scores, tolerance=0.0, enumerated=enumerated, log_relabelings=None)
        assert (p.upper, p.lower) == (1.0, 1.0)


def test_p_agrees_with_scipy_on_random_scores_with_ties():
    rng = stream(0, "p")
    x, y = rng.integers(0, 4, 8).astype(float), np.repeat([0, 1], 4)

    def gap(a, b):
        return b.mean() - a.mean()

    scores = [gap(x[list(set(range(8)) - set(rows))], x[list(rows)]) for rows in itertools.combinations(range(8), 4)]
    observed = gap(x[y == 0], x[y == 1])
    theirs = stats.permutation_test((x[y == 0], x[y == 1]), gap, alternative="less", n_resamples=np.inf).pvalue
    ours = p_values(observed, np.array(scores), tolerance=1e-9, enumerated=True, log_relabelings=math.log(70))
    assert ours.lower == pytest.approx(theirs)
    theirs = stats.permutation_test((x[y == 0], x[y == 1]), gap, alternative="greater", n_resamples=np.inf).pvalue
    assert ours.upper == pytest.approx(theirs)


def test_drawn_p_is_valid_at_every_attainable_level():
    p = np.array(
        [
            p_values(z[0], z[1:], tolerance=1e-12, enumerated=False, log_relabelings=None).upper
            for z in stream(1, "null").standard_normal((4000, 20))
        ]
    )
    counts = np.bincount(np.rint(p * 20).astype(int), minlength=21)[1:]
    assert stats.chisquare(counts).pvalue > 1e-4  # uniform over 1/20 … 20/20


def test_floor():
    assert p_floor(199, None) == 1 / 200
    assert p_floor(199, math.log(20)) == pytest.approx(1 / 20)
    assert p_floor(19, 900.0) == 1 / 20


def test_tie_tolerance():
    assert tie_tolerance(0.5) == pytest.approx(100 * 2.0**-52)
    assert tie_tolerance(-1e6) == pytest.approx(1e8 * 2.0**-52)
    assert tie_tolerance(0.5, 1e-6) == 1e-6


@pytest.mark.parametrize("n", [1, 7, 199])
@pytest.mark.parametrize("level", [0.9, 0.95, 0.99])
def test_clopper_pearson_is_that_of_statsmodels(n, level):
    for count in {0, 1, n // 3, n - 1, n}:
        theirs = proportion_confint(count, n, alpha=1 - level, method="beta")
        assert clopper_pearson(count, n, level) == pytest.approx(theirs, abs=1e-12)


# -- intervals ------------------------------------------------------------------------------------


def test_interval_is_that_of_t_where_units_are_one_row_each():
    x = stream(2, "t").gamma(1.0, 2.0, size=11)
    n = len(x)
    deviations = (x.mean() - x) / (n - 1) * math.sqrt((n - 1) / n)  # left-one-out differences, squares sum to s²/n
    found = estimate(x.mean(), deviations, n - 1)
    theirs = stats.ttest_1samp(x, 0.0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high))
    assert bounds(found, 0.05) == pytest.approx(tuple(stats.ttest_1samp(x, 0.0).confidence_interval(0.90)))
    for effect in (0.0, 1.0, 3.0):
        p = stats.ttest_1samp(x, effect, alternative="greater").pvalue
        assert level_reaching(found, effect) == pytest.approx(p)
        assert bounds(found, p)[0] == pytest.approx(effect)


def test_two_factors_add_as_in_the_test_of_welch():
    a, b = stream(3, "a").standard_normal(9), 3 * stream(3, "b").standard_normal(14)
    deviations = (a - a.mean()) / math.sqrt(9 * 8)
    found = estimate(a.mean() - b.mean(), deviations, 8, level=0.9, further=(b.var(ddof=1) / 14, 13))
    welch = stats.ttest_ind(a, b, equal_var=False)
    assert found.df == pytest.approx(welch.df)
    assert found.standard_error == pytest.approx((a.mean() - b.mean()) / welch.statistic)
    theirs = welch.confidence_interval(0.9)
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high))


def test_designs_without_an_interval():
    for deviations, df in ((np.array([0.1, NAN]), 1), (np.array([0.1, 0.2]), 0)):
        found = estimate(0.3, deviations, df)
        assert math.isnan(found.low)
        assert math.isnan(found.high)
        assert found.approximate
        assert np.isnan(bounds(found, 0.05)).all()
        assert level_reaching(found, 0.0) == 1.0


def test_where_nothing_varies_there_is_no_interval():
    found = estimate(0.3, np.zeros(5), 4)
    assert np.isnan([found.low, found.high, found.standard_error]).all()
    assert found.approximate


# -- verdicts -------------------------------------------------------------------------------------


def verdict(p=0.01, low=0.1, high=0.3, *, m=0.0, floor=0.005, lower=1.0, alpha=0.05, relabelings=None):
    middle = Estimate((low + high) / 2, low, high, 0.95, (high - low) / 4, 30.0, "fitted")
    evidence = Evidence(middle, (low, high), p, lower, floor, 40, relabelings)
    found, reason = judge(evidence, alpha, m)
    assert reason
    return found


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        # row 1 wins over every other
        ({"floor": 0.051}, Verdict.INCONCLUSIVE),
        ({"floor": 0.051, "m": 0.5, "low": -0.1, "high": 0.1}, Verdict.INCONCLUSIVE),
        ({"floor": 0.051, "low": -0.4, "high": -0.1, "lower": 0.01}, Verdict.INCONCLUSIVE),
        ({"floor": 0.05, "p": 0.05}, Verdict.SELECTIVE),
        # row 2 and its edges
        ({}, Verdict.SELECTIVE),
        ({"p": 0.05}, Verdict.SELECTIVE),
        ({"p": 0.0501}, Verdict.INCONCLUSIVE),
        ({"low": 0.0}, Verdict.INCONCLUSIVE),
        ({"low": -0.01}, Verdict.INCONCLUSIVE),
        ({"low": 0.1, "m": 0.1}, Verdict.SELECTIVE),
        ({"low": 0.099, "m": 0.1}, Verdict.INCONCLUSIVE),
        # row 3
        ({"low": 0.01, "high": 0.09, "m": 0.1}, Verdict.NEGLIGIBLE),
        ({"low": 0.01, "high": 0.10, "m": 0.1}, Verdict.INCONCLUSIVE),
        # row 4: without a detectable effect, or with an interval around 0
        ({"p": 0.5, "low": 0.01, "high": 0.09, "m": 0.1}, Verdict.EQUIVALENT),
        ({"p": 0.01, "low": -0.01, "high": 0.09, "m": 0.1}, Verdict.EQUIVALENT),
        ({"p": 0.9, "low": -0.09, "high": -0.01, "m": 0.1, "lower": 0.01}, Verdict.EQUIVALENT),
        ({"p": 0.5, "low": -0.1, "high": 0.09, "m": 0.1}, Verdict.INCONCLUSIVE),
        ({"p": 0.5, "low": -0.09, "high": 0.1, "m": 0.1}, Verdict.INCONCLUSIVE),
        # row 5
        ({"p": 1.0, "low": -0.4, "high": -0.1, "lower": 0.05}, Verdict.WORSE),
        ({"p": 1.0, "low": -0.4, "high": -0.1, "lower": 0.051}, Verdict.INCONCLUSIVE),
        ({"p": 1.0, "low": -0.4, "high": 0.0, "lower": 0.01}, Verdict.INCONCLUSIVE),
        ({"p": 1.0, "low": -0.4, "high": -0.05, "lower": 0.01, "m": 0.1}, Verdict.WORSE),
        # no interval
        ({"low": NAN, "high": NAN}, Verdict.INCONCLUSIVE),
        ({"low": NAN, "high": NAN, "m": 0.1}, Verdict.INCONCLUSIVE),
    ],
)
def test_verdict_table(given, expected):
    assert verdict(**given) is expected


def test_verdicts_agree_with_the_table_on_random_numbers():
    rng = stream(4, "verdicts")
    seen = set()
    for _ in range(3000):
        low, m = rng.normal(0, 0.1), rng.choice([0.0, 0.1])
        high, (p, lower) = low + rng.exponential(0.1), rng.choice([0.01, 0.05, 0.3], 2)
        floor = rng.choice([0.005, 0.1], p=[0.9, 0.1])
        rows = [
            (floor > 0.05, Verdict.INCONCLUSIVE),
            (p <= 0.05 and low > 0 and low >= m, Verdict.SELECTIVE),
            (p <= 0.05 and low > 0 and high < m, Verdict.NEGLIGIBLE),
            (m > 0 and -m < low and high < m, Verdict.EQUIVALENT),
            (high < 0 and lower <= 0.05, Verdict.WORSE),
            (True, Verdict.INCONCLUSIVE),
        ]
        expected = next(word for matches, word in rows if matches)
        seen.add(expected)
        assert verdict(p, low, high, m=m, floor=floor, lower=lower) is expected
    assert seen == set(Verdict)


def test_a_design_that_cannot_decide_names_what_it_needs():
    small = Estimate(0.2, 0.1, 0.3, 0.95, 0.05, 30.0, "fitted")
    drawn = judge(Evidence(small, (0.1, 0.3), 0.1, 1.0, 0.1, 40, None), 0.05, 0.0)[1]
    assert "at least 19 draws are needed" in drawn
    listed = judge(Evidence(small, (0.1, 0.3), 1 / 6, 1.0, 1 / 6, 40, 6), 0.01, 0.0)[1]
    assert "6 distinct relabelings, so" in listed
    assert "at least 100 are needed" in listed
    mirrored = judge(Evidence(small, (0.1, 0.3), 1 / 3, 1.0, 1 / 3, 40, 6), 0.01, 0.0)[1]
    assert "6 distinct relabelings, 2 of which tie at the top" in mirrored
    assert "at least 200 are needed" in mirrored


def comparison(name="A", value=0.2, error=0.02, p=0.005, lower=1.0, found=Verdict.SELECTIVE):
    empty = dict.fromkeys(Comparison.__dataclass_fields__)
    middle = Estimate(value, NAN, NAN, 0.95, error, 30.0, "fitted")
    return Comparison(
        **{**empty, "control": name, "selectivity": middle, "p_value": p, "p_lower": lower, "verdict": found}
        | {"control_scores": np.zeros(3)}
    )


def test_a_claim_holds_only_against_all_controls():
    good, open_one = comparison("A"), comparison("B", p=0.04)
    assert judge_claim([good, open_one], 0.05, 0.0)[0] is ClaimVerdict.HOLDS
    assert "is 0.04, of B" in judge_claim([good, open_one], 0.05, 0.0)[1]
    undecided = comparison("C", found=Verdict.INCONCLUSIVE)
    found, reason = judge_claim([good, undecided], 0.05, 0.0)
    assert found is ClaimVerdict.UNDECIDED
    assert "against C" in reason


@pytest.mark.parametrize("k", [1, 4])
def test_a_claim_fails_at_a_level_shared_among_its_controls(k):
    half = float(stats.t(30).ppf(1 - 0.05 / k)) * 0.02
    others = [comparison(name, found=Verdict.INCONCLUSIVE) for name in "BCDE"[: k - 1]]

    def claim(value, lower, m):
        return judge_claim([comparison("A", value, 0.02, 1.0, lower, Verdict.INCONCLUSIVE), *others], 0.05, m)[0]

    assert claim(0.1 - half - 1e-9, 1.0, 0.1) is ClaimVerdict.FAILS  # all of the interval under the smallest effect
    assert claim(0.1 - half + 1e-9, 1.0, 0.1) is ClaimVerdict.UNDECIDED
    assert claim(-half - 1e-9, 0.05 / k, 0.0) is ClaimVerdict.FAILS
    assert claim(-half - 1e-9, 0.05 / k + 1e-9, 0.0) is ClaimVerdict.UNDECIDED
    assert claim(-half + 1e-9, 0.001, 0.0) is ClaimVerdict.UNDECIDED
    assert claim(NAN, 0.001, 0.1) is ClaimVerdict.UNDECIDED


def test_sentences_are_licensed_together_or_after_holm():
    yes, no = Verdict.SELECTIVE, Verdict.INCONCLUSIVE
    assert licensed([yes, yes, yes], [0.04, 0.05, 0.05], 0.05) == [True, True, True]
    assert licensed([yes, yes, no], [0.01, 0.04, 0.5], 0.05) == [True, False, False]
    assert licensed([yes, yes, no], [0.01, 0.02, 0.5], 0.05) == [True, True, False]
    assert licensed([no], [0.5], 0.05) == [False]


# -- many claims ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("ours", "theirs"), [("holm", "holm"), ("bh", "fdr_bh")])
def test_adjusted_p_is_that_of_statsmodels(ours, theirs):
    for i, k in enumerate([1, 2, 5, 40]):
        p = stream(5, "adjust", i).random(k).round(2)
        np.testing.assert_allclose(adjust(p, ours), multipletests(p, method=theirs)[1])
    with pytest.raises(InputError, match="method must be one of 'holm', 'bh'"):
        adjust(np.array([0.1]), "bonferroni")


def slow_max_t(observed, draws, tolerance):
    """Step down: each p is that of the maximum with all weaker scores, and never less than that of a stronger one."""
    everything = np.column_stack([observed, draws])
    centre, spread = everything.mean(axis=1), everything.std(axis=1)
    t = [(observed[i] - centre[i]) / spread[i] for i in range(len(observed))]
    adjusted = {}
    for i in sorted(range(len(observed)), key=lambda i: -t[i]):
        weaker = [j for j in range(len(observed)) if j not in adjusted]
        largest = [max((column[j] - centre[j]) / spread[j] for j in weaker) for column in draws.T]
        p = (1 + sum(value >= t[i] - tolerance / spread[i] for value in largest)) / (1 + draws.shape[1])
        adjusted[i] = max([p, *adjusted.values()])
    return [adjusted[i] for i in range(len(observed))]


def test_max_t_agrees_with_a_slow_direct_version():
    for i in range(30):
        rng = stream(6, "max t", i)
        k, scale = int(rng.integers(1, 6)), rng.exponential(1.0, (6, 1))
        common = rng.standard_normal((1, 20))
        scores = (scale[:k] * (rng.standard_normal((k, 20)) + common)).round(1)
        scores[:, 0] += rng.exponential(1.0, k)
        ours = max_t(scores[:, 0], scores[:, 1:], enumerated=False, tolerance=1e-9)
        np.testing.assert_allclose(ours, slow_max_t(scores[:, 0], scores[:, 1:], 1e-9))


def test_max_t_does_not_depend_on_the_scale_or_order_of_scores():
    rng = stream(7, "max t")
    scores = rng.standard_normal((5, 100)) + rng.standard_normal((1, 100))
    p = max_t(scores[:, 0], scores[:, 1:], enumerated=False, tolerance=1e-12)
    scaled = 1000 * scores * np.array([[1, 2, 3, 4, 1e-3]]).T + 7
    np.testing.assert_allclose(max_t(scaled[:, 0], scaled[:, 1:], enumerated=False, tolerance=1e-12), p)
    order = np.array([3, 0, 4, 1, 2])
    turned = scores[order]
    np.testing.assert_allclose(max_t(turned[:, 0], turned[:, 1:], enumerated=False, tolerance=1e-12), p[order])


def test_max_t_is_exact_on_an_enumerated_toy():
    rng = stream(8, "toy")
    features = rng.standard_normal((6, 4))
    labelings = np.array([[i in rows for i in range(6)] for rows in itertools.combinations(range(6), 3)]) * 2.0 - 1.0
    scores = features.T @ labelings.T  # four scores under each of 20 equally likely labelings
    smallest = np.array([max_t(scores[:, i], scores, enumerated=True, tolerance=1e-9).min() for i in range(20)])
    for count in range(1, 21):
        assert (smallest <= count / 20 + 1e-12).sum() <= count  # family-wise error at most the level
    assert [(smallest <= count / 20 + 1e-12).sum() for count in (1, 2, 5)] == [1, 2, 5]  # and all of it


def test_undefined_scores_are_never_evidence_among_many():
    draws = stream(9, "nan").standard_normal((3, 19))
    p = max_t(np.array([9.0, NAN, 9.0]), draws, enumerated=False, tolerance=1e-9)
    assert p.tolist() == [0.05, 1.0, 0.05]
    draws[0, 4] = NAN
    assert max_t(np.array([9.0, 9.0, 9.0]), draws, enumerated=False, tolerance=1e-9)[0] == pytest.approx(2 / 20)
