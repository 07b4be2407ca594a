"""Controlled: a scikit-learn meta-estimator that measures its estimator beside controls when it is fitted."""

from __future__ import annotations

import numbers
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, final

import numpy as np
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils import check_random_state, column_or_1d
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import check_is_fitted

from controls.core.errors import InputError
from controls.core.problem import Problem
from controls.core.result import Result
from controls.core.rng import stream
from controls.core.study import Study
from controls.core.trainer import Trainer
from controls.experiment import measure
from controls.generators.labels import ShuffleLabels
from controls.probes.adapt import as_trainer
from controls.probes.from_sklearn import EstimatorTrainer
from controls.runner.record import check_means
from controls.wrap.bar import shown
from controls.wrap.frames import FrameTrainer, Layout, named_columns
from controls.wrap.problems import as_problem, default_controls, require_difference
from controls.wrap.tags import tags_of

_SEEDS = 2**31 - 1
_GIVES = {"predict": "labels", "decision_function": "scores", "predict_proba": "probabilities"}


def _offers(method: str) -> Callable[[Any], bool]:
    """Return the check that what is fitted (or, before that, what will be) has a method."""

    def check(self: Any) -> bool:
        if hasattr(self, "estimator_"):
            return hasattr(self.estimator_, method) or (method == "predict" and callable(self.estimator_))
        if isinstance(self.estimator, Trainer):
            return _GIVES.get(method) in (self.estimator.provides or {"labels"})
        return hasattr(self.estimator, method) or (method == "predict" and callable(self.estimator))

    return check


@final
class Controlled(MetaEstimatorMixin, BaseEstimator):
    """Fits and predicts as its estimator does, and says in ``result_`` how much of the score survives controls.

    ``fit`` runs the whole study (:func:`controls.measure`) on the data that it gets, and then keeps a
    clone of the estimator that was fitted to all of them. Predictions are those of that clone.

    Parameters
    ----------
    estimator : scikit-learn estimator, Trainer, or callable ``fit(X, y) -> predictor``
        What makes the finding. It is never fitted itself.
    controls : sequence of Control, optional
        The battery, fixed beforehand. None: ``ShuffleLabels()`` where ``fit`` is given no unit;
        otherwise ``ShuffleLabels(whole=unit)`` where labels are constant in each unit, and
        ``ShuffleLabels(within=unit)`` where they are not.
    scoring : str or callable, optional
        As in :func:`controls.measure`; accuracy or R² where None. ``score`` stays the estimator's own.
    cv : int, scikit-learn splitter or iterable of (train, test), optional
        Folds, as in :func:`controls.measure`.
    draws : int, default 199
        Draws per control.
    alpha : float, default 0.05
        Level of the tests.
    smallest_effect : float, default 0.0
        The smallest selectivity that matters.
    target : {"fitted", "expected"}, default "fitted"
        What intervals speak of.
    random_state : int, RandomState instance or None, default None
        The seed of the study: the integer itself, or one drawn from the RandomState. None takes a
        new one in each ``fit``, without a look at numpy's global state; it is kept in
        ``result_.provenance.seed``. The estimator's own ``random_state`` is left as it is for the final fit.
    n_jobs : int, optional
        Processes for draws that are fitted one by one, as in joblib.
    block : int, optional
        As in :class:`controls.Study`; for probes that fit many columns together.
    key : str, optional
        Stands for whatever has no content of its own (a lambda, a closure).
    store : path, optional
        Where draws are kept, as in :func:`controls.measure`; it needs a whole ``random_state``, since
        a new seed is another study.
    title : str, default ""
        A name for the report.
    progress : callable, optional
        ``progress(done, total, what)``, called as draws are done.
    verbose : int, default 0
        Shows a progress bar on standard error where above 0 and no ``progress`` is given.

    Attributes
    ----------
    estimator_ : object
        The estimator fitted to all rows; the finding, where ``estimator`` is a Trainer or a function.
    result_ : Result
        What the study found; prints as a table.
    selectivity_ : float
        The smallest selectivity over the battery.
    classes_, n_features_in_, feature_names_in_
        Those of ``estimator_``, where it has them.

    Raises
    ------
    InputError, CannotControl
        From ``fit``, where no study can be made of the data, although the estimator may be fitted to
        them: labels that are constant, too few rows, labels in which nothing can change places. No
        control is ever left out in silence; use the estimator itself where no control is wanted.
    TrainerError
        From ``fit``, where the estimator fails on a fold.

    Notes
    -----
    ``fit`` costs one fit of the estimator, and folds × (1 + draws × controls) fits more; so does
    every fit in a grid search or cross-validation around it. Search over the estimator first, and
    control what was found, or put the search inside: ``Controlled(GridSearchCV(...))``.

    Activations must be numbers, dense and finite; labels one column. Weights of rows are not taken.

    Examples
    --------
    >>> import numpy as np, controls as ct
    >>> from sklearn.linear_model import LogisticRegression
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat([0, 1], 40)
    >>> X = rng.normal(size=(80, 3)) + 2 * y[:, None]
    >>> probe = ct.Controlled(LogisticRegression(), controls=[ct.ShuffleLabels()], draws=39, random_state=0)
    >>> probe.fit(X, y).predict(X[:3])
    array([0, 0, 0])
    >>> probe.selectivity_ > 0.3, str(probe.result_.verdict)
    (True, 'HOLDS')
    """

    def __init__(
        self,
        estimator: Any = None,
        *,
        controls: Any = None,
        scoring: Any = None,
        cv: Any = None,
        draws: int = 199,
        alpha: float = 0.05,
        smallest_effect: float = 0.0,
        target: str = "fitted",
        random_state: Any = None,
        n_jobs: int | None = None,
        block: int | None = None,
        key: str | None = None,
        store: Any = None,
        title: str = "",
        progress: Any = None,
        verbose: int = 0,
    ) -> None:
        self.estimator = estimator
        self.controls = controls
        self.scoring = scoring
        self.cv = cv
        self.draws = draws
        self.alpha = alpha
        self.smallest_effect = smallest_effect
        self.target = target
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.block = block
        self.key = key
        self.store = store
        self.title = title
        self.progress = progress
        self.verbose = verbose

    def fit(self, X: Any, y: Any, *, groups: Any = None, unit: str | None = None) -> Controlled:
        """Fit the estimator to all rows, and measure it beside the controls.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Activations.
        y : array-like of shape (n,)
            Labels.
        groups : array-like of shape (n,), mapping of names to such columns, or data frame, optional
            A single column is the unit; it goes by the name ``unit``, or "groups" where that is
            None. Inside a cross-validation give an array or a data frame, which it can take rows of.
        unit : str, optional
            The name of the group whose members are independent of one another. Rows where None.

        Returns
        -------
        Controlled
            Itself.
        """
        y = _one_column(y)
        trainer = as_trainer(self.estimator)
        settings = self._settings()
        # Before the study is: what scikit-learn refuses, it refuses in its own words.
        fitted: Any = clone(self.estimator) if isinstance(trainer, EstimatorTrainer) else None
        if fitted is not None:
            fitted.fit(X, y)
        problem = as_problem(X, y, groups, unit)
        require_difference(problem)
        layout = None if fitted is None else named_columns(X)
        result = self._measure(problem, layout, settings)
        if fitted is None:
            fitted = trainer.fit(problem, stream(settings["seed"], "fit to all rows"))
        self.estimator_, self.result_ = fitted, result
        return self

    def _settings(self) -> dict[str, Any]:
        """Return what the study is made of, checked as far as it can be without data."""
        check_means(self.n_jobs, self.progress, self.title)
        names = ("scoring", "cv", "draws", "alpha", "smallest_effect", "target", "block", "key")
        given: dict[str, Any] = {name: getattr(self, name) for name in names}
        controls = (ShuffleLabels(),) if self.controls is None else self.controls
        study = Study(trainer=self.estimator, controls=controls, seed=_seed(self.random_state), **given)
        settings = {name: getattr(study, name) for name in (*names, "seed", "controls")}  # iterators are read once
        return settings if self.store is None else settings | {"store": self.store}

    def _measure(self, problem: Problem, layout: Layout | None, settings: dict[str, Any]) -> Result:
        trainer, title = self.estimator, self.title
        if layout is not None:
            trainer, title = FrameTrainer(trainer, layout), title or " ".join(repr(trainer).split())
        if self.controls is None:
            settings = settings | {"controls": default_controls(problem)}
        asked = self.verbose and self.progress is None
        with shown(self.title or "controls") if asked else nullcontext(self.progress) as progress:
            return measure(
                trainer,
                problem,
                n_jobs=self.n_jobs,
                title=title,
                progress=progress,
                **settings,
            )

    @property
    def selectivity_(self) -> float:
        """The smallest selectivity over the battery."""
        return self.result_.selectivity

    @property
    def classes_(self) -> np.ndarray:
        """The labels, sorted, where there are classes."""
        return self.estimator_.classes_

    @property
    def n_features_in_(self) -> int:
        """Number of features."""
        return self.estimator_.n_features_in_

    @property
    def feature_names_in_(self) -> np.ndarray:
        """Names of the features, where X had any."""
        return self.estimator_.feature_names_in_

    @available_if(_offers("predict"))
    def predict(self, X: Any, **params: Any) -> np.ndarray:
        """Return what the fitted estimator predicts; ``params`` go to its ``predict``."""
        return getattr(_fitted(self), "predict", self.estimator_)(X, **params)

    @available_if(_offers("predict_proba"))
    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the fitted estimator's probabilities, shape (m, C)."""
        return _fitted(self).predict_proba(X)

    @available_if(_offers("predict_log_proba"))
    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Return the logarithm of the fitted estimator's probabilities, shape (m, C)."""
        return _fitted(self).predict_log_proba(X)

    @available_if(_offers("decision_function"))
    def decision_function(self, X: Any) -> np.ndarray:
        """Return the fitted estimator's scores, (m,) for two classes, else (m, C)."""
        return _fitted(self).decision_function(X)

    @available_if(_offers("transform"))
    def transform(self, X: Any) -> Any:
        """Return what the fitted estimator makes of the rows."""
        return _fitted(self).transform(X)

    @available_if(_offers("transform"))
    def fit_transform(self, X: Any, y: Any, *, groups: Any = None, unit: str | None = None) -> Any:
        """Return ``fit(X, y, groups=groups, unit=unit).transform(X)``."""
        return self.fit(X, y, groups=groups, unit=unit).transform(X)

    @available_if(_offers("get_feature_names_out"))
    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the fitted estimator's names of what ``transform`` returns."""
        return _fitted(self).get_feature_names_out(input_features)

    @available_if(_offers("set_output"))
    def set_output(self, *, transform: Any = None) -> Controlled:
        """Choose what ``transform`` returns, in the estimator itself, as a pipeline does in its steps."""
        for each in (self.estimator, getattr(self, "estimator_", None)):
            if each is not None:
                each.set_output(transform=transform)
        return self

    @available_if(_offers("predict"))
    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the fitted estimator's own score; accuracy or R² of its predictions where it has none."""
        weights = {} if sample_weight is None else {"sample_weight": sample_weight}
        if hasattr(_fitted(self), "score"):
            return self.estimator_.score(X, y, **weights)
        own = r2_score if type_of_target(y) == "continuous" else accuracy_score
        return float(own(y, self.predict(X), **weights))

    def __sklearn_tags__(self) -> Any:
        """Return the estimator's tags, as far as a study can go with them."""
        return tags_of(self.estimator, super().__sklearn_tags__())


def _fitted(self: Controlled) -> Any:
    check_is_fitted(self, "estimator_")
    return self.estimator_


def _one_column(y: Any) -> Any:
    if y is None:
        raise InputError("Controlled requires y to be passed, but the target y is None; give one label per row.")
    dimensions = np.ndim(y) if isinstance(y, list | tuple) else getattr(y, "ndim", 1)
    return y if dimensions == 1 else column_or_1d(y, warn=True)


def _seed(random_state: Any) -> int:
    """Return the seed of the study: the integer itself, or one that is drawn."""
    if isinstance(random_state, numbers.Integral):
        return int(random_state)
    if random_state is None:
        return int(np.random.SeedSequence().generate_state(1)[0] % _SEEDS)
    return int(check_random_state(random_state).randint(_SEEDS))
