"""Layers whose answers are whole, and random labels of types: held against all inputs."""

from itertools import combinations

import numpy as np
import pytest

from controls.core.errors import InputError
from controls.core.rng import stream
from controls.ground_truth import (
    OddParity,
    QuadraticLayer,
    RandomTypes,
    TargetedAnd,
    combine,
    partial_r2,
)


def _share(world, concepts):
    law = world.layer.inputs
    X, probabilities = law.enumerate()
    return partial_r2(world.layer.hidden(X), combine(X, concepts, "product", rates=law.rates()), probabilities, X)[0]


def test_targeted_neurons_are_the_ands():
    world = TargetedAnd(7, ((0, 1), (1, 2), (3, 4, 6)), copies=2, q=0.3)
    X, _ = world.layer.inputs.enumerate()
    expected = np.stack([combine(X, target, "and") for target in world.targets], axis=1)
    np.testing.assert_allclose(world.layer.hidden(X) @ world.readoff.T, expected)
    assert world.sample(9, stream(0, "x")).groups.keys() == {"x0", "x1"}


def test_omitted_pairs_are_null_and_the_others_are_not():
    world = TargetedAnd(7, ((0, 1), (1, 2), (3, 4, 6)), q=0.3)
    seen = {(0, 1), (1, 2), (3, 4), (3, 6), (4, 6)}
    assert set(world.omitted) == set(combinations(range(7), 2)) - seen
    assert max(_share(world, pair) for pair in world.omitted) < 1e-20
    assert min(_share(world, pair) for pair in seen) > 0.05


@pytest.mark.parametrize(("d", "q"), [(9, 0.5), (18, 0.2), (60, 0.5)])
def test_the_quadratic_layer_spends_its_budget(d, q):
    world = QuadraticLayer(7, d, q)
    shares = [_share(world, pair) for pair in combinations(range(7), 2)]
    assert np.mean(shares) == pytest.approx(world.budget) == pytest.approx(min(d, 21) / 21)
    assert max(_share(world, triple) for triple in combinations(range(7), 3)) < 1e-18


def test_odd_parities_cannot_be_read_and_even_ones_can_in_part():
    narrow, wide = (OddParity(9, d) for d in (40, 160))
    for world in (narrow, wide):
        assert _share(world, (0, 1, 2)) < 1e-18
        assert _share(world, (2, 3, 5, 7, 8)) < 1e-18
    assert 0.005 < _share(narrow, (0, 1, 2, 3)) < _share(wide, (0, 1, 2, 3)) < 1
    assert _share(wide, (0, 1, 2, 3)) == pytest.approx(wide.truth.partial_r2((0, 1, 2, 3)))


@pytest.mark.parametrize("d", [16, 100, 300])
def test_random_labels_of_types_are_readable_as_far_as_the_rank_goes(d):
    world = RandomTypes(d=d)
    labels = stream(1, "labels", d).integers(2, size=(world.n_types, 400))
    shares = world.r2(labels)
    spread = shares.std() / 20
    assert shares.mean() == pytest.approx(world.control_r2, abs=4 * spread + 1e-9)


def test_selectivity_over_types_goes_to_nothing():
    values = [RandomTypes(d=d).selectivity((0, 1)) for d in (16, 64, 128, 300)]
    assert values[0] > 0.4
    assert values[1] > values[2] > 0.3
    assert abs(values[3]) < 1e-9


def test_types_are_the_distinct_inputs():
    problem = RandomTypes(m=3, d=5).sample(80, stream(2, "types"), ask="xor")
    X, types = problem.array_at("input"), problem.groups["type"]
    assert len(set(types)) == 8
    assert all(len(np.unique(X[types == kind], axis=0)) == 1 for kind in range(8))
    assert problem.constant_within("type")


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: TargetedAnd(4, ()), "targets must hold sets of at least two"),
        (lambda: TargetedAnd(4, ((0,),)), "targets must hold sets of at least two"),
        (lambda: TargetedAnd(4, ((0, 4),)), "targets must be different positions from 0 to 3"),
        (lambda: QuadraticLayer(1, 4), "m must be at least 2"),
        (lambda: OddParity(2, 4), "m must be at least 3"),
        (lambda: RandomTypes(m=17), "m must be at most 16"),
        (lambda: RandomTypes(d=0), "d must be at least 1"),
    ],
)
def test_bad_arguments_are_one_sentence(build, words):
    with pytest.raises(InputError, match=words):
        build()
