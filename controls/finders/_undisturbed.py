"""What code of others may not do to this process: leave seeds, settings, files or variables changed."""

from __future__ import annotations

import importlib
import io
import os
import random
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from types import ModuleType
from typing import Any

import numpy as np

from controls.core.errors import ControlsError, InputError, TrainerError

_LONGEST = 200  # characters of what a library says of its failure


@contextmanager
def undisturbed(seed: int, library: str) -> Iterator[str]:
    """Seed everything global, and put it back afterwards, also after an error; yield a temporary folder.

    Global are the random states of Python, numpy and torch, torch's default type and device, threads and
    precision, whether gradients are taken, environment variables, the working folder, and filters of
    warnings. What is printed is dropped, wandb is off, and the working folder is the temporary one. Not for
    several threads at once: all of this belongs to the process.
    """
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="controls-"))
        stack.enter_context(_environment())
        stack.enter_context(_working_folder(folder))
        stack.enter_context(_random_states())
        stack.enter_context(_torch_settings())
        stack.enter_context(warnings.catch_warnings())
        for category in (DeprecationWarning, PendingDeprecationWarning, FutureWarning, ResourceWarning):
            warnings.simplefilter("ignore", category)  # about the library's own code
        stack.enter_context(redirect_stdout(io.StringIO()))
        stack.enter_context(redirect_stderr(io.StringIO()))
        os.environ["WANDB_MODE"] = "disabled"
        _seed(seed)
        try:
            yield folder
        except ControlsError:
            raise
        except Exception as error:
            first = (str(error).strip().splitlines() or [""])[0]
            words = first if len(first) <= _LONGEST else f"{first[:_LONGEST]}…"
            raise TrainerError(f"{library} failed: {type(error).__name__}{': ' * bool(words)}{words}") from error


def imported(module: str, package: str) -> ModuleType:
    """Import a library, or say in one sentence what to install."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return importlib.import_module(module)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing == module.partition(".")[0]:
            raise InputError(f"{package} is not installed; pip install {package}.") from error
        raise InputError(f"{package} needs {missing}, which is not installed; pip install {missing}.") from error
    except ImportError as error:
        raise InputError(f"{package} cannot be imported ({error}); check its version.") from error


def member(module: ModuleType, name: str, package: str) -> Any:
    """Return what a library calls by this name, or say that its version is another."""
    if not hasattr(module, name):
        version = getattr(module, "__version__", "of unknown version")
        raise InputError(f"{package} {version} has no {name}; pip install --upgrade {package}.")
    return getattr(module, name)


def _seed(seed: int) -> None:
    import torch

    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - other libraries draw from it; it is put back
    torch.manual_seed(seed)


@contextmanager
def _environment() -> Iterator[None]:
    before = dict(os.environ)
    try:
        yield
    finally:
        for name in set(os.environ) - set(before):
            del os.environ[name]
        for name, value in before.items():
            if os.environ.get(name) != value:
                os.environ[name] = value


@contextmanager
def _working_folder(folder: str) -> Iterator[None]:
    before = os.getcwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


@contextmanager
def _random_states() -> Iterator[None]:
    import torch

    ours = random.getstate()
    numpys = np.random.get_state()  # noqa: NPY002
    try:
        with torch.random.fork_rng():
            yield
    finally:
        random.setstate(ours)
        np.random.set_state(numpys)  # noqa: NPY002


@contextmanager
def _torch_settings() -> Iterator[None]:
    import torch

    dtype, threads, grad = torch.get_default_dtype(), torch.get_num_threads(), torch.is_grad_enabled()
    precision, device = torch.get_float32_matmul_precision(), torch.get_default_device()
    strict, warn_only = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    torch.set_default_dtype(torch.float32)
    torch.set_grad_enabled(True)
    try:
        yield
    finally:
        torch.set_default_dtype(dtype)
        torch.set_grad_enabled(grad)
        torch.set_float32_matmul_precision(precision)
        torch.use_deterministic_algorithms(strict, warn_only=warn_only)
        if torch.get_default_device() != device:
            torch.set_default_device(device)
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
