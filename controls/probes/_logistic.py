"""Logistic regression for many label columns at once: L-BFGS in coordinates whitened by a shared Hessian.

Many classes take tens of steps. With a tolerance that leaves room, most of the first use products of
bfloat16, as in iterative refinement: each product is of what changed in that step, so that its error
shrinks with the steps; every fourth step starts afresh in float32, and only there is a column done.

All columns of a fold share its ``Space``, where the Hessian at equal class probabilities is the
identity. The gradient costs one product with the training rows and the logits another; along a
search direction both are linear, so the line search costs no product at all.

Arrays are (rows, K, B): B label columns, each with K logits (1 for two classes, else one per class).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import torch

from controls.probes._scores import ABSENT
from controls.probes._space import Space

_PAIRS = 8  # steps that L-BFGS remembers
_TRIALS = 12  # points that a line search may look at
_BEFORE, _AFTER = 0.98, 2.0  # share of the first slope a step may leave, short of the minimum and beyond it
_ROUNDING = {torch.float64: 20, torch.float32: 4}  # roundings of the weights' size that a gradient may be off by
_ROUGH_TOL = 1e-4  # in float32, a tolerance from which first steps of many classes may be rough
_ROUGH_STEPS, _AFRESH_EVERY = 40, 4  # how many those are, and which of them is not rough nevertheless
_VECTOR = 16  # float32 numbers of the widest vector
_SINGLE_STEPS = 200  # steps in float32 before columns go on in float64
_COMPACT_BELOW = 0.75  # share of columns still at work below which the others are dropped from the block


@dataclass(frozen=True, eq=False)
class Targets:
    """Labels of B columns: ``hot`` (n, K, B) is 1 at each row's class; ``floor`` (K, B) bars absent classes."""

    hot: torch.Tensor
    floor: torch.Tensor | None

    def residual(self, logits: torch.Tensor) -> torch.Tensor:
        """Return the derivative of the log-loss in the logits: predicted minus observed."""
        if logits.shape[1] == 1:
            return torch.sigmoid(logits).sub_(self.hot)
        return _softmax(logits if self.floor is None else logits + self.floor).sub_(self.hot)

    def double(self) -> Targets:
        """Return the targets in float64."""
        return Targets(self.hot.double(), None if self.floor is None else self.floor.double())

    def take(self, columns: torch.Tensor) -> Targets:
        """Return the targets of some columns."""
        return Targets(self.hot[..., columns], None if self.floor is None else self.floor[..., columns])


def _softmax(logits: torch.Tensor) -> torch.Tensor:
    """Return the softmax over axis 1; on the CPU torch's own is quick for whole vectors of columns only."""
    if logits.shape[2] % _VECTOR == 0 or not logits.is_cpu:
        return torch.softmax(logits, 1)
    return torch.softmax(logits.transpose(0, 1).contiguous(), 0).transpose(0, 1).contiguous()


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


def fit_columns(space: Space, targets: Targets, *, tol: float, max_iter: int) -> tuple[torch.Tensor, int]:
    """Return the fitted points (r+1, K, B), and how many columns did not converge.

    Columns that float32 cannot bring to ``tol`` go on in float64 from where they are; all points
    are then of float64. Which these are is a matter of each column alone.
    """
    if targets.hot.dtype == torch.float64:
        fit = BatchFit(space, targets, tol)
        fit.run(max_iter)
        return fit.found, int(fit.open.sum())
    fit = BatchFit(space, targets, tol)
    fit.run(min(max_iter, _SINGLE_STEPS))
    left = fit.open.nonzero()[:, 0]
    if len(left) == 0:
        return fit.found, 0
    found = fit.found.double()
    finer = BatchFit(space.to(torch.float64), targets.take(left).double(), tol, found[..., left])
    finer.run(max_iter, least=_PAIRS)
    found[..., left] = finer.found
    return found, int(finer.open.sum())


@dataclass(frozen=True, eq=False)
class _Place:
    """Where B fits are: point (r+1, K, B), weights (r, K, B), logits and residuals (n, K, B), gradient (r+1, K, B)."""

    point: torch.Tensor
    weights: torch.Tensor
    logits: torch.Tensor
    residual: torch.Tensor
    gradient: torch.Tensor

    def take(self, columns: torch.Tensor) -> _Place:
        """Return the place of some columns."""
        blocks = self.point, self.weights, self.logits, self.residual, self.gradient
        return _Place(*(block[..., columns] for block in blocks))

    def since(self, place: _Place) -> _Move:
        """Return the move that led here."""
        return _Move(self.point - place.point, self.weights - place.weights, self.logits - place.logits)


@dataclass(frozen=True, eq=False)
class _Move:
    """A direction of B fits, and how it moves weights and logits."""

    point: torch.Tensor
    weights: torch.Tensor
    logits: torch.Tensor


class _How(Enum):
    """How a step is computed."""

    ONWARD = "what it adds, at full precision"
    ROUGH = "what it adds, by products of bfloat16"
    AFRESH = "from its end point alone, at full precision: no error of rough steps is left"


class BatchFit:
    """B fits that advance together; each is done when its own gradient says so, whatever the others do."""

    def __init__(self, space: Space, targets: Targets, tol: float, start: torch.Tensor | None = None) -> None:
        self.space, self.targets = space, targets
        self.tol = tol
        self.place = self._start() if start is None else self._from(start)
        self.found = self.place.point.clone()
        self.columns = torch.arange(self.found.shape[2], device=self.found.device)
        self.live = torch.ones_like(self.columns, dtype=torch.bool)
        self.open = self.live.clone()  # columns (of all) that are not at ``tol`` as far as is known
        self.memory = _Memory()
        many = targets.hot.shape[1] > 1  # two classes are done before roughness pays
        may = space.rough and many and targets.hot.dtype == torch.float32 and tol >= _ROUGH_TOL
        self.rough_steps = _ROUGH_STEPS if may else 0

    def run(self, max_iter: int, *, least: int = 0) -> None:
        """Take up to ``max_iter`` steps; ``found`` (r+1, K, B) and ``open`` (B,) say what came of it.

        No column is done before the step ``least``: far from the shared Hessian, what is left to
        gain is known only once some steps are remembered.
        """
        how = _How.AFRESH
        for step in range(max_iter):
            direction = self.memory.direction(self.place.gradient)
            slope = _dot(self.place.gradient, direction)
            left = self._retire(slope) if step >= least and how is not _How.ROUGH else len(self.live)
            if left == 0:
                return
            if left < _COMPACT_BELOW * len(self.live):
                kept = self.live.nonzero()[:, 0]
                direction, slope = direction[..., kept], slope[kept]
                self._take(kept)
            how = self._how(step)
            self._advance(direction, slope, how)
        self.found[..., self.columns[self.live]] = self.place.point[..., self.live]

    def _retire(self, slope: torch.Tensor) -> int:
        """Record the columns whose gradient is now small enough; return how many are left.

        Minus the slope is twice what the quadratic model still expects to gain: n mean squares of
        changes of logits. Where it is not a number, the column stays and is reported. What rounding
        may hide counts as done, but in float32 stays open, for float64 to look at, where it is more
        than four times ``tol``.
        """
        rounding = (_ROUNDING[slope.dtype] * torch.finfo(slope.dtype).eps) ** 2 * _dot(
            self.place.point, self.place.point
        )
        if self.rough_steps:  # nor is less to gain than the shared Hessian says, whatever rough steps seem to tell
            slope = torch.minimum(slope, -_dot(self.place.gradient, self.place.gradient))
        enough = self.tol**2 * len(self.targets.hot)
        done = self.live & (-slope <= enough + rounding)
        self.live = self.live & ~done
        certain = done if slope.dtype == torch.float64 else done & (-slope <= 16 * enough)
        self.open[self.columns[certain]] = False
        finished, left = torch.stack([done.sum(), self.live.sum()]).tolist()
        if finished:
            self.found[..., self.columns[done]] = self.place.point[..., done]
        return left

    def _take(self, kept: torch.Tensor) -> None:
        """Go on with some columns only."""
        self.columns, self.live = self.columns[kept], self.live[kept]
        self.place, self.targets = self.place.take(kept), self.targets.take(kept)
        self.memory.take(kept)

    def _how(self, step: int) -> _How:
        if step >= self.rough_steps:
            return _How.ONWARD
        return _How.ROUGH if (step + 1) % _AFRESH_EVERY else _How.AFRESH

    def _advance(self, direction: torch.Tensor, slope: torch.Tensor, how: _How) -> None:
        """Step to near the minimum along the direction, and learn from how the gradient changed.

        The full step mostly is near enough, which its gradient tells for free; else the line is searched.
        """
        size = torch.ones_like(slope)
        if how is _How.AFRESH:
            here = self._from(self.place.point + direction)
            move = here.since(self.place)
        else:
            move = self._move(direction, torch.bfloat16 if how is _How.ROUGH else direction.dtype)
            here = self._after(move, size, how)
        reached = _dot(here.gradient, direction)
        if bool((self.live & _unsettled(reached, slope)).any()):
            size = self._line(move).search(slope, reached, self.live)
            here = self._after(move, size, how)
        self.memory.add(size * direction, here.gradient - self.place.gradient)
        self.place = here

    def _move(self, direction: torch.Tensor, dtype: torch.dtype) -> _Move:
        """Return how a direction moves weights and logits, by products of a dtype."""
        weights, shift = self.space.lift(direction.flatten(1).to(dtype))
        moved = self.space.train.times(weights.to(dtype), shift.to(dtype)).to(direction.dtype)
        return _Move(direction, *(block.unflatten(1, direction.shape[1:]) for block in (weights, moved)))

    def _line(self, move: _Move) -> _Line:
        penalty = self.space.penalty[:, None, None] * move.weights
        along = _dot(self.place.weights, penalty), _dot(move.weights, penalty)
        return _Line(self.targets, self.place.logits, move.logits, along)

    def _start(self) -> _Place:
        """Return zero weights with the intercepts that give each column's class shares."""
        offset = shares(self.targets)
        point = offset.new_zeros((len(self.space.mean) + 1, *offset.shape))
        point[-1] = offset / self.space.intercept
        return self._at(point, torch.zeros_like(point[:-1]), offset.expand_as(self.targets.hot))

    def _from(self, point: torch.Tensor) -> _Place:
        """Return the place of a point."""
        weights, shift = self.space.lift(point.flatten(1))
        logits = self.space.train.times(weights, shift)
        return self._at(point, *(block.unflatten(1, point.shape[1:]) for block in (weights, logits)))

    def _after(self, move: _Move, size: torch.Tensor, how: _How) -> _Place:
        """Return the place after a step of this size (B,) along a direction."""
        place = self.place
        point = torch.addcmul(place.point, move.point, size)
        if how is _How.AFRESH:
            return self._from(point)
        weights = torch.addcmul(place.weights, move.weights, size)
        logits = torch.addcmul(place.logits, move.logits, size)
        if how is _How.ONWARD:
            return self._at(point, weights, logits)
        residual = self.targets.residual(logits)
        change = (residual - place.residual).to(torch.bfloat16).flatten(1)
        gradient = self.space.pull(change, (size * move.weights).flatten(1)).view_as(point)
        return _Place(point, weights, logits, residual, gradient.add_(place.gradient))

    def _at(self, point: torch.Tensor, weights: torch.Tensor, logits: torch.Tensor) -> _Place:
        residual = self.targets.residual(logits)
        gradient = self.space.pull(residual.flatten(1), weights.flatten(1)).view_as(point)
        return _Place(point, weights, logits, residual, gradient)


def shares(targets: Targets) -> torch.Tensor:
    """Return the logits (K, B) that give each column's class shares."""
    share = targets.hot.mean(0)
    if len(share) == 1:
        return torch.log(share) - torch.log1p(-share)
    present = share > 0
    offset = torch.where(present, share, 1.0).log()
    return torch.where(present, offset - offset.sum(0) / present.sum(0), 0.0)


@dataclass(frozen=True, eq=False)
class _Line:
    """The objective of each column along its direction, known through its logits alone."""

    targets: Targets
    logits: torch.Tensor
    moved: torch.Tensor
    penalty: tuple[torch.Tensor, torch.Tensor]  # its derivative along the line at 0, and what a step adds to it

    def search(self, slope: torch.Tensor, reached: torch.Tensor, live: torch.Tensor) -> torch.Tensor:
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
            reached = self._slope(size)
        return size

    def _slope(self, size: torch.Tensor) -> torch.Tensor:
        residual = self.targets.residual(torch.addcmul(self.logits, self.moved, size))
        return _dot(residual, self.moved) + self.penalty[0] + size * self.penalty[1]


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
