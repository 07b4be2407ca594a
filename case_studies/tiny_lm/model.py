"""A causal transformer with a name for every part, each of which can be drawn anew by its own initialiser."""

from __future__ import annotations

from pathlib import Path
from typing import final

import numpy as np
import torch
from torch import nn
from torch.nn import functional

import controls as ct
from case_studies.tiny_lm.checkpoints import find_checkpoint, read_plan
from case_studies.tiny_lm.plan import START_STD, Plan, default_folder
from controls.core.rng import stream


@final
class Linear(nn.Linear):
    """A linear map drawn as GPT-2 draws it: Gaussian weights, biases 0."""

    def __init__(self, inputs: int, outputs: int, *, std: float = START_STD, bias: bool = True) -> None:
        self.std = std
        super().__init__(inputs, outputs, bias=bias)

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draw the weights anew, from torch's own stream where no generator is given."""
        nn.init.normal_(self.weight, std=self.std, generator=generator)
        if self.bias is not None:
            nn.init.zeros_(self.bias)


@final
class Embedding(nn.Embedding):
    """An embedding drawn as GPT-2 draws it: Gaussian rows."""

    std = START_STD

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draw the rows anew, from torch's own stream where no generator is given."""
        nn.init.normal_(self.weight, std=self.std, generator=generator)


@final
class Attention(nn.Module):
    """Causal self-attention of several heads."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.heads = plan.heads
        self.query, self.key, self.value = (Linear(plan.width, plan.width) for _ in range(3))
        self.output = Linear(plan.width, plan.width, std=_into_stream(plan))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return what the heads move, shape (batch, tokens, width)."""
        query, key, value = (part(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in self._read())
        mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        return self.output(mixed.transpose(1, 2).flatten(-2))

    def _read(self) -> tuple[Linear, Linear, Linear]:
        return self.query, self.key, self.value


@final
class MLP(nn.Module):
    """Two linear maps around a GELU, four times as wide as the stream."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.up = Linear(plan.width, 4 * plan.width)
        self.down = Linear(4 * plan.width, plan.width, std=_into_stream(plan))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the map of each token, shape (batch, tokens, width)."""
        return self.down(functional.gelu(self.up(x), approximate="tanh"))


@final
class Block(nn.Module):
    """Attention and MLP, each on the normed stream and added to it."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.norm1, self.attention = nn.LayerNorm(plan.width), Attention(plan)
        self.norm2, self.mlp = nn.LayerNorm(plan.width), MLP(plan)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the stream after the block, shape (batch, tokens, width)."""
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


@final
class TinyLM(nn.Module):
    """A causal transformer: ``embed``, ``position``, ``blocks.0`` ..., ``norm``, ``unembed``.

    The unembedding is not tied to the embedding, so that one can be frozen or drawn anew without the
    other. There is no dropout: training and evaluation mode compute the same.

    Parameters
    ----------
    plan : Plan
        The sizes.
    """

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.embed = Embedding(plan.vocabulary, plan.width)
        self.position = Embedding(plan.context, plan.width)
        self.blocks = nn.Sequential(*(Block(plan) for _ in range(plan.layers)))
        self.norm = nn.LayerNorm(plan.width)
        self.unembed = Linear(plan.width, plan.vocabulary, bias=False)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return logits, shape (batch, tokens, vocabulary), of the token after each; tokens of integers."""
        places = torch.arange(tokens.shape[1], device=tokens.device)
        stream_in = self.embed(tokens) + self.position(places)
        return self.unembed(self.norm(self.blocks(stream_in)))


def _into_stream(plan: Plan) -> float:
    return START_STD / (2 * plan.layers) ** 0.5  # so that the stream's variance does not grow with depth


def build(plan: Plan, seed: int) -> TinyLM:
    """Return a model at step 0: every part from its own stream of the seed; torch's own stream stays as it was."""
    with torch.random.fork_rng(devices=[]):
        model = TinyLM(plan)
    for path, module in model.named_modules():
        if isinstance(module, Linear | Embedding):
            number = int(stream(seed, "tiny_lm", "start", path).integers(2**63))
            module.reset_parameters(torch.Generator().manual_seed(number))
    return model


def hidden_states(model: nn.Module, tokens: np.ndarray, layer: str, *, batch: int = 64) -> np.ndarray:
    """Return what a module of the model puts out.

    Parameters
    ----------
    model : torch.nn.Module
        Left as it was: its hook is taken off, also after an error.
    tokens : array of shape (n, tokens), integers
        At most as many tokens a row as the model's context.
    layer : str
        The path of a module, for example "blocks.2" or "blocks.0.mlp.up".
    batch : int, default 64
        Rows that go through the model in one go.

    Returns
    -------
    array of shape (n, tokens, features), float32

    Raises
    ------
    InputError
        If the model has no such module.
    """
    paths = dict(model.named_modules())
    if layer not in paths or not layer:
        raise ct.InputError(f"layer must be the path of a module, got {layer!r}; there are: {', '.join(paths)[2:]}.")
    kept: list[np.ndarray] = []
    hook = paths[layer].register_forward_hook(lambda module, args, out: kept.append(out.detach().cpu().numpy()))
    device = next(model.parameters()).device
    try:
        with torch.no_grad():
            for start in range(0, len(tokens), batch):
                model(torch.as_tensor(tokens[start : start + batch].astype(np.int64), device=device))
    finally:
        hook.remove()
    return np.concatenate(kept)


def load(
    seed: int, step: int | str = "end", *, arm: str = "trained", folder: Path | str | None = None, short: bool = False
) -> TinyLM:
    """Return a checkpoint that the case study's run has kept.

    Parameters
    ----------
    seed : int
        Which of the trainings.
    step : int or {"start", "early", "middle", "end"}, default "end"
        Of the other arms only the end is kept.
    arm : str, default "trained"
        A name of ``ARMS``: how the embedding started, and whether it was trained.
    folder : path, optional
        Where the run kept its checkpoints; by default where it keeps them if no folder is named.
    short : bool, default False
        Look in the default folder of the short form.

    Returns
    -------
    TinyLM
        In evaluation mode.

    Raises
    ------
    InputError
        If that checkpoint is not there; the sentence says what is, and how to make it.
    """
    place = default_folder(short) if folder is None else Path(folder)
    plan = read_plan(place)
    if isinstance(step, str) and step not in plan.stages:
        raise ct.InputError(f"step must be a number or one of {', '.join(map(repr, plan.stages))}, got {step!r}.")
    number = plan.stages[step] if isinstance(step, str) else step
    path = find_checkpoint(place, arm, seed, number)
    with torch.random.fork_rng(devices=[]):
        model = TinyLM(plan)
    model.load_state_dict(torch.load(path, weights_only=True))
    return model.eval()
