"""How the settings of two runs differ, in words."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from controls.study_file.positions import Path
from controls.study_file.table import Table


def differences(before: Mapping[str, Any], now: Table) -> list[str]:
    """Return which settings a study file changes, with their lines."""
    old = dict(_leaves(before))
    new = dict(_leaves(json.loads(json.dumps(now.values, default=str))))
    found = []
    for path in dict.fromkeys([*old, *new]):
        was, is_now = (repr(side[path]) if path in side else "not there" for side in (old, new))
        if was != is_now:
            place = f" (line {now.lines[path]})" if path in now.lines and path in new else ""
            found.append(f"{_shown(path)} was {was} and is {is_now}{place}")
    return found


def _leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    parts = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else None
    if parts is None:
        yield path, value
        return
    for key, part in parts:
        yield from _leaves(part, (*path, key))


def _shown(path: Path) -> str:
    words = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return words.removeprefix(".")
