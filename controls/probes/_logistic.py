"""Logistic regression for many label columns at once: L-BFGS in coordinates whitened by a shared Hessian.

All columns share the training rows Z (n, d), so one Cholesky factor of H = κ Z'Z + I/C, the Hessian
at equal class probabilities, serves them all. In coordinates w = L^-T u, with the intercept (which is
not penalised) as one more column scaled to unit curvature, the objective per unit of C is

    f(u) = loss(A u) + (|u|² − κ |A u|²) / 2,

since κ A'A and the penalty add up to the identity. Its gradient u + A'(residual − κ A u) costs one
product with A' and its logits one product with A; along a search direction both are linear, so the
line search costs no product at all.

Arrays are (rows, K, B): B label columns, each with K logits (1 for two classes, else one per class).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from controls.probes._design import Design, row_basis
from controls.probes._ridge import factor

_PAIRS = 8  # steps that L-BFGS remembers
_TRIALS = 12  # points that a line search may look at
_BEFORE, _AFTER = 0.9, 0.6  # share of the first slope a step may leave, short of the minimum and beyond it
_ROUNDING = 20  # how many roundings of the weights' size a gradient may be off by
_COMPACT_BELOW = 0.75  # share of columns still at work below which the others are dropped from the block
ABSENT = -1e30  # the score of a class that a column's training rows lack: low, and still a number


@dataclass(frozen=True, eq=False)
class Whitened:
    """One fold in whitened coordinates: ``train`` (n, r+1) and ``test`` (m, r+1), the last for the intercept.

    ``back`` (d, r) maps whitened weights to weights on standardised features.
    """

    train: torch.Tensor
    test: torch.Tensor
    back: torch.Tensor | None
    curvature: float
    intercept: float


def whiten(design: Design, C: float, n_logits: int, dtype: torch.dtype, *, keep_back: bool = False) -> Whitened:
    """Return the fold in coordinates where the shared Hessian is the identity. Time O(n d min(n, d))."""
    basis = row_basis(design.train)
    train, test = (rows if basis is None else rows @ basis for rows in (design.train, design.test))
    curvature = 0.25 if n_logits == 1 else 1.0 / n_logits
    hessian = curvature * train.T @ train
    hessian.diagonal().add_(1.0 / C)
    lower = factor(hessian)
    intercept = (curvature * len(train)) ** -0.5
    back = None
    if keep_back:
        back = torch.linalg.solve_triangular(lower.T, _basis_or_identity(basis, lower), upper=True, left=False)
    train, test = (_with_intercept(_whitened(rows, lower), intercept).to(dtype) for rows in (train, test))
    return Whitened(train, test, back, curvature, intercept)


def _basis_or_identity(basis: torch.Tensor | None, like: torch.Tensor) -> torch.Tensor:
    return torch.eye(len(like), dtype=like.dtype, device=like.device) if basis is None else basis


def _whitened(rows: torch.Tensor, lower: torch.Tensor) -> torch.Tensor:
    return torch.linalg.solve_triangular(lower.T, rows, upper=True, left=False)


def _with_intercept(rows: torch.Tensor, value: float) -> torch.Tensor:
    return torch.cat([rows, torch.full_like(rows[:, :1], value)], 1)


@dataclass(frozen=True, eq=False)
class Targets:
    """Labels of B columns: ``hot`` (n, K, B) is 1 at each row's class; ``floor`` (K, B) bars absent classes."""

    hot: torch.Tensor
    floor: torch.Tensor | None

    def residual(self, logits: torch.Tensor) -> torch.Tensor:
        """Return the derivative of the log-loss in the logits: predicted minus observed."""
        if logits.shape[1] == 1:
            return torch.sigmoid(logits).sub_(self.hot)
        return torch.softmax(logits if self.floor is None else logits + self.floor, 1).sub_(self.hot)

    def take(self, columns: torch.Tensor) -> Targets:
        """Return the targets of some columns."""
        return Targets(self.hot[..., columns], None if self.floor is None else self.floor[..., columns])


def make_targets(codes: torch.Tensor, n_classes: int, dtype: torch.dtype) -> Targets:
    """Return the targets of class codes (n, B)."""
    if n_classes == 2:
        return Targets(codes[:, None].to(dtype), None)
    classes = torch.arange(n_classes, device=codes.device)
    hot = (codes[:, None] == classes[:, None]).to(dtype)
    absent = ~hot.bool().any(0)
    return Targets(hot, torch.where(absent, ABSENT, 0.0).to(dtype) if bool(absent.any()) else None)


class _Memory:
    """The last steps and gradient changes of each column: the L-BFGS estimate of the inverse Hessian."""

    def __init__(self) -> None:
        self.pairs: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []
        self.scale: torch.Tensor | float = 1.0

    def add(self, step: torch.Tensor, change: torch.Tensor) -> None:
        """Remember a step; one without curvature, which only a finished column makes, is given no weight."""
        along, size = _dot(step, change), _dot(change, change)
        sound = (along > 0) & (size > 0)
        weight = torch.where(sound, 1.0 / along, 0.0)
        self.scale = torch.where(sound, along / size, self.scale)
        self.pairs = [*self.pairs[1 - _PAIRS :], (step, change, weight)]

    def direction(self, gradient: torch.Tensor) -> torch.Tensor:
        """Return minus the estimated inverse Hessian times the gradient."""
        q, weights = -gradient, []
        for step, change, weight in reversed(self.pairs):
            weights.append(weight * _dot(step, q))
            q = torch.addcmul(q, change, weights[-1], value=-1)
        q = q * self.scale
        for (step, change, weight), along in zip(self.pairs, reversed(weights), strict=True):
            q = torch.addcmul(q, step, along - weight * _dot(change, q))
        return q

    def take(self, columns: torch.Tensor) -> None:
        """Keep some columns only."""
        self.pairs = [(s[..., columns], c[..., columns], w[columns]) for s, c, w in self.pairs]
        self.scale = self.scale[columns] if isinstance(self.scale, torch.Tensor) else self.scale


def _dot(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return (a * b).sum((0, 1))


def _product(matrix: torch.Tensor, block: torch.Tensor) -> torch.Tensor:
    return (matrix @ block.reshape(len(block), -1)).view(len(matrix), *block.shape[1:])


class BatchFit:
    """B fits that advance together; each is done when its own gradient says so, whatever the others do."""

    def __init__(self, whitened: Whitened, targets: Targets, tol: float) -> None:
        self.space, self.targets = whitened, targets
        self.tol = tol
        self.point = start(whitened, targets)
        self.found = self.point.clone()
        self.columns = torch.arange(self.point.shape[2], device=self.point.device)
        self.live = torch.ones_like(self.columns, dtype=torch.bool)
        self.memory = _Memory()
        self.logits = _product(whitened.train, self.point)
        self.gradient = self._gradient(self.point, self.logits)

    def run(self, max_iter: int) -> tuple[torch.Tensor, int]:
        """Return the whitened weights (r+1, K, B) and how many columns did not converge."""
        for _ in range(max_iter):
            direction = self.memory.direction(self.gradient)
            slope = _dot(self.gradient, direction)
            left = self._retire(slope)
            if left == 0:
                return self.found, 0
            if left < _COMPACT_BELOW * len(self.live):
                kept = self.live.nonzero()[:, 0]
                direction, slope = direction[..., kept], slope[kept]
                self._take(kept)
            self._advance(direction, slope)
        self.found[..., self.columns[self.live]] = self.point[..., self.live]
        return self.found, int(self.live.sum())

    def _retire(self, slope: torch.Tensor) -> int:
        """Record the columns whose gradient is now small enough; return how many are left.

        Minus the slope is twice what the quadratic model still expects to gain: n mean squares of
        changes of logits. Where it is not a number, the column stays and is reported.
        """
        rounding = (_ROUNDING * torch.finfo(slope.dtype).eps) ** 2 * _dot(self.point, self.point)
        done = self.live & (-slope <= self.tol**2 * len(self.targets.hot) + rounding)
        self.live = self.live & ~done
        finished, left = torch.stack([done.sum(), self.live.sum()]).tolist()
        if finished:
            self.found[..., self.columns[done]] = self.point[..., done]
        return left

    def _take(self, kept: torch.Tensor) -> None:
        """Go on with some columns only."""
        self.columns, self.live = self.columns[kept], self.live[kept]
        self.point, self.logits, self.gradient = (
            block[..., kept] for block in (self.point, self.logits, self.gradient)
        )
        self.targets = self.targets.take(kept)
        self.memory.take(kept)

    def _advance(self, direction: torch.Tensor, slope: torch.Tensor) -> None:
        """Step to near the minimum along the direction, and learn from how the gradient changed.

        The full step mostly is near enough, which its gradient tells for free; else the line is searched.
        """
        moved = _product(self.space.train, direction)
        size = torch.ones_like(slope)
        here = self._at(direction, moved, size)
        reached = _dot(here[2], direction)
        if bool((self.live & _unsettled(reached, slope)).any()):
            line = _Line(self.targets, self.logits, moved, self.space.curvature)
            along = _dot(self.point, direction), _dot(direction, direction)
            size = line.search(slope, reached, along, self.live)
            here = self._at(direction, moved, size)
        self.memory.add(size * direction, here[2] - self.gradient)
        self.point, self.logits, self.gradient = here

    def _at(self, direction: torch.Tensor, moved: torch.Tensor, size: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return the point, logits and gradient after a step of this size (B,) along the direction."""
        point = torch.addcmul(self.point, direction, size)
        logits = torch.addcmul(self.logits, moved, size)
        return point, logits, self._gradient(point, logits)

    def _gradient(self, point: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        pulled = self.targets.residual(logits).sub_(logits, alpha=self.space.curvature)
        return _product(self.space.train.T, pulled).add_(point)


def start(whitened: Whitened, targets: Targets) -> torch.Tensor:
    """Return zero weights (r+1, K, B) with the intercepts that give each column's class shares."""
    share = targets.hot.mean(0)
    if len(share) == 1:
        offset = torch.log(share) - torch.log1p(-share)
    else:
        present = share > 0
        offset = torch.where(present, share, 1.0).log()
        offset = torch.where(present, offset - offset.sum(0) / present.sum(0), 0.0)
    point = share.new_zeros((whitened.train.shape[1], *share.shape))
    point[-1] = offset / whitened.intercept
    return point


@dataclass(frozen=True, eq=False)
class _Line:
    """The objective of each column along its direction, known through its logits alone."""

    targets: Targets
    logits: torch.Tensor
    moved: torch.Tensor
    curvature: float

    def search(
        self,
        slope: torch.Tensor,
        reached: torch.Tensor,
        along: tuple[torch.Tensor, torch.Tensor],
        live: torch.Tensor,
    ) -> torch.Tensor:
        """Return a step (B,) for each column, given the slopes at steps of 0 and 1.

        The slope rises along the line (the objective is convex), so its root is bracketed and closed
        in on by secants until the slope is a fraction of what it was. Slopes, not values, are
        compared: differences of values drown in rounding near the minimum.
        """
        size, low, high = torch.ones_like(slope), torch.zeros_like(slope), torch.full_like(slope, torch.inf)
        low_slope, high_slope = slope, torch.full_like(slope, torch.nan)
        for _ in range(_TRIALS):
            beyond = reached > 0
            high, high_slope = torch.where(beyond, size, high), torch.where(beyond, reached, high_slope)
            low, low_slope = torch.where(beyond, low, size), torch.where(beyond, low_slope, reached)
            unsettled = live & _unsettled(reached, slope)
            if not bool(unsettled.any()):
                break
            size = torch.where(unsettled, _next(low, low_slope, high, high_slope, slope), size)
            reached = self._slope(size, along)
        return size

    def _slope(self, size: torch.Tensor, along: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        logits = torch.addcmul(self.logits, self.moved, size)
        pulled = self.targets.residual(logits).sub_(logits, alpha=self.curvature)
        return _dot(pulled, self.moved) + along[0] + size * along[1]


def _unsettled(reached: torch.Tensor, slope: torch.Tensor) -> torch.Tensor:
    """Whether a step with this slope at its end is still too far from the minimum along its line."""
    return (reached > _AFTER * -slope) | (reached < _BEFORE * slope)


def _next(
    low: torch.Tensor, low_slope: torch.Tensor, high: torch.Tensor, high_slope: torch.Tensor, slope: torch.Tensor
) -> torch.Tensor:
    """Return the next point of a line search: a secant inside the bracket, or beyond its open end."""
    width = high - low
    inside = low + width * (low_slope / (low_slope - high_slope)).clamp(0.1, 0.9)
    beyond = low * (slope / (slope - low_slope)).clamp(2.0, 10.0)
    return torch.where(torch.isinf(high), beyond, inside)
