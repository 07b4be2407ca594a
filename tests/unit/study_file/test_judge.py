"""Claims after correction, and the exit code."""

from dataclasses import replace

import pytest

from controls.core.result import ClaimVerdict
from controls.study_file.judge import exit_code, judge

HOLDS, FAILS, UNDECIDED = ClaimVerdict.HOLDS, ClaimVerdict.FAILS, ClaimVerdict.UNDECIDED


@pytest.fixture
def result(build):
    def make(p, verdict=HOLDS, alpha=0.05):
        comparisons = (build.comparison(claim_p=p / 2), replace(build.ensemble(), claim_p=p))
        return build.result(*comparisons, verdict=verdict, alpha=alpha)

    return make


def judged(records, correction):
    return judge(records, dict.fromkeys(records, 1), correction)


def test_holm_by_hand(result):
    claims = judged({"a": result(0.02), "b": result(0.01), "c": result(0.04)}, "holm")
    assert [claim.adjusted_p for claim in claims] == pytest.approx([0.04, 0.03, 0.04])
    assert [claim.result.verdict for claim in claims] == [HOLDS, HOLDS, HOLDS]
    claims = judged({"a": result(0.02), "b": result(0.03)}, "holm")
    assert [claim.adjusted_p for claim in claims] == pytest.approx([0.04, 0.04])
    claims = judged({"a": result(0.03), "b": result(0.01), "c": result(0.03)}, "holm")
    assert [claim.adjusted_p for claim in claims] == pytest.approx([0.06, 0.03, 0.06])
    assert [claim.result.verdict for claim in claims] == [UNDECIDED, HOLDS, UNDECIDED]


def test_benjamini_hochberg_and_none_by_hand(result):
    records = {"a": result(0.03), "b": result(0.01), "c": result(0.03)}
    assert [claim.adjusted_p for claim in judged(records, "bh")] == pytest.approx([0.03, 0.03, 0.03])
    assert [claim.adjusted_p for claim in judged(records, "none")] == pytest.approx([0.03, 0.01, 0.03])


def test_a_claim_that_holds_only_by_itself_says_so_and_licenses_nothing(result):
    (first, _) = judged({"a": result(0.04), "b": result(0.9, UNDECIDED)}, "holm")
    assert first.result.verdict is UNDECIDED
    assert "holds by itself" in first.result.reason
    assert ".08 after correction for 2 claims (Holm), above alpha .05" in first.result.reason
    assert not any(comparison.licensed for comparison in first.result.comparisons)


def test_each_claim_is_judged_at_its_own_alpha(result):
    claims = judged({"a": result(0.02, alpha=0.05), "b": result(0.02, alpha=0.03)}, "holm")
    assert [claim.result.verdict for claim in claims] == [HOLDS, UNDECIDED]


def test_failing_is_not_corrected(result):
    claims = judged({"a": result(0.9, FAILS), "b": result(0.8, UNDECIDED)}, "holm")
    assert [claim.result.verdict for claim in claims] == [FAILS, UNDECIDED]


def test_sites_go_by_the_largest_max_t_p_and_by_what_the_bounds_need(build, result):
    sweep = build.sweep(3)
    needs = dict(zip(sweep.results, (0.001, 0.001, 0.5), strict=True))
    claims = judged({"s": replace(sweep, results={site: result(p) for site, p in needs.items()})}, "max-t")
    assert [claim.name for claim in claims] == ["s at layer 0", "s at layer 1", "s at layer 2"]
    assert [claim.adjusted_p for claim in claims] == [0.275, 0.275, 0.5]  # the control task's max-T p, or the bounds'
    assert [claim.result.verdict for claim in claims] == [UNDECIDED] * 3


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [([HOLDS], 0), ([HOLDS, UNDECIDED], 2), ([UNDECIDED, FAILS, HOLDS], 1), ([FAILS], 1), ([UNDECIDED], 2)],
)
def test_exit_codes(result, verdicts, code):
    records = {str(place): result(0.0001, verdict) for place, verdict in enumerate(verdicts)}
    assert exit_code(judged(records, "none")) == code
