"""Metrics of dictionaries against brute force, scikit-learn and scipy."""

import itertools

import numpy as np
import pytest
from sklearn.metrics import r2_score

import controls as ct
from controls.core.dictionary import Dictionary
from controls.core.errors import InputError, InputTypeError, TrainerError
from controls.core.rng import stream

M = ct.metrics


def cut(X, V):
    """What a decoder matrix V makes of X: inner products where positive, put together again."""
    return np.maximum(X @ V.T, 0) @ V


@pytest.fixture(scope="module")
def world():
    rng = stream(0, "dictionary metrics")
    V = rng.normal(size=(6, 4)) * 0.5
    V[3] = 0  # a decoder row of zeros
    return V, ct.Problem(rng.gamma(1.0, size=(50, 4)) - 0.4)


def test_explained_variance_is_r2_over_all_features(world):
    V, problem = world
    found = M.explained_variance(V, problem)
    assert found == pytest.approx(r2_score(problem.X, cut(problem.X, V), multioutput="variance_weighted"), rel=1e-12)
    assert M.neg_fvu(V, problem) == pytest.approx(found - 1, rel=1e-12)


def test_explained_variance_does_not_depend_on_blocks_or_offset(world, monkeypatch):
    V, problem = world
    whole = M.explained_variance(V, problem)
    monkeypatch.setattr("controls.core.dictionary._LATENTS_AT_ONCE", 18)
    monkeypatch.setattr("controls.metrics._latents._ROWS_AT_ONCE", 7)
    assert M.explained_variance(V, problem) == whole


def test_cosine_similarity_and_l0_are_those_of_rows(world):
    V, problem = world
    R = cut(problem.X, V)
    lengths = np.linalg.norm(R, axis=1) * np.linalg.norm(problem.X, axis=1)
    cosines = [r @ x / length if length else 0 for r, x, length in zip(R, problem.X, lengths, strict=True)]
    assert M.cosine_similarity(V, problem) == pytest.approx(np.mean(cosines), rel=1e-12)
    active = (problem.X @ V.T > 0).sum(axis=1)
    assert M.neg_l0(V, problem) == -active.mean()
    assert np.array_equal(M.neg_l0(V, problem).values[:, 0], -active)
    assert M.neg_dead_share(V, problem) == -1 / 6  # the row of zeros never fires


def test_several_sites_are_scored_together():
    class Twice(Dictionary):
        reads, writes = ("a",), ("a", "b")
        decoder = np.eye(2, 4)

        def encode(self, activations):
            return activations

        def decode(self, latents):
            return np.concatenate([latents, 0 * latents], axis=1)

    rng = stream(1, "sites")
    a, b = rng.normal(size=(2, 30, 2))
    expected = 1 - np.square(b).sum() / sum(np.square(x - x.mean(axis=0)).sum() for x in (a, b))
    assert M.explained_variance(Twice(), ct.Problem({"a": a, "b": b})) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("value", [0.0, 1e8, 0.1])
def test_activations_that_do_not_vary_are_refused(value):
    with pytest.raises(InputError, match="must vary"):
        M.explained_variance(np.eye(3), ct.Problem(np.full((20, 3), value)))


class Broken(Dictionary):
    def __init__(self, latents=None, reconstruction=None):
        self.latents_given, self.reconstruction_given = latents, reconstruction

    decoder = np.eye(3)

    def encode(self, activations):
        return activations if self.latents_given is None else self.latents_given

    def decode(self, latents):
        return latents if self.reconstruction_given is None else self.reconstruction_given


@pytest.mark.parametrize(
    ("broken", "metric", "sentence"),
    [
        (Broken(reconstruction=np.ones((5, 2))), M.explained_variance, "decode must return"),
        (Broken(reconstruction=np.ones((1, 3))), M.explained_variance, "decode must return"),
        (Broken(reconstruction=np.full((5, 3), np.nan)), M.cosine_similarity, "must be finite"),
        (Broken(latents=np.ones((5, 2))), M.neg_l0, "encode must return"),
        (Broken(latents=np.full((5, 3), np.inf)), M.neg_dead_share, "must be finite"),
        (Broken(latents=np.zeros((5, 3))), M.MMCS(np.eye(3)), "must have a latent that fires"),
        (np.full((3, 3), np.nan), M.explained_variance, "a decoder must be finite"),
    ],
)
def test_broken_dictionaries_are_refused(broken, metric, sentence):
    with pytest.raises(TrainerError, match=sentence):
        metric(broken, ct.Problem(np.ones((5, 3)) + np.eye(5, 3)))


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize("absolute", [False, True])
def test_mmcs_is_the_mean_of_largest_cosines(world, absolute, monkeypatch):
    monkeypatch.setattr("controls.metrics.recovery._AT_ONCE", 11)
    V, problem = world
    truth = stream(2, "truth").normal(size=(7, 4)) * 3
    C = unit(truth) @ unit(V[V.any(axis=1)]).T
    expected = (np.abs(C) if absolute else C).max(axis=1).mean()
    assert M.MMCS(truth, absolute=absolute)(V, problem) == pytest.approx(expected, rel=1e-12)


def test_latents_that_never_fire_are_left_out():
    V, problem = np.eye(3), ct.Problem([[1.0, -1.0, -2.0], [2.0, -1.0, 1.0]])
    assert M.MMCS(np.eye(3))(V, problem) == pytest.approx(2 / 3)
    assert M.MMCS(np.eye(3), alive_only=False)(V, problem) == 1
    assert M.Recovery(np.eye(3))(V, problem) == pytest.approx(2 / 3)
    assert M.Recovery(np.eye(3), alive_only=False)(V, problem) == 1


@pytest.mark.parametrize(("k", "m"), [(4, 5), (5, 4), (1, 3), (3, 1)])
@pytest.mark.parametrize("absolute", [False, True])
def test_matching_is_the_best_of_all_assignments(k, m, absolute):
    rng = stream(3, k, m)
    truth, V = rng.normal(size=(k, 3)), rng.normal(size=(m, 3))
    recovery = M.Recovery(truth, threshold=0.5, absolute=absolute, alive_only=False)
    problem = ct.Problem(np.ones((2, 3)))
    matched = recovery.matched_cosines(V, problem)
    C = unit(truth) @ unit(V).T
    C = np.abs(C) if absolute else C
    short, wide = (C, False) if k <= m else (C.T, True)
    best = max(
        itertools.permutations(range(short.shape[1]), short.shape[0]),
        key=lambda order: sum(short[i, j] for i, j in enumerate(order)),
    )
    expected = np.full(k, np.nan)
    for i, j in enumerate(best):
        expected[j if wide else i] = short[i, j]
    assert np.allclose(matched, expected, equal_nan=True)
    assert recovery(V, problem) == pytest.approx(np.nan_to_num(expected > 0.5).mean())


@pytest.mark.parametrize(
    "truth", [np.ones(3), np.zeros((2, 3)), [[np.nan, 1.0]], np.ones((2, 0))], ids=["flat", "zeros", "nan", "empty"]
)
def test_bad_truth_is_refused(truth):
    with pytest.raises(InputError, match="truth"):
        M.MMCS(truth)


def test_other_widths_are_refused(world):
    V, problem = world
    for metric in (M.MMCS(np.eye(3)), M.Recovery(np.eye(3))):
        with pytest.raises(InputError, match="dictionary's 4 features, got 3"):
            metric(V, problem)


def test_settings_are_checked_at_the_door():
    for wrong in ({"threshold": 2}, {"threshold": "a"}, {"absolute": 1}, {"alive_only": None}):
        with pytest.raises(InputError, match=next(iter(wrong))):
            M.Recovery(np.eye(2), **wrong)


def test_decompositions_of_scikit_learn_are_what_they_transform_to():
    from sklearn.decomposition import PCA

    X = np.random.default_rng(0).normal(size=(80, 5)) * [5, 3, 1, 1, 1] + 10
    whole, two = PCA(5).fit(X), PCA(2).fit(X)
    assert M.explained_variance(whole, ct.Problem(X)) == pytest.approx(1, abs=1e-12)
    assert M.explained_variance(two, ct.Problem(X)) == pytest.approx(two.explained_variance_ratio_.sum(), abs=1e-9)


def test_the_decoder_of_a_decomposition_is_what_its_components_add():
    from sklearn.decomposition import PCA, FactorAnalysis, FastICA

    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(4, 4))
    problem = ct.Problem(rng.laplace(size=(2000, 4)) @ mixing)
    ica = FastICA(4, whiten="unit-variance", random_state=0).fit(problem.X)
    assert M.MMCS(mixing, absolute=True)(ica, problem) > 0.99
    white = PCA(2, whiten=True).fit(problem.X)
    directions = np.abs(np.asarray(M.MMCS(PCA(2).fit(problem.X).components_).per_direction(white, problem)))
    np.testing.assert_allclose(directions, 1)
    with pytest.raises(InputTypeError, match="such as this FactorAnalysis, must have encode and decode"):
        M.explained_variance(FactorAnalysis(2).fit(problem.X), problem)


def test_modules_are_scored_in_evaluation_mode_and_keep_their_own():
    torch = pytest.importorskip("torch")

    class Dropped(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.decoder, self.drop = torch.nn.Linear(6, 4), torch.nn.Dropout(0.5)

        def encode(self, rows):
            return self.drop(torch.relu(rows @ self.decoder.weight))

        def decode(self, latents):
            return self.decoder(latents)

    module, problem = Dropped(), ct.Problem(np.random.default_rng(0).normal(size=(30, 4)))
    before = torch.get_rng_state()
    assert M.explained_variance(module, problem) == M.explained_variance(module, problem)
    ct.measure(ct.finders.Pretrained(module), problem, controls=[ct.ShuffleDecoder()], scoring=M.neg_l0, draws=3, cv=2)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(part.training for part in module.modules())


def test_objects_of_tensors_get_tensors():
    torch = pytest.importorskip("torch")

    class Plain:
        W_dec = torch.eye(4)

        def encode(self, rows):
            return torch.relu(rows @ self.W_dec.T)

        def decode(self, latents):
            return latents @ self.W_dec

    assert M.explained_variance(Plain(), ct.Problem(np.abs(np.random.default_rng(0).normal(size=(9, 4))))) > 0.999


def test_modules_whose_latents_cannot_be_told_are_refused():
    torch = pytest.importorskip("torch")

    class Autoencoder(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder, self.decoder = torch.nn.Linear(4, 6), torch.nn.Linear(6, 4)

        def forward(self, rows):
            return self.decoder(torch.relu(self.encoder(rows)))

    with pytest.raises(InputTypeError, match="such as this Autoencoder, must have encode and decode"):
        M.explained_variance(Autoencoder(), ct.Problem(np.eye(4)))
