"""Print the peak memory of one study of activations on disk, in a process of its own.

python tests/benchmarks/memory.py ridge 100000 768 999
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from problems import make_problem, probe_and_scoring

import controls as ct
from controls.core.rng import stream


def on_disk(folder: str, n: int, d: int) -> np.ndarray:
    """Return memory-mapped float32 activations (n, d), written a few rows at a time."""
    rng, path = stream(0, "benchmark", "memory"), Path(folder) / "activations.npy"
    file = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(n, d))
    for start in range(0, n, 4096):
        file[start : start + 4096] = rng.standard_normal((min(4096, n - start), d), dtype=np.float32)
    file.flush()
    del file
    return np.load(path, mmap_mode="r")


def main(kind: str, n: int, d: int, draws: int) -> None:
    """Measure once, and print seconds and peak memory as JSON."""
    with tempfile.TemporaryDirectory() as folder:
        problem = make_problem(kind, n, d, activations=on_disk(folder, n, d))
        probe, scoring = probe_and_scoring(kind)
        before, clock = _peak(), time.perf_counter()
        ct.measure(probe, problem, controls=[ct.ShuffleLabels()], scoring=scoring, draws=draws)
        print(json.dumps({"seconds": time.perf_counter() - clock, "before": before, "peak": _peak()}))


def _peak() -> float:
    """Return the most memory that this process has held, in GB; pages of the mapped file count."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:5]))
