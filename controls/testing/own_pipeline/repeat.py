"""One repetition of a calibration, and the counts over all of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np

from controls.core.errors import InputError, InputTypeError, TrainerError
from controls.core.key import content_key
from controls.core.problem import Problem
from controls.core.result import ClaimVerdict, Result, Verdict
from controls.core.rng import stream
from controls.core.study import Study
from controls.experiment import measure
from controls.testing.own_pipeline.null_labels import NullLabels
from controls.testing.own_pipeline.record import CalibrationRow, Rate
from controls.testing.own_pipeline.signal import Signal

_PASSED_ON = ("controls", "scoring", "cv", "draws", "alpha", "smallest_effect", "target")
_TRIES = 100  # to draw labels of at least two classes


@final
@dataclass(frozen=True)
class Settings:
    """What is run in every repetition."""

    study: Study
    measure: Callable[..., Any] | None

    def run(self, problem: Problem, seed: int) -> Result:
        """Return what the pipeline finds on a problem."""
        given = {name: getattr(self.study, name) for name in _PASSED_ON}
        result = (self.measure or measure)(self.study.trainer, problem, **given, seed=seed)
        if not isinstance(result, Result):
            raise InputTypeError(f"measure must return a ct.Result, got {type(result).__name__}.")
        return result


@final
@dataclass(frozen=True)
class Compared:
    """What one comparison said."""

    p_value: float
    p_floor: float
    selective: bool
    warned: bool
    selectivity: float


@final
@dataclass(frozen=True)
class Outcome:
    """What the pipeline said of one planted problem, or how it failed there."""

    metric: str = ""
    score: float = math.nan
    holds: bool = False
    compared: tuple[tuple[str, Compared], ...] = ()
    failure: str = ""
    labels: str = ""  # the same exactly where the planted labels are, but for what classes are called


@final
@dataclass(frozen=True, eq=False)
class Repetition:
    """The work of one repetition: its labels without signal, and with each of the effects."""

    settings: Settings
    problem: Problem
    labels: NullLabels
    signal: Signal | None
    effects: tuple[float, ...]

    def __call__(self, number: int) -> tuple[Outcome, ...]:
        """Return an outcome without signal, and one for each effect."""
        seed = self.settings.study.seed
        labels = self._drawn(stream(seed, "calibrate", number, "labels"))
        own_seed = int(stream(seed, "calibrate", number, "seed").integers(2**31))
        problems = [self.problem.with_labels(labels)]
        if self.signal is not None:
            directions = "calibrate", number, "directions"  # the same at every size
            problems += [self.signal.planted(labels, effect, stream(seed, *directions)) for effect in self.effects]
        key = _mark(problems[0])
        return tuple(replace(self._outcome(problem, own_seed), labels=key) for problem in problems)

    def _drawn(self, rng: np.random.Generator) -> np.ndarray:
        for _ in range(_TRIES):
            labels = self.labels.draw(rng)
            if (labels != labels[0]).reshape(len(labels), -1).any(axis=0).all():
                return labels
        raise InputError(
            f"labels must vary after they are redrawn, got constant ones {_TRIES} times ({self.labels.words}); "
            "name another law in null=."
        )

    def _outcome(self, problem: Problem, seed: int) -> Outcome:
        try:
            result = self.settings.run(problem, seed)
        except InputTypeError:
            raise
        except Exception as error:  # of the caller's own code, too: other repetitions go on
            return Outcome(failure=f"{type(error).__name__}: {error}")
        compared = tuple(
            (
                comparison.control,
                Compared(
                    comparison.p_value,
                    comparison.p_floor,
                    comparison.verdict is Verdict.SELECTIVE,
                    bool(comparison.caveats),
                    comparison.selectivity.value,
                ),
            )
            for comparison in result.comparisons
        )
        return Outcome(result.metric, result.score, result.verdict is ClaimVerdict.HOLDS, compared)


def _mark(problem: Problem) -> str:
    """Return the same for labels of which one is the other with its classes renamed: they are read as well."""
    if problem.target not in ("binary", "multiclass"):
        return content_key(np.asarray(problem.labels))
    first, codes = np.unique(problem.label_codes, return_index=True, return_inverse=True)[1:]
    return content_key(np.argsort(np.argsort(first))[codes.ravel()])


Done = Sequence[tuple[Outcome, ...]]


def counted(done: Done, effects: tuple[float, ...], alpha: float) -> dict[str, Any]:
    """Return the fields of a Calibration that are counts over repetitions."""
    names = dict.fromkeys(name for outcomes in done for outcome in outcomes for name, _ in outcome.compared)
    measured = [[outcomes[place] for outcomes in done if not outcomes[place].failure] for place in range(len(effects))]
    return {
        "distinct": len({outcomes[0].labels for outcomes in done}),
        "metric": next((outcome.metric for outcomes in measured for outcome in outcomes), ""),
        "rows": tuple(
            _row(name, effect, outcomes, alpha)
            for name in names
            for effect, outcomes in zip(effects, measured, strict=True)
        ),
        "claims": tuple(
            (effect, _rate([(outcome.labels, outcome.holds) for outcome in outcomes]))
            for effect, outcomes in zip(effects, measured, strict=True)
        ),
        "scores": tuple(
            (effect, float(np.mean([outcome.score for outcome in outcomes])) if outcomes else math.nan)
            for effect, outcomes in zip(effects, measured, strict=True)
        ),
        "failures": tuple(
            (number, effect, outcome.failure)
            for number, outcomes in enumerate(done)
            for effect, outcome in zip(effects, outcomes, strict=True)
            if outcome.failure
        ),
    }


def _rate(said: Iterable[tuple[str, bool]]) -> Rate:
    """Return how often something was said, out of distinct labels: labels met again count once, by their own share.

    Few units have few relabelings: the same ones again are no new evidence.
    """
    shares: dict[str, list[bool]] = {}
    for labels, it_was in said:
        shares.setdefault(labels, []).append(it_was)
    return Rate(round(sum(sum(each) / len(each) for each in shares.values())), len(shares))


def _row(name: str, effect: float, outcomes: Sequence[Outcome], alpha: float) -> CalibrationRow:
    both = [(outcome.labels, dict(outcome.compared).get(name)) for outcome in outcomes]
    found = [(labels, compared) for labels, compared in both if compared is not None]
    there = [compared for _, compared in found]
    values = np.array([compared.selectivity for compared in there])
    values = values[np.isfinite(values)]

    def rate(said: Callable[[Compared], bool]) -> Rate:
        return _rate((labels, said(compared)) for labels, compared in found)

    return CalibrationRow(
        control=name,
        effect=effect,
        rejections=rate(lambda compared: compared.p_value <= alpha + 1e-12),
        selective=rate(lambda compared: compared.selective),
        warned=rate(lambda compared: compared.warned),
        selectivity=float(values.mean()) if len(values) else math.nan,
        selectivity_error=float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else math.nan,
        p_floor=min((compared.p_floor for compared in there), default=math.nan),
    )


def refuse_failing(done: Done) -> None:
    """Raise where no repetition could be measured."""
    failures = [outcome.failure for outcomes in done for outcome in outcomes if outcome.failure]
    if len(failures) == sum(map(len, done)):
        raise TrainerError(
            f"the pipeline failed on each of the first {len(done)} repetitions; the first: {failures[0]}"
        )
