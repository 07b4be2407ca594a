"""The attention head on skip feature-bigrams against enumeration and simulation."""

import numpy as np
import pytest
from scipy.stats import chisquare
from sklearn.metrics import roc_auc_score

import controls as ct
from controls.ground_truth import SkipBigrams

SMALL = SkipBigrams(m=6, d_model=5, d_head=3, n_bigrams=10, seed=3)


def test_scores_are_the_bilinear_form_through_the_projection():
    query, key = SMALL.query_and_key
    F, (i, j) = SMALL.features, SMALL.bigrams.T
    ideal = sum(np.outer(F[a], F[b]) for a, b in zip(i, j, strict=True))
    np.testing.assert_allclose(key @ key.T, np.eye(3), atol=1e-12)
    form = ideal @ (5 / 3 * key.T @ key)
    np.testing.assert_allclose(query.T @ key, form, atol=1e-12)
    a, b = np.divmod(np.arange(36), 6)
    np.testing.assert_allclose(SMALL.scores(a, b), np.einsum("nd,de,ne->n", F[a], form, F[b]), atol=1e-12)


def test_without_a_narrow_head_both_projections_are_the_ideal_form():
    full = [SkipBigrams(m=9, d_model=4, d_head=4, n_bigrams=5, projection=name) for name in ("random", "svd")]
    forms = [query.T @ key for query, key in (head.query_and_key for head in full)]
    np.testing.assert_allclose(*forms, atol=1e-12)


def test_bigrams_and_other_pairs_are_drawn_uniformly():
    assert len(np.unique(SMALL.bigrams, axis=0)) == 10
    absent = SMALL.absent(5200, np.random.default_rng(0)) @ [6, 1]
    counts = np.bincount(absent, minlength=36)
    assert (counts[SMALL.bigrams @ [6, 1]] == 0).all()
    assert chisquare(counts[counts > 0]).pvalue > 1e-3
    assert (counts > 0).sum() == 26
    problem = SMALL.sample(4000, np.random.default_rng(1))
    pairs = np.stack([problem.groups["from"], problem.groups["to"]], axis=1) @ [6, 1]
    np.testing.assert_array_equal(problem.labels, np.isin(pairs, SMALL.bigrams @ [6, 1]))
    assert chisquare(np.bincount(pairs[problem.labels == 1], minlength=36)[SMALL.bigrams @ [6, 1]]).pvalue > 1e-3


def test_the_torch_module_scores_positions():
    import torch

    problem = SMALL.sample(30, np.random.default_rng(2))
    source = problem.source
    np.testing.assert_allclose(source.extract(source.model, source.inputs), problem.X, atol=1e-12)
    np.testing.assert_allclose(problem.array_at("input"), source.inputs.reshape(30, -1))
    assert [name for name, _ in source.model.named_parameters()] == ["query.weight", "key.weight"]
    stream = torch.tensor(SMALL.features[None])
    every = source.model(stream)[0].detach().numpy()
    assert every[4, 2] == pytest.approx(SMALL.scores(np.array([4]), np.array([2]))[0])


@pytest.mark.parametrize(("d_model", "d_head", "n_bigrams"), [(16, 4, 30), (16, 12, 30), (40, 8, 150)])
def test_noise_has_the_predicted_standard_deviation(d_model, d_head, n_bigrams):
    heads = [SkipBigrams(m=20, d_model=d_model, d_head=d_head, n_bigrams=n_bigrams, seed=seed) for seed in range(300)]
    rng = np.random.default_rng(5)
    squares = np.array([np.square(head.scores(*head.absent(300, rng).T)).mean() for head in heads])
    signals = [head.scores(*head.bigrams[rng.integers(n_bigrams, size=300)].T).mean() for head in heads]
    assert abs(squares.mean() - heads[0].truth.noise ** 2) < 4 * squares.std() / np.sqrt(300)
    assert abs(np.mean(signals) - 1) < 4 * np.std(signals) / np.sqrt(300)


def test_a_lone_bigram_has_the_predicted_spread():
    own = np.array(
        [h.scores(*h.bigrams.T)[0] for h in (SkipBigrams(30, 12, 5, n_bigrams=1, seed=s) for s in range(900))]
    )
    deviations = np.square(own - 1)
    truth = SkipBigrams(30, 12, 5, n_bigrams=1).truth
    assert abs(deviations.mean() - truth.signal**2) < 4 * deviations.std() / 30


def test_the_auc_law_holds_and_singular_directions_beat_random_ones():
    laws, found = [], {"random": [], "svd": []}
    for seed in range(4):
        for name, values in found.items():
            head = SkipBigrams(m=400, d_model=100, d_head=25, n_bigrams=600, projection=name, seed=seed)
            problem = head.sample(4000, np.random.default_rng(seed))
            values.append(roc_auc_score(problem.labels, problem.X[:, 0]))
            if name == "random":
                laws.append(head.truth.auc)
    assert np.mean(found["random"]) == pytest.approx(np.mean(laws), abs=0.02)
    assert min(found["svd"]) > max(found["random"])


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"d_model": 4, "d_head": 5, "n_bigrams": 1}, "d_head must be at most d_model = 4"),
        ({"m": 4, "d_head": 2, "n_bigrams": 9}, "at most half of all m² = 16"),
        ({"projection": "pca"}, "projection must be one of"),
    ],
)
def test_refusals(settings, sentence):
    with pytest.raises(ct.InputError, match=sentence):
        SkipBigrams(**settings)


def test_the_law_of_singular_directions_is_not_known():
    with pytest.raises(ct.InputError, match="measure it"):
        _ = SkipBigrams(n_bigrams=5, projection="svd").truth
