"""Error correction against its bound and its exact chance; circuits in superposition against their exact law."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chi2

from controls.core.errors import InputError
from controls.core.rng import stream
from controls.ground_truth import CircuitsInSuperposition, ErrorCorrection, Sparse


@pytest.mark.parametrize(("m", "d0", "s"), [(100, 40, 2), (300, 200, 4)])
def test_corrected_bits_are_exact_inside_the_bound_and_wrong_by_twice_the_excess_outside(m, d0, s):
    world = ErrorCorrection(m, d0, s)
    X = world.layer.inputs.sample(200, stream(0, "correct", m))
    off = world.corrected(X) - X
    excess = np.maximum(np.abs(world.interference(X)) - 0.25, 0)
    outward = np.sign(world.interference(X)) == np.where(X > 0, -1, 1)  # the other way is cut off anyway
    np.testing.assert_allclose(np.abs(off), np.where(outward, np.minimum(2 * excess, 1), 0), atol=1e-12)
    assert (excess > 0).any()


@pytest.mark.parametrize("d0", [24, 48, 96])
def test_the_chance_of_leaving_the_bound_is_exact_at_three_sizes(d0):
    off, worlds = [], 150
    rng = stream(0, "outside", d0)
    for seed in range(worlds):
        world = ErrorCorrection(40, d0, 3, seed)
        X = Sparse(40, 3).sample(20, rng)
        outside = (np.abs(world.interference(X)) > 0.25) & (X == 0)
        off.append((outside.sum(axis=1) / 37 - world.share_outside(X)).mean())
    error = np.std(off) / worlds**0.5
    assert abs(np.mean(off)) < 3.5 * error
    assert error < 0.02 * world.share_outside(X).mean() + 1e-3


def one_row(world, active):
    """Bits of one row: all ones in the circuits that are active."""
    bits = np.zeros((1, world.n_circuits, world.width))
    bits[0, list(active)] = 1
    return bits


@pytest.mark.parametrize("d", [40, 160, 640])
def test_interference_after_one_layer_has_its_exact_law_at_three_widths(d):
    worlds, circuits = 3000, CircuitsInSuperposition(5, 3, 10**4, seed=3).small_weights
    errors = np.empty((worlds, 3))
    for seed in range(worlds):
        world = CircuitsInSuperposition(5, 3, d, copies=10, seed=seed)
        world.__dict__["small_weights"] = circuits
        errors[seed] = world.errors(one_row(world, (0, 2, 4)))[0, 0]
    mean, sd = world.first_layer_law(one_row(world, (0, 2, 4))[0], 0)
    assert (sd > 0).all()
    z = (errors - mean) / sd
    spread = np.std(z**2, axis=0) / worlds**0.5
    assert np.abs(z.mean(axis=0)).max() < 3.9 / worlds**0.5
    assert (np.abs((z**2).mean(axis=0) - 1) / spread).max() < 3.9
    assert spread.max() < 0.25


def test_a_circuit_that_is_active_alone_is_read_without_error():
    world = CircuitsInSuperposition(30, 1, 60, copies=6)
    bits = world.inputs(50, stream(0, "alone"), circuit=7)
    assert np.abs(world.errors(bits)[:, 7]).max() < 1e-12
    assert world.first_layer_law(bits[0], 7) == (pytest.approx(np.zeros(3)), pytest.approx(np.zeros(3)))


def test_circuits_are_kept_where_nothing_is_shared_at_any_depth():
    world = CircuitsInSuperposition(4, 4, 24, copies=2, width=3, layers=4)
    apart = np.arange(24).reshape(4, 3, 2)
    world.__dict__["places"] = np.stack([apart] * 4)
    bits = world.inputs(60, stream(0, "apart"))
    np.testing.assert_allclose(world.read(bits), world.outputs(bits), atol=1e-10)
    assert world.outputs(bits).max() > 0.1


def test_inputs_have_so_many_active_circuits_and_a_named_one_always():
    world = CircuitsInSuperposition(6, 2, 40, copies=2, width=4)
    bits = world.inputs(3000, stream(0, "bits"), circuit=5)
    assert (bits.any(axis=2).sum(axis=1) <= 2).all()
    counts = bits.any(axis=2).sum(axis=0)
    assert counts[5] == pytest.approx(3000 * 15 / 16, abs=4 * (3000 / 16) ** 0.5)  # all four bits of it may be 0
    expected = 3000 / 5 * 15 / 16
    assert chi2.sf(((counts[:5] - expected) ** 2 / expected).sum(), 5) > 1e-4


def test_problem_of_a_circuit_can_be_read_and_its_module_computes_the_same():
    world = CircuitsInSuperposition(12, 2, 90, copies=6, layers=3)
    problem = world.sample(40, stream(0, "problem"), circuit=3, output=1)
    source = problem.source
    np.testing.assert_allclose(source.extract(source.model, source.inputs), problem.X, atol=1e-12)
    bits = problem.array_at("input").reshape(40, 12, 3)
    np.testing.assert_array_equal(problem.labels, world.outputs(bits)[:, 3, 1])
    np.testing.assert_allclose(problem.X @ world.readoff(3).T, world.read(bits)[:, 3], atol=1e-12)


def test_errors_grow_with_depth():
    rmse = []
    for layers in (1, 2, 3):
        world = CircuitsInSuperposition(100, 2, 600, layers=layers)
        bits = world.inputs(200, stream(0, "depth"))
        rmse.append(np.sqrt((world.errors(bits) ** 2).mean() / (world.outputs(bits) ** 2).mean()))
    assert rmse[0] < rmse[1] < rmse[2]


def test_what_cannot_be_is_refused_in_one_sentence():
    with pytest.raises(InputError, match="copies times width must be at most d = 20, got 8 times 3"):
        CircuitsInSuperposition(4, 2, 20)
    with pytest.raises(InputError, match="active must be at most n_circuits = 4, got 5"):
        CircuitsInSuperposition(4, 5, 200)
    with pytest.raises(InputError, match="fewer active circuits"):
        CircuitsInSuperposition(9, 9, 200).first_layer_law(np.ones((9, 3)), 0)
