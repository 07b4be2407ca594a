"""Trainers of other libraries, with the real ones; skipped where they are missing (``make test-extras`` has them)."""

import copy
import os
import random

import numpy as np
import pytest
import torch

import controls as ct
from controls.core.errors import InputError, InputTypeError
from controls.ground_truth import PlantedDictionary, SparseFeatures, random_directions
from tests.extras.libraries import needs

D, M, K = 16, 32, 3


@pytest.fixture(scope="module")
def planted():
    rng = np.random.default_rng(0)
    directions = random_directions(M, D, rng)
    world = PlantedDictionary(directions, SparseFeatures(M, rate=3 / 32), noise=0.02)
    return directions, ct.Problem(world.sample(4000, rng).X)


def saelens(architecture: str = "TopK"):
    library = needs("sae_lens")
    config = getattr(library, f"{architecture}TrainingSAEConfig")(d_in=D, d_sae=M, k=K)
    return ct.finders.SAELens(config, steps=800, batch_size=256, lr=3e-3)


def dictionary_learning(architecture: str = "TopK"):
    needs("dictionary_learning")
    from dictionary_learning.trainers.top_k import TopKTrainer

    config = {"trainer": TopKTrainer, "dict_size": M, "k": K, "layer": 0, "lm_name": "", "lr": 3e-3, "warmup_steps": 50}
    return ct.finders.DictionaryLearning(config, steps=800, batch_size=256)


def sparsify():
    library = needs("sparsify")
    return ct.finders.Sparsify(library.SparseCoderConfig(num_latents=M, k=K), steps=800, batch_size=256, lr=3e-3)


MAKERS = {"sae_lens": saelens, "dictionary_learning": dictionary_learning, "sparsify": sparsify}


@pytest.fixture(params=list(MAKERS))
def trainer(request):
    return MAKERS[request.param]()


def content(config):
    return copy.deepcopy(config if isinstance(config, dict) else dict(vars(config)))


def test_it_finds_what_is_planted(trainer, planted):
    directions, problem = planted
    found = trainer.fit(problem, np.random.default_rng(1))
    assert ct.metrics.MMCS(directions)(found, problem) > 0.8
    assert ct.metrics.explained_variance(found, problem) > 0.7
    assert -ct.metrics.neg_l0(found, problem) <= K + 0.01
    one_by_one = np.concatenate([found.encode(problem.X[[row]]) for row in range(5)])
    np.testing.assert_allclose(one_by_one, found.encode(problem.X[:5]), atol=1e-5)


def test_nothing_of_the_callers_is_changed(trainer, planted):
    _, problem = planted
    before, X = content(trainer.config), problem.X.copy()
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()  # noqa: NPY002
    environment, folder, threads = dict(os.environ), os.getcwd(), torch.get_num_threads()
    one, two = (trainer.fit(problem, np.random.default_rng(3)) for _ in range(2))
    assert np.array_equal(one.decoder, two.decoder)
    assert {name: str(value) for name, value in content(trainer.config).items()} == {
        n: str(v) for n, v in before.items()
    }
    assert np.array_equal(problem.X, X)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert random.getstate() == states[1]
    assert np.array_equal(np.random.get_state()[1], states[2])  # noqa: NPY002
    assert (dict(os.environ), os.getcwd(), torch.get_num_threads()) == (environment, folder, threads)


def test_it_is_measured_beside_controls(trainer, planted):
    directions, problem = planted
    result = ct.measure(
        trainer,
        problem,
        controls=[ct.GaussianActivations(), ct.RandomDirections()],
        scoring=ct.metrics.MMCS(directions),
        cv=2,
        draws=2,
    )
    for comparison in result.comparisons:
        assert comparison.score > comparison.control_scores.max() + 0.1


def test_batches_do_not_matter_to_a_row_of_batch_top_k(planted):
    directions, problem = planted
    found = saelens("BatchTopK").fit(problem, np.random.default_rng(1))
    one_by_one = np.concatenate([found.encode(problem.X[[row]]) for row in range(5)])
    np.testing.assert_allclose(one_by_one, found.encode(problem.X[:5]), atol=1e-5)
    assert ct.metrics.MMCS(directions)(found, problem) > 0.75


def test_saelens_is_held(planted):
    _, problem = planted
    given = random_directions(M, D, np.random.default_rng(5))
    held = saelens().held("decoder", given).fit(problem, np.random.default_rng(0))
    np.testing.assert_allclose(held.directions, given, atol=1e-6)
    near = saelens().held("decoder", given, 0.8).fit(problem, np.random.default_rng(0))
    cosines = (near.directions * given).sum(axis=1)
    assert cosines.min() > 0.8 - 1e-5
    assert cosines.max() < 1 - 1e-3 or cosines.min() < 0.99


def test_what_cannot_be_done_is_said(planted):
    _, problem = planted
    wide = ct.Problem(np.hstack([problem.X, problem.X]))
    with pytest.raises(InputError, match="d_in = 32"):
        saelens().fit(wide, np.random.default_rng(0))
    with pytest.raises(InputTypeError, match="config must be a training SAE config"):
        ct.finders.SAELens({"k": 3})
    with pytest.raises(InputError, match="config must have 'trainer'"):
        ct.finders.DictionaryLearning({"dict_size": 3})
