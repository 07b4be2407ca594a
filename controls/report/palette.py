"""Colours of figures: Okabe and Ito's set, which colour-blind readers can tell apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final


@final
@dataclass(frozen=True)
class Palette:
    """The colours of a figure by what they mean."""

    ink: str  # text and the selectivity
    muted: str  # axes and remarks
    faint: str  # rules in the background
    observed: str  # the problem itself
    drawn: str  # the control's draws
    surface: str  # the background


LIGHT = Palette(ink="#1f2328", muted="#59626b", faint="#d4d8dd", observed="#0072b2", drawn="#d55e00", surface="#ffffff")

# Colours that no figure would have by chance; each stands for a variable of the page's style sheet.
_VARIABLES = {
    "ink": ("#0a0b01", "var(--ink)"),
    "muted": ("#0a0b02", "var(--muted)"),
    "faint": ("#0a0b03", "var(--faint)"),
    "observed": ("#0a0b04", "var(--observed)"),
    "drawn": ("#0a0b05", "var(--drawn)"),
    "surface": ("#0a0b06", "var(--paper)"),
}
THEMED = Palette(**{name: colour for name, (colour, _) in _VARIABLES.items()})


def with_variables(svg: str) -> str:
    """Return the SVG of a figure drawn in the THEMED palette, with the page's variables as colours."""
    for colour, variable in _VARIABLES.values():
        svg = svg.replace(colour, variable)
    return svg
