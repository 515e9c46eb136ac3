"""The decision in a description: the last one only, and never at the cost of what people wrote."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mlflow_rank.registry.gate.description import (
    BEGIN,
    END,
    MOST_CHARACTERS,
    NOTICE,
    with_decision,
    with_notice,
    without_gate,
)

WORDS = st.text(st.characters(exclude_characters="<", exclude_categories=["Cs"]), max_size=300)


@given(WORDS, WORDS, st.text("ab|\n", min_size=1, max_size=300))
def test_words_of_people_stay_and_the_table_is_replaced(before: str, after: str, table: str) -> None:
    first = with_decision(before, "| old |")
    second = with_decision(f"{first}\n\n{after}", table)

    assert "| old |" not in second
    assert second.count(BEGIN) == second.count(END) == 1
    for words in (before.rstrip(), after.strip()):
        assert words in second


@given(st.integers(0, 6000), st.integers(1, 9000))
def test_it_fits_mlflows_column_and_keeps_words_before_tables(words: int, table: int) -> None:
    lines = "\n".join("| row |" for _ in range(table // 8 + 1))
    said = with_decision("w" * words, lines)

    assert len(said) <= MOST_CHARACTERS
    assert said.count("w") >= min(words, MOST_CHARACTERS)


def test_a_table_that_is_too_long_is_cut_between_lines_and_says_so() -> None:
    said = with_decision("", "\n".join(f"| row {number} |" for number in range(2000)))

    block = said.replace(f" {BEGIN}", "").removesuffix(f"\n{END}")
    rows, note = block.split("\n\n")
    assert all(row.endswith(" |") for row in rows.splitlines())
    assert "the whole decision is in the ledger" in note
    assert len(said) > MOST_CHARACTERS - 100


def test_a_mark_that_somebody_left_open_swallows_nothing_before_it() -> None:
    said = with_decision(f"Before.\n{BEGIN}\nno end", "| new |")

    assert said.startswith("Before.")
    assert said.endswith(f"| new | {BEGIN}\n\n{END}")


@given(WORDS, st.text("ab|\n", min_size=1, max_size=300), st.booleans())
def test_a_notice_comes_first_and_goes_without_a_trace(words: str, table: str, decided_first: bool) -> None:
    words = words.strip()
    decided = with_decision(words, f"### DENIED\n{table}")
    noticed = with_notice(decided, "### FLAGGED: look") if decided_first else with_decision(
        with_notice(words, "### FLAGGED: look"), f"### DENIED\n{table}"
    )  # fmt: skip

    assert noticed.startswith(f"### FLAGGED: look {NOTICE}\n")
    assert noticed.count(NOTICE) == noticed.count(BEGIN) == 1
    assert noticed.index(NOTICE) < noticed.index(f"### DENIED {BEGIN}")
    assert with_notice(noticed, "### FLAGGED: again").count(NOTICE) == 1
    assert with_notice(noticed, "") == decided
    assert without_gate(noticed) == without_gate(decided) == words


def test_a_notice_takes_its_room_from_the_decision_and_never_from_peoples_words() -> None:
    decided = with_decision("w" * 100, "\n".join(f"| row {number} |" for number in range(2000)))
    noticed = with_notice(decided, f"### BREAK-GLASS: {'g' * 400}")

    assert noticed.startswith("### BREAK-GLASS: ggg")
    assert "w" * 100 in noticed
    assert "the whole decision is in the ledger" in noticed
    assert len(noticed) <= MOST_CHARACTERS
    full = "w" * (MOST_CHARACTERS - 10)
    assert with_notice(full, "### FLAGGED") == full


def test_a_list_of_versions_shows_the_verdict_where_the_description_begins() -> None:
    assert with_decision("", "### APPROVED: it\n\n| rule |").startswith("### APPROVED: it <!--")


def test_a_block_that_an_earlier_version_wrote_is_replaced_as_well() -> None:
    assert with_decision(f"Before.\n\n{BEGIN}\n| old |\n{END}", "| new |") == f"Before.\n\n| new | {BEGIN}\n\n{END}"
