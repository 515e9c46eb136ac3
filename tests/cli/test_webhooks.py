"""`mlflow-rank webhooks`, and what `mlflow-rank server` says of receivers before it starts."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from ledgers import START, new_ledger
from receivers import SECRET, hook, receiving, write_hooks
from servers import free_port

from mlflow_rank.audit import outbox
from mlflow_rank.audit.entry import written
from mlflow_rank.audit.outbox import Letter
from mlflow_rank.cli.main import main
from mlflow_rank.registry.outside.hook_file import WEBHOOKS
from mlflow_rank.workflow.serving import ServerRequest, announcement, launch

Invoke = Callable[..., Result]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place to work in, with the secret of `chat` in the environment."""
    for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("CHAT_SECRET", SECRET)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def webhooks(place: Path) -> Invoke:
    def invoke(verb: str, *words: str) -> Result:
        return CliRunner().invoke(main, ["webhooks", verb, *words])

    return invoke


@pytest.fixture
def database(place: Path) -> str:
    """A ledger with one message that waits for `chat`."""
    engine = new_ledger(place / "mlflow.db")
    at = written(START)
    with engine.begin() as connection:
        outbox.post(connection, [Letter("an-id", 3, "chat", "promoted", '{"id":"an-id"}', 0, at, at)])
    engine.dispose()
    return f"sqlite:///{place / 'mlflow.db'}"


def test_the_receivers_are_listed_without_what_is_secret_in_their_addresses(webhooks: Invoke, database: str) -> None:
    file = str(write_hooks(Path(), hook("https://lab/T0/secret", events=["promoted"], models=["hubert-*"])))

    text = webhooks("list", "--webhooks", file, "--database", database)
    document = webhooks("list", "--webhooks", file, "--json")

    assert text.exit_code == 0
    assert text.stdout == "chat: promoted of hubert-* to https://lab/…; 1 pending\n"
    assert [each["url"] for each in json.loads(document.stdout)] == ["https://lab/…"]
    assert SECRET not in text.output + document.output


def test_a_secret_that_is_missing_is_said_and_ends_with_2(webhooks: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CHAT_SECRET")
    found = webhooks("list", "--webhooks", str(write_hooks(Path(), hook("https://lab"))))

    assert found.exit_code == 2
    assert "chat has no secret to sign with: CHAT_SECRET is not set" in found.stderr


@pytest.mark.parametrize("verb", ["list", "test", "deliver"])
def test_without_a_file_there_is_nobody(webhooks: Invoke, verb: str) -> None:
    found = webhooks(verb)

    assert found.exit_code == 2
    assert "--webhooks FILE" in found.stderr


def test_what_is_wrong_in_the_file_is_said_with_its_place(webhooks: Invoke) -> None:
    found = webhooks("list", "--webhooks", str(write_hooks(Path(), hook("ftp://lab"))))

    assert found.exit_code == 2
    assert found.stderr.startswith("webhooks.yaml:")


def test_a_receiver_is_tried_out_with_a_message_that_says_so(webhooks: Invoke) -> None:
    with receiving() as receiver:
        down = hook(f"http://127.0.0.1:{free_port()}", "down")
        file = str(write_hooks(Path(), hook(receiver.url), down))
        found = webhooks("test", "chat", "--webhooks", file)
        both = webhooks("test", "--webhooks", file)
        nobody = webhooks("test", "nobody", "--webhooks", file)

    assert (found.exit_code, found.stdout) == (0, "chat: taken\n")
    assert receiver.messages[0].said["event"] == "test"
    assert receiver.messages[0].is_signed()
    assert both.exit_code == 1
    assert "down: not taken: ConnectionError: Connection refused" in both.stdout
    assert nobody.exit_code == 2


def test_what_waits_is_delivered_by_hand(webhooks: Invoke, database: str) -> None:
    with receiving() as receiver:
        file = str(write_hooks(Path(), hook(receiver.url)))
        done = [webhooks("deliver", "--webhooks", file, "--database", database) for _ in range(2)]

    assert [each.exit_code for each in done] == [0, 0]
    assert "1 delivered" in done[0].stderr
    assert "0 delivered" in done[1].stderr
    assert [message.id for message in receiver.messages] == ["an-id"]


def test_the_dead_are_shown_and_delivered_again(webhooks: Invoke, database: str) -> None:
    with receiving(0, 410) as receiver:
        file = str(write_hooks(Path(), hook(receiver.url)))
        given_up = webhooks("deliver", "--webhooks", file, "--database", database)
        dead = webhooks("dead", "--database", database)
        document = webhooks("dead", "--database", database, "--json")
        unknown = webhooks("retry", "another", "--database", database)
        again = webhooks("retry", "an-id", "--database", database)
        done = webhooks("deliver", "--webhooks", file, "--database", database)
        none = webhooks("dead", "--database", database)

    assert (given_up.exit_code, "1 dead" in given_up.stderr) == (1, True)
    assert dead.exit_code == 1
    assert dead.stdout.startswith("an-id to chat: promoted, entry 3; attempt 1 since 2026-11-25T12:00:00Z: ")
    assert [each["id"] for each in json.loads(document.stdout)] == ["an-id"]
    assert unknown.exit_code == 2
    assert (again.exit_code, done.exit_code) == (0, 0)
    assert (none.exit_code, none.stdout) == (0, "")
    assert [message.id for message in receiver.messages] == ["an-id", "an-id"]


@pytest.mark.parametrize("words", [(), ("an-id", "--all")])
def test_which_messages_to_deliver_again_has_to_be_said(
    webhooks: Invoke, database: str, words: tuple[str, ...]
) -> None:
    assert webhooks("retry", *words, "--database", database).exit_code == 2


# the server


def said(place: Path, **environment: str) -> str:
    return "\n".join(announcement(launch(ServerRequest(webhooks=place / "webhooks.yaml"), environment)))


def test_a_server_says_who_is_told_and_hands_the_file_on(place: Path) -> None:
    write_hooks(place, hook("https://lab/T0/secret", events=["promoted"]))
    starting = launch(ServerRequest(webhooks=Path("webhooks.yaml")), {})
    text = said(place, CHAT_SECRET=SECRET)

    assert starting.environment[WEBHOOKS] == str(place / "webhooks.yaml")
    assert "webhooks.yaml: 1 (read again whenever they change)\n  chat: promoted of * to https://lab/…" in text
    assert "MENDED" not in text
    assert SECRET not in text


def test_a_receiver_that_cannot_be_signed_for_is_said_loudly(place: Path) -> None:
    write_hooks(place, hook("https://lab"))

    assert "chat GETS NOTHING UNTIL THIS IS MENDED" in said(place)


def test_a_broken_file_is_said_loudly_and_keeps_no_server_from_starting(place: Path) -> None:
    (place / "webhooks.yaml").write_text("hooks: [\n")

    assert "WEBHOOKS ARE NOT SENT, nobody outside is told anything: " in said(place)
