"""Study: the frozen plan of what is measured and how."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from controls.core.control import Control
from controls.core.errors import InputError, InputTypeError
from controls.core.key import NoContent, content_key
from controls.core.validate import one_of, plain_text, real_number, whole_number


@dataclass(frozen=True, eq=False)
class Study:
    """What is measured and how; running it on a problem gives a Result.

    Parameters
    ----------
    trainer : Trainer, scikit-learn estimator, or callable ``fit(X, y) -> predictor``
        What makes the finding.
    controls : sequence of Control
        The battery, fixed beforehand.
    scoring : str, Metric or callable ``scoring(finding, problem) -> float``, optional
        A scikit-learn scorer name, or a function; accuracy or R² where None.
    cv : int, scikit-learn splitter, or iterable of (train, test), optional
        Folds. An integer (or None: five, or as many as half the units) makes folds of whole units
        that depend on units and seed alone.
    draws : int
        Draws per control. Where a control has at most ``draws + 1`` distinct relabelings, all are
        enumerated instead.
    alpha : float
        Level of the tests; bounds are those of the 1 − 2·alpha interval.
    smallest_effect : float
        The smallest selectivity that matters; 0 where none is stated.
    target : {"fitted", "expected"}
        What intervals speak of: these fitted models on new units, or the procedure at this sample
        size on new data (dearer: the whole study is refitted without groups of units).
    seed : int
        Seed of every random stream.
    block : int, optional
        Label columns that one engine call fits together (draws of all columns, where labels have
        several); chosen by the numbers of rows and classes where None. Part of the plan, since sums
        in another order differ in the last bits.
    key : str, optional
        Stands for whatever has no content of its own (a lambda, a closure).
    """

    trainer: Any
    controls: tuple[Control, ...]
    scoring: Any = None
    cv: Any = None
    draws: int = 199
    alpha: float = 0.05
    smallest_effect: float = 0.0
    target: str = "fitted"
    seed: int = 0
    block: int | None = None
    key: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "controls", _as_controls(self.controls))
        if isinstance(self.cv, Iterator):  # folds are read again for every site
            object.__setattr__(self, "cv", tuple(self.cv))
        whole_number(self.draws, "draws", low=1)
        if self.block is not None:
            whole_number(self.block, "block", low=1)
        whole_number(self.seed, "seed", low=0)
        real_number(self.alpha, "alpha", low=0.0, high=0.5)
        real_number(self.smallest_effect, "smallest_effect", low=0.0, high=float("inf"), open_ends=False)
        if math.isinf(self.smallest_effect):
            raise InputError("smallest_effect must be finite, got inf; no score could be that much above a control.")
        one_of(self.target, "target", ("fitted", "expected"))
        if self.key is not None:
            plain_text(self.key, "key")

    @property
    def content_key(self) -> str | None:
        """A hash of the study's content; None where a part has none and no ``key`` was given."""
        parts = {item.name: getattr(self, item.name) for item in fields(self)}
        if self.key is not None:
            parts = {name: part for name, part in parts.items() if name not in ("trainer", "scoring", "cv")}
        try:
            return content_key(parts)
        except NoContent:
            return None


def _as_controls(controls: Any) -> tuple[Control, ...]:
    if isinstance(controls, (Control, type)):
        controls = (controls,)
    if not isinstance(controls, Iterable):
        raise InputTypeError(f"controls must be a sequence of controls, got {controls!r}; try [ct.ShuffleLabels()].")
    battery = tuple(controls)
    if not battery:
        raise InputError("controls must hold at least one control, got none; try controls=[ct.ShuffleLabels()].")
    for control in battery:
        if isinstance(control, type) and issubclass(control, Control):
            raise InputTypeError(
                f"controls must hold controls, got the class {control.__name__}; write {control.__name__}()."
            )
        if not isinstance(control, Control):
            raise InputTypeError(f"controls must hold controls, got {type(control).__name__}; see `controls list`.")
        if not is_dataclass(control) or not control.__dataclass_params__.frozen:  # type: ignore[attr-defined]
            raise InputTypeError(
                f"controls must be frozen dataclasses, got {type(control).__name__}; "
                "put @dataclass(frozen=True) before its class."
            )
    if len(set(battery)) < len(battery):
        raise InputError("controls must differ from one another, got the same one twice.")
    return battery
