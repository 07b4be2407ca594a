"""Controls on inputs: what all that change the tokens a model reads share: the text, the rows, the extraction."""

from __future__ import annotations

import operator
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np

from controls.core.control import Control, Level
from controls.core.errors import InputError
from controls.core.key import NoContent, content_key
from controls.core.problem import Problem, Source
from controls.generators.redrawn import Redrawn, origin_key
from controls.models.tokens import Text, text_of


@final
@dataclass(frozen=True, eq=False)
class DrawnText:
    """What a control on inputs made of a text: new inputs, figures that prove it, and what goes with the tokens.

    ``rows`` (n,) are row indices where labels follow their tokens: row i takes the label of row rows[i].
    """

    inputs: Any
    figures: Mapping[str, float]
    rows: np.ndarray | None = None


class InputControl(Control):
    """A control on inputs: the model reads other tokens, with the weights that it has.

    Needs ``problem.source``, whose inputs are those of ``ct.from_model``, or whole numbers: an array (S, T) of
    token ids, or a list of arrays of any lengths. Padding, special tokens and ids that the control holds
    ``fixed`` stay where they are, and so do the caller's inputs.
    """

    level: ClassVar[Level] = "inputs"
    fixed: tuple[int, ...]

    @abstractmethod
    def rewrite(self, problem: Problem, rng: np.random.Generator) -> DrawnText:
        """Return the drawn inputs."""

    def text(self, problem: Problem) -> Text:
        """Return the tokens that may change; read from the source's inputs once."""
        source = self._source(problem)
        return source.memo(("text", self.fixed), lambda: text_of(source.inputs).without(self.fixed))

    def draw(self, problem: Problem, rng: np.random.Generator) -> Problem:
        """Return the problem with the activations of the drawn text."""
        source, seed = self._source(problem), int(rng.integers(2**63))
        drawn = self.rewrite(problem, np.random.Generator(np.random.PCG64(seed)))
        changed = self._extraction(source, seed)
        new = Source(source.model, drawn.inputs, changed)
        activations = _shared(self, problem, seed, lambda: changed(source.model, drawn.inputs))
        after = problem.extracted(new, activations)
        return moved(after, drawn.rows).proved(drawn.figures)

    def _extraction(self, source: Source, seed: int) -> Any:
        """Return how the drawn inputs are read: as the observed ones."""
        return source.extract

    def _source(self, problem: Problem) -> Source:
        if problem.source is None:
            raise InputError(
                f"{self.name} changes what a model reads, but the problem has no source; make the problem with "
                "ct.from_model(model, inputs, layer=...), or give source=ct.Source(model, inputs, extract)."
            )
        return problem.source


def _shared(control: InputControl, problem: Problem, seed: int, extract: Callable[[], Any]) -> Any:
    """Return what is extracted; the sites of a sweep, and runs with a cache, share it in files."""
    source, steps = problem.source, ()
    assert source is not None
    base = source
    if isinstance(source.extract, Redrawn):
        base, steps = source.extract.base, source.extract.steps
    cache = getattr(base.extract, "cache", None)
    if base.inputs is not source.inputs or (problem.site is None and cache is None):
        return extract()
    try:
        origin = base.memo("key", lambda: origin_key(base))
        key = content_key((origin, [(content_key(step), own) for step, own in steps], content_key(control), seed))
    except NoContent:
        return extract()
    from controls.models.shelf import Shelf

    shelf = base.memo("shelf", lambda: Shelf(cache))
    known = shelf.get(key)
    if known is not None:
        return known[0].get("", known[0])
    found = extract()
    shelf.put(key, found if isinstance(found, Mapping) else {"": found}, {})
    return found


def moved(problem: Problem, rows: np.ndarray | None) -> Problem:
    """Return the problem with the labels of these rows, and the groups that say what the token, or word, is."""
    if rows is None:
        return problem
    follow = {name: column[rows] for name, column in problem.groups.items() if name in ("token", "word")}
    problem = problem.with_groups(follow) if follow else problem
    return problem if problem.labels is None else problem.with_labels(problem.labels[rows])


def as_ids(value: Any, name: str) -> tuple[int, ...]:
    """Return token ids as a tuple of whole numbers of at least 0."""
    try:
        given = [operator.index(item) for item in ([value] if np.ndim(value) == 0 else value)]
    except TypeError as error:
        raise InputError(f"{name} must be token ids, which are whole numbers of at least 0, got {value!r}.") from error
    if any(item < 0 for item in given):
        raise InputError(f"{name} must be token ids of at least 0, got {min(given)}.")
    return tuple(sorted(set(given)))


def sequences_of_rows(problem: Problem, text: Text) -> np.ndarray:
    """Return the sequence that each row is of, shape (n,)."""
    column = problem.groups.get("sequence")
    if column is not None and column.dtype.kind in "iu" and column.min() >= 0 and column.max() < text.count:
        return column
    if problem.n == text.count:
        return np.arange(text.count)
    if problem.n == len(text.ids):
        return text.sequence
    raise InputError(
        f"rows must be told apart by sequence: give the number of each row's sequence as a group 'sequence', since "
        f"there are {problem.n} rows where the inputs have {text.count} sequences and {len(text.ids)} free tokens."
    )


def documents_of_tokens(problem: Problem, text: Text, within: str) -> np.ndarray:
    """Return the document of each free token, shape (P,): its sequence, or the member of a group that it is in."""
    if within == "sequence":
        return text.sequence
    rows, codes = sequences_of_rows(problem, text), problem.codes(within)
    found = np.arange(text.count) + int(codes.max()) + 1  # sequences without rows are documents of their own
    found[rows] = codes
    split = np.flatnonzero(found[rows] != codes)
    if len(split):
        raise InputError(
            f"within must name a group that is constant within sequences, but sequence {int(rows[split[0]])} has "
            f"several members of {within!r}; split its text there, or use within='sequence'."
        )
    return found[text.sequence]


def rows_of_tokens(problem: Problem, text: Text, number: np.ndarray) -> np.ndarray:
    """Return the row of each free token, shape (P,), by its sequence and its number there; −1 where it has none."""
    rows, place = sequences_of_rows(problem, text), problem.groups.get("position")
    if place is None or place.dtype.kind not in "iu":
        if problem.n == len(text.ids):
            return np.arange(problem.n)
        place = np.zeros(problem.n, dtype=np.int64)
    width = int(max(place.max(), number.max(initial=0))) + 2
    keys = rows.astype(np.int64) * width + place
    if len(np.unique(keys)) < len(keys):
        raise InputError("labels='follow' needs one row per token (or word), but some of them have several.")
    order = np.argsort(keys)
    wanted = text.sequence * width + np.maximum(number, -1)
    at = np.minimum(np.searchsorted(keys[order], wanted), len(keys) - 1)
    return np.where((keys[order][at] == wanted) & (number >= 0), order[at], -1)
