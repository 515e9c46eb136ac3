"""Starting MLflow's server behind the gate: which command that is, and what it will go by, said before it starts."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from mlflow_rank.errors import UsageError
from mlflow_rank.policy.exemption import Exemption
from mlflow_rank.policy.model import PromotionPolicy
from mlflow_rank.registry.outside.hook_file import NO_HOOKS, WEBHOOKS, HooksInForce, hooks_at
from mlflow_rank.workflow.gating import GATE_KEY, POLICIES, PREFIX, TRUST, RuleBook
from mlflow_rank.workflow.policies import TRUST_FILE

if TYPE_CHECKING:
    from mlflow_rank.policy.load import Policy
    from mlflow_rank.registry.gate.rules_in_force import RulesInForce

APP, APP_WITH_BASIC_AUTH = "mlflow-rank", "mlflow-rank-basic-auth"
DEFAULT_BACKEND, DEFAULT_POLICIES = "sqlite:///mlflow.db", "policies"
SECRET_KEY = "MLFLOW_FLASK_SERVER_SECRET_KEY"  # the name of the variable  # noqa: S105
_NOT_OURS = {
    "--app-name": "the app is mlflow-rank's, or with --basic-auth that with MLflow's basic-auth in it",
    "--dev": "MLflow's development mode serves another app",
    "--gunicorn-opts": "the seal of approved files stands in uvicorn's app only",
    "--waitress-opts": "the seal of approved files stands in uvicorn's app only",
    "--artifacts-only": "without the registry nobody knows which files are approved",
}
_NOT_OURS_FROM_OUTSIDE = {"MLFLOW_GUNICORN_OPTS": "--gunicorn-opts", "MLFLOW_ARTIFACTS_ONLY": "--artifacts-only"}


@dataclass(frozen=True, slots=True)
class ServerRequest:
    """What is to be served: databases, the gate's rules, and all of MLflow's other options as they were given."""

    backend: str = DEFAULT_BACKEND
    registry: str | None = None
    policies: Path = Path(DEFAULT_POLICIES)
    trust: Path | None = None
    gate_key: Path | None = None
    webhooks: Path | None = None
    basic_auth: bool = False
    others: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Launch:
    """A command with its environment, and the rules that its gate will read first."""

    command: tuple[str, ...]
    environment: Mapping[str, str]
    registry: str
    rules: RulesInForce
    hooks: HooksInForce = NO_HOOKS


def launch(request: ServerRequest, environment: Mapping[str, str]) -> Launch:
    """Return the command that starts the server.

    Args:
        request: what to serve.
        environment: which it starts from.

    Raises:
        UsageError: an option takes the gate or the seal away, or there is no gate for the database.
    """
    _refuse_options(request.others, environment)
    registry = gated(request.registry or request.backend)
    if request.basic_auth and not environment.get(SECRET_KEY):
        raise UsageError(
            "basic-auth needs a secret that all workers share",
            expected=f"{SECRET_KEY} in the environment",
            remedy=f"export {SECRET_KEY}=$(openssl rand -hex 32), and keep it for the next start",
        )
    trust = request.trust or (Path(TRUST_FILE) if Path(TRUST_FILE).is_file() else None)
    found = {POLICIES: request.policies, TRUST: trust, GATE_KEY: request.gate_key}
    named = found | {WEBHOOKS: request.webhooks}
    kept = {name: value for name, value in environment.items() if name not in named}
    kept |= {name: str(path.absolute()) for name, path in named.items() if path is not None}
    rules = RuleBook(*(None if path is None else path.absolute() for path in found.values()))()
    hooks = NO_HOOKS if request.webhooks is None else hooks_at(request.webhooks)
    app = APP_WITH_BASIC_AUTH if request.basic_auth else APP
    stores = ("--backend-store-uri", request.backend, "--registry-store-uri", registry)
    command = (sys.executable, "-m", "mlflow", "server", *stores, "--app-name", app, *request.others)
    return Launch(command, kept, registry, rules, hooks)


def gated(uri: str) -> str:
    """Return the address of a registry with the gate in front of it.

    Raises:
        UsageError: there is no gate for what lies there.
    """
    plain = uri.removeprefix(PREFIX)
    known = {each.name for each in entry_points(group="mlflow.model_registry_store") if each.name.startswith(PREFIX)}
    scheme = plain.partition("://")[0] if "://" in plain else ""
    if f"{PREFIX}{scheme}" not in known:
        raise UsageError(
            "there is no gate for a registry of this kind",
            got=_without_password(plain),
            expected=f"a database: {', '.join(sorted(name.removeprefix(PREFIX) for name in known))}",
            remedy="give its address with --backend-store-uri, such as sqlite:///mlflow.db",
        )
    return f"{PREFIX}{plain}"


def announcement(starting: Launch) -> Iterator[str]:
    """Yield in lines what will be gated, and by what; a gate that stays shut is said first."""
    rules, environment = starting.rules, starting.environment
    if rules.problems or not rules.policies:
        yield f"THE GATE STAYS SHUT, nothing can be promoted: {'; '.join(rules.problems) or 'there is no policy'}"
    yield f"gated registry: {_without_password(starting.registry)}"
    yield f"policies in {environment[POLICIES]}: {len(rules.policies)} (read again whenever they change)"
    for file, policy in rules.policies:
        yield f"  {file}: {_in_words(policy)}"
    if TRUST in environment:
        yield f"trust: {environment[TRUST]}, {len(rules.trust.keys)} keys"
    else:
        yield f"trust: nobody, there is no {TRUST_FILE}: no signed evidence counts (--trust FILE)"
    if rules.key is not None:
        yield f"decisions are signed by {rules.key.public.key_id[:19]}…"
    else:
        yield "decisions are not signed: mlflow_rank.load_model will refuse them (--gate-key FILE)"
    yield from _webhooks(starting.hooks, environment)


def _webhooks(told: HooksInForce, environment: Mapping[str, str]) -> Iterator[str]:
    """Yield who is told what happens; whoever cannot be told is said loudly, and keeps nobody from promoting."""
    if told.problem is not None:
        yield f"WEBHOOKS ARE NOT SENT, nobody outside is told anything: {told.problem}"
    if not told.hooks:
        return
    yield f"webhooks in {environment[WEBHOOKS]}: {len(told.hooks)} (read again whenever they change)"
    for hook in told.hooks:
        events = "any event" if hook.events == "any" else ", ".join(hook.events)
        yield f"  {hook.name}: {events} of {', '.join(hook.models)} to {hook.shown}"
        try:
            hook.secret(environment)
        except UsageError as error:
            yield f"  {hook.name} GETS NOTHING UNTIL THIS IS MENDED: {error.what}: {error.got}"


def prepare_basic_auth(environment: Mapping[str, str]) -> dict[str, str]:
    """Make the first user before any worker starts, as `mlflow server` does for its own app; return what workers need.

    Raises:
        UsageError: MLflow refuses its configuration.
    """
    os.environ.update(environment)
    from mlflow_rank.registry.server.app import bootstrap_basic_auth

    bootstrap_basic_auth()
    return {
        "_MLFLOW_AUTH_ADMIN_BOOTSTRAPPED": "true",
        "_MLFLOW_INTERNAL_GATEWAY_AUTH_TOKEN": secrets.token_hex(32),  # of jobs that a worker starts
    }


def run_server(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run the server until it ends, pass on SIGINT and SIGTERM, and return its exit code.

    It has a session of its own, so that Ctrl-C at the terminal reaches it once, from here: told twice, uvicorn breaks
    requests off instead of finishing them.
    """
    process = subprocess.Popen(command, env=dict(environment), start_new_session=True)  # noqa: S603 -- our own command

    def pass_on(number: int, _: object) -> None:
        process.send_signal(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, pass_on)
    code = process.wait()
    return code if code >= 0 else 128 - code  # as shells write what ended by a signal


def _refuse_options(others: Sequence[str], environment: Mapping[str, str]) -> None:
    given = {other.partition("=")[0]: other for other in others}
    given |= {option: name for name, option in _NOT_OURS_FROM_OUTSIDE.items() if environment.get(name)}
    for option, why in _NOT_OURS.items():
        if option in given:
            raise UsageError(f"{option} cannot be used behind the gate", got=given[option], expected=why)


def _in_words(policy: Policy) -> str:
    named = f"{policy.metadata.name} r{policy.metadata.revision}"
    if isinstance(policy, Exemption):
        return f"{named} leaves alone {', '.join(policy.models)}"
    models = ", ".join(policy.match.models)
    if not isinstance(policy, PromotionPolicy):
        return f"{named} watches {models}, and gates nothing"
    targets = "any target" if policy.match.targets == "any" else ", ".join(policy.match.targets)
    return f"{named} in mode {policy.mode}: {models} to {targets}"


def _without_password(uri: str) -> str:
    password = urlsplit(uri).password
    return uri if password is None else uri.replace(f":{password}@", ":***@", 1)
