"""Run a plan: every draw of every control, in blocks where one engine call can do many, by joblib elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from controls.core.control import Control
from controls.core.key import NoContent, content_key
from controls.core.problem import Problem
from controls.core.rng import stream
from controls.runner.evaluate import Evaluator
from controls.runner.evaluation import Evaluation, repeat_first
from controls.runner.plan import Plan, PlannedControl
from controls.runner.resample import A_FEW, RESAMPLES

Progress = Callable[[int, int, str], None]  # done, total, what


@dataclass(frozen=True)
class Drawn:
    """What the draws of one control scored."""

    scores: np.ndarray  # (draws,)
    deviations: np.ndarray  # (G,) or (RESAMPLES,), mean over draws
    labels: np.ndarray | None  # (n, a few): the first draws' labels, for targets that refit


@dataclass(frozen=True)
class Run:
    """What a plan gave."""

    observed: Evaluation
    drawn: tuple[Drawn, ...]
    tolerance: float


def run_plan(plan: Plan, evaluator: Evaluator, *, n_jobs: int | None = None, progress: Progress | None = None) -> Run:
    """Evaluate the problem and every draw of the plan's controls.

    Parameters
    ----------
    plan : Plan
    evaluator : Evaluator
    n_jobs : int, optional
        Processes for draws that no engine joins (joblib's meaning). Results do not depend on it.
    progress : callable, optional
        ``progress(done, total, what)``, called after every block.

    Notes
    -----
    Draws are streamed: memory holds one block of labels and one number per draw.
    """
    total = 1 + sum(planned.draws for planned in plan.controls)
    report = progress or (lambda done, total, what: None)
    with _one_thread(evaluator.batched):
        observed = evaluator.evaluate(_column(evaluator.problem))
    done = 1
    report(done, total, "the problem itself")
    drawn = []
    for planned in plan.controls:
        collected = _Collected(planned.draws, len(observed.deviations))
        for evaluation, labels in _evaluations(planned, evaluator, observed, n_jobs):
            collected.add(evaluation, labels)
            done += len(evaluation.scores)
            report(done, total, planned.control.name)
        drawn.append(collected.result())
    return Run(observed, tuple(drawn), evaluator.tolerance)


class _Collected:
    """Sums over the draws of one control."""

    def __init__(self, draws: int, size: int) -> None:
        self.scores = np.full(draws, np.nan)
        self.total = np.zeros(size)
        self.count = 0
        self.filled = 0
        self.labels: list[np.ndarray] = []

    def add(self, evaluation: Evaluation, labels: np.ndarray | None) -> None:
        size = len(evaluation.scores)
        self.scores[self.filled : self.filled + size] = evaluation.scores
        fine = ~np.isnan(evaluation.scores)
        if len(self.total) == RESAMPLES:  # resampling is dear: a few draws stand for all
            fine &= self.count + np.cumsum(fine) <= A_FEW
        self.total += evaluation.deviations[:, fine].sum(axis=1)
        self.count += int(fine.sum())
        self.filled += size
        kept = sum(part.shape[1] for part in self.labels)
        if labels is not None and kept < A_FEW:
            self.labels.append(labels[:, : A_FEW - kept])

    def result(self) -> Drawn:
        labels = np.concatenate(self.labels, axis=1) if self.labels else None
        return Drawn(self.scores, self.total / max(self.count, 1), labels)


def _evaluations(
    planned: PlannedControl, evaluator: Evaluator, observed: Evaluation, n_jobs: int | None
) -> Iterator[tuple[Evaluation, np.ndarray | None]]:
    if planned.control.level != "labels":
        for draw in range(planned.draws):
            changed = planned.control.draw(evaluator.problem, draw_stream(evaluator.seed, planned.control, draw))
            with _one_thread(evaluator.batched):
                part = replace(evaluator, problem=changed, _engines={})
                yield part.evaluate(_column(changed), resample=A_FEW - draw), None
        return
    starts = np.cumsum([0, *planned.blocks])
    blocks = zip(_label_blocks(planned, evaluator.problem, evaluator.seed), starts, strict=False)
    if evaluator.batched:
        for labels, start in blocks:
            yield _evaluate_new(evaluator, labels, observed, A_FEW - int(start)), labels
        return
    yield from _one_by_one(blocks, evaluator, observed, n_jobs)


def _one_by_one(
    blocks: Iterator[tuple[np.ndarray, Any]], evaluator: Evaluator, observed: Evaluation, n_jobs: int | None
) -> Iterator[tuple[Evaluation, np.ndarray]]:
    """Evaluate single columns in processes of one BLAS thread each, in the order of the draws."""
    from joblib import Parallel, delayed

    def work(labels: np.ndarray, start: int) -> tuple[Evaluation, np.ndarray]:
        with _one_thread(False):
            return _evaluate_new(evaluator, labels, observed, A_FEW - start), labels

    jobs = (delayed(work)(labels, int(start)) for labels, start in blocks)
    done: Any = Parallel(n_jobs=n_jobs, return_as="generator")(jobs)
    yield from done


def _label_blocks(planned: PlannedControl, problem: Problem, seed: int) -> Iterator[np.ndarray]:
    """Yield blocks of drawn labels (n, B), or of all relabelings."""
    control = planned.control
    if planned.enumerated:
        orbit = control.orbit(problem)
        assert orbit is not None
        columns: Iterator[np.ndarray] = orbit.enumerate()
    else:
        columns = (_drawn_labels(control, problem, seed, draw) for draw in range(planned.draws))
    for size in planned.blocks:
        yield np.stack([next(columns) for _ in range(size)], axis=1)


def _drawn_labels(control: Control, problem: Problem, seed: int, draw: int) -> np.ndarray:
    return np.asarray(control.draw(problem, draw_stream(seed, control, draw)).labels)


def draw_stream(seed: int, control: Control, draw: int) -> np.random.Generator:
    """Return the stream of one draw of one control: f(seed, control, draw)."""
    try:
        key = content_key(control)
    except NoContent:
        key = repr(control)
    return stream(seed, "draw", key, draw)


def _evaluate_new(evaluator: Evaluator, labels: np.ndarray, observed: Evaluation, resample: int) -> Evaluation:
    """Evaluate label columns; those equal to the observed labels score what they scored, to the bit."""
    known = (labels == _column(evaluator.problem)).all(axis=0)
    if not known.any():
        return evaluator.evaluate(labels, resample=resample)
    whole = repeat_first(observed, labels.shape[1])
    if not known.all():
        fresh = evaluator.evaluate(labels[:, ~known], resample=resample)
        for target, source in zip(whole.parts, fresh.parts, strict=True):
            target[..., ~known] = source
    return whole


def _column(problem: Problem) -> np.ndarray:
    """Return the labels as one column (n, 1); zeros where the problem has none."""
    return np.zeros((problem.n, 1)) if problem.labels is None else problem.labels[:, None]


def _one_thread(batched: bool) -> Any:
    """Limit BLAS to one thread where fits go one by one: more make them slower, and change last bits."""
    from contextlib import nullcontext

    from threadpoolctl import threadpool_limits

    return nullcontext() if batched else threadpool_limits(1)
