"""A study as files: the document whole, tables with all digits, a page that needs nothing and takes anybody's text."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from studied import study

from mlflow_rank.errors import UsageError
from mlflow_rank.registry.runs.run_terms import digest_of
from mlflow_rank.reports.inline_svg import inline_svg
from mlflow_rank.reports.studies.cells import shown_rows
from mlflow_rank.reports.studies.files import csv_bytes, document_bytes, write_study
from mlflow_rank.reports.studies.page import study_page
from mlflow_rank.reports.studies.report import Cell, ReportTable

HOSTILE = '<script>alert("x")</script>'
CELL = st.none() | st.text(max_size=8) | st.integers() | st.floats(allow_nan=False)
VOID = {"meta", "wbr"}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of somebody whose layers are called as a script is."""
    directory = tmp_path_factory.mktemp("study") / "made" / "here"
    write_study(study(said=HOSTILE), directory)
    return directory


class Page(HTMLParser):
    """What a browser would find in a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attributes)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attributes]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def values(self, name: str) -> list[str]:
        return [value for _, called, value in self.attributes if called == name]


@pytest.fixture(scope="module")
def page(written: Path) -> Page:
    return Page((written / "study.html").read_text(encoding="utf-8"))


# files


def test_it_leaves_a_document_a_page_and_each_table_and_figure(written: Path) -> None:
    left = sorted(path.relative_to(written).as_posix() for path in written.rglob("*") if path.is_file())
    assert left == [
        "figures/heat_map.png", "figures/heat_map.svg", "figures/scatter.png", "figures/scatter.svg",
        "study.html", "study.json", "tables/by_step.csv", "tables/within_layer.csv",
    ]  # fmt: skip
    assert json.loads((written / "study.json").read_bytes()) == study().document


@pytest.mark.parametrize("at", [0, 1])
def test_a_table_read_back_is_the_table_with_all_digits(written: Path, at: int) -> None:
    table = study(said=HOSTILE).tables[at]
    text = (written / "tables" / f"{table.name}.csv").read_bytes().decode("utf-8")
    titles, *rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    assert tuple(titles) == table.columns
    assert [tuple(_read(cell) for cell in row) for row in rows] == [tuple(map(_as_read, row)) for row in table.rows]


@given(st.lists(st.tuples(CELL, CELL, CELL), min_size=1, max_size=4))
def test_whatever_stands_in_a_table_is_read_back(rows: list[tuple[Cell, ...]]) -> None:
    text = csv_bytes(ReportTable("any", "Any", ("a", "b,", 'c"\r\n'), tuple(rows))).decode("utf-8")
    titles, *read = csv.reader(io.StringIO(text, newline=""), strict=True)
    assert titles == ["a", "b,", 'c"\r\n']
    assert read == [["" if cell is None else str(cell) for cell in row] for row in rows]
    assert text.endswith("\r\n")  # RFC 4180, 2.1


def test_a_number_that_is_none_is_an_empty_cell() -> None:
    assert csv_bytes(ReportTable("t", "T", ("a", "b"), ((math.nan, 1.5),))) == b"a,b\r\n,1.5\r\n"


def test_names_that_are_no_utf_8_are_kept_in_json_as_it_writes_them() -> None:
    document = {"run": "seed\udce9_é"}
    assert json.loads(document_bytes(document)) == document


def test_a_document_with_a_number_that_is_none_is_refused_with_what_is_expected() -> None:
    with pytest.raises(UsageError) as raised:
        document_bytes({"p": math.nan})
    assert raised.value.expected == "finite numbers, text, lists and mappings; an absent number is null"


# the page


def test_the_page_needs_no_network_and_no_script(page: Page, written: Path) -> None:
    assert page.open == []
    assert page.tags["script"] == 0
    assert not {name for _, name, _ in page.attributes if name.startswith(("on", "xmlns"))}
    assert "http" not in (written / "study.html").read_text(encoding="utf-8")
    addresses = [*page.values("href"), *page.values("src"), *page.values("xlink:href")]
    assert addresses
    assert all(address.startswith(("#", "data:image/png;base64,")) for address in addresses)


def test_ids_of_several_figures_are_unique_and_everything_that_is_referred_to_is_there(page: Page) -> None:
    ids = page.values("id")
    assert len(ids) == len(set(ids)) > 20
    refers = [value[1:] for value in page.values("href") if value.startswith("#")]
    clips = re.findall(r"url\(#([^)]+)\)", " ".join(value for _, _, value in page.attributes))
    assert refers
    assert clips
    assert set(refers) | set(clips) <= set(ids)


def test_it_says_every_verdict_every_cell_and_how_it_was_found(page: Page) -> None:
    report = study(said=HOSTILE)
    said = Counter(page.words)
    for sentence in (report.title, *report.verdicts, *report.about):
        assert said[sentence] >= 1, sentence
    for table in report.tables:
        assert said[table.title] == 1
        for cell, times in Counter(cell for row in shown_rows(table) for cell in row).items():
            assert said[cell] >= times
        assert all(set(name.split("_")) <= {word.rstrip("_") for word in page.words} for name in table.columns)
    assert said[digest_of(report.document)] == 1


def test_figures_have_words_for_who_does_not_see_them(page: Page) -> None:
    pictures = [value for tag, name, value in page.attributes if (tag, name) == ("svg", "aria-label")]
    assert pictures == [figure.title for figure in study(said=HOSTILE).figures]
    assert page.tags["figure"] == page.tags["figcaption"] == 2


def test_tables_scroll_by_themselves_and_have_headings(page: Page) -> None:
    assert page.tags["table"] == page.values("class").count("wide") == 2
    assert page.values("scope") == ["col"] * sum(len(table.columns) for table in study().tables)


def test_a_style_of_a_figure_does_not_hold_for_the_page(page: Page) -> None:
    assert page.tags["style"] == 1


def test_the_same_study_gives_the_same_page(written: Path, tmp_path: Path) -> None:
    write_study(study(said=HOSTILE), tmp_path)
    assert (tmp_path / "study.html").read_bytes() == (written / "study.html").read_bytes()


def test_a_page_without_its_figures_has_all_else() -> None:
    without = Page(study_page(study(), {}))
    assert without.tags["figure"] == 0
    assert without.tags["table"] == 2


def test_two_figures_with_the_same_ids_share_none_in_a_page() -> None:
    drawn = (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 9 9">'
        '<defs><clipPath id="c"/></defs><g id="g" clip-path="url(#c)"><use xlink:href="#g" style="fill: url(#c)"/></g>'
        "</svg>"
    )
    one = inline_svg(drawn, "a", "what it shows")
    assert re.findall(r'id="([^"]+)"', one) == ["a-c", "a-g"]
    assert re.findall(r"url\(#([^)]+)\)", one) == ["a-c", "a-c"]
    assert 'href="#a-g"' in one
    assert inline_svg(drawn, "b", "what it shows") == one.replace("a-c", "b-c").replace("a-g", "b-g")


def _read(cell: str) -> Cell:
    try:
        return float(cell)
    except ValueError:
        return cell


def _as_read(cell: Cell) -> Cell:
    return "" if cell is None else float(cell) if not isinstance(cell, str) else cell
