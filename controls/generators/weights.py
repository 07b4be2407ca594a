"""The control that draws weights afresh: by initialisers, by the law of each tensor, or as a checkpoint has them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, final, get_args

from controls.core.control import Inference
from controls.core.errors import CannotControl, InputError
from controls.core.problem import Problem, Source
from controls.core.validate import one_of, real_number
from controls.generators.checkpoints import Checkpoint, as_checkpoint
from controls.generators.redrawn import WeightControl, as_wide, redraw_tensors
from controls.models.names import FIRST_MOMENTS, MOMENTS

if TYPE_CHECKING:
    import torch
    from torch import nn

    from controls.models.swap import Swap
    from controls.models.tensors import Tensor

Scheme = Literal["module", "moments", "normal", "checkpoint"]
_WORDS = {
    "module": "that were initialised and never trained",
    "moments": "with normal weights of each tensor's own mean and variance",
    "normal": "with normal weights of standard deviation {std:g}, biases 0 and gains 1",
    "checkpoint": "with the weights of a checkpoint",
}
_MOST_ERRORS = 6.0  # standard errors that a drawn mean or standard deviation may be off
_ENOUGH = 32  # entries of a tensor whose moments are looked at


@final
@dataclass(frozen=True)
class Reinitialize(WeightControl):
    """Keeps the architecture and the inputs; draws the weights afresh, as if the model had never been trained.

    Parameters
    ----------
    scheme : {"module", "moments", "normal", "checkpoint"}
        "module": each module's own initialiser (that of a Hugging Face model where there is one, else
        ``reset_parameters``); parameters of modules that have none get normal values of their own mean and
        variance. "moments": every tensor does. "normal": matrices, embeddings and bare parameters get normal
        values of mean 0 and standard deviation ``std``, biases 0, gains of norms 1. "checkpoint": the values that
        ``checkpoint`` has.
    include, exclude : str or tuple of str
        Globs on the names of parameters, such as ``"*.attention.*"``, or kinds: "embeddings",
        "unembedding", "norms", "biases". All parameters where ``include`` is None.
    std : float
        Of scheme "normal".
    checkpoint : mapping of names to tensors, or path, optional
        Of scheme "checkpoint": a state dict such as that of step 0, or a file of one (``.safetensors``, or what
        ``torch.save`` wrote, which is read without running code). Tied parameters need one of their names.

    Raises
    ------
    InputError
        A checkpoint that lacks targeted parameters, has names or shapes that the model does not have, or is not
        finite; a checkpoint without scheme="checkpoint", or the other way round.

    Notes
    -----
    Null hypothesis: the model's score comes from the same law as those of models redrawn in this way. A rank
    among them is a statement about this one model; an untrained model can be selective too.

    The rank is exact for weights drawn by the same law: by the module's initialiser, or normal with mean 0 and ``std``.
    "moments" draws means around a mean, so that they spread more: of small normal networks that learned nothing 6.5%
    rank first of 20. And it keeps what a mean gives: of sparse 0/1 ones 0.8% rank first, and 23% among redraws of
    mean 0 (2000 networks each).

    A checkpoint is one other model, not an ensemble: there is one draw, and the two models are compared unit by
    unit (null: it makes no difference to the score, on any unit, which of the two is read). That speaks of these
    two models. For several checkpoints name a control for each; the claim holds if it survives all.

    Initialisers run on copies without values, with random numbers of their own, so that no flag of a loaded
    model ("already initialised") and no global seed decides; whatever they leave unset is drawn by moments.
    Of drawn tensors the mean and the standard deviation are checked against their law, to 6 standard errors.
    Cost of a draw: O(parameters), then one forward pass; memory: one module's
    parameters in float32. Files of checkpoints are read at each draw.

    References
    ----------
    Adebayo et al. (2018), Sanity checks for saliency maps, arXiv 1810.03292. Heap et al. (2025), arXiv
    2501.17727, on each matrix's own mean and variance, and on step 0.

    Examples
    --------
    >>> import numpy as np, torch, controls as ct
    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU())
    >>> X = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
    >>> problem = ct.from_model(model, X, layer="1", labels=(X[:, 0] > 0).numpy())
    >>> drawn = ct.Reinitialize().draw(problem, np.random.default_rng(0))
    >>> drawn.proof["tensors redrawn"], drawn.proof["tensors by their module's initialiser"]
    (2.0, 2.0)
    >>> step0 = {name: torch.zeros_like(value) + 0.1 for name, value in model.state_dict().items()}
    >>> ct.Reinitialize(scheme="checkpoint", checkpoint=step0).inference
    'paired'
    """

    scheme: Scheme = "module"
    include: tuple[str, ...] | None = None
    exclude: tuple[str, ...] = ()
    std: float = 0.02
    checkpoint: Checkpoint | Mapping[str, Any] | str | None = None

    def __post_init__(self) -> None:
        one_of(self.scheme, "scheme", get_args(Scheme))
        self._check_patterns()
        object.__setattr__(self, "std", real_number(self.std, "std", low=0.0, high=float("inf")))
        if (self.checkpoint is None) == (self.scheme == "checkpoint"):
            raise InputError(
                "checkpoint must be given with scheme='checkpoint', and with no other, got "
                f"scheme={self.scheme!r} and checkpoint={'None' if self.checkpoint is None else 'one'}."
            )
        if self.checkpoint is not None:
            object.__setattr__(self, "checkpoint", as_checkpoint(self.checkpoint))

    @property
    def inference(self) -> Inference:
        """A rank among an ensemble of models; with a checkpoint, one paired comparison."""
        return "paired" if self.scheme == "checkpoint" else "ensemble"

    @property
    def ensemble(self) -> str:
        """The ensemble of redrawn models in words."""
        return _WORDS[self.scheme].format(std=self.std)

    @property
    def null(self) -> str:
        """The null hypothesis, as one sentence."""
        if self.scheme != "checkpoint":
            return super().null
        return "Unit by unit, it makes no difference whether this model is read or one other, that of the checkpoint."

    @property
    def licenses(self) -> str:
        """What surviving this control licenses one to say, as one sentence."""
        if self.scheme != "checkpoint":
            return super().licenses
        return (
            "This model's activations give more than those of one other model, the checkpoint; nothing is said of "
            "other trainings or other beginnings."
        )

    def check(self, problem: Problem) -> None:
        """Refuse what cannot be redrawn, and a checkpoint of another model."""
        if isinstance(self.checkpoint, Checkpoint):
            from controls.models.tensors import require_module, tensors_of

            model = require_module(self._source(problem).model)
            targets = self.targets(model, tensors_of(model))
            self.checkpoint.check(targets, {name: tuple(t.shape) for name, t in model.state_dict().items()})
            self.checkpoint.check_buffers(dict(model.named_buffers()))
        super().check(problem)

    def redraw(self, swap: Swap, targets: Sequence[Tensor], source: Source, seed: int) -> dict[str, float]:
        """Write what initialisers or the checkpoint give, and normal values elsewhere."""
        if isinstance(self.checkpoint, Checkpoint):
            for tensor, values in self.checkpoint.values(targets):
                swap.write(tensor, values)
            return {"tensors of the checkpoint": float(len(targets))}
        if self.scheme == "normal":
            return _drawn_by(swap, targets, self._moments, seed)
        known: set[Tensor] = set()
        if self.scheme == "module":
            from controls.models.initialise import always_the_same, initialised

            for tensor, values in initialised(swap.model, targets, seed):
                swap.write(tensor, values)
                known.add(tensor)
            doubted = _in_doubt(swap, [tensor for tensor in targets if tensor in known])
            swap.settle(always_the_same(swap.model, doubted) if doubted else ())
        left = [tensor for tensor in targets if tensor not in known]
        first = {FIRST_MOMENTS: _place(swap.model, left[0])} if left and self.scheme == "module" else {}
        return {
            "tensors by their module's initialiser": float(len(known)),
            MOMENTS: float(len(left)),
            **first,
            **_drawn_by(swap, left, own_moments, seed),
        }

    def _moments(self, tensor: Tensor) -> tuple[float, float]:
        """Return the mean and the standard deviation of scheme "normal"."""
        if "biases" in tensor.kinds or tensor.attribute.endswith("bias"):
            return 0.0, 0.0
        return (1.0, 0.0) if "norms" in tensor.kinds else (0.0, self.std)


def _in_doubt(swap: Swap, tensors: Sequence[Tensor]) -> list[Tensor]:
    """Return the tensors that hold what another one does, or what they were trained to."""
    held = [(tuple(tensor.parameter.shape), swap.print_of(tensor)) for tensor in tensors]
    counts = Counter(held)
    return [t for t, each in zip(tensors, held, strict=True) if counts[each] > 1 or swap.is_trained(t)]


def _place(model: nn.Module, tensor: Tensor) -> float:
    """Return the place of a tensor among the parameters of a model, from 0."""
    return float([name for name, _ in model.named_parameters()].index(tensor.name))


def own_moments(tensor: Tensor) -> tuple[float, float]:
    """Return a tensor's own mean and standard deviation."""
    weights = as_wide(tensor.parameter)
    return float(weights.mean()), float(weights.std(correction=0))


def _drawn_by(
    swap: Swap, tensors: Sequence[Tensor], moments: Callable[[Tensor], tuple[float, float]], seed: int
) -> dict[str, float]:
    """Write normal values of these moments; return how far, in standard errors, what was drawn is from them."""
    import torch

    errors = [0.0]

    def law(tensor: Tensor, generator: torch.Generator) -> torch.Tensor:
        like = as_wide(tensor.parameter)
        mean, spread = moments(tensor)
        drawn = torch.randn(like.shape, generator=generator, dtype=like.dtype, device=like.device)
        drawn = mean + spread * drawn
        errors.append(_standard_errors(tensor.name, drawn, mean, spread))
        return drawn

    redraw_tensors(swap, tensors, law, seed)
    return {"largest deviation of a moment, in standard errors": max(errors)} if tensors else {}


def _standard_errors(name: str, drawn: torch.Tensor, mean: float, spread: float) -> float:
    """Return by how many standard errors the mean or the standard deviation is off; refuse more than chance gives."""
    n = drawn.numel()
    if n < _ENOUGH or not spread:
        return 0.0
    wide = drawn.double()
    of_mean = abs(float(wide.mean()) - mean) / spread * n**0.5
    of_spread = abs(float(wide.std(correction=0)) / spread - 1) * (2 * n) ** 0.5
    if max(of_mean, of_spread) > _MOST_ERRORS:
        raise CannotControl(
            f"the redraw of {name!r} is {max(of_mean, of_spread):.1f} standard errors from its mean or variance, more "
            "than chance gives; load the weights in a type that can hold them."
        )
    return max(of_mean, of_spread)
