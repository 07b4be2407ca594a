"""Phase-randomised activations: sequences of the same spectra, in which nothing happens at any place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from controls.core.control import Inference
from controls.core.errors import CannotControl
from controls.core.problem import Problem
from controls.core.properties import Property
from controls.core.sequences import rows_of_each, sequence_codes
from controls.generators.activation_properties import Spectra
from controls.generators.activations import ActivationControl
from controls.generators.moments import as_read

_SHORTEST = 4  # rows of a sequence that has a frequency with a free phase, beside the highest
_FEWEST = 3  # sequences over which drift can be tested
_DRIFT = 0.01  # level at which a mean that changes along sequences is reported


@final
@dataclass(frozen=True)
class RandomizePhases(ActivationControl):
    """Keeps the spectra and cross spectra of all coordinates along each sequence; destroys when things happen.

    The rows of each sequence, in their order, are taken apart into frequencies; at each, all coordinates are
    shifted by one random phase. So autocorrelations of coordinates stay, and correlations between them at
    every lag, read round the end of the sequence; what coincides with a label, a burst, or another sequence
    does not.

    Parameters
    ----------
    within : str
        The group whose members are sequences, "sequence" or "document"; rows are in order.

    Raises
    ------
    InputError
        Sparse activations; an unknown group.
    CannotControl
        All sequences have fewer than four rows; activations that are all the same.

    Notes
    -----
    Null hypothesis: activations along each sequence are a stationary Gaussian process, whatever the labels.
    That is seldom so in text: first tokens differ from all others, and surrogates of a process that drifts
    show what the observed one does not, with false alarms in up to all cases (Harris 2020). So draws are an
    ensemble, the report carries a warning where the mean of some coordinate drifts along sequences
    (at level .01 over all), and first positions are best left out. Sequences shorter than four rows stay.
    Cost: O(n d log n) a draw.

    References
    ----------
    Theiler et al. (1992), Testing for nonlinearity in time series, Physica D 58. Prichard and Theiler (1994),
    Generating surrogate data for time series with several simultaneously measured variables, PRL 73. Harris
    (2020), Nonsense correlations in neuroscience.

    Examples
    --------
    >>> import numpy as np, controls as ct
    >>> X = np.random.default_rng(0).standard_normal((16, 2))
    >>> problem = ct.Problem(X, groups={"sequence": np.repeat([0, 1], 8)})
    >>> drawn = ct.RandomizePhases().draw(problem, np.random.default_rng(1)).X
    >>> np.allclose(np.abs(np.fft.rfft(drawn[:8], axis=0)), np.abs(np.fft.rfft(X[:8], axis=0)))
    True
    """

    within: str = "sequence"

    @property
    def inference(self) -> Inference:
        """A rank among surrogates."""
        return "ensemble"

    @property
    def null(self) -> str:
        """The null hypothesis, as one sentence."""
        return f"Activations along each {self.within} are a stationary Gaussian process, whatever the labels."

    @property
    def licenses(self) -> str:
        """What surviving this control licenses one to say, as one sentence."""
        return (
            "The score needs what happens where, beyond how coordinates vary together along a sequence; if "
            "activations are stationary."
        )

    @property
    def kept(self) -> tuple[Property, ...]:
        """Means, power spectra and cross spectra."""
        return (Spectra(self.within),)

    def check(self, problem: Problem) -> None:
        """Refuse sequences that are all too short."""
        super().check(problem)
        longest = int(np.bincount(sequence_codes(problem, self.within)).max())
        if longest < _SHORTEST:
            raise CannotControl(
                f"RandomizePhases needs a {self.within} of at least {_SHORTEST} rows, got at most {longest}; name "
                "longer sequences with within=."
            )

    def caveats(self, problem: Problem, rng: np.random.Generator) -> tuple[str, ...]:
        """Return that activations are not stationary, where the mean of some coordinate drifts."""
        p, count = _drift(problem, self.within)
        if count < _FEWEST:
            return (f"with {count} sequences it could not be tested whether activations are stationary along them",)
        if p > _DRIFT:
            return ()
        return (
            f"activations are not stationary: over {count} sequences, the mean of some coordinate differs between "
            f"first and second halves (p = {p:.2g}), which randomised phases spread over the whole sequence",
        )

    def fill(self, drawn: np.ndarray, problem: Problem, rng: np.random.Generator) -> None:
        """Shift the frequencies of each sequence."""
        for rows in rows_of_each(sequence_codes(problem, self.within)):
            part = as_read(problem.X, rows)
            drawn[rows] = _shifted(part, rng) if len(rows) >= _SHORTEST else part


def _shifted(part: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a sequence (rows, d) with a random phase for each frequency; the highest may turn over."""
    found = np.fft.rfft(part, axis=0)
    turns = np.exp(2j * np.pi * rng.random(len(found)))
    turns[0] = 1.0
    if len(part) % 2 == 0:
        turns[-1] = rng.choice([-1.0, 1.0])
    return np.fft.irfft(found * turns[:, None], n=len(part), axis=0)


def _drift(problem: Problem, within: str) -> tuple[float, int]:
    """Return p that no coordinate's mean differs between halves of sequences, by t over sequences, and their number."""
    from scipy.special import stdtr

    differences = []
    for rows in rows_of_each(sequence_codes(problem, within)):
        if len(rows) >= _SHORTEST:
            part = as_read(problem.X, rows)
            differences.append(part[: len(rows) // 2].mean(axis=0) - part[len(rows) // 2 :].mean(axis=0))
    count = len(differences)
    if count < _FEWEST:
        return 1.0, count
    found = np.array(differences)
    error = found.std(axis=0, ddof=1) / np.sqrt(count)
    mean = np.abs(found.mean(axis=0))
    t = np.divide(mean, error, out=np.where(mean > 0, np.inf, 0.0), where=error > 0)
    return min(1.0, problem.d * float(2 * stdtr(count - 1, -t.max()))), count
