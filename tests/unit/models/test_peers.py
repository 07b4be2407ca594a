"""Models as other libraries hold them: read alike and put back, where those libraries are installed."""

import numpy as np
import pytest
import torch

import controls as ct
from controls.models.swap import fingerprint

IDS = np.random.default_rng(0).integers(0, 50, (20, 8))


@pytest.fixture
def gpt2():
    transformers = pytest.importorskip("transformers")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = transformers.GPT2Config(n_layer=2, n_head=2, n_embd=16, vocab_size=50, n_positions=32)
        return transformers.GPT2LMHeadModel(config).eval()


def redraw_all(model, layer):
    problem = ct.from_model(model, IDS, layer=layer, labels=IDS % 2)
    inner = getattr(model, "_module", model)
    before = {name: fingerprint(parameter) for name, parameter in inner.named_parameters()}
    for control in (ct.Reinitialize(), ct.Reinitialize(scheme="moments"), ct.MatchSpectrum(), ct.PermuteWeights()):
        drawn = control.draw(problem, np.random.default_rng(0))
        assert drawn.proof["tensors redrawn"] > 0
        assert not np.array_equal(drawn.X, problem.X)
    assert before == {name: fingerprint(parameter) for name, parameter in inner.named_parameters()}
    return problem.X


def test_a_loaded_model_is_redrawn_whatever_its_flags(gpt2, tmp_path):
    """Initialisers of transformers 5 leave out tensors that are flagged as loaded."""
    gpt2.save_pretrained(tmp_path)
    loaded = type(gpt2).from_pretrained(tmp_path).eval()
    X = redraw_all(loaded, "transformer.h.1")
    with torch.no_grad():
        states = loaded(torch.from_numpy(IDS), output_hidden_states=True).hidden_states
    assert X.shape == (160, 16)
    first = ct.from_model(loaded, IDS, layer="transformer.h.0").X
    np.testing.assert_allclose(first, states[1].reshape(160, 16).numpy(), atol=1e-6)
    drawn = ct.Reinitialize().draw(ct.from_model(loaded, IDS, layer="transformer.h.1"), np.random.default_rng(0))
    assert drawn.proof["tensors by their moments"] == 0


@pytest.mark.filterwarnings("ignore")
def test_a_module_within_a_tracer_of_nnsight(gpt2):
    nnsight = pytest.importorskip("nnsight")
    plain = ct.from_model(gpt2, IDS, layer="transformer.h.1").X
    np.testing.assert_array_equal(redraw_all(nnsight.NNsight(gpt2), "transformer.h.1"), plain)


@pytest.mark.filterwarnings("ignore")
def test_a_bridge_of_transformer_lens(gpt2, tmp_path):
    bridge = pytest.importorskip("transformer_lens.model_bridge").TransformerBridge
    plain = ct.from_model(gpt2, IDS, layer="transformer.h.1").X
    gpt2.save_pretrained(tmp_path)
    bridged = bridge.boot_transformers(str(tmp_path), hf_model=gpt2)
    np.testing.assert_allclose(redraw_all(bridged, "blocks.1"), plain, atol=1e-6)
