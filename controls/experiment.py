"""The verbs: measure a problem against controls, sweep over sites, look at the plan first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from os import PathLike
from typing import Any

import numpy as np

from controls.core.control import Control
from controls.core.errors import InputError, InputTypeError, unknown_name
from controls.core.problem import Problem
from controls.core.result import Result, Sweep
from controls.core.study import Study
from controls.kept import RESULT, SWEEP, keep, opened, remember, remember_sweep, site_title
from controls.runner.execute import Means, Progress, Run, tie_width
from controls.runner.paired import max_t_pairs
from controls.runner.plan import Plan
from controls.runner.prepare import Prepared, prepare, require_problem
from controls.runner.record import check_means, run_prepared
from controls.stats.multiple import adjust, max_t


def measure(
    trainer: Any,
    problem: Problem,
    *,
    controls: Sequence[Control],
    scoring: Any = None,
    cv: Any = None,
    draws: int = 199,
    alpha: float = 0.05,
    smallest_effect: float = 0.0,
    target: str = "fitted",
    seed: int = 0,
    block: int | None = None,
    key: str | None = None,
    n_jobs: int | None = None,
    progress: Progress | None = None,
    store: str | PathLike[str] | None = None,
    title: str = "",
) -> Result:
    """Put a trainer beside its controls: how much of the score survives, with what certainty.

    Parameters
    ----------
    trainer : scikit-learn estimator, ``fit(X, y) -> predictor`` function, or Trainer
        What makes the finding. ``ct.probes.LogisticProbe`` and ``RidgeProbe`` fit all draws together.
    problem : Problem
        Activations, labels, groups and unit.
    controls : sequence of Control
        The battery, fixed beforehand: a claim holds if it survives all of them.
    scoring : str or callable, optional
        A scikit-learn scorer name, ``scoring(finding, problem) -> float`` (or one number per row,
        which buys unit-robust intervals without resampling), or ``ct.metrics.loss(function)``.
        Accuracy or R² where None.
    cv : int, scikit-learn splitter or iterable of (train, test), optional
        Folds. None: five, or half as many as there are units if that is fewer.
    draws : int
        Draws per control; 199 give p-values down to .005. All relabelings are enumerated instead
        where there are at most ``draws + 1``.
    alpha, smallest_effect, target, seed, block, key
        See :class:`controls.Study`.
    n_jobs : int, optional
        Workers for draws that are fitted one by one, as in joblib, on whatever backend
        ``joblib.parallel_config`` names; each computes on one thread. Results do not depend on it.
    progress : callable, optional
        ``progress(done, total, what)``, called as draws are done.
    store : path, optional
        A file that keeps every draw as it is done. Stopped at any moment, the same call goes on from
        there and ends with the same numbers; more draws, further controls, another alpha use what is
        there. A store may hold many studies, told apart by their titles.
    title : str
        A name for the report, and in the store.

    Returns
    -------
    Result
        Prints as a table.

    Raises
    ------
    InputError, CannotControl
        Bad input, before any work starts.
    TrainerError
        The trainer failed on the problem itself (the fold is named), or on each of the first 20 draws.
        A draw on which it fails twice is recorded in ``Comparison.failures`` and counts against the claim.
    StoreError
        The store is damaged, something else, cannot be written, or holds this title with other
        settings, which are named. A disk that fills up while running is a warning: the run goes on.
    Interrupted
        On Ctrl-C (it is a KeyboardInterrupt); says what is kept.

    Notes
    -----
    Time: folds × (1 + draws × controls) fits, shared by batched probes; ``ct.plan`` counts them
    (target "expected" adds up to 30 refits of the observed labels and of ten draws per control). Memory:
    about fifteen arrays of rows × block × 8 bytes, and one number per draw. A fold's fits all get the same random
    stream, so that observed and drawn labels differ in nothing else. Scorers of scikit-learn that
    are not ours, and functions that return one number, cost 100 more scorings for each fold of the
    problem and of ten draws: their intervals come from resampled units.

    Examples
    --------
    >>> import numpy as np, controls as ct
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat([0, 1], 40)
    >>> problem = ct.Problem(rng.normal(size=(80, 3)) + y[:, None], y)
    >>> result = ct.measure(ct.probes.RidgeProbe(), problem, controls=[ct.ShuffleLabels()],
    ...                     scoring="roc_auc", draws=99)
    >>> str(result.verdict), result["ShuffleLabels"].p_value
    ('HOLDS', 0.01)
    """
    study = Study(
        trainer=trainer,
        controls=controls,  # type: ignore[arg-type]
        scoring=scoring,
        cv=cv,
        draws=draws,
        alpha=alpha,
        smallest_effect=smallest_effect,
        target=target,
        seed=seed,
        block=block,
        key=key,
    )
    check_means(n_jobs, progress, title)
    prepared = prepare(study, problem)
    with opened(store) as kept:
        return _run(prepared, Means(n_jobs, progress, remember(prepared, kept, title)), title)[0]


def _run(prepared: Prepared, means: Means, title: str) -> tuple[Result, Run]:
    """Run a study, and keep its result beside its draws."""
    result, run = run_prepared(prepared, means, title)
    return keep(result, means.memory, RESULT), run


def sweep(
    trainer: Any,
    problem: Problem,
    *,
    controls: Sequence[Control],
    sites: Sequence[str] | None = None,
    n_jobs: int | None = None,
    progress: Progress | None = None,
    store: str | PathLike[str] | None = None,
    title: str = "",
    **settings: Any,
) -> Sweep:
    """Measure the same question at several sites (layers), with p-values corrected over them.

    Every site sees the same draws, so that the best of many layers is judged by what the best of
    many layers scores under the control: step-down max-T on studentised scores (Westfall and Young
    1993), which controls the chance of any false claim over the sites.

    Parameters
    ----------
    trainer, problem, controls, n_jobs, progress, store, title
        See :func:`measure`. The problem's activations are a mapping of named sites. In a store, each
        site is a study of its own, titled by the site (after the sweep's title, if it has one).
    sites : sequence of str, optional
        Which; all where None.
    **settings
        ``scoring``, ``cv``, ``draws``, ``alpha``, ``smallest_effect``, ``target``, ``seed``,
        ``block`` and ``key``, as in :func:`measure`.

    Returns
    -------
    Sweep

    Examples
    --------
    >>> import numpy as np, controls as ct
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat([0, 1], 40)
    >>> layers = {"0": rng.normal(size=(80, 3)), "1": rng.normal(size=(80, 3)) + y[:, None]}
    >>> swept = ct.sweep(ct.probes.RidgeProbe(), ct.Problem(layers, y), controls=[ct.ShuffleLabels()],
    ...                  scoring="roc_auc", draws=99)
    >>> swept.adjusted_p["ShuffleLabels"]["1"]
    0.01
    """
    require_problem(problem)
    if not problem.sites:
        raise InputError("activations must be a mapping of named sites for a sweep, got one array; use ct.measure.")
    names = _names_of(sites, problem)
    study = study_of(trainer, controls, settings)
    check_means(n_jobs, progress, title)
    prepared = {name: prepare(study, problem.at(name)) for name in names}
    return swept(prepared, n_jobs=n_jobs, progress=progress, store=store, title=title)


def swept(
    prepared: Mapping[str, Prepared],
    *,
    n_jobs: int | None,
    progress: Progress | None,
    store: str | PathLike[str] | None,
    title: str,
) -> Sweep:
    """Run prepared studies, by the names of their sites (or steps), which share their draws."""
    names = tuple(prepared)
    study = prepared[names[0]].study
    results: dict[str, Result] = {}
    runs: list[tuple[Run, Plan]] = []
    with opened(store) as kept:
        for number, name in enumerate(names):
            shown = None if progress is None else _offset(progress, number, len(names), name)
            memory = remember(prepared[name], kept, site_title(title, name))
            results[name], run = _run(prepared[name], Means(n_jobs, shown, memory), name)
            runs.append((run, prepared[name].plan))
        adjusted = {
            comparison.control: _adjusted(names, runs, position, study)
            for position, comparison in enumerate(results[names[0]].comparisons)
        }
        return keep(Sweep(title, results, adjusted, study.alpha), remember_sweep(kept, title), SWEEP)


def _names_of(sites: Any, problem: Problem) -> tuple[str, ...]:
    """Return the names of the sites to sweep over."""
    if not isinstance(sites, Iterable | None):
        raise InputTypeError(f"sites must be names of sites, got {sites!r}.")
    names = tuple(problem.sites if sites is None else [sites] if isinstance(sites, str) else sites)
    if not names:
        raise InputError(f"sites must name at least one of {', '.join(problem.sites)}, got none.")
    if len(set(names)) < len(names):
        raise InputError(f"sites must differ from one another, got {', '.join(map(str, names))}.")
    return names


def _adjusted(names: Sequence[str], runs: list[tuple[Run, Plan]], position: int, study: Study) -> dict[str, float]:
    """Return the max-T p of each site for one control."""
    observed = np.array([run.observed.scores[0] for run, _ in runs])
    draws = np.stack([run.drawn[position].scores for run, _ in runs])
    planned = runs[0][1].controls[position]
    tolerance = max(tie_width(run, planned) for run, _ in runs)
    if planned.paired:
        p = max_t_pairs([run for run, _ in runs], position, study.draws, study.seed, tolerance)
    else:
        p = max_t(observed, draws, enumerated=planned.enumerated, tolerance=tolerance)
    return dict(zip(names, map(float, p), strict=True))


def _offset(progress: Progress, number: int, sites: int, name: str) -> Progress:
    """Return progress of one site as part of that of all."""
    return lambda done, total, what: progress(number * total + done, sites * total, f"{name}: {what}")


def correct(results: Mapping[str, Result], method: str = "holm") -> dict[str, float]:
    """Return adjusted p-values of many claims, each with a battery of its own.

    A claim's p is the largest, over its controls, of max(p, the smallest level at which the lower
    bound of the selectivity reaches the smallest effect): what it takes to hold.

    Parameters
    ----------
    results : mapping of claim names to Result
    method : {"holm", "bh"}
        Family-wise error, or false discovery rate.

    Returns
    -------
    dict of claim names to adjusted p
    """
    if not isinstance(results, Mapping):
        raise InputTypeError(f"results must be a mapping of names to results, got {type(results).__name__}.")
    if not results:
        raise InputError("results must hold at least one result, got none.")
    for name, result in results.items():
        if not isinstance(result, Result):
            hint = "; a sweep's are in its .results" if isinstance(result, Sweep) else ""
            raise InputTypeError(
                f"results must hold a Result of each claim, got {type(result).__name__} for {name!r}{hint}."
            )
    p = np.array([max(comparison.claim_p for comparison in result.comparisons) for result in results.values()])
    return dict(zip(results, map(float, adjust(p, method)), strict=True))


def plan(
    trainer: Any,
    problem: Problem,
    *,
    controls: Sequence[Control],
    n_jobs: int | None = None,
    progress: Progress | None = None,
    store: str | PathLike[str] | None = None,
    title: str = "",
    **settings: Any,
) -> Plan:
    """Return what the same call of :func:`measure` would run, with the p floors, before anything runs.

    ``n_jobs``, ``progress``, ``store`` and ``title`` change nothing of a plan; no store is opened.

    Examples
    --------
    >>> import numpy as np, controls as ct
    >>> problem = ct.Problem(np.eye(6), [0, 0, 0, 1, 1, 1])
    >>> print(ct.plan(ct.probes.RidgeProbe(), problem, controls=[ct.ShuffleLabels()], cv=2))
    RidgeProbe(), scored by accuracy on 2 folds of whole rows; 42 fits, label columns fitted together ...
    ShuffleLabels(): all 20 relabelings, p floor 0.05
    """
    check_means(n_jobs, progress, title)
    return prepare(study_of(trainer, controls, settings), problem).plan


def study_of(trainer: Any, controls: Sequence[Control], settings: Mapping[str, Any]) -> Study:
    """Return the study of these settings; refuse a setting that there is not."""
    names = [item.name for item in fields(Study)]
    for name in settings:
        if name not in names:
            raise unknown_name("setting", name, set(names) - {"trainer", "controls"})
    return Study(trainer=trainer, controls=controls, **settings)  # type: ignore[arg-type]
