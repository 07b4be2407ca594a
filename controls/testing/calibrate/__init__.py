"""Calibration: the cases of the suite run, judged together and written down."""

from controls.testing.calibrate.run import run

__all__ = ["run"]
