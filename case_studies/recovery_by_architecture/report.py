"""The results in words and a table: printed, and put between the markers of the README."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import stdtrit

from case_studies.recovery_by_architecture.plan import THEIRS

BEGIN, END = "<!-- results: written by run.py -->", "<!-- end of results -->"


def report(results: dict[str, Any]) -> str:
    """Return the results as Markdown."""
    seconds = [each["seconds"] for each in results["trained"]]
    millions = results["steps"] * results["batch"] / 1e6
    intro = (
        f"The {results['form']} form: {results['m']:,} features in {results['d']} dimensions, {results['active']} "
        f"active in a row; as many latents; {results['steps']:,} steps of {results['batch']:,} rows ({millions:.3g} "
        f"million, none twice). Every SAE has a world of its own; {sum(seconds) / 60:.0f} minutes of training in all, "
        f"{min(seconds)} to {max(seconds)} seconds each on one thread. In brackets 95% intervals (t) over worlds; one "
        "world has none. The largest of as many random cosines is "
        f"{results['chance']:.2f} in the mean."
    )
    return f"{intro}\n\n{_table(results)}\n"


def into_readme(readme: str, results: dict[str, Any]) -> str:
    """Return the README with the results between its markers."""
    before, rest = readme.split(BEGIN)
    return f"{before}{BEGIN}\n{report(results)}{END}{rest.split(END)[1]}"


def of_kind(results: dict[str, Any], setting: str, kind: str, score: str) -> np.ndarray:
    """Return a score of all SAEs of a kind in worlds of a setting."""
    return np.array([t[score] for t in results["trained"] if (t["setting"], t["kind"]) == (setting, kind)])


def _table(results: dict[str, Any]) -> str:
    head = ["rates", "SAE", "worlds", "L0", "explained variance", "theirs", "recovered (cosine > .8)", "theirs", "MMCS"]
    kinds = list(dict.fromkeys((each["setting"], each["kind"]) for each in results["trained"]))
    rows = [_row(results, *each) for each in sorted(kinds, key=lambda each: each[0])]
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, ["---"] * len(head), *rows])


def _row(results: dict[str, Any], setting: str, kind: str) -> list[str]:
    found = {score: of_kind(results, setting, kind, score) for score in ("l0", "explained", "recovered", "mmcs")}
    explained, recovered = THEIRS.get((setting, kind), (None, None))
    return [
        setting,
        kind,
        str(len(found["l0"])),
        f"{found['l0'].mean():.1f}",
        _spread(found["explained"], 3),
        "" if explained is None else f"{explained:.2f}",
        _spread(100 * found["recovered"], 1, "%"),
        "" if recovered is None else f"{100 * recovered:.1f}%",
        _spread(found["mmcs"], 3),
    ]


def _spread(values: np.ndarray, digits: int, unit: str = "") -> str:
    """Return a mean over worlds, with its 95% t interval where there are several."""
    mean = f"{values.mean():.{digits}f}{unit}"
    if len(values) < 2:
        return mean
    half = float(stdtrit(len(values) - 1, 0.975)) * float(values.std(ddof=1)) / len(values) ** 0.5
    low = max(float(values.mean()) - half, 0.0)  # none of the scores is ever below 0
    return f"{mean} [{low:.{digits}f}, {values.mean() + half:.{digits}f}]"
