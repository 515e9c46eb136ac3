"""What a gate says of itself, judged: each part as a check, in one sentence and with a remedy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from mlflow_rank.registry.clients.health_client import Examined
from mlflow_rank.registry.clients.health_document import GatingPolicy, Health
from mlflow_rank.registry.server.checkup import Check

TOO_FAR = timedelta(minutes=5)  # by which an act may be dated ahead; beyond it the gate refuses what is signed here
FAR = timedelta(seconds=30)  # no clock that is set over the network is off by that much
_MOST = 5  # names in a sentence


def vital_signs(found: Examined) -> Iterator[Check]:
    """Yield what a gate says of itself, judged."""
    health = found.health
    yield from (_plugin(health), _rules(health), *_weak_policies(health), _trust(health), _gate_key(health))
    yield from (clock(found.ahead, found.took), _ledger(health), _time_of_ledger(health), _triggers(health))
    yield from (_seal(health), _webhooks(health), _emergencies(health), _deviations(health))


def clock(ahead: timedelta, took: timedelta) -> Check:
    """Judge by how much the gate's clock is ahead of the one here.

    Args:
        ahead: negative where it is behind.
        took: how long the answer took: half of that is what nobody can say.
    """
    off = max(abs(ahead) - took / 2, timedelta())
    seconds = f"{abs(ahead).total_seconds():.0f} s {'ahead of' if ahead > timedelta() else 'behind'}"
    if off > FAR:
        where = f"the gate's clock is {seconds} the one here"
        remedy = "have both machines set their clocks over the network (NTP)"
        limit = "; what is signed here is refused there as too old or too new" if off > TOO_FAR else ""
        return Check("clock", "fail" if off > TOO_FAR else "warn", where + limit, remedy)
    return Check("clock", "ok", f"the gate's clock and the one here agree to {FAR.total_seconds():.0f} s")


def _plugin(health: Health) -> Check:
    served = health.serving
    by = f"workers: {served.workers or 'unknown'}" if served.server else "this process"
    said = (
        f"mlflow_rank {health.mlflow_rank} in MLflow {health.mlflow}: {served.store} at {served.scheme}, "
        f"{health.doors.known} methods known, served by {by}"
    )
    if health.doors.undecided:
        unknown = f"{_listed(health.doors.undecided)} of MLflow's registry are in no row of the table of doors"
        return Check("plugin", "fail", unknown, "install a version of mlflow-rank that knows this MLflow")
    if not served.scheme.startswith("rank+"):
        return Check(
            "plugin", "fail", f"the registry's address is {served.scheme}, without rank+", "use mlflow-rank server"
        )
    return Check("plugin", "ok", said)


def _rules(health: Health) -> Check:
    rules = health.rules
    if rules.problems:
        said = f"the gate is shut to everybody, its rules cannot be read: {'; '.join(rules.problems)}"
        return Check("policies", "fail", said, "mend the file; mlflow-rank policy check says where")
    if not rules.policies:
        said = "there is no policy that may approve, so nothing can be promoted"
        return Check("policies", "fail", said, "start the server with --policies DIRECTORY")
    enforcing = [each for each in rules.policies if each.mode == "enforce"]
    return Check(
        "policies",
        "ok",
        f"{len(enforcing)} of {len(rules.policies)} policies enforce",
        details=tuple(_policy(each) for each in rules.policies)
        + tuple(f"{each.name} exempts {', '.join(each.models)}" for each in rules.exemptions),
    )


def _weak_policies(health: Health) -> Iterator[Check]:
    weak = [each for each in health.rules.policies if each.mode != "enforce"]
    if weak:
        said = f"{_listed([f'{each.name} (mode {each.mode})' for each in weak])}: what is denied happens all the same"
        yield Check("policy mode", "warn", said, "set mode: enforce when the policy has proved itself")
    wide = [each for each in health.rules.exemptions if any(set(glob) <= {"*", "?"} for glob in each.models)]
    if wide:
        said = f"{_listed([each.name for each in wide])} leaves alone every model that no policy names"
        yield Check("exemptions", "warn", said, "name the models that are no speech encoders")


def _trust(health: Health) -> Check:
    trust = health.trust
    roles = ", ".join(f"{count} {role}" for role, count in trust.roles.items())
    if not trust.keys:
        said = "nobody's key is trusted, so no evidence counts"
        return Check("trust", "fail", said, "mlflow-rank keys trust, and start the server with --trust FILE")
    ending = tuple(f"{each.name}: {'ended' if each.ended else 'ends'} {each.at[:16]}Z" for each in trust.ending)
    if ending:
        gone = sum(each.ended for each in trust.ending)
        said = f"{gone} keys have ended, {len(ending) - gone} end within 30 days"
        remedy = "make new ones with mlflow-rank keys generate, and take out those that ended long ago"
        return Check("trust", "warn", said, remedy, ending)
    return Check("trust", "ok", f"{trust.keys} keys; in force: {roles or 'none'}")


def _gate_key(health: Health) -> Check:
    key = health.gate_key
    if not key.present:
        said = "decisions are not signed, so that mlflow_rank.load_model believes none"
        return Check("gate key", "warn", said, "start the server with --gate-key FILE, and trust it as gate")
    if key.problem:
        said = f"nobody believes what the gate signs: {key.problem}"
        remedy = "mlflow-rank keys trust GATE.key.pub --service gate --role gate, in the trust file of the server"
        return Check("gate key", "fail", said, remedy)
    return Check("gate key", "ok", "decisions are signed with a key that is trusted as gate")


def _ledger(health: Health) -> Check:
    state = health.ledger
    if not state.prepared or state.problem:
        said = state.problem or f"its tables are of revision {state.revision}, and older than this version"
        return Check("ledger", "fail", said, "start the gated server once; mlflow-rank audit verify")
    return Check("ledger", "ok", f"{state.size} entries, tables of revision {state.revision}")


def _time_of_ledger(health: Health) -> Check:
    state, now = health.ledger, datetime.fromisoformat(health.now)
    last = None if state.at is None else datetime.fromisoformat(state.at)
    remedy = "find out who set the server's clock; mlflow-rank audit history shows what was dated then"
    if last is not None and last - now > TOO_FAR:
        said = f"its last entry is of {state.at}, and the gate's clock says {health.now}"
        return Check("ledger's time", "fail", said, remedy)
    if state.back is not None and state.back.seconds > FAR.total_seconds():
        said = f"entry {state.back.number} is {state.back.seconds:.0f} s older than the one before it"
        return Check("ledger's time", "warn", said, remedy)
    return Check("ledger's time", "ok", "entries follow each other in time")


def _triggers(health: Health) -> Check:
    state, install = health.triggers, "mlflow-rank db install"
    if not state.supported:
        said = f"there is no second wall for {health.serving.database}"
        return Check("triggers", "warn", said, "give the database's password to the server alone")
    if state.gate_open:
        said = "the mark in the database that opens the triggers was left set, so that they let everything through"
        return Check("triggers", "fail", said, "mlflow-rank audit reconcile says what came in; then promote once")
    if state.wanted and not state.stands:
        said = f"{state.lacking} triggers were installed, and are missing or changed now"
        return Check("triggers", "fail", said, f"{install}; mlflow-rank audit reconcile says what came in meanwhile")
    if not state.stands:
        said = "they are not installed: a plain mlflow server on this database could move every alias"
        return Check("triggers", "warn", said, f"{install} --registry-uri URI of the database")
    return Check("triggers", "ok", "all are there, and shut")


def _seal(health: Health) -> Check:
    if not health.serving.server:
        said = "no server stands before the files: who may write to them may change what is approved"
        return Check("seal", "warn", said, "serve the registry with mlflow-rank server")
    return Check("seal", "ok", "the server refuses to overwrite files of approved versions")


def _webhooks(health: Health) -> Check:
    state = health.webhooks
    if state.problem:
        return Check("webhooks", "warn", f"nobody is told anything: {state.problem}", "mend the file of webhooks")
    if state.without_secret:
        said = f"{_listed(state.without_secret)} gets nothing, as there is no secret to sign with"
        return Check("webhooks", "warn", said, "mlflow-rank webhooks list, on the server")
    if state.dead:
        said = f"{state.dead} messages reached nobody"
        return Check("webhooks", "warn", said, "mlflow-rank webhooks dead says which, webhooks retry sends them again")
    return Check("webhooks", "ok", f"{state.hooks} receivers" if state.hooks else "nobody is to be told")


def _emergencies(health: Health) -> Check:
    state = health.open
    if state.overdue or state.expired:
        said = (
            f"break-glasses that nobody has reviewed: {state.break_glass}, overdue: {state.overdue}, "
            f"{state.expired} expired"
        )
        return Check("break-glass", "fail", said, "mlflow-rank review, and promote or roll back", state.named)
    if state.break_glass:
        said = f"versions that are in place without approval: {state.break_glass}"
        return Check("break-glass", "warn", said, "mlflow-rank review, in time", state.named)
    if state.flags:
        said = f"versions in place that evidence speaks against: {state.flags}"
        return Check("flags", "warn", said, "mlflow-rank status shows them, why says why, rollback goes back")
    return Check("break-glass", "ok", "none is open, and no version in place is flagged")


def _deviations(health: Health) -> Check:
    state = health.deviations
    if state.count:
        said = f"{state.count} targets point elsewhere than the ledger explains: somebody went round the gate"
        return Check(
            "reconcile", "fail", said, "mlflow-rank audit reconcile; then roll back or promote", state.sentences
        )
    return Check("reconcile", "ok", "every protected target points where the ledger says")


def _policy(policy: GatingPolicy) -> str:
    targets = "any target" if policy.targets == "any" else ", ".join(policy.targets)
    free = f"; ungated {', '.join(policy.ungated_aliases)}" if policy.ungated_aliases else ""
    return (
        f"{policy.name} r{policy.revision} {policy.digest[:19]} in mode {policy.mode}: "
        f"{', '.join(policy.models)} to {targets}{free}"
    )


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    return ", ".join(names[:_MOST]) + more
