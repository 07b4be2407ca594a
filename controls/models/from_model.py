"""from_model: a problem from a model, what it reads, and a layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from typing import Any

import numpy as np
import torch

from controls.core.errors import InputError, InputTypeError
from controls.core.key import NoContent, content_key
from controls.core.problem import Problem, Source
from controls.core.validate import as_numpy, whole_number
from controls.models.capture import find_modules
from controls.models.extract import Extraction, check_mode
from controls.models.inputs import ModelInputs, as_inputs
from controls.models.names import AS_READ
from controls.models.rows import Rows, check_pooling
from controls.models.shelf import Shelf
from controls.models.swap import fingerprint
from controls.models.tensors import require_module, tensors_of
from controls.models.tokens import embedding_size


def from_model(
    model: Any,
    inputs: Any,
    layer: str | None = None,
    *,
    layers: Sequence[str] | None = None,
    labels: Any = None,
    groups: Mapping[str, Any] | None = None,
    unit: str | None = None,
    tokenizer: Any = None,
    pooling: str | Callable[[torch.Tensor, Any], torch.Tensor] | None = None,
    batch_size: int = 32,
    truncation: bool = False,
    train_mode: bool = False,
    cache: str | PathLike[str] | None = None,
) -> Problem:
    """Return the problem of what a model makes of its inputs at a layer, with a source whose weights can be redrawn.

    Parameters
    ----------
    model : torch.nn.Module
        Any module: of torch, of Hugging Face, a bridge of TransformerLens. It stays as it is.
    inputs : list of str, list of lists of str, mapping of arrays, or array
        Texts, or texts as lists of words, both with a ``tokenizer``; named arguments of the model (such as
        what a tokenizer gives); or one array (S, ...), its first argument: token ids, images, rows.
    layer : str
        Path of a module, such as ``"blocks.2"`` or ``"encoder.layer.3"``.
    layers : sequence of str
        Several paths, instead: the activations are then sites of these names, for ``ct.sweep``.
    labels, groups : array of one entry per row, or per sequence; or a list per sequence
        What is asked of each row, and named columns. One entry per sequence holds for all its rows; a list per
        sequence holds one entry per word (or per token), and words that got no token are left out of it. An
        array of the shape of the token ids holds one entry per token.
    unit : str, optional
        The independent group; "sequence" where None and sequences have several rows.
    tokenizer : tokenizer of Hugging Face, optional
        For texts. It stays as it is.
    pooling : {"token", "word_first", "word_last", "word_mean", "first", "last", "mean", "none"} or callable, optional
        What makes a row: a token, a word (its first or last token, or their mean), a sequence (its first
        position, its last token, the mean over tokens), or the output as it is where it has one row per
        sequence. Padding and the tokenizer's own tokens are left out, except of "first". A callable gets
        the output (B, T, ...) and the mask (B, T) and returns (B, d). None: words where inputs are words
        ("word_mean"), else tokens, else "none".
    batch_size : int
        Sequences that the model reads together, of like length.
    truncation : bool
        Whether texts may be cut to the tokenizer's longest.
    train_mode : bool
        Whether the model may be in train mode, with dropout; noise is then the same at every extraction.
    cache : path, optional
        A folder in which activations stay, those of redrawn weights too, named by the content of the model, its
        weights, its inputs and the settings: what was extracted once is read from there.

    Returns
    -------
    Problem
        With groups "sequence", "position" (of the token, or the word, in its sequence), "token" (its id) and
        "word" where there are such.

    Raises
    ------
    InputError, NameNotFound
        A path that is not there (the nearest is named), a module that does not run or runs twice, a model in
        train mode with dropout, labels that do not fit, texts that are too long or without a tokenizer.
    CannotControl
        Activations that are not finite; the first module that gives them is named.

    Notes
    -----
    Cost: one forward pass, which stops at the last layer asked for; memory is that of one batch and the
    activations. The weights on the caller's model are never copied.

    Examples
    --------
    >>> import torch, controls as ct
    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
    >>> X = torch.randn(30, 4, generator=torch.Generator().manual_seed(0))
    >>> ct.from_model(model, X, layer="1", labels=(X[:, 0] > 0).numpy())
    Problem(n=30, d=8, labels='binary', groups=['sequence', 'position'], unit=None (rows: 30 units))
    """
    paths = _paths(layer, layers)
    module = require_module(model)
    find_modules(module, paths)
    check_pooling(pooling)
    whole_number(batch_size, "batch_size", low=1)
    check_mode(module, train_mode)
    given = as_inputs(inputs, tokenizer, truncation=truncation)
    kept = None if cache is None else str(cache)
    if kept is not None and callable(pooling):
        _check_has_content(pooling)
    how = Extraction(paths, layers is None, pooling, batch_size, train_mode, kept)  # type: ignore[arg-type]
    try:
        arrays, rows = _extracted(how, module, given)
    except IndexError as error:
        raise _out_of_range(module, given) or error from None
    columns = {**_own_groups(given, rows), **{name: _as_rows(column, rows, given, f"groups[{name!r}]")
                                              for name, column in (groups or {}).items()}}  # fmt: skip
    several = rows.n > len(given)
    source = Source(module, given, how)
    source.memo(AS_READ, lambda: {tensor.name: fingerprint(tensor.parameter) for tensor in tensors_of(module)})
    return Problem(
        arrays[paths[0]] if layers is None else arrays,
        None if labels is None else _as_rows(labels, rows, given, "labels"),
        groups=columns,
        unit=unit or ("sequence" if several else None),
        source=source,
    )


def _out_of_range(model: Any, inputs: ModelInputs) -> InputError | None:
    """Return what to say where token ids go beyond the model's embedding."""
    size, ids = embedding_size(model), inputs.ids
    if size is None or ids is None or int(ids.max()) < size:
        return None
    beyond = int((ids >= size).any(dim=1).nonzero()[0, 0])
    return InputError(
        f"inputs must have token ids from 0 to {size - 1}, the size of the model's embedding, got {int(ids.max())}; "
        f"the first such sequence is {beyond}. Use the model's own tokenizer."
    )


def _check_has_content(pooling: Any) -> None:
    """Refuse a function that files cannot be named by."""
    try:
        content_key(pooling)
    except NoContent:
        raise InputError(
            "pooling must be a function of its own name at the top of a module where there is a cache=, since files go "
            f"by its code, got {pooling!r}; give it a name there, or leave cache= out."
        ) from None


def _extracted(how: Extraction, model: Any, inputs: ModelInputs) -> tuple[Mapping[str, np.ndarray], Rows]:
    """Return activations and rows, from the cache where they are there."""
    if how.cache is None:
        return how.extract(model, inputs)
    shelf, key = Shelf(how.cache), how.key(model, inputs)
    known = shelf.get(key)
    if known is not None:
        return known[0], how.rows(model, inputs)
    arrays, rows = how.extract(model, inputs)
    shelf.put(key, arrays, {})
    return arrays, rows


def _paths(layer: str | None, layers: Sequence[str] | None) -> tuple[str, ...]:
    if (layer is None) == (layers is None):
        raise InputError("layer or layers must be given, one of the two: the path of a module, or several paths.")
    paths = (layer,) if layers is None else ((layers,) if isinstance(layers, str) else tuple(layers))
    if not paths or not all(isinstance(path, str) and path for path in paths):
        raise InputTypeError(f"layer must be the path of a module, got {layer if layers is None else layers!r}.")
    if len(set(paths)) < len(paths):
        raise InputError(f"layers must differ from one another, got {', '.join(map(str, paths))}.")
    return paths  # type: ignore[return-value]


def _own_groups(inputs: ModelInputs, rows: Rows) -> dict[str, np.ndarray]:
    """Return the columns that the inputs themselves give."""
    groups = {"sequence": rows.sequence_of, "position": rows.number}
    word = _word_of(inputs, rows)
    if word is not None and inputs.texts is not None:
        words = [inputs.texts[s][w] for s, w in zip(rows.sequence_of, word, strict=True)]
        groups["word"] = np.array(words, dtype=np.str_)
    if inputs.ids is not None and rows.position is not None and _are_tokens(rows):
        groups["token"] = inputs.ids.cpu().numpy()[rows.sequence, rows.position]
    return groups


def _are_tokens(rows: Rows) -> bool:
    """Whether each row is a position, under its own number."""
    single = rows.position is not None and rows.n == len(rows.row)
    return single and np.array_equal(rows.number, rows.position)  # type: ignore[arg-type]


def _word_of(inputs: ModelInputs, rows: Rows) -> np.ndarray | None:
    """Return the number of each row's word in its sequence; None where inputs are no words, or rows whole sequences."""
    if inputs.texts is None or inputs.words is None or rows.n <= len(inputs):
        return None
    return inputs.words[rows.sequence, rows.position] if _are_tokens(rows) else rows.number


def _as_rows(column: Any, rows: Rows, inputs: ModelInputs, name: str) -> np.ndarray:
    """Return a column with one entry per row, from one per row, per sequence, or a list per sequence."""
    count = len(inputs)
    nested = isinstance(column, (list, tuple)) and column and isinstance(column[0], (list, tuple, np.ndarray))
    if nested and len(column) == count and rows.n > count:
        return _nested(column, rows, inputs, name)
    array = as_numpy(column, name)
    if array.ndim == 0 or len(array) not in (rows.n, count):
        raise InputError(
            f"{name} must have one entry per row ({rows.n}) or per sequence ({count}), got shape {array.shape}."
        )
    if len(array) == rows.n:
        return array
    if rows.n > count and inputs.mask is not None and array.shape == inputs.mask.shape:
        if not np.array_equal(rows.number, rows.position):  # type: ignore[arg-type]
            raise InputError(
                f"{name} must be a list per sequence with an entry per word where rows are words, got an array of the "
                f"shape of the tokens {array.shape}."
            )
        return array[rows.sequence_of, rows.number]
    return array[rows.sequence_of]


def _nested(column: Sequence[Sequence[Any]], rows: Rows, inputs: ModelInputs, name: str) -> np.ndarray:
    """Return the entries of the words (or tokens) that have a row."""
    word = _word_of(inputs, rows)
    if word is not None and inputs.texts is not None:
        off = [i for i, (part, text) in enumerate(zip(column, inputs.texts, strict=True)) if len(part) != len(text)]
        if off:
            raise InputError(
                f"{name} must have a list per sequence with an entry for each of its words, but the list of sequence "
                f"{off[0]} has {len(column[off[0]])} where there are {len(inputs.texts[off[0]])}."
            )
    number = rows.number if word is None else word
    sequences, firsts = np.unique(rows.sequence_of, return_index=True)
    lengths = np.array([len(part) for part in column])
    highest = np.maximum.reduceat(number, firsts)
    short = np.flatnonzero(highest >= lengths[sequences])
    if len(short):
        where = int(sequences[short[0]])
        raise InputError(
            f"{name} must have a list per sequence with an entry for each of its words or tokens, but the list of "
            f"sequence {where} has {lengths[where]} where there are at least {int(highest[short[0]]) + 1}."
        )
    return np.array([column[s][w] for s, w in zip(rows.sequence_of, number, strict=True)])
