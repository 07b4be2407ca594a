"""The interaction test: is the product of two concepts linearly available, beyond the concepts themselves?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import numpy as np

from controls.core.errors import InputError, InputTypeError
from controls.core.products import basis, basis_of_columns, centred_product, imbalance, lower_terms, remove
from controls.core.products import numerical_rank as numerical_rank
from controls.core.validate import as_group, random_generator, whole_number
from controls.stats.rearranged import check_groups, rearranged

_TIES = 1e-12  # values of R² closer than this are ties
_BUDGET = 96 << 20  # bytes of the largest arrays of a chunk


@final
@dataclass(frozen=True, eq=False)
class InteractionTest:
    """What an interaction test found; of a batch, each field but ``n`` and ``draws`` is an array (P,).

    Parameters
    ----------
    r2 : float or array
        Share of the variance of the centred product, residualised on ``[1, main effects, nuisance]``, that is
        linear in the residualised hidden layer, in the sample.
    adjusted : float or array
        The same, adjusted for the rank of the layer: about 0 where there is nothing. NaN where nothing is left
        to estimate it from.
    p_value : float or array
        ``(1 + count) / (draws + 1)``, count being the permutations of the centred product with an R² as high.
    rank : int or array
        Numerical rank of the residualised layer: dead and duplicate neurons do not count.
    k : int or array
        Numerical rank of main effects and nuisance, the constant not counted.
    imbalance : float or array
        Coefficient of variation of the squared residual product: 0 where all cells are equally full. The p-value
        is calibrated where it is small (see :func:`interaction_test`).
    n, draws : int
        Number of rows and of permutations.
    """

    r2: float | np.ndarray
    adjusted: float | np.ndarray
    p_value: float | np.ndarray
    rank: int | np.ndarray
    k: int | np.ndarray
    imbalance: float | np.ndarray
    n: int
    draws: int

    @property
    def saturation(self) -> float | np.ndarray:
        """The R² that random labels have: rank / (n - 1 - k)."""
        return self.rank / np.maximum(self.n - 1 - self.k, 1)


def interaction_test(
    H: np.ndarray,
    concepts: np.ndarray,
    *,
    nuisance: np.ndarray | None = None,
    groups: np.ndarray | None = None,
    draws: int = 199,
    rng: np.random.Generator,
) -> InteractionTest:
    """Test whether the centred product of concepts is linear in a layer, beyond the concepts themselves.

    The product t of the concepts, each less its mean, and the layer are residualised on the constant, the
    concepts, their lower-order products and the nuisance. The statistic is R² of what is left; its null
    distribution comes from permutations of t, each residualised in the same way; with ``groups``, from what whole
    groups may exchange.

    Parameters
    ----------
    H : array of shape (n, d) or (P, n, d)
        The layer; with a leading axis, of P tests in one call.
    concepts : array of shape (n, k) or (P, n, k)
        Two or more columns, two-valued or numeric.
    nuisance : array of shape (n, m) or (P, n, m), optional
        Further columns whose linear part is removed, such as all other inputs. It may repeat the concepts.
    groups : array of shape (n,), optional
        The group of each row, such as its document, of all tests alike. Concepts that are constant within groups
        trade places among them, and rows keep what else they have; where no concept is, what is left of the product
        changes its sign in whole groups at random. None: rows are independent of one another.
    draws : int, default 199
        Number of permutations, new ones for each test.
    rng : numpy.random.Generator

    Returns
    -------
    InteractionTest
        Numbers; arrays of shape (P,) where there was a leading axis.

    Raises
    ------
    InputError
        Shapes that differ, values that are not finite, fewer than two concepts.
    CannotControl
        Fewer than 3 groups; fewer than 6 where no concept is constant within them, whose signs have 2^(G − 1)
        combinations that differ.

    Notes
    -----
    Without ``groups`` rows are taken as independent: on clustered rows (documents with concepts and effects of their
    own) a true null can be rejected always. With groups the p-value goes by what is exchanged; ``adjusted`` is then
    R² beyond the mean of the draws, as a share of what they leave.

    Groups take effects of their own, of themselves and of concepts, to be as likely of either sign. True nulls
    rejected at level .05 in 30 documents of 10 rows with 6 neurons, of 400, without and with groups: 353 and 15 where
    documents have both concepts, 135 and 20 where they have one, 296 and 25 where they have base rates of each. More
    neurons than groups make the test liberal: 370 and 41 with 40 neurons where documents have one concept.

    Slopes of groups that depend on the other concept are not of either sign alike in all: where documents with a
    concept have slopes in the second one that vary 1, 1.5, 2 or 3 times as much (standard deviation) as documents
    without it, 63, 74, 80 and 132 of 1,000 true nulls are rejected at level .05 (30 documents of 10 rows, 6 neurons).

    With layers of width d the test is mildly liberal: .067 of 3,200 true nulls at level .05 for d = 128 and n = 1000.

    A permutation needs the squared product to be uncorrelated with the squared layer. Balanced cells guarantee it:
    t² is then constant. On independent features with rate .1 a true null is rejected in about .4 of cases at
    level .05, whatever n; ``imbalance`` is what to look at, ``controls.InteractionLabels(balance=True)`` the remedy.

    Where the product is linear in main effects and nuisance (a cell of the concepts is empty, a concept is
    constant) there is nothing to test: R² is NaN and p is 1.

    Time is O(P n (d² + m² + (d + m) draws)); memory about 200 MB at most, whatever P, beyond the input.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x = rng.integers(2, size=(400, 2)).astype(float)
    >>> computed = np.maximum(x.sum(axis=1, keepdims=True) - 1, 0)
    >>> found = interaction_test(computed, x, rng=rng)
    >>> round(found.r2, 3), found.p_value, found.rank
    (1.0, 0.005, 1)
    >>> raw = interaction_test(rng.normal(size=(400, 3)) + x[:, :1], x, rng=rng)
    >>> bool(raw.p_value > 0.05)
    True
    """
    whole_number(draws, "draws", low=1)
    random_generator(rng)
    layers, columns, others = _checked(H, concepts, nuisance)
    codes = None if groups is None else _codes(groups, columns)
    size = layers.shape[0]
    found: dict[str, list[np.ndarray]] = {name: [] for name in ("r2", "p_value", "rank", "k", "imbalance", "drawn")}
    for part in _chunks(size, layers.shape[1], layers.shape[2] + others.shape[2] + columns.shape[2], draws):
        for name, values in _test(layers[part], columns[part], others[part], codes, draws, rng).items():
            found[name].append(values)
    whole = {name: np.concatenate(values) for name, values in found.items()}
    drawn = whole.pop("drawn")
    if codes is None:
        whole["adjusted"] = adjusted_r2(whole["r2"], layers.shape[1], whole["rank"], whole["k"])
    else:
        with np.errstate(invalid="ignore", divide="ignore"):
            whole["adjusted"] = np.where(drawn < 1 - _TIES, (whole["r2"] - drawn) / (1 - drawn), np.nan)
    single = {name: values[0].item() for name, values in whole.items()} if np.ndim(H) == 2 else whole
    return InteractionTest(**single, n=layers.shape[1], draws=draws)


def adjusted_r2(r2: np.ndarray, n: int, rank: np.ndarray, k: np.ndarray | int = 0) -> np.ndarray:
    """Return R² in the sample adjusted for rank: 1 - (1 - R²)(n - 1 - k) / (n - 1 - k - rank).

    Parameters
    ----------
    r2, rank : array
        R², and the numerical rank of what it was fitted with.
    n : int
        Rows.
    k : int or array, default 0
        Columns that were partialled out, the constant not counted.

    Returns
    -------
    array
        NaN where no degree of freedom is left.

    Examples
    --------
    >>> adjusted_r2(np.array([0.25, 1.0]), 9, np.array([2, 8])).tolist()
    [0.0, nan]
    """
    total = n - 1 - np.asarray(k)
    left = np.asarray(total - rank, dtype=float)
    left[left <= 0] = np.nan
    return 1 - (1 - np.asarray(r2)) * total / left


def _test(
    H: np.ndarray,
    concepts: np.ndarray,
    nuisance: np.ndarray,
    groups: np.ndarray | None,
    draws: int,
    rng: np.random.Generator,
) -> dict[str, np.ndarray]:
    """Test a chunk of the batch."""
    Q, of_nuisance = basis_of_columns(np.concatenate([lower_terms(concepts), nuisance], axis=-1))
    t = centred_product(concepts)
    residual = remove(Q, t[..., None])[..., 0]
    variance = np.square(residual).sum(axis=1)
    variance[variance <= (1e-7 * np.linalg.norm(t, axis=1)) ** 2] = np.nan  # nothing is left of the product
    U, rank = basis(remove(Q, H), np.linalg.norm(H, axis=(1, 2)))
    r2 = np.square(np.einsum("pnr,pn->pr", U, residual)).sum(axis=1) / variance
    shuffled = rearranged(concepts, residual, groups, draws, rng)  # (P, draws, n)
    left = np.square(shuffled).sum(axis=2) - np.square(shuffled @ Q).sum(axis=2)
    with np.errstate(invalid="ignore", divide="ignore"):
        drawn = np.square(shuffled @ U).sum(axis=2) / left
    below = (drawn < r2[:, None] - _TIES).sum(axis=1)  # what is not defined counts as a draw that is as high
    return {
        "r2": r2,
        "p_value": (1 + draws - below) / (draws + 1),
        "rank": rank,
        "k": of_nuisance - 1,
        "drawn": drawn.mean(axis=1),
        "imbalance": imbalance(residual),
    }


def _codes(groups: np.ndarray, concepts: np.ndarray) -> np.ndarray:
    """Return groups as numbers from 0, checked."""
    codes = np.unique(as_group(groups, concepts.shape[1], "groups"), return_inverse=True)[1].ravel()
    check_groups(codes, concepts)
    return codes


def _chunks(size: int, n: int, width: int, draws: int) -> Iterator[slice]:
    """Yield slices of the batch whose largest arrays stay below the budget."""
    each = 8 * n * (4 * width + 2 * draws)
    step = max(1, _BUDGET // each)
    for start in range(0, size, step):
        yield slice(start, min(start + step, size))


def _checked(
    H: np.ndarray, concepts: np.ndarray, nuisance: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the three arrays with a leading axis, in float64."""
    layers = _three(H, "H")
    columns = _three(concepts, "concepts")
    others = np.empty((*layers.shape[:2], 0)) if nuisance is None else _three(nuisance, "nuisance")
    if columns.shape[-1] < 2:
        raise InputError(f"concepts must have two or more columns, got {columns.shape[-1]}; name another concept.")
    for name, array in (("concepts", columns), ("nuisance", others)):
        if array.shape[:2] != layers.shape[:2]:
            raise InputError(
                f"{name} must have the tests and rows of H {layers.shape[:2]}, got {array.shape[:2]}; "
                "stack them along the first axis."
            )
    return layers, columns, others


def _three(value: np.ndarray, name: str) -> np.ndarray:
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise InputTypeError(f"{name} must be an array of numbers, got {type(value).__name__} ({error}).") from error
    if array.dtype.kind not in "fiub":
        raise InputTypeError(f"{name} must hold numbers, got dtype {array.dtype}; encode it before.")
    if array.ndim not in (2, 3) or 0 in array.shape[:2]:
        raise InputError(f"{name} must have shape (n, columns) or (P, n, columns), got {array.shape}.")
    array = (array[None] if array.ndim == 2 else array).astype(np.float64, copy=False)
    if not np.isfinite(array).all():
        raise InputError(f"{name} must be finite, got NaN or infinite values; drop those rows.")
    return array
