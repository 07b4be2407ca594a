"""The results in words and tables: printed, and put between the markers of the README."""

from __future__ import annotations

from typing import Any

import numpy as np

from case_studies import page
from case_studies.tiny_lm.plan import ARMS, FIRST

_LEVEL = 0.01  # .05 over five comparisons


def report(results: dict[str, Any]) -> str:
    """Return the results as Markdown; parts whose arms were not run are left out."""
    parts = [_facts(results)]
    parts += [_replicates(results)] if FIRST in results["arms"] else []
    parts += [_arms(results)]
    parts += [_comparisons(results)] if results["comparisons"] else []
    return "\n\n".join(parts) + "\n"


def _facts(results: dict[str, Any]) -> str:
    corpus, baselines = results["corpus"], results["baselines"]
    first = next(iter(results["arms"].values()))[0]
    return (
        f"The {results['form']} form: {first['parameters']:,} parameters. "
        f"Standard library of Python {corpus['python']}: {corpus['files']} files, "
        f"{corpus['held_out_files']} of them held out; {corpus['train_tokens']:,} tokens to train on, "
        f"{results['seen_tokens']:,} of them seen by a run; {corpus['held_out_tokens']:,} held-out tokens predicted. "
        f"Held-out loss of a unigram model {baselines['unigram']:.3f}, of a bigram model {baselines['bigram']:.3f} "
        f"nats per token. A run took {_spread([r['seconds'] for rs in results['arms'].values() for r in rs], 0)} "
        "seconds on one thread."
    )


def _replicates(results: dict[str, Any]) -> str:
    runs = results["arms"][FIRST]
    stages = results["stages"]
    head = [f"step {step} ({name})" for name, step in stages.items()]
    rows = [[str(run["seed"]), *(f"{run['held_out'][str(step)]:.3f}" for step in stages.values())] for run in runs]
    below = sum(run["held_out_end"] < results["baselines"]["bigram"] for run in runs)
    return (
        f"Held-out loss of the checkpoints, by seed ({ARMS[FIRST].words}); {below} of {len(runs)} end below the "
        f"bigram model:\n\n{page.table(['seed', *head], rows)}"
    )


def _arms(results: dict[str, Any]) -> str:
    rows = []
    for arm, runs in results["arms"].items():
        losses = np.array([run["held_out_end"] for run in runs])
        cosines = max(run["largest_cosine"] for run in runs)
        each = ", ".join(f"{loss:.3f}" for loss in losses)
        spread = f"{losses.std(ddof=1):.3f}"
        rows.append([ARMS[arm].words, f"{runs[0]['trained_parameters']:,}", f"{cosines:.3f}", f"{losses.mean():.3f}"])
        rows[-1] += [spread, each]
    head = ["embedding", "parameters trained", "largest cosine", "held-out loss", "sd over seeds", "by seed"]
    return f"The embedding alone, at the last step:\n\n{page.table(head, rows)}"


def _comparisons(results: dict[str, Any]) -> str:
    rows = [
        [
            f"{ARMS[item['worse']].words} − {ARMS[item['better']].words}",
            f"{item['difference']:+.3f} [{item['low']:+.3f}, {item['high']:+.3f}]",
            f"{item['p_two_sample']:.4f} ({item['p_two_sample_floor']:.4f})",
            f"{item['p_paired']:.4f} ({item['p_paired_floor']:.4f})",
            f"{item['correlation']:+.2f}",
            "yes" if item["p_two_sample"] <= _LEVEL and item["low"] > 0 else "not shown",
        ]
        for item in results["comparisons"]
    ]
    head = ["difference in loss", "paired, with 95% interval", "two-sample p (floor)", "paired p (floor)"]
    return page.table([*head, "correlation over seeds", "the first is worse"], rows)


def _spread(values: list[float], digits: int) -> str:
    return f"{min(values):.{digits}f} to {max(values):.{digits}f}"
