"""Gaussian activations: what a technique finds in mean and covariance alone, and in the lengths of rows alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal, final

import numpy as np

from controls.core.control import Inference
from controls.core.errors import InputError
from controls.core.problem import Problem
from controls.core.properties import Property
from controls.core.rng import stream
from controls.core.sequences import rows_of_each
from controls.core.validate import one_of
from controls.generators.activation_properties import MeanAndCovariance, RowNorms, stratum_codes, where
from controls.generators.activations import ActivationControl, of_activations
from controls.generators.moments import Moments, as_read, chunks, moments_of

Covariance = Literal["sample", "empirical", "ledoit_wolf"]


@final
@dataclass(frozen=True)
class GaussianActivations(ActivationControl):
    """Keeps mean and covariance; destroys all else: clusters, sparsity, tails, and what labels have to do with rows.

    Parameters
    ----------
    covariance : {"sample", "empirical", "ledoit_wolf"}
        "sample": the rows drawn have the mean and covariance observed, to the last bit but rounding.
        "empirical": rows are drawn one by one from the normal law of that mean and covariance, which they then
        have up to chance. "ledoit_wolf": the same with the covariance shrunk towards a multiple of the
        identity; for n not much above d, where the empirical one has too long long axes and, for n ≤ d,
        no width at all in the others.
    within : str, optional
        A group each of whose members keeps a mean and covariance of its own.
    per_label : bool
        Whether each class does: what is left then is all that a Gaussian classifier can use.

    Raises
    ------
    InputError
        Sparse activations; an unknown group; ``per_label`` without classes.
    CannotControl
        No stratum has two rows; activations that are all the same.

    Notes
    -----
    Null hypothesis: rows are independent draws from one multivariate normal law, whatever their labels
    (``per_label``: one law for each class). Given mean and covariance, such rows are a uniformly turned
    frame: "sample" draws one, so p is exact (a rotation test). The other two are ensembles. Negative
    activations are drawn too, also where a rectifier lets none pass. With "sample" and n ≤ d, rows are
    mixtures of those observed.

    Cost: O(n d²) a draw, and memory O(d²) beside the draw; memory-mapped activations are read in chunks,
    and drawn into an unnamed file. "ledoit_wolf" takes a copy of the stratum.

    References
    ----------
    Langsrud (2005), Rotation tests, Statistics and Computing 15. Ledoit and Wolf (2004), A well-conditioned
    estimator for large-dimensional covariance matrices, J. Multivariate Analysis 88.

    Examples
    --------
    >>> import numpy as np, controls as ct
    >>> X = np.random.default_rng(0).exponential(size=(50, 3))
    >>> drawn = ct.GaussianActivations().draw(ct.Problem(X), np.random.default_rng(1)).X
    >>> np.allclose(np.cov(drawn.T), np.cov(X.T)), bool((drawn < 0).any())
    (True, True)
    """

    covariance: Covariance = "sample"
    within: str | None = None
    per_label: bool = False

    def __post_init__(self) -> None:
        one_of(self.covariance, "covariance", ("sample", "empirical", "ledoit_wolf"))

    @property
    def inference(self) -> Inference:
        """Exact where the sample's moments are kept, else a rank among an ensemble."""
        return "exact" if self.covariance == "sample" else "ensemble"

    @property
    def null(self) -> str:
        """The null hypothesis, as one sentence."""
        law = f"Rows{where(self.within, False)} are independent draws from one normal law"
        return f"{law} for each class." if self.per_label else f"{law}, whatever their labels."

    @property
    def licenses(self) -> str:
        """What surviving this control licenses one to say, as one sentence."""
        of = "of each class " if self.per_label else ""
        return f"The score needs more than the mean and covariance {of}that the activations have."

    @property
    def kept(self) -> tuple[Property, ...]:
        """Mean and covariance, where they are the sample's."""
        return (MeanAndCovariance(self.within, self.per_label),) if self.covariance == "sample" else ()

    def null_rows(self, n: int, d: int, rng: np.random.Generator) -> np.ndarray:
        """Return normal rows of correlated coordinates."""
        return rng.standard_normal((n, d)) @ rng.standard_normal((d, d)) + rng.standard_normal(d)

    def fill(self, drawn: np.ndarray, problem: Problem, rng: np.random.Generator) -> None:
        """Draw the rows of each stratum."""
        for rows, moments in _strata(problem, self.within, self.per_label):
            seed = int(rng.integers(2**63))
            if len(rows) < 2:
                drawn[rows] = moments.mean
            elif self.covariance == "sample":
                _write_sample(drawn, rows, moments, seed)
            else:
                _write_law(drawn, rows, moments, self._axes(problem, rows, moments), seed)

    def _axes(self, problem: Problem, rows: np.ndarray, moments: Moments) -> np.ndarray:
        covariance = moments.scatter / max(moments.count - 1, 1)
        if self.covariance == "ledoit_wolf":
            from sklearn.covariance import ledoit_wolf

            covariance = ledoit_wolf(as_read(problem.X, rows))[0]
        return moments.axes(covariance)


def _strata(problem: Problem, within: str | None, per_label: bool) -> Iterator[tuple[np.ndarray, Moments]]:
    """Yield the rows of each stratum and their moments, which are kept for further draws where there is but one."""
    strata = rows_of_each(stratum_codes(problem, within, per_label))
    for rows in strata:
        if len(strata) == 1:
            yield rows, of_activations(problem, "moments", partial(moments_of, problem.X, rows))
        else:
            yield rows, moments_of(problem.X, rows)


def _write_sample(drawn: np.ndarray, rows: np.ndarray, moments: Moments, seed: int) -> None:
    """Write rows of exactly these moments: noise, whitened by its own covariance and coloured by the one given.

    The noise is made twice, chunk by chunk from streams of their own, so that it is never held as a whole.
    """
    axes = moments.axes()
    if not len(axes):  # rows that are all the same
        drawn[rows] = moments.mean
        return
    rank, parts = len(axes), list(chunks(np.arange(len(rows)), max(axes.shape)))
    mean = sum(_noise(seed, i, len(part), rank).sum(axis=0) for i, part in enumerate(parts)) / len(rows)
    scatter = np.zeros((rank, rank))
    for i, part in enumerate(parts):
        centred = _noise(seed, i, len(part), rank) - mean
        scatter += centred.T @ centred
    colour = np.linalg.solve(np.linalg.cholesky(scatter).T, axes)  # L⁻ᵀ A: whitened noise is a uniform frame
    for i, part in enumerate(parts):
        drawn[rows[part]] = (_noise(seed, i, len(part), rank) - mean) @ colour + moments.mean


def _write_law(drawn: np.ndarray, rows: np.ndarray, moments: Moments, axes: np.ndarray, seed: int) -> None:
    for i, part in enumerate(chunks(rows, drawn.shape[1])):
        drawn[part] = _noise(seed, i, len(part), len(axes)) @ axes + moments.mean


def _noise(seed: int, chunk: int, count: int, width: int) -> np.ndarray:
    return stream(seed, "noise", chunk).standard_normal((count, width))


@final
@dataclass(frozen=True)
class MatchNorms(ActivationControl):
    """Keeps how long every row is; destroys where it points: each row takes a random direction of its own.

    Parameters
    ----------
    shape : {"covariance", "sphere"}
        "covariance": lengths are taken after whitening, and directions are uniform there, so that mean and
        covariance stay (up to chance) with the lengths. "sphere": lengths are those from the origin, and
        all directions are equally probable.
    within : str, optional
        A group each of whose members keeps a mean and covariance of its own, with "covariance".
    per_label : bool
        Whether each class does.

    Raises
    ------
    InputError
        Sparse activations; an unknown group; ``per_label`` without classes; strata with "sphere", which
        needs none.
    CannotControl
        No stratum has two rows; activations that are all the same.

    Notes
    -----
    Null hypothesis: directions of rows (about the mean, after whitening) are independent, uniform, and have
    nothing to do with lengths or labels. With "sphere" nothing is estimated, and p is exact; with
    "covariance" p is a rank in an ensemble. What rows share by their length alone, such as tokens of huge
    norm, is left: rows with heavy tails stay so, unlike in ``GaussianActivations``.

    Cost: O(n d²) a draw ("sphere": O(n d)), in chunks of rows.

    Examples
    --------
    >>> import numpy as np, controls as ct
    >>> X = np.random.default_rng(0).standard_normal((50, 3)) * np.arange(1, 51)[:, None]
    >>> drawn = ct.MatchNorms("sphere").draw(ct.Problem(X), np.random.default_rng(1)).X
    >>> np.allclose(np.linalg.norm(drawn, axis=1), np.linalg.norm(X, axis=1))
    True
    """

    shape: Literal["covariance", "sphere"] = "covariance"
    within: str | None = None
    per_label: bool = False

    def __post_init__(self) -> None:
        one_of(self.shape, "shape", ("covariance", "sphere"))
        if self.shape == "sphere" and (self.within or self.per_label):
            raise InputError("within and per_label go with shape='covariance'; with 'sphere', leave them out.")

    @property
    def inference(self) -> Inference:
        """Exact on a sphere, else a rank among an ensemble."""
        return "exact" if self.shape == "sphere" else "ensemble"

    @property
    def null(self) -> str:
        """The null hypothesis, as one sentence."""
        whitened = f", after whitening{where(self.within, self.per_label)}," if self.shape == "covariance" else ""
        return f"Directions of rows{whitened} are uniform and independent of one another, of lengths and of labels."

    @property
    def licenses(self) -> str:
        """What surviving this control licenses one to say, as one sentence."""
        beyond = "beyond their lengths, mean and covariance" if self.shape == "covariance" else "not only their lengths"
        return f"The score needs where rows point, {beyond}."

    @property
    def kept(self) -> tuple[Property, ...]:
        """The lengths, where they are the rows' own."""
        return (RowNorms(),) if self.shape == "sphere" else ()

    def null_rows(self, n: int, d: int, rng: np.random.Generator) -> np.ndarray:
        """Return rows of any direction, of all lengths."""
        return rng.standard_normal((n, d)) * rng.exponential(size=(n, 1))

    def fill(self, drawn: np.ndarray, problem: Problem, rng: np.random.Generator) -> None:
        """Give every row a direction."""
        if self.shape == "sphere":
            self._turn(drawn, problem, np.arange(problem.n), rng, axes=None, mean=np.zeros(problem.d))
            return
        for rows, moments in _strata(problem, self.within, self.per_label):
            axes = moments.axes()
            if len(axes):
                self._turn(drawn, problem, rows, rng, axes=axes, mean=moments.mean)
            else:
                drawn[rows] = moments.mean

    def _turn(
        self,
        drawn: np.ndarray,
        problem: Problem,
        rows: np.ndarray,
        rng: np.random.Generator,
        *,
        axes: np.ndarray | None,
        mean: np.ndarray,
    ) -> None:
        """Write rows of the same length, measured by the axes, in uniform directions."""
        whiten = None if axes is None else np.linalg.pinv(axes)
        for part in chunks(rows, problem.d):
            centred = as_read(problem.X, part) - mean
            white = centred if whiten is None else centred @ whiten
            noise = rng.standard_normal(white.shape)
            noise *= np.linalg.norm(white, axis=1, keepdims=True) / np.linalg.norm(noise, axis=1, keepdims=True)
            drawn[part] = mean + (noise if axes is None else noise @ axes)
