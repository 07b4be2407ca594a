"""How long a study will take, from the time that one block of it takes."""

from __future__ import annotations

import time
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from controls.core.rng import stream
from controls.runner.evaluate import Evaluator
from controls.runner.parallel import one_thread
from controls.runner.plan import PlannedControl
from controls.runner.prepare import Prepared


@final
@dataclass(frozen=True)
class Estimate:
    """Seconds that a study takes, and what was timed to know it."""

    seconds: float
    timed: str


def estimate(prepared: Prepared, n_jobs: int | None = None) -> Estimate:
    """Time the observed labels and one block of the largest control's draws; scale to the whole plan.

    Costs one evaluation of the problem and one of a block. Draws have a random stream of their own and
    are thrown away. Not counted: what intervals of target "expected" refit.
    """
    from joblib import effective_n_jobs

    evaluator, plan = prepared.evaluator, prepared.plan
    largest = max(plan.controls, key=lambda planned: (planned.blocks[0], planned.draws))
    with nullcontext() if evaluator.batched else one_thread():
        own = _seconds(evaluator, _observed(evaluator))
        start = time.perf_counter()
        size = _evaluate_block(evaluator, largest)
        block = time.perf_counter() - start
    draws = sum(planned.draws for planned in plan.controls)
    shared = 1 if evaluator.batched else effective_n_jobs(n_jobs)  # type: ignore[arg-type] - None is fine
    what = f"{size} draw{'s' if size > 1 else ''} of {largest.control.name} in {block:.2g} s"
    return Estimate(own + block * draws / size / shared, f"timed on {what}")


def _evaluate_block(evaluator: Evaluator, planned: PlannedControl) -> int:
    """Draw and evaluate one block; return its number of draws."""
    rng, control = stream(evaluator.seed, "timing", planned.description), planned.control
    if control.level != "labels":
        changed = control.draw(evaluator.problem, rng)
        evaluator.drawn(changed).evaluate(_observed(evaluator), wanted=np.zeros(1, dtype=bool))
        return 1
    size = planned.blocks[0]
    labels = np.stack([np.asarray(control.draw(evaluator.problem, rng).labels) for _ in range(size)], axis=1)
    evaluator.evaluate(labels, wanted=np.zeros(size, dtype=bool))
    return size


def _seconds(evaluator: Evaluator, labels: np.ndarray) -> float:
    start = time.perf_counter()
    evaluator.evaluate(labels)
    return time.perf_counter() - start


def _observed(evaluator: Evaluator) -> np.ndarray:
    labels: Any = evaluator.problem.labels
    return np.zeros((evaluator.problem.n, 1)) if labels is None else labels[:, None]
