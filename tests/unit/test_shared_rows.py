"""What folds share: parts of rows, their moments, products, and the size of blocks."""

from __future__ import annotations

from functools import reduce

import numpy as np
import pytest
import torch
from sklearn.model_selection import KFold, ShuffleSplit

import controls as ct
from controls.core.errors import TrainerError
from controls.core.rng import stream
from controls.core.trainer import BatchTrainer
from controls.probes import LDAProbe, LogisticProbe, MeanDifferenceProbe, RidgeProbe
from controls.probes._matrix import Matrix, Stack
from controls.probes._rows import Moments, make_frame, moments, shared_parts
from controls.runner.plan import default_block


def splits_of(splitter, n):
    return list(splitter.split(np.zeros((n, 1))))


def test_merged_moments_are_those_of_all_rows():
    rng = stream(0, "moments")
    parts = [rng.normal(size=(size, 5)) * 10.0**k + 10.0 ** (2 * k) for k, size in enumerate((40, 1, 300))]
    merged = reduce(Moments.merge, (moments(torch.from_numpy(part)) for part in parts))
    rows = np.concatenate(parts)
    assert merged.n == 341
    np.testing.assert_allclose(merged.mean, rows.mean(axis=0), rtol=1e-13)
    np.testing.assert_allclose(merged.scatter, np.cov(rows.T, ddof=0) * 341, rtol=1e-9, atol=1e-9 * rows.var() * 341)


def test_merged_variances_are_those_of_merged_scatter_matrices():
    parts = [torch.from_numpy(stream(0, "variances").normal(size=(size, 5)) + size) for size in (40, 1, 300)]
    full, slim = (reduce(Moments.merge, (moments(p, crossed=crossed) for p in parts)) for crossed in (True, False))
    assert slim.scatter.shape == (5,)
    np.testing.assert_allclose(slim.variance, full.variance, rtol=1e-12)


def test_kfold_shares_one_part_a_fold():
    splits = splits_of(KFold(4, shuffle=True, random_state=0), 50)
    grouping = shared_parts(splits, (50, 3))
    assert sorted(map(len, grouping.rows)) == [12, 12, 13, 13]
    for k, (train, test) in enumerate(splits):
        for wanted, parts in ((train, grouping.train[k]), (test, grouping.test[k])):
            assert sorted(np.concatenate([grouping.rows[i] for i in parts])) == sorted(wanted)


@pytest.mark.parametrize(
    ("splits", "d"),
    [
        (splits_of(ShuffleSplit(30, random_state=0), 60), 20),  # nearly each row a part of its own
        (splits_of(KFold(20), 60), 20),  # scatter matrices would outweigh the rows
        ([(np.array([0, 0, 1, 2]), np.array([3, 4]))], 2),  # a row named twice
    ],
)
def test_folds_that_do_not_share(splits, d):
    assert shared_parts(splits, (60, d)) is None


@pytest.mark.parametrize(
    ("splitter", "shares"),
    [(KFold(4), True), (KFold(20), False), (ShuffleSplit(30, random_state=0), False)],
)
def test_folds_share_wide_rows_where_variances_are_enough(splitter, shares):
    splits = splits_of(splitter, 80)
    assert shared_parts(splits, (80, 5000)) is None
    assert (shared_parts(splits, (80, 5000), crossed=False) is not None) == shares


@pytest.mark.parametrize("probe", [RidgeProbe(), LogisticProbe(), LDAProbe(), MeanDifferenceProbe(standardize=True)])
@pytest.mark.parametrize(
    "splitter", [KFold(4, shuffle=True, random_state=1), ShuffleSplit(3, train_size=0.5, test_size=0.2, random_state=1)]
)
def test_shared_folds_fit_as_each_fold_alone(probe, splitter):
    rng = stream(0, "alone")
    X = rng.normal(size=(120, 6)) * 10.0 ** rng.uniform(-3, 3, size=6) + 50
    codes, splits = rng.integers(0, 2, size=(120, 7)), splits_of(splitter, 120)
    X[splits[0][1], 2] = 1e9  # what one fold tests is no matter to its fit
    X[splits[0][0], 3] = 0.1  # constant in the training rows of one fold only
    assert shared_parts(splits, X.shape) is not None
    together = probe.engine(X, splits, "classification", 2)
    for k, (train, test) in enumerate(splits):
        repeated = np.concatenate([test, test[:1]])  # a row named twice: nothing is shared
        assert shared_parts([(train, repeated)], X.shape) is None
        alone = probe.engine(X, [(train, repeated)], "classification", 2).predict(0, codes, "scores").scores
        np.testing.assert_allclose(together.predict(k, codes, "scores").scores, alone[:-1], rtol=1e-6, atol=1e-6)


def test_a_frame_centres_and_scales_by_powers_of_two():
    rng = stream(0, "frame")
    X = rng.normal(size=(200, 3)) * [1e-8, 1.0, 1e8] + [1e-3, 0.0, 1e9]
    frame = make_frame(X, np.arange(200))
    np.testing.assert_array_equal(frame.centre, np.quantile(X, 0.5, axis=0, method="lower"))
    largest = np.abs(X - frame.centre.numpy()).max(axis=0) / frame.scale.numpy()
    assert ((largest >= 1) & (largest < 2)).all()
    assert (np.log2(frame.scale.numpy()) % 1 == 0).all()


@pytest.mark.parametrize(
    ("of_rows", "of_block", "rtol"), [("f4", "f4", 1e-5), ("f4", "f8", 1e-13), ("f8", "f8", 1e-13)]
)
def test_products_from_either_side(of_rows, of_block, rtol):
    rng = stream(0, "products")
    parts = [rng.normal(size=(size, 30)).astype(of_rows) for size in (70, 1, 44)]
    right, left = rng.normal(size=(30, 9)).astype(of_block), rng.normal(size=(115, 9)).astype(of_block)
    shift = rng.normal(size=9).astype(of_block)
    stack = Stack([Matrix(torch.from_numpy(part)) for part in parts])
    rows = np.concatenate(parts).astype("f8")
    times = stack.times(torch.from_numpy(right), torch.from_numpy(shift))
    assert times.dtype == torch.from_numpy(right).dtype
    np.testing.assert_allclose(times, rows @ right + shift, rtol=rtol, atol=100 * rtol)
    np.testing.assert_allclose(
        stack.transposed_times(torch.from_numpy(left)), rows.T @ left, rtol=rtol, atol=100 * rtol
    )


@pytest.mark.parametrize(("kind", "expected"), [(np.float16, "f4"), (np.float32, "f4"), (np.float64, "f8")])
def test_products_use_the_dtype_of_the_activations(kind, expected):
    rng = stream(0, "dtype")
    X = rng.normal(size=(90, 4)).astype(kind)
    split, codes = [(np.arange(60), np.arange(60, 90))], rng.integers(0, 2, size=(90, 3))
    for probe in (RidgeProbe, LogisticProbe, LDAProbe, MeanDifferenceProbe):
        default = probe().engine(X, split, "classification", 2)
        named = probe(dtype={"f4": "float32", "f8": "float64"}[expected]).engine(X, split, "classification", 2)
        assert default.tolerance == named.tolerance
        got = [engine.predict(0, codes, "scores").scores for engine in (default, named)]
        np.testing.assert_array_equal(*got)


@pytest.mark.parametrize("C", [1.0, 1e3, 1e6])
def test_float32_reaches_the_fit_on_separable_labels(C):
    rng = stream(0, "separable")
    X = rng.normal(size=(400, 40)).astype(np.float32)
    codes = (X @ rng.normal(size=(40, 3)) > 0).astype(np.int64)
    split = [(np.arange(300), np.arange(300, 400))]
    got = [
        LogisticProbe(C=C, dtype=dtype).engine(X, split, "classification", 2).predict(0, codes, "probabilities")
        for dtype in ("float64", "float32")
    ]
    auc = [ct.metrics.RocAuc().score(codes[300:], output) for output in got]
    np.testing.assert_allclose(*auc, atol=1e-4)
    np.testing.assert_allclose(got[0].probabilities, got[1].probabilities, atol=0.01)


@pytest.mark.parametrize(
    ("n", "classes", "expected"), [(50, 2, 512), (4000, 2, 262), (100_000, 2, 32), (4000, 17, 32), (10_000_000, 2, 1)]
)
def test_blocks_shrink_with_rows_and_classes(n, classes, expected):
    assert default_block(_Sizes(n, classes)) == expected


class _Sizes:
    """As much of a problem as the size of a block depends on."""

    def __init__(self, n, classes):
        self.n, self.classes = n, range(classes)
        self.target = "binary" if classes == 2 else "multiclass"
        self.label_sets = None


class _Breaks(BatchTrainer):
    def fit(self, problem, rng):
        raise NotImplementedError

    def engine(self, activations, splits, task, n_classes):
        return self

    tolerance = 0.0

    def predict(self, fold, targets, needs):
        if fold == 1:
            raise RuntimeError("out of memory")
        return (
            ct.probes.LogisticProbe()
            .engine(np.eye(len(targets)), [_halves(len(targets))] * 2, "classification", 2)
            .predict(0, targets, needs)
        )


def _halves(n):
    return np.arange(n // 2), np.arange(n // 2, n)


def test_an_engine_that_fails_names_the_fold():
    problem = ct.Problem(np.eye(8), [0, 1] * 4)
    folds = [_halves(8), _halves(8)[::-1]]
    with pytest.raises(
        TrainerError, match=r"in fold 1, on 1 label columns of 4 rows, with RuntimeError: out of memory"
    ):
        ct.measure(_Breaks(), problem, controls=[ct.ShuffleLabels()], scoring="accuracy", cv=folds, draws=9)
