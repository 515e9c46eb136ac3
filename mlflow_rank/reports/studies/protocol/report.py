"""The protocol as a report and as a page of Markdown."""

from __future__ import annotations

from mlflow_rank.reports.studies.protocol.statement import ProtocolStatement
from mlflow_rank.reports.studies.report import ReportTable, StudyReport
from mlflow_rank.reports.untrusted_text import in_markdown

TITLE = "How we measure speech encoders"


def report(statement: ProtocolStatement) -> StudyReport:
    """Return the page as a report, each section a table of its lines."""
    left = statement.left_out
    return StudyReport(
        study="protocol",
        title=f"{TITLE}: {statement.name}",
        verdicts=(
            "Two sites whose protocols have the same digest measure alike, under the same rules: " + statement.digest,
        ),
        about=(
            f"{len(left)} rules have no room on the page and stand there by id: {', '.join(left)}."
            if left
            else "Every rule is on the page.",
        ),
        tables=tuple(
            ReportTable(each.name, each.heading, ("statement",), tuple((line,) for line in each.lines))
            for each in statement.sections
        ),
        figures=(),
        document=statement.document(),
        metrics={"settings": float(len(statement.conventions.settings)), "rules_left_out": float(len(left))},
    )


def markdown(statement: ProtocolStatement) -> str:
    """Return the page as Markdown."""
    page = [f"# {TITLE}", "", f"{in_markdown(statement.name)}. Digest {statement.digest}."]
    for section in statement.sections:
        page += ["", f"## {section.heading}", "", *(f"- {_marked(line)}" for line in section.lines)]
    return "\n".join(page) + "\n"


def _marked(line: str) -> str:
    """Return a line in which nothing is taken for markup but the code that we put there ourselves."""
    parts = line.split("`")
    if len(parts) % 2 == 0:
        return in_markdown(line)
    return "".join(f"`{part}`" if place % 2 else _outside(part) for place, part in enumerate(parts))


def _outside(part: str) -> str:
    if not part.strip():
        return part
    return " " * part.startswith(" ") + in_markdown(part) + " " * part.endswith(" ")
