"""SAEs as users meet them: settings, bad input, what is left alone, held parts, streams and checkpoints."""

import pickle
import re

import numpy as np
import pytest
import torch

import controls as ct
from controls.core.errors import ControlsWarning, InputError, InputTypeError, NameNotFound, StoreError, TrainerError

SMALL = {"k": 2, "steps": 30, "batch_size": 16, "lr": 0.01}


@pytest.fixture(name="X")
def rows() -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.normal(size=(200, 5)) @ rng.normal(size=(5, 5)) + 3


def sae(n_latents: int = 8, **settings) -> ct.finders.SAE:
    return ct.finders.SAE(n_latents, **{**SMALL, **settings})


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"k": 0}, "k must be from 1 to n_latents = 8"),
        ({"k": 9}, "k must be from 1 to n_latents = 8"),
        ({"activation": "relu"}, "k must not be given"),
        ({"activation": "gelu"}, "activation must be one of"),
        ({"sparsity": 1.0}, "sparsity must be 0"),
        ({"steps": 0}, "steps must be"),
        ({"batch_size": 0}, "batch_size must be"),
        ({"lr": 0.0}, "lr must be"),
        ({"lr": float("nan")}, "lr must be"),
        ({"warmup": 2.0}, "warmup must be"),
        ({"n_latents": 0}, "n_latents must be"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(settings, words):
    with pytest.raises(InputError, match=words):
        ct.finders.SAE(**{"n_latents": 8, **SMALL, **settings})


def test_rows_that_are_all_alike_are_refused():
    with pytest.raises(InputError, match="must vary"):
        sae().fit(ct.Problem(np.ones((20, 3))), np.random.default_rng(0))
    with pytest.raises(InputError, match="must vary"):
        sae().fit(ct.Problem(np.ones((1, 3))), np.random.default_rng(0))


def test_a_site_whose_rows_are_all_alike_is_named(X):
    problem = ct.Problem({"a": X, "b": np.full((200, 3), 7.3)})
    for sites, targets in ((("a", "b"), ()), (("a",), ("b",)), (("b",), ("a",))):
        with pytest.raises(InputError, match="got 200 rows that are all alike at site 'b'"):
            sae(sites=sites, targets=targets).fit(problem, np.random.default_rng(0))


@pytest.mark.parametrize("scale", [1e-30, 1e30])
@pytest.mark.parametrize("normalize", [True, False])
def test_rows_that_float32_cannot_hold_are_refused(X, scale, normalize):
    with pytest.raises(InputError, match=r"must have a mean variance between 1e-24 and 1e\+24"):
        sae(normalize=normalize).fit(ct.Problem(X * scale), np.random.default_rng(0))


def test_odd_arguments_are_refused(X):
    with pytest.raises(InputError, match="device must be one that torch has here, such as 'cpu', got 'nowhere'"):
        sae(device="nowhere").fit(ct.Problem(X), np.random.default_rng(0))
    with pytest.raises(InputTypeError, match="rng must be a numpy Generator, got 0"):
        sae().fit(ct.Problem(X), 0)
    with pytest.raises(InputTypeError, match="normalize must be"):
        sae(normalize="no")
    with pytest.raises(InputError, match=r"sites must be different sites, got \('a', 'a'\)"):
        sae(sites=("a", "a"))
    with pytest.raises(InputTypeError, match="batches must be numbers, got <U1 in batch 0"):
        ct.finders.train_stream(sae(), [np.array([["a", "b"]])], np.random.default_rng(0))
    for sites in (None, 3, (1,)):
        with pytest.raises(InputTypeError, match="sites must be names of sites"):
            sae(sites=sites)
    with pytest.raises(InputTypeError, match="trainers must be a list of SAE trainers"):
        ct.finders.train_many(sae(), [X], [np.random.default_rng(0)])
    with pytest.raises(InputTypeError, match="trainers must be a sequence of SAE trainers, got PCA"):
        ct.finders.train_many([ct.finders.PCA(2)], [X], [np.random.default_rng(0)])
    with pytest.raises(InputTypeError, match="rng must be a numpy Generator, got None"):
        ct.finders.PCA(2).fit(ct.Problem(X), None)
    with pytest.raises(InputTypeError, match="problem must be a Problem, got ndarray"):
        ct.metrics.explained_variance(np.eye(X.shape[1]), X)
    with pytest.raises(InputError, match="must take steps to read a stream"):
        ct.finders.train_stream(sae().untrained(), [X], np.random.default_rng(0))


def test_constant_columns_and_few_rows_are_fine():
    X = np.column_stack([np.arange(5.0), np.ones(5), np.zeros(5)])
    found = sae().fit(ct.Problem(X), np.random.default_rng(0))
    assert np.isfinite(found.decode(found.encode(X))).all()


def test_what_diverges_names_the_step(X):
    with pytest.raises(TrainerError, match=r"training diverged.*step \d+"):
        sae(activation="relu", k=0, lr=1e30, steps=200).fit(ct.Problem(X), np.random.default_rng(0))


def test_sites_that_are_not_there_are_named(X):
    both = ct.Problem({"a": X, "b": X[:, :3]})
    with pytest.raises(NameNotFound, match="site 'c' is not known"):
        ct.measure(
            sae(sites="a", targets="c"),
            both,
            controls=[ct.RandomDictionary()],
            scoring=ct.metrics.explained_variance,
            cv=2,
            draws=2,
        )
    with pytest.raises(InputError, match="2 sites"):
        ct.measure(sae(), both, controls=[ct.RandomDictionary()], scoring=ct.metrics.explained_variance, cv=2, draws=2)


def test_an_encoder_is_asked_for_its_own_width(X):
    found = sae().fit(ct.Problem(X), np.random.default_rng(0))
    with pytest.raises(InputError, match=r"shape \(n, 5\)"):
        found.encode(X[:, :3])


def test_nothing_of_the_callers_is_changed(X):
    before, state, threads = X.copy(), torch.get_rng_state(), torch.get_num_threads()
    np_state, dtype, grad = np.random.get_state()[1].copy(), torch.get_default_dtype(), torch.is_grad_enabled()  # noqa: NPY002
    for settings in ({}, {"dead_after": 5}, {"activation": "jumprelu", "k": 0, "sparsity": 1.0}):
        sae(**settings).fit(ct.Problem(X), np.random.default_rng(0))
    assert np.array_equal(X, before)
    assert torch.equal(torch.get_rng_state(), state)
    assert np.array_equal(np.random.get_state()[1], np_state)  # noqa: NPY002
    assert (torch.get_num_threads(), torch.get_default_dtype(), torch.is_grad_enabled()) == (threads, dtype, grad)


def test_the_same_rng_gives_the_same_sae_and_it_can_be_sent(X):
    one, two = (sae(dead_after=5).fit(ct.Problem(X), np.random.default_rng(7)) for _ in range(2))
    assert np.array_equal(one.decoder, two.decoder)
    sent = pickle.loads(pickle.dumps(one))
    assert np.array_equal(sent.encode(X), one.encode(X))
    with pytest.raises(ValueError, match="read-only"):
        one.decoder[0, 0] = 1


@pytest.mark.parametrize("activation", ["topk", "batchtopk", "relu", "jumprelu"])
def test_decoders_have_length_one_and_scales_do_not_matter(X, activation):
    given = {"k": 2} if activation in ("topk", "batchtopk") else {"k": 0, "sparsity": 0.5}
    trainer = sae(activation=activation, **given)
    found = trainer.fit(ct.Problem(X), np.random.default_rng(0))
    assert np.linalg.norm(found.decoder, axis=1) == pytest.approx(1, abs=1e-5)
    large = trainer.fit(ct.Problem(1024 * X), np.random.default_rng(0))
    assert large.encode(1024 * X) == pytest.approx(1024 * found.encode(X), rel=1e-3, abs=1e-2)
    mean = ct.Problem(X + 100).X.mean(axis=0)
    assert np.isfinite(mean).all()


@pytest.mark.parametrize("part", ["decoder", "encoder"])
def test_what_is_held_does_not_move(X, part):
    directions = np.random.default_rng(1).normal(size=(8, 5))
    unit = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    held = sae().held(part, directions).fit(ct.Problem(X), np.random.default_rng(0))
    kept = getattr(held, part) / np.linalg.norm(getattr(held, part), axis=1, keepdims=True)
    np.testing.assert_allclose(kept, unit, atol=1e-6)
    near = sae(lr=0.1).held(part, directions, 0.8).fit(ct.Problem(X), np.random.default_rng(0))
    turned = (getattr(near, part) * unit).sum(axis=1) / np.linalg.norm(getattr(near, part), axis=1)
    assert (turned > 0.8 - 1e-5).all()
    assert (turned < 0.999).any()
    other = "encoder" if part == "decoder" else "decoder"
    assert not np.allclose(
        getattr(held, other),
        getattr(sae().held(part, directions).sae.untrained().fit(ct.Problem(X), np.random.default_rng(0)), other),
    )


@pytest.mark.parametrize("part", ["decoder", "encoder"])
def test_held_ones_are_trained_beside_each_other_as_they_are_alone(X, part):
    draws = [np.random.default_rng(seed).normal(size=(8, 5)) for seed in range(3)]
    held, problem = [sae().held(part, directions) for directions in draws], ct.Problem(X)
    together = held[0].fit_beside(held, problem, [np.random.default_rng(0) for _ in held])
    for trainer, found in zip(held, together, strict=True):
        alone = trainer.fit(problem, np.random.default_rng(0))
        np.testing.assert_allclose(found.decoder, alone.decoder, atol=1e-4)
        np.testing.assert_allclose(found.encoder, alone.encoder, atol=1e-4)


def test_directions_of_another_shape_are_refused(X):
    with pytest.raises(InputError, match="one row other than zero for each of 8"):
        sae().held("decoder", np.eye(5))
    with pytest.raises(InputError, match=r"must have shape \(8, 5\)"):
        sae().held("decoder", np.ones((8, 3))).fit(ct.Problem(X), np.random.default_rng(0))


def test_untrained_is_the_start(X):
    start = sae().untrained().fit(ct.Problem(X), np.random.default_rng(0))
    np.testing.assert_allclose(
        start.encoder * np.linalg.norm(start.decoder, axis=1, keepdims=True) ** 0,
        start.decoder * (start.encoder[0] / start.decoder[0])[0],
        rtol=1e-4,
    )
    np.testing.assert_allclose(start.output_bias, X.mean(axis=0), rtol=1e-5)
    trained = sae().fit(ct.Problem(X), np.random.default_rng(0))
    assert ct.metrics.explained_variance(trained, ct.Problem(X)) > ct.metrics.explained_variance(start, ct.Problem(X))


def test_untrained_ones_are_not_trained_beside_others(X):
    both, rngs = [sae(), sae().untrained()], [np.random.default_rng(seed) for seed in range(2)]
    for trainers in (both, both[::-1]):
        with pytest.raises(InputError, match="must all take steps"):
            ct.finders.train_many(trainers, [X, X], rngs)


def test_trainers_that_differ_in_more_are_not_trained_together(X):
    rngs = [np.random.default_rng(0), np.random.default_rng(1)]
    with pytest.raises(InputError, match="differ in k and sparsity only"):
        ct.finders.train_many([sae(), sae(lr=0.5)], [X, X], rngs)
    with pytest.raises(InputError, match="as many"):
        ct.finders.train_many([sae()], [X, X], rngs)
    with pytest.raises(InputError, match="one width"):
        ct.finders.train_many([sae(), sae()], [X, X[:, :4]], rngs)


def test_as_many_latents_are_active_as_was_asked_for_also_before_training():
    rng = np.random.default_rng(0)
    code = (rng.random((2000, 64)) < 4 / 64) * rng.uniform(0.5, 1.5, (2000, 64))
    problem = ct.Problem(code @ rng.standard_normal((64, 16)))
    for steps in (100, 200, 400):
        trainer = ct.finders.SAE(64, activation="batchtopk", k=4, steps=steps, batch_size=64)
        found = trainer.fit(problem, np.random.default_rng(1))
        assert 3.4 < -ct.metrics.neg_l0(found, problem) < 4.6
    start = trainer.untrained().fit(problem, np.random.default_rng(1))
    assert 3.4 < -ct.metrics.neg_l0(start, problem) < 4.6


def test_an_sae_whose_latents_die_says_so_and_so_does_the_report(X, tmp_path):
    dying = sae(activation="relu", k=0, sparsity=1e3, lr=0.1, steps=300)
    found = dying.fit(ct.Problem(X), np.random.default_rng(0))
    assert re.fullmatch(r"\d+% of the latents were not active in the last 100 steps", found.remarks[0])
    assert sae().fit(ct.Problem(X), np.random.default_rng(0)).remarks == ()
    settings = {"controls": [ct.ShuffleDecoder()], "scoring": ct.metrics.cosine_similarity, "cv": 2, "draws": 3}
    for trainer, several in ((dying, 1), (ct.finders.Seeds(dying, 2), 2)):
        if several == 2:
            settings["scoring"] = ct.metrics.SeedStability(alive_only=False)
        first, again = (
            ct.measure(trainer, ct.Problem(X), store=tmp_path / "s", title=str(several), **settings) for _ in range(2)
        )
        said = [note for note in first.notes if "of the latents were not active" in note]
        folds = [f"what was found in fold {k}" for k in (0, 1) for _ in range(several)]
        assert [note.split(":")[0] for note in said] == folds
        assert again.notes == first.notes
        assert said[0].split()[-1] in str(first)


# -- streams ---------------------------------------------------------------------------------------


def pieces(X, sizes):
    start = 0
    while start < len(X):
        for size in sizes:
            yield X[start : start + size]
            start += size


def test_a_stream_goes_on_from_its_checkpoint_to_the_same_bits(X, tmp_path):
    long = np.tile(X, (10, 1))
    trainer = sae(steps=60)
    whole = ct.finders.train_stream(trainer, pieces(long, [7, 50, 3]), np.random.default_rng(0))

    def cut():
        for number, piece in enumerate(pieces(long, [7, 50, 3])):
            if number == 30:
                raise KeyboardInterrupt
            yield piece

    place = tmp_path / "deep" / "sae.pt"
    with pytest.raises(KeyboardInterrupt):
        ct.finders.train_stream(trainer, cut(), np.random.default_rng(0), checkpoint=place, every=5)
    went_on = ct.finders.train_stream(
        trainer, pieces(long, [7, 50, 3]), np.random.default_rng(0), checkpoint=place, every=5
    )
    assert np.array_equal(went_on.decoder, whole.decoder)
    again = ct.finders.train_stream(trainer, pieces(long, [7, 50, 3]), np.random.default_rng(0), checkpoint=place)
    assert np.array_equal(again.decoder, whole.decoder)


def test_checkpoints_of_others_and_damaged_ones_are_refused(X, tmp_path):
    place = tmp_path / "sae.pt"
    long = np.tile(X, (10, 1))
    ct.finders.train_stream(sae(), pieces(long, [40]), np.random.default_rng(0), checkpoint=place)
    with pytest.raises(StoreError, match="of another training"):
        ct.finders.train_stream(sae(lr=0.02), iter([long]), np.random.default_rng(0), checkpoint=place)
    with pytest.raises(StoreError, match="of another training"):
        ct.finders.train_stream(sae(), iter([long]), np.random.default_rng(1), checkpoint=place)
    with pytest.raises(InputError, match="the stream that the checkpoint was made from"):
        ct.finders.train_stream(sae(), pieces(long[:80], [40]), np.random.default_rng(0), checkpoint=place)
    for others in (3 * long, long[:, :4]):
        with pytest.raises(StoreError, match="other settings, seeds or activations"):
            ct.finders.train_stream(sae(), pieces(others, [40]), np.random.default_rng(0), checkpoint=place)
    place.write_bytes(place.read_bytes()[:100])
    with pytest.raises(StoreError, match="cannot be read"):
        ct.finders.train_stream(sae(), iter([long]), np.random.default_rng(0), checkpoint=place)
    with pytest.raises(InputError, match="must be a file"):
        ct.finders.train_stream(sae(), iter([long]), np.random.default_rng(0), checkpoint=tmp_path)


def test_a_stream_that_runs_dry_is_not_lost(X):
    with pytest.warns(ControlsWarning, match="ran dry after 12 of 30 steps"):
        found = ct.finders.train_stream(sae(), iter([X]), np.random.default_rng(0))
    assert "ran dry" in found.remarks[0]
    with pytest.raises(InputError, match="at least one row"):
        ct.finders.train_stream(sae(), iter([]), np.random.default_rng(0))
    with pytest.raises(InputError, match="at least batch_size = 16 rows"):
        ct.finders.train_stream(sae(), iter([X[:10]]), np.random.default_rng(0))


def test_bad_items_of_a_stream_are_named(X):
    with pytest.raises(InputError, match=r"batches must have shape \(rows, 5\), got \(200, 4\) in batch 1"):
        ct.finders.train_stream(sae(batch_size=64), iter([X, X[:, :4]]), np.random.default_rng(0))
    bad = X.copy()
    bad[3, 2] = np.nan
    with pytest.raises(TrainerError, match="NaN or infinite values in batch 1"):
        ct.finders.train_stream(sae(batch_size=64), iter([X, bad]), np.random.default_rng(0))
    with pytest.raises(InputTypeError, match="must be an iterable"):
        ct.finders.train_stream(sae(), 3, np.random.default_rng(0))  # type: ignore[arg-type]


def test_several_on_one_stream(X):
    long = torch.tensor(np.tile(X, (10, 1)))
    found = ct.finders.train_stream(
        [sae(k=1), sae(k=3)], iter(long.split(100)), [np.random.default_rng(0), np.random.default_rng(1)]
    )
    assert [int((each.encode(X) > 0).sum(axis=1).max()) for each in found] == [1, 3]


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_it_is_the_same_up_to_rounding(X):
    one, two = (sae(steps=5, device=device).fit(ct.Problem(X), np.random.default_rng(0)) for device in ("cpu", "cuda"))
    np.testing.assert_allclose(one.decoder, two.decoder, atol=1e-3)
