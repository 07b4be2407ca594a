"""Difference in differences: ranks and tests by enumeration, intervals and sizes on models of known laws, doors."""

from itertools import combinations

import numpy as np
import pytest
from scipy.stats import binomtest, permutation_test

import controls as ct
from controls.stats.differences import Design, Scores, difference, rank

RIDGE = ct.probes.RidgeProbe()
ROWS, UNITS, FEATURES = 160, 20, 12


def models(rng, count, extra=0.0):
    """What networks with normal weights make of one set of inputs; ``extra`` of the label is in one neuron."""
    document = np.repeat(np.arange(UNITS), ROWS // UNITS)
    X = rng.standard_normal((ROWS, 5)) + 0.7 * rng.standard_normal((UNITS, 5))[document]
    y = (X[:, 0] * X[:, 1] > 0).astype(int)
    found = []
    for number in range(count):
        H = np.maximum(X @ rng.standard_normal((5, FEATURES)), 0)
        if number == 0 or extra < 0:
            H[:, -1] += abs(extra) * 3 * y
        found.append(ct.Problem(H, y, groups={"document": document}, unit="document"))
    return found


def crossed(trained, others, **changes):
    settings = {"labels": ct.ShuffleLabels(), "draws": 9, "scoring": "roc_auc", "cv": 3, **changes}
    return ct.difference_in_differences(RIDGE, trained, against=others, **settings)


def test_rank_is_that_of_scipy_permutation_test():
    rng = np.random.default_rng(0)
    for size in (2, 3, 4):
        one, other = rng.standard_normal(size) + 0.5, rng.standard_normal(5)
        oracle = permutation_test(
            (one, other), lambda a, b: a.mean() - b.mean(), alternative="greater", n_resamples=np.inf
        )
        assert rank(one, other, rng).upper == pytest.approx(oracle.pvalue)
    values = np.arange(6.0)
    assert rank(values[-2:], values[:4], rng).floor == pytest.approx(1 / len(list(combinations(range(6), 2))))
    many = rank(np.arange(12.0) + 30, np.arange(14.0), rng)
    assert many.upper == many.floor == 1e-4


def test_the_difference_is_that_of_four_means_and_its_variance_the_sum_of_its_parts():
    rng = np.random.default_rng(1)
    own, other = (
        Scores(rng.random(m), rng.random((m, 7)), *0.01 * rng.random((2, m, 30)), np.zeros(m)) for m in (3, 5)
    )
    found, parts = difference(own, other, Design(27.0, 30, exact=False, enumerated=False))
    by_hand = own.own.mean() - own.drawn.mean() - (other.own.mean() - other.drawn.mean())
    assert found.value == pytest.approx(by_hand)
    assert found.standard_error**2 == pytest.approx(sum(part.variance for part in parts))
    by_factor = {part.factor: part for part in parts}
    of_means = (other.own - other.drawn.mean(1)).var(ddof=1) / 5
    held = [by_factor[f"{factor} × redrawn models"].variance for factor in ("units", "label draws")]
    assert by_factor["redrawn models"].variance == pytest.approx(of_means - sum(held))
    of_means = (own.drawn.mean(0) - other.drawn.mean(0)).var(ddof=1) / 7
    held = [by_factor[f"label draws × {kind} models"].variance for kind in ("redrawn", "trained")]
    assert by_factor["label draws"].variance == pytest.approx(max(0.0, of_means - sum(held)))
    assert by_factor["label draws"].below_zero == (of_means < sum(held))


def test_models_of_one_law_are_rejected_at_the_level_and_covered():
    rejected = np.zeros(2)
    covered, repetitions = 0, 80
    for repetition in range(repetitions):
        rng = np.random.default_rng(repetition)
        drawn = models(rng, 23)
        several, one = crossed(drawn[:4], drawn[4:12]), crossed(drawn[0], drawn[4:])
        rejected += several.p_value <= 0.05, one.p_value <= 0.05
        covered += several.estimate.low <= 0 <= several.estimate.high
    for count in rejected:
        assert binomtest(int(count), repetitions, 0.05, alternative="greater").pvalue > 0.001
    assert binomtest(covered, repetitions, 0.95, alternative="less").pvalue > 0.001


def test_what_training_adds_is_found_and_a_generic_score_is_not():
    rng = np.random.default_rng(0)
    drawn = models(rng, 20, extra=1.0)
    learned, generic = crossed(drawn[0], drawn[1:]), crossed(drawn[1], [drawn[0], *drawn[2:]])
    assert str(learned.verdict) == "SELECTIVE"
    assert learned.p_value == learned.p_floor == 0.05
    assert generic.p_value > 0.05
    assert "ranks 1 of 20 models" in str(learned)
    assert "of this one model, not of every training like it" in learned.licenses
    frame = learned.components_frame()
    assert frame["share"].sum() == pytest.approx(1)
    assert {"units", "redrawn models", "label draws"} <= set(frame["factor"])
    assert learned.to_frame()["trained"].sum() == 1


def test_all_models_get_the_same_drawn_labels_and_workers_change_nothing(tmp_path):
    drawn = models(np.random.default_rng(3), 6)
    first, again = crossed(drawn[:2], drawn[2:]), crossed(drawn[:2], drawn[2:], n_jobs=2)
    np.testing.assert_array_equal(first.trained, again.trained)
    np.testing.assert_array_equal(first.redrawn, again.redrawn)
    kept = crossed(drawn[:2], drawn[2:], store=tmp_path / "kept.db")
    calls = []
    resumed = crossed(drawn[:2], drawn[2:], store=tmp_path / "kept.db", progress=lambda *what: calls.append(what))
    np.testing.assert_array_equal(kept.redrawn, resumed.redrawn)
    assert calls[-1][:2] == (6, 6)
    alone = ct.measure(RIDGE, drawn[3], controls=[ct.ShuffleLabels()], draws=9, scoring="roc_auc", cv=3)
    assert first.redrawn[1] == pytest.approx(alone["ShuffleLabels"].selectivity.value)


def test_seeds_of_the_trainer_are_a_part_of_the_variance():
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.tree import DecisionTreeClassifier

    drawn = models(np.random.default_rng(5), 4)
    found = ct.difference_in_differences(
        DecisionTreeClassifier(max_features=2, max_depth=3), drawn[0], labels=ct.ShuffleLabels(), against=drawn[1:],
        draws=3, trainer_seeds=3, scoring="accuracy", cv=2,
    )  # fmt: skip
    part = next(part for part in found.components if part.factor == "trainer seeds")
    assert part.levels == 3
    assert part.variance > 0
    with pytest.raises(ct.InputError, match="uses no random numbers"):
        crossed(drawn[0], drawn[1:], trainer_seeds=2)
    for model, name in (
        (DecisionTreeClassifier(random_state=0), "random_state"),
        (
            make_pipeline(StandardScaler(), DecisionTreeClassifier(random_state=0)),
            "decisiontreeclassifier__random_state",
        ),
    ):
        with pytest.raises(ct.InputError, match=f"whose {name} is fixed.*leave {name} None"):
            ct.difference_in_differences(
                model, drawn[0], labels=ct.ShuffleLabels(), against=drawn[1:], draws=3, trainer_seeds=2, cv=2
            )


@pytest.mark.parametrize(
    ("match", "changes"),
    [
        ("labels must be a control on labels", {"labels": ct.MatchSpectrum()}),
        ("against must be a control that draws other models", {"others": ct.ShuffleLabels()}),
        ("against must be a control on weights, or problems", {"others": 3}),
        ("against must hold at least one problem", {"others": []}),
        ("problem must be a ct.Problem", {"trained": "model"}),
        ("must hold problems with the same rows", {"others": "shorter"}),
        ("no source", {"others": ct.Reinitialize()}),
        ("model_draws must be", {"others": ct.Reinitialize(), "model_draws": 0}),
    ],
)
def test_bad_input_is_refused_before_any_work(match, changes):
    drawn = models(np.random.default_rng(0), 3)
    trained, others = changes.pop("trained", drawn[0]), changes.pop("others", drawn[1:])
    others = [drawn[1].take(np.arange(80))] if others == "shorter" else others
    with pytest.raises(ct.ControlsError, match=match):
        crossed(trained, others, **changes)
