"""Haar: matrices with given singular values and uniformly distributed singular vectors, without a QR.

The QR factor of a Gaussian matrix is a product of Householder reflections whose vectors are Gaussian, each
one coordinate shorter than the one before, and independent: they can be drawn as such (Stewart 1980, The
efficient generation of random orthogonal matrices with an application to condition estimators). That saves
the factorisation, and applying the reflections to a matrix saves forming the second frame.
"""

from __future__ import annotations

import torch


def _reflections(n: int, k: int, like: torch.Tensor, generator: torch.Generator) -> tuple[torch.Tensor, ...]:
    """Return k reflections of vectors of length n as LAPACK keeps them, and the signs that make frames uniform."""
    vectors = torch.randn(n, k, generator=generator, dtype=like.dtype, device=like.device).tril_()
    heads = vectors.diagonal().clone()
    lengths = -torch.copysign(torch.linalg.vector_norm(vectors, dim=0), heads)
    scale = (lengths - heads) / lengths
    vectors /= heads - lengths
    vectors.diagonal().fill_(1.0)
    return vectors, scale, torch.sign(lengths)


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
    vectors, scale, signs = _reflections(n, k, like, generator)
    return torch.linalg.householder_product(vectors, scale) * signs


def with_spectrum(lengths: torch.Tensor, n: int, m: int, generator: torch.Generator) -> torch.Tensor:
    """Return an (n, m) matrix with singular values ``lengths`` (k = min(n, m)) and uniform singular vectors.

    Parameters
    ----------
    lengths : tensor of shape (k,)
    n, m : int
    generator : torch.Generator

    Notes
    -----
    Costs one frame, O(n k²), and its reflection by the other, O(n m k).
    """
    k = len(lengths)
    left = uniform_frame(n, k, lengths, generator)
    vectors, scale, signs = _reflections(m, k, lengths, generator)
    padded = torch.zeros(n, m, dtype=lengths.dtype, device=lengths.device)
    padded[:, :k] = left * (lengths * signs)
    return torch.ormqr(vectors, scale, padded, left=False, transpose=True)
