"""Spec: what a study file says, checked for keys and kinds, before any data or trainer is looked at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

from controls.core.errors import InputError, unknown_name
from controls.core.validate import one_of
from controls.study_file.table import Table, read_table

SETTINGS: dict[str, type] = {
    "scoring": str,
    "cv": int,
    "draws": int,
    "alpha": float,
    "smallest_effect": float,
    "target": str,
    "seed": int,
    "block": int,
    "key": str,
}
_CLAIM = ("labels", "site", "trainer", "controls", *SETTINGS)
_EXAMPLES = {
    "trainer": '[trainer] and use = "LogisticProbe"',
    "controls": '[[controls]] and use = "ShuffleLabels"',
}
_CORRECTIONS = ("holm", "bh", "none")
_OVER_SITES = ("max-t", *_CORRECTIONS)


@final
@dataclass(frozen=True)
class Claim:
    """One claim: where it is written, and from which table each of its parts comes."""

    name: str
    table: Table
    origin: Mapping[str, Table]  # setting, "labels", "trainer", "controls": the table that holds it
    site: str | None

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of ``ct.measure`` that the file gives."""
        return {name: self.origin[name].get(name, kind) for name, kind in SETTINGS.items() if name in self.origin}

    @property
    def trainer(self) -> Table:
        """The table of the trainer."""
        return self.origin["trainer"].table("trainer")

    @property
    def controls(self) -> tuple[Table, ...]:
        """The tables of the controls."""
        return self.origin["controls"].tables("controls")


@final
@dataclass(frozen=True)
class Spec:
    """A study file, read."""

    path: Path
    root: Table
    title: str
    named: bool  # whether it names its claims
    correction: str  # "max-t" where sites are swept
    sites: tuple[str, ...]  # empty where there is one array without a name
    claims: tuple[Claim, ...]

    @property
    def folder(self) -> Path:
        """Where relative paths start."""
        return self.path.parent

    @property
    def data(self) -> Table:
        """The table of the data."""
        return self.root.table("data")

    @property
    def sweeps(self) -> bool:
        """Whether one claim is made at all sites, and corrected over them by max-T."""
        return bool(self.sites) and not self.named


def read_spec(path: Path, overrides: Mapping[str, Any] | None = None) -> Spec:
    """Return what a study file says.

    Parameters
    ----------
    path : Path
    overrides : mapping of settings to values, optional
        They take the place of these settings everywhere in the file.

    Raises
    ------
    InputError
        A file that cannot be read, an unknown key, a value of another kind, or a part that is missing.
    """
    return parse(path, _overridden(read_table(path), overrides or {}))


def parse(path: Path, root: Table) -> Spec:
    """Return what the root table of a study file says."""
    root.only(("title", "correction", "data", "trainer", "controls", "claims", *SETTINGS))
    sites = _check_data(root)
    named = "claims" in root.values
    claims = _claims(root, sites) if named else [_claim(root, root, root.get("title", str, path.stem), None)]
    sweeps = bool(sites) and not named
    correction = root.get("correction", str, "max-t" if sweeps else "holm")
    try:
        one_of(correction, "correction", _OVER_SITES if sweeps else _CORRECTIONS)
    except InputError as error:
        raise root.located(error, "correction") from None
    return Spec(path, root, root.get("title", str, path.stem), named, correction, sites, tuple(claims))


def _check_data(root: Table) -> tuple[str, ...]:
    """Check keys and kinds of the data; return the names of the sites."""
    data = root.table("data")
    data.only(("activations", "labels", "unit", "groups"))
    for key in ("labels", "unit"):
        data.get(key, str)
    groups = data.table("groups")
    for name in groups.values:
        groups.get(name, str)
    if not isinstance(data.values.get("activations"), dict):
        if "data" not in root.values:
            raise root.refuse(None, '[data] is missing; write [data] and activations = "file.npy" below it.')
        data.need("activations", str, 'write activations = "file.npy"')
        return ()
    sites = data.table("activations")
    if not sites.values:
        raise data.refuse("activations", "activations must have at least one site, got an empty table.")
    for site in sites.values:
        sites.get(site, str)
    return tuple(sites.values)


def _claims(root: Table, sites: tuple[str, ...]) -> list[Claim]:
    table, claims = root.table("claims"), []
    if not table.values:
        raise root.refuse("claims", 'claims must name at least one claim; write [claims."its name"].')
    for name in table.values:
        own = table.table(name)
        own.only(_CLAIM)
        site = own.get("site", str)
        if site is not None and site not in sites:
            raise own.located(unknown_name("site", site, sites, advice="Sites are keys of activations."), "site")
        if sites and site is None:
            claims += [_claim(root, own, f"{name} at {each}", each) for each in sites]
        else:
            claims.append(_claim(root, own, name, site))
    names = [claim.name for claim in claims]
    twice = next((claim for claim in claims if names.count(claim.name) > 1), None)
    if twice is not None:
        raise twice.table.refuse(None, f"claims must have different names, got {twice.name!r} twice.")
    return claims


def _claim(root: Table, own: Table, name: str, site: str | None) -> Claim:
    from controls import probes

    origin = {key: table for table in (root, own) for key in (*SETTINGS, "trainer", "controls") if key in table.values}
    holder = own if own is not root and "labels" in own.values else root.table("data")
    claim = Claim(name, own, {**origin, "labels": holder}, site)
    for part, written in _EXAMPLES.items():
        if part not in origin:
            raise own.refuse(None, f"{part} is missing for {name!r}; write {written}.")
    _ = claim.settings  # checks their kinds
    if not claim.controls:
        raise origin["controls"].refuse("controls", "controls must hold at least one control, got none.")
    for part in (claim.trainer, *claim.controls):
        part.need("use", str, 'write use = "..."')
    if holder.get("labels", str) is None and claim.trainer.values["use"] in probes.__all__:  # finders take none
        raise holder.refuse(None, f'labels are missing for {name!r}; write labels = "file:column" in [data].')
    return claim


def _overridden(root: Table, overrides: Mapping[str, Any]) -> Table:
    if not overrides:
        return root
    claims = root.get("claims", dict, {})
    without = {
        name: {key: part for key, part in claim.items() if key not in overrides} if isinstance(claim, dict) else claim
        for name, claim in claims.items()
    }
    settings = [path for path in root.lines if len(path) == 1 or (path[0] == "claims" and len(path) == 3)]
    gone = {path for path in settings if path[-1] in overrides}
    lines = {path: line for path, line in root.lines.items() if path not in gone}  # overrides stand in no line
    return replace(root, values={**root.values, **overrides, **({"claims": without} if claims else {})}, lines=lines)
