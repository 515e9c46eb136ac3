"""What a gate says of itself is judged: each thing that is not as it should be changes exactly its own check."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlflow_rank.registry.clients.health_client import Examined
from mlflow_rank.registry.clients.health_document import read_health
from mlflow_rank.registry.server.checkup import Check, Checkup, worst_first
from mlflow_rank.workflow.vital_signs import clock, vital_signs

POLICY = {
    "name": "speech", "revision": 3, "digest": f"sha256:{'0' * 64}", "mode": "enforce", "promote": "manual",
    "models": ["hubert-*"], "targets": "any", "ungated_aliases": [],
}  # fmt: skip
SOUND: Mapping[str, Any] = {
    "mlflow_rank": "0.1.0",
    "mlflow": "3.17.2",
    "now": "2026-11-26T12:00:00+00:00",
    "serving": {
        "scheme": "rank+sqlite", "store": "GatedStore", "database": "sqlite", "server": True, "authenticated": True,
        "workers": 2,
    },
    "doors": {"known": 47, "undecided": []},
    "rules": {"digest": "sha256:1", "problems": [], "policies": [POLICY], "exemptions": []},
    "trust": {"keys": 2, "roles": {"gate": 1, "measurer": 1}, "ending": []},
    "gate_key": {"present": True, "problem": None},
    "ledger": {
        "revision": "0004", "prepared": True, "problem": None, "size": 9, "at": "2026-11-26T11:59:00+00:00",
        "back": None,
    },
    "triggers": {"supported": True, "stands": True, "wanted": True, "gate_open": False, "lacking": 0},
    "webhooks": {"hooks": 1, "problem": None, "without_secret": [], "dead": 0},
    "open": {"break_glass": 0, "overdue": 0, "expired": 0, "flags": 0, "named": []},
    "deviations": {"count": 0, "sentences": []},
    "canary": {"name": "hubert-rank-canary-0", "refused": ["alias:champion", "stage:Production"], "governed": True},
}  # fmt: skip


def checks(place: str | None = None, value: object = None) -> list[Check]:
    """What is said of a sound gate in which one field is another."""
    body: Any = copy.deepcopy(SOUND)
    if place is not None:
        *way, last = place.split(".")
        part = body
        for name in way:
            part = part[name]
        part[last] = value
    return list(vital_signs(Examined(read_health(body), timedelta(seconds=1), timedelta(seconds=2))))


def test_a_sound_gate_has_nothing_to_be_done() -> None:
    found = checks()

    assert {each.state for each in found} == {"ok"}
    assert {each.remedy for each in found} == {""}
    assert len(found) == 12


@pytest.mark.parametrize(
    ("place", "value", "name", "state", "said"),
    [
        ("doors.undecided", ["move_alias"], "plugin", "fail", "move_alias of MLflow's registry"),
        ("serving.scheme", "sqlite", "plugin", "fail", "without rank+"),
        ("rules.problems", ["speech.yaml:3:7: mode: no"], "policies", "fail", "speech.yaml:3:7: mode: no"),
        ("rules.policies", [], "policies", "fail", "there is no policy"),
        ("rules.policies", [POLICY | {"mode": "audit"}], "policy mode", "warn", "speech (mode audit)"),
        ("rules.exemptions", [{"name": "all", "models": ["*"]}], "exemptions", "warn", "all leaves alone"),
        ("trust.keys", 0, "trust", "fail", "nobody's key"),
        (
            "trust.ending",
            [{"name": "ann", "key": "sha256:2", "at": "2026-11-01T00:00:00+00:00", "ended": True}],
            "trust",
            "warn",
            "1 keys have ended, 0 end",
        ),
        ("gate_key.present", False, "gate key", "warn", "not signed"),
        ("gate_key.problem", "the trust file does not name it", "gate key", "fail", "does not name it"),
        ("ledger.prepared", False, "ledger", "fail", "older than this version"),
        ("ledger.problem", "made by a newer version", "ledger", "fail", "made by a newer version"),
        ("ledger.at", "2026-11-26T12:06:00+00:00", "ledger's time", "fail", "the gate's clock says"),
        ("ledger.back", {"number": 8, "seconds": 31.0}, "ledger's time", "warn", "entry 8 is 31 s older"),
        ("triggers.supported", False, "triggers", "warn", "no second wall for sqlite"),
        ("triggers.gate_open", True, "triggers", "fail", "left set"),
        ("webhooks.problem", "hooks.yaml:1:1: no", "webhooks", "warn", "hooks.yaml:1:1: no"),
        ("webhooks.without_secret", ["chat"], "webhooks", "warn", "chat gets nothing"),
        ("webhooks.dead", 3, "webhooks", "warn", "3 messages"),
        ("serving.server", False, "seal", "warn", "no server stands before the files"),
        ("open.break_glass", 1, "break-glass", "warn", "in place without approval: 1"),
        ("open.overdue", 1, "break-glass", "fail", "overdue: 1"),
        ("open.flags", 2, "flags", "warn", "speaks against: 2"),
        ("deviations.count", 1, "reconcile", "fail", "somebody went round the gate"),
    ],
)
def test_each_fault_is_found_by_name_with_a_remedy(place: str, value: object, name: str, state: str, said: str) -> None:
    wrong = [each for each in checks(place, value) if each.state != "ok"]

    assert [(each.name, each.state) for each in wrong] == [(name, state)]
    assert said in wrong[0].sentence
    assert wrong[0].remedy


@pytest.mark.parametrize(("stands", "wanted", "state"), [(False, True, "fail"), (False, False, "warn")])
def test_triggers_that_went_missing_are_worse_than_none(stands: bool, wanted: bool, state: str) -> None:
    value = {"supported": True, "stands": stands, "wanted": wanted, "gate_open": False, "lacking": 23}

    assert [each.state for each in checks("triggers", value) if each.name == "triggers"] == [state]


@pytest.mark.parametrize(
    ("ahead", "state"),
    [(29, "ok"), (-29, "ok"), (32, "warn"), (-32, "warn"), (299, "warn"), (302, "fail"), (-302, "fail")],
)
def test_clocks_that_differ_are_told(ahead: int, state: str) -> None:
    assert clock(timedelta(seconds=ahead), timedelta(seconds=2)).state == state


@given(ahead=st.integers(-1000, 1000), took=st.integers(0, 2000))
def test_an_answer_that_took_long_never_makes_a_clock_wrong(ahead: int, took: int) -> None:
    worst = {"ok": 0, "warn": 1, "fail": 2}

    at_once, late = (clock(timedelta(seconds=ahead), timedelta(seconds=each)) for each in (0, took))

    assert worst[late.state] <= worst[at_once.state]


STATES = st.sampled_from(["ok", "warn", "fail", "unknown"])


@given(states=st.lists(STATES, min_size=1), around=st.lists(STATES))
def test_the_exit_code_is_that_of_the_worst(states: list[Any], around: list[Any]) -> None:
    listed = [[Check(str(number), state, "") for number, state in enumerate(each)] for each in (states, around)]
    every = {*states, *around}

    code = Checkup("here", *listed).exit_code

    assert code == (1 if "fail" in every else 3 if "unknown" in every else 0)
    ordered = [each.state for each in worst_first(listed[0])]
    assert sorted(ordered, key=["fail", "unknown", "warn", "ok"].index) == ordered
