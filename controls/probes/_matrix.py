"""Matrix: rows that are multiplied by many blocks of columns, from either side, at full precision."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional


class Matrix:
    """A matrix (n, d) to multiply by blocks.

    Products of float32 on the CPU go to oneDNN where torch has it, which uses the widest vectors of
    any processor; MKL, torch's default, uses half of them on those of AMD (measured: 90 against
    210 Gflop/s a core). It keeps both layouts of the matrix, at 8 bytes a number. Blocks of float64
    are multiplied in float64, whatever the matrix is.
    """

    def __init__(self, rows: torch.Tensor) -> None:
        self.n = len(rows)
        self._packed = (
            rows.dtype == torch.float32 and rows.is_cpu and torch.backends.mkldnn.is_available() and self.n > 0
        )
        self._rows = rows.to_mkldnn() if self._packed else rows
        self._columns = rows.T.contiguous().to_mkldnn() if self._packed else rows.T
        self._rough: torch.Tensor | None = None

    def times(self, block: torch.Tensor, shift: torch.Tensor | None = None) -> torch.Tensor:
        """Return the matrix times a block (d, B), plus ``shift`` (B,) where given, shape (n, B)."""
        if self._packed and block.dtype == torch.float32:
            return _linear(self._rows, block, shift)
        rows = self._dense(block.dtype)
        return rows @ block if shift is None else torch.addmm(shift, rows, block)

    def transposed_times(self, block: torch.Tensor) -> torch.Tensor:
        """Return the transposed matrix times a block (n, B), shape (d, B)."""
        if self._packed and block.dtype == torch.float32:
            return _linear(self._columns, block, None)
        return self._dense(block.dtype).T @ block

    def _dense(self, dtype: torch.dtype) -> torch.Tensor:
        if dtype == torch.bfloat16:
            if self._rough is None:
                self._rough = (self._rows.to_dense() if self._packed else self._rows).to(dtype)
            return self._rough
        rows = self._rows.to_dense() if self._packed else self._rows
        return rows.to(dtype)


def has_bfloat16(device: torch.device) -> bool:
    """Return whether the processor itself multiplies bfloat16, at twice the rate of float32 or more."""
    found = getattr(torch.cpu, "get_capabilities", dict)()  # older torch does not say
    return device.type == "cpu" and any(found.get(name, False) for name in ("avx512_bf16", "amx_bf16"))


def _linear(packed: torch.Tensor, block: torch.Tensor, shift: torch.Tensor | None) -> torch.Tensor:
    weight = block.T.contiguous().to_mkldnn()
    bias = None if shift is None else shift.contiguous().to_mkldnn()
    return functional.linear(packed, weight, bias).to_dense()


class Diagonal:
    """A diagonal matrix to multiply by blocks, which are scaled by row."""

    def __init__(self, values: torch.Tensor) -> None:
        self._values = values[:, None]

    def times(self, block: torch.Tensor) -> torch.Tensor:
        """Return the matrix times a block (d, B)."""
        return self._values * block

    transposed_times = times


class Stack:
    """Matrices on top of one another."""

    def __init__(self, matrices: Sequence[Matrix]) -> None:
        self.matrices = tuple(matrices)
        self.sizes = [matrix.n for matrix in matrices]
        self.n = sum(self.sizes)

    def times(self, block: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
        """Return the stack times a block (d, B), plus ``shift`` (B,), shape (n, B)."""
        return torch.cat([matrix.times(block, shift) for matrix in self.matrices])

    def transposed_times(self, block: torch.Tensor) -> torch.Tensor:
        """Return the transposed stack times a block (n, B), shape (d, B)."""
        first, *rest = zip(self.matrices, block.split(self.sizes), strict=True)
        total = first[0].transposed_times(first[1])
        for matrix, rows in rest:
            total += matrix.transposed_times(rows)
        return total
