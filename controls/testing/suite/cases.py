"""Which cases there are: the themes in the order in which they are shown."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from typing import final

from controls.core.errors import NameNotFound
from controls.testing.suite.case import Case


@final
@dataclass(frozen=True)
class Theme:
    """Cases that belong together.

    Parameters
    ----------
    name : str
        As typed after ``controls calibrate --only``; the module of this package that has the ``CASES``.
    title : str
        Heading of its part of the page.
    words : str
        What its cases have in common, in a sentence or two.
    """

    name: str
    title: str
    words: str

    @property
    def cases(self) -> tuple[Case, ...]:
        """The cases; their module is imported now."""
        return import_module(f"controls.testing.suite.{self.name}").CASES


THEMES = (
    Theme(
        "pitfalls",
        "Common practices beside ours",
        "Labels and activations have nothing to do with each other in these worlds "
        "(`controls.ground_truth.NullDocuments`), so every p at or below alpha is a false alarm. What people often "
        "do must be seen to raise them; what the library does instead must not.",
    ),
    Theme(
        "coverage",
        "Coverage of the interval of the selectivity",
        "The truth has a closed form (`controls.ground_truth.GaussianDocuments`). 30 documents have lognormal "
        "sizes of log-scale spread 1 (coverage must not be below .93), 200 have spread .5 (.95). "
        '`target="fitted"` speaks of these fitted models on new units, `target="expected"` of the procedure at '
        "this sample size on new data, whose spread over samples it has to cover.",
    ),
    Theme(
        "boolean",
        "What is computed of Boolean inputs",
        "Which ANDs, XORs and parities a linear readout of a layer on bits can know is exact, by enumeration or by "
        "proof (`controls.ground_truth.Layer.truth`). R² is the share of a centred product that is linear in the "
        "layer, once the inputs are removed, adjusted for rank; the interaction test permutes the product.",
    ),
    Theme(
        "readoffs",
        "Readoffs of layers in superposition",
        "What a readoff of a random layer errs by has a law: its mean and variance are predicted, and measured over "
        "draws of the layer. Ceilings come from linear programming.",
    ),
    Theme(
        "networks",
        "Networks: readable, learned, used",
        "Five networks whose interactions are known by enumeration (`controls.ground_truth.Network`): every control's "
        "verdict on each is a row, with those that must come out as readable but generic, below zero, or inexact "
        "under the ensemble; networks beside their frozen twins; attention heads.",
    ),
    Theme(
        "weights",
        "Controls on weights",
        "`ct.Reinitialize`, `ct.MatchSpectrum` and `ct.PermuteWeights` on torch modules whose answer is known by "
        "enumeration. A rank among redraws is exact where the network comes from their law, and only there.",
    ),
    Theme(
        "inputs",
        "Controls on inputs",
        "Texts of two kinds whose laws differ in runs of one, two or three tokens and in no shorter ones: "
        "`ct.ShuffleTokens(keep=k)` that keeps these runs must find nothing beyond them, and the rung below it must.",
    ),
    Theme(
        "activations",
        "Controls on activations",
        "Rows whose law is known: each null is true of one world and is fooled by another, where only a finer one is "
        "true. What is planted is found, and what is not there is not.",
    ),
    Theme(
        "sparsity",
        "Controls on sparse latents",
        "`ct.MatchSparsity` on latents whose law is known: a ladder of nulls, each fooled by what the next one keeps.",
    ),
    Theme(
        "interactions",
        "Labels that are products of concepts",
        "`ct.InteractionLabels` through `ct.measure`; a probe that computes the product itself; and control tasks "
        "on so few types that every label is readable.",
    ),
    Theme(
        "dictionaries",
        "Rare, superposed and planted features",
        "Activations are sums of known directions (`controls.ground_truth.PlantedDictionary`, `PlantedDirection`). "
        "What a probe reads and what steering leaks is known; what an SAE finds has a reference that holds nothing.",
    ),
    Theme(
        "finders",
        "SAEs beside their controls",
        "`ct.finders.SAE` through `ct.measure`, on planted directions and on rows that hold nothing: what its scores "
        "are worth, how often a rank is a false alarm, and whether intervals of explained variance cover.",
    ),
    Theme(
        "power",
        "Power: how large an effect is found",
        "A direction is planted at several strengths (`delta`, in standard deviations of the noise). "
        "Two counts at each: p at or below .05, and the verdict SELECTIVE.",
    ),
    Theme(
        "faults",
        "Planted faults",
        "Something is broken on purpose, and must be seen: by false alarms, or by the test kit "
        "(`controls.testing.check_control`, `check_trainer`). Beside each fault stands the sound way, which must pass.",
    ),
)


def chosen(names: Iterable[str] = ()) -> list[tuple[Theme, Case]]:
    """Return the cases of these names, each with its theme, in the order in which they are shown.

    Parameters
    ----------
    names : iterable of str
        Names of themes or of cases, in lower or upper case; all cases where empty.

    Raises
    ------
    NameNotFound
        For a name of neither.
    """
    pairs = [(theme, case) for theme in THEMES for case in theme.cases]
    known = {name.lower(): name for theme, case in pairs for name in (theme.name, case.name)}
    wanted = {name.lower(): name for name in names}
    for low, name in wanted.items():
        if low not in known:
            near = get_close_matches(low, known, n=1, cutoff=0.5)
            hint = f" Did you mean {known[near[0]]!r}?" if near else ""
            themes = ", ".join(theme.name for theme in THEMES)
            raise NameNotFound(f"no theme or case is called {name!r}; themes are: {themes}.{hint}")
    return [pair for pair in pairs if not wanted or {pair[0].name.lower(), pair[1].name.lower()} & set(wanted)]
