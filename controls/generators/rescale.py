"""The control that redraws weights and then gives activations the size that they had in the trained model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, final, get_args

from controls.core.control import Control, Inference
from controls.core.errors import CannotControl, InputError, InputTypeError
from controls.core.problem import Problem, Source
from controls.core.properties import Property
from controls.core.validate import one_of, whole_number
from controls.generators.blocks import as_globs, modules_like
from controls.generators.redrawn import Redrawn, WeightControl
from controls.generators.sizes import Calibration, Size, rescale

if TYPE_CHECKING:
    from torch import nn

    from controls.models.swap import Swap
    from controls.models.tensors import Tensor

Match = Literal["norm", "moments"]
_WORDS: dict[Match, str] = {"norm": "norm of activations", "moments": "mean and variance of activations"}
_CLOSE = 0.05  # error of a size up to which it counts as kept


@final
@dataclass(frozen=True)
class MatchActivations(WeightControl):
    """Redraws weights by another control, then rescales layer by layer, to activations as large as the trained ones.

    Rules out that a redrawn model gives less because its activations were too small, or too large.

    Parameters
    ----------
    after : control on weights
        What redraws the weights, such as ``Reinitialize()``; its ``include`` and ``exclude`` hold here too.
    match : {"norm", "moments"}
        What is matched of each layer's output on the calibration batch: the root mean square of its entries, or their
        mean and variance, each one number a layer.
    layers : str or sequence of str, optional
        Globs on the paths of modules, of which ``*`` stands for one step, such as ``"encoder.layer.*"``. Where None,
        every module whose ``weight`` is redrawn: linear layers, convolutions, embeddings, norms.
    batch : int
        How many sequences are the calibration batch, read together; they are spread evenly over all lengths.

    Raises
    ------
    InputError
        A control that is not on weights; layers that are not there.
    CannotControl
        No layer that can be rescaled: none runs, or what writes it is not among the redrawn parameters.

    Notes
    -----
    Null hypothesis: the model's score comes from the same law as those of models that ``after`` draws, rescaled.

    Layers are rescaled in the order in which they run, each on what the rescaled ones before it give. A layer's size
    is changed at the module that writes it: itself, or the last one inside it that has a ``weight``. That
    weight and its bias are multiplied, and for "moments" the bias is shifted. An output that is no multiple of what
    is written (a sum with a residual stream, an activation function) is solved for in up to eight steps. Where it
    cannot be met (a stream that is too large by itself, a mean without a bias) the nearest is taken, and the proof
    has the largest error that remains, measured afterwards; it is a share of the larger of the two sizes.

    A module that runs several times counts by its first run. Trained sizes are measured once. Cost of a draw:
    that of ``after``, and about three forward passes of the calibration batch.

    References
    ----------
    Mishkin and Matas (2016), All you need is a good init, arXiv 1511.06422, on scaling layer by layer.

    Examples
    --------
    >>> import numpy as np, torch, controls as ct
    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 8))
    >>> X = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
    >>> problem = ct.from_model(model, X, layer="2", labels=(X[:, 0] > 0).numpy())
    >>> drawn = ct.MatchActivations(ct.Reinitialize()).draw(problem, np.random.default_rng(0))
    >>> drawn.proof["layers rescaled"], drawn.proof["largest error of a matched size"] < 1e-5
    (2.0, True)
    """

    after: WeightControl
    match: Match = "norm"
    layers: tuple[str, ...] | None = None
    batch: int = 32

    def __post_init__(self) -> None:
        if not isinstance(self.after, WeightControl):
            raise InputTypeError(f"after must be a control on weights, such as ct.Reinitialize(), got {self.after!r}.")
        if self.after.inference == "paired":
            raise InputError("after must draw at random, got a checkpoint, which is a model as it is.")
        one_of(self.match, "match", get_args(Match))
        object.__setattr__(self, "layers", as_globs(self.layers, "layers"))
        whole_number(self.batch, "batch", low=1)

    @property
    def drawn_like(self) -> Control:
        """The control whose streams are used: ``after``, so that with and without rescaling have the same draws."""
        return self.after.drawn_like

    @property
    def inference(self) -> Inference:
        """That of the control that redraws."""
        return self.after.inference

    @property
    def ensemble(self) -> str:
        """The ensemble of redrawn models in words."""
        return f"{self.after.ensemble}, rescaled to the trained {_WORDS[self.match]}"

    @property
    def preserves(self) -> tuple[Property, ...]:
        """The labels, the groups, and the sizes of activations."""
        return (*super().preserves, ActivationSizes(self))

    @property
    def destroys(self) -> tuple[Property, ...]:
        """What the control that redraws destroys."""
        return self.after.destroys

    def targets(self, model: nn.Module, tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Return the tensors that are redrawn."""
        return self.after.targets(model, tensors)

    def prepare(self, source: Source) -> None:
        """Measure the trained sizes, once."""
        self.after.prepare(source)
        self.sizes(source)

    def sizes(self, source: Source) -> dict[str, Size]:
        """Return the size of each layer in the trained model, in the order in which they run."""
        from controls.models.tensors import tensors_of

        def measured() -> dict[str, Size]:
            model = source.model
            found = Calibration(source, self.batch).sizes(self._layers(model, self.targets(model, tensors_of(model))))
            if not found:
                raise CannotControl("no layer that is to be matched runs when the model reads its inputs; name others.")
            return found

        return source.memo(("sizes", self), measured)

    def _layers(self, model: nn.Module, targets: Sequence[Tensor]) -> tuple[str, ...]:
        if self.layers is not None:
            return modules_like(model, self.layers, "layer")
        return tuple(tensor.path for tensor in targets if tensor.attribute == "weight" and tensor.path)

    def redraw(self, swap: Swap, targets: Sequence[Tensor], source: Source, seed: int) -> dict[str, float]:
        """Redraw, then rescale what was redrawn."""
        figures = self.after.redraw(swap, targets, source, seed)
        wanted, calibration = self.sizes(source), Calibration(source, self.batch)
        own = {path: size for path, size in wanted.items() if _written_by(swap, size, targets)}
        if not own:
            raise CannotControl(
                "no layer can be rescaled: what writes the layers named is not among the parameters that are redrawn; "
                "name other layers, or redraw more."
            )
        rescale(swap, calibration, own, self.match, targets)
        errors = calibration.errors(own, self.match)
        return figures | {
            "layers rescaled": float(len(own)),
            "largest error of a matched size": max(errors.values()),
        }


@final
@dataclass(frozen=True)
class ActivationSizes(Property):
    """The sizes of activations on the calibration batch that a control matches."""

    control: MatchActivations

    @property
    def words(self) -> str:
        """The property in words."""
        return f"the {_WORDS[self.control.match]} of each layer, on {self.control.batch} sequences"

    def holds(self, before: Problem, after: Problem) -> bool:
        """Whether sizes agree to a twentieth; draws and measures again."""
        extract = after.source.extract if after.source is not None else None
        if not isinstance(extract, Redrawn):
            return False
        wanted = self.control.sizes(extract.base)
        with extract.swapped(extract.base.model):
            errors = Calibration(extract.base, self.control.batch).errors(wanted, self.control.match)
        return max(errors.values()) <= _CLOSE


def _written_by(swap: Swap, size: Size, targets: Sequence[Tensor]) -> bool:
    """Whether the weight of the module that writes a layer is redrawn."""
    return any(f"{size.writer}.weight" in tensor.names for tensor in targets) and bool(swap.written)
