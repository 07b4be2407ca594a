"""Records as tidy tables in Parquet files, whose columns and types are fixed here."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from controls.core.errors import ControlsError, unknown_name
from controls.report.claims import Claim, Records, all_claims

Row = dict[str, Any]

_CLAIM = {"claim": "String", "site": "String", "control": "String", "metric": "String", "score": "Float64"}
_DRAWS = {**_CLAIM, "draw": "Int64", "draw_score": "Float64"}
_COMPARISONS = {
    **_CLAIM,
    "description": "String",
    "level": "String",
    "control_mean": "Float64",
    "selectivity": "Float64",
    "selectivity_low": "Float64",
    "selectivity_high": "Float64",
    "rescaled": "Float64",
    "confidence": "Float64",
    "approximate": "Boolean",
    "bound_low": "Float64",
    "bound_high": "Float64",
    "p_value": "Float64",
    "p_floor": "Float64",
    "p_low": "Float64",
    "p_high": "Float64",
    "p_lower_tail": "Float64",
    "claim_p": "Float64",
    "adjusted_p": "Float64",
    "draws": "Int64",
    "enumerated": "Boolean",
    "inference": "String",
    "verdict": "String",
    "licensed": "Boolean",
    "unit": "String",
    "n_units": "Int64",
    "claim_verdict": "String",
    "alpha": "Float64",
    "smallest_effect": "Float64",
    "target": "String",
    "seed": "Int64",
    "study_key": "String",
    "data_key": "String",
}


def as_parquet(results: Records, path: str | Path, *, table: str = "draws") -> Path:
    """Write records to a Parquet file as a tidy table, which pandas, polars, R or DuckDB read.

    Parameters
    ----------
    results : mapping of str to Result or Sweep, or one of them
        What is written, by name. A Sweep counts as its sites. A record alone goes by its title.
    path : str or Path
        File to write, in one step; folders are made where needed.
    table : {"draws", "comparisons"}
        ``"draws"``: a row per claim, site, control and draw. ``"comparisons"``: a row per claim, site and control.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    InputError
        For an empty mapping, an unknown table, or a file that cannot be written.
    ControlsError
        Where polars is not installed.

    Notes
    -----
    Both tables have ``claim``, ``site`` (null for a Result), ``control`` and ``metric`` (text) and ``score``, which is
    that of the problem itself (float64). ``draws`` adds ``draw`` (int64, from 0, in the order of
    ``Comparison.control_scores``) and ``draw_score`` (float64). ``comparisons`` adds the columns of ``to_frame()``,
    ``adjusted_p`` (null for a Result) and what the claim went by: ``claim_verdict``, ``alpha``,
    ``smallest_effect``, ``target``, ``seed`` and the keys of the study and of the data. Types never depend on the
    values; what is not available is null; no objects are pickled. Memory: about 100 bytes per draw.

    Examples
    --------
    >>> import tempfile, polars, numpy as np, controls as ct
    >>> problem = ct.Problem(np.eye(6), [0, 0, 0, 1, 1, 1])
    >>> result = ct.measure(ct.probes.RidgeProbe(), problem, controls=[ct.ShuffleLabels()], cv=2)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     polars.read_parquet(as_parquet({"six rows": result}, f"{folder}/draws.parquet")).shape
    (20, 7)
    """
    if table not in _TABLES:
        raise unknown_name("table", table, _TABLES)
    schema, rows = _TABLES[table]
    polars = require_polars()
    types = {name: getattr(polars, kind) for name, kind in schema.items()}
    columns: dict[str, list[Any]] = {name: [] for name in schema}
    for claim in all_claims(results):
        for row in rows(claim):
            for name, column in columns.items():
                column.append(_held(row[name]))
    buffer = io.BytesIO()
    polars.DataFrame(columns, schema=types).write_parquet(buffer)
    from controls.report import files

    files.write_bytes(Path(path), buffer.getvalue())
    return Path(path)


def _draw_rows(claim: Claim) -> Iterator[Row]:
    for comparison in claim.result.comparisons:
        start = {
            "claim": claim.name,
            "site": claim.site,
            "control": comparison.control,
            "metric": claim.result.metric,
            "score": comparison.score,
        }
        for draw, score in enumerate(comparison.control_scores.tolist()):
            yield {**start, "draw": draw, "draw_score": score}


def _comparison_rows(claim: Claim) -> Iterator[Row]:
    from controls.report import frame

    result = claim.result
    for comparison in result.comparisons:
        yield {
            "claim": claim.name,
            "site": claim.site,
            **frame.row(result, comparison),
            "adjusted_p": claim.adjusted_p.get(comparison.control),
            "claim_verdict": str(result.verdict),
            "alpha": result.alpha,
            "smallest_effect": result.smallest_effect,
            "target": result.target,
            "seed": result.provenance.seed,
            "study_key": result.provenance.study_key,
            "data_key": result.provenance.data_key,
        }


def _held(value: Any) -> Any:
    """Return a value as files hold it: what JSON writes as null is null here too."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def require_polars() -> Any:
    """Return polars; one sentence where it is not installed."""
    try:
        import polars
    except ImportError:
        raise ControlsError('as_parquet needs polars; install it with pip install "controls[parquet]".') from None
    return polars


_TABLES: dict[str, tuple[dict[str, str], Callable[[Claim], Iterator[Row]]]] = {
    "draws": (_DRAWS, _draw_rows),
    "comparisons": (_COMPARISONS, _comparison_rows),
}
