"""What reports take: records, alone or by name; checked at the door, with their text made printable."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, final

from controls.core.errors import InputError, InputTypeError
from controls.core.result import Result, Sweep
from controls.report import words
from controls.report.escape import printable, with_text

Record = Result | Sweep
Records = Mapping[str, Record] | Record


@final
@dataclass(frozen=True)
class Claim:
    """One claim of a report about many: a Result, or one site of a Sweep."""

    name: str
    result: Result
    site: str | None = None
    n_sites: int = 1
    adjusted_p: Mapping[str, float] = field(default_factory=dict)  # control: p, corrected over the sites

    @property
    def label(self) -> str:
        """The name, with its site."""
        return self.name if self.site is None else f"{self.name}, {self.site}"


def checked(record: Record) -> Record:
    """Return the record itself; raise for anything else."""
    if not isinstance(record, (Result, Sweep)):
        raise InputTypeError(f"record must be a Result or a Sweep, got {type(record).__name__}.")
    return record


def shown(record: Record) -> Record:
    """Return a record whose text can be shown."""
    return with_text(checked(record), printable)


def all_shown(records: Record | Sequence[Record]) -> list[Record]:
    """Return one or several records whose text can be shown."""
    single = isinstance(records, (Result, Sweep)) or not isinstance(records, Iterable)
    listed: list[Any] = [records] if single else list(records)
    if not listed:
        raise InputError("records must hold at least one Result or Sweep, got none.")
    return [shown(record) for record in listed]


def named(results: Records) -> dict[str, Record]:
    """Return records whose text can be shown, by their names; a single one goes by its title."""
    if isinstance(results, (Result, Sweep)):
        results = {words.title_of(results): results}
    if not isinstance(results, Mapping):
        raise InputTypeError(
            f"results must be a Result, a Sweep or a mapping of names to them, got {type(results).__name__}."
        )
    if not results:
        raise InputError("results must hold at least one Result or Sweep, got none.")
    return {printable(str(name)): shown(record) for name, record in results.items()}


def claims_of(name: str, record: Record) -> list[Claim]:
    """Return the claims that a record makes: one, or one per site."""
    if isinstance(record, Result):
        return [Claim(name, record)]
    return [
        Claim(name, result, site, len(record.results), _adjusted(record, site))
        for site, result in record.results.items()
    ]


def all_claims(results: Records) -> list[Claim]:
    """Return the claims that all these records make, in order."""
    return [claim for name, record in named(results).items() for claim in claims_of(name, record)]


def _adjusted(sweep: Sweep, site: str) -> dict[str, float]:
    return {control: by_site[site] for control, by_site in sweep.adjusted_p.items() if site in by_site}
