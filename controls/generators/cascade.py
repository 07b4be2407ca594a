"""The control that redraws some of a model's blocks: the first so many from one end, or one of them alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, final, get_args

import numpy as np

from controls.core.control import Control, Inference
from controls.core.errors import CannotControl, InputError, InputTypeError
from controls.core.problem import Problem, Source
from controls.core.properties import Property, SameGroups, SameLabels
from controls.core.validate import one_of, whole_number
from controls.generators.blocks import as_globs, blocks_of, lies_in
from controls.generators.redrawn import WeightControl
from controls.generators.weight_properties import MatrixSpectra, TensorValues

if TYPE_CHECKING:
    from torch import nn

    from controls.models.swap import Swap
    from controls.models.tensors import Tensor

Order = Literal["top_down", "bottom_up", "independent"]


@final
@dataclass(frozen=True)
class Cascade(WeightControl):
    """Redraws some blocks by another control, and keeps the others trained; ``ct.cascade`` goes through all steps.

    Parameters
    ----------
    control : control on weights
        What is done to a block, such as ``Reinitialize()``. What it leaves out stays trained here too.
    step : int
        From 1: how many blocks are redrawn; with order "independent", which one alone.
    order : {"top_down", "bottom_up", "independent"}
        Whether blocks are redrawn from the one nearest the output on, from the one nearest the input on, or each
        alone, counted from the input.
    blocks : str or sequence of str, optional
        Globs on the paths of modules, of which ``*`` stands for one step, such as ``"encoder.layer.*"``. The
        parts of the model's longest ``ModuleList`` or ``Sequential`` where None. What lies outside blocks, such as
        embeddings, stays trained.

    Raises
    ------
    InputError
        A step beyond the number of blocks; blocks that are not there.
    CannotControl
        Blocks without parameters that the control redraws, or that come after the layer that is looked at.

    Notes
    -----
    Null hypothesis: that of ``control``, of models in which these blocks alone are redrawn. A block has one stream
    of its own in each draw, whatever the step: of one draw, steps differ in one block only. Costs what
    ``control`` costs on these blocks.

    References
    ----------
    Adebayo et al. (2018), Sanity checks for saliency maps, arXiv 1810.03292: cascading and independent
    randomisation.

    Examples
    --------
    >>> import numpy as np, torch, controls as ct
    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 8))
    >>> X = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
    >>> problem = ct.from_model(model, X, layer="2", labels=(X[:, 0] > 0).numpy())
    >>> steps = [ct.Cascade(ct.Reinitialize(), step=step) for step in (1, 2)]
    >>> [step.draw(problem, np.random.default_rng(0)).proof["tensors redrawn"] for step in steps]
    [2.0, 4.0]
    """

    control: WeightControl
    step: int = 1
    order: Order = "top_down"
    blocks: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.control, WeightControl):
            raise InputTypeError(f"control must be one on weights, such as ct.Reinitialize(), got {self.control!r}.")
        if self.control.inference == "paired":
            raise InputError("control must draw at random, got a checkpoint; cascades compare draws.")
        whole_number(self.step, "step", low=1)
        one_of(self.order, "order", get_args(Order))
        object.__setattr__(self, "blocks", as_globs(self.blocks, "blocks"))

    @property
    def drawn_like(self) -> Control:
        """The control whose streams are used: that of the blocks, so that all steps share their draws."""
        return self.control.drawn_like

    @property
    def inference(self) -> Inference:
        """That of the control of the blocks."""
        return self.control.inference

    @property
    def _which(self) -> str:
        if self.order == "independent":
            return f"block {self.step} alone"
        end = "output" if self.order == "top_down" else "input"
        return f"the block nearest the {end}" if self.step == 1 else f"the {self.step} blocks nearest the {end}"

    @property
    def ensemble(self) -> str:
        """The ensemble of redrawn models in words."""
        return f"{self.control.ensemble}, in {self._which}, the rest as trained"

    @property
    def preserves(self) -> tuple[Property, ...]:
        """What the control of the blocks keeps tensor by tensor."""
        kept = (SameLabels, SameGroups, TensorValues, MatrixSpectra)
        return tuple(item for item in self.control.preserves if isinstance(item, kept))

    @property
    def destroys(self) -> tuple[Property, ...]:
        """What the control of the blocks destroys."""
        return self.control.destroys

    def chosen(self, model: nn.Module) -> tuple[str, ...]:
        """Return the paths of the blocks that this step redraws."""
        blocks = blocks_of(model, self.blocks)
        if self.step > len(blocks):
            raise InputError(f"step must be at most {len(blocks)}, the number of blocks, got {self.step}.")
        if self.order == "independent":
            return (blocks[self.step - 1],)
        return blocks[-self.step :] if self.order == "top_down" else blocks[: self.step]

    def targets(self, model: nn.Module, tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Return the tensors of these blocks that the control redraws."""
        paths = self.chosen(model)
        found = tuple(t for t in self.control.targets(model, tensors) if lies_in(t.names, paths))
        empty = [path for path in paths if not any(lies_in(tensor.names, [path]) for tensor in found)]
        if empty:
            raise CannotControl(
                f"block {empty[0]!r} has no parameter that {type(self.control).__name__} redraws; name other blocks."
            )
        return found

    def prepare(self, source: Source) -> None:
        """Measure what the control of the blocks needs."""
        self.control.prepare(source)

    def redraw(self, swap: Swap, targets: Sequence[Tensor], source: Source, seed: int) -> dict[str, float]:
        """Redraw the blocks' tensors as the control does."""
        return {
            "blocks redrawn": float(len(self.chosen(swap.model))),
            **self.control.redraw(swap, targets, source, seed),
        }


def upstream_blocks(problem: Problem, globs: Sequence[str] | None) -> tuple[str, ...]:
    """Return the blocks of a problem's model that begin before the layer that it looks at is done.

    Costs one forward pass over a few inputs. All blocks where the source does not say which layer that is.
    """
    source = problem.source
    if source is None:
        raise InputError("problem must have a source with a model for a cascade; make it with ct.from_model.")
    blocks = blocks_of(source.model, globs)
    layers, few = getattr(source.extract, "layers", None), getattr(source.extract, "few", None)
    if not layers or few is None:
        return blocks
    looked_at = (problem.site,) if problem.site in layers else layers
    seen: list[str] = []
    handles = [source.model.get_submodule(path).register_forward_pre_hook(lambda *_, path=path: seen.append(path))
               for path in blocks]  # fmt: skip
    handles += [source.model.get_submodule(path).register_forward_hook(lambda *_, path=path: seen.append(f"end {path}"))
                for path in looked_at]  # fmt: skip
    try:
        source.extract(source.model, few(source.inputs))
    finally:
        for handle in handles:
            handle.remove()
    ends = [seen.index(f"end {path}") for path in looked_at]
    return tuple(path for path in blocks if path in seen[: int(np.max(ends))])
