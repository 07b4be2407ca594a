"""Records as workflow commands of GitHub Actions, which it shows as annotations beside the code."""

from __future__ import annotations

from collections.abc import Mapping

from controls.core.errors import InputError
from controls.core.result import ClaimVerdict
from controls.report import words
from controls.report.claims import Claim, Records, all_claims
from controls.report.escape import command_message, command_property, printable
from controls.report.format import count

SHOWN = 10  # GitHub shows this many annotations of each kind per step
_KINDS = {ClaimVerdict.FAILS: "error", ClaimVerdict.UNDECIDED: "warning", ClaimVerdict.HOLDS: "notice"}


def as_annotations(results: Records, *, file: str | None = None, lines: Mapping[str, int] | None = None) -> str:
    """Return records as annotations of GitHub Actions: errors where claims fail, warnings where undecided, notices.

    Parameters
    ----------
    results : mapping of str to Result or Sweep, or one of them
        What is shown, by name, an annotation per claim. A Sweep counts as its sites.
    file : str, optional
        The file that the claims stand in, from the root of the repository.
    lines : mapping of str to int, optional
        The line of each claim in that file, by its name in ``results``; from 1. Names may be missing.

    Returns
    -------
    str
        One workflow command per line, to be printed to standard output. GitHub shows ten of each kind per
        step: where there are more, the tenth says how many were left out.

    Raises
    ------
    InputError
        For an empty mapping, and for lines without a file.

    Examples
    --------
    >>> import numpy as np, controls as ct
    >>> problem = ct.Problem(np.eye(6), [0, 0, 0, 1, 1, 1])
    >>> result = ct.measure(ct.probes.RidgeProbe(), problem, controls=[ct.ShuffleLabels()], cv=2)
    >>> print(as_annotations({"six rows": result}, file="claims.toml", lines={"six rows": 4})[:60])
    ::warning file=claims.toml,line=4,title=Undecided%3A six row
    """
    if lines and file is None:
        raise InputError("lines must stand with the file they are lines of, got file=None; pass file= as well.")
    place = {printable(str(name)): line for name, line in (lines or {}).items()}
    claims = all_claims(results)
    commands: list[str] = []
    for verdict, kind in _KINDS.items():
        ours = [claim for claim in claims if claim.result.verdict is verdict]
        room = SHOWN if len(ours) <= SHOWN else SHOWN - 1
        commands += [_annotation(kind, claim, file, place.get(claim.name)) for claim in ours[:room]]
        if len(ours) > room:
            commands.append(_more(kind, len(ours) - room, verdict, file))
    return "".join(f"{command}\n" for command in commands)


def _annotation(kind: str, claim: Claim, file: str | None, line: int | None) -> str:
    result = claim.result
    title = f"{words.CLAIMS[result.verdict]}: {claim.label}"
    said = [words.claim_words(result), *result.notes, *words.adjusted_lines(claim.adjusted_p, claim.n_sites)]
    return _command(kind, {"file": file, "line": line, "title": title}, "\n".join(map(words.sentence, said)))


def _more(kind: str, left_out: int, verdict: ClaimVerdict, file: str | None) -> str:
    said = f"{count(left_out)} more claims with the verdict {verdict}; GitHub shows {SHOWN} annotations of a kind."
    return _command(kind, {"file": file, "title": "More claims"}, said)


def _command(kind: str, properties: Mapping[str, object], message: str) -> str:
    given = (f"{name}={command_property(printable(str(value)))}" for name, value in properties.items() if value)
    return f"::{kind} {','.join(given)}::{command_message(message)}"
