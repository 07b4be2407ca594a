"""Pretrained: a dictionary as it is, in the place of one that is trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np

from controls.core.dictionary import Dictionary, DictionaryTrainer, as_dictionary
from controls.core.errors import CannotControl, InputError
from controls.core.problem import Problem
from controls.core.trainer import Trainer
from controls.core.validate import site_names


@final
@dataclass(frozen=True, eq=False)
class Pretrained(DictionaryTrainer):
    """A trainer that trains nothing: it returns the dictionary that it was given, whatever the problem.

    Parameters
    ----------
    finding : Dictionary, array of shape (m, d), or object with ``encode`` and ``decode``
        Such as a loaded SAE of SAELens, dictionary_learning or sparsify, or a decoder matrix. It is used as it is.
    sites : tuple of str
        Sites of the problem that it reads, side by side; its only array where none is named.

    Raises
    ------
    InputError
        From ``fit``, where the activations have other features than the dictionary.
    TrainerError
        A decoder that is not finite, or latents of the wrong shape.

    Notes
    -----
    A control on activations, inputs or weights then scores the held dictionary on changed data. This says
    whether the dictionary fits these activations better than structureless ones: it was trained on the
    former, so that it should, and beating such a control is a low bar. It cannot say what training an SAE on
    structureless activations would have found; for that, train. Controls on the finding that need no training
    (``RandomDirections``, ``ShuffleDecoder``) work as always; those that train a held dictionary
    (``RandomDictionary``) or none (``UntrainedDictionary``) cannot.

    Costs nothing but scoring. SAEs that normalize each row decode by what they encoded last; they are scored right
    only where each block is decoded right after it was encoded, as all metrics here do.

    Examples
    --------
    >>> import numpy as np, controls as ct
    >>> problem = ct.Problem(np.eye(3).repeat(5, axis=0))
    >>> found = ct.finders.Pretrained(np.eye(3)).fit(problem, np.random.default_rng(0))
    >>> float(ct.metrics.explained_variance(found, problem))
    1.0
    """

    finding: Any
    sites: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        as_dictionary(self.finding)
        object.__setattr__(self, "sites", site_names(self.sites))

    @property
    def n_latents(self) -> int:
        """Number of latents m."""
        return as_dictionary(self.finding).n_latents

    @property
    def reads(self) -> tuple[str, ...]:
        """The sites it reads."""
        return self.sites or as_dictionary(self.finding).reads

    def fit(self, problem: Problem, rng: np.random.Generator) -> Dictionary:
        """Return the dictionary; neither rows nor labels are read, nothing is drawn."""
        from controls.finders._module import as_found, width_of

        found = as_dictionary(self.finding)
        width, has = width_of(problem, self.sites or found.writes), found.decoder.shape[1]
        if width != has:
            raise InputError(f"activations must have the dictionary's {has} features, got {width}.")
        if isinstance(self.finding, Dictionary) and self.sites in ((), found.reads):
            return self.finding
        return as_found(self.finding, width, self.sites)

    def held(self, part: str, directions: np.ndarray, least_cosine: float = 1.0) -> Trainer:
        """Refuse: nothing is trained."""
        raise CannotControl(
            "Pretrained cannot be held back: it trains nothing; use the trainer that made the dictionary."
        )

    def untrained(self) -> Trainer:
        """Refuse: where its training started is not known."""
        raise CannotControl("Pretrained cannot be untrained: where its training started is not known.")
