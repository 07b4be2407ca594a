"""Train SAEs on worlds of many rare features; write results.json and the README's block.

``python -m case_studies.recovery_by_architecture.run [--short [--publish]]``, from the project's root. What is done is
kept in ``parts/`` and is not done again; a training that was stopped goes on from its last checkpoint.
"""

from __future__ import annotations

import argparse
import itertools
import platform
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import controls as ct
from case_studies import page
from case_studies.files import kept
from case_studies.recovery_by_architecture.plan import CONSTANT, FULL, HERE, SHORT, Plan
from case_studies.recovery_by_architecture.report import report
from controls.core.rng import stream

_SWEPT = 3  # worlds for each step size


def train(plan: Plan, setting: str, kind: str, seed: int, checkpoint: Path) -> dict[str, Any]:
    """Train one SAE in a world of its own; return what it explains, and what it recovers."""
    key = ("recovery_by_architecture", setting, kind, seed)
    world = plan.world(setting, stream(seed, *key, "world"))
    batches = world.batches(plan.batch, stream(seed, *key, "rows"))
    found = ct.finders.train_stream(
        plan.sae(kind), batches, stream(seed, *key, "sae"), checkpoint=checkpoint, every=1000
    )
    fresh = ct.Problem(world.activations(plan.scored, stream(seed, *key, "scored")))
    cosines = ct.metrics.MMCS(world.directions).per_direction(found, fresh)
    alive = round(plan.m * (1 + ct.metrics.neg_dead_share(found, fresh)))
    return {
        "setting": setting,
        "kind": kind,
        "seed": seed,
        "explained": round(ct.metrics.explained_variance(found, fresh), 4),
        "l0": round(-ct.metrics.neg_l0(found, fresh), 2),
        "recovered": round(float((cosines > 0.8).mean()), 5),
        "mmcs": round(float(cosines.mean()), 4),
        "alive": alive,
        "chance": round(ct.metrics.chance_cosine(alive, plan.d), 4),  # of as many random directions
    }


def study(plan: Plan, parts: Path) -> dict[str, Any]:
    """Return the results as a record; worlds of one number of all kinds come before the next number."""
    trained = []
    for seed in range(max(plan.worlds.values())):
        for (setting, kind), worlds in plan.worlds.items():
            if seed < worlds:
                path = parts / f"{setting}-{kind}-{seed}.json"
                checkpoint = path.with_suffix(".checkpoint")
                trained.append(kept(path, partial(train, plan, setting, kind, seed, checkpoint)))
                checkpoint.unlink(missing_ok=True)
                print(trained[-1], flush=True)
    sizes = {name: getattr(plan, name) for name in ("d", "m", "active", "steps", "batch", "lr")}
    return {
        "form": "short" if plan == SHORT else "full",
        "python": platform.python_version(),
        **sizes,
        "trained": trained,
        "sweep": sweep(plan, parts),
    }


def sweep(plan: Plan, parts: Path) -> list[dict[str, Any]]:
    """Return what SAEs with other step sizes find, at the size of the short form."""
    found = []
    for lr, kind, seed in itertools.product(plan.sweep, ("TopK", "BatchTopK"), range(_SWEPT)):
        path = parts / f"sweep-{lr:g}-{kind}-{seed}.json"
        swept = replace(SHORT, lr=lr)
        found.append(
            {"lr": lr} | kept(path, partial(train, swept, CONSTANT, kind, seed, path.with_suffix(".checkpoint")))
        )
        path.with_suffix(".checkpoint").unlink(missing_ok=True)
    return found


def main(arguments: list[str] | None = None, folder: Path | None = None) -> dict[str, Any]:
    """Run the case study with these arguments of the command line; return the results."""
    parser = argparse.ArgumentParser(prog="python -m case_studies.recovery_by_architecture.run", description=__doc__)
    parser.add_argument("--short", action="store_true", help="a quarter of the dimensions and features, seconds each")
    parser.add_argument("--publish", action="store_true", help="write README and results.json of the short form, too")
    chosen = parser.parse_args(arguments)
    place = folder or (HERE if chosen.publish or not chosen.short else None)
    own = (place or HERE) / "parts" / ("short" if chosen.short else "full")
    own.mkdir(parents=True, exist_ok=True)
    results = study(SHORT if chosen.short else FULL, own)
    print(f"\n{report(results)}")
    if place is not None:
        page.keep(place, results, report(results))
    return results


if __name__ == "__main__":
    main()
