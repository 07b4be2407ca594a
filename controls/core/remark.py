"""Remark: what the maker of a problem's labels has to say of them, for reports to repeat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final


@final
@dataclass(frozen=True)
class Remark:
    """One thing to know of a problem's labels; it goes where they go, and not with other labels.

    Parameters
    ----------
    words : str
        The sentence.
    withdraws : bool
        Whether labels are not exchangeable for this reason, so that no control on labels is exact. It is then a
        caveat of those; else a note of the report.
    """

    words: str
    withdraws: bool = False
