"""One global trade over 5 million non-zeros, and the memory of a draw of MatchSparsity, in a process of its own.

python tests/benchmarks/trades.py             prints the table
python tests/benchmarks/trades.py figures     prints the figures as JSON
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
from scipy import sparse
from timing import seconds

import controls as ct
from controls.core.rng import stream
from controls.generators.patterns import non_zeros, strata_of
from controls.generators.sparsity import _Chain

ROWS, COLUMNS, A_ROW, REPEATS = 100_000, 16_384, 50, 5
HEADER = "| non-zeros | matrix | one global trade, s | asked | whole draw of 20 sweeps, s | memory, matrices | asked |"


@dataclass(frozen=True)
class Trades:
    """Seconds of a trade of all rows, of a draw with its hub's sweeps, and memory of a draw in sizes of the matrix."""

    rows: int
    columns: int
    non_zeros: int
    trade: float
    draw: float
    memory: float

    @property
    def row(self) -> str:
        """The row of the table."""
        shape = f"{self.rows:,} × {self.columns:,}"
        return (
            f"| {self.non_zeros:,} | {shape} | {self.trade:.2f} | below 0.5 | {self.draw:.1f} | {self.memory:.1f} "
            "| at most 4 |"
        )


def latents(rows: int, columns: int, a_row: int) -> sparse.csr_array:
    """Return latents that fire with very different rates, about so many in a row."""
    rng = stream(0, "benchmark", "latents")
    weights = 1 / np.arange(10, columns + 10)
    drawn = rng.choice(columns, size=(rows, a_row), p=weights / weights.sum())
    indptr = np.arange(rows + 1) * a_row
    found = sparse.csr_array((np.ones(drawn.size, np.float32), drawn.ravel().astype(np.int32), indptr), (rows, columns))
    found.sum_duplicates()
    return found


def figures(rows: int = ROWS, columns: int = COLUMNS, a_row: int = A_ROW, repeats: int = REPEATS) -> Trades:
    """Time trades and a draw, code compiled; then see how much memory the draw took at its most."""
    small = ct.Problem(latents(200, 300, 10))
    ct.MatchSparsity(sweeps=2).draw(small, stream(0))  # compiles
    found = latents(rows, columns, a_row)
    problem = ct.Problem(found)
    size = found.data.nbytes + found.indices.nbytes + found.indptr.nbytes
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = _kilobytes("VmRSS")
    draw = seconds(lambda: ct.MatchSparsity().draw(problem, stream(1)))
    most = _kilobytes("VmHWM")
    chain = _Chain(non_zeros(problem.X), strata_of(problem, None), stream(2))
    times = [seconds(lambda: chain.go(chain.done + 1)) for _ in range(repeats)]
    return Trades(rows, columns, found.nnz, median(times), draw, 1024 * (most - before) / size + 1)


def _kilobytes(name: str) -> int:
    """Return what Linux says of this process's memory."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1])


def trades() -> list[Trades]:
    """Return the figures, of a process of its own."""
    command = [sys.executable, __file__, "figures"]
    if not Path("/proc/self/clear_refs").exists():  # only Linux tells
        return []
    return [Trades(**json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))]


def table(rows: list[Trades]) -> str:
    """Return the table."""
    return "\n".join([HEADER, "|---|---|---|---|---|---|---|", *(row.row for row in rows)])


if __name__ == "__main__":
    print(json.dumps(vars(figures())) if sys.argv[1:] == ["figures"] else table(trades()))
