"""Labels that ask what a layer makes of several concepts together: the product of them, beyond each."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product
from math import comb
from typing import Any, final

import numpy as np

from controls.core.arrays import is_sparse
from controls.core.errors import CannotControl, ControlsWarning, InputError, InputTypeError
from controls.core.problem import Problem
from controls.core.products import imbalance, numerical_rank, residual_product
from controls.core.remark import Remark
from controls.core.rng import stream
from controls.core.validate import as_group, whole_number

UNEVEN = 0.5  # imbalance above which a warning is given: below it .06 false alarms at .05 were the most counted
SATURATED = 2.0  # rank/C from which random layers have nearly every product (R² .95 and more, m = 10)


@final
@dataclass(frozen=True, eq=False)
class InteractionLabels:
    """Makes a problem's labels: the centred product of two or more concepts, less what is linear in each.

    AND, OR and XOR of two concepts are this product plus what is linear in the two. A probe reads the linear
    part, two thirds of the variance of AND of fair coins, from the raw input, where nothing has been computed.
    It reads the product only where a layer, or the probe itself, has put the concepts together.

    Parameters
    ----------
    concepts : sequence of str or array of shape (n,)
        Two or more groups of the problem, or columns: numbers, booleans, or texts with two values.
    balance : bool, default False
        Keep a random subsample of rows in which all combinations of two-valued concepts are equally frequent.
        Labels are then -1 and 1, for classifiers too.
    among : str or sequence of str, optional
        All the concepts that the layer may combine, the tested ones too: groups, or a site whose columns they are.
        They change no label: the report states rank/C, the layer's rank beside the number C of such products.
    seed : int, default 0
        Of the subsample.

    Raises
    ------
    InputError
        Unknown groups, fewer than two concepts, texts with more than two values; with ``balance``, numbers with
        more than two.
    CannotControl
        Nothing is left of the product: a concept is constant, or a combination never occurs.

    Warns
    -----
    ControlsWarning
        The combinations are unevenly frequent, with their counts. The squared product then varies, and goes with
        the squared activations, so that permuted labels give false alarms. Counted at alpha .05 for features of
        rate .1: R² in the sample .3 to .6, however many rows there are; held-out R², as ``ct.measure`` has it, up
        to .25 with a few hundred rows. Reports withdraw the word "exact" there.

    Notes
    -----
    Of three or more concepts, products of fewer are taken out too. Activations, groups, unit and sites stay; of
    the subsample, a source's inputs stay where they have one entry a row (an array or a list), and the source
    goes where they do not. Labels are made from concepts alone, never from activations. The score of a linear
    probe with ``scoring="r2"`` estimates the share of the product's variance that the activations have linearly.
    Labels are free of main effects over all rows, so that what a training fold has of them by chance, the test fold
    has the other way round: of true nulls held-out R² is lower than that of shuffled labels, by about 2k/n where k
    main effects can be read (.02 counted for 160 rows, two concepts). With few rows that can look worse than the
    control where nothing is there. With one concept that is constant within units, and one that is not, no
    rearrangement of products is exact, and reports say so: ``controls.stats.interaction.interaction_test(...,
    groups=units)`` is the test then. Where units have both, ``ShuffleLabels(whole=unit)`` trades them.
    It costs O(n 4^k) time for k concepts.

    Examples
    --------
    >>> import numpy as np, controls as ct
    >>> rng = np.random.default_rng(0)
    >>> x = rng.integers(2, size=(600, 2))
    >>> layer = np.maximum(x @ rng.normal(size=(2, 8)), 0)
    >>> problem = ct.Problem({"input": x, "layer": layer}, groups={"a": x[:, 0], "b": x[:, 1]})
    >>> both = ct.InteractionLabels(("a", "b"), balance=True)(problem)
    >>> both.n, both.labels[:4].tolist()
    (528, [1, -1, 1, 1])
    >>> for site in both.sites:
    ...     result = ct.measure(ct.probes.RidgeProbe(), both.at(site), controls=[ct.ShuffleLabels()], scoring="r2")
    ...     print(site, round(result.score, 2), result["ShuffleLabels"].verdict)
    input -0.01 INCONCLUSIVE
    layer 1.0 SELECTIVE
    """

    concepts: tuple[Any, ...]
    balance: bool = False
    among: str | tuple[str, ...] | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if isinstance(self.concepts, str) or not hasattr(self.concepts, "__len__") or len(self.concepts) < 2:
            raise InputError(f"concepts must name two or more groups (or give columns), got {self.concepts!r}.")
        names = [concept for concept in self.concepts if isinstance(concept, str)]
        if len(set(names)) < len(names):
            raise InputError(f"concepts must differ from one another, got {', '.join(names)}.")
        if not isinstance(self.balance, bool):
            raise InputTypeError(f"balance must be True or False, got {self.balance!r}.")
        whole_number(self.seed, "seed", low=0)
        object.__setattr__(self, "concepts", tuple(self.concepts))
        if self.among is not None and not isinstance(self.among, str):
            if not isinstance(self.among, (list, tuple)) or not all(isinstance(name, str) for name in self.among):
                raise InputTypeError(f"among must be a site, or names of groups, got {self.among!r}.")
            object.__setattr__(self, "among", tuple(self.among))

    @property
    def names(self) -> tuple[str, ...]:
        """The concepts' names: those of groups, and "concept 1" and so on for columns."""
        return tuple(c if isinstance(c, str) else f"concept {i + 1}" for i, c in enumerate(self.concepts))

    def __call__(self, problem: Problem) -> Problem:
        """Return the problem (or its balanced subsample) with these labels."""
        columns = self._columns(problem)
        if self.balance:
            rows = self._balanced(problem, columns)
            problem, columns = _take(problem, rows), [column[rows] for column in columns]
        concepts = np.stack([_numbers(column, name) for column, name in zip(columns, self.names, strict=True)], axis=1)
        labels = _residual(concepts)
        if not labels.any():
            raise CannotControl(
                f"nothing is left of the product of {' and '.join(self.names)} beyond what is linear in each: one of "
                "them is constant, or a combination never occurs; take more rows, or other concepts."
            )
        remarks = [*self._unevenness(columns, labels), *self._shared(problem, columns), *self._budget(problem)]
        if self.balance:
            labels = np.where(labels > 0, 1, -1)
        return problem.with_labels(labels).remarked(*remarks)

    def cells(self, problem: Problem) -> dict[tuple[Any, ...], int]:
        """Return how many rows each combination of values has, also of those that never occur."""
        return _cells(self._columns(problem), self.names)

    def _columns(self, problem: Problem) -> list[np.ndarray]:
        """Return the concepts as columns (n,)."""
        if not isinstance(problem, Problem):
            raise InputTypeError(f"InteractionLabels makes labels of a ct.Problem, got {type(problem).__name__}.")
        return [
            _group(problem, concept) if isinstance(concept, str) else as_group(concept, problem.n, name)
            for concept, name in zip(self.concepts, self.names, strict=True)
        ]

    def _balanced(self, problem: Problem, columns: list[np.ndarray]) -> np.ndarray:
        """Return the rows of the subsample, in order."""
        counts = _cells(columns, self.names)
        size = min(counts.values())
        if not size:
            raise CannotControl(
                f"balance=True needs rows of every combination of {' and '.join(self.names)}, got {_shown(counts)}; "
                "take more rows, or other concepts."
            )
        codes = _codes(columns)
        order = stream(self.seed, "InteractionLabels").permutation(problem.n)
        return np.sort(np.concatenate([order[codes[order] == cell][:size] for cell in np.unique(codes)]))

    def _unevenness(self, columns: list[np.ndarray], labels: np.ndarray) -> list[Remark]:
        """Warn of combinations that are unevenly frequent, and remark it."""
        spread = float(imbalance(labels))
        if self.balance or spread <= UNEVEN:
            return []
        concepts, why = " and ".join(self.names), "permuted labels give false alarms where the squared product varies"
        if any(len(np.unique(column)) > 2 for column in columns):
            found, remedy = "are numbers of many values", "cut them in two at their medians, then balance=True"
        else:
            counts = _cells(columns, self.names)
            found = f"are unevenly combined ({_shown(counts)})"
            remedy = f"InteractionLabels(..., balance=True) keeps {min(counts.values())} rows of each combination"
        words = f"{concepts} {found}: {why} (its square has a coefficient of variation of {spread:.2g}); {remedy}"
        warnings.warn(f"{words}.", ControlsWarning, stacklevel=3)
        return [Remark(words, withdraws=True)]

    def _shared(self, problem: Problem, columns: list[np.ndarray]) -> list[Remark]:
        """Remark concepts that whole units have, beside others: no rearrangement of the product's rows is exact then.

        Where units have all of them, labels are constant within units, which controls look at themselves.
        """
        codes, unit = problem.unit_codes, problem.unit
        first = np.unique(codes, return_index=True)[1]
        held = [name for name, c in zip(self.names, columns, strict=True) if (c == c[first][codes]).all()]
        if unit is None or len(held) in (0, len(columns)) or len(first) == problem.n:
            return []
        words = (
            f"{' and '.join(held)} {'is' if len(held) == 1 else 'are'} constant within {unit}, so that products that "
            f"rows trade give false alarms; controls.stats.interaction.interaction_test(..., groups=) trades what "
            f"whole {unit}s have"
        )
        return [Remark(words, withdraws=True)]

    def _budget(self, problem: Problem) -> list[Remark]:
        """Remark the rank of each site beside the number of products that its neurons would have to hold."""
        if self.among is None:
            return []
        if isinstance(self.among, str):
            m = problem.array_at(self.among).shape[1]
        else:
            m = len({name for name in self.among if len(_group(problem, name))})
        k, products = len(self.concepts), comb(m, len(self.concepts))
        if not products:
            raise InputError(f"among must hold all concepts that are combined, {k} or more, got {m}.")
        sites: Mapping[str, Any] = problem.activations if problem.sites else {"": problem.X}
        words = [_share(name, array, products) for name, array in sites.items() if name != self.among]
        return [Remark(f"{products} products of {k} among {m} concepts: {'; '.join(words)}.")]


def _share(site: str, array: Any, products: int) -> str:
    """Return rank/C in words."""
    rank = array.shape[1] if is_sparse(array) else numerical_rank(array)
    words = f"{site + ' ' if site else ''}rank/C = {rank}/{products} = {rank / products:.2g}"
    if rank < SATURATED * products:
        return f"{words}, above which the mean R² of all of them cannot be"
    return f"{words}, saturated: layers that learned nothing have them all, so that a control of weights cannot speak"


def _residual(concepts: np.ndarray) -> np.ndarray:
    """Return what is left of the product, shape (n,): rows of the same concepts have the same label to the last bit."""
    first, alike = np.unique(concepts, axis=0, return_index=True, return_inverse=True)[1:]
    return residual_product(concepts)[first][alike.ravel()]


def _group(problem: Problem, name: str) -> np.ndarray:
    problem.codes(name)  # refuses an unknown name
    return problem.groups[name]


def _numbers(column: np.ndarray, name: str) -> np.ndarray:
    """Return a concept as numbers: 0 and 1 where it is texts with two values."""
    if column.dtype.kind in "fiub":
        return column.astype(np.float64)
    values, codes = np.unique(column, return_inverse=True)
    if len(values) > 2:
        raise InputError(
            f"{name} must be numbers, or texts with two values, got {len(values)} texts; ask about one of them: "
            f"groups={{..., {f'is {values[0]}'!r}: column == {str(values[0])!r}}}."
        )
    return codes.ravel().astype(np.float64)


def _codes(columns: list[np.ndarray]) -> np.ndarray:
    """Return the combination of each row as a number."""
    codes = np.zeros(len(columns[0]), dtype=np.int64)
    for column in columns:
        codes = 2 * codes + np.unique(column, return_inverse=True)[1].ravel()
    return codes


def _cells(columns: list[np.ndarray], names: tuple[str, ...]) -> dict[tuple[Any, ...], int]:
    """Return the number of rows of each combination of two-valued concepts."""
    values = [np.unique(column) for column in columns]
    for name, found in zip(names, values, strict=True):
        if len(found) != 2:
            raise InputError(f"{name} must take two values to be counted or balanced, got {len(found)}; cut it in two.")
    counts = np.bincount(_codes(columns), minlength=2 ** len(columns))
    combinations = product(*[column.tolist() for column in values])
    return dict(zip(combinations, counts.tolist(), strict=True))


def _shown(counts: dict[tuple[Any, ...], int]) -> str:
    return ", ".join(f"{'/'.join(map(str, values))}: {count}" for values, count in counts.items())


def _take(problem: Problem, rows: np.ndarray) -> Problem:
    """Return some rows of a problem, and of its source where that has one input a row; else without its source."""
    source, part = problem.source, problem.take(rows)
    if source is None:
        return part
    inputs: Any = source.inputs
    if isinstance(inputs, (list, tuple)) and len(inputs) == problem.n:
        return part.with_source(replace(source, inputs=[inputs[row] for row in rows]))
    shape = getattr(inputs, "shape", ())
    if not shape or shape[0] != problem.n or hasattr(inputs, "iloc"):
        return part.with_source(None)
    return part.with_source(replace(source, inputs=inputs[rows]))
