"""RandomDirections: random ones in the place of the directions that were found."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from controls.core.arrays import dense_rows
from controls.core.control import FindingControl, Inference
from controls.core.dictionary import Dictionary, as_dictionary
from controls.core.errors import CannotControl, InputError
from controls.core.finding_properties import DirectionAlignment, FiringCounts, LatentCount, Lengths, MeanLatents
from controls.core.problem import Problem
from controls.core.properties import Stated
from controls.core.validate import one_of, random_generator
from controls.generators.direction_laws import LAWS, WORDS, Law, draw_directions
from controls.generators.read_directions import read_directions, read_threshold


@final
@dataclass(frozen=True)
class RandomDirections(FindingControl):
    """Puts random directions in the place of those found; nothing is fitted again.

    Of a dictionary: every latent gets a random direction with the length of its own, and is read by it, with a
    threshold at which it fires in as many training rows as it did, and a scale that gives it the same mean there.
    Latents that are negative somewhere, as of PCA, keep mean and spread over the training rows, and have no
    threshold. What the decoder adds to every row stays. Of a dictionary that writes elsewhere than it
    reads, both sides get directions, independent of one another. Top-k is not kept row by row: L0 is kept on average.

    Of a linear probe (``coef_`` and ``intercept_``): random coefficients of the same lengths; intercepts with which
    as many training rows score above 0 (with ``classes_``), or the mean prediction stays (without). Of a vector
    (d,): a random one as long.

    Parameters
    ----------
    law : {"isotropic", "covariance", "differences"}
        Uniform on the sphere; normal with the covariance of the training activations, at length 1; differences of
        two random training rows, at length 1.

    Raises
    ------
    CannotControl
        Activations that are all the same, where the law is not isotropic.
    InputError
        Coefficients, or a vector, of another width than the activations.

    Notes
    -----
    Null hypothesis: the score is no higher than with random directions. p is the rank among them. Draws repeat the
    technique on this model and this data set; they say nothing of other models. Nothing adapts to the drawn
    directions but thresholds, so that it is a weaker opponent than ``RandomDictionary``, which trains the rest.

    Where activations take few values, so that projections tie, firing rates are kept up to the ties.
    Cost of a draw: one encoding, and O(n d m) for thresholds. Memory: about 16 million projections at a time.

    Examples
    --------
    >>> import numpy as np, controls as ct
    >>> problem = ct.Problem(np.random.default_rng(0).standard_normal((50, 4)))
    >>> drawn = ct.RandomDirections().draw_finding(3 * np.eye(4), problem, np.random.default_rng(1))
    >>> np.linalg.norm(drawn.decoder, axis=1).round(6).tolist()
    [3.0, 3.0, 3.0, 3.0]
    >>> (drawn.encode(problem.X) > 0).sum(axis=0).tolist() == (problem.X > 0).sum(axis=0).tolist()
    True
    """

    law: Law = "isotropic"

    def __post_init__(self) -> None:
        one_of(self.law, "law", LAWS)

    @property
    def inference(self) -> Inference:
        """A rank among an ensemble."""
        return "ensemble"

    @property
    def null(self) -> str:
        """The null hypothesis, as one sentence."""
        return f"The score is no higher than with random directions, {WORDS[self.law]}."

    @property
    def licenses(self) -> str:
        """What surviving this control licenses one to say, as one sentence."""
        return (
            "The score needs these directions rather than random ones with the same lengths and firing rates; not that "
            "training everything else around random ones would not do as well, nor that the model uses them."
        )

    @property
    def preserves(self) -> tuple[Stated, ...]:
        """The number of latents, lengths, firing rates and means."""
        return (LatentCount(), Lengths(), FiringCounts(), MeanLatents())

    @property
    def destroys(self) -> tuple[Stated, ...]:
        """Where directions point."""
        return (DirectionAlignment(),)

    def draw_finding(self, finding: Any, problem: Problem, rng: np.random.Generator) -> Any:
        """Return the finding with random directions."""
        random_generator(rng)
        if hasattr(finding, "coef_"):
            return self._probe(finding, problem, rng)
        if isinstance(finding, np.ndarray) and finding.ndim == 1:
            return self._rows(finding[None], "a direction", problem, rng)[0]
        return self._dictionary(as_dictionary(finding), problem, rng)

    def _dictionary(self, found: Dictionary, problem: Problem, rng: np.random.Generator) -> Dictionary:
        lengths = np.linalg.norm(found.decoder, axis=1, keepdims=True)
        written = draw_directions(self.law, found.n_latents, problem, found.writes, rng)
        read = written
        if found.reads != found.writes:
            read = draw_directions(self.law, found.n_latents, problem, found.reads, rng)
        return read_directions(found, written * lengths, read, problem)

    def _probe(self, finding: Any, problem: Problem, rng: np.random.Generator) -> Any:
        old = np.asarray(finding.coef_, dtype=np.float64)
        _require_linear(finding, np.atleast_2d(old), problem)
        rows = self._rows(np.atleast_2d(old), "coef_", problem, rng)
        intercept = read_threshold(finding, np.atleast_2d(old), rows, problem)
        drawn = copy.copy(finding)
        try:
            object.__setattr__(drawn, "coef_", rows.reshape(old.shape))
        except AttributeError:
            raise CannotControl(
                f"RandomDirections cannot put directions into a {type(finding).__name__}, whose coef_ is computed from "
                "other attributes; use an estimator that keeps its coefficients, such as LinearSVC or Ridge."
            ) from None
        shape = np.shape(finding.intercept_)
        object.__setattr__(drawn, "intercept_", intercept.reshape(shape) if shape else float(intercept[0]))
        return drawn

    def _rows(self, old: np.ndarray, what: str, problem: Problem, rng: np.random.Generator) -> np.ndarray:
        if old.shape[1] != problem.d:
            raise InputError(f"{what} must have the {problem.d} features of the activations, got {old.shape[1]}.")
        return draw_directions(self.law, len(old), problem, (), rng) * np.linalg.norm(old, axis=1, keepdims=True)


def _require_linear(finding: Any, coefficients: np.ndarray, problem: Problem) -> None:
    """Refuse a probe whose scores are not its coefficients' inner products with activations, plus its intercepts."""
    score = getattr(finding, "decision_function", None) or getattr(finding, "predict", None)
    if score is None or coefficients.shape[1] != problem.d:
        return
    rows = dense_rows(problem.X, np.arange(min(8, problem.n)))
    expected = rows @ coefficients.T + np.ravel(finding.intercept_)
    found = np.asarray(score(rows)).reshape(len(rows), -1)
    if found.shape != expected.shape or not np.allclose(found, expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max()):
        raise CannotControl(
            f"RandomDirections cannot put directions into a {type(finding).__name__}, which does not score activations "
            "by coef_ and intercept_ alone."
        )
