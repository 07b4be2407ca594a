"""Checks of controls on weights: what a model is while a draw reads with it, and that it is itself afterwards."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from controls.core.problem import Problem, Source
from controls.testing._state import fingerprint

if TYPE_CHECKING:
    from controls.testing.control_checks import Trial

_STOPS = (RuntimeError, KeyboardInterrupt, MemoryError)


def check_weights(trial: Trial) -> None:
    """While a draw reads, ties hold, buffers stay, all is finite; after it, even a failed one, all bytes are back."""
    from torch import nn

    for problem in trial.problems():
        model = None if problem.source is None else problem.source.model
        if not isinstance(model, nn.Module):
            continue
        before, ties = fingerprint(problem)["weights"], _ties(model)
        looks: list[None] = []

        trial.draw(_seen(problem, partial(_look, trial, model, before, ties, looks)), "seen")
        if not looks:
            raise trial.fail("must read with other weights than the trained ones, but none had changed.")
        for stop in _STOPS:
            _check_after(trial, problem, before, stop)


def _look(trial: Trial, model: Any, before: Any, ties: list[tuple[str, str]], looks: list[None]) -> None:
    """Check a model where it has drawn weights, and note that it was seen so."""
    import torch

    if not _changed(model, before):
        return
    looks.append(None)
    held = dict(model.named_parameters(remove_duplicate=False))
    for name, parameter in held.items():
        if not bool(torch.isfinite(parameter).all()):
            raise trial.fail(f"must draw finite weights, but those of {name!r} are not.")
    prints = {name: crc for name, _, _, crc in before}
    for one, twin in ties:
        if held[one].data_ptr() != held[twin].data_ptr():
            raise trial.fail(f"must leave tied parameters tied, but {one!r} and {twin!r} are no longer.")
    for name, crc in _now(model):
        if name not in held and crc != prints[name]:
            raise trial.fail(f"must leave buffers as they are, but {name!r} changed.")


def _check_after(trial: Trial, problem: Problem, before: Any, stop: type[BaseException]) -> None:
    """Stop a draw in its middle: the model must be itself again."""
    model = problem.source.model if problem.source is not None else None

    def halt() -> None:
        if _changed(model, before):
            raise stop("stopped by check_control")

    try:
        trial.draw(_seen(problem, halt), "stopped")
    except stop:
        pass
    else:
        raise trial.fail(f"must let a {stop.__name__} pass that the extraction raises.")
    if _changed(model, before):
        raise trial.fail(f"must put the weights back, byte for byte, after a {stop.__name__} too, but did not.")


def _seen(problem: Problem, look: Callable[[], None]) -> Problem:
    """Return the problem with a source that looks before it extracts."""
    source = problem.source
    assert source is not None

    def extract(model: Any, inputs: Any) -> Any:
        look()
        return source.extract(model, inputs)

    return problem.with_source(Source(source.model, source.inputs, extract))


def _changed(model: Any, before: Any) -> bool:
    return tuple(_now(model)) != tuple((name, crc) for name, _, _, crc in before)


def _now(model: Any) -> list[tuple[str, int]]:
    from controls.models.swap import fingerprint as crc

    held = [*model.named_parameters(remove_duplicate=False), *model.named_buffers()]
    return [(name, crc(tensor)) for name, tensor in held]


def _ties(model: Any) -> list[tuple[str, str]]:
    """Return the pairs of names of one parameter, as the module tree has them."""
    from controls.models.tensors import tensors_of

    return [(tensor.names[0], name) for tensor in tensors_of(model) for name in tensor.names[1:]]
