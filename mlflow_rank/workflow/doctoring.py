"""Whether the gate in front of somebody is shut: what it says, what a canary finds, what goes round it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow_rank.errors import EvidenceError, MeasurementError, MlflowRankError
from mlflow_rank.registry.server.checkup import Check, Checkup

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from mlflow_rank.registry.clients.health_client import Examined
    from mlflow_rank.registry.server.canary_name import CanaryName
    from mlflow_rank.workflow.canary import Attempt, Flight

GATED = "rank+"
Clock = Callable[[], datetime]
_ALLOWED = "ask as a user who may create models and experiments"


@dataclass(frozen=True, slots=True)
class DoctorRequest:
    """Which gate is looked at, None for MLflow's own choice; what code is scanned; and whether to send a canary."""

    tracking_uri: str | None = None
    registry_uri: str | None = None
    scanned: Sequence[Path] = ()
    canary: bool = True


def look_at(
    request: DoctorRequest, environment: Mapping[str, str], *, clock: Clock, say: Callable[[str], None]
) -> Checkup:
    """Look at a gate from all sides; a canary that is sent leaves refusals in the ledger, and nothing else.

    Args:
        request: what to look at.
        environment: of this process.
        clock: the time here, with its zone.
        say: told what goes on, and what could not be deleted.

    Raises:
        UsageError: a directory that is to be scanned is not there.
        MeasurementError: the server or database does not answer.
    """
    from mlflow_rank.registry.clients.connection import quiet_mlflow
    from mlflow_rank.registry.clients.health_client import examined
    from mlflow_rank.workflow.bypasses import Here, bypasses
    from mlflow_rank.workflow.vital_signs import vital_signs

    client = _reached(request, environment)
    found: Examined | None = None
    checks: list[Check] = []
    with quiet_mlflow():
        try:
            found = examined(client, clock)
            checks += vital_signs(found)
        except EvidenceError as error:
            checks.append(_silent(error, str(client._registry_uri)))
        around = list(
            bypasses(Here(client, environment, request.scanned), None if found is None else found.health)
        )  # before the canary, which would be among the models
    if not request.canary:
        say("no canary was sent (--no-canary), so that nothing here was tried")
    elif _may_be_tried(client):
        checks.insert(0, _canary(client, found, clock, say))
    return Checkup(_shown(str(client._registry_uri)), checks, around)


def canary_check(flight: Flight, recorded: bool | None) -> Check:
    """Judge what a canary came by.

    Args:
        flight: of the canary.
        recorded: whether the ledger has each refusal; None where nobody can say.
    """
    left = tuple(f"left behind: {each}" for each in flight.left)
    details = tuple(map(_in_words, flight.attempts)) + left
    if flight.grounded is not None:
        said = f"no canary could be sent: {flight.grounded}"
        return Check("canary", "unknown", said, _ALLOWED, left)
    if flight.went_through:
        through = ", ".join(each.what for each in flight.went_through)
        back = all(each.undone for each in flight.went_through)
        undone = "was taken back" if back else "COULD NOT BE TAKEN BACK"
        said = f"the gate is OPEN: {through} went through, and {undone}"
        return Check("canary", "fail", said, "serve this registry with mlflow-rank server, and nothing else", details)
    others = [each for each in flight.attempts if not each.by_gate]
    if others:
        said = f"nobody can say: {others[0].what} was refused, but not by the gate: {others[0].said}"
        return Check("canary", "unknown", said, "see what the server's log says", details)
    if recorded is False:
        said = f"all {len(flight.attempts)} calls were refused, but the ledger does not have them"
        return Check("canary", "fail", said, "mlflow-rank audit verify", details)
    if len(flight.attempts) == 1:
        said = "refused a tag of the gate's; every alias is left alone of models that nobody has registered yet"
        return Check("canary", "warn", said, "have a policy that enforces name models with a *", details)
    kept = "and recorded" if recorded else "whether that was recorded, nobody can say here"
    said = f"all {len(flight.attempts)} calls of {flight.name} were refused, {kept}"
    return Check("canary", "warn" if left else "ok", said, "delete by hand what is left" if left else "", details)


def _canary(client: MlflowClient, found: Examined | None, clock: Clock, say: Callable[[str], None]) -> Check:
    import secrets

    from mlflow_rank.registry.server.canary_name import canary_name
    from mlflow_rank.workflow.canary import fly

    recorded: list[bool] = []

    def look(flight: Flight) -> None:
        if found is not None and flight.attempts:
            recorded.append(all(_recorded(client, found, flight, clock)))

    named = canary_name([], secrets.token_hex(4)) if found is None else _named(found)
    say(f"a canary tries the gate: {named.name}")
    flight = fly(client, named, say, look)
    return canary_check(flight, recorded[0] if recorded else None)


def _recorded(client: MlflowClient, before: Examined, flight: Flight, clock: Clock) -> Iterator[bool]:
    """Yield whether the ledger grew by each refusal, and has each decision that one names."""
    from mlflow_rank.registry.clients.decision_records import records_at
    from mlflow_rank.registry.clients.health_client import examined

    try:
        after = examined(client, clock).health.ledger.size or 0
        yield after - (before.health.ledger.size or 0) >= len(flight.attempts)
        records = records_at(str(client._registry_uri))
        for decision in (each.decision for each in flight.attempts):
            yield decision is None or records.envelope(decision) is not None
    except MlflowRankError:
        yield False


def _named(found: Examined) -> CanaryName:
    from mlflow_rank.registry.server.canary_name import CanaryName

    named = found.health.canary
    return CanaryName(named.name, named.refused, named.governed)


def _silent(error: EvidenceError, uri: str) -> Check:
    """Judge that nothing says of itself that it is a gate."""
    from mlflow_rank.registry.clients.health_client import NoHealthError

    said = f"{error.what} ({error.got})" if error.got else error.what
    if isinstance(error, NoHealthError):
        served = uri.startswith("http")
        remedy = "start it with mlflow-rank server" if served else "write rank+ before the address, or ask a server"
        return Check("gate", "fail", said, remedy)
    return Check("gate", "unknown", said, error.remedy or "see that it is up, and a gated server")


def _may_be_tried(client: MlflowClient) -> bool:
    """Say whether something stands between this client and the registry's tables that could refuse."""
    from mlflow_rank.registry.clients.health_client import is_over_http

    uri = str(client._registry_uri)
    return is_over_http(uri) or uri.startswith(GATED)


def _reached(request: DoctorRequest, environment: Mapping[str, str]) -> MlflowClient:
    """Return a client that has just been answered; no database is made by looking for one."""
    from mlflow import MlflowClient, get_tracking_uri

    from mlflow_rank.registry.clients.connection import connected_client, quiet_mlflow, unreachable

    registry = request.registry_uri or (environment.get("MLFLOW_REGISTRY_URI") if not request.tracking_uri else None)
    tracking = request.tracking_uri or environment.get("MLFLOW_TRACKING_URI")
    if tracking is None:
        tracking = registry.removeprefix(GATED) if registry else get_tracking_uri()
    for uri in filter(None, (tracking, registry)):
        path = uri.removeprefix(GATED).removeprefix("sqlite:///")
        if uri.removeprefix(GATED).startswith("sqlite:///") and not Path(path).is_file():
            raise MeasurementError(
                "there is no registry to look at", got=uri, expected="a server, or a database that is there",
                remedy="set MLFLOW_TRACKING_URI to the gated server, or give --tracking-uri",
            )  # fmt: skip
    connected_client(tracking, what_is_safe="nothing could be found out")
    client = MlflowClient(tracking_uri=tracking, registry_uri=registry or tracking)
    try:
        with quiet_mlflow():
            client.search_registered_models(max_results=1)
    except Exception as error:  # whatever a driver raises; see `connected_client`
        raise unreachable(str(client._registry_uri), error, what_is_safe="nothing could be found out") from error
    return client


def _in_words(attempt: Attempt) -> str:
    if attempt.said is not None:
        return f"{attempt.what}: {attempt.said}"
    return f"{attempt.what}: WENT THROUGH, {'and was taken back' if attempt.undone else 'and stands'}"


def _shown(uri: str) -> str:
    from urllib.parse import urlsplit

    password = urlsplit(uri).password
    return uri if password is None else uri.replace(f":{password}@", ":***@", 1)
