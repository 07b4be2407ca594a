"""MiniLM and SmolLM2: corner cells with enough draws for a verdict, the others with few, to be looked at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import controls as ct
from case_studies import smollm2
from case_studies.sae_on_random_models.cells import cell
from case_studies.sae_on_random_models.plan import CORNERS, MODELS, REAL, TEXTS, TRAINED, Plan
from controls.demo import corpus, minilm

LAYERS = {"MiniLM": "encoder.layer.3", "SmolLM2": "layers.10"}
SCORINGS = {"explained": ct.metrics.explained_variance, "entropy": ct.metrics.TokenEntropy()}


def read(name: str, files: int, folder: Path) -> ct.Problem:
    """Return what one model's layer makes of source files, a row a token; files are the unit."""
    chunks = minilm.chunks_of(corpus.read_library(files), per_file=2)
    tokenizer, model = minilm.load() if name == "MiniLM" else smollm2.load(folder)
    return ct.from_model(
        model,
        [[token.text for token in chunk.tokens] for chunk in chunks],
        layers=[LAYERS[name]],
        tokenizer=tokenizer,
        pooling="token",
        groups={"document": [chunk.file for chunk in chunks]},
        unit="document",
    )


def four_cells(problem: ct.Problem, plan: Plan, store: str) -> dict[str, Any]:
    """Return, by score, the trained model on real text beside draws of the three other corner cells."""
    battery = [ct.ShuffleTokens(), ct.Reinitialize(), ct.compose(ct.ShuffleTokens(), ct.Reinitialize())]
    fold = problem.unit_codes % 4 == 0
    results = {}
    for name, scoring in SCORINGS.items():
        result = ct.measure(
            plan.larger_sae,
            problem,
            controls=battery,
            scoring=scoring,
            cv=[(np.flatnonzero(~fold), np.flatnonzero(fold))],
            draws=plan.draws,
            seed=0,
            store=store,
            title=name,
        )
        results[name] = _record(result, problem)
    return results


def few_draws(problem: ct.Problem, plan: Plan, *, corners: bool) -> dict[str, Any]:
    """Return a few draws of the cells: of the four corners alone, or of all."""
    order = [(TRAINED, REAL), *((m, t) for m in MODELS for t in TEXTS if (m, t) != (TRAINED, REAL))]
    cells = []
    for seed in range(plan.few):
        decoders: dict[str, Any] = {}
        for model, text in CORNERS if corners else order:
            cells += cell(problem, model, text, seed, plan.larger_sae, decoders)
    return {"rows": problem.n, "documents": problem.n_units, "draws": plan.few, "cells": cells}


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
