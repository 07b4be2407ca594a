"""Function: any fit(activations, seed) that returns a dictionary."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from controls.core.dictionary import Dictionary, side_by_side
from controls.core.errors import InputTypeError
from controls.core.problem import Problem
from controls.core.trainer import Trainer
from controls.core.validate import random_generator, site_names
from controls.finders._undisturbed import undisturbed


@final
@dataclass(frozen=True)
class Function(Trainer):
    """Calls ``function(activations, seed)`` of another library, and keeps this process as it was.

    ``ct.measure`` takes plain functions too. This one is for code that draws from global random states, changes
    settings or working folder, prints, or writes: all is seeded before and put back after; what it returns is
    checked for its width.

    Parameters
    ----------
    function : callable
        ``function(activations, seed)`` with activations (n, d), read-only, and a whole number. It returns a
        Dictionary, a decoder matrix (m, d), or an object with ``encode`` and ``decode`` and a decoder.
    sites : tuple of str
        Sites of the problem to read, side by side; its only array where none is named.

    Raises
    ------
    TrainerError
        The function fails, or returns a dictionary of another width or one that is not finite.

    Notes
    -----
    It cannot be held back: ``RandomDictionary`` and ``UntrainedDictionary`` refuse it.

    Examples
    --------
    >>> import numpy as np, controls as ct
    >>> def rows_of_it(activations, seed):
    ...     return activations[np.random.default_rng(seed).permutation(len(activations))[:4]]
    >>> problem = ct.Problem(np.random.default_rng(0).normal(size=(20, 3)))
    >>> ct.finders.Function(rows_of_it).fit(problem, np.random.default_rng(1)).decoder.shape
    (4, 3)
    """

    function: Callable[[np.ndarray, int], Any]
    sites: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if isinstance(self.function, type) or not callable(self.function):
            got = self.function.__name__ if isinstance(self.function, type) else type(self.function).__name__
            raise InputTypeError(f"function must be a function fit(activations, seed), got {got}.")
        object.__setattr__(self, "sites", site_names(self.sites))

    @property
    def reads(self) -> tuple[str, ...]:
        """The sites it reads."""
        return self.sites

    @property
    def uses_threads(self) -> bool:
        """Always: global states are set and put back, so that only one may run at a time."""
        return True

    def fit(self, problem: Problem, rng: np.random.Generator) -> Dictionary:
        """Return the dictionary that the function makes."""
        from controls.finders._module import as_found

        rows = side_by_side(problem, self.sites, np.arange(problem.n))
        rows.flags.writeable = False
        seed = int(random_generator(rng).integers(2**31))
        with undisturbed(seed, getattr(self.function, "__name__", "function")):
            return as_found(self.function(rows, seed), rows.shape[1], self.sites)
