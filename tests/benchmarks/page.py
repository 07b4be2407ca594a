"""The page of what was timed. Every figure on it comes from the run that wrote it."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import smollm2
import torch
from problems import TOL, UNCORRELATED
from saes import Saes
from saes import table as saes_table
from smollm2 import table as smollm2_table
from timing import cores
from tokens import Shuffled
from tokens import table as tokens_table
from trades import Trades
from trades import table as trades_table
from weight_memory import Peak
from weight_memory import table as peaks_table
from weights import Drawn
from weights import table as weights_table
from workers import DRAWS, Way

PEERS = {
    "ridge": "Ridge, R²",
    "logistic": "LogisticRegression, AUC",
    UNCORRELATED: "LogisticRegression, AUC",
    "multinomial": "LogisticRegression, accuracy",
    "multinomial at default tol": "LogisticRegression, accuracy",
}
TARGETS = {"ridge": "200", "logistic": "120", "multinomial": "40"}


@dataclass(frozen=True)
class Speed:
    """One row of the table of speed; ``peer_timed`` are (permutations, seconds)."""

    kind: str
    draws: int
    ours: float
    spread: tuple[float, float]
    peer: float
    peer_timed: tuple[tuple[int, float], ...]
    work: float
    gradient: float | None


@dataclass(frozen=True)
class Growth:
    """Seconds at several values of one size."""

    kind: str
    name: str
    values: tuple[int, ...]
    seconds: tuple[float, ...]

    @property
    def exponent(self) -> float:
        """The slope of log seconds in log size."""
        return float(np.polyfit(np.log(self.values), np.log(self.seconds), 1)[0])


@dataclass(frozen=True)
class Memory:
    """Peak memory of one process, in GB, and before the study began."""

    kind: str
    n: int
    d: int
    draws: int
    seconds: float
    before: float
    peak: float


@dataclass(frozen=True)
class Page:
    """What was timed so far; sections without rows are left out."""

    sizes: dict[str, Any]
    rate: tuple[float, float]
    speeds: list[Speed] = field(default_factory=list)
    growths: list[Growth] = field(default_factory=list)
    memories: list[Memory] = field(default_factory=list)
    ways: list[Way] = field(default_factory=list)
    weights: list[Drawn] = field(default_factory=list)
    shuffles: list[Shuffled] = field(default_factory=list)
    smollm2: list[smollm2.Drawn] = field(default_factory=list)
    trades: list[Trades] = field(default_factory=list)
    peaks: list[Peak] = field(default_factory=list)
    saes: list[Saes] = field(default_factory=list)

    def text(self) -> str:
        """Return the page."""
        parts = [
            "# Benchmarks",
            "Written by `make bench`; no figure is typed. Whole calls are timed: labels drawn, folds, fits, scores "
            "with their values without each unit, intervals, verdict.",
            _machine(self.sizes),
        ]
        if self.speeds:
            table, words = _speed_table(self.speeds), _what_the_table_says(self.speeds, self.rate)
            parts += ["## Speed", _how_it_was_timed(self.sizes), table, words]
        if self.growths:
            words = (
                "Seconds of ours, other sizes as above (with classes: n = 2000, d = 256, 49 draws), and the slope of "
                "log seconds in log size."
            )
            parts += ["## Growth", words, _growth_table(self.growths)]
        if self.memories:
            words = "Peak of a fresh process with memory-mapped float32 activations; resident pages of the file count."
            parts += ["## Memory", words, _memory_table(self.memories)]
        if self.ways:
            words = (
                f"scikit-learn's LogisticRegression, one fit at a time: the problem and {DRAWS} draws in five folds."
            )
            parts += ["## Threads and workers", words, _ways_table(self.ways)]
        if self.weights:
            words = (
                "One draw of all matrices with the trained singular values, which are known: swapping weights in and "
                "out and the check of every spectrum included. Beside it `torch.nn.init.orthogonal_` on these shapes."
            )
            parts += ["## Weights", words, weights_table(self.weights)]
        if self.smollm2:
            parts.append(smollm2_table(self.smollm2))
        if self.shuffles:
            words = (
                "Draws of `ShuffleTokens(keep=k)` without the model: all documents, once the text is sorted and code "
                "is compiled. numpy's `permuted` shuffles the same documents, which keeps single tokens only."
            )
            parts += ["## Shuffled tokens", words, tokens_table(self.shuffles)]
        if self.trades:
            words = (
                '`MatchSparsity(keep="both")`: one trade of all rows in random pairs, in one thread, and a draw. '
                "Memory is that of the matrix and what the draw took beyond it at its most."
            )
            parts += ["## Sparse matrices", words, trades_table(self.trades)]
        if self.peaks:
            words = (
                "Peak of a fresh process during one draw, less what it held before the model was made, beside the "
                "model and the activations before and after the draw; an encoder, a sixth of it an embedding."
            )
            parts += ["## Memory of a draw", words, peaks_table(self.peaks)]
        if self.saes:
            parts += ["## SAEs", *map(saes_table, self.saes), "Beside sae-lens: `make bench-extras`."]
        return "\n\n".join(parts) + "\n"


def _machine(sizes: dict[str, Any]) -> str:
    packages = ", ".join(f"{name} {version(name)}" for name in ("numpy", "scikit-learn", "torch", "joblib"))
    return (
        f"Machine: {_processor()}, {cores()} cores, {torch.get_num_threads()} torch threads, "
        f"{torch.backends.cpu.get_cpu_capability()}; load when the page was written: {os.getloadavg()[1]:.1f} "
        f"(5 minutes; about {cores()} where nothing else runs). Python {platform.python_version()}, {packages}. "
        f"Medians of {sizes['repeats']} runs, ours and the peer's interleaved."
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _how_it_was_timed(sizes: dict[str, Any]) -> str:
    peers = (
        "The peer ran all permutations."
        if sizes["full"]
        else "The peer was timed at two numbers of permutations, and its seconds continued along that line "
        "(`python tests/benchmarks/run.py --full` runs them all)."
    )
    return (
        f"n = {sizes['n']}, d = {sizes['d']}, float32 activations whose k-th principal component has variance 1/k, "
        "units of ten rows, five fixed folds of whole units; "
        f"multinomial: {sizes['classes']} classes. Ours: `ct.measure` with `ct.ShuffleLabels()`; "
        f"multinomial with `LogisticProbe(tol={TOL})`, still stricter than the peer (the derivatives are below the "
        "table), and once more with the default; all others with defaults. "
        "Peer: `permutation_test_score` of scikit-learn on the same folds, n_jobs=-1, one BLAS thread a worker, "
        f"after a StandardScaler, defaults (max_iter=1000). {peers}"
    )


def _speed_table(speeds: Sequence[Speed]) -> str:
    rows = [
        "| | draws | ours, s (least to most) | peer, s | peer timed | times faster | asked |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in speeds:
        timed = ", ".join(f"{seconds:.2f} s at {draws}" for draws, seconds in row.peer_timed)
        us = f"{row.ours:.2f} ({row.spread[0]:.2f} to {row.spread[1]:.2f})"
        cells = (f"{row.kind} ({PEERS[row.kind]})", row.draws, us, f"{row.peer:.1f}", timed)
        rows.append(
            "| " + " | ".join(map(str, (*cells, f"{row.peer / row.ours:.1f}", TARGETS.get(row.kind, "")))) + " |"
        )
    return "\n".join(rows)


def _what_the_table_says(speeds: Sequence[Speed], rate: tuple[float, float]) -> str:
    torch_rate, our_rate = rate
    shares = "; ".join(
        f"{row.kind} {row.work / row.ours:.0f} Gflop/s, {row.work / row.ours / our_rate:.0%}" for row in speeds
    )
    gradients = "; ".join(f"{row.kind} {row.gradient:.1e}" for row in speeds if row.gradient is not None)
    return (
        f"Useful products alone (two of the training rows a step and column, one of the test rows) over the whole "
        f"call's seconds, and as a share of the rate of that product by itself ({our_rate:.0f} Gflop/s; torch's own "
        f"float32 product: {torch_rate:.0f}): {shares}.\n\n"
        "Largest derivative that fits of shuffled labels leave, as scikit-learn's lbfgs measures it (it stops below "
        f"1.0e-04): {gradients}."
    )


def _growth_table(growths: Sequence[Growth]) -> str:
    rows = ["| | sizes | seconds | exponent |", "|---|---|---|---|"]
    for row in growths:
        sizes = ", ".join(map(str, row.values))
        times = ", ".join(f"{seconds:.2f}" for seconds in row.seconds)
        rows.append(f"| {row.kind}, {row.name} | {sizes} | {times} | {row.exponent:.2f} |")
    return "\n".join(rows)


def _memory_table(memories: Sequence[Memory]) -> str:
    rows = ["| | n × d | draws | seconds | before, GB | peak, GB |", "|---|---|---|---|---|---|"]
    for row in memories:
        rows.append(
            f"| {row.kind} | {row.n} × {row.d} | {row.draws} | {row.seconds:.0f} | {row.before:.2f} | {row.peak:.2f} |"
        )
    return "\n".join(rows)


def _ways_table(paths: Sequence[Way]) -> str:
    return "\n".join(["| | seconds |", "|---|---|", *(f"| {way.words} | {way.seconds:.2f} |" for way in paths)])
