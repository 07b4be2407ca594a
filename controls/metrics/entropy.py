"""Over how many kinds of tokens the activation of a latent is spread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from controls.core.dictionary import Dictionary, as_dictionary
from controls.core.errors import TrainerError, unknown_name
from controls.core.problem import Problem
from controls.core.rng import stream
from controls.core.validate import one_of, plain_text, whole_number
from controls.metrics._latents import checked_latents
from controls.models.tokens import tokens_of_rows


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
        Shuffles of rows.
    least_rows : int, default 1
        Latents that fire on fewer rows are left out.

    Notes
    -----
    Under a control, latents may fire less or more often, which alone moves "none". "shuffle" puts the zero right and
    not the scale: a latent for one token that fires on r of n rows has 0 − H₀, which is near −log r. Look at
    H/H₀ as well (``none / (none - shuffle)``), and at ``per_latent``, before reading a difference as one of
    meaning: the two may disagree (case_studies/sae_on_random_models). Measured: docs/how_to/dictionary_metrics.md.

    Time: one encoding, and O(nnz) of the latents that fire, per shuffle too. Memory: one block, and 12 bytes for each
    pair of a token and a latent that fires on it, per shuffle too.

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
        tokens = np.unique(self._column(problem), return_inverse=True)[1]
        shuffles = self.draws if self.correction == "shuffle" else 0
        drawn = [stream(0, "TokenEntropy", draw).permutation(tokens) for draw in range(shuffles)]
        masses, *shuffled = _masses(as_dictionary(finding), problem, [tokens, *drawn])
        entropies = masses.entropies
        if self.correction == "miller_madow":
            with np.errstate(invalid="ignore", divide="ignore"):
                entropies = entropies + (masses.tokens - 1) / (2 * masses.total**2 / masses.squares)
        elif shuffled:
            entropies = entropies - np.mean([each.entropies for each in shuffled], axis=0)
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


def _masses(dictionary: Dictionary, problem: Problem, assignments: Sequence[np.ndarray]) -> list[_Masses]:
    """Sum the activation of each latent on each token, for several assignments of rows to tokens."""
    from scipy.sparse import csr_array

    m = dictionary.n_latents
    total, squares, rows = np.zeros((3, m))
    tables: list[Any] = [csr_array((int(tokens.max()) + 1, m)) for tokens in assignments]
    for own, latents in checked_latents(dictionary, problem):
        sizes = csr_array(np.abs(latents).astype(np.float64))
        total, squares = total + sizes.sum(axis=0), squares + sizes.power(2).sum(axis=0)
        rows = rows + np.bincount(sizes.indices, minlength=m)
        for i, tokens in enumerate(assignments):
            shape = (tables[i].shape[0], len(own))
            tables[i] = tables[i] + csr_array((np.ones(len(own)), (tokens[own], np.arange(len(own)))), shape) @ sizes
    return [_of_table(total, squares, rows, table) for table in tables]


def _of_table(total: np.ndarray, squares: np.ndarray, rows: np.ndarray, table: Any) -> _Masses:
    """Return what is known of the activation (tokens, m)."""
    logs = np.bincount(table.indices, table.data * np.log(table.data), minlength=len(total))
    return _Masses(total, squares, rows, np.bincount(table.indices, minlength=len(total)), logs)
