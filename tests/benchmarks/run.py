"""Time ours beside the peer in the same run, and write docs/benchmarks.md, anew after each row.

python tests/benchmarks/run.py [--full] [--repeats 5] [--kinds ridge logistic] [--speed-only] [--docs PAGE]

About a quarter of an hour on two idle cores, most of it the peer's.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

from page import Growth, Memory, Page, Speed
from problems import KINDS, UNCORRELATED, made_like, make_problem
from saes import measured
from smollm2 import measured as of_smollm2
from timing import FOLDS, largest_gradient, line, ours, peer, product_rate, seconds, useful_work
from tokens import shuffles
from trades import trades
from weight_memory import peaks
from weights import of_minilm
from workers import ways

N, D, CLASSES = 4000, 512, 17
DRAWS = {"ridge": 999, "logistic": 999, UNCORRELATED: 999, "multinomial": 199, "multinomial at default tol": 49}
SAMPLES = {"ridge": (20, 60), "logistic": (6, 18), UNCORRELATED: (20, 60), "multinomial": (2, 6)}  # the peer's
GROWTH = {
    "n": [1000, 2000, 4000, 8000],
    "d": [128, 256, 512, 1024],
    "draws": [249, 499, 999, 1999],
    "classes": [2, 4, 8],
}
HERE = Path(__file__).parent


def speeds(kinds: Sequence[str], repeats: int, full: bool) -> Iterator[Speed]:
    """Yield ours beside the peer, interleaved; ``kinds`` are ways to fit one problem, for which there is one peer."""
    first = kinds[0]
    problem = make_problem(first, N, D, CLASSES if first.startswith("multinomial") else 2)
    few, many = SAMPLES[made_like(first)]
    many = DRAWS[first] if full else many
    mine = {kind: ours(kind, problem, DRAWS[kind]) for kind in kinds}
    theirs = peer(first, problem, few), peer(first, problem, many)
    for warm_up in (*mine.values(), peer(first, problem, 2)):
        warm_up()
    rounds = [[seconds(call) for call in (*theirs, *mine.values())] for _ in range(repeats)]
    of_few, of_many, *us = map(list, zip(*rounds, strict=True))
    fitted = line(few, many, of_few, of_many)
    for kind, found in zip(kinds, us, strict=True):
        yield Speed(
            kind=kind,
            draws=DRAWS[kind],
            ours=median(found),
            spread=(min(found), max(found)),
            peer=median(of_many) if full and many == DRAWS[kind] else fitted.at(DRAWS[kind]),
            peer_timed=((few, median(of_few)), (many, median(of_many))),
            work=useful_work(kind, problem, DRAWS[kind]),
            gradient=None if kind == "ridge" else largest_gradient(kind, problem),
        )


def growth(kind: str, name: str, repeats: int) -> Growth:
    """Return how seconds grow with one size, the others as they are."""
    found = []
    for value in GROWTH[name]:
        sizes = {"n": N, "d": D, "draws": DRAWS[kind], "classes": 2} | {name: value}
        if name == "classes":
            sizes |= {"n": 2000, "d": 256, "draws": 49}
        timed = "multinomial at default tol" if kind == "logistic" and sizes["classes"] > 2 else kind
        problem = make_problem(timed, sizes["n"], sizes["d"], sizes["classes"])
        call = ours(timed, problem, sizes["draws"])
        found.append(median(seconds(call) for _ in range(repeats)))
    return Growth(kind, name, tuple(GROWTH[name]), tuple(found))


def memory(kind: str, n: int = 100_000, d: int = 768) -> Memory:
    """Return the peak memory of a process of its own."""
    command = [sys.executable, str(HERE / "memory.py"), kind, str(n), str(d), str(DRAWS[kind])]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return Memory(kind, n, d, DRAWS[kind], **found)


def the_rest(page: Page, repeats: int) -> Iterator[str]:
    """Add growth, memory, and what threads and workers do; yield what was timed."""
    names = {"ridge": ("n", "d", "draws"), "logistic": ("n", "d", "draws", "classes")}
    for kind, of in names.items():
        for name in of:
            page.growths.append(growth(kind, name, min(repeats, 3)))
            yield f"{kind}, growth in {name}"
    for kind in ("ridge", "logistic"):
        page.memories.append(memory(kind))
        yield f"{kind}, memory"
    page.ways.extend(ways(N, D, min(repeats, 3)))
    yield "threads and workers"
    page.weights.extend(of_minilm(min(repeats, 5)))
    yield "weights"
    page.shuffles.extend(shuffles(repeats))
    yield "tokens"
    page.trades.extend(trades())
    yield "sparse matrices"
    page.smollm2.extend(of_smollm2(min(repeats, 3)))
    yield "SmolLM2"
    page.peaks.extend(peaks())
    yield "memory of draws"
    page.saes.append(measured())
    yield "SAEs"


def everything(page: Page, kinds: Sequence[str], given: argparse.Namespace) -> Iterator[str]:
    """Time all that was asked for; yield what was timed."""
    for first in dict.fromkeys(map(made_like, kinds)):
        page.speeds.extend(speeds([kind for kind in kinds if made_like(kind) == first], given.repeats, given.full))
        yield first
    if not given.speed_only:
        yield from the_rest(page, given.repeats)


def main() -> None:
    """Read the arguments, time everything, write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="time the peer on all permutations")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--docs", type=Path, default=Path("docs/benchmarks.md"))
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS, help="of the table of speed")
    parser.add_argument("--speed-only", action="store_true", help="no growth, memory and workers")
    given = parser.parse_args()
    sizes = {"n": N, "d": D, "classes": CLASSES, "repeats": given.repeats, "full": given.full}
    page = Page(sizes, product_rate(N * (FOLDS - 1) // FOLDS, D))
    for timed in everything(page, given.kinds, given):
        given.docs.write_text(page.text(), encoding="utf-8")
        print(f"{timed} …", file=sys.stderr, flush=True)
    print(page.text())


if __name__ == "__main__":
    main()
