"""Named properties of the weights behind a problem that controls keep or destroy; executing one draws them again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, final

from controls.core.problem import Problem
from controls.core.properties import Association, Property
from controls.models.heads import Heads, attentions_of

if TYPE_CHECKING:
    import torch

    from controls.models.tensors import Tensor

Mode = Literal["full", "per_head", "circuit", "left", "right", "eigen"]
Layout = Literal["as it is", "any", "row", "column", "diagonal"]
_WIDE, _NARROW = 1e-4, 2e-2  # error of a singular value, relative to the largest: in float32, and in 16 bits
_KEPT: dict[Mode, str] = {
    "full": "the singular values of every matrix",
    "per_head": "the singular values of every attention head's weights, and of matrices without heads",
    "circuit": "the singular values of every head's query-key and output-value product, and of matrices without heads",
    "left": "the singular values and right singular vectors of every matrix",
    "right": "the singular values and left singular vectors of every matrix",
    "eigen": "the eigenvalues of every square matrix, and the singular values of all",
}


@final
@dataclass(frozen=True)
class TensorValues(Property):
    """The entries of every tensor, sorted, bit for bit."""

    @property
    def words(self) -> str:
        """The property in words."""
        return "the values in every tensor of weights"

    def holds(self, before: Problem, after: Problem) -> bool:
        """Whether every tensor has the same values."""
        pairs = weights_of(before, after)
        return bool(pairs) and all(bool((old.flatten().sort()[0] == new.flatten().sort()[0]).all())
                                   for _, old, new in pairs)  # fmt: skip


@final
@dataclass(frozen=True)
class MatrixSpectra(Property):
    """The spectra that a mode of MatchSpectrum keeps."""

    mode: Mode = "full"
    heads: Heads = ()

    @property
    def words(self) -> str:
        """The property in words."""
        return _KEPT[self.mode]

    def holds(self, before: Problem, after: Problem) -> bool:
        """Whether the spectra agree, to 1e-4 of the largest singular value (2e-2 for weights of 16 bits)."""
        pairs = weights_of(before, after)
        old, new = ({tensor: pair[side] for tensor, *pair in pairs} for side in (0, 1))
        model: Any = before.source.model if before.source else None
        kept = zip(self._spectra(model, old), self._spectra(model, new), strict=True)
        return bool(pairs) and all(_alike(one, other, tolerance) for (one, tolerance), (other, _) in kept)

    def _spectra(self, model: Any, values: dict[Tensor, torch.Tensor]) -> Iterator[tuple[torch.Tensor, float]]:
        """Yield what is kept of each tensor, or pair of tensors, and to what tolerance."""
        import torch

        apart: list[Tensor] = []
        if self.mode in ("per_head", "circuit"):
            every = tuple(values)
            for attention in attentions_of(model, every, every, self.heads):
                blocks = {role: part.split(values[part.tensor]) for role, part in attention.weights.items()}
                apart += [part.tensor for part in attention.parts]
                for heads in blocks.values() if self.mode == "per_head" else _products(blocks):
                    yield torch.linalg.svdvals(heads), _NARROW
        for tensor, whole in values.items():
            if tensor.is_matrix and tensor not in apart:
                yield self._of(tensor, whole), _WIDE if tensor.parameter.element_size() > 2 else _NARROW

    def _of(self, tensor: Tensor, whole: torch.Tensor) -> torch.Tensor:
        """Return what is kept of a matrix."""
        import torch

        from controls.generators.matrices import as_matrix

        matrix = as_matrix(tensor, whole)
        if self.mode in ("left", "right"):
            return matrix.T @ matrix if self.mode == "left" else matrix @ matrix.T
        lengths = torch.linalg.svdvals(matrix)
        if self.mode == "eigen" and matrix.shape[0] == matrix.shape[1]:
            powers = [torch.trace(torch.linalg.matrix_power(matrix / lengths[0], k)) for k in (1, 2, 3)]
            return torch.cat([lengths / lengths[0], torch.stack(powers)])
        return lengths


@final
@dataclass(frozen=True)
class MatrixAlignment(Association):
    """What drawn matrices have in common with the trained ones, entry by entry.

    ``layout`` says what chance leaves and does not count: nothing, the mean of all entries ("any"), of each row,
    of each column, or the mean of the diagonal.
    """

    layout: Layout = "as it is"

    @property
    def words(self) -> str:
        """The property in words."""
        return "which weight stands where in a matrix"

    def strength(self, before: Problem, after: Problem) -> float:
        """Return the mean correlation of drawn and trained matrices, beyond what the layout leaves."""
        import torch

        found = []
        for tensor, old, new in weights_of(before, after):
            if not tensor.is_matrix:
                continue
            one, other = (self._beyond(tensor, values) for values in (old, new))
            size = torch.linalg.vector_norm(one) * torch.linalg.vector_norm(other)
            if size > 0:
                found.append(float((one * other).sum() / size))
        return sum(found) / len(found) if found else 0.0

    def _beyond(self, tensor: Tensor, values: torch.Tensor) -> torch.Tensor:
        import torch

        from controls.generators.matrices import as_matrix

        matrix = as_matrix(tensor, values)
        if self.layout == "any":
            return matrix - matrix.mean()
        if self.layout in ("row", "column"):
            return matrix - matrix.mean(dim=1 if self.layout == "row" else 0, keepdim=True)
        if self.layout == "diagonal" and matrix.shape[0] == matrix.shape[1]:
            return matrix - torch.trace(matrix) / len(matrix) * torch.eye(len(matrix), dtype=matrix.dtype)
        return matrix


def weights_of(before: Problem, after: Problem) -> list[tuple[Tensor, torch.Tensor, torch.Tensor]]:
    """Return each tensor that was redrawn with its values before and after, in float64; none where none was.

    Costs one more draw of the weights, without a forward pass.
    """
    from controls.generators.redrawn import Redrawn
    from controls.models.tensors import tensors_of

    extract = after.source.extract if after.source is not None else None
    if not isinstance(extract, Redrawn) or before.source is None:
        return []
    model = before.source.model
    old = {tensor.name: tensor.parameter.detach().double().cpu().clone() for tensor in tensors_of(model)}
    with extract.swapped(model) as (swap, _):
        return [(t, old[t.name], t.parameter.detach().double().cpu().clone()) for t in swap.written]


def _alike(one: torch.Tensor, other: torch.Tensor, tolerance: float) -> bool:
    return bool((one - other).abs().max() <= tolerance * max(float(one.abs().max()), 1e-300))


def _products(blocks: dict[Any, torch.Tensor]) -> Iterator[torch.Tensor]:
    """Yield the products of each head's query and key, and of its output and value."""
    for first, second in (("query", "key"), ("output", "value")):
        if first in blocks and second in blocks:
            shared = len(blocks[first]) // len(blocks[second])
            yield blocks[first].mT @ blocks[second].repeat_interleave(shared, dim=0)
