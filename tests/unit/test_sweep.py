"""sweep: the same draws at every site, and p-values for the best of them."""

import numpy as np
import pytest
from sklearn.model_selection import KFold

import controls as ct
from controls.core.rng import stream

PROBE = ct.probes.RidgeProbe()
SHUFFLE = ct.ShuffleLabels()


def layers(n=60, names="abcd", seed=0, signal=0.5):
    """Layers that share noise; only the third says something about the label."""
    rng = stream(seed, "sweep test")
    shared, y = rng.normal(size=(n, 3)), rng.integers(2, size=n)
    sites = {name: shared + rng.normal(size=(n, 3)) * rng.uniform(0.5, 2) for name in names}
    sites[names[2]][:, 0] += signal * 2 * y
    return ct.Problem(sites, y, groups={"document": np.arange(n) % 15}, unit="document")


def by_hand(observed, draws):
    """Step-down max-T (Westfall and Young), written as loops over sites and draws."""
    every = np.column_stack([observed, draws])
    t = (every - every.mean(axis=1, keepdims=True)) / every.std(axis=1, keepdims=True)
    order = sorted(range(len(observed)), key=lambda site: -t[site, 0])
    adjusted, so_far = np.empty(len(observed)), 0.0
    for place, site in enumerate(order):
        rivals = order[place:]
        beaten = sum(max(t[rival, b] for rival in rivals) >= t[site, 0] - 1e-12 for b in range(1, t.shape[1]))
        so_far = max(so_far, (1 + beaten) / t.shape[1])
        adjusted[site] = so_far
    return adjusted


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("scoring", ["roc_auc", "accuracy"])
def test_adjusted_p_is_that_of_max_t_over_the_sites(seed, scoring):
    swept = ct.sweep(PROBE, layers(seed=seed), controls=[SHUFFLE], scoring=scoring, draws=39, seed=seed)
    observed = np.array([result.score for result in swept.results.values()])
    draws = np.stack([result.comparisons[0].control_scores for result in swept.results.values()])
    assert list(swept.adjusted_p["ShuffleLabels"].values()) == pytest.approx(by_hand(observed, draws))


def test_adjusted_p_is_never_below_the_plain_one_and_follows_its_control():
    controls = [SHUFFLE, ct.ShuffleLabels(within="document")]
    swept = ct.sweep(PROBE, layers(), controls=controls, scoring="roc_auc", draws=39)
    assert list(swept.adjusted_p) == ["ShuffleLabels()", "ShuffleLabels(within='document')"]
    for control, adjusted in swept.adjusted_p.items():
        for site, p in adjusted.items():
            assert p >= swept[site][control].p_value - 1e-12
    (alone,) = ct.sweep(PROBE, layers(), controls=controls[1:], scoring="roc_auc", draws=39).adjusted_p.values()
    assert alone == pytest.approx(swept.adjusted_p["ShuffleLabels(within='document')"])


def test_every_site_is_measured_as_it_is_alone_with_the_same_draws():
    problem = layers()
    swept = ct.sweep(PROBE, problem, controls=[SHUFFLE], scoring="roc_auc", draws=19, seed=3)
    for site in problem.sites:
        alone = ct.measure(PROBE, problem.at(site), controls=[SHUFFLE], scoring="roc_auc", draws=19, seed=3)
        assert swept[site].score == alone.score
        assert np.array_equal(swept[site].comparisons[0].control_scores, alone.comparisons[0].control_scores)


def test_the_draws_are_the_same_labels_at_every_site():
    same = stream(0, "same").normal(size=(60, 3))
    problem = ct.Problem({"first": same, "again": same.copy()}, layers().labels)
    swept = ct.sweep(PROBE, problem, controls=[SHUFFLE, ct.ResampleLabels()], draws=19)
    for one, two in zip(swept["first"].comparisons, swept["again"].comparisons, strict=True):
        assert np.array_equal(one.control_scores, two.control_scores)
        assert len(np.unique(one.control_scores)) > 3


def test_over_all_relabelings_some_site_is_claimed_no_more_often_than_alpha():
    """Every relabeling takes its turn as the observed one: the chance of any false claim, counted in full."""
    rng = stream(1, "exact sweep")
    sites = {name: rng.normal(size=(6, 2)) for name in "abc"}
    first = ct.Problem(sites, [0, 0, 0, 1, 1, 1])
    smallest = []
    plain = []
    for labels in SHUFFLE.orbit(first).enumerate():
        problem = ct.Problem(sites, np.array(labels))
        swept = ct.sweep(PROBE, problem, controls=[SHUFFLE], draws=19, cv=2)
        assert swept["a"].comparisons[0].enumerated
        smallest.append(min(swept.adjusted_p["ShuffleLabels"].values()))
        plain.append(min(result.comparisons[0].p_value for result in swept.results.values()))
    assert len(smallest) == 20
    for alpha in np.arange(1, 20) / 20:
        assert np.mean(np.array(smallest) <= alpha + 1e-9) <= alpha + 1e-9
    assert any(np.mean(np.array(plain) <= alpha + 1e-9) > alpha + 1e-9 for alpha in np.arange(1, 20) / 20)


def test_chosen_sites_progress_and_titles():
    seen = []
    swept = ct.sweep(
        PROBE,
        layers(),
        controls=[SHUFFLE],
        sites=["d", "a"],
        draws=10,
        block=5,
        progress=lambda *what: seen.append(what),
    )
    assert list(swept.results) == ["d", "a"]
    assert [result.title for result in swept.results.values()] == ["d", "a"]
    assert seen[0] == (1, 22, "d: the problem itself")
    assert seen[-1] == (22, 22, "a: ShuffleLabels")
    assert list(ct.sweep(PROBE, layers(), controls=[SHUFFLE], sites="a", draws=5).results) == ["a"]


def test_folds_that_can_be_read_once_serve_every_site():
    problem = layers()
    by_unit = KFold(3).split(np.arange(15))
    rows = [tuple(np.flatnonzero(np.isin(problem.unit_codes, units)) for units in pair) for pair in by_unit]
    listed = ct.sweep(PROBE, problem, controls=[SHUFFLE], draws=9, cv=rows)
    streamed = ct.sweep(PROBE, problem, controls=[SHUFFLE], draws=9, cv=iter(rows))
    assert [result.score for result in listed.results.values()] == [
        result.score for result in streamed.results.values()
    ]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"sites": ["layer"]}, "site 'layer' is not known; there are: a, b, c, d"),
        ({"sites": []}, "sites must name at least one of a, b, c, d, got none"),
        ({"draws": 0}, "draws must be at least 1"),
        ({"scoring": "auc"}, "Write scoring='roc_auc'"),
    ],
)
def test_bad_input_is_refused(change, sentence):
    with pytest.raises(ct.InputError, match=sentence):
        ct.sweep(PROBE, layers(), **{"controls": [SHUFFLE], **change})


def test_one_array_is_no_sweep():
    problem = layers()
    with pytest.raises(ct.InputError, match=r"activations must be a mapping of named sites .* use ct\.measure"):
        ct.sweep(PROBE, problem.at("a"), controls=[SHUFFLE])


def test_many_claims_are_corrected_by_their_weakest_control():
    results = ct.sweep(
        PROBE, layers(), controls=[SHUFFLE, ct.ControlTask(per="document")], scoring="roc_auc", draws=39
    ).results
    raw = np.array([max(comparison.claim_p for comparison in result.comparisons) for result in results.values()])
    order = np.argsort(raw)
    holm, so_far = np.empty(4), 0.0
    for place, claim in enumerate(order):
        so_far = max(so_far, min(1.0, (4 - place) * raw[claim]))
        holm[claim] = so_far
    assert ct.correct(results) == pytest.approx(dict(zip(results, holm, strict=True)))
    bh = ct.correct(results, "bh")
    assert all(bh[name] <= p + 1e-12 for name, p in ct.correct(results).items())
    with pytest.raises(ct.InputError, match="results must hold at least one result"):
        ct.correct({})
    with pytest.raises(ct.InputError, match="method must be one of 'holm', 'bh', got 'bonferroni'"):
        ct.correct(results, "bonferroni")


@pytest.mark.parametrize(
    ("sites", "words"),
    [(3, "sites must be names of sites, got 3"), (["a", "b", "a"], "sites must differ from one another, got a, b, a")],
)
def test_sites_that_cannot_be_swept_are_refused(sites, words):
    with pytest.raises(ct.InputError, match=words):
        ct.sweep(PROBE, layers(), controls=[SHUFFLE], sites=sites)


def test_what_is_no_mapping_of_results_is_refused():
    swept = ct.sweep(PROBE, layers(), controls=[SHUFFLE], draws=19)
    for given, words in (
        ([1], "results must be a mapping of names to results, got list"),
        (swept["a"], "results must be a mapping of names to results, got Result"),
        ({"all": swept}, "got Sweep for 'all'; a sweep's are in its .results"),
    ):
        with pytest.raises(ct.InputError, match=words):
            ct.correct(given)
    assert list(swept) == list("abcd")
