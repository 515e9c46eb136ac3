"""What a version's page says of it: what nobody may overlook stands first, and goes when it is over."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import evidence
import pytest
from acting import CHAMPION, MODEL, People, later
from gated import Hall

from mlflow_rank.evidence.canonical import digest_of_bytes
from mlflow_rank.registry.gate.description import NOTICE


@pytest.fixture
def people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[People]:
    hall = Hall.built(tmp_path, monkeypatch)
    people = People(hall)
    people.policy(evidence.PILOT_RULE, {"id": "calm", "kind": "no_open_alarm"}, break_glass={"review_within": "2d"})
    yield people
    hall.store._dispose_engine()


def page(people: People, version: str) -> str:
    return people.hall.store.get_model_version(MODEL, version).description or ""


def tags(people: People, version: str) -> dict[str, str]:
    return dict(people.hall.store.get_model_version(MODEL, version).tags)


def promoted(people: People) -> str:
    hall, version = people.hall, people.hall.version()
    called = f"models:/{MODEL}/{version}"
    hall.submit(version, hall.desk.alarms(called=called), hall.desk.pilot(called=called))
    hall.store.set_registered_model_alias(MODEL, "champion", version)
    return version


def test_a_flag_stands_above_the_approval_that_it_speaks_against_until_it_is_taken_away(people: People) -> None:
    hall, version = people.hall, promoted(people)
    hall.store.update_model_version(MODEL, version, f"Third seed.\n\n{page(people, version)}")
    before, called = page(people, version), f"models:/{MODEL}/{version}"

    hall.submit(version, hall.desk.alarms("open", called=called, now=later(minutes=-30)))

    said = page(people, version)
    assert said.startswith(f"FLAGGED: {MODEL} version {version} at {CHAMPION} {NOTICE}")
    assert "**calm fails**" in said
    assert f"/decisions/{people.last('flag').reference})" in said
    assert said.index("FLAGGED") < said.index("Third seed.") < said.index("APPROVED: ")

    hall.submit(version, hall.desk.alarms("closed", called=called, now=later(minutes=-5)))

    assert page(people, version) == before


def test_a_break_glass_says_on_the_page_that_nothing_was_approved_and_who_answers_for_it(people: People) -> None:
    approved, version = promoted(people), people.hall.version()

    statement = people.break_glass(version)

    said, digest = page(people, version), digest_of_bytes(statement.to_bytes())
    assert said.startswith(f"BREAK-GLASS: {MODEL} version {version} is at {CHAMPION} WITHOUT APPROVAL {NOTICE}")
    for words in ("**emma**", "(OPS-1): calls drop.", "It holds until", "**NOT REVIEWED**, to be reviewed by"):
        assert words in said
    assert f"/decisions/{people.last('break_glass').reference})" in said
    (tag,) = (value for key, value in tags(people, version).items() if key.startswith("rank.break_glass."))
    assert tag.startswith("WITHOUT APPROVAL sha256:")
    assert "emma" in tag

    people.review(version, digest)
    assert "WITHOUT APPROVAL" in page(people, version), "a review approves nothing"
    assert "NOT REVIEWED" not in page(people, version)

    people.go_back(approved)
    assert NOTICE not in page(people, version)


def test_a_break_glass_that_was_taken_back_waits_for_its_review_all_the_same(people: People) -> None:
    approved, version = promoted(people), people.hall.version()
    people.break_glass(version)

    people.hall.store.set_registered_model_alias(MODEL, "champion", approved)

    said = page(people, version)
    assert "where it no longer is, WITHOUT APPROVAL" in said
    assert "**NOT REVIEWED**" in said
    assert NOTICE not in page(people, approved)


def test_a_copy_brings_no_notice_with_it(people: People) -> None:
    version = people.hall.version()
    people.break_glass(version)
    source = people.hall.store.get_model_version(MODEL, version)

    copy = people.hall.store.create_model_version(
        MODEL, source.source, source.run_id, description=f"Mine.\n\n{source.description}"
    )

    assert copy.description == "Mine."


def test_what_people_write_into_an_emergency_stays_text_on_the_page(people: People) -> None:
    from mlflow_rank.registry.gate.notices import Notice
    from mlflow_rank.reports.notice_markdown import notices_in_description

    evil = "</code><img src=x> [x](http://x) `c` |\n\n# h"
    said = {"signed_by": [evil], "reason": evil, "ticket": evil, "expires_at": evil, "review_by": evil}
    shown = notices_in_description(
        [
            Notice("break_glass", evil, "2", evil, "2026-11-26T00:00:00Z", "bg-0", True, True, said),
            Notice("flag", evil, "2", evil, "2026-11-26T00:00:00Z", "0", True, True, {"sentence": evil}),
        ]
    )
    assert "<img" not in shown
    assert "[x]" not in shown
    assert "# h" not in shown.replace("&#35; h", "")
    assert shown.count("</code>") == shown.count("<code>") == 1
