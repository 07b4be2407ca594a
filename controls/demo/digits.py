"""The demo without a language model: a small network trained on images of digits, on scikit-learn alone."""

from __future__ import annotations

import numpy as np

from controls.core.problem import Problem
from controls.core.rng import stream
from controls.demo.stage import Stage
from controls.generators import ControlTask, ShuffleLabels

_RUN = 30  # successive images that count as one unit
_HIDDEN = (64, 32)


def stages(*, draws: int, seed: int = 0) -> list[Stage]:
    """Return the one stage: is a digit odd, read from a network that was trained to say so?

    The network learns odd or even from the first half of scikit-learn's 1,797 digits; the probe is
    fitted and scored on the second half only, at the pixels and at both hidden layers. The control
    task gives each of the ten digits a random label: it is what a probe reads that knows the
    digit and nothing of parity.

    The unit is a run of 30 successive images. The data do not say who wrote an image, but those of
    one writer follow one another, so runs stand in for writers; labels are shuffled within runs.

    Parameters
    ----------
    draws : int
        Draws per control.
    seed : int
        Seed of the network's training.

    Returns
    -------
    list of Stage

    Notes
    -----
    Training takes about a second.
    """
    from sklearn.datasets import load_digits

    pixels, digits = map(np.asarray, load_digits(return_X_y=True))
    images = pixels / 16.0  # grey levels from 0 to 16
    runs = np.arange(len(digits)) // _RUN
    seen = runs < (runs.max() + 1) // 2
    sites = _hidden_layers(images[seen], digits[seen] % 2, images[~seen], seed)
    problem = Problem(
        {site: values.astype(np.float32) for site, values in sites.items()},
        digits[~seen] % 2 == 1,
        groups={"run": runs[~seen], "digit": digits[~seen]},
        unit="run",
    )
    return [
        Stage(
            name="digits",
            title="Odd or even, read from a network that was trained to tell",
            question="Does the network hold whether a digit is odd, or only which digit it is?",
            concept="whether a digit is odd",
            kind="digit",
            problem=problem,
            controls=(ShuffleLabels(within="run"), ControlTask(per="digit")),
            scoring="accuracy",
            draws=draws,
        )
    ]


def _hidden_layers(X: np.ndarray, y: np.ndarray, images: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """Train on X and y; return the pixels of other images, and what both hidden layers make of them."""
    from sklearn.neural_network import MLPClassifier

    state = int(stream(seed, "demo", "digits", "network").integers(2**31))
    network = MLPClassifier(_HIDDEN, alpha=1e-2, solver="lbfgs", max_iter=1000, random_state=state).fit(X, y)
    sites = {"pixels": images}
    values = images
    for number, (weights, bias) in enumerate(zip(network.coefs_[:-1], network.intercepts_[:-1], strict=True), 1):
        values = np.maximum(values @ weights + bias, 0.0)
        sites[f"hidden {number}"] = values
    return sites
