"""RandomTokens and RandomEmbeddings: the laws that are drawn from, what stays, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

import controls as ct
from controls.core.rng import stream
from controls.testing.token_problems import padded, reader


def problem_of(ids, **groups):
    read = lambda model, ids: np.eye(20)[ids.ravel()]  # noqa: E731
    return ct.Problem(
        None, groups={name: np.asarray(g) for name, g in groups.items()}, source=ct.Source(None, ids, read)
    )


def drawn(control, problem, times=1):
    return np.stack([control.draw(problem, stream(0, "drawn", i)).source.inputs for i in range(times)])


IDS = np.array([[3, 3, 3, 5, 7], [3, 5, 11, 11, 3]])


def test_unigram_and_uniform_laws():
    counts = np.bincount(drawn(ct.RandomTokens(), problem_of(IDS), 800).ravel(), minlength=20)
    expected = np.bincount(IDS.ravel(), minlength=20) / IDS.size
    assert (counts[expected == 0] == 0).all()
    assert chisquare(counts[expected > 0], expected[expected > 0] * counts.sum()).pvalue > 1e-4
    even = np.bincount(drawn(ct.RandomTokens("uniform"), problem_of(IDS), 800).ravel(), minlength=20)
    assert np.flatnonzero(even).tolist() == [3, 5, 7, 11]
    assert chisquare(even[even > 0]).pvalue > 1e-4
    given = np.bincount(drawn(ct.RandomTokens("uniform", vocabulary=6, fixed=0), problem_of(IDS), 400).ravel())
    assert chisquare(given[1:]).pvalue > 1e-4
    assert given[0] == 0


def test_within_documents_each_has_its_own_law():
    found = drawn(ct.RandomTokens(within="sequence"), problem_of(IDS), 200)
    for row in range(2):
        counts = np.bincount(found[:, row].ravel(), minlength=20)
        expected = np.bincount(IDS[row], minlength=20) / 5
        assert (counts[expected == 0] == 0).all()
        assert chisquare(counts[expected > 0], expected[expected > 0] * counts.sum()).pvalue > 1e-4


def test_position_draws_from_other_sequences_at_that_position():
    ids = np.array([[1, 2], [3, 4], [5, 6], [7, 8]])
    found = drawn(ct.RandomTokens("position"), problem_of(ids), 400)
    for sequence in range(4):
        for place in range(2):
            counts = {token: int((found[:, sequence, place] == token).sum()) for token in ids[:, place]}
            assert counts.pop(ids[sequence, place]) == 0
            assert sum(counts.values()) == 400
            assert chisquare(list(counts.values())).pvalue > 1e-4


def test_what_cannot_be_drawn_is_refused():
    model = reader()
    problem = ct.from_model(model, padded([[4, 5, 6]] * 3), "mixed")
    with pytest.raises(ct.InputError, match=r"below 11, the size of the model's embedding, got 30"):
        ct.RandomTokens("uniform", vocabulary=(4, 30)).check(problem)
    with pytest.raises(ct.CannotControl, match="one token only"):
        ct.RandomTokens().check(problem_of(np.full((3, 4), 2)))
    with pytest.raises(ct.CannotControl, match="one token only"):
        ct.RandomTokens("position").check(problem_of(np.array([[1, 2, 3]])))
    wrongs = [
        ("bigram", {}),
        ("uniform", {"vocabulary": 1}),
        ("unigram", {"vocabulary": 5}),
        ("position", {"within": "a"}),
    ]
    for law, wrong in wrongs:
        with pytest.raises(ct.InputError):
            ct.RandomTokens(law, **wrong)
    with pytest.raises(ct.InputError, match=r"from 0 to 10, the size of the model's embedding, got 11; .* is 1"):
        ct.from_model(model, padded([[4, 5], [11, 4]]), "mixed")


def embedded(problem, control, times):
    return np.concatenate([control.draw(problem, stream(1, "embedded", i)).X for i in range(times)])


def test_embeddings_have_the_mean_and_covariance_of_the_trained_ones():
    table = torch.from_numpy(
        stream(0, "table").standard_normal((50, 3)) @ [[1.0, 0.9, 0], [0, 0.3, 0], [0, 0, 2]] + [5, 0, -3]
    )
    model = torch.nn.Sequential(torch.nn.Embedding.from_pretrained(table), torch.nn.Identity())
    problem = ct.from_model(model, stream(0, "ids").integers(50, size=(40, 50)), "1")
    found = embedded(problem, ct.RandomEmbeddings(), 10)
    rows = table.numpy()
    spread = np.sqrt(np.diag(np.cov(rows.T, bias=True)))
    assert (np.abs(found.mean(axis=0) - rows.mean(axis=0)) < 4 * spread / np.sqrt(len(found))).all()
    scale = np.outer(spread, spread)
    assert np.abs(np.cov(found.T) - np.cov(rows.T, bias=True)).max() < 4 * scale.max() * np.sqrt(2 / len(found))
    assert len(np.unique(found[:2000], axis=0)) == 2000  # another vector at every position
    by_type = embedded(problem, ct.RandomEmbeddings(per="type"), 1)
    assert len(np.unique(by_type, axis=0)) == len(np.unique(problem.groups["token"]))
    assert np.array_equal(model[0].weight.numpy(), rows)
    assert not model[0]._forward_hooks


def test_special_tokens_keep_their_embeddings():
    model, inputs = reader(), padded([[4, 5, 6, 7]] * 4)
    problem = ct.from_model(model, inputs, "embed", pooling="first")
    assert np.array_equal(ct.RandomEmbeddings().draw(problem, stream(0)).X, problem.X)  # the first is special
    words = ct.from_model(model, inputs, "embed")
    kept = ct.RandomEmbeddings(fixed=5).draw(words, stream(0)).X
    assert np.array_equal((kept == words.X).all(axis=1), words.groups["token"] == 5)


def test_an_embedding_that_cannot_be_told_is_asked_for():
    class Two(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.tokens, self.places = torch.nn.Embedding(9, 4), torch.nn.Embedding(6, 4)

        def forward(self, ids):
            return self.tokens(ids) + self.places(torch.arange(ids.shape[1]))

    problem = ct.from_model(Two().eval(), np.arange(12).reshape(2, 6) % 9, "tokens")
    with pytest.raises(ct.InputError, match=r"2 embeddings \('tokens', 'places'\)"):
        ct.RandomEmbeddings().check(problem)
    ct.RandomEmbeddings(layer="tokens").check(problem)
    with pytest.raises(ct.InputError, match="Did you mean 'tokens'"):
        ct.RandomEmbeddings(layer="token").check(problem)


def test_hooks_go_when_the_reading_fails():
    model = reader()
    problem = ct.from_model(model, padded([[4, 5, 6, 7]] * 4), "mixed")

    def fails(model, inputs):
        raise RuntimeError("stopped")

    broken = problem.with_source(ct.Source(model, problem.source.inputs, fails))
    with pytest.raises(RuntimeError, match="stopped"):
        ct.RandomEmbeddings().draw(broken, stream(0))
    assert not model.embed._forward_hooks


@pytest.mark.parametrize("inputs_first", [True, False])
def test_weights_and_inputs_compose_in_either_order(inputs_first):
    model = reader()
    problem = ct.from_model(
        model, padded([stream(i, "texts").integers(4, 9, size=8).tolist() for i in range(6)]), "mixed"
    )
    before, parts = model.embed.weight.clone(), [ct.ShuffleTokens(), ct.Reinitialize("moments")]
    both = ct.compose(*(parts if inputs_first else reversed(parts))).draw(problem, stream(0))
    assert not np.allclose(both.X, problem.X)
    assert torch.equal(model.embed.weight, before)
    again = both.source.extract(model, both.source.inputs)
    assert np.array_equal(again, both.X)  # the drawn problem's source says how it came about
    assert not np.allclose(ct.from_model(model, both.source.inputs, "mixed").X, both.X)
