"""Train SAEs on models and texts drawn anew; write results.json, the figure and the README's block.

``python -m case_studies.sae_on_random_models.run [--short [--publish]]``, from the project's root. The full form
reads the checkpoints that ``python -m case_studies.tiny_lm.run`` makes. What is done is kept in ``parts/`` and is not
done again.
"""

from __future__ import annotations

import argparse
import functools
import platform
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from case_studies import page, smollm2
from case_studies.files import all_kept
from case_studies.sae_on_random_models import larger
from case_studies.sae_on_random_models.cells import cell, problem_of
from case_studies.sae_on_random_models.compare import comparisons, orders, slopes
from case_studies.sae_on_random_models.figure import draw
from case_studies.sae_on_random_models.plan import FULL, HERE, MODELS, REAL, SHORT, TEXTS, TRAINED, Plan
from case_studies.sae_on_random_models.report import report
from case_studies.tiny_lm import plan as tiny
from case_studies.tiny_lm.corpus import read_corpus
from case_studies.tiny_lm.model import load
from case_studies.tiny_lm.run import train_all
from controls.demo import minilm


def of_seed(seed: int, tokens: np.ndarray, plan: Plan, checkpoints: Path) -> dict[str, Any]:
    """Return a record for each model, text and layer, of one training of the tiny model."""
    problem = problem_of(load(seed, folder=checkpoints), tokens, plan)
    decoders: dict[str, Any] = {}
    order = [(TRAINED, REAL), *((m, t) for m in MODELS for t in TEXTS if (m, t) != (TRAINED, REAL))]
    return {
        "cells": [record for model, text in order for record in cell(problem, model, text, seed, plan.sae, decoders)]
    }


def corners_of_minilm(plan: Plan, parts: Path) -> dict[str, Any]:
    """Return four cells of MiniLM, with draws enough for a verdict."""
    at = larger.read("MiniLM", plan.files, parts).at(larger.LAYERS["MiniLM"])
    return {"found": larger.four_cells(at, plan, str(parts / "minilm.store"))}


def few_of(name: str, plan: Plan, parts: Path) -> dict[str, Any]:
    """Return few draws of a larger model's cells; of SmolLM2's corners alone."""
    return larger.few_draws(larger.read(name, plan.files, parts), plan, corners=name == "SmolLM2")


def larger_models(plan: Plan, parts: Path) -> dict[str, functools.partial[dict[str, Any]]]:
    """Return how the parts of MiniLM and SmolLM2 are made, where they are installed or were made before."""
    wanted = {
        "minilm-corners": (minilm.is_installed, functools.partial(corners_of_minilm, plan, parts)),
        "minilm-few": (minilm.is_installed, functools.partial(few_of, "MiniLM", plan, parts)),
        "smollm2-few": (smollm2.is_installed, functools.partial(few_of, "SmolLM2", plan, parts)),
    }
    return {
        name: make
        for name, (is_installed, make) in wanted.items()
        if (parts / f"{name}.json").exists() or is_installed()
    }


def study(plan: Plan, parts: Path, checkpoints: Path, jobs: int = 1) -> dict[str, Any]:
    """Return the results as a record."""
    short = plan == SHORT
    sizes = tiny.SHORT if short else tiny.FULL
    corpus = read_corpus(sizes)
    if short:
        train_all(sizes, corpus, checkpoints, arms=["trained"])
    tokens = corpus.held_out[: plan.windows, : plan.context].astype(np.int64)
    tiny_model = {
        f"seed{seed}": functools.partial(of_seed, seed, tokens, plan, checkpoints) for seed in range(plan.seeds)
    }
    wanted = (larger_models(plan, parts) if plan.files else {}) | tiny_model  # the longest come first
    made = all_kept({parts / f"{name}.json": make for name, make in wanted.items()}, jobs)
    found = dict(zip(wanted, made, strict=True))
    seeds = [found.pop(name) for name in tiny_model]
    cells = [record for each in seeds for record in each["cells"]]
    return {
        "form": "short" if short else "full",
        "python": platform.python_version(),
        "seeds": plan.seeds,
        "rows": plan.windows * plan.context,
        "layers": list(plan.layers),
        "latents": plan.latents,
        "k": plan.k,
        "steps": plan.steps,
        "seconds": round(sum(each["seconds"] for each in seeds)),
        "cells": cells,
        "comparisons": comparisons(cells, plan),
        "slopes": slopes(cells, plan),
        "orders": orders(cells, plan),
        "larger": found,
    }


def main(arguments: list[str] | None = None, folder: Path | None = None) -> dict[str, Any]:
    """Run the case study with these arguments of the command line; return the results."""
    parser = argparse.ArgumentParser(prog="python -m case_studies.sae_on_random_models.run", description=__doc__)
    parser.add_argument("--short", action="store_true", help="smaller models, trained here: about a minute")
    parser.add_argument("--publish", action="store_true", help="write README and results.json of the short form, too")
    parser.add_argument("--tiny-only", action="store_true", help="leave out MiniLM and SmolLM2")
    parser.add_argument("--jobs", type=int, default=2, help="processes, a thread each (default: 2)")
    chosen = parser.parse_args(arguments)
    place = folder or (HERE if chosen.publish or not chosen.short else None)
    own = (place or HERE) / "parts" / ("short" if chosen.short else "full")
    checkpoints = own / "models" if chosen.short else tiny.default_folder()
    full = replace(FULL, files=0) if chosen.tiny_only else FULL
    results = study(SHORT if chosen.short else full, own, checkpoints, chosen.jobs)
    print(f"\n{report(results)}")
    if place is not None:
        page.keep(place, results, report(results), depth=draw(results))
    return results


if __name__ == "__main__":
    main()
