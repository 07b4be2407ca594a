"""Parquet tables hold what records hold, in columns whose types never depend on the values."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from controls import report
from controls.core.errors import ControlsError, InputError

DRAWS = {
    "claim": pl.String,
    "site": pl.String,
    "control": pl.String,
    "metric": pl.String,
    "score": pl.Float64,
    "draw": pl.Int64,
    "draw_score": pl.Float64,
}


@pytest.fixture
def several(build: Any) -> dict[str, Any]:
    return {"one": build.result(), "sweep": build.sweep(3), "ugly": build.ugly()}


def test_draws_are_those_of_the_record_in_their_order(several: Any, tmp_path: Path) -> None:
    path = report.as_parquet(several, tmp_path / "new" / "draws.parquet")
    assert path == tmp_path / "new" / "draws.parquet"
    table = pl.read_parquet(path)
    assert dict(table.schema) == DRAWS
    expected = [
        (name, site, comparison.control, result.metric, comparison.score, draw, score)
        for name, record in several.items()
        for site, result in getattr(record, "results", {None: record}).items()
        for comparison in result.comparisons
        for draw, score in enumerate(comparison.control_scores)
    ]
    assert len(expected) == (199 + 39) * 4 + 3
    for row, wanted in zip(table.rows(), expected, strict=True):
        assert row == tuple(None if value != value else value for value in wanted)


def test_comparisons_are_the_frame_with_the_claim(several: Any, tmp_path: Path) -> None:
    table = pl.read_parquet(report.as_parquet(several, tmp_path / "c.parquet", table="comparisons"))
    assert table.height == 2 + 3 * 2 + 1
    frame = report.as_frame(several["sweep"])
    ours = table.filter(pl.col("claim") == "sweep")
    for column in frame.columns:
        wanted = [None if value != value else value for value in frame[column].tolist()]
        assert ours[column].to_list() == wanted, column
    assert ours["claim_verdict"].to_list() == ["UNDECIDED"] * 6
    assert set(ours["data_key"]) == {several["one"].provenance.data_key}
    single = table.filter(pl.col("claim") == "one")
    assert single["site"].null_count() == single["adjusted_p"].null_count() == 2


@pytest.mark.parametrize("table", ["draws", "comparisons"])
def test_types_do_not_depend_on_the_values(several: Any, build: Any, tmp_path: Path, table: str) -> None:
    empty = dataclasses.replace(build.result(), comparisons=())
    records = {**several, "empty": empty, "int": build.result(build.comparison(score=1, integrity={}))}
    schemas = {
        name: dict(pl.read_parquet(report.as_parquet({name: record}, tmp_path / name, table=table)).schema)
        for name, record in records.items()
    }
    assert all(schema == schemas["one"] for schema in schemas.values())
    assert not {pl.Object, pl.Null, pl.Binary} & set(schemas["one"].values())


def test_numbers_of_numpy_and_any_text_are_written(build: Any, tmp_path: Path) -> None:
    scores = np.array([0.25, np.nan, np.inf], dtype=np.float32)
    comparison = build.comparison(draws=3, control_scores=scores, score=np.float64(0.5))
    result = build.result(dataclasses.replace(comparison, control="\ud800|"))
    table = pl.read_parquet(report.as_parquet({"\x00": result}, tmp_path / "d.parquet"))
    assert table["draw_score"].to_list() == [0.25, None, None]
    assert set(table["control"]) == {r"\ud800|"}
    assert set(table["claim"]) == {r"\x00"}


def test_pandas_reads_the_tables(several: Any, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="pandas reads Parquet with pyarrow")
    import pandas as pd

    for table in ("draws", "comparisons"):
        path = report.as_parquet(several, tmp_path / table, table=table)
        theirs, ours = pd.read_parquet(path), pl.read_parquet(path)
        assert list(theirs.columns) == ours.columns
        for column in ours.columns:
            assert theirs[column].isna().tolist() == ours[column].is_null().to_list()
            assert theirs[column].dropna().tolist() == ours[column].drop_nulls().to_list()


def test_refusals_are_one_sentence(build: Any, tmp_path: Path, monkeypatch: Any) -> None:
    with pytest.raises(InputError, match=r"table 'draw' is not known.*Did you mean 'draws'"):
        report.as_parquet(build.result(), tmp_path / "x", table="draw")
    with pytest.raises(InputError, match="at least one"):
        report.as_parquet({}, tmp_path / "x")
    with pytest.raises(InputError, match="cannot be written"):
        report.as_parquet(build.result(), tmp_path)
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(ControlsError, match=r'install it with pip install "controls\[parquet\]"'):
        report.as_parquet(build.result(), tmp_path / "x")
    assert list(tmp_path.iterdir()) == []
