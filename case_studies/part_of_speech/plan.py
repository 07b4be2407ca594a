"""What is run: the text, the layers, the controls and the probes, in full and in short."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import final

import controls as ct

HERE = Path(__file__).parent
LAYERS = ("embeddings", *(f"encoder.layer.{i}" for i in range(6)))
SMOL_LAYERS = tuple(f"layers.{i}" for i in (0, 10, 20, 29))
LABEL_CONTROLS = (ct.ControlTask(per="word"), ct.ShuffleLabels(within="document"))
LADDER: dict[str, ct.WeightControl] = {
    "initialised": ct.Reinitialize(),
    "moments": ct.Reinitialize(scheme="moments"),
    "rows permuted": ct.PermuteWeights(by="row"),
    "spectrum": ct.MatchSpectrum(),
}
RUNGS: dict[str, ct.WeightControl] = {
    "normal": ct.Reinitialize(scheme="normal"),
    "entries permuted": ct.PermuteWeights(by="entry"),
    "columns permuted": ct.PermuteWeights(by="column"),
    "heads permuted": ct.PermuteWeights(by="head"),
    "neurons permuted": ct.PermuteWeights(by="neuron"),
    "spectrum per head": ct.MatchSpectrum(mode="per_head"),
    "spectrum of circuits": ct.MatchSpectrum(mode="circuit"),
    "left vectors": ct.MatchSpectrum(mode="left"),
    "right vectors": ct.MatchSpectrum(mode="right"),
    "spectrum and sizes": ct.MatchActivations(after=ct.MatchSpectrum()),
}
ABOVE_EMBEDDINGS = {"heads permuted", "neurons permuted", "spectrum of circuits"}  # these leave embeddings alone
UNTRAINED: dict[str, ct.WeightControl] = {
    "all weights": ct.Reinitialize(),
    "all but the embeddings": ct.Reinitialize(exclude=("embeddings.*",)),
}


@final
@dataclass(frozen=True)
class Plan:
    """The sizes of a run.

    Parameters
    ----------
    sentences, per_document : int
        Sentences that MiniLM reads, and at most so many of one document.
    layers : tuple of str
        Of MiniLM, from the embeddings up.
    rungs : tuple of str
        The rungs of the ladder beside the first four.
    draws, few : int
        Draws of the label controls and of the first four rungs; of everything that is only described.
    probe_layers : tuple of str
        Where linear probes are set beside MLPs; the last is where differences in differences are taken.
    hidden : tuple of int
        Hidden sizes of the MLPs, small to large.
    epochs : int
        Passes over the rows in which these probes are trained.
    smol_sentences : int
        Sentences that SmolLM2 reads; 0 where it does not.
    """

    sentences: int
    per_document: int
    layers: tuple[str, ...]
    rungs: tuple[str, ...]
    draws: int
    few: int
    probe_layers: tuple[str, str]
    hidden: tuple[int, int]
    epochs: int
    smol_sentences: int


FULL = Plan(
    sentences=1000,
    per_document=4,
    layers=LAYERS,
    rungs=tuple(RUNGS),
    draws=19,
    few=3,
    probe_layers=(LAYERS[2], LAYERS[6]),
    hidden=(45, 1000),
    epochs=20,
    smol_sentences=500,
)
SHORT = Plan(
    sentences=40,
    per_document=2,
    layers=(LAYERS[0], LAYERS[3], LAYERS[6]),
    rungs=("normal",),
    draws=2,
    few=2,
    probe_layers=(LAYERS[3], LAYERS[6]),
    hidden=(8, 100),
    epochs=80,
    smol_sentences=0,
)
