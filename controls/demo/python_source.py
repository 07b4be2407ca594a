"""The demo's two questions to MiniLM about source code: roles of names, and where a file stands."""

from __future__ import annotations

import numpy as np

from controls.core.problem import Problem
from controls.demo import minilm
from controls.demo.corpus import SourceFile, read_library
from controls.demo.stage import Stage
from controls.generators import ControlTask, ShuffleLabels
from controls.generators.spectrum import MatchSpectrum
from controls.generators.weights import Reinitialize
from controls.models.from_model import from_model

LAYER = "encoder.layer.2"  # the third of six, where roles are read best
_READ_AGAIN = 60  # files that every redrawn model reads, one run of tokens of each


def stages(*, draws: int, file_draws: int, model_draws: int, progress: minilm.Progress | None = None) -> list[Stage]:
    """Return the three stages on the standard library's own source.

    Names: what role does each name play? Models: would a MiniLM that never learned this show it too?
    Files: does a file stand in a package? Units are files, of which no two come from one package.
    """
    files = read_library()
    chunks = minilm.chunks_of(files)
    reading = minilm.read(chunks, len(files), progress=progress)
    return [
        Stage(
            name="roles",
            title="The role of a name in Python source, read from MiniLM",
            question="Does MiniLM know what a name does in code (definition, parameter, call …)?",
            concept="the role of a name",
            kind="word",
            problem=_names(files, reading),
            controls=(ShuffleLabels(within="file"), ControlTask(per="word")),
            scoring="accuracy",
            draws=draws,
        ),
        Stage(
            name="models",
            title="The role of a name, read from MiniLM and from models that never learned it",
            question=f"Would MiniLM show the role of a name at {LAYER} with redrawn weights too?",
            concept="the role of a name",
            kind="word",
            problem=_read_by_models(files),
            controls=(Reinitialize(), MatchSpectrum()),
            scoring="accuracy",
            draws=model_draws,
        ),
        Stage(
            name="files",
            title="Whether a file stands in a package, read from MiniLM",
            question="Does the mean over a file's tokens tell whether the file stands in a package?",
            concept="whether a file stands in a package",
            kind="file",
            problem=_whole_files(files, reading),
            controls=(ShuffleLabels(whole="file"),),
            scoring="roc_auc",
            draws=file_draws,
        ),
    ]


def _names(files: tuple[SourceFile, ...], reading: minilm.Reading) -> Problem:
    """Return a row per name: its activations at each layer, its role, its file and word."""
    return Problem(
        reading.names,
        np.array([token.role for token in reading.tokens]),
        groups={
            "file": np.array([file.path for file in files])[reading.file_of],
            "word": np.array([token.text for token in reading.tokens]),
        },
        unit="file",
    )


def _read_by_models(files: tuple[SourceFile, ...]) -> Problem:
    """Return a row per name of one run of each of some files, with the model itself as the source."""
    chunks = minilm.chunks_of(files[:: max(1, len(files) // _READ_AGAIN)], per_file=1)
    some = files[:: max(1, len(files) // _READ_AGAIN)]
    tokenizer, model = minilm.load()
    every = from_model(
        model,
        [[token.text for token in chunk.tokens] for chunk in chunks],
        layers=[LAYER],
        labels=[[token.role or "" for token in chunk.tokens] for chunk in chunks],
        groups={"file": [some[chunk.file].path for chunk in chunks]},
        unit="file",
        tokenizer=tokenizer,
        pooling="word_first",
        batch_size=minilm.BATCH,
        truncation=True,
    )
    return every.take(np.flatnonzero(every.labels != ""))


def _whole_files(files: tuple[SourceFile, ...], reading: minilm.Reading) -> Problem:
    """Return a row per file: its mean activations at each layer, and whether it stands in a package."""
    return Problem(
        reading.files,
        np.array([file.in_package for file in files]),
        groups={"file": [file.path for file in files]},
        unit="file",
    )
