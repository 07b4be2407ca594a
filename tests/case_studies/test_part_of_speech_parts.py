"""The parts of the case study of parts of speech: its text, and which orderings hold."""

import gzip
from typing import Any

import numpy as np
import pytest

import controls as ct
from case_studies.part_of_speech.orderings import orderings
from case_studies.part_of_speech.plan import SHORT
from case_studies.part_of_speech.text import Sentence, choose, read_code, read_text

CONLLU = """# newdoc id = news-1
# text = Don't go.
1-2\tDon't\t_\t_\t_\t_\t_\t_\t_\t_
1\tDo\tdo\tAUX\tVB\t_\t3\taux\t_\t_
2\tn't\tnot\tPART\tRB\t_\t3\tadvmod\t_\t_
3\tgo\tgo\tVERB\tVB\t_\t0\troot\t_\t_
3.1\tnow\tnow\tADV\tRB\t_\t_\t_\t3:advmod\t_
4\t.\t.\tPUNCT\t.\t_\t3\tpunct\t_\t_

# newdoc id = mail-7
1\t"\t"\tPUNCT\t``\t_\t2\tpunct\t_\t_
2\tHi\thi\tINTJ\tUH\t_\t0\troot\t_\t_

"""
TABLE = """genre\tdocument\tsentence\ttoken\tform\tupos\thead
news\tnews-1\t0\t1\tDo\tAUX\t3
news\tnews-1\t0\t2\tn't\tPART\t3
news\tnews-1\t0\t3\tgo\tVERB\t0
news\tnews-1\t0\t4\t.\tPUNCT\t3
mail\tmail-7\t1\t1\t"\tPUNCT\t2
mail\tmail-7\t1\t2\tHi\tINTJ\t0
"""
READ = [
    Sentence("news", "news-1", ("Do", "n't", "go", "."),
             {"upos": ("AUX", "PART", "VERB", "PUNCT"), "head": ("right", "right", "root", "left")}),
    Sentence("mail", "mail-7", ('"', "Hi"), {"upos": ("PUNCT", "INTJ"), "head": ("right", "root")}),
]  # fmt: skip


def test_a_treebank_and_its_table_are_read_alike(tmp_path):
    (tmp_path / "text.conllu").write_text(CONLLU, encoding="utf-8")
    with gzip.open(tmp_path / "text.tsv.gz", "wt", encoding="utf-8") as stream:
        stream.write(TABLE)
    assert read_text(tmp_path / "text.conllu") == READ
    assert read_text(tmp_path / "text.tsv.gz") == READ


def test_without_documents_every_sentence_is_one(tmp_path):
    (tmp_path / "text.conllu").write_text(CONLLU.replace("# newdoc", "# other"), encoding="utf-8")
    assert [sentence.document for sentence in read_text(tmp_path / "text.conllu")] == ["0", "1"]


def test_bad_files_are_said(tmp_path):
    with pytest.raises(ct.InputError, match="there is no file"):
        read_text(tmp_path / "none.conllu")
    (tmp_path / "text.tsv").write_text(TABLE.replace("\thead", "\tregent"))
    with pytest.raises(ct.InputError, match="it lacks head"):
        read_text(tmp_path / "text.tsv")
    (tmp_path / "text.tsv").write_text(TABLE.replace("\tINTJ\t0", ""))
    with pytest.raises(ct.InputError, match="must have the 7 columns"):
        read_text(tmp_path / "text.tsv")
    (tmp_path / "text.conllu").write_text("1\tGo\tgo\tVERB\n\n")
    with pytest.raises(ct.InputError, match="must have 10 columns"):
        read_text(tmp_path / "text.conllu")


def test_sentences_are_spread_over_genres_and_documents():
    rng = np.random.default_rng(0)
    given = [
        Sentence(genre, f"{genre} {document}", ("w",) * int(rng.integers(1, 90)), {})
        for genre, documents in {"a": 90, "b": 30, "c": 4}.items()
        for document in range(documents)
        for _ in range(6)
    ]
    chosen = choose(given, 90, 3)
    assert len(chosen) == 90
    assert {len(sentence.words) for sentence in chosen} <= set(range(3, 61))
    documents = [sentence.document for sentence in chosen]
    assert max(documents.count(document) for document in documents) <= 3
    genres = [sentence.genre for sentence in chosen]
    assert genres.count("c") <= 12
    assert abs(genres.count("a") - genres.count("b")) <= 9  # a few documents have fewer than three that fit
    assert chosen == choose(given, 90, 3)
    assert chosen != choose(given, 90, 3, seed=1)


def test_code_has_roles_for_names_alone():
    sentences = read_code(8, 2)
    assert len({sentence.document for sentence in sentences}) == 4
    for sentence in sentences:
        for word, role in zip(sentence.words, sentence.labels["role"], strict=True):
            assert role is None or word.isidentifier()


def layer(value):
    return {"controls": {"ControlTask(per='word')": {"selectivity": [value, value - 0.1, value + 0.1]}}}


def figures(linear, small, large, deep, redrawn, estimate):
    """Return parts in which every selectivity is given, with intervals of ±.1."""
    at = SHORT.probe_layers
    probes = {"linear": linear, "MLP 8": small, "MLP 100": large}
    parts: dict[str, Any] = {f"probes/{name}": {"task": dict.fromkeys(at, layer(v))} for name, v in probes.items()}
    parts["labels"] = {"task": {SHORT.layers[0]: layer(5), SHORT.layers[1]: layer(0), SHORT.layers[2]: layer(deep)}}
    difference = [estimate, estimate - 0.1, estimate + 0.1]
    made = {"layer": at[1], "redrawn_selectivities": redrawn, "estimate": difference}
    parts["difference/all weights"] = {"task": made}
    return {name: {"figures": part} for name, part in parts.items()}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((0.9, 0.6, 0.3, 0.3, [0.1, 0.2], 0.3), ["holds"] * 7),
        ((0.3, 0.3, 0.6, -0.3, [-0.1, -0.2], -0.3), ["is reversed"] * 7),
        ((0.4, 0.4, 0.3, 0.1, [-0.1, 0.2], 0.05), ["not shown"] * 7),
    ],
)
def test_an_ordering_holds_only_beyond_its_noise(given, expected):
    found = orderings(figures(*given), SHORT)
    assert [item["verdict"] for item in found] == expected
