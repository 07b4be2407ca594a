"""Draws of weights beside torch.nn.init.orthogonal_ over the same matrices, interleaved.

python tests/benchmarks/weights.py [--repeats 5]    prints the table alone
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch
from timing import seconds

import controls as ct
from controls.core.problem import Source
from controls.core.rng import stream
from controls.models.swap import Swap

HEADER = "| draw of all matrices | matrices | ours, s | orthogonal_, s | ratio | asked |"


@dataclass(frozen=True)
class Drawn:
    """Seconds of one draw, and of torch's orthogonal initialiser over the same matrices."""

    what: str
    matrices: int
    ours: float
    peer: float

    @property
    def row(self) -> str:
        """The row of the table."""
        ratio = self.ours / self.peer
        return f"| {self.what} | {self.matrices} | {self.ours:.2f} | {self.peer:.2f} | {ratio:.2f} | at most 2 |"


def draws(model: Any, what: str, modes: Sequence[str], repeats: int) -> list[Drawn]:
    """Time the draws of some modes, singular values known, the proofs of a spectrum and the way back included."""
    source = Source(model, None, lambda model, inputs: None)
    with Swap(model) as swap:
        matrices = [tensor for tensor in swap.tensors if tensor.is_matrix]
    ours = {mode: _draw(ct.MatchSpectrum(mode=mode), source, matrices) for mode in modes}  # type: ignore[arg-type]
    copies = [torch.empty(tensor.parameter.shape) for tensor in matrices]

    def peer() -> None:
        for copy in copies:
            torch.nn.init.orthogonal_(copy)

    for call in (*ours.values(), peer):
        call()  # singular values, warm caches
    rounds = [[seconds(call) for call in (peer, *ours.values())] for _ in range(repeats)]
    of_peer, *of_ours = map(median, zip(*rounds, strict=True))
    return [
        Drawn(f"{what}, `MatchSpectrum(mode={mode!r})`", len(matrices), found, of_peer)
        for mode, found in zip(modes, of_ours, strict=True)
    ]


def _draw(control: ct.MatchSpectrum, source: Source, matrices: Sequence[Any]) -> Callable[[], None]:
    names = {tensor.name for tensor in matrices}
    numbers = stream(0, "benchmark", "weights")

    def call() -> None:
        with Swap(source.model) as swap:
            targets = [tensor for tensor in swap.tensors if tensor.name in names]
            control.redraw(swap, targets, source, int(numbers.integers(2**63)))

    return call


def of_minilm(repeats: int) -> list[Drawn]:
    """Time draws of MiniLM; none where it is not installed."""
    from controls.demo import minilm

    if not minilm.is_installed():
        return []
    return draws(minilm.load()[1], "MiniLM", ("full", "per_head"), repeats)


def table(rows: Sequence[Drawn]) -> str:
    """Return the table."""
    return "\n".join([HEADER, "|---|---|---|---|---|---|", *(row.row for row in rows)])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    print(table(of_minilm(parser.parse_args().repeats)))
