"""Caveats: why a claim of exactness is withdrawn on this problem, and what else to know of its draws."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from controls.core.control import Control
from controls.core.exactness import LEVEL, fold_trace
from controls.core.problem import Problem
from controls.core.rng import stream
from controls.models.names import FIRST_MOMENTS, MOMENTS
from controls.runner.collected import Drawn
from controls.runner.evaluate import Evaluator
from controls.runner.folds import FixedFolds, OnlineFolds, UnitFolds
from controls.runner.redraw import acts_on_findings
from controls.runner.saturation import saturation_caveats

_SAME = 1e-5  # difference of scores near 1 that solvers leave
_FEW_MODELS = 5  # draws of a model below which lying among them says little
_STILL_MOVING = 0.01  # share of the non-zeros that draws lose between half-way and the end of their sweeps
WITHDRAWN = (
    "The score is more than labels rearranged in this way give; since the labels observed differ from rearranged ones "
    "in more than the null says (see the caveats), not that the activations carry information about the labels."
)
WITHDRAWN_ELSEWHERE = (
    "The score is more than these draws give; since what was observed may differ from them for the reasons named in "
    "the caveats, not that it does so for what the control destroys."
)


@dataclass(frozen=True)
class Caveats:
    """What to know before a comparison is read."""

    words: tuple[str, ...]
    withdrawn: bool  # whether a claim of exactness is

    def licence(self, control: Control) -> str:
        """Return what surviving the control licenses one to say here."""
        if not self.withdrawn:
            return control.licenses
        return WITHDRAWN if control.level == "labels" else WITHDRAWN_ELSEWHERE


def find_caveats(
    control: Control, evaluator: Evaluator, seed: int, drawn: Drawn, *, score: float, width: float
) -> Caveats:
    """Return the caveats of a control's draws, some of which may have failed, or have no score."""
    problem = evaluator.problem
    if control.level == "activations":
        found = control.caveats(problem, stream(seed, "caveats"))
    else:
        found = problem.memo(  # labels, units and folds alone decide, so that all sites of a sweep share it
            ("caveats", control, seed, evaluator.folds.key), lambda: _of_labels(control, evaluator, seed)
        )
    words = () if control.inference == "paired" else (*_of_scores(drawn), *_of_ties(control, drawn, score, width))
    saturated = (*saturation_caveats(control, evaluator, seed), *_of_findings(control))
    proved = (*_of_moments(problem, drawn), *_of_proofs(score, drawn), *_of_orders(drawn), *_of_mixing(drawn))
    return Caveats((*found, *saturated, *words, *proved), bool(found))


def _of_findings(control: Control) -> tuple[str, ...]:
    """Return of what draws are replicates, where they are of the technique alone."""
    if not acts_on_findings(control):
        return ()
    return (
        "draws repeat the technique on this one model and data set; they say nothing of other models, texts or "
        "samples, which a control on weights, inputs or activations draws anew",
    )


def _of_scores(drawn: Drawn) -> tuple[str, ...]:
    """Return what to know of draws that have no score."""
    words, failed = [], len(drawn.failures)
    if failed:
        draw, first = drawn.failures[0]
        words.append(
            f"the trainer failed, twice, on {failed} of {len(drawn.scores)} draws, which count as if they had beaten "
            f"the observed score for p; mean and interval are those of the others; the first was draw {draw}: {first}"
        )
    undefined = int(np.isnan(drawn.scores).sum()) - failed
    if undefined:
        plural = "" if undefined == 1 else "s"
        words.append(
            f"{undefined} draw{plural} had no defined score, which counts as if it had beaten the observed one for p; "
            "mean and interval are those of the others"
        )
    return tuple(words)


def _of_ties(control: Control, drawn: Drawn, score: float, width: float) -> tuple[str, ...]:
    """Return that draws make no difference to this trainer, where none does."""
    width = max(width, _SAME * max(abs(score), 1.0))
    if control.level != "activations" or not np.abs(drawn.scores - score).max() <= width:
        return ()
    return (
        "every draw scores what the problem scores: this trainer does not see what the control destroys, or the score "
        "has no room; the control says nothing here",
    )


def _of_moments(problem: Problem, drawn: Drawn) -> tuple[str, ...]:
    """Return which parameters an initialiser was asked for and none had; they keep two numbers of the trained ones."""
    proof = max(drawn.proofs, key=lambda proof: proof.get(FIRST_MOMENTS, -1.0) >= 0, default={})
    if FIRST_MOMENTS not in proof or problem.source is None:
        return ()
    names = [name for name, _ in problem.source.model.named_parameters()]
    count, first = int(proof[MOMENTS]), names[int(proof[FIRST_MOMENTS])]
    which = (
        f"1 tensor has no initialiser ({first!r}) and was"
        if count == 1
        else (f"{count} tensors have no initialiser (the first is {first!r}) and were")
    )
    return (
        f"{which} drawn with the trained mean and variance, not as before training; exclude= it, or give the values "
        "of step 0 with scheme='checkpoint'",
    )


def _of_mixing(drawn: Drawn) -> tuple[str, ...]:
    """Return that draws by a chain of sweeps were still on their way, where they were: p is exact all the same."""
    half, whole = "non-zeros shared half-way", "non-zeros shared with the start"
    shared = [(proof[half], proof[whole]) for proof in drawn.proofs if half in proof]
    half_way, end = np.mean(shared, axis=0) if shared else (0.0, 0.0)
    if half_way - end <= _STILL_MOVING:
        return ()
    return (
        f"draws were still moving away from where they start: they share {half_way:.0%} of its non-zeros half-way and "
        f"{end:.0%} at the end, on average; p is valid all the same but finds less, so give more sweeps",
    )


def _of_proofs(score: float, drawn: Drawn) -> tuple[str, ...]:
    """Return that the model looks like one of its own redraws, where all that was looked at says so."""
    if any(proof.get("other tensors, byte for byte", 1.0) for proof in drawn.proofs):
        return ()  # a part of the model that is trained may be what the activations look like
    if len(drawn.proofs) < _FEW_MODELS or not (np.nanmin(drawn.scores) <= score <= np.nanmax(drawn.scores)):
        return ()
    ratios, ranks, own = (
        [proof.get(name, np.nan) for proof in drawn.proofs]
        for name in ("activation norm, drawn over trained", "activation rank, drawn", "activation rank, trained")
    )
    if not (min(ratios) <= 1 <= max(ratios) and min(ranks) <= own[0] <= max(ranks)):
        return ()
    return (
        f"the model behaves like its own redraws: its score, and the norm and the effective rank ({own[0]:.3g}) of its "
        f"activations, lie among those of {len(ratios)} redrawn models; make sure that trained weights were loaded",
    )


def _of_orders(drawn: Drawn) -> tuple[str, ...]:
    """Return how many documents have no other order than their own, where draws of texts say so."""
    proof = drawn.proofs[0] if drawn.proofs else {}
    fixed, documents = (int(proof.get(name, 0)) for name in ("documents with one order", "documents"))
    if not fixed:
        return ()
    return (
        f"{fixed} of {documents} documents have one order only that keeps what this control keeps, and are as they "
        "were in every draw; a smaller keep leaves more to shuffle",
    )


def _of_labels(control: Control, evaluator: Evaluator, seed: int) -> tuple[str, ...]:
    found = control.caveats(evaluator.problem, stream(seed, "caveats"))
    return (*_of_maker(control, evaluator), *found, *_of_folds(control, evaluator, seed))


def _of_maker(control: Control, evaluator: Evaluator) -> tuple[str, ...]:
    """Return why the maker of the labels says that they are not exchangeable."""
    if control.level != "labels" or control.inference != "exact":
        return ()
    return tuple(remark.words for remark in evaluator.problem.remarks if remark.withdraws)


def _of_folds(control: Control, evaluator: Evaluator, seed: int) -> tuple[str, ...]:
    """Return what is amiss between labels and folds that did not come from units and seed alone."""
    orbit = control.orbit(evaluator.problem) if control.level == "labels" else None
    if orbit is None or control.inference != "exact" or isinstance(evaluator.folds, (UnitFolds, OnlineFolds)):
        return ()
    trace = fold_trace(evaluator.problem, orbit, stream(seed, "caveats", "folds"), evaluator.folds.default())
    if trace.p > LEVEL:
        return ()
    if trace.excess > 0:
        return (
            f"labels cluster in the folds (p = {trace.p:.2g}), which rearranging destroys too; name what the folds are "
            "made of as a group, and rearrange within it",
        )
    if not isinstance(evaluator.folds, FixedFolds):
        return ()  # a splitter shares out every draw's labels as evenly
    return (
        "the folds given share out the observed labels more evenly than rearranged ones, as folds made from the labels "
        f"do (p = {trace.p:.2g}); pass the splitter itself, which then splits every draw by its own labels",
    )
