"""Run a plan: every draw of every control, in blocks where one engine call can do many, by joblib elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from controls.core.control import FindingControl, TrainingControl
from controls.core.errors import Interrupted
from controls.core.key import content_key
from controls.core.problem import Problem
from controls.runner.attempt import Part, attempted
from controls.runner.collected import Collected, Drawn, part_name
from controls.runner.draws import a_few, draw_stream, few_labels, label_blocks, start_of
from controls.runner.evaluate import Evaluator
from controls.runner.evaluation import Evaluation, reassemble, repeat_first
from controls.runner.expected import Refits, group_count, jackknife_deviations
from controls.runner.memory import Memory
from controls.runner.parallel import in_order, one_thread, side_by_side
from controls.runner.plan import Plan, PlannedControl
from controls.runner.redraw import Redraw, acts_on_findings
from controls.stats.pvalue import tie_tolerance

_BLOCKS_BYTES = 1 << 29  # what blocks that are evaluated at once may take together
_BYTES_A_NUMBER = 80  # of a block while it is fitted: about 20 arrays of float32
Progress = Callable[[int, int, str], None]  # done, total, what


@dataclass(frozen=True)
class Run:
    """What a plan gave."""

    observed: Evaluation
    drawn: tuple[Drawn, ...]
    tolerance: float
    rounding: float = 0.0  # of scores near 1, where activations are drawn in another place of a narrow type
    remarks: tuple[str, ...] = ()  # of what was found in the problem itself, on how it was found
    refitted: tuple[np.ndarray, ...] = ()  # deviations of the observed score and of each control, where units left


@dataclass(frozen=True)
class Means:
    """By what means a plan is run. Results do not depend on them."""

    n_jobs: int | None = None
    progress: Progress | None = None
    memory: Memory = field(default_factory=Memory)


def run_plan(plan: Plan, evaluator: Evaluator, *, target: str = "fitted", means: Means | None = None) -> Run:
    """Evaluate the problem and every draw of the plan's controls.

    Parameters
    ----------
    plan : Plan
    evaluator : Evaluator
    target : {"fitted", "expected"}
        The latter refits everything without groups of units as well.
    means : Means, optional

    Raises
    ------
    Interrupted
        On Ctrl-C: says what is kept.

    Notes
    -----
    Draws are streamed: memory holds one block of labels and one number per draw.
    """
    running = _Running(plan, evaluator, means or Means(), target)
    try:
        return running.run()
    except KeyboardInterrupt:
        raise Interrupted(running.stopped()) from None


class _Running:
    """A plan that is being run."""

    def __init__(self, plan: Plan, evaluator: Evaluator, means: Means, target: str) -> None:
        self.plan, self.evaluator, self.means = plan, evaluator, means
        self.refits = group_count(evaluator.problem) if target == "expected" else 0
        self.findings: dict[int, Any] = {}  # of the problem itself, by fold: what controls on findings change
        self.done = 0
        self.total = 1 + sum(planned.draws for planned in plan.controls) + self.refits

    def run(self) -> Run:
        observed, tolerance, remarks = self._observed()
        self._report(1, "the problem itself")
        drawn = tuple(self._draws(planned, observed) for planned in self.plan.controls)
        refitted = self._refitted() if self.refits else ()
        return Run(observed, drawn, tolerance, _rounding(self.evaluator.problem), remarks, refitted)

    def stopped(self) -> str:
        """Return what to say where the run was stopped."""
        where = self.means.memory.where
        kept = f"kept in {where!r}: the same call goes on from there" if where else "lost: store= would have kept them"
        return f"stopped after {self.done} of {self.total} draws and fits, which are {kept}."

    def _report(self, more: int, what: str) -> None:
        self.done += more
        if self.means.progress is not None:
            self.means.progress(self.done, self.total, what)

    def _observed(self) -> tuple[Evaluation, float, tuple[str, ...]]:
        """Return what the problem itself scores, which difference counts as a tie, and remarks on what was found."""
        memory, evaluator = self.means.memory, self.evaluator
        known = memory.get("observed")
        if known is not None:
            tolerance, left_out = float(known.pop("tolerance")), bool(known.pop("left_out"))
            remarks = tuple(known.pop("remarks").tolist())
            return Evaluation(**known, left_out=left_out), tolerance, remarks  # type: ignore[arg-type]
        changed = any(isinstance(planned.control, FindingControl) for planned in self.plan.controls)
        said: dict[int, tuple[str, ...]] = {}
        own = replace(evaluator, findings=self.findings if changed else None, remarks=said)
        with _limited(evaluator):
            observed = own.evaluate(_column(evaluator.problem))
        remarks = tuple(f"what was found in fold {k}: {remark}." for k in sorted(said) for remark in said[k])
        arrays = {name: np.asarray(part) for name, part in vars(observed).items() if part is not None}
        more = {"tolerance": np.array(evaluator.tolerance), "remarks": np.array(remarks, dtype=str)}
        memory.put({"observed": {**arrays, **more}})
        return observed, evaluator.tolerance, remarks

    def _draws(self, planned: PlannedControl, observed: Evaluation) -> Drawn:
        collected = Collected(planned, len(observed.deviations), self.means.memory, self.evaluator.problem)
        collected.catch_up()
        if collected.filled:
            self._report(collected.filled, planned.control.name)
        with closing(self._parts(planned, observed, collected.todo)) as parts:  # limits end with it
            for part in parts:
                before = collected.filled
                if collected.todo(part.start):
                    collected.add(part)
                    collected.catch_up()
                self._report(collected.filled - before, planned.control.name)
        return collected.result()

    def _parts(self, planned: PlannedControl, observed: Evaluation, todo: Callable[[int], bool]) -> Any:
        """Yield the blocks of a control's draws that are to be done, evaluated."""
        few = a_few(planned, self.evaluator.seed)
        if planned.control.level == "labels":
            return self._label_parts(planned, observed, few, todo)
        if acts_on_findings(planned.control):
            return self._finding_parts(planned, observed, few, todo)

        start = self.evaluator.problem
        if todo(planned.draws - 1):
            start = start_of(self.evaluator.seed, planned.control, start)

        evaluator, control = self.evaluator, planned.control

        def work(draws: range) -> Part:
            streams = (draw_stream(evaluator.seed, control, draw) for draw in draws)
            changed = [control.draw(start, rng) for rng in streams]
            wanted = few[draws.start : draws.stop]

            def evaluate(columns: np.ndarray) -> Evaluation:
                return _each(evaluator.of_draws([changed[column] for column in columns]), wanted[columns])

            part = attempted(evaluate, draws.start, wanted, observed)
            return replace(part, proofs=tuple(problem.proof for problem in changed if problem.proof))

        return self._worked(work, _blocks(planned, todo))

    def _finding_parts(
        self, planned: PlannedControl, observed: Evaluation, few: np.ndarray, todo: Callable[[int], bool]
    ) -> Any:
        """Yield draws that change what is found; those that fit nothing anew are made in this process."""
        evaluator, control = self.evaluator, planned.control
        assert isinstance(control, (FindingControl, TrainingControl))
        held = isinstance(control, TrainingControl)
        own = replace(evaluator, findings=None if held else self.findings)  # not in workers: they need not travel

        def work(draws: range) -> Part:
            redraws, wanted = [Redraw(control, evaluator.seed, draw) for draw in draws], few[draws.start : draws.stop]

            def evaluate(columns: np.ndarray) -> Evaluation:
                return _each(own.of_redraws([redraws[column] for column in columns]), wanted[columns])

            return attempted(evaluate, draws.start, wanted, observed)

        blocks = _blocks(planned, todo)
        if evaluator.trainer.uses_threads:  # as the finding itself was fitted, also where it is fitted again
            return (work(block) for block in blocks)
        return in_order(work, blocks, self.means.n_jobs if held else 1)

    def _label_parts(
        self, planned: PlannedControl, observed: Evaluation, few: np.ndarray, todo: Callable[[int], bool]
    ) -> Any:
        evaluator = replace(self.evaluator, problem=self.evaluator.problem.alone())  # what workers are sent

        def work(block: tuple[int, np.ndarray]) -> Part:
            start, labels = block
            wanted = few[start : start + labels.shape[1]]

            def evaluate(columns: np.ndarray) -> Evaluation:
                return _evaluate_new(evaluator, labels[:, columns], observed, wanted[columns])

            return attempted(evaluate, start, wanted, observed)

        blocks = label_blocks(planned, evaluator.problem, evaluator.seed, todo)
        workers = blocks_together(planned, self.plan.numbers) if evaluator.concurrent else 1
        return side_by_side(work, blocks, workers) if workers > 1 else self._worked(work, blocks)

    def _worked(self, work: Callable[[Any], Any], tasks: Iterator[Any]) -> Any:
        """Yield results in order: from this process where fits have all its threads, by joblib elsewhere."""
        if _has_all_threads(self.evaluator):
            return (work(task) for task in tasks)
        return in_order(work, tasks, self.means.n_jobs)

    def _refitted(self) -> tuple[np.ndarray, ...]:
        """Return the deviations that refits without groups of units give."""
        memory, what = self.means.memory, "refits without groups of units"
        problem, seed = self.evaluator.problem, self.evaluator.seed
        # What they depend on, beside the study's settings.
        key = content_key(
            [(part_name(planned, problem), planned.draws) for planned in self.plan.controls] if memory.keeps else 0
        )
        held = {group: memory.get(f"expected/{key}/{group}") for group in range(self.refits)}
        found = {group: known["scores"] for group, known in held.items() if known is not None}
        if found:
            self._report(len(found), what)
        left = [group for group in range(self.refits) if group not in found]
        few = [few_labels(planned, problem, seed) for planned in self.plan.controls]
        refits = Refits(self.evaluator, [_column(problem), *few])
        with closing(self._worked(refits.scores, iter(left))) as results:
            for group, scores in zip(left, results, strict=True):
                found[group] = scores
                memory.put({f"expected/{key}/{group}": {"scores": scores}})
                self._report(1, what)
        return jackknife_deviations(refits.means(np.stack([found[group] for group in range(self.refits)])))


def _blocks(planned: PlannedControl, todo: Callable[[int], bool]) -> Iterator[range]:
    """Yield the blocks of draws that are to be done."""
    ends = np.cumsum(planned.blocks).tolist()
    blocks = (range(end - size, end) for end, size in zip(ends, planned.blocks, strict=True))
    return (block for block in blocks if todo(block.start))


def _each(evaluators: list[Evaluator], wanted: np.ndarray) -> Evaluation:
    """Evaluate draws, a column each."""
    parts = [
        (np.array([column]), each.evaluate(_column(each.problem), wanted=wanted[[column]]))
        for column, each in enumerate(evaluators)
    ]
    return reassemble(parts, len(parts))


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


def blocks_together(planned: PlannedControl, numbers: int) -> int:
    """Return how many blocks of a control's draws are evaluated at once, each in a thread of its own.

    One for each of torch's threads, as far as blocks and memory go, where a column has so many
    ``numbers``. Those that a store has already are counted too: the share of threads decides last bits.
    """
    import torch

    memory = max(1, _BLOCKS_BYTES // (_BYTES_A_NUMBER * numbers * planned.blocks[0]))
    return min(torch.get_num_threads(), len(planned.blocks), memory)


def tie_width(run: Run, planned: PlannedControl) -> float:
    """Return the difference up to which the scores of a control's draws count as tied with the observed one."""
    score = float(run.observed.scores[0])
    own = run.rounding * max(abs(score), 1.0) if planned.control.level == "activations" else 0.0
    return max(tie_tolerance(score, run.tolerance), own)


def _rounding(problem: Problem) -> float:
    """Return by how much a score may err that is made of the same activations, drawn: single precision's 1e-5."""
    arrays = [problem.array_at(site) for site in problem.sites] if problem.sites else [problem.X]
    narrow = any(array.dtype.kind == "f" and array.dtype.itemsize <= 4 for array in arrays)
    return 1e-5 if narrow else 0.0


def _column(problem: Problem) -> np.ndarray:
    """Return the labels as one column (n, 1); zeros where the problem has none."""
    return np.zeros((problem.n, 1)) if problem.labels is None else problem.labels[:, None]


def _limited(evaluator: Evaluator) -> Any:
    """Limit fits that go one by one to one thread, as their draws will be."""
    from contextlib import nullcontext

    return nullcontext() if _has_all_threads(evaluator) else one_thread()


def _has_all_threads(evaluator: Evaluator) -> bool:
    """Whether fits use all threads themselves, rather than one each beside others."""
    return evaluator.batched or evaluator.trainer.uses_threads
