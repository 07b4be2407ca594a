"""Layers on Boolean inputs: which interactions can be read is known exactly, by enumeration or by proof."""

from __future__ import annotations

import warnings
from itertools import combinations

import numpy as np

from controls.core.errors import ControlsWarning
from controls.experiment import measure
from controls.generators.interactions import InteractionLabels
from controls.generators.random_labels import ControlTask
from controls.ground_truth import (
    Bernoulli,
    Layer,
    OddParity,
    QuadraticLayer,
    RandomTypes,
    SparseAnd,
    TargetedAnd,
    combine,
    partial_r2,
)
from controls.probes import RidgeProbe
from controls.stats.interaction import adjusted_r2, interaction_test, numerical_rank
from controls.testing.suite._layers import (
    ALPHA,
    agreement,
    estimates,
    interaction_tests,
    null_checks,
    null_tests,
    rejected,
    samples,
    shuffled,
)
from controls.testing.suite.case import Bound, Case, Check, Effort, Exact, NearZero, Rejections, Seen, Verdict


def _picked(sets: list, count: int, rng: np.random.Generator) -> list:
    return [sets[place] for place in rng.choice(len(sets), size=min(count, len(sets)), replace=False)]


def raw_inputs(effort: Effort) -> list[Check]:
    """Raw inputs hold no interaction, and yet AND is read from them."""
    rng, pair = effort.stream("raw inputs"), (0, 1)
    layer = Layer(np.eye(10), activation="identity", inputs=Bernoulli(10, 0.2))
    H, concepts, _ = samples(layer, [pair] * effort.pick(300, 2000), 1000, rng)
    found = interaction_test(H, concepts, draws=99, rng=rng)
    X, probabilities = layer.inputs.enumerate(balanced=pair)
    checks = null_checks("AND of raw inputs", [found], met=True)
    for ask in ("and", "xor"):
        exact = partial_r2(X, combine(X, pair, ask), probabilities)[0]
        shares = np.array([_adjusted(one, combine(one, pair, ask)) for one in H[: effort.repetitions(100, 100)]])
        checks.append(agreement(f"R² of {ask.upper()} by a linear readout", exact, shares))
    repetitions = effort.pick(8, 30)
    problems = [layer.sample(1000, rng, concepts=pair, balanced=True) for _ in range(repetitions)]
    checks.append(Seen("naive: AND against ShuffleLabels", shuffled(problems), repetitions, rate=ALPHA))
    return checks


def _adjusted(H: np.ndarray, labels: np.ndarray) -> float:
    """Return the R² of labels in a sample, adjusted for rank."""
    share = partial_r2(H, labels, np.full(len(H), 1 / len(H)))
    return float(adjusted_r2(share, len(H), np.array([numerical_rank(H)]))[0])


def quadratic_budget(effort: Effort) -> list[Check]:
    """A quadratic layer spreads its width over all pairs, and has no triples."""
    rng = effort.stream("quadratic budget")
    pairs, triples = list(combinations(range(10), 2)), list(combinations(range(10), 3))
    checks: list[Check] = []
    for d in (9, 18, 45):
        world = QuadraticLayer(m=10, d=d)
        exact = world.truth.partial_r2_of(pairs)
        checks.append(Exact(f"d={d}: mean over pairs = d/45", world.budget, float(exact.mean()), 1e-9))
        X, probabilities = world.layer.inputs.enumerate()
        T = np.stack([combine(X, places, "product") for places in triples], axis=1)
        unread = partial_r2(world.layer.hidden(X), T, probabilities, X)
        checks.append(Bound(f"d={d}: largest of {len(triples)} triples", "at most", 1e-18, float(unread.max())))
        repeated = pairs * effort.repetitions(1, 4)
        shares = estimates(world.layer, repeated, 2000, rng)
        what = f"d={d}: adjusted R² of pairs at n=2000"
        if world.budget == 1:
            checks.append(Exact(what, 1.0, float(shares.mean()), 1e-9))
        else:
            checks.append(agreement(what, np.tile(exact, effort.repetitions(1, 4)), shares))
    several = (triples * 6)[: effort.pick(120, 720)]
    return checks + null_checks(
        "triples at d=18", null_tests(QuadraticLayer(10, 18).layer, several, 1000, rng), met=True
    )


def sparse_and(effort: Effort) -> list[Check]:
    """Of a sparse layer, exactly the pairs are null that no neuron sees."""
    rng = effort.stream("sparse AND")
    world = SparseAnd(32, 64, p=float(np.sqrt(np.log(2) / 64)), inputs=Bernoulli(32, 2 / 32))
    pairs = _picked(list(combinations(range(32), 2)), effort.pick(80, 300), rng)
    common = np.array([world.n_common[pair] for pair in pairs])
    found = interaction_tests(world.layer, pairs, effort.pick(1000, 2000), rng, draws=39)
    exact = np.array([world.truth.partial_r2(pair, balanced=True) for pair in pairs])
    unseen, p, shares = common == 0, np.asarray(found.p_value), np.asarray(found.adjusted)
    large = [pair for pair, count in zip(pairs, common, strict=True) if count][: effort.pick(6, 20)]
    truth = np.array([world.truth.partial_r2(pair, balanced=True) for pair in large])
    read = estimates(world.layer, large, effort.pick(16_000, 32_000), rng)
    apart = [pair for pair, count in zip(pairs, common, strict=True) if not count] * effort.pick(2, 4)
    return [
        *null_checks("pairs without a common neuron", null_tests(world.layer, apart, 1000, rng)),
        Bound("largest exact R² of a pair without one", "at most", 1e-18, float(exact[unseen].max())),
        Bound("smallest exact R² of a pair with one", "at least", 0.05, float(exact[~unseen].min())),
        Seen("pairs with a common neuron", rejected(p[~unseen]), int((~unseen).sum()), rate=0.5),
        agreement(f"R² of {len(large)} such pairs at n={effort.pick(16_000, 32_000):,}", truth, read),
        NearZero(f"bias of adjusted R² at n={found.n:,}", float((shares - exact)[~unseen].mean()), within=0.02),
    ]


def sparse_readoffs(effort: Effort) -> list[Check]:
    """Readoffs of a sparse layer err by their law: mean and mean square over layers, at three widths."""
    cases = {"11": (0, 1, 2), "10": (0, 2, 3), "00": (2, 3, 4)}  # three active inputs, for the pair (0, 1)
    X = np.zeros((3, 8))
    for row, active in zip(X, cases.values(), strict=True):
        row[list(active)] = 1
    checks: list[Check] = []
    for d in (64, 256, 1024):
        worlds = [SparseAnd(8, d, seed=seed) for seed in effort.seeds(1000, 5000)]
        common = np.array([world.n_common[0, 1] for world in worlds])
        values = np.array([world.read(X, [(0, 1)])[:, 0] for world in worlds]) - combine(X, (0, 1), "and")
        for case, errors in zip(cases, values[common > 0].T, strict=True):
            law = worlds[0].error_law(case)
            exact = law.rmse(common[common > 0]) ** 2
            checks.append(agreement(f"d={d}, case {case}: mean error", law.mean, errors))
            checks.append(agreement(f"d={d}, case {case}: mean squared error", exact, errors**2))
    return checks


def targeted_and(effort: Effort) -> list[Check]:
    """Of a layer made by hand, targets are read and omitted pairs are not, whatever shuffled labels say of AND."""
    rng = effort.stream("targeted AND")
    targets = tuple(_picked(list(combinations(range(24), 2)), 15, rng))
    world = TargetedAnd(24, targets, q=0.2)
    noise, repetitions = 0.05, effort.repetitions(2, 8)
    exact = np.array([world.truth.partial_r2(pair, balanced=True, noise=noise) for pair in targets])
    of_targets = interaction_tests(world.layer, targets * repetitions, 1000, rng, noise=noise)
    omitted = _picked(list(world.omitted), effort.pick(120, 261), rng) * effort.pick(1, 3)
    problems = [
        world.sample(1000, rng, concepts=pair, balanced=True, noise=noise) for pair in omitted[: effort.pick(8, 30)]
    ]
    return [
        agreement("R² of targets", np.tile(exact, repetitions), np.asarray(of_targets.adjusted)),
        Seen("targets: interaction test", rejected(np.asarray(of_targets.p_value)), 15 * repetitions, rate=0.5),
        *null_checks("omitted pairs", null_tests(world.layer, omitted, 1000, rng, noise=noise)),
        Seen("naive: AND of omitted pairs against ShuffleLabels", shuffled(problems), len(problems), rate=ALPHA),
    ]


def odd_parity(effort: Effort) -> list[Check]:
    """ReLU without bias on signs: parity of three cannot be read, parity of four can in part."""
    rng = effort.stream("odd parity")
    triples, fours = (list(combinations(range(12), size)) for size in (3, 4))
    checks: list[Check] = []
    for d in effort.pick((64,), (64, 128)):
        sets = _picked(triples * 5, effort.pick(100, 1100), rng)
        checks += null_checks(f"parity of three, d={d}", null_tests(OddParity(12, d).layer, sets, 500, rng))
    layer = OddParity(12, 64).layer
    chosen = _picked(fours, effort.repetitions(20, 100), rng)
    exact = np.array([layer.truth.partial_r2(places, lower=True) for places in chosen])
    return [
        *checks,
        Bound("largest exact R² of parity of three", "at most", 1e-18, float(layer.truth.partial_r2_of(triples).max())),
        agreement("R² of parity of four, d=64", exact, estimates(layer, chosen, effort.pick(4000, 8000), rng)),
    ]


def type_saturation(effort: Effort) -> list[Check]:
    """Random labels of types are read as far as the rank goes, so selectivity over types must vanish."""
    rng, checks = effort.stream("type saturation"), []
    for d in (16, 64, 128, 256, 300):
        world = RandomTypes(d=d)
        shares = world.r2(rng.integers(2, size=(world.n_types, effort.repetitions(200, 1000))))
        what = f"d={d}: R² of random labels = r/(N − 1), r={world.rank}"
        if world.rank == world.n_types - 1:
            checks.append(Exact(what, world.control_r2, float(shares.mean()), 1e-9))
            checks.append(Exact(f"d={d}: selectivity of AND", 0.0, world.selectivity((0, 1)), 1e-9))
        else:
            checks.append(agreement(what, world.control_r2, shares))
    for d, kind, bound in ((16, "at least", 0.2), (300, "at most", 0.05)):
        task = ControlTask(per="type")
        problem = RandomTypes(d=d).sample(2000, rng)
        found = measure(RidgeProbe(), problem, controls=[task], scoring="roc_auc", draws=19, seed=0)
        checks.append(
            Bound(f"d={d}: selectivity by ControlTask (AUC)", kind, bound, found.comparisons[0].selectivity.value)
        )
    return checks


def unbalanced_cells(effort: Effort) -> list[Check]:
    """A permutation test of an interaction keeps its level in balanced cells only, and rare concepts are flagged."""
    rng, repetitions = effort.stream("unbalanced cells"), effort.pick(60, 600)
    raw = Layer(np.eye(10), activation="identity", inputs=Bernoulli(10, 0.1))
    few = effort.pick(60, 200)
    naive = shuffled((raw.sample(300, rng, ask="product") for _ in range(few)), scoring="r2")
    checks: list[Check] = [Seen("naive: product of rare raw inputs against ShuffleLabels", naive, few)]
    for q, balanced in ((0.1, False), (0.1, True), (0.5, False)):
        layer = _neighbours(q).layer
        H, concepts, X = samples(layer, [(0, 1)] * repetitions, 2000, rng, balanced=balanced)
        found = interaction_test(H, concepts, nuisance=X, draws=99, rng=rng)
        count, imbalance = rejected(np.asarray(found.p_value)), float(np.mean(found.imbalance))
        what = f"interaction test at rates {q}" + (", balanced pair" if balanced else "")
        if q == 0.5 or balanced:
            checks += [Rejections(what, count, repetitions), Bound(f"{what}: imbalance", "at most", 0.5, imbalance)]
        else:
            checks += [Seen(what, count, repetitions), Bound(f"{what}: imbalance", "at least", 2.0, imbalance)]
    return checks + _flagged(rng, repetitions)


def _neighbours(q: float) -> TargetedAnd:
    """Return a layer that computes what inputs 0 and 1 have to do with others, and nothing of the two together."""
    return TargetedAnd(10, ((0, 2), (1, 3), (0, 4), (1, 5)), q=q)


def _flagged(rng: np.random.Generator, repetitions: int) -> list[Check]:
    """Return the checks that rare concepts make a warning, fair ones none, and that equal cells keep the level."""
    checks: list[Check] = []
    for q, expected in ((0.1, "warned"), (0.5, "silent")):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            InteractionLabels(("x0", "x1"))(_neighbours(q).sample(2000, rng, concepts=(0, 1)))
        word = "warned" if any(issubclass(one.category, ControlsWarning) for one in caught) else "silent"
        checks.append(Verdict(f"InteractionLabels at rates {q}", expected, word))
    even = InteractionLabels(("x0", "x1"), balance=True)
    problems = (even(_neighbours(0.1).sample(4000, rng, concepts=(0, 1))) for _ in range(repetitions))
    what = "InteractionLabels(balance=True) at rates 0.1 against ShuffleLabels"
    return [*checks, Rejections(what, shuffled(problems), repetitions)]


CASES = (
    Case(
        "raw inputs",
        "Is the AND of two inputs computed, where only the inputs themselves are read?",
        "null: no interaction is linear in the inputs; the AND is, with R² ⅔ in balanced cells, the XOR is not",
        raw_inputs,
    ),
    Case(
        "quadratic budget",
        "How much of each pair's interaction do d quadratic neurons hold, and of triples?",
        "d/45 on average over the 45 pairs of 10 inputs, since centred products are orthogonal; nothing of triples",
        quadratic_budget,
    ),
    Case(
        "sparse AND",
        "Which of the pairs of 32 inputs are computed by 64 sparse random neurons? One batched call.",
        "null exactly where no neuron sees both; elsewhere partial R² by expansion in centred products",
        sparse_and,
    ),
    Case(
        "sparse readoffs",
        "How much does the mean of the neurons that see both of two inputs err as a readoff of their AND?",
        "the law of a binomial number of other active inputs per neuron, over its number of neurons",
        sparse_readoffs,
    ),
    Case(
        "targeted AND",
        "Which pairs does a layer compute that was made for 15 of 276?",
        "the 15, with partial R² ¹⁄₁₆ / (¹⁄₁₆ + noise²); omitted pairs are null, though their AND is readable",
        targeted_and,
    ),
    Case(
        "odd parity",
        "Can parities be read from ReLU neurons without bias, on inputs −1 and +1?",
        "null for three inputs at any width: ReLU is linear plus even; of four in part, by enumeration",
        odd_parity,
    ),
    Case(
        "type saturation",
        "How selective is a concept beside labels that are random for each of 256 types?",
        "random labels have R² r/(N − 1) in a layer of rank r, so that nothing is selective at r = N − 1",
        type_saturation,
    ),
    Case(
        "unbalanced cells",
        "Does a permutation test of an interaction keep its level on rare inputs?",
        "null in all; permutation is calibrated where the squared product is constant, not at rates of .1",
        unbalanced_cells,
    ),
)
