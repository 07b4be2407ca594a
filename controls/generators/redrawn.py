"""Redrawn weights: what all controls on weights share: the swap, the extraction, and the proof of every draw."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, final

import numpy as np

from controls.core.control import Control, Inference, Level
from controls.core.errors import InputError
from controls.core.key import NoContent, content_key
from controls.core.problem import Problem, Source
from controls.core.properties import Property, SameActivations, SameGroups, SameLabels
from controls.core.rng import stream
from controls.generators.proofs import activation_figures, weight_figures
from controls.models.names import AS_READ, as_patterns

if TYPE_CHECKING:
    import torch
    from torch import nn

    from controls.models.swap import Swap
    from controls.models.tensors import Tensor

    Law = Callable[[Tensor, torch.Generator], torch.Tensor]  # of a tensor in float32: what is written in its place


class WeightControl(Control):
    """A control on weights: the model reads the same inputs with other weights; labels and groups stay.

    Concrete controls have ``include`` and ``exclude``: globs on the names of parameters, or kinds
    ("embeddings", "unembedding", "norms", "biases"). Tied parameters stay tied, buffers stay as they are,
    and the caller's model has every byte of its weights back after each draw.
    """

    level: ClassVar[Level] = "weights"
    include: tuple[str, ...] | None
    exclude: tuple[str, ...]

    def _check_patterns(self) -> None:
        """Keep include and exclude as tuples."""
        if self.include is not None:
            object.__setattr__(self, "include", as_patterns(self.include, "include"))
        object.__setattr__(self, "exclude", as_patterns(self.exclude, "exclude"))

    @property
    def inference(self) -> Inference:
        """A rank among an ensemble of models."""
        return "ensemble"

    @property
    @abstractmethod
    def ensemble(self) -> str:
        """The ensemble of redrawn models in words, to follow "models"."""

    @property
    def null(self) -> str:
        """The null hypothesis, as one sentence."""
        return f"The model's score comes from the same law as those of models {self.ensemble}{self._where}."

    @property
    def licenses(self) -> str:
        """What surviving this control licenses one to say, as one sentence."""
        return (
            f"This model's activations give more than those of models {self.ensemble}{self._where}; of this one "
            "trained model, not of every training like it."
        )

    @property
    def _where(self) -> str:
        """Return which parameters alone are redrawn, in words."""
        include, exclude = getattr(self, "include", None), getattr(self, "exclude", ())
        only = f"only {', '.join(include)}" if include else ""
        but = f"not {', '.join(exclude)}" if exclude else ""
        return f" (of their parameters {', '.join(part for part in (only, but) if part)})" if only or but else ""

    @property
    def preserves(self) -> tuple[Property, ...]:
        """The labels and the groups; what is kept of the weights is proved by each draw."""
        return (SameLabels(), SameGroups())

    @property
    def destroys(self) -> tuple[Property, ...]:
        """The activations that the trained weights gave."""
        return (SameActivations(),)

    def targets(self, model: nn.Module, tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Return those of a model's tensors that are redrawn."""
        from controls.models.tensors import select

        return select(tensors, self.include, self.exclude)

    def prepare(self, source: Source) -> None:
        """Measure what the draw needs of the trained model, before anything is written."""

    @abstractmethod
    def redraw(self, swap: Swap, targets: Sequence[Tensor], source: Source, seed: int) -> dict[str, float]:
        """Write drawn weights into the targets, and return figures that prove what is kept of the trained ones."""

    def check(self, problem: Problem) -> None:
        """Refuse a problem without a model, and parameters that cannot be redrawn."""
        from controls.models.swap import fingerprint
        from controls.models.tensors import check_redrawable, refuse_packed, require_module, tensors_of

        model = require_module(self._source(problem).model)
        refuse_packed(model)
        tensors = tensors_of(model)
        check_redrawable(self.targets(model, tensors))
        _refuse_changed(self._source(problem), {tensor.name: fingerprint(tensor.parameter) for tensor in tensors})
        self._try(problem)

    def _try(self, problem: Problem) -> None:
        """Draw once on a few of the inputs, where the source can tell which: what cannot be drawn is refused early."""
        source = self._source(problem)
        few = getattr(source.extract, "few", None)
        if few is None:
            return
        inputs = source.memo("few inputs", lambda: few(source.inputs))
        before = source.extract(source.model, inputs)
        after = source.memo(("few rows", self), lambda: Redrawn(source, ((self, 0),))(source.model, inputs))
        if isinstance(before, Mapping):
            names = problem.sites if problem.site is None else (problem.site,)
            pairs = [(before[name], after[name]) for name in names]
        else:
            pairs = [(before, after)]
        for old, new in pairs:
            activation_figures(old, new)

    def draw(self, problem: Problem, rng: np.random.Generator) -> Problem:
        """Return the problem with the activations of the model with redrawn weights."""
        source, seed = self._source(problem), int(rng.integers(2**63))
        before = source.extract if isinstance(source.extract, Redrawn) else Redrawn(source, ())
        extract = Redrawn(before.base, (*before.steps, (self, seed)))
        activations, figures = extract.run(source.model, source.inputs, shared=problem.site is not None)
        drawn = problem.extracted(Source(source.model, source.inputs, extract), activations)
        return drawn.proved(figures | activation_figures(problem.X, drawn.X)) if not drawn.sites else drawn

    def _source(self, problem: Problem) -> Source:
        if problem.source is None:
            raise InputError(
                f"{self.name} redraws the weights of a model, but the problem has no source; make the problem with "
                "ct.from_model(model, inputs, layer=...), or give source=ct.Source(model, inputs, extract)."
            )
        return problem.source


def _refuse_changed(source: Source, now: Mapping[str, int]) -> None:
    """Refuse a model whose weights are not those of which the problem was made."""
    then = source.memo(AS_READ, dict)
    changed = [name for name, before in then.items() if now.get(name) != before]
    if changed:
        raise InputError(
            f"model must be as it was when the problem was made, but {len(changed)} of its tensors have changed, the "
            f"first {changed[0]!r}; make the problem anew with ct.from_model."
        )


@final
@dataclass(frozen=True, eq=False)
class Redrawn:
    """An extraction with redrawn weights: it swaps them in, extracts, and puts the trained ones back."""

    base: Source
    steps: tuple[tuple[WeightControl, int], ...]  # controls and seeds, in the order in which they are applied

    def __call__(self, model: Any, inputs: Any) -> Any:
        """Return the activations of the redrawn model."""
        return self.run(model, inputs)[0]

    def run(self, model: Any, inputs: Any, *, shared: bool = False) -> tuple[Any, dict[str, float]]:
        """Return the activations, and the figures that prove the draw.

        Where they are ``shared`` (by the sites of a sweep), or the source has a cache, they are kept in files.
        """
        cache = getattr(self.base.extract, "cache", None)
        ours = model is self.base.model and inputs is self.base.inputs
        key = self._key() if ours and (shared or cache is not None) else None
        if key is None:
            return self._extracted(model, inputs)
        from controls.models.shelf import Shelf

        shelf = self.base.memo("shelf", lambda: Shelf(cache))
        known = shelf.get(key)
        if known is not None:
            return known[0].get("", known[0]), known[1]
        activations, figures = self._extracted(model, inputs)
        shelf.put(key, activations if isinstance(activations, Mapping) else {"": activations}, figures)
        return activations, figures

    def _key(self) -> str | None:
        """Return the key under which these activations are kept; None where they have no content to go by."""
        try:
            origin = self.base.memo("key", lambda: origin_key(self.base))
            return content_key((origin, [(content_key(control), seed) for control, seed in self.steps]))
        except NoContent:
            return None

    def _extracted(self, model: Any, inputs: Any) -> tuple[Any, dict[str, float]]:
        with self.swapped(model) as (_, figures):
            return self.base.extract(model, inputs), figures

    @contextmanager
    def swapped(self, model: Any) -> Iterator[tuple[Swap, dict[str, float]]]:
        """Have the drawn weights in a model, with the figures that prove them; afterwards the trained ones are back."""
        from controls.models.swap import Swap

        for control, _ in self.steps:
            control.prepare(self.base)
        figures: dict[str, float] = {}
        targets: dict[str, Tensor] = {}
        with Swap(model) as swap:
            _refuse_changed(self.base, swap.before)
            for control, seed in self.steps:
                own = control.targets(model, swap.tensors)
                targets |= {tensor.name: tensor for tensor in own}
                figures |= control.redraw(swap, own, self.base, seed)
            yield swap, figures | weight_figures(swap, tuple(targets.values()))


def origin_key(source: Source) -> str:
    """Return what tells the activations of one source from those of another: its own key where it has one."""
    key = getattr(source.extract, "key", None)
    return str(key(source.model, source.inputs)) if callable(key) else f"this source {id(source)}"


def redraw_tensors(swap: Swap, targets: Iterable[Tensor], law: Law, seed: int) -> None:
    """Draw each tensor by a law, in float32 (float64 stays), from a stream of its own that its name and seed decide."""
    for tensor in targets:
        swap.write(tensor, law(tensor, generator_for(tensor, seed)))


def generator_for(tensor: Tensor, seed: int, *key: str) -> torch.Generator:
    """Return the generator, on the tensor's device, that its name, the seed and a further key decide."""
    import torch

    generator = torch.Generator(device=tensor.parameter.device)
    generator.manual_seed(int(stream(seed, "weights", tensor.name, *key).integers(2**63)))
    return generator


def as_wide(tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor without its gradient, in float32, or float64 where it is."""
    return tensor.detach().float() if tensor.element_size() < 4 else tensor.detach()
