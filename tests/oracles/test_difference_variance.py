"""The variance of a difference in differences, on tables of crossed random effects whose components are known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from scipy.stats import binomtest

from controls.core.rng import stream
from controls.stats.differences import Design, Scores, difference

UNITS = 40


@dataclass(frozen=True)
class World:
    """Standard deviations of what units, models and label draws do to a selectivity, and their interactions."""

    trained: int
    redrawn: int
    draws: int
    effect: float = 0.0
    of_units: float = 0.3  # shared by all models: drops out of the contrast
    of_trained_units: float = 0.4  # of the trained models' kind alone
    of_models: float = 0.05
    units_by_models: float = 0.5
    of_draws: float = 0.05  # of the redrawn kind alone
    draws_by_models: float = 0.04

    def tables(self, seed: int) -> tuple[Scores, Scores, float]:
        """Return what both kinds scored, and the contrast that the interval speaks of."""
        rng = stream(seed, "tables", repr(self))
        unit, draw = rng.normal(size=UNITS), rng.normal(size=self.draws)
        kinds, means = [], []
        for count, extra, of_draws in ((self.trained, 1.0, 0.0), (self.redrawn, 0.0, self.of_draws)):
            of_model = rng.normal(0, self.of_models, count)
            of_kind = self.of_units * unit + extra * self.of_trained_units * rng.normal(size=UNITS)
            by_unit = of_model[:, None] + of_kind + rng.normal(0, self.units_by_models, (count, UNITS))
            own = extra * self.effect + by_unit.mean(axis=1)
            deviations = (by_unit - by_unit.mean(axis=1, keepdims=True)) / np.sqrt(UNITS * (UNITS - 1))
            drawn = of_draws * draw + rng.normal(0, self.draws_by_models, (count, self.draws))
            kinds.append(Scores(own, drawn, deviations, 0 * deviations, np.zeros(count)))
            means.append(of_model)
        return *kinds, self.effect + (means[0][0] if self.trained == 1 else 0.0)

    def design(self) -> Design:
        return Design(UNITS - 1.0, UNITS, exact=False, enumerated=False)


WORLDS = {
    "one against many": World(1, 19, 19),
    "one against many, an effect": World(1, 19, 19, effect=0.4),
    "one against few": World(1, 5, 9, of_models=0.1),
    "several against several": World(4, 8, 19, effect=0.4),
    "few against few, models alike": World(3, 5, 9, of_models=0.0, of_trained_units=0.0),
}


@pytest.mark.parametrize("name", WORLDS)
def test_intervals_cover(name):
    world, repetitions, covered = WORLDS[name], 400, 0
    for seed in range(repetitions):
        own, other, truth = world.tables(seed)
        found = difference(own, other, world.design())[0]
        covered += found.low <= truth <= found.high
    assert binomtest(covered, repetitions, 0.95, alternative="less").pvalue > 0.001
    assert covered <= 0.99 * repetitions  # nothing counts twice


def test_components_are_unbiased():
    world, repetitions = World(6, 8, 10, of_models=0.3), 600
    found = []
    for seed in range(repetitions):
        own, other, _ = world.tables(seed)
        parts = difference(own, other, world.design())[1]
        found.append({part.factor: part.variance for part in parts})
    expected = {
        "units": 0.4**2 / UNITS,
        "redrawn models": 0.3**2 / 8,
        "trained models": 0.3**2 / 6,
        "label draws": 0.05**2 / 10,
        "units × redrawn models": 0.5**2 / (UNITS * 8),
        "units × trained models": 0.5**2 / (UNITS * 6),
        "label draws × redrawn models": 0.04**2 / (10 * 8),
        "label draws × trained models": 0.04**2 / (10 * 6),
    }
    for factor, variance in expected.items():
        values = np.array([parts[factor] for parts in found])
        assert abs(values.mean() - variance) < 4 * values.std(ddof=1) / repetitions**0.5 + 0.02 * variance, factor


def test_a_component_below_zero_is_said_and_counts_as_none():
    own, other, _ = World(2, 4, 5).tables(0)
    flat = Scores(np.full(4, 0.5), np.zeros((4, 5)), other.deviations, other.control_deviations, np.zeros(4))
    parts = {part.factor: part for part in difference(own, flat, World(2, 4, 5).design())[1]}
    assert parts["redrawn models"].below_zero
    assert parts["redrawn models"].variance == 0.0
    assert not parts["units"].below_zero


def test_one_redrawn_model_has_no_spread_and_enumerated_draws_none():
    world = World(1, 6, 8)
    own, other, _ = world.tables(1)
    parts = difference(own, other, Design(UNITS - 1.0, UNITS, exact=False, enumerated=True))[1]
    assert {part.factor: part.variance for part in parts}["label draws"] == 0.0
    assert not any("label draws ×" in part.factor for part in parts)
