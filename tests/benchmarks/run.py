"""Time ours beside the peer in the same run, and write docs/benchmarks.md.

python tests/benchmarks/run.py [--full] [--repeats 5] [--kinds ridge logistic] [--speed-only] [--docs PAGE]

About 25 minutes on two idle cores, most of them the peer's.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from statistics import median

from page import Growth, Memory, Speed, write_page
from problems import KINDS, UNCORRELATED, make_problem
from timing import FOLDS, largest_gradient, line, ours, peer, product_rate, seconds, useful_work
from workers import Way, ways

N, D, CLASSES = 4000, 512, 17
DRAWS = {"ridge": 999, "logistic": 999, UNCORRELATED: 999, "multinomial": 199, "multinomial at default tol": 49}
# Permutations that the peer is timed at.
SAMPLES = {
    "ridge": (20, 60),
    "logistic": (10, 30),
    UNCORRELATED: (20, 60),
    "multinomial": (4, 12),
    "multinomial at default tol": (4, 12),
}
GROWTH = {
    "n": [1000, 2000, 4000, 8000],
    "d": [128, 256, 512, 1024],
    "draws": [249, 499, 999, 1999],
    "classes": [2, 4, 8],
}
HERE = Path(__file__).parent


def speed(kind: str, repeats: int, full: bool) -> Speed:
    """Return ours beside the peer, interleaved."""
    problem = make_problem(kind, N, D, CLASSES if kind.startswith("multinomial") else 2)
    draws = DRAWS[kind]
    few, many = SAMPLES[kind] if not full else (SAMPLES[kind][0], draws)
    mine, of_few, of_many = ours(kind, problem, draws), peer(kind, problem, few), peer(kind, problem, many)
    for warm_up in (mine, peer(kind, problem, 2)):
        warm_up()
    rounds = [(seconds(mine), seconds(of_few), seconds(of_many)) for _ in range(repeats)]
    us, first, second = map(list, zip(*rounds, strict=True))
    fitted = line(few, many, first, second)
    return Speed(
        kind=kind,
        draws=draws,
        ours=median(us),
        spread=(min(us), max(us)),
        peer=median(second) if full else fitted.at(draws),
        peer_timed=((few, median(first)), (many, median(second))),
        work=useful_work(kind, problem, draws),
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


def the_rest(repeats: int) -> tuple[list[Growth], list[Memory], list[Way]]:
    """Return growth, memory, and what threads and workers do."""
    names = {"ridge": ("n", "d", "draws"), "logistic": ("n", "d", "draws", "classes")}
    curves = [growth(kind, name, min(repeats, 3)) for kind, of in names.items() for name in of]
    peaks = [memory(kind) for kind in ("ridge", "logistic")]
    return curves, peaks, ways(N, D, min(repeats, 3))


def main() -> None:
    """Read the arguments, time everything, write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="time the peer on all permutations")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--docs", type=Path, default=Path("docs/benchmarks.md"))
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS, help="of the table of speed")
    parser.add_argument("--speed-only", action="store_true", help="no growth, memory and workers")
    given = parser.parse_args()
    rows = [speed(kind, given.repeats, given.full) for kind in given.kinds]
    curves, peaks, paths = ([], [], []) if given.speed_only else the_rest(given.repeats)
    rate = product_rate(N * (FOLDS - 1) // FOLDS, D)
    sizes = {"n": N, "d": D, "classes": CLASSES, "repeats": given.repeats, "full": given.full}
    given.docs.write_text(write_page(rows, curves, peaks, paths, rate=rate, sizes=sizes), encoding="utf-8")
    print(given.docs.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
