"""The file format of records: pydantic models, one per record. A change of a field here is a new version."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer

from controls.core.errors import InputError, InputTypeError
from controls.core.model_comparison import ModelComparison
from controls.core.result import (
    ClaimVerdict,
    Comparison,
    Component,
    DifferenceInDifferences,
    Estimate,
    Provenance,
    Result,
    Sweep,
    Verdict,
)

RESULT = "controls.result/1"
SWEEP = "controls.sweep/1"
DIFFERENCE = "controls.difference_in_differences/1"
MODELS = "controls.model_comparison/1"

AnyRecord = Result | Sweep | DifferenceInDifferences | ModelComparison

Number = Annotated[
    float,
    BeforeValidator(lambda value: math.nan if value is None else value),
    PlainSerializer(lambda value: value if math.isfinite(value) else None),
]
"""JSON has neither NaN nor infinity: both are written as null, and null is read as NaN."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid")

    def _values(self) -> dict[str, Any]:
        return {name: _record(getattr(self, name)) for name in type(self).model_fields}


class EstimateModel(_Model):
    """An Estimate in a file."""

    value: Number
    low: Number
    high: Number
    level: Number
    standard_error: Number
    df: Number
    target: str
    approximate: bool

    def record(self) -> Estimate:
        """Return the record."""
        return Estimate(**self._values())


class ComparisonModel(_Model):
    """A Comparison in a file."""

    control: str
    description: str
    level: str
    score: Number
    control_scores: list[Number]
    control_mean: Number
    selectivity: EstimateModel
    bounds: tuple[Number, Number]
    p_value: Number
    p_lower: Number
    p_floor: Number
    p_interval: tuple[Number, Number] | None
    claim_p: Number
    draws: int
    enumerated: bool
    log_relabelings: float | None
    inference: Literal["exact", "ensemble", "paired"]
    caveats: tuple[str, ...]
    verdict: Verdict
    reason: str
    preserves: tuple[str, ...]
    destroys: tuple[str, ...]
    null: str
    licenses: str
    licensed: bool
    integrity: dict[str, Number]
    failures: tuple[tuple[int, str], ...] = ()
    proofs: tuple[dict[str, Number], ...] = ()
    rescaled: EstimateModel | None = None

    def record(self) -> Comparison:
        """Return the record."""
        values = self._values()
        return Comparison(**{**values, "control_scores": np.array(self.control_scores, dtype=np.float64)})


class ProvenanceModel(_Model):
    """A Provenance in a file."""

    study_key: str | None
    data_key: str
    seed: int
    versions: dict[str, str]
    n: int
    d: int
    unit: str
    n_units: int
    folds: str
    trainer: str
    plan: str
    threads: int
    started: str
    seconds: Number
    store: str | None = None

    def record(self) -> Provenance:
        """Return the record."""
        return Provenance(**self._values())


class ResultModel(_Model):
    """A Result in a file."""

    title: str
    metric: str
    score: Number
    score_estimate: EstimateModel
    fold_scores: tuple[Number, ...]
    comparisons: tuple[ComparisonModel, ...]
    verdict: ClaimVerdict
    reason: str
    alpha: float
    smallest_effect: float
    target: str
    notes: tuple[str, ...]
    provenance: ProvenanceModel
    ceiling: float | None = None

    def record(self) -> Result:
        """Return the record."""
        return Result(**self._values())


class SweepModel(_Model):
    """A Sweep in a file."""

    title: str
    results: dict[str, ResultModel]
    adjusted_p: dict[str, dict[str, Number]]
    alpha: float

    def record(self) -> Sweep:
        """Return the record."""
        return Sweep(**self._values())


class ComponentModel(_Model):
    """A Component in a file."""

    factor: str
    levels: int
    variance: Number
    df: Number
    below_zero: bool = False

    def record(self) -> Component:
        """Return the record."""
        return Component(**self._values())


class DifferenceModel(_Model):
    """A DifferenceInDifferences in a file."""

    title: str
    metric: str
    estimate: EstimateModel
    bounds: tuple[Number, Number]
    trained: list[Number]
    redrawn: list[Number]
    trained_scores: tuple[Number, Number]
    redrawn_scores: tuple[Number, Number]
    p_value: Number
    p_lower: Number
    p_floor: Number
    inference: Literal["exact", "ensemble"]
    verdict: Verdict
    reason: str
    components: tuple[ComponentModel, ...]
    labels: str
    against: str
    null: str
    licenses: str
    notes: tuple[str, ...]
    proofs: tuple[dict[str, Number], ...]
    alpha: float
    smallest_effect: float
    draws: int
    n: int
    n_units: int
    unit: str
    seed: int
    seconds: Number

    def record(self) -> DifferenceInDifferences:
        """Return the record."""
        trained, redrawn = np.array(self.trained, dtype=np.float64), np.array(self.redrawn, dtype=np.float64)
        return DifferenceInDifferences(**{**self._values(), "trained": trained, "redrawn": redrawn})


class ModelComparisonModel(_Model):
    """A ModelComparison in a file."""

    of: str
    names: tuple[str, str]
    values: dict[str, list[Number]]
    estimate: EstimateModel
    bounds: tuple[Number, Number]
    p_value: Number
    p_lower: Number
    p_floor: Number
    p_interval: tuple[Number, Number] | None
    relabelings: int
    verdict: Verdict
    reason: str
    alpha: float
    smallest_effect: float

    def record(self) -> ModelComparison:
        """Return the record."""
        if set(self.values) != set(self.names):
            raise InputError(f"values must be of the models named {self.names}, got those of {tuple(self.values)}.")
        values = {name: np.array(self.values[name], dtype=np.float64) for name in self.names}
        return ModelComparison(**{**self._values(), "values": values})


KINDS: dict[str, tuple[type[AnyRecord], type[_Model]]] = {
    RESULT: (Result, ResultModel),
    SWEEP: (Sweep, SweepModel),
    DIFFERENCE: (DifferenceInDifferences, DifferenceModel),
    MODELS: (ModelComparison, ModelComparisonModel),
}
"""What each schema holds, and the model of it in a file."""


def to_model(record: AnyRecord) -> tuple[str, BaseModel]:
    """Return the schema and the model of a record."""
    for schema, (kind, model) in KINDS.items():
        if isinstance(record, kind):
            return schema, model.model_validate(_plain(record))
    raise InputTypeError(
        f"record must be a Result, Sweep, DifferenceInDifferences or ModelComparison, got {type(record).__name__}."
    )


def _plain(value: Any) -> Any:
    """Return nested records, mappings and arrays as built-in types."""
    if is_dataclass(value):
        return {item.name: _plain(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    return [_plain(part) for part in value] if isinstance(value, (list, tuple)) else value


def _record(value: Any) -> Any:
    """Return models as records, also inside tuples and mappings."""
    if isinstance(value, _Model):
        return value.record()  # type: ignore[attr-defined]
    if isinstance(value, tuple):
        return tuple(_record(part) for part in value)
    return {name: _record(part) for name, part in value.items()} if isinstance(value, dict) else value
