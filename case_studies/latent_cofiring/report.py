"""The results in words and tables: printed, and put between the markers of the README."""

from __future__ import annotations

from typing import Any

from case_studies import page


def report(results: dict[str, Any]) -> str:
    """Return the results as Markdown."""
    return "\n\n".join([_facts(results), _ladder(results), _pairs(results)]) + "\n"


def _facts(results: dict[str, Any]) -> str:
    return (
        f"The {results['form']} form: {results['rows']:,} tokens of {results['documents']} files (standard library of "
        f"Python {results['python']}); {results['latents']} latents, {results['k']} at a token; explained variance on "
        f"held-out files {results['explained']:.3f}, {results['dead']} latents dead. {results['studied']} latents fire "
        f"often enough, in {results['pairs']:,} pairs; {results['draws']} draws of each null; "
        f"{results['seconds'] / 60:.0f} minutes."
    )


def _ladder(results: dict[str, Any]) -> str:
    rows = [
        [f"`{name}`", *(f"{counts[correction]:,}" for correction in ("max_t", "bh", "none"))]
        for name, counts in results["rungs"].items()
    ]
    chance = results["alpha"] * results["pairs"]
    table = page.table(["null", "pairs, max-T at .05", "pairs, BH at .05", "pairs, uncorrected"], rows)
    return f"{table}\n\nOf pairs that fire together by chance, {chance:,.0f} would survive uncorrected."


def _pairs(results: dict[str, Any]) -> str:
    rows = [
        [
            " + ".join(map(str, pair["pair"])),
            " / ".join(f"{fires:,}" for fires in pair["fires"]),
            f"{pair['together']:,}",
            f"{pair['expected']:,}",
            f"{pair['z']:.1f}",
            " ".join(f"`{token}`" for token in pair["tokens"]),
        ]
        for pair in results["named"]
    ]
    head = ["latents", "fire", "together", "expected", "z", "most often at"]
    return f"The pairs that stand out most under the last null:\n\n{page.table(head, rows)}"
