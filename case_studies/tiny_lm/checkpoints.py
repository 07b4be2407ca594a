"""The folder of a plan: what it was trained on, and a folder a run."""

from __future__ import annotations

import io
import json
from dataclasses import asdict
from pathlib import Path

import torch
from tokenizers import Tokenizer

import controls as ct
from case_studies.files import write, write_json
from case_studies.tiny_lm.corpus import Corpus
from case_studies.tiny_lm.plan import Plan

_COMMAND = "python -m case_studies.tiny_lm.run"


def write_state(path: Path, model: torch.nn.Module) -> None:
    """Write a model's parameters, in one go."""
    buffer = io.BytesIO()
    torch.save(model.state_dict(), buffer)
    write(path, buffer.getvalue())


def run_folder(folder: Path, arm: str, seed: int) -> Path:
    """Return where one training keeps its checkpoints and, once it is done, its record."""
    return folder / arm / f"seed{seed}"


def claim(folder: Path, plan: Plan, corpus: Corpus) -> None:
    """Write down what the folder's runs are trained on, or refuse a folder of other runs.

    Raises
    ------
    InputError
        If the folder holds runs of another plan or corpus (another Python has another library).
    """
    ours = {"plan": asdict(plan), "corpus": corpus.checksum}
    path = folder / "plan.json"
    if not path.exists():
        write(folder / "tokenizer.json", corpus.tokenizer.encode())
        write_json(path, ours)
    elif json.loads(path.read_text()) != ours:
        raise ct.InputError(
            f"folder {str(folder)!r} holds models of another plan or corpus; name another folder or remove it."
        )


def read_plan(folder: Path) -> Plan:
    """Return the plan of a folder's runs.

    Raises
    ------
    InputError
        If nothing was trained there.
    """
    try:
        return Plan(**json.loads((folder / "plan.json").read_text())["plan"])
    except FileNotFoundError:
        raise ct.InputError(f"folder {str(folder)!r} holds no models; train them with `{_COMMAND}`.") from None


def read_tokenizer(folder: Path) -> Tokenizer:
    """Return the tokenizer of a folder's runs."""
    read_plan(folder)
    return Tokenizer.from_file(str(folder / "tokenizer.json"))


def find_checkpoint(folder: Path, arm: str, seed: int, step: int) -> Path:
    """Return the file of a checkpoint.

    Raises
    ------
    InputError
        If it is not there; the sentence says what is.
    """
    path = run_folder(folder, arm, seed) / f"step{step}.pt"
    if path.exists():
        return path
    there = sorted(found.relative_to(folder).with_suffix("").as_posix() for found in folder.glob("*/seed*/step*.pt"))
    shown = ", ".join(there[:8]) + (", …" if len(there) > 8 else "") or "none"
    raise ct.InputError(
        f"folder {str(folder)!r} has no checkpoint {arm}/seed{seed}/step{step}; it has: {shown}. "
        f"`{_COMMAND}` trains what is missing."
    )
