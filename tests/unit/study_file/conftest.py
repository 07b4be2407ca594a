"""Study files with their data, in folders of their own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from typer.testing import CliRunner

from controls import cli
from controls.core.rng import stream

STUDY = """\
title = "Role of names"
scoring = "roc_auc"
draws = 39

[data]
activations = "acts.npy"
labels = "names.csv:role"
unit = "document"

[data.groups]
document = "names.csv:file"
word = "names.csv:word"

[trainer]
use = "RidgeProbe"
alpha = 2.0

[[controls]]
use = "ShuffleLabels"
within = "document"
"""


@pytest.fixture(scope="session")
def data() -> SimpleNamespace:
    """240 rows in 24 documents. Labels ``role`` go with the activations, and ``coin`` with nothing."""
    rng = stream(3, "study file")
    file, word = np.repeat(np.arange(24), 10), rng.choice(12, size=240)
    role, coin = rng.random(240) < 0.5, rng.random(240) < 0.5
    X = rng.normal(size=(240, 5)) + 1.2 * role[:, None]
    return SimpleNamespace(
        X=X.astype("float32"), file=file, word=word, role=role, coin=coin, noise=rng.normal(size=(240, 5))
    )


@pytest.fixture
def folder(data: SimpleNamespace, tmp_path: Path) -> Path:
    """A folder with a study file whose claim holds, and its data."""
    np.save(tmp_path / "acts.npy", data.X)
    np.save(tmp_path / "noise.npy", data.noise)
    lines = [
        f"{'call' if role else 'load'},{'heads' if coin else 'tails'},{file:03d},w{word}"
        for role, coin, file, word in zip(data.role, data.coin, data.file, data.word, strict=True)
    ]
    (tmp_path / "names.csv").write_text("\n".join(["role,coin,file,word", *lines]) + "\n")
    (tmp_path / "study.toml").write_text(STUDY)
    return tmp_path


@pytest.fixture
def changed(folder: Path) -> Callable[..., Path]:
    """Write the study file with some of its text replaced, and some added at its end."""

    def write(*replaced: tuple[str, str], added: str = "") -> Path:
        text = STUDY
        for old, new in replaced:
            assert old in text
            text = text.replace(old, new, 1)
        (folder / "study.toml").write_text(text + added)
        return folder / "study.toml"

    return write


@pytest.fixture
def start() -> Callable[..., SimpleNamespace]:
    """Run a command; return its exit code and what it printed."""

    def invoke(*arguments: object) -> SimpleNamespace:
        done = CliRunner().invoke(cli.app, [str(argument) for argument in arguments])
        return SimpleNamespace(code=done.exit_code, out=done.stdout, err=done.stderr)

    return invoke
