"""Planted directions: a class that moves the activations by a known amount, so that power can be measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from controls.core.errors import InputError
from controls.core.problem import Problem
from controls.core.validate import random_generator, whole_number
from controls.ground_truth.planted_truth import PlantedTruth


@final
@dataclass(frozen=True)
class PlantedDirection:
    """Rows of which a share belongs to class 1 and is moved by ``delta`` along one direction.

    Rows are ``noise + delta · y · u``: independent, the noise spherical with unit scale, u the first
    axis (which axis is no matter: spherical noise has none).

    Parameters
    ----------
    delta : float
        How far class 1 is moved, in standard deviations of normal noise, at least 0; 0 plants nothing.
    d : int, default 64
        Number of features, at least 2; more than rows where n < d is wanted.
    rate : float, default 0.5
        Share of rows in class 1. Their number is exact (rounded), so that theory has nothing to average over.
    tails : float, optional
        Degrees of freedom of Student t noise, one scale per row: heavy tails where few, no variance up
        to 2. Normal noise where None.

    Examples
    --------
    >>> world = PlantedDirection(1.0, rate=0.02)
    >>> problem = world.sample(4000, np.random.default_rng(0))
    >>> problem, int(problem.labels.sum())
    (Problem(n=4000, d=64, labels='binary', groups=[], unit=None (rows: 4000 units)), 80)
    >>> round(world.truth.best_auc, 3)  # of the planted direction itself
    0.76
    >>> round(world.truth.fitted_auc(40, 1960), 3)  # of a difference of means of 40 and 1960 rows
    0.668
    """

    delta: float
    d: int = 64
    rate: float = 0.5
    tails: float | None = None

    def __post_init__(self) -> None:
        self.truth  # noqa: B018 - refuses what cannot be

    @property
    def truth(self) -> PlantedTruth:
        """What the planted direction, a fitted one and any given one score, exactly."""
        return PlantedTruth(self.delta, self.d, self.rate, self.tails)

    def positives(self, n: int) -> int:
        """Return how many of n rows belong to class 1; both classes have at least one."""
        count = round(self.rate * whole_number(n, "n", low=2))
        if not 0 < count < n:
            raise InputError(f"n must give both classes a row at rate {self.rate:g}, got {n} ({count} of class 1).")
        return count

    def sample(self, n: int, rng: np.random.Generator) -> Problem:
        """Return a problem of n independent rows, classes 0 and 1 in random order."""
        positives = self.positives(n)
        labels = random_generator(rng).permutation((np.arange(n) < positives).astype(np.int64))
        activations = rng.standard_normal((n, self.d))
        if self.tails is not None:
            activations /= np.sqrt(rng.chisquare(self.tails, n) / self.tails)[:, None]
        activations[:, 0] += self.delta * labels
        return Problem(activations, labels)
