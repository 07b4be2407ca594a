"""Draws: the labels of each draw of a control, in blocks, and the random streams that they come from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice

import numpy as np

from controls.core.control import Control
from controls.core.errors import InputError
from controls.core.key import NoContent, content_key
from controls.core.problem import Problem
from controls.core.rng import stream
from controls.runner.plan import PlannedControl
from controls.runner.resample import A_FEW


def draw_stream(seed: int, control: Control, draw: int) -> np.random.Generator:
    """Return the stream of one draw of one control: f(seed, control, draw)."""
    return stream(seed, "draw", _stream_key(control), draw)


def fold_stream(seed: int, control: Control, draw: int, fold: int) -> np.random.Generator:
    """Return the stream of one draw of a control in one fold, where every fold has a draw of its own."""
    return stream(seed, "draw", _stream_key(control), draw, "fold", fold)


def start_of(seed: int, control: Control, problem: Problem) -> Problem:
    """Return what all draws of a control start from: mostly the problem itself."""
    return control.start(problem, stream(seed, "start", _stream_key(control)))


def _stream_key(control: Control) -> str:
    control = control.drawn_like
    try:
        return content_key(control, code=False)
    except NoContent:
        return repr(control)


def label_blocks(
    planned: PlannedControl, problem: Problem, seed: int, todo: Callable[[int], bool]
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the first draw and the labels (n, B) of each block for whose first draw ``todo`` is true."""
    every = _relabelings(planned, problem) if planned.enumerated else None
    key, start = _stream_key(planned.control), 0
    for size in planned.blocks:
        columns = None if every is None else list(islice(every, size))
        if todo(start):
            if columns is None:
                streams = (stream(seed, "draw", key, start + draw) for draw in range(size))
                columns = [_drawn_labels(planned.control, problem, rng) for rng in streams]
            yield start, np.stack(columns, axis=1)
        start += size


def a_few(planned: PlannedControl, seed: int) -> np.ndarray:
    """Return which draws (a mask) stand for all where each is dear: the first, or a random few of an enumeration."""
    mask = np.zeros(planned.draws, dtype=bool)
    if planned.enumerated:
        mask[stream(seed, "a few", planned.description).permutation(planned.draws)[:A_FEW]] = True
    else:
        mask[:A_FEW] = True
    return mask


def few_labels(planned: PlannedControl, problem: Problem, seed: int) -> np.ndarray:
    """Return the labels (n, a few) of those draws."""
    draws = np.flatnonzero(a_few(planned, seed))
    if not planned.enumerated:
        streams = (draw_stream(seed, planned.control, int(draw)) for draw in draws)
        return np.stack([_drawn_labels(planned.control, problem, rng) for rng in streams], axis=1)
    every = enumerate(_relabelings(planned, problem))
    return np.stack([labels for draw, labels in islice(every, int(draws[-1]) + 1) if draw in draws], axis=1)


def _relabelings(planned: PlannedControl, problem: Problem) -> Iterator[np.ndarray]:
    orbit = planned.control.orbit(problem)
    assert orbit is not None
    return orbit.enumerate()


def _drawn_labels(control: Control, problem: Problem, rng: np.random.Generator) -> np.ndarray:
    labels = np.asarray(control.draw(problem, rng).labels)
    if labels.shape != (problem.n,):
        raise InputError(f"{control.name} must draw one label per row ({problem.n}), got shape {labels.shape}.")
    return labels
