"""Files of the running Python's standard library, chosen without chance."""

from __future__ import annotations

import sysconfig
import tokenize
import warnings
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, final

from controls.demo.roles import Token, read_roles

T = TypeVar("T")

# Tests, programs, what is installed beside the library, and tables written by programs.
_SKIPPED = {"test", "tests", "idlelib", "lib2to3", "turtledemo", "__phello__", "__pycache__"}
_SKIPPED |= {"_bundled", "dist-packages", "site-packages", "lib-dynload", "encodings", "pydoc_data"}
_SHORTEST = 300  # tokens: shorter files are mostly lists of imports


@final
@dataclass(frozen=True)
class SourceFile:
    """One file: its path below the library's folder (with ``/``), its package, and its tokens in order.

    The ``package`` of a top-level module is the module itself.
    """

    path: str
    package: str
    in_package: bool
    tokens: tuple[Token, ...]


def read_library(n_files: int = 120, folder: Path | None = None) -> tuple[SourceFile, ...]:
    """Return files of the standard library: one of each package, and top-level modules.

    One file a package, so that files are independent of one another: those of one package share
    authors and habits. It is the one nearest to the middle of the package's sorted paths; modules
    are taken at even steps. So the same interpreter always gives the same files. Tests,
    ``encodings``, ``idlelib``, ``lib2to3``, ``turtledemo``, files that cannot be decoded or parsed,
    and files under 300 tokens are skipped.

    Parameters
    ----------
    n_files : int
        How many at most, up to half of them from packages; there are fewer where the library is small.
    folder : Path, optional
        Where to look; the library of the running interpreter where None.

    Returns
    -------
    tuple of SourceFile

    Notes
    -----
    About 20 ms per file.

    Examples
    --------
    >>> [file.in_package for file in read_library(2)]
    [False, True]
    """
    root = folder or Path(sysconfig.get_path("stdlib"))
    modules, members = _candidates(root)
    one_each = [file for paths in members for file in _read(root, paths, 1)]
    inside = _evenly(one_each, n_files // 2)
    return (*_read(root, modules, n_files - len(inside)), *sorted(inside, key=lambda file: file.path))


def _candidates(root: Path) -> tuple[list[Path], list[list[Path]]]:
    """Return paths below root: top-level modules, and those of each package, from the middle outwards."""
    modules: list[Path] = []
    packages: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(file.relative_to(root) for file in root.rglob("*.py")):
        if _SKIPPED.intersection(path.parts) or path.name.startswith("_sysconfigdata"):
            continue
        if len(path.parts) == 1:
            modules.append(path)
        elif (root / path.parts[0] / "__init__.py").is_file():
            packages[path.parts[0]].append(path)
    return modules, [_middle_first(paths) for paths in packages.values()]


def _middle_first(paths: list[Path]) -> list[Path]:
    return sorted(paths, key=lambda path: abs(2 * paths.index(path) - len(paths)))


def _read(root: Path, paths: list[Path], count: int) -> list[SourceFile]:
    """Read ``count`` files at even steps (the first, where one is asked for); the unfit are replaced."""
    chosen = _evenly(paths, count)
    spare = [path for path in paths if path not in set(chosen)]
    files: list[SourceFile] = []
    for path in (*chosen, *spare):
        if len(files) == count:
            break
        tokens = _tokens(root / path)
        if len(tokens) >= _SHORTEST:
            name = path.parts[0].removesuffix(".py")
            files.append(SourceFile(path.as_posix(), name, len(path.parts) > 1, tokens))
    return sorted(files, key=lambda file: file.path)


def _tokens(path: Path) -> tuple[Token, ...]:
    try:
        with tokenize.open(path) as stream, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # old files hold escapes that Python warns about
            return read_roles(stream.read())
    except (OSError, SyntaxError, UnicodeDecodeError, ValueError):
        return ()


def _evenly(paths: list[T], count: int) -> list[T]:
    if len(paths) <= count:
        return paths
    return [paths[i * len(paths) // count] for i in range(count)]
