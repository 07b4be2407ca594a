"""Records as GitHub-flavoured Markdown: the summary of a job, or a comment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from controls.core.result import ClaimVerdict
from controls.report import words
from controls.report.claims import Claim, Records, all_claims
from controls.report.escape import markdown
from controls.report.format import count, probability
from controls.report.view import SIGNS, ComparisonView, ResultView, result_view

LIMIT = 1_000_000  # bytes; GitHub refuses the summary of a step from 1 MiB on, which other lines may share
_HEAD_SHARE = 0.4  # of the limit, for the table of all claims
_ONE = {ClaimVerdict.HOLDS: "holds", ClaimVerdict.FAILS: "fails", ClaimVerdict.UNDECIDED: "undecided"}
_SEVERAL = {**_ONE, ClaimVerdict.HOLDS: "hold", ClaimVerdict.FAILS: "fail"}


def as_markdown(results: Records) -> str:
    """Return records as GitHub-flavoured Markdown, short enough for the summary of a job.

    Parameters
    ----------
    results : mapping of str to Result or Sweep, or one of them
        What is shown, by name. A Sweep counts as its sites, with p corrected over them. A record alone goes by its
        title.

    Returns
    -------
    str
        How many claims hold, a table of all claims, then for each claim its controls, what it licenses one to say,
        and, folded, what each control keeps and destroys, and its caveats. At most 1 000 000 bytes of UTF-8: GitHub
        takes 1 MiB. What does not fit is left out whole, and a last sentence says how many claims that are.

    Raises
    ------
    InputError
        For an empty mapping.

    Notes
    -----
    Text of the records cannot become markup, links, mentions or references to issues; where GitHub would
    make those, a space of no width stands within the text.

    Examples
    --------
    >>> import numpy as np, controls as ct
    >>> problem = ct.Problem(np.eye(6), [0, 0, 0, 1, 1, 1])
    >>> result = ct.measure(ct.probes.RidgeProbe(), problem, controls=[ct.ShuffleLabels()], cv=2)
    >>> print(as_markdown({"six rows": result}).splitlines()[0])
    ## ○ Undecided: six rows
    """
    claims = all_claims(results)
    if not claims:
        return "## No claims\n\nThe sweep has no sites.\n"
    rows, left_out = _fitting((_overview_row(claim) for claim in claims), int(LIMIT * _HEAD_SHARE))
    head = [f"## {_headline(claims)}\n"]
    if len(claims) > 1:
        head += ["\n", *_header("Claim", "Verdict", "Score", "Why"), *rows]
        head += [_cut_words("table", left_out, len(claims))] if left_out else []
    room = LIMIT - _size("".join(head)) - 500  # for the last sentence
    sections, left_out = _fitting(("\n" + "".join(_section(claim, len(claims) > 1)) for claim in claims), room)
    tail = [_cut_words("summary", left_out, len(claims))] if left_out else []
    return "".join([*head, *sections, *tail])


def _headline(claims: Sequence[Claim]) -> str:
    if len(claims) == 1:
        verdict = claims[0].result.verdict
        return f"{SIGNS[words.tone_of(verdict)]} {words.CLAIMS[verdict]}: {markdown(claims[0].label)}"
    verdicts = [claim.result.verdict for claim in claims]
    found = {verdict: verdicts.count(verdict) for verdict in ClaimVerdict if verdict in verdicts}
    counted = (f"{count(n)} {(_ONE if n == 1 else _SEVERAL)[verdict]}" for verdict, n in found.items())
    return f"{count(len(claims))} claims: {', '.join(counted)}"


def _overview_row(claim: Claim) -> str:
    result = claim.result
    return _row(
        markdown(claim.label),
        f"{SIGNS[words.tone_of(result.verdict)]} {result.verdict}",
        markdown(words.score_words(result)),
        markdown(words.claim_words(result)),
    )


def _section(claim: Claim, has_heading: bool) -> Iterator[str]:
    view = result_view(claim.result, "")
    if has_heading:
        yield f"### {SIGNS[view.tone]} {view.claim}: {markdown(claim.label)}\n\n"
    yield f"{markdown(view.reason)} {markdown(view.score)}; {markdown(view.units)}.\n"
    yield from (f"\n> **Note.** {markdown(note)}\n" for note in view.notes)
    yield from _table(claim, view)
    yield from (f"\n{markdown(footnote)}\n" for footnote in view.footnotes)
    yield from _licences(view.comparisons, "" if claim.site is None else ", this site taken alone")
    yield "\n<details><summary>What each control keeps and destroys, and its caveats</summary>\n\n"
    for part in view.comparisons:
        yield from _comparison(part)
    yield "\n</details>\n"


def _table(claim: Claim, view: ResultView) -> Iterator[str]:
    is_site = claim.site is not None
    selectivity = f"Selectivity [{view.level} interval]"
    columns = ["Control", "Score", "Control mean", selectivity, "p or rank", "Verdict"]
    yield "\n"
    yield from _header(*columns[:-1], *(["Adjusted p"] if is_site else []), columns[-1])
    for part in view.comparisons:
        row = part.row
        adjusted = [probability(claim.adjusted_p.get(row.name, float("nan")))] if is_site else []
        verdict = f"{SIGNS[row.tone]} {row.verdict}"
        yield _row(markdown(row.name), row.score, row.mean, row.selectivity, row.p, *adjusted, verdict)


def _licences(comparisons: Sequence[ComparisonView], alone: str) -> Iterator[str]:
    licensed = [part for part in comparisons if part.licensed]
    yield f"\n**Licensed to say{alone}**\n\n" if licensed else "\nNothing is licensed by this result.\n"
    yield from (f"- {markdown(part.row.name)}: {markdown(part.licenses)}\n" for part in licensed)


def _comparison(part: ComparisonView) -> Iterator[str]:
    kind = "What the rank speaks of" if part.is_ensemble else "Null hypothesis"
    yield f"- **{markdown(part.row.name)}**: {markdown(part.reason)} {markdown(part.p)}\n"
    yield f"  - As typed: {markdown(part.description)}\n"
    yield f"  - Keeps: {_listed(part.preserves)}\n"
    yield f"  - Destroys: {_listed(part.destroys)}\n"
    yield f"  - {kind}: {markdown(part.null)}\n"
    yield from (f"  - Caveat: {markdown(caveat)}\n" for caveat in part.caveats)
    yield from (f"  - Failure of the trainer: {markdown(line)}\n" for line in part.failures)


def _listed(items: Sequence[str]) -> str:
    return "; ".join(map(markdown, items)) or "nothing that it names"


def _header(*columns: str) -> tuple[str, str]:
    return _row(*columns), _row(*("---" for _ in columns))


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |\n"


def _fitting(pieces: Iterator[str], room: int) -> tuple[list[str], int]:
    """Return the pieces from the start that fit into a number of bytes, and how many do not."""
    fitting: list[str] = []
    for piece in pieces:
        room -= _size(piece)
        if room < 0:
            return fitting, 1 + sum(1 for _ in pieces)
        fitting.append(piece)
    return fitting, 0


def _size(text: str) -> int:
    return len(text.encode("utf-8"))


def _cut_words(what: str, left_out: int, total: int) -> str:
    return f"\nThis {what} leaves out {count(left_out)} of {count(total)} claims, as GitHub shows no more than 1 MiB.\n"
