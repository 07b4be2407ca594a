"""Files of case studies: whole or as they were before, and parts of a run that are done once."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from joblib import Parallel, delayed


def write(path: Path, content: bytes) -> None:
    """Write a file in one go: whoever stops the process, the file is whole or as it was before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(content)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def write_json(path: Path, record: Any) -> None:
    """Write a record as JSON, in one go."""
    write(path, (json.dumps(record, indent=1, ensure_ascii=False) + "\n").encode())


def kept(path: Path, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return the part that a file holds; where it is not there, make it, with its seconds, and keep it."""
    if not path.exists():
        started = time.perf_counter()
        record = make()
        write_json(path, record | {"seconds": round(time.perf_counter() - started, 1)})
        print(f"{path.stem}: {time.perf_counter() - started:.0f} s", flush=True)
    return json.loads(path.read_text(encoding="utf-8"))


def all_kept(wanted: Mapping[Path, Callable[[], dict[str, Any]]], jobs: int) -> list[dict[str, Any]]:
    """Return many parts, in order; those that are not there are made in so many processes."""
    found: Any = Parallel(jobs)(delayed(kept)(path, make) for path, make in wanted.items())
    return list(found)
