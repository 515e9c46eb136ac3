"""A study as one page: what was found, the figures, the tables, and how it was got."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mlflow_rank.registry.runs.run_terms import digest_of
from mlflow_rank.reports.inline_svg import inline_svg
from mlflow_rank.reports.page import page, said
from mlflow_rank.reports.studies.cells import numeric, shown_rows
from mlflow_rank.reports.studies.report import ReportTable, StudyReport

_STYLE = """
ul { margin: 6px 0; padding-left: 1.3em; } li { margin: 4px 0; }
.verdicts { border-left: 6px solid #0072B2; outline: 1px solid #8886; padding: 6px 12px 6px 2em; font-size: 15px; }
figcaption { padding: 6px 8px 0; color: #222; font-weight: 600; }
th.words, td.words { text-align: left; } td.words { white-space: normal; min-width: 4em; }
code { overflow-wrap: anywhere; }
"""


def study_page(report: StudyReport, figures: Mapping[str, str]) -> str:
    """Return the page of a study as HTML.

    Args:
        report: the study, in which there may be anybody's text.
        figures: the text of each figure's SVG file, by its name; one that is not there is left out.
    """
    return page(report.title, _body(report, figures), _STYLE)


def _body(report: StudyReport, figures: Mapping[str, str]) -> Iterator[str]:
    yield from _list(report.verdicts, "verdicts")
    for at, figure in enumerate(report.figures):
        if figure.name in figures:
            yield f"<figure><figcaption>{said(figure.title)}</figcaption>"
            yield f"{inline_svg(figures[figure.name], f'figure{at}', figure.title)}</figure>"
    for table in report.tables:
        yield from _table(table)
    yield "<h2>How this was found</h2>"
    yield from _list(report.about, "about")
    yield f'<p class="soft">The whole result is study.json, <code>{digest_of(report.document)}</code>.</p>'


def _list(sentences: tuple[str, ...], of: str) -> Iterator[str]:
    if sentences:
        yield f'<ul class="{of}">' + "".join(f"<li>{said(sentence)}</li>" for sentence in sentences) + "</ul>"


def _table(table: ReportTable) -> Iterator[str]:
    kinds = ["" if number else ' class="words"' for number in numeric(table)]
    yield f"<h2>{said(table.title)}</h2>"
    yield f'<div class="wide" tabindex="0" role="region" aria-label="{said(table.title)}"><table><thead><tr>'
    yield "".join(
        f'<th scope="col"{kind}>{_broken(name)}</th>' for name, kind in zip(table.columns, kinds, strict=True)
    )
    yield "</tr></thead><tbody>"
    for row in shown_rows(table):
        yield f"<tr>{''.join(f'<td{kind}>{said(cell)}</td>' for cell, kind in zip(row, kinds, strict=True))}</tr>"
    yield "</tbody></table></div>"
    if table.note:
        yield f'<p class="soft">{said(table.note)}</p>'


def _broken(name: str) -> str:
    """Return the name of a column that may be broken where its words end: a narrow column of numbers stays narrow."""
    return said(name).replace("_", "_<wbr>")
