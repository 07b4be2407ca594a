"""Keyed random streams: stream = f(seed, key). The only place where generators are made."""

from __future__ import annotations

import hashlib

import numpy as np


def stream(seed: int, *key: str | int) -> np.random.Generator:
    """Return the random generator that belongs to a seed and a key.

    The same seed and key give the same numbers, whatever was drawn before, in whatever
    order, process or thread; different keys give independent streams.

    Parameters
    ----------
    seed : int
        The seed of the study, at least 0.
    *key : str or int
        What the numbers are for, for example ``(control, draw, "labels")``.

    Returns
    -------
    numpy.random.Generator

    Examples
    --------
    >>> bool(stream(0, "a", 1).random() == stream(0, "a", 1).random())
    True
    >>> bool(stream(0, "a", 1).random() == stream(0, "a", 11).random())
    False
    """
    plain = [int(part) if isinstance(part, np.integer) else part for part in key]
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in plain)
    digest = hashlib.sha256(text.encode()).digest()
    words = np.frombuffer(digest, dtype="<u4").tolist()
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([int(seed), *words])))
