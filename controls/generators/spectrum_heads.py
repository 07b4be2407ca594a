"""Spectra of attention heads: of each head's own weights, or of the products that heads are made of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from controls.core.errors import CannotControl
from controls.generators.redrawn import as_wide, generator_for
from controls.generators.spectra import Spectra, spectrum, sums_of
from controls.models.heads import Attention, Part, Role

if TYPE_CHECKING:
    import torch

    from controls.models.swap import Swap
    from controls.models.tensors import Tensor

_CIRCUITS: tuple[tuple[Role, Role], ...] = (("query", "key"), ("output", "value"))  # firstᵀ second, head by head


def redraw_heads(
    swap: Swap, attention: Attention, targets: Sequence[Tensor], spectra: Spectra, seed: int
) -> tuple[Tensor, ...]:
    """Write head by head weights with the singular values of each; return the tensors that were written."""
    import torch

    parts = [part for part in attention.weights.values() if part.tensor in targets]
    values = {part.tensor: spectra.wide(as_wide(part.tensor.parameter)).clone() for part in parts}
    for part in parts:
        heads = part.split(values[part.tensor])
        key = "heads", part.role, heads.shape, heads.dtype
        lengths = spectra.kept(key, [part.tensor], lambda heads=heads: spectrum(heads))
        generator = generator_for(part.tensor, seed, part.role)
        n, m = heads.shape[1:]
        part.join(values[part.tensor], torch.stack([spectra.matched(each, n, m, generator) for each in lengths]))
    return _written(swap, values)


def redraw_circuits(
    swap: Swap, attention: Attention, targets: Sequence[Tensor], spectra: Spectra, seed: int
) -> tuple[Tensor, ...]:
    """Write weights whose products, head by head, have the singular values of the trained; return the tensors."""
    products = list(_products(attention, targets))
    tensors = [part.tensor for parts in products for part in parts]
    values = {tensor: spectra.wide(as_wide(tensor.parameter)).clone() for tensor in tensors}
    for parts in products:
        heads = [part.split(values[part.tensor]) for part in parts]
        key = "circuit", parts[0].role, *(each.shape for each in heads), heads[0].dtype
        lengths = spectra.kept(key, [part.tensor for part in parts], lambda heads=heads: spectrum(core_of(*heads)))
        drawn = _factors(lengths, heads[0], heads[1], generator_for(parts[0].tensor, seed, parts[0].role, "circuit"))
        for core, kept in zip(core_of(*drawn), lengths, strict=True):
            spectra.check(core, sums_of(kept))
        for part, own in zip(parts, drawn, strict=True):
            part.join(values[part.tensor], own)
    return _written(swap, values)


def core_of(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Return small matrices with the singular values of each head's product firstᵀ second, from R factors alone."""
    import torch

    left, right = (torch.linalg.qr(heads.mT, mode="r").R for heads in (first, second))
    return left @ right.repeat_interleave(len(first) // len(second), dim=0).mT


def _factors(
    lengths: torch.Tensor, first: torch.Tensor, second: torch.Tensor, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return factors of products with these singular values (heads, k) and uniform singular vectors."""
    import torch

    from controls.generators.haar import uniform_frame

    def frame(rows: int) -> torch.Tensor:
        return uniform_frame(rows, lengths.shape[1], lengths, generator)

    width, shared = first.shape[1], len(first) // len(second)
    left, right = [], []
    for group, trained in enumerate(second):
        inner, outer = frame(width), frame(second.shape[2])
        own = lengths[group * shared : (group + 1) * shared]
        if shared == 1:
            roots = own[0].sqrt()
            right.append(inner * roots @ outer.T)
            left.append(inner * roots @ frame(first.shape[2]).T)
            continue
        size = torch.linalg.vector_norm(trained) / lengths.shape[1] ** 0.5
        right.append(size * inner @ outer.T)
        for each in own:
            left.append(inner @ (frame(lengths.shape[1]) * (each / size)) @ frame(first.shape[2]).T)
    return torch.stack(left), torch.stack(right)


def check_circuits(attentions: Iterable[Attention], targets: Sequence[Tensor]) -> None:
    """Refuse targets that hold one factor of a product and not the other."""
    for attention in attentions:
        for roles in _CIRCUITS:
            there: list[Role] = [role for role in roles if role in attention.weights]
            redrawn: list[Role] = [role for role in there if attention.weights[role].tensor in targets]
            if redrawn and len(redrawn) < 2:
                other = roles[1] if redrawn == [roles[0]] else roles[0]
                missing = "is not found" if other not in there else "stays trained"
                raise CannotControl(
                    f"mode='circuit' draws the product of {roles[0]} and {roles[1]}, but in attention module "
                    f"{attention.path!r} only {redrawn[0]} is redrawn, and {other} {missing}; include both, or exclude "
                    "both."
                )


def _products(attention: Attention, targets: Sequence[Tensor]) -> Iterator[tuple[Part, Part]]:
    for roles in _CIRCUITS:
        found = [attention.weights[role] for role in roles if role in attention.weights]
        if len(found) == 2 and all(part.tensor in targets for part in found):
            yield found[0], found[1]


def _written(swap: Swap, values: dict[Tensor, torch.Tensor]) -> tuple[Tensor, ...]:
    for tensor, drawn in values.items():
        swap.write(tensor, drawn)
    return tuple(values)
