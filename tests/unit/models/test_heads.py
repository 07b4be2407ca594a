"""Heads are found where they are: trading places all alike they change nothing, and otherwise they do."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import controls as ct
from controls.models.heads import as_heads, attentions_of
from controls.models.tensors import tensors_of

SMALL = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 16, "vocab_size": 20}
GPT2 = {"n_embd": 16, "n_layer": 1, "n_head": 4, "vocab_size": 20, "n_positions": 16}
IDS = {"bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0}


class Stacked(nn.Module):
    """Attention with a matrix per head, in three dimensions: W_Q (heads, d, width), W_O (heads, width, d)."""

    def __init__(self) -> None:
        super().__init__()
        self.W_Q, self.W_K, self.W_V = (nn.Parameter(torch.randn(4, 16, 4)) for _ in range(3))
        self.b_Q, self.b_K, self.b_V = (nn.Parameter(torch.randn(4, 4)) for _ in range(3))
        self.W_O = nn.Parameter(torch.randn(4, 4, 16))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = (
            torch.einsum("std,hdw->shtw", x, W) + b[:, None]
            for W, b in ((self.W_Q, self.b_Q), (self.W_K, self.b_K), (self.W_V, self.b_V))
        )
        return torch.einsum("shtw,hwd->std", (q @ k.mT).softmax(-1) @ v, self.W_O)


class Whole(nn.Module):
    """torch's own attention."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(16, 4, batch_first=True)
        nn.init.normal_(self.attention.in_proj_bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.attention(x, x, x, need_weights=False)[0]


def made(kind: str) -> tuple[nn.Module, torch.Tensor]:
    """Return a model and what it reads."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        if kind in ("stacked", "torch"):
            return (Stacked() if kind == "stacked" else Whole()).double().eval(), torch.randn(3, 5, 16).double()
        hf = pytest.importorskip("transformers")
        configs = {
            "bert": lambda: hf.BertConfig(**SMALL),
            "gpt2": lambda: hf.GPT2Config(**GPT2, **IDS),
            "llama": lambda: hf.LlamaConfig(**SMALL, num_key_value_heads=2, **IDS),
            "neox": lambda: hf.GPTNeoXConfig(**SMALL, **IDS),
        }
        model = hf.AutoModel.from_config(configs[kind]()).double().eval()
        for parameter in model.parameters():
            nn.init.normal_(parameter, std=0.5)
        return model, torch.randint(20, (3, 5))


def output(model: nn.Module, inputs: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        found = model(inputs)
    return found if isinstance(found, torch.Tensor) else found.last_hidden_state


@pytest.mark.parametrize("kind", ["bert", "gpt2", "llama", "neox", "torch", "stacked"])
def test_an_order_of_heads_changes_nothing_but_for_one_role_alone(kind):
    model, inputs = made(kind)
    tensors = tensors_of(model)
    (attention,) = attentions_of(model, tensors, tensors)
    groups = 2 if kind == "llama" else 4
    assert (attention.heads, attention.groups, set(attention.weights)) == (
        4,
        groups,
        {"query", "key", "value", "output"},
    )
    assert set(attention.biases) == (set() if kind == "llama" else {"query", "key", "value"})
    before = output(model, inputs)
    own = {tensor: tensor.parameter.detach().clone() for tensor in tensors}
    if kind == "llama":  # two heads share a key and a value: they move together
        orders = {"query": [2, 3, 1, 0], "output": [2, 3, 1, 0], "key": [1, 0], "value": [1, 0]}
    else:
        orders = {role: [2, 0, 3, 1] for role in ("query", "key", "value", "output")}

    def after(roles: tuple[str, ...]) -> torch.Tensor:
        for tensor, values in own.items():
            tensor.parameter.data.copy_(values)
        for part in attention.parts:
            if part.role in roles:
                moved = part.split(part.tensor.parameter.detach())[orders[part.role]].clone()
                part.join(part.tensor.parameter.data, moved)
        return output(model, inputs)

    torch.testing.assert_close(after(tuple(orders)), before)
    for role in orders:
        assert not torch.allclose(after((role,)), before, atol=1e-3), role


def test_numbers_of_heads_are_refused_where_they_are_none():
    assert as_heads({"a.*": 2}) == (("a.*", 2),)
    for value in ("blocks", {1: 2}, {"": 2}, 3, [("a", 1, 2)]):
        with pytest.raises(ct.InputError, match="heads must map globs"):
            as_heads(value)
    with pytest.raises(ct.InputError, match=r"heads\['a'\] must be at least 1"):
        as_heads({"a": np.int64(0)})
