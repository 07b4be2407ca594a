"""RandomEmbeddings: fresh Gaussian vectors in the place of token embeddings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, final

import numpy as np

from controls.core.control import Inference
from controls.core.errors import CannotControl, InputError
from controls.core.problem import Problem, Source
from controls.core.properties import Property, SameActivations, SameGroups, SameLabels
from controls.core.validate import one_of
from controls.generators.token_properties import SameLayout, TokenCounts
from controls.generators.tokens import DrawnText, InputControl, as_ids

if TYPE_CHECKING:
    import torch
    from torch import nn


@final
@dataclass(frozen=True)
class RandomEmbeddings(InputControl):
    """Puts Gaussian vectors with the mean and covariance of the embedding's rows in the place of embedded tokens.

    Parameters
    ----------
    per : {"position", "type"}
        "position": a fresh vector at every position, so that nothing of the text is left but lengths.
        "type": one for each token id, the same throughout a draw, so that which positions have the same token is left
        (as from ``Reinitialize(include="embeddings")``, with the covariance, and without touching tied weights).
    layer : str, optional
        Path of the module that embeds token ids; it has a ``weight`` (V, d). None: what the model's
        ``get_input_embeddings`` returns, or its only ``torch.nn.Embedding``.
    fixed : tuple of int
        Token ids whose embeddings stay, such as a beginning of text that the inputs do not mark as special; those
        that they do mark always stay.

    Raises
    ------
    InputError
        No source with a torch model and token ids; a model whose embedding cannot be told.
    CannotControl
        Embeddings that are all the same.

    Notes
    -----
    Null hypothesis: the model's score comes from the same law as with these random vectors. A rank among
    such draws ("ensemble"). Costs a hook, one eigendecomposition (d, d) and one extraction a draw; weights stay.

    Examples
    --------
    >>> import torch, controls as ct
    >>> model = torch.nn.Sequential(torch.nn.Embedding.from_pretrained(torch.eye(9)), torch.nn.Tanh())
    >>> ids = torch.randint(9, (20, 6), generator=torch.Generator().manual_seed(0))
    >>> problem = ct.from_model(model, ids, "1", labels=(ids < 4).numpy())
    >>> ct.measure(ct.probes.RidgeProbe(), problem, controls=[ct.RandomEmbeddings()], draws=19).comparisons[0].p_value
    0.05
    """

    per: Literal["position", "type"] = "position"
    layer: str | None = None
    fixed: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        one_of(self.per, "per", ("position", "type"))
        if self.layer is not None and (not isinstance(self.layer, str) or not self.layer):
            raise InputError(f"layer must be the path of the module that embeds tokens, or None, got {self.layer!r}.")
        object.__setattr__(self, "fixed", as_ids(self.fixed, "fixed"))

    @property
    def inference(self) -> Inference:
        """A rank among an ensemble of readings."""
        return "ensemble"

    @property
    def _vectors(self) -> str:
        each = "at every position" if self.per == "position" else "for each token id"
        return f"a fresh Gaussian vector {each}, of the mean and covariance of its embeddings"

    @property
    def null(self) -> str:
        """The null hypothesis, as one sentence."""
        return f"The score comes from the same law as where the model reads {self._vectors}."

    @property
    def licenses(self) -> str:
        """What surviving this control licenses one to say, as one sentence."""
        return f"The activations say more about the labels than where the model reads {self._vectors}."

    @property
    def preserves(self) -> tuple[Property, ...]:
        """The text, the labels and the groups."""
        return (TokenCounts(), SameLayout(self.fixed), SameLabels(), SameGroups())

    @property
    def destroys(self) -> tuple[Property, ...]:
        """The activations that the embedded tokens gave."""
        return (SameActivations(),)

    def check(self, problem: Problem) -> None:
        """Refuse a problem without tokens or model, and embeddings that are all the same."""
        self.text(problem)
        weight = as_matrix(embedding_of(self._source(problem).model, self.layer))
        if not bool((weight != weight[:1]).any()):
            raise CannotControl(f"{self.name} can do nothing: all rows of the embedding are the same.")

    def rewrite(self, problem: Problem, rng: np.random.Generator) -> DrawnText:
        """Return the text as it is."""
        return DrawnText(self._source(problem).inputs, {})

    def _extraction(self, source: Source, seed: int) -> Reembedded:
        inputs = source.inputs
        special = getattr(inputs, "special", None)
        ids = () if special is None else np.unique(inputs.ids.cpu().numpy()[special]).tolist()
        return Reembedded(source.extract, self, seed, tuple(sorted({*self.fixed, *ids})))


@final
@dataclass(frozen=True, eq=False)
class Reembedded:
    """An extraction in which a hook puts drawn vectors in the place of embedded tokens, and goes afterwards."""

    extract: Callable[[Any, Any], Any]
    control: RandomEmbeddings
    seed: int
    kept: tuple[int, ...]  # token ids whose embeddings stay

    def __call__(self, model: Any, inputs: Any) -> Any:
        """Return the activations of the model that reads drawn vectors."""
        module = embedding_of(model, self.control.layer)
        handle = module.register_forward_hook(self._hook(as_matrix(module)))
        try:
            return self.extract(model, inputs)
        finally:
            handle.remove()

    def _hook(self, weight: torch.Tensor) -> Callable[..., torch.Tensor]:
        import torch

        mean, root = _moments(weight)
        generator = torch.Generator().manual_seed(self.seed)
        table = self._gaussian(weight.shape[0], mean, root, generator) if self.control.per == "type" else None
        kept = torch.tensor(self.kept, dtype=torch.int64)

        def hook(_module: Any, given: tuple, output: torch.Tensor) -> torch.Tensor:
            ids = given[0].cpu()
            if table is None:
                drawn = self._gaussian(ids.numel(), mean, root, generator).view(*ids.shape, -1)
            else:
                drawn = table[ids]
            stays = torch.isin(ids, kept)[..., None].to(output.device)
            return torch.where(stays, output, drawn.to(output))

        return hook

    @staticmethod
    def _gaussian(count: int, mean: torch.Tensor, root: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        import torch

        return mean + torch.randn(count, len(mean), generator=generator, dtype=mean.dtype) @ root


def _moments(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the mean of a matrix's rows, and the symmetric root of their covariance, in float64."""
    import torch

    rows = weight.double().cpu()
    lengths, axes = torch.linalg.eigh(torch.cov(rows.T, correction=0).view(rows.shape[1], -1))
    return rows.mean(dim=0), axes * lengths.clamp(min=0).sqrt() @ axes.T


def embedding_of(model: Any, layer: str | None) -> nn.Module:
    """Return the module of a model that embeds token ids."""
    from torch import nn

    from controls.models.capture import find_modules
    from controls.models.tensors import require_module

    module = require_module(model)
    if layer is not None:
        found: Any = find_modules(module, (layer,))[layer]
    else:
        get = getattr(module, "get_input_embeddings", None)
        own = {name: part for name, part in module.named_modules() if isinstance(part, nn.Embedding)}
        found = get() if callable(get) else next(iter(own.values())) if len(own) == 1 else None
        if found is None:
            raise InputError(
                f"layer must name the module that embeds token ids, since the model has {len(own)} embeddings"
                f"{' (' + ', '.join(map(repr, own)) + ')' if own else ''}; write RandomEmbeddings(layer=...)."
            )
    as_matrix(found)
    return found


def as_matrix(module: nn.Module) -> torch.Tensor:
    """Return the weight (tokens, d) of a module that embeds; refuse one that has none."""
    weight: Any = getattr(module, "weight", None)
    if weight is None or weight.ndim != 2:
        raise InputError(f"layer must be a module with a weight (tokens, d), got a {type(module).__name__}.")
    return weight.detach()
