"""Four cells on MiniLM, {trained, re-initialised} × {real, shuffled}, each control with draws of its own."""

from __future__ import annotations

from typing import Any

import numpy as np

import controls as ct
from case_studies.sae_on_random_models.plan import Plan
from controls.demo import corpus
from controls.demo import minilm as model_of

LAYER = "encoder.layer.3"
SCORINGS = {"explained": ct.metrics.explained_variance, "entropy": ct.metrics.TokenEntropy()}


def four_cells(plan: Plan, store: str) -> dict[str, Any]:
    """Return, by score, the trained model on real text beside the draws of the three other cells."""
    chunks = model_of.chunks_of(corpus.read_library(plan.minilm_files), per_file=2)
    tokenizer, model = model_of.load()
    problem = ct.from_model(
        model,
        [[token.text for token in chunk.tokens] for chunk in chunks],
        layer=LAYER,
        tokenizer=tokenizer,
        pooling="token",
        groups={"document": [chunk.file for chunk in chunks]},
        unit="document",
    )
    battery = [ct.ShuffleTokens(), ct.Reinitialize(), ct.compose(ct.ShuffleTokens(), ct.Reinitialize())]
    fold = problem.unit_codes % 4 == 0
    results = {}
    for name, scoring in SCORINGS.items():
        result = ct.measure(
            plan.minilm_sae,
            problem,
            controls=battery,
            scoring=scoring,
            cv=[(np.flatnonzero(~fold), np.flatnonzero(fold))],
            draws=plan.minilm_draws,
            seed=0,
            store=store,
            title=name,
        )
        results[name] = _record(result, problem)
    return results


def _record(result: ct.Result, problem: ct.Problem) -> dict[str, Any]:
    return {
        "score": round(result.score, 4),
        "rows": problem.n,
        "documents": problem.n_units,
        "controls": {
            comparison.control: {
                "mean": round(comparison.control_mean, 4),
                "low": round(comparison.selectivity.low, 4),
                "difference": round(comparison.selectivity.value, 4),
                "high": round(comparison.selectivity.high, 4),
                "draws": comparison.draws,
                "above": round(comparison.p_value * (comparison.draws + 1)),
                "verdict": str(comparison.verdict),
            }
            for comparison in result.comparisons
        },
    }
