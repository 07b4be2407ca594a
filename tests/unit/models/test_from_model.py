"""from_model: rows and pooling against a plain forward pass, ties and bytes, and every bad input in one sentence."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from torch import nn

import controls as ct
from controls.models.extract import _Run
from controls.models.inputs import ModelInputs
from controls.models.swap import Swap, fingerprint
from controls.models.tensors import tensors_of

VOCABULARY, WIDTH = 30, 8


class Attention(nn.Module):
    """One causal-free attention head, so that tokens see one another."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(3))

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, None]:
        scores = self.query(x) @ self.key(x).transpose(1, 2) / WIDTH**0.5
        scores = scores.masked_fill(~mask[:, None, :].bool(), -torch.inf)
        return x + scores.softmax(-1) @ self.value(x), None


class Reader(nn.Module):
    """A language model in small: tied embedding, a norm, a bare parameter, a buffer, dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(VOCABULARY, WIDTH)
        self.position = nn.Parameter(0.1 * torch.randn(40, WIDTH))
        self.blocks = nn.ModuleList([Attention(), Attention()])
        self.norm = nn.LayerNorm(WIDTH)
        self.drop = nn.Dropout(0.5)
        self.unembed = nn.Linear(WIDTH, VOCABULARY, bias=False)
        self.unembed.weight = self.embed.weight
        self.register_buffer("scale", torch.ones(1))

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None) -> torch.Tensor:
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        x = self.embed(input_ids) + self.position[: input_ids.shape[1]]
        for block in self.blocks:
            x, _ = block(x, mask)
        return self.unembed(self.drop(self.norm(x)) * self.scale)


class Words:
    """A tokenizer in small, with the interface of a fast one: letters are tokens, between a first and a last one."""

    is_fast, padding_side, pad_token, eos_token, model_max_length = True, "left", None, "end", 16

    def __call__(self, texts, *, is_split_into_words, padding, truncation, max_length, return_tensors, **_):
        assert self.padding_side == "right"
        assert self.pad_token == "end"
        found = [self._one(text if is_split_into_words else [text]) for text in texts]
        found = [(ids[:max_length], words[:max_length]) for ids, words in found] if truncation else found
        longest = max(len(ids) for ids, _ in found)
        encoded = Encoded(
            input_ids=torch.tensor([ids + [0] * (longest - len(ids)) for ids, _ in found]),
            attention_mask=torch.tensor([[1] * len(ids) + [0] * (longest - len(ids)) for ids, _ in found]),
        )
        encoded["special_tokens_mask"] = ((encoded["input_ids"] <= 2) | (encoded["attention_mask"] == 0)).long()
        encoded.words = [words + [None] * (longest - len(words)) for _, words in found]
        return encoded

    def _one(self, words):
        ids, of = [1], [None]
        for number, word in enumerate(words):
            letters = [3 + ord(letter) % 20 for letter in word if letter.isalpha()]
            ids, of = ids + letters, of + [number] * len(letters)
        return [*ids, 2], [*of, None]


class Encoded(dict):
    words: list

    def word_ids(self, i):
        return self.words[i]


@pytest.fixture
def reader() -> Reader:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Reader().eval()


WORDS = [["the", "cat", "sat"], ["a", "dog"], ["my", "3", "fish", "swam"]]  # "3" gets no token


def plain(model: Reader, words: list[str], layer: int = 1) -> torch.Tensor:
    """The output of a block for one text, read by itself, without padding."""
    ids = torch.tensor([Words()._one(words)[0]])
    found = []
    handle = model.blocks[layer].register_forward_hook(lambda m, i, output: found.append(output[0]))
    with torch.no_grad():
        model(ids)
    handle.remove()
    return found[0][0]


@pytest.mark.parametrize("pooling", ["token", "word_first"])
def test_tokens_of_words_have_their_word_and_its_labels(reader, pooling):
    words = [["ab", "c"], ["d", "efg", "h"]]
    labels = [[0, 1], [2, 3, 4]]
    problem = ct.from_model(reader, words, layer="blocks.1", tokenizer=Words(), pooling=pooling, labels=labels)
    wanted = [w for text in words for w in text for _ in (w if pooling == "token" else "x")]
    assert problem.groups["word"].tolist() == wanted
    assert problem.labels.tolist() == [{"ab": 0, "c": 1, "d": 2, "efg": 3, "h": 4}[w] for w in wanted]


@pytest.mark.parametrize("batch_size", [1, 2, 32])
def test_words_are_pooled_as_by_hand_whatever_the_batch(reader, batch_size):
    for pooling, take in (("word_first", lambda x: x[0]), ("word_last", lambda x: x[-1]), ("word_mean", torch.mean)):
        problem = ct.from_model(
            reader, WORDS, layer="blocks.1", tokenizer=Words(), pooling=pooling, batch_size=batch_size,
            labels=[[1, 2, 3], [4, 5], [6, 7, 8, 9]], groups={"document": ["x", "y", "z"]},
        )  # fmt: skip
        expected = []
        for words in WORDS:
            states, of = plain(reader, words), np.array([-1 if w is None else w for w in Words()._one(words)[1]])
            for word in range(len(words)):
                if (of == word).any():
                    part = states[of == word]
                    expected.append(part.mean(0) if take is torch.mean else take(part))
        np.testing.assert_allclose(problem.X, torch.stack(expected).numpy(), atol=1e-6)
        assert problem.labels.tolist() == [1, 2, 3, 4, 5, 6, 8, 9]  # the word without a token has no row
        assert problem.groups["word"].tolist() == ["the", "cat", "sat", "a", "dog", "my", "fish", "swam"]
        assert problem.groups["document"].tolist() == ["x"] * 3 + ["y"] * 2 + ["z"] * 3
        assert problem.unit == "sequence"


def test_tokens_sentences_and_functions(reader):
    texts = ["".join(words) for words in WORDS]
    at = {"layer": "blocks.1", "tokenizer": Words()}
    states = [plain(reader, [text]) for text in texts]
    tokens = ct.from_model(reader, texts, **at)
    np.testing.assert_allclose(tokens.X, torch.cat([s[1:-1] for s in states]).numpy(), atol=1e-6)
    assert tokens.groups["position"][:3].tolist() == [1, 2, 3]
    assert tokens.groups["token"][0] == 3 + ord("t") % 20
    for pooling, take in (
        ("mean", lambda s: s[1:-1].mean(0)),
        ("first", lambda s: s[0]),
        ("last", lambda s: s[-2]),
        (lambda output, mask: (output * mask[..., None]).sum(1), lambda s: s.sum(0)),
    ):
        problem = ct.from_model(reader, texts, pooling=pooling, labels=[0, 1, 0], **at)
        np.testing.assert_allclose(problem.X, torch.stack([take(s) for s in states]).numpy(), atol=1e-5)
        assert problem.unit is None


def test_arrays_mappings_and_images():
    X = np.random.default_rng(0).standard_normal((20, 3, 5, 5)).astype(np.float32)
    model = nn.Sequential(nn.Conv2d(3, 4, 2), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(64, 2))
    flat = ct.from_model(model, X, layer="2")
    assert flat.X.shape == (20, 64)
    pooled = ct.from_model(model, X, layer="0", pooling=lambda output, mask: output.mean((2, 3)))
    with torch.no_grad():
        np.testing.assert_allclose(pooled.X, model[0](torch.from_numpy(X)).mean((2, 3)).numpy(), atol=1e-6)
    assert (pooled.X < 0).any()  # as the layer gave it, before the next one wrote into it
    ids = np.arange(12).reshape(3, 4)
    reader = Reader().eval()
    assert ct.from_model(reader, {"input_ids": ids}, layer="norm").n == 12
    mask = np.array([[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 0, 0]])
    assert ct.from_model(reader, {"input_ids": ids, "attention_mask": mask}, layer="norm").n == 7


def test_labels_of_the_shape_of_the_tokens_are_one_per_token(reader):
    ids = np.arange(12).reshape(3, 4)
    mask = np.array([[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 0, 0]])
    inputs = {"input_ids": ids, "attention_mask": mask}
    problem = ct.from_model(reader, inputs, layer="norm", labels=ids, groups={"token": ids})
    assert problem.labels.tolist() == [0, 1, 2, 3, 4, 5, 8]
    assert problem.groups["token"].tolist() == problem.labels.tolist()


def test_the_callers_model_tokenizer_and_random_state_stay(reader):
    tokenizer, state, before = Words(), torch.get_rng_state(), {k: v.clone() for k, v in reader.state_dict().items()}
    problem = ct.from_model(reader, WORDS, layers=["blocks.0", "norm"], tokenizer=tokenizer)
    for control in (ct.Reinitialize(), ct.MatchSpectrum()):
        control.draw(problem.at("norm"), np.random.default_rng(0))
    assert (tokenizer.padding_side, tokenizer.pad_token) == ("left", None)
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(before[name], now) for name, now in reader.state_dict().items())
    assert not any(module._forward_hooks for module in reader.modules())
    assert reader.unembed.weight is reader.embed.weight


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, MemoryError])
def test_weights_are_back_after_whatever_happens(reader, error):
    before = {name: fingerprint(parameter) for name, parameter in reader.named_parameters()}

    def spoil() -> None:
        with Swap(reader) as swap:
            for tensor in swap.tensors[:4]:
                swap.write(tensor, torch.zeros_like(tensor.parameter))
                swap.write(tensor, torch.ones_like(tensor.parameter))
            assert float(reader.embed.weight.detach().sum()) == reader.embed.weight.numel()
            raise error

    with pytest.raises(error):
        spoil()
    assert before == {name: fingerprint(parameter) for name, parameter in reader.named_parameters()}


def test_a_disk_that_takes_nothing_costs_memory_alone(reader, monkeypatch):
    def full(**_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.TemporaryFile", full)
    before = fingerprint(reader.embed.weight)
    with Swap(reader) as swap:
        swap.write(swap.tensors[0], torch.zeros_like(swap.tensors[0].parameter))
    assert fingerprint(reader.embed.weight) == before


def test_low_precision_comes_back_to_the_bit():
    model = nn.Sequential(nn.Linear(6, 40), nn.ReLU()).to(torch.bfloat16)
    X = torch.randn(50, 6, generator=torch.Generator().manual_seed(0)).bfloat16()
    before = [fingerprint(parameter) for parameter in model.parameters()]
    problem = ct.from_model(model, X, layer="1")
    assert problem.X.dtype == np.float32
    for control in (ct.Reinitialize(), ct.Reinitialize(scheme="moments"), ct.MatchSpectrum()):
        assert np.isfinite(control.draw(problem, np.random.default_rng(0)).X).all()
    assert before == [fingerprint(parameter) for parameter in model.parameters()]


def test_a_cache_is_read_instead_of_the_model(reader, tmp_path, monkeypatch):
    kept = {"layers": ["blocks.0", "norm"], "tokenizer": Words(), "cache": tmp_path / "kept"}
    first = ct.from_model(reader, WORDS, **kept)
    drawn = ct.Reinitialize().draw(first.at("norm"), np.random.default_rng(3))
    calls = []
    batch = _Run._batch
    monkeypatch.setattr(_Run, "_batch", lambda self, *args, **kw: calls.append(1) or batch(self, *args, **kw))
    again = ct.from_model(reader, WORDS, **kept)
    assert len(calls) == 1  # the first batch says what rows are
    np.testing.assert_array_equal(first.at("norm").X, again.at("norm").X)
    redrawn = ct.Reinitialize().draw(again.at("norm"), np.random.default_rng(3))
    assert len(calls) == 1
    np.testing.assert_array_equal(drawn.X, redrawn.X)
    assert drawn.proof == redrawn.proof
    with torch.no_grad():
        reader.embed.weight += 1.0
    assert not np.array_equal(ct.from_model(reader, WORDS, **kept).at("norm").X, first.at("norm").X)


def test_a_sweep_redraws_once_for_all_sites(reader, monkeypatch):
    rng = np.random.default_rng(0)
    ids = rng.integers(3, VOCABULARY, (30, 6))
    problem = ct.from_model(reader, ids, layers=["blocks.0", "norm"], labels=ids[:, 0] % 2, pooling="first")
    swaps = []
    monkeypatch.setattr(Swap, "__enter__", lambda self, enter=Swap.__enter__: swaps.append(1) or enter(self))
    swept = ct.sweep(ct.probes.RidgeProbe(), problem, controls=[ct.Reinitialize()], draws=19, scoring="accuracy")
    assert len(swaps) == 20  # and one on a few inputs, before any work
    proofs = [result["Reinitialize"].proofs for result in swept.results.values()]
    assert [len(proof) for proof in proofs] == [19, 19]
    assert "tensors redrawn" in proofs[0][0]


EMPTY = {"input_ids": np.ones((2, 3), int), "attention_mask": np.zeros((2, 3), int)}


def bad(match: str, **changes):
    return pytest.param(match, changes, id=match[:40])


@pytest.mark.parametrize(
    ("match", "changes"),
    [
        bad("layer 'block.1' is not known.*Did you mean 'blocks.1'", layer="block.1"),
        bad("layer or layers must be given", layer=None),
        bad("layer 'blocks' must run once.*it did not run", layer="blocks"),
        bad("model must be a torch.nn.Module, got function", model=lambda x: x),
        bad("model must have parameters", model=nn.ReLU()),
        bad("tokenizer must be given where inputs are texts", tokenizer=None),
        bad("inputs must be several texts, got one str", inputs="a text"),
        bad("inputs must have no empty texts, got 1, the first at 1", inputs=[["a"], []]),
        bad("inputs must have at most 16 tokens", inputs=[["a" * 40]]),
        bad("inputs must be all texts, or all lists of words", inputs=[["a"], "b"]),
        bad("inputs must have something but special tokens in every sequence", inputs=[["a"], ["3"]]),
        bad("inputs must be texts .* got list", inputs=[[1, 2], [3]]),
        bad("pooling must be one of", pooling="max"),
        bad("pooling must return a tensor", pooling=lambda output, mask: output.sum()),
        bad("batch_size must be", batch_size=0),
        bad("labels must have a list per sequence .* sequence 0 has 1", labels=[[1], [1, 2], [1, 2, 3, 4]]),
        bad("labels must have one entry per row .8. or per sequence .3., got shape .4,.", labels=[1, 2, 3, 4]),
        bad("layers must differ", layer=None, layers=["norm", "norm"]),
        bad("special tokens in every|empty sequences", inputs=EMPTY),
    ],
)  # fmt: skip
def test_bad_input_is_one_sentence(reader, match, changes):
    arguments = {"model": reader, "inputs": WORDS, "layer": "blocks.1", "tokenizer": Words(), **changes}
    with pytest.raises(ct.ControlsError, match=match) as caught:
        ct.from_model(arguments.pop("model"), arguments.pop("inputs"), **arguments)
    assert "\n" not in str(caught.value)


def test_a_module_that_runs_twice_is_refused(reader):
    reader.blocks[1] = reader.blocks[0]
    with pytest.raises(ct.InputError, match="runs more often"):
        ct.from_model(reader, np.ones((3, 4), int), layer="blocks.0")


def test_train_mode_is_refused_unless_asked_for(reader):
    ids = np.arange(12).reshape(3, 4)
    with pytest.raises(ct.InputError, match=r"eval mode, got train mode with a Dropout \('drop'\)"):
        ct.from_model(reader.train(True), ids, layer="drop")
    one, two = (ct.from_model(reader, ids, layer="drop", train_mode=True).X for _ in range(2))
    np.testing.assert_array_equal(one, two)
    assert (one == 0).any()
    noisy = nn.Sequential(nn.BatchNorm1d(4)).train()
    ct.from_model(noisy, np.random.default_rng(0).random((9, 4), dtype=np.float32), layer="0", train_mode=True)
    assert float(dict(noisy.named_buffers())["0.running_mean"].abs().sum()) == 0.0


def test_what_is_not_finite_names_the_first_module(reader):
    with torch.no_grad():
        reader.blocks[0].value.weight[0, 0] = torch.inf
    with pytest.raises(ct.CannotControl, match=r"layer 'norm' gave activations .* 'blocks.0.value'"):
        ct.from_model(reader, np.ones((3, 4), int), layer="norm")


@pytest.mark.parametrize(
    ("match", "change"),
    [
        ("include pattern 'blok.*' is not known", {"include": "blok*"}),
        ("must be globs on parameter names", {"include": 3}),
        ("must leave some parameter", {"exclude": "*"}),
        ("change no activation at this layer", {"include": "norm.*"}),
    ],
)
def test_controls_that_hit_nothing_are_refused_before_any_work(reader, match, change):
    with torch.no_grad():
        reader.norm.weight.uniform_()
    problem = ct.from_model(reader, np.arange(12).reshape(3, 4), layer="blocks.1", labels=[0, 1, 0])
    with pytest.raises(ct.ControlsError, match=match):
        ct.MatchSpectrum(**change).check(problem)


def test_a_model_that_changed_since_is_refused(reader):
    problem = ct.from_model(reader, np.arange(12).reshape(3, 4), layers=["blocks.0", "norm"], labels=[0, 1, 0])
    ct.Reinitialize().check(problem.at("norm"))
    with torch.no_grad():
        reader.blocks[0].value.weight.add_(1.0)
    with pytest.raises(ct.InputError, match="as it was when the problem was made"):
        ct.Reinitialize().check(problem.at("norm"))


def test_weights_that_cannot_be_redrawn_are_refused():
    X = np.random.default_rng(0).random((9, 4), dtype=np.float32)

    def problem(model: nn.Module) -> ct.Problem:
        return ct.Problem(X, source=ct.Source(model, X, lambda model, X: X))

    meta = nn.Linear(4, 4, device="meta")
    whole = nn.Linear(4, 4)
    whole.count = nn.Parameter(torch.ones(3, dtype=torch.int64), requires_grad=False)
    wave = nn.Linear(4, 4, dtype=torch.complex64)
    flat = torch.zeros(40)
    shared = nn.ParameterList([nn.Parameter(flat[:20].view(5, 4)), nn.Parameter(flat[16:36].view(5, 4))])
    made = nn.utils.parametrizations.orthogonal(nn.Linear(4, 4))
    for model, match in (
        (meta, "on the meta device"),
        (whole, "must be floating.*torch.int64"),
        (wave, "must be floating.*complex64"),
        (shared, "overlap in memory"),
        (made, "'weight' is made from 'parametrizations.weight.original'.*remove_parametrizations"),
    ):
        with pytest.raises(ct.InputError, match=match):
            ct.Reinitialize().check(problem(model))
    with pytest.raises(ct.InputError, match=r"no source; make the problem with ct\.from_model"):
        ct.Reinitialize().check(ct.Problem(X))


def test_quantised_modules_are_refused():
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            packed = torch.ao.quantization.quantize_dynamic(model, {nn.Linear})
        except RuntimeError as error:
            pytest.skip(f"this build has no quantised kernels: {error}")
    packed.extra = nn.Linear(2, 2)
    X = np.zeros((3, 4), np.float32)
    with pytest.raises(ct.InputError, match="quantised"):
        ct.Reinitialize().check(ct.Problem(X + 1, source=ct.Source(packed, X, lambda model, X: X)))


def test_ties_are_found_by_object_and_by_storage(reader):
    names = {tensor.name: tensor.names for tensor in tensors_of(reader)}
    assert names["embed.weight"] == ("embed.weight", "unembed.weight")
    reader.unembed.weight = nn.Parameter(reader.embed.weight.data)  # another object that shows the same memory
    assert {t.name: t.names for t in tensors_of(reader)}["embed.weight"] == ("embed.weight", "unembed.weight")


def test_a_view_of_a_larger_parameter_goes_with_it():
    fused = nn.Linear(4, 12)
    fused.query = nn.Parameter(fused.weight.data[:4])  # as bridges show a part of a fused matrix
    X = np.random.default_rng(0).random((9, 4), dtype=np.float32)
    assert [tensor.name for tensor in tensors_of(fused)] == ["weight", "bias"]
    problem = ct.Problem(
        X, source=ct.Source(fused, X, lambda model, X: (torch.from_numpy(X) @ model.query.T).detach().numpy())
    )
    before = fingerprint(fused.query)
    assert not np.array_equal(ct.Reinitialize().draw(problem, np.random.default_rng(0)).X, X)
    assert fingerprint(fused.query) == before


class Wrapped:
    """A tracer that holds a module, as nnsight's does."""

    def __init__(self, module):
        self._module = module


def test_a_wrapped_module_is_unwrapped():
    ids = np.arange(12).reshape(3, 4)
    reader = Reader().eval()
    np.testing.assert_array_equal(
        ct.from_model(Wrapped(reader), ids, layer="norm").X, ct.from_model(reader, ids, layer="norm").X
    )


def test_inputs_are_made_once_and_kept_in_order():
    inputs = ModelInputs({"": torch.arange(12).view(3, 4)}, mask=np.ones((3, 4), bool))
    assert len(inputs.first(2)) == 2
    assert inputs.first(2).arrays[""].tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_on_a_gpu(reader):
    ids = np.arange(12).reshape(3, 4)
    cpu = ct.from_model(reader, ids, layer="norm").X
    gpu = ct.from_model(reader.cuda(), ids, layer="norm")
    np.testing.assert_allclose(cpu, gpu.X, atol=1e-5)
    before = {name: fingerprint(parameter) for name, parameter in reader.named_parameters()}
    for control in (ct.Reinitialize(), ct.MatchSpectrum()):
        control.draw(gpu, np.random.default_rng(0))
    assert before == {name: fingerprint(parameter) for name, parameter in reader.named_parameters()}
