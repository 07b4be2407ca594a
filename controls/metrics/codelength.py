"""Description length: how many bits the labels cost where each block is coded by a probe of the blocks before it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from controls.core.errors import InputError
from controls.core.trainer import Output, Task
from controls.core.validate import real_number
from controls.metrics._read import read
from controls.metrics._units import RowMean

TIMESTEPS = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.0625, 0.125, 0.25, 0.5)  # Voita and Titov (2020)


@final
@dataclass(frozen=True)
class NegCodelength(RowMean):
    """Minus the online (prequential) code length of the labels, in bits per label; ``scoring="neg_codelength"``.

    Units are put in an order that depends on the seed alone. The labels of the first block are sent by
    the uniform code, log2(classes) bits each; those of every further block by the probabilities of a
    probe that was trained on all blocks before it. The score is minus the bits of the whole message
    by the number of labels. A probe that learns from few examples has a short code, so the length also
    says how hard the labels are to learn, where accuracies are alike.

    Parameters
    ----------
    timesteps : tuple of float
        Shares of the units, rising, between 0 and 1, after which the probe is trained anew. Blocks are whole units,
        at least one each, so that few units give fewer blocks. The shares of Voita and Titov by default: .1% to 50%.
    mix : float, default 0.001
        Weight of the uniform code in every prediction, between 0 and 1: a label that the probe holds
        impossible (its class was not in the training blocks) costs log2(classes / mix) bits, not infinitely many.

    Notes
    -----
    It chooses its own folds, so that ``cv`` must be None. A block before which fewer than two classes
    were seen is sent by the uniform code. Fits are as many as timesteps that differ in whole units, at most
    ten by default, together about as dear as two fits of all rows. O(m B) time and memory for m rows and B columns.

    Intervals take the fitted probes and the order of blocks as given.

    References
    ----------
    Voita and Titov (2020), Information-Theoretic Probing with Minimum Description Length, arXiv 2003.12298.
    Dawid (1984), Statistical Theory: The Prequential Approach.

    Examples
    --------
    >>> import numpy as np, controls as ct
    >>> y = np.repeat([0, 1], 100)
    >>> problem = ct.Problem(np.random.default_rng(0).normal(size=(200, 3)) + 4 * y[:, None], y)
    >>> result = ct.measure(ct.probes.LogisticProbe(), problem, controls=[ct.ShuffleLabels()],
    ...                     scoring="neg_codelength", draws=19)
    >>> -0.3 < result.score < 0, result["ShuffleLabels"].control_mean < -1
    (True, True)
    >>> round(compression(result.score, 2)) > 3
    True
    """

    name: ClassVar[str] = "neg_codelength"
    task: ClassVar[Task] = "classification"
    needs: ClassVar[str] = "probabilities"
    timesteps: tuple[float, ...] = TIMESTEPS
    mix: float = 0.001

    def __post_init__(self) -> None:
        real_number(self.mix, "mix", low=0.0, high=1.0)
        object.__setattr__(self, "timesteps", _checked(self.timesteps))

    def rows(self, truth: np.ndarray, output: Output) -> np.ndarray:
        """Return minus the bits of each row's label, shape (m, B)."""
        probabilities = read(output, "probabilities")
        true = np.take_along_axis(probabilities, truth[:, :, None], axis=2)[:, :, 0].astype(np.float64)
        return np.log2((1 - self.mix) * np.clip(true, 0.0, 1.0) + self.mix / probabilities.shape[2])

    def unfitted(self, n_classes: int) -> float:
        """Return minus the bits of a label by the uniform code."""
        return -math.log2(n_classes)

    def remark(self, score: float, n: int, n_classes: int) -> str:
        """Return the length of the whole message, beside that of the uniform code, in words."""
        uniform, ratio = n * math.log2(n_classes), compression(score, n_classes)
        return (
            f"code length: {-score * n:,.0f} bits for {n:,} labels, by the uniform code {uniform:,.0f} (compression "
            f"{ratio:.2f}); higher scores are shorter codes."
        )


def compression(score: float, n_classes: int) -> float:
    """Return how many times shorter a code is than the uniform one.

    Parameters
    ----------
    score : float
        Minus bits per label, as ``neg_codelength`` gives it.
    n_classes : int

    Returns
    -------
    float
        1 for the uniform code itself.

    Examples
    --------
    >>> compression(-0.5, 4)
    4.0
    """
    return math.inf if score == 0 else -math.log2(n_classes) / score


def _checked(timesteps: Iterable[float]) -> tuple[float, ...]:
    shares = tuple(timesteps) if isinstance(timesteps, Iterable) else (timesteps,)
    for share in shares:
        real_number(share, "timesteps", low=0.0, high=1.0)
    if not shares or list(shares) != sorted(set(shares)):
        raise InputError(f"timesteps must be rising shares of the units, such as (0.1, 0.5), got {timesteps!r}.")
    return shares
