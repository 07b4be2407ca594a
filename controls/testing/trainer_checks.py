"""check_trainer: executes what is asked of a trainer."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, final

import numpy as np

from controls.core.arrays import take_rows
from controls.core.errors import ControlsCheckError, InputError
from controls.core.key import NoContent, content_key
from controls.core.problem import Problem
from controls.core.rng import stream
from controls.core.trainer import BatchTrainer, Engine, Output, Task, Trainer
from controls.probes.adapt import as_trainer
from controls.probes.outputs import outputs
from controls.testing._state import nothing_changes

_PREDICTIONS = frozenset({"labels", "scores", "probabilities"})
_COLUMNS = 7
_ALONE = (6, 3, 0)  # those of them that are fitted alone too
_SLACK = 100  # a prediction may differ by this many times the engine's tolerance for a score


@final
@dataclass(frozen=True)
class Case:
    """A problem of one task, split into rows to train on and rows to test on."""

    problem: Problem
    task: Task
    train: np.ndarray
    test: np.ndarray

    @property
    def classes(self) -> np.ndarray | None:
        """The labels that class codes stand for; None for regression."""
        return self.problem.classes if self.task == "classification" else None

    @property
    def target(self) -> np.ndarray:
        """Class codes or numbers, shape (n,): what an engine is given."""
        if self.task == "classification":
            return self.problem.label_codes
        return np.asarray(self.problem.labels, dtype=np.float64)

    def shuffled(self, *key: int | str) -> Problem:
        """Return the problem with labels in another order."""
        return self.problem.with_labels(np.asarray(self.problem.labels)[stream(0, *key).permutation(self.problem.n)])


@final
@dataclass(frozen=True)
class TrainerTrial:
    """A trainer, the problem it is tried on, and the seed."""

    trainer: Trainer
    problem: Problem | None
    seed: int

    def fail(self, sentence: str) -> ControlsCheckError:
        """Return the error that begins with the trainer's name."""
        return ControlsCheckError(f"{type(self.trainer).__name__} {sentence}")

    @cached_property
    def cases(self) -> list[Case]:
        """Return the problems of the trainer's task that it does not refuse (with InputError)."""
        found, reason = [], None
        for case in _cases(self.problem, self.seed):
            if self.trainer.task not in (None, case.task):
                continue
            try:
                self.fit(copy.deepcopy(self.trainer), case)
            except InputError as error:
                reason = error
                continue
            found.append(case)
        if not found:
            raise self.fail(f"refuses every built-in problem; pass problem= one that it takes (it said: {reason}).")
        return found

    def fit(self, trainer: Trainer, case: Case, *key: int | str) -> Any:
        """Return the finding on the training rows of a case."""
        return trainer.fit(case.problem.take(case.train), stream(self.seed, "fit", *key))

    def says(self, finding: Any, case: Case) -> np.ndarray:
        """Return what a finding predicts for the test rows, as one array."""
        needs = self.needs(case.task, finding)
        output = outputs(finding, take_rows(case.problem.X, case.test), needs, case.classes, case.task)
        return _values(output, needs)

    def needs(self, task: Task, finding: Any = None) -> str:
        """Return the richest prediction that is offered: scores, or else labels."""
        if task == "regression":
            return "labels"
        if self.trainer.provides is not None:
            return "scores" if "scores" in self.trainer.provides else "labels"
        scored = hasattr(finding, "decision_function") or hasattr(finding, "predict_proba")
        return "scores" if scored else "labels"


def check_trainer(trainer: Any, problem: Problem | None = None, *, seed: int = 0) -> None:
    """Execute what is asked of a trainer; raise where it does not hold.

    Fits must depend on the training rows and the random stream alone: not on what was fitted before,
    on held-out rows, or on global random state. The problem and the trainer must stay as they are. Of
    a batch trainer, columns fitted together must agree with columns fitted alone, and with ``fit``.

    Parameters
    ----------
    trainer : Trainer, scikit-learn estimator, or callable ``fit(X, y) -> predictor``
        Whatever ``controls.measure`` takes.
    problem : Problem, optional
        One that suits it. Built-in problems (two classes, three classes, numbers) where None.
    seed : int
        Of the random streams and the built-in problems.

    Raises
    ------
    ControlsCheckError
        With what does not hold; it is an AssertionError too.

    Notes
    -----
    Costs about 20 fits of 80 rows a problem. Predictions of an engine may differ by 100 times the tolerance
    that it states for scores.

    Examples
    --------
    >>> import controls as ct
    >>> from sklearn.linear_model import LogisticRegression
    >>> ct.testing.check_trainer(LogisticRegression())
    """
    for _, check in yield_trainer_checks(trainer, problem, seed=seed):
        check()


def yield_trainer_checks(
    trainer: Any, problem: Problem | None = None, *, seed: int = 0
) -> Iterator[tuple[str, Callable[[], None]]]:
    """Yield the name of each check of a trainer, and the check; parameters are those of check_trainer."""
    if problem is not None and problem.labels is not None and problem.labels.ndim == 2:
        raise InputError(
            f"labels must have shape (n,) to check a trainer, got {problem.labels.shape}; give one column."
        )
    trial = TrainerTrial(as_trainer(trainer), problem, seed)
    for check in (
        check_trainer_form,
        check_leaves_alone,
        check_repeats,
        check_learns,
        check_held_out,
        check_engine_held_out,
        check_engine_columns,
        check_engine_as_fit,
    ):
        yield check.__name__.removeprefix("check_"), partial(_in_one_thread, check, trial)


def _in_one_thread(check: Callable[[TrainerTrial], None], trial: TrainerTrial) -> None:
    """Run a check in one thread: fits are small, and threads that wait for one another cost more than they save."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        check(trial)


def check_trainer_form(trial: TrainerTrial) -> None:
    """The task is a known word, and so are the predictions."""
    if trial.trainer.task not in (None, "classification", "regression"):
        raise trial.fail(f"must have task 'classification', 'regression' or None, got {trial.trainer.task!r}.")
    provides = trial.trainer.provides
    if provides is not None and not frozenset(provides) <= _PREDICTIONS:
        raise trial.fail(f"must provide some of {', '.join(sorted(_PREDICTIONS))}, got {sorted(provides)}.")
    for case in trial.cases:
        finding = trial.fit(copy.deepcopy(trial.trainer), case)
        for needs in sorted(provides or ["labels"]):
            if case.task == "regression" and needs != "labels":
                continue
            said = outputs(finding, take_rows(case.problem.X, case.test), needs, case.classes, case.task)
            values = _values(said, needs)
            if values.shape[:2] != (len(case.test), 1) or not np.isfinite(values).all():
                raise trial.fail(f"must predict finite {needs} for {len(case.test)} rows, got shape {values.shape}.")


def check_leaves_alone(trial: TrainerTrial) -> None:
    """The problem, the trainer and global random state stay as they are."""
    for case in trial.cases:
        trainer = copy.deepcopy(trial.trainer)
        before = _content(trainer)
        part = case.problem.take(case.train)
        with nothing_changes(f"{type(trainer).__name__}.fit", part):
            finding = trainer.fit(part, stream(trial.seed, "alone"))
        with nothing_changes(f"predicting with what {type(trainer).__name__}.fit returned", case.problem):
            trial.says(finding, case)
        if isinstance(trainer, BatchTrainer):
            with nothing_changes(f"{type(trainer).__name__}.engine", case.problem):
                _predict(trial, _engine(trainer, case), case, case.target[:, None])
        if _content(trainer) != before:
            raise trial.fail("changed its own parameters while fitting; return a finding and stay as it is.")


def check_repeats(trial: TrainerTrial) -> None:
    """A fit depends on the training rows and the stream alone, not on what was fitted before."""
    for case in trial.cases:
        trainer = copy.deepcopy(trial.trainer)
        first = trial.says(trial.fit(trainer, case), case)
        trainer.fit(case.shuffled("other").take(case.train), stream(trial.seed, "other"))
        if not np.array_equal(first, trial.says(trial.fit(trainer, case), case)):
            raise trial.fail(
                "gives other predictions for the same rows and the same stream after another fit; keep no state, "
                "and draw all random numbers from the rng that is passed in."
            )


def check_learns(trial: TrainerTrial) -> None:
    """Predictions depend on the labels of training rows."""
    for case in trial.cases:
        trainer = copy.deepcopy(trial.trainer)
        observed = trial.says(trial.fit(trainer, case), case)
        other = trainer.fit(case.shuffled("learn").take(case.train), stream(trial.seed, "fit"))
        if np.array_equal(observed, trial.says(other, case)):
            raise trial.fail("predicts the same whatever the labels of its training rows; it learns nothing.")


def check_held_out(trial: TrainerTrial) -> None:
    """A fit to the training rows is the same after a fit to all rows, whatever the labels held out."""
    for case in trial.cases:
        alone = trial.says(trial.fit(copy.deepcopy(trial.trainer), case), case)
        trainer = copy.deepcopy(trial.trainer)
        trainer.fit(case.problem, stream(trial.seed, "all"))
        if not np.array_equal(alone, trial.says(trial.fit(trainer, case), case)):
            raise trial.fail("starts from an earlier fit that saw held-out rows; start every fit afresh.")


def check_engine_held_out(trial: TrainerTrial) -> None:
    """Predictions of the engine are bit-identical whatever the labels of held-out rows."""
    for trainer, case in _batch_cases(trial):
        target = case.target[:, None]
        observed = _predict(trial, _engine(trainer, case), case, target)
        changed = target.copy()
        changed[case.test] = changed[case.test][::-1]
        if case.task == "classification":
            changed[case.test] = (changed[case.test] + 1) % len(case.problem.classes)
        if not np.array_equal(observed, _predict(trial, _engine(trainer, case), case, changed)):
            raise trial.fail(
                "changes its predictions when labels of held-out rows change; nothing that saw them may start, "
                "tune or stop a fit."
            )
        changed = target.copy()
        changed[case.train] = stream(trial.seed, "train rows").permutation(changed[case.train])
        if np.array_equal(observed, _predict(trial, _engine(trainer, case), case, changed)):
            raise trial.fail("has an engine that predicts the same whatever the labels of its training rows.")


def check_engine_columns(trial: TrainerTrial) -> None:
    """Columns fitted together agree with columns fitted alone, in whatever order they are asked for."""
    for trainer, case in _batch_cases(trial):
        targets = _columns(case)
        engine = _engine(trainer, case)
        together = _predict(trial, engine, case, targets)
        for column in _ALONE:
            alone = _predict(trial, engine, case, targets[:, [column]])
            _compare(trial, together[:, [column]], alone, engine, "fits columns together otherwise than one by one")
        if not np.array_equal(together, _predict(trial, _engine(trainer, case), case, targets)):
            raise trial.fail("has an engine that predicts otherwise for the same columns when made again.")


def check_engine_as_fit(trial: TrainerTrial) -> None:
    """Columns fitted by the engine agree with fits to the training rows of a problem."""
    for trainer, case in _batch_cases(trial):
        targets, engine = _columns(case), _engine(trainer, case)
        together = _predict(trial, engine, case, targets)
        for column in _ALONE:
            labels = targets[:, column] if case.classes is None else case.classes[targets[:, column]]
            finding = trial.fit(trainer, Case(case.problem.with_labels(labels), case.task, case.train, case.test))
            _compare(trial, together[:, [column]], trial.says(finding, case), engine, "fits otherwise in its engine")


def _compare(trial: TrainerTrial, batched: np.ndarray, single: np.ndarray, engine: Engine, what: str) -> None:
    bound = _SLACK * max(engine.tolerance, 1e-10) * (1 + np.abs(single))
    gap = float((np.abs(batched - single) / bound).max()) if batched.shape == single.shape else np.inf
    if not gap <= 1:
        raise trial.fail(
            f"{what}: predictions differ by up to {gap:.3g} times what is allowed "
            f"({_SLACK} times its stated tolerance of {engine.tolerance:.1g})."
        )


def _batch_cases(trial: TrainerTrial) -> Iterator[tuple[BatchTrainer, Case]]:
    if isinstance(trial.trainer, BatchTrainer):
        for case in trial.cases:
            yield copy.deepcopy(trial.trainer), case


def _engine(trainer: BatchTrainer, case: Case) -> Engine:
    swapped = (case.test, case.train)  # a second fold, which predictions of the first must not mind
    n_classes = 0 if case.classes is None else len(case.classes)
    return trainer.engine(case.problem.X, [swapped, (case.train, case.test)], case.task, n_classes)


def _predict(trial: TrainerTrial, engine: Engine, case: Case, targets: np.ndarray) -> np.ndarray:
    needs, given = trial.needs(case.task), targets.copy()
    values = _values(engine.predict(1, given, needs), needs)
    if not np.array_equal(given, targets):
        raise trial.fail("has an engine that changes the targets it is given.")
    if values.shape[:2] != (len(case.test), targets.shape[1]) or not np.isfinite(values).all():
        raise trial.fail(
            f"must predict finite {needs} of shape ({len(case.test)}, {targets.shape[1]}) or with one more "
            f"dimension of classes, got {values.shape}."
        )
    return values


def _columns(case: Case) -> np.ndarray:
    orders = [stream(0, "column", i).permutation(case.problem.n) for i in range(_COLUMNS - 1)]
    return np.stack([case.target, *(case.target[order] for order in orders)], axis=1)


def _values(output: Output, needs: str) -> np.ndarray:
    return np.asarray(getattr(output, needs), dtype=np.float64)


def _content(trainer: Trainer) -> str | None:
    try:
        return content_key(trainer)
    except NoContent:
        return None


def _cases(problem: Problem | None, seed: int) -> Iterator[Case]:
    given = [problem] if problem is not None else [_problem(kind, seed) for kind in ("two", "three", "numbers")]
    for each in given:
        units = each.unit_codes
        held = units % 3 == stream(seed, "held out").integers(3)
        task: Task = "regression" if each.target == "continuous" else "classification"
        yield Case(each, task, np.flatnonzero(~held), np.flatnonzero(held))


def _problem(kind: str, seed: int) -> Problem:
    """Return 120 rows in 20 unequal documents, in no order, whose labels go with the features in part."""
    rng = stream(seed, "trainer", kind)
    n, document = 120, np.sort(rng.integers(20, size=120))
    X = rng.standard_normal((n, 5)) + 0.5 * rng.standard_normal((20, 5))[document]
    X = X @ rng.standard_normal((5, 5)) + 3.0
    latent = X[:, 0] - X[:, 0].mean() + rng.standard_normal(n)
    order = rng.permutation(n)
    labels: np.ndarray = 10.0 + 5.0 * latent
    if kind == "two":
        labels = np.where(latent > 0.3, "yes", "a no")
    if kind == "three":
        labels = np.digitize(latent, np.quantile(latent, [0.2, 0.6])) * 3 - 2
    return Problem(X[order], labels[order], groups={"document": document[order]}, unit="document")
