"""Closed-form readoffs of random layers, of inputs in superposition and of circuits: their errors follow exact laws."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import product

import numpy as np

from controls.ground_truth import (
    RAW_FLOORS,
    CircuitsInSuperposition,
    ErrorCorrection,
    GaussianLayer,
    Sparse,
    SuperposedAnd,
    SuperposedGaussian,
    TargetedSuperposedAnd,
    combine,
    minimax,
)
from controls.testing.suite._layers import agreement
from controls.testing.suite.case import Bound, Case, Check, Effect, Effort, Exact, Shown

WIDTHS = (256, 1024, 4096)
CASES_OF_A_PAIR = {"11": (0, 1, 2), "10": (0, 2, 3), "00": (2, 3, 4)}  # what is active, of five inputs
GROUPS = [tuple(range(start, start + 5)) for start in range(0, 60, 5)]
PAIRS = [(group[0], group[1]) for group in GROUPS]


def _group_inputs(places: tuple[int, ...]) -> np.ndarray:
    """Return an input per group of five, the named places of the group active; groups share none, shape (12, 60)."""
    X = np.zeros((len(GROUPS), 60))
    for row, group in zip(X, GROUPS, strict=True):
        row[[group[place] for place in places]] = 1
    return X


def _own(read: np.ndarray) -> np.ndarray:
    """Return what the readoff of each group says of inputs of the same group, shape (cases, 12)."""
    return np.diagonal(read.reshape(-1, len(GROUPS), len(GROUPS)), axis1=1, axis2=2)


def minimax_ceiling(effort: Effort) -> list[Check]:
    """The best readoff's worst error: floors of raw bits exactly, and below them from about d = C(m, 2) on."""
    X, _ = Sparse(16, 3, at_most=True).enumerate()
    checks: list[Check] = [
        Exact(f"{ask.upper()} of raw bits", floor, minimax(X, combine(X, (0, 1), ask)).error, 1e-6)
        for ask, floor in RAW_FLOORS.items()
    ]
    nets, gap = effort.pick(2, 5), 0.0
    for d, ask in product((32, 128, 256), RAW_FLOORS):
        found = [GaussianLayer(16, d, at_most=True, seed=seed).ceiling((0, 1), ask=ask) for seed in range(nets)]
        errors = [each.error for each in found]
        gap = max(gap, *(each.error - each.bound for each in found))
        what, floor = f"d={d}: {ask.upper()}", RAW_FLOORS[ask]
        if d == 32:
            side = Bound(f"{what}, smallest of {nets} nets", "at least", floor - 1e-6, min(errors))
        else:
            side = Bound(f"{what}, largest of {nets} nets", "at most", floor * 128 / d, max(errors))
        checks += [side, Shown(f"{what}, mean of {nets} nets", float(np.mean(errors)))]
    return [*checks, Exact("largest gap to the dual proof", 0.0, gap, 1e-6)]


def gaussian_layer(effort: Effort) -> list[Check]:
    """Sign and Stein readoffs of AND and XOR: right on average, with the predicted spread at three widths."""
    inputs = {case: _group_inputs(places) for case, places in CASES_OF_A_PAIR.items()}
    kinds = list(product(("sign", "stein"), ("and", "xor")))
    checks: list[Check] = []
    for d in WIDTHS:
        worlds = (GaussianLayer(60, d, seed=seed) for seed in effort.seeds(40, 200))
        z = np.concatenate([_standardised(world, inputs, kinds) for world in worlds])
        for k, (method, ask) in enumerate(kinds):
            name = f"{method} readoff of {ask.upper()}, d={d}"
            checks.append(agreement(f"{name}: squared error over its law", 1.0, (z[:, k] ** 2).mean(axis=1)))
            if d == WIDTHS[-1]:
                checks += [
                    agreement(f"{name}: error in case {case}, in sd", 0.0, z[:, k, c]) for c, case in enumerate(inputs)
                ]
    return checks + _other_compositeness(effort)


def _standardised(world: GaussianLayer, inputs: dict[str, np.ndarray], kinds: Sequence[tuple[str, str]]) -> np.ndarray:
    """Return errors of the groups' own readoffs over their predicted standard deviations, shape (12, kinds, cases)."""
    hidden = {case: world.layer.hidden(X) for case, X in inputs.items()}
    z = np.empty((len(PAIRS), len(kinds), len(inputs)))
    for k, (method, ask) in enumerate(kinds):
        R = world.readoff(PAIRS, ask=ask, method=method)
        for c, (case, H) in enumerate(hidden.items()):
            law = world.error_law(case, ask=ask, method=method)
            errors = (H * R).sum(axis=1) - combine(inputs[case], PAIRS[0], ask)[0]
            z[:, k, c] = (errors - law.mean) / law.sd(world.d)
    return z


def _other_compositeness(effort: Effort) -> list[Check]:
    """A readoff made for three active inputs, where two or five are: zeros stay, the one becomes K(s)/K(3)."""
    checks: list[Check] = []
    worlds = [GaussianLayer(60, 1024, seed=seed) for seed in effort.seeds(40, 200)]
    for s in (2, 5):
        X = _group_inputs(tuple(range(s)))
        ones = np.concatenate([_own(world.read(X, PAIRS))[0] for world in worlds])
        law = worlds[0].error_law("11", s=s)
        checks.append(agreement(f"sign readoff made for s=3, at s={s}: the one", 1 + law.mean, ones))
    return checks


def superposed_inputs(effort: Effort) -> list[Check]:
    """Interference has variance (sN + T² − 2T)/d0, about smp/d0, and ReLU turns it into a bias, which gates reduce."""
    rng, checks = effort.stream("superposed inputs"), []
    for d0 in (64, 128, 256):
        ratios = []
        for seed in effort.seeds(15, 100):
            world = SuperposedAnd(200, d0, 60, 3, p=0.05, seed=seed)
            X = world.layer.inputs.sample(20, rng)
            noise = world.layer.embedded(X) @ world.layer.weights.T - X @ world.receptive.T
            sd = world.interference_sd(X)
            ratios.append((noise[sd > 0] ** 2).mean() / (sd[sd > 0] ** 2).mean())
        checks.append(agreement(f"d0={d0}: variance of interference over its law", 1.0, np.array(ratios)))
    for gate, case in product(("relu", "margin", "clipped"), ("11", "10", "00")):
        universal = partial(SuperposedAnd, 256, 128, 800, 2, p=0.06, gate=gate)
        checks.append(_bias(f"every pair, {gate}, case {case}: error", universal, case, effort))
    for gate in ("relu", "clipped"):
        targeted = partial(TargetedSuperposedAnd, 256, 128, 800, tuple(PAIRS), 12, 2, gate=gate)
        checks.append(_bias(f"chosen pairs, {gate}, case 10: error", targeted, "10", effort))
    return checks


def _bias(what: str, make: partial, case: str, effort: Effort) -> Effect:
    """Return readoffs' mean error over worlds beside the law's mean over the same worlds."""
    rng, which = effort.stream(what), np.repeat(np.arange(len(PAIRS)), 20)
    predicted, found = [], []
    for seed in effort.seeds(12, 100):
        world = make(seed=seed)
        X = _rows_of_case(world.m, world.s, case, np.array(PAIRS)[which], rng)
        errors = world.read(X, PAIRS)[np.arange(len(X)), which] - (case == "11")
        predicted.append(np.nanmean(world.bias(case, PAIRS)))
        found.append(np.nanmean(errors))
    return agreement(what, np.array(predicted), np.array(found))


def _rows_of_case(m: int, s: int, case: str, pairs: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a row per pair (n, 2), the pair as the case says, so many others active that s are."""
    rows, active = np.arange(len(pairs))[:, None], case.count("1")
    keys = rng.random((len(pairs), m))
    keys[rows, pairs] = 2.0
    X = np.zeros_like(keys)
    X[rows, keys.argsort(axis=1)[:, : s - active]] = 1
    X[rows, pairs[:, :active]] = 1
    return X


def superposed_gaussian(effort: Effort) -> list[Check]:
    """Gaussian neurons on inputs in superposition: AND and XOR with exact mean and spread, however many inputs."""
    checks: list[Check] = []
    for m, d in ((120, 256), (120, 1024), (120, 4096), (1200, 1024)):
        X = np.concatenate([_group_inputs(places) for places in CASES_OF_A_PAIR.values()])
        X = np.pad(X, ((0, 0), (0, m - X.shape[1])))
        for ask in ("and", "xor"):
            squares, centres, errors = [], [], []
            for seed in effort.seeds(20, 150):
                world = SuperposedGaussian(m, 96, d, 3, seed)
                mean, sd = (_own(part) for part in world.law(X, PAIRS, ask=ask))
                read = _own(world.read(X, PAIRS, ask=ask))
                squares.append((((read - mean) / sd) ** 2).mean())
                centres.append(((read - mean) / sd).mean())
                errors.append(read - combine(X, PAIRS[0], ask).reshape(3, -1)[:, :1])
            name = f"m={m}, d={d}: {ask.upper()}"
            checks.append(agreement(f"{name}, squared deviation over its law", 1.0, np.array(squares)))
            checks.append(agreement(f"{name}, deviation in sd", 0.0, np.array(centres)))
            checks.append(Shown(f"{name}, root mean squared error", float(np.sqrt(np.mean(np.square(errors))))))
    return checks


def error_correction(effort: Effort) -> list[Check]:
    """Corrected bits are exact where interference is at most ¼, which it exceeds as often as the law says."""
    checks: list[Check] = []
    for d0 in (64, 128, 256):
        inside, shares, before, after = 0.0, [], [], []
        for seed in effort.seeds(10, 60):
            world = ErrorCorrection(512, d0, 3, seed)
            X = world.layer.inputs.sample(50, effort.stream("error correction", d0, seed))
            interference, off = world.interference(X), world.corrected(X) - X
            inside = max(inside, np.abs(off[np.abs(interference) <= world.bound]).max())
            outside = ((np.abs(interference) > world.bound) & (X == 0)).sum(axis=1) / (world.m - world.s)
            law = world.share_outside(X)
            shares.append((law.mean(), outside.mean()))
            before.append(np.mean(interference**2))
            after.append(np.mean(off**2))
        checks.append(Exact(f"d0={d0}: largest error inside the bound", 0.0, float(inside), 1e-12))
        checks.append(agreement(f"d0={d0}: share of bits outside it", *np.array(shares).T))
        rms = [float(np.sqrt(np.mean(squares))) for squares in (before, after)]
        checks.append(Bound(f"d0={d0}: rms error after", "at most", *rms))
    return checks


def circuits(effort: Effort) -> list[Check]:
    """Circuits that share layers: exact law of interference after one layer, measured errors after more."""
    checks: list[Check] = []
    for d in (150, 600, 2400):
        found = [_first_layer(d, seed) for seed in effort.seeds(20, 250)]
        centre, errors, variance, squares = np.array(found).T
        for what, law, values in (("error", centre, errors), ("squared deviation", variance, squares)):
            checks.append(agreement(f"d={d}, one layer: {what}", law, values))
    world = CircuitsInSuperposition(100, 1, 1200)
    bits = world.inputs(200, effort.stream("circuits"), circuit=0)
    checks.append(Exact("active alone: largest error", 0.0, float(np.abs(world.errors(bits)[:, 0]).max()), 1e-9))
    for layers in (1, 2, 3, 4):
        share = [_relative_error(layers, seed, effort) for seed in range(effort.pick(1, 5))]
        checks.append(Shown(f"100 circuits, d=1200, {layers} layers: error relative to outputs", float(np.mean(share))))
    return checks


def _first_layer(d: int, seed: int) -> tuple[float, ...]:
    """Return expected and found error, expected and found squared deviation, over twenty sets of three circuits."""
    world = CircuitsInSuperposition(60, 3, d, copies=12, seed=seed)
    bits = np.repeat(np.eye(20), 3, axis=1)[:, :, None] * np.ones(3)
    mean, sd = np.swapaxes([world.first_layer_law(row, 3 * k) for k, row in enumerate(bits)], 0, 1)
    errors = world.errors(bits)[np.arange(20), 3 * np.arange(20)]
    return mean.mean(), errors.mean(), np.mean(sd**2), np.mean((errors - mean) ** 2)


def _relative_error(layers: int, seed: int, effort: Effort) -> float:
    """Return the root mean squared error of active circuits over that of their outputs."""
    world = CircuitsInSuperposition(100, 2, 1200, layers=layers, seed=seed)
    bits = world.inputs(100, effort.stream("circuits", layers, seed))
    on = bits.any(axis=2)
    return float(np.sqrt(np.square(world.errors(bits)[on]).mean() / np.square(world.outputs(bits)[on]).mean()))


CASES = (
    Case(
        "minimax ceiling",
        "How small can the worst error of an affine readoff of AND and XOR be? (16 bits, at most 3 on)",
        "raw bits: ¼ and ½ exactly; Gaussian layers: not below that at d=32, below it from d=128 on",
        minimax_ceiling,
    ),
    Case(
        "Gaussian layer",
        "Sign and Stein readoffs of AND and XOR from ReLU(Wx), W standard normal, 3 inputs on",
        "right on average, with the standard deviations of the law at three widths",
        gaussian_layer,
    ),
    Case(
        "inputs in superposition",
        "Neurons that count inputs held in superposition: interference, and the bias that gates make of it",
        "variance (sN + T² − 2T)/d0; biases by the law of each gate",
        superposed_inputs,
    ),
    Case(
        "Gaussian on superposition",
        "Stein readoffs of AND and XOR from Gaussian neurons on inputs in superposition",
        "mean and standard deviation over weights are exact, whatever the number of inputs",
        superposed_gaussian,
    ),
    Case(
        "error correction",
        "A layer of clipped neurons that cleans bits held in superposition",
        "exact where interference is at most ¼; how often it is more follows from the sphere",
        error_correction,
    ),
    Case(
        "circuits in superposition",
        "Small networks that share the neurons of layers: what do their readoffs err by?",
        "one layer: exact mean and standard deviation; no theorem is used for more, which are measured",
        circuits,
    ),
)
