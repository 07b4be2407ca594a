"""Haar: matrices with given singular values and uniformly distributed singular vectors, without a QR.

The QR factor of a Gaussian matrix is a product of Householder reflections whose vectors are Gaussian, each
one coordinate shorter than the one before, and independent: they can be drawn as such (Stewart 1980, The
efficient generation of random orthogonal matrices with an application to condition estimators). That saves
the factorisation, and applying the reflections to a matrix saves forming the second frame.

Torch is imported where it is used, so that listing controls does not load it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import torch


class Reflections(NamedTuple):
    """A product of reflections as LAPACK keeps it, and the signs that make its columns uniform."""

    vectors: torch.Tensor  # (n, k)
    scale: torch.Tensor  # (k,)
    signs: torch.Tensor  # (k,)


def draw_reflections(n: int, k: int, like: torch.Tensor, generator: torch.Generator) -> Reflections:
    """Return k reflections of vectors of length n: their product times the signs is a uniform frame.

    Parameters
    ----------
    n, k : int
    like : tensor
        Whose type (float32 or float64) and device they have.
    generator : torch.Generator
        On that device.
    """
    import torch

    vectors = torch.randn(n, k, generator=generator, dtype=like.dtype, device=like.device).tril_()
    heads = vectors.diagonal().clone()
    lengths = -torch.copysign(torch.linalg.vector_norm(vectors, dim=0), heads)
    scale = (lengths - heads) / lengths
    vectors /= heads - lengths
    vectors.diagonal().fill_(1.0)
    return Reflections(vectors, scale, torch.sign(lengths))


def uniform_frame(n: int, k: int, like: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Return k ≤ n orthonormal columns of length n, uniformly distributed (Haar), shape (n, k).

    Parameters
    ----------
    n, k : int
    like : tensor
        Whose type (float32 or float64) and device the frame has.
    generator : torch.Generator
        On that device.

    Notes
    -----
    Costs O(n k²), as one product that forms the frame from its reflections.
    """
    import torch

    vectors, scale, signs = draw_reflections(n, k, like, generator)
    return torch.linalg.householder_product(vectors, scale) * signs


def with_spectrum(lengths: torch.Tensor, n: int, m: int, generator: torch.Generator) -> torch.Tensor:
    """Return an (n, m) matrix with singular values ``lengths`` (k ≤ min(n, m)) and uniform singular vectors.

    Parameters
    ----------
    lengths : tensor of shape (k,)
    n, m : int
    generator : torch.Generator

    Notes
    -----
    Costs one frame, O(n k²), and its reflection by the other, O(n m k).
    """
    import torch

    k = len(lengths)
    left = uniform_frame(n, k, lengths, generator)
    vectors, scale, signs = draw_reflections(m, k, lengths, generator)
    padded = torch.zeros(n, m, dtype=lengths.dtype, device=lengths.device)
    padded[:, :k] = left * (lengths * signs)
    return torch.ormqr(vectors, scale, padded, left=False, transpose=True)


def rotated(matrix: torch.Tensor, rotation: Reflections, *, rows: bool) -> torch.Tensor:
    """Return a matrix whose rows (columns) are mixed by an orthogonal matrix: Q W, or W Qᵀ.

    Parameters
    ----------
    matrix : tensor of shape (n, m)
    rotation : Reflections
        ``draw_reflections(n, n)``, or (m, m): Q is uniformly distributed.
    rows : bool
        Whether Q multiplies from the left.

    Notes
    -----
    Costs O(n² m), or O(n m²); Q is not formed.
    """
    import torch

    vectors, scale, signs = rotation
    if rows:
        return torch.ormqr(vectors, scale, matrix * signs[:, None])
    return torch.ormqr(vectors, scale, matrix * signs, left=False, transpose=True)
