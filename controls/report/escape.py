"""Text of users inside reports: what is escaped, and how, in each format that has no escaping of its own."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from typing import Any, TypeVar

_Value = TypeVar("_Value")

# Control characters but tab and newline (a terminal obeys them), line and paragraph separators, what turns
# the direction of writing (it can make text read as another), lone surrogates and non-characters (no UTF-8, no XML).
_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff\ufffe\uffff]"
)
_MARKDOWN = re.compile(r"[&<>\\`*\[\]|~#$@]|(?<![^\W_])_|_(?![^\W_])")
_COMMANDS = re.compile(r"(?<=:)(?=:)|(?<=##)(?=\[)")
_LINKS = re.compile(r"(?<=:)(?=//)|(?<=www)(?=\.)", re.IGNORECASE)
_UNSEEN = "&#8203;"  # a space of no width: what would become a link, or call someone, stays text
_CALLS = "@#"


def printable(text: str) -> str:
    r"""Return a text in which what a terminal would obey, or a file could not hold, is spelled out.

    Examples
    --------
    >>> print(printable("a\x1b[31m"))
    a\x1b[31m
    """
    return _UNPRINTABLE.sub(_spelled, text)


def no_commands(text: str) -> str:
    """Return a text that GitHub's logs show and do not obey: a space of no width parts what starts a command.

    Examples
    --------
    >>> no_commands("::error::x, ##[group]") == ":\u200b:error:\u200b:x, ##\u200b[group]"
    True
    """
    return _COMMANDS.sub("\u200b", text)


def with_text(record: _Value, change: Callable[[str], str]) -> _Value:
    """Return a record in which all text, also in what it holds, is changed; arrays and numbers are the same objects."""
    return _changed(record, change)


def one_line(text: str) -> str:
    """Return a text with every run of white space, newlines among them, as one space."""
    return " ".join(text.split())


def clipped(text: str, longest: int) -> str:
    """Return a text as one line of at most so many characters.

    Examples
    --------
    >>> clipped("a long\\nname", 8)
    'a long …'
    """
    line = one_line(text)
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def markdown(text: str) -> str:
    """Return a text as one line that GitHub's Markdown, and HTML within it, show as it is: no markup, links or calls.

    Examples
    --------
    >>> markdown("a|b *c* @team roc_auc")
    'a&#124;b &#42;c&#42; &#64;&#8203;team roc_auc'
    """
    escaped = _MARKDOWN.sub(_entity, _LINKS.sub("\0", one_line(text)))
    return escaped.replace("\0", _UNSEEN)


def command_message(text: str) -> str:
    """Return a text as the message of a GitHub workflow command."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def command_property(text: str) -> str:
    """Return a text as the value of a property of a GitHub workflow command."""
    return command_message(text).replace(":", "%3A").replace(",", "%2C")


def _spelled(found: re.Match[str]) -> str:
    code = ord(found.group())
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def _entity(found: re.Match[str]) -> str:
    character = found.group()
    return f"&#{ord(character)};{_UNSEEN if character in _CALLS else ''}"


def _changed(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str) and not isinstance(value, Enum):
        return change(value)
    if isinstance(value, tuple):
        return tuple(_changed(part, change) for part in value)
    if isinstance(value, Mapping):
        return {_changed(name, change): _changed(part, change) for name, part in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{item.name: _changed(getattr(value, item.name), change) for item in fields(value)})
    return value
