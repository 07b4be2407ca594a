"""cofiring: which latents fire together more often than in a ladder of nulls, over all pairs at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np

from controls.core.arrays import dense_rows, is_sparse
from controls.core.control import Control, Inference, describe
from controls.core.errors import InputError, InputTypeError
from controls.core.problem import Problem
from controls.core.rng import stream
from controls.core.validate import one_of, real_number, whole_number
from controls.generators.moments import chunks
from controls.runner.draws import draw_stream, start_of
from controls.runner.prepare import require_problem
from controls.stats.multiple import adjust

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

_TIES = 1e-9
_ONE_ROW = 1.0  # added to each variance of counts: pairs that hardly vary among draws must not set the scale


@final
@dataclass(frozen=True, eq=False, repr=False)
class Rung:
    """All pairs beside the draws of one control.

    Parameters
    ----------
    control, null : str
        The control as it would be typed, and its null hypothesis.
    inference : str
        "exact" or "ensemble", as the control states it; "ensemble" where a caveat says why exactness is withdrawn.
    caveats : tuple of str
    draws : int
    mean : array of shape (pairs,)
        Rows in which both fire, mean over the draws.
    z : array of shape (pairs,)
        Observed less mean, both over observed and draws, in units of √(variance + 1): one row more or less of a pair
        that draws never change is no large deviation.
    p_value : array of shape (pairs,)
        (1 + draws with as many rows) / (draws + 1).
    adjusted_p : array of shape (pairs,)
        Of all pairs together, by the largest z of each draw (single-step max-T): family-wise error.
    """

    control: str
    null: str
    inference: Inference
    caveats: tuple[str, ...]
    draws: int
    mean: np.ndarray
    z: np.ndarray
    p_value: np.ndarray
    adjusted_p: np.ndarray

    @property
    def p_floor(self) -> float:
        """The smallest p that so many draws can give."""
        return 1 / (self.draws + 1)

    def survives(self, alpha: float, correction: str) -> np.ndarray:
        """Return which pairs fire together more often than in the draws, shape (pairs,).

        Parameters
        ----------
        alpha : float
            Chance of any false pair ("max_t"), or share of false pairs among those returned ("bh").
        correction : {"max_t", "bh", "none"}
        """
        one_of(correction, "correction", ("max_t", "bh", "none"))
        p = {"max_t": lambda: self.adjusted_p, "bh": lambda: adjust(self.p_value, "bh"), "none": lambda: self.p_value}
        return p[correction]() <= alpha + _TIES


@final
@dataclass(frozen=True, eq=False, repr=False)
class Cofiring:
    """How often latents fire together, beside every rung of a ladder of nulls. Prints as a table.

    Parameters
    ----------
    latents : array of shape (k,)
        Columns that fire in enough rows, by their numbers in the problem.
    fires : array of shape (k,)
        In how many rows.
    n : int
        Number of rows.
    pairs : array of shape (k (k − 1) / 2, 2)
        Pairs of columns.
    observed : array of shape (pairs,)
        Rows in which both fire.
    rungs : mapping of str to Rung
        By the control's name, in the order given.
    alpha : float
    correction : str
    """

    latents: np.ndarray
    fires: np.ndarray
    n: int
    pairs: np.ndarray
    observed: np.ndarray
    rungs: Mapping[str, Rung]
    alpha: float
    correction: str

    def __getitem__(self, name: str) -> Rung:
        """Return what one control gave."""
        if name not in self.rungs:
            raise InputError(f"no control is called {name!r}; there are: {', '.join(self.rungs)}.")
        return self.rungs[name]

    def count(self, name: str, correction: str | None = None) -> int:
        """Return how many pairs survive a control, corrected as asked for here, or as it was at first."""
        return int(self[name].survives(self.alpha, correction or self.correction).sum())

    def __repr__(self) -> str:
        """Return the table that the terminal shows."""
        title = (
            f"{len(self.observed)} pairs of {len(self.latents)} latents in {self.n} rows; how many fire together more "
            f"often than in draws, at {self.alpha:g}"
        )
        rows: list[tuple[str, ...]] = [("control", "max-T", "BH", "uncorrected", "draws", "p floor", "kind")]
        for name, rung in self.rungs.items():
            counts = [str(self.count(name, correction)) for correction in ("max_t", "bh", "none")]
            rows.append((name, *counts, str(rung.draws), f"{rung.p_floor:.3g}", rung.inference))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        by_chance = f"by chance alone, {self.alpha * len(self.observed):.3g} pairs would survive uncorrected"
        notes = [f"{name}: {words}" for name, rung in self.rungs.items() for words in rung.caveats]
        return "\n".join([title, "", *lines, "", by_chance, *notes])

    def to_frame(self, most: int | None = None) -> pd.DataFrame:
        """Return a row per pair: its latents, how often they fire and fire together, and each rung's mean, z and p.

        Parameters
        ----------
        most : int, optional
            Only so many, those with the largest z under the last control.
        """
        import pandas as pd

        last = list(self.rungs.values())[-1].z
        order = np.argsort(-last, kind="stable")[:most] if most is not None else np.arange(len(last))
        place = {latent: i for i, latent in enumerate(self.latents.tolist())}
        columns: dict[str, Any] = {}
        for side, name in enumerate(("first", "second")):
            latents = self.pairs[order, side]
            columns[name] = latents
            columns[f"{name} fires"] = self.fires[[place[latent] for latent in latents.tolist()]]
        columns["together"] = self.observed[order]
        for name, rung in self.rungs.items():
            for field in ("mean", "z", "p_value", "adjusted_p"):
                columns[f"{name}: {field}"] = getattr(rung, field)[order]
        return pd.DataFrame(columns)

    def plot(self) -> Figure:
        """Return a figure of how many pairs survive each rung."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(8, 1.6 + 0.55 * len(self.rungs)), layout="constrained")
        axes = figure.subplots()
        places = np.arange(len(self.rungs))
        shown = (("none", "uncorrected", "0.85"), ("bh", "BH", "0.6"), ("max_t", "max-T", "C0"))
        most = 1
        for i, (correction, words, colour) in enumerate(shown):
            counts = [self.count(name, correction) for name in self.rungs]
            bars = axes.barh(places + 0.27 * (1 - i), counts, height=0.25, color=colour, label=words)
            axes.bar_label(bars, labels=[f"{count:,}" for count in counts], padding=3, fontsize=8)
            most = max(most, *counts)
        chance = self.alpha * len(self.observed)
        axes.axvline(chance, color="C3", linestyle=":", label="uncorrected, by chance")
        axes.set_yticks(places, list(self.rungs))
        axes.invert_yaxis()
        axes.set(xlabel=f"pairs of {len(self.observed):,} that fire together more often than in draws")
        axes.set_xlim(0, 1.15 * max(most, chance))
        axes.spines[["top", "right"]].set_visible(False)
        figure.legend(loc="outside lower center", ncols=4, frameon=False, fontsize=8)
        return figure


def cofiring(
    problem: Problem,
    controls: Sequence[Control],
    *,
    min_fires: int = 20,
    draws: int = 199,
    alpha: float = 0.05,
    correction: str = "max_t",
    seed: int = 0,
    progress: Callable[[int, int, str], None] | None = None,
) -> Cofiring:
    """Ask which latents fire together more often than a ladder of nulls explains, over all pairs.

    Latents that fire often fire together by chance, and so do all of them in rows in which many fire. A pair is
    worth a name if it survives what is simpler: put controls from weak to strong beside each other.

    Parameters
    ----------
    problem : Problem
        Whose activations are latents (n, m), dense or sparse; one fires where it is above 0.
    controls : sequence of Control
        On activations, such as ``ct.MatchSparsity(keep="both")``; each becomes a rung.
    min_fires : int
        Latents that fire in fewer rows are left out.
    draws : int
        Of each control.
    alpha : float
    correction : {"max_t", "bh", "none"}
        What the figure and ``count`` go by; the table has all.
    seed : int
    progress : callable, optional
        ``progress(done, total, what)``.

    Returns
    -------
    Cofiring

    Raises
    ------
    InputError
        Fewer than two latents that fire enough; controls on anything but activations.
    CannotControl
        What a control refuses.

    Notes
    -----
    Null hypothesis: that of each control. p of a pair counts draws with as many rows; max-T compares a pair's
    standardised count with the largest of all pairs in each draw, and keeps the chance of any false pair at alpha
    where the control is exact. BH needs p below alpha · k / pairs for k of them: with 199 draws, of 10,000 pairs
    1,000 must reach the floor together, so more draws find more. One-sided: more often than in draws.

    Cost: two passes over the draws (the second counts against the spread that the first found), each with one
    product of the firing latents with themselves, O(rows · k²) dense or O(rows · L0²) sparse; memory O(k²).

    Examples
    --------
    >>> import numpy as np, controls as ct
    >>> rng = np.random.default_rng(0)
    >>> fires = rng.random((500, 6)) < 0.2
    >>> fires[:, 1] = np.where(rng.random(500) < 0.6, fires[:, 0], fires[:, 1])
    >>> found = ct.cofiring(ct.Problem(fires.astype(float)), [ct.ShuffleCoordinates()], draws=99)
    >>> found.count("ShuffleCoordinates()"), found.pairs[found["ShuffleCoordinates()"].z.argmax()].tolist()
    (1, [0, 1])
    """
    require_problem(problem)
    whole_number(min_fires, "min_fires", low=1)
    whole_number(draws, "draws", low=1)
    whole_number(seed, "seed", low=0)
    real_number(alpha, "alpha", low=0.0, high=1.0)
    one_of(correction, "correction", ("max_t", "bh", "none"))
    named = _named(controls, problem)
    fires = _fires(problem)
    latents = np.flatnonzero(fires >= min_fires)
    if len(latents) < 2:
        raise InputError(
            f"min_fires must leave at least two latents, got {min_fires}, which {len(latents)} of {len(fires)} reach."
        )
    upper = np.triu_indices(len(latents), 1)
    observed = together(problem, latents)[upper]
    total, done = 2 * draws * len(named), 0
    rungs = {}
    for name, control in named.items():

        def report(name: str = name) -> None:
            nonlocal done
            done += 1
            if progress is not None:
                progress(done, total, name)

        start = start_of(seed, control, problem)

        def drawn(
            control: Control = control, start: Problem = start, report: Callable[[], None] = report
        ) -> Iterator[np.ndarray]:
            for i in range(draws):
                yield together(control.draw(start, draw_stream(seed, control, i)), latents)[upper]
                report()

        rungs[name] = _rung(control, problem, observed, drawn, draws=draws, seed=seed)
    pairs = latents[np.stack(upper, axis=1)]
    return Cofiring(latents, fires[latents], problem.n, pairs, observed, rungs, alpha, correction)


def _named(controls: Sequence[Control], problem: Problem) -> dict[str, Control]:
    if isinstance(controls, Control):
        controls = [controls]
    if not controls:
        raise InputError("controls must hold at least one control on activations, got none.")
    for control in controls:
        if not isinstance(control, Control):
            raise InputTypeError(f"controls must hold controls, got {type(control).__name__}.")
        if control.level != "activations" or control.inference == "paired":
            raise InputError(
                f"controls must draw activations, since no label is asked for here, got {control.name} (level "
                f"{control.level}); take ct.MatchSparsity or ct.ShuffleCoordinates."
            )
        control.check(problem)
    named = {describe(control): control for control in controls}
    if len(named) < len(controls):
        raise InputError("controls must differ from one another; two of them are the same.")
    return named


def _rung(
    control: Control,
    problem: Problem,
    observed: np.ndarray,
    drawn: Callable[[], Iterator[np.ndarray]],
    *,
    draws: int,
    seed: int,
) -> Rung:
    """Return what the draws say, in two passes: the spread of each pair, then what exceeds it."""
    total, squares = np.zeros(len(observed)), np.zeros(len(observed))
    for counts in drawn():
        total += counts
        squares += np.square(counts - observed.astype(np.float64))
    mean = total / draws
    shift = (mean - observed) * draws / (draws + 1)  # of the mean over observed and draws from the observed
    spread = np.sqrt(np.maximum(squares / (draws + 1) - np.square(shift), 0.0) + _ONE_ROW)
    centre = observed + shift
    z = (observed - centre) / spread
    exceed, exceed_all = np.zeros(len(observed), dtype=np.int64), np.zeros(len(observed), dtype=np.int64)
    for counts in drawn():
        exceed += counts >= observed - _TIES
        exceed_all += z <= ((counts - centre) / spread).max() + _TIES
    caveats = control.caveats(problem, stream(seed, "caveats"))
    return Rung(
        control=describe(control),
        null=control.null,
        inference="ensemble" if caveats else control.inference,
        caveats=caveats,
        draws=draws,
        mean=mean,
        z=z,
        p_value=(1 + exceed) / (draws + 1),
        adjusted_p=(1 + exceed_all) / (draws + 1),
    )


def together(problem: Problem, latents: np.ndarray) -> np.ndarray:
    """Return in how many rows each two of these latents fire together, shape (k, k)."""
    if is_sparse(problem.X):
        firing = problem.X[:, latents]
        firing = (firing > 0).astype(np.float32)
        return np.asarray((firing.T @ firing).toarray(), dtype=np.int64)
    found = np.zeros((len(latents), len(latents)))
    for rows in chunks(np.arange(problem.n), len(latents)):
        firing = (dense_rows(problem.X, rows)[:, latents] > 0).astype(np.float32)
        found += firing.T @ firing  # whole numbers below 2^24 a chunk: exact
    return found.astype(np.int64)


def _fires(problem: Problem) -> np.ndarray:
    if is_sparse(problem.X):
        return np.asarray((problem.X > 0).sum(axis=0)).ravel()
    found = np.zeros(problem.d, dtype=np.int64)
    for rows in chunks(np.arange(problem.n), problem.d):
        found += (dense_rows(problem.X, rows) > 0).sum(axis=0)
    return found
