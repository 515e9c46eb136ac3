"""How models stand, as people read it: what must not be overlooked comes first, and nobody's words pass for ours."""

from __future__ import annotations

import io
from typing import Any

from mlflow_rank.registry.clients.outlook_document import Outlook, read_outlook
from mlflow_rank.reports.standing_table import loud_lines, print_standing
from mlflow_rank.reports.why_words import need_lines, next_step, why_lines

AT = "2026-11-26T02:39:59.5Z"


def matter(kind: str, number: int, **more: Any) -> dict[str, Any]:
    about = {"kind": kind, "number": number, "at": AT, "version": "7", "target": "alias:champion", "by": "cid"}
    return about | {"verified": True, "words": "it crashed"} | more


def model(*matters: dict[str, Any], **more: Any) -> Outlook:
    placed = {"target": "alias:champion", "version": "7", "decision": "bg-0123", "at": AT, "by": "cid"}
    document = {"workspace": "default", "model": "encoder", "placements": [placed], "matters": list(matters)}
    return read_outlook(document | more)


def printed(*outlooks: Outlook, version: str | None = None) -> str:
    stream = io.StringIO()
    print_standing(outlooks, version=version, stream=stream)
    return stream.getvalue()


def test_what_is_overdue_comes_before_other_emergencies_flags_and_all_else() -> None:
    late = matter("break_glass", 9, review_by="2026-11-25T00:00:00Z", overdue=True, ticket="OPS-7")
    due = matter("break_glass", 2, review_by="2026-11-29T00:00:00Z", expires_at="2026-11-27T00:00:00Z")

    lines = printed(model(matter("request", 1), matter("flag", 3), due, late)).splitlines()

    assert lines[0] == (
        "!! BREAK-GLASS: cid put encoder 7 at alias:champion on 2026-11-26 02:39:59, WITHOUT APPROVAL (OPS-7): "
        "it crashed; REVIEW OVERDUE SINCE 2026-11-25 00:00:00"
    )
    assert "mlflow-rank review models:/encoder --number 9 --accept" in lines[1]
    assert "it holds until 2026-11-27 00:00:00; to be reviewed by 2026-11-29 00:00:00" in lines[2]
    assert lines[4] == "!! FLAGGED: encoder 7, at alias:champion, since 2026-11-26 02:39:59: it crashed"
    assert lines[5].startswith("model")
    assert "open requests" in lines


def test_a_version_alone_is_told_of() -> None:
    assert list(loud_lines([model(matter("flag", 1), matter("flag", 2, version="8"))], version="8")) == [
        "!! FLAGGED: encoder 8, at alias:champion, since 2026-11-26 02:39:59: it crashed"
    ]


def test_what_was_taken_away_since_is_told_of_only_where_it_is_asked_for() -> None:
    gone = model(matter("flag", 1, version="6", placed=False))

    assert list(loud_lines([gone])) == []
    (line,) = loud_lines([gone], version="6")
    assert line.startswith("!! FLAGGED: encoder 6, no longer at alias:champion, since ")


def test_a_name_that_nobody_verified_is_shown_as_such() -> None:
    assert "cid (unverified)" in printed(model(matter("request", 1, verified=False)))


def test_what_others_wrote_stays_on_its_line_and_steers_nothing() -> None:
    sly = matter("flag", 1, words="fine\n!! FLAGGED: other\x1b[2J")

    lines = printed(model(sly)).splitlines()

    assert sum(line.startswith("!!") for line in lines) == 1
    assert "\x1b" not in lines[0]


def needing(*needs: dict[str, Any], promote: str = "manual", asked: bool = False) -> Outlook:
    policy = {"name": "p", "revision": 1, "digest": "sha256:0", "mode": "enforce", "promote": promote}
    decision = {"verdict": "deny", "enforced": True, "undecided": True, "sentence": "denied: 0 of 1 approvals"}
    version = {"number": "8", "policies": [policy], "decision": decision, "missing": list(needs)}
    matters = [matter("request", 1, version="8")] if asked else []
    return model(*matters, version=version, standing={"kind": "governed", "reason": "so"})


def need(kind: str, sentence: str = "it lacks", who: tuple[str, ...] = ("ann", "bob")) -> dict[str, Any]:
    return {"kind": kind, "sentence": sentence, "who": list(who)}


def test_each_need_is_said_with_who_can_supply_it_and_how() -> None:
    lines = list(why_lines(needing(need("approval"), need("policy"), need("evidence", who=())), "alias:champion"))

    assert lines[0] == "models:/encoder/8 to alias:champion: not yet: 0 of 1 approvals."
    assert "by break-glass bg-0123: WITHOUT APPROVAL" in lines[1]
    assert lines[2:7] == [
        "  - it lacks",
        '      ann or bob: mlflow-rank approve models:/encoder/8 --to alias:champion --key FILE --comment "…"',
        "  - it lacks",
        "      ask ann or bob",
        "  - it lacks",
    ]


def test_where_there_is_little_room_the_first_needs_are_said_and_how_many_more() -> None:
    lines = list(need_lines(needing(*(need("policy", str(number)) for number in range(5))), "alias:champion", most=3))

    assert lines[-1] == "  and 2 more: mlflow-rank why models:/encoder/8 --to alias:champion"


def test_the_next_step_is_to_ask_then_to_wait_and_nothing_where_the_gate_does_it() -> None:
    ask, wait = needing(need("approval")), needing(need("approval"), asked=True)
    by_itself = needing(need("approval"), asked=True, promote="automatic")

    assert next_step(ask, "alias:champion") == "mlflow-rank submit models:/encoder/8 --to alias:champion"
    assert next_step(wait, "alias:champion") == "mlflow-rank promote models:/encoder/8 --to alias:champion --wait 2h"
    assert next_step(by_itself, "alias:champion") is None
