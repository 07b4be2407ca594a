"""Tasks in order of their results: in joblib's processes or threads, or in threads of our own."""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from itertools import islice
from typing import Any, TypeVar

Task = TypeVar("Task")
Done = TypeVar("Done")
_CHUNKS = 4  # tasks per worker that are handed out together where a backend returns all at once


def in_order(
    function: Callable[[Task], Done], tasks: Iterable[Task], n_jobs: int | None
) -> Generator[Done, None, None]:
    """Yield ``function(task)`` for every task, in their order, whatever the number of workers.

    Every task computes on one thread: more threads make small fits many times slower, and change the
    last bits. With one worker, tasks are taken and run one at a time, when the next is asked for.

    Parameters
    ----------
    function : callable
        Sent to workers by cloudpickle, so that a closure will do.
    tasks : iterable
        Read as workers become free.
    n_jobs : int or None
        As in joblib, within whatever ``joblib.parallel_config`` says.
    """
    from joblib import effective_n_jobs

    workers = effective_n_jobs(n_jobs)  # type: ignore[arg-type] - None is fine
    if workers == 1:
        with one_thread():
            yield from map(function, tasks)
        return
    parent = os.getpid()

    def limited(task: Task) -> Done:
        if os.getpid() == parent:  # a thread of this process, which is limited as a whole
            return function(task)
        with one_thread():
            return function(task)

    with one_thread():
        yield from _by_joblib(limited, iter(tasks), n_jobs, workers)


def _by_joblib(function: Callable[[Task], Done], tasks: Iterator[Task], n_jobs: int | None, workers: int) -> Any:
    from joblib import Parallel, delayed, wrap_non_picklable_objects

    try:
        streaming = Parallel(n_jobs=n_jobs, return_as="generator")
    except ValueError:  # not every backend returns results as they come
        carried = wrap_non_picklable_objects(function)  # nor do all of these send functions made within functions
        with Parallel(n_jobs=n_jobs) as parallel:
            while chunk := list(islice(tasks, _CHUNKS * workers)):
                yield from parallel(delayed(carried)(task) for task in chunk)
        return
    yield from streaming(delayed(function)(task) for task in tasks)


def side_by_side(function: Callable[[Task], Done], tasks: Iterable[Task], workers: int) -> Generator[Done, None, None]:
    """Yield ``function(task)`` for every task, in their order, from threads that share torch's threads equally.

    Tasks are read one ahead of the workers, in this thread.
    """
    import torch

    before, tasks = torch.get_num_threads(), iter(tasks)
    share = max(1, before // workers)
    with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(share,)) as pool:
        waiting = deque(pool.submit(function, task) for task in islice(tasks, workers + 1))
        try:
            while waiting:
                done = waiting.popleft().result()
                waiting.extend(pool.submit(function, task) for task in islice(tasks, 1))
                yield done
        finally:
            for future in waiting:
                future.cancel()
            pool.shutdown()
            torch.set_num_threads(before)


@contextmanager
def one_thread() -> Iterator[None]:
    """Limit BLAS, OpenMP and torch to one thread each, and give back what there was."""
    torch = sys.modules.get("torch")
    before = None if torch is None else torch.get_num_threads()
    with _libraries(len(sys.modules)).limit(limits=1):
        if torch is not None and before != 1:
            torch.set_num_threads(1)
        try:
            yield
        finally:
            if torch is not None and before != 1:
                torch.set_num_threads(before)


@lru_cache(maxsize=1)
def _libraries(n_modules: int) -> Any:
    """Return what limits the libraries that are loaded; they are looked for again when modules were imported."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
