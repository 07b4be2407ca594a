"""Spectra: what draws with given singular values share: values computed once, and the check of every matrix."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Any, final

from controls.core.errors import CannotControl
from controls.core.problem import Source

if TYPE_CHECKING:
    import torch

    from controls.models.swap import Swap
    from controls.models.tensors import Tensor

TOLERANCE = 1e-4  # of the sums of squares and of fourth powers of singular values; float32 keeps about 2e-6


@final
class Spectra:
    """The spectra of one draw: those of trained weights kept with the source, and the worst error so far.

    Parameters
    ----------
    source : Source
        Of the trained model.
    swap : Swap
        The model that is written to, where another control may have been before.
    precision : str
        "float64" where matrices are drawn in it, whatever their type.
    """

    def __init__(self, source: Source, swap: Swap, precision: str) -> None:
        self._source, self._swap, self._double = source, swap, precision == "float64"
        self.worst = 0.0

    def wide(self, values: torch.Tensor) -> torch.Tensor:
        """Return values in the precision in which they are drawn."""
        return values.double() if self._double else values

    def kept(self, key: Hashable, tensors: Sequence[Tensor], build: Callable[[], Any]) -> Any:
        """Return what is computed once of trained tensors; of redrawn ones, which do not come back, each time."""
        if not all(map(self._swap.is_trained, tensors)):
            return build()
        prints = tuple((tensor.name, self._swap.print_of(tensor)) for tensor in tensors)
        return self._source.memo(("spectrum", key, prints), build)

    def matched(self, lengths: torch.Tensor, n: int, m: int, generator: torch.Generator) -> torch.Tensor:
        """Return an (n, m) matrix with these singular values and uniform singular vectors, checked."""
        from controls.generators.haar import with_spectrum

        drawn = with_spectrum(lengths, n, m, generator)
        self.check(drawn, sums_of(lengths))
        return drawn

    def turned(self, matrix: torch.Tensor, side: str, generator: torch.Generator, tensor: Tensor) -> torch.Tensor:
        """Return Q W ("left"), W Qᵀ ("right") or Q W Qᵀ ("eigen") with uniform Q, checked."""
        from controls.generators.haar import draw_reflections, rotated

        key = "sums", side, matrix.dtype
        sums = self.kept(key, [tensor], lambda: (moments_of(matrix), _traces(matrix) if side == "eigen" else ()))
        if side == "left":
            drawn = _turned_rows(matrix, generator)
        elif side == "right":
            drawn = _turned_rows(matrix.T, generator).T
        else:
            rotation = draw_reflections(len(matrix), len(matrix), matrix, generator)
            drawn = rotated(rotated(matrix, rotation, rows=True), rotation, rows=False)
            self._note(max(abs(new - old) for new, old in zip(_traces(drawn), sums[1], strict=True)), drawn)
        self.check(drawn, sums[0])
        return drawn

    def check(self, drawn: torch.Tensor, sums: tuple[float, float]) -> None:
        """Note how far the sums of squares and fourth powers are from those kept; refuse more than stated."""
        if sums[1]:
            self._note(max(abs(new / old - 1) for new, old in zip(moments_of(drawn), sums, strict=True)), drawn)

    def _note(self, error: float, drawn: torch.Tensor) -> None:
        if not error <= TOLERANCE:
            raise CannotControl(
                f"a redraw of shape {tuple(drawn.shape)} missed its singular values by {error:.1g} of their squares "
                f"(allowed: {TOLERANCE:g}); set precision='float64'."
            )
        self.worst = max(self.worst, error)


def spectrum(matrix: torch.Tensor) -> torch.Tensor:
    """Return the singular values of a matrix, or of each of a stack, the largest first; computed in float64."""
    import torch

    return torch.linalg.svdvals(matrix.double()).to(matrix.dtype)


def sums_of(lengths: torch.Tensor) -> tuple[float, float]:
    """Return the sums of squares and of fourth powers."""
    squares = lengths.double() ** 2
    return squares.sum().item(), squares.square().sum().item()


def moments_of(matrix: torch.Tensor) -> tuple[float, float]:
    """Return the same of a matrix's singular values: traces of its Gram matrix, and of that one's square."""
    import torch

    gram = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
    return gram.diagonal().double().sum().item(), torch.linalg.vector_norm(gram, dtype=torch.float64).item() ** 2


def _traces(matrix: torch.Tensor) -> tuple[float, float]:
    """Return the traces of W and of W², relative to the largest that they could be."""
    import torch

    size = max(torch.linalg.vector_norm(matrix, dtype=torch.float64).item(), 1e-300)
    of_square = (matrix * matrix.T).double().sum().item()
    return matrix.diagonal().double().sum().item() / (size * len(matrix) ** 0.5), of_square / size**2


def _turned_rows(matrix: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Return Q W with Q uniform: by its R factor where it is tall, so that no more of Q is drawn than shows."""
    import torch

    from controls.generators.haar import draw_reflections, rotated, uniform_frame

    n, m = matrix.shape
    if n <= m:
        return rotated(matrix, draw_reflections(n, n, matrix, generator), rows=True)
    return uniform_frame(n, m, matrix, generator) @ torch.linalg.qr(matrix, mode="r").R
