"""Generators: the controls that draw changed problems."""

from controls.generators.inputs import InputBaseline
from controls.generators.labels import FlipSigns, ShuffleLabels
from controls.generators.random_labels import ControlTask, ResampleLabels
from controls.generators.sequences import ShiftLabels

__all__ = ["ControlTask", "FlipSigns", "InputBaseline", "ResampleLabels", "ShiftLabels", "ShuffleLabels"]
