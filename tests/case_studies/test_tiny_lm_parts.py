"""The tiny language model's parts: closed forms, brute force, enumeration."""

import math
from dataclasses import replace
from itertools import combinations, pairwise, product

import numpy as np
import pytest
import torch
from scipy import stats

import controls as ct
from case_studies.files import write
from case_studies.tiny_lm.baselines import bigram_loss, unigram_loss
from case_studies.tiny_lm.compare import compare
from case_studies.tiny_lm.corpus import windows
from case_studies.tiny_lm.embeddings import bounded_rows, largest_cosine
from case_studies.tiny_lm.model import Linear, build, hidden_states
from case_studies.tiny_lm.plan import ARMS, FULL, SHORT
from case_studies.tiny_lm.train import learning_rate, mean_loss, start

TOKENS = np.random.default_rng(0).integers(SHORT.vocabulary, size=(5, SHORT.context + 1)).astype(np.uint16)


def test_bounded_rows_have_no_near_pair_and_gaussian_norms():
    rows = bounded_rows(300, 24, 0.6, np.random.default_rng(1))
    assert max(abs(a @ b) / np.linalg.norm(a) / np.linalg.norm(b) for a, b in combinations(rows, 2)) < 0.6
    assert stats.kstest((rows**2).sum(axis=1), stats.chi2(24).cdf).pvalue > 1e-3  # only directions are refused
    assert largest_cosine(np.random.default_rng(1).standard_normal((300, 24))) > 0.6  # the bound does something


def test_a_bound_that_geometry_forbids_is_refused():
    with pytest.raises(ct.InputError, match=r"bound must be above 0\.126"):  # sqrt(32 / (32 * 63))
        bounded_rows(64, 32, 0.125, np.random.default_rng(0))


def test_baselines_know_a_cycle_and_independent_tokens():
    cycle = np.add.outer(np.arange(400), np.arange(9)) % 4
    assert unigram_loss(cycle, cycle, 4) == pytest.approx(math.log(4), abs=1e-6)
    assert 0 < bigram_loss(cycle, cycle, 4) < 0.01
    law = np.array([0.5, 0.3, 0.2])
    drawn = np.random.default_rng(2).choice(3, p=law, size=(2, 4000, 9))
    for loss in (unigram_loss(*drawn, 3), bigram_loss(*drawn, 3)):
        assert loss == pytest.approx(stats.entropy(law), abs=0.01)


def test_the_bigram_is_the_best_of_brute_force():
    train, held_out = np.random.default_rng(3).integers(5, size=(2, 6, 4))
    alone = [((train[:, 1:] == b).sum() + 0.5) / (train[:, 1:].size + 2.5) for b in range(5)]
    pairs = [(int(a), int(b)) for row in train for a, b in pairwise(row)]
    losses = []
    for k in (1, 3, 10, 30, 100, 300):
        terms = [
            -math.log((pairs.count((a, b)) + k * alone[b]) / (sum(p == a for p, _ in pairs) + k))
            for row in held_out.tolist()
            for a, b in pairwise(row)
        ]
        losses.append(np.mean(terms))
    assert bigram_loss(train, held_out, 5) == pytest.approx(min(losses))


def test_comparison_counts_every_relabeling():
    x, y = np.random.default_rng(4).normal([[0.4], [0.0]], 1, (2, 6))
    runs = np.concatenate([x, y])
    gap = x.mean() - y.mean()
    chosen = [runs[list(c)].sum() for c in combinations(range(12), 6)]
    gaps = np.array([s / 6 - (runs.sum() - s) / 6 for s in chosen])
    swaps = np.array([np.dot(signs, x - y) / 6 for signs in product([1, -1], repeat=6)])
    found = compare(x, y)
    assert len(gaps) == 924
    assert found["p_two_sample"] == pytest.approx((gaps >= gap - 1e-12).mean())
    assert found["p_paired"] == pytest.approx((swaps >= gap - 1e-12).mean())
    half = stats.t(5).ppf(0.975) * np.std(x - y, ddof=1) / 6**0.5
    assert (found["low"], found["high"]) == pytest.approx((gap - half, gap + half))


def test_full_model_has_the_names_and_the_size_that_are_promised():
    model = build(FULL, 0)
    names = set(dict(model.named_modules()))
    parts = {f"attention.{name}" for name in ("query", "key", "value", "output")} | {"mlp.up", "mlp.down", "norm1"}
    assert {"embed", "position", "norm", "unembed"} | {f"blocks.5.{part}" for part in parts} <= names
    d, v = FULL.width, FULL.vocabulary
    block = 4 * (d * d + d) + (4 * d * d + 4 * d) + (4 * d * d + d) + 4 * d
    assert sum(p.numel() for p in model.parameters()) == 2 * v * d + FULL.context * d + 6 * block + 2 * d
    assert model.unembed.weight is not model.embed.weight


def test_the_model_is_its_formula():
    model, wide = build(SHORT, 1), SHORT.width // SHORT.heads
    with torch.no_grad():
        for parameter in model.parameters():  # away from the start, where attention is flat and biases are 0
            parameter.add_(
                0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(parameter.numel()))
            )
    tokens = torch.from_numpy(TOKENS[:2, :-1].astype(np.int64))
    p = {name: value.detach().double().numpy() for name, value in model.named_parameters()}

    def linear(x, name):
        return x @ p[f"{name}.weight"].T + p.get(f"{name}.bias", 0)

    def norm(x, name):
        z = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
        return z * p[f"{name}.weight"] + p[f"{name}.bias"]

    x = p["embed.weight"][tokens.numpy()] + p["position.weight"]
    future = np.triu(np.ones((SHORT.context, SHORT.context), dtype=bool), 1)
    for i in range(SHORT.layers):
        h = norm(x, f"blocks.{i}.norm1")
        q, k, v = (linear(h, f"blocks.{i}.attention.{name}") for name in ("query", "key", "value"))
        heads = []
        for s in (slice(wide * head, wide * (head + 1)) for head in range(SHORT.heads)):
            scores = np.where(future, -np.inf, q[..., s] @ k[..., s].transpose(0, 2, 1) / wide**0.5)
            weights = np.exp(scores - scores.max(-1, keepdims=True))
            heads.append(weights / weights.sum(-1, keepdims=True) @ v[..., s])
        x = x + linear(np.concatenate(heads, -1), f"blocks.{i}.attention.output")
        u = linear(norm(x, f"blocks.{i}.norm2"), f"blocks.{i}.mlp.up")
        u = u * (1 + np.tanh(np.sqrt(2 / np.pi) * (u + 0.044715 * u**3))) / 2
        x = x + linear(u, f"blocks.{i}.mlp.down")
    np.testing.assert_allclose(hidden_states(model, TOKENS[:2, :-1], "blocks.1"), x, rtol=1e-3, atol=1e-3)
    logits = linear(norm(x, "norm"), "unembed")
    np.testing.assert_allclose(model(tokens).detach().numpy(), logits, rtol=1e-3, atol=1e-3)


def test_start_is_drawn_by_each_part_from_its_own_stream():
    before = torch.get_rng_state()
    model, again, other = build(SHORT, 0), build(SHORT, 0), build(SHORT, 1)
    assert torch.equal(torch.get_rng_state(), before)
    for name, module in model.named_modules():
        if isinstance(module, Linear):
            weight = module.weight.detach()
            assert torch.equal(weight, again.get_submodule(name).weight)
            assert not torch.equal(weight, other.get_submodule(name).weight)
            std = 0.02 / (2 * SHORT.layers) ** 0.5 if name.endswith(("output", "down")) else 0.02
            low, high = stats.chi2(weight.numel()).ppf([1e-5, 1 - 1e-5])
            assert low < float((weight.double() ** 2).sum()) / std**2 < high
    first, second = (model.blocks[i].attention.query.weight for i in (0, 1))
    assert not torch.equal(first, second)
    model.unembed.reset_parameters()
    assert not torch.equal(model.unembed.weight, again.unembed.weight)


def test_arms_of_a_seed_differ_in_the_embedding_alone():
    models = {arm: start(SHORT, arm, 3) for arm in ARMS}
    for arm, model in models.items():
        for (name, value), reference in zip(model.named_parameters(), models["trained"].parameters(), strict=True):
            assert name == "embed.weight" or torch.equal(value, reference)
            assert value.requires_grad == (name != "embed.weight" or ARMS[arm].trained)
    rows = {arm: model.embed.weight.detach() for arm, model in models.items()}
    assert torch.equal(rows["small"], rows["trained"])
    assert torch.equal(rows["gaussian"], rows["unit"])
    assert torch.allclose(rows["gaussian"], 50 * rows["small"])
    assert largest_cosine(rows["bounded"].numpy()) < SHORT.cosine_bound < largest_cosine(rows["gaussian"].numpy())


def test_mean_loss_does_not_depend_on_batches():
    model = build(SHORT, 0)
    tokens = torch.from_numpy(TOKENS.astype(np.int64))
    chances = torch.log_softmax(model(tokens[:, :-1]).double(), -1).gather(-1, tokens[:, 1:, None])
    assert mean_loss(model, TOKENS, batch=2) == pytest.approx(-float(chances.detach().mean()), rel=1e-5)


def test_learning_rate_rises_and_falls():
    plan = replace(SHORT, steps=120, lr=0.5)
    rates = [learning_rate(plan, step) for step in range(1, 121)]
    assert rates[9] == max(rates) == 0.5
    assert rates[0] == pytest.approx(0.05)
    assert rates[-1] == pytest.approx(0.05)
    assert np.all(np.diff(rates[9:]) < 0)


def test_windows_predict_every_token_once_and_cross_no_file():
    found = windows([list(range(1, 12)), [99], [50, 51, 52, 53]], 3)
    assert found[:, 1:].ravel().tolist() == [*range(2, 11), 51, 52, 53]
    assert found[:, 0].tolist() == [1, 4, 7, 50]


def test_unknown_layer_is_named_and_the_hook_is_gone():
    model = build(SHORT, 0)
    with pytest.raises(ct.InputError, match=r"blocks\.9.*blocks\.1\.mlp"):
        hidden_states(model, TOKENS[:, :-1], "blocks.9")
    with pytest.raises(Exception, match="index"):
        hidden_states(model, TOKENS[:, :-1] + SHORT.vocabulary, "blocks.0")
    assert not any(module._forward_hooks for module in model.modules())


def test_a_write_that_fails_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "a" / "file"
    write(path, b"whole")

    def stopped(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", stopped)
    with pytest.raises(KeyboardInterrupt):
        write(path, b"other")
    assert [found.name for found in path.parent.iterdir()] == ["file"]
    assert path.read_bytes() == b"whole"
