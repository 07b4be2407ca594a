"""Tokens a second of k-let shuffles, beside numpy's own shuffle of each document, interleaved.

python tests/benchmarks/tokens.py [--repeats 5]    prints the table alone
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
from timing import seconds

from controls.core.rng import stream
from controls.generators.klets import Klets

VOCABULARY, TOKENS = 30_000, 5_000_000
LENGTHS = {"sentences": 24, "documents": 600}
HEADER = "| text | keep | million tokens a second | range | first call, s | numpy, keep=1 | asked |"


@dataclass(frozen=True)
class Shuffled:
    """Million tokens a second of one text and ``keep``, once what a draw needs is known."""

    text: str
    keep: int
    rate: float
    spread: tuple[float, float]
    first: float  # seconds of the first call, which sorts the text
    peer: float

    @property
    def row(self) -> str:
        """The row of the table."""
        low, high = (f"{rate:.1f}" for rate in self.spread)
        asked = "at least 5" if self.keep > 1 else ""
        return (
            f"| {self.text} | {self.keep} | {self.rate:.1f} | {low} to {high} | {self.first:.1f} | {self.peer:.1f} "
            f"| {asked} |"
        )


def shuffles(repeats: int, tokens: int = TOKENS) -> list[Shuffled]:
    """Time draws of texts whose tokens have frequencies as words do (the r-th most frequent: 1 / r)."""
    frequency = 1 / np.arange(1, VOCABULARY + 1)
    found = []
    for name, length in LENGTHS.items():
        count = tokens // length
        rng = stream(0, "benchmark", "tokens", name)
        codes = rng.choice(VOCABULARY, size=count * length, p=frequency / frequency.sum())
        square = codes.reshape(count, length)
        Klets(codes[: 4 * length], np.arange(5) * length, 2).order(rng)  # compiles
        for keep in (1, 2, 3):
            klets = Klets(codes, np.arange(count + 1) * length, keep)
            first = seconds(lambda klets=klets, rng=rng: klets.order(rng))
            rounds = [
                [seconds(lambda: klets.order(rng)), seconds(lambda: rng.permuted(square, axis=1))]  # noqa: B023 - now
                for _ in range(repeats)
            ]
            ours, peer = (sorted(len(codes) / 1e6 / np.array(times)) for times in zip(*rounds, strict=True))
            what = f"{count:,} {name} of {length}"
            found.append(Shuffled(what, keep, median(ours), (ours[0], ours[-1]), first, median(peer)))
    return found


def table(rows: Sequence[Shuffled]) -> str:
    """Return the table."""
    return "\n".join([HEADER, "|---|---|---|---|---|---|---|", *(row.row for row in rows)])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    print(table(shuffles(parser.parse_args().repeats)))
