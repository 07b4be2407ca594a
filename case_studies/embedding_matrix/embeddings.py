"""Embeddings to study, and how often each of their tokens occurs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
from tokenizers import Tokenizer

from case_studies import smollm2
from case_studies.tiny_lm.corpus import Corpus
from case_studies.tiny_lm.model import load

_PART = "\ufffd"  # of a character: the tokens of its bytes have no spelling


@final
@dataclass(frozen=True, eq=False)
class Embedding:
    """The rows of the most frequent tokens, most frequent first.

    Parameters
    ----------
    rows : array of shape (n, d), float64
    counts : array of shape (n,)
        How often each token occurs in the text that was read; at least once.
    texts : tuple of str
        What each token stands for.
    """

    rows: np.ndarray
    counts: np.ndarray
    texts: tuple[str, ...]

    def one_of_each_spelling(self) -> Embedding:
        """Return the most frequent of the tokens that differ in case and spaces only."""
        first: dict[str, int] = {}
        for place, text in enumerate(self.texts):
            spelling = text.strip().casefold()  # "" of spaces and line ends alone, which are one spelling
            first.setdefault(f"{spelling} {place}" if _PART in text else spelling, place)
        places = np.array(list(first.values()))
        return Embedding(self.rows[places], self.counts[places], tuple(self.texts[place] for place in places))


def most_frequent(rows: np.ndarray, counts: np.ndarray, tokens: int, decode: Callable[[list[int]], str]) -> Embedding:
    """Return the rows of so many tokens, or of all that occur where they are fewer."""
    order = np.argsort(-counts, kind="stable")
    order = order[counts[order] > 0][:tokens]
    return Embedding(rows[order].astype(np.float64), counts[order], tuple(decode([int(token)]) for token in order))


def of_tiny_model(seed: int, stage: str, corpus: Corpus, tokens: int, checkpoints: Path) -> Embedding:
    """Return the tiny model's embedding at a checkpoint, with counts of the text it was trained on."""
    weight = load(seed, stage, folder=checkpoints).embed.weight.detach().numpy()
    decode = Tokenizer.from_str(corpus.tokenizer).decode
    return most_frequent(weight, np.bincount(corpus.train.ravel(), minlength=len(weight)), tokens, decode)


def of_smollm2(tokens: int) -> Embedding:
    """Return SmolLM2's embedding, of 8 bits a weight, with counts of the prose of Python's reference manual."""
    from pydoc_data.topics import topics

    from gguf import GGUFReader, dequantize  # type: ignore[reportMissingImports]

    tensor = next(each for each in GGUFReader(smollm2.packed()).tensors if each.name == "token_embd.weight")
    rows = dequantize(tensor.data, tensor.tensor_type)
    tokenizer = smollm2.load_tokenizer()
    ids = tokenizer(list(topics.values()), add_special_tokens=False)["input_ids"]
    counts = np.bincount(np.concatenate(ids).astype(np.int64), minlength=len(rows))
    return most_frequent(rows, counts, tokens, tokenizer.decode)
