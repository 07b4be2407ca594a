"""What the pages of all case studies say is what their results say, and what a page is made of."""

import importlib
import json
from functools import partial
from pathlib import Path

import pytest
from matplotlib.figure import Figure

import case_studies
from case_studies import page
from case_studies.files import all_kept, kept

STUDIES = sorted(path.parent for path in Path(case_studies.__path__[0]).glob("*/results.json"))


@pytest.mark.parametrize("study", STUDIES, ids=lambda study: study.name)
def test_the_page_says_what_the_results_say(study):
    report = importlib.import_module(f"case_studies.{study.name}.report").report
    readme = (study / "README.md").read_text(encoding="utf-8")
    assert page.put(readme, report(json.loads((study / "results.json").read_text(encoding="utf-8")))) == readme


def test_every_study_has_published_and_is_in_the_list():
    listed = (STUDIES[0].parent / "README.md").read_text(encoding="utf-8")
    assert {path.parent for path in STUDIES[0].parent.glob("*/run.py")} == set(STUDIES)
    assert all(f"[{study.name}]({study.name}/README.md)" in listed for study in STUDIES)


def test_a_page_is_kept_with_its_results_and_figures(tmp_path):
    (tmp_path / "README.md").write_text(f"Before\n{page.BEGIN}\nold\n{page.END}\nafter\n", encoding="utf-8")
    page.keep(tmp_path, {"name": "Ångström"}, "new\n", errors=Figure())
    assert (tmp_path / "README.md").read_text(encoding="utf-8") == f"Before\n{page.BEGIN}\nnew\n{page.END}\nafter\n"
    assert json.loads((tmp_path / "results.json").read_text(encoding="utf-8")) == {"name": "Ångström"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["README.md", "errors.png", "results.json"]


def test_a_part_is_made_once_and_not_kept_where_it_fails(tmp_path):
    made = []

    def make():
        made.append(1)
        if len(made) == 1:
            raise RuntimeError("broke off")
        return {"score": 0.5}

    with pytest.raises(RuntimeError, match="broke off"):
        kept(tmp_path / "part.json", make)
    first, second = (kept(tmp_path / "part.json", make) for _ in range(2))
    assert first == second
    assert first["score"] == 0.5
    assert len(made) == 2


def test_parts_made_side_by_side_are_those_made_one_by_one(tmp_path):
    wanted = {f"{i}.json": partial(dict, score=i) for i in range(3)}
    runs = [all_kept({tmp_path / str(jobs) / name: make for name, make in wanted.items()}, jobs) for jobs in (1, 2)]
    assert [[part["score"] for part in parts] for parts in runs] == [[0, 1, 2]] * 2
