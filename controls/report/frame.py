"""A record as a pandas DataFrame: one row per control (and site), numbers unrounded."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from controls.core.result import Comparison, Result, Sweep


def frame(record: Result | Sweep) -> pd.DataFrame:
    """Return one row per control of a result, or per site and control of a sweep."""
    if isinstance(record, Result):
        return pd.DataFrame([row(record, comparison) for comparison in record.comparisons])
    return pd.DataFrame(
        [
            {
                "site": site,
                **row(result, comparison),
                "adjusted_p": record.adjusted_p.get(comparison.control, {}).get(site, math.nan),
            }
            for site, result in record.results.items()
            for comparison in result.comparisons
        ]
    )


def row(result: Result, comparison: Comparison) -> dict[str, Any]:
    """Return one comparison as a row, by column."""
    low, high = comparison.p_interval or (math.nan, math.nan)
    return {
        "control": comparison.control,
        "description": comparison.description,
        "level": comparison.level,
        "metric": result.metric,
        "score": comparison.score,
        "control_mean": comparison.control_mean,
        "selectivity": comparison.selectivity.value,
        "selectivity_low": comparison.selectivity.low,
        "selectivity_high": comparison.selectivity.high,
        "rescaled": math.nan if comparison.rescaled is None else comparison.rescaled.value,
        "confidence": comparison.selectivity.level,
        "approximate": comparison.selectivity.approximate,
        "bound_low": comparison.bounds[0],
        "bound_high": comparison.bounds[1],
        "p_value": comparison.p_value,
        "p_floor": comparison.p_floor,
        "p_low": low,
        "p_high": high,
        "p_lower_tail": comparison.p_lower,
        "claim_p": comparison.claim_p,
        "draws": comparison.draws,
        "enumerated": comparison.enumerated,
        "inference": comparison.inference,
        "verdict": str(comparison.verdict),
        "licensed": comparison.licensed,
        "unit": result.provenance.unit,
        "n_units": result.provenance.n_units,
    }
