"""What is trained: the sizes of the model, its data and its training, in full and in short."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import final


@final
@dataclass(frozen=True)
class Arm:
    """How the embedding starts, and whether it is trained; all else is the same in every arm of a seed.

    Parameters
    ----------
    words : str
        The arm in a table or figure.
    std : float
        The standard deviation of the embedding's entries at step 0.
    trained : bool
        Trained, or frozen where it starts.
    bounded : bool, default False
        Rows drawn until their cosines are bounded, or else the Gaussian rows of the model's own start.
    """

    words: str
    std: float
    trained: bool
    bounded: bool = False


START_STD = 0.02  # of GPT-2's initialiser
ARMS = {
    "trained": Arm("trained, sd .02", START_STD, trained=True),
    "unit": Arm("trained, sd 1", 1.0, trained=True),
    "gaussian": Arm("frozen, sd 1", 1.0, trained=False),
    "bounded": Arm("frozen, sd 1, bounded cosine", 1.0, trained=False, bounded=True),
    "small": Arm("frozen, sd .02", START_STD, trained=False),
}
FIRST = "trained"  # the arm of which all checkpoints are kept
HERE = Path(__file__).parent


@final
@dataclass(frozen=True)
class Plan:
    """The sizes of a model, of its data and of its training.

    Parameters
    ----------
    vocabulary : int
        Number of tokens, the 256 bytes included.
    width, layers, heads, context : int
        Of the transformer: its residual stream, blocks, heads of a block, and tokens of a window.
    steps, early, batch : int
        Steps of training, the step of the early checkpoint, windows of a step.
    lr : float
        The largest learning rate, reached after a twelfth of the steps; it falls to a tenth as a cosine.
    cosine_bound : float
        What the absolute cosine of any two rows of the bounded embedding stays below.
    files : int or None
        Files of source that are read; None for all.
    held_out : int
        At most so many windows, from files that training never sees, give the held-out loss.
    seeds : int, default 6
        Trainings of each arm, with seeds 0, 1, ....

    Examples
    --------
    >>> FULL.stages
    {'start': 0, 'early': 100, 'middle': 600, 'end': 1200}
    """

    vocabulary: int
    width: int
    layers: int
    heads: int
    context: int
    steps: int
    early: int
    batch: int
    lr: float
    cosine_bound: float
    files: int | None
    held_out: int
    seeds: int = 6

    @property
    def stages(self) -> dict[str, int]:
        """The steps at which checkpoints are kept, by name."""
        return {"start": 0, "early": self.early, "middle": self.steps // 2, "end": self.steps}


FULL = Plan(
    vocabulary=1024,
    width=128,
    layers=6,
    heads=4,
    context=128,
    steps=1200,
    early=100,
    batch=8,
    lr=2e-3,
    cosine_bound=0.25,
    files=None,
    held_out=512,
)
SHORT = Plan(
    vocabulary=320,
    width=32,
    layers=2,
    heads=2,
    context=32,
    steps=100,
    early=20,
    batch=32,
    lr=1e-2,
    cosine_bound=0.5,
    files=60,
    held_out=256,
)


def default_folder(short: bool = False) -> Path:
    """Return where checkpoints are kept if no folder is named."""
    return HERE / "checkpoints" / ("short" if short else "full")
