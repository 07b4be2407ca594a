"""Which embeddings, which rows beside them, and how large the dictionaries are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import final

HERE = Path(__file__).parent
STAGES = ("start", "early", "middle", "end")
BY_FREQUENCY, ALIKE, SPELLINGS = "by frequency", "all alike", "one of each spelling, all alike"
COUNTED = (BY_FREQUENCY, ALIKE, SPELLINGS)
SCORES = {
    "neighbour": "cosine with the nearest other atom",
    "participation": "participation ratio of the atoms",
    "rank": "effective rank of the atoms",
    "clusters": "cluster score",
    "circle": "circle score of the best group",
}


@final
@dataclass(frozen=True)
class Pursuit:
    """A dictionary and its sparse codes.

    Parameters
    ----------
    tokens : int
        The most frequent ones; each third is scored, the others train the dictionary.
    atoms : int
    penalty : float
        Of the L1 norm of codes in training, for rows of mean square length 1.
    steps, batch : int
        Mini-batches of training, and rows of each, drawn by their weight.
    active : tuple of int
        Numbers of active atoms at which the error is taken, rising.
    """

    tokens: int
    atoms: int
    penalty: float
    steps: int
    batch: int
    active: tuple[int, ...] = (1, 2, 4, 8, 16)


@final
@dataclass(frozen=True)
class Plan:
    """One form of the study."""

    seeds: int  # of the tiny model
    tiny: Pursuit
    smollm2: Pursuit | None
    draws: int  # of each control, for SmolLM2


FULL = Plan(
    seeds=6,
    tiny=Pursuit(tokens=1024, atoms=256, penalty=0.1, steps=60, batch=128),
    smollm2=Pursuit(tokens=3072, atoms=512, penalty=0.1, steps=40, batch=256),
    draws=19,
)
SHORT = Plan(
    seeds=3,
    tiny=Pursuit(tokens=320, atoms=48, penalty=0.1, steps=20, batch=64, active=(1, 2, 4, 8)),
    smollm2=None,
    draws=0,
)
