"""Sizes of controls on weights, where their law is that of the network and where it is not; and the laws themselves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
import torch

from controls.core.control import Control
from controls.core.problem import Problem, Source
from controls.generators.permute import PermuteWeights
from controls.generators.spectrum import MatchSpectrum
from controls.generators.weights import Reinitialize
from controls.ground_truth import REDRAWS, Bernoulli, Layer
from controls.ground_truth.modules import hidden_layer
from controls.testing.suite import zoo
from controls.testing.suite.case import Case, Check, Effect, Effort, Exact, Rejections, Seen, Shown

D, M, DRAWS = 10, 8, 19  # of the small networks
RATE = 0.3  # of ones among sparse weights
BESIDE = 20  # layers that one module has side by side, each a replicate


@final
@dataclass(frozen=True)
class Ensemble:
    """A law of small networks that learned nothing, and controls.

    Parameters
    ----------
    name : str
    weights : callable
        Draws a matrix (10, 8).
    own : dict of str to Control
        Whose redraws have the law of the weights.
    exceeded : dict of str to Control
        Of another law, in which less is readable.
    shown : dict of str to Control
        Of another law, which is nearly the same, or in which more is readable.
    bias : float
    continuous : bool
        Whether ranks have no ties, so that the level is met, not only kept.
    """

    name: str
    weights: Callable[[np.random.Generator], np.ndarray]
    own: dict[str, Control]
    exceeded: dict[str, Control] = field(default_factory=dict)
    shown: dict[str, Control] = field(default_factory=dict)
    bias: float = 0.0
    continuous: bool = True


def _normal(rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal((D, M))


def _uniform(rng: np.random.Generator) -> np.ndarray:
    return rng.uniform(-1, 1, (D, M)) / np.sqrt(M)


def _sparse(rng: np.random.Generator) -> np.ndarray:
    return (rng.random((D, M)) < RATE).astype(np.float64)


_WEIGHTS = ("*.linear.weight",)
_MOMENTS = Reinitialize(scheme="moments", include=_WEIGHTS)
_SPECTRUM = MatchSpectrum(include=_WEIGHTS)
_ROWS = PermuteWeights(by="row", include=_WEIGHTS)
ENSEMBLES = (
    Ensemble(
        "normal",
        _normal,
        own={
            "normal of their variance": Reinitialize(scheme="normal", std=1.0, include=_WEIGHTS),
            "matched spectrum": _SPECTRUM,
            "permuted rows": _ROWS,
        },
        shown={"normal of each layer's own moments": _MOMENTS},
    ),
    Ensemble("uniform", _uniform, own={"torch's initialiser": Reinitialize(include=_WEIGHTS)}),
    Ensemble(
        "sparse 0/1",
        _sparse,
        own={"permuted rows": _ROWS},
        exceeded={
            "matched spectrum": _SPECTRUM,
            "normal of mean 0": Reinitialize(scheme="normal", std=RATE**0.5, include=_WEIGHTS),
        },
        shown={"normal of each layer's own moments": _MOMENTS},
        bias=-1.0,
        continuous=False,
    ),
)


def sizes(effort: Effort) -> list[Check]:
    """Count how often networks that learned nothing rank among the top 5% of their redraws."""
    checks: list[Check] = []
    for ensemble in ENSEMBLES:
        for words, control in ensemble.own.items():
            top, differences = _ranked(effort, ensemble, words, control, effort.repetitions(40, 600))
            what, count, error = _what(ensemble, words), int(top.sum()), zoo.effect_error(differences)
            checks.append(Rejections(what, count, len(top), met=ensemble.continuous))
            checks.append(Effect(f"{what}: difference", 0.0, float(differences.mean()), error, len(top)))
        for words, control in ensemble.exceeded.items():
            top, _ = _ranked(effort, ensemble, words, control, effort.repetitions(60, 200))
            checks.append(Seen(_what(ensemble, words), int(top.sum()), len(top)))
        for words, control in ensemble.shown.items():
            top, differences = _ranked(effort, ensemble, words, control, effort.repetitions(20, 300))
            checks.append(Shown(_what(ensemble, words), float(top.mean())))
            checks.append(Shown(f"{_what(ensemble, words)}: difference", float(differences.mean())))
    return checks


def _what(ensemble: Ensemble, words: str) -> str:
    return f"{ensemble.name} weights against {words}"


def _ranked(
    effort: Effort, ensemble: Ensemble, words: str, control: Control, repetitions: int
) -> tuple[np.ndarray, np.ndarray]:
    return ranks(ensemble, control, repetitions, effort.stream("weights-sizes", ensemble.name, words))


def ranks(
    ensemble: Ensemble, control: Control, repetitions: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return whether each network ranks first among 19 redraws and itself, and how far it is from their mean.

    What is ranked is the mean exact partial R² over all pairs.
    """
    X, _ = Bernoulli(M).enumerate()
    top, differences = [], []
    for start in range(0, repetitions, BESIDE):
        layers = [
            Layer(ensemble.weights(rng), ensemble.bias, inputs=Bernoulli(M))
            for _ in range(min(BESIDE, repetitions - start))
        ]
        problem = side_by_side(layers, X)
        stack = np.stack([problem.X, *(control.draw(problem, rng).X for _ in range(DRAWS))])
        for hidden in np.split(stack, len(layers), axis=2):
            means = zoo.mean_shares(hidden, X)
            top.append((means >= means[0] - 1e-12).sum() == 1)
            differences.append(means[0] - means[1:].mean())
    return np.array(top), np.array(differences)


def side_by_side(layers: Sequence[Layer], X: np.ndarray) -> Problem:
    """Return the problem of a module that has these layers, each reading the same inputs: (n, k d)."""
    return Problem(source=Source(torch.nn.ModuleList([layer.module() for layer in layers]), X, _all_hidden))


def _all_hidden(modules: Any, X: np.ndarray) -> np.ndarray:
    return np.hstack([hidden_layer(module, X) for module in modules])


# -- laws ----------------------------------------------------------------------------------------------


def laws(effort: Effort) -> list[Check]:
    """Put the draws of the controls beside those of a few lines of numpy, of the same sparse weights."""
    weights = _sparse(effort.stream("weights-laws", "weights"))
    count = effort.repetitions(200, 1000)
    normal = Reinitialize(scheme="normal", std=float(np.sqrt(np.mean(weights**2))), include=_WEIGHTS)
    checks: list[Check] = []
    for law, control in {"gaussian": normal, "spectrum": _SPECTRUM, "rows": _ROWS}.items():
        rng = effort.stream("weights-laws", law)
        ours = drawn_weights(control, weights, count, rng)
        plain = np.stack([REDRAWS[law](weights, rng) for _ in range(count)])
        kept = {"spectrum": _singular_values, "rows": _sorted_rows}.get(law)
        if kept is not None:
            worst = float(np.abs(kept(ours) - kept(weights)).max())
            checks.append(Exact(f"{law}: largest change of what is kept", 0.0, worst, 1e-10))
        own, other = (_shares_of(each) for each in (ours, plain))
        checks.append(_as_often_higher(f"{law}: partial R²", own, other))
        middle = np.median(np.concatenate([own, other]))
        checks.append(_as_often_higher(f"{law}: its distance from the median", abs(own - middle), abs(other - middle)))
    return checks


def drawn_weights(control: Control, weights: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Return the weights of so many draws (count, d, m): what layers without a nonlinearity make of unit inputs."""
    d, m = weights.shape
    layer = Layer(weights, activation="identity", inputs=Bernoulli(m))
    problem = side_by_side([layer] * BESIDE, np.eye(m))
    drawn = np.stack([control.draw(problem, rng).X for _ in range(-(-count // BESIDE))])  # (draws, m, BESIDE d)
    return drawn.reshape(-1, m, BESIDE, d).transpose(0, 2, 3, 1).reshape(-1, d, m)[:count]


def _singular_values(weights: np.ndarray) -> np.ndarray:
    return np.linalg.svd(weights, compute_uv=False)


def _sorted_rows(weights: np.ndarray) -> np.ndarray:
    return np.sort(weights, axis=-1)


def _shares_of(stack: np.ndarray) -> np.ndarray:
    """Return the mean exact partial R² of sparse layers' redraws, with their bias."""
    X, _ = Bernoulli(M).enumerate()
    return zoo.mean_shares(np.maximum(X @ stack.transpose(0, 2, 1) - 1.0, 0.0), X)


def _as_often_higher(what: str, ours: np.ndarray, others: np.ndarray) -> Effect:
    """Return Mann and Whitney's share of pairs in which ours is higher: ½ where both have one law."""
    higher = (ours[:, None] > others).mean() + (ours[:, None] == others).mean() / 2
    n, k = len(ours), len(others)
    return Effect(
        f"{what}, ours higher than numpy's", 0.5, float(higher), float(np.sqrt((n + k + 1) / (12 * n * k))), n
    )


CASES = (
    Case(
        "weights: sizes",
        "Small networks that learned nothing, ranked among 19 redraws of their weights by the controls: how often in "
        "the top 5%?",
        "5% where the redraws have the law that the network has: normal weights against normal ones, their spectrum "
        "and permuted rows; uniform ones against torch's initialiser, whose law that is; sparse 0/1 weights against "
        "permuted rows. A spectrum or normal weights of mean 0 are another law, which sparse networks exceed. Moments "
        "of each layer are another one, too: of normal weights nearly the same, though means are drawn around means; "
        "of sparse ones a law in which more is readable, so that little would ever be found.",
        sizes,
    ),
    Case(
        "weights: laws",
        "Redraws of one sparse layer by the controls, beside those of a few lines of numpy "
        "(`controls.ground_truth.REDRAWS`): do they have one law?",
        "Yes: in half of all pairs of a draw of each the partial R² is higher in ours, and as often farther from the "
        "median. Spectra and values are kept to rounding.",
        laws,
    ),
)
