"""scikit-learn's own checks of an estimator, on Controlled around estimators of several kinds."""

from __future__ import annotations

import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import controls as ct

FEW = {"controls": [ct.ShuffleLabels()], "draws": 3, "cv": 2}


@pytest.mark.filterwarnings("ignore")  # the checks fit on purpose what warns
@parametrize_with_checks(
    [
        ct.Controlled(LogisticRegression(), **FEW),
        ct.Controlled(Ridge(), **FEW),
        ct.Controlled(LinearDiscriminantAnalysis(), **FEW),
        ct.Controlled(make_pipeline(StandardScaler(), LogisticRegression()), **FEW),
    ]
)
def test_scikit_learn_accepts_it(estimator, check):
    check(estimator)
