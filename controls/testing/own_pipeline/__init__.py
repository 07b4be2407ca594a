"""Calibration of a user's own pipeline on their own problem: false alarms without signal, power with one."""

from controls.testing.own_pipeline.record import Calibration, CalibrationRow, Level, Rate
from controls.testing.own_pipeline.run import calibrate

__all__ = ["Calibration", "CalibrationRow", "Level", "Rate", "calibrate"]
