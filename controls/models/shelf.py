"""Shelf: activations kept in files by their key, so that what was extracted once is read again, not computed."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import uuid
import warnings
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import final

import numpy as np

from controls.core.errors import ControlsWarning, InputError

_LIMIT = 8 << 30  # bytes of a temporary shelf, beyond which nothing more is put there


@final
class Shelf:
    """Sites of activations, and figures beside them, in files; read back memory-mapped.

    Parameters
    ----------
    folder : str or path, optional
        Where they stay, for later runs too; it is made. None: a temporary folder, which goes with the shelf.

    Raises
    ------
    InputError
        A folder that cannot be made.
    """

    def __init__(self, folder: str | os.PathLike[str] | None = None) -> None:
        self._stays = folder is not None
        self._size = 0
        if folder is None:
            folder = tempfile.mkdtemp(prefix="controls-")
            weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self.folder = Path(folder)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"cache must be a folder that can be made or written to, got {str(folder)!r} ({error.strerror})."
            ) from error

    @property
    def stays(self) -> bool:
        """Whether it is there for later runs too."""
        return self._stays

    def get(self, key: str) -> tuple[dict[str, np.ndarray], dict[str, float]] | None:
        """Return the sites and the figures of a key; None where they are not there, or cannot be read."""
        place = self.folder / key
        try:
            index = json.loads((place / "index.json").read_text(encoding="utf-8"))
            sites = {site: np.load(place / name, mmap_mode="r") for site, name in index["sites"].items()}
        except (OSError, ValueError, KeyError):
            return None
        return sites, index["figures"]

    def put(self, key: str, sites: Mapping[str, np.ndarray], figures: Mapping[str, float]) -> None:
        """Keep sites and figures under a key, in one step; a full disk is a warning, and nothing is kept."""
        size = sum(array.nbytes for array in sites.values())
        if not self._stays and self._size + size > _LIMIT:
            return
        half = self.folder / f".{uuid.uuid4().hex}"
        try:
            half.mkdir()
            names = {site: f"{place}.npy" for place, site in enumerate(sites)}
            for site, array in sites.items():
                np.save(half / names[site], array)
            index = {"sites": names, "figures": dict(figures)}
            (half / "index.json").write_text(json.dumps(index), encoding="utf-8")
            if not (self.folder / key).exists():
                os.rename(half, self.folder / key)
            self._size += size
        except OSError as error:
            warnings.warn(
                f"activations could not be kept in {str(self.folder)!r} ({error.strerror or error}); they are "
                "extracted again where they are needed.",
                ControlsWarning,
                stacklevel=2,
            )
        finally:
            shutil.rmtree(half, ignore_errors=True)
