"""What the outside is told by a real gate and a real server: after the commit, whatever ends in between."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from filed import Desk, key_of
from gated import MODEL, Hall
from mlflow.exceptions import MlflowException
from promotions import ALIAS, approved_versions, asking_for_a_pilot, files_of, promote, rules
from receivers import SECRET, Receiver, hook, receiving, write_hooks
from servers import Database, Server, Site, Sqlite, serving

from mlflow_rank.audit.tables import outbox_table
from mlflow_rank.evidence.testimony import approval_statement
from mlflow_rank.registry.outside.delivery import deliver
from mlflow_rank.registry.outside.hook_file import WEBHOOKS, hooks_in_force
from mlflow_rank.registry.outside.mlflow_webhooks import alias_moved
from mlflow_rank.workflow.evidencing import sealed

CHAMPION = f"alias:{ALIAS}"


# in this process


@pytest.fixture(scope="module")
def hall(tmp_path_factory: pytest.TempPathFactory, sqlite: Sqlite) -> Iterator[Hall]:
    """A gate that tells everything to nobody's address; tests look into its outbox."""
    place = tmp_path_factory.mktemp("hall")
    with pytest.MonkeyPatch.context() as patch:
        shutil.copy(sqlite.new().file, place / "mlflow.db")
        patch.setenv(WEBHOOKS, str(write_hooks(place, hook("http://127.0.0.1:9"))))
        patch.setenv("CHAT_SECRET", SECRET)
        hall = Hall.built(place, patch)
        yield hall
        hall.store._dispose_engine()


@pytest.fixture
def told(hall: Hall) -> Any:
    """What was posted since the last question."""
    seen = {row.id for row in rows(hall)}

    def news() -> list[dict[str, Any]]:
        found = [row for row in rows(hall) if row.id not in seen]
        seen.update(row.id for row in found)
        return [json.loads(row.payload) for row in found]

    return news


def rows(hall: Hall) -> list[Any]:
    with hall.store.engine.connect() as connection:
        return list(connection.execute(outbox_table.select().order_by(outbox_table.c.number)))


def word(hall: Hall, version: str, verdict: str, by: str = "ann") -> Path:
    request = {
        "model": MODEL, "version": version, "workspace": "default", "target": CHAMPION, "digest": hall.desk.digest,
        "policies": [f"sha256:{'a' * 64}"], "evidence_digest": f"sha256:{'b' * 64}",
    }  # fmt: skip
    now = datetime.now(UTC)
    said = approval_statement(
        request, verdict=verdict, comment="what I think stays inside", now=now, expires_at=now + timedelta(days=1)
    )
    return hall.desk.write(f"words/{verdict}_{version}.dsse.json", sealed(said, key_of(by)))


def test_a_promotion_is_told_with_its_entry_and_its_decision(hall: Hall, told: Any) -> None:
    version = hall.proved()
    assert told() == []

    hall.store.set_registered_model_alias(MODEL, ALIAS, version)

    (message,) = told()
    decision, change = hall.entries()[-2:]
    assert (message["event"], message["version"], message["target"]) == ("promoted", version, CHAMPION)
    assert message["decision"] == decision.reference
    assert message["ledger"] == {"number": change.number, "hash": change.hash}
    assert message["actor"]["verified"] is False
    assert not {"evidence", "envelope", "origin"} & set(message)


def test_a_refusal_is_told_once_in_the_words_of_the_refusal(hall: Hall, told: Any) -> None:
    version = hall.version()
    with pytest.raises(MlflowException) as refused:
        hall.store.set_registered_model_alias(MODEL, ALIAS, version)

    (message,) = told()
    assert message["event"] == "refused"
    assert message["sentence"] == refused.value.message[:300]
    assert refused.value.message.endswith(message["decision"])


def test_a_call_that_is_taken_back_is_told_as_refused_and_as_nothing_else(hall: Hall, told: Any) -> None:
    hall.store.set_registered_model_alias(MODEL, ALIAS, hall.proved())
    told()
    with pytest.raises(MlflowException):
        hall.store.delete_registered_model_alias(MODEL, ALIAS)

    assert [message["event"] for message in told()] == ["refused"]


@pytest.mark.parametrize(("verdict", "event"), [("approve", "approved"), ("reject", "refused")])
def test_a_reviewers_word_is_told_without_the_comment(hall: Hall, told: Any, verdict: str, event: str) -> None:
    version = hall.version()
    hall.submit(version, word(hall, version, verdict))

    (message,) = told()
    assert (message["event"], message["by"], message["version"]) == (event, ["ann"], version)
    assert message["target"] == CHAMPION
    assert "stays inside" not in json.dumps(message)


def test_a_broken_file_shuts_no_gate_and_is_recorded_once(hall: Hall, told: Any) -> None:
    path = hall.desk.place / "webhooks.yaml"
    whole = path.read_text()
    path.write_text("apiVersion: mlflow-rank/v1\nkind: Webhook\n")
    try:
        for _ in range(2):
            version = hall.proved()
            hall.store.set_registered_model_alias(MODEL, ALIAS, version)
            assert hall.champion() == version
        assert told() == []
        (finding,) = hall.entries("finding")
        assert "webhooks.yaml:2" in str(finding.content["sentence"])
    finally:
        path.write_text(whole)
    hall.store.set_registered_model_alias(MODEL, ALIAS, hall.proved())
    assert [message["event"] for message in told()] == ["promoted"]


def test_what_the_gate_moves_itself_is_told_by_mlflows_webhooks_too(
    hall: Hall, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.entities.webhook import WebhookAction, WebhookEntity, WebhookEvent
    from mlflow.webhooks import delivery

    monkeypatch.setenv("MLFLOW_WEBHOOK_ALLOWED_SCHEMES", "http")
    monkeypatch.setenv("MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS", "true")
    monkeypatch.setattr(delivery, "_webhook_cache", None)  # which may remember another test's store
    created = WebhookEvent(WebhookEntity.MODEL_VERSION_ALIAS, WebhookAction.CREATED)
    with receiving() as receiver:
        hall.store.create_webhook("theirs", f"{receiver.url}/theirs", [created])
        alias_moved(hall.store, MODEL, ALIAS, "3")
        receiver.wait_for(lambda messages: messages)
    said = receiver.messages[0].said
    assert (said["entity"], said["action"]) == ("model_version_alias", "created")
    assert said["data"] == {"name": MODEL, "alias": ALIAS, "version": "3"}
    monkeypatch.setattr(delivery, "_webhook_cache", None)


def test_what_a_gate_without_a_server_posted_is_delivered_by_whoever_comes(hall: Hall, told: Any) -> None:
    hall.store.set_registered_model_alias(MODEL, ALIAS, hall.proved())
    (message,) = told()
    with receiving() as receiver:
        write_hooks(hall.desk.place, hook(receiver.url))
        for _ in range(2):
            deliver(hall.store.engine, hooks_in_force(), clock=lambda: datetime.now(UTC) + timedelta(days=2))
        write_hooks(hall.desk.place, hook("http://127.0.0.1:9"))

    assert [each.id for each in receiver.messages].count(message["id"]) == 1


# a real server


def events(receiver: Receiver, path: str) -> list[Any]:
    return [message.said for message in receiver.messages if message.path == path]


def pass_time(database: Database) -> None:
    """Let leases run out and pauses end."""
    with closing(sqlite3.connect(database.file)) as connection, connection:
        connection.execute("UPDATE rank_outbox SET next_at = made_at WHERE state = 'pending'")


def kill(server: Server) -> None:
    os.killpg(server.process.pid, signal.SIGKILL)
    server.process.wait()


def test_a_servers_promotion_is_told_by_both_kinds_of_webhook_and_again_after_it_was_killed(
    tmp_path: Path, sqlite: Sqlite
) -> None:
    desk, database = Desk.laid(tmp_path), sqlite.new()
    with receiving() as receiver:
        environment = rules(desk, asking_for_a_pilot()) | {
            WEBHOOKS: str(write_hooks(tmp_path, hook(f"{receiver.url}/ours"))),
            "CHAT_SECRET": SECRET,
            "MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "http",
            "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS": "true",
        }
        site = Site(tmp_path / "server", database, app="mlflow-rank", environment=environment)
        with serving(site) as [server]:
            created = {
                "name": "theirs",
                "url": f"{receiver.url}/theirs",
                "events": [{"entity": "MODEL_VERSION_ALIAS", "action": "CREATED"}],
            }
            answer = server.call("POST", "webhooks", created)
            assert answer.status == 200, answer.text
            first, second = approved_versions(server, desk, files_of(server, desk), 2)

            assert promote(server, first).status == 200
            receiver.wait_for(lambda _: events(receiver, "/ours") and events(receiver, "/theirs"))
            (ours,) = [message for message in receiver.messages if message.path == "/ours"]
            assert ours.is_signed()
            assert (ours.said["event"], ours.said["version"]) == ("promoted", first)
            (theirs,) = events(receiver, "/theirs")
            assert theirs["data"] == {"name": MODEL, "alias": ALIAS, "version": first}

            receiver.messages.clear()
            receiver.held.clear()  # it hears, and does not say so
            assert promote(server, second).status == 200
            receiver.wait_for(lambda _: events(receiver, "/ours"))
            kill(server)
        receiver.held.set()
        pass_time(database)
        with serving(site):
            receiver.wait_for(lambda _: len(events(receiver, "/ours")) == 2)
        again = [message for message in receiver.messages if message.path == "/ours"]
        assert {message.said["version"] for message in again} == {second}
        assert len({message.id for message in again}) == 1
        assert all(message.is_signed() for message in again)
    with closing(sqlite3.connect(database.file)) as connection:
        states = connection.execute("SELECT state, count(*) FROM rank_outbox GROUP BY state").fetchall()
    assert states == [("delivered", 2)]
