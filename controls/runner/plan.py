"""Plan: what will be run, before anything runs. Pure: it reads the study and the problem, and draws nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass, is_dataclass
from functools import partial
from typing import Any

from controls.core.control import Control, FindingControl, describe
from controls.core.metric import ColumnMetric, Metric
from controls.core.orbit import count_of
from controls.core.problem import Problem
from controls.core.study import Study
from controls.core.trainer import BatchTrainer, Trainer
from controls.runner.folds import Folds
from controls.stats.pvalue import p_floor

_IN_CACHE = 1 << 20  # numbers of one array of a block that stay in the processor's cache
_IN_MEMORY = 1 << 23  # numbers of one array of a block of few columns
_IN_DRAWS = 1 << 28  # numbers of the activations of all draws that are evaluated together
_FEW_COLUMNS, _MOST_COLUMNS = 32, 512


@dataclass(frozen=True)
class PlannedControl:
    """What will be run for one control."""

    control: Control
    description: str
    enumerated: bool  # every distinct relabeling once, instead of draws
    draws: int
    log_relabelings: float | None
    blocks: tuple[int, ...]  # label columns of each block
    p_floor: float

    @property
    def paired(self) -> bool:
        """Whether there is one draw, which is compared unit by unit."""
        return self.control.inference == "paired"


@dataclass(frozen=True)
class Plan:
    """What will be run. Prints as text."""

    trainer: str
    metric: str
    folds: str
    n_folds: int
    block: int  # label columns that one engine call fits together
    numbers: int  # of a label column: rows, times classes or columns where these are many
    engine: str  # how fits are made, in words
    controls: tuple[PlannedControl, ...]
    alpha: float

    @property
    def fits(self) -> int:
        """Number of fits, each fold of each draw counted."""
        return self.n_folds * (1 + sum(planned.draws for planned in self.controls))

    def __str__(self) -> str:
        """Return the plan, a line a control."""
        lines = [f"{self.trainer}, scored by {self.metric} on {self.folds}; {self.fits} fits, {self.engine}"]
        for planned in self.controls:
            how = f"all {planned.draws} relabelings" if planned.enumerated else f"{planned.draws} draws"
            how = "one paired comparison" if planned.paired else how
            decides = "" if planned.p_floor <= self.alpha else f", too high to decide at alpha {self.alpha:g}"
            blocks = f" in {len(planned.blocks)} blocks" if len(planned.blocks) > 1 else ""
            lines.append(f"{planned.description}: {how}{blocks}, p floor {planned.p_floor:.3g}{decides}")
        return "\n".join(lines)


def make_plan(study: Study, problem: Problem, trainer: Trainer, metric: Metric, folds: Folds) -> Plan:
    """Return the plan of a study on a problem."""
    batched = isinstance(trainer, BatchTrainer) and isinstance(metric, ColumnMetric)
    block = (study.block or default_block(problem)) if batched else 1
    return Plan(
        trainer=name_of(study.trainer),
        metric=metric.name,
        folds=folds.words,
        n_folds=len(folds.default()),
        block=block,
        numbers=_numbers(problem),
        engine=f"label columns fitted together in blocks of {block}" if batched else "one by one",
        controls=tuple(
            _planned(control, study, problem, _draws_together(control, problem, trainer, block))
            for control in study.controls
        ),
        alpha=study.alpha,
    )


def name_of(trainer: Any) -> str:
    """Return a trainer's name as a reader knows it."""
    if is_dataclass(trainer) and not isinstance(trainer, type):
        return describe(trainer)
    if isinstance(trainer, partial) and not hasattr(trainer, "__qualname__"):
        return f"{name_of(trainer.func)}({', '.join(f'{name}={value!r}' for name, value in trainer.keywords.items())})"
    return getattr(trainer, "__qualname__", None) or " ".join(repr(trainer).split())


def default_block(problem: Problem) -> int:
    """Return how many draws are evaluated together: a pure function of rows, and of classes or label columns."""
    return columns_together(_numbers(problem))


def _numbers(problem: Problem) -> int:
    sets = problem.label_sets
    return problem.n * (sets.k if sets is not None else len(problem.classes) if problem.target == "multiclass" else 1)


def columns_together(per_column: int) -> int:
    """Return how many label columns one engine call fits together, each with this many numbers (rows × classes).

    As many as keep theirs in the cache, or 32, below which products are slower; fewer only where 32
    would take gigabytes.
    """
    return max(1, min(_MOST_COLUMNS, max(_IN_CACHE // per_column, min(_FEW_COLUMNS, _IN_MEMORY // per_column))))


def _draws_together(control: Control, problem: Problem, trainer: Trainer, block: int) -> int:
    """Return how many draws of a control are evaluated together, in fits of which trainers make several at once."""
    if control.level == "labels":
        return block
    if isinstance(control, FindingControl) or problem.labels is not None:  # nothing to fit; folds may go by labels
        return 1
    return max(1, min(trainer.together, _IN_DRAWS // (problem.n * problem.d)))


def _planned(control: Control, study: Study, problem: Problem, size: int) -> PlannedControl:
    if control.inference == "paired":
        swaps = problem.n_units * math.log(2.0)
        return PlannedControl(control, describe(control), False, 1, swaps, (1,), p_floor(study.draws, swaps))
    orbit = control.orbit(problem)
    log_count = None if orbit is None else orbit.log_count
    count = math.inf if orbit is None else count_of(orbit)
    enumerated = control.level == "labels" and count <= study.draws + 1  # texts are drawn, however few there are
    draws = int(count) if enumerated else study.draws
    blocks = tuple(min(size, draws - start) for start in range(0, draws, size))
    floor = 1 / draws if enumerated else p_floor(draws, log_count)
    return PlannedControl(control, describe(control), enumerated, draws, log_count, blocks, floor)
