"""Redrawn weights: what all controls on weights share: the swap, the extraction, and the proof of every draw."""

from __future__ import annotations

from abc import abstractmethod
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, final

import numpy as np

from controls.core.control import Control, Inference, Level
from controls.core.errors import CannotControl, InputError
from controls.core.key import NoContent, content_key
from controls.core.problem import Problem, Source
from controls.core.properties import Property, SameActivations, SameGroups, SameLabels
from controls.core.rng import stream

if TYPE_CHECKING:
    import torch

    from controls.models.swap import Swap
    from controls.models.tensors import Tensor

    Law = Callable[[Tensor, torch.Generator], torch.Tensor]  # of a tensor in float32: what is written in its place

_SURE = 32  # distinct values, and rows, from which a draw that changes nothing is no accident
_ROWS = 128  # of activations that are compared


class WeightControl(Control):
    """A control on weights: the model reads the same inputs with other weights; labels and groups stay.

    Concrete controls have ``include`` and ``exclude``: globs on the names of parameters, or kinds
    ("embeddings", "unembedding", "norms", "biases"). Tied parameters stay tied, buffers stay as they are,
    and the caller's model has every byte of its weights back after each draw.
    """

    level: ClassVar[Level] = "weights"
    include: tuple[str, ...] | None
    exclude: tuple[str, ...]

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
        return f"The model's score comes from the same law as those of models {self.ensemble}."

    @property
    def licenses(self) -> str:
        """What surviving this control licenses one to say, as one sentence."""
        return (
            f"This model's activations give more than those of models {self.ensemble}; of this one trained model, "
            "not of every training like it."
        )

    @property
    def preserves(self) -> tuple[Property, ...]:
        """The labels and the groups; what is kept of the weights is proved by each draw."""
        return (SameLabels(), SameGroups())

    @property
    def destroys(self) -> tuple[Property, ...]:
        """The activations that the trained weights gave."""
        return (SameActivations(),)

    def targets(self, tensors: Iterable[Tensor]) -> tuple[Tensor, ...]:
        """Return the tensors that are redrawn."""
        from controls.models.tensors import select

        return select(tuple(tensors), self.include, self.exclude)

    @abstractmethod
    def redraw(self, swap: Swap, source: Source, seed: int) -> dict[str, float]:
        """Write drawn weights into the model, and return figures that prove what is kept of the trained ones."""

    def check(self, problem: Problem) -> None:
        """Refuse a problem without a model, and parameters that cannot be redrawn."""
        from controls.models.tensors import check_redrawable, refuse_packed, require_module, tensors_of

        model = require_module(self._source(problem).model)
        refuse_packed(model)
        check_redrawable(self.targets(tensors_of(model)))
        self._try(problem)

    def _try(self, problem: Problem) -> None:
        """Draw once on a few of the inputs, where the source can tell which: what cannot be drawn is refused early."""
        source = self._source(problem)
        few = getattr(source.extract, "few", None)
        if few is None:
            return
        inputs = source.memo("few inputs", lambda: few(source.inputs))
        before = source.memo("few rows", lambda: source.extract(source.model, inputs))
        after = source.memo(("few rows", self), lambda: Redrawn(source, ((self, 0),))(source.model, inputs))
        if isinstance(before, Mapping):
            names = problem.sites if problem.site is None else (problem.site,)
            pairs = [(before[name], after[name]) for name in names]
        else:
            pairs = [(before, after)]
        for old, new in pairs:
            _activation_figures(old, new)

    def draw(self, problem: Problem, rng: np.random.Generator) -> Problem:
        """Return the problem with the activations of the model with redrawn weights."""
        source, seed = self._source(problem), int(rng.integers(2**63))
        before = source.extract if isinstance(source.extract, Redrawn) else Redrawn(source, ())
        extract = Redrawn(before.base, (*before.steps, (self, seed)))
        activations, figures = extract.run(source.model, source.inputs, shared=problem.site is not None)
        drawn = problem.extracted(Source(source.model, source.inputs, extract), activations)
        return drawn.proved(figures | _activation_figures(problem.X, drawn.X)) if not drawn.sites else drawn

    def _source(self, problem: Problem) -> Source:
        if problem.source is None:
            raise InputError(
                f"{self.name} redraws the weights of a model, but the problem has no source; make the problem with "
                "ct.from_model(model, inputs, layer=...), or give source=ct.Source(model, inputs, extract)."
            )
        return problem.source


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
            origin = self.base.memo("key", lambda: _origin_key(self.base))
            return content_key((origin, [(content_key(control), seed) for control, seed in self.steps]))
        except NoContent:
            return None

    def _extracted(self, model: Any, inputs: Any) -> tuple[Any, dict[str, float]]:
        from controls.models.swap import Swap

        figures: dict[str, float] = {}
        with Swap(model) as swap:
            for control, seed in self.steps:
                figures |= control.redraw(swap, self.base, seed)
            figures |= _weight_figures(swap)
            activations = self.base.extract(model, inputs)
        return activations, figures


def _origin_key(source: Source) -> str:
    """Return what tells the activations of one source from those of another: its own key where it has one."""
    key = getattr(source.extract, "key", None)
    return str(key(source.model, source.inputs)) if callable(key) else f"this source {id(source)}"


def redraw_tensors(swap: Swap, targets: Iterable[Tensor], law: Law, seed: int) -> None:
    """Draw each tensor by a law, in float32 (float64 stays), from a stream of its own that its name and seed decide."""
    import torch

    for tensor in targets:
        parameter = tensor.parameter
        generator = torch.Generator(device=parameter.device)
        generator.manual_seed(int(stream(seed, "weights", tensor.name).integers(2**63)))
        swap.write(tensor, law(tensor, generator))


def as_wide(tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor without its gradient, in float32, or float64 where it is."""
    return tensor.detach().float() if tensor.element_size() < 4 else tensor.detach()


def _weight_figures(swap: Swap) -> dict[str, float]:
    """Return what is true of the weights; refuse a draw that is not what it says."""
    import torch

    changed, equal = swap.changed()
    for tensor in equal:
        values = tensor.parameter.detach().flatten()
        if len(tensor.parameter) > _SURE and len(torch.unique(values[: 1 << 16])) > _SURE:
            raise CannotControl(
                f"the redraw of {tensor.name!r} gave back its trained values; a control must not leave them in place."
            )
    if not changed:
        raise CannotControl(
            "the redraw changed no parameter: all that it targets are constants, such as zeros or ones."
        )
    _refuse_twins(swap)
    return {
        "tensors redrawn": float(len(changed)),
        "tensors that the law leaves equal": float(len(equal)),
        "parameters redrawn": float(sum(tensor.parameter.numel() for tensor in changed)),
        "other tensors, byte for byte": float(swap.others_untouched()),
        "tied tensors, still tied": float(sum(len(tensor.names) > 1 for tensor in swap.written)),
    }


def _refuse_twins(swap: Swap) -> None:
    """Refuse two matrices of one shape that were drawn the same."""
    from controls.models.swap import fingerprint

    by_shape = defaultdict(list)
    for tensor in swap.written:
        if tensor.parameter.ndim >= 2 and tensor.parameter.numel() > _SURE:
            by_shape[tuple(tensor.parameter.shape)].append(tensor)
    for shape, alike in by_shape.items():
        prints: dict[int, str] = {}
        for tensor in alike if len(alike) > 1 else ():
            twin = prints.setdefault(fingerprint(tensor.parameter), tensor.name)
            if twin != tensor.name and bool((tensor.parameter != tensor.parameter.flatten()[0]).any()):
                raise CannotControl(
                    f"{twin!r} and {tensor.name!r}, both of shape {shape}, were given the same weights; layers must be "
                    "redrawn independently of one another."
                )


def _activation_figures(before: Any, after: Any) -> dict[str, float]:
    """Return how the activations differ; refuse a redraw that leaves them, or only rotates them."""
    rows = np.unique(np.linspace(0, before.shape[0] - 1, min(_ROWS, before.shape[0])).astype(int))
    old, new = (np.asarray(array[rows], dtype=np.float64) for array in (before, after))
    if np.array_equal(old, new):
        raise CannotControl(
            "the redrawn weights change no activation at this layer: they come after it; redraw weights before it "
            "(include=, exclude=), or leave this layer out."
        )
    if old.shape == new.shape and len(rows) > 2 and _only_rotated(old, new):
        raise CannotControl(
            "the redraw only rotates the activations at this layer, which a probe that may rotate them too cannot "
            "see: every score would stay; draw the layers independently of one another."
        )
    return {
        "activation norm, drawn over trained": _norm(new) / max(_norm(old), 1e-300),
        "activation rank, trained": _effective_rank(old),
        "activation rank, drawn": _effective_rank(new),
    }


def _norm(rows: np.ndarray) -> float:
    return float(np.sqrt(np.square(rows).sum(axis=1).mean()))


def _centred(rows: np.ndarray) -> np.ndarray:
    return rows - rows.mean(axis=0)


def _effective_rank(rows: np.ndarray) -> float:
    """Return the participation ratio of the variances along principal directions."""
    gram = _centred(rows) @ _centred(rows).T
    return float(np.trace(gram) ** 2 / max(np.square(gram).sum(), 1e-300))


def _only_rotated(old: np.ndarray, new: np.ndarray) -> bool:
    """Whether all inner products stay, up to one factor: to one part in a thousand."""
    grams = [_centred(rows) @ _centred(rows).T for rows in (old, new)]
    one, other = (gram / max(np.linalg.norm(gram), 1e-300) for gram in grams)
    return bool(np.linalg.norm(one - other) < 1e-3)
