"""SAEs: the share of the machine's product rate that training reaches, several side by side, and beside sae-lens.

``python tests/benchmarks/saes.py`` (``make bench-extras`` runs it where sae-lens is installed).
"""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

import controls as ct

D, M, K, BATCH = 576, 4608, 32, 2048
SMALL = ct.finders.SAE(128, k=8, batch_size=256, steps=200, lr=1e-3)
STEPS, REPEATS = 20, 5


@dataclass(frozen=True)
class Saes:
    """What was measured, in seconds and operations a second."""

    rate: float  # of one product of a batch with the encoder
    step: float  # of the large SAE
    one: float  # small SAE
    eight: float  # side by side

    @property
    def share(self) -> float:
        """Useful operations a second, as a share of the product's rate: sparse products at the active latents only."""
        useful = 2 * BATCH * D * M + 4 * 2 * BATCH * K * D
        return useful / self.step / self.rate

    @property
    def together(self) -> float:
        """Throughput of eight side by side, over that of one after another."""
        return 8 * self.one / self.eight


def seconds(call: Any) -> float:
    """Return the seconds that a call takes."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def activations(d: int, n: int = 20_000) -> np.ndarray:
    """Return rows that are sparse sums of directions."""
    from controls.ground_truth import PlantedDictionary, RareFeatures, random_directions

    rng = np.random.default_rng(0)
    world = PlantedDictionary(random_directions(4 * d, d, rng), RareFeatures(np.full(4 * d, 0.02)), noise=0.05)
    return world.activations(n, rng)


def train(sae: Any, X: np.ndarray, count: int = 1) -> list[Any]:
    """Train an SAE, or several."""
    return ct.finders.train_many([sae] * count, [X] * count, [np.random.default_rng(seed) for seed in range(count)])


def measured() -> Saes:
    """Measure all of it in one run; medians, and steps as a difference of two lengths, so that starts fall out."""
    X, small = activations(D), activations(64, 5000)
    large = ct.finders.SAE(M, k=K, batch_size=BATCH, steps=5, lr=1e-3)
    a, b = torch.randn(BATCH, D), torch.randn(D, M)
    out = torch.empty(BATCH, M)
    train(large, X), train(SMALL, small, 8)
    rows = []
    for _ in range(REPEATS):
        product = median(seconds(lambda: torch.mm(a, b, out=out)) for _ in range(5))
        step = (seconds(lambda: train(replace(large, steps=5 + STEPS), X)) - seconds(lambda: train(large, X))) / STEPS
        rows.append((product, step, seconds(lambda: train(SMALL, small)), seconds(lambda: train(SMALL, small, 8))))
    product, step, one, eight = (median(column) for column in zip(*rows, strict=True))
    return Saes(2 * BATCH * D * M / product, step, one, eight)


def beside_saelens(steps: int = 60) -> dict[str, tuple[float, float]]:
    """Return rows a second and explained variance on fresh rows of ours and of sae-lens: same rows, lr and steps."""
    from sae_lens import TopKTrainingSAEConfig

    X, fresh = activations(D), ct.Problem(activations(D, 4000)[2000:])
    config = TopKTrainingSAEConfig(d_in=D, d_sae=M, k=K)
    settings = {"lr_warm_up_steps": steps // 20, "lr_decay_steps": steps // 5, "lr_end": 0.0}
    kinds = {
        "ours": lambda n: ct.finders.SAE(M, k=K, batch_size=BATCH, steps=n, lr=1e-3),
        "sae-lens": lambda n: ct.finders.SAELens(config, steps=n, batch_size=BATCH, lr=1e-3, settings=settings),
    }
    problem, found = ct.Problem(X), {}
    for make in kinds.values():
        make(3).fit(problem, np.random.default_rng(0))
    times: dict[str, list[float]] = {name: [] for name in kinds}
    for _ in range(3):
        for name, make in kinds.items():
            short = seconds(lambda make=make: make(3).fit(problem, np.random.default_rng(0)))
            started = time.perf_counter()
            found[name] = make(steps).fit(problem, np.random.default_rng(0))
            times[name].append((time.perf_counter() - started - short) / (steps - 3))
    return {
        name: (BATCH / median(times[name]), float(ct.metrics.explained_variance(found[name], fresh))) for name in kinds
    }


def table(saes: Saes) -> str:
    """Return what was measured as Markdown."""
    return (
        f"Training `ct.finders.SAE` (TopK, {D} → {M:,}, k = {K}, batch {BATCH:,}) takes {1000 * saes.step:.0f} ms a "
        f"step, {BATCH / saes.step:,.0f} rows a second: {saes.share:.0%} of the rate of one dense product of that "
        f"shape ({saes.rate / 1e9:.0f} Gflop/s), useful operations only (asked: 55%). Eight SAEs of 64 → 128, batch "
        f"256, side by side have {saes.together:.1f} times the throughput of eight one after another (asked: 2)."
    )


def beside(rates: dict[str, tuple[float, float]]) -> str:
    """Return what was measured beside sae-lens as Markdown."""
    shown = "; ".join(
        f"{name} {rate:,.0f} rows a second, explained variance {explained:.3f} on rows not seen"
        for name, (rate, explained) in rates.items()
    )
    times = rates["ours"][0] / rates["sae-lens"][0]
    return f"The same SAE, rows, steps and lr beside sae-lens, by turns: {shown}; {times:.1f} times as fast (asked: 3)."


def into_page(page: str, section: str) -> str:
    """Return a page with this section in the place of that of its heading, or at its end."""
    heading = section.partition("\n")[0]
    before, found, rest = f"\n{page}".partition(f"\n{heading}\n")
    after = rest.partition("\n## ")[2] if found else ""
    return f"{before.strip()}\n\n{section.strip()}\n" + (f"\n## {after.strip()}\n" if after else "")


def main() -> None:
    """Measure, beside sae-lens where it is installed; print the section, and put it into a page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--docs", type=Path, help="the page whose section is written anew")
    given = parser.parse_args()
    when = f"{torch.get_num_threads()} torch threads, load {os.getloadavg()[1]:.1f} (5 minutes) before."
    parts = ["## SAEs", when, table(measured())]
    try:
        parts.append(beside(beside_saelens()))
    except (ImportError, ct.InputError) as error:
        parts.append(f"Beside sae-lens: `make bench-extras` ({error}).")
    section = "\n\n".join(parts)
    print(section)
    if given.docs:
        given.docs.write_text(into_page(given.docs.read_text(encoding="utf-8"), section), encoding="utf-8")


if __name__ == "__main__":
    main()
