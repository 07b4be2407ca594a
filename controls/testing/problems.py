"""Ugly problems to try controls and trainers on: unsorted rows, unequal groups, labels that cluster."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from itertools import product
from typing import Any

import numpy as np

from controls.core.problem import Problem, Source
from controls.core.rng import stream

_SENTENCES = (4, 3, 2, 1, 2, 2, 5, 3, 3, 4, 4, 5, 4, 4, 1, 3, 4)  # rows in each
_DOCUMENT_OF_SENTENCE = (0, 0, 1, 1, 1, 1, 2, 3, 3, 4, 4, 5, 6, 7, 7, 8, 8)
_GENRE_OF_DOCUMENT = (0, 0, 0, 1, 1, 1, 1, 2, 2)
KINDS = ("binary", "strings", "continuous", "signed", "symmetric")


def ugly_problems(names: tuple[str, ...] = (), seed: int = 0) -> Iterator[Problem]:
    """Yield one problem after another; together they suit every control on rows, groups or signs.

    Parameters
    ----------
    names : tuple of str
        Group names that are needed besides document, sentence, genre, word, position, prompt and
        place; they become documents in some of the problems, and genres, sentences or words in others.
    seed : int
        Of the problems' random numbers.

    Yields
    ------
    Problem
        Of 54 rows and 3 features, with a source whose inputs are numbers, and with other activations
        at the sites of these names beside it. Labels vary by row, by word, or are constant per sentence,
        document or genre; they are binary, strings, numbers, or signed numbers.
    """
    for constant, kind, like in product(
        ("", "document", "sentence", "word", "genre"), KINDS, ("document", "sentence", "genre", "word")
    ):
        if like != "document" and not names:
            continue
        yield _problem(kind, constant, dict.fromkeys(names, like), stream(seed, "ugly", kind, constant))


def sparse_problems(names: tuple[str, ...] = (), seed: int = 0) -> Iterator[Problem]:
    """Yield ugly problems whose activations are sparse and non-negative: one dense, one CSR (of numbers as labels).

    Of 7 features one never fires, one always, and three fire together; one row has none.
    """
    from scipy import sparse

    for kind, form in (("binary", np.asarray), ("continuous", sparse.csr_array)):
        problem = _problem(kind, "", dict.fromkeys(names, "document"), stream(seed, "ugly", kind, ""))
        rng = stream(seed, "ugly", "sparse", kind)
        fires = rng.random((problem.n, 7)) < [0.0, 1.1, 0.1, 0.3, 0.5, 0.2, 0.2]
        fires[:, 2:5] |= rng.random((problem.n, 1)) < 0.2
        fires[3] = False
        latents: Any = form(fires * np.round(rng.exponential(size=fires.shape) + 0.1, 1))
        yield problem.with_activations(latents)


def tiny_problems(names: tuple[str, ...] = (), seed: int = 0) -> Iterator[Problem]:
    """Yield the first few rows, or groups, of every ugly problem: small enough to enumerate."""
    for problem in ugly_problems(names, seed):
        for group in ("genre", "document", "sentence"):
            codes = problem.codes(group)
            yield problem.take(np.flatnonzero(np.isin(codes, np.unique(codes)[:2])))
        yield problem.take(np.arange(0, problem.n, 9))
        yield problem.take(np.flatnonzero(np.isin(problem.codes("document"), [0, 2, 5, 6])))


def group_names(control: Any) -> tuple[str, ...]:
    """Return every text that a control holds and that no ugly problem has as a group already."""
    known = {"document", "sentence", "genre", "word", "position", "prompt", "place"}
    return tuple(dict.fromkeys(text for text in _texts(control) if text not in known))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from _texts(item)
    elif is_dataclass(value) and not isinstance(value, type):
        for item in fields(value):
            yield from _texts(getattr(value, item.name))


def _problem(kind: str, constant: str, extra: dict[str, str], rng: np.random.Generator) -> Problem:
    sentence = np.repeat(np.arange(len(_SENTENCES)), _SENTENCES)
    document = np.array(_DOCUMENT_OF_SENTENCE)[sentence]
    order = rng.permutation(len(sentence))
    sentence, document = sentence[order], document[order]
    words = np.array(["the", "a", "saw", "dog", "cat", "of", "Ünder"])
    groups: dict[str, np.ndarray] = {
        "document": np.array([f"d{7 * i % 9}" for i in document]),
        "sentence": 100 - sentence,
        "genre": np.array(["news", "fiction", "letters"])[np.array(_GENRE_OF_DOCUMENT)[document]],
        "word": words[np.minimum(rng.geometric(0.35, len(order)) - 1, len(words) - 1)],
        "position": np.array([int((document[:i] == d).sum()) for i, d in enumerate(document)]),
        "prompt": order % 6,  # with place: a whole table
        "place": order // 6,
    }
    groups |= {name: groups[like] for name, like in extra.items()}
    labels = _labels(kind, document, rng)
    if constant:
        first = np.unique(groups[constant], return_index=True, return_inverse=True)
        labels = _labels(kind, np.arange(len(first[1])), rng)[first[2].ravel()]
    activations = rng.standard_normal((len(order), 3)) * [1.0, 30.0, 1e-3] + [0.0, 100.0, 0.0]
    return _beside_others(activations, labels, groups, tuple(extra))


def _beside_others(activations: np.ndarray, labels: np.ndarray, groups: dict, names: tuple[str, ...]) -> Problem:
    """Return the problem at one of several sites, with a source."""
    others = {name: stream(0, "ugly site", name).standard_normal((len(labels), 2)) for name in names}
    inputs = stream(0, "ugly inputs").integers(9, size=(len(labels), 2, 2))
    source = Source(model=None, inputs=inputs, extract=lambda model, inputs: inputs)
    sites = {"the site that is looked at": activations, **others}
    return Problem(sites, labels, groups=groups, unit="document", source=source).at("the site that is looked at")


def _labels(kind: str, document: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return labels that cluster by document and differ at least once."""
    n, lean = len(document), rng.random(int(document.max()) + 1)[document]
    high = rng.random(n) < lean
    high[:2] = True, False
    if kind == "binary":
        return high
    if kind == "strings":
        return np.where(high, np.where(rng.random(n) < 0.3, "noun", "verb"), "a rare, long name")
    if kind == "symmetric":
        return np.where(high, 1, -1)
    numbers = np.exp(rng.standard_normal(n)) + 3 * lean
    if kind == "signed":
        return np.where(rng.random(n) < 0.15, 0.0, numbers * np.where(high, 1, -1))
    return numbers
