"""Problem: the frozen record of what a finding was made from. Source: how its activations came about."""

from __future__ import annotations

import copy
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from controls.core.arrays import take_rows
from controls.core.errors import InputError, InputTypeError, unknown_name
from controls.core.label_sets import LabelSets, as_one_column
from controls.core.remark import Remark
from controls.core.validate import as_activations, as_group, as_labels

T = TypeVar("T")
ROWS = "rows"  # the unit of a problem that names none


@dataclass(frozen=True, eq=False)
class Source:
    """How activations came about: ``extract(model, inputs) -> (n, d)``.

    Parameters
    ----------
    model : object
        What reads the inputs, for example a ``torch.nn.Module``.
    inputs : object
        What it reads, for example a list of texts or an array of tokens.
    extract : callable
        ``extract(model, inputs)`` returns an (n, d) array, or a mapping of sites to such arrays.
    """

    model: Any
    inputs: Any
    extract: Callable[[Any, Any], Any]

    def __post_init__(self) -> None:
        _set(self, "_memo", {})

    def __reduce__(self) -> tuple:
        """Travel to other processes without what was made of the model here."""
        return Source, (self.model, self.inputs, self.extract)

    def memo(self, key: Hashable, build: Callable[[], T]) -> T:
        """Return what ``build`` makes of the model and its inputs, made once."""
        store: dict[Hashable, Any] = self._memo  # type: ignore[attr-defined]
        if key not in store:
            store[key] = build()
        return store[key]

    def taking(self, rows: np.ndarray) -> Source:
        """Return the source of some rows: it extracts all, and keeps those."""
        return Source(self.model, self.inputs, _Taking(self.extract, rows))


@dataclass(frozen=True, eq=False)
class _Taking:
    """An extraction of which some rows are kept."""

    extract: Callable[[Any, Any], Any]
    rows: np.ndarray

    def __call__(self, model: Any, inputs: Any) -> Any:
        found = self.extract(model, inputs)
        if isinstance(found, Mapping):
            return {site: take_rows(array, self.rows) for site, array in found.items()}
        return take_rows(found, self.rows)


@dataclass(frozen=True, eq=False)
class Problem:
    """What a finding is made from: activations, labels, groups, and the unit that is independent.

    Parameters
    ----------
    activations : array of shape (n, d), or mapping of site names to such arrays, optional
        What the technique sees; numpy, torch, pandas, polars or scipy.sparse. Rows of all sites correspond.
        May be left out where a ``source`` is given: it is then extracted once, here.
    labels : array of shape (n,) or (n, k), optional
        What is asked about each row: numbers, booleans or strings. Of k columns, each 0 and 1, or each
        numbers, the score is the mean over columns, and controls keep the labels of a row together.
    groups : mapping of str to array of shape (n,), optional
        Named columns, for example ``{"document": ..., "word": ...}``.
    unit : str, optional
        The group whose members are independent of one another. Splits, intervals and planning go
        by it. Where it is None, rows are taken as independent, and every report says so.
    source : Source, optional
        How the activations came about, where inputs or weights are to be controlled.

    Raises
    ------
    InputError
        NaN or infinite values, lengths that differ, wrong dimensions, empty data, unknown unit.

    Notes
    -----
    Arrays are kept without a copy where their type allows it, as read-only views; do not change
    them while a study runs. Checking reads the activations once: O(n d) time, constant memory.

    Sparse activations are kept sparse, by rows (CSR): estimators and functions get them so, and the
    batched probes make the rows of one fold dense at a time. What is memory-mapped stays in its file,
    also in float16 or integers, of which rows become float32 or float64 as they are taken.

    Examples
    --------
    >>> import numpy as np, controls as ct
    >>> problem = ct.Problem(np.eye(4), [0, 1, 0, 1], groups={"document": [0, 0, 1, 1]}, unit="document")
    >>> problem
    Problem(n=4, d=4, labels='binary', groups=['document'], unit='document' (2 units))
    """

    activations: Any = None
    labels: Any = None
    groups: Mapping[str, Any] = field(default_factory=dict)
    unit: str | None = None
    source: Source | None = None

    def __post_init__(self) -> None:
        given = self.activations
        if given is None:
            if self.source is None:
                raise InputError("activations must be given where there is no source to extract them from, got None.")
            given = self.source.extract(self.source.model, self.source.inputs)
        sites = _as_sites(given)
        n = next(iter(sites.values())).shape[0]
        _set(self, "activations", sites if isinstance(given, Mapping) else sites[""])
        _set(self, "labels", None if self.labels is None else as_labels(self.labels, n))
        _set(self, "groups", _as_groups(self.groups, n))
        if self.unit is not None and not isinstance(self.unit, str):
            raise InputTypeError(
                f"unit must be the name of a column in groups, got {type(self.unit).__name__}; give it in groups."
            )
        if self.unit is not None and self.unit not in self.groups:
            raise unknown_name("unit", self.unit, self.groups, advice="Give its column in groups=.")
        _set(self, "_codes", {})
        _set(self, "_memo", {})
        _set(self, "_sets", None)
        _set(self, "_remarks", ())
        _set(self, "_proof", {})
        _set(self, "_beside", _Beside())
        _set(self, "_site", None)

    def __repr__(self) -> str:
        """Return sizes and names, never the arrays."""
        sites = f", sites={list(self.sites)}" if self.sites else ""
        labels = "None" if self.labels is None else repr(self.target)
        unit = f"{self.unit!r} ({self.n_units} units)" if self.unit else f"None (rows: {self.n} units)"
        groups = list(self.groups)
        return f"Problem(n={self.n}, d={self.d}{sites}, labels={labels}, groups={groups}, unit={unit})"

    @property
    def sites(self) -> tuple[str, ...]:
        """Names of the sites; empty where there is one array without a name."""
        return tuple(self.activations) if isinstance(self.activations, Mapping) else ()

    @property
    def site(self) -> str | None:
        """The site that ``at`` chose among several; None where it was not asked."""
        return self._site  # type: ignore[attr-defined]

    @property
    def X(self) -> Any:  # noqa: N802 - the field's name for it
        """The (n, d) activations, where there is one site: an array, or CSR where they came sparse."""
        if not self.sites:
            return self.activations
        if len(self.sites) == 1:
            return self.activations[self.sites[0]]
        raise InputError(
            f"activations has {len(self.sites)} sites ({', '.join(self.sites)}) where one is needed; "
            "use problem.at(site), or ct.sweep for all of them."
        )

    @property
    def content(self) -> Any:
        """What keys are made of: the only array, or all arrays by site."""
        return self.X if len(self.sites) <= 1 else dict(self.activations)

    @property
    def n(self) -> int:
        """Number of rows."""
        return (self.activations[self.sites[0]] if self.sites else self.activations).shape[0]

    @property
    def d(self) -> int:
        """Number of features (of the first site)."""
        return (self.activations[self.sites[0]] if self.sites else self.activations).shape[1]

    @property
    def target(self) -> str:
        """What kind the labels are: "binary", "multiclass", "continuous", "multilabel" or "none".

        Floating labels are continuous, except two distinct values, which are binary.
        """
        if self.labels is None:
            return "none"
        if self.labels.ndim == 2:
            return "multilabel"
        if self.labels.dtype.kind == "f" and len(self.classes) > 2:
            return "continuous"
        return "binary" if len(self.classes) <= 2 else "multiclass"

    @property
    def classes(self) -> np.ndarray:
        """Sorted distinct labels."""
        return self.memo("classes", lambda: np.unique(self.labels))

    @property
    def label_codes(self) -> np.ndarray:
        """Labels as positions in ``classes``, shape (n,), int64; of labels (n, k), the number of each row's set."""
        if self.labels is not None and self.labels.ndim == 2:
            return as_one_column(self).labels
        return self.memo("label_codes", lambda: np.searchsorted(self.classes, self.labels))

    @property
    def label_sets(self) -> LabelSets | None:
        """What the labels stand for, where they are numbers of label sets; None otherwise."""
        return self._sets  # type: ignore[attr-defined]

    @property
    def remarks(self) -> tuple[Remark, ...]:
        """What the maker of the labels has to say of them; no other labels have it."""
        return self._remarks  # type: ignore[attr-defined]

    def remarked(self, *remarks: Remark) -> Problem:
        """Return this problem with remarks on its labels."""
        other = self._replace()
        _set(other, "_remarks", remarks)
        return other

    @property
    def proof(self) -> Mapping[str, float]:
        """What the control that drew this problem found to be true of its draw, as named figures; mostly none."""
        return self._proof  # type: ignore[attr-defined]

    def proved(self, figures: Mapping[str, float]) -> Problem:
        """Return this problem with further figures that prove how it was drawn."""
        other = self._replace()
        _set(other, "_proof", {**self.proof, **figures})
        return other

    def codes(self, group: str) -> np.ndarray:
        """Return a group column as numbers 0 … k−1, shape (n,), int64."""
        if group == ROWS and group not in self.groups:
            return np.arange(self.n)
        if group not in self.groups:
            raise unknown_name("group", group, self.groups, advice="Give its column in groups= of the Problem.")
        cache: dict[str, np.ndarray] = self._codes  # type: ignore[attr-defined]
        if group not in cache:
            cache[group] = np.unique(self.groups[group], return_inverse=True)[1].ravel()
        return cache[group]

    @property
    def unit_name(self) -> str:
        """The unit's name; "rows" where none was named."""
        return self.unit or ROWS

    @property
    def unit_codes(self) -> np.ndarray:
        """The unit of each row as numbers 0 … G−1, shape (n,)."""
        return self.codes(self.unit) if self.unit else np.arange(self.n)

    @property
    def n_units(self) -> int:
        """Number of units G."""
        return int(self.unit_codes.max()) + 1

    def constant_within(self, group: str) -> bool:
        """Whether every member of the group has one label."""
        codes = self.codes(group)
        first = np.unique(codes, return_index=True)[1]
        return bool((self.labels == self.labels[first][codes]).all())

    def memo(self, key: Hashable, build: Callable[[], T]) -> T:
        """Return what ``build`` makes of labels and groups, made once: problems that share them share it."""
        store: dict[Hashable, Any] = self._memo  # type: ignore[attr-defined]
        if key not in store:
            store[key] = build()
        return store[key]

    def with_labels(self, labels: np.ndarray) -> Problem:
        """Return this problem with other labels; nothing else is copied or checked again."""
        return self._replace(labels=labels)

    def relabelled(self, codes: np.ndarray, sets: LabelSets | None, memo: dict[Hashable, Any] | None = None) -> Problem:
        """Return this problem with labels that are numbers of label sets, or, of no sets, that are themselves."""
        other = self._replace(labels=codes)
        _set(other, "_sets", sets)
        _set(other, "_memo", {} if memo is None else memo)
        return other

    def with_activations(self, activations: np.ndarray | Mapping[str, np.ndarray]) -> Problem:
        """Return this problem with other activations, checked."""
        sites = _as_sites(activations)
        if any(array.shape[0] != self.n for array in sites.values()):
            raise InputError(f"activations must keep their {self.n} rows, got {[a.shape[0] for a in sites.values()]}.")
        return self._replace(activations=sites if isinstance(activations, Mapping) else sites[""])

    def with_groups(self, groups: Mapping[str, np.ndarray]) -> Problem:
        """Return this problem with these columns in the place of those of their names, checked."""
        other = self._replace(groups={**self.groups, **_as_groups(groups, self.n)})
        _set(other, "_codes", {})
        return other

    def with_source(self, source: Source | None) -> Problem:
        """Return this problem with another source, or none; activations stay, nothing is extracted."""
        return self._replace(source=source)

    def extracted(self, source: Source, activations: Any) -> Problem:
        """Return this problem with what a source extracted, checked; at one site, where this one is."""
        other = self.with_activations(activations).with_source(source)
        return other if self.site is None or not other.sites else other.at(self.site)

    def at(self, site: str) -> Problem:
        """Return the problem at one site only."""
        if site not in self.sites:
            raise unknown_name("site", site, self.sites)
        part = self._replace(activations=self.activations[site])
        _set(part, "_beside", _Beside(self.activations))
        _set(part, "_site", site)
        return part

    def array_at(self, site: str) -> np.ndarray:
        """Return the activations (n, d) of a named site: one of this problem's, or of the one that ``at`` was asked of.

        Examples
        --------
        >>> import numpy as np, controls as ct
        >>> problem = ct.Problem({"layer 0": np.eye(2), "layer 1": np.ones((2, 3))})
        >>> problem.at("layer 1").array_at("layer 0").shape
        (2, 2)
        """
        if site in self.sites:
            return self.activations[site]
        beside: _Beside = self._beside  # type: ignore[attr-defined]
        if site not in beside.sites:
            raise unknown_name("site", site, [*self.sites, *beside.sites], advice="Give activations by site.")
        array = beside.sites[site]
        return array if beside.rows is None else array[beside.rows]

    def alone(self) -> Problem:
        """Return the problem without the sites beside it, which need not travel to other processes."""
        part = self._replace()
        _set(part, "_beside", _Beside())
        return part

    def take(self, rows: np.ndarray) -> Problem:
        """Return the problem on some rows, in the order given."""
        if self.sites:
            activations: Any = {name: take_rows(array, rows) for name, array in self.activations.items()}
        else:
            activations = take_rows(self.activations, rows)
        part = self._replace(
            activations=activations,
            labels=None if self.labels is None else self.labels[rows],
            groups={name: column[rows] for name, column in self.groups.items()},
            source=None if self.source is None else self.source.taking(rows),
        )
        _set(part, "_codes", {})
        _set(part, "_remarks", self.remarks)
        _set(part, "_beside", self._beside.take(rows))  # type: ignore[attr-defined]
        return part

    def _replace(self, **changes: Any) -> Problem:
        other = copy.copy(self)
        for name, value in changes.items():
            _set(other, name, value)
        if "labels" in changes or "groups" in changes:
            _set(other, "_memo", {})
        if "labels" in changes:
            _set(other, "_remarks", ())
        return other


@dataclass(frozen=True, eq=False)
class _Beside:
    """The sites among which ``at`` chose one, and which of their rows are left; nothing is copied until asked for."""

    sites: Mapping[str, np.ndarray] = field(default_factory=dict)
    rows: np.ndarray | None = None

    def take(self, rows: np.ndarray) -> _Beside:
        if not self.sites:
            return self
        before = np.arange(len(next(iter(self.sites.values())))) if self.rows is None else self.rows
        return _Beside(self.sites, before[rows])


def _set(record: Any, name: str, value: Any) -> None:
    object.__setattr__(record, name, value)


def _as_sites(given: Any) -> dict[str, np.ndarray]:
    if not isinstance(given, Mapping):
        return {"": as_activations(given)}
    if not given:
        raise InputError("activations must have at least one site, got an empty mapping.")
    sites = {str(name): as_activations(array, f"activations[{name!r}]") for name, array in given.items()}
    lengths = {name: array.shape[0] for name, array in sites.items()}
    if len(set(lengths.values())) > 1:
        raise InputError(f"activations must have the same rows at every site, got {lengths}.")
    return sites


def _as_groups(groups: Any, n: int) -> dict[str, np.ndarray]:
    if groups is None:
        return {}
    if not isinstance(groups, Mapping):
        raise InputTypeError(
            f"groups must be a mapping of names to columns, such as {{'document': ids}}, got {type(groups).__name__}."
        )
    return {str(name): as_group(column, n, f"groups[{str(name)!r}]") for name, column in groups.items()}
