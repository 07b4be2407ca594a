"""Learn dictionaries of embeddings and of random rows; write results.json, the figure and the README's block.

``python -m case_studies.embedding_matrix.run [--short [--publish]]``, from the project's root. The full form reads
the checkpoints that ``python -m case_studies.tiny_lm.run`` makes. What is done is kept in ``parts/`` and is not done
again.
"""

from __future__ import annotations

import argparse
import functools
import json
import platform
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from case_studies import page, smollm2
from case_studies.embedding_matrix import embeddings
from case_studies.embedding_matrix.embeddings import Embedding
from case_studies.embedding_matrix.figure import draw
from case_studies.embedding_matrix.plan import (
    BY_FREQUENCY,
    COUNTED,
    FULL,
    HERE,
    SHORT,
    SPELLINGS,
    STAGES,
    Plan,
    Pursuit,
)
from case_studies.embedding_matrix.pursuit import SCORED, scores
from case_studies.embedding_matrix.report import REAL, report
from case_studies.embedding_matrix.rows import CONTROLS
from case_studies.files import all_kept
from case_studies.tiny_lm import plan as tiny
from case_studies.tiny_lm.corpus import Corpus, read_corpus
from case_studies.tiny_lm.run import train_all
from controls.core.rng import stream


def tiny_seed(seed: int, plan: Pursuit, corpus: Corpus, checkpoints: Path) -> dict[str, Any]:
    """Return the scores of one training's embedding, stage by stage, each beside one draw of every control."""
    cells, facts = [], {}
    for stage in STAGES:
        embedding = embeddings.of_tiny_model(seed, stage, corpus, plan.tokens, checkpoints)
        for counted in COUNTED if stage == STAGES[-1] else (BY_FREQUENCY,):
            chosen = _counted(embedding, counted)
            facts[counted] = _facts(chosen)
            for rows in (REAL, *CONTROLS):
                rng = stream(seed, "embedding_matrix", stage, counted, rows)
                found = _scores(chosen, rows, plan, rng)
                cells.append({"seed": seed, "stage": stage, "counted": counted, "rows": rows, **found})
    return {"cells": cells, "facts": facts}


def draw_of_smollm2(draw: int, plan: Pursuit) -> dict[str, Any]:
    """Return the scores of SmolLM2's embedding, with a dictionary seed of its own, and of one draw of every control."""
    embedding = embeddings.of_smollm2(plan.tokens)
    cells, facts = [], {}
    for counted in COUNTED:
        chosen = _counted(embedding, counted)
        facts[counted] = _facts(chosen)
        for rows in (REAL, *CONTROLS):
            rng = stream(draw, "embedding_matrix", "SmolLM2", counted, rows)
            cells.append({"seed": draw, "counted": counted, "rows": rows, **_scores(chosen, rows, plan, rng)})
    return {"cells": cells, "facts": facts}


def _counted(embedding: Embedding, how: str) -> Embedding:
    chosen = embedding.one_of_each_spelling() if how == SPELLINGS else embedding
    return chosen if how == BY_FREQUENCY else replace(chosen, counts=np.ones_like(chosen.counts))


def _scores(embedding: Embedding, rows: str, plan: Pursuit, rng: np.random.Generator) -> dict[str, float]:
    drawn = embedding if rows == REAL else replace(embedding, rows=CONTROLS[rows](embedding, rng))
    return {name: round(value, 5) for name, value in scores(drawn, plan, rng).items()}


def _facts(embedding: Embedding) -> dict[str, Any]:
    scored = embedding.counts[::SCORED] / embedding.counts[::SCORED].sum()
    return {
        "tokens": len(embedding.rows),
        "width": embedding.rows.shape[1],
        "read": int(embedding.counts.sum()),
        "scored as good as": round(1 / float(np.square(scored).sum())),
    }


def study(plan: Plan, parts: Path, checkpoints: Path, jobs: int = 1) -> dict[str, Any]:
    """Return the results as a record."""
    short = plan == SHORT
    sizes = tiny.SHORT if short else tiny.FULL
    corpus = read_corpus(sizes)
    if short:
        train_all(sizes, corpus, checkpoints, arms=["trained"])
    wanted = {
        parts / f"tiny-seed{seed}.json": functools.partial(tiny_seed, seed, plan.tiny, corpus, checkpoints)
        for seed in range(plan.seeds)
    }
    seeds = all_kept(wanted, jobs)
    results: dict[str, Any] = {
        "form": "short" if short else "full",
        "python": platform.python_version(),
        "steps": sizes.stages,
        "tiny": {
            "plan": asdict(plan.tiny),
            "seeds": plan.seeds,
            "seconds": sum(found["seconds"] for found in seeds),
            "facts": seeds[0]["facts"],
            "cells": [cell for found in seeds for cell in found["cells"]],
        },
        "smollm2": {},
    }
    if plan.smollm2 is not None and smollm2.is_installed():
        wanted = {
            parts / f"smollm2-draw{draw}.json": functools.partial(draw_of_smollm2, draw, plan.smollm2)
            for draw in range(plan.draws)
        }
        draws = all_kept(wanted, jobs)
        results["smollm2"] = {
            "plan": asdict(plan.smollm2),
            "draws": plan.draws,
            "seconds": sum(found["seconds"] for found in draws),
            "facts": draws[0]["facts"],
            "cells": [cell for found in draws for cell in found["cells"]],
        }
    return json.loads(json.dumps(results))


def main(arguments: list[str] | None = None, folder: Path | None = None) -> dict[str, Any]:
    """Run the case study with these arguments of the command line; return the results."""
    parser = argparse.ArgumentParser(prog="python -m case_studies.embedding_matrix.run", description=__doc__)
    parser.add_argument("--short", action="store_true", help="smaller models, trained here, without SmolLM2")
    parser.add_argument("--publish", action="store_true", help="write README and results.json of the short form, too")
    parser.add_argument("--jobs", type=int, default=2, help="processes, a thread each (default: 2)")
    chosen = parser.parse_args(arguments)
    place = folder or (HERE if chosen.publish or not chosen.short else None)
    own = (place or HERE) / "parts" / ("short" if chosen.short else "full")
    checkpoints = own / "models" if chosen.short else tiny.default_folder()
    results = study(SHORT if chosen.short else FULL, own, checkpoints, chosen.jobs)
    print(f"\n{report(results)}")
    if place is not None:
        page.keep(place, results, report(results), errors=draw(results))
    return results


if __name__ == "__main__":
    main()
