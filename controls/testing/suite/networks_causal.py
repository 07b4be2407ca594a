"""Steering of five networks: which interactions do the outputs use, among those that can be read?"""

from __future__ import annotations

from typing import Any

import numpy as np

from controls.ground_truth import Network
from controls.ground_truth.networks import Pair
from controls.testing.suite import zoo
from controls.testing.suite.case import Bound, Case, Check, Effort, Exact, Verdict


def steering(effort: Effort) -> list[Check]:
    """Add the direction of a pair's interaction to the hidden layer of the torch module, and see the outputs move."""
    checks: list[Check] = []
    for name in zoo.NAMES:
        found = zoo.network(name, effort.short)
        held = zoo.shares(found)
        computed, other = float(held[: len(zoo.PAIRS)].mean()), float(held[len(zoo.PAIRS) :].mean())
        rng = effort.stream("networks-steering", name)
        on, off = (_moved(found, pairs, rng) for pairs in (found.pairs, found.others))
        own = on[np.arange(len(on)), np.arange(len(on))]
        exact = float(np.abs(on - found.contrasts(found.pairs)).max())
        checks.append(Exact(f"{name}: moved by other than the outputs' own contrast", 0.0, exact, 1e-9))
        if name == "B0":
            continue  # its outputs have little of any pair
        least = 1 - 1e-9 if name == "A" else 0.9
        most = 1e-9 if name == "A" else 0.03
        spread = float(np.sqrt(np.mean(off**2)))
        checks.append(Bound(f"{name}, computed pairs: own output moved", "at least", least, float(own.mean())))
        checks.append(Bound(f"{name}, other pairs: outputs moved (rms)", "at most", most, spread))
        if name in ("C", "D"):
            checks.append(Bound(f"{name}, other pairs: partial R²", "at least", 0.9, other))
        expected = "readable, not used" if name in ("C", "D") else "neither"
        checks.append(Verdict(f"{name}, computed pairs", "used", _word(computed, float(own.mean()))))
        checks.append(Verdict(f"{name}, other pairs", expected, _word(other, spread)))
    return checks


def _word(readable: float, moved: float) -> str:
    if moved > 0.5:
        return "used"
    return "readable, not used" if readable > 0.5 else "neither"


def _moved(found: Network, pairs: tuple[Pair, ...], rng: np.random.Generator) -> np.ndarray:
    """Return the mean shift of each output when a hook adds each pair's direction, shape (len(pairs), k)."""
    import torch

    module: Any = found.module()
    X = torch.tensor(zoo.INPUTS.sample(50, rng))
    with torch.no_grad():
        before = module(X)
        moved = []
        for direction in found.directions(pairs):
            added = torch.tensor(direction)
            handle = module.hidden.register_forward_hook(lambda _, __, hidden, by=added: hidden + by)
            moved.append((module(X) - before).mean(dim=0).numpy())
            handle.remove()
    return np.stack(moved)


CASES = (
    Case(
        "networks: steering",
        "Five networks, each interaction's direction added to the hidden layer: do the outputs use it?",
        "Outputs move by their own interaction contrast, exactly. C and D hold the interactions of other pairs "
        "(partial R² above .9) and do not use them: only this control tells them from the computed ones.",
        steering,
    ),
)
