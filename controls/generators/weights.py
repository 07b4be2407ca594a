"""Controls that draw weights afresh: by the module's own initialiser, or by the law of each tensor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, final, get_args

from controls.core.problem import Source
from controls.core.validate import one_of
from controls.generators.redrawn import WeightControl, as_wide, redraw_tensors
from controls.models.names import as_patterns

if TYPE_CHECKING:
    import torch

    from controls.models.swap import Swap
    from controls.models.tensors import Tensor

Scheme = Literal["module", "moments"]
_WORDS = {
    "module": "that were initialised and never trained",
    "moments": "with normal weights of each tensor's own mean and variance",
}


@final
@dataclass(frozen=True)
class Reinitialize(WeightControl):
    """Keeps the architecture and the inputs; draws the weights afresh, as if the model had never been trained.

    Parameters
    ----------
    scheme : {"module", "moments"}
        "module": each module's own initialiser (that of a Hugging Face model where there is one, else
        ``reset_parameters``); parameters of modules that have none get normal values of their own mean and
        variance. "moments": every tensor does.
    include, exclude : str or tuple of str
        Globs on the names of parameters, such as ``"*.attention.*"``, or kinds: "embeddings",
        "unembedding", "norms", "biases". All parameters where ``include`` is None.

    Notes
    -----
    Null hypothesis: the model's score comes from the same law as those of models redrawn in this way. A rank
    among them is a statement about this one model; an untrained model can be selective too.

    Initialisers run on copies without values, with random numbers of their own, so that no flag of a loaded
    model ("already initialised") and no global seed decides; whatever they leave unset is drawn by moments.
    Cost of a draw: O(parameters), then one forward pass.

    References
    ----------
    Adebayo et al. (2018), Sanity checks for saliency maps, arXiv 1810.03292. Heap et al. (2025), arXiv
    2501.17727, on each matrix's own mean and variance.

    Examples
    --------
    >>> import numpy as np, torch, controls as ct
    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU())
    >>> X = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
    >>> problem = ct.from_model(model, X, layer="1", labels=(X[:, 0] > 0).numpy())
    >>> drawn = ct.Reinitialize().draw(problem, np.random.default_rng(0))
    >>> drawn.proof["tensors redrawn"], drawn.proof["tensors by their module's initialiser"]
    (2.0, 2.0)
    """

    scheme: Scheme = "module"
    include: tuple[str, ...] | None = None
    exclude: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        one_of(self.scheme, "scheme", get_args(Scheme))
        if self.include is not None:
            object.__setattr__(self, "include", as_patterns(self.include, "include"))
        object.__setattr__(self, "exclude", as_patterns(self.exclude, "exclude"))

    @property
    def ensemble(self) -> str:
        """The ensemble of redrawn models in words."""
        return _WORDS[self.scheme]

    def redraw(self, swap: Swap, source: Source, seed: int) -> dict[str, float]:
        """Write what initialisers give, and normal values elsewhere."""
        from controls.models.initialise import initialised

        targets = self.targets(swap.tensors)
        known = {}
        if self.scheme == "module":
            known = initialised(swap.model, targets, seed)
            for tensor, values in known.items():
                swap.write(tensor, values)
        left = [tensor for tensor in targets if tensor not in known]
        redraw_tensors(swap, left, by_moments, seed)
        return {
            "tensors by their module's initialiser": float(len(known)),
            "tensors by their moments": float(len(left)),
        }


def by_moments(tensor: Tensor, generator: torch.Generator) -> torch.Tensor:
    """Return normal values of a tensor's own mean and variance."""
    import torch

    weights = as_wide(tensor.parameter)
    drawn = torch.randn(weights.shape, generator=generator, dtype=weights.dtype, device=weights.device)
    return weights.mean() + weights.std(correction=0) * drawn
