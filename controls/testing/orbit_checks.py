"""The check of exactness: draws against the full list of distinct relabelings of a tiny problem."""

from __future__ import annotations

import math

import numpy as np

from controls.core.errors import CannotControl, InputError
from controls.core.orbit import Orbit
from controls.core.problem import Problem
from controls.testing.chance import STRICT
from controls.testing.control_checks import Trial
from controls.testing.problems import group_names, tiny_problems

_SMALLEST, _LARGEST = 4, 60  # distinct relabelings of a problem that is worth enumerating
_PER_RELABELING = 40  # draws


def check_orbit(trial: Trial) -> None:
    """Draws are uniform over the distinct relabelings, which are counted and listed as claimed."""
    if trial.control.inference != "exact":
        return
    found = _small_orbits(trial)
    if not found:
        raise trial.fail(
            f"claims to be exact, but no tiny problem has {_SMALLEST} to {_LARGEST} distinct relabelings to test "
            "that on; pass a small problem=, or give the control an orbit."
        )
    for problem, orbit in found[:3]:
        _check_uniform(trial, problem, _enumerated(trial, problem, orbit))


def _small_orbits(trial: Trial) -> list[tuple[Problem, Orbit]]:
    found = []
    given = [] if trial.problem is None else [trial.problem]
    for problem in (*given, *tiny_problems(group_names(trial.control), trial.seed)):
        try:
            trial.control.check(problem)
        except (InputError, CannotControl):
            continue
        orbit = trial.control.orbit(problem)
        if orbit is None:
            raise trial.fail("claims to be exact, but has no orbit of distinct relabelings to test that on.")
        if math.log(_SMALLEST) - 1e-9 <= orbit.log_count <= math.log(_LARGEST) + 1e-9:
            found.append((problem, orbit))
    return found


def _enumerated(trial: Trial, problem: Problem, orbit: Orbit) -> dict[bytes, int]:
    """Return each relabeling's place in the list, after checking the list itself."""
    listed = [_bytes(labels, problem) for labels in orbit.enumerate()]
    if not listed or listed[0] != _bytes(problem.labels, problem):
        raise trial.fail("must list the identity first among its relabelings.")
    places = {labels: i for i, labels in enumerate(listed)}
    if len(places) < len(listed):
        raise trial.fail(f"must list distinct relabelings, got {len(listed)} of which {len(places)} are distinct.")
    if not math.isclose(orbit.log_count, math.log(len(listed)), abs_tol=1e-6):
        raise trial.fail(f"must count its relabelings: listed {len(listed)}, counted {math.exp(orbit.log_count):.6g}.")
    return places


def _check_uniform(trial: Trial, problem: Problem, places: dict[bytes, int]) -> None:
    from scipy import stats

    counts = np.zeros(len(places), dtype=np.int64)
    for i in range(_PER_RELABELING * len(places)):
        drawn = trial.draw(problem, "uniform", i)
        place = places.get(_bytes(drawn.labels, problem))
        if place is None:
            raise trial.fail(f"drew a relabeling that is not among the {len(places)} that its orbit lists.")
        counts[place] += 1
    if counts[0] == 0:
        raise trial.fail(
            f"refuses the identity: none of {counts.sum()} draws, where one in {len(places)} is due; "
            "an exact control keeps identity draws."
        )
    identity = stats.binomtest(int(counts[0]), int(counts.sum()), 1 / len(places)).pvalue
    uniform = stats.chisquare(counts).pvalue
    if min(identity, uniform) < STRICT:
        raise trial.fail(
            f"claims to be exact, but draws are not uniform over its {len(places)} distinct relabelings "
            f"(p = {uniform:.1g}; identity {counts[0]} of {counts.sum()}, p = {identity:.1g})."
        )


def _bytes(labels: np.ndarray | None, problem: Problem) -> bytes:
    """Return labels as bytes of the problem's own type, so that 1 and 1.0 compare equal."""
    return np.ascontiguousarray(labels, dtype=np.asarray(problem.labels).dtype).tobytes()
