"""The real libraries: sae-lens, dictionary-learning and eai-sparsify. ``make test-extras`` installs them."""

import copy
import importlib
import os
import random

import numpy as np
import pytest
import torch

import controls as ct
from controls.core.errors import CannotControl, InputError, TrainerError
from controls.ground_truth import PlantedDictionary, SparseFeatures, random_directions
from tests.extras.libraries import needs

pytestmark = pytest.mark.filterwarnings("ignore")  # the libraries and what they import warn of many things
STEPS = {"steps": 300, "batch_size": 256}


def saelens(kind="TopK", settings=(), **config):
    library = needs("sae_lens")
    given = {"k": 3} if "TopK" in kind else {}
    config = getattr(library, f"{kind}TrainingSAEConfig")(**{"d_in": 16, "d_sae": 32, **given, **config})
    return ct.finders.SAELens(config, lr=5e-3, settings=dict(settings), **STEPS)


def dictionary_learning(module="top_k", name="TopKTrainer", normalize_activations=False, **settings):
    needs("dictionary_learning")
    kind = getattr(importlib.import_module(f"dictionary_learning.trainers.{module}"), name)
    given = {} if name in ("StandardTrainer", "JumpReluTrainer") else {"k": 3}
    config = {"trainer": kind, "dict_size": 32, "lr": 5e-3, "warmup_steps": 20}
    return ct.finders.DictionaryLearning(
        {**config, **given, **settings}, normalize_activations=normalize_activations, **STEPS
    )


def sparsify(**settings):
    library = needs("sparsify")
    given = {"num_latents": 32, "k": 3, **settings}
    return ct.finders.Sparsify(library.SparseCoderConfig(**given), lr=5e-3, **STEPS)


@pytest.fixture(scope="module")
def directions():
    return random_directions(32, 16, np.random.default_rng(0))


@pytest.fixture(scope="module")
def problem(directions):
    world = PlantedDictionary(directions, SparseFeatures(32, rate=3 / 32), noise=0.02)
    return ct.Problem(world.sample(2000, np.random.default_rng(1)).X)


@pytest.fixture(scope="module")
def elsewhere():
    return random_directions(32, 16, np.random.default_rng(3))


# What each trains, and the least variance that it must explain here; its features are 3 of 32 on average.
WORKS = {
    "sae-lens TopK": (saelens, 0.6),
    "sae-lens BatchTopK": (lambda: saelens("BatchTopK"), 0.6),
    "sae-lens Matryoshka": (lambda: saelens("MatryoshkaBatchTopK", matryoshka_widths=[8, 32]), 0.6),
    "sae-lens Standard": (lambda: saelens("Standard", l1_coefficient=0.1), 0.7),
    "sae-lens JumpReLU": (lambda: saelens("JumpReLU", l0_coefficient=0.1), 0.7),
    "sae-lens Gated": (lambda: saelens("Gated", l1_coefficient=0.1), 0.7),
    "sae-lens scaled": (lambda: saelens(normalize_activations="expected_average_only_in"), 0.6),
    "sae-lens whitened": (lambda: saelens(normalize_activations="covariance_whitening"), 0.6),
    "sae-lens with warm-up": (lambda: saelens(settings={"lr_warm_up_steps": 30, "lr_decay_steps": 60}), 0.6),
    "dictionary-learning TopK": (dictionary_learning, 0.6),
    "dictionary-learning scaled": (lambda: dictionary_learning(normalize_activations=True), 0.6),
    "dictionary-learning BatchTopK": (
        lambda: dictionary_learning("batch_top_k", "BatchTopKTrainer", threshold_start_step=100),
        0.6,
    ),
    "dictionary-learning Standard": (
        lambda: dictionary_learning("standard", "StandardTrainer", l1_penalty=0.1, sparsity_warmup_steps=30),
        0.7,
    ),
    "dictionary-learning JumpReLU": (
        lambda: dictionary_learning("jumprelu", "JumpReluTrainer", target_l0=3, sparsity_warmup_steps=30),
        0.6,
    ),
    "sparsify": (sparsify, 0.6),
    "sparsify Multi-TopK": (lambda: sparsify(multi_topk=True), 0.6),
}
HOLDABLE = [name for name in WORKS if "whitened" not in name]
EXACTLY_K = ("sae-lens TopK", "dictionary-learning TopK", "sparsify")
LIBRARIES = ("sae-lens TopK", "dictionary-learning TopK", "sparsify")


@pytest.mark.parametrize("name", WORKS)
def test_trains_on_the_rows_of_a_problem(name, problem):
    make, least = WORKS[name]
    found = make().fit(problem, np.random.default_rng(1))
    assert found.decoder.shape == (32, 16)
    assert ct.metrics.explained_variance(found, problem) > least
    active = (found.encode(problem.X) > 0).sum(axis=1)
    assert active.mean() < 20
    if name in EXACTLY_K:
        assert active.max() <= 3


@pytest.mark.parametrize("name", HOLDABLE)
@pytest.mark.parametrize(("part", "least"), [("decoder", 1.0), ("decoder", 0.9), ("encoder", 1.0)])
def test_held_directions_stay_where_they_are(name, part, least, problem, elsewhere):
    trainer = WORKS[name][0]()
    held = trainer.held(part, elsewhere, least).fit(problem, np.random.default_rng(1))
    free = trainer.fit(problem, np.random.default_rng(1))
    rows = held.decoder if part == "decoder" else held.encoder
    cosines = (rows * elsewhere).sum(axis=1) / np.linalg.norm(rows, axis=1)
    assert cosines.min() >= least - 1e-5
    assert (cosines.max() - cosines.min() < 1e-5) if least == 1 else (cosines.min() < 0.99)
    explained = ct.metrics.explained_variance
    assert 0.3 < explained(held, problem) < explained(free, problem)


@pytest.mark.parametrize("name", LIBRARIES)
def test_untrained_is_where_training_starts(name, problem):
    trainer = WORKS[name][0]()
    untrained = trainer.untrained().fit(problem, np.random.default_rng(1))
    again = trainer.untrained().fit(problem, np.random.default_rng(1))
    np.testing.assert_array_equal(untrained.decoder, again.decoder)
    explained = ct.metrics.explained_variance
    assert explained(untrained, problem) < explained(trainer.fit(problem, np.random.default_rng(1)), problem) - 0.2
    # rows that nobody trained are no nearer to their own encoder than a transpose
    cosine = (untrained.decoder * untrained.encoder).sum(axis=1)
    lengths = np.linalg.norm(untrained.decoder, axis=1) * np.linalg.norm(untrained.encoder, axis=1)
    np.testing.assert_allclose(cosine / lengths, 1, atol=1e-5)


@pytest.mark.parametrize("name", LIBRARIES)
def test_seeds_come_from_the_rng_handed_in(name, problem):
    trainer = WORKS[name][0]()
    one, same, other = (trainer.fit(problem, np.random.default_rng(seed)).decoder for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 0.01


@pytest.mark.parametrize("name", LIBRARIES)
@pytest.mark.parametrize("fails", [False, True])
def test_leaves_the_process_as_it_was(name, fails, problem, tmp_path, monkeypatch, capfd):
    trainer = WORKS[name][0]()
    trainer.untrained().fit(problem, np.random.default_rng(1))  # imports everything
    if fails:
        monkeypatch.setattr(torch.optim.Adam, "step", lambda *_: 1 / 0)
    monkeypatch.chdir(tmp_path)
    capfd.readouterr()

    def state():
        generators = (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())  # noqa: NPY002
        return *generators, torch.get_default_dtype(), torch.get_num_threads(), dict(os.environ), os.getcwd()

    before, problems_own = state(), np.array(problem.X)
    if fails:
        with pytest.raises(TrainerError, match="failed: ZeroDivisionError"):
            trainer.fit(problem, np.random.default_rng(1))
    else:
        trainer.fit(problem, np.random.default_rng(1))
    assert state() == before
    np.testing.assert_array_equal(problem.X, problems_own)
    assert not list(tmp_path.iterdir())
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", LIBRARIES)
def test_the_callers_config_stays_as_it_was(name, problem):
    trainer = WORKS[name][0]()
    given = trainer.config
    before = copy.deepcopy(given)
    trainer.fit(problem, np.random.default_rng(1))
    trainer.untrained().fit(problem, np.random.default_rng(1))
    if isinstance(given, dict):
        assert given == before
    else:
        assert str(given.to_dict()) == str(before.to_dict())


def test_rows_that_diverge_are_named(problem):
    trainer = ct.finders.SAELens(saelens("Standard", l1_coefficient=0.1).config, steps=50, batch_size=64, lr=1e30)
    with pytest.raises(TrainerError, match="NaN or infinite"):
        trainer.fit(problem, np.random.default_rng(1))


def test_options_that_saelens_does_not_know_are_refused(problem):
    with pytest.raises(InputError, match=r"settings must be of .*lr_warm_up_steps.*; got learning_rate"):
        saelens(settings={"learning_rate": 1}).fit(problem, np.random.default_rng(1))


def test_thresholds_that_training_did_not_reach_are_refused(problem):
    with pytest.raises(TrainerError, match="no threshold for the BatchTopK SAE in 300 steps"):
        dictionary_learning("batch_top_k", "BatchTopKTrainer").fit(problem, np.random.default_rng(1))


def test_a_batch_topk_sae_cannot_be_left_untrained():
    with pytest.raises(CannotControl, match="training finds its threshold"):
        saelens("BatchTopK").untrained()


def test_whitened_directions_cannot_be_held(elsewhere):
    with pytest.raises(CannotControl, match="whitened"):
        saelens(normalize_activations="covariance_whitening").held("decoder", elsewhere)


def test_a_loaded_sae_is_used_as_it_is(problem):
    library = needs("sae_lens")
    torch.manual_seed(0)
    sae = library.TopKSAE(library.TopKSAEConfig(d_in=16, d_sae=32, k=3))
    found = ct.finders.Pretrained(sae).fit(problem, np.random.default_rng(0))
    with torch.no_grad():
        expected = sae(torch.tensor(np.array(problem.X), dtype=torch.float32)).numpy()
    np.testing.assert_allclose(found.decode(found.encode(problem.X)), expected, atol=1e-5)


@pytest.mark.parametrize("name", LIBRARIES)
def test_stands_beside_controls(name, problem, directions):
    trainer = WORKS[name][0]()
    result = ct.measure(
        trainer,
        problem,
        scoring=ct.metrics.MMCS(directions),
        controls=[ct.GaussianActivations(), ct.RandomDictionary(), ct.UntrainedDictionary()],
        cv=2,
        draws=2,
        seed=0,
    )
    for row in result.comparisons:
        assert row.control_mean < result.score - 0.1


@pytest.mark.parametrize("name", LIBRARIES)
def test_what_was_kept_is_found_again(name, problem, tmp_path):
    settings = {"scoring": ct.metrics.explained_variance, "controls": [ct.GaussianActivations()], "cv": 2, "draws": 2}
    first = ct.measure(WORKS[name][0](), problem, store=tmp_path / "kept", **settings)
    again = ct.measure(WORKS[name][0](), problem, store=tmp_path / "kept", **settings)
    assert first.provenance.study_key == again.provenance.study_key is not None
    assert first.comparisons[0].control_mean == again.comparisons[0].control_mean
