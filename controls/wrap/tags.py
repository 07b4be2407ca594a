"""What scikit-learn asks an estimator about itself."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

from sklearn.utils import ClassifierTags, Tags, get_tags

from controls.core.trainer import Trainer


def tags_of(estimator: Any, own: Tags) -> Tags:
    """Return an estimator's tags, without what no study takes: missing values, kernels, many labels.

    Parameters
    ----------
    estimator : scikit-learn estimator, Trainer, or callable
        Of a Trainer the task is told; of a function nothing is known.
    own : Tags
        Those of the estimator around it.
    """
    tags = copy.deepcopy(_given(estimator, own))
    tags.input_tags.allow_nan = tags.input_tags.pairwise = False
    tags.target_tags.required = tags.target_tags.single_output = True
    tags.target_tags.multi_output = tags.target_tags.two_d_labels = False
    if tags.classifier_tags is not None:
        tags.classifier_tags.multi_label = False
    return tags


def _given(estimator: Any, own: Tags) -> Tags:
    if isinstance(estimator, Trainer) and estimator.task == "classification":
        return replace(own, estimator_type="classifier", classifier_tags=ClassifierTags())
    return get_tags(estimator) if hasattr(estimator, "get_params") and not isinstance(estimator, type) else own
