"""Who is told what happens at the gate: trying a receiver out, delivering by hand, and what nobody took."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow_rank.errors import UsageError
from mlflow_rank.registry.outside.hook_file import WEBHOOKS, Hook, HooksInForce, read_hooks

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from mlflow_rank.audit.outbox import Letter
    from mlflow_rank.registry.outside.delivery import Round

TEST = "test"  # an event of its own, so that nobody takes it for one of the gate's


@dataclass(frozen=True, slots=True)
class Receiver:
    """A receiver, why nothing can be signed for it (None where it can), and how many messages it has by state."""

    hook: Hook
    problem: str | None
    messages: Mapping[str, int]

    def document(self) -> dict[str, object]:
        """Return it JSON-ready, with the address up to its host."""
        hook = self.hook
        return {
            "name": hook.name,
            "url": hook.shown,
            "events": hook.events if hook.events == "any" else list(hook.events),
            "models": list(hook.models),
            "problem": self.problem,
            "messages": dict(self.messages),
        }


def named_hooks(path: Path | None) -> tuple[Hook, ...]:
    """Return the receivers of a file.

    Raises:
        UsageError: none is named, or something in it is wrong.
    """
    if path is None:
        raise UsageError("no webhooks are named", expected=f"--webhooks FILE, or {WEBHOOKS} in the environment")
    return read_hooks(path)


def receivers(hooks: Sequence[Hook], database: str | None, environment: Mapping[str, str]) -> list[Receiver]:
    """Return the receivers, with their messages where a database is named.

    Raises:
        UsageError: it cannot be opened.
        LedgerError: there is no ledger in it.
    """
    counted: Mapping[tuple[str, str], int] = {}
    if database:
        from mlflow_rank.audit import outbox
        from mlflow_rank.audit.database import opened

        with opened(database) as engine, engine.connect() as connection:
            counted = outbox.counts(connection)
    return [
        Receiver(
            hook, _problem(hook, environment), {state: n for (name, state), n in counted.items() if name == hook.name}
        )
        for hook in hooks
    ]


def chosen(hooks: Sequence[Hook], names: Collection[str]) -> list[Hook]:
    """Return the receivers of these names, all where there are none.

    Raises:
        UsageError: the file does not name one of them.
    """
    known = {hook.name for hook in hooks}
    for name in names:
        if name not in known:
            raise UsageError("there is no such webhook", got=name, expected=", ".join(sorted(known)))
    return [hook for hook in hooks if not names or hook.name in names]


def try_out(hook: Hook, environment: Mapping[str, str], *, now: datetime) -> str | None:
    """Send a receiver a message that says it is a test, signed as others, and return why it was not taken.

    Raises:
        UsageError: there is no secret to sign it with.
    """
    from mlflow_rank.evidence.canonical import canonical_json
    from mlflow_rank.evidence.making import moment_text
    from mlflow_rank.registry.outside.delivery import send

    named = str(uuid.uuid4())
    said = {"id": named, "event": TEST, "at": moment_text(now), "sentence": "mlflow-rank can reach you"}
    failure = send(hook, hook.secret(environment), named, canonical_json(said).decode(), now)
    return None if failure is None else failure.why


def deliver_once(hooks: Sequence[Hook], database: str) -> Round:
    """Deliver what is due in a registry's database, as the thread of a server does.

    Raises:
        UsageError: it cannot be opened.
        LedgerError: there is no ledger in it.
    """
    from mlflow_rank.registry.outside.delivery import deliver

    with _writing(database) as engine:
        return deliver(engine, HooksInForce(tuple(hooks)))


def dead_letters(database: str) -> list[Letter]:
    """Return the messages that nobody took for too long.

    Raises:
        UsageError: the database cannot be opened.
        LedgerError: there is no ledger in it.
    """
    from mlflow_rank.audit import outbox
    from mlflow_rank.audit.database import opened

    with opened(database) as engine, engine.connect() as connection:
        return outbox.dead(connection)


def retry_dead(database: str, ids: Collection[str] | None, *, now: datetime) -> int:
    """Have dead messages delivered again, all or those of these ids, and return how many.

    Raises:
        UsageError: one of the ids is of no dead message; none is delivered again then.
    """
    from mlflow_rank.audit import outbox

    with _writing(database) as engine, engine.begin() as connection:
        unknown = sorted(set(ids or ()) - {letter.id for letter in outbox.dead(connection)})
        if unknown:
            raise UsageError("no dead message has this id", got=unknown[0], remedy="mlflow-rank webhooks dead")
        return outbox.retry(connection, ids, now)


@contextmanager
def _writing(database: str) -> Iterator[Engine]:
    from mlflow_rank.audit.database import opened

    with opened(database, writes=True) as engine:
        yield engine


def _problem(hook: Hook, environment: Mapping[str, str]) -> str | None:
    try:
        hook.secret(environment)
    except UsageError as error:
        return f"{error.what}: {error.got}"
    return None
