"""The public test kit: does a control, or a trainer, do what it says?

>>> import controls as ct
>>> ct.testing.check_control(ct.ShuffleLabels())
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from controls.core.errors import ControlsCheckError as ControlsCheckError
    from controls.testing.broken import BROKEN_CONTROLS as BROKEN_CONTROLS
    from controls.testing.broken import BROKEN_TRAINERS as BROKEN_TRAINERS
    from controls.testing.control_checks import check_control as check_control
    from controls.testing.control_checks import yield_control_checks as yield_control_checks
    from controls.testing.parametrize import parametrize_with_control_checks as parametrize_with_control_checks
    from controls.testing.parametrize import parametrize_with_trainer_checks as parametrize_with_trainer_checks
    from controls.testing.trainer_checks import check_trainer as check_trainer
    from controls.testing.trainer_checks import yield_trainer_checks as yield_trainer_checks

_HOME = {
    "BROKEN_CONTROLS": "testing.broken",
    "BROKEN_TRAINERS": "testing.broken",
    "ControlsCheckError": "core.errors",
    "check_control": "testing.control_checks",
    "check_trainer": "testing.trainer_checks",
    "parametrize_with_control_checks": "testing.parametrize",
    "parametrize_with_trainer_checks": "testing.parametrize",
    "yield_control_checks": "testing.control_checks",
    "yield_trainer_checks": "testing.trainer_checks",
}

__all__ = [
    "BROKEN_CONTROLS",
    "BROKEN_TRAINERS",
    "ControlsCheckError",
    "check_control",
    "check_trainer",
    "parametrize_with_control_checks",
    "parametrize_with_trainer_checks",
    "yield_control_checks",
    "yield_trainer_checks",
]


def __getattr__(name: str) -> Any:
    """Import a name when it is first used."""
    if name not in _HOME:
        raise AttributeError(f"module 'controls.testing' has no attribute {name!r}")
    value = getattr(import_module(f"controls.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
