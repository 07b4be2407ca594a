"""Sound trainers pass the kit, and every broken one is found out."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

import controls as ct
from controls.testing import BROKEN_TRAINERS, ControlsCheckError, check_trainer, parametrize_with_trainer_checks
from controls.testing.broken import LeastSquares


def nearest_mean(X, y):
    means = np.stack([X[y == label].mean(axis=0) for label in np.unique(y)])
    return lambda new: np.unique(y)[((new[:, None] - means) ** 2).sum(axis=2).argmin(axis=1)]


def noisy_line(X, y, rng):
    weights = np.linalg.lstsq(X, y, rcond=None)[0] + 0.01 * rng.standard_normal(X.shape[1])
    return lambda new: new @ weights


def refuses_text(X, y):
    if y.dtype.kind == "U":
        raise ct.InputError("labels must be numbers here, got text; encode them.")
    return nearest_mean(X, y)


SOUND = [
    LeastSquares(),
    LogisticRegression(),
    make_pipeline(StandardScaler(), Ridge()),
    KNeighborsClassifier(),
    DecisionTreeClassifier(random_state=0),
    nearest_mean,
    refuses_text,
    ct.probes.LogisticProbe(),
    ct.probes.LogisticProbe(C=0.05, standardize=False),
    ct.probes.RidgeProbe(),
    ct.probes.RidgeProbe(dtype="float32"),
    ct.probes.LDAProbe(),
    ct.probes.LDAProbe(shrinkage=0, dtype="float32"),
    ct.probes.MeanDifferenceProbe(),
]


@parametrize_with_trainer_checks(SOUND)
def test_sound_trainers_pass(trainer, check):
    check()


def test_a_trainer_that_draws_from_its_stream_passes():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 3))
    problem = ct.Problem(X, X @ [1.0, -2.0, 0.5] + rng.standard_normal(60))
    check_trainer(noisy_line, problem)


@pytest.mark.parametrize(("trainer", "words"), BROKEN_TRAINERS, ids=lambda value: getattr(value, "fault", ""))
def test_broken_trainers_fail_with_their_own_message(trainer, words):
    state = np.random.get_state()  # noqa: NPY002
    try:
        with pytest.raises(ControlsCheckError) as caught:
            check_trainer(trainer)
    finally:
        np.random.set_state(state)  # noqa: NPY002
    assert words in str(caught.value)


def test_a_trainer_that_refuses_everything_is_told_to_bring_a_problem():
    def refuses(X, y):
        raise ct.InputError("no labels are good enough, got some; give others.")

    with pytest.raises(ControlsCheckError, match="pass problem="):
        check_trainer(refuses)
