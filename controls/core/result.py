"""Result: the frozen record of one study of one problem. All reports are functions of it alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, final

import numpy as np

from controls.core.errors import unknown_name

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd


class Verdict(StrEnum):
    """What one comparison says."""

    SELECTIVE = "SELECTIVE"
    NEGLIGIBLE = "NEGLIGIBLE"
    EQUIVALENT = "EQUIVALENT"
    WORSE = "WORSE THAN CONTROL"
    INCONCLUSIVE = "INCONCLUSIVE"


class ClaimVerdict(StrEnum):
    """What a battery of comparisons says of the claim."""

    HOLDS = "HOLDS"
    FAILS = "FAILS"
    UNDECIDED = "UNDECIDED"


@dataclass(frozen=True)
class Estimate:
    """A number with its confidence interval."""

    value: float
    low: float  # NaN where the design allows no interval
    high: float
    level: float  # confidence level, such as 0.95
    standard_error: float
    df: float  # degrees of freedom of its t distribution
    target: str  # "fitted" or "expected": what it speaks of
    approximate: bool = False  # under about 20 units, or a target that is approximate by nature


@dataclass(frozen=True, eq=False)
class Comparison:
    """The problem beside the draws of one control."""

    control: str  # the control's name, by which result[...] finds it
    description: str  # as it would be typed
    level: str  # labels, inputs, weights, activations or finding
    score: float  # on the problem itself
    control_scores: np.ndarray  # one per draw, NaN where a draw had no defined score
    control_mean: float
    selectivity: Estimate  # score − control mean
    bounds: tuple[float, float]  # ends of the 1 − 2·alpha interval, by which verdicts go
    p_value: float  # upper tail
    p_lower: float  # lower tail
    p_floor: float  # the smallest p that this design can give
    p_interval: tuple[float, float] | None  # Clopper–Pearson 95%, of the exceedance rate; None where enumerated
    claim_p: float  # max(p, the smallest level at which the lower bound reaches the smallest effect)
    draws: int
    enumerated: bool  # every distinct relabeling (paired: every swap) once, the identity included
    log_relabelings: float | None  # natural log of their number; None where endless
    inference: str  # "exact", "ensemble" or "paired"
    caveats: tuple[str, ...]  # why a claim of exactness was withdrawn, or what else to know
    verdict: Verdict
    reason: str  # the verdict in words
    preserves: tuple[str, ...]
    destroys: tuple[str, ...]
    null: str
    licenses: str
    licensed: bool  # whether this sentence may be said, after correction over the battery
    integrity: Mapping[str, float] = field(default_factory=dict)
    failures: tuple[tuple[int, str], ...] = ()  # draws whose trainer failed twice, and how; they have no score
    proofs: tuple[Mapping[str, float], ...] = ()  # of draws of weights, what each found to be true of itself
    rescaled: Estimate | None = None  # the selectivity as a share of what lies between control mean and ceiling


@dataclass(frozen=True)
class Provenance:
    """Where a result came from."""

    study_key: str | None
    data_key: str
    seed: int
    versions: Mapping[str, str]
    n: int
    d: int
    unit: str
    n_units: int
    folds: str
    trainer: str
    plan: str
    threads: int
    started: str  # ISO 8601, UTC
    seconds: float
    store: str | None = None  # the file that keeps every draw


class Reported:
    """What results and sweeps have in common: they show and save themselves, by reports that read nothing else."""

    def __repr__(self: Any) -> str:
        """Return the table that the terminal shows."""
        from controls import report

        return report.as_text(self)

    def _repr_html_(self: Any) -> str:
        from controls import report

        return report.as_html_fragment(self)

    def to_frame(self: Any) -> pd.DataFrame:
        """Return one row per control (and site) as a pandas DataFrame."""
        from controls import report

        return report.as_frame(self)

    def to_json(self: Any, path: str | Path | None = None) -> str:
        """Return the record as versioned JSON, and write it where a path is given."""
        from controls import report

        return report.as_json(self, path)

    def plot(self: Any) -> Any:
        """Return a matplotlib Figure: what each control's draws scored beside the score."""
        from controls import report

        return report.plot(self)

    def save(self: Any, folder: str | Path) -> Path:
        """Write ``report.html``, ``result.json``, ``junit.xml`` and ``summary.md``; return the page's path."""
        from controls import report

        return report.save(self, folder)


@final
@dataclass(frozen=True, eq=False, repr=False)
class Result(Reported):
    """What a study found on a problem. Prints as a table; ``result["ShuffleLabels"]`` is one comparison."""

    title: str
    metric: str
    score: float  # on the problem
    score_estimate: Estimate
    fold_scores: tuple[float, ...]
    comparisons: tuple[Comparison, ...]
    verdict: ClaimVerdict
    reason: str  # the claim's verdict in words
    alpha: float
    smallest_effect: float
    target: str
    notes: tuple[str, ...]  # what a reader must know, such as that rows were taken as units
    provenance: Provenance
    ceiling: float | None = None  # the best that can be scored, where the metric has such a number

    def __getitem__(self, control: str) -> Comparison:
        """Return the comparison with a control, by its name or as it was typed."""
        for comparison in self.comparisons:
            if control in (comparison.control, comparison.description):
                return comparison
        raise unknown_name("control", control, self)

    def __iter__(self) -> Iterator[str]:
        """Go over the names of the controls, as over those of a mapping."""
        return iter([comparison.control for comparison in self.comparisons])

    @property
    def selectivity(self) -> float:
        """The smallest selectivity over the battery."""
        return min(comparison.selectivity.value for comparison in self.comparisons)


@final
@dataclass(frozen=True, eq=False, repr=False)
class Sweep(Reported):
    """Results of one study at several sites (layers), with p-values corrected over the sites by max-T."""

    title: str
    results: Mapping[str, Result]  # site: result
    adjusted_p: Mapping[str, Mapping[str, float]]  # control: site: step-down max-T p
    alpha: float

    def __getitem__(self, site: str) -> Result:
        """Return the result at a site."""
        if site not in self.results:
            raise unknown_name("site", site, self.results)
        return self.results[site]

    def __iter__(self) -> Iterator[str]:
        """Go over the names of the sites, as over those of a mapping."""
        return iter(self.results)


@dataclass(frozen=True)
class Component:
    """One part of the variance of an estimate."""

    factor: str  # units, redrawn models, label draws …
    levels: int  # how many there were
    variance: float  # what it adds to the variance of the estimate
    df: float  # of the variance of its means
    below_zero: bool = False  # whether what is left of that beside interactions is negative; 0 stands for it


@final
@dataclass(frozen=True, eq=False, repr=False)
class DifferenceInDifferences:
    """(task − control) in the trained model less (task − control) in redrawn ones. Prints as a table."""

    title: str
    metric: str
    estimate: Estimate  # the difference, with units, models and label draws in its interval
    bounds: tuple[float, float]  # ends of the 1 − 2·alpha interval, by which the verdict goes
    trained: np.ndarray  # selectivities (T,)
    redrawn: np.ndarray  # selectivities (J,)
    trained_scores: tuple[float, float]  # mean on the labels, mean on the label control
    redrawn_scores: tuple[float, float]
    p_value: float
    p_lower: float
    p_floor: float
    inference: str  # "ensemble": the rank of one model; "exact": a test of several against several
    verdict: Verdict
    reason: str
    components: tuple[Component, ...]
    labels: str  # the label control, as it would be typed
    against: str  # what trained models are compared with
    null: str
    licenses: str
    notes: tuple[str, ...]
    proofs: tuple[Mapping[str, float], ...]  # of the redrawn models
    alpha: float
    smallest_effect: float
    draws: int  # of labels
    n: int
    n_units: int
    unit: str
    seed: int
    seconds: float

    def __repr__(self) -> str:
        """Return the tables that the terminal shows."""
        from controls import report

        return report.difference_text(self)

    def to_frame(self) -> pd.DataFrame:
        """Return one row per model: its selectivity, and whether it was trained."""
        from controls import report

        return report.difference_frame(self)

    def components_frame(self) -> pd.DataFrame:
        """Return one row per part of the variance: factor, levels, variance, share, degrees of freedom."""
        from controls import report

        return report.components_frame(self)

    def to_json(self, path: str | Path | None = None) -> str:
        """Return the record as JSON, and write it where a path is given."""
        from controls import report

        return report.as_json(self, path)

    def plot(self) -> Any:
        """Return a matplotlib Figure: a mark per model, and the difference of their means."""
        from controls import report

        return report.plot(self)
