"""Run a plan: every draw of every control, in blocks where one engine call can do many, by joblib elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from controls.core.control import Control
from controls.core.errors import InputError
from controls.core.key import NoContent, content_key
from controls.core.problem import Problem
from controls.core.rng import stream
from controls.runner.evaluate import Evaluator
from controls.runner.evaluation import Evaluation, repeat_first
from controls.runner.plan import Plan, PlannedControl
from controls.runner.resample import A_FEW

Progress = Callable[[int, int, str], None]  # done, total, what


@dataclass(frozen=True)
class Drawn:
    """What the draws of one control scored."""

    scores: np.ndarray  # (draws,)
    deviations: np.ndarray  # (G,) or (RESAMPLES,), mean over draws
    variance: float  # mean over draws of the variance that the deviations of a draw give its score
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
        Processes for draws of labels that no engine joins (joblib's meaning). Results do not depend on it.
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
        with closing(_evaluations(planned, evaluator, observed, n_jobs)) as evaluations:  # limits end with it
            for evaluation, labels, wanted in evaluations:
                collected.add(evaluation, labels, wanted)
                done += len(evaluation.scores)
                report(done, total, planned.control.name)
        drawn.append(collected.result())
    return Run(observed, tuple(drawn), evaluator.tolerance)


class _Collected:
    """Sums over the draws of one control."""

    def __init__(self, draws: int, size: int) -> None:
        self.scores = np.full(draws, np.nan)
        self.total = np.zeros(size)
        self.squares = 0.0
        self.count = 0
        self.filled = 0
        self.labels: list[np.ndarray] = []

    def add(self, evaluation: Evaluation, labels: np.ndarray | None, wanted: np.ndarray) -> None:
        size = len(evaluation.scores)
        self.scores[self.filled : self.filled + size] = evaluation.scores
        self.filled += size
        fine = ~np.isnan(evaluation.scores)
        if not evaluation.left_out:
            fine &= wanted
        if fine.any():
            self.total += evaluation.deviations[:, fine].sum(axis=1)
            self.squares += float(np.square(evaluation.deviations[:, fine]).sum())
            self.count += int(fine.sum())
        if labels is not None and wanted.any():
            self.labels.append(labels[:, wanted])

    def result(self) -> Drawn:
        labels = np.concatenate(self.labels, axis=1) if self.labels else None
        count = max(self.count, 1)
        return Drawn(self.scores, self.total / count, self.squares / count, labels)


_Part = tuple[Evaluation, np.ndarray | None, np.ndarray]  # what a block scored, its labels, which are a few


def _evaluations(
    planned: PlannedControl, evaluator: Evaluator, observed: Evaluation, n_jobs: int | None
) -> Generator[_Part, None, None]:
    few = _a_few(planned, evaluator.seed)
    if planned.control.level != "labels":
        for draw in range(planned.draws):
            changed = planned.control.draw(evaluator.problem, draw_stream(evaluator.seed, planned.control, draw))
            wanted = few[draw : draw + 1]
            with _one_thread(evaluator.batched):
                part = replace(evaluator, problem=changed, _engines={})
                yield part.evaluate(_column(changed), wanted=wanted), None, wanted
        return
    masks = np.split(few, np.cumsum(planned.blocks)[:-1])
    blocks = zip(_label_blocks(planned, evaluator.problem, evaluator.seed), masks, strict=True)
    if evaluator.batched:
        for labels, wanted in blocks:
            yield _evaluate_new(evaluator, labels, observed, wanted), labels, wanted
        return
    yield from _one_by_one(blocks, evaluator, observed, n_jobs)


def _a_few(planned: PlannedControl, seed: int) -> np.ndarray:
    """Return which draws stand for all where each is dear: the first, or a random few of an enumeration."""
    mask = np.zeros(planned.draws, dtype=bool)
    if planned.enumerated:
        mask[stream(seed, "a few", planned.description).permutation(planned.draws)[:A_FEW]] = True
    else:
        mask[:A_FEW] = True
    return mask


def _one_by_one(
    blocks: Iterator[tuple[np.ndarray, np.ndarray]], evaluator: Evaluator, observed: Evaluation, n_jobs: int | None
) -> Iterator[_Part]:
    """Evaluate single columns in processes of one BLAS thread each, in the order of the draws."""
    from joblib import Parallel, delayed, effective_n_jobs

    if effective_n_jobs(n_jobs) == 1:  # type: ignore[arg-type] - None is fine
        with _one_thread(False):  # once: to look for the libraries takes longer than many a fit
            for labels, wanted in blocks:
                yield _evaluate_new(evaluator, labels, observed, wanted), labels, wanted
        return

    def work(labels: np.ndarray, wanted: np.ndarray) -> _Part:
        with _one_thread(False):
            return _evaluate_new(evaluator, labels, observed, wanted), labels, wanted

    jobs = (delayed(work)(labels, wanted) for labels, wanted in blocks)
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
        key = _draw_key(control)
        columns = (_drawn_labels(control, problem, stream(seed, "draw", key, draw)) for draw in range(planned.draws))
    for size in planned.blocks:
        yield np.stack([next(columns) for _ in range(size)], axis=1)


def _drawn_labels(control: Control, problem: Problem, rng: np.random.Generator) -> np.ndarray:
    labels = np.asarray(control.draw(problem, rng).labels)
    if labels.shape != (problem.n,):
        raise InputError(f"{control.name} must draw one label per row ({problem.n}), got shape {labels.shape}.")
    return labels


def draw_stream(seed: int, control: Control, draw: int) -> np.random.Generator:
    """Return the stream of one draw of one control: f(seed, control, draw)."""
    return stream(seed, "draw", _draw_key(control), draw)


def _draw_key(control: Control) -> str:
    try:
        return content_key(control)
    except NoContent:
        return repr(control)


def _evaluate_new(evaluator: Evaluator, labels: np.ndarray, observed: Evaluation, wanted: np.ndarray) -> Evaluation:
    """Evaluate label columns; those equal to the observed labels score what they scored, to the bit."""
    known = (labels == _column(evaluator.problem)).all(axis=0)
    if not known.any():
        return evaluator.evaluate(labels, wanted=wanted)
    whole = repeat_first(observed, labels.shape[1])
    if not known.all():
        fresh = evaluator.evaluate(labels[:, ~known], wanted=wanted[~known])
        for target, source in zip(whole.parts, fresh.parts, strict=True):
            # Columns of which none could be scored have no deviations of the observed one's kind.
            target[..., ~known] = source if target.shape[:-1] == source.shape[:-1] else 0.0
    return whole


def _column(problem: Problem) -> np.ndarray:
    """Return the labels as one column (n, 1); zeros where the problem has none."""
    return np.zeros((problem.n, 1)) if problem.labels is None else problem.labels[:, None]


def _one_thread(batched: bool) -> Any:
    """Limit BLAS to one thread where fits go one by one: more make them slower, and change last bits."""
    from contextlib import nullcontext

    from threadpoolctl import threadpool_limits

    return nullcontext() if batched else threadpool_limits(1)
