"""Calibration: false alarms and coverage counted in worlds with known answers, and the page that shows them."""

from controls.testing.calibrate.run import run

__all__ = ["run"]
