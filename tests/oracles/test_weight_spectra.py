"""Haar frames against closed forms and scipy; spectra against numpy, mode by mode and head by head."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

import controls as ct
from controls.generators.haar import draw_reflections, rotated, uniform_frame, with_spectrum
from controls.generators.redrawn import Redrawn
from controls.testing.weight_problems import ugly_model, ugly_weight_problems

LIKE = torch.empty(0, dtype=torch.float64)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def weights_after(control, problem, seed=0):
    """Return every parameter of a draw, by name, in float64, and the trained ones."""
    drawn = control.draw(problem, np.random.default_rng(seed))
    model = problem.source.model
    before = {name: p.detach().double().clone() for name, p in model.named_parameters()}
    assert isinstance(drawn.source.extract, Redrawn)
    with drawn.source.extract.swapped(model):
        after = {name: p.detach().double().clone() for name, p in model.named_parameters()}
    return before, after, drawn.proof


@pytest.mark.parametrize("k", [1, 3, 5])
def test_frames_have_the_moments_of_haar(k):
    n, draws, source = 5, 4000, generator(k)
    frames = torch.stack([uniform_frame(n, k, LIKE, source) for _ in range(draws)]).numpy()
    np.testing.assert_allclose(frames.mT @ frames, np.broadcast_to(np.eye(k), (draws, k, k)), atol=1e-12)
    # E Q = 0, E Q_ij² = 1/n, E Q_ij⁴ = 3/(n(n + 2)): each to five standard errors.
    for power, expected in ((1, 0.0), (2, 1 / n), (4, 3 / (n * (n + 2)))):
        values = frames**power
        error = values.std(axis=0) / np.sqrt(draws)
        assert (np.abs(values.mean(axis=0) - expected) < 5 * error + 1e-12).all(), (power, k)


@pytest.mark.parametrize("how", ["frame", "rotated rows", "rotated columns"])
def test_traces_are_those_of_scipy(how):
    n, draws, source = 4, 1500, generator(7)
    theirs = np.trace(stats.ortho_group.rvs(n, size=draws, random_state=1), axis1=1, axis2=2)
    eye = torch.eye(n, dtype=torch.float64)

    def ours() -> torch.Tensor:
        if how == "frame":
            return uniform_frame(n, n, LIKE, source)
        return rotated(eye, draw_reflections(n, n, LIKE, source), rows=how == "rotated rows")

    traces = [float(torch.trace(ours())) for _ in range(draws)]
    assert stats.ks_2samp(traces, theirs).pvalue > 1e-3
    naive = [float(torch.trace(torch.linalg.qr(torch.randn(n, n, generator=source)).Q)) for _ in range(draws)]
    assert stats.ks_2samp(naive, theirs).pvalue < 1e-10  # what it would be without signs: the test sees it


def test_both_sides_of_a_drawn_matrix_are_uniform():
    lengths, source = torch.tensor([3.0, 1.0], dtype=torch.float64), generator(3)
    drawn = np.stack([with_spectrum(lengths, 4, 3, source).numpy() for _ in range(3000)])
    np.testing.assert_allclose(np.linalg.svd(drawn, compute_uv=False), np.broadcast_to([3.0, 1.0, 0.0], (3000, 3)),
                               atol=1e-12)  # fmt: skip
    error = drawn.std(axis=0) / np.sqrt(len(drawn))
    assert (np.abs(drawn.mean(axis=0)) < 5 * error).all()
    second = drawn**2
    assert (np.abs(second.mean(axis=0) - 10 / 12) < 5 * second.std(axis=0) / np.sqrt(len(drawn))).all()


def svd(matrix):
    return np.linalg.svd(np.asarray(matrix), compute_uv=False)


@pytest.mark.parametrize("mode", ["full", "left", "right", "eigen"])
def test_each_mode_keeps_what_it_says_and_nothing_more(mode):
    problem = next(ugly_weight_problems())
    before, after, proof = weights_after(ct.MatchSpectrum(mode=mode, include="blocks.*"), problem)
    kept = {"left": lambda w: w.T @ w, "right": lambda w: w @ w.T}
    for name, old in before.items():
        new = after[name]
        if not name.startswith("blocks."):
            assert torch.equal(old, new), name
            continue
        if old.ndim == 1:
            np.testing.assert_array_equal(np.sort(new), np.sort(old))
            continue
        np.testing.assert_allclose(svd(new), svd(old), atol=3e-6 * svd(old)[0])
        for other, gram in kept.items():
            assert np.allclose(gram(new), gram(old), atol=1e-4) == (mode == other), (name, other)
        if old.shape[0] == old.shape[1]:
            same = np.allclose(
                np.sort_complex(np.linalg.eigvals(new)), np.sort_complex(np.linalg.eigvals(old)), atol=1e-4
            )
            assert same == (mode == "eigen"), name
    assert 0 < proof["largest error of a spectrum"] < 1e-4


def head_products(weights, path, heads):
    """Return W_Qᵀ W_K and W_O W_V of each head, from plain slices."""
    q, k, v, o = (weights[f"{path}.{name}_proj.weight"].numpy() for name in "qkvo")
    width = len(q) // heads
    for i in range(heads):
        mine = slice(i * width, (i + 1) * width)
        group = i * (len(k) // width) // heads
        theirs = slice(group * width, (group + 1) * width)
        yield q[mine].T @ k[theirs], o[:, mine] @ v[theirs], (q[mine], k[theirs], v[theirs], o[:, mine])


def test_per_head_keeps_heads_and_circuit_keeps_products():
    problem = next(ugly_weight_problems())
    found = {mode: weights_after(ct.MatchSpectrum(mode=mode, include="*.attention.*"), problem) for mode in
             ("full", "per_head", "circuit")}  # fmt: skip
    for mode, (before, after, _) in found.items():
        pairs = list(zip(head_products(before, "blocks.0.attention", 2), head_products(after, "blocks.0.attention", 2),
                         strict=True))  # fmt: skip
        products = all(np.allclose(svd(a[j]), svd(b[j]), atol=1e-4) for a, b in pairs for j in (0, 1))
        slices = all(np.allclose(svd(x), svd(y), atol=1e-4) for a, b in pairs for x, y in zip(a[2], b[2], strict=True))
        assert (products, slices) == (mode == "circuit", mode == "per_head")
        assert not any(np.allclose(a[0], b[0], atol=0.1) for a, b in pairs)


class Grouped(nn.Module):
    """Attention of four query heads over two key and value heads."""

    def __init__(self) -> None:
        super().__init__()
        self.num_heads, self.num_key_value_heads = 4, 2
        self.q_proj, self.o_proj = nn.Linear(8, 8), nn.Linear(8, 8)
        self.k_proj, self.v_proj = nn.Linear(8, 4), nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q = self.q_proj(x).unflatten(-1, (4, 2)).transpose(1, 2)
        k, v = (part(x).unflatten(-1, (2, 2)).transpose(1, 2).repeat_interleave(2, dim=1) for part in
                (self.k_proj, self.v_proj))  # fmt: skip
        return self.o_proj(((q @ k.mT).softmax(-1) @ v).transpose(1, 2).flatten(2))


def grouped_problem():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.ModuleDict({"attention": Grouped()})
        model.forward = lambda x: model["attention"](x)
        x = torch.randn(40, 3, 8)
    return ct.from_model(model.eval(), x, "attention", pooling="mean", labels=(x[:, 0, 0] > 0).numpy())


def test_shared_keys_and_values_keep_every_product():
    before, after, _ = weights_after(ct.MatchSpectrum(mode="circuit"), grouped_problem())
    pairs = list(zip(head_products(before, "attention", 4), head_products(after, "attention", 4), strict=True))
    assert len(pairs) == 4
    for old, new in pairs:
        for j in (0, 1):
            np.testing.assert_allclose(svd(new[j])[:2], svd(old[j])[:2], rtol=1e-4)
    for name in ("k", "v"):
        key = f"attention.{name}_proj.weight"
        np.testing.assert_allclose(np.linalg.norm(after[key]), np.linalg.norm(before[key]), rtol=1e-5)


def test_half_a_product_is_refused():
    with pytest.raises(ct.CannotControl, match=r"product of query and key, .* only query is redrawn, and key stays"):
        ct.MatchSpectrum(mode="circuit", include="attention.q_proj.*").check(grouped_problem())


class Fused(nn.Module):
    """torch's own attention, whose query, key and value are one matrix."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x, x, x, need_weights=False)[0]


def test_one_matrix_for_query_key_and_value_is_taken_apart():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model, x = Fused().eval(), torch.randn(40, 3, 8)
    problem = ct.from_model(model, x, "inner", pooling="mean", labels=(x[:, 0, 0] > 0).numpy())
    for mode in ("per_head", "circuit"):
        before, after, _ = weights_after(ct.MatchSpectrum(mode=mode), problem)
        views = []
        for weights in (before, after):
            parts = dict(zip("qkv", weights["inner.in_proj_weight"].split(8), strict=True))
            named = {f"a.{name}_proj.weight": part for name, part in parts.items()}
            views.append(list(head_products({**named, "a.o_proj.weight": weights["inner.out_proj.weight"]}, "a", 2)))
        for old, new in zip(*views, strict=True):
            pairs = zip(old[:2], new[:2], strict=True) if mode == "circuit" else zip(old[2], new[2], strict=True)
            for one, other in pairs:
                np.testing.assert_allclose(svd(other), svd(one), atol=1e-5)


def test_gpt2_keeps_inputs_by_outputs():
    transformers = pytest.importorskip("transformers")
    config = transformers.GPT2Config(n_layer=1, n_embd=8, n_head=2, vocab_size=20, n_positions=8, bos_token_id=0,
                                     eos_token_id=0)  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = transformers.GPT2Model(config).eval()
    ids = np.random.default_rng(0).integers(20, size=(30, 6))
    problem = ct.from_model(model, ids, "h.0", pooling="mean", labels=ids[:, 0] > 9)
    before, after, _ = weights_after(ct.MatchSpectrum(mode="per_head"), problem)
    name = "h.0.attn.c_attn.weight"
    for start in range(0, 24, 4):
        old, new = (weights[name][:, start : start + 4] for weights in (before, after))
        np.testing.assert_allclose(svd(new), svd(old), atol=1e-5)
        assert not torch.allclose(old, new)
    before, after, _ = weights_after(ct.MatchSpectrum(mode="left", include="*mlp.c_fc.weight"), problem)
    old, new = before["h.0.mlp.c_fc.weight"], after["h.0.mlp.c_fc.weight"]
    np.testing.assert_allclose(new @ new.T, old @ old.T, atol=1e-5)  # what is read stays: WᵀW of outputs by inputs


def test_heads_that_nobody_counts_are_asked_for():
    problem = grouped_problem()
    del problem.source.model["attention"].num_heads
    with pytest.raises(ct.CannotControl, match=r"give heads=\{'attention': number\}"):
        ct.MatchSpectrum(mode="per_head").check(problem)
    ct.MatchSpectrum(mode="per_head", heads={"att*": 4}).check(problem)
    with pytest.raises(ct.CannotControl, match="3 does not divide"):
        ct.MatchSpectrum(mode="per_head", heads={"att*": 3}).check(problem)
    plain = nn.Sequential(nn.Linear(3, 4))
    with pytest.raises(ct.CannotControl, match="no attention module"):
        ct.MatchSpectrum(mode="per_head").check(ct.from_model(plain, np.eye(3, dtype=np.float32), "0"))


def test_convolutions_are_matrices_of_outputs_by_everything_else():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.ConvTranspose2d(4, 3, 2), nn.Flatten())
        x = torch.randn(30, 2, 5, 5)
    problem = ct.from_model(model, x, "3", labels=(x[:, 0, 0, 0] > 0).numpy())
    before, after, _ = weights_after(ct.MatchSpectrum(), problem)
    np.testing.assert_allclose(svd(after["0.weight"].flatten(1)), svd(before["0.weight"].flatten(1)), atol=1e-5)
    turned = [weights["2.weight"].movedim(1, 0).flatten(1) for weights in (before, after)]
    np.testing.assert_allclose(svd(turned[1]), svd(turned[0]), atol=1e-5)


def test_embeddings_keep_their_rows_ties_hold_and_16_bits_are_drawn_in_32():
    problem = next(ugly_weight_problems())
    drawn = ct.MatchSpectrum().draw(problem, np.random.default_rng(0))
    model = problem.source.model
    rows = {tuple(row.tolist()) for row in model.embed.weight}
    narrow = svd(model.narrow.weight.double())
    with drawn.source.extract.swapped(model) as (_, figures):
        assert model.unembed.weight.data_ptr() == model.embed.weight.data_ptr()
        assert {tuple(row.tolist()) for row in model.embed.weight} == rows
        assert model.narrow.weight.dtype == torch.bfloat16
        np.testing.assert_allclose(svd(model.narrow.weight.double()), narrow, atol=1e-2 * narrow[0])
    assert figures["tied tensors, still tied"] == 1


def test_double_precision_is_kept_on_request():
    problem = next(ugly_weight_problems())
    errors = [ct.MatchSpectrum(precision=precision).draw(problem, np.random.default_rng(0)).proof[
        "largest error of a spectrum"] for precision in ("float32", "float64")]  # fmt: skip
    assert errors[1] < 1e-12 < 1e-8 < errors[0]


class Counted(TorchDispatchMode):
    """Counts decompositions, whichever function of torch asks for them."""

    def __init__(self) -> None:
        super().__init__()
        self.decompositions = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.decompositions += any(word in func.name() for word in ("svd", "eig"))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("mode", ["full", "per_head", "circuit", "left", "eigen"])
def test_no_decomposition_from_the_second_draw_on(mode):
    problem = next(ugly_weight_problems())
    counts = []
    for draw in range(3):
        with Counted() as counted:
            ct.MatchSpectrum(mode=mode).draw(problem, np.random.default_rng(draw))
        counts.append(counted.decompositions)
    assert counts[1:] == [0, 0]
    assert (counts[0] > 0) == (mode != "left")


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_draws_are_made_on_the_device_of_the_weights():
    model = ugly_model().to("cuda")
    ids = np.random.default_rng(0).integers(11, size=(30, 4))
    problem = ct.from_model(model, ids, "blocks.0", pooling="mean", labels=ids[:, 0] > 5)
    for control in (ct.MatchSpectrum(), ct.MatchSpectrum(mode="circuit"), ct.PermuteWeights(), ct.Reinitialize()):
        assert control.draw(problem, np.random.default_rng(0)).proof["tensors redrawn"] == 30
