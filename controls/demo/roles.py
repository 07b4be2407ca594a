"""What part each name plays in Python source code: labels that are exact, free, and on every machine."""

from __future__ import annotations

import ast
import io
import token as token_kinds
import tokenize
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from keyword import iskeyword
from typing import Literal, final, get_args

Role = Literal["definition", "parameter", "call", "attribute", "keyword argument", "import", "load", "store"]
ROLES: tuple[Role, ...] = get_args(Role)

_KEPT = (token_kinds.NAME, token_kinds.OP, token_kinds.NUMBER)
_OPENERS = ("FSTRING_START", "TSTRING_START")  # Python 3.12 and 3.14
_CLOSERS = ("FSTRING_END", "TSTRING_END")
_STRINGS = tuple(getattr(ast, name) for name in ("JoinedStr", "TemplateStr") if hasattr(ast, name))
_TYPE_PARAMETERS = tuple(getattr(ast, name) for name in ("TypeVar", "ParamSpec", "TypeVarTuple") if hasattr(ast, name))

Place = tuple[int, int]  # line (from 1) and column (from 0, in UTF-8 bytes), as in the ast module


@final
@dataclass(frozen=True)
class Token:
    """One token of source code; ``role`` is None where it is not a name that plays a part."""

    text: str
    role: Role | None
    line: int  # from 1
    column: int  # from 0, in characters


def read_roles(source: str) -> tuple[Token, ...]:
    """Return the name, operator and number tokens of Python source, names with their roles.

    Every name has exactly one role:

    ==================  ================================================================================
    definition          the name after ``def`` or ``class``
    parameter           of a function, lambda or type (``*args`` and ``**kwargs`` too), where it is declared
    import              every name of an import statement: modules, what is taken, and ``as`` names
    keyword argument    the name before ``=`` in a call, class header or class pattern
    call                the name right before the parentheses of a call: ``f`` in ``f(x)``, ``c`` in
                        ``a.b.c()``. This goes before attribute and load
    attribute           a name after a dot that is not called, whether read, set or deleted
    store               a bare name that is bound or unbound: assignments (also annotated, augmented and
                        ``:=``), loop, ``with``, ``except`` and comprehension targets, captures of a
                        ``match``, ``del``, ``global``, ``nonlocal``
    load                any other name that is read, type hints and decorators included
    ==================  ================================================================================

    Keywords (also soft ones where they act as such, and the wildcard ``_``), operators and numbers
    have no role. Strings are left out, and so is all that stands inside f-strings, which Python
    before 3.12 does not split into tokens.

    Parameters
    ----------
    source : str
        Python source that the running interpreter can parse.

    Returns
    -------
    tuple of Token
        In the order of the source.

    Raises
    ------
    SyntaxError
        Where the source does not parse.

    Notes
    -----
    Time grows with the length of the source, times the logarithm of its number of names.

    Examples
    --------
    >>> [(token.text, token.role) for token in read_roles("y = a.f(x)") if token.role]
    [('y', 'store'), ('a', 'load'), ('f', 'call'), ('x', 'load')]
    """
    tree = ast.parse(source)
    kept = [item for item in _outside_strings(source) if item.type in _KEPT]
    places = _Bytes(source)
    names = _Names([item for item in kept if item.type == token_kinds.NAME], places)
    roles = dict(_claims(tree, names))
    return tuple(
        Token(item.string, roles.get(places.at(item.start)) if item.type == token_kinds.NAME else None, *item.start)
        for item in kept
    )


def _outside_strings(source: str) -> Iterator[tokenize.TokenInfo]:
    depth = 0
    for item in tokenize.generate_tokens(io.StringIO(source).readline):
        kind = token_kinds.tok_name[item.type]
        depth += (kind in _OPENERS) - (kind in _CLOSERS)
        if depth == 0:
            yield item


class _Bytes:
    """Turns columns in characters into columns in UTF-8 bytes."""

    def __init__(self, source: str) -> None:
        self._lines = source.split("\n")  # not splitlines: a form feed does not end a line of Python

    def at(self, place: Place) -> Place:
        line, column = place
        text = self._lines[line - 1]
        return place if text.isascii() else (line, len(text[:column].encode()))


class _Names:
    """The name tokens of a file, found by where they stand."""

    def __init__(self, tokens: list[tokenize.TokenInfo], places: _Bytes) -> None:
        self.starts = [places.at(item.start) for item in tokens]
        self._ends = [places.at(item.end) for item in tokens]
        # The parser normalises identifiers, the tokenizer does not.
        self._texts = [unicodedata.normalize("NFKC", item.string) for item in tokens]

    def between(self, low: Place, high: Place) -> list[Place]:
        """Return where the names that are no keywords start, from low up to and without high."""
        found = range(bisect_left(self.starts, low), bisect_left(self.starts, high))
        return [self.starts[i] for i in found if not iskeyword(self._texts[i])]

    def first(self, text: str, low: Place) -> Place:
        """Return where the first name of this text starts, at or after low."""
        return self.starts[self._texts.index(text, bisect_left(self.starts, low))]

    def last(self, high: Place) -> Place:
        """Return where the last name that ends at or before high starts."""
        return self.starts[bisect_right(self._ends, high) - 1]


def _claims(tree: ast.AST, names: _Names) -> Iterator[tuple[Place, Role]]:
    """Yield place and role of every name, walking the tree without going into f-strings."""
    called: set[ast.AST] = set()
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, _STRINGS):  # before Python 3.12 places inside them are not dependable
            continue
        if isinstance(node, ast.Call):
            called.add(node.func)
        yield from _claim(node, node in called, names)
        waiting.extend(ast.iter_child_nodes(node))


def _claim(node: ast.AST, called: bool, names: _Names) -> Iterator[tuple[Place, Role]]:
    match node:
        case ast.Name():
            bare: Role = "load" if isinstance(node.ctx, ast.Load) else "store"
            yield _start(node), "call" if called else bare
        case ast.Attribute():
            yield names.last(_end(node)), "call" if called else "attribute"
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            yield names.first(node.name, _start(node)), "definition"
        case ast.arg():
            yield _start(node), "parameter"
        case ast.keyword() if node.arg is not None:
            yield _start(node), "keyword argument"
        case ast.Import() | ast.ImportFrom():
            for place in names.between(_start(node), _end(node)):
                yield place, "import"
        case ast.Global() | ast.Nonlocal():
            for place in names.between(_start(node), _end(node)):
                yield place, "store"
        case ast.ExceptHandler() if node.name is not None and node.type is not None:
            yield names.first(node.name, _end(node.type)), "store"
        case ast.MatchAs() | ast.MatchStar() if node.name is not None:
            yield names.last(_end(node)), "store"
        case ast.MatchMapping() if node.rest is not None:
            yield names.last(_end(node)), "store"
        case ast.MatchClass():
            for value in node.kwd_patterns:
                yield names.last(_start(value)), "keyword argument"
        case _ if isinstance(node, _TYPE_PARAMETERS):
            yield names.first(node.name, _start(node)), "parameter"  # type: ignore[attr-defined]


def _start(node: ast.AST) -> Place:
    return node.lineno, node.col_offset  # type: ignore[attr-defined]


def _end(node: ast.AST) -> Place:
    return node.end_lineno, node.end_col_offset  # type: ignore[attr-defined]
