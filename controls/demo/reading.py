"""What a sweep says, in plain sentences: a function of its results alone."""

from __future__ import annotations

from controls.core.result import Comparison, Result, Sweep, Verdict

_SHUFFLE = "ShuffleLabels"
_TASK = "ControlTask"
_WHAT = {
    _SHUFFLE: "shuffled labels",
    _TASK: "its control task",
    "Reinitialize": "models that were never trained",
    "MatchSpectrum": "models with the same singular values and random directions",
}


def read_aloud(sweep: Sweep, *, concept: str, kind: str) -> list[str]:
    """Return one sentence per site and control, and a last one on what a shuffle alone would have missed.

    Parameters
    ----------
    sweep : Sweep
        Its verdicts and numbers choose the sentences.
    concept : str
        What the probe was to read, such as "the role of a name".
    kind : str
        What a control task gives random labels to, such as "word".

    Returns
    -------
    list of str
    """
    lines = [
        f"At {site}, the finding {_sentence(comparison, concept, kind)}"
        for site, result in sweep.results.items()
        for comparison in result.comparisons
    ]
    missed = [site for site, result in sweep.results.items() if _only_shuffle_passed(result)]
    if missed:
        lines.append(
            f"Beside shuffled labels alone, {_listed(missed)} would have passed as knowing {concept}; "
            f"the control task does not let {'it' if len(missed) == 1 else 'them'} pass."
        )
    return lines


def _sentence(comparison: Comparison, concept: str, kind: str) -> str:
    numbers = f"({comparison.score:.3f} against {comparison.control_mean:.3f})"
    what = _WHAT.get(comparison.control, comparison.description)
    match comparison.verdict:
        case Verdict.SELECTIVE:
            return f"beats {what} {numbers}: {_gain(comparison, concept, kind)}."
        case Verdict.WORSE:
            return f"loses to {what} {numbers}: {_loss(comparison, concept, kind)}."
        case Verdict.NEGLIGIBLE:
            return f"beats {what} {numbers}, but by less than what was said to matter."
        case Verdict.EQUIVALENT:
            return f"is as good as {what} {numbers}: {concept} adds nothing to it that was said to matter."
        case _:
            return f"cannot be told from {what} {numbers}: {_doubt(comparison, concept, kind)}."


def _gain(comparison: Comparison, concept: str, kind: str) -> str:
    if comparison.level == "weights":
        return f"the trained weights add to what such a model shows of {concept} anyway"
    if comparison.control == _TASK:
        return f"more of {concept} can be read here than a probe could memorise {kind} by {kind}"
    found = f"the activations carry information about {concept}"
    return f"{found}, or about what else the shuffle undid (see its caveat)" if comparison.caveats else found


def _loss(comparison: Comparison, concept: str, kind: str) -> str:
    if comparison.level == "weights":
        return f"what was learned makes {concept} harder to read here"
    if comparison.control == _TASK:
        return (
            f"a probe here learns arbitrary labels of a {kind} better than {concept}, so it knows the {kind}, "
            "and nothing beyond that is shown"
        )
    return f"the probe reads {concept} worse than chance, which asks for an explanation"


def _doubt(comparison: Comparison, concept: str, kind: str) -> str:
    if comparison.level == "weights":
        return f"that training put {concept} there is not shown"
    if comparison.control == _TASK:
        return f"knowing the {kind} may be all there is"
    return f"nothing is shown here about {concept}"


def _only_shuffle_passed(result: Result) -> bool:
    verdicts = {comparison.control: comparison.verdict for comparison in result.comparisons}
    passed = verdicts.get(_SHUFFLE) is Verdict.SELECTIVE
    return passed and verdicts.get(_TASK, Verdict.SELECTIVE) is not Verdict.SELECTIVE


def _listed(sites: list[str]) -> str:
    return sites[0] if len(sites) == 1 else f"{', '.join(sites[:-1])} and {sites[-1]}"
