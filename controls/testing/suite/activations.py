"""Controls on activations, put to rows whose law is known: which null is true of which, and which is fooled by what."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from controls.core.control import Control
from controls.core.problem import Problem
from controls.core.trainer import Trainer
from controls.experiment import measure
from controls.generators.activations import RotateActivations, ShuffleCoordinates
from controls.generators.gaussian import GaussianActivations, MatchNorms
from controls.generators.phases import RandomizePhases
from controls.generators.planted import PlantDictionary
from controls.ground_truth import SparseFeatures, random_directions
from controls.testing.suite.case import Bound, Case, Check, Effort, Exact, Rejections, Seen, Shown

ALPHA, DRAWS, ROWS, D = 0.05, 19, 80, 4
World = Callable[[np.random.Generator], Problem]


@final
@dataclass(frozen=True)
class PairFinder(Trainer):
    """Finds the two coordinates whose squares go together most: structure, without labels."""

    def fit(self, problem: Problem, rng: np.random.Generator) -> tuple[int, int]:
        """Return the pair."""
        together = np.triu(_of_squares(problem.X), 1) - 2 * np.tri(problem.d)
        return divmod(int(together.argmax()), problem.d)


def held_out(finding: tuple[int, int], problem: Problem) -> float:
    """Return how much the squares of a pair go together on rows that its finder did not see."""
    return float(_of_squares(problem.X)[finding])


def _of_squares(X: np.ndarray) -> np.ndarray:
    return np.corrcoef(np.square(X - X.mean(axis=0)).T)


def _correlated(rng: np.random.Generator) -> Problem:
    mixed = 0.9 * rng.standard_normal((ROWS, 1)) + 0.44 * rng.standard_normal((ROWS, D))
    return Problem(mixed * [1.0, 5.0, 0.1, 1.0] + [0.0, 50.0, 1.0, 0.0])


def _independent(rng: np.random.Generator) -> Problem:
    return Problem(rng.exponential(size=(ROWS, D)) * [1.0, 5.0, 0.1, 1.0])


def _lengths(rng: np.random.Generator) -> Problem:
    return Problem(rng.standard_normal((ROWS, D)) * rng.exponential(size=(ROWS, 1)))


WORLDS: dict[str, tuple[World, dict[str, Control], dict[str, Control]]] = {
    "correlated normal rows": (
        _correlated,
        {"GaussianActivations": GaussianActivations()},
        {"ShuffleCoordinates": ShuffleCoordinates()},
    ),
    "independent coordinates": (_independent, {"ShuffleCoordinates": ShuffleCoordinates()}, {}),
    "rows of all lengths, any direction": (
        _lengths,
        {'MatchNorms("sphere")': MatchNorms("sphere"), "RotateActivations": RotateActivations()},
        {"GaussianActivations": GaussianActivations(), "ShuffleCoordinates": ShuffleCoordinates()},
    ),
}


def ladder(effort: Effort) -> list[Check]:
    """Count rejections of every control in every world, those of its null and those of a weaker one's."""
    checks: list[Check] = []
    for name, (world, true, fooled) in WORLDS.items():
        for controls, full, kind in ((true, 800, _met), (fooled, 100, Seen)):
            for words, control in controls.items():
                count = effort.pick(40, full)
                rng = effort.stream("activations: ladder", name, words)
                rejected = sum(_p(world(rng), control, seed) <= ALPHA for seed in range(count))
                checks.append(kind(f"{name}: p of {words}", rejected, count))
    return checks


def _met(what: str, count: int, repetitions: int) -> Rejections:
    return Rejections(what, count, repetitions, met=True)


def _p(problem: Problem, control: Control, seed: int) -> float:
    result = measure(PairFinder(), problem, controls=[control], scoring=held_out, cv=2, draws=DRAWS, seed=seed)
    return result.comparisons[0].p_value


@final
@dataclass(frozen=True)
class ProductReader(Trainer):
    """Reads labels from products of pairs of coordinates, by least squares."""

    def fit(self, problem: Problem, rng: np.random.Generator) -> np.ndarray:
        """Return the weights of the products."""
        labels: Any = problem.labels
        return np.linalg.lstsq(_products(problem.X), labels - 0.5, rcond=None)[0]


def share_right(finding: np.ndarray, problem: Problem) -> float:
    """Return the share of labels that are read."""
    labels: Any = problem.labels
    return float(((_products(problem.X) @ finding > 0) == labels).mean())


def _products(X: np.ndarray) -> np.ndarray:
    first, second = np.triu_indices(X.shape[1], 1)
    return np.column_stack([X, X[:, first] * X[:, second], np.ones(len(X))])


def _classes(rng: np.random.Generator, *, products: float) -> Problem:
    """Return rows whose first coordinate says the label on its own, and whose last two only together."""
    labels = rng.integers(2, size=2 * ROWS)
    X = rng.standard_normal((2 * ROWS, D))
    X[:, 0] += labels
    X[:, 2] = products * X[:, 3] * (2 * labels - 1) + np.sqrt(1 - products**2) * X[:, 2]
    return Problem(X, labels)


def classes(effort: Effort) -> list[Check]:
    """Permute coordinates within classes: is more used than what each coordinate says of the label?"""
    checks: list[Check] = []
    for products, full in ((0.0, 800), (0.8, 100)):
        count = effort.pick(40, full)
        rng = effort.stream("activations: classes", str(products))
        rejected = 0
        for seed in range(count):
            result = measure(
                ProductReader(),
                _classes(rng, products=products),
                controls=[ShuffleCoordinates(per_label=True)],
                scoring=share_right,
                cv=2,
                draws=DRAWS,
                seed=seed,
            )
            rejected += result.comparisons[0].p_value <= ALPHA
        kind = Seen if products else Rejections
        checks.append(kind(f"correlation {products:g} that turns with the label", rejected, count))
    return checks


@final
@dataclass(frozen=True)
class PeakFinder(Trainer):
    """Finds the position at which activations are largest on average."""

    def fit(self, problem: Problem, rng: np.random.Generator) -> int:
        """Return the position."""
        return int(_by_position(problem).argmax())


def at_peak(finding: int, problem: Problem) -> float:
    """Return how large activations are there in other sequences."""
    return float(_by_position(problem)[finding])


def _by_position(problem: Problem) -> np.ndarray:
    position = problem.groups["position"]
    return np.bincount(position, weights=problem.X.mean(axis=1)) / np.bincount(position)


def _sequences(rng: np.random.Generator, *, drift: float, length: int = 12, count: int = 20) -> Problem:
    """Return sequences of a stationary process (one that goes round in a circle), and a drift."""
    frequencies = np.fft.rfft(rng.standard_normal((count, length, 2)), axis=1)
    smooth = 1 / (1 + np.arange(frequencies.shape[1]))[None, :, None]
    X = np.fft.irfft(frequencies * smooth, n=length, axis=1) + drift * np.linspace(-1, 1, length)[:, None]
    groups = {"sequence": np.repeat(np.arange(count), length), "position": np.tile(np.arange(length), count)}
    return Problem(X.reshape(-1, 2), groups=groups, unit="sequence")


def phases(effort: Effort) -> list[Check]:
    """Look for a position at which something happens, where nothing does, and where activations drift."""
    checks: list[Check] = []
    for drift, full in ((0.0, 800), (0.5, 60)):
        count = effort.pick(40, full)
        rng = effort.stream("activations: phases", str(drift))
        rejected = warned = 0
        for seed in range(count):
            result = measure(
                PeakFinder(),
                _sequences(rng, drift=drift),
                controls=[RandomizePhases()],
                scoring=at_peak,
                cv=2,
                draws=DRAWS,
                seed=seed,
            )
            rejected += result.comparisons[0].p_value <= ALPHA
            warned += any("not stationary" in words for words in result.comparisons[0].caveats)
        name = "stationary" if not drift else "drifting"
        checks.append((Seen if drift else Rejections)(f"{name}: p of RandomizePhases", rejected, count))
        if drift:
            checks.append(Seen(f"{name}: the warning", warned, count))
        else:
            checks.append(Rejections(f"{name}: the warning", warned, count, alpha=0.01))
    return checks


def dictionaries(effort: Effort) -> list[Check]:
    """Train an SAE on planted dictionaries of one code, and on rows that have directions of their own."""
    from controls.testing.suite._sae import mean_max_cosine, train_sae

    rng = effort.stream("activations: dictionaries")
    m, d, n = effort.pick((16, 8, 4000), (64, 32, 20_000))
    code = SparseFeatures(m, rate=3 / m).sample(n, rng)
    X = code @ random_directions(m, d, rng)
    problem = Problem({"layer": X, "latents": code}).at("layer")
    drawn = {kind: PlantDictionary("latents", kind).draw(problem, rng) for kind in ("once", "per_row")}
    truth: Any = drawn["once"].source
    checks: list[Check] = []
    for kind, side, bounds in (("once", "at least", (0.75, 0.93)), ("per_row", "at most", (0.75, 0.6))):
        changed = float(np.abs(np.cov(drawn[kind].X.T) - np.cov(X.T)).max())
        checks.append(Exact(f"{kind}: largest change of a covariance", 0.0, changed, 1e-8))
        found = train_sae(drawn[kind].X, rng, latents=m, k=effort.pick(2, 4), steps=effort.pick(400, 1500))
        recovered = mean_max_cosine(truth.model.dictionary, found.decoder)
        checks.append(Bound(f"{kind}: MMCS to the dictionary planted once", side, effort.pick(*bounds), recovered))
        checks.append(Shown(f"{kind}: explained variance", found.explained))
    return checks


CASES = (
    Case(
        "activations: ladder",
        "Which two of four coordinates have squares that go together, held out: more than in drawn activations?",
        "5% of the time where a control's null is true: normal rows against `GaussianActivations`, independent "
        "coordinates against `ShuffleCoordinates`, rows of any direction against `MatchNorms` and "
        "`RotateActivations`. Weaker nulls are fooled: by correlation, which permuted coordinates lack, and by "
        "lengths of rows, which normal ones lack.",
        ladder,
    ),
    Case(
        "activations: classes",
        "A readout of products of coordinates beside coordinates permuted within classes (Ojala and Garriga): are "
        "products used?",
        "No where coordinates are independent given the label, though one says it; yes where two of them correlate in "
        "one class and anticorrelate in the other.",
        classes,
    ),
    Case(
        "activations: phases",
        "Is there a position at which activations are large, in sequences against surrogates of randomised phases?",
        "No in a stationary Gaussian process that goes round in a circle, of which surrogates are exact; in one that "
        "drifts the control says yes, which is why it warns.",
        phases,
    ),
    Case(
        "activations: dictionaries",
        "An SAE on `PlantDictionary`: how much of a new dictionary does it find, and how much where every row has "
        "directions of its own?",
        "Nearly all of the one; of the other no more than the covariance gives, about half for 64 features in 32 "
        "dimensions.",
        dictionaries,
    ),
)
