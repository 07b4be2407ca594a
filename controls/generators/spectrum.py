"""Controls that keep the singular values of weight matrices, and draw their singular vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, final, get_args

from controls.core.problem import Source
from controls.core.properties import Property
from controls.core.validate import one_of
from controls.generators.matrices import as_matrix, as_tensor
from controls.generators.redrawn import WeightControl, as_wide, redraw_tensors
from controls.generators.spectra import Spectra, spectrum
from controls.generators.spectrum_heads import check_circuits, redraw_circuits, redraw_heads
from controls.generators.weight_properties import MatrixAlignment, MatrixSpectra, Mode
from controls.models.heads import Attention, Heads, as_heads, attentions_of

if TYPE_CHECKING:
    import torch
    from torch import nn

    from controls.models.swap import Swap
    from controls.models.tensors import Tensor

_WORDS: dict[Mode, str] = {
    "full": "with these singular values of every weight matrix, and singular vectors drawn at random",
    "per_head": "with these singular values of every attention head's weights, and singular vectors drawn at random",
    "circuit": "whose attention heads have query-key and output-value products with these singular values, and "
    "singular vectors drawn at random",
    "left": "with these singular values and right singular vectors (what matrices read), and left ones (where they "
    "write) drawn at random",
    "right": "with these singular values and left singular vectors (where matrices write), and right ones (what they "
    "read) drawn at random",
    "eigen": "with these eigenvalues and singular values of every square matrix, in a basis drawn at random",
}


@final
@dataclass(frozen=True)
class MatchSpectrum(WeightControl):
    """Keeps the singular values of weight matrices; draws their singular vectors, uniformly.

    Parameters
    ----------
    mode : {"full", "per_head", "circuit", "left", "right", "eigen"}
        Which spectra are kept. "full": of every matrix W = U S Vᵀ, with U and V drawn. "per_head": of the rows of
        query, key and value that belong to a head, and of its columns of the output matrix; other matrices as in
        "full". "circuit": of the products of each head, W_Qᵀ W_K and W_O W_V, which are drawn with uniform
        singular vectors and factored back; other matrices as in "full". "left": U is drawn, W' = Q W, so that
        what is read stays. "right": V is drawn, W' = W Qᵀ, so that where is written stays. "eigen": square
        matrices become Q W Qᵀ, with the same eigenvalues; others as in "full".
    include, exclude : str or tuple of str
        Globs on the names of parameters, such as ``"*.attention.*"``, or kinds: "embeddings",
        "unembedding", "norms", "biases". All parameters where ``include`` is None.
    precision : {"float32", "float64"}
        In which matrices are drawn; those of float64 always in float64.
    heads : mapping of str to int, optional
        How many heads attention modules have that do not say it: globs on their paths, and numbers.

    Raises
    ------
    CannotControl
        "per_head" and "circuit" in a model without attention of the usual names; "circuit" where only one factor
        of a product is among the parameters that are redrawn; a draw that misses its spectrum.

    Notes
    -----
    Null hypothesis: the model's score comes from the same law as those of models with these spectra. The rank
    is exact for weights whose law no rotation changes, such as independent normal ones; sparse or otherwise
    patterned weights that learned nothing are rejected too often (measured on small networks: 31% at .05).

    Matrices, and convolutions as matrices (outputs by everything else), are drawn each independently of all
    others: one rotation shared by a whole residual stream would change nothing. The rows of embeddings trade
    places, and so do the entries of vectors, biases of heads among them: their laws are kept. The spectrum of the
    whole query matrix and those of its heads are different things: "full" changes the latter, "per_head" the former.

    In "circuit" both factors get the same share, the square roots of the singular values, and a rotation within
    the head, which products do not show. Where several heads share a key or a value, that one gets equal singular
    values, and its norm stays; the others make up for it, so that every product has its own. Biases of
    queries and keys, and rotary positions, are no part of a product.

    Singular values are computed once per trained matrix. Each draw is checked, before it is cast to the type of the
    weights: the sums of squares and of fourth powers of singular values agree with those kept, to 1e-4 of them (and for
    "eigen" the traces of W and W²); in float32 singular values agree to about 2e-6 of the largest. Cost of a draw:
    about 1.2 times that of ``torch.nn.init.orthogonal_`` on the same matrices, O(n m min(n, m)), and the check as much
    as a product of the matrix with itself; then one forward pass.

    References
    ----------
    Mezzadri (2007), How to generate random matrices from the classical compact groups. Stewart (1980), The
    efficient generation of random orthogonal matrices. Elhage et al. (2021), A mathematical framework for
    transformer circuits, on the products of a head.

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
    heads: Heads | Mapping[str, int] = ()

    def __post_init__(self) -> None:
        one_of(self.mode, "mode", get_args(Mode))
        one_of(self.precision, "precision", ("float32", "float64"))
        self._check_patterns()
        object.__setattr__(self, "heads", as_heads(self.heads))

    @property
    def ensemble(self) -> str:
        """The ensemble of redrawn models in words."""
        return _WORDS[self.mode]

    @property
    def preserves(self) -> tuple[Property, ...]:
        """The labels, the groups, and the spectra."""
        return (*super().preserves, MatrixSpectra(self.mode, self.heads))  # type: ignore[arg-type]

    @property
    def destroys(self) -> tuple[Property, ...]:
        """The activations, and what the trained matrices did in common with those drawn."""
        return (*super().destroys, MatrixAlignment("diagonal" if self.mode == "eigen" else "as it is"))

    def targets(self, model: nn.Module, tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Return the tensors that are redrawn; refuse half a product."""
        chosen = super().targets(model, tensors)
        if self.mode == "circuit":
            check_circuits(self._attentions(model, tensors, chosen), chosen)
        return chosen

    def _attentions(
        self, model: nn.Module, tensors: Sequence[Tensor], chosen: Sequence[Tensor]
    ) -> tuple[Attention, ...]:
        return attentions_of(model, tensors, chosen, self.heads)  # type: ignore[arg-type]

    def redraw(self, swap: Swap, targets: Sequence[Tensor], source: Source, seed: int) -> dict[str, float]:
        """Write matrices with the same spectra, and permuted rows and entries elsewhere."""
        spectra = Spectra(source, swap, self.precision)
        of_heads: list[Tensor] = []
        if self.mode in ("per_head", "circuit"):
            redraw = redraw_heads if self.mode == "per_head" else redraw_circuits
            for attention in self._attentions(swap.model, swap.tensors, targets):
                of_heads += redraw(swap, attention, targets, spectra, seed)

        def law(tensor: Tensor, generator: torch.Generator) -> torch.Tensor:
            if not tensor.is_matrix:
                return permuted_rows(tensor.parameter.detach(), generator)
            return self._drawn(tensor, spectra, generator)

        redraw_tensors(swap, [tensor for tensor in targets if tensor not in of_heads], law, seed)
        return {"largest error of a spectrum": spectra.worst}

    def _drawn(self, tensor: Tensor, spectra: Spectra, generator: torch.Generator) -> torch.Tensor:
        """Return a matrix with the trained one's spectrum, and what else the mode keeps."""
        matrix = as_matrix(tensor, spectra.wide(as_wide(tensor.parameter)))
        square = matrix.shape[0] == matrix.shape[1]
        if self.mode in ("left", "right") or (self.mode == "eigen" and square):
            drawn = spectra.turned(matrix, self.mode, generator, tensor)
        else:
            lengths = spectra.kept(matrix.dtype, [tensor], lambda: spectrum(matrix))
            drawn = spectra.matched(lengths, matrix.shape[0], matrix.shape[1], generator)
        return as_tensor(tensor, drawn)


def permuted_rows(weights: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Return the rows of a matrix, or the entries of a vector, in random order."""
    import torch

    return weights[torch.randperm(len(weights), generator=generator, device=weights.device)]
