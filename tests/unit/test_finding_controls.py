"""Controls on what is found: what the runner does with them, beside a plain loop over folds."""

from dataclasses import dataclass
from typing import Any, final

import numpy as np
import pytest

import controls as ct
from controls.core.control import FindingControl, TrainingControl
from controls.core.errors import CannotControl, NameNotFound, TrainerError
from controls.core.rng import stream
from controls.runner.draws import fold_stream
from controls.runner.folds import make_folds

_WORDS = {"null": "Nothing.", "licenses": "Nothing.", "inference": "ensemble", "preserves": (), "destroys": ()}


def described(cls: type) -> type:
    for name, value in _WORDS.items():
        setattr(cls, name, property(lambda self, value=value: value))
    cls.__abstractmethods__ = frozenset(cls.__abstractmethods__ - set(_WORDS))
    return cls


@final
@dataclass(frozen=True)
class Axis(ct.Trainer):
    """The first principal direction, plus a little of the fold's own noise."""

    held: Any = None

    def fit(self, problem: ct.Problem, rng: np.random.Generator) -> np.ndarray:
        noise = 0.01 * rng.normal(size=problem.d)
        if self.held is not None:
            return np.asarray(self.held) + noise
        return np.linalg.svd(problem.X - problem.X.mean(axis=0))[2][0] + noise


@final
@described
@dataclass(frozen=True)
class Turned(FindingControl):
    def draw_finding(self, finding: Any, problem: ct.Problem, rng: np.random.Generator) -> Any:
        return finding[rng.permutation(len(finding))] * problem.n


@final
@described
@dataclass(frozen=True)
class Anywhere(TrainingControl):
    def check_trainer(self, trainer: ct.Trainer) -> None:
        if not isinstance(trainer, Axis):
            raise CannotControl("Anywhere holds an Axis only.")

    def held_back(self, trainer: ct.Trainer, problem: ct.Problem, rng: np.random.Generator) -> ct.Trainer:
        return Axis(tuple(rng.normal(size=problem.d)))


def first(finding: np.ndarray, problem: ct.Problem) -> float:
    return float(finding[0])


first.reads_rows, first.ceiling = False, 50.0


def spread(finding: np.ndarray, problem: ct.Problem) -> float:
    return float((problem.X @ finding).var())


@pytest.fixture
def problem() -> ct.Problem:
    rng = np.random.default_rng(0)
    return ct.Problem(rng.normal(size=(40, 5)) * [3, 1, 1, 1, 1])


def folds_of(problem: ct.Problem, seed: int) -> Any:
    return make_folds(2, problem, seed).default()


def test_findings_are_changed_fold_by_fold(problem):
    result = ct.measure(Axis(), problem, controls=[Turned()], scoring=spread, cv=2, draws=5, seed=3)
    for draw, score in enumerate(result.comparisons[0].control_scores):
        expected = []
        for k, (train, test) in enumerate(folds_of(problem, 3)):
            finding = Axis().fit(problem.take(train), stream(3, "trainer", k))
            changed = Turned().draw_finding(finding, problem.take(train), fold_stream(3, Turned(), draw, k))
            expected.append(spread(changed, problem.take(test)))
        assert score == np.mean(expected)


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_trainers_are_held_back_fold_by_fold(problem, n_jobs):
    result = ct.measure(Axis(), problem, controls=[Anywhere()], scoring=spread, cv=2, draws=3, seed=3, n_jobs=n_jobs)
    for draw, score in enumerate(result.comparisons[0].control_scores):
        expected = []
        for k, (train, test) in enumerate(folds_of(problem, 3)):
            part = problem.take(train)
            held = Anywhere().held_back(Axis(), part, fold_stream(3, Anywhere(), draw, k))
            expected.append(spread(held.fit(part, stream(3, "trainer", k)), problem.take(test)))
        assert score == np.mean(expected)


def test_a_store_gives_the_same_draws_without_the_findings(problem, tmp_path):
    settings = {"controls": [Turned(), Anywhere()], "scoring": spread, "cv": 2, "seed": 3}
    ct.measure(Axis(), problem, draws=3, store=tmp_path / "s", title="a", **settings)
    more = ct.measure(Axis(), problem, draws=7, store=tmp_path / "s", title="a", **settings)
    whole = ct.measure(Axis(), problem, draws=7, **settings)
    for kept, fresh in zip(more.comparisons, whole.comparisons, strict=True):
        assert np.array_equal(kept.control_scores, fresh.control_scores)


def test_probes_with_engines_are_controlled_too(problem):
    @final
    @described
    @dataclass(frozen=True)
    class NoDirection(FindingControl):
        def draw_finding(self, finding: Any, problem: ct.Problem, rng: np.random.Generator) -> Any:
            return lambda X: np.zeros(len(X))

    labelled = problem.with_labels(problem.X[:, 0])
    result = ct.measure(ct.probes.RidgeProbe(), labelled, controls=[NoDirection()], scoring="r2", cv=2, draws=2)
    assert result.score > 0.99
    assert (result.comparisons[0].control_scores <= 0).all()


def test_a_trainer_that_cannot_be_held_back_is_refused_before_any_fit(problem):
    def never(X):
        raise AssertionError

    with pytest.raises(CannotControl, match="holds an Axis only"):
        ct.measure(never, problem, controls=[Anywhere()], scoring=spread)


def test_a_score_of_the_finding_alone_has_intervals_over_folds_and_draws(problem):
    result = ct.measure(Axis(), problem, controls=[Anywhere()], scoring=first, cv=4, draws=39)
    comparison = result.comparisons[0]
    folds = make_folds(4, problem, 0).default()
    parts = [problem.take(train) for train, _ in folds]
    held = [
        [Anywhere().held_back(Axis(), part, fold_stream(0, Anywhere(), draw, k)) for k, part in enumerate(parts)]
        for draw in range(39)
    ]
    drawn = np.array([[row[k].fit(part, stream(0, "trainer", k))[0] for k, part in enumerate(parts)] for row in held])
    by_fold = np.array(result.fold_scores) - drawn.mean(axis=0)
    shared = 1 + 4 * 10 / 30  # folds share training rows (Nadeau and Bengio 2003)
    expected = shared * by_fold.var(ddof=1) / 4 + drawn.mean(axis=1).var(ddof=1) / 39
    assert comparison.selectivity.standard_error == pytest.approx(np.sqrt(expected))
    assert any("of the finding alone" in note for note in result.notes)
    assert any("on this one model" in caveat for caveat in comparison.caveats)


def test_effects_are_rescaled_between_control_mean_and_ceiling(problem):
    result = ct.measure(Axis(), problem, controls=[Anywhere()], scoring=first, cv=2, draws=39)
    comparison = result.comparisons[0]
    share = (result.score - comparison.control_mean) / (50 - comparison.control_mean)
    assert result.ceiling == 50
    assert comparison.rescaled.value == pytest.approx(share)
    assert "Of the way from the control's mean to 50" in str(result)
    assert '"rescaled"' in result.to_json()


def test_functions_may_take_no_labels_and_return_any_finding(problem):
    seen = []

    def mean(X):
        return X.mean(axis=0)

    def seeded(X, seed):
        seen.append(seed)
        return X.mean(axis=0)

    def drawn(X, rng):
        return rng.normal(size=X.shape[1])

    for function in (mean, seeded, drawn):
        result = ct.measure(function, problem, controls=[Turned()], scoring=spread, cv=2, draws=2)
        assert np.isfinite(result.score)
    assert len(set(seen)) == 2
    assert all(isinstance(seed, int) for seed in seen)


def test_what_a_function_returns_must_predict_where_predictions_are_scored(problem):
    labelled = problem.with_labels((problem.X[:, 0] > 0).astype(int))
    with pytest.raises(TrainerError, match="must return an object with predict"):
        ct.measure(lambda X, y: np.zeros(3), labelled, controls=[ct.ShuffleLabels()], key="zeros")


def test_trainers_of_several_sites_get_them(problem):
    @final
    @dataclass(frozen=True)
    class Both(ct.Trainer):
        names: tuple[str, ...] = ("a", "b")

        @property
        def reads(self) -> tuple[str, ...]:
            return self.names

        def fit(self, problem: ct.Problem, rng: np.random.Generator) -> np.ndarray:
            return problem.array_at("a").mean(axis=0) - problem.array_at("b").mean(axis=0)

    def size(finding: np.ndarray, problem: ct.Problem) -> np.ndarray:
        return np.square(problem.array_at("a") @ finding)

    both = ct.Problem({"a": problem.X, "b": problem.X[:, ::-1]})
    result = ct.measure(Both(), both, controls=[Turned()], scoring=size, cv=2, draws=3)
    assert np.isfinite(result.comparisons[0].selectivity.low)
    with pytest.raises(NameNotFound, match="site 'c' is not known"):
        ct.measure(Both(("a", "c")), both, controls=[Turned()], scoring=size, cv=2)


def test_too_few_draws_are_named(problem):
    few = ct.measure(Axis(), problem, controls=[Anywhere()], scoring=spread, cv=2, draws=5)
    assert "at least 19 draws are needed" in few.comparisons[0].reason


@final
@dataclass(frozen=True)
class Several(ct.Trainer):
    """As ``Axis``, but fits several problems at once; fails where a problem's first number is among ``bad``."""

    log: Any
    bad: tuple[float, ...] = ()

    @property
    def together(self) -> int:
        return 3

    def fit(self, problem: ct.Problem, rng: np.random.Generator) -> np.ndarray:
        if problem.X[0, 0] in self.bad:
            raise ValueError("bad")
        return Axis().fit(problem, rng)

    def fit_many(self, problems: Any, rngs: Any) -> list[Any]:
        self.log.append(len(problems))
        return [self.fit(problem, rng) for problem, rng in zip(problems, rngs, strict=True)]


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_draws_are_fitted_together_as_they_are_one_by_one(problem, n_jobs):
    log: list[int] = []
    settings = {"controls": [ct.GaussianActivations()], "scoring": spread, "cv": 2, "draws": 7}
    alone = ct.measure(Axis(), problem, **settings)
    beside = ct.measure(Several(log), problem, n_jobs=n_jobs, **settings)
    assert np.array_equal(alone.comparisons[0].control_scores, beside.comparisons[0].control_scores)
    assert alone.comparisons[0].selectivity == beside.comparisons[0].selectivity
    if n_jobs is None:
        assert log == [3, 3, 3, 3]  # two folds of each of two blocks; the last draw is alone


BESIDE: list[int] = []  # how many were fitted at once; not held by a control, whose streams go by what it holds
FAILS: list[float] = []


@final
@dataclass(frozen=True)
class Held(ct.Trainer):
    """An ``Axis`` that is held, of which several are fitted at once."""

    held: tuple[float, ...]

    def fit(self, problem: ct.Problem, rng: np.random.Generator) -> np.ndarray:
        if self.held[0] in FAILS:
            raise ValueError("bad")
        return Axis(self.held).fit(problem, rng)

    def fit_beside(self, trainers: Any, problem: Any, rngs: Any) -> list[Any]:
        BESIDE.append(len(trainers))
        return super().fit_beside(trainers, problem, rngs)


@final
@described
@dataclass(frozen=True)
class HeldAnywhere(TrainingControl):
    def held_back(self, trainer: ct.Trainer, problem: ct.Problem, rng: np.random.Generator) -> ct.Trainer:
        return Held(tuple(rng.normal(size=problem.d)))


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_draws_that_hold_training_back_are_fitted_together_as_they_are_one_by_one(problem, n_jobs):
    BESIDE.clear()
    settings = {"controls": [HeldAnywhere()], "scoring": spread, "cv": 2, "draws": 7}
    alone = ct.measure(Axis(), problem, **settings)
    assert BESIDE == []
    beside = ct.measure(Several([]), problem, n_jobs=n_jobs, **settings)
    assert np.array_equal(alone.comparisons[0].control_scores, beside.comparisons[0].control_scores)
    if n_jobs is None:
        assert BESIDE == [3, 3, 3, 3]  # two folds of each of two blocks; the last draw is alone


def test_a_draw_that_is_held_back_and_fails_beside_others_fails_alone(problem, monkeypatch):
    settings = {"controls": [HeldAnywhere()], "scoring": spread, "cv": 2, "draws": 7}
    alone = ct.measure(Axis(), problem, **settings)
    monkeypatch.setitem(globals(), "FAILS", [fold_stream(0, HeldAnywhere(), 4, 1).normal(size=problem.d)[0]])
    comparison = ct.measure(Several([]), problem, **settings).comparisons[0]
    assert [draw for draw, _ in comparison.failures] == [4]
    others = np.arange(7) != 4
    assert np.array_equal(comparison.control_scores[others], alone.comparisons[0].control_scores[others])
    assert np.isnan(comparison.control_scores[4])


def test_a_draw_that_fails_beside_others_fails_alone(problem):
    settings = {"controls": [ct.GaussianActivations()], "scoring": spread, "cv": 2, "draws": 7}
    seen: list[float] = []

    def firsts(X, rng):
        seen.append(float(X[0, 0]))
        return Axis().fit(ct.Problem(X), rng)

    alone = ct.measure(firsts, problem, **settings)
    bad = (seen[2 + 2 * 4],)  # the fifth draw's first fold, after the two of the problem itself
    beside = ct.measure(Several([], bad), problem, **settings)
    comparison = beside.comparisons[0]
    assert [draw for draw, _ in comparison.failures] == [4]
    others = np.arange(7) != 4
    assert np.array_equal(comparison.control_scores[others], alone.comparisons[0].control_scores[others])
    assert np.isnan(comparison.control_scores[4])


def test_trainers_that_hold_arrays_are_named_by_their_shapes(problem):
    @final
    @dataclass(frozen=True, eq=False)
    class Held(ct.Trainer):
        direction: np.ndarray

        def fit(self, problem: ct.Problem, rng: np.random.Generator) -> np.ndarray:
            return self.direction

    result = ct.measure(Held(np.ones(5)), problem, controls=[Turned()], scoring=spread, cv=2, draws=2)
    assert result.provenance.trainer == "Held(direction=array(5,))"


def test_one_fold_is_no_replicate_of_a_score_without_rows(problem):
    one = [(np.arange(30), np.arange(30, 40))]
    result = ct.measure(Axis(), problem, controls=[Anywhere()], scoring=first, cv=one, draws=19)
    assert "folds are its replicates" in result.comparisons[0].reason


@pytest.mark.parametrize("control", [ct.RandomDirections(), ct.ShuffleDecoder(), ct.SurrogateLatents()])
def test_findings_of_several_seeds_are_changed_each_in_its_own_way(problem, control):
    seeds = ct.finders.Seeds(ct.finders.SAE(6, k=2, steps=30, batch_size=16), 2)
    settings = {"scoring": ct.metrics.SeedStability(), "cv": 2, "draws": 3}
    (comparison,) = ct.measure(seeds, problem, controls=[control], **settings).comparisons
    assert np.isfinite(comparison.control_scores).all()
    if isinstance(control, ct.RandomDirections):
        assert comparison.control_mean < 0.99  # not twice the same directions
