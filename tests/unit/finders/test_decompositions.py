"""PCA, NMF and ICA beside scikit-learn's own, and what they refuse."""

import numpy as np
import pytest
from sklearn import decomposition

import controls as ct
from controls.core.errors import CannotControl, ControlsWarning, InputError


@pytest.fixture(name="X")
def rows() -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.laplace(size=(100, 4)) @ rng.normal(size=(4, 6)) + 5


def test_they_are_those_of_scikit_learn(X):
    rng = np.random.default_rng(0)
    for trainer, model, given in (
        (ct.finders.PCA(3), decomposition.PCA(3), X),
        (ct.finders.NMF(3, max_iter=3000), decomposition.NMF(3, init="nndsvda", max_iter=3000), np.abs(X)),
    ):
        found = trainer.fit(ct.Problem(given), rng)
        model.fit(given)
        np.testing.assert_allclose(found.encode(given), model.transform(given), atol=1e-8)
        back = model.inverse_transform(model.transform(given))
        np.testing.assert_allclose(found.decode(found.encode(given)), back, atol=1e-8)
    found = ct.finders.ICA(4).fit(ct.Problem(X), rng)
    np.testing.assert_allclose(found.decode(found.encode(X)), X, atol=1e-6)


def test_they_are_measured_beside_controls(X):
    both = ct.Problem({"a": X, "b": X[:, :2]})
    result = ct.measure(
        ct.finders.PCA(2, sites=("a", "b")),
        both,
        controls=[ct.ShuffleDecoder()],
        scoring=ct.metrics.explained_variance,
        cv=2,
        draws=3,
    )
    assert result.score > result.comparisons[0].control_mean


def test_what_they_cannot_do_is_said(X):
    rng = np.random.default_rng(0)
    for trainer in (ct.finders.PCA(2), ct.finders.NMF(2), ct.finders.ICA(2)):
        for control in (ct.RandomDictionary(), ct.UntrainedDictionary()):
            with pytest.raises(CannotControl, match="RandomDirections"):
                control.held_back(trainer, ct.Problem(X), rng)
    with pytest.raises(InputError, match="must not be below 0 for NMF"):
        ct.finders.NMF(2).fit(ct.Problem(X - X.mean()), rng)
    with pytest.raises(InputError, match="n_latents must be at most rows and features"):
        ct.finders.PCA(7).fit(ct.Problem(X), rng)
    with pytest.raises(InputError, match="must vary"):
        ct.finders.PCA(1).fit(ct.Problem(np.ones((5, 2))), rng)
    with pytest.warns(ControlsWarning, match="did not converge"):
        ct.finders.NMF(3, max_iter=1).fit(ct.Problem(np.abs(X)), rng)


def test_more_components_than_the_rank_are_refused():
    rng = np.random.default_rng(0)
    flat = rng.laplace(size=(100, 2)) @ rng.normal(size=(2, 6)) + 3.0
    with pytest.raises(InputError, match="n_latents must be at most the rank of the activations, 2, got 4"):
        ct.finders.ICA(4).fit(ct.Problem(flat), rng)
