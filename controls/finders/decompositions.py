"""PCA, NMF and ICA as finders, through scikit-learn: dictionaries that no SAE training is needed for."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from controls.core.dictionary import Dictionary, DictionaryTrainer, side_by_side
from controls.core.errors import CannotControl, ControlsWarning, InputError
from controls.core.problem import Problem
from controls.core.trainer import Trainer
from controls.core.validate import random_generator, read_only, site_names, whole_number


@final
@dataclass(frozen=True, eq=False)
class Decomposition(Dictionary):
    """A fitted decomposition: latents by its ``transform``, reconstruction by its components.

    Parameters
    ----------
    model : fitted scikit-learn decomposition
    matrix : array of shape (m, d)
        What each latent adds.
    mean : array of shape (d,)
        What is added to all rows.
    site_names : tuple of str
        The sites it reads, and writes.
    """

    model: Any
    matrix: np.ndarray
    mean: np.ndarray
    site_names: tuple[str, ...] = ()

    @property
    def reads(self) -> tuple[str, ...]:
        """The sites it reads."""
        return self.site_names

    @property
    def decoder(self) -> np.ndarray:
        """What each latent adds to the reconstruction, shape (m, d)."""
        return self.matrix

    def encode(self, activations: np.ndarray) -> np.ndarray:
        """Return latents (n, m); of either sign, but for NMF."""
        rows = np.asarray(activations, dtype=np.float64)
        if rows.shape[1] != self.matrix.shape[1]:
            raise InputError(f"activations must have {self.matrix.shape[1]} features, got {rows.shape[1]}.")
        return self.model.transform(rows)

    def decode(self, latents: np.ndarray) -> np.ndarray:
        """Return the reconstruction (n, d) of latents (n, m)."""
        return np.asarray(latents) @ self.matrix + self.mean


class _Fitted(DictionaryTrainer):
    """What the three have in common."""

    n_latents: int
    sites: tuple[str, ...]

    @property
    def reads(self) -> tuple[str, ...]:
        """The sites it reads, and reconstructs."""
        return self.sites

    def held(self, part: str, directions: np.ndarray, least_cosine: float = 1.0) -> Trainer:
        """Refuse: nothing is left to fit where directions are held."""
        raise CannotControl(
            f"{type(self).__name__} cannot hold its {part}: it fits nothing else; use ct.RandomDirections() instead."
        )

    def untrained(self) -> Trainer:
        """Refuse: it has no start that it trains from."""
        raise CannotControl(f"{type(self).__name__} has no start that it is trained from; use ct.RandomDirections().")

    def _rows(self, problem: Problem) -> np.ndarray:
        rows = np.asarray(side_by_side(problem, self.sites, np.arange(problem.n)), dtype=np.float64)
        if self.n_latents > min(rows.shape):
            raise InputError(
                f"n_latents must be at most rows and features ({rows.shape[0]} and {rows.shape[1]}) for "
                f"{type(self).__name__}, got {self.n_latents}."
            )
        if (rows == rows[0]).all():
            raise InputError(f"activations must vary, got {len(rows)} rows that are all alike.")
        return rows


def _settle(trainer: Any) -> None:
    whole_number(trainer.n_latents, "n_latents", low=1)
    object.__setattr__(trainer, "sites", site_names(trainer.sites))


def _fitted(model: Any, rows: np.ndarray) -> Any:
    """Fit a model; say that it did not converge in a warning of ours."""
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        model.fit(rows)
    if any(issubclass(each.category, ConvergenceWarning) for each in caught):
        warnings.warn(f"{type(model).__name__} did not converge; raise max_iter.", ControlsWarning, stacklevel=3)
    return model


def _seed(rng: np.random.Generator) -> int:
    return int(random_generator(rng).integers(2**31))


def _decomposed(model: Any, matrix: Any, mean: Any, sites: tuple[str, ...]) -> Decomposition:
    return Decomposition(model, read_only(np.asarray(matrix)), read_only(np.asarray(mean)), sites)


@final
@dataclass(frozen=True)
class PCA(_Fitted):
    """Principal components: the orthogonal directions along which most of the variance lies.

    Parameters
    ----------
    n_latents : int
        At most rows and features.
    sites : tuple of str
        Sites of the problem to read, side by side; the only array where none is named.

    Notes
    -----
    Latents have either sign and all are active: compare its explained variance with that of an SAE whose k is
    ``n_latents``. Cost: that of ``sklearn.decomposition.PCA``, O(n d²).

    Examples
    --------
    >>> import numpy as np, controls as ct
    >>> problem = ct.Problem(np.random.default_rng(0).normal(size=(50, 4)) * [4, 2, 1, 1])
    >>> found = ct.finders.PCA(2).fit(problem, np.random.default_rng(0))
    >>> found.decoder.shape, round(float(ct.metrics.explained_variance(found, problem)), 2)
    ((2, 4), 0.89)
    """

    n_latents: int
    sites: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _settle(self)

    def fit(self, problem: Problem, rng: np.random.Generator) -> Decomposition:
        """Return the components."""
        from sklearn import decomposition

        model = decomposition.PCA(self.n_latents, random_state=_seed(rng)).fit(self._rows(problem))
        return _decomposed(model, model.components_, model.mean_, self.sites)


@final
@dataclass(frozen=True)
class NMF(_Fitted):
    """Non-negative matrix factorisation: rows as sums of directions, both without negative numbers.

    Parameters
    ----------
    n_latents : int
    max_iter : int
        Iterations at most.
    sites : tuple of str
        Sites of the problem to read, side by side.

    Raises
    ------
    InputError
        Activations below 0.

    Notes
    -----
    Cost: that of ``sklearn.decomposition.NMF``; encoding solves a problem of its own for the rows asked for.

    Examples
    --------
    >>> import numpy as np, controls as ct
    >>> problem = ct.Problem(np.random.default_rng(0).exponential(size=(50, 4)))
    >>> found = ct.finders.NMF(2, max_iter=500).fit(problem, np.random.default_rng(0))
    >>> bool((found.encode(problem.X) >= 0).all())
    True
    """

    n_latents: int
    max_iter: int = 500
    sites: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _settle(self)
        whole_number(self.max_iter, "max_iter", low=1)

    def fit(self, problem: Problem, rng: np.random.Generator) -> Decomposition:
        """Return the factors."""
        from sklearn import decomposition

        rows = self._rows(problem)
        if rows.min() < 0:
            raise InputError(f"activations must not be below 0 for NMF, got {rows.min():.3g}; use PCA or ICA.")
        settings: dict[str, Any] = {"n_components": self.n_latents, "init": "nndsvda", "max_iter": self.max_iter}
        settings["random_state"] = _seed(rng)
        model = _fitted(decomposition.NMF(**settings), rows)
        return _decomposed(model, model.components_, np.zeros(rows.shape[1]), self.sites)


@final
@dataclass(frozen=True)
class ICA(_Fitted):
    """Independent component analysis (FastICA): directions whose latents are as far from normal as can be.

    Parameters
    ----------
    n_latents : int
    max_iter : int
        Iterations at most.
    sites : tuple of str
        Sites of the problem to read, side by side.

    Notes
    -----
    Latents have either sign and variance 1; activations of a lower rank than ``n_latents`` are refused. Cost: that of
    ``sklearn.decomposition.FastICA``.

    Examples
    --------
    >>> import numpy as np, controls as ct
    >>> rng = np.random.default_rng(0)
    >>> sources = rng.laplace(size=(2000, 3))
    >>> mixing = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    >>> found = ct.finders.ICA(3).fit(ct.Problem(sources @ mixing), rng)
    >>> bool(np.abs(found.directions @ mixing.T).max(axis=0).min() > 0.95)
    True
    """

    n_latents: int
    max_iter: int = 500
    sites: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _settle(self)
        whole_number(self.max_iter, "max_iter", low=1)

    def fit(self, problem: Problem, rng: np.random.Generator) -> Decomposition:
        """Return the components."""
        from sklearn.decomposition import FastICA

        rows = self._rows(problem)
        rank = np.linalg.matrix_rank(rows - rows.mean(axis=0))
        if rank < self.n_latents:
            raise InputError(f"n_latents must be at most the rank of the activations, {rank}, got {self.n_latents}.")
        model = FastICA(self.n_latents, whiten="unit-variance", max_iter=self.max_iter, random_state=_seed(rng))
        _fitted(model, rows)
        return _decomposed(model, np.asarray(model.mixing_).T, model.mean_, self.sites)
