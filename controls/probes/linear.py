"""The linear probes: logistic and ridge regression, many label columns side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, final

import numpy as np

from controls.core.errors import InputError, InputTypeError
from controls.core.problem import Problem
from controls.core.trainer import BatchTrainer, Engine, Split, Task
from controls.core.validate import one_of, real_number, whole_number
from controls.probes.findings import LogisticFinding, RidgeClassifierFinding, RidgeFinding

Dtype = Literal["float64", "float32"]
_INF = float("inf")


@final
@dataclass(frozen=True)
class LogisticProbe(BatchTrainer):
    """L2-penalised logistic regression, fitted to many label columns at once.

    Each column gets the fit that scikit-learn's ``LogisticRegression(C=C)`` converges to (after a
    ``StandardScaler`` where ``standardize``): it minimises C · sum of log-losses + |w|²/2, intercept
    not penalised, one weight vector for two classes and one per class otherwise. Classes that a
    column's training rows lack get probability 0.

    Parameters
    ----------
    C : float, default 1.0
        Inverse strength of the penalty, above 0.
    standardize : bool, default True
        Whether features are centred and scaled by the training rows of each fold; columns that are
        constant there keep their scale.
    device : str, optional
        A torch device such as "cuda"; the CPU where None.
    dtype : {"float64", "float32"}, optional
        What the matrix products use; that of the activations where None (half precision counts as
        float32). What folds share is always computed in float64. "float32" is several times as fast.
    tol : float, default 1e-8
        A column is done when the root mean square by which its training logits are expected to
        change is about this. In float32 no less than 1e-6 is asked: the largest derivative of the
        mean loss is then about 5e-7, where scikit-learn stops at 1e-4. Columns that float32 does
        not bring there go on in float64. From 1e-4, first steps of many classes in float32 may use
        bfloat16 products; the steps at which a column is done do not.
    max_iter : int, default 500
        Steps after which a column is given up, with a ``ControlsWarning``.

    Raises
    ------
    InputError
        A parameter out of its range.

    Notes
    -----
    Once: O(n d²) for the scatter matrices of the rows that folds share, O(d³) per fold. Per block
    of B columns and C classes (1 where C = 2): two matrix products of O((n + d) d B C) per step,
    about 6 to 70 steps. Memory: one copy of the rows for all folds (two layouts of it in float32 on
    the CPU), d² numbers per fold, and about 20 arrays of (d + n) · B · C numbers. With fewer
    training rows than features, each fold is reduced to its row space in O(n² d), and keeps n² numbers.

    All columns start from zero weights and their class shares, and take the same kind of steps
    (L-BFGS, preconditioned by the Hessian at equal probabilities; Böhning 1992 for the bound it is
    a multiple of). No random numbers are used.

    Examples
    --------
    >>> import numpy as np, controls as ct
    >>> from controls.core.rng import stream
    >>> from controls.probes import LogisticProbe
    >>> rng = stream(0, "example")
    >>> X = rng.normal(size=(100, 3))
    >>> finding = LogisticProbe().fit(ct.Problem(X, X[:, 0] > 0), rng)
    >>> finding.predict(X[:3]) == (X[:3, 0] > 0)
    array([ True,  True,  True])
    """

    C: float = 1.0
    standardize: bool = True
    device: str | None = None
    dtype: Dtype | None = None
    tol: float = 1e-8
    max_iter: int = 500

    def __post_init__(self) -> None:
        real_number(self.C, "C", low=0.0, high=_INF)
        real_number(self.tol, "tol", low=0.0, high=1.0)
        whole_number(self.max_iter, "max_iter", low=1)
        _check_common(self)

    @property
    def task(self) -> Task:
        """Classification."""
        return "classification"

    @property
    def provides(self) -> frozenset[str]:
        """Labels, scores and probabilities."""
        return frozenset({"labels", "scores", "probabilities"})

    def fit(self, problem: Problem, rng: np.random.Generator) -> LogisticFinding:
        """Return the fit to all rows; ``rng`` is not used."""
        from controls.probes import _engine

        _classes_of(problem)
        coef, intercept = _engine.fit_logistic(self, problem.X, problem.label_codes, len(problem.classes))
        return LogisticFinding(problem.classes, coef, intercept)

    @property
    def concurrent(self) -> bool:
        """On the CPU, whose cores take a block each."""
        return _on_cpu(self.device)

    def engine(self, activations: np.ndarray, splits: Sequence[Split], task: Task, n_classes: int) -> Engine:
        """Return the engine for these activations and folds; a fold is prepared when first asked for."""
        from controls.probes import _engine

        if task != "classification":
            raise InputError(f"LogisticProbe is for classification, got task {task!r}; use RidgeProbe for numbers.")
        return _engine.LogisticEngine(self, activations, splits, n_classes)


@final
@dataclass(frozen=True)
class RidgeProbe(BatchTrainer):
    """Ridge regression, fitted to many label columns at once; of classes by targets −1 and +1.

    Each column gets the fit of scikit-learn's ``Ridge(alpha=alpha)``, or ``RidgeClassifier`` for
    classes (after a ``StandardScaler`` where ``standardize``): it minimises
    sum of squares + alpha |w|², intercept not penalised.

    Parameters
    ----------
    alpha : float, default 1.0
        Strength of the penalty, above 0.
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
        A parameter out of its range.

    Notes
    -----
    Once: O(n d²) for the scatter matrices of the rows that folds share, O(d³) per fold. Per block
    of B columns: O((n + d) d B) (times C for C > 2 classes). Memory: one copy of the rows for all
    folds (two layouts of it in float32 on the CPU), and d² numbers per fold. With fewer training
    rows than features, each fold is reduced to its row space in O(n² d). No random numbers are used.

    ``fit`` takes floating labels of more than two values as numbers, all others as classes.

    Examples
    --------
    >>> import numpy as np, controls as ct
    >>> from controls.core.rng import stream
    >>> from controls.probes import RidgeProbe
    >>> rng = stream(0, "example")
    >>> X = rng.normal(size=(100, 3))
    >>> finding = RidgeProbe(alpha=1e-6).fit(ct.Problem(X, X @ [1.0, 2.0, 3.0] + 4), rng)
    >>> finding.coef_.round(3), round(finding.intercept_, 3)
    (array([1., 2., 3.]), 4.0)
    """

    alpha: float = 1.0
    standardize: bool = True
    device: str | None = None
    dtype: Dtype | None = None

    def __post_init__(self) -> None:
        real_number(self.alpha, "alpha", low=0.0, high=_INF)
        _check_common(self)

    @property
    def provides(self) -> frozenset[str]:
        """Labels and scores."""
        return frozenset({"labels", "scores"})

    def fit(self, problem: Problem, rng: np.random.Generator) -> RidgeFinding | RidgeClassifierFinding:
        """Return the fit to all rows; ``rng`` is not used."""
        from controls.probes import _ridge

        if problem.target == "continuous":
            coef, intercept = _ridge.fit_ridge(self, problem.X, np.asarray(problem.labels)[:, None])
            return RidgeFinding(coef[0], float(intercept[0]))
        _classes_of(problem)
        codes, count = problem.label_codes[:, None], len(problem.classes)
        signs = np.where(codes == (1 if count == 2 else np.arange(count)), 1.0, -1.0)
        return RidgeClassifierFinding(problem.classes, *_ridge.fit_ridge(self, problem.X, signs))

    @property
    def concurrent(self) -> bool:
        """On the CPU, whose cores take a block each."""
        return _on_cpu(self.device)

    def engine(self, activations: np.ndarray, splits: Sequence[Split], task: Task, n_classes: int) -> Engine:
        """Return the engine for these activations and folds; a fold is factorised when first asked for."""
        from controls.probes import _ridge

        return _ridge.RidgeEngine(self, activations, splits, n_classes if task == "classification" else 0)


def _check_common(probe: Any) -> None:
    if probe.dtype is not None:
        one_of(probe.dtype, "dtype", ("float64", "float32"))
    if not isinstance(probe.standardize, bool):
        raise InputTypeError(f"standardize must be True or False, got {probe.standardize!r}.")
    if probe.device is not None and not isinstance(probe.device, str):
        raise InputTypeError(f"device must be a torch device by name, such as 'cuda', or None, got {probe.device!r}.")


def _on_cpu(device: str | None) -> bool:
    return device is None or device.startswith("cpu")


def _classes_of(problem: Problem) -> None:
    """Refuse labels that are not two or more classes."""
    if problem.target not in ("binary", "multiclass"):
        raise InputError(
            f"labels must be classes, one per row, got {problem.target} labels; pass one column of integers, "
            "booleans or strings."
        )
    if len(problem.classes) < 2:
        raise InputError(f"labels must hold at least two classes, got only {problem.classes[0]!r}.")
