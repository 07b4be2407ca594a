"""What threads and workers do to trainers that fit one column at a time: scikit-learn's logistic regression."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median

from problems import make_problem
from sklearn.model_selection import cross_val_score
from threadpoolctl import threadpool_limits
from timing import cores, peer_model, seconds, splits

import controls as ct
from controls.core.rng import stream

DRAWS = 2


@dataclass(frozen=True)
class Way:
    """One way to score the problem and its draws."""

    words: str
    seconds: float


def ways(n: int, d: int, repeats: int) -> list[Way]:
    """Return the median seconds of each way, interleaved."""
    calls = dict(_calls(n, d))
    rounds = [{words: seconds(call) for words, call in calls.items()} for _ in range(repeats)]
    return [Way(words, median(found[words] for found in rounds)) for words in calls]


def _calls(n: int, d: int) -> Iterator[tuple[str, Callable[[], object]]]:
    problem = make_problem("logistic", n, d)
    for threads in (cores(), 1):
        yield f"a loop of cross_val_score, {threads} BLAS threads", _loop(problem, threads)
    for workers in (1, cores()):
        yield f"measure, n_jobs={workers}", _measure(problem, workers)


def _loop(problem: ct.Problem, threads: int) -> Callable[[], object]:
    rng, model, folds = stream(0, "benchmark", "loop"), peer_model("logistic"), splits(problem)
    labels = [problem.labels, *(rng.permutation(problem.labels) for _ in range(DRAWS))]

    def call() -> object:
        with threadpool_limits(threads):
            return [cross_val_score(model, problem.X, y, cv=folds, scoring="roc_auc") for y in labels]

    return call


def _measure(problem: ct.Problem, workers: int) -> Callable[[], object]:
    settings = {"controls": [ct.ShuffleLabels()], "scoring": "roc_auc", "draws": DRAWS, "cv": splits(problem)}
    return lambda: ct.measure(peer_model("logistic"), problem, n_jobs=workers, **settings)
