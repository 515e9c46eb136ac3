"""What a gate says of itself, for whoever wants to know whether it is shut: no secrets, and no places of files."""

from __future__ import annotations

import os
import re
import secrets
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import select, text

import mlflow_rank
from mlflow_rank.audit import ledger, outbox, triggers
from mlflow_rank.audit.entry import Entry
from mlflow_rank.audit.lookups import placed_on
from mlflow_rank.audit.matters import open_matters
from mlflow_rank.audit.migrating import VERSION_TABLE, is_prepared
from mlflow_rank.audit.reconcile import Finding, reconcile
from mlflow_rank.audit.tables import ledger_table
from mlflow_rank.errors import MlflowRankError, UsageError
from mlflow_rank.policy.exemption import Exemption
from mlflow_rank.policy.model import PromotionPolicy
from mlflow_rank.policy.scope import standing
from mlflow_rank.registry.gate.basis import BREAK_GLASS
from mlflow_rank.registry.gate.doors import DOORS, undecided_methods
from mlflow_rank.registry.gate.placed import placed
from mlflow_rank.registry.gate.prompts import is_really_a_prompt
from mlflow_rank.registry.outside.hook_file import hooks_in_force
from mlflow_rank.registry.server.canary_name import canary_name

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.orm import Session

    from mlflow_rank.registry.gate.gate import Gate
    from mlflow_rank.registry.gate.rules_in_force import RulesInForce

Document = dict[str, Any]
Readable = Callable[[str], bool]
SOON = timedelta(days=30)  # before the end of a key in which a new one is to be made
_LOOKED_AT = 1000  # entries at the end of a ledger whose times are compared
_MOST_NAMED = 20  # of anything
_PLACE = re.compile(r"/(?:[^\s/:,;'\"]+/)+")  # directories of a path


@dataclass(frozen=True, slots=True)
class Serving:
    """How a store is reached: whether by `mlflow-rank server`, which seals files, and whether that knows its users."""

    scheme: str
    server: bool = False
    authenticated: bool = False


def health(store: Any, serving: Serving, readable: Readable = lambda _: True) -> Document:
    """Return what the gate of a store says of itself, JSON-ready.

    Args:
        store: with the gate.
        serving: how it is reached.
        readable: says of a model whether who asks may hear of it; what concerns others is only counted.
    """
    import mlflow

    gate: Gate = store.gate
    rules, now, workspace = gate.rules(), gate.clock(), store._get_active_workspace()
    with gate.sessions.reading() as session:
        connection = session.connection()
        about = _Told(session, workspace, readable)
        said: Document = {
            "mlflow_rank": mlflow_rank.__version__,
            "mlflow": mlflow.__version__,
            "now": now.isoformat(),
            "serving": {
                "scheme": serving.scheme, "store": type(store).__name__, "database": connection.dialect.name,
                "server": serving.server, "authenticated": serving.authenticated, "workers": _workers(),
            },
            "doors": {"known": len(DOORS), "undecided": undecided_methods(store.base)},
            "rules": _rules(rules),
            "trust": _trust(rules, now),
            "gate_key": _gate_key(rules, now),
            "ledger": _ledger(connection),
            "triggers": _triggers(connection),
            "webhooks": _webhooks(connection),
            "open": about.matters(now),
        }  # fmt: skip
        found = about.deviations(rules)
    if found:  # whoever moves something at this very moment is between the two tables that are compared
        with gate.sessions.reading() as session:
            again = set(_Told(session, workspace, readable).deviations(rules))
        found = [each for each in found if each in again]
    mine = [each.sentence for each in found if each.workspace == workspace and readable(each.model)]
    said["deviations"] = {"count": len(found), "sentences": mine[:_MOST_NAMED]}
    policies = [policy for _, policy in rules.policies]
    said["canary"] = canary_name(policies, secrets.token_hex(4)).document()
    return said


@dataclass(frozen=True, slots=True)
class _Told:
    """What is told of models: to whom they are nothing, only how many there are."""

    session: Session
    workspace: str
    readable: Readable

    def matters(self, now: datetime) -> Document:
        connection = self.session.connection()
        glasses, flags = (open_matters(connection, kind=kind) for kind in ("break_glass", "flag"))
        overdue = [
            each for each in glasses if _passed(_said(ledger.entry_at(connection, each.number), "review_by"), now)
        ]
        there = placed_on(connection, BREAK_GLASS)
        broke = (ledger.find(connection, "break_glass", str(each.decision)) for each in there)
        expired = [entry for entry in broke if _passed(_said(entry, "expires_at"), now)]
        held = {(*each.key[:2], each.version, each.target) for each in ledger.placements(connection)}
        flags = [each for each in flags if each.key[:4] in held]  # what was taken away since harms nobody
        named = [
            f"{each.model}/{each.version} at {each.target}"
            for each in glasses
            if each.workspace == self.workspace and self.readable(each.model)
        ]
        counts = {"break_glass": len(glasses), "overdue": len(overdue), "expired": len(expired), "flags": len(flags)}
        return counts | {"named": named[:_MOST_NAMED]}

    def deviations(self, rules: RulesInForce) -> list[Finding]:
        """Return where the registry disagrees with the ledger, prompts aside."""
        connection, policies = self.session.connection(), [policy for _, policy in rules.policies]
        known = {each.key: each.version for each in ledger.placements(connection)}
        found = reconcile(
            known, placed(connection), lambda _, model, target: not standing(policies, model, target).left_alone
        )
        return [each for each in found if not is_really_a_prompt(self.session, each.workspace, each.model)]


def _rules(rules: RulesInForce) -> Document:
    policies = [
        {
            "name": each.metadata.name, "revision": each.metadata.revision, "digest": each.digest, "mode": each.mode,
            "promote": each.promote, "models": list(each.match.models),
            "targets": each.match.targets if isinstance(each.match.targets, str) else list(each.match.targets),
            "ungated_aliases": list(each.match.ungated_aliases),
        }
        for _, each in rules.policies
        if isinstance(each, PromotionPolicy)
    ]  # fmt: skip
    exempt = [
        {"name": each.metadata.name, "models": list(each.models)}
        for _, each in rules.policies
        if isinstance(each, Exemption)
    ]
    problems = [_PLACE.sub("", each) for each in rules.problems]
    return {"digest": rules.digest, "problems": problems, "policies": policies, "exemptions": exempt}


def _trust(rules: RulesInForce, now: datetime) -> Document:
    roles = Counter(role for each in rules.trust.people(now) for role in each.roles)
    ends = [(each.signer.name, each.key.key_id, each.ended_at) for each in rules.trust.keys if not each.revoked]
    listed = [
        {"name": name, "key": key, "at": end.isoformat(), "ended": end <= now}
        for name, key, end in ends
        if end is not None and end <= now + SOON
    ]
    return {"keys": len(rules.trust.keys), "roles": dict(sorted(roles.items())), "ending": listed}


def _gate_key(rules: RulesInForce, now: datetime) -> Document:
    """Return whether decisions are signed, and why those who trust this gate's trust would not believe them."""
    if rules.key is None:
        return {"present": False, "problem": None}
    mine = next((each for each in rules.trust.keys if each.key.raw == rules.key.public.raw), None)
    if mine is None:
        return {"present": True, "problem": "the trust file does not name it"}
    if "gate" not in mine.roles:
        return {"present": True, "problem": f"the trust file gives it the roles {', '.join(mine.roles)}, and not gate"}
    begun = mine.valid_from is None or mine.valid_from.moment <= now
    if not begun or (mine.ended_at is not None and mine.ended_at <= now):
        return {"present": True, "problem": "by the trust file it is not in force now"}
    return {"present": True, "problem": None}


def _ledger(connection: Connection) -> Document:
    revision = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()  # noqa: S608 -- our own
    try:
        prepared, problem = is_prepared(connection), None
        size = ledger.head_of(connection).size
    except MlflowRankError as error:
        return {"revision": revision, "prepared": False, "problem": error.what, "size": None, "at": None, "back": None}
    columns = ledger_table.c
    last = select(columns.number, columns.at).order_by(columns.number.desc()).limit(_LOOKED_AT)
    times = [(number, datetime.fromisoformat(at)) for number, at in connection.execute(last)]
    at = times[0][1].isoformat() if times else None
    said = {"revision": revision, "prepared": prepared, "problem": problem, "size": size, "at": at}
    return said | {"back": next(_went_back(times), None)}


def _went_back(times: list[tuple[int, datetime]]) -> Iterator[Document]:
    """Yield entries that are older than the one before them, the newest first."""
    for (number, at), (_, before) in pairwise(times):
        if at < before:
            yield {"number": number, "seconds": (before - at).total_seconds()}


def _triggers(connection: Connection) -> Document:
    try:
        wall = triggers.check(connection)
    except UsageError:
        return {"supported": False, "stands": False, "wanted": False, "gate_open": False, "lacking": 0}
    lacking = sum(each.state != "there" for each in wall.triggers)
    flags = {"stands": wall.stands, "wanted": wall.wanted, "gate_open": wall.gate_open}
    return {"supported": True, "lacking": lacking, **flags}


def _webhooks(connection: Connection) -> Document:
    told = hooks_in_force()
    mute = []
    for hook in told.hooks:
        try:
            hook.secret(os.environ)
        except MlflowRankError:
            mute.append(hook.name)
    dead = sum(count for (_, state), count in outbox.counts(connection).items() if state == outbox.DEAD)
    problem = None if told.problem is None else _PLACE.sub("", told.problem)
    return {"hooks": len(told.hooks), "problem": problem, "without_secret": mute, "dead": dead}


def _workers() -> int | None:
    """Return how many processes serve, by the command line of uvicorn's that started this one; None elsewhere."""
    for place in ("self", str(os.getppid())):
        try:
            words = Path(f"/proc/{place}/cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            return None
        if "uvicorn" in words and "--workers" in words[:-1]:
            count = words[words.index("--workers") + 1]
            return int(count) if count.isdecimal() else None
    return None


def _said(entry: Entry | None, name: str) -> object:
    """Return what an entry says under a name; None where it says nothing, or was erased."""
    return None if entry is None or entry.is_erased else entry.content.get(name)


def _passed(written: object, now: datetime) -> bool:
    return isinstance(written, str) and now > datetime.fromisoformat(written)
