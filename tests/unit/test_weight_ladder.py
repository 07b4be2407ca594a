"""The rungs of the ladder of weight controls: what each writes and refuses, and its size under the null."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import binomtest
from torch import nn

import controls as ct
from controls.core.key import content_key
from controls.generators.cascade import upstream_blocks
from controls.generators.redrawn import Redrawn
from controls.testing.weight_problems import ugly_model, ugly_weight_problems
from tests.oracles.test_weight_spectra import weights_after


@pytest.fixture(scope="module")
def problem():
    return next(ugly_weight_problems())


# -- reinitialize ----------------------------------------------------------------------------------


def test_normal_weights_have_the_standard_deviation_asked_for(problem):
    before, after, proof = weights_after(ct.Reinitialize("normal", std=0.5), problem)
    pooled = torch.cat([w.flatten() for name, w in after.items() if "norm" not in name and not name.endswith("bias")])
    n = pooled.numel()
    assert abs(pooled.mean()) < 5 * 0.5 / n**0.5
    assert abs(pooled.std() / 0.5 - 1) < 5 / (2 * n) ** 0.5
    assert all((w == 0).all() for name, w in after.items() if name.endswith("bias"))
    assert (after["norm.weight"] == 1).all()
    assert not (before["position"] == after["position"]).any()
    assert proof["largest deviation of a moment, in standard errors"] < 6


def test_moments_are_those_of_each_tensor():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(40, 50), nn.Tanh())
        x = torch.randn(30, 40)
    with torch.no_grad():
        model[0].weight.mul_(3).add_(1)
    made = ct.from_model(model, x, "1", labels=(x[:, 0] > 0).numpy())
    means = np.array([[w.mean(), w.std()] for seed in range(20) for w in
                      [weights_after(ct.Reinitialize("moments"), made, seed)[1]["0.weight"]]])  # fmt: skip
    mean, spread = (float(f(model[0].weight.detach())) for f in (torch.mean, torch.std))
    assert abs(means[:, 0].mean() - mean) < 5 * spread / 2000**0.5 / 20**0.5
    assert abs(means[:, 1].mean() / spread - 1) < 5 / 4000**0.5 / 20**0.5


@pytest.mark.parametrize("kind", ["mapping", "pt", "safetensors"])
def test_checkpoints_are_written_as_they_are(problem, kind, tmp_path):
    buffers = dict(problem.source.model.named_buffers())  # those of the model: they are not redrawn
    held = {name: buffers.get(name, tensor + 1) for name, tensor in ugly_model(5).state_dict().items()}
    del held["unembed.weight"]  # tied: one name is enough
    given = held
    if kind == "pt":
        torch.save(held, given := tmp_path / "step0.pt")
    elif kind == "safetensors":
        pytest.importorskip("safetensors.torch").save_file(held, given := tmp_path / "step0.safetensors")
    control = ct.Reinitialize(scheme="checkpoint", checkpoint=given)
    control.check(problem)
    _, after, _ = weights_after(control, problem)
    for name in after:
        assert torch.equal(after[name], held[name].double()), name
    twin = ct.Reinitialize(scheme="checkpoint", checkpoint=copy.copy(given) if kind == "mapping" else str(given))
    assert twin == control
    assert hash(twin) == hash(control)
    assert content_key(twin) == content_key(control)
    other = ct.Reinitialize(scheme="checkpoint", checkpoint={**held, "norm.bias": held["norm.bias"] + 1})
    assert other != control
    assert content_key(other) != content_key(control)


def test_a_checkpoint_is_one_other_model_and_one_paired_comparison(problem):
    control = ct.Reinitialize(scheme="checkpoint", checkpoint=ugly_model(5).state_dict())
    result = ct.measure(ct.probes.RidgeProbe(), problem, controls=[control], scoring="accuracy", draws=99)
    (comparison,) = result.comparisons
    assert (comparison.inference, len(comparison.control_scores)) == ("paired", 1)
    assert "one other model" in comparison.licenses
    ct.testing.check_control(control)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda held: held.pop("norm.weight"), r"1 of 30 are not there, the first 'norm.weight'"),
        (lambda held: held.update(other=torch.ones(2)), r"has 1 others, the first 'other'"),
        (lambda held: held.update({"norm.bias": torch.ones(3)}), r"'norm.bias' of \(3,\) where the model has \(8,\)"),
        (lambda held: held.update({"norm.bias": "text"}), r"map names to tensors, got str for 'norm.bias'"),
        (lambda held: held.update({"norm.bias": torch.full((8,), torch.nan)}), "not finite"),
        (lambda held: held.clear(), "mapping of names to tensors"),
    ],
)
def test_a_checkpoint_of_another_model_is_refused_before_any_work(problem, change, words):
    held = ugly_model(5).state_dict()
    change(held)
    with pytest.raises(ct.ControlsError, match=words):
        ct.Reinitialize(scheme="checkpoint", checkpoint=held).check(problem)


def test_what_is_no_checkpoint_is_refused(tmp_path):
    (tmp_path / "bad.pt").write_bytes(b"no tensors")
    for given, words in (
        (tmp_path / "none.pt", "file that is there"),
        (tmp_path / "bad.pt", "could not be read"),
        ([{}], "for several, name a control for each"),
    ):
        with pytest.raises(ct.InputError, match=words):
            ct.Reinitialize(scheme="checkpoint", checkpoint=given)
    for settings in ({"scheme": "checkpoint"}, {"checkpoint": {"a": torch.ones(1)}}):
        with pytest.raises(ct.InputError, match="checkpoint must be given with scheme='checkpoint'"):
            ct.Reinitialize(**settings)
    with pytest.raises(ct.InputError, match="std must be above 0"):
        ct.Reinitialize("normal", std=0)


# -- permute ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["entry", "row", "column"])
def test_entries_trade_places_only_where_they_may(problem, by):
    before, after, _ = weights_after(ct.PermuteWeights(by=by), problem)
    for name, old in before.items():
        new = after[name]
        assert torch.equal(old.flatten().sort()[0], new.flatten().sort()[0])
        if old.ndim == 2 and min(old.shape) > 2:
            assert torch.equal(old.sort(dim=1)[0], new.sort(dim=1)[0]) == (by == "row"), name
            assert torch.equal(old.sort(dim=0)[0], new.sort(dim=0)[0]) == (by == "column"), name


def test_every_arrangement_of_a_row_is_as_frequent():
    model = nn.Sequential(nn.Linear(3, 2, bias=False), nn.Tanh())
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]))
    made = ct.from_model(model, np.eye(3, dtype=np.float32).repeat(4, axis=0), "1", labels=np.arange(12) % 2)
    extract, counts = made.source, {}
    for seed in range(1800):
        redrawn = Redrawn(extract, ((ct.PermuteWeights(by="row"), seed),))
        try:
            with redrawn.swapped(model):
                drawn = tuple(model[0].weight.flatten().tolist())
        except ct.CannotControl:  # both rows as they were: 1 of 36, which a proof refuses
            drawn = (1.0, 2.0, 3.0, 4.0, 5.0, 6.0)
        counts[drawn] = counts.get(drawn, 0) + 1
    from scipy.stats import chisquare

    assert len(counts) == 36
    assert chisquare(list(counts.values())).pvalue > 1e-3


def test_neurons_move_with_their_biases_and_nothing_else_does(problem):
    before, after, _ = weights_after(ct.PermuteWeights(by="neuron"), problem)
    for path in ("blocks.0.into", "blocks.1.attention.k_proj", "narrow"):
        both = [torch.cat([w[f"{path}.weight"], w[f"{path}.bias"][:, None]], dim=1) for w in (before, after)]
        assert {tuple(row) for row in both[0].tolist()} == {tuple(row) for row in both[1].tolist()}
        assert not torch.equal(*both)
    for name in ("embed.weight", "norm.weight"):
        assert torch.equal(before[name], after[name])


def test_heads_are_put_together_anew_on_every_draw(problem):
    path, width = "blocks.0.attention", 4
    for seed in range(20):
        before, after, _ = weights_after(ct.PermuteWeights(by="head", include="blocks.0.*"), problem, seed)
        swaps = []
        for name in "qkv":
            old, new = (
                torch.cat([w[f"{path}.{name}_proj.weight"], w[f"{path}.{name}_proj.bias"][:, None]], 1) for w in
                (before, after)
            )  # fmt: skip
            swaps.append(torch.equal(new, old.roll(width, 0)))
            assert swaps[-1] or torch.equal(new, old)
        old, new = (w[f"{path}.o_proj.weight"] for w in (before, after))
        swaps.append(torch.equal(new, old.roll(width, 1)))
        assert swaps[-1] or torch.equal(new, old)
        assert len(set(swaps)) == 2  # all alike, the heads would only have other names
        assert torch.equal(before["blocks.0.into.weight"], after["blocks.0.into.weight"])


def test_draws_that_change_nothing_are_refused(problem):
    one = nn.ModuleDict({"attention": copy.deepcopy(problem.source.model.blocks[0].attention)})
    one.forward = lambda x: one["attention"](x)
    single = ct.from_model(one, torch.randn(20, 3, 8, generator=torch.Generator().manual_seed(0)), "attention",
                           pooling="mean", labels=np.arange(20) % 2)  # fmt: skip
    with pytest.raises(ct.CannotControl, match="can put no heads together anew"):
        ct.PermuteWeights(by="head", heads={"attention": 1}).check(single)
    hidden = nn.Sequential(nn.Linear(5, 6), nn.ReLU())
    shown = ct.from_model(hidden, torch.randn(30, 5), "1", labels=np.arange(30) % 2)
    with pytest.raises(ct.CannotControl, match="only rotates"):
        ct.PermuteWeights(by="neuron").check(shown)
    with pytest.raises(ct.CannotControl, match="needs a matrix"):
        ct.PermuteWeights(by="neuron", include="norms").check(problem)


# -- match activations -----------------------------------------------------------------------------


def outputs(model, ids, paths):
    """Return what modules give, by plain hooks."""
    found = {}
    handles = [model.get_submodule(path).register_forward_hook(lambda _m, _i, out, path=path: found.update({path: out}))
               for path in paths]  # fmt: skip
    model(ids)
    for handle in handles:
        handle.remove()
    return found


@pytest.mark.parametrize("layers", [None, "blocks.*", ("norm", "blocks.0.into")])
def test_norms_of_activations_are_the_trained_ones(problem, layers):
    control = ct.MatchActivations(ct.Reinitialize(), layers=layers, batch=54)
    paths = ["blocks.0.attention.q_proj", "blocks.0.into", "blocks.1.out"] if layers is None else (
        ["blocks.0", "blocks.1"] if layers == "blocks.*" else ["norm", "blocks.0.into"])  # fmt: skip
    model, ids = problem.source.model, problem.source.inputs.arrays[""]
    trained = outputs(model, ids, paths)
    drawn = control.draw(problem, np.random.default_rng(0))
    plain = ct.Reinitialize().draw(problem, np.random.default_rng(0))
    ratios = []
    for each in (drawn, plain):
        with each.source.extract.swapped(model):
            now = outputs(model, ids, paths)
        ratios.append([float(now[p].float().norm() / trained[p].float().norm()) for p in paths])
    np.testing.assert_allclose(ratios[0], 1, atol=2e-3)
    assert np.abs(np.array(ratios[1]) - 1).max() > 0.2
    assert drawn.proof["largest error of a matched size"] < 2e-3


def test_a_layer_inside_one_that_is_rescaled_may_be_looked_at(problem):
    model, ids = problem.source.model, problem.source.inputs.arrays[""]
    inside = ct.from_model(model, ids, "blocks.0.into", pooling="mean", labels=problem.labels)
    drawn = ct.MatchActivations(ct.Reinitialize(), layers="blocks.*").draw(inside, np.random.default_rng(0))
    assert drawn.proof["layers rescaled"] == 2


def test_means_and_variances_are_the_trained_ones(problem):
    model, ids = problem.source.model, problem.source.inputs.arrays[""]
    paths = ["blocks.0.into", "blocks.1.into"]
    trained = outputs(model, ids, paths)
    control = ct.MatchActivations(ct.MatchSpectrum(), match="moments", layers="blocks.*.into", batch=54)
    with control.draw(problem, np.random.default_rng(3)).source.extract.swapped(model):
        now = outputs(model, ids, paths)
    for path in paths:
        np.testing.assert_allclose(float(now[path].mean()), float(trained[path].mean()), atol=1e-4)
        np.testing.assert_allclose(float(now[path].std()), float(trained[path].std()), rtol=1e-4)


def test_what_cannot_be_met_is_in_the_proof():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(5, 6, bias=False), nn.ReLU(), nn.Linear(6, 6, bias=False))
        x = torch.randn(40, 5) + 1
    model[2].weight.data.abs_()  # all of one sign: the mean is far from zero, and there is no bias to shift
    made = ct.from_model(model, x, "2", labels=(x[:, 0] > 1).numpy())
    control = ct.MatchActivations(ct.Reinitialize(), match="moments", layers="2")
    assert control.draw(made, np.random.default_rng(0)).proof["largest error of a matched size"] > 0.1


def test_layers_that_cannot_be_rescaled_are_refused(problem):
    with pytest.raises(ct.CannotControl, match="not among the parameters that are redrawn"):
        ct.MatchActivations(ct.Reinitialize(include="blocks.1.*"), layers="blocks.0").check(problem)
    with pytest.raises(ct.InputError, match="layer 'block' is not known"):
        ct.MatchActivations(ct.Reinitialize(), layers="block").check(problem)
    with pytest.raises(ct.InputError, match="after must be a control on weights"):
        ct.MatchActivations(ct.ShuffleLabels())


# -- cascade ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["top_down", "bottom_up", "independent"])
def test_steps_of_one_draw_differ_in_one_block(order):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(*[nn.Linear(4, 4) for _ in range(4)], nn.Linear(4, 2))
        x = torch.randn(30, 4)
    made = ct.from_model(model, x, "2", labels=(x[:, 0] > 0).numpy())
    assert upstream_blocks(made, None) == ("0", "1", "2")
    steps = [ct.Cascade(ct.MatchSpectrum(), step, order, ("0", "1", "2")) for step in (1, 2, 3)]
    before, all_drawn, _ = weights_after(ct.MatchSpectrum(), made)
    expected = {"top_down": ["2", "12", "012"], "bottom_up": ["0", "01", "012"], "independent": ["0", "1", "2"]}
    for step, blocks in zip(steps, expected[order], strict=True):
        _, after, _ = weights_after(step, made)
        for name in before:
            wanted = all_drawn if name[0] in blocks else before
            assert torch.equal(after[name], wanted[name]), (name, blocks)


def test_cascades_share_their_draws_and_end_where_all_blocks_are_redrawn():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 6))
        x = torch.randn(60, 4)
    made = ct.from_model(model, x, "4", labels=(x[:, 0] > 0).numpy())
    settings = {"scoring": "roc_auc", "draws": 19, "seed": 3}
    steps = ct.cascade(ct.probes.RidgeProbe(), made, control=ct.Reinitialize(), **settings)
    whole = ct.measure(ct.probes.RidgeProbe(), made, controls=[ct.Reinitialize()], **settings)
    assert list(steps) == ["top 1 of 3", "top 2 of 3", "top 3 of 3"]
    last = steps["top 3 of 3"]["Cascade"]
    np.testing.assert_array_equal(last.control_scores, whole["Reinitialize"].control_scores)
    assert len({result.score for result in steps.results.values()}) == 1
    assert "top 2 of 3" in str(steps)
    assert steps.plot().axes


def test_cascades_refuse_what_they_cannot_do(problem):
    probe = ct.probes.RidgeProbe()
    for settings, words in (
        ({"control": ct.ShuffleLabels()}, "control must be one on weights"),
        ({"control": ct.Reinitialize(), "blocks": "block.*"}, "block 'block.*' is not known"),
        ({"control": ct.Reinitialize(), "blocks": "blocks.1"}, "come after it"),
        ({"control": ct.Reinitialize(), "order": "down"}, "order must be one of"),
        ({"control": ct.Reinitialize(include="norms")}, "block 'blocks.0' has no parameter that Reinitialize redraws"),
    ):
        with pytest.raises(ct.ControlsError, match=words.replace("*", r"\*")):
            ct.cascade(probe, problem, draws=19, **settings)
    with pytest.raises(ct.InputError, match="step must be at most 2"):
        ct.Cascade(ct.Reinitialize(), step=3).check(problem)


# -- size ------------------------------------------------------------------------------------------

RUNGS = [
    ct.Reinitialize("normal", std=0.5),
    ct.PermuteWeights(),
    ct.PermuteWeights(by="row"),
    ct.PermuteWeights(by="column"),
    ct.MatchSpectrum(),
    ct.MatchSpectrum(mode="left"),
    ct.MatchSpectrum(mode="right"),
    ct.MatchSpectrum(mode="eigen"),
]


OF_HEADS = [ct.MatchSpectrum(mode="per_head"), ct.MatchSpectrum(mode="circuit")]


class Attending(nn.Module):
    """A layer and two heads on it, without biases."""

    def __init__(self) -> None:
        super().__init__()
        self.num_heads = 2
        self.before = nn.Linear(3, 4, bias=False)
        self.q_proj, self.k_proj, self.v_proj, self.o_proj = (nn.Linear(4, 4, bias=False) for _ in range(4))
        self.last = nn.Tanh()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.before(x)
        q, k, v = (part(x).unflatten(-1, (2, 2)).transpose(1, 2) for part in (self.q_proj, self.k_proj, self.v_proj))
        return self.last(self.o_proj(((q @ k.mT).softmax(-1) @ v).transpose(1, 2).flatten(2)))


def ranks_first(control, model, layer, x, label):
    """Return in how many of 160 untrained models a statistic is above that of four redraws, and p of that number."""
    repetitions, draws, first = 160, 4, 0
    source = torch.Generator().manual_seed(11)
    for repetition in range(repetitions):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.copy_(0.5 * torch.randn(parameter.shape, generator=source))
        made = ct.from_model(model, x, layer, labels=label, pooling=None if x.ndim == 2 else "mean")
        rng = np.random.default_rng(repetition)
        others = [_fit(control.draw(made, rng)) for _ in range(draws)]
        first += _fit(made) > max(others)
    return first, binomtest(first, repetitions, 1 / (draws + 1)).pvalue


@pytest.mark.parametrize("control", [*RUNGS, *OF_HEADS], ids=lambda control: repr(control)[:32])
def test_size_is_exact_where_the_law_of_the_control_made_the_weights(control):
    """Independent normal weights: a statistic of the model ranks among four redraws as chance has it."""
    source = torch.Generator().manual_seed(12)
    if control in OF_HEADS:
        x, model, layer = torch.randn(25, 3, 3, generator=source), Attending(), "last"
        label = (x[:, 0, 0] * x[:, 1, 1]).numpy()
    else:
        x, layer = torch.randn(25, 3, generator=source), "3"
        model = nn.Sequential(nn.Linear(3, 5, bias=False), nn.ReLU(), nn.Linear(5, 5, bias=False), nn.Tanh())
        label = (x[:, 0] * x[:, 1]).numpy()
    assert ranks_first(control, model, layer, x, label)[1] > 0.05 / len([*RUNGS, *OF_HEADS])


def test_the_count_of_sizes_sees_weights_of_another_law():
    x = torch.randn(25, 3, generator=torch.Generator().manual_seed(12))
    model = nn.Sequential(nn.Linear(3, 5, bias=False), nn.ReLU(), nn.Linear(5, 5, bias=False), nn.Tanh())
    label = (x[:, 0] * x[:, 1]).numpy()
    assert ranks_first(ct.Reinitialize("normal", std=0.05), model, "3", x, label)[1] < 0.01


def _fit(made):
    """Return the R² of the label on the activations, in the sample."""
    design = np.column_stack([np.ones(made.n), made.X])
    left = made.labels - design @ np.linalg.lstsq(design, made.labels, rcond=None)[0]
    return 1 - left @ left / ((made.labels - made.labels.mean()) ** 2).sum()


def test_a_control_inside_another_is_shown_as_it_is_typed():
    from controls.core.control import describe

    inner = ct.MatchSpectrum(mode="left")
    assert describe(ct.MatchActivations(inner)) == "MatchActivations(after=MatchSpectrum(mode='left'))"


def test_numbers_of_heads_are_compared_and_checked():
    assert replace(ct.PermuteWeights(heads={"a.*": 2})) == ct.PermuteWeights(heads=(("a.*", 2),))
    with pytest.raises(ct.InputError, match="heads must map globs"):
        ct.PermuteWeights(by="head", heads="blocks")


@pytest.mark.parametrize("mode", ["full", "left", "eigen", "per_head", "circuit"])
def test_spectra_of_redrawn_weights_are_not_kept_and_those_of_trained_ones_are(mode, monkeypatch):
    problem = next(ugly_weight_problems())
    counts = []
    monkeypatch.setattr(torch.linalg, "svdvals", _counted(torch.linalg.svdvals, counts))
    for control, grows in (
        (ct.MatchSpectrum(mode), False),
        (ct.compose(ct.Reinitialize(), ct.MatchSpectrum(mode)), True),
    ):
        kept, computed = [], []
        for draw in range(3):
            control.draw(problem, np.random.default_rng(draw))
            kept.append(len(problem.source._memo))
            computed.append(len(counts))
        assert kept[0] == kept[1] == kept[2]
        steps = np.diff(computed)
        assert (steps > 0).all() == (grows and mode != "left")
        assert grows or not steps.any()


def _counted(function, counts):
    def call(*arguments):
        counts.append(1)
        return function(*arguments)

    return call


def test_spectra_of_heads_are_told_apart_by_how_many_there_are():
    problem = next(ugly_weight_problems())
    for block in problem.source.model.blocks:
        del block.attention.num_heads
    trained = problem.source.model.blocks[0].attention.q_proj.weight.detach().numpy().copy()
    for heads in (2, 1, 4):
        control = ct.MatchSpectrum("per_head", heads={"blocks.*.attention": heads})
        _, after, _ = weights_after(control, problem)
        redrawn = after["blocks.0.attention.q_proj.weight"].numpy()
        for old, new in zip(np.split(trained, heads), np.split(redrawn, heads), strict=True):
            np.testing.assert_allclose(*(np.linalg.svd(each)[1] for each in (new, old)), rtol=1e-4)


@pytest.mark.parametrize("in_place", [False, True])
def test_layers_that_write_into_their_input_are_rescaled_as_others_are(in_place):
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(8, 8)

        def forward(self, x):
            return x.add_(self.layer(x)) if in_place else x + self.layer(x)

    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(8, 8), Block(), Block()).eval()
        for parameter in model.parameters():
            parameter.data *= 2
        x = torch.randn(40, 8)
    problem = ct.from_model(model, x, layer="2")
    control = ct.MatchActivations(ct.Reinitialize(), layers=("1", "2"), batch=40)
    drawn = control.draw(problem, np.random.default_rng(0))
    assert drawn.proof["largest error of a matched size"] < 1e-3
    sizes = [np.sqrt(np.square(each.X).mean()) for each in (problem, drawn)]
    assert sizes[1] == pytest.approx(sizes[0], rel=1e-3)
