"""Controls on the finding beside closed forms, scipy and plain loops."""

import numpy as np
import pytest
from scipy import stats
from sklearn.linear_model import LinearRegression, LogisticRegression

import controls as ct
from controls.core.dictionary import as_dictionary
from controls.core.finding_properties import latents_of
from controls.core.rng import stream
from controls.generators.direction_laws import draw_directions
from controls.testing.small_dictionary import SmallDictionary


@pytest.fixture
def problem() -> ct.Problem:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 5)) @ rng.standard_normal((5, 5)) + 40.0
    return ct.Problem(X, rng.integers(2, size=60), groups={"document": np.repeat(np.arange(6), 10)})


def test_isotropic_directions_are_uniform_on_the_sphere(problem):
    drawn = draw_directions("isotropic", 4000, problem, (), np.random.default_rng(1))
    assert np.allclose(np.linalg.norm(drawn, axis=1), 1)
    cosine = drawn @ np.array([0.6, 0.0, 0.8, 0.0, 0.0])  # (1 + cosine) / 2 is Beta((d - 1) / 2, (d - 1) / 2)
    assert stats.kstest((1 + cosine) / 2, stats.beta(2, 2).cdf).pvalue > 1e-4


@pytest.mark.parametrize("law", ["covariance", "differences"])
def test_directions_follow_the_covariance(problem, law):
    drawn = draw_directions(law, 20000, problem, (), np.random.default_rng(2))
    rng = np.random.default_rng(3)
    if law == "covariance":
        other = rng.multivariate_normal(np.zeros(5), np.cov(problem.X.T), size=20000)
    else:
        one, two = np.nonzero(~np.eye(60, dtype=bool))  # every pair of rows, once each way round
        other = problem.X[one] - problem.X[two]
    other /= np.linalg.norm(other, axis=1, keepdims=True)
    expected = other.T @ other / len(other)
    assert np.abs(drawn.T @ drawn / len(drawn) - expected).max() < 0.015
    assert np.abs(drawn.mean(axis=0)).max() < 0.03  # either sign is as likely


@pytest.mark.parametrize("law", ["covariance", "differences"])
def test_activations_that_are_all_the_same_are_refused(law):
    same = ct.Problem(np.full((8, 3), 1e6))
    with pytest.raises(ct.CannotControl, match="all the same; take 'isotropic'"):
        draw_directions(law, 2, same, (), np.random.default_rng(0))


def test_random_directions_keep_rates_means_and_lengths(problem):
    found = SmallDictionary().fit(problem, stream(0))
    drawn = ct.RandomDirections().draw_finding(found, problem, np.random.default_rng(0))
    old, new = latents_of(found, problem), latents_of(drawn, problem)
    assert ((old > 0).sum(axis=0) == (new > 0).sum(axis=0)).all()
    assert np.allclose(old.mean(axis=0), new.mean(axis=0))
    assert np.allclose(drawn.decode(np.zeros((1, 6))), found.decode(np.zeros((1, 6))))


def test_random_directions_of_signed_latents_keep_mean_and_spread(problem):
    class Signed:
        components_ = np.eye(5)[:3]

        def encode(self, X):
            return X @ self.components_.T - 40.0

        def decode(self, latents):
            return latents @ self.components_ + 40.0

    drawn = ct.RandomDirections().draw_finding(Signed(), problem, np.random.default_rng(0))
    old, new = Signed().encode(problem.X), drawn.encode(problem.X)
    assert (old < 0).any(axis=0).all()
    assert np.allclose(old.mean(axis=0), new.mean(axis=0))
    assert np.allclose(old.std(axis=0), new.std(axis=0))


def test_random_directions_of_probes_and_vectors(problem):
    probe = LogisticRegression().fit(problem.X, problem.labels)
    before = probe.coef_.copy()
    drawn = ct.RandomDirections("covariance").draw_finding(probe, problem, np.random.default_rng(0))
    assert np.array_equal(probe.coef_, before)
    assert np.isclose(np.linalg.norm(drawn.coef_), np.linalg.norm(before))
    assert drawn.predict(problem.X).sum() == probe.predict(problem.X).sum()
    line = LinearRegression().fit(problem.X, problem.X[:, 0])
    other = ct.RandomDirections().draw_finding(line, problem, np.random.default_rng(0))
    assert np.isclose(other.predict(problem.X).mean(), problem.X[:, 0].mean())
    vector = ct.RandomDirections().draw_finding(np.arange(5.0), problem, np.random.default_rng(0))
    assert vector.shape == (5,)
    assert np.isclose(np.linalg.norm(vector), np.sqrt(30))
    with pytest.raises(ct.InputError, match="must have the 5 features"):
        ct.RandomDirections().draw_finding(np.ones(4), problem, np.random.default_rng(0))


def test_random_dictionary_holds_what_was_drawn(problem):
    for hold in ("decoder", "encoder"):
        control = ct.RandomDictionary(hold, "covariance")
        held = control.held_back(SmallDictionary(), problem, np.random.default_rng(5))
        expected = draw_directions("covariance", 6, problem, (), np.random.default_rng(5))
        found = held.fit(problem, stream(0))
        assert np.array_equal(getattr(found, hold), expected)
        free = "encoder" if hold == "decoder" else "decoder"
        assert not np.allclose(getattr(found, free), getattr(SmallDictionary().fit(problem, stream(0)), free))


@pytest.mark.parametrize("control", [ct.RandomDictionary(), ct.UntrainedDictionary()])
def test_other_trainers_are_refused_before_anything_is_fitted(problem, control):
    with pytest.raises(ct.CannotControl, match=r"needs a trainer that can .* got EstimatorTrainer"):
        ct.measure(LogisticRegression(), problem, controls=[control], draws=3)


def test_composition_with_a_control_on_the_finding_is_refused():
    with pytest.raises(ct.InputError, match="changes what is found"):
        ct.compose(ct.GaussianActivations(), ct.ShuffleDecoder())


def test_shuffled_decoder_is_the_plain_product(problem):
    decoder = np.random.default_rng(0).standard_normal((4, 5))
    drawn = ct.ShuffleDecoder().draw_finding(decoder, problem, np.random.default_rng(9))
    order = np.random.default_rng(9).permutation(4)
    latents = np.maximum(problem.X @ decoder.T, 0)
    assert np.array_equal(drawn.encode(problem.X), latents)
    assert np.allclose(drawn.decode(latents), latents @ decoder[order])
    with pytest.raises(ct.CannotControl, match="every permutation is the identity"):
        ct.ShuffleDecoder().draw_finding(decoder[:1], problem, np.random.default_rng(0))


@pytest.mark.parametrize("method", ["permute", "shift"])
@pytest.mark.parametrize("within", [None, "document"])
def test_surrogates_do_not_depend_on_blocks(problem, method, within, monkeypatch):
    found = SmallDictionary().fit(problem, stream(0))
    drawn = ct.SurrogateLatents(within, method).draw_finding(found, problem, np.random.default_rng(0))
    whole = latents_of(drawn, problem)
    for module in ("controls.core.dictionary._LATENTS_AT_ONCE", "controls.generators.surrogate_latents._NUMBERS"):
        monkeypatch.setattr(module, 7 * 6)
    assert np.array_equal(latents_of(drawn, problem), whole)
    blocks = list(drawn.blocks(problem))
    assert len(blocks) == 9
    assert np.array_equal(np.concatenate([block.latents for block in blocks]), whole)
    if within:
        with pytest.raises(ct.InputError, match=r"use finding.latents\(problem\)"):
            drawn.encode(problem.X)
    else:
        assert np.array_equal(drawn.encode(problem.X), whole)


def test_surrogates_are_uniform_over_placements():
    problem = ct.Problem(np.array([[1.0], [2.0], [0.0], [0.0], [5.0]]), groups={"document": [0, 0, 0, 1, 1]})
    counts: dict[bytes, int] = {}
    for i in range(1200):
        control = ct.SurrogateLatents("document")
        latents = latents_of(control.draw_finding(np.eye(1), problem, stream(i)), problem)
        counts[latents.tobytes()] = counts.get(latents.tobytes(), 0) + 1
    assert len(counts) == 12  # 3! placements of 1, 2 and 0, and 2 of 5 and 0
    assert stats.chisquare(list(counts.values())).pvalue > 1e-4


def best_auroc(finding, problem) -> float:
    """Return the area under the curve of the best latent, by scipy's ranks."""
    ranks = stats.rankdata(latents_of(finding, problem), axis=0)
    yes = problem.labels == 1
    above = ranks[yes].sum(axis=0) - yes.sum() * (yes.sum() + 1) / 2
    return float((above / (yes.sum() * (~yes).sum())).max())


def test_best_of_many_latents_has_its_nominal_size():
    rejected, worlds = 0, 300
    for world in range(worlds):
        rng = stream(world, "world")
        latents = rng.exponential(size=(40, 12)) * (rng.random((40, 12)) < rng.uniform(0.1, 0.6, size=12))
        problem = ct.Problem(latents, np.arange(40) % 2)
        drawn = [
            best_auroc(ct.SurrogateLatents().draw_finding(np.eye(12), problem, stream(world, i)), problem)
            for i in range(9)
        ]
        rejected += sum(score >= best_auroc(np.eye(12), problem) for score in drawn) == 0
    low, high = stats.binom.interval(1 - 1e-4, worlds, 0.1)
    assert low <= rejected <= high


def test_a_latent_that_says_the_label_is_found_among_many():
    rng = stream(0)
    latents = rng.exponential(size=(60, 40))
    labels = rng.integers(2, size=60)
    latents[:, 7] += 3.0 * labels
    problem = ct.Problem(latents, labels)

    scores = [
        best_auroc(ct.SurrogateLatents().draw_finding(np.eye(40), problem, stream(i)), problem) for i in range(99)
    ]
    assert best_auroc(as_dictionary(np.eye(40)), problem) > max(scores) > 0.6


def test_surrogates_of_one_row_each_are_refused(problem):
    with pytest.raises(ct.CannotControl, match="has one row"):
        ct.SurrogateLatents("row").check(problem.with_groups({"row": np.arange(60)}))
    with pytest.raises(ct.InputError, match="method must be one of"):
        ct.SurrogateLatents(method="roll")  # pyright: ignore[reportArgumentType]


def test_the_word_exact_is_withdrawn_where_units_have_several_rows(problem):
    in_units = ct.Problem(problem.X, groups=problem.groups, unit="document")
    assert ct.SurrogateLatents().caveats(problem, stream(0)) == ()
    (said,) = ct.SurrogateLatents("document").caveats(in_units, stream(0))
    assert "method='shift'" in said


def test_measure_holds_an_sae_beside_its_controls(problem):
    sae = ct.finders.SAE(8, k=2, steps=20, batch_size=30, lr=1e-2)
    battery = [ct.RandomDictionary(), ct.UntrainedDictionary(), ct.ShuffleDecoder(), ct.SurrogateLatents()]
    settings = {"controls": battery, "cv": 2, "draws": 3, "seed": 0}
    result = ct.measure(sae, problem, scoring=ct.metrics.explained_variance, **settings)
    for found in result.comparisons:
        assert len(set(found.control_scores)) == 3
    alike = ct.measure(sae, problem, scoring=ct.metrics.MMCS(np.eye(5), alive_only=False), **settings)
    for name in ("ShuffleDecoder", "SurrogateLatents"):  # directions are the same
        assert np.allclose(alike[name].control_scores, alike.score)


def test_probes_that_are_not_their_coefficients_are_refused():
    from sklearn.cross_decomposition import PLSRegression
    from sklearn.svm import SVC

    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 4)) + 3
    for estimator, labels, words in (
        (SVC(kernel="linear"), X[:, 0] > 3, "a SVC, whose coef_ is computed"),
        (PLSRegression(2), X @ [1.0, 2, 0, 0], "a PLSRegression, which does not score activations by coef_"),
    ):
        with pytest.raises(ct.ControlsError, match=words):
            ct.measure(estimator, ct.Problem(X, labels), controls=[ct.RandomDirections()], draws=3, cv=2)
