import dataclasses
import os
import random
import sys
import types
import warnings

import numpy as np
import pytest
import torch

import controls as ct
from controls.core.errors import CannotControl, InputError, InputTypeError, TrainerError
from controls.core.key import content_key
from controls.finders._module import Hold, endless
from controls.finders._undisturbed import imported, member, undisturbed


@pytest.fixture
def problem():
    return ct.Problem(np.random.default_rng(0).normal(size=(60, 4)))


def state_of_the_process():
    return (
        random.getstate(),
        [each.tolist() if isinstance(each, np.ndarray) else each for each in np.random.get_state()],  # noqa: NPY002
        torch.get_rng_state().tolist(),
        torch.get_default_dtype(),
        torch.get_num_threads(),
        torch.is_grad_enabled(),
        torch.get_float32_matmul_precision(),
        torch.are_deterministic_algorithms_enabled(),
        dict(os.environ),
        os.getcwd(),
        list(warnings.filters),
        sys.stdout,
        sys.stderr,
    )


def disturb():
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    torch.manual_seed(1)
    torch.set_default_dtype(torch.float64)
    torch.set_grad_enabled(False)
    torch.set_float32_matmul_precision("medium")
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(torch.get_num_threads() + 1)
    os.environ["CONTROLS_TEST"] = "1"
    os.environ.pop("HOME", None)
    os.chdir("/")
    warnings.simplefilter("ignore")


@pytest.mark.parametrize("fails", [False, True])
def test_functions_that_change_the_process_leave_it_as_it_was(problem, fails, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))

    def rude(activations, seed):
        with open("left.txt", "w") as file:
            file.write("here")
        print("noise")
        disturb()
        if fails:
            raise RuntimeError("no luck")
        return np.eye(4)

    before = state_of_the_process()
    trainer = ct.finders.Function(rude)
    if fails:
        with pytest.raises(TrainerError, match="rude failed: RuntimeError: no luck"):
            trainer.fit(problem, np.random.default_rng(0))
    else:
        trainer.fit(problem, np.random.default_rng(0))
    assert state_of_the_process() == before
    assert not list(tmp_path.iterdir())
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("raised", "words"),
    [(AssertionError(), "AssertionError"), (ValueError("a" * 999 + "\nb"), "ValueError: " + "a" * 200 + "…")],
)
def test_failures_are_told_in_one_short_line(problem, raised, words):
    def fails(activations, seed):
        raise raised

    with pytest.raises(TrainerError) as told:
        ct.finders.Function(fails).fit(problem, np.random.default_rng(0))
    assert str(told.value) == f"fails failed: {words}"


def test_interrupts_pass_and_leave_the_process_as_it_was():
    def interrupted():
        disturb()
        raise KeyboardInterrupt

    before = state_of_the_process()
    with pytest.raises(KeyboardInterrupt), undisturbed(0, "x"):
        interrupted()
    assert state_of_the_process() == before


def test_global_draws_follow_from_the_rng_handed_in(problem):
    def draws(activations, seed):
        return np.stack([np.random.rand(4), torch.rand(4).numpy(), [random.random() for _ in range(4)]])  # noqa: NPY002

    first, same, other = (
        ct.finders.Function(draws).fit(problem, np.random.default_rng(seed)).decoder for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, same)
    assert (first != other).all()


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        (np.ones((6, 5)), r"must have a decoder \(m, 4\), got shape \(6, 5\)"),
        (np.full((6, 4), np.nan), "must be finite, got 24 NaN"),
        (None, "must be a dictionary"),
        (types.SimpleNamespace(encode=lambda x: x, decode=lambda z: z), "must have its decoder"),
        (
            types.SimpleNamespace(encode=lambda x: x[:, :2], decode=lambda z: z, decoder=np.eye(4)),
            "encode must return latents",
        ),
        (
            types.SimpleNamespace(encode=lambda x: x, decode=lambda z: z * np.nan, decoder=np.eye(4)),
            "reconstruct rows of zeros by finite rows",
        ),
    ],
)
def test_what_is_no_dictionary_of_these_activations_is_refused(problem, returned, words):
    with pytest.raises((TrainerError, InputTypeError), match=words):
        ct.finders.Function(lambda activations, seed: returned).fit(problem, np.random.default_rng(0))


def test_functions_get_read_only_rows(problem):
    def writes(activations, seed):
        activations[0] = 0
        return np.eye(4)

    with pytest.raises(TrainerError, match="read-only"):
        ct.finders.Function(writes).fit(problem, np.random.default_rng(0))


@pytest.mark.parametrize("bad", [3, "pca", dict])
def test_what_is_no_function_is_refused(bad):
    with pytest.raises(InputTypeError, match="function must be a function"):
        ct.finders.Function(bad)


class Tied(torch.nn.Module):
    def __init__(self, m=8, d=4):
        super().__init__()
        self.decoder = torch.nn.Linear(m, d, bias=False)
        self.encoder = torch.nn.Linear(d, m)

    def encode(self, x):
        return torch.relu(self.encoder(x))

    def decode(self, z):
        return self.decoder(z)


def test_pretrained_modules_are_used_as_they_are(problem):
    module = Tied()
    found = ct.finders.Pretrained(module).fit(problem, np.random.default_rng(0))
    with torch.no_grad():
        latents = module.encode(torch.tensor(np.array(problem.X), dtype=torch.float32))
        expected = module.decode(latents).numpy()
    np.testing.assert_allclose(found.encode(problem.X), latents.numpy(), atol=1e-6)
    np.testing.assert_allclose(found.decode(latents.numpy()), expected, atol=1e-6)
    np.testing.assert_array_equal(found.decoder, module.decoder.weight.detach().numpy().T)
    np.testing.assert_array_equal(found.encoder, module.encoder.weight.detach().numpy())


def test_pretrained_draws_nothing(problem):
    rng = np.random.default_rng(0)
    ct.finders.Pretrained(np.eye(4)).fit(problem, rng)
    assert rng.integers(2**31) == np.random.default_rng(0).integers(2**31)


def test_a_held_dictionary_that_explains_anything_is_not_selective(problem):
    both_signs = np.vstack([np.eye(4), -np.eye(4)])  # max(x, 0) - max(-x, 0) is x, of any rows
    result = ct.measure(
        ct.finders.Pretrained(both_signs),
        problem,
        scoring=ct.metrics.explained_variance,
        controls=[ct.GaussianActivations()],
        cv=2,
        draws=19,
    )
    row = result.comparisons[0]
    assert (result.score, row.control_mean) == pytest.approx((1, 1), abs=1e-9)
    assert row.verdict != "SELECTIVE"


def test_pretrained_of_another_width_is_refused(problem):
    with pytest.raises(InputError, match="must have the dictionary's 5 features, got 4"):
        ct.finders.Pretrained(np.eye(5)).fit(problem, np.random.default_rng(0))


def test_a_dictionary_of_ours_is_put_at_other_sites(problem):
    found = ct.finders.SAE(8, k=2, steps=20, batch_size=32).fit(problem, np.random.default_rng(0))
    both = ct.Problem({"a": problem.X, "b": 2 * problem.X, "c": problem.X[:, :3]})
    settings = {"controls": [ct.ShuffleDecoder()], "scoring": ct.metrics.explained_variance, "draws": 3, "cv": 2}
    alone = ct.measure(ct.finders.Pretrained(found), problem, **settings)
    assert ct.measure(ct.finders.Pretrained(found, sites="a"), both, **settings).score == pytest.approx(alone.score)
    with pytest.raises(InputError, match="features, got 3"):
        ct.measure(ct.finders.Pretrained(found, sites="c"), both, **settings)


@pytest.mark.parametrize("control", [ct.RandomDictionary(), ct.UntrainedDictionary()])
def test_pretrained_cannot_be_held_back(problem, control):
    with pytest.raises(CannotControl, match=r"Pretrained cannot be (held back|untrained)"):
        ct.measure(
            ct.finders.Pretrained(np.eye(4)),
            problem,
            scoring=ct.metrics.explained_variance,
            controls=[control],
            cv=2,
            draws=3,
        )


def test_pretrained_weights_that_are_not_finite_are_named(problem):
    module = Tied()
    with torch.no_grad():
        module.encoder.bias[0] = float("inf")
    with pytest.raises(TrainerError, match=r"NaN or infinite ones in encoder\.bias"):
        ct.finders.Pretrained(module).fit(problem, np.random.default_rng(0))


def test_a_library_that_is_missing_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sae_lens", None)
    with pytest.raises(InputError, match=r"sae-lens is not installed; pip install sae-lens\."):
        imported("sae_lens", "sae-lens")


def test_what_a_library_lacks_itself_is_named(monkeypatch, tmp_path):
    (tmp_path / "needs_more.py").write_text("import not_there_at_all")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InputError, match="thing needs not_there_at_all, which is not installed"):
        imported("needs_more", "thing")


def test_an_old_version_is_named():
    module = types.ModuleType("thing")
    module.__version__ = "0.1"
    with pytest.raises(InputError, match=r"thing 0\.1 has no trainSAE; pip install --upgrade thing"):
        member(module, "trainSAE", "thing")


# -- held rows ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("least", [1.0, 0.9, 0.5])
def test_held_rows_turn_no_further_than_their_cosine_and_keep_their_length(least):
    rng = np.random.default_rng(0)
    hold = Hold.of("decoder", rng.normal(size=(50, 6)), least, 50)
    rows = torch.tensor(rng.normal(size=(50, 6)))
    before = rows.clone()
    hold.keep(rows, torch.zeros(50, 6))
    length, goal = rows.norm(dim=1), torch.tensor(hold.directions, dtype=rows.dtype)
    cosine = (rows * goal).sum(1) / length
    started = (before * goal).sum(1) / before.norm(dim=1)
    assert bool((cosine >= least - 1e-6).all())
    if least < 1:
        near = started >= least
        assert bool(near.any()) or least == 0.9
        torch.testing.assert_close(rows[near], before[near])
        torch.testing.assert_close(length, before.norm(dim=1))
        # the nearest row of the cone lies in the plane of the row and its direction
        for row, old, to in zip(rows[~near], before[~near], goal[~near], strict=True):
            assert torch.linalg.matrix_rank(torch.stack([row, old, to]), atol=1e-6) <= 2


def test_the_other_part_starts_on_the_directions_only_where_it_was_tied():
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(5, 3))
    hold = Hold.of("decoder", directions, 1.0, 5)
    decoder = torch.tensor(rng.normal(size=(5, 3)))
    tied, loose = decoder * 0.5, torch.tensor(rng.normal(size=(5, 3)))
    kept = loose.clone()
    lengths = tied.norm(dim=1)
    hold.start(decoder.clone(), loose)
    torch.testing.assert_close(loose, kept)
    hold.start(decoder, tied)
    torch.testing.assert_close(tied, torch.tensor(hold.directions, dtype=tied.dtype) * lengths[:, None])


@pytest.mark.parametrize("bad", [np.zeros((5, 3)), np.ones((4, 3))])
def test_directions_that_cannot_be_held_are_refused(bad):
    with pytest.raises(InputError, match="one row other than zero for each of 5 latents"):
        Hold.of("decoder", bad, 1.0, 5)


def test_batches_never_end_and_hold_rows_of_the_problem(problem):
    batches = endless(problem, (), 7, np.random.default_rng(0))
    rows = {row.tobytes() for row in np.asarray(problem.X, dtype=np.float32)}
    for _ in range(50):
        batch = next(batches)
        assert batch.shape == (7, 4)
        assert {row.tobytes() for row in batch.numpy()} <= rows


# -- settings, without the libraries --------------------------------------------------------------------------


@dataclasses.dataclass
class Config:
    d_in: int = 4
    d_sae: int = 8
    normalize_activations: str = "none"
    num_latents: int = 8
    expansion_factor: int = 2
    k: int = 2
    transcode: bool = False
    skip_connection: bool = False

    def architecture(self):
        return "topk"

    def get_inference_config_class(self):
        return Config


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: ct.finders.SAELens({"d_in": 4}), "must be a training SAE config of sae_lens"),
        (lambda: ct.finders.SAELens(Config), "got Config"),
        (lambda: ct.finders.SAELens(Config(), steps=0), "steps"),
        (lambda: ct.finders.SAELens(Config(), settings={"lr": 1}), "give lr instead"),
        (lambda: ct.finders.SAELens(Config(), settings={"logger": 1}), "nothing is logged or written"),
        (lambda: ct.finders.SAELens(Config(normalize_activations="layer_norm")), "normalize the rows before"),
        (lambda: ct.finders.DictionaryLearning([{}]), "one trainer config, a dict, got list"),
        (lambda: ct.finders.DictionaryLearning({"trainer": 1}), "config must have 'dict_size'.*got trainer"),
        (
            lambda: ct.finders.DictionaryLearning({"trainer": 1, "dict_size": 2, "activation_dim": 2, "seed": 3}),
            "must not hold activation_dim, seed:",
        ),
        (lambda: ct.finders.Sparsify(Config(transcode=True)), "must be of an SAE"),
        (lambda: ct.finders.Sparsify(Config(), lr=-1), "lr"),
        (lambda: ct.finders.Sparsify(Config(num_latents=0)), "num_latents above 0"),
    ],
)
def test_settings_that_cannot_be_are_refused_before_any_work(make, words):
    with pytest.raises(InputError, match=words):
        make()


def test_a_config_of_another_width_is_refused(problem):
    with pytest.raises(InputError, match="must have d_in = 4, the activations' width, got 9"):
        ct.finders.SAELens(Config(d_in=9)).fit(problem, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("module", "trainer"),
    [
        ("sae_lens", ct.finders.SAELens(Config())),
        ("sparsify", ct.finders.Sparsify(Config())),
        ("dictionary_learning", ct.finders.DictionaryLearning({"trainer": 1, "dict_size": 8})),
    ],
)
def test_a_finder_whose_library_is_missing_says_what_to_install(module, trainer, problem, monkeypatch):
    for each in [name for name in sys.modules if name.startswith(f"{module}.")]:
        monkeypatch.delitem(sys.modules, each)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError, match=r"is not installed; pip install"):
        trainer.fit(problem, np.random.default_rng(0))


def test_configs_are_copied_when_they_are_given():
    config = Config()
    trainer = ct.finders.SAELens(config)
    config.d_sae = 99
    assert trainer.n_latents == 8


def test_configs_that_answer_to_any_name_have_a_content_all_the_same():
    class Anything:
        def __init__(self, version):
            self.version = version

        def __getattr__(self, name):
            return None

    one, same, other = (content_key({"config": Anything(version)}) for version in (1, 1, 2))
    assert one == same != other


def test_an_old_trainer_of_saelens_is_named(problem, monkeypatch):
    @dataclasses.dataclass
    class Settings:
        total_training_samples: int = 0
        train_batch_size_samples: int = 0

    class Module(torch.nn.Module):
        cfg = types.SimpleNamespace(device="cpu")

    class TrainingSAE:
        @staticmethod
        def get_sae_class_for_architecture(name):
            return lambda config: Module()

    class Old:
        def __init__(self, model, sae, activation_store, cfg):
            pass

    library = types.ModuleType("sae_lens")
    library.__version__, library.TrainingSAE = "5.0", TrainingSAE
    settings = types.ModuleType("sae_lens.config")
    settings.SAETrainerConfig, settings.LoggingConfig = Settings, lambda log_to_wandb: None
    trainer = types.ModuleType("sae_lens.training.sae_trainer")
    trainer.SAETrainer = Old
    for each in (library, settings, trainer, types.ModuleType("sae_lens.training")):
        monkeypatch.setitem(sys.modules, each.__name__, each)
    with pytest.raises(InputError, match=r"sae-lens 5\.0 is too old: SAETrainer takes no data_provider"):
        ct.finders.SAELens(Config()).fit(problem, np.random.default_rng(0))
