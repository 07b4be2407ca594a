"""Generators: the controls that draw changed problems."""

from controls.generators.labels import ControlTask, FlipSigns, ResampleLabels, ShuffleLabels

__all__ = ["ControlTask", "FlipSigns", "ResampleLabels", "ShuffleLabels"]
