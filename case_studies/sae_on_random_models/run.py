"""Train SAEs on models and texts drawn anew; write results.json, the figure and the README's block.

``python -m case_studies.sae_on_random_models.run [--short [--publish]]``, from the project's root. The full form
reads the checkpoints that ``python -m case_studies.tiny_lm.run`` makes. What is done is kept in ``parts/`` and is not
done again.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from case_studies.sae_on_random_models.cells import cell, problem_of
from case_studies.sae_on_random_models.figure import draw
from case_studies.sae_on_random_models.plan import FULL, HERE, MODELS, REAL, SHORT, TEXTS, TRAINED, Plan
from case_studies.sae_on_random_models.report import comparisons, into_readme, report, slopes
from case_studies.tiny_lm import plan as tiny
from case_studies.tiny_lm.corpus import read_corpus
from case_studies.tiny_lm.model import load
from case_studies.tiny_lm.run import train_all
from controls.demo import minilm as installed


def table(plan: Plan, kept: Path, checkpoints: Path, short: bool) -> list[dict[str, Any]]:
    """Return a record for each trained seed, model, text and layer."""
    corpus = read_corpus(tiny.SHORT if short else tiny.FULL)
    if short:
        train_all(tiny.SHORT, corpus, checkpoints, arms=["trained"])
    tokens = corpus.held_out[: plan.windows, : plan.context].astype(np.int64)
    records: list[dict[str, Any]] = []
    for seed in range(plan.seeds):
        path = kept / f"seed{seed}.json"
        if not path.exists():
            started = time.perf_counter()
            found = _of_seed(seed, tokens, plan, checkpoints)
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_suffix(".part")
            part.write_text(json.dumps({"seconds": time.perf_counter() - started, "cells": found}), encoding="utf-8")
            part.replace(path)
            print(f"seed {seed}: {time.perf_counter() - started:.0f} s", flush=True)
        records += json.loads(path.read_text(encoding="utf-8"))["cells"]
    return records


def _of_seed(seed: int, tokens: np.ndarray, plan: Plan, checkpoints: Path) -> list[dict[str, Any]]:
    problem = problem_of(load(seed, folder=checkpoints), tokens, plan)
    decoders: dict[str, Any] = {}
    order = [(TRAINED, REAL), *((m, t) for m in MODELS for t in TEXTS if (m, t) != (TRAINED, REAL))]
    return [record for model, text in order for record in cell(problem, model, text, seed, plan, decoders)]


def study(plan: Plan, kept: Path, checkpoints: Path) -> dict[str, Any]:
    """Return the results as a record."""
    short, started = plan == SHORT, time.perf_counter()
    records = table(plan, kept, checkpoints, short)
    seconds = sum(json.loads(path.read_text(encoding="utf-8"))["seconds"] for path in sorted(kept.glob("seed*.json")))
    of_minilm: dict[str, Any] = {}
    before = time.perf_counter()
    if plan.minilm_files and installed.is_installed():
        from case_studies.sae_on_random_models.minilm import four_cells

        of_minilm = four_cells(plan, str(kept / "minilm.store"))
    return {
        "form": "short" if short else "full",
        "python": platform.python_version(),
        "seeds": plan.seeds,
        "rows": plan.windows * plan.context,
        "layers": list(plan.layers),
        "latents": plan.latents,
        "k": plan.k,
        "steps": plan.steps,
        "seconds": {
            "tiny model": round(seconds),
            "MiniLM": round(time.perf_counter() - before),
            "this call": round(time.perf_counter() - started),
        },
        "cells": records,
        "comparisons": comparisons(records, plan),
        "slopes": slopes(records, plan),
        "minilm": of_minilm,
    }


def keep(results: dict[str, Any], place: Path) -> None:
    """Write results.json and the figure, and the README's block where there is a README."""
    (place / "results.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    draw(results).savefig(place / "depth.png", dpi=130)
    readme = place / "README.md"
    if readme.exists():
        readme.write_text(into_readme(readme.read_text(encoding="utf-8"), results), encoding="utf-8")
    print(f"Written: {place / 'results.json'}, {place / 'depth.png'}")


def main(arguments: list[str] | None = None, folder: Path | None = None) -> dict[str, Any]:
    """Run the case study with these arguments of the command line; return the results."""
    parser = argparse.ArgumentParser(prog="python -m case_studies.sae_on_random_models.run", description=__doc__)
    parser.add_argument("--short", action="store_true", help="smaller models, trained here: about a minute")
    parser.add_argument("--publish", action="store_true", help="write README and results.json of the short form, too")
    parser.add_argument("--without-minilm", action="store_true", help="leave out the four cells on MiniLM")
    chosen = parser.parse_args(arguments)
    place = folder or (HERE if chosen.publish or not chosen.short else None)
    own = (place or HERE) / "parts" / ("short" if chosen.short else "full")
    checkpoints = own / "models" if chosen.short else tiny.default_folder()
    full = replace(FULL, minilm_files=0) if chosen.without_minilm else FULL
    results = study(SHORT if chosen.short else full, own, checkpoints)
    print(f"\n{report(results)}")
    if place is not None:
        keep(results, place)
    return results


if __name__ == "__main__":
    main()
