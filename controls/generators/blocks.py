"""Blocks: modules by globs on their paths, in the order in which a model has them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from controls.core.errors import InputTypeError, unknown_name

if TYPE_CHECKING:
    from torch import nn


def as_globs(value: Any, name: str) -> tuple[str, ...] | None:
    """Return one glob or several on paths of modules as a tuple; None stays."""
    if value is None:
        return None
    given = (value,) if isinstance(value, str) else value
    if not isinstance(given, (tuple, list)) or not given or not all(isinstance(item, str) and item for item in given):
        raise InputTypeError(f"{name} must be globs on paths of modules, such as 'encoder.layer.*', got {value!r}.")
    return tuple(given)


def modules_like(model: nn.Module, globs: Iterable[str], what: str) -> tuple[str, ...]:
    """Return the paths of the modules that match one of the globs, of which ``*`` stands for one step of a path."""
    paths = [path for path, _ in model.named_modules() if path]
    found: list[str] = []
    for glob in globs:
        matching = [path for path in paths if fnmatchcase(path, glob) and path.count(".") == glob.count(".")]
        if not matching:
            raise unknown_name(what, glob, paths, advice="Give globs on paths of modules, such as 'encoder.layer.*'.")
        found += [path for path in matching if path not in found]
    return tuple(sorted(found, key=paths.index))


def blocks_of(model: nn.Module, globs: Sequence[str] | None) -> tuple[str, ...]:
    """Return the paths of a model's blocks: those that match, or the parts of its longest list of modules."""
    if globs is not None:
        return modules_like(model, globs, "block")
    from torch import nn

    lists = [
        [f"{path}.{name}".lstrip(".") for name, part in module.named_children() if any(True for _ in part.parameters())]
        for path, module in model.named_modules()
        if isinstance(module, (nn.ModuleList, nn.Sequential))
    ]
    longest = max(lists, key=len, default=[])
    if not longest:
        raise unknown_name("block", "None", [path for path, _ in model.named_modules() if path],
                           advice="Name the blocks by globs: blocks='layers.*'.")  # fmt: skip
    return tuple(longest)


def lies_in(names: Iterable[str], paths: Iterable[str]) -> bool:
    """Whether one of a parameter's names lies in one of the modules."""
    starts = tuple(f"{path}." for path in paths)
    return any(name.startswith(starts) for name in names)
