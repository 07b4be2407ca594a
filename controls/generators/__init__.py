"""Generators: the controls that draw changed problems."""

from controls.generators.attachment import AttachmentTask
from controls.generators.bursts import RateMatchedLabels
from controls.generators.inputs import InputBaseline
from controls.generators.labels import FlipSigns, ShuffleLabels
from controls.generators.random_labels import ControlTask, ResampleLabels
from controls.generators.sequences import ShiftLabels

__all__ = [
    "AttachmentTask",
    "ControlTask",
    "FlipSigns",
    "InputBaseline",
    "RateMatchedLabels",
    "ResampleLabels",
    "ShiftLabels",
    "ShuffleLabels",
]
