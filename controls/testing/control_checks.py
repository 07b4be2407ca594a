"""check_control: executes what a control claims."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, is_dataclass
from functools import partial
from itertools import islice
from typing import Any, final

import numpy as np

from controls.core.control import Control, IndexControl, describe
from controls.core.dictionary import DictionaryTrainer
from controls.core.errors import CannotControl, ControlsCheckError, InputError
from controls.core.key import NoContent, content_key
from controls.core.label_sets import as_one_column
from controls.core.problem import Problem
from controls.core.properties import Association, Property, Stated
from controls.core.rng import stream
from controls.testing._state import drawn_content, nothing_changes
from controls.testing.chance import STRICT, p_above_zero
from controls.testing.problems import group_names, sparse_problems, ugly_problems

_LEVELS = ("labels", "inputs", "weights", "activations", "finding")
_FEW = 12  # draws where looking at a few is enough
_FEW_MODELS = 1  # built-in problems, and draws of them for tests of chance, where each draw is a forward pass
_MODEL_DRAWS = 40


@final
@dataclass(frozen=True)
class Trial:
    """A control, the problem it is tried on, and how often."""

    control: Control
    problem: Problem | None
    draws: int
    seed: int

    @property
    def name(self) -> str:
        """The control as it would be typed, to begin a message with."""
        return describe(self.control)

    def problems(self) -> list[Problem]:
        """Return the caller's problem, or one built-in problem per kind of labels that the control accepts."""
        if self.problem is not None:
            self.control.check(self.problem)
            return [self.problem]
        accepted: dict[str, Problem] = {}
        reasons = []
        for problem in self._built_in():
            if problem.target in accepted:
                continue
            try:
                self.control.check(problem)
            except (InputError, CannotControl) as error:
                reasons.append(str(error))
                continue
            accepted[problem.target] = problem
        if not accepted:
            raise ControlsCheckError(
                f"{self.name} accepts none of the built-in problems; pass problem= one that it can be drawn from "
                f"(it said: {reasons[-1]})."
            )
        return list(accepted.values())

    def _built_in(self) -> Iterator[Problem]:
        """Yield the built-in problems: of controls on weights, few, since each draw is a forward pass."""
        names = group_names(self.control)
        if reads_tokens(self.control):
            from controls.testing.token_problems import ugly_token_problems

            yield from ugly_token_problems(names, self.seed)
            return
        if self.control.level != "weights":
            yield from ugly_problems(names, self.seed)
            if self.control.level == "activations":
                yield from sparse_problems(names, self.seed)
            return
        from controls.testing.weight_problems import ugly_weight_problems

        yield from islice(ugly_weight_problems(names, self.seed), _FEW_MODELS)

    def draw(self, problem: Problem, *key: int | str) -> Problem:
        """Return the draw that belongs to a key."""
        rng = stream(self.seed, "check", *key)
        if self.control.level != "weights":
            return self.control.draw(problem, rng)
        try:
            return self.control.draw(problem, rng)
        except CannotControl as error:
            raise self.fail(f"accepts a model and then refuses a draw of it: {error}") from error

    def fail(self, sentence: str) -> ControlsCheckError:
        """Return the error that begins with the control's name."""
        return ControlsCheckError(f"{self.name} {sentence}")


def check_control(
    control: Control,
    problem: Problem | None = None,
    *,
    trainer: DictionaryTrainer | None = None,
    draws: int = 200,
    seed: int = 0,
) -> None:
    """Execute every claim of a control; raise where one does not hold.

    Every property it preserves must hold on every draw; what it destroys must be left by chance only;
    draws must come from their stream alone; the caller's problem and global random state must stay as
    they are; and draws of an exact control must be uniform over its distinct relabelings, the identity
    included.

    Parameters
    ----------
    control : Control
    problem : Problem, optional
        One that suits the control. Built-in ugly problems with the groups that the control names
        where None.
    trainer : DictionaryTrainer, optional
        What finds the dictionaries that a control on the finding is tried on; a small one where None.
    draws : int
        Draws per problem for what is tested by chance.
    seed : int
        Of the draws and the built-in problems; the outcome is the same every time.

    Raises
    ------
    ControlsCheckError
        With the claim that does not hold; it is an AssertionError too.

    Notes
    -----
    The tests of chance are made at level 1e-4. Cost: about 4 draws + 40 per distinct relabeling of a tiny
    problem, about a second for a control on labels.

    Examples
    --------
    >>> import controls as ct
    >>> ct.testing.check_control(ct.ControlTask(per="word"), draws=100)
    """
    for _, check in yield_control_checks(control, problem, trainer=trainer, draws=draws, seed=seed):
        check()


def yield_control_checks(
    control: Control,
    problem: Problem | None = None,
    *,
    trainer: DictionaryTrainer | None = None,
    draws: int = 200,
    seed: int = 0,
) -> Iterator[tuple[str, Callable[[], None]]]:
    """Yield the name of each check of a control, and the check; parameters are those of check_control."""
    from controls.testing.input_checks import check_inputs
    from controls.testing.law_checks import check_law, check_patterns
    from controls.testing.orbit_checks import check_orbit
    from controls.testing.weight_checks import check_weights

    if problem is not None and problem.labels is not None and problem.labels.ndim == 2:
        problem = as_one_column(problem)
    if control.level == "finding":
        from controls.testing.finding_checks import yield_finding_checks

        yield "form", partial(check_form, Trial(control, problem, draws, seed))
        yield from yield_finding_checks(control, problem, trainer, draws, seed)
        return
    dear = control.level == "weights" or reads_tokens(control)
    trial = Trial(control, problem, min(draws, _MODEL_DRAWS) if dear else draws, seed)
    checks = [check_form, check_leaves_alone, check_streams, check_index, check_preserves, check_destroys]
    endless = control.level == "activations" and control.inference == "exact"
    checks.append(check_inputs if reads_tokens(control) else check_law if endless else check_orbit)
    checks += [check_patterns] if endless else []
    for check in (*checks, check_refuses_identity, *([check_weights] if control.level == "weights" else [])):
        yield check.__name__.removeprefix("check_"), partial(check, trial)


def reads_tokens(control: Control) -> bool:
    """Whether a control changes the tokens that a model reads."""
    return control.level == "inputs" and control.inference != "paired"


def check_form(trial: Trial) -> None:
    """The control is a frozen, hashable dataclass that says what it is in words."""
    control = trial.control
    parameters = getattr(type(control), "__dataclass_params__", None)
    if not is_dataclass(control) or parameters is None or not parameters.frozen:
        raise ControlsCheckError(f"{type(control).__name__} must be a frozen dataclass; decorate its class.")
    twin = copy.deepcopy(control)
    if twin != control or hash(twin) != hash(control):
        raise trial.fail("must equal its copy and have the same hash; keep to fields that can be compared.")
    try:
        same = content_key(control) == content_key(twin)
    except NoContent as error:
        raise trial.fail(f"must have a content key, but {error}") from error
    if not same:
        raise trial.fail("must have the same content key as its copy.")
    if control.level not in _LEVELS:
        raise trial.fail(f"must have a level among {', '.join(_LEVELS)}, got {control.level!r}.")
    if control.inference not in ("exact", "ensemble", "paired"):
        raise trial.fail(f"must have inference 'exact', 'ensemble' or 'paired', got {control.inference!r}.")
    for word in ("null", "licenses"):
        sentence = getattr(control, word)
        if not isinstance(sentence, str) or not sentence.strip().endswith(".") or "\n" in sentence:
            raise trial.fail(f"must state {word} as a sentence on one line with a full stop, got {sentence!r}.")
    _check_properties(trial)


def _check_properties(trial: Trial) -> None:
    for word in ("preserves", "destroys"):
        stated = getattr(trial.control, word)
        if not isinstance(stated, tuple) or not all(isinstance(item, Stated) for item in stated):
            raise trial.fail(f"must state {word} as a tuple of properties, got {stated!r}.")
        if not all(item.words for item in stated):
            raise trial.fail(f"must state {word} as properties with words.")
    if not trial.control.destroys:
        raise trial.fail("must destroy something; a control that keeps everything says nothing.")


def check_leaves_alone(trial: Trial) -> None:
    """The caller's problem, the control itself and global random state stay as they are."""
    control, before = trial.control, dict(vars(copy.deepcopy(trial.control)))
    for problem in trial.problems():
        trial.draw(problem, "imports")  # libraries may use global random state as they are loaded
        with nothing_changes(f"{trial.name}.draw", problem):
            for i in range(_FEW):
                drawn = trial.draw(problem, "alone", i)
                if not isinstance(drawn, Problem) or drawn.n != problem.n:
                    raise trial.fail(f"must draw a Problem with the same {problem.n} rows, got {drawn!r}.")
                if np.shape(drawn.labels) != np.shape(problem.labels):
                    raise trial.fail(
                        f"must draw labels of shape {np.shape(problem.labels)}, got {np.shape(drawn.labels)}."
                    )
        with nothing_changes(f"{trial.name}.check, orbit or caveats", problem):
            control.check(problem)
            control.orbit(problem)
            caveats = control.caveats(problem, stream(trial.seed, "caveats"))
            if not isinstance(caveats, tuple) or not all(isinstance(reason, str) for reason in caveats):
                raise trial.fail(f"must give caveats as a tuple of texts, got {caveats!r}.")
        with nothing_changes(f"{trial.name}.integrity", problem):
            rows = np.arange(problem.n)
            figures = control.integrity(problem, rows[rows % 3 > 0], rows[rows % 3 == 0])
            if not all(np.isfinite(value) for value in figures.values()):
                raise trial.fail(f"must give finite integrity figures, got {figures}.")
    changed = [name for name, value in before.items() if value != getattr(control, name)]
    if changed:
        raise trial.fail(f"changed its own {', '.join(changed)} while drawing; controls never change.")


def check_streams(trial: Trial) -> None:
    """A draw is a function of the problem and its stream alone; other streams give others, but for a paired control."""
    for problem in trial.problems():
        first = [drawn_content(trial.draw(problem, "stream", i)) for i in range(_FEW)]
        if all(content == drawn_content(problem) for content in first):
            raise trial.fail(f"draws the identity every time ({_FEW} draws); it destroys nothing.")
        if trial.control.inference == "paired":
            if len(set(first)) > 1:
                raise trial.fail("must draw the same every time, since one draw stands for all of a paired comparison.")
        elif len(set(first)) == 1:
            raise trial.fail("draws the same every time, whatever the stream; use the rng that is passed in.")
        backwards = [drawn_content(trial.draw(problem, "stream", i)) for i in reversed(range(_FEW))]
        if backwards[::-1] != first:
            raise trial.fail("draws depend on what was drawn before; the same stream must give the same draw.")
        fresh = problem.take(np.arange(problem.n))  # equal, and without anything memorised
        twin = copy.deepcopy(trial.control)
        again = [drawn_content(twin.draw(fresh, stream(trial.seed, "check", "stream", i))) for i in range(_FEW)]
        if again != first:
            raise trial.fail("draws differ on an equal problem; keep no state in the control or its class.")


def check_index(trial: Trial) -> None:
    """An index control returns row indices, and its draw is the labels in that order."""
    if not isinstance(trial.control, IndexControl):
        return
    for problem in trial.problems():
        order = trial.control.order(problem, stream(trial.seed, "check", "index"))
        whole = isinstance(order, np.ndarray) and order.shape == (problem.n,) and order.dtype.kind == "i"
        if not whole or order.min() < 0 or order.max() >= problem.n:
            raise trial.fail(f"must return row indices of shape ({problem.n},) between 0 and {problem.n - 1}.")
        if not np.array_equal(trial.draw(problem, "index").labels, np.asarray(problem.labels)[order]):
            raise trial.fail("must draw the labels in the order that order() returns for the same stream.")


def check_preserves(trial: Trial) -> None:
    """Every property that is preserved holds on every draw."""
    for problem in trial.problems():
        start = trial.control.start(problem, stream(trial.seed, "check", "start"))
        for i in range(trial.draws):
            drawn = trial.draw(problem if i % 2 else start, i)
            for kept in trial.control.preserves:
                if not isinstance(kept, Property) or not kept.holds(problem, drawn):
                    raise trial.fail(f"claims to keep {kept.words}, but draw {i} does not (labels {problem.target}).")


def check_destroys(trial: Trial) -> None:
    """Every link that is destroyed is left by chance only: its mean strength over draws is not above 0."""
    for problem in trial.problems():
        drawn = [trial.draw(problem, i) for i in range(trial.draws)]
        for gone in trial.control.destroys:
            if isinstance(gone, Property) and all(gone.holds(problem, each) for each in drawn):
                raise trial.fail(f"claims to destroy {gone.words}, but it is intact on all of {len(drawn)} draws.")
            if isinstance(gone, Association):
                _check_by_chance(trial, gone, np.array([gone.strength(problem, each) for each in drawn]))


def _check_by_chance(trial: Trial, gone: Association, strength: np.ndarray) -> None:
    mean, p = float(strength.mean()), p_above_zero(strength)
    if not np.isfinite(mean) or p < STRICT:
        raise trial.fail(
            f"claims to destroy {gone.words}, but {mean:+.3f} of it is left on average over "
            f"{len(strength)} draws (p = {p:.1g}); chance leaves 0."
        )


def check_refuses_identity(trial: Trial) -> None:
    """A problem on which every draw is the identity is refused."""
    if trial.control.level != "labels":
        return
    for problem in trial.problems():
        for dull in _dull(problem):
            try:
                trial.control.check(dull)
                identity = all(_is_identity(trial, dull, i) for i in range(3 * _FEW))
            except (InputError, CannotControl):
                continue
            if identity:
                raise trial.fail("must refuse (CannotControl) a problem on which every draw is the identity.")


def _is_identity(trial: Trial, problem: Problem, i: int) -> bool:
    return drawn_content(trial.draw(problem, "dull", i)) == drawn_content(problem)


def _dull(problem: Problem) -> Iterator[Problem]:
    """Yield versions of a problem with less and less to change: one label, one group, one row."""
    labels: Any = problem.labels
    yield problem.with_labels(np.repeat(labels[:1], problem.n))
    yield problem.with_labels(np.zeros_like(labels) if labels.dtype.kind in "fi" else np.repeat(labels[-1:], problem.n))
    for name in problem.groups:
        codes = problem.codes(name)
        first = np.unique(codes, return_index=True)[1]
        yield problem.with_labels(labels[first][codes])
        yield problem.take(np.flatnonzero(codes == codes[0]))
    yield problem.take(np.arange(1))
