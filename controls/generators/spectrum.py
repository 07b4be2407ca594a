"""Controls that keep the singular values of weight matrices, and draw their singular vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, final, get_args

from controls.core.errors import CannotControl
from controls.core.problem import Source
from controls.core.validate import one_of
from controls.generators.redrawn import WeightControl, as_wide, redraw_tensors
from controls.models.names import as_patterns

if TYPE_CHECKING:
    import torch

    from controls.models.swap import Swap
    from controls.models.tensors import Tensor

Mode = Literal["full"]
TOLERANCE = 1e-4  # of singular values, relative to the largest; float32 keeps about 2e-6


@final
@dataclass(frozen=True)
class MatchSpectrum(WeightControl):
    """Keeps the singular values of every weight matrix; draws their singular vectors, uniformly.

    Parameters
    ----------
    mode : {"full"}
        Which spectra are kept.
    include, exclude : str or tuple of str
        Globs on the names of parameters, such as ``"*.attention.*"``, or kinds: "embeddings",
        "unembedding", "norms", "biases". All parameters where ``include`` is None.
    precision : {"float32", "float64"}
        In which matrices are drawn; those of float64 always in float64.

    Notes
    -----
    Null hypothesis: the model's score comes from the same law as those of models with these spectra. The rank
    is exact for weights whose law no rotation changes, such as independent normal ones; sparse or otherwise
    patterned weights that learned nothing are rejected too often (measured on small networks: 31% at .05).

    Matrices, and convolutions as matrices (outputs by everything else), get uniform singular vectors on both
    sides, each independently of all others: one rotation shared by a whole residual stream would change
    nothing. The rows of embeddings trade places, and so do the entries of vectors: their laws are kept.

    Singular values are computed once per matrix. Each draw is checked: the sums of squares and of fourth powers of
    its singular values agree with those kept, to 1e-4 of them; in float32 singular values agree to about 2e-6
    of the largest. Cost of a draw: about 1.2 times that of ``torch.nn.init.orthogonal_`` on the same matrices,
    O(n m min(n, m)), and the check as much as a product of the matrix with itself; then one forward pass.

    References
    ----------
    Mezzadri (2007), How to generate random matrices from the classical compact groups. Stewart (1980), The
    efficient generation of random orthogonal matrices.

    Examples
    --------
    >>> import numpy as np, torch, controls as ct
    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU())
    >>> X = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
    >>> problem = ct.from_model(model, X, layer="1", labels=(X[:, 0] > 0).numpy())
    >>> drawn = ct.MatchSpectrum().draw(problem, np.random.default_rng(0))
    >>> drawn.proof["tensors redrawn"], drawn.proof["largest error of a spectrum"] < 1e-4
    (2.0, True)
    """

    mode: Mode = "full"
    include: tuple[str, ...] | None = None
    exclude: tuple[str, ...] = ()
    precision: Literal["float32", "float64"] = "float32"

    def __post_init__(self) -> None:
        one_of(self.mode, "mode", get_args(Mode))
        one_of(self.precision, "precision", ("float32", "float64"))
        if self.include is not None:
            object.__setattr__(self, "include", as_patterns(self.include, "include"))
        object.__setattr__(self, "exclude", as_patterns(self.exclude, "exclude"))

    @property
    def ensemble(self) -> str:
        """The ensemble of redrawn models in words."""
        return "with these singular values of every weight matrix, and singular vectors drawn at random"

    def redraw(self, swap: Swap, source: Source, seed: int) -> dict[str, float]:
        """Write matrices with the same spectra, and permuted rows and entries elsewhere."""
        errors = [0.0]

        def law(tensor: Tensor, generator: torch.Generator) -> torch.Tensor:
            weights = tensor.parameter.detach()
            if not tensor.is_matrix:
                return permuted_rows(weights, generator)
            drawn, error = self._matched(weights, swap.print_of(tensor), source, generator)
            errors.append(error)
            return drawn

        redraw_tensors(swap, self.targets(swap.tensors), law, seed)
        return {"largest error of a spectrum": max(errors)}

    def _matched(
        self, weights: torch.Tensor, fingerprint: int, source: Source, generator: torch.Generator
    ) -> tuple[torch.Tensor, float]:
        from controls.generators.haar import with_spectrum

        wide = as_wide(weights).flatten(1)
        if self.precision == "float64":
            wide = wide.double()
        lengths = source.memo(("spectrum", fingerprint, tuple(wide.shape), wide.dtype), lambda: spectrum(wide))
        drawn = with_spectrum(lengths, wide.shape[0], wide.shape[1], generator)
        return drawn.view(weights.shape), _spectrum_error(drawn, lengths)


def spectrum(matrix: torch.Tensor) -> torch.Tensor:
    """Return the singular values of a matrix, the largest first, computed in float64 and given in its type."""
    import torch

    return torch.linalg.svdvals(matrix.double()).to(matrix.dtype)


def permuted_rows(weights: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Return the rows of a matrix, or the entries of a vector, in random order."""
    import torch

    return weights[torch.randperm(len(weights), generator=generator, device=weights.device)]


def _spectrum_error(drawn: torch.Tensor, lengths: torch.Tensor) -> float:
    """Return how far the second and fourth moments of the singular values are from those kept; refuse more than stated.

    They are the traces of the Gram matrix and of its square: no decomposition is needed.
    """
    import torch

    gram = drawn @ drawn.T if drawn.shape[0] <= drawn.shape[1] else drawn.T @ drawn
    squares = lengths.double() ** 2
    second, fourth = squares.sum().item(), squares.square().sum().item()
    found = gram.diagonal().double().sum().item(), torch.linalg.vector_norm(gram, dtype=torch.float64).item() ** 2
    if not fourth:
        return 0.0
    error = max(abs(found[0] / second - 1), abs(found[1] / fourth - 1))
    if error > TOLERANCE:
        raise CannotControl(
            f"a redraw of shape {tuple(drawn.shape)} missed its singular values by {error:.1g} of their squares "
            f"(allowed: {TOLERANCE:g}); set precision='float64'."
        )
    return error
