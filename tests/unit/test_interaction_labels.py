"""InteractionLabels against regressions, exact worlds and counted false alarms."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures

import controls as ct
from controls.core.errors import CannotControl, ControlsWarning, InputError, InputTypeError
from controls.core.rng import stream
from controls.generators.interactions import InteractionLabels
from controls.ground_truth import Bernoulli, Layer, combine


def coins(n=400, *, q=0.5, d=6, m=4, key="coins"):
    """Bits as groups, a document for every ten rows, and a random ReLU layer of them."""
    rng = stream(0, key)
    x = (rng.random((n, m)) < q).astype(int)
    H = np.maximum(x @ rng.normal(size=(m, d)) + 0.3, 0)
    groups = {f"x{i}": x[:, i] for i in range(m)} | {"document": np.arange(n) // 10}
    return ct.Problem(
        {"input": x, "layer": H}, groups=groups, unit="document", source=ct.Source(None, x, lambda _, i: i)
    )


@pytest.mark.filterwarnings("ignore::controls.core.errors.ControlsWarning")
@pytest.mark.parametrize("ask", ["and", "or", "xor"])
@pytest.mark.parametrize("q", [0.5, 0.2])
def test_and_or_xor_have_these_labels_beyond_what_is_linear(ask, q):
    problem = coins(q=q)
    x = problem.array_at("input")
    labels = InteractionLabels(("x0", "x1"))(problem).labels
    truth = combine(x, (0, 1), ask).astype(float)
    left = truth - LinearRegression().fit(x[:, :2], truth).predict(x[:, :2])
    assert abs(np.corrcoef(left, labels)[0, 1]) == pytest.approx(1, abs=1e-9)
    assert np.abs(np.hstack([np.ones((len(x), 1)), x[:, :2]]).T @ labels).max() < 1e-9


def test_three_concepts_are_free_of_products_of_two():
    problem = coins()
    a, b, c, _ = problem.array_at("input").T
    labels = InteractionLabels(("x0", "x1", "x2"))(problem).labels
    assert np.abs(np.stack([np.ones(400), a, b, c, a * b, a * c, b * c]) @ labels).max() < 1e-9


@pytest.mark.parametrize("among", ["input", ("x0", "x1", "x2", "x3")])
def test_among_changes_no_label(among):
    # Labels free of many inputs over all rows would be below those that are shuffled, where nothing is there.
    problem = coins()
    named, plain = (InteractionLabels(("x0", "x1"), among=which)(problem) for which in (among, None))
    np.testing.assert_array_equal(named.labels, plain.labels)


def test_a_true_null_beside_many_inputs_is_not_worse_than_its_control():
    rng, worse = np.random.default_rng(0), 0
    for seed in range(20):
        x = rng.integers(2, size=(400, 30)).astype(float)
        problem = ct.Problem({"input": x}, groups={"a": x[:, 0], "b": x[:, 1]})
        labelled = InteractionLabels(("a", "b"), balance=True, among="input", seed=seed)(problem)
        probe, battery = ct.probes.RidgeProbe(), [ct.ShuffleLabels()]
        worse += str(ct.measure(probe, labelled, controls=battery, scoring="r2", draws=39).verdict) == "FAILS"
    assert worse <= 4  # binomial, p = .003 at .05


def test_texts_booleans_and_columns_are_concepts_too():
    problem = coins()
    x = problem.array_at("input")
    number = np.where(x[:, 0] == 1, "plural", "singular")
    other = ct.Problem(problem.at("layer").X, groups={"number": number, "past": x[:, 1] == 1})
    labels = InteractionLabels(("number", "past"))(other).labels
    assert np.allclose(labels, -InteractionLabels((x[:, 0], x[:, 1]))(other).labels)
    assert InteractionLabels(("number", "past")).cells(other) == {
        (word, past): int(((number == word) & (x[:, 1] == past)).sum())
        for word in ("plural", "singular")
        for past in (False, True)
    }


def test_the_balanced_subsample_has_equal_cells_and_keeps_what_rows_have():
    problem = coins(q=0.3)
    maker = InteractionLabels(("x0", "x1"), balance=True, seed=3)
    part = maker(problem)
    assert set(maker.cells(part).values()) == {min(maker.cells(problem).values())}
    assert set(part.labels.tolist()) == {-1, 1}
    assert part.unit == "document"
    x = np.stack([part.groups[f"x{i}"] for i in range(4)], axis=1)
    for same in (part.array_at("input"), part.at("layer").array_at("input"), part.source.inputs):
        assert np.array_equal(same, x)
    assert np.array_equal(part.labels, np.where(x[:, 0] == x[:, 1], 1, -1))
    assert (np.diff(part.groups["document"]) >= 0).all()
    assert np.array_equal(part.labels, maker(problem).labels)
    assert not np.array_equal(InteractionLabels(("x0", "x1"), balance=True)(problem).array_at("input"), x)


def test_every_row_of_a_cell_may_be_kept():
    """Over seeds each row of the fullest cell is as likely to be kept as any."""
    problem = coins(60, q=0.4)
    row = ct.Problem(problem.at("layer").X, groups={**problem.groups, "row": np.arange(60)})
    maker = InteractionLabels(("x0", "x1"), balance=True)
    cells = maker.cells(row)
    kept = np.zeros(60)
    for seed in range(400):
        kept[InteractionLabels(("x0", "x1"), balance=True, seed=seed)(row).groups["row"]] += 1
    fullest = (row.groups["x0"] == 0) & (row.groups["x1"] == 0)
    share = min(cells.values()) / cells[(0, 0)]
    worst = min(binomtest(int(count), 400, share).pvalue for count in kept[fullest])
    assert worst > 0.01 / fullest.sum()


def test_sources_whose_inputs_are_not_rows_are_left_out():
    problem = coins()
    maker = InteractionLabels(("x0", "x1"), balance=True)
    assert maker(problem.with_source(ct.Source(None, ["a text"], lambda _, i: i))).source is None
    texts = problem.with_source(ct.Source(None, [str(i) for i in range(400)], lambda _, i: i))
    assert len(maker(texts).source.inputs) == maker(problem).n
    assert maker(problem.with_source(None)).source is None


def test_rare_features_are_warned_of_with_their_counts_and_not_called_exact():
    problem = coins(2000, q=0.1).at("layer")
    counts = InteractionLabels(("x0", "x1")).cells(problem)
    with pytest.warns(ControlsWarning, match=rf"1/1: {counts[1, 1]}.*balance=True\) keeps {min(counts.values())} rows"):
        rare = InteractionLabels(("x0", "x1"))(problem)
    found = ct.measure(ct.probes.RidgeProbe(), rare, controls=[ct.ShuffleLabels()], scoring="r2", draws=19)
    assert found["ShuffleLabels"].inference == "ensemble"
    assert any("unevenly combined" in caveat for caveat in found["ShuffleLabels"].caveats)
    assert rare.with_labels(rare.labels).remarks == ()


def test_numbers_are_warned_of_and_even_cells_are_not():
    rng = stream(0, "numbers")
    problem = ct.Problem(rng.normal(size=(300, 3)), groups={"a": rng.normal(size=300), "b": rng.integers(2, size=300)})
    with pytest.warns(ControlsWarning, match="cut them in two"):
        InteractionLabels(("a", "b"))(problem)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert InteractionLabels(("x0", "x1"))(coins()).remarks == ()
        InteractionLabels(("x0", "x1"), balance=True)(coins(2000, q=0.1))


def test_rank_over_the_number_of_products_is_a_note_of_the_report():
    labelled = InteractionLabels(("x0", "x1"), balance=True, among="input")(coins(d=4)).at("layer")
    found = ct.measure(ct.probes.RidgeProbe(), labelled, controls=[ct.ShuffleLabels()], scoring="r2", draws=19)
    assert any("6 products of 2 among 4 concepts: layer rank/C = 4/6 = 0.67" in note for note in found.notes)
    assert "saturated" in InteractionLabels(("x0", "x1"), among="input")(coins(d=15, m=3)).remarks[0].words


def test_held_out_score_is_the_exact_share():
    """A quadratic layer of d neurons holds d/C of every product, exactly: 9/45 here."""
    rng = stream(0, "share")
    layer = Layer(rng.standard_normal((9, 10)), activation="square", inputs=Bernoulli(10))
    exact = layer.truth.partial_r2((0, 1))
    problem = layer.sample(20_000, rng)
    x = problem.array_at("input")
    both = ct.Problem(np.hstack([problem.X, x]), groups=problem.groups)  # what is linear in the inputs beside it
    score = ct.measure(
        ct.probes.RidgeProbe(),
        InteractionLabels(("x0", "x1"))(both),
        controls=[ct.ShuffleLabels()],
        scoring="r2",
        draws=19,
    )
    assert abs(score.score - exact) < 3 * score.score_estimate.standard_error + 0.002


# -- the level ---------------------------------------------------------------------------------------


def null_problem(rng, n, q):
    """A sparse layer in which no neuron sees both inputs that are asked about."""
    W = (rng.random((16, 8)) < 0.4).astype(float)
    W[:8, 0], W[8:, 1] = 0, 0
    layer = Layer(W, -1.0, inputs=Bernoulli(8, q=q))
    assert layer.truth.is_null((0, 1))
    return layer.sample(n, rng)


def false_alarms(maker, n, repetitions):
    """Return how often a true null about two features of rate .1 is rejected, of how many times it can be asked."""
    count = asked = 0
    for r in range(repetitions):
        problem = null_problem(stream(0, "level", n, r), n, 0.1)
        if not all(maker.cells(problem).values()):
            continue
        found = ct.measure(
            ct.probes.RidgeProbe(), maker(problem), controls=[ct.ShuffleLabels()], scoring="r2", draws=19, seed=r
        )
        asked += 1
        count += found["ShuffleLabels"].p_value <= 0.05
    return count, asked


@pytest.mark.filterwarnings("ignore::controls.core.errors.ControlsWarning")
def test_unbalanced_rare_features_reject_a_true_null_too_often():
    """Held-out scores are less wrong than R² in the sample (test_interaction_test.py), and still wrong."""
    count, asked = false_alarms(InteractionLabels(("x0", "x1")), 300, 100)
    assert binomtest(count, asked, 0.05, "greater").pvalue < 0.01, (count, asked)


def test_balanced_rare_features_keep_the_level():
    count, asked = false_alarms(InteractionLabels(("x0", "x1"), balance=True), 4000, 150)
    assert asked == 150
    assert binomtest(count, asked, 0.05, "greater").pvalue > 0.005, count


def test_only_the_input_baseline_catches_a_probe_that_computes_the_product():
    rng = stream(0, "quadratic")
    layer = Layer(np.eye(4)[:3] + 0.5, activation="identity", inputs=Bernoulli(4))  # nothing but sums of inputs
    labelled = InteractionLabels(("x0", "x1"), balance=True)(layer.sample(500, rng))
    quadratic = make_pipeline(PolynomialFeatures(2), Ridge(1e-3))
    battery = [ct.ShuffleLabels(), ct.InputBaseline(site="input")]
    result = ct.measure(quadratic, labelled, controls=battery, scoring="r2", draws=19, smallest_effect=0.05)
    assert result.score > 0.99
    assert result["ShuffleLabels"].verdict == "SELECTIVE"
    assert result["InputBaseline"].verdict == "EQUIVALENT"
    assert result.verdict == "FAILS"


# -- what is refused -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda p: InteractionLabels("x0"), InputError, "two or more groups"),
        (lambda p: InteractionLabels(("x0",)), InputError, "two or more groups"),
        (lambda p: InteractionLabels(("x0", "x0")), InputError, "must differ"),
        (lambda p: InteractionLabels(("x0", "x1"), balance=1), InputTypeError, "balance must be True or False"),
        (lambda p: InteractionLabels(("x0", "x9"))(p), InputError, "group 'x9' is not known"),
        (lambda p: InteractionLabels(("x0", "x1"), among="x")(p), InputError, "site 'x' is not known"),
        (lambda p: InteractionLabels(("x0", "x1"), among=("x0",))(p), InputError, "among must hold all concepts"),
        (lambda p: InteractionLabels(("x0", "x1"), among=3), InputTypeError, "among must be a site"),
        (lambda p: InteractionLabels(("x0", np.ones(3)))(p), InputError, "one entry per row"),
        (lambda p: InteractionLabels(("x0", "document"), balance=True)(p), InputError, "must take two values"),
        (lambda p: InteractionLabels(("x0", p.groups["x0"]))(p), CannotControl, "a combination never occurs"),
        (lambda p: InteractionLabels(("x0", np.ones(400)))(p), CannotControl, "is constant"),
        (lambda p: InteractionLabels(("x0", p.groups["x0"]), balance=True)(p), CannotControl, "rows of every"),
        (lambda p: InteractionLabels(("x0", np.array(["a", "b", "c", "d"] * 100)))(p), InputError, "got 4 texts"),
        (lambda p: InteractionLabels(("x0", "x1"))(p.at("layer").X), InputTypeError, "labels of a ct.Problem"),
    ],
)
def test_wrong_input_is_refused_in_a_sentence(make, error, words):
    with pytest.raises(error, match=words):
        make(coins())
