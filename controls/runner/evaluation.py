"""Evaluation: what label columns scored, and how folds and blocks are put together to one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from controls.core.trainer import Split
from controls.runner.resample import RESAMPLES


@dataclass(frozen=True)
class Evaluation:
    """What B label columns scored."""

    scores: np.ndarray  # (B,), mean over folds; NaN where none was defined
    fold_scores: np.ndarray  # (K, B)
    deviations: np.ndarray  # (G, B) or (RESAMPLES, B): squares sum to the variance over units
    df: np.ndarray  # (B,), degrees of freedom of that variance
    left_out: bool = True  # whether deviations come from leaving units out, rather than from resampling
    constant: np.ndarray | None = None  # (B,), folds of several units none of which changes the score
    shares: np.ndarray | None = None  # of one column: what each unit, or each fold, adds to the score, (G,) or (K,)

    @property
    def parts(self) -> tuple[np.ndarray, ...]:
        """The arrays, columns last."""
        return self.scores, self.fold_scores, self.deviations, self.df


@dataclass(frozen=True)
class FoldPart:
    """What B label columns scored in one fold."""

    scores: np.ndarray  # (B,)
    deviations: np.ndarray | None  # (G_k, B) or (RESAMPLES, B); None where no column could be scored
    left_out: bool  # whether deviations come from leaving units out


@dataclass(frozen=True)
class Message:
    """How the scores of blocks make that of one message: by their rows, with a first block that is in no test."""

    first: float  # share of the rows that the first block has
    score: float  # what its rows score
    weights: np.ndarray  # (K,), shares of the rows of the blocks that are tested

    @classmethod
    def of(cls, splits: Sequence[Split], score: float) -> Message:
        """Return that of folds, each of which tests on the block after its training rows."""
        rows = np.array([len(splits[0][0]), *(len(test) for _, test in splits)])
        shares = rows / rows.sum()
        return cls(float(shares[0]), score, shares[1:])


def combine(
    parts: Sequence[FoldPart],
    splits: Sequence[Split],
    unit_codes: np.ndarray,
    n_units: int,
    message: Message | None = None,
) -> Evaluation:
    """Return mean scores over folds (over the rows of a ``message``), and deviations of those means.

    A fold from which some unit cannot be left out (it has one unit, or one unit holds a whole
    class), or whose score stays what it is whichever is (F1 of a fit that never says yes), is a unit
    of its own: its deviation is that of its score from the mean over folds. Where all folds are such, as of scores in
    which rows have no part, deviations are raised for the training rows that folds share.
    """
    fold_scores = np.stack([part.scores for part in parts])
    count = (~np.isnan(fold_scores)).sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = np.where(count > 0, np.nansum(fold_scores, axis=0) / count, np.nan)
    if message is not None:
        means = message.first * message.score + message.weights @ fold_scores
    divisors = _divisors(count, len(parts), message)
    left_out = all(part.left_out for part in parts)
    deviations = np.zeros((n_units if left_out else RESAMPLES, len(means)))
    df, thin_folds, constant = np.zeros((3, len(means)))
    for part, (_, test), divisor in zip(parts, splits, divisors, strict=True):
        if part.deviations is None:
            continue
        members = np.unique(unit_codes[test])
        slots = members if left_out else np.arange(RESAMPLES)
        defined = ~np.isnan(part.scores)
        thin = defined & np.isnan(part.deviations).any(axis=0)
        if left_out:  # zeros of resampling may be those of columns that were not resampled
            constant += defined & ~part.deviations.any(axis=0) & (len(members) > 1)
            thin |= defined & ~part.deviations.any(axis=0)
        whole = defined & ~thin
        deviations[slots[:, None], np.flatnonzero(whole)] += part.deviations[:, whole] / divisor[whole]
        scale = np.sqrt(count[thin] / np.maximum(count[thin] - 1, 1)) / divisor[thin]
        deviations[slots[0], thin] += (part.scores[thin] - means[thin]) * scale
        df += np.where(whole, len(members) - 1, 0)
        thin_folds += thin
    df += np.maximum(thin_folds - 1, 0)
    deviations[:, thin_folds == count] *= _shared_training(splits) ** 0.5
    tested = len(np.unique(np.concatenate([unit_codes[test] for _, test in splits])))
    shares = None
    if len(means) == 1:
        shares = _shares(parts, [unit_codes[test] for _, test in splits], n_units, left_out, divisors[:, 0])
    return Evaluation(means, fold_scores, deviations, np.minimum(df, tested - 1), left_out, constant, shares)


def _shared_training(splits: Sequence[Split]) -> float:
    """Return by what the variance between folds is raised, since more than two share training rows.

    1 + K · (rows tested) / (rows trained on), of K folds (Nadeau and Bengio 2003).
    """
    if len(splits) < 3:
        return 1.0
    tested, trained = (sum(len(split[part]) for split in splits) for part in (1, 0))
    return 1.0 + len(splits) * tested / max(trained, 1)


def _divisors(count: np.ndarray, n_folds: int, message: Message | None) -> np.ndarray:
    """Return by what each fold's part in the mean of each column is divided, (K, B)."""
    if message is None:
        return np.repeat(np.maximum(count, 1)[None], n_folds, axis=0)
    with np.errstate(divide="ignore"):  # a block without rows has no part in the message
        return np.repeat((1 / message.weights)[:, None], len(count), axis=1)


def _shares(
    parts: Sequence[FoldPart], tests: Sequence[np.ndarray], n_units: int, left_out: bool, divisors: np.ndarray
) -> np.ndarray:
    """Return what each unit (each fold, where units cannot be left out) adds to the score of the first column.

    A unit of leverage l (its share of the fold's test rows) and deviation v adds l·score + (1 − l)·v:
    for a mean over rows the sum over its rows by their number, and else what it would be to first
    order. A fold from which some unit cannot be left out is added as one, in the place of its first.
    Folds that share units are one.
    """
    scores = np.nan_to_num([part.scores[0] for part in parts])
    if not left_out:
        apart = sum(len(np.unique(codes)) for codes in tests) == len(np.unique(np.concatenate(tests)))
        return scores / divisors if apart else (scores / divisors).sum(keepdims=True)
    shares = np.zeros(n_units)
    for part, codes, score, divisor in zip(parts, tests, scores, divisors, strict=True):
        if part.deviations is None or not len(codes):
            continue
        members, sizes = np.unique(codes, return_counts=True)
        leverage, own = sizes / len(codes), part.deviations[:, 0]
        if np.isnan(own).any():
            shares[members[0]] += score / divisor
        else:
            shares[members] += (leverage * score + (1 - leverage) * own) / divisor
    return shares


def reassemble(parts: Sequence[tuple[np.ndarray, Evaluation]], n_columns: int) -> Evaluation:
    """Return the columns of several choices of folds in their own order."""
    if len(parts) == 1:
        return parts[0][1]
    n_folds = max(len(part.fold_scores) for _, part in parts)
    # A part of which nothing could be scored has no deviations of the others' kind.
    kind = next((part for _, part in parts if not np.isnan(part.scores).all()), parts[0][1])
    size = len(kind.deviations)
    scores, df = np.full(n_columns, np.nan), np.zeros(n_columns)
    fold_scores, deviations = np.full((n_folds, n_columns), np.nan), np.zeros((size, n_columns))
    for columns, part in parts:
        scores[columns], df[columns] = part.scores, part.df
        fold_scores[: len(part.fold_scores), columns] = part.fold_scores
        if len(part.deviations) == size:
            deviations[:, columns] = part.deviations
    return Evaluation(scores, fold_scores, deviations, df, kind.left_out)


def repeat_first(evaluation: Evaluation, size: int) -> Evaluation:
    """Return the first column ``size`` times."""
    repeated = (np.repeat(part[..., :1], size, axis=-1) for part in evaluation.parts)
    return Evaluation(*repeated, left_out=evaluation.left_out)
