"""The cases of dictionaries and of power: what they measure, and that they fail where something is wrong."""

import pickle
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from controls.core.rng import stream
from controls.generators.labels import ShuffleLabels
from controls.ground_truth import PlantedDictionary, SparseFeatures, random_directions
from controls.testing.suite import dictionaries, power
from controls.testing.suite._sae import mean_max_cosine, train_sae
from controls.testing.suite.case import Effort, checked

LEVEL = 0.0005
CURVES = {curve.name: curve for curve in power.CURVES}


def failed(checks):
    return [check.what for check in checks if not check.passed(LEVEL)]


def test_mean_max_cosine_is_signed_and_does_not_ask_for_lengths():
    F = random_directions(5, 3, stream(0))
    assert mean_max_cosine(F, 7 * F[::-1]) == pytest.approx(1)
    assert mean_max_cosine(np.eye(3)[:1], -np.eye(3)) == pytest.approx(0)
    by_hand = np.mean([max(f @ g for g in np.eye(3)) for f in F])
    assert mean_max_cosine(F, np.eye(3)) == pytest.approx(by_hand)


def test_the_sae_finds_orthogonal_directions_and_leaves_global_randomness_alone():
    world = PlantedDictionary(np.eye(8), SparseFeatures(8, rate=0.1))
    X = world.sample(4000, stream(1)).X
    before = torch.get_rng_state()
    found = train_sae(X, stream(2), latents=12, k=2, steps=250, batch=128, lr=1e-2)
    again, same = (train_sae(X, stream(2), steps=5) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    assert np.array_equal(again.decoder, same.decoder)
    assert np.allclose(np.linalg.norm(found.decoder, axis=1), 1, atol=1e-5)
    assert mean_max_cosine(np.eye(8), found.decoder) > 0.95
    assert found.explained > 0.85


@pytest.mark.parametrize("run", [dictionaries.superposed, dictionaries.probe_or_steer], ids=lambda run: run.__name__)
def test_short_cases_pass(run):
    assert failed(checked(run, Effort(short=True))) == []


def test_a_mean_that_is_off_by_a_little_is_seen():
    values = stream(3).normal(0.5, 0.01, 100)
    assert dictionaries.effect("", 0.5, values).passed(LEVEL)
    assert not dictionaries.effect("", 0.505, values).passed(LEVEL)


def test_a_power_curve_passes():
    curve = replace(CURVES["power: two features"], deltas=(0.0, 0.6, 1.2))
    checks = checked(partial(power.points, curve), Effort(short=True))
    assert failed(checks) == []
    assert {check.curve for check in checks if hasattr(check, "curve")} == {"p", "SELECTIVE"}


def test_a_control_that_ignores_the_drift_fails_at_no_effect():
    within = ShuffleLabels(within="document")
    curve = replace(CURVES["power: drift"], n=400, control=within, naive=None, deltas=(0.0,))
    assert failed(power.points(curve, Effort(short=True))) == ["delta 0: false alarms"]


def test_an_effect_that_is_larger_than_stated_is_seen(monkeypatch):
    stronger = replace(CURVES["power: two features"], deltas=(0.6,))
    monkeypatch.setattr(power.Curve, "sample", lambda self, delta, rng: replace(self.world, delta=2.0).sample(40, rng))
    found = failed(power.points(stronger, Effort(short=True)))
    assert "delta 0.6: mean AUC" in found
    assert "delta 0.6: not above the most power" in found


def test_cases_can_be_sent_to_workers_and_checks_have_names_of_their_own():
    for case in (*dictionaries.CASES, *power.CASES):
        assert pickle.loads(pickle.dumps(case)).name == case.name
    checks = dictionaries.probe_or_steer(Effort(short=True))
    assert len({check.what for check in checks}) == len(checks)
