"""PlantDictionary: activations with a new random dictionary in the place of what the model has."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, final

import numpy as np

from controls.core.arrays import dense_rows
from controls.core.control import Inference
from controls.core.errors import CannotControl, InputError
from controls.core.problem import Problem, Source
from controls.core.properties import Property
from controls.core.rng import stream
from controls.core.validate import one_of, real_number
from controls.generators.activation_properties import MeanAndCovariance
from controls.generators.activations import ActivationControl, of_activations
from controls.generators.moments import Moments, chunks, moments_of, sizes

_TINY = 1e-9  # of the largest eigenvalue: below it there is no variance


@final
@dataclass(frozen=True)
class PlantDictionary(ActivationControl):
    """Keeps the sparse code, and the mean and covariance of the activations; puts a new random dictionary in.

    A finder that is told nothing of it can then be scored by how much it finds of a structure that no model
    ever had: with dictionary="once" there is one, the same in every row, and the finder should find it. With
    "per_row" every row sums directions of its own: sparsity, magnitudes and covariance stay, and there is
    nothing to be found. A score that is as high there was not won by finding anything.

    Parameters
    ----------
    latents : str
        The site (n, m) that holds the code, dense or sparse: of each row, how strongly which features are on,
        as an SAE encodes them. What it holds of level (L0, firing rates, magnitudes, co-firing) is kept.
    dictionary : {"once", "per_row"}
        Directions drawn once for all rows, or anew for every feature of every row.
    noise : float
        Share of the variance, from 0 to below 1, that is Gaussian noise rather than code, such as the share
        that the SAE did not explain.

    Raises
    ------
    InputError
        No such site; sparse activations.
    CannotControl
        A code without variance; one that spans fewer dimensions than the activations while ``noise`` is 0; fewer
        rows than the code and the noise have dimensions.

    Notes
    -----
    Directions are uniform on the sphere, and all sums are then given the mean and covariance observed by one
    linear map, which is part of the dictionary. Noise has no covariance with the code. Draws are an ensemble of
    planted dictionaries: "ranks 1 of 40 among activations with a random dictionary of this code". Where there is
    one dictionary, the drawn problem's source has it: ``problem.source.model`` is a ``Planted``, whose
    ``dictionary`` (m, d) is the truth for recovery scores.

    Cost: O(n d² + nnz d) a draw, and several arrays of float64 of the activations' size in memory; "per_row"
    draws nnz · d normal numbers, in chunks of rows.

    References
    ----------
    Sharkey, Braun and Millidge (2022), Taking features out of superposition with sparse autoencoders, for
    planted dictionaries; the twin of rows with directions of their own is this project's.

    Examples
    --------
    >>> import numpy as np, controls as ct
    >>> rng = np.random.default_rng(0)
    >>> code = rng.exponential(size=(200, 12)) * (rng.random((200, 12)) < 0.2)
    >>> problem = ct.Problem({"layer": code @ rng.standard_normal((12, 4)), "latents": code}).at("layer")
    >>> drawn = ct.PlantDictionary("latents").draw(problem, np.random.default_rng(1))
    >>> drawn.source.model.dictionary.shape, np.allclose(np.cov(drawn.X.T), np.cov(problem.X.T))
    ((12, 4), True)
    """

    latents: str
    dictionary: Literal["once", "per_row"] = "once"
    noise: float = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.latents, str) or not self.latents:
            raise InputError(f"latents must be the name of the site that holds the code, got {self.latents!r}.")
        one_of(self.dictionary, "dictionary", ("once", "per_row"))
        real_number(self.noise, "noise", low=0.0, high=1.0, open_ends=False)
        if self.noise == 1.0:
            raise InputError("noise must be below 1, since the code gives the rest; take ct.GaussianActivations.")

    @property
    def inference(self) -> Inference:
        """A rank among an ensemble."""
        return "ensemble"

    @property
    def null(self) -> str:
        """The null hypothesis, as one sentence."""
        return f"The score comes from the same law as those of activations {self._what}."

    @property
    def licenses(self) -> str:
        """What surviving this control licenses one to say, as one sentence."""
        return f"The score is more than activations give {self._what}."

    @property
    def _what(self) -> str:
        if self.dictionary == "once":
            return "that sum this code over a random dictionary"
        return "that sum this code over directions drawn anew for every row"

    @property
    def kept(self) -> tuple[Property, ...]:
        """Mean and covariance."""
        return (MeanAndCovariance(),)

    def check(self, problem: Problem) -> None:
        """Refuse a code that is not there, or cannot have the covariance."""
        super().check(problem)
        code = problem.array_at(self.latents)
        if code is problem.X:
            raise InputError(f"latents must be another site than the activations, got {self.latents!r} for both.")
        self.plant(problem, stream(0))

    def draw(self, problem: Problem, rng: np.random.Generator) -> Problem:
        """Return the problem with planted activations; where there is one dictionary, its source has it."""
        drawn, planted = self.plant(problem, rng)
        arrays = {problem.sites[0]: drawn} if problem.sites else drawn
        changed = problem.with_activations(arrays)
        source = None if planted is None else Source(planted, problem.array_at(self.latents), summed)
        return changed.with_source(source)

    def fill(self, drawn: np.ndarray, problem: Problem, rng: np.random.Generator) -> None:
        """Write planted activations."""
        drawn[:] = self.plant(problem, rng)[0]

    def plant(self, problem: Problem, rng: np.random.Generator) -> tuple[np.ndarray, Planted | None]:
        """Return planted activations (n, d), and what was planted; None where every row has directions of its own."""
        X, code = problem.X, problem.array_at(self.latents)
        target: Moments = of_activations(problem, "moments", partial(moments_of, X, np.arange(problem.n)))
        directions = _directions(rng, code.shape[1], problem.d) if self.dictionary == "once" else None
        sums = _fresh_sums(code, problem.d, rng) if directions is None else np.asarray(code @ directions)
        own = moments_of(sums, np.arange(problem.n))
        turned, noise = self._coloured(own, target), None
        scale = np.sqrt(1 - self.noise)
        made = scale * (sums - own.mean) @ turned
        if self.noise:
            noise = _noise(made, target.scatter - (1 - self.noise) * turned.T @ own.scatter @ turned, rng)
            made += noise
        made = (made + target.mean).astype(X.dtype if X.dtype.kind == "f" and X.dtype.itemsize >= 4 else np.float64)
        if directions is None:
            return made, None
        return made, Planted(scale * directions @ turned, target.mean - scale * own.mean @ turned, noise)

    def _coloured(self, own: Moments, target: Moments) -> np.ndarray:
        """Return the map (d, d) that gives sums the scatter observed, or, where they span less, as much of it."""
        white, axes = _white(own), target.axes()
        rank, wanted = white.shape[1], len(axes)
        if not rank:
            raise CannotControl(f"PlantDictionary needs a code that varies, but {self.latents!r} is constant.")
        if rank < wanted and not self.noise:
            raise CannotControl(
                f"PlantDictionary needs a code that spans the activations' {wanted} dimensions, but {self.latents!r} "
                f"spans {rank}; set noise= to the share of variance that the code does not explain."
            )
        return white @ _frame(white.T @ axes.T) @ axes


@final
@dataclass(frozen=True, eq=False)
class Planted:
    """What was planted: activations are code @ dictionary + offset, and noise.

    Parameters
    ----------
    dictionary : array of shape (m, d)
        A direction for each feature, with its length.
    offset : array of shape (d,)
    noise : array of shape (n, d), optional
    """

    dictionary: np.ndarray
    offset: np.ndarray
    noise: np.ndarray | None = None


def summed(planted: Planted, code: Any) -> np.ndarray:
    """Return the activations that a code gives, shape (n, d)."""
    made = np.asarray(code @ planted.dictionary) + planted.offset
    return made if planted.noise is None else made + planted.noise


def _directions(rng: np.random.Generator, count: int, d: int) -> np.ndarray:
    drawn = rng.standard_normal((count, d))
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def _fresh_sums(code: Any, d: int, rng: np.random.Generator) -> np.ndarray:
    """Return, for every row, the sum of directions drawn for it alone, as strong as its code says, shape (n, d)."""
    n = code.shape[0]
    made = np.zeros((n, d))
    for rows in chunks(np.arange(n), max(d, code.shape[1])):
        part = dense_rows(code, rows)
        row, feature = np.nonzero(part)
        strength = part[row, feature]
        for entries in chunks(np.arange(len(row)), d):
            np.add.at(made, rows[row[entries]], strength[entries, None] * _directions(rng, len(entries), d))
    return made


def _noise(made: np.ndarray, left: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return Gaussian noise (n, d) of a scatter, without mean, and without covariance with what was made."""
    axes = Moments(len(made), np.zeros(made.shape[1]), left).axes()
    noise = rng.standard_normal((len(made), len(axes)))
    both = np.hstack([made / sizes(made.T @ made), np.ones((len(made), 1))])
    noise -= both @ np.linalg.lstsq(both, noise, rcond=None)[0]
    scatter = noise.T @ noise
    values = np.linalg.eigvalsh(scatter)
    if values[0] <= _TINY * max(float(values[-1]), len(made)):
        raise CannotControl(
            f"PlantDictionary needs more rows for noise in {len(axes)} dimensions beside the code, got {len(made)}; "
            "leave noise= at 0, or give more rows."
        )
    return np.linalg.solve(np.linalg.cholesky(scatter), noise.T).T @ axes


def _white(moments: Moments) -> np.ndarray:
    """Return the map (d, r) that gives rows of these moments the identity for a scatter; r dimensions vary."""
    varies = np.diag(moments.scatter) > _TINY**2 * moments.count * moments.mean**2
    size = np.where(varies, sizes(moments.scatter), np.inf)
    values, vectors = np.linalg.eigh(moments.scatter / np.outer(size, size))
    kept = values > _TINY * len(values) if varies.any() else np.zeros(len(values), dtype=bool)
    return vectors[:, kept] / np.sqrt(values[kept]) / size[:, None]


def _frame(matrix: np.ndarray) -> np.ndarray:
    """Return the matrix of orthonormal rows or columns that is nearest to a matrix."""
    left, _, right = np.linalg.svd(matrix, full_matrices=False)
    return left @ right
