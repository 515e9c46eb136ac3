"""A study on the terminal: everything is said, at any width and in any encoding, and nobody's text steers it."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import pytest
from studied import study

from mlflow_rank.reports.studies.report import ReportTable, StudyReport
from mlflow_rank.reports.studies.terminal import print_study


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


class NarrowPipe(io.StringIO):
    encoding = "ascii"


def printed(report: StudyReport, width: int | None = None, stream: io.StringIO | None = None) -> str:
    stream = stream or io.StringIO()
    print_study(report, stream=stream, width=width)
    return re.sub(r"\x1b\[[0-9;]*m", "", stream.getvalue())


def test_in_a_pipe_each_sentence_is_a_line_and_verdicts_come_first() -> None:
    report = study()
    lines = printed(report).splitlines()
    said = [report.title, *(f"- {verdict}" for verdict in report.verdicts)]
    assert lines[: len(said)] == said
    assert lines[-len(report.about) :] == [f"- {line}" for line in report.about]


@pytest.mark.parametrize("width", [50, 80, 132])
def test_no_line_is_wider_than_the_terminal_and_no_word_is_lost(width: int) -> None:
    report = study()
    text = printed(report, width)
    assert max(map(len, text.splitlines())) <= width
    words = set(text.split())
    for sentence in (report.title, *report.verdicts, *report.about, *(table.title for table in report.tables)):
        assert set(sentence.split()) <= words
    assert {name for table in report.tables for name in table.columns} <= words


def test_a_table_that_is_too_wide_comes_in_parts_each_with_the_names_of_its_rows() -> None:
    columns = ("task", "layer", *(f"column_number_{at}" for at in range(9)))
    rows = tuple((task, layer, *(0.5 + at for at in range(9))) for task in ("keyword", "phone") for layer in range(2))
    wide = ReportTable("wide", "Wide", columns, rows)
    text = printed(replace(study(), tables=(wide,)), 80)
    parts = [line for line in text.splitlines() if line.startswith("task")]
    assert len(parts) > 1
    assert all(part.split()[:2] == ["task", "layer"] for part in parts)
    assert [name for part in parts for name in part.split()[2:]] == list(columns[2:])
    assert len(re.findall(r"^phone +1 ", text, re.MULTILINE)) == len(parts)


def test_numbers_are_shown_to_the_places_asked_for_and_what_is_absent_as_a_dash() -> None:
    lines = printed(study()).splitlines()
    assert "keyword      1  14      0.30   0.10  0.50  0.004" in lines
    assert "speaker      1   3         –      –     –      –" in lines


def test_what_is_for_files_alone_is_not_printed() -> None:
    report = study()
    kept = replace(report.tables[1], on_terminal=False)
    text = printed(replace(report, tables=(report.tables[0], kept)))
    assert kept.title not in text
    assert report.tables[0].title in text


def test_a_narrow_encoding_gets_question_marks_for_letters_and_a_hyphen_for_what_is_absent() -> None:
    text = printed(study(said="Äquivalenz"), stream=NarrowPipe())
    assert text.isascii()
    assert "?quivalenz" in text
    assert re.search(r"^speaker +1 +3 +- +- +- +-$", text, re.MULTILINE)


def test_nobodys_text_steers_the_terminal() -> None:
    stream = Terminal()
    print_study(study(said="\x1b[2J\x07[bold]red[/bold]\nlayer"), stream=stream)
    assert "\x1b[2J" not in stream.getvalue()
    assert "\x07" not in stream.getvalue()
    assert "[bold]red[/bold] layer" in re.sub(r"\x1b\[[0-9;]*m", "", stream.getvalue()).replace("\n  ", " ")


def test_no_colour_where_none_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_COLOR", "1")
    stream = Terminal()
    print_study(study(), stream=stream)
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", stream.getvalue())


def test_a_table_without_rows_says_so() -> None:
    empty = ReportTable("empty", "Nothing", ("task", "r"), ())
    assert "Nothing\nno rows\n" in printed(replace(study(), tables=(empty,)))
