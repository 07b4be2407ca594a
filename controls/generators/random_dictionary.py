"""RandomDictionary and UntrainedDictionary: the trainer, held back before it is fitted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, final

import numpy as np

from controls.core.control import Inference, TrainingControl
from controls.core.dictionary import DictionaryTrainer
from controls.core.errors import CannotControl
from controls.core.finding_properties import DirectionAlignment, HeldStill, LatentCount, SameDirections
from controls.core.problem import Problem
from controls.core.properties import Stated
from controls.core.rng import stream
from controls.core.trainer import Trainer
from controls.core.validate import one_of, real_number
from controls.generators.direction_laws import LAWS, WORDS, Law, draw_directions


@final
@dataclass(frozen=True)
class RandomDictionary(TrainingControl):
    """Trains the same dictionary with its decoder, or its encoder, held at random directions.

    What a trained dictionary scores beyond it is what *training these directions* added. Everything else is
    trained as it was: with the decoder held, the encoder, biases and thresholds (Frozen Decoder); with the encoder
    held, the decoder, biases and thresholds (Frozen Encoder). Only ``dead_after`` of ``SAE`` has no effect, since a
    latent that is held cannot be started anew.

    Parameters
    ----------
    hold : {"decoder", "encoder"}
    init : {"isotropic", "covariance", "differences"}
        Law of the directions: uniform on the sphere; normal with the covariance of the activations, at length 1;
        differences of two random rows, at length 1.
    least_cosine : float
        How far directions may turn in training, as a cosine with where they started; 1 holds them still. Below 1
        (Soft-Frozen Decoder) this is **a learned dictionary, not a null**: in hundreds of dimensions, the cone at
        cosine .8 leaves room for nearly all that training does, and one among thousands of atoms starts near any
        direction. Scoring like it does not mean scoring like chance.

    Raises
    ------
    CannotControl
        A trainer that is no ``DictionaryTrainer``, or that cannot hold this part; activations that are all the
        same, where ``init`` is not isotropic.

    Notes
    -----
    Null hypothesis: the score is no higher than with random directions. p is the rank among dictionaries with
    random directions. Draws repeat the technique on this model and this data set; they say nothing of other
    models. Each fold's directions are drawn from its training rows alone, and the rest is trained from the fold's
    own stream, so that nothing else differs.

    Cost of a draw: one fit; with ``init="covariance"``, O(n d² + d³ + m d²) before it.

    References
    ----------
    Korznikov et al. (2026), Sanity Checks for Sparse Autoencoders: Do SAEs Beat Random Baselines?, arXiv 2602.14111.

    Examples
    --------
    >>> import controls as ct
    >>> print(ct.RandomDictionary(init="covariance").null)
    The score is no higher than that of dictionaries whose decoder is held at random directions, normal with the \
activations' covariance.
    >>> ct.RandomDictionary(least_cosine=0.8).licenses.split(";")[0]
    'The score needs directions trained further than a cosine of 0.8 from random ones'
    """

    hold: Literal["decoder", "encoder"] = "decoder"
    init: Law = "isotropic"
    least_cosine: float = 1.0

    def __post_init__(self) -> None:
        one_of(self.hold, "hold", ("decoder", "encoder"))
        one_of(self.init, "init", LAWS)
        real_number(self.least_cosine, "least_cosine", low=0, high=1, open_ends=False)

    @property
    def inference(self) -> Inference:
        """A rank among an ensemble."""
        return "ensemble"

    @property
    def null(self) -> str:
        """The null hypothesis, as one sentence."""
        near = "" if self.least_cosine == 1 else f"within a cosine of {self.least_cosine:g} of "
        return (
            f"The score is no higher than that of dictionaries whose {self.hold} is held at {near}random directions, "
            f"{WORDS[self.init]}."
        )

    @property
    def licenses(self) -> str:
        """What surviving this control licenses one to say, as one sentence."""
        if self.least_cosine == 1:
            return (
                f"The score needs a {self.hold} whose directions are trained; not that the model learned what they "
                "show, for which its weights or its text must be drawn anew."
            )
        return (
            f"The score needs directions trained further than a cosine of {self.least_cosine:g} from random ones; "
            "one that does not may still need trained directions, since these are."
        )

    @property
    def preserves(self) -> tuple[Stated, ...]:
        """The number of latents, and the held directions."""
        return (LatentCount(), HeldStill(self.hold, self.least_cosine))

    @property
    def destroys(self) -> tuple[Stated, ...]:
        """Where the directions point: beyond chance, unless they may follow the data part of the way."""
        return (DirectionAlignment(self.hold) if self.least_cosine == 1 else SameDirections(self.hold),)

    def check_trainer(self, trainer: Trainer) -> None:
        """Refuse a trainer that cannot be held."""
        _needs_dictionary_trainer(self.name, trainer, f"hold its {self.hold}")

    def held_back(self, trainer: Trainer, problem: Problem, rng: np.random.Generator) -> Trainer:
        """Return the trainer with random directions that it holds."""
        held = _needs_dictionary_trainer(self.name, trainer, f"hold its {self.hold}")
        sites = held.writes if self.hold == "decoder" else held.reads
        directions = draw_directions(self.init, held.n_latents, problem, sites, rng)
        return held.held(self.hold, directions, self.least_cosine)


@final
@dataclass(frozen=True)
class UntrainedDictionary(TrainingControl):
    """Takes the dictionary as it is before the first training step, from a start of its own in each draw.

    Raises
    ------
    CannotControl
        A trainer that is no ``DictionaryTrainer``, or has no start that it trains from.

    Notes
    -----
    Null hypothesis: the score is no higher than before training. p is the rank among untrained dictionaries. Draws
    repeat the technique on this model and this data set; they say nothing of other models. What a start takes
    from activations, such as their mean, it has. As many latents are active before training as after it where they
    are counted (k); SAEs with a penalty start with about half of them active, so that explained variance and L0 compare
    two sparsities. Cost of a draw: that of a start.

    Of metrics of single directions it is the chance level (``ct.metrics.chance_cosine``): the HUSAI project's
    "SAE features match random baseline" reports a best cosine of .309 trained and .300 untrained, at d = 128
    and 1,024 latents.

    Examples
    --------
    >>> import controls as ct
    >>> print(ct.UntrainedDictionary().null)
    The score is no higher than that of dictionaries before their first training step.
    """

    @property
    def inference(self) -> Inference:
        """A rank among an ensemble."""
        return "ensemble"

    @property
    def null(self) -> str:
        """The null hypothesis, as one sentence."""
        return "The score is no higher than that of dictionaries before their first training step."

    @property
    def licenses(self) -> str:
        """What surviving this control licenses one to say, as one sentence."""
        return (
            "The score needs training of the dictionary; not that the model learned what it shows, for which its "
            "weights or its text must be drawn anew."
        )

    @property
    def preserves(self) -> tuple[Stated, ...]:
        """The number of latents, and that directions do not depend on the rows."""
        return (LatentCount(), HeldStill("decoder"))

    @property
    def destroys(self) -> tuple[Stated, ...]:
        """Where the directions point."""
        return (DirectionAlignment(),)

    def check_trainer(self, trainer: Trainer) -> None:
        """Refuse a trainer without a start."""
        _needs_dictionary_trainer(self.name, trainer, "be left untrained")

    def held_back(self, trainer: Trainer, problem: Problem, rng: np.random.Generator) -> Trainer:
        """Return the trainer that takes no step, and starts from this draw's own stream."""
        untrained = _needs_dictionary_trainer(self.name, trainer, "be left untrained").untrained()
        return _StartsOnItsOwn(untrained, int(rng.integers(2**63)))


@final
@dataclass(frozen=True)
class _StartsOnItsOwn(Trainer):
    """A trainer with a stream of its own, where that of the fold would give every draw the same start."""

    trainer: Trainer
    seed: int

    @property
    def reads(self) -> tuple[str, ...]:
        """The sites that the trainer reads."""
        return self.trainer.reads

    @property
    def uses_threads(self) -> bool:
        """Whether the trainer does."""
        return self.trainer.uses_threads

    def fit(self, problem: Problem, rng: np.random.Generator) -> Any:
        """Return what the trainer starts from."""
        return self.trainer.fit(problem, stream(self.seed, "untrained"))


def _needs_dictionary_trainer(name: str, trainer: Trainer, do: str) -> DictionaryTrainer:
    if isinstance(trainer, DictionaryTrainer):
        return trainer
    raise CannotControl(
        f"{name} needs a trainer that can {do} (ct.finders.SAE, or a class of yours with ct.core.dictionary."
        f"DictionaryTrainer's methods), got {type(trainer).__name__}; RandomDirections and ShuffleDecoder take what "
        "any trainer finds."
    )
