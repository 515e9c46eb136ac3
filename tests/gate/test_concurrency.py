"""Many clients at the same door: one wins, nobody is told anything untrue, and the ledger explains how it came."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from promotions import ALIAS, MODEL, Kept, promote

if TYPE_CHECKING:
    from servers import Answer

pytestmark = pytest.mark.xdist_group("gate servers")
CLIENTS = 8


def test_of_promotions_at_once_one_wins_and_the_ledger_explains_it(registry) -> None:
    before = Kept.of(registry.database)
    with ThreadPoolExecutor(CLIENTS) as clients:
        answers = list(clients.map(lambda version: promote(registry.server, version), registry.versions * 4))
    assert [answer.text for answer in answers if answer.status != 200] == []
    after = Kept.of(registry.database).explained()
    assert len(after.changes) - len(before.changes) == len(answers)  # none twice, none unrecorded
    winner = registry.server.call("GET", f"registered-models/alias?name={MODEL}&alias={ALIAS}")
    assert winner.body["model_version"]["version"] == after.moves[-1]["after"]


def test_a_version_that_is_deleted_while_it_is_promoted_is_either_gone_or_champion(registry) -> None:
    standing, *others = registry.versions
    assert promote(registry.server, standing).status == 200
    extra = registry.more_versions(3)

    def delete(version: str) -> Answer:
        return registry.server.call("DELETE", "model-versions/delete", {"name": MODEL, "version": version})

    with ThreadPoolExecutor(CLIENTS) as clients:
        for version in extra:
            promoting = [clients.submit(promote, registry.server, each) for each in (version, *others[:2])]
            deleting = [clients.submit(delete, version) for _ in range(2)]
            promoted, deleted = promoting[0].result(), [each.result() for each in deleting]
            assert {each.result().status for each in promoting[1:]} == {200}
            assert promoted.status in (200, 404), promoted.text
            assert all(each.status in (200, 403, 404) for each in deleted), [each.text for each in deleted]
            kept = Kept.of(registry.database).explained()
            champion = kept.aliases[MODEL, f"alias:{ALIAS}"]
            found = registry.server.call("GET", f"model-versions/get?name={MODEL}&version={champion}")
            assert found.status == 200, found.text  # the champion is a version that exists


def test_different_doors_at_once_wait_for_one_another_and_never_for_ever(registry) -> None:
    def open_door(number: int) -> Answer:
        version = registry.versions[number % len(registry.versions)]
        body = {"name": MODEL, "version": version}
        match number % 4:
            case 0:
                return promote(registry.server, version)
            case 1:
                tag = body | {"key": f"note {number}", "value": "x"}  # MLflow itself fails for one key at once
                return registry.server.call("POST", "model-versions/set-tag", tag)
            case 2:  # of a protected alias: refused, and recorded
                return registry.server.call("DELETE", "registered-models/alias", {"name": MODEL, "alias": ALIAS})
            case _:
                return registry.server.call("PATCH", "model-versions/update", body | {"description": str(number)})

    assert promote(registry.server, registry.versions[0]).status == 200
    with ThreadPoolExecutor(CLIENTS) as clients:
        answers = list(clients.map(open_door, range(48)))
    assert [answer.status for answer in answers] == [200, 200, 403, 200] * 12, [
        answer.text for answer in answers if answer.status not in (200, 403)
    ]
    Kept.of(registry.database).explained()
