"""Train what is missing, compare, and write results.json, the figure and the README's block.

``python -m case_studies.tiny_lm.run [--short [--publish]] [--arms ARM ...] [--folder FOLDER] [--jobs 2]``, from
the project's root.
"""

from __future__ import annotations

import argparse
import platform
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import joblib
import numpy as np

from case_studies import page
from case_studies.tiny_lm import figure, report
from case_studies.tiny_lm.baselines import bigram_loss, unigram_loss
from case_studies.tiny_lm.checkpoints import claim
from case_studies.tiny_lm.compare import compare
from case_studies.tiny_lm.corpus import Corpus, read_corpus
from case_studies.tiny_lm.plan import ARMS, FULL, HERE, SHORT, Plan, default_folder
from case_studies.tiny_lm.train import run

_PARTS = 30  # points of a training curve
# Each pair differs in one thing; the first is expected to be worse.
_QUESTIONS = (
    ("gaussian", "unit"),
    ("bounded", "unit"),
    ("small", "trained"),
    ("gaussian", "bounded"),
    ("trained", "unit"),
)


def train_all(
    plan: Plan, corpus: Corpus, folder: Path, *, arms: Iterable[str] = ARMS, jobs: int = 1
) -> dict[str, list[dict[str, Any]]]:
    """Train what the folder does not have yet; return the records of all runs, by arm, in the order of the seeds.

    Runs are side by side in ``jobs`` processes, each on one thread, arm by arm. A process that is
    killed loses the runs under way and no other.
    """
    claim(folder, plan, corpus)
    chosen = [arm for arm in ARMS if arm in set(arms)]
    tasks = [(arm, seed) for arm in chosen for seed in range(plan.seeds)]
    work = joblib.Parallel(n_jobs=jobs, return_as="generator")
    records: dict[str, list[dict[str, Any]]] = {arm: [] for arm in chosen}
    done = work(joblib.delayed(run)(plan, corpus, folder, arm, seed) for arm, seed in tasks)
    for record in cast(Iterable[dict[str, Any]], done):
        losses = ", ".join(f"step {step}: {loss:.3f}" for step, loss in record["held_out"].items())
        print(f"embedding {record['arm']}, seed {record['seed']}: held-out loss at {losses}", flush=True)
        records[record["arm"]].append(_condensed(record, plan))
    return records


def _condensed(record: dict[str, Any], plan: Plan) -> dict[str, Any]:
    """Return a record with its training losses averaged over a thirtieth of the steps each."""
    parts = np.array_split(record["train_loss"], _PARTS)
    kept = {name: value for name, value in record.items() if name != "train_loss"}
    curve = [round(float(part.mean()), 4) for part in parts]
    return kept | {"held_out_end": record["held_out"][str(plan.steps)], "train_curve": curve}


def summarise(plan: Plan, corpus: Corpus, arms: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Return the results as a record for results.json."""
    ends = {arm: np.array([run["held_out_end"] for run in runs]) for arm, runs in arms.items()}
    return {
        "form": "short" if plan == SHORT else "full",
        "corpus": {
            "python": platform.python_version(),
            "checksum": corpus.checksum,
            "files": corpus.files,
            "held_out_files": corpus.held_out_files,
            "train_tokens": corpus.train[:, 1:].size,
            "held_out_tokens": corpus.held_out[:, 1:].size,
        },
        "stages": plan.stages,
        "seen_tokens": plan.steps * plan.batch * plan.context,
        "baselines": {
            "unigram": unigram_loss(corpus.train, corpus.held_out, plan.vocabulary),
            "bigram": bigram_loss(corpus.train, corpus.held_out, plan.vocabulary),
        },
        "comparisons": [
            {"worse": worse, "better": better} | compare(ends[worse], ends[better])
            for worse, better in _QUESTIONS
            if worse in ends and better in ends
        ],
        "arms": arms,
    }


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """Run the case study with these arguments of the command line; return the results."""
    parser = argparse.ArgumentParser(prog="python -m case_studies.tiny_lm.run", description=__doc__)
    parser.add_argument("--short", action="store_true", help="a smaller model, corpus and training: under a minute")
    parser.add_argument("--folder", type=Path, help="where checkpoints are kept (default: checkpoints, beside run.py)")
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS), help="only these (default: all)")
    parser.add_argument("--publish", action="store_true", help="write README and results.json of the short form, too")
    parser.add_argument("--jobs", type=int, default=2, help="runs side by side, a thread each (default: 2)")
    chosen = parser.parse_args(arguments)
    plan = SHORT if chosen.short else FULL
    folder = chosen.folder or default_folder(chosen.short)
    corpus = read_corpus(plan)
    results = summarise(plan, corpus, train_all(plan, corpus, folder, arms=chosen.arms, jobs=chosen.jobs))
    print(f"\n{report.report(results)}")
    whole = not chosen.short and set(chosen.arms) == set(ARMS)  # the page is of all arms
    place = HERE if chosen.publish or whole else folder
    page.keep(place, results, report.report(results), losses=figure.figure(results))
    return results


if __name__ == "__main__":
    main()
