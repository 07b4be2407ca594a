"""Collected: the draws of one control so far, in sums that never grow with draws × rows, and kept in a store."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from controls.core.errors import TrainerError
from controls.core.key import NoContent, content_key
from controls.core.problem import Problem
from controls.core.rng import stream
from controls.runner.attempt import Part
from controls.runner.memory import Memory
from controls.runner.plan import PlannedControl

HOPELESS = 20  # draws that may fail from the first one on before the run is given up


@dataclass(frozen=True)
class Drawn:
    """What the draws of one control scored."""

    scores: np.ndarray  # (draws,), NaN where a draw had no score
    deviations: np.ndarray  # (G,) or (RESAMPLES,), mean over draws
    variance: float  # mean over draws of the variance that the deviations of a draw give its score
    failures: tuple[tuple[int, str], ...] = ()  # draws whose trainer failed, and how
    proofs: tuple[Mapping[str, float], ...] = ()  # what each draw found to be true of itself, where it looked
    shares: np.ndarray | None = None  # of the one draw of a paired control: what each unit (or fold) adds, (G,) or (K,)


class Collected:
    """Sums over the draws of one control, added block by block in their order.

    Of each block the memory keeps the scores, and of all blocks so far the sums: parts named by the
    control's content and the draws, so that more draws, other controls beside it or another alpha
    find what is there.
    """

    def __init__(self, planned: PlannedControl, size: int, memory: Memory, problem: Problem) -> None:
        self.planned, self.memory = planned, memory
        self.filled = 0
        self._scores = np.full(planned.draws, np.nan)
        self._total = np.zeros(size)
        self._squares = 0.0
        self._count = 0
        self._shares: np.ndarray | None = None
        self._failures: list[tuple[int, str]] = []
        self._proofs: list[Mapping[str, float]] = []
        self._ends = np.cumsum(planned.blocks).tolist()
        self._name = part_name(planned, problem) if memory.keeps else ""

    def todo(self, start: int) -> bool:
        """Whether the block that begins at this draw is still to be done."""
        return start >= self.filled

    def catch_up(self) -> None:
        """Take over what the memory holds beyond what is here: from before, or by another process."""
        if not self.memory.keeps:
            return
        names = self.memory.names(f"{self._name}/sums/")
        ends = {int(name.rsplit("/", 1)[1]) for name in names}
        for end in sorted(ends.intersection(self._ends), reverse=True):
            if end <= self.filled or self._take_over(end):
                return

    def _take_over(self, end: int) -> bool:
        """Take over all blocks up to this draw, if the memory has them all."""
        first = self._ends.index(self.filled) + 1 if self.filled else 0
        spans = list(zip([self.filled, *self._ends[first:]], self._ends[first:], strict=False))
        blocks = [self.memory.get(self._block(start, stop)) for start, stop in spans if stop <= end]
        sums = self.memory.get(f"{self._name}/sums/{end}")
        if sums is None or any(block is None for block in blocks):
            return False
        for block in blocks:
            assert block is not None
            self._shares = block.get("shares")
            self._append(block["scores"], tuple(zip(block["failed"].tolist(), block["words"].tolist(), strict=True)))
            if "proofs" in block:
                self._proofs.extend(json.loads(str(block["proofs"])))
        self._total, self._squares, self._count = sums["total"], float(sums["squares"]), int(sums["count"])
        return True

    def add(self, part: Part) -> None:
        """Add the next block, and keep it."""
        evaluation, start = part.evaluation, self.filled
        fine = ~np.isnan(evaluation.scores)
        if not evaluation.left_out:
            fine &= part.wanted
        if fine.any():
            self._total += evaluation.deviations[:, fine].sum(axis=1)
            self._squares += float(np.square(evaluation.deviations[:, fine]).sum())
            self._count += int(fine.sum())
        self._shares = evaluation.shares if self.planned.paired else None
        self._append(evaluation.scores, part.failures)
        self._proofs.extend(part.proofs)
        # Before the block is kept: a run that goes on from a store gives up at the same draw, or finds the cause gone.
        if len(self._failures) == self.filled >= min(HOPELESS, self.planned.draws):
            raise TrainerError(
                f"the trainer failed in each of the first {self.filled} draws of {self.planned.control.name}, twice; "
                f"the first time {self._failures[0][1]}"
            )
        self._keep(start, part)

    def _append(self, scores: np.ndarray, failures: tuple[tuple[int, str], ...]) -> None:
        self._scores[self.filled : self.filled + len(scores)] = scores
        self.filled += len(scores)
        self._failures.extend(failures)

    def _keep(self, start: int, part: Part) -> None:
        if not self.memory.keeps:
            return
        block = {
            "scores": part.evaluation.scores,
            "failed": np.array([draw for draw, _ in part.failures], dtype=np.int64),
            "words": np.array([words for _, words in part.failures], dtype=np.str_),
        }
        if self._shares is not None:
            block["shares"] = self._shares
        if part.proofs:
            block["proofs"] = np.array(json.dumps(part.proofs))
        sums = {"total": self._total, "squares": np.array(self._squares), "count": np.array(self._count)}
        # A run of more draws goes on from the last whole block: the sums of what follows it are beside them.
        replaced = self.filled - start == self.planned.blocks[0] and start > 0
        self.memory.put(
            {self._block(start, self.filled): block, f"{self._name}/sums/{self.filled}": sums},
            dropped=[f"{self._name}/sums/{start}"] if replaced else [],
        )

    def _block(self, start: int, stop: int) -> str:
        return f"{self._name}/scores/{start}-{stop}"

    def result(self) -> Drawn:
        """Return what all draws scored."""
        count = max(self._count, 1)
        variance, failures, proofs = self._squares / count, tuple(self._failures), tuple(self._proofs)
        return Drawn(self._scores, self._total / count, variance, failures, proofs, self._shares)


def part_name(planned: PlannedControl, problem: Problem) -> str:
    """Return the name under which a control's draws are kept.

    A control may read what is not among the study's settings: the source, a site beside the one
    measured. So one draw, always of the same stream, is part of its name.
    """
    control = planned.control
    try:
        key = content_key(control)
        drawn = control.draw(problem, stream(0))
        key = content_key((key, drawn.labels if control.level == "labels" else drawn.content))
    except NoContent as error:
        raise NoContent(f"store needs controls with a content: {error}") from error
    return f"{key}/{'all' if planned.enumerated else 'draws'}"
