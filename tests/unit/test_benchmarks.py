"""The benchmark in its short form: every table is made, from runs that are too small to tell anything."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

import controls as ct
from controls.testing.weight_problems import ugly_model

HERE = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def run(monkeypatch):
    """The module that times, with small sizes; its parts find each other by plain names, as in a script."""
    monkeypatch.syspath_prepend(str(HERE))
    for name in ("problems", "timing", "weights", "tokens", "trades", "smollm2", "saes", "page", "workers", "run"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    found = importlib.import_module("run")
    monkeypatch.setattr(found, "N", 200)
    monkeypatch.setattr(found, "D", 8)
    monkeypatch.setattr(found, "CLASSES", 3)
    monkeypatch.setattr(found, "DRAWS", dict.fromkeys(found.DRAWS, 9))
    monkeypatch.setattr(found, "SAMPLES", dict.fromkeys(found.SAMPLES, (1, 2)))
    monkeypatch.setattr(found, "GROWTH", {"n": [100, 200], "classes": [2, 3]})
    return found


def test_every_table_is_made(run, capfd):
    page = importlib.import_module("page")
    both = ["multinomial", "multinomial at default tol"]
    speeds = [*run.speeds(["ridge"], 1, False), *run.speeds(both, 1, False)]
    assert [row.kind for row in speeds] == ["ridge", *both]
    assert speeds[1].peer == speeds[2].peer
    assert all(row.ours > 0 and row.work > 0 for row in speeds)
    assert speeds[0].gradient is None
    assert 0 < speeds[1].gradient < 0.01  # of so few rows
    growths = [run.growth("logistic", name, 1) for name in ("n", "classes")]
    peak = run.memory("ridge", n=300, d=8)
    assert 0 < peak.before <= peak.peak
    way = importlib.import_module("workers").Way("one at a time", 0.5)
    drawn = importlib.import_module("weights").draws(ugly_model(), "tiny", ("full", "per_head"), 1)
    assert [row.matrices for row in drawn] == [14, 14]
    sizes = {"n": 200, "d": 8, "classes": 3, "repeats": 1, "full": False}
    text = page.Page(sizes, (1.0, 2.0), speeds, growths, [peak], [way], drawn).text()
    for row in (
        "| ridge (",
        "| multinomial (",
        "| multinomial at default tol (",
        "| logistic, n |",
        "| ridge | 300 × 8 |",
        "| one at a time | 0.50 |",
        "| tiny, `MatchSpectrum(mode='full')` | 14 |",
    ):
        assert row in text


def test_shuffles_are_timed(run):
    page, rows = importlib.import_module("page"), importlib.import_module("tokens").shuffles(1, tokens=12_000)
    assert [row.keep for row in rows] == [1, 2, 3] * 2
    assert all(row.rate > 0 and row.first > 0 for row in rows)
    sizes = {"n": 200, "d": 8, "classes": 3, "repeats": 1, "full": False}
    text = page.Page(sizes, (1.0, 2.0), shuffles=rows).text()
    assert text.count("| at least 5 |") == 4
    assert "500 sentences of 24" in text


def test_trades_are_timed(run):
    found = importlib.import_module("trades").figures(300, 200, 10, repeats=1)
    assert found.trade > 0
    assert found.draw > found.trade
    sizes = {"n": 200, "d": 8, "classes": 3, "repeats": 1, "full": False}
    text = importlib.import_module("page").Page(sizes, (1.0, 2.0), trades=[found]).text()
    assert f"| {found.non_zeros:,} | 300 × 200 |" in text


def test_sections_without_rows_are_left_out(run):
    sizes = {"n": 200, "d": 8, "classes": 3, "repeats": 1, "full": False}
    assert "##" not in importlib.import_module("page").Page(sizes, (1.0, 2.0)).text()


def test_saes_are_timed_in_a_sentence(run, monkeypatch):
    saes = importlib.import_module("saes")
    monkeypatch.setattr(saes, "D", 8)
    monkeypatch.setattr(saes, "M", 32)
    monkeypatch.setattr(saes, "K", 2)
    monkeypatch.setattr(saes, "BATCH", 64)
    monkeypatch.setattr(saes, "SMALL", ct.finders.SAE(8, k=2, batch_size=16, steps=5))
    monkeypatch.setattr(saes, "STEPS", 5)
    monkeypatch.setattr(saes, "REPEATS", 1)
    found = saes.measured()
    assert found.rate > 0
    assert found.together > 0
    assert "side by side" in saes.table(found)


@pytest.mark.parametrize(("page", "wanted"), [
    ("# T\n\n## A\n\na\n\n## SAEs\n\nold\n\n## B\n\nb\n", "# T\n\n## A\n\na\n\n## SAEs\n\nnew\n\n## B\n\nb\n"),
    ("# T\n\n## SAEs\n\nold\n", "# T\n\n## SAEs\n\nnew\n"),
    ("# T\n\n## A\n\na\n", "# T\n\n## A\n\na\n\n## SAEs\n\nnew\n"),
])  # fmt: skip
def test_a_section_is_written_in_its_place(run, page, wanted):
    assert importlib.import_module("saes").into_page(page, "## SAEs\n\nnew") == wanted
