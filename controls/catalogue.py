"""Every control there is, found by looking: names, parameters and sentences, for people to choose from."""

from __future__ import annotations

import importlib
import inspect
import itertools
import pkgutil
from collections.abc import Iterable, Iterator
from dataclasses import MISSING, Field, dataclass, fields
from typing import TYPE_CHECKING, Any, final

from controls.core.control import Control, describe
from controls.core.errors import ControlsError
from controls.core.properties import Stated
from controls.generators.weights import Reinitialize

if TYPE_CHECKING:
    from rich.console import Console

_EXAMPLES = {
    "per": "word",
    "within": "document",
    "whole": "document",
    "given": "position",
    "site": "layer 0",
    "latents": "latents",
    "after": Reinitialize(),
    "control": Reinitialize(),
}  # for parameters without a default


@final
@dataclass(frozen=True)
class Entry:
    """One control in words. ``example`` is the instance that the sentences speak of."""

    name: str
    level: str
    parameters: tuple[str, ...]
    example: str
    keeps: str
    destroys: str
    null: str
    inference: str
    licenses: str
    variants: tuple[Variant, ...]


@final
@dataclass(frozen=True)
class Variant:
    """What a control keeps and destroys with an optional group named."""

    example: str
    keeps: str
    destroys: str
    null: str


def catalogue() -> list[Entry]:
    """Return an entry for every public control in ``controls.generators``, by level and name.

    Examples
    --------
    >>> [entry.inference for entry in catalogue() if entry.name == "ShuffleLabels"]
    ['exact']
    """
    entries = [_entry(kind) for kind in _kinds()]
    return sorted(entries, key=lambda entry: (entry.level, entry.name))


def print_catalogue(console: Console | None = None) -> None:
    """Print the catalogue, one block per control."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = console or Console()
    for entry in catalogue():
        console.print(Text.assemble((entry.name, "bold"), f"({', '.join(entry.parameters)})"))
        rows = Table.grid(padding=(0, 2))
        rows.add_column(style="dim", no_wrap=True)
        rows.add_column()
        for label, words in _lines(entry):
            rows.add_row(f"  {label}", Text(words))
        console.print(rows)
        console.print()


def _lines(entry: Entry) -> list[tuple[str, str]]:
    lines = [
        ("level", entry.level),
        ("keeps", entry.keeps),
        ("destroys", entry.destroys),
        ("null", entry.null),
        ("inference", entry.inference),
        ("licenses", entry.licenses),
    ]
    if entry.example != f"{entry.name}()":
        lines.insert(0, ("shown for", entry.example))
    for variant in entry.variants:
        lines += [
            ("also", variant.example),
            ("  keeps", variant.keeps),
            ("  destroys", variant.destroys),
            ("  null", variant.null),
        ]
    return lines


def _kinds() -> Iterator[type[Control]]:
    from controls import generators

    for module in pkgutil.walk_packages(generators.__path__, prefix="controls.generators."):
        for name, kind in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            own = kind.__module__ == module.name and not name.startswith("_")
            if own and issubclass(kind, Control) and not inspect.isabstract(kind):
                yield kind


def _entry(kind: type[Control]) -> Entry:
    items: tuple[Field[Any], ...] = fields(kind)  # type: ignore[arg-type] - concrete controls are dataclasses
    needed = {item.name: _EXAMPLES.get(item.name, item.name) for item in items if _has_no_default(item)}
    try:
        control = kind(**needed)
    except ControlsError as error:
        raise TypeError(f"{kind.__name__} needs an example of its parameters to be listed: {error}") from error
    return Entry(
        name=kind.__name__,
        level=control.level,
        parameters=tuple(_parameter(item) for item in items),
        example=describe(control),
        keeps=_words(control.preserves),
        destroys=_words(control.destroys),
        null=control.null,
        inference=control.inference,
        licenses=control.licenses,
        variants=tuple(_variants(kind, items, needed)),
    )


def _variants(kind: type[Control], items: tuple[Field[Any], ...], needed: dict[str, Any]) -> Iterator[Variant]:
    """Yield the control with each optional group named, and with each switch that goes with it."""
    groups = [{item.name: _EXAMPLES[item.name]} for item in items if item.name in _EXAMPLES and item.name not in needed]
    switches = [{}, *({item.name: True} for item in items if item.default is False)]
    for group, switch in itertools.product(groups, switches):
        try:
            control = kind(**needed, **group, **switch)
        except ControlsError:  # a switch that goes with another group
            continue
        if control == kind(**needed):  # named by default
            continue
        yield Variant(describe(control), _words(control.preserves), _words(control.destroys), control.null)


def _words(properties: Iterable[Stated]) -> str:
    return "; ".join(item.words for item in properties)


def _has_no_default(item: Field[Any]) -> bool:
    return item.default is MISSING and item.default_factory is MISSING


def _parameter(item: Field[Any]) -> str:
    kind = item.type if isinstance(item.type, str) else getattr(item.type, "__name__", str(item.type))
    return f"{item.name}: {kind}" + ("" if item.default is MISSING else f" = {item.default!r}")
