"""What would lose trained weights, or answer with another model's: threads, initialisers, resizing, caches, rows."""

import random
import warnings
from typing import Any

import joblib
import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn

import controls as ct
from controls.models.initialise import initialised
from controls.models.swap import Swap, fingerprint, lock_of
from controls.models.tensors import tensors_of

X = np.random.default_rng(0).standard_normal((60, 8)).astype(np.float32)
Y = (X[:, 0] > 0).astype(int)


def prints(model):
    return {name: fingerprint(parameter) for name, parameter in model.named_parameters()}


def net(depth=3):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(*(layer for _ in range(depth) for layer in (nn.Linear(8, 8), nn.Tanh()))).eval()


def test_threads_take_turns_with_a_model():
    model = net()
    before = prints(model)
    problem = ct.from_model(model, X, layer="5", labels=Y)
    settings = {"controls": [ct.Reinitialize()], "draws": 8}
    one = ct.measure(LogisticRegression(), problem, **settings)
    with joblib.parallel_config(backend="threading"):
        four = ct.measure(LogisticRegression(), problem, **settings, n_jobs=4)
    np.testing.assert_array_equal(one["Reinitialize"].control_scores, four["Reinitialize"].control_scores)
    assert prints(model) == before
    assert lock_of(model) is lock_of(model)


class Own(nn.Module):
    """A model whose initialiser takes a flag, and no module."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(8, 8), nn.Linear(8, 8)

    def _init_weights(self, small=False):
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.01 if small else 0.3)

    def forward(self, x):
        return self.b(torch.tanh(self.a(x)))


def test_initialisers_run_on_a_copy():
    model = Own().eval()
    before = prints(model)
    drawn = ct.Reinitialize().draw(ct.from_model(model, X, layer="b"), np.random.default_rng(0))
    assert prints(model) == before
    assert drawn.proof["tensors by their module's initialiser"] == 4
    values = dict(initialised(model, tensors_of(model), 0))
    by_name = {tensor.name: value for tensor, value in values.items()}
    assert 0.2 < float(by_name["a.weight"].std()) < 0.4


@pytest.mark.parametrize(
    "make", [lambda: nn.MultiheadAttention(16, 2), lambda: nn.Transformer(16, 2, 1, 1, 32, batch_first=True)]
)
def test_draws_have_the_law_of_fresh_modules(make):
    """Parents set their children's weights last, as when the module is made."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model, fresh = make(), [dict(make().named_parameters()) for _ in range(60)]
    tensors = tensors_of(model)
    drawn = [dict(initialised(model, tensors, seed)) for seed in range(60)]
    for tensor in tensors:
        ours = torch.stack([values[tensor] for values in drawn]).std()
        theirs = torch.stack([values[tensor.name].detach() for values in fresh]).std()
        assert float(ours) == pytest.approx(float(theirs), rel=0.15, abs=1e-6), tensor.name


def test_scaled_initialisers_of_gpt2_are_followed():
    transformers = pytest.importorskip("transformers")
    config = transformers.GPT2Config(n_layer=6, n_head=2, n_embd=16, vocab_size=50, n_positions=32)
    model = transformers.GPT2Model(config)
    values = {tensor.name: value for tensor, value in initialised(model, tensors_of(model), 0)}
    assert float(values["h.0.attn.c_proj.weight"].std()) == pytest.approx(0.02 / 12**0.5, rel=0.2)
    assert float(values["h.0.attn.c_attn.weight"].std()) == pytest.approx(0.02, rel=0.2)


@pytest.mark.parametrize("size", [3, 4000])
def test_a_tensor_that_a_forward_pass_resizes_costs_no_other(size):
    model = net(2)
    model.position = nn.Parameter(torch.ones(5))
    before = prints(model)
    with Swap(model) as swap:
        for tensor in swap.tensors:
            swap.write(tensor, torch.zeros_like(tensor.parameter))
        model.position.data = torch.zeros(size)
    assert prints(model) == before


class Scaled(nn.Module):
    """A module with a number that no tensor shows."""

    def __init__(self, scale):
        super().__init__()
        self.scale = scale

    def forward(self, x):
        return x * self.scale


def negated(module: nn.Module, inputs: Any, output: Any) -> Any:
    return -output


def test_a_cache_tells_models_apart_by_their_numbers_modes_and_hooks(tmp_path):
    base = net(1)
    one, five = (nn.Sequential(base, Scaled(scale)) for scale in (1.0, 5.0))
    kept = {"layer": "1", "cache": tmp_path}
    first = ct.from_model(one, X, **kept).X
    np.testing.assert_allclose(ct.from_model(five, X, **kept).X, 5 * first, rtol=1e-6)
    one[1].register_forward_hook(negated)
    with pytest.raises(ct.InputError, match="cache must be None for a model with hooks"):
        ct.from_model(one, X, **kept)


class Prefixed(nn.Module):
    """Puts a position before those of its input, or positions first."""

    def __init__(self, first):
        super().__init__()
        self.embed, self.first = nn.Embedding(20, 4), first

    def forward(self, ids):
        x = self.embed(ids)
        return x.transpose(0, 1) if self.first else torch.cat([x[:, :1], x], dim=1)


@pytest.mark.parametrize(("first", "sequences"), [(False, 6), (True, 6), (True, 5)])
def test_positions_that_are_not_those_of_the_input_are_refused(first, sequences):
    model = nn.Sequential(Prefixed(first))
    ids = np.random.default_rng(0).integers(0, 20, (sequences, 5))
    with pytest.raises(ct.InputError, match="adds positions, or puts them first"):
        ct.from_model(model, ids, layer="0")


def test_buffers_stay_also_where_a_child_alone_is_in_train_mode():
    model = nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8)).eval()
    model[1].train()
    with pytest.raises(ct.InputError, match="train mode with a BatchNorm1d"):
        ct.from_model(model, X, layer="1")
    ct.from_model(model, X, layer="1", train_mode=True)
    assert float(dict(model.named_buffers())["1.running_mean"].abs().sum()) == 0.0


def test_a_checkpoint_with_other_running_means_is_refused():
    model = nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8)).eval()
    other = {name: value.clone() for name, value in model.state_dict().items()}
    other["0.weight"] += 1
    other["1.running_mean"] += 1
    problem = ct.from_model(model, X, layer="1", labels=Y)
    with pytest.raises(ct.InputError, match="must have the model's buffers"):
        ct.Reinitialize(scheme="checkpoint", checkpoint=other).check(problem)


def test_what_alone_is_redrawn_is_in_the_words():
    assert "only 0.bias" in ct.Reinitialize(include=("0.bias",)).null
    assert "not embeddings" in ct.MatchSpectrum(exclude=("embeddings",)).licenses


def test_redrawn_models_are_scored_on_the_same_labels():
    problem = ct.from_model(net(), X, layer="5", labels=Y)
    mixed = ct.compose(ct.ShuffleLabels(), ct.Reinitialize())
    with pytest.raises(ct.InputError, match="against must keep the labels"):
        ct.difference_in_differences(
            ct.probes.RidgeProbe(), problem, labels=ct.ShuffleLabels(), against=mixed, draws=3, model_draws=2
        )


def undone(name):
    """Return what makes weights from parameters, and what undoes it, as torch has them."""
    from torch.nn.utils import parametrizations, parametrize, prune

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch deprecates the first two
        old = {"weight_norm": nn.utils.weight_norm, "spectral_norm": nn.utils.spectral_norm}
        back = {"weight_norm": nn.utils.remove_weight_norm, "spectral_norm": nn.utils.remove_spectral_norm}
    if name in old:
        return old[name], back[name]
    if name == "prune":
        return lambda layer: prune.l1_unstructured(layer, "weight", 0.5), lambda layer: prune.remove(layer, "weight")
    new = {"parametrized weight_norm": parametrizations.weight_norm, "orthogonal": parametrizations.orthogonal}[name]
    return new, lambda layer: parametrize.remove_parametrizations(layer, "weight")


@pytest.mark.filterwarnings("ignore:.*weight_norm.* is deprecated:FutureWarning")
@pytest.mark.parametrize("name", ["weight_norm", "spectral_norm", "prune", "parametrized weight_norm", "orthogonal"])
@pytest.mark.parametrize("control", [ct.Reinitialize(), ct.MatchSpectrum()], ids=lambda control: control.name)
def test_weights_made_from_parameters_are_refused_and_the_remedy_is_named(name, control):
    make, undo = undone(name)
    model = net()
    make(model[2])
    problem = ct.from_model(model, X, layer="5", labels=Y)
    with pytest.raises(
        ct.InputError, match=r"'2.weight' is made from '2\..*; call torch.nn.utils.*'weight'\)"
    ) as found:
        control.check(problem)
    undo(model[2])
    assert undo.__name__ in str(found.value) or name not in ("weight_norm", "spectral_norm")
    problem = ct.from_model(model, X, layer="5", labels=Y)
    control.check(problem)
    assert control.draw(problem, np.random.default_rng(0)).proof["tensors redrawn"] == 6


def test_other_parameters_of_a_parametrised_module_can_be_redrawn():
    model = net()
    undone("orthogonal")[0](model[2])
    problem = ct.from_model(model, X, layer="5", labels=Y)
    control, before = (
        ct.Reinitialize(exclude=("*.parametrizations.*",)),
        model.get_parameter("2.parametrizations.weight.original").clone(),
    )
    control.check(problem)
    assert control.draw(problem, np.random.default_rng(0)).proof["tensors redrawn"] == 5
    after = model.get_parameter("2.parametrizations.weight.original")
    torch.testing.assert_close(after, before, rtol=0, atol=0)


class Watched(nn.Module):
    """A model that notes, whenever its initialiser runs, how many entries of its parameters are in memory."""

    def __init__(self, copies=False):
        super().__init__()
        self.a, self.b, self.copies = nn.Linear(8, 8), nn.Linear(8, 8), copies
        self.seen = []

    def reset_parameters(self):
        self.seen.append(sum(p.numel() for p in self.parameters() if not p.is_meta))
        nn.init.constant_(self.a.bias, 3.0)
        if self.copies:
            self.b.weight.copy_(self.a.weight)

    def forward(self, x):
        return self.b(self.a(x).relu())


def test_initialisers_run_with_one_module_in_memory():
    model = Watched().eval()
    before = prints(model)
    values = {tensor.name: value for tensor, value in initialised(model, tensors_of(model), 0)}
    assert model.seen == [72, 72]
    assert prints(model) == before
    assert (values["a.bias"] == 3).all()  # what the module around sets comes after its own initialiser
    bound = 8**-0.5  # of torch's Linear
    for name in ("a.weight", "b.weight", "b.bias"):
        assert 0.5 * bound < values[name].abs().max() <= bound
    assert not torch.equal(values["a.weight"], values["b.weight"])


def test_initialisers_that_need_other_modules_run_on_all():
    model = Watched(copies=True).eval()
    values = {tensor.name: value for tensor, value in initialised(model, tensors_of(model), 0)}
    assert model.seen[-1] == 144
    assert len(values) == 4
    torch.testing.assert_close(values["b.weight"], values["a.weight"], rtol=0, atol=0)


class Scan(nn.Module):
    """A layer with a matrix that its initialiser always gives the same values, and one of other random numbers."""

    def __init__(self, seeds=False):
        super().__init__()
        self.decay, self.mix, self.seeds = nn.Parameter(torch.empty(8, 64)), nn.Parameter(torch.empty(8, 64)), seeds
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self):
        if self.seeds:
            torch.manual_seed(7)
            nn.init.normal_(self.decay)
        else:
            self.decay.copy_(torch.arange(1.0, 65).log().expand(8, 64))
        self.mix.copy_(torch.from_numpy(np.random.standard_normal((8, 64))))  # noqa: NPY002 - as user's code does
        self.mix[0, 0] = random.random()

    def forward(self, x):
        return torch.tanh(x @ (self.mix * self.decay) @ self.mix.T / 64)


@pytest.mark.parametrize("trained", [False, True])
def test_initialisers_of_one_value_are_allowed_and_other_random_numbers_are_seeded_and_put_back(trained):
    model = nn.Sequential(Scan(), Scan()).eval()
    if trained:
        with torch.no_grad():
            model[0].decay.mul_(1.1), model[1].decay.mul_(0.9)
    problem = ct.from_model(model, X, layer="1", labels=Y)
    ct.Reinitialize().check(problem)
    states = np.random.get_state()[1].copy(), random.getstate(), torch.get_rng_state()  # noqa: NPY002
    first, second = (ct.Reinitialize().draw(problem, np.random.default_rng(0)).X for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, ct.Reinitialize().draw(problem, np.random.default_rng(1)).X)
    np.testing.assert_array_equal(np.random.get_state()[1], states[0])  # noqa: NPY002
    assert random.getstate() == states[1]
    assert torch.equal(torch.get_rng_state(), states[2])


def test_random_initialisers_that_give_layers_the_same_are_refused():
    with torch.random.fork_rng():
        model = nn.Sequential(Scan(seeds=True), Scan(seeds=True)).eval()
        with torch.no_grad():
            model[0].decay.mul_(1.1), model[1].decay.mul_(0.9)
    problem = ct.from_model(model, X, layer="1", labels=Y)
    with pytest.raises(ct.ControlsError, match="were given the same weights"):
        ct.Reinitialize().check(problem)


@pytest.mark.parametrize(("scheme", "said"), [("module", True), ("moments", False)])
def test_parameters_without_an_initialiser_are_named(scheme, said):
    class Bare(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer, self.shift = net(1), nn.Parameter(torch.linspace(-1, 1, 8))

        def forward(self, x):
            return self.layer(x) + self.shift

    problem = ct.from_model(Bare().eval(), X, layer="layer", labels=Y)
    result = ct.measure(ct.probes.RidgeProbe(), problem, controls=[ct.Reinitialize(scheme)], draws=3)
    words = " ".join(result.comparisons[0].caveats)
    assert ("1 tensor has no initialiser ('shift') and was drawn with the trained mean" in words) == said


def mean_of_pixels(output, mask):
    return output.mean(1)


def test_a_cache_needs_a_pooling_with_a_name(tmp_path):
    images = np.random.default_rng(0).standard_normal((20, 5, 8)).astype(np.float32)
    with pytest.raises(ct.InputError, match=r"pooling must be a function of its own name.*or leave cache= out"):
        ct.from_model(net(), images, layer="1", pooling=lambda output, mask: output.mean(1), cache=tmp_path)
    kept = ct.from_model(net(), images, layer="1", pooling=mean_of_pixels, cache=tmp_path)
    again = ct.from_model(net(), images, layer="1", pooling=mean_of_pixels, cache=tmp_path)
    np.testing.assert_array_equal(kept.X, again.X)
    assert any(tmp_path.iterdir())
