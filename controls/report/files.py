"""Records as files: versioned JSON to and fro, and writing that leaves either the old file or the new one."""

from __future__ import annotations

import contextlib
import json
import os
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from controls.core.errors import InputError, InputTypeError
from controls.report.schema import KINDS, AnyRecord, to_model

_OURS = tuple(schema.partition("/")[0] + "/" for schema in KINDS)
_LONE = re.compile("[\ud800-\udfff]")  # half of a pair of surrogates


def to_json(record: AnyRecord) -> str:
    """Return a record as versioned JSON."""
    schema, model = to_model(record)
    content = {"schema": schema, **model.model_dump(mode="json")}
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    return _LONE.sub(lambda found: f"\\u{ord(found.group()):04x}", text)  # UTF-8 has none of them


def read_json(text_or_path: str | Path) -> AnyRecord:
    """Return the record that a JSON text, or the file at a path, holds."""
    text, origin = _text_of(text_or_path)
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"{origin} must be JSON written by result.to_json(), got something else: {error}.") from None
    model = _model_for(content, origin)
    try:
        return model.model_validate({name: part for name, part in content.items() if name != "schema"}).record()
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise InputError(
            f"{origin} says it is {content['schema']!r}, but its field {place!r} does not fit ({first['msg']}); "
            "write the file again with result.to_json()."
        ) from None


def write_text(path: Path, text: str) -> None:
    """Write a text file in one step, as UTF-8."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file in one step: a reader, or a crash, finds the old file or the new one, never half of it."""
    with _in_place_of(path) as temporary:
        temporary.write_bytes(content)
        os.replace(temporary, path)


@contextlib.contextmanager
def _in_place_of(path: Path) -> Iterator[Path]:
    """Make a file beside the one that it may take the place of; one error sentence where that cannot be done."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch(exist_ok=False)
        yield temporary
    except OSError as error:
        raise InputError(
            f"{str(path)!r} cannot be written ({error.strerror or error}); give a place where files can be written."
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)  # still there only where writing or replacing failed


def check_place(path: Path) -> None:
    """Refuse a place where no file can be written, before there is anything to write there."""
    if path.is_dir():
        raise InputError(f"{str(path)!r} cannot be written (it is a folder); name a file in it.")
    with _in_place_of(path):
        pass


def _text_of(text_or_path: str | Path) -> tuple[str, str]:
    if isinstance(text_or_path, str) and text_or_path.lstrip()[:1] in ("{", "["):
        return text_or_path, "the text"
    if not isinstance(text_or_path, (str, os.PathLike)):
        raise InputTypeError(f"text_or_path must be JSON text or a path, got {type(text_or_path).__name__}.")
    path = Path(text_or_path)
    try:
        path = path / "result.json" if path.is_dir() else path
        return path.read_text(encoding="utf-8"), f"the file {str(path)!r}"
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise InputError(
            f"text_or_path must be JSON text or the path of a file that can be read, got {str(path)!r} ({error})."
        ) from error


def _model_for(content: Any, origin: str) -> Any:
    schema = content.get("schema") if isinstance(content, dict) else None
    if isinstance(schema, str) and schema in KINDS:
        return KINDS[schema][1]
    known = " or ".join(map(repr, KINDS))
    if not isinstance(schema, str) or not schema.startswith(_OURS):
        got = "none" if schema is None else repr(schema)
        raise InputError(f"{origin} is not a result of this library: its schema must be {known}, got {got}.")
    raise InputError(
        f"{origin} has schema {schema!r}, which this version cannot read (it reads {known}); "
        "upgrade controls to read a newer file."
    )
