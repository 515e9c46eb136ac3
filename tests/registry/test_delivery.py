"""Messages on their way: signed so that anyone can verify them, tried again, and given up at last."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from ledgers import START, new_ledger
from receivers import SECRET, Receiver, hook, receiving, write_hooks
from servers import free_port
from sqlalchemy import Engine

from mlflow_rank.audit import outbox
from mlflow_rank.audit.entry import written
from mlflow_rank.audit.outbox import DEAD, DELIVERED, PENDING, Letter, Patience
from mlflow_rank.registry.outside.delivery import Round, deliver
from mlflow_rank.registry.outside.hook_file import HooksInForce, hooks_at

ENVIRONMENT = {"CHAT_SECRET": SECRET}


@dataclass
class Post:
    """An outbox, a clock that tests turn, and whoever the file of webhooks names."""

    place: Path
    engine: Engine
    now: datetime = START
    told: HooksInForce = field(default_factory=HooksInForce)

    def names(self, *hooks: dict[str, object]) -> None:
        self.told = hooks_at(write_hooks(self.place, *hooks))
        assert self.told.problem is None

    def posted(self, *hooks: str) -> list[str]:
        at, letters = written(self.now), []
        for number, name in enumerate(hooks):
            named = str(uuid.uuid4())
            letters.append(Letter(named, number, name, "promoted", f'{{"id":"{named}","é":{number}}}', 0, at, at))
        with self.engine.begin() as connection:
            outbox.post(connection, letters)
        return [each.id for each in letters]

    def round(self, patience: Patience | None = None, environment: dict[str, str] | None = None) -> Round:
        secrets = ENVIRONMENT if environment is None else environment
        return deliver(
            self.engine, self.told, clock=lambda: self.now, patience=patience or Patience(), environment=secrets
        )

    def later(self, **by: int) -> None:
        self.now += timedelta(**by)

    def states(self) -> dict[str, int]:
        with self.engine.connect() as connection:
            return {state: count for (_, state), count in outbox.counts(connection).items()}

    def dead(self) -> list[Letter]:
        with self.engine.connect() as connection:
            return outbox.dead(connection)


@pytest.fixture
def post(tmp_path: Path) -> Iterator[Post]:
    engine = new_ledger(tmp_path / "mlflow.db")
    yield Post(tmp_path, engine)
    engine.dispose()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


def test_a_message_comes_once_signed_as_the_specification_has_it(post: Post, receiver: Receiver) -> None:
    post.names(hook(f"{receiver.url}/here?room=1"))
    (sent,) = post.posted("chat")

    assert post.round() == Round(delivered=1)
    assert post.round() == Round()

    (message,) = receiver.messages
    assert (message.path, message.id) == ("/here?room=1", sent)
    assert message.headers["webhook-timestamp"] == str(int(START.timestamp()))
    assert message.headers["content-type"] == "application/json"
    assert message.said == {"id": sent, "é": 0}
    assert message.is_signed()
    assert not message.is_signed(b"another secret of tests")
    assert SECRET not in str(message)


def test_what_is_refused_three_times_comes_the_fourth_time_with_the_same_id(post: Post, receiver: Receiver) -> None:
    receiver.answers += [500, 503, 404]
    post.names(hook(receiver.url))
    post.posted("chat")

    rounds = []
    for _ in range(4):
        rounds.append(post.round())
        post.later(hours=2)

    assert rounds == [Round(failed=1)] * 3 + [Round(delivered=1)]
    assert len({message.id for message in receiver.messages}) == 1
    times = [int(message.headers["webhook-timestamp"]) for message in receiver.messages]
    assert times == sorted(set(times))
    assert all(message.is_signed() for message in receiver.messages)


def test_it_is_not_tried_again_before_its_pause_is_over(post: Post, receiver: Receiver) -> None:
    receiver.answers += [500]
    post.names(hook(receiver.url))
    post.posted("chat")
    post.round()

    post.later(seconds=4)
    assert post.round() == Round()
    post.later(seconds=3)
    assert post.round() == Round(delivered=1)


def test_where_nobody_listens_a_message_dies_in_the_end_and_lives_again_when_asked(post: Post) -> None:
    port = free_port()
    post.names(hook(f"http://127.0.0.1:{port}/T0/secret-path"))
    (sent,) = post.posted("chat")
    for _ in range(12):
        assert post.states() == {PENDING: 1}
        post.round()
        post.later(hours=2)

    assert post.states() == {DEAD: 1}
    assert post.round() == Round()
    (letter,) = post.dead()
    assert (letter.id, letter.attempts) == (sent, 12)
    assert letter.error == "ConnectionError: Connection refused"

    with receiving(port) as receiver, post.engine.begin() as connection:
        outbox.retry(connection, None, post.now)
        connection.commit()
        assert post.round() == Round(delivered=1)
        assert receiver.messages[0].id == sent


def test_a_redirect_is_not_followed(post: Post, receiver: Receiver) -> None:
    receiver.answers += [302]
    post.names(hook(receiver.url))
    post.posted("chat")

    assert post.round(Patience(attempts=1)) == Round(dead=1)
    assert [message.path for message in receiver.messages] == ["/"]
    assert "redirect" in str(post.dead()[0].error)


def test_a_receiver_that_is_gone_for_good_is_asked_once(post: Post, receiver: Receiver) -> None:
    receiver.answers += [410]
    post.names(hook(receiver.url))
    post.posted("chat")

    assert post.round() == Round(dead=1)


def test_a_receiver_that_fails_holds_up_nobody_else(post: Post, receiver: Receiver) -> None:
    post.names(hook(f"http://127.0.0.1:{free_port()}", "down"), hook(receiver.url, "up"))
    post.posted("down", "down", "up", "down", "up")

    assert post.round() == Round(delivered=2, failed=1)


@pytest.mark.parametrize("environment", [{}, {"CHAT_SECRET": "short"}])
def test_without_a_secret_nothing_is_sent_and_nothing_lost(
    post: Post, receiver: Receiver, environment: dict[str, str]
) -> None:
    post.names(hook(receiver.url))
    post.posted("chat")

    assert post.round(environment=environment) == Round(failed=1)
    assert receiver.messages == []
    post.later(seconds=10)
    assert post.round() == Round(delivered=1)


def test_messages_of_a_receiver_that_was_struck_out_are_not_sent_elsewhere(post: Post, receiver: Receiver) -> None:
    post.names(hook(receiver.url, "other"))
    post.posted("chat")

    assert post.round(Patience(attempts=1)) == Round(dead=1)
    assert receiver.messages == []
    assert post.dead()[0].error == "the file of webhooks names no chat"


def test_while_the_file_is_broken_everything_waits(post: Post, receiver: Receiver) -> None:
    post.names(hook(receiver.url))
    post.posted("chat")
    (post.place / "webhooks.yaml").write_text("hooks: [")
    post.told = hooks_at(post.place / "webhooks.yaml")

    assert post.round() == Round()
    post.names(hook(receiver.url))
    assert post.round() == Round(delivered=1)


def test_it_stops_between_two_messages_when_it_is_asked_to(post: Post, receiver: Receiver) -> None:
    post.names(hook(receiver.url))
    post.posted("chat", "chat")
    done = deliver(
        post.engine,
        post.told,
        clock=lambda: post.now,
        environment=ENVIRONMENT,
        stopping=lambda: bool(receiver.messages),
    )

    assert done == Round(delivered=1)
    assert post.states() == {DELIVERED: 1, PENDING: 1}
