"""Runs trainers of others so that nothing of the caller's is changed: random states, output, threads, environment."""

from __future__ import annotations

import contextlib
import io
import os
import random
from collections.abc import Iterator

import numpy as np
import torch


@contextlib.contextmanager
def undisturbed(seed: int) -> Iterator[None]:
    """Seed the global random states of Python, NumPy and torch for a while, silence bars; then all is as it was."""
    states = random.getstate(), np.random.get_state()  # noqa: NPY002 - what others draw from
    dtype, grad = torch.get_default_dtype(), torch.is_grad_enabled()
    environment = dict(os.environ)
    try:
        with (
            torch.random.fork_rng(),
            contextlib.redirect_stderr(io.StringIO()),
            contextlib.redirect_stdout(io.StringIO()),
        ):
            os.environ["WANDB_MODE"] = "disabled"
            random.seed(seed)
            np.random.seed(seed % 2**32)  # noqa: NPY002
            torch.manual_seed(seed)
            torch.set_grad_enabled(True)
            yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
        torch.set_default_dtype(dtype)
        torch.set_grad_enabled(grad)
        os.environ.clear()
        os.environ.update(environment)
