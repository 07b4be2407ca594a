"""What is left of a model's work when activations are replaced by their reconstruction."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np

from controls.core.dictionary import Dictionary, as_dictionary, side_by_side
from controls.core.errors import InputError, InputTypeError
from controls.core.problem import Problem
from controls.core.unit_score import RowMeans
from controls.core.validate import as_numpy, one_of
from controls.metrics._latents import checked_blocks, target_mean


@final
@dataclass(frozen=True)
class LossRecovered:
    """Share of the loss that an ablation costs which the reconstruction gives back.

    (L_ablated − L_spliced) / (L_ablated − L_original): 1 where the model does as well on
    reconstructions as on its own activations, 0 where no better than on the ablation; NaN where the ablation lowers
    the loss.

    Parameters
    ----------
    loss : callable
        ``loss(activations, problem)`` runs the model with these activations (n, d) in place of its own
        at the problem's rows, or untouched where they are None, and returns the loss: a number, or one
        per row (n,), which buys intervals without running the model again. ``ct.splice`` puts them there.
    ablation : {"mean", "zero"}, default "mean"
        What L_ablated replaces activations by: their mean over the problem's rows, or zeros. Zeros are
        the field's habit; they can be worse than anything the model meets, which flatters every
        reconstruction.

    Notes
    -----
    Three runs of the model; memory of one more array of activations.

    Raises
    ------
    InputError
        A loss of another shape, or an ablation that changes nothing.

    Examples
    --------
    >>> import numpy as np, controls as ct
    >>> def loss(activations, problem):  # of a model that wants its first feature back
    ...     read = problem.X if activations is None else activations
    ...     return (read[:, 0] - problem.X[:, 0]) ** 2
    >>> problem = ct.Problem([[1.0, 5.0], [3.0, 5.0]])
    >>> metric = ct.metrics.LossRecovered(loss)
    >>> metric(np.array([[1.0, 0.0]]), problem), metric(np.array([[0.0, 1.0]]), problem)
    (1.0, -4.0)
    """

    loss: Callable[..., Any]
    ablation: str = "mean"

    ceiling: ClassVar[float] = 1.0

    def __post_init__(self) -> None:
        _callable(self.loss, "loss")
        one_of(self.ablation, "ablation", ("mean", "zero"))

    def __call__(self, finding: Any, problem: Problem) -> RowMeans | float:
        """Return the score of a finding."""
        dictionary = as_dictionary(finding)
        losses = [
            self._loss(activations, problem)
            for activations in (None, reconstruction(dictionary, problem), self._ablated(dictionary, problem))
        ]
        original, _, ablated = (float(np.mean(each)) for each in losses)
        if abs(ablated - original) <= 1e-9 * max(abs(ablated), abs(original), 1e-300):
            raise InputError(
                f"ablation={self.ablation!r} must change the loss, got {original:g} with and without; check that loss "
                "puts the activations into the model."
            )
        if all(each.ndim for each in losses):
            return RowMeans(np.stack(losses, axis=1), _recovered)
        return float(_recovered(np.array([each.mean() for each in losses])))

    def _ablated(self, dictionary: Dictionary, problem: Problem) -> np.ndarray:
        mean = target_mean(dictionary, problem)
        return np.tile(mean if self.ablation == "mean" else np.zeros_like(mean), (problem.n, 1))

    def _loss(self, activations: np.ndarray | None, problem: Problem) -> np.ndarray:
        found = np.asarray(as_numpy(self.loss(activations, problem), "what loss returned"), dtype=np.float64)
        if found.shape not in ((), (problem.n,)) or not np.isfinite(found).all():
            raise InputError(
                f"loss must return one finite number, or one per row ({problem.n}), got shape {found.shape}"
                f"{'' if np.isfinite(found).all() else ' with NaN or infinity'}."
            )
        return found


@final
@dataclass(frozen=True)
class NegKL:
    """Minus the mean divergence KL(p_original ‖ p_spliced) of a model's predictions, in nats.

    Parameters
    ----------
    logits : callable
        ``logits(activations, problem)`` runs the model with these activations (n, d) in place of its own
        at the problem's rows, or untouched where they are None, and returns logits or log-probabilities
        (n, V), or yields them in blocks (b, V) whose rows follow one another. ``ct.splice`` puts them there.

    Notes
    -----
    Two runs of the model, side by side: memory of two blocks of logits.

    Raises
    ------
    InputError
        Blocks that do not agree or do not cover the problem's rows.

    Examples
    --------
    >>> import numpy as np, controls as ct
    >>> def logits(activations, problem):
    ...     return problem.X if activations is None else activations
    >>> problem = ct.Problem([[np.log(3.0), 0.0], [0.0, 0.0]])
    >>> round(ct.metrics.NegKL(logits)(np.array([[0.0, 1.0]]), problem), 4)
    -0.0654
    """

    logits: Callable[..., Any]

    ceiling: ClassVar[float] = 0.0

    def __post_init__(self) -> None:
        _callable(self.logits, "logits")

    def __call__(self, finding: Any, problem: Problem) -> RowMeans:
        """Return the score of a finding."""
        spliced = self._blocks(reconstruction(as_dictionary(finding), problem), problem)
        values, done = np.empty(problem.n), 0
        for p, q in zip(self._blocks(None, problem), spliced, strict=True):
            if p.shape != q.shape or done + len(p) > problem.n:
                raise InputError(
                    f"logits must return blocks of the same rows with and without activations, {problem.n} rows "
                    f"in all, got {p.shape} and {q.shape} after {done} rows."
                )
            values[done : done + len(p)] = -(np.exp(p) * np.where(np.isneginf(p), 0.0, p - q)).sum(axis=1)
            done += len(p)
        if done != problem.n:
            raise InputError(f"logits must cover the problem's {problem.n} rows, got {done}.")
        return RowMeans(values)

    def _blocks(self, activations: np.ndarray | None, problem: Problem) -> Iterator[np.ndarray]:
        found: Iterable[Any] = self.logits(activations, problem)
        for block in [found] if hasattr(found, "shape") else found:
            rows = np.asarray(as_numpy(block, "what logits returned"), dtype=np.float64)
            if rows.ndim != 2 or np.isnan(rows).any():
                raise InputError(f"logits must be matrices (b, V) without NaN, got shape {rows.shape}.")
            rows = rows - rows.max(axis=1, keepdims=True)
            yield rows - np.log(np.exp(rows).sum(axis=1, keepdims=True))


def reconstruction(finding: Any, problem: Problem) -> np.ndarray:
    """Return the reconstruction of the problem's rows, shape (n, d_out), in the activations' own type."""
    dictionary = as_dictionary(finding)
    first = side_by_side(problem, dictionary.writes, np.arange(min(1, problem.n)))
    found = np.empty((problem.n, first.shape[1]), dtype=first.dtype)
    for block in checked_blocks(dictionary, problem):
        found[block.rows] = block.reconstruction
    return found


def _recovered(means: np.ndarray) -> np.ndarray:
    original, spliced, ablated = (means[..., i] for i in range(3))
    cost = np.where(ablated > original, ablated - original, np.nan)  # else there is no share of it to give back
    return (ablated - spliced) / cost


def _callable(value: Any, name: str) -> None:
    if not callable(value):
        raise InputTypeError(f"{name} must be a function (activations, problem), got {type(value).__name__}.")
