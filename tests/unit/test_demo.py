"""The demo's parts: exact roles, files chosen without chance, extraction that leaves no trace, honest reading."""

import io
import keyword
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from controls.core.errors import ControlsError
from controls.core.result import ClaimVerdict as Claim
from controls.core.result import Comparison, Estimate, Provenance, Result, Sweep, Verdict
from controls.demo import minilm
from controls.demo import run as demo_run
from controls.demo.corpus import SourceFile, read_library
from controls.demo.reading import read_aloud
from controls.demo.roles import ROLES, Token, read_roles

D, P, C, A, K, IMP, L, S = ROLES

SNIPPETS = {
    "x = y": [("x", S), ("y", L)],
    "a.b.c()": [("a", L), ("b", A), ("c", C)],
    "a.b = c.d": [("a", L), ("b", A), ("c", L), ("d", A)],
    "(a.b)(c)": [("a", L), ("b", C), ("c", L)],
    "f()()": [("f", C)],
    "f(x)[y](z)": [("f", C), ("x", L), ("y", L), ("z", L)],
    "f(g, key=h(x), **o)": [("f", C), ("g", L), ("key", K), ("h", C), ("x", L), ("o", L)],
    "import a.b as c, d": [("a", IMP), ("b", IMP), ("c", IMP), ("d", IMP)],
    "from x.y import z as w, (v)".replace("(v)", "v"): [(name, IMP) for name in "xyzwv"],
    "from . import a": [("a", IMP)],
    "from .m import *": [("m", IMP)],
    "@d.e(1)\n@g\nclass T(B, metaclass=M): pass": [
        ("d", L), ("e", C), ("g", L), ("T", D), ("B", L), ("metaclass", K), ("M", L),
    ],
    "async def f(a, /, b: int = c, *args: T, d=e, **kw) -> R:\n async with x as y: await z": [
        ("f", D), ("a", P), ("b", P), ("int", L), ("c", L), ("args", P), ("T", L), ("d", P), ("e", L),
        ("kw", P), ("R", L), ("x", L), ("y", S), ("z", L),
    ],
    "g = lambda u, *v, w=x, **k: u": [("g", S), ("u", P), ("v", P), ("w", P), ("x", L), ("k", P), ("u", L)],
    "if (n := f(n)): pass": [("n", S), ("f", C), ("n", L)],
    "[a for a, *b in c if d]": [("a", L), ("a", S), ("b", S), ("c", L), ("d", L)],
    "del a, b.c, d[e]": [("a", S), ("b", L), ("c", A), ("d", L), ("e", L)],
    "def f():\n global a, b\n a += b": [("f", D), ("a", S), ("b", S), ("a", S), ("b", L)],
    "def f():\n x = 1\n def g():\n  nonlocal x": [("f", D), ("x", S), ("g", D), ("x", S)],
    "try: pass\nexcept (E, F) as e: raise e from None": [("E", L), ("F", L), ("e", S), ("e", L)],
    "try: pass\nexcept e as e: pass": [("e", L), ("e", S)],
    "for i, o.p in q: pass": [("i", S), ("o", L), ("p", A), ("q", L)],
    "with f() as (a, b): pass": [("f", C), ("a", S), ("b", S)],
    "x: list[int]": [("x", S), ("list", L), ("int", L)],
    "print(f'{a} {b.c()!r:>{w}}', d)": [("print", C), ("d", L)],
    "é = ü.ö('ñ', ß=中)": [("é", S), ("ü", L), ("ö", C), ("ß", K), ("中", L)],
    "ﬁ = 1": [("ﬁ", S)],  # the parser reads the ligature as fi
    "s = '''\nä''' + ä.b": [("s", S), ("ä", L), ("b", A)],
    "match = case = _ = 1": [("match", S), ("case", S), ("_", S)],
}  # fmt: skip

MATCH = """
match a.b:
    case [x, *rest]: pass
    case {"k": v, C.rest: 1, **rest,}: pass
    case Point(p, x=0, y=(1 | -2) as z): pass
    case m.N | None as w if g: pass
    case [*_, _]: pass
    case (q): pass
    case _: pass
"""
MATCH_ROLES = [
    ("a", L), ("b", A), ("x", S), ("rest", S), ("v", S), ("C", L), ("rest", A), ("rest", S),
    ("Point", L), ("p", S), ("x", K), ("y", K), ("z", S), ("m", L), ("N", A), ("w", S), ("g", L), ("q", S),
]  # fmt: skip


def named(source: str) -> list[tuple[str, str]]:
    return [(token.text, token.role) for token in read_roles(source) if token.role is not None]


@pytest.mark.parametrize("source", SNIPPETS)
def test_roles_of_snippets(source):
    assert named(source) == SNIPPETS[source]


def test_roles_in_match_patterns():
    assert named(MATCH) == MATCH_ROLES


def test_tokens_stand_where_they_say_also_after_non_ascii_characters():
    source = 'x = "äöü€𝄞"; y = x.größe(ключ=1)\n\x0c\nz = 2\n'
    lines = source.split("\n")
    tokens = read_roles(source)
    assert [token.text for token in tokens if token.role] == ["x", "y", "x", "größe", "ключ", "z"]
    for token in tokens:
        assert lines[token.line - 1][token.column :].startswith(token.text)
    assert not any(token.text.startswith('"') for token in tokens)


def test_source_that_does_not_parse_raises():
    with pytest.raises(SyntaxError):
        read_roles("def")


@pytest.fixture(scope="module")
def library() -> tuple[SourceFile, ...]:
    return read_library(24)


def test_every_name_of_the_library_has_a_role_but_keywords(library):
    soft = set(keyword.softkwlist)
    for file in library:
        for token in file.tokens:
            if token.text.isidentifier() and token.role is None:
                assert keyword.iskeyword(token.text) or token.text in soft, (file.path, token)
            if token.role is not None:
                assert token.text.isidentifier()
                assert not keyword.iskeyword(token.text)
    assert {token.role for file in library for token in file.tokens} == {*ROLES, None}


def test_library_has_one_file_a_package_and_is_the_same_each_time(library):
    assert read_library(24) == library
    assert [file.in_package for file in library] == [False] * 12 + [True] * 12
    for file in library:
        assert file.in_package == ("/" in file.path)
        assert file.package == file.path.split("/")[0].removesuffix(".py")
    assert len({file.package for file in library}) == len(library)


def test_library_skips_tests_and_files_that_cannot_be_read(tmp_path):
    long = "x = y\n" * 100  # 300 tokens
    (tmp_path / "good.py").write_text(long)
    (tmp_path / "short.py").write_text("x = y\n")
    (tmp_path / "broken.py").write_text(long + "def\n")
    (tmp_path / "latin.py").write_bytes(long.encode() + b"# \xff\n")
    for folder in ("test", "package", "no_package", "site-packages"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "module.py").write_text(long)
    (tmp_path / "package" / "__init__.py").write_text("")
    files = read_library(20, tmp_path)
    assert [file.path for file in files] == ["good.py", "package/module.py"]


def made_file(n: int) -> SourceFile:
    return SourceFile("f.py", "f", False, tuple(Token(f"t{i}", "load", 1, i) for i in range(n)))


@pytest.mark.parametrize("length", [60, 119, 120, 121, 1000])
def test_chunks_are_whole_and_do_not_overlap(length):
    chunks = minilm.chunks_of([made_file(length)], per_file=2, size=60)
    assert len(chunks) == min(2, length // 60)
    assert all(len(chunk.tokens) == 60 for chunk in chunks)
    seen = [token for chunk in chunks for token in chunk.tokens]
    assert len(set(seen)) == len(seen)


needs_model = pytest.mark.skipif(not minilm.is_installed(), reason="needs transformers and the MiniLM package")


@pytest.fixture(scope="module")
def reading(library):
    files = library[10:14]
    chunks = minilm.chunks_of(files)
    calls: list[tuple[int, int, str]] = []
    before = _state()
    got = minilm.read(chunks, len(files), progress=lambda *call: calls.append(call))
    assert _state() == before
    assert calls[-1][:2] == (len(chunks), len(chunks))
    return chunks, got


def _state() -> tuple:
    import torch
    from transformers.utils import logging

    offline = tuple(os.environ.get(name) for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"))
    numbers = (torch.get_rng_state().numpy().tobytes(), np.random.get_state()[1].tobytes())  # noqa: NPY002
    return offline, numbers, logging.get_verbosity(), logging.is_progress_bar_enabled()


@needs_model
def test_a_row_for_every_name_in_order(reading):
    chunks, got = reading
    expected = [(chunk.file, token) for chunk in chunks for token in chunk.tokens if token.role]
    assert list(zip(got.file_of.tolist(), got.tokens, strict=True)) == expected
    for site in ("layer 0", "layer 3", "layer 6"):
        assert got.names[site].shape == (len(expected), 384)
        assert got.names[site].dtype == got.files[site].dtype == np.float32
        assert got.files[site].shape == (4, 384)
        assert np.isfinite(got.names[site]).all()


@needs_model
def test_rows_agree_with_one_chunk_read_alone(reading):
    import torch

    chunks, got = reading
    tokenizer, model = minilm.load()
    number = 3
    chunk = chunks[number]
    words = [token.text for token in chunk.tokens]
    encoded = tokenizer(words, is_split_into_words=True, return_tensors="pt")
    with torch.no_grad():
        states = model(**encoded, output_hidden_states=True).hidden_states
    first = sum(token.role is not None for chunk in chunks[:number] for token in chunk.tokens)
    firsts = [encoded.word_to_tokens(0, i).start for i, token in enumerate(chunk.tokens) if token.role]
    for layer in minilm.LAYERS:
        alone = states[layer][0].numpy()
        rows = got.names[f"layer {layer}"][first : first + len(firsts)]
        np.testing.assert_allclose(rows, alone[firsts], atol=2e-5)


@needs_model
def test_file_rows_are_means_over_the_files_sub_tokens(reading):
    import torch

    chunks, got = reading
    tokenizer, model = minilm.load()
    parts = []
    for chunk in (chunk for chunk in chunks if chunk.file == 2):
        encoded = tokenizer([t.text for t in chunk.tokens], is_split_into_words=True, return_tensors="pt")
        with torch.no_grad():
            parts.append(model(**encoded, output_hidden_states=True).hidden_states[6][0, 1:-1].numpy())
    np.testing.assert_allclose(got.files["layer 6"][2], np.concatenate(parts).mean(axis=0), atol=2e-5)


def test_digits_hold_parity_in_the_trained_layers_and_leave_training_images_out():
    from controls.demo import digits

    first, again = (digits.stages(draws=3, seed=1)[0].problem for _ in range(2))
    assert first.sites == ("pixels", "hidden 1", "hidden 2")
    for site in first.sites:
        np.testing.assert_array_equal(first.at(site).X, again.at(site).X)
    assert first.groups["run"].min() == 30  # runs 0 to 29 trained the network
    np.testing.assert_array_equal(first.labels, first.groups["digit"] % 2 == 1)
    assert first.unit == "run"


def comparison(control: str, verdict: Verdict, score: float, mean: float) -> Comparison:
    estimate = Estimate(score - mean, -1.0, 1.0, 0.95, 0.1, 9.0, "fitted")
    return Comparison(
        control=control, description=f"{control}()", level="labels", score=score, control_scores=np.array([mean]),
        control_mean=mean, selectivity=estimate, bounds=(-1.0, 1.0), p_value=0.5, p_lower=0.5, p_floor=0.025,
        p_interval=None, claim_p=0.5, draws=39, enumerated=False, log_relabelings=None, inference="ensemble",
        caveats=(), verdict=verdict, reason="", preserves=(), destroys=(), null="", licenses="", licensed=False,
    )  # fmt: skip


def sweep_of(sites: Mapping[str, list[Comparison]]) -> Sweep:
    provenance = Provenance(None, "", 0, {}, 10, 2, "file", 5, "", "", "", 1, "", 0.0)
    estimate = Estimate(0.5, 0.4, 0.6, 0.95, 0.1, 9.0, "fitted")
    results = {
        site: Result(site, "accuracy", 0.5, estimate, (), tuple(found), Claim.UNDECIDED, "", 0.05, 0.0, "fitted", (),
                     provenance)
        for site, found in sites.items()
    }  # fmt: skip
    return Sweep("t", results, {}, 0.05)


@pytest.mark.parametrize(
    ("control", "verdict", "says"),
    [
        ("ControlTask", Verdict.SELECTIVE, "beats its control task (0.900 against 0.600)"),
        ("ControlTask", Verdict.WORSE, "loses to its control task"),
        ("ControlTask", Verdict.INCONCLUSIVE, "knowing the word may be all there is"),
        ("ShuffleLabels", Verdict.SELECTIVE, "carry information about the role"),
        ("ShuffleLabels", Verdict.INCONCLUSIVE, "nothing is shown here about the role"),
        ("ShuffleLabels", Verdict.WORSE, "worse than chance"),
        ("Other", Verdict.SELECTIVE, "beats Other()"),
        ("Other", Verdict.NEGLIGIBLE, "less than what was said to matter"),
        ("ControlTask", Verdict.EQUIVALENT, "is as good as its control task"),
    ],
)
def test_sentences_follow_verdicts(control, verdict, says):
    lines = read_aloud(sweep_of({"layer 0": [comparison(control, verdict, 0.9, 0.6)]}), concept="the role", kind="word")
    assert len(lines) == 1
    assert says in lines[0]


def test_sites_that_only_a_shuffle_would_pass_are_named():
    def site(task: Verdict) -> list[Comparison]:
        return [comparison("ShuffleLabels", Verdict.SELECTIVE, 0.9, 0.5), comparison("ControlTask", task, 0.9, 0.95)]

    sites = {"layer 0": site(Verdict.WORSE), "layer 3": site(Verdict.SELECTIVE), "layer 6": site(Verdict.INCONCLUSIVE)}
    assert "layer 0 and layer 6 would have passed" in read_aloud(sweep_of(sites), concept="x", kind="word")[-1]
    passing = {"layer 3": site(Verdict.SELECTIVE)}
    assert len(read_aloud(sweep_of(passing), concept="x", kind="word")) == 2


@pytest.mark.parametrize(
    "arguments",
    [{"draws": 0}, {"seed": -1}, {"file_draws": 0}, {"model_draws": 0}, {"folder": "/dev/null/folder"}, {"draws": 2.5}],
)
def test_wrong_arguments_are_refused_before_any_work(arguments, tmp_path):
    with pytest.raises(ControlsError):
        demo_run.run(**{"folder": tmp_path, **arguments})


def test_the_whole_demo_on_digits(tmp_path, monkeypatch):
    from controls.report import from_json

    monkeypatch.setattr(minilm, "is_installed", lambda: False)
    out = io.StringIO()
    page = demo_run.run(19, tmp_path / "new" / "folder", console=Console(file=out, width=200))
    text = out.getvalue()
    assert all(command in text for command in demo_run.INSTALL)
    assert str(page.resolve()) in text
    assert "At hidden 2, the finding" in text
    assert "<html" in page.read_text()
    sweep = from_json(page.parent / "digits.json")
    assert isinstance(sweep, Sweep)
    assert list(sweep.results) == ["pixels", "hidden 1", "hidden 2"]
    # The network was trained on parity and the pixels know digits: only its layers may beat the control task.
    assert sweep["pixels"]["ControlTask"].verdict is not Verdict.SELECTIVE
    assert sweep["hidden 2"]["ControlTask"].verdict is Verdict.SELECTIVE
    assert Path(page) == tmp_path / "new" / "folder" / "report.html"
