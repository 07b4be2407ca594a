"""What a check holds against what was there before: the caller's problem, and global random state."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from controls.core.arrays import is_sparse
from controls.core.errors import ControlsCheckError
from controls.core.problem import Problem


def fingerprint(problem: Problem) -> dict[str, Any]:
    """Return the bytes, types and flags of everything a problem holds, by the name of its part."""
    arrays = {"labels": problem.labels}
    sites = problem.activations if problem.sites else {"": problem.activations}
    arrays |= {f"activations {site}".strip(): array for site, array in sites.items()}
    arrays |= {f"group {name}": column for name, column in problem.groups.items()}
    found: dict[str, Any] = {name: _content(array) for name, array in arrays.items()}
    return {**found, "unit": problem.unit, "source": id(problem.source), "weights": _weights(problem)}


def _weights(problem: Problem) -> Any:
    """Return the bytes of what a torch model behind the problem holds; None where there is none."""
    model: Any = None if problem.source is None else problem.source.model
    if "torch" not in sys.modules or not isinstance(model, sys.modules["torch"].nn.Module):
        return None
    from controls.models.swap import fingerprint as crc

    held = [*model.named_parameters(remove_duplicate=False), *model.named_buffers()]
    return tuple((name, str(tensor.dtype), tuple(tensor.shape), crc(tensor)) for name, tensor in held)


def _content(array: Any) -> Any:
    if array is None:
        return None
    if is_sparse(array):
        parts = [_content(part) for part in (array.data, array.indices, array.indptr)]
        return array.dtype.str, array.shape, tuple(part[2] for part in parts), tuple(part[3] for part in parts)
    return array.dtype.str, array.shape, array.flags.writeable, np.ascontiguousarray(array).tobytes()


def drawn_content(problem: Problem) -> tuple:
    """Return what makes two draws the same: labels, activations and groups, by value."""
    parts = fingerprint(problem)
    return tuple(
        (name, (value[0], value[1], value[3]) if isinstance(value, tuple) else value)
        for name, value in parts.items()
        if name not in ("source", "weights")
    )


@contextmanager
def nothing_changes(what: str, problem: Problem) -> Iterator[None]:
    """Raise ControlsCheckError where the block changes the problem or global random state."""
    before, state = fingerprint(problem), _global_random_state()
    yield
    changed = [name for name, value in fingerprint(problem).items() if before.get(name) != value]
    if changed:
        raise ControlsCheckError(
            f"{what} changed the caller's problem ({', '.join(changed)}); work on a copy and return that."
        )
    moved = [name for name, value in _global_random_state().items() if state.get(name, value) != value]
    if moved:
        raise ControlsCheckError(
            f"{what} used the global random state of {', '.join(moved)}; draw from the rng that is passed in only."
        )


def _global_random_state() -> dict[str, Any]:
    kind, keys, *rest = np.random.get_state()  # noqa: NPY002 - read, to see that nobody else used it
    state: dict[str, Any] = {"numpy": (kind, np.asarray(keys).tobytes(), *rest), "random": random.getstate()}
    if "torch" in sys.modules:
        state["torch"] = sys.modules["torch"].get_rng_state().numpy().tobytes()
    return state
