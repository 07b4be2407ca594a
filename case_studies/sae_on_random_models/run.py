"""Train SAEs on models and texts drawn anew; write results.json, the figure and the README's block.

``python -m case_studies.sae_on_random_models.run [--short [--publish]]``, from the project's root. The full form
reads the checkpoints that ``python -m case_studies.tiny_lm.run`` makes. What is done is kept in ``parts/`` and is not
done again.
"""

from __future__ import annotations

import argparse
import functools
import json
import platform
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from case_studies import smollm2
from case_studies.sae_on_random_models import larger
from case_studies.sae_on_random_models.cells import cell, problem_of
from case_studies.sae_on_random_models.figure import draw
from case_studies.sae_on_random_models.plan import FULL, HERE, MODELS, REAL, SHORT, TEXTS, TRAINED, Plan
from case_studies.sae_on_random_models.report import comparisons, into_readme, report, slopes
from case_studies.tiny_lm import plan as tiny
from case_studies.tiny_lm.checkpoints import write_json
from case_studies.tiny_lm.corpus import read_corpus
from case_studies.tiny_lm.model import load
from case_studies.tiny_lm.run import train_all
from controls.demo import minilm


def kept(path: Path, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return a part that is done, or do it and keep it."""
    if not path.exists():
        started = time.perf_counter()
        record = make()
        write_json(path, record | {"seconds": time.perf_counter() - started})
        print(f"{path.stem}: {time.perf_counter() - started:.0f} s", flush=True)
    return json.loads(path.read_text(encoding="utf-8"))


def of_seed(seed: int, tokens: np.ndarray, plan: Plan, checkpoints: Path) -> dict[str, Any]:
    """Return a record for each model, text and layer, of one training of the tiny model."""
    problem = problem_of(load(seed, folder=checkpoints), tokens, plan)
    decoders: dict[str, Any] = {}
    order = [(TRAINED, REAL), *((m, t) for m in MODELS for t in TEXTS if (m, t) != (TRAINED, REAL))]
    return {
        "cells": [record for model, text in order for record in cell(problem, model, text, seed, plan.sae, decoders)]
    }


def larger_models(plan: Plan, parts: Path) -> dict[str, Any]:
    """Return what is seen of MiniLM and SmolLM2, where they are installed; parts that were seen before stay."""
    problem_of_model = functools.cache(lambda name: larger.read(name, plan.files, parts))

    def corners() -> dict[str, Any]:
        at = problem_of_model("MiniLM").at(larger.LAYERS["MiniLM"])
        return {"found": larger.four_cells(at, plan, str(parts / "minilm.store"))}

    def few(name: str) -> dict[str, Any]:
        return larger.few_draws(problem_of_model(name), plan, corners=name == "SmolLM2")

    wanted = {
        "minilm-corners": (minilm.is_installed, corners),
        "minilm-few": (minilm.is_installed, lambda: few("MiniLM")),
        "smollm2-few": (smollm2.is_installed, lambda: few("SmolLM2")),
    }
    return {
        name: kept(parts / f"{name}.json", make)
        for name, (is_installed, make) in wanted.items()
        if (parts / f"{name}.json").exists() or is_installed()
    }


def study(plan: Plan, parts: Path, checkpoints: Path) -> dict[str, Any]:
    """Return the results as a record."""
    short = plan == SHORT
    sizes = tiny.SHORT if short else tiny.FULL
    corpus = read_corpus(sizes)
    if short:
        train_all(sizes, corpus, checkpoints, arms=["trained"])
    tokens = corpus.held_out[: plan.windows, : plan.context].astype(np.int64)
    seeds = [
        kept(parts / f"seed{seed}.json", lambda seed=seed: of_seed(seed, tokens, plan, checkpoints))
        for seed in range(plan.seeds)
    ]
    cells = [record for found in seeds for record in found["cells"]]
    return {
        "form": "short" if short else "full",
        "python": platform.python_version(),
        "seeds": plan.seeds,
        "rows": plan.windows * plan.context,
        "layers": list(plan.layers),
        "latents": plan.latents,
        "k": plan.k,
        "steps": plan.steps,
        "seconds": round(sum(found["seconds"] for found in seeds)),
        "cells": cells,
        "comparisons": comparisons(cells, plan),
        "slopes": slopes(cells, plan),
        "larger": larger_models(plan, parts) if plan.files else {},
    }


def keep(results: dict[str, Any], place: Path) -> None:
    """Write results.json and the figure, and the README's block where there is a README."""
    write_json(place / "results.json", results)
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
    parser.add_argument("--tiny-only", action="store_true", help="leave out MiniLM and SmolLM2")
    chosen = parser.parse_args(arguments)
    place = folder or (HERE if chosen.publish or not chosen.short else None)
    own = (place or HERE) / "parts" / ("short" if chosen.short else "full")
    checkpoints = own / "models" if chosen.short else tiny.default_folder()
    full = replace(FULL, files=0) if chosen.tiny_only else FULL
    results = study(SHORT if chosen.short else full, own, checkpoints)
    print(f"\n{report(results)}")
    if place is not None:
        keep(results, place)
    return results


if __name__ == "__main__":
    main()
