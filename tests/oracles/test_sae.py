"""SAEs: gradients beside torch's own, codes beside sorting, stacks beside single ones, and what is planted."""

import numpy as np
import pytest
import torch

import controls as ct
from controls.finders._codes import batch_top_k, top_k
from controls.finders._stack import Rule, Stack
from controls.ground_truth import PlantedDictionary, SparseFeatures, random_directions

S, B, D_IN, D_OUT, M = 2, 40, 7, 5, 12


def stack_of(activation: str, *, tied: bool, widths: tuple[int, ...], dtype=torch.float64) -> Stack:
    generator = torch.Generator().manual_seed(0)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=dtype)

    d_out = D_IN if tied else D_OUT
    decoder = normal(S, M, d_out)
    decoder /= decoder.norm(dim=2, keepdim=True)
    output_bias = normal(S, d_out)
    parameters = {
        "encoder": normal(S, M, D_IN),
        "encoder_bias": 0.3 * normal(S, M),
        "input_bias": output_bias.clone() if tied else normal(S, D_IN),
        "decoder": decoder,
        "output_bias": output_bias,
        "threshold": 0.5 * normal(S, M).abs(),
    }
    k = (3, 4) if activation in ("topk", "batchtopk") else (0, 0)
    sparsity = (0.7, 0.2) if activation in ("relu", "jumprelu") else (0.0, 0.0)
    rule = Rule(activation, k, sparsity, 0.5, widths, tied)
    return Stack(rule, parameters, {}, torch.zeros((S, M), dtype=torch.int64), torch.zeros(S, dtype=dtype))


def loss_of(stack: Stack, parameters: dict, rows: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """The loss, written out densely for torch to differentiate."""
    rule = stack.rule
    input_bias = parameters["output_bias"] if rule.tied else parameters["input_bias"]
    before = (rows - input_bias[:, None]) @ parameters["encoder"].transpose(1, 2) + parameters["encoder_bias"][:, None]
    if rule.activation == "topk":
        ranks = (-before).argsort(dim=2).argsort(dim=2)
        latents = before.relu() * (ranks < torch.tensor(rule.k)[:, None, None])
    elif rule.activation == "batchtopk":
        ranks = (-before.reshape(S, -1)).argsort(dim=1).argsort(dim=1).reshape(before.shape)
        latents = before.relu() * (ranks < B * torch.tensor(rule.k)[:, None, None])
    elif rule.activation == "jumprelu":
        latents = torch.where(before > parameters["threshold"][:, None], before.relu(), 0.0)
    else:
        latents = before.relu()
    left = latents @ parameters["decoder"] + parameters["output_bias"][:, None] - targets
    loss = left.square().sum(dim=2).mean(dim=1)
    if rule.activation == "relu":
        parts = parameters["decoder"].split(rule.widths, dim=2)
        weight = torch.stack([part.norm(dim=2) for part in parts]).sum(dim=0)
        loss = loss + torch.tensor(rule.sparsity) * (latents * weight[:, None]).sum(dim=2).mean(dim=1)
    return loss.sum()


@pytest.mark.parametrize("activation", ["topk", "batchtopk", "relu", "jumprelu"])
@pytest.mark.parametrize("tied", [True, False])
def test_gradients_are_those_of_torch(activation, tied):
    widths = ((4, 3) if tied else (3, 2)) if activation == "relu" else ((D_IN,) if tied else (D_OUT,))
    stack = stack_of(activation, tied=tied, widths=widths)
    generator = torch.Generator().manual_seed(1)
    rows = torch.randn(S, B, D_IN, generator=generator, dtype=torch.float64)
    targets = rows if tied else torch.randn(S, B, D_OUT, generator=generator, dtype=torch.float64)
    leaves = {name: part.clone().requires_grad_() for name, part in stack.parameters.items()}
    loss_of(stack, leaves, rows, targets).backward()
    expected = {name: leaf.grad for name, leaf in leaves.items()}
    decoder = leaves["decoder"].detach()
    expected["decoder"] = expected["decoder"] - (expected["decoder"] * decoder).sum(dim=2, keepdim=True) * decoder
    stack.optimizer.step = lambda: None
    stack._constrain = lambda: None  # type: ignore[method-assign]
    error = stack.step(rows, targets, lr=0.1, penalty=1.0)
    for name in stack.free:
        if name == "threshold" or (name == "input_bias" and tied):
            continue  # the straight-through gradient is below; the input bias follows the output's
        torch.testing.assert_close(stack.parameters[name].grad, expected[name], msg=name)
    if activation != "relu":
        torch.testing.assert_close(error.sum(), loss_of(stack, stack.parameters, rows, targets))


def test_thresholds_get_the_straight_through_gradient():
    """Rajamanoharan et al. (2024), equations 11 and 12, one latent and row after the other."""
    stack = stack_of("jumprelu", tied=False, widths=(D_OUT,))
    generator = torch.Generator().manual_seed(2)
    rows = torch.randn(S, B, D_IN, generator=generator, dtype=torch.float64)
    targets = torch.randn(S, B, D_OUT, generator=generator, dtype=torch.float64)
    stack.optimizer.step = lambda: None
    stack._constrain = lambda: None  # type: ignore[method-assign]
    stack.step(rows, targets, lr=0.1, penalty=1.0)
    p, epsilon = stack.parameters, stack.rule.bandwidth
    theta = p["threshold"]
    expected = torch.zeros(S, M, dtype=torch.float64)
    for s in range(S):
        for b in range(B):
            before = p["encoder"][s] @ (rows[s, b] - p["input_bias"][s]) + p["encoder_bias"][s]
            latents = torch.where(before > theta[s], before.clamp_min(0), 0.0)
            left = latents @ p["decoder"][s] + p["output_bias"][s] - targets[s, b]
            for j in range(M):
                if abs(before[j] - theta[s, j]) < epsilon / 2:
                    by_latent = 2 * left @ p["decoder"][s, j] / B
                    by_count = stack.rule.sparsity[s] / B
                    expected[s, j] -= (theta[s, j] * by_latent + by_count) / epsilon
    torch.testing.assert_close(p["threshold"].grad, expected)


def test_silent_latents_are_started_anew_at_what_is_left_of_a_row():
    stack = stack_of("topk", tied=True, widths=(D_IN,))
    generators = [torch.Generator().manual_seed(s) for s in range(S)]
    rows = torch.randn(S, B, D_IN, generator=generators[0], dtype=torch.float64)
    stack.step(rows, rows, lr=0.01, penalty=1.0)
    p, before = stack.parameters, {name: part.clone() for name, part in stack.parameters.items()}
    stack.since[:] = 0
    stack.since[0, [2, 5]], stack.since[1, 7] = 30, 20
    dead = stack.since >= 20
    latents = (rows - p["input_bias"][:, None]) @ p["encoder"].transpose(1, 2) + p["encoder_bias"][:, None]
    kept = (-latents).argsort(dim=2).argsort(dim=2) < torch.tensor(stack.rule.k)[:, None, None]
    left = rows - (latents.relu() * kept) @ p["decoder"] - p["output_bias"][:, None]
    left /= left.norm(dim=2, keepdim=True)
    stack.revive(rows, rows, 20, generators)
    for name in ("decoder", "encoder", "encoder_bias"):
        assert torch.equal(p[name][~dead], before[name][~dead])
    for s, j in dead.nonzero().tolist():
        assert (left[s] @ p["decoder"][s, j]).max() == pytest.approx(1)
        alive = before["encoder"][s][~dead[s]].norm(dim=1).mean()
        torch.testing.assert_close(p["encoder"][s, j], 0.2 * alive * p["decoder"][s, j])
    assert not stack.since.any()
    for name in ("decoder", "encoder", "encoder_bias"):
        moments = stack.optimizer.state[p[name]]
        assert not moments["exp_avg"][dead].any()
        assert moments["exp_avg"][~dead].any()


def test_codes_are_those_of_sorting():
    generator = torch.Generator().manual_seed(0)
    before = torch.randn(S, B, M, generator=generator)
    codes, k = top_k(before, (2, 5)), (2, 5)
    dense = torch.zeros(S * B * M).index_add_(0, codes.row * M + codes.latent % M, codes.value).view(S, B, M)
    for s in range(S):
        for b in range(B):
            largest = before[s, b].sort(descending=True).values[k[s] - 1]
            assert torch.equal(dense[s, b], torch.where(before[s, b] >= largest, before[s, b].relu(), 0.0))
    codes, least = batch_top_k(before, k)
    dense = torch.zeros(S * B * M).index_add_(0, codes.row * M + codes.latent % M, codes.value).view(S, B, M)
    for s in range(S):
        largest = before[s].flatten().sort(descending=True).values[k[s] * B - 1].clamp_min(0)
        assert least[s] == largest
        assert torch.equal(dense[s], torch.where((before[s] >= largest) & (before[s] > 0), before[s], 0.0))


@pytest.mark.parametrize(
    ("activation", "given"), [("topk", {"k": 3}), ("batchtopk", {"k": 3}), ("relu", {"sparsity": 1.0})]
)
def test_stacked_is_one_by_one(activation, given):
    rng = np.random.default_rng(0)
    Xs = [rng.normal(size=(n, 6)) @ rng.normal(size=(6, 6)) for n in (100, 300)]
    sae = ct.finders.SAE(10, activation=activation, steps=10, batch_size=64, lr=1e-3, **given)
    together = ct.finders.train_many([sae] * 3, [Xs[0], Xs[1], Xs[0]], [np.random.default_rng(s) for s in range(3)])
    for s, X in enumerate([Xs[0], Xs[1], Xs[0]]):
        alone = sae.fit(ct.Problem(X), np.random.default_rng(s))
        np.testing.assert_allclose(together[s].decoder, alone.decoder, atol=2e-4)
        np.testing.assert_allclose(together[s].encode(X).mean(axis=0), alone.encode(X).mean(axis=0), atol=2e-3)


@pytest.fixture(scope="module")
def planted() -> tuple[np.ndarray, ct.Problem]:
    rng = np.random.default_rng(0)
    directions = random_directions(32, 16, rng)
    world = PlantedDictionary(directions, SparseFeatures(32, rate=3 / 32), noise=0.02)
    return directions, ct.Problem(world.sample(4000, rng).X)


@pytest.mark.parametrize(
    ("activation", "given", "least"),
    [
        ("topk", {"k": 3}, 0.9),
        ("batchtopk", {"k": 3}, 0.85),
        ("relu", {"sparsity": 2.0}, 0.85),
        ("jumprelu", {"sparsity": 2.0}, 0.8),
    ],
)
def test_every_kind_finds_what_is_planted(planted, activation, given, least):
    directions, problem = planted
    sae = ct.finders.SAE(32, activation=activation, steps=800, batch_size=512, lr=5e-3, **given)
    found = sae.fit(problem, np.random.default_rng(1))
    assert ct.metrics.MMCS(directions)(found, problem) > least
    assert ct.metrics.explained_variance(found, problem) > 0.7
    assert -ct.metrics.neg_l0(found, problem) < 8


def test_a_transcoder_and_a_crosscoder_find_what_is_planted(planted):
    directions, problem = planted
    rng = np.random.default_rng(2)
    turned = np.linalg.qr(rng.normal(size=(16, 16)))[0]
    both = ct.Problem({"a": problem.X, "b": 100 * problem.X @ turned})
    across = ct.finders.SAE(32, k=3, steps=800, batch_size=512, lr=5e-3, sites="a", targets="b", dead_after=100)
    found = across.fit(both, np.random.default_rng(1))
    assert ct.metrics.MMCS(directions @ turned)(found, both) > 0.85
    assert ct.metrics.explained_variance(found, both) > 0.7
    crossed = ct.finders.SAE(32, k=3, steps=800, batch_size=512, lr=5e-3, sites=("a", "b")).fit(both, rng)
    halves = crossed.decoder[:, :16], crossed.decoder[:, 16:]
    assert ct.metrics.MMCS(directions)(halves[0], both.at("a")) > 0.85
    assert ct.metrics.MMCS(directions @ turned)(halves[1], both.at("b")) > 0.85
