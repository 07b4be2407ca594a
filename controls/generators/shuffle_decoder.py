"""ShuffleDecoder: a dictionary whose latents write one another's directions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np

from controls.core.control import FindingControl, Inference
from controls.core.dictionary import Dictionary, as_dictionary
from controls.core.errors import CannotControl
from controls.core.finding_properties import SameDirectionSet, SameLatents, WriterAlignment
from controls.core.problem import Problem
from controls.core.properties import Stated
from controls.core.validate import read_only


@final
@dataclass(frozen=True)
class ShuffleDecoder(FindingControl):
    """Keeps every latent and every direction of a dictionary, and destroys which latent writes which direction.

    The decoder's rows are permuted among latents, uniformly; rows that stay, and the identity, are among the draws.
    Biases and scales of the decoder stay.

    Raises
    ------
    CannotControl
        A dictionary of one latent, or whose decoder's rows are all the same.

    Notes
    -----
    Null hypothesis: it makes no difference which latent writes which direction. A rank among permuted decoders:
    exact only where training could as well have found any of them, which it cannot, so it is never called so. Draws
    repeat the technique on this model and this data set; they say nothing of other models.

    Metrics of the directions alone (MMCS, geometry) or of latents alone (sparse probing) cannot see it, and score
    every draw as the observed, but where dead latents are left out (directions then change between dead and
    alive); it is for reconstruction and for interventions. Cost of a draw: O(m d).

    Examples
    --------
    >>> import numpy as np, controls as ct
    >>> problem, rng = ct.Problem(np.eye(3)), np.random.default_rng(2)
    >>> drawn = ct.ShuffleDecoder().draw_finding(np.eye(3), problem, rng)
    >>> drawn.decode(drawn.encode(np.eye(3))).tolist()
    [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    """

    @property
    def inference(self) -> Inference:
        """A rank among an ensemble."""
        return "ensemble"

    @property
    def null(self) -> str:
        """The null hypothesis, as one sentence."""
        return "The score is no higher than where latents write one another's directions."

    @property
    def licenses(self) -> str:
        """What surviving this control licenses one to say, as one sentence."""
        return "The score needs each latent to write its own direction; not that the directions mean anything."

    @property
    def preserves(self) -> tuple[Stated, ...]:
        """Latents and directions, bit for bit."""
        return (SameLatents(), SameDirectionSet())

    @property
    def destroys(self) -> tuple[Stated, ...]:
        """Which latent writes which direction."""
        return (WriterAlignment(),)

    def draw_finding(self, finding: Any, problem: Problem, rng: np.random.Generator) -> Dictionary:
        """Return the dictionary with the rows of its decoder permuted."""
        found = as_dictionary(finding)
        if (found.decoder == found.decoder[:1]).all():
            raise CannotControl(
                f"ShuffleDecoder needs a dictionary of directions that differ, got {found.n_latents} of one kind; "
                "every permutation is the identity."
            )
        return ShuffledDecoder(found, rng.permutation(found.n_latents))


@final
@dataclass(frozen=True, eq=False)
class ShuffledDecoder(Dictionary):
    """A dictionary of which latent j writes what latent ``order[j]`` wrote."""

    found: Dictionary
    order: np.ndarray

    @property
    def reads(self) -> tuple[str, ...]:
        """The sites that the dictionary reads."""
        return self.found.reads

    @property
    def writes(self) -> tuple[str, ...]:
        """The sites that the dictionary writes."""
        return self.found.writes

    @property
    def decoder(self) -> np.ndarray:
        """The decoder's rows in the drawn order."""
        return read_only(self.found.decoder[self.order])

    @property
    def encoder(self) -> np.ndarray | None:
        """The encoder, as it was."""
        return self.found.encoder

    @property
    def remarks(self) -> tuple[str, ...]:
        """What was said of how it was found."""
        return self.found.remarks

    def encode(self, activations: np.ndarray) -> np.ndarray:
        """Return the latents, as they were."""
        return self.found.encode(activations)

    def decode(self, latents: np.ndarray) -> np.ndarray:
        """Return the reconstruction by the permuted decoder."""
        moved = np.empty_like(latents)
        moved[:, self.order] = latents
        return self.found.decode(moved)
