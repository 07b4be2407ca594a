"""cascade: selectivity against the number of blocks whose weights are redrawn."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

from controls.core.errors import InputError, InputTypeError
from controls.core.problem import Problem
from controls.core.result import Sweep
from controls.runner.execute import Progress
from controls.runner.prepare import prepare, require_problem
from controls.runner.record import check_means

if TYPE_CHECKING:
    from controls.generators.redrawn import WeightControl


def cascade(
    trainer: Any,
    problem: Problem,
    *,
    control: WeightControl,
    order: str = "top_down",
    blocks: str | Sequence[str] | None = None,
    n_jobs: int | None = None,
    progress: Progress | None = None,
    store: str | PathLike[str] | None = None,
    title: str = "",
    **settings: Any,
) -> Sweep:
    """Redraw a model block by block, and measure how much of the score each step takes.

    Parameters
    ----------
    trainer, problem, n_jobs, progress, store, title
        See :func:`controls.measure`. The problem comes from :func:`controls.from_model`.
    control : control on weights
        What is done to a block, such as ``ct.Reinitialize()``.
    order : {"top_down", "bottom_up", "independent"}
        From the block nearest the layer that is looked at back to the input, from the input on, or each block alone.
    blocks : str or sequence of str, optional
        Globs on the paths of modules; the parts of the model's longest list of modules where None. Those
        that come after the layer that is looked at are left out: redrawing them changes nothing there.
    **settings
        ``scoring``, ``cv``, ``draws``, ``alpha``, ``smallest_effect``, ``seed``, ``block`` and ``key``, as in
        :func:`controls.measure`.

    Returns
    -------
    Sweep
        A Result per step, by names such as "top 2 of 6" or, of order "independent", the path of the block. Each
        has the same score; what draws score, and so the selectivity, is that of the step. p is corrected over steps
        by max-T. It prints as a table, and ``.plot()`` draws scores against steps.

    Raises
    ------
    InputError
        A control that is not on weights; a problem without a model; no block before the layer.

    Notes
    -----
    In each draw a block has the same weights at every step, so that two steps of one draw differ in one block
    only. What lies outside blocks, such as embeddings, stays trained: the last step is not the whole model.
    Costs steps × draws forward passes and fits.

    Examples
    --------
    >>> import torch, controls as ct
    >>> model = torch.nn.Sequential(*[torch.nn.Linear(4, 4) for _ in range(3)])
    >>> X = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
    >>> problem = ct.from_model(model, X, layer="1", labels=(X[:, 0] > 0).numpy())
    >>> steps = ct.cascade(ct.probes.RidgeProbe(), problem, control=ct.Reinitialize(), draws=19)
    >>> list(steps)
    ['top 1 of 2', 'top 2 of 2']
    """
    from controls.experiment import study_of, swept
    from controls.generators.cascade import Cascade, upstream_blocks
    from controls.generators.redrawn import WeightControl

    require_problem(problem)
    if not isinstance(control, WeightControl):
        raise InputTypeError(f"control must be one on weights, such as ct.Reinitialize(), got {control!r}.")
    Cascade(control, 1, order, blocks)  # type: ignore[arg-type] - refuses what is amiss before any work
    check_means(n_jobs, progress, title)
    found = upstream_blocks(problem, (blocks,) if isinstance(blocks, str) else blocks)
    if not found:
        raise InputError("blocks must come before the layer that is looked at, but all of them come after it.")
    steps = [Cascade(control, step, order, found) for step in range(1, len(found) + 1)]  # type: ignore[arg-type]
    names = [_step_name(order, step, found) for step in range(1, len(found) + 1)]
    prepared = {
        name: prepare(study_of(trainer, [step], settings), problem) for name, step in zip(names, steps, strict=True)
    }
    return swept(prepared, n_jobs=n_jobs, progress=progress, store=store, title=title)


def _step_name(order: str, step: int, blocks: Sequence[str]) -> str:
    if order == "independent":
        return blocks[step - 1]
    return f"{'top' if order == 'top_down' else 'bottom'} {step} of {len(blocks)}"
