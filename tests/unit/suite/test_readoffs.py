"""Cases on readoffs: they pass, and miss where a law is off."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from controls.testing.suite import readoffs
from controls.testing.suite.case import Effort, checked

LEVEL = 1e-5
SHORT = Effort(short=True)


def missed(run):
    return [check.what for check in checked(run, SHORT) if not check.passed(LEVEL)]


def test_every_check_of_the_short_form_passes():
    assert not missed(readoffs.error_correction)


@pytest.mark.parametrize("factor", [1.0, 1.25])
def test_a_spread_that_is_off_by_a_quarter_is_missed(factor, monkeypatch):
    honest = readoffs.GaussianLayer.error_law

    def scaled(world, case, **settings):
        law = honest(world, case, **settings)
        return replace(law, neuron_variance=law.neuron_variance / factor**2)

    monkeypatch.setattr(readoffs, "WIDTHS", (128,))
    monkeypatch.setattr(readoffs.GaussianLayer, "error_law", scaled)
    assert len([what for what in missed(readoffs.gaussian_layer) if "squared" in what]) == (0 if factor == 1 else 4)


def test_a_bias_that_is_not_there_is_missed(monkeypatch):
    world = partial(readoffs.SuperposedAnd, 100, 64, 300, 2, p=0.1)
    assert readoffs._bias("error", world, "10", SHORT).passed(LEVEL)
    monkeypatch.setattr(readoffs.SuperposedAnd, "bias", lambda world, case, pairs: np.zeros(len(pairs)))
    assert not readoffs._bias("error", world, "10", SHORT).passed(LEVEL)


def test_a_readoff_that_is_not_the_best_is_missed(monkeypatch):
    honest = readoffs.minimax
    monkeypatch.setattr(readoffs, "minimax", lambda H, y: replace(honest(H, y), error=honest(H, y).error + 1e-3))
    assert missed(readoffs.minimax_ceiling) == ["AND of raw bits", "XOR of raw bits"]
