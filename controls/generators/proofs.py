"""Proofs: what every draw of weights finds to be true of itself; a draw that is not what it says is refused."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from controls.core.errors import CannotControl

if TYPE_CHECKING:
    from controls.models.swap import Swap
    from controls.models.tensors import Tensor

_SURE = 32  # distinct values, and rows, from which a draw that changes nothing is no accident
_ROWS = 128  # of activations that are compared


def weight_figures(swap: Swap, targets: Sequence[Tensor]) -> dict[str, float]:
    """Return what is true of the weights; refuse a draw that is not what it says."""
    import torch

    _refuse_others(swap, targets)
    changed, equal = swap.changed()
    for tensor in equal:
        values = tensor.parameter.detach().flatten()
        if (
            not swap.is_settled(tensor)
            and len(tensor.parameter) > _SURE
            and len(torch.unique(values[: 1 << 16])) > _SURE
        ):
            raise CannotControl(
                f"the redraw of {tensor.name!r} gave back its trained values; a control must not leave them in place."
            )
    if not changed:
        raise CannotControl(
            "the redraw changed no parameter: all that it targets are constants, such as zeros or ones."
        )
    alike = _refuse_twins(swap)
    return {
        "tensors redrawn": float(len(changed)),
        "tensors that the law leaves equal": float(len(equal)),
        "parameters redrawn": float(sum(tensor.parameter.numel() for tensor in changed)),
        "other tensors, byte for byte": float(swap.others_untouched()),
        "tensors that share a shape, all different": float(alike),
        "tied tensors, still tied": float(sum(len(tensor.names) > 1 for tensor in swap.written)),
    }


def _refuse_others(swap: Swap, targets: Sequence[Tensor]) -> None:
    """Refuse a draw that leaves out a target, or writes to something else."""
    left = [tensor.name for tensor in targets if tensor not in swap.written]
    if left:
        raise CannotControl(
            f"the redraw left {len(left)} of {len(targets)} targeted parameters trained, the first {left[0]!r}; a "
            "control must redraw all that it targets, or exclude it."
        )
    more = [tensor.name for tensor in swap.written if tensor not in targets]
    if more:
        raise CannotControl(
            f"the redraw wrote to {more[0]!r}, which it does not target; a control must leave other parameters trained."
        )


def _refuse_twins(swap: Swap) -> int:
    """Refuse two matrices of one shape that were drawn the same; return how many share their shape with others."""
    from controls.models.swap import fingerprint

    by_shape = defaultdict(list)
    for tensor in swap.written:
        if tensor.parameter.ndim >= 2 and tensor.parameter.numel() > _SURE and not swap.is_settled(tensor):
            by_shape[tuple(tensor.parameter.shape)].append(tensor)
    for shape, alike in by_shape.items():
        prints: dict[int, str] = {}
        for tensor in alike if len(alike) > 1 else ():
            twin = prints.setdefault(fingerprint(tensor.parameter), tensor.name)
            if twin != tensor.name and bool((tensor.parameter != tensor.parameter.flatten()[0]).any()):
                raise CannotControl(
                    f"{twin!r} and {tensor.name!r}, both of shape {shape}, were given the same weights; layers must be "
                    "redrawn independently of one another."
                )
    return sum(len(alike) for alike in by_shape.values() if len(alike) > 1)


def activation_figures(before: Any, after: Any) -> dict[str, float]:
    """Return how the activations differ; refuse a redraw that leaves them, or only rotates them."""
    rows = np.unique(np.linspace(0, before.shape[0] - 1, min(_ROWS, before.shape[0])).astype(int))
    old, new = (np.asarray(array[rows], dtype=np.float64) for array in (before, after))
    if np.array_equal(old, new):
        raise CannotControl(
            "the redrawn weights change no activation at this layer: they come after it; redraw weights before it "
            "(include=, exclude=), or leave this layer out."
        )
    if old.shape == new.shape and len(rows) > 2 and _only_rotated(old, new):
        raise CannotControl(
            "the redraw only rotates the activations at this layer, which a probe that may rotate them too cannot "
            "see: every score would stay; draw the layers independently of one another."
        )
    return {
        "activation norm, trained": _norm(old),
        "activation norm, drawn over trained": _norm(new) / max(_norm(old), 1e-300),
        "activation rank, trained": _effective_rank(old),
        "activation rank, drawn": _effective_rank(new),
    }


def _norm(rows: np.ndarray) -> float:
    return float(np.sqrt(np.square(rows).sum(axis=1).mean()))


def _centred(rows: np.ndarray) -> np.ndarray:
    return rows - rows.mean(axis=0)


def _effective_rank(rows: np.ndarray) -> float:
    """Return the participation ratio of the variances along principal directions."""
    gram = _centred(rows) @ _centred(rows).T
    return float(np.trace(gram) ** 2 / max(np.square(gram).sum(), 1e-300))


def _only_rotated(old: np.ndarray, new: np.ndarray) -> bool:
    """Whether all inner products stay, up to one factor: to one part in a thousand."""
    grams = [_centred(rows) @ _centred(rows).T for rows in (old, new)]
    one, other = (gram / max(np.linalg.norm(gram), 1e-300) for gram in grams)
    return bool(np.linalg.norm(one - other) < 1e-3)
