"""How much is read, how large the dictionary is, and the ladder of nulls."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import final

import controls as ct
from controls import Control

HERE = Path(__file__).parent
LAYER = "encoder.layer.3"
LADDER: tuple[Control, ...] = (
    ct.MatchSparsity(keep="fill"),
    ct.MatchSparsity(keep="rows"),
    ct.MatchSparsity(keep="columns"),
    ct.MatchSparsity(keep="both"),
    ct.MatchSparsity(keep="both", within="document"),
    ct.MatchSparsity(keep="both", within="token"),
)


@final
@dataclass(frozen=True)
class Plan:
    """One form of the case study."""

    files: int  # of the standard library
    chunks: int  # of a file, of 60 tokens each
    latents: int
    k: int  # latents that fire at a token
    steps: int
    batch: int
    min_fires: int
    draws: int


FULL = Plan(files=120, chunks=4, latents=1024, k=16, steps=2000, batch=1024, min_fires=50, draws=99)
SHORT = Plan(files=12, chunks=4, latents=128, k=8, steps=150, batch=512, min_fires=20, draws=19)
