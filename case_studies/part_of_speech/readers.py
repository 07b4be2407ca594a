"""Problems: what MiniLM and SmolLM2 make of the chosen sentences."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import controls as ct
from case_studies import smollm2
from case_studies.part_of_speech.text import Sentence
from controls.demo import minilm


def read_minilm(sentences: Sequence[Sentence], layers: Sequence[str]) -> dict[str, ct.Problem]:
    """Return a problem per task, which share one extraction and, of redrawn models, theirs."""
    tokenizer, model = _minilm()
    return _problems(model, tokenizer, sentences, layers)


@functools.cache
def _minilm() -> tuple[Any, Any]:
    """Return the tokenizer and the model, loaded once: redrawn weights are always put back."""
    return minilm.load()


def read_smollm2(sentences: Sequence[Sentence], layers: Sequence[str], folder: Path) -> dict[str, ct.Problem]:
    """Return a problem per task from SmolLM2 in bfloat16, which is kept in ``folder`` once it is unpacked."""
    tokenizer, model = smollm2.load(folder)
    return _problems(model, tokenizer, sentences, layers)


def _problems(
    model: Any, tokenizer: Any, sentences: Sequence[Sentence], layers: Sequence[str]
) -> dict[str, ct.Problem]:
    tasks = list(sentences[0].labels)
    numbers = [list(range(start, start + len(s.words))) for s, start in zip(sentences, _starts(sentences), strict=True)]
    read = ct.from_model(
        model, [list(s.words) for s in sentences], layers=list(layers), labels=numbers, tokenizer=tokenizer,
        groups={"document": [s.document for s in sentences]}, unit="document", pooling="word_first",
    )  # fmt: skip
    rows = np.asarray(read.labels)
    problems = {}
    for task in tasks:
        labels = np.array([label or "" for s in sentences for label in s.labels[task]])[rows]
        labelled = np.flatnonzero(labels != "")
        whole = read.with_labels(labels)
        problems[task] = whole if len(labelled) == len(labels) else whole.take(labelled)
    return problems


def _starts(sentences: Sequence[Sentence]) -> list[int]:
    return np.cumsum([0, *(len(s.words) for s in sentences)])[:-1].tolist()
