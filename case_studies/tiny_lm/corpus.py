"""The source of the running interpreter's standard library, as tokens of a vocabulary learned from it."""

from __future__ import annotations

import hashlib
import sysconfig
import tokenize
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from case_studies.tiny_lm.plan import Plan
from controls.core.rng import stream

# No code that others installed, no tests, no tables of characters, no copy of the manual.
_LEFT_OUT = {"site-packages", "dist-packages", "test", "tests", "idlelib", "lib2to3", "encodings", "pydoc_data"}
_HELD_OUT = 0.1  # of the files


@final
@dataclass(frozen=True, eq=False)
class Corpus:
    """Windows of tokens for training and for the held-out loss, and the tokenizer that made them.

    Parameters
    ----------
    train, held_out : array of shape (n, context + 1), uint16
        Windows, each from one file. No file gives windows to both.
    tokenizer : str
        The tokenizer as JSON.
    files, held_out_files : int
        Files read, and how many of them are held out.
    """

    train: np.ndarray
    held_out: np.ndarray
    tokenizer: str
    files: int
    held_out_files: int

    @property
    def checksum(self) -> str:
        """The start of the SHA-256 of all windows."""
        return hashlib.sha256(self.train.tobytes() + self.held_out.tobytes()).hexdigest()[:16]


def read_files(limit: int | None = None) -> dict[str, str]:
    """Return source files of the standard library by name, in an order drawn once for all seeds.

    Parameters
    ----------
    limit : int, optional
        Only so many files.

    Returns
    -------
    dict of str to str
        Text by path below the library's folder. Files that do not decode are left out.
    """
    root = Path(sysconfig.get_paths()["stdlib"])
    found = sorted(path for path in root.rglob("*.py") if not _LEFT_OUT & set(path.relative_to(root).parts))
    order = stream(0, "tiny_lm", "files").permutation(len(found))
    texts = {}
    for path in (found[i] for i in order[:limit]):
        try:
            with tokenize.open(path) as file:
                texts[path.relative_to(root).as_posix()] = file.read()
        except (SyntaxError, UnicodeDecodeError):
            continue
    return texts


def learn_tokenizer(texts: Iterable[str], vocabulary: int) -> Tokenizer:
    """Return a byte-level BPE tokenizer learned from texts: every text has tokens, and they give it back.

    Examples
    --------
    >>> tokenizer = learn_tokenizer(["def f(x):\\n    return x\\n"] * 9, 270)
    >>> tokenizer.decode(tokenizer.encode("return ß").ids)
    'return ß'
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=vocabulary, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def windows(documents: Iterable[list[int]], context: int) -> np.ndarray:
    """Return windows of context + 1 tokens; neighbours share a token, so that each is predicted once.

    What is left at the end of a document and fills no window is dropped.

    Examples
    --------
    >>> windows([[1, 2, 3, 4, 5, 6], [7, 8]], 2).tolist()
    [[1, 2, 3], [3, 4, 5]]
    """
    cut = [ids[start : start + context + 1] for ids in documents for start in range(0, len(ids) - context, context)]
    return np.array(cut, dtype=np.uint16).reshape(-1, context + 1)


def read_corpus(plan: Plan) -> Corpus:
    """Return the windows of a plan. The tokenizer learns from the files of training alone.

    Takes about ten seconds and 200 MB for the full plan.
    """
    texts = list(read_files(plan.files).values())
    cut = max(1, round(_HELD_OUT * len(texts)))
    tokenizer = learn_tokenizer(texts[cut:], plan.vocabulary)
    ids = [encoding.ids for encoding in tokenizer.encode_batch(texts)]
    held_out = windows(ids[:cut], plan.context)
    kept = stream(0, "tiny_lm", "held_out").permutation(len(held_out))[: plan.held_out]
    return Corpus(windows(ids[cut:], plan.context), held_out[kept], tokenizer.to_str(), len(texts), cut)
