"""Every public control does what it claims, and every broken one is found out."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import random
import subprocess
import sys
from dataclasses import dataclass
from typing import final

import numpy as np
import pytest

import controls as ct
from controls import generators
from controls.core.control import Control, describe
from controls.core.exchangeability import Free, Nested, Whole, Within
from controls.core.properties import Association, LabelCounts, SameGroups
from controls.testing import BROKEN_CONTROLS, ControlsCheckError, check_control, parametrize_with_control_checks
from controls.testing.control_checks import yield_control_checks
from controls.testing.problems import ugly_problems

SETTINGS: list[Control] = [
    ct.ShuffleLabels(),
    ct.ShuffleLabels(within="document"),
    ct.ShuffleLabels(within="word"),
    ct.ShuffleLabels(whole="document"),
    ct.ShuffleLabels(whole="document", blocks=True),
    ct.ShuffleLabels(whole="document", within="genre"),
    ct.ShuffleLabels(whole="sentence", within="document", blocks=True),
    ct.ShuffleLabels(within="a group of its own"),
    ct.ShuffleLabels(exchangeability=Free()),
    ct.ShuffleLabels(exchangeability=Within("document")),
    ct.ShuffleLabels(exchangeability=Whole("document")),
    ct.ShuffleLabels(exchangeability=Nested(("document", "sentence"), (True, True))),
    ct.ShuffleLabels(exchangeability=Nested(("genre", "document"), (False, True), rows=False)),
    ct.ShuffleLabels(given="word"),
    ct.ShuffleLabels(given=("position", "word"), bins=2),
    ct.ShuffleLabels(within="genre", given="position", bins=3),
    ct.ShiftLabels(),
    ct.ShiftLabels(within="document"),
    ct.InputBaseline(),
    ct.InputBaseline(site="layer 0"),
    ct.RateMatchedLabels(),
    ct.RateMatchedLabels(within="document"),
    ct.RateMatchedLabels(within="genre", gaps=True),
    ct.RateMatchedLabels(within="document", bursts=False),
    ct.AttachmentTask(),
    ct.AttachmentTask(per="genre", sentence="document", encoding="position"),
    ct.FlipSigns(),
    ct.FlipSigns(per="document"),
    ct.ControlTask(per="word"),
    ct.ControlTask(per=("word", "genre"), marginal="uniform"),
    ct.ControlTask(per="word", context=1),
    ct.ControlTask(per="word", corrupted=0.3),
    ct.ResampleLabels(),
    ct.ResampleLabels(within="document"),
    ct.ClusterTask(),
    ct.ClusterTask(4, cells="kmeans"),
    ct.ShuffleCoordinates(),
    ct.ShuffleCoordinates(within="document"),
    ct.ShuffleCoordinates(per_label=True),
    ct.RotateActivations(),
    ct.GaussianActivations(),
    ct.GaussianActivations(per_label=True),
    ct.GaussianActivations("empirical", within="genre"),
    ct.GaussianActivations("ledoit_wolf"),
    ct.MatchNorms(),
    ct.MatchNorms("sphere"),
    ct.RandomizePhases("document"),
    ct.MatchCovariances(("prompt", "place")),
    ct.MatchSparsity("fill"),
    ct.MatchSparsity("rows", within="document", magnitudes="all"),
    ct.MatchSparsity("columns", within="document"),
    ct.MatchSparsity("both"),
    ct.MatchSparsity("both", within="document", magnitudes="row"),
    ct.MatchSparsity("both", margins="expected"),
    ct.PlantDictionary("latents", noise=0.1),
    ct.PlantDictionary("latents", "per_row", noise=0.1),
    ct.Reinitialize(),
    ct.Reinitialize(scheme="normal", std=0.3),
    ct.PermuteWeights(),
    ct.PermuteWeights(by="row"),
    ct.PermuteWeights(by="head"),
    ct.PermuteWeights(by="neuron"),
    ct.MatchSpectrum(),
    ct.MatchSpectrum(mode="circuit", include="*.attention.*"),
    ct.MatchSpectrum(mode="eigen"),
    ct.MatchActivations(ct.MatchSpectrum(), match="moments", layers="blocks.*.into"),
    ct.Cascade(ct.MatchSpectrum(mode="left"), step=2),
    ct.ShuffleTokens(),
    ct.ShuffleTokens(keep=2),
    ct.ShuffleTokens(within="document", keep=3),
    ct.ShuffleTokens(keep=2, labels="follow"),
    ct.ShuffleTokens(within="document", fixed=(3, 9)),
    ct.ShuffleTokens(block=2),
    ct.RandomTokens(),
    ct.RandomTokens("unigram", within="document"),
    ct.RandomTokens("uniform"),
    ct.RandomTokens("uniform", vocabulary=(4, 7, 10)),
    ct.RandomTokens("position", fixed=3),
    ct.RandomEmbeddings(),
    ct.RandomEmbeddings(per="type"),
    ct.ShuffleTokens(per="word", keep=2),
    ct.ShuffleTokens(per="word", labels="follow"),
    ct.RandomDictionary(),
    ct.RandomDictionary(init="covariance"),
    ct.RandomDictionary(init="differences"),
    ct.RandomDictionary("encoder"),
    ct.RandomDictionary(least_cosine=0.8),
    ct.UntrainedDictionary(),
    ct.ShuffleDecoder(),
    ct.RandomDirections(),
    ct.RandomDirections("covariance"),
    ct.RandomDirections("differences"),
    ct.SurrogateLatents(),
    ct.SurrogateLatents("document"),
    ct.SurrogateLatents(method="shift"),
    ct.SurrogateLatents("document", "shift"),
]
COMPOSED = [
    ct.compose(ct.ShuffleLabels(within="document"), ct.ShuffleLabels()),
    ct.compose(ct.ControlTask(per="word"), ct.ShuffleLabels(within="document")),
    ct.compose(ct.ShuffleLabels(whole="document"), ct.FlipSigns(per="document")),
    ct.compose(ct.Reinitialize(exclude="blocks.*"), ct.MatchSpectrum(include="blocks.*")),
    ct.compose(ct.MatchSpectrum(), ct.ShuffleLabels(within="document")),
    ct.compose(ct.ShuffleTokens(keep=2), ct.ShuffleLabels(within="sequence")),
    ct.compose(ct.Reinitialize("moments"), ct.ShuffleTokens()),
    ct.compose(ct.ShuffleTokens(), ct.Reinitialize("moments")),
    ct.compose(ct.GaussianActivations(), ct.ShuffleCoordinates()),
]


def public_controls() -> set[type[Control]]:
    found = set()
    for module in pkgutil.walk_packages(generators.__path__, "controls.generators."):
        for name, value in vars(importlib.import_module(module.name)).items():
            concrete = inspect.isclass(value) and issubclass(value, Control) and not inspect.isabstract(value)
            if concrete and not name.startswith("_"):
                found.add(value)
    return found


def test_every_public_control_has_settings_here():
    assert public_controls() == {type(control) for control in SETTINGS}


@parametrize_with_control_checks([*SETTINGS, *COMPOSED], draws=150)
def test_public_controls_pass(control, check):
    check()


@pytest.mark.parametrize(("control", "words"), BROKEN_CONTROLS, ids=lambda value: type(value).__name__)
def test_broken_controls_fail_with_their_own_message(control, words):
    numpy_state, python_state = np.random.get_state(), random.getstate()  # noqa: NPY002
    try:
        with pytest.raises(ControlsCheckError) as caught:
            check_control(control)
    finally:
        np.random.set_state(numpy_state)  # noqa: NPY002
        random.setstate(python_state)
    assert words in str(caught.value)
    assert isinstance(caught.value, AssertionError)
    assert isinstance(caught.value, ct.ControlsError)


def test_controls_of_every_kind_have_a_broken_version():
    sound = {type(control._sound) for control, _ in BROKEN_CONTROLS if hasattr(control, "_sound")}
    assert sound == public_controls()


def test_broken_messages_are_told_apart():
    messages = []
    for control, _ in BROKEN_CONTROLS:
        with pytest.raises(ControlsCheckError) as caught:
            check_control(control)
        messages.append(str(caught.value))
    for i, (_, words) in enumerate(BROKEN_CONTROLS):
        assert [words in message for message in messages].index(True) == i


def test_problem_of_the_caller_is_used_and_left_alone():
    problem = next(ugly_problems())
    before = problem.labels.tobytes()
    check_control(ct.ShuffleLabels(within="document"), problem)
    assert problem.labels.tobytes() == before
    with pytest.raises(ct.CannotControl, match="identity"):
        check_control(ct.ShuffleLabels(within="document"), problem.with_labels(np.zeros(problem.n)))


def test_a_control_that_accepts_nothing_is_told_to_bring_a_problem():
    with pytest.raises(ControlsCheckError, match="pass problem="):
        check_control(ct.ShuffleLabels(whole="word", within="word too", blocks=False))


@final
@dataclass(frozen=True)
class RowLink(Association):
    """Which row has which activations, for the test below."""

    words = "which row has which activations"

    def strength(self, before, after):
        a, b = (np.argsort(np.argsort(problem.X[:, 0])) for problem in (before, after))
        return float(np.corrcoef(a, b)[0, 1])


@final
@dataclass(frozen=True)
class MoveActivations(Control):
    """A control of another level, from outside: activations change rows, part of the way where ``share`` is under 1."""

    share: float = 1.0
    level = "activations"
    inference = "ensemble"
    null = "Activations have nothing to do with rows."
    licenses = "Rows have activations of their own."
    preserves = (SameGroups(), LabelCounts())
    destroys = (RowLink(),)

    def draw(self, problem, rng):
        rows = np.arange(problem.n)
        moved = rows[rng.random(problem.n) < self.share]
        rows[moved] = rng.permutation(moved)
        return problem.with_activations(problem.X[rows])


def test_controls_of_other_levels_are_checked_too():
    check_control(MoveActivations())
    with pytest.raises(ControlsCheckError, match=r"destroy which row has which activations, but \+0\."):
        check_control(MoveActivations(share=0.7))


def test_expected_failures_become_strict_xfails_with_their_reason():
    broken, _ = BROKEN_CONTROLS[4]
    mark = parametrize_with_control_checks(
        [broken], expected_failures=lambda control: {"destroys": "half of the labels stay"}
    )
    marked = {row.id: row.marks for row in mark.args[1]}
    assert len(marked) == len(list(yield_control_checks(broken)))
    (xfail,) = marked[f"{describe(broken)}-destroys"]
    assert (xfail.name, xfail.kwargs) == ("xfail", {"reason": "half of the labels stay", "strict": True})
    assert sum(len(marks) for marks in marked.values()) == 1
    with pytest.raises(ct.InputError, match="Did you mean 'destroys'"):
        parametrize_with_control_checks([broken], expected_failures=lambda control: {"destroy": "typo"})


def test_the_kit_is_light_to_import():
    code = (
        "import sys, controls as ct; ct.testing.check_control(ct.ShuffleLabels(), draws=20);"
        "print(*{'torch', 'sklearn', 'matplotlib', 'pytest', 'pandas'} & set(sys.modules))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.strip() == ""
