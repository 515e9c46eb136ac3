"""Files of outcomes: every form, whom a row is about, and what is wrong with one that cannot be used."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pasts import past

from mlflow_rank.errors import UsageError
from mlflow_rank.workflow.studies.known_outcomes import placed, read_outcomes

ROWS = [
    {"run": "run 00", "step": 400, "outcome": "bad"},
    {"run": "run 01", "step": 800, "outcome": True},
    {"name": "run 02, step 400", "outcome": 0},
    {"version": "3", "outcome": "GOOD"},
]
MEANT = [(("run 00", 400), False), (("run 01", 800), True), ("run 02, step 400", False), ("3", True)]


def written(place: Path, text: str) -> Path:
    place.write_text(text, encoding="utf-8")
    return place


def test_the_same_rows_are_the_same_in_every_form(tmp_path: Path) -> None:
    header = ["run", "step", "name", "version", "outcome"]
    lines = [",".join(f'"{row.get(name, "")}"' for name in header) for row in ROWS]
    files = [
        written(tmp_path / "outcomes.csv", "\n".join([",".join(header), *lines]) + "\n"),
        written(tmp_path / "outcomes.jsonl", "\n".join(json.dumps(row) for row in ROWS) + "\n\n"),
        written(tmp_path / "outcomes.json", json.dumps(ROWS)),
    ]
    for file in files:
        assert [(each.about, each.good) for each in read_outcomes(file)] == MEANT, file


def test_a_full_score_is_held_against_what_is_good(tmp_path: Path) -> None:
    file = written(tmp_path / "outcomes.csv", "run,step,full_score\na,1,0.85\na,2,0.849\n")
    assert [each.good for each in read_outcomes(file, good_from=0.85)] == [True, False]
    with pytest.raises(UsageError, match="nobody said which full score is good"):
        read_outcomes(file)


def test_names_and_versions_find_their_checkpoints_and_the_others_are_named(tmp_path: Path) -> None:
    table, _ = past(bad=3, good=1)
    outcomes = read_outcomes(written(tmp_path / "outcomes.json", json.dumps([*ROWS, {"name": "who", "outcome": 1}])))
    found, nobodys = placed(outcomes, table, {"3": ("run 03", 800)})
    assert found == {
        ("run 00", 400): False,
        ("run 01", 800): True,
        ("run 02", 400): False,
        ("run 03", 800): True,
    }
    assert nobodys == ("who",)


def test_two_outcomes_of_one_checkpoint_must_agree(tmp_path: Path) -> None:
    table, _ = past(bad=1, good=1)
    rows = [{"run": "run 00", "step": 400, "outcome": 1}, {"name": "run 00, step 400", "outcome": 0}]
    with pytest.raises(UsageError, match="contradict each other"):
        placed(read_outcomes(written(tmp_path / "outcomes.json", json.dumps(rows))), table, {})


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("o.csv", "run,step,outcome\n", "no outcome in this file"),
        ("o.csv", "run,step,outcome\na,1,maybe\n", r"o\.csv:2: bad outcome"),
        ("o.csv", "run,step,outcome\na,one,good\n", r"o\.csv:2: bad step"),
        ("o.csv", "run,outcome\na,good\n", "bad step"),
        ("o.csv", "colour,outcome\nred,good\n", "about nobody"),
        ("o.csv", "run,step\na,1\n", "there is no outcome"),
        ("o.csv", "run,step,full_score\na,1,nan\n", "bad full_score"),
        ("o.jsonl", "[1]\n", "cannot be read"),
        ("o.json", "{}", "no outcome in this file"),
        ("o.json", "not json", "cannot be read"),
        ("o.txt", "run", "unknown kind of file"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_line(tmp_path: Path, name: str, text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        read_outcomes(written(tmp_path / name, text), good_from=0.5)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read_outcomes(tmp_path / "nowhere.csv")
