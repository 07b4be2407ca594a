"""calibrate(): plant nothing, and signals of known size, in a user's problem, and count what their pipeline says."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from typing import Any

from controls.core.control import Control, LabelControl
from controls.core.errors import InputError, InputTypeError
from controls.core.problem import Problem
from controls.core.rng import stream
from controls.core.study import Study
from controls.core.validate import real_number, whole_number
from controls.runner.execute import Progress
from controls.runner.parallel import in_order
from controls.runner.plan import name_of
from controls.runner.prepare import prepare, require_problem
from controls.runner.record import check_means, versions
from controls.testing.own_pipeline.null_labels import not_kept, null_labels, require_labels
from controls.testing.own_pipeline.record import Calibration
from controls.testing.own_pipeline.repeat import Outcome, Repetition, Settings, counted, refuse_failing
from controls.testing.own_pipeline.signal import Signal, ideal_auc, require_dense

_FIRST = 5  # repetitions of which one must be measured


def calibrate(
    trainer: Any,
    problem: Problem,
    *,
    controls: Sequence[Control],
    scoring: Any = None,
    cv: Any = None,
    draws: int = 99,
    alpha: float = 0.05,
    smallest_effect: float = 0.0,
    target: str = "fitted",
    repetitions: int = 200,
    effects: Sequence[float] = (0.25, 0.5, 1.0),
    null: LabelControl | None = None,
    measure: Callable[..., Any] | None = None,
    seed: int = 0,
    n_jobs: int | None = None,
    progress: Progress | None = None,
    title: str = "",
) -> Calibration:
    """Count the false alarms and the power of your own pipeline, on your own problem.

    In every repetition labels are redrawn so that they have nothing to do with the activations but are
    as clustered and as serially dependent as yours: whatever is then found is a false alarm. The same
    labels, written into the activations at known sizes, give the power.

    Parameters
    ----------
    trainer, problem, controls, scoring, cv, draws, alpha, smallest_effect, target
        What you would call :func:`measure` with. Controls act on labels; ``InputBaseline`` will do too.
    repetitions : int
        Of the problem without signal, and of each effect.
    effects : sequence of float
        Sizes of the planted signal: how many standard deviations apart two classes are (numbers: per
        standard deviation of the label) for the linear readout that sees most of it. Empty: false
        alarms alone.
    null : LabelControl, optional
        Draws the labels of the planted null, for example ``ct.ControlTask(per="word")``. None: labels
        constant within a named group are traded among its members; of others, units trade their sets
        of labels, which follow one another within a unit as much as yours do.
    measure : callable, optional
        Your own ``measure(trainer, problem, **settings) -> Result``, where you do more than one call of
        ``ct.measure``: select features, start from other weights, take the best of several layers.
        It gets ``controls``, ``scoring``, ``cv``, ``draws``, ``alpha``, ``smallest_effect``, ``target``
        and ``seed``.
    seed : int
        Seed of every random stream.
    n_jobs : int, optional
        Workers, as in joblib, among which repetitions are shared; each computes on one thread. Results do
        not depend on it.
    progress : callable, optional
        ``progress(done, total, what)``, called as repetitions are done.
    title : str
        A name for the tables.

    Returns
    -------
    Calibration
        Prints as tables; ``false_alarms``, ``power``, ``levels``, ``to_frame()``, ``to_json()``, ``plot()``.

    Raises
    ------
    InputError, CannotControl
        Bad input, before any work starts; no labels; controls on weights or activations, whose null is
        about other things than labels; sparse activations with effects.
    TrainerError
        Each of the first five repetitions failed. Single failures are kept in ``Calibration.failures`` and
        count neither way.

    Notes
    -----
    Labels that were planted before count once, classes by other names being the same labels: with few units there
    are few relabelings (four documents of two labels have three), rates and their intervals are out of the different
    ones, ``Calibration.distinct``, and where these are too few to show anything, the level is said to be TOO FEW.

    Time: repetitions × (1 + effects) calls of ``measure``, about 0.05 to 0.5 s each with a batched probe of
    some hundred rows. Memory: one copy of the activations per worker. What redrawn labels do not keep
    (ties to word types, drift, sizes of groups) is looked for and said in ``notes``.

    Examples
    --------
    >>> import numpy as np, controls as ct
    >>> rng = np.random.default_rng(0)
    >>> text = np.repeat(np.arange(20), 10)
    >>> X, y = rng.normal(size=(200, 4)) + 2 * rng.normal(size=(20, 4))[text], text % 2
    >>> problem = ct.Problem(X, y, groups={"text": text}, unit="text")
    >>> found = ct.calibrate(ct.probes.RidgeProbe(), problem, controls=[ct.ShuffleLabels()],
    ...                      scoring="roc_auc", repetitions=30, effects=())
    >>> str(found.levels["ShuffleLabels"])
    'EXCEEDED'
    """
    study = Study(trainer, controls, scoring, cv, draws, alpha, smallest_effect, target, seed)  # type: ignore[arg-type]
    settings = Settings(study, measure)
    sizes = _sizes(effects)
    whole_number(repetitions, "repetitions", low=1)
    check_means(n_jobs, progress, title)
    _check_problem(settings, problem, null, sizes)
    labels = null_labels(problem, null, stream(seed, "calibrate", "fit"))
    work = Repetition(settings, problem, labels, Signal(problem) if sizes else None, sizes)
    clock = time.perf_counter()
    done = _repeated(work, repetitions, n_jobs, progress)
    counts = counted(done, (0.0, *sizes), alpha)
    return Calibration(
        **counts,
        title=title,
        trainer=name_of(trainer),
        alpha=alpha,
        draws=draws,
        repetitions=repetitions,
        effects=sizes,
        null=labels.words,
        signal=_signal_words(problem, sizes),
        notes=not_kept(problem, labels, stream(seed, "calibrate", "kept")),
        n=problem.n,
        d=problem.d,
        unit=problem.unit_name,
        n_units=problem.n_units,
        seed=seed,
        versions=versions(),
        seconds=time.perf_counter() - clock,
    )


def _repeated(
    work: Repetition, repetitions: int, n_jobs: int | None, progress: Progress | None
) -> list[tuple[Outcome, ...]]:
    """Return what all repetitions gave; give up where none of the first few could be measured."""
    done: list[tuple[Outcome, ...]] = []
    with closing(in_order(work, range(repetitions), n_jobs)) as outcomes:
        for outcome in outcomes:
            done.append(outcome)
            if len(done) == min(_FIRST, repetitions):
                refuse_failing(done)
            if progress is not None:
                progress(len(done), repetitions, "repetitions")
    return done


def _sizes(effects: Any) -> tuple[float, ...]:
    """Return the sizes of effects, in rising order."""
    if isinstance(effects, (str, bytes)) or not isinstance(effects, Iterable):
        raise InputTypeError(f"effects must be a sequence of numbers, got {effects!r}; one is [0.5].")
    sizes = sorted(real_number(effect, "effects", low=0.0, high=float("inf")) for effect in effects)
    if len(set(sizes)) < len(sizes):
        raise InputError(f"effects must differ from one another, got {sizes}.")
    return tuple(sizes)


def _check_problem(settings: Settings, problem: Problem, null: Any, sizes: tuple[float, ...]) -> None:
    require_problem(problem)
    require_labels(problem)
    for control in settings.study.controls:
        if control.level != "labels" and control.inference != "paired":
            raise InputError(
                f"controls must act on labels, got {control.name} at level {control.level!r}: redrawn labels say "
                "nothing about its null; leave it out here, and see `controls calibrate` for networks of known laws."
            )
    if null is not None and not isinstance(null, LabelControl):
        raise InputTypeError(f"null must be a control on labels, such as ct.ControlTask(per='word'), got {null!r}.")
    if settings.measure is None:
        prepare(settings.study, problem)
    elif not callable(settings.measure):
        raise InputTypeError(f"measure must be a function (trainer, problem, **settings), got {settings.measure!r}.")
    if sizes:
        require_dense(problem)


def _signal_words(problem: Problem, sizes: tuple[float, ...]) -> str:
    if not sizes:
        return ""
    few = (
        f"; these are for the rows given: with fewer rows ({problem.n}) than features ({problem.d}), new rows show "
        f"about {math.sqrt(problem.d / problem.n):.1f} times as much"
        if problem.n < problem.d
        else ""
    )
    if problem.target in ("binary", "multiclass"):
        auc = ", ".join(f"{ideal_auc(size):.3f} at {size:g}" for size in sizes)
        return f"any two classes are so many standard deviations apart (AUC of the best readout if normal: {auc}){few}"
    return f"activations move by so many of their standard deviations per standard deviation of the label{few}"
