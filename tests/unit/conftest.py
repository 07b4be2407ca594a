"""Synthetic records for tests of reports: built by hand, so that no other part is needed."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from controls.core.result import (
    ClaimVerdict,
    Comparison,
    Estimate,
    Provenance,
    Result,
    Sweep,
    Verdict,
)
from controls.core.rng import stream

NAN = math.nan


def build_estimate(value: float, half: float = 0.031, **changes: Any) -> Estimate:
    given = Estimate(value, value - half, value + half, 0.95, half / 2, 37.0, "fitted")
    return replace(given, **changes)


def build_comparison(control: str = "ShuffleLabels", *, mean: float = 0.501, **changes: Any) -> Comparison:
    score, draws = changes.get("score", 0.912), changes.get("draws", 199)
    scores = mean + 0.02 * stream(7, control, draws).standard_normal(draws)
    mean = float(scores.mean())
    share = (1 + int((scores >= score).sum())) / (draws + 1)
    given = Comparison(
        control=control,
        description=f"{control}(within='document')",
        level="labels",
        score=score,
        control_scores=scores,
        control_mean=mean,
        selectivity=build_estimate(score - mean),
        bounds=(score - mean - 0.026, score - mean + 0.026),
        p_value=share,
        p_lower=(1 + int((scores <= score).sum())) / (draws + 1),
        p_floor=1 / (draws + 1),
        p_interval=(0.0, 0.0184),
        claim_p=share,
        draws=draws,
        enumerated=False,
        log_relabelings=812.44,
        inference="exact",
        caveats=(),
        verdict=Verdict.SELECTIVE,
        reason="p is at most 0.05 and the whole 90% interval lies above the smallest effect of interest",
        preserves=("the activations", "the groups", "how often each label occurs within each document"),
        destroys=("which row has which label within each document",),
        null="Given the activations, the labels of rows within the same document are exchangeable.",
        licenses="The activations carry information about the labels beyond what the document tells; "
        "not that the model learned it.",
        licensed=True,
        integrity={"share of rows whose label changed": 0.734},
    )
    return replace(given, **changes)


def build_ensemble(control: str = "ControlTask", **changes: Any) -> Comparison:
    given = build_comparison(control, mean=0.731, draws=39, score=changes.get("score", 0.912))
    given = replace(
        given,
        description="ControlTask(per='word')",
        inference="ensemble",
        log_relabelings=None,
        p_interval=(0.0, 0.0903),
        selectivity=replace(given.selectivity, approximate=True),
        caveats=("a control task measures what the probe can memorise; it is not a false null",),
        preserves=("the activations", "the groups", "one label for all rows of a word"),
        destroys=("which word has which label",),
        null="The score is no higher than on random tasks that give each word one label.",
        licenses="The probe reads more than it could memorise about each word.",
        integrity={"share of test words seen in training": 0.684, "classes": 7.0},
    )
    return replace(given, **changes)


def build_provenance(**changes: Any) -> Provenance:
    given = Provenance(
        study_key="5f3a19c07be24d11aa02c4e9",
        data_key="b1946ac92492d2347c6235b4",
        seed=3,
        versions={"controls": "0.1.0", "numpy": "2.4.1"},
        n=21148,
        d=384,
        unit="document",
        n_units=118,
        folds="5 folds of whole documents",
        trainer="LogisticProbe(C=1.0)",
        plan="blocks of 64 columns",
        threads=2,
        started="2025-03-04T09:30:00+00:00",
        seconds=75.25,
    )
    return replace(given, **changes)


def build_result(*comparisons: Comparison, **changes: Any) -> Result:
    given = Result(
        title="Does layer 3 know the role of a name?",
        metric="roc_auc",
        score=0.912,
        score_estimate=build_estimate(0.912, 0.017),
        fold_scores=(0.905, 0.921, 0.899, 0.918, 0.917),
        comparisons=comparisons or (build_comparison(), build_ensemble()),
        verdict=ClaimVerdict.HOLDS,
        reason="the score is selective against every control of the battery",
        alpha=0.05,
        smallest_effect=0.1,
        target="fitted",
        notes=(),
        provenance=build_provenance(),
    )
    return replace(given, **changes)


def build_sweep(sites: int = 5, **changes: Any) -> Sweep:
    results, p = {}, {}
    for place in range(sites):
        site, score = f"layer {place}", 0.55 + 0.09 * min(place, 3) - 0.03 * (place == 4)
        shuffled = build_comparison(score=score)
        verdict = Verdict.SELECTIVE if place else Verdict.INCONCLUSIVE
        task = build_ensemble(score=score, verdict=Verdict.INCONCLUSIVE, licensed=False)
        results[site] = build_result(
            replace(shuffled, verdict=verdict),
            task,
            title=f"role at {site}",
            score=score,
            score_estimate=build_estimate(score, 0.02),
            verdict=ClaimVerdict.UNDECIDED,
        )
        p[site] = (0.12, 0.08, 0.015, 0.005, 0.005)[place % 5]
    adjusted = {"ShuffleLabels": p, "ControlTask": dict.fromkeys(p, 0.275)}
    return replace(Sweep("Where is the role of a name?", results, adjusted, 0.05), **changes)


def build_ugly() -> Result:
    """A result in which nothing that may be missing is there, and all text is hostile."""
    nasty = "<script>alert('x')</script>"
    gone = Estimate(0.0, NAN, NAN, 0.95, NAN, NAN, "fitted", approximate=True)
    comparison = build_comparison(
        f"Own$x${nasty}",
        description=f"Own(per='{nasty}', cost='$5$')",
        score=NAN,
        control_scores=np.full(3, NAN),
        control_mean=NAN,
        draws=3,
        selectivity=replace(gone, value=NAN),
        bounds=(NAN, NAN),
        p_value=NAN,
        p_lower=NAN,
        p_floor=0.25,
        p_interval=None,
        claim_p=NAN,
        enumerated=True,
        log_relabelings=math.log(3),
        caveats=(nasty,),
        verdict=Verdict.INCONCLUSIVE,
        reason=f"the floor .25 is above alpha; {nasty}",
        preserves=(),
        destroys=(nasty,),
        null=nasty,
        licenses=nasty,
        licensed=False,
        integrity={nasty: NAN},
        failures=((0, nasty), (2, f"{nasty}\nsecond line")),
    )
    return build_result(
        comparison,
        title=f'{nasty} [bold]$x$ & "more"',
        metric=nasty,
        score=NAN,
        score_estimate=replace(gone, value=NAN),
        fold_scores=(NAN,),
        verdict=ClaimVerdict.UNDECIDED,
        reason=nasty,
        smallest_effect=0.0,
        notes=(f"{nasty}: rows were taken as units",),
        provenance=build_provenance(
            unit="rows", study_key=None, trainer=nasty, folds=nasty, n=3, n_units=3, store=nasty
        ),
    )


@pytest.fixture(scope="session")
def build() -> SimpleNamespace:
    """Builders of records, by what they build."""
    builders: dict[str, Callable[..., Any]] = {
        "estimate": build_estimate,
        "comparison": build_comparison,
        "ensemble": build_ensemble,
        "provenance": build_provenance,
        "result": build_result,
        "sweep": build_sweep,
        "ugly": build_ugly,
    }
    return SimpleNamespace(**builders)


@pytest.fixture(scope="session")
def records() -> dict[str, Any]:
    """One record of each kind, and one of which everything is missing or hostile."""
    return {"result": build_result(), "sweep": build_sweep(), "ugly": build_ugly()}
