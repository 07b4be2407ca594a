"""Ridge for many targets at once: one factorisation per fold, then three matrix products per block."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from controls.probes._design import Design


@dataclass(frozen=True, eq=False)
class RidgeSolver:
    """The factorised normal equations of one fold, in the smaller of their primal and dual forms.

    ``left`` maps the projected, centred targets to predictions; ``right`` projects them (None where
    the projection is the identity, in the dual form).
    """

    left: torch.Tensor
    right: torch.Tensor | None

    def predict(self, targets: torch.Tensor) -> torch.Tensor:
        """Return predictions for training targets (n, B), in the targets' dtype."""
        return self.weights(targets) + targets.mean(0)

    def weights(self, targets: torch.Tensor) -> torch.Tensor:
        """Return predictions without the targets' means: weights, where the rows solved for are the identity."""
        centred = targets - targets.mean(0)
        return self.left @ (centred if self.right is None else self.right @ centred)


def ridge_solver(design: Design, rows: torch.Tensor, alpha: float, dtype: torch.dtype) -> RidgeSolver:
    """Return the solver whose predictions are those for ``rows`` (m, d), standardised.

    Time O(n d min(n, d)); memory O(m min(n, d)) besides the design. Factorised in float64 whatever
    ``dtype`` the products use.
    """
    Z = design.train
    n, d = Z.shape
    dual = d > n
    gram = Z @ Z.T if dual else Z.T @ Z
    gram.diagonal().add_(alpha)
    across = rows @ Z.T if dual else rows
    left = torch.cholesky_solve(across.T, factor(gram)).T
    return RidgeSolver(left.to(dtype), None if dual else Z.T.to(dtype))


def factor(gram: torch.Tensor) -> torch.Tensor:
    """Return the Cholesky factor of a matrix that is positive but for rounding, which is lifted away if need be."""
    lower, info = torch.linalg.cholesky_ex(gram)
    lift = len(gram) * torch.finfo(gram.dtype).eps * gram.diagonal()
    while int(info):
        lift = 10 * lift
        lower, info = torch.linalg.cholesky_ex(gram + lift.diag())
    return lower
