"""Arrays from files: what comes back is what was written, and nothing is unpickled or guessed."""

import pickle

import numpy as np
import pytest

from controls.core.errors import InputError
from controls.core.rng import stream
from controls.study_file.arrays import read_array
from controls.study_file.csv_text import as_values


class Bomb:
    def __reduce__(self):
        return (print, ("unpickled",))


def refused(text, folder, *words):
    with pytest.raises(InputError) as caught:
        read_array(text, folder)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_npy_is_memory_mapped(tmp_path):
    X = stream(0, "npy").normal(size=(7, 3)).astype("float16")
    np.save(tmp_path / "x.npy", X)
    found = read_array("x.npy", tmp_path)
    assert isinstance(found, np.memmap)
    assert found.tolist() == X.tolist()
    refused("x.npy:a", tmp_path, "holds one array")


def test_npz_by_name_and_alone(tmp_path):
    np.savez_compressed(tmp_path / "two.npz", a=np.arange(3), b=np.array(["x", "y"]))
    np.savez(tmp_path / "one.npz", only=np.eye(2))
    assert read_array("two.npz:b", tmp_path).tolist() == ["x", "y"]
    assert read_array("one.npz", tmp_path).tolist() == np.eye(2).tolist()
    refused("two.npz", tmp_path, "must name one array of a, b", "two.npz:a")
    refused("two.npz:c", tmp_path, "array of 'two.npz' 'c' is not known")


def test_nothing_is_unpickled(tmp_path, capsys):
    objects = np.array([Bomb()], dtype=object)
    np.save(tmp_path / "o.npy", objects, allow_pickle=True)
    np.savez(tmp_path / "o.npz", good=np.eye(2), bad=objects)
    (tmp_path / "p.npy").write_bytes(pickle.dumps(Bomb()))
    (tmp_path / "p.npz").write_bytes(pickle.dumps(Bomb()))
    refused("o.npy", tmp_path, "holds Python objects")
    refused("o.npz:bad", tmp_path, "holds Python objects")
    assert read_array("o.npz:good", tmp_path).tolist() == np.eye(2).tolist()
    refused("p.npy", tmp_path, "is not a .npy file, whatever its name")
    refused("p.npz", tmp_path, "p.npz")
    assert capsys.readouterr().out == ""


def test_safetensors_with_bfloat16(tmp_path):
    torch = pytest.importorskip("torch")
    save_file = pytest.importorskip("safetensors.torch").save_file
    X = torch.arange(6, dtype=torch.bfloat16).reshape(3, 2) / 3
    save_file({"x": X, "y": torch.arange(3)}, tmp_path / "t.safetensors")
    found = read_array("t.safetensors:x", tmp_path)
    assert found.float().tolist() == X.float().tolist()
    assert read_array("t.safetensors:y", tmp_path).tolist() == [0, 1, 2]
    refused("t.safetensors", tmp_path, "must name one tensor")
    (tmp_path / "bad.safetensors").write_bytes(b"\xff" * 20)
    refused("bad.safetensors", tmp_path, "is not a whole .safetensors file")


def test_bfloat16_reaches_a_problem(tmp_path):
    import controls as ct

    torch = pytest.importorskip("torch")
    save_file = pytest.importorskip("safetensors.torch").save_file
    save_file({"x": torch.ones(3, 2, dtype=torch.bfloat16) / 3}, tmp_path / "t.safetensors")
    problem = ct.Problem(read_array("t.safetensors", tmp_path), [0, 1, 0])
    assert problem.X.dtype == np.float32
    assert problem.X[0, 0] == float(torch.tensor(1 / 3).bfloat16())


def test_parquet_columns_tables_and_lists(tmp_path):
    pl = pytest.importorskip("polars")
    X = stream(0, "parquet").normal(size=(4, 2))
    pl.DataFrame({"a": X[:, 0], "b": X[:, 1]}).write_parquet(tmp_path / "x.parquet")
    rows = {"id": ["007", "NA", "x", "y"], "vector": X.tolist(), "ragged": [[1.0], [1.0, 2.0], [], [1.0]]}
    pl.DataFrame(rows).write_parquet(tmp_path / "r.parquet")
    assert read_array("x.parquet", tmp_path).tolist() == X.tolist()
    assert read_array("x.parquet:b", tmp_path).tolist() == X[:, 1].tolist()
    assert read_array("r.parquet:id", tmp_path).tolist() == rows["id"]
    assert read_array("r.parquet:vector", tmp_path).tolist() == X.tolist()
    refused("r.parquet:ragged", tmp_path, "must hold lists of one length")
    refused("r.parquet", tmp_path, "must hold numbers in all columns")
    refused("x.parquet:c", tmp_path, "column of 'x.parquet' 'c' is not known")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 no")
    refused("bad.parquet", tmp_path, "is not a whole .parquet file")


def test_parquet_without_polars_goes_to_pandas_or_says_what_to_install(tmp_path, monkeypatch):
    import sys

    import pandas as pd

    (tmp_path / "x.parquet").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "polars", None)
    monkeypatch.setattr(pd, "read_parquet", lambda path: pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}))
    assert read_array("x.parquet:b", tmp_path).tolist() == ["x", "y"]

    def no_engine(path):
        raise ImportError("no engine")

    monkeypatch.setattr(pd, "read_parquet", no_engine)
    refused("x.parquet:a", tmp_path, "pip install")


def test_csv_columns_are_read_as_they_are_written(tmp_path):
    text = '\ufeffid,"the role, quoted",day\n007,NA,2020-01-02\n\n1e3,"a ""b""",null\n" x ",true,1\n'
    (tmp_path / "c.csv").write_text(text, encoding="utf-8")
    assert read_array("c.csv:id", tmp_path).tolist() == ["007", "1e3", " x "]
    assert read_array("c.csv:the role, quoted", tmp_path).tolist() == ["NA", 'a "b"', "true"]
    assert read_array("c.csv:day", tmp_path).tolist() == ["2020-01-02", "null", "1"]


def test_csv_that_cannot_be_read(tmp_path):
    for name, text, part, words in (
        ("short.csv", "a,b\n1\n", "b", ("line 2 has 1 entries", "header 2")),
        ("long.csv", "a,b\n1,2\n1,2,3\n", "b", ("line 3 has 3 entries",)),
        ("gap.csv", "a,b\n1,2\n1,\n", "b", ("no entry in line 3",)),
        ("twice.csv", "a,a\n1,2\n", "a", ("2 times",)),
        ("bare.csv", "1,2\n3,4\n", "1", ("must start with a line of column names",)),
        ("empty.csv", "", "a", ("must start with a line of column names",)),
        ("quote.csv", 'a\n"x\n', "a", ("is not CSV",)),
    ):
        (tmp_path / name).write_text(text)
        refused(f"{name}:{part}", tmp_path, *words)
    (tmp_path / "latin.csv").write_bytes(b"a\n\xe9\n")
    refused("latin.csv:a", tmp_path, "is not CSV in UTF-8")


def test_csv_tables_of_numbers(tmp_path):
    X = stream(0, "csv").normal(size=(5, 3))
    (tmp_path / "x.csv").write_text("a,b,c\n" + "\n".join(",".join(map(repr, row)) for row in X.tolist()))
    assert read_array("x.csv", tmp_path).tolist() == X.tolist()
    (tmp_path / "bad.csv").write_text("a,b\n1,x\n")
    refused("bad.csv", tmp_path, "must hold 2 numbers in every line")


@pytest.mark.parametrize(
    ("written", "values"),
    [
        (["1", "-2", "0"], [1, -2, 0]),
        (["1", "2.5", "1e-3"], [1.0, 2.5, 0.001]),
        (["true", "false"], [True, False]),
        (["True", "False"], [True, False]),
        (["True", "yes"], ["True", "yes"]),
        (["007", "010"], ["007", "010"]),
        (["1", "two"], ["1", "two"]),
        (["NA", "NB"], ["NA", "NB"]),
        (["nan", "None"], ["nan", "None"]),
        (["1_000", "2"], ["1_000", "2"]),
        (["99999999999999999999", "1"], ["99999999999999999999", "1"]),
        (["1e20", "0.5"], [1e20, 0.5]),
        ([" 1", "2"], [" 1", "2"]),
        (["٣", "2"], ["٣", "2"]),
    ],
)
def test_labels_are_numbers_only_where_all_are_written_so(written, values):
    found = as_values(np.array(written), "f.csv:a").tolist()
    assert found == values
    assert [type(value) for value in found] == [type(value) for value in values]


@pytest.mark.parametrize("missing", ["nan", "NA", "-inf", "null", "?"])
def test_a_missing_number_is_refused_with_its_row(missing):
    with pytest.raises(InputError, match=r"'f.csv:a' must have a value in every row.* in row 1 .*drop those 2 rows"):
        as_values(np.array(["1.5", missing, "2", missing]), "f.csv:a")


def test_references(tmp_path):
    np.savez(tmp_path / "a:b.npz", **{"x.csv:y": np.eye(2)})
    assert read_array("a:b.npz:x.csv:y", tmp_path).shape == (2, 2)
    np.save(tmp_path / "a.NPY", np.eye(3))
    (tmp_path / "a.NPY.npy").rename(tmp_path / "a.NPY")
    assert read_array(str(tmp_path / "a.NPY"), tmp_path / "elsewhere").shape == (3, 3)
    refused("a.pkl", tmp_path, "must name a .npy, .npz, .safetensors, .parquet or .csv file")
    refused("a.pt:x", tmp_path, "must name")
