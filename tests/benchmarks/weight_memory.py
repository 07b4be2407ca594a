"""Peak resident memory of one draw of each control on weights, each in a process of its own.

python tests/benchmarks/weight_memory.py             prints the table
python tests/benchmarks/weight_memory.py CONTROL     prints one control's figures as JSON
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

import controls as ct
from controls.core.rng import stream

HEADER = "| one draw of | model, MB | activations, MB | peak, MB | ratio | asked |"
CONTROLS = {
    "Reinitialize('module')": ct.Reinitialize(),
    "Reinitialize('moments')": ct.Reinitialize("moments"),
    "PermuteWeights('entry')": ct.PermuteWeights("entry"),
    "MatchSpectrum('full')": ct.MatchSpectrum(),
    "MatchActivations(Reinitialize())": ct.MatchActivations(ct.Reinitialize()),
}
WIDTH, TOKENS, LAYERS, ROWS = 512, 16_000, 12, 100


@dataclass(frozen=True)
class Peak:
    """Megabytes of a model, of the activations before and after a draw, and most that were resident beyond the rest."""

    what: str
    model: float
    activations: float
    peak: float

    @property
    def row(self) -> str:
        """The row of the table."""
        ratio = self.peak / (self.model + self.activations)
        sizes = f"{self.model:.0f} | {self.activations:.0f} | {self.peak:.0f}"
        return f"| `{self.what}` | {sizes} | {ratio:.2f} | at most 1.3 |"


def transformer() -> nn.Module:
    """Return an encoder of which an embedding is about a sixth, as of small language models."""
    layer = nn.TransformerEncoderLayer(WIDTH, 8, 4 * WIDTH, batch_first=True)
    return nn.Sequential(nn.Embedding(TOKENS, WIDTH), nn.TransformerEncoder(layer, LAYERS)).eval()


def measured(name: str) -> Peak:
    """Return the figures of one control; its checks, which draw once, come first."""
    ids = stream(0, "benchmark", "ids").integers(0, TOKENS, (ROWS, 8))
    small = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8)).eval()  # so that all code is loaded
    CONTROLS[name].draw(ct.from_model(small, torch.randn(300, 8), layer="2"), stream(0, "warm"))
    gc.collect()
    before = _status("VmRSS")
    model = transformer()
    problem = ct.from_model(model, ids, layer="1", pooling="mean", batch_size=8)
    CONTROLS[name].check(problem)
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the high-water mark starts anew
    drawn = CONTROLS[name].draw(problem, stream(0, "draw"))
    size = sum(p.numel() * p.element_size() for p in model.parameters())
    both = problem.X.nbytes + np.asarray(drawn.X).nbytes
    return Peak(name, size / 1e6, both / 1e6, _status("VmHWM") - before)


def _status(name: str) -> float:
    """Return a figure of this process in MB, as Linux has it."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) * 1024 / 1e6


def peaks() -> list[Peak]:
    """Measure all controls; none where the system does not say how much memory a process holds."""
    if not Path("/proc/self/clear_refs").exists():
        return []
    found = []
    for name in CONTROLS:
        command = [sys.executable, __file__, name]
        found.append(Peak(**json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)))
    return found


def table(rows: list[Peak]) -> str:
    """Return the table."""
    return "\n".join([HEADER, "|---|---|---|---|---|---|", *(row.row for row in rows)])


if __name__ == "__main__":
    print(json.dumps(vars(measured(sys.argv[1]))) if len(sys.argv) > 1 else table(peaks()))
