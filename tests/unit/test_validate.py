"""Bad input is refused at the door in one sentence that says what, how many and where."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from scipy import sparse

from controls.core.errors import InputError, InputTypeError
from controls.core.problem import Problem
from controls.core.validate import as_activations, as_labels, real_number, whole_number

X = np.arange(12.0).reshape(6, 2)
Y = [0, 1, 0, 1, 0, 1]


def one_sentence(error) -> bool:
    text = str(error.value)
    return "\n" not in text and text.endswith(".")


def holed(places, value=np.nan):
    array = X.copy()
    for place in places:
        array[place] = value
    return array


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (holed([(3, 1)]), r"activations must be finite, got 1 NaN or infinite value, the first at row 3, column 1"),
        (holed([(2, 0), (5, 1)], np.inf), r"got 2 NaN or infinite values, the first at row 2, column 0"),
        (holed([(1, 1)], -np.inf).astype(np.float16), "the first at row 1, column 1"),
        ([["a", "b"]] * 6, "must hold numbers, got text; encode text before"),
        (np.array([["a", "b"]] * 6), r"must hold numbers, got dtype <U1 \(first value .*'a'"),
        (np.array([["1.5", 2.0]] * 6, dtype=object), "must hold numbers"),
        (np.array([[1.0, None]] * 6, dtype=object), "got 6 NaN or infinite values, the first at row 0, column 1"),
        (X.astype(complex), "must hold numbers, got dtype complex128"),
        (X[0], r"two dimensions \(n rows, d features\), got shape \(2,\)"),
        (X[None], r"got shape \(1, 6, 2\)"),
        (7.0, r"got shape \(\)"),
        (X[:0], r"must not be empty, got shape \(0, 2\)"),
        (X[:, :0], r"must not be empty, got shape \(6, 0\)"),
        ([[1.0, 2.0], [3.0]], "must be an array"),
        (sparse.csr_matrix(X.astype(complex)), "must hold numbers, got dtype complex128"),
        (torch.tensor(X).to_sparse(), r"dense tensor or a scipy.sparse array, got a torch.sparse_coo tensor"),
        (pl.DataFrame(X).lazy(), r"got a LazyFrame not yet run; pass activations.collect\(\)"),
        (pl.Series([[1.0, 2.0], [3.0]] * 3), "vectors of one length in every row, got from 1 to 2"),
        (
            pl.Series([[1.0, None], [3.0, 1.0]] * 3),
            "finite, got 3 NaN or infinite values, the first at row 0, column 1",
        ),
        (np.ma.masked_greater(X, 10), "no masked values, got 1"),
        ({}, "at least one site, got an empty mapping"),
        ({"a": X, "b": X[:4]}, r"same rows at every site, got \{'a': 6, 'b': 4\}"),
        ({"a": X, "b": holed([(0, 0)])}, r"activations\['b'\] must be finite"),
        (None, "where there is no source"),
    ],
)
def test_activations_refused(value, words):
    with pytest.raises(InputError, match=words) as error:
        Problem(value, Y)
    assert one_sentence(error)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (
            [0.0, 1.0, np.nan, 1.0, np.nan, 0.0],
            "labels must be finite, got 2 NaN or infinite values, the first at row 2",
        ),
        ([0.0, 1.0, 1.0, 1.0, 0.0, np.inf], "got 1 NaN or infinite value, the first at row 5"),
        (["a", "b", None, "a", None, "b"], "no missing values, got 2, the first at row 2"),
        (["a", "b", np.nan, "a", "a", "b"], "no missing values, got 1, the first at row 2"),
        ([0, 1, "a", 1, 0, 1], "got a mixture: int, str"),
        (pd.Series(["a", "b", None, "a", "a", "b"]), "no missing values, got 1, the first at row 2"),
        (pd.Series([0, 1, pd.NA, 1, 0, 1], dtype="Int64"), "got 1 .* the first at row 2"),
        (pd.Series([0, 1, pd.NA, 1, 0, 1], dtype=object), "no missing values, got 1, the first at row 2"),
        (np.array([[0, None]] * 6, dtype=object), "no missing values, got 6, the first at row 0"),
        (np.array([0, 1, "a", 1, 0, 1], dtype=object), "got a mixture: int, str"),
        (np.array([object()] * 6), "must hold numbers, booleans or strings"),
        (np.array(Y, dtype=complex), "got dtype complex128"),
        (np.array(Y, dtype="datetime64[D]"), "got dtype datetime64"),
        (Y[:5], r"one entry per row of activations \(6\), got 5"),
        (np.zeros((6, 2, 2)), r"shape \(n,\) or \(n, k\), got \(6, 2, 2\)"),
        (np.zeros((6, 0)), r"must not be empty, got shape \(6, 0\)"),
        (sparse.csr_matrix(np.eye(6)), "labels must be a dense array, got a sparse csr_matrix"),
        (pl.Series([0, 1, None, 1, 0, 1]), "labels must be finite, got 1 NaN"),
        (pl.Series(["a", "b", None, "b", "a", "b"]), "no missing values, got 1, the first at row 2"),
        (3, r"shape \(n,\) or \(n, k\), got \(\)"),
    ],
)
def test_labels_refused(value, words):
    with pytest.raises(InputError, match=words) as error:
        Problem(X, value)
    assert one_sentence(error)


@pytest.mark.parametrize(
    ("groups", "words"),
    [
        ({"document": [0, 1]}, r"groups\['document'\] must be a column with one entry per row \(6\), got shape \(2,\)"),
        ({"document": X}, r"got shape \(6, 2\)"),
        ({"document": ["a", None, "b", "b", "a", "a"]}, r"groups\['document'\] must have no missing values"),
        ({"document": [0.0, 1.0, np.nan, 1.0, 0.0, 1.0]}, r"groups\['document'\] must be finite"),
        (["document"], "mapping of names to columns"),
    ],
)
def test_groups_refused(groups, words):
    with pytest.raises(InputError, match=words) as error:
        Problem(X, Y, groups=groups)
    assert one_sentence(error)


@pytest.mark.parametrize(
    "value",
    [
        X.tolist(),
        torch.tensor(X),
        torch.tensor(X, requires_grad=True),
        torch.tensor(X, dtype=torch.bfloat16),
        torch.tensor(X, dtype=torch.float16),
        torch.tensor(X, dtype=torch.int32),
        pd.DataFrame(X),
        pl.DataFrame(X),
        pl.DataFrame(X.astype(np.float32)),
        pl.DataFrame({"vector": X.tolist()}),
        pl.Series(X.tolist(), dtype=pl.Array(pl.Float32, 2)),
        pd.DataFrame({"vector": list(X)}),
        X.astype(object),
        X.astype(">f4"),
        np.asfortranarray(X),
    ],
    ids=lambda value: f"{type(value).__name__}",
)
def test_anything_array_like_becomes_the_same_activations(value):
    array = as_activations(value)
    assert array.dtype.kind == "f"
    np.testing.assert_array_equal(array, X)
    assert not array.flags.writeable


def test_booleans_become_numbers_and_single_precision_stays():
    np.testing.assert_array_equal(as_activations(X > 3), (X > 3).astype(float))
    assert as_activations(X.astype(np.float32)).dtype == np.float32
    assert as_activations(X.astype(np.float16)).dtype == np.float32


@pytest.mark.parametrize(
    ("value", "target", "kind"),
    [
        (torch.tensor(Y), "binary", "i"),
        (torch.tensor(Y, dtype=torch.bfloat16), "binary", "f"),
        (torch.tensor(Y).bool(), "binary", "b"),
        (pd.Series(["x", "y", "z"] * 2), "multiclass", "U"),
        (pd.Series(["x", "y", "z"] * 2, dtype="category"), "multiclass", "U"),
        (pl.Series(["x", "y"] * 3), "binary", "U"),
        (pl.Series(["x", "y"] * 3, dtype=pl.Categorical), "binary", "U"),
        (pl.Series([True, False] * 3), "binary", "b"),
        (pl.DataFrame({"a": [0, 1] * 3, "b": [1, 1, 0] * 2}), "multilabel", "i"),
        (np.array([1, 2.5, 3] * 2, dtype=object), "continuous", "f"),
        (np.array([True, False] * 3, dtype=object), "binary", "b"),
        (np.array(Y)[:, None], "binary", "i"),
        (np.eye(6, dtype=int)[:, :3], "multilabel", "i"),
        (np.linspace(0, 1, 6), "continuous", "f"),
        (np.array(["x", "yy"] * 3, dtype=object), "binary", "U"),
    ],
)
def test_labels_accepted(value, target, kind):
    problem = Problem(X, value)
    assert (problem.target, problem.labels.dtype.kind) == (target, kind)
    assert not problem.labels.flags.writeable


def test_bad_values_are_counted_across_chunks(monkeypatch):
    monkeypatch.setattr("controls.core.validate._CHUNK", 4)
    with pytest.raises(InputError, match="got 3 NaN or infinite values, the first at row 3, column 1"):
        as_activations(holed([(3, 1), (4, 0), (5, 1)]))
    with pytest.raises(InputError, match="got 1 NaN or infinite value, the first at row 5"):
        as_labels(np.array([0, 1, 0, 1, 0, np.nan]), 6)


def test_numbers_of_a_plan():
    assert whole_number(np.int64(3), "draws", low=1) == 3
    for wrong in (1.0, True, "3"):
        with pytest.raises(InputTypeError, match="draws must be a whole number"):
            whole_number(wrong, "draws", low=1)
    with pytest.raises(InputError, match="draws must be at least 1, got 0"):
        whole_number(0, "draws", low=1)
    for wrong in (0.0, 0.5, -1, float("nan")):
        with pytest.raises(InputError, match=r"alpha must be between 0 and 0\.5"):
            real_number(wrong, "alpha", low=0.0, high=0.5)
    assert real_number(0, "smallest_effect", low=0.0, high=float("inf"), open_ends=False) == 0.0
    with pytest.raises(InputError, match=r"smallest_effect must be at least 0, got -0\.1"):
        real_number(-0.1, "smallest_effect", low=0.0, high=float("inf"), open_ends=False)
