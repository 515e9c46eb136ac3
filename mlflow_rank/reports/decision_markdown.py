"""A decision as markdown, for a comment on a pull request and for the description of a version in MLflow.

What others wrote (names of models, people and groups, reasons) is escaped for both places; see `untrusted_text`. What
folds away on GitHub stands open in MLflow's pages, which take `<details>` out; they also set tables without any space
between columns, so that cells for a description bring their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mlflow_rank.policy.decision import Approve, Deny
from mlflow_rank.policy.outcomes import Finding
from mlflow_rank.policy.watch import Watched
from mlflow_rank.registry.gate.records import API
from mlflow_rank.reports.decision_next import next_step
from mlflow_rank.reports.decision_numbers import numbers, short_digest
from mlflow_rank.reports.decision_words import (
    Group,
    Section,
    about,
    approvals_line,
    aside,
    evidence_lines,
    facts,
    formula_line,
    groups,
    sections,
    verdict,
    waivers_line,
)
from mlflow_rank.reports.untrusted_text import in_markdown

RECORD = f"{API}/decisions/"  # where a gated server answers with the decision and its signature
_COLUMNS = ("result", "rule", "observed", "n", "asked", "margin", "layer")
_RIGHT = frozenset({"n", "margin"})
_GAP = "&emsp;"  # which is no white space to what trims cells
_LOUD = {"fail": "**FAIL**", "unknown": "**unknown**", "waived": "*waived*"}


def decision_markdown(decision: Approve | Deny | Watched) -> str:
    """Return a decision, or what a watch policy says, as markdown that ends in a line feed."""
    return "\n".join(_lines(decision, next_step(decision))) + "\n"


def decision_in_description(decision: Approve | Deny) -> str:
    """Return a decision of the gate as markdown for a version's description, with where the full record is."""
    carried_out = isinstance(decision, Approve) or not decision.enforced
    done = "nothing; it was carried out." if carried_out else next_step(decision)
    kept = f"**Full record:** [decision {decision.id}]({RECORD}{decision.id}), or `mlflow-rank audit history`."
    if not carried_out:
        asked = decision.case.request
        command = why_command(asked.model, asked.version, asked.target)
        kept += f" **What lacks now, and who can supply it:** {command}."
    heading, *rest = _lines(decision, done, gap=_GAP)
    return "\n".join((*headed(heading.removeprefix("### ")), *rest, "", kept)) + "\n"


def headed(words: str) -> tuple[str, str]:
    """Return a heading of a description that begins with its first word: lists of versions show ten characters of it.

    >>> headed("DENIED: encoder version 7")
    ('DENIED: encoder version 7', '---')
    """
    return words, "---"


def why_command(model: str, version: str | None, target: str) -> str:
    """Return the command that says what a version lacks, as markdown."""
    address = in_markdown(f"models:/{model}/{version}")
    return f"<code>mlflow-rank why {address} --to {in_markdown(target)}</code>"


def _lines(decided: Approve | Deny | Watched, next_words: str, *, gap: str = "") -> Iterator[str]:
    more = f" ({aside(decided)})" if aside(decided) else ""
    yield f"### {verdict(decided)}{more}: {in_markdown(about(decided))}"
    yield ""
    yield "; ".join(f"**{name}** {in_markdown(words)}" for name, words in facts(decided)) + "."
    for section in sections(decided):
        yield ""
        yield from _section(section, gap)
    yield ""
    yield f"**Next:** {in_markdown(next_words)}"
    yield ""
    yield from _details(decided)


def _section(section: Section, gap: str) -> Iterator[str]:
    yield f"#### {in_markdown(section.title)}: {section.answer}"
    yield ""
    yield _row(_COLUMNS, gap)
    yield _row(["--:" if title in _RIGHT else ":--" for title in _COLUMNS])
    parts = groups(section)
    for part in parts:
        for group in part:
            yield from (_row(_cells(section, finding), gap) for finding in group.findings)
    explained = [group for part in parts for group in part if group.notes]
    if explained:
        yield ""
        yield from map(_explanation, explained)
    yield ""
    warned = sum(not section.decides(finding) for finding in section.findings)
    decides_nothing = f" {warned} of them warn and decide nothing." if warned else ""
    yield f"Rules that ran: {section.ran}.{decides_nothing}"


def _cells(section: Section, finding: Finding) -> list[str]:
    found = numbers(finding, section.rule(finding), at_least="≥", at_most="≤")
    result = _LOUD.get(finding.result, finding.result)
    if not section.decides(finding):
        result = f"{finding.result} (warning)"
    texts = (found.observed, found.n, found.asked, found.margin, found.layer)
    return [result, f"`{finding.rule}`", *map(in_markdown, texts)]


def _explanation(group: Group) -> str:
    """Return whom it is about, why, and what to do, as an item of a list."""
    rules = ", ".join(f"`{finding.rule}`" for finding in group.findings)
    told = dict(group.notes)
    asked = f" Asked because: {in_markdown(told['rule'])}" if "rule" in told else ""
    then = f" *Next:* {in_markdown(told['next'])}" if "next" in told else ""
    return f"- {rules}: {in_markdown(_ended(told['why']))}{asked}{then}"


def _details(decided: Approve | Deny | Watched) -> Iterator[str]:
    listed = evidence_lines(decided)
    yield from _folded(
        f"Evidence: {len(listed)}" if listed else "Evidence: none was presented",
        [
            f"{in_markdown(each.kind)} <code>{each.digest}</code> {each.made_at} {in_markdown(each.signed)}"
            for each in listed
        ],
    )
    lines = []
    for section in sections(decided):
        lines.append(f"{in_markdown(section.title)}: <code>{short_digest(section.policy.digest)}</code>")
        if formula_line(section):
            lines.append(f"rules combined: {in_markdown(formula_line(section))}")
        if section.ruling is not None:
            lines.append(f"approvals: {in_markdown(approvals_line(section.ruling.approvals))}")
            waivers = waivers_line(section, decided.case.waivers)
            lines += [f"waivers: {in_markdown(waivers)}"] if waivers else []
    if lines:
        yield ""
        named = "Policies" if isinstance(decided, Watched) else "Policies, approvals and waivers"
        yield from _folded(named, lines)


def _folded(summary: str, lines: Sequence[str]) -> Iterator[str]:
    """Yield HTML without an empty line, which would end it for markdown."""
    yield f"<details><summary>{summary}</summary>"
    if lines:
        yield f"<ul>{''.join(f'<li>{line}</li>' for line in lines)}</ul>"
    yield "</details>"


def _row(cells: Sequence[str], gap: str = "") -> str:
    """Return a row of a table, with `gap` behind what stands in its cells but for the last."""
    spaced = [f"{cell}{gap}" if cell else cell for cell in cells[:-1]]
    return f"| {' | '.join((*spaced, *cells[-1:]))} |"


def _ended(sentence: str) -> str:
    return sentence if sentence.endswith((".", "!", "?")) else f"{sentence}."
