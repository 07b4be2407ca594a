"""Checks of controls on inputs: the caller's text stays, documents are drawn by themselves, draws are uniform."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from controls.core.errors import CannotControl, InputError
from controls.core.problem import Problem
from controls.generators.tokens import InputControl
from controls.models.tokens import text_of

if TYPE_CHECKING:
    from controls.testing.control_checks import Trial

_LETTERS = {letter: number for number, letter in enumerate("ACGT", start=4)}
_TEXTS = ("ACCCACGATGATG", "AACAACCAAAC", "ACCA", "ACGTAC", "ACACCACAACAGAACACCAACACCA")
_COPIES, _FEW, _LARGEST, _PER_TEXT = 8, 6, 60, 40


def check_inputs(trial: Trial) -> None:
    """Texts and hooks are as they were, equal documents are drawn apart, exact draws are uniform over all texts."""
    for problem in trial.problems():
        _check_left_alone(trial, problem)
    if isinstance(trial.control, InputControl):
        _check_apart(trial)
    if trial.control.inference == "exact":
        _check_uniform(trial)


def _check_left_alone(trial: Trial, problem: Problem) -> None:
    source = problem.source
    assert source is not None
    before, hooks = text_of(source.inputs), _hooks(source.model)
    ids, all_ids = before.ids.copy(), before.written(np.zeros_like(before.ids))
    for i in range(_FEW):
        drawn = trial.draw(problem, "left alone", i)
        if drawn.source is None:
            raise trial.fail("must draw a problem with a source, whose inputs are those that it drew.")
    if not np.array_equal(text_of(source.inputs).ids, ids) or type(all_ids) is not type(source.inputs):
        raise trial.fail("changed the caller's inputs; write drawn ids into a copy.")
    if _hooks(source.model) != hooks:
        raise trial.fail("left hooks on the caller's model; take them off when the draw is read.")


def _hooks(model: Any) -> int:
    modules = model.modules() if hasattr(model, "modules") else ()
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in modules)


def _accepted(trial: Trial, texts: list[list[int]]) -> Problem | None:
    """Return the problem of some texts, of tokens or of words, if the control takes it."""
    from controls.testing.problems import group_names
    from controls.testing.token_problems import replace_groups, token_problem

    for words in (False, True):
        problem = token_problem(texts, trial.seed, words=words)
        problem = replace_groups(problem, np.zeros(problem.n), group_names(trial.control))
        try:
            trial.control.check(problem)
        except (InputError, CannotControl):
            continue
        return problem
    return None


def _check_apart(trial: Trial) -> None:
    """Equal documents must not be given equal draws each time."""
    problem = _accepted(trial, [[_LETTERS[letter] for letter in _TEXTS[0]]] * _COPIES)
    if problem is None:
        return
    assert problem.source is not None
    alike, before = [], text_of(problem.source.inputs).ids
    for i in range(_FEW):
        drawn = trial.draw(problem, "apart", i)
        if drawn.source is None or np.array_equal(text_of(drawn.source.inputs).ids, before):
            return  # it changes how the text is read
        X = np.asarray(drawn.X).reshape(_COPIES, -1)
        alike.append(np.allclose(X, X[0]))
    if all(alike):
        raise trial.fail(
            f"must draw each document by itself, but {_COPIES} equal documents were given the same draw, {_FEW} times."
        )


def _check_uniform(trial: Trial) -> None:
    """Draws are uniform over the distinct texts, which are counted and listed as claimed."""
    from scipy import stats

    from controls.testing.chance import STRICT

    tested = 0
    for text in _TEXTS:
        problem = _accepted(trial, [[_LETTERS[letter] for letter in text]])
        orbit = None if problem is None else trial.control.orbit(problem)
        if problem is None or orbit is None or not math.log(2) - 1e-9 <= orbit.log_count <= math.log(_LARGEST):
            continue
        tested += 1
        listed = {ids.tobytes(): place for place, ids in enumerate(orbit.enumerate())}
        if not math.isclose(math.log(len(listed)), orbit.log_count, abs_tol=1e-6):
            raise trial.fail(f"must count its texts: listed {len(listed)}, counted {math.exp(orbit.log_count):.6g}.")
        counts = np.zeros(len(listed), dtype=np.int64)
        for i in range(_PER_TEXT * len(listed)):
            drawn = trial.control.rewrite(problem, _stream(trial, i)).inputs  # type: ignore[attr-defined]
            read = text_of(drawn)
            words = read.words if getattr(trial.control, "per", "token") == "word" else None
            seen = read.ids if words is None else np.append(read.ids, words)
            place = listed.get(seen.astype(np.int64).tobytes())
            if place is None:
                raise trial.fail(f"drew a text that is not among the {len(listed)} that its orbit lists.")
            counts[place] += 1
        p = stats.chisquare(counts).pvalue
        if p < STRICT:
            missed = int((counts == 0).sum())
            raise trial.fail(
                f"claims to be exact, but its texts are not uniform over the {len(listed)} that there are, of which "
                f"{missed} never came (p = {p:.1g})."
            )
    if not tested:
        raise trial.fail(f"claims to be exact, but no tiny text has 2 to {_LARGEST} distinct draws to test that on.")


def _stream(trial: Trial, i: int) -> np.random.Generator:
    from controls.core.rng import stream

    return stream(trial.seed, "check", "texts", i)
