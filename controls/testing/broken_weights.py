"""Broken controls on weights: each says all that the sound one inside it says, and draws otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import numpy as np

from controls.core.control import Control
from controls.core.problem import Problem, Source
from controls.core.properties import Property
from controls.core.rng import stream
from controls.generators.cascade import Cascade
from controls.generators.permute import PermuteWeights
from controls.generators.redrawn import WeightControl, as_wide, redraw_tensors
from controls.generators.rescale import MatchActivations
from controls.generators.spectrum import MatchSpectrum
from controls.generators.weights import Reinitialize

if TYPE_CHECKING:
    import torch
    from torch import nn

    from controls.models.swap import Swap
    from controls.models.tensors import Tensor


@dataclass(frozen=True)
class _Claims(WeightControl):
    """Says what the sound control says, and has its targets."""

    include: tuple[str, ...] | None = None
    exclude: tuple[str, ...] = ()

    @property
    def _sound(self) -> WeightControl:
        raise NotImplementedError

    @property
    def ensemble(self) -> str:
        """That of the sound control."""
        return self._sound.ensemble

    @property
    def preserves(self) -> tuple[Property, ...]:
        """What the sound control keeps."""
        return self._sound.preserves

    @property
    def destroys(self) -> tuple[Property, ...]:
        """What the sound control destroys."""
        return self._sound.destroys

    def targets(self, model: nn.Module, tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Return those of the sound control."""
        return self._sound.targets(model, tensors)


@final
@dataclass(frozen=True)
class DoesNothing(_Claims):
    """Claims to initialise, but skips parameters that were loaded already: all of them."""

    @property
    def _sound(self) -> Reinitialize:
        return Reinitialize()

    def redraw(self, swap: Swap, targets: Sequence[Tensor], source: Source, seed: int) -> dict[str, float]:
        """Write what is there."""
        for tensor in targets:
            swap.write(tensor, tensor.parameter.detach().clone())
        return {}


@final
@dataclass(frozen=True)
class SeedsEachLayerAlike(_Claims):
    """Claims to draw each tensor by itself, but seeds anew before each: those of one shape are the same."""

    @property
    def _sound(self) -> Reinitialize:
        return Reinitialize()

    def redraw(self, swap: Swap, targets: Sequence[Tensor], source: Source, seed: int) -> dict[str, float]:
        """Write values that the shape alone decides."""
        import torch

        for tensor in targets:
            values = stream(seed, "alike").standard_normal(tensor.parameter.shape)
            swap.write(tensor, torch.from_numpy(values))
        return {}


@final
@dataclass(frozen=True)
class ForgetsBareParameters(_Claims):
    """Claims to initialise all parameters, but leaves those of modules without an initialiser trained."""

    @property
    def _sound(self) -> Reinitialize:
        return Reinitialize()

    def redraw(self, swap: Swap, targets: Sequence[Tensor], source: Source, seed: int) -> dict[str, float]:
        """Write what belongs to a module that can initialise itself."""
        own = [tensor for tensor in targets if hasattr(tensor.module, "reset_parameters")]
        return self._sound.redraw(swap, own, source, seed)


@final
@dataclass(frozen=True)
class ForgetsSigns(_Claims):
    """Claims uniform singular vectors, but takes those of a QR as they come: their first entries lean one way."""

    @property
    def _sound(self) -> MatchSpectrum:
        return MatchSpectrum()

    def redraw(self, swap: Swap, targets: Sequence[Tensor], source: Source, seed: int) -> dict[str, float]:
        """Write matrices with the spectra, and vectors as the sound control would."""
        import torch

        rest = [tensor for tensor in targets if not tensor.is_matrix]
        self._sound.redraw(swap, rest, source, seed)

        def law(tensor: Tensor, generator: torch.Generator) -> torch.Tensor:
            matrix = as_wide(tensor.parameter)
            lengths = torch.linalg.svdvals(matrix)
            left, right = (
                torch.linalg.qr(torch.randn(size, len(lengths), generator=generator, dtype=matrix.dtype)).Q
                for size in matrix.shape
            )
            return left * lengths @ right.T

        redraw_tensors(swap, [tensor for tensor in targets if tensor.is_matrix], law, seed)
        return {}


@final
@dataclass(frozen=True)
class SharesOneRotation(_Claims):
    """Claims to draw each matrix by itself, but turns all that touch the residual stream by one rotation.

    It knows the built-in model, of which that changes nothing at the layer that is looked at.
    """

    @property
    def _sound(self) -> MatchSpectrum:
        return MatchSpectrum()

    def redraw(self, swap: Swap, targets: Sequence[Tensor], source: Source, seed: int) -> dict[str, float]:
        """Write every tensor turned on the side of the stream."""
        import torch

        from controls.generators.haar import uniform_frame

        like = torch.empty(0, dtype=torch.float64)
        width = swap.model.get_parameter("embed.weight").shape[1]
        rotation = uniform_frame(width, width, like, torch.Generator().manual_seed(seed % 2**32))
        for tensor in targets:
            values = tensor.parameter.detach().double()
            if tensor.path.endswith(("o_proj", "out")):  # these write to the stream
                values = rotation @ values
            elif values.ndim == 2:  # these read it, or are rows of it
                values = values @ rotation.T
            swap.write(tensor, values)
        return {}


@final
@dataclass(frozen=True)
class KeepsDrawnWeights(_Claims):
    """Claims to leave the caller's model alone, but leaves what it drew in it."""

    @property
    def _sound(self) -> Reinitialize:
        return Reinitialize("moments")

    def redraw(self, swap: Swap, targets: Sequence[Tensor], source: Source, seed: int) -> dict[str, float]:
        """Write as the sound control does."""
        return self._sound.redraw(swap, targets, source, seed)

    def draw(self, problem: Problem, rng: np.random.Generator) -> Problem:
        """Return the problem of the model that stays changed."""
        import torch

        source = self._source(problem)
        for parameter in source.model.parameters():
            parameter.data.copy_(torch.from_numpy(rng.standard_normal(parameter.shape)))
        return problem.with_activations(source.extract(source.model, source.inputs))


@final
@dataclass(frozen=True)
class PutsBackWhereAllGoesWell(_Claims):
    """Claims to leave the caller's model alone, but forgets it where the extraction fails."""

    @property
    def _sound(self) -> Reinitialize:
        return Reinitialize("moments")

    def redraw(self, swap: Swap, targets: Sequence[Tensor], source: Source, seed: int) -> dict[str, float]:
        """Write as the sound control does."""
        return self._sound.redraw(swap, targets, source, seed)

    def draw(self, problem: Problem, rng: np.random.Generator) -> Problem:
        """Return the problem of a model that is put back afterwards, where there is an afterwards."""
        import torch

        source = self._source(problem)
        trained = [parameter.detach().clone() for parameter in source.model.parameters()]
        for parameter in source.model.parameters():
            parameter.data.copy_(torch.from_numpy(rng.standard_normal(parameter.shape)))
        drawn = source.extract(source.model, source.inputs)
        for parameter, values in zip(source.model.parameters(), trained, strict=True):
            parameter.data.copy_(values)
        return problem.with_activations(drawn)


@final
@dataclass(frozen=True)
class CutsTies(_Claims):
    """Claims to leave ties, but gives one of two tied parameters values of its own while it draws."""

    @property
    def _sound(self) -> Reinitialize:
        return Reinitialize("moments")

    def redraw(self, swap: Swap, targets: Sequence[Tensor], source: Source, seed: int) -> dict[str, float]:
        """Write as the sound control does."""
        return self._sound.redraw(swap, targets, source, seed)

    def draw(self, problem: Problem, rng: np.random.Generator) -> Problem:
        """Return the problem of a model whose unembedding is a tensor of its own for as long as it reads."""
        source = self._source(problem)
        unembed = source.model.unembed
        tied, unembed.weight = unembed.weight, type(unembed.weight)(unembed.weight.detach() + 1, requires_grad=False)
        try:
            return super().draw(problem, rng)
        finally:
            unembed.weight = tied


@final
@dataclass(frozen=True)
class DrawsWithReplacement(_Claims):
    """Claims that entries trade places, but draws them with replacement."""

    @property
    def _sound(self) -> PermuteWeights:
        return PermuteWeights()

    def redraw(self, swap: Swap, targets: Sequence[Tensor], source: Source, seed: int) -> dict[str, float]:
        """Write entries of each tensor, some of them more than once."""
        import torch

        def law(tensor: Tensor, generator: torch.Generator) -> torch.Tensor:
            flat = tensor.parameter.detach().flatten()
            return flat[torch.randint(len(flat), flat.shape, generator=generator)].view(tensor.parameter.shape)

        redraw_tensors(swap, targets, law, seed)
        return {}


@final
@dataclass(frozen=True)
class RescalesNothing(_Claims):
    """Claims to give activations their trained size, but leaves them as they were drawn."""

    @property
    def _sound(self) -> MatchActivations:
        return MatchActivations(Reinitialize())

    def redraw(self, swap: Swap, targets: Sequence[Tensor], source: Source, seed: int) -> dict[str, float]:
        """Write what the control inside draws, and no more."""
        return self._sound.after.redraw(swap, targets, source, seed)


@final
@dataclass(frozen=True)
class GoesTooFar(_Claims):
    """Claims to redraw one block, but redraws them all."""

    @property
    def _sound(self) -> Cascade:
        return Cascade(Reinitialize(), order="bottom_up")

    def redraw(self, swap: Swap, targets: Sequence[Tensor], source: Source, seed: int) -> dict[str, float]:
        """Write every tensor of every block."""
        inside = [tensor for tensor in swap.tensors if tensor.name.startswith("blocks.")]
        return self._sound.control.redraw(swap, inside, source, seed)


BROKEN_WEIGHTS: tuple[tuple[Control, str], ...] = (
    (DoesNothing(), "the redraw changed no parameter"),
    (SeedsEachLayerAlike(), "were given the same weights"),
    (ForgetsBareParameters(), "targeted parameters trained, the first 'position'"),
    (ForgetsSigns(), "claims to destroy which weight stands where in a matrix, but +"),
    (SharesOneRotation(), "the redraw only rotates the activations"),
    (KeepsDrawnWeights(), "changed the caller's problem (weights)"),
    (PutsBackWhereAllGoesWell(), "byte for byte, after a RuntimeError too"),
    (CutsTies(), "must leave tied parameters tied"),
    (DrawsWithReplacement(), "claims to keep the values in every tensor of weights"),
    (RescalesNothing(), "claims to keep the norm of activations of each layer"),
    (GoesTooFar(), "which it does not target"),
)
