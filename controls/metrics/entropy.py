"""Over how many kinds of tokens the activation of a latent is spread."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from controls.core.dictionary import Dictionary, as_dictionary, side_by_side
from controls.core.errors import TrainerError, unknown_name
from controls.core.problem import Problem
from controls.core.rng import stream
from controls.core.validate import one_of, plain_text, whole_number
from controls.models.tokens import tokens_of_rows

_LATENTS_AT_ONCE = 1 << 22


@final
@dataclass(frozen=True)
class TokenEntropy:
    """Mean over latents of the entropy of their activation over tokens, in nats (after Heap et al. 2025).

    Of a latent, H = −Σ p_t log p_t, where p_t is the share of its activation (its size, where it can be
    negative) that falls on token t. A latent for a single token has 0; one that fires on everything has
    the entropy of the text. Higher is more abstract, or more random: both spread over many tokens.

    Parameters
    ----------
    group : str, default "token"
        The group of the problem that says which token a row is of. Where rows are the tokens of a source
        (``ct.from_model``), "token" means those that the model read: a control on inputs leaves the group as it was.
    correction : {"none", "miller_madow", "shuffle"}, default "none"
        "none" is the definition of the paper. It is biased low where a latent fires on few rows: firing
        on r rows, H ≤ log r whatever they are. "miller_madow" adds (K − 1)/(2N), of K tokens it fires on
        and N = (Σa)²/Σa² rows' worth of activation: less bias, not none. "shuffle" returns H − H₀, with
        H₀ the mean entropy of the same activation on randomly chosen rows (``draws`` of them): 0 where
        a latent does not care for tokens, however rare, and negative where it does.
    draws : int, default 5
        Shuffles of rows; each costs one more encoding of them.
    least_rows : int, default 1
        Latents that fire on fewer rows are left out.

    Notes
    -----
    Under a control, latents may fire less or more often, which alone moves "none"; use "shuffle", or
    look at ``per_latent``, before reading a difference as one of meaning. Measured: docs/how_to/dictionary_metrics.md.

    Time: one encoding (and one per shuffle); memory of one block and O(m), for any number of tokens.

    Raises
    ------
    NameNotFound
        The problem has no such group.
    TrainerError
        No latent fires on as many rows.

    Examples
    --------
    >>> import numpy as np, controls as ct
    >>> X = np.array([[1.0, 1.0], [1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    >>> problem = ct.Problem(X, groups={"token": ["a", "b", "c", "d"]})
    >>> ct.metrics.TokenEntropy().per_latent(np.eye(2), problem).round(3)
    array([1.386, 0.   ])
    """

    group: str = "token"
    correction: str = "none"
    draws: int = 5
    least_rows: int = 1

    def __post_init__(self) -> None:
        plain_text(self.group, "group")
        one_of(self.correction, "correction", ("none", "miller_madow", "shuffle"))
        whole_number(self.draws, "draws", low=1)
        whole_number(self.least_rows, "least_rows", low=1)

    def __call__(self, finding: Any, problem: Problem) -> float:
        """Return the mean over latents that fire on enough rows."""
        entropies = self.per_latent(finding, problem)
        if np.isnan(entropies).all():
            raise TrainerError(
                f"a dictionary must have a latent that fires on at least {self.least_rows} of {problem.n} rows, got "
                "none; train longer, with a smaller penalty, or lower least_rows."
            )
        return float(np.nanmean(entropies))

    def per_latent(self, finding: Any, problem: Problem) -> np.ndarray:
        """Return the entropy of each latent, shape (m,); NaN where it fires on too few rows."""
        if self.group not in problem.groups:
            raise unknown_name("group", self.group, problem.groups, advice="Give the tokens of rows in groups=.")
        dictionary = as_dictionary(finding)
        tokens = np.unique(self._column(problem), return_inverse=True)[1]
        masses = _Masses.of(dictionary, problem, tokens)
        entropies = masses.entropies
        if self.correction == "miller_madow":
            with np.errstate(invalid="ignore", divide="ignore"):
                entropies = entropies + (masses.tokens - 1) / (2 * masses.total**2 / masses.squares)
        elif self.correction == "shuffle":
            shuffles = [stream(0, "TokenEntropy", draw).permutation(tokens) for draw in range(self.draws)]
            entropies = entropies - np.mean(
                [_Masses.of(dictionary, problem, each).entropies for each in shuffles], axis=0
            )
        return np.where(masses.rows >= self.least_rows, entropies, np.nan)

    def _column(self, problem: Problem) -> np.ndarray:
        """Return the group's column; for tokens what the model read, which a control on inputs has changed."""
        read = tokens_of_rows(problem) if self.group == "token" else None
        return problem.groups[self.group] if read is None else read


@dataclass(frozen=True, eq=False)
class _Masses:
    """Sums over the rows of each latent, all of shape (m,)."""

    total: np.ndarray  # of activation
    squares: np.ndarray  # of activation squared
    rows: np.ndarray  # on which it fires
    tokens: np.ndarray  # on which it fires
    logs: np.ndarray  # Σ over tokens of a log a, a its activation on the token

    @property
    def entropies(self) -> np.ndarray:
        """Entropy of each latent in nats; NaN where it never fires."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.maximum(np.log(self.total) - self.logs / self.total, 0.0)

    @staticmethod
    def of(dictionary: Dictionary, problem: Problem, tokens: np.ndarray) -> _Masses:
        """Sum token by token: the rows of one token follow one another, so that no table of tokens is needed."""
        m = dictionary.n_latents
        total, squares, rows, fired, logs, open_mass = np.zeros((6, m))
        last = -1
        for own, sizes in _by_token(dictionary, problem, tokens):
            total, squares = total + sizes.sum(axis=0), squares + np.square(sizes).sum(axis=0)
            rows = rows + np.count_nonzero(sizes, axis=0)
            starts = np.flatnonzero(np.r_[True, own[1:] != own[:-1]])
            masses = np.add.reduceat(sizes, starts, axis=0)
            if own[0] == last:
                masses[0] += open_mass
            else:
                masses = np.vstack([open_mass, masses])
            whole, open_mass, last = masses[:-1], masses[-1], own[-1]
            fired, logs = fired + np.count_nonzero(whole, axis=0), logs + _xlogx(whole).sum(axis=0)
        return _Masses(total, squares, rows, fired + (open_mass > 0), logs + _xlogx(open_mass))


def _xlogx(masses: np.ndarray) -> np.ndarray:
    return masses * np.log(np.where(masses > 0, masses, 1.0))


def _by_token(dictionary: Dictionary, problem: Problem, tokens: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield tokens (b,) in rising order and the sizes of latents (b, m), in blocks of rows."""
    order = np.argsort(tokens, kind="stable")
    size = max(1, _LATENTS_AT_ONCE // dictionary.n_latents)
    for start in range(0, len(order), size):
        rows = order[start : start + size]
        latents = dictionary.encode(side_by_side(problem, dictionary.reads, rows))
        sizes = np.abs(np.asarray(latents, dtype=np.float64))
        if not np.isfinite(sizes).all():
            raise TrainerError("latents must be finite to have an entropy, got NaN or infinity; train anew.")
        yield tokens[rows], sizes
