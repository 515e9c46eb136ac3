"""Taking messages to their receivers over HTTP, signed as the Standard Webhooks specification has it.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md: the headers `webhook-id`,
`webhook-timestamp` (seconds since 1970, of this attempt) and `webhook-signature` (`v1,` and the base64 of HMAC-SHA256
over `id.timestamp.body`). The receiver's libraries verify it as they verify others.

Addresses come from a file that only who runs the server writes, so private ones are allowed. No redirect is followed.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from mlflow_rank import __version__
from mlflow_rank.audit import outbox
from mlflow_rank.audit.outbox import DEAD, Letter, Patience
from mlflow_rank.errors import MlflowRankError
from mlflow_rank.registry.outside.hook_file import Hook, HooksInForce

if TYPE_CHECKING:
    from sqlalchemy import Engine

TIMEOUT = 10.0  # seconds for a receiver to take a connection, and again to answer; it should answer first and work then
MOST_AT_ONCE = 1000  # messages of one round, after which others of the thread's chores have their turn
GONE = 410  # a receiver says that it will never want anything again, and the specification says to believe it
Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a message was not taken, without the address, which may hold what is secret."""

    why: str
    for_good: bool = False


@dataclass(frozen=True, slots=True)
class Round:
    """How many messages were delivered, failed and will be tried again, or died."""

    delivered: int = 0
    failed: int = 0
    dead: int = 0


def deliver(
    engine: Engine,
    told: HooksInForce,
    *,
    clock: Clock = lambda: datetime.now(UTC),
    patience: Patience = Patience(),  # noqa: B008 -- frozen
    stopping: Callable[[], bool] = lambda: False,
    environment: Mapping[str, str] | None = None,
) -> Round:
    """Deliver what is due, each message in two short transactions with the delivery between them.

    A receiver that fails is left alone until the next round, so that it holds up nobody else. Where the file of
    webhooks cannot be used, everything waits.

    Args:
        engine: of the registry's database.
        told: the receivers.
        clock: the time, with its zone.
        patience: how long a message is tried.
        stopping: asked before each message whether to end.
        environment: that holds secrets; this process's where it is None.
    """
    done, failing = Round(), set[str]()
    if told.problem is not None:
        return done
    secrets = os.environ if environment is None else environment
    for _ in range(MOST_AT_ONCE):
        if stopping():
            break
        with engine.begin() as connection:
            letter = outbox.take(connection, clock(), leaving_out=failing)
        if letter is None:
            break
        failure = _attempt(letter, told, secrets, clock())
        with engine.begin() as connection:
            if failure is None:
                outbox.delivered(connection, letter)
                done = replace(done, delivered=done.delivered + 1)
                continue
            draw = random.random()  # noqa: S311 -- of a pause
            state = outbox.failed(connection, letter, failure.why, clock(), patience, draw, for_good=failure.for_good)
        failing.add(letter.hook)
        done = replace(done, dead=done.dead + 1) if state == DEAD else replace(done, failed=done.failed + 1)
    if done.delivered:
        with engine.begin() as connection:
            outbox.forget_delivered(connection, clock())
    return done


def send(hook: Hook, secret: bytes, message_id: str, body: str, now: datetime) -> Failure | None:
    """Send one message, and return why it was not taken; None where it was (any 2xx)."""
    import requests

    timestamp = str(int(now.timestamp()))
    headers = {
        "Content-Type": "application/json",
        "User-Agent": f"mlflow-rank/{__version__}",
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": signature(secret, message_id, timestamp, body),
    }
    try:
        with requests.post(
            hook.url, data=body.encode(), headers=headers, timeout=TIMEOUT, allow_redirects=False, stream=True
        ) as answer:  # a stream: what it answers is not read
            status = answer.status_code
    except (requests.RequestException, OSError, ValueError) as error:
        return Failure(_cause(error))
    if 200 <= status < 300:
        return None
    redirected = ", a redirect, which is not followed" if 300 <= status < 400 else ""
    return Failure(f"the receiver answers {status}{redirected}", for_good=status == GONE)


def signature(secret: bytes, message_id: str, timestamp: str, body: str) -> str:
    """Return the signature of a message.

    >>> signature(b"a secret of sixteen", "msg", "1", "{}")
    'v1,wI2YNb7+QosCshmRt8UN8y5j9coIZF4Cgqo0g3X9C90='
    """
    mac = hmac.new(secret, f"{message_id}.{timestamp}.{body}".encode(), hashlib.sha256)
    return f"v1,{base64.b64encode(mac.digest()).decode()}"


def _attempt(letter: Letter, told: HooksInForce, environment: Mapping[str, str], now: datetime) -> Failure | None:
    hook = told.named(letter.hook)
    if hook is None:
        return Failure(f"the file of webhooks names no {letter.hook}")
    try:
        secret = hook.secret(environment)
    except MlflowRankError as error:
        return Failure(f"{error.what}: {error.got}")
    return send(hook, secret, letter.id, letter.payload, now)


def _cause(error: BaseException) -> str:
    """Return the kind of an error and the operating system's own words: what libraries add holds addresses."""
    told: str | None = None
    inner: BaseException | None = error
    for _ in range(10):  # deeper than any library wraps
        if isinstance(inner, OSError) and inner.strerror:
            told = inner.strerror
        inner = (inner.__cause__ or inner.__context__ or _reason(inner)) if inner is not None else None
    return f"{type(error).__name__}: {told}" if told else type(error).__name__


def _reason(error: BaseException) -> BaseException | None:
    """Return the error that one of urllib3's holds without saying that it comes from it."""
    held = getattr(error, "reason", None) or next(iter(error.args), None)
    return held if isinstance(held, BaseException) else None
