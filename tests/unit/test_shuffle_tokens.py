"""ShuffleTokens through ct.measure and from_model: what moves, what stays, what is refused."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

import controls as ct
from controls.core.rng import stream
from controls.models.tokens import text_of
from controls.testing.token_problems import LONGEST, in_words, padded, reader


def one_hot(model, ids):
    return np.concatenate([np.eye(9)[np.asarray(part)] for part in ids])


def markov(sequences=30, length=24, seed=0):
    rng = stream(seed, "markov")
    table = rng.dirichlet(np.full(4, 0.3), size=4)
    ids = np.zeros((sequences, length), dtype=np.int64)
    ids[:, 0] = rng.integers(4, size=sequences)
    for t in range(1, length):
        ids[:, t] = [rng.choice(4, p=table[before]) for before in ids[:, t - 1]]
    return ids


def test_from_model_through_measure():
    rng = stream(0, "e2e")
    texts = [rng.integers(4, 9, size=rng.integers(3, LONGEST)).tolist() for _ in range(40)]
    labels = [[int(token == 4) for token in text] for text in texts]
    model, inputs = reader(), padded(texts)
    problem = ct.from_model(model, inputs, "mixed", labels=np.concatenate(labels), groups={"doc": np.arange(40) // 4})
    before = inputs.arrays["input_ids"].clone()
    battery = [ct.ShuffleTokens(), ct.ShuffleTokens(keep=2), ct.ShuffleTokens(within="doc", keep=2)]
    result = ct.measure(ct.probes.LogisticProbe(), problem, controls=battery, draws=19)
    free, keeping, by_document = result.comparisons
    assert free.p_value == free.p_floor == 0.05
    assert {c.inference for c in result.comparisons} == {"exact"}
    assert [keeping.proofs[0]["documents"], by_document.proofs[0]["documents"]] == [40, 10]
    fixed = int(keeping.proofs[0]["documents with one order"])
    assert fixed > 0
    assert any(f"{fixed} of 40 documents have one order only" in caveat for caveat in keeping.caveats)
    assert keeping.proofs[0]["share of tokens changed"] < free.proofs[0]["share of tokens changed"]
    assert torch.equal(inputs.arrays["input_ids"], before)
    assert "order" in free.licenses


def test_lists_and_arrays_give_the_same_draw():
    ids = markov()
    ragged = ct.Problem(None, ids.ravel() > 1, source=ct.Source(None, [part.astype(np.int32) for part in ids], one_hot))
    square = ct.Problem(None, ids.ravel() > 1, source=ct.Source(None, ids, one_hot))
    drawn = [ct.ShuffleTokens(keep=2).draw(problem, stream(1)).source.inputs for problem in (ragged, square)]
    assert np.array_equal(np.stack(drawn[0]), drawn[1])
    assert drawn[0][0].dtype == np.int32
    assert not np.array_equal(drawn[1], ids)


def test_labels_follow_their_tokens():
    ids = markov()
    kinds = stream(0, "kinds").random(ids.size)
    problem = ct.Problem(None, kinds, {"token": ids.ravel()}, source=ct.Source(None, ids, one_hot))
    drawn = ct.ShuffleTokens(labels="follow").draw(problem, stream(2))
    assert np.array_equal(drawn.groups["token"], drawn.source.inputs.ravel())
    assert sorted(zip(drawn.labels, drawn.groups["token"], strict=True)) == sorted(zip(kinds, ids.ravel(), strict=True))
    by_run = ct.ShuffleTokens(keep=2, labels="follow").draw(problem, stream(2)).labels.reshape(ids.shape)
    before = dict(zip(kinds.reshape(ids.shape)[:, 1:].ravel(), ids[:, :-1].ravel(), strict=True))
    new = ct.ShuffleTokens(keep=2, labels="follow").draw(problem, stream(2)).source.inputs
    assert all(before[label] == token for label, token in zip(by_run[:, 1:].ravel(), new[:, :-1].ravel(), strict=True))


def test_words_move_with_all_their_tokens():
    inputs = in_words(padded([stream(3, i).integers(4, 9, size=12).tolist() for i in range(10)]))
    problem = ct.from_model(reader(), inputs, "mixed")
    drawn = ct.ShuffleTokens(per="word", labels="follow").draw(problem, stream(0))
    new = drawn.source.inputs
    for row, (old, now) in enumerate(zip(inputs.texts, new.texts, strict=True)):
        assert sorted(old) == sorted(now)
        ids = new.arrays["input_ids"].numpy()[row]
        assert now == ["+".join(map(str, ids[new.words[row] == w])) for w in range(len(now))]
    assert new.texts != inputs.texts
    assert drawn.groups["word"].tolist() == [word for text in new.texts for word in text]
    again = ct.from_model(reader(), new, "mixed")
    assert np.allclose(again.X, drawn.X)


def test_blocks_move_whole_and_the_rest_stays():
    ids = np.arange(44).reshape(4, 11)
    problem = ct.Problem(None, source=ct.Source(None, ids, lambda model, ids: ids.reshape(-1, 1) * 1.0))
    new = ct.ShuffleTokens(block=3).draw(problem, stream(0)).source.inputs
    assert np.array_equal(new[:, 9:], ids[:, 9:])
    assert (np.diff(new[:, :9].reshape(4, 3, 3), axis=2) == 1).all()
    assert (new != ids).any()


def test_fixed_tokens_stay():
    ids = markov()
    problem = ct.Problem(None, source=ct.Source(None, ids, one_hot))
    new = ct.ShuffleTokens(fixed=2).draw(problem, stream(0)).source.inputs
    assert np.array_equal(new == 2, ids == 2)


def test_a_sweep_reads_each_draw_once():
    ids, reads = markov(), []

    def two_sites(model, ids):
        reads.append(None)
        return {"a": one_hot(model, ids), "b": np.roll(one_hot(model, ids), 1, axis=0)}

    problem = ct.Problem(None, np.roll(ids.ravel(), 1) == 0, source=ct.Source(None, ids, two_sites))
    found = ct.sweep(ct.probes.RidgeProbe(), problem, controls=[ct.ShuffleTokens()], draws=19)
    assert len(reads) == 1 + 19
    alone = ct.measure(ct.probes.RidgeProbe(), problem.at("b"), controls=[ct.ShuffleTokens()], draws=19)
    assert found.results["b"].comparisons[0].control_scores.tolist() == alone.comparisons[0].control_scores.tolist()


def test_the_floor_counts_texts():
    ids = np.array([[0, 1, 2, 0, 2, 1, 0]])
    source = ct.Source(None, ids, lambda model, ids: np.eye(3)[ids.ravel()])
    problem = ct.Problem(None, [0, 1, 0, 1, 0, 1, 1], source=source)
    shown = ct.plan(ct.probes.RidgeProbe(), problem, controls=[ct.ShuffleTokens(keep=2)], draws=99, cv=2)
    count = round(np.exp(ct.ShuffleTokens(keep=2).log_count(problem)))
    assert shown.controls[0].p_floor == pytest.approx(1 / count)
    assert 1 < count < 20
    assert shown.controls[0].draws == 99


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        (np.zeros((3, 4)), "whole numbers"),
        ([np.array([1, 2]), np.array([], dtype=int)], "no empty sequences, got one at 1"),
        ([[0.5, 1.0]], "whole numbers, but entry 0"),
        (np.array([[1, -2]]), "at least 0, got -2 in sequence 0"),
        ("a text", "must be token ids, got str"),
        (np.array([1, 2, 3]), "from_model"),
    ],
)
def test_inputs_that_are_no_tokens_are_refused(inputs, words):
    source = ct.Source(None, inputs, lambda model, inputs: np.zeros((4, 1)))
    with pytest.raises(ct.InputError, match=words):
        ct.ShuffleTokens().check(ct.Problem(np.zeros((4, 1)), source=source))


def test_problems_that_cannot_be_shuffled_are_refused():
    ids = np.array([[0, 1, 2], [2, 1, 0]])
    problem = ct.Problem(None, groups={"odd": [0, 0, 1, 1, 1, 1]}, source=ct.Source(None, ids, one_hot))
    with pytest.raises(ct.InputError, match="from_model"):
        ct.ShuffleTokens().check(ct.Problem(np.eye(3)))
    with pytest.raises(ct.InputError, match="constant within sequences, but sequence 0"):
        ct.ShuffleTokens(within="odd").check(problem)
    with pytest.raises(ct.InputError, match=r"longest sequence \(3 tokens\), got 4"):
        ct.ShuffleTokens(keep=4).check(problem)
    with pytest.raises(ct.CannotControl, match="no sequence has another order"):
        ct.ShuffleTokens(keep=2).check(problem)
    with pytest.raises(ct.InputError, match="lists of words"):
        ct.ShuffleTokens(per="word").check(problem)
    for wrong in (
        {"keep": 0},
        {"block": 1},
        {"block": 2, "keep": 2},
        {"labels": "go"},
        {"fixed": (-1,)},
        {"within": ""},
    ):
        with pytest.raises(ct.InputError):
            ct.ShuffleTokens(**wrong)


def test_rows_of_words_cannot_follow_single_tokens():
    problem = ct.from_model(reader(), in_words(padded([[4, 5, 6, 7, 5, 4]] * 3)), "mixed")
    with pytest.raises(ct.InputError, match="a row for each of the tokens"):
        ct.ShuffleTokens(labels="follow").check(problem)


def test_compiles_where_nothing_can_be_written(monkeypatch):
    from controls.generators import _random_kernels as kernels

    def no_cache(**options):
        if options.get("cache"):
            raise RuntimeError("cannot cache function: no locator available")
        return lambda function: function

    monkeypatch.setattr(kernels.numba, "njit", no_cache)
    assert kernels.compiled(len)([1, 2]) == 2


def test_text_is_read_once_and_ids_come_back():
    inputs = padded([[4, 5, 6], [7, 8]])
    text = text_of(inputs)
    assert text.ids.tolist() == [4, 5, 6, 7, 8]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = text.written(text.ids[::-1].copy())
    assert again.ids.tolist() == [[1, 8, 7, 6, 2], [1, 5, 4, 2, 3]]
