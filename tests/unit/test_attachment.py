"""The control task of dependency edges, on a made-up treebank."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn.tree import DecisionTreeClassifier

import controls as ct
from controls.core.rng import stream


def treebank(sentences=60, seed=0):
    """Sentences with offsets of heads: articles attach to the next noun, nouns to the verb, it to itself."""
    rng, rows = stream(seed, "treebank"), []
    for number in range(sentences):
        subjects, objects = rng.integers(1, 4), rng.integers(1, 4)
        words = [*["the", "big"][: subjects - 1], f"noun {rng.integers(6)}", f"verb {rng.integers(4)}"]
        verb = len(words) - 1
        words += [*["a", "red"][: objects - 1], f"noun {rng.integers(6)}", "today"]
        nouns = [i for i, word in enumerate(words) if word.startswith("noun")]
        for i, word in enumerate(words):
            head = verb if word == "today" or word[:4] in ("noun", "verb") else next(n for n in nouns if n > i)
            rows.append((number, word, i, len(words), head - i))
    number, word, place, length, offset = map(np.array, zip(*rows, strict=True))
    return {"sentence": number, "word": word}, place, length, offset


GROUPS, PLACE, LENGTH, OFFSET = treebank()
X = np.column_stack([np.unique(GROUPS["word"], return_inverse=True)[1], PLACE, LENGTH]).astype(float)


def trees(labels):
    return ct.Problem(X, labels, groups=GROUPS, unit="sentence")


@pytest.mark.parametrize("encoding", ["offset", "position"])
def test_every_word_attaches_to_itself_or_to_one_end_of_its_sentence(encoding):
    shift = PLACE + 1 if encoding == "position" else 0
    given = trees(OFFSET.astype(float) + shift)
    ways = {"itself": 0 * PLACE + shift, "first": -PLACE + shift, "last": LENGTH - 1 - PLACE + shift}
    seen = []
    for i in range(300):
        drawn = ct.AttachmentTask(encoding=encoding).draw(given, stream(i)).labels
        for word in ("the", "verb 1", "noun 3"):
            rows = GROUPS["word"] == word
            fits = [name for name, way in ways.items() if (drawn[rows] == way[rows]).all()]
            assert fits
            seen += fits if word == "noun 3" else []
    counts = [seen.count(name) for name in ways]
    assert sum(counts) == 300
    assert stats.chisquare(counts).pvalue > 1e-4


def test_classes_that_are_not_there_become_the_nearest():
    clipped = OFFSET.clip(-2, 2)
    control = ct.AttachmentTask()
    drawn = control.draw(trees(clipped), stream(1)).labels
    exact = control.draw(trees(OFFSET.astype(float)), stream(1)).labels
    np.testing.assert_array_equal(drawn, exact.clip(-2, 2))
    ends = np.stack([0 * PLACE, -PLACE, LENGTH - 1 - PLACE])
    figures = control.integrity(trees(clipped), np.arange(200), np.arange(200, len(X)))
    assert figures["drawn labels moved to the nearest class"] == pytest.approx((np.abs(ends) > 2).mean())
    odd = trees(np.where(clipped == 0, 1, clipped))  # classes −2 −1 1 2: the lower of two that are equally near
    assert set(control.draw(odd, stream(1)).labels[exact == 0]) == {-1}


def test_it_is_a_task_that_a_probe_can_be_measured_on_as_classes_and_as_numbers():
    tree = DecisionTreeClassifier(random_state=0)
    classes = ct.measure(tree, trees(OFFSET.clip(-3, 3)), controls=[ct.AttachmentTask()], draws=9, cv=3)
    numbers = ct.measure(ct.probes.RidgeProbe(), trees(OFFSET.astype(float)), controls=[ct.AttachmentTask()], draws=9)
    for result in (classes, numbers):
        assert result.comparisons[0].inference == "ensemble"
        assert np.isfinite(result.comparisons[0].control_scores).all()
    assert classes.comparisons[0].control_mean > 0.8  # a tree that sees word, place and length memorises it
    assert numbers.metric == "r2"


ONE, THREE, NUMBERS = [0, 0, 0], [0, 1, 2], [0.5, 1.0, 2.0]


@pytest.mark.parametrize(
    ("labels", "groups", "kind", "words"),
    [
        (NUMBERS, {"word": ONE, "sentence": [0, 0, 1]}, ct.CannotControl, "at least two types"),
        (NUMBERS, {"word": THREE, "sentence": THREE}, ct.CannotControl, "several places to attach to"),
        (["a", "b", "a"], {"word": THREE, "sentence": ONE}, ct.InputError, "labels must be numbers for attachments"),
        (NUMBERS, {"word": THREE}, ct.InputError, "group 'sentence' is not known"),
    ],
)
def test_problems_refused(labels, groups, kind, words):
    with pytest.raises(kind, match=words):
        ct.AttachmentTask().check(ct.Problem(np.eye(3), labels, groups=groups))


def test_encodings_are_two():
    with pytest.raises(ct.InputError, match="encoding must be one of 'offset', 'position', got 'head'"):
        ct.AttachmentTask(encoding="head")
