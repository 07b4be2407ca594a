"""Files of the running Python's standard library, chosen without chance."""

from __future__ import annotations

import sysconfig
import tokenize
import warnings
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import final

from controls.demo.roles import Token, read_roles

# Tests, programs, what is installed beside the library, and tables written by programs.
_SKIPPED = {"test", "tests", "idlelib", "lib2to3", "turtledemo", "__phello__", "__pycache__"}
_SKIPPED |= {"_bundled", "dist-packages", "site-packages", "lib-dynload", "encodings", "pydoc_data"}
_PER_PACKAGE = 4
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
    """Return files of the standard library: half of them top-level modules, half modules in packages.

    Candidates are sorted by path and taken at even steps, at most four from one package, so the
    same interpreter always gives the same files. Tests, ``encodings``, ``idlelib``, ``lib2to3``,
    ``turtledemo``, files that cannot be decoded or parsed, and files under 300 tokens are skipped.

    Parameters
    ----------
    n_files : int
        How many at most; there are fewer where the library is small.
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
    half = n_files // 2
    return (*_read(root, modules, n_files - half), *_read(root, members, half))


def _candidates(root: Path) -> tuple[list[Path], list[Path]]:
    """Return paths below root: top-level modules, and a few modules of each package."""
    modules: list[Path] = []
    packages: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(file.relative_to(root) for file in root.rglob("*.py")):
        if _SKIPPED.intersection(path.parts) or path.name.startswith("_sysconfigdata"):
            continue
        if len(path.parts) == 1:
            modules.append(path)
        elif (root / path.parts[0] / "__init__.py").is_file():
            packages[path.parts[0]].append(path)
    return modules, [path for paths in packages.values() for path in _evenly(paths, _PER_PACKAGE)]


def _read(root: Path, paths: list[Path], count: int) -> list[SourceFile]:
    """Read ``count`` files at even steps; what is unfit is replaced by what was left out."""
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


def _evenly(paths: list[Path], count: int) -> list[Path]:
    if len(paths) <= count:
        return paths
    return [paths[i * len(paths) // count] for i in range(count)]
