"""The results in words and a table: printed, and put between the markers of the README."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import stdtrit

from case_studies import page
from case_studies.recovery_by_architecture.plan import THEIRS

SCORES = ("l0", "explained", "recovered", "mmcs", "chance", "alive")


def report(results: dict[str, Any]) -> str:
    """Return the results as Markdown."""
    seconds = [each["seconds"] for each in results["trained"]]
    millions = results["steps"] * results["batch"] / 1e6
    intro = (
        f"The {results['form']} form: {results['m']:,} features in {results['d']} dimensions, {results['active']} "
        f"active in a row; as many latents; {results['steps']:,} steps of {results['batch']:,} rows ({millions:.3g} "
        f"million, none twice). Every SAE has a world of its own; {sum(seconds) / 60:.0f} minutes of training in all, "
        f"{min(seconds):.0f} to {max(seconds):.0f} seconds each on one thread. In brackets 95% intervals (t) over "
        "worlds; one world has none. Latents alive are those that fire on fresh rows; beside MMCS stands what as many "
        "random directions have."
    )
    return f"{intro}\n\n{_kinds(results)}\n{_sweep(results)}"


def of_kind(results: dict[str, Any], setting: str, kind: str, score: str) -> np.ndarray:
    """Return a score of all SAEs of a kind in worlds of a setting."""
    own = [each for each in results["trained"] if (each["setting"], each["kind"]) == (setting, kind)]
    return np.array([each[score] for each in own if score in each])


def _sweep(results: dict[str, Any]) -> str:
    if not results["sweep"]:
        return ""
    pairs = dict.fromkeys((each["lr"], each["kind"]) for each in results["sweep"])
    rows = []
    for lr, kind in pairs:
        own = [each for each in results["sweep"] if (each["lr"], each["kind"]) == (lr, kind)]
        alive, recovered, explained = (
            np.array([each[score] for each in own]) for score in ("alive", "recovered", "explained")
        )
        rows.append([f"{lr:g}", kind, *(_ranged(*each) for each in ((alive, 0), (100 * recovered, 1), (explained, 3)))])
    head = ["lr", "SAE", "latents alive", "recovered, %", "explained variance"]
    return f"\nOther step sizes, constant rates, at the size of the short form:\n\n{page.table(head, rows)}\n"


def _ranged(values: np.ndarray, digits: int) -> str:
    return f"{values.mean():.{digits}f} ({values.min():.{digits}f} to {values.max():.{digits}f})"


def _kinds(results: dict[str, Any]) -> str:
    head = ["rates", "SAE", "worlds", "L0", "explained variance", "theirs", "recovered (cosine > .8)", "theirs", "MMCS"]
    head += ["by chance", "latents alive"]
    kinds = list(dict.fromkeys((each["setting"], each["kind"]) for each in results["trained"]))
    rows = [_row(results, *each) for each in sorted(kinds, key=lambda each: each[0])]
    return page.table(head, rows)


def _row(results: dict[str, Any], setting: str, kind: str) -> list[str]:
    found = {score: of_kind(results, setting, kind, score) for score in SCORES}
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
        *_alive(found),
    ]


def _alive(found: dict[str, np.ndarray]) -> list[str]:
    """Return the MMCS of as many random directions as latents are alive, and how many are, where they were counted."""
    counted = len(found["alive"])
    if not counted:
        return ["not counted"] * 2
    worlds = "" if counted == len(found["l0"]) else f" (in {counted})"
    return [f"{found['chance'].mean():.3f}{worlds}", f"{found['alive'].mean():,.0f}{worlds}"]


def _spread(values: np.ndarray, digits: int, unit: str = "") -> str:
    """Return a mean over worlds, with its 95% t interval where there are several."""
    mean = f"{values.mean():.{digits}f}{unit}"
    if len(values) < 2:
        return mean
    half = float(stdtrit(len(values) - 1, 0.975)) * float(values.std(ddof=1)) / len(values) ** 0.5
    low = max(float(values.mean()) - half, 0.0)  # none of the scores is ever below 0
    return f"{mean} [{low:.{digits}f}, {values.mean() + half:.{digits}f}]"
