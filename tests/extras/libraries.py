"""Libraries that are installed by ``make test-extras`` alone."""

import importlib
import importlib.util
import warnings

import pytest


def needs(name):
    """Return a library; skip where it is missing, and fail where it is there and does not load."""
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed; make test-extras installs it")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module(name)
