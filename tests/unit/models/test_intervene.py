"""Splicing: the module's output is another for as long as the block lasts, and nothing else."""

from collections import namedtuple

import numpy as np
import pytest
import torch
from torch import nn

import controls as ct
from controls.core.dictionary import as_dictionary
from controls.core.errors import InputError, InputTypeError, NameNotFound

Pair = namedtuple("Pair", ["first", "second"])


class Gives(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.kind = kind

    def forward(self, x):
        return {"tuple": (x, "kept"), "named": Pair(x, "kept"), "list": [x, "kept"], "dict": {"a": x, "b": "kept"}}[
            self.kind
        ]


@pytest.mark.parametrize("kind", ["tuple", "named", "list", "dict"])
def test_the_first_tensor_is_changed_and_the_rest_is_kept(kind):
    model = nn.Sequential(Gives(kind))
    with ct.splice(model, "0", lambda x: 2 * x):
        found = model(torch.ones(2))
    plain = model(torch.ones(2))
    assert type(found) is type(plain)
    changed, rest = found.values() if kind == "dict" else found
    assert changed.tolist() == [2, 2]
    assert rest == "kept"


@pytest.fixture
def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 2))


def test_a_dictionary_puts_its_reconstruction_there(model):
    x = torch.randn(2, 5, 3)
    V = np.array([[1.0, 0.0, 0.0], [0.0, 0.5, 0.0]])
    with ct.splice(model, "0", as_dictionary(V)):
        found = model(x)
    inner = model[0](x).detach().numpy()
    expected = model[2](torch.relu(torch.tensor(np.maximum(inner @ V.T, 0) @ V).float()))
    assert torch.allclose(found, expected, atol=1e-6)
    assert found.dtype == x.dtype


def test_hooks_are_gone_whatever_happens(model):
    before, mode = model(torch.ones(1, 3)), model.training

    def fails(x):
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"), ct.splice(model, "1", fails):
        model(torch.ones(1, 3))
    assert not model[1]._forward_hooks
    assert torch.equal(model(torch.ones(1, 3)), before)
    assert model.training is mode


@pytest.mark.parametrize(
    ("path", "change", "error", "sentence"),
    [
        ("0", lambda x: x[:, :1], InputError, "must return the shape"),
        ("0", lambda x: x / 0, InputError, "finite"),
        ("nowhere", lambda x: x, NameNotFound, "nowhere"),
        ("0", 3, InputTypeError, "must be a function"),
    ],
)
def test_bad_changes_are_refused_and_leave_nothing(model, path, change, error, sentence):
    with pytest.raises(error, match=sentence), ct.splice(model, path, change):
        model(torch.zeros(1, 3))
    assert not any(module._forward_hooks for module in model.modules())


def test_a_module_that_does_not_run_is_told(model):
    with pytest.raises(InputError, match="must run while it is spliced"), ct.splice(model, "0", lambda x: x):
        pass
