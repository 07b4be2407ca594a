"""Records as JUnit XML, which test reporters of GitLab, Jenkins and GitHub show."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from xml.etree import ElementTree

from controls.core.result import ClaimVerdict, Comparison
from controls.report import words
from controls.report.claims import Claim, Records, claims_of, named
from controls.report.escape import one_line, printable
from controls.report.format import exact

_OUTCOMES = {ClaimVerdict.FAILS: "failure", ClaimVerdict.UNDECIDED: "skipped"}
_WIDTH = 110


def as_junit(results: Records, *, file: str | None = None) -> str:
    """Return records as JUnit XML: a claim is a test case, which passes, fails or is skipped where undecided.

    Parameters
    ----------
    results : mapping of str to Result or Sweep, or one of them
        What is shown, by name; a test suite each. The sites of a Sweep are test cases of its suite.
        A record alone goes by its title.
    file : str, optional
        The file that the claims stand in, as an attribute of each suite.

    Returns
    -------
    str
        XML. A suite's properties hold the unrounded numbers of each comparison; what a number that is
        not available would be is left out. A case's ``system-out`` holds the table. The message of a skipped case
        names the draws or units that would decide, where the result names them.

    Raises
    ------
    InputError
        For an empty mapping.

    Notes
    -----
    Elements and attributes are those that Jenkins' schema (xunit plugin, junit-10) and pytest's reports share.
    Text of the records is escaped; characters that XML forbids, and control characters, are spelled out.

    Examples
    --------
    >>> import numpy as np, controls as ct
    >>> problem = ct.Problem(np.eye(6), [0, 0, 0, 1, 1, 1])
    >>> result = ct.measure(ct.probes.RidgeProbe(), problem, controls=[ct.ShuffleLabels()], cv=2)
    >>> print(as_junit({"six rows": result}).splitlines()[1][:62])
    <testsuites name="controls" tests="1" failures="0" errors="0">
    """
    records = named(results)
    every = [claim for name, record in records.items() for claim in claims_of(name, record)]
    root = ElementTree.Element("testsuites", {"name": "controls", **_counts(every)})
    for name, record in records.items():
        root.append(_suite(name, claims_of(name, record), file))
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _suite(name: str, claims: list[Claim], file: str | None) -> ElementTree.Element:
    skipped = sum(claim.result.verdict is ClaimVerdict.UNDECIDED for claim in claims)
    suite = ElementTree.Element("testsuite", {"name": name, **_counts(claims), "skipped": str(skipped)})
    seconds = sum(claim.result.provenance.seconds for claim in claims)
    suite.attrib.update(_time(seconds))
    if claims:
        suite.set("timestamp", min(claim.result.provenance.started for claim in claims))
    if file is not None:
        suite.set("file", printable(str(file)))
    properties = ElementTree.SubElement(suite, "properties")
    for key, value in _numbers(claims):
        if not math.isnan(value):
            ElementTree.SubElement(properties, "property", {"name": key, "value": exact(value)})
    suite.extend(_case(claim) for claim in claims)
    return suite


def _case(claim: Claim) -> ElementTree.Element:
    from controls.report import table

    result = claim.result
    name, classname = (claim.name, "controls") if claim.site is None else (claim.site, claim.name)
    case = ElementTree.Element("testcase", {"name": name, "classname": classname, **_time(result.provenance.seconds)})
    if result.verdict in _OUTCOMES:
        said = {"message": one_line(words.claim_words(result)), "type": str(result.verdict)}
        ElementTree.SubElement(case, _OUTCOMES[result.verdict], said)
    shown = [table.text(result, _WIDTH), *words.adjusted_lines(claim.adjusted_p, claim.n_sites)]
    ElementTree.SubElement(case, "system-out").text = "\n".join(shown)
    return case


def _counts(claims: Iterable[Claim]) -> dict[str, str]:
    verdicts = [claim.result.verdict for claim in claims]
    return {"tests": str(len(verdicts)), "failures": str(verdicts.count(ClaimVerdict.FAILS)), "errors": "0"}


def _time(seconds: float) -> dict[str, str]:
    return {"time": f"{seconds:.3f}"} if math.isfinite(seconds) else {}


def _numbers(claims: Iterable[Claim]) -> Iterator[tuple[str, float]]:
    for claim in claims:
        start = "" if claim.site is None else f"{claim.site}."
        yield f"{start}score", claim.result.score
        for comparison in claim.result.comparisons:
            adjusted = claim.adjusted_p.get(comparison.control, math.nan)
            for name, value in (*_of_comparison(comparison), ("adjusted_p", adjusted)):
                yield f"{start}{comparison.control}.{name}", value


def _of_comparison(comparison: Comparison) -> tuple[tuple[str, float], ...]:
    return (
        ("control_mean", comparison.control_mean),
        ("selectivity", comparison.selectivity.value),
        ("selectivity_low", comparison.selectivity.low),
        ("selectivity_high", comparison.selectivity.high),
        ("bound_low", comparison.bounds[0]),
        ("bound_high", comparison.bounds[1]),
        ("p_value", comparison.p_value),
        ("p_floor", comparison.p_floor),
        ("draws", comparison.draws),
    )
