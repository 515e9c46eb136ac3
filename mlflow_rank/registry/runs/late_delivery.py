"""Bringing to MLflow what a monitor could not deliver before its training ended."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from mlflow_rank.errors import MeasurementError, UsageError
from mlflow_rank.registry.clients.connection import connected_client, quiet_mlflow, unreachable, without_password
from mlflow_rank.registry.runs import undelivered
from mlflow_rank.registry.runs.courier import absolute, copy_journal
from mlflow_rank.registry.runs.run_claim import RecordedRun
from mlflow_rank.registry.runs.run_delivery import RunDelivery
from mlflow_rank.registry.runs.undelivered import RECORD, RUN, Belonging, points_in


@dataclass(frozen=True, slots=True)
class Delivered:
    """What was delivered late: to which run, and how many points that it did not have."""

    run: RecordedRun
    points: int


def deliver(directory: Path, *, tracking_uri: str | None = None) -> Delivered:
    """Deliver what a monitor's directory says is undelivered; each point once, even if this is tried again.

    Args:
        directory: of the monitor.
        tracking_uri: of the store; None for the one that the monitor wrote to. Needed where that has a password,
            which is kept nowhere, and MLflow's own choice is another store.

    Raises:
        UsageError: nothing is undelivered there, or the files are damaged.
        MeasurementError: the store cannot be reached or refuses; all is still there to be delivered.
    """
    from mlflow.exceptions import MlflowException

    to = _belonging(directory)
    safe = f"all is still kept in {directory}"
    client = connected_client(tracking_uri or _store(to), what_is_safe=safe)
    points = list(points_in(directory))
    folder = directory / undelivered.FILES
    try:
        with quiet_mlflow():
            run = RunDelivery.attached(client, to, min((each.step for each in points), default=0))
            there = set(run.delivered)
            replace(to, run_id=run.run_id, own=run.own).write(directory / RECORD)  # tried again, it is the same run
            run.describe(to.parameters)
            run.send(points)
            if points and points[-1].at >= max((at for _, at in there), default=0):
                run.tag(points[-1].tags)
            if folder.is_dir():
                copy_journal(directory, folder)
                run.send_files(folder)
            run.send_evidence(directory)
            run.end(to.status or "FINISHED")
    except MlflowException as error:
        raise unreachable(to.tracking_uri, error, what_is_safe=safe) from error
    undelivered.forget(directory)
    return Delivered(run.recorded, len({each.known_by for each in points} - there))


def _belonging(directory: Path) -> Belonging:
    """Return where what is undelivered belongs.

    The record may be older than the run: of a store that was away at first, and of a process that was killed later.
    """
    to = Belonging.read(directory / RECORD)
    if to is None:
        raise UsageError(
            "nothing is undelivered there", got=str(directory), expected=f"a monitor's directory with {RECORD}"
        )
    run = Belonging.read(directory / RUN) if to.run_id is None else None
    if run is None or (run.monitor, run.tracking_uri) != (to.monitor, to.tracking_uri):
        return to
    return replace(to, run_id=run.run_id, own=run.own)


def _store(to: Belonging) -> str:
    """Return the store's address, with the password that MLflow's own choice of the same store has."""
    import mlflow

    own = absolute(mlflow.get_tracking_uri())
    if without_password(own) == to.tracking_uri:
        return own
    if ":***@" in to.tracking_uri:
        raise MeasurementError(
            "the password of the store is kept nowhere",
            got=to.tracking_uri,
            expected="the same store by MLFLOW_TRACKING_URI or --tracking-uri",
        )
    return to.tracking_uri
