"""Checks of controls on the finding: what they make of a dictionary, and of the trainer that finds it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, final

import numpy as np

from controls.core.control import Control, FindingControl, TrainingControl, describe
from controls.core.dictionary import Dictionary, DictionaryTrainer, as_dictionary
from controls.core.errors import CannotControl, ControlsCheckError, InputError
from controls.core.finding_properties import FindingAssociation, FindingProperty, TrainerProperty, latents_of
from controls.core.problem import Problem
from controls.core.rng import stream
from controls.core.trainer import Trainer
from controls.testing._state import nothing_changes
from controls.testing.chance import STRICT, p_above_zero
from controls.testing.problems import group_names, ugly_problems
from controls.testing.small_dictionary import SmallDictionary

_FEW = 6  # draws where looking at a few is enough
_FITS = 40  # draws of which each is a fit


@final
@dataclass(frozen=True)
class FindingTrial:
    """A control on the finding, the problem and trainer that it is tried on, and how often."""

    control: Control
    problem: Problem
    trainer: DictionaryTrainer
    draws: int
    seed: int

    def observed(self) -> Any:
        """Return what the trainer finds by itself."""
        return self.trainer.fit(self.problem, stream(self.seed, "fit"))

    def held(self, *key: int | str) -> Trainer:
        """Return the held-back trainer that belongs to a key."""
        assert isinstance(self.control, TrainingControl)
        return self.control.held_back(self.trainer, self.problem, stream(self.seed, "check", *key))

    def draw(self, observed: Any, *key: int | str) -> Any:
        """Return the drawn finding that belongs to a key."""
        if isinstance(self.control, TrainingControl):
            return self.held(*key).fit(self.problem, stream(self.seed, "fit"))
        assert isinstance(self.control, FindingControl)
        return self.control.draw_finding(observed, self.problem, stream(self.seed, "check", *key))

    def fail(self, sentence: str) -> ControlsCheckError:
        """Return the error that begins with the control's name."""
        return ControlsCheckError(f"{describe(self.control)} {sentence}")


def yield_finding_checks(
    control: Control, problem: Problem | None, trainer: DictionaryTrainer | None, draws: int, seed: int
) -> Iterator[tuple[str, Callable[[], None]]]:
    """Yield the name of each check of a control on the finding, and the check."""
    if not isinstance(control, (FindingControl, TrainingControl)):
        raise ControlsCheckError(
            f"{describe(control)} has level 'finding', and must be a FindingControl or a TrainingControl."
        )
    if problem is None:
        problem = _built_in(control, seed)
    draws = min(draws, _FITS) if isinstance(control, TrainingControl) else draws
    trial = FindingTrial(control, problem, SmallDictionary() if trainer is None else trainer, draws, seed)
    checks = [check_findings_left_alone, check_finding_streams, check_drawn_findings]
    checks += [check_preserves_of_findings, check_destroys_of_findings, check_refuses_other_trainers]
    for check in checks:
        yield check.__name__.removeprefix("check_"), partial(check, trial)


def _built_in(control: Control, seed: int) -> Problem:
    """Return the first ugly problem that the control accepts."""
    reason: Exception | None = None
    for problem in ugly_problems(group_names(control), seed):
        try:
            control.check(problem)
            return problem
        except (InputError, CannotControl) as error:
            reason = error
    raise ControlsCheckError(f"{describe(control)} accepts none of the built-in problems; pass problem= ({reason}).")


def content(finding: Any, problem: Problem) -> tuple[bytes, ...]:
    """Return what makes two findings the same: directions, latents and reconstructions, by value."""
    dictionary = as_dictionary(finding)
    parts = [dictionary.decoder, dictionary.encoder, latents_of(finding, problem)]
    parts += [block.reconstruction for block in dictionary.blocks(problem)]
    return tuple(b"" if part is None else np.ascontiguousarray(part).tobytes() for part in parts)


def check_findings_left_alone(trial: FindingTrial) -> None:
    """The caller's finding, trainer and problem, and global random state, stay as they are."""
    observed, trainer = trial.observed(), copy.deepcopy(trial.trainer)
    before = content(observed, trial.problem)
    trial.draw(observed, "imports")  # libraries may use global random state as they are loaded
    with nothing_changes(f"{describe(trial.control)}'s draw", trial.problem):
        for i in range(_FEW):
            content(trial.draw(observed, "alone", i), trial.problem)
            if content(observed, trial.problem) != before:
                raise trial.fail("changed the finding that it was given; work on a copy and return that.")
    again = trainer.fit(trial.problem, stream(trial.seed, "fit"))
    if content(trial.observed(), trial.problem) != content(again, trial.problem):
        raise trial.fail("changed the trainer that it was given; return another one.")


def check_finding_streams(trial: FindingTrial) -> None:
    """A draw is a function of the finding, the problem and its stream alone; other streams give others."""
    observed, problem = trial.observed(), trial.problem
    first = [content(trial.draw(observed, "stream", i), problem) for i in range(_FEW)]
    if all(each == content(observed, problem) for each in first):
        raise trial.fail(f"draws the finding itself every time ({_FEW} draws); it destroys nothing.")
    if len(set(first)) == 1:
        raise trial.fail("draws the same finding whatever the stream; use the rng that is passed in.")
    backwards = [content(trial.draw(observed, "stream", i), problem) for i in reversed(range(_FEW))]
    if backwards[::-1] != first:
        raise trial.fail("draws findings that depend on what was drawn before; the same stream gives the same draw.")


def check_drawn_findings(trial: FindingTrial) -> None:
    """What is drawn is a finite dictionary of the finding's size, that says the same twice."""
    observed, problem = trial.observed(), trial.problem
    size, width = as_dictionary(observed).n_latents, as_dictionary(observed).decoder.shape[1]
    for i in range(_FEW):
        drawn = trial.draw(observed, "size", i)
        if not isinstance(drawn, Dictionary):
            raise trial.fail(f"must draw a Dictionary where a dictionary was found, got {type(drawn).__name__}.")
        if drawn.decoder.shape != (size, width):
            raise trial.fail(f"must draw a decoder of shape {(size, width)}, got {drawn.decoder.shape}.")
        if latents_of(drawn, problem).shape != (problem.n, size):
            raise trial.fail(f"must draw a finding with latents of shape {(problem.n, size)}.")
        blocks = list(drawn.blocks(problem))
        numbers = [drawn.decoder, *(part for b in blocks for part in (b.latents, b.reconstruction))]
        if not all(np.isfinite(part).all() for part in numbers):
            raise trial.fail("must draw finite findings, but directions, latents or reconstructions are not.")
        if content(drawn, problem) != content(drawn, problem):
            raise trial.fail("draws a finding that says something else when it is asked again.")


def check_preserves_of_findings(trial: FindingTrial) -> None:
    """Every property that is preserved holds of every draw."""
    observed = trial.observed()
    for i in range(trial.draws):
        drawn = trial.draw(observed, i)
        for kept in trial.control.preserves:
            if isinstance(kept, TrainerProperty):
                kept_it = i >= _FEW or kept.holds_of(trial.held(i), trial.problem)
            else:
                kept_it = isinstance(kept, FindingProperty) and kept.holds(observed, drawn, trial.problem)
            if not kept_it:
                raise trial.fail(f"claims to keep {kept.words}, but draw {i} does not.")


def check_destroys_of_findings(trial: FindingTrial) -> None:
    """Every link that is destroyed is left by chance only: its mean strength over draws is not above 0."""
    observed = trial.observed()
    drawn = [trial.draw(observed, i) for i in range(trial.draws)]
    for gone in trial.control.destroys:
        if not isinstance(gone, FindingProperty):
            raise trial.fail(f"must state what it destroys as properties of findings, got {gone!r}.")
        if all(gone.holds(observed, each, trial.problem) for each in drawn):
            raise trial.fail(f"claims to destroy {gone.words}, but it is intact on all of {len(drawn)} draws.")
        if not isinstance(gone, FindingAssociation):
            continue
        strength = np.array([gone.strength(observed, each, trial.problem) for each in drawn])
        p = p_above_zero(strength)
        if not np.isfinite(strength).all() or p < STRICT:
            raise trial.fail(
                f"claims to destroy {gone.words}, but {strength.mean():+.3f} of it is left on average over "
                f"{len(drawn)} draws (p = {p:.1g}); chance leaves 0."
            )


def check_refuses_other_trainers(trial: FindingTrial) -> None:
    """A control that holds trainers back refuses, in one sentence, a trainer that cannot be."""
    if not isinstance(trial.control, TrainingControl):
        return
    try:
        trial.control.check_trainer(_Plain())
    except CannotControl:
        return
    raise trial.fail("must refuse (CannotControl, in check_trainer) a trainer that is no DictionaryTrainer.")


@final
@dataclass(frozen=True)
class _Plain(Trainer):
    """A trainer that finds one direction, and cannot be held."""

    def fit(self, problem: Problem, rng: np.random.Generator) -> np.ndarray:
        return np.asarray(problem.X[:1])
