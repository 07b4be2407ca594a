"""One training: the same start and the same windows for every arm of a seed; what is done is not done again."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from case_studies.files import write_json
from case_studies.tiny_lm.checkpoints import run_folder, write_state
from case_studies.tiny_lm.corpus import Corpus
from case_studies.tiny_lm.embeddings import bounded_rows, largest_cosine
from case_studies.tiny_lm.model import TinyLM, build
from case_studies.tiny_lm.plan import ARMS, FIRST, START_STD, Plan
from controls.core.rng import stream

_DECAY = 0.1  # of the matrices of linear maps; embeddings, norms and biases have none
_CLIP = 1.0  # the largest norm of a gradient


def run(plan: Plan, corpus: Corpus, folder: Path, arm: str, seed: int) -> dict[str, Any]:
    """Train one model, or return the record of its training where that is done.

    Parameters
    ----------
    plan, corpus : Plan, Corpus
        What is trained, and on what.
    folder : Path
        Where checkpoints and the record are kept. The record is written last, so a run that was
        stopped starts again from step 0.
    arm : str
        A name of ``ARMS``: how the embedding starts, and whether it is trained.
    seed : int
        Of the start and of the order of the windows. Arms share both.

    Returns
    -------
    dict
        ``train_loss`` of every step and ``held_out`` loss by checkpoint, in nats per token, and facts.
    """
    home = run_folder(folder, arm, seed)
    if (home / "record.json").exists():
        return json.loads((home / "record.json").read_text())
    with one_thread():
        begun = time.perf_counter()
        model = start(plan, arm, seed)
        first = model.embed.weight.detach().clone()
        train_loss: list[float] = []
        held_out: dict[str, float] = {}
        for step, loss in steps(plan, corpus, model, seed):
            train_loss += [loss] if loss is not None else []
            if step in plan.stages.values():
                held_out[str(step)] = mean_loss(model, corpus.held_out)
                if arm == FIRST or step == plan.steps:
                    write_state(home / f"step{step}.pt", model)
        record = {
            "arm": arm,
            "seed": seed,
            "held_out": held_out,
            "train_loss": [round(loss, 4) for loss in train_loss],
            "parameters": sum(p.numel() for p in model.parameters()),
            "trained_parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
            "embedding_moved": float((model.embed.weight.detach() - first).norm() / first.norm()),
            "largest_cosine": largest_cosine(model.embed.weight.detach().double().numpy()),
            "seconds": round(time.perf_counter() - begun, 1),
        }
    write_json(home / "record.json", record)
    return record


def start(plan: Plan, arm: str, seed: int) -> TinyLM:
    """Return the model of an arm at step 0; all but the embedding is the same in every arm."""
    chosen, model = ARMS[arm], build(plan, seed)
    with torch.no_grad():
        if chosen.bounded:
            rng = stream(seed, "tiny_lm", "bounded")
            rows = bounded_rows(plan.vocabulary, plan.width, plan.cosine_bound, rng)
            model.embed.weight.copy_(torch.from_numpy(rows * chosen.std))
        else:
            model.embed.weight.mul_(chosen.std / START_STD)
    model.embed.weight.requires_grad_(chosen.trained)
    return model


def steps(plan: Plan, corpus: Corpus, model: TinyLM, seed: int) -> Iterator[tuple[int, float | None]]:
    """Train in place; yield (0, None) before the first step, then each step with the loss that it saw."""
    optimizer = _optimizer(model)
    order = _order(len(corpus.train), plan.steps * plan.batch, seed)
    yield 0, None
    for step in range(1, plan.steps + 1):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(plan, step)
        chosen = order[(step - 1) * plan.batch : step * plan.batch]
        loss = _loss(model, corpus.train[chosen])
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(
            [p for p in model.parameters() if p.requires_grad], _CLIP, error_if_nonfinite=True
        )
        optimizer.step()
        yield step, float(loss.detach())


def learning_rate(plan: Plan, step: int) -> float:
    """Return the learning rate of a step: up in a straight line, down to a tenth as half a cosine."""
    rise = max(1, plan.steps // 12)
    if step <= rise:
        return plan.lr * step / rise
    done = (step - rise) / (plan.steps - rise)
    return plan.lr * (0.1 + 0.9 * (1 + math.cos(math.pi * done)) / 2)


def mean_loss(model: TinyLM, rows: np.ndarray, batch: int = 64) -> float:
    """Return the mean loss over the predicted tokens of windows, in nats per token."""
    with torch.no_grad():
        losses = [float(_loss(model, part)) * len(part) for part in np.split(rows, range(batch, len(rows), batch))]
    return sum(losses) / len(rows)


def _loss(model: TinyLM, rows: np.ndarray) -> torch.Tensor:
    tokens = torch.from_numpy(rows.astype(np.int64))
    return functional.cross_entropy(model(tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten())


def _order(windows: int, needed: int, seed: int) -> np.ndarray:
    """Return which window comes when: every one once before any comes twice."""
    rounds = range(-(-needed // windows))
    return np.concatenate([stream(seed, "tiny_lm", "order", i).permutation(windows) for i in rounds])[:needed]


def _optimizer(model: TinyLM) -> torch.optim.Optimizer:
    trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    matrices = {name for name, p in trained if p.ndim == 2 and name not in ("embed.weight", "position.weight")}
    groups = [
        {"params": [p for name, p in trained if name in matrices], "weight_decay": _DECAY},
        {"params": [p for name, p in trained if name not in matrices], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, betas=(0.9, 0.95))


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute on one thread, so that a run gives the same bits beside others; then as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
