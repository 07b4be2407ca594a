"""Probes made of class means: difference of means, and linear discriminant analysis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from controls.core.errors import InputError
from controls.core.problem import Problem
from controls.core.trainer import BatchTrainer, Engine, Split, Task
from controls.core.validate import real_number
from controls.probes.findings import LDAFinding, MeanDifferenceFinding
from controls.probes.linear import Dtype, _check_common, _classes_of, _on_cpu


@final
@dataclass(frozen=True)
class MeanDifferenceProbe(BatchTrainer):
    """The difference of the class means as a direction, its threshold midway; of many label columns at once.

    Of more than two classes, the class whose mean is nearest. Each column predicts what scikit-learn's
    ``NearestCentroid()`` predicts (after a ``StandardScaler`` where ``standardize``). Of two classes
    the score of x is (x − midpoint) · (mean of the second − mean of the first).

    Parameters
    ----------
    standardize : bool, default False
        Whether features are centred and scaled by the training rows of each fold first. The direction
        as the field has it is that of raw activations.
    device : str, optional
        A torch device such as "cuda"; the CPU where None.
    dtype : {"float64", "float32"}, optional
        What the matrix products per block use; that of the activations where None (half precision
        counts as float32). What folds share is always computed in float64.

    Raises
    ------
    InputError
        A parameter out of its range; labels that are not classes.

    Notes
    -----
    Per block of B columns: two matrix products, O((n + m) d B) for n training and m test rows (times
    C for C > 2 classes). Memory: one copy of the rows for all folds (two layouts of it in float32 on
    the CPU). No random numbers are used. Classes that a column's training rows lack are not predicted.

    References
    ----------
    Marks and Tegmark (2023), The Geometry of Truth, arXiv 2310.06824, who probe so ("mass-mean").

    Examples
    --------
    >>> import numpy as np, controls as ct
    >>> from controls.core.rng import stream
    >>> X = np.array([[0.0, 0.0], [0.0, 2.0], [4.0, 0.0], [4.0, 2.0]])
    >>> finding = ct.probes.MeanDifferenceProbe().fit(ct.Problem(X, ["a", "a", "b", "b"]), stream(0))
    >>> finding.coef_.tolist(), finding.predict([[1.9, 9.0], [2.1, 9.0]]).tolist()
    ([[4.0, 0.0]], ['a', 'b'])
    """

    standardize: bool = False
    device: str | None = None
    dtype: Dtype | None = None

    def __post_init__(self) -> None:
        _check_common(self)

    @property
    def task(self) -> Task:
        """Classification."""
        return "classification"

    @property
    def provides(self) -> frozenset[str]:
        """Labels and scores."""
        return frozenset({"labels", "scores"})

    def fit(self, problem: Problem, rng: np.random.Generator) -> MeanDifferenceFinding:
        """Return the fit to all rows; ``rng`` is not used."""
        from controls.probes import _centroids

        _classes_of(problem)
        coef, intercept = _centroids.fit_centroids(self, problem.X, problem.label_codes, len(problem.classes))
        return MeanDifferenceFinding(problem.classes, coef, intercept)

    @property
    def concurrent(self) -> bool:
        """On the CPU, whose cores take a block each."""
        return _on_cpu(self.device)

    def engine(self, activations: np.ndarray, splits: Sequence[Split], task: Task, n_classes: int) -> Engine:
        """Return the engine for these activations and folds; a fold is prepared when first asked for."""
        from controls.probes import _centroids

        _refuse_numbers(self, task)
        return _centroids.CentroidEngine(self, activations, splits, n_classes)


@final
@dataclass(frozen=True)
class LDAProbe(BatchTrainer):
    """Linear discriminant analysis, of many label columns at once.

    Each column gets the fit of scikit-learn's ``LinearDiscriminantAnalysis(solver="lsqr",
    shrinkage=shrinkage)`` (after a ``StandardScaler`` where ``standardize``): classes are taken as
    Gaussian, with one covariance for all and the class shares of the training rows as priors. Of two
    classes its direction is that of least squares.

    Parameters
    ----------
    shrinkage : float, default 0.1
        How far the covariance within classes is moved towards the identity times its mean variance,
        from 0 (not at all; needs more training rows than features) to 1.
    standardize : bool, default True
        Whether features are centred and scaled by the training rows of each fold; columns that are
        constant there keep their scale.
    device : str, optional
        A torch device such as "cuda"; the CPU where None.
    dtype : {"float64", "float32"}, optional
        What the matrix products per block use; that of the activations where None (half precision
        counts as float32). What folds share is always computed in float64.

    Raises
    ------
    InputError
        A parameter out of its range; labels that are not classes; no shrinkage, and fewer training
        rows than features and classes together.

    Notes
    -----
    Once: O(n d²) for the scatter matrices of the rows that folds share, O(d³) per fold for their axes.
    Per block of B columns: O((n + d) d B) (times C for C > 2 classes). Memory: one copy of the rows for
    all folds (two layouts of it in float32 on the CPU), and d² numbers per fold. With fewer training
    rows than features, each fold is reduced to its row space in O(n² d). No random numbers are used.

    Scores of more than two classes are those of scikit-learn up to a number per row that all classes
    share. Classes that a column's training rows lack get probability 0. Without shrinkage, a direction
    along which classes do not vary at all gets the weight that hardly any variance would give it;
    scikit-learn leaves it out.

    References
    ----------
    Hastie, Tibshirani and Buja (1994), Flexible discriminant analysis by optimal scoring, JASA 89.

    Examples
    --------
    >>> import numpy as np, controls as ct
    >>> from controls.core.rng import stream
    >>> rng = stream(0, "example")
    >>> X = rng.normal(size=(100, 3))
    >>> finding = ct.probes.LDAProbe().fit(ct.Problem(X, X[:, 0] > 0), rng)
    >>> finding.predict(X[:3]) == (X[:3, 0] > 0)
    array([ True,  True,  True])
    """

    shrinkage: float = 0.1
    standardize: bool = True
    device: str | None = None
    dtype: Dtype | None = None

    def __post_init__(self) -> None:
        real_number(self.shrinkage, "shrinkage", low=0.0, high=1.0, open_ends=False)
        _check_common(self)

    @property
    def task(self) -> Task:
        """Classification."""
        return "classification"

    @property
    def provides(self) -> frozenset[str]:
        """Labels, scores and probabilities."""
        return frozenset({"labels", "scores", "probabilities"})

    def fit(self, problem: Problem, rng: np.random.Generator) -> LDAFinding:
        """Return the fit to all rows; ``rng`` is not used."""
        from controls.probes import _centroids

        _classes_of(problem)
        self._refuse_too_wide(problem.n, problem.X.shape[1], len(problem.classes))
        coef, intercept = _centroids.fit_centroids(self, problem.X, problem.label_codes, len(problem.classes))
        return LDAFinding(problem.classes, coef, intercept)

    @property
    def concurrent(self) -> bool:
        """On the CPU, whose cores take a block each."""
        return _on_cpu(self.device)

    def engine(self, activations: np.ndarray, splits: Sequence[Split], task: Task, n_classes: int) -> Engine:
        """Return the engine for these activations and folds; a fold is prepared when first asked for."""
        from controls.probes import _centroids

        _refuse_numbers(self, task)
        self._refuse_too_wide(min(len(train) for train, _ in splits), activations.shape[1], n_classes)
        return _centroids.CentroidEngine(self, activations, splits, n_classes)

    def _refuse_too_wide(self, n: int, d: int, n_classes: int) -> None:
        if self.shrinkage == 0 and n < d + n_classes:
            raise InputError(
                f"shrinkage must be above 0 where training rows ({n}) are fewer than features and classes together "
                f"({d} + {n_classes}), got 0; write LDAProbe(shrinkage=0.1)."
            )


def _refuse_numbers(probe: LDAProbe | MeanDifferenceProbe, task: Task) -> None:
    if task != "classification":
        raise InputError(
            f"{type(probe).__name__} is for classification, got task {task!r}; use RidgeProbe for numbers."
        )
