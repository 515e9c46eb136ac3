"""Checkpoints as versions of a registered model, each with its evidence: ranks, a small pilot, and the alarms."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from mlflow_rank.evidence.statement import Subject
from mlflow_rank.registry.clients.connection import connected_client
from mlflow_rank.registry.runs.evidence_files import log_evidence
from mlflow_rank.registry.runs.run_claim import Destination
from mlflow_rank.registry.runs.trained_versions import TRAINING_STEP
from mlflow_rank.speech.sampling import Sampling
from mlflow_rank.workflow import RankRequest, Setting, assess, record, record_pilots
from mlflow_rank.workflow.attesting import ALARMS_FILE, attest
from mlflow_rank.workflow.evidencing import evidence_of
from mlflow_rank.workflow.watch_evidence import alarms_at
from recipes.pretraining.piloting import keyword_pilot
from recipes.pretraining.run_directory import RunDirectory
from recipes.pretraining.watching import mlflow_run_of, monitor_name

if TYPE_CHECKING:
    from mlflow_rank.evidence.keys import PrivateKey
    from mlflow_rank.monitoring.alarm import Alarm

VERSIONS = 5  # at most: each is heard by a measurement and a pilot, a minute or two
AUDIO = "starter"
HOURS = 0.05  # of unlabelled audio per version: some 9,000 frames, 56 for each dimension


def chosen_steps(checkpoints: Iterable[int], *, at_most: int = VERSIONS) -> list[int]:
    """Return the last checkpoint and a few before it, evenly among those that there are; never the random weights.

    >>> chosen_steps([0, 25, 50, 100, 200, 400, 450, 500])
    [25, 100, 200, 450, 500]
    """
    trained = sorted(step for step in checkpoints if step > 0)
    if len(trained) <= at_most:
        return trained
    return [trained[round(each * (len(trained) - 1) / (at_most - 1))] for each in range(at_most)]


def register(
    directory: RunDirectory,
    steps: Sequence[int],
    name: str,
    *,
    alarms: Sequence[Alarm],
    key: PrivateKey | None,
    say: Callable[[str], None],
) -> list[str]:
    """Measure, pilot and register the checkpoints of some steps, and leave their evidence in the run of the monitor.

    Returns:
        The addresses of the versions, in the order of the steps.

    Raises:
        MeasurementError: the store cannot be reached or refuses.
    """
    return [_register(directory, step, name, alarms, key, say) for step in steps]


def _register(
    directory: RunDirectory,
    step: int,
    name: str,
    alarms: Sequence[Alarm],
    key: PrivateKey | None,
    say: Callable[[str], None],
) -> str:
    path, now = directory.checkpoint(step), datetime.now(UTC)
    setting = Setting(model=str(path), control=True, output=directory.path)
    assessment = assess(setting, RankRequest(AUDIO, sampling=Sampling(hours=HOURS)), [keyword_pilot()])
    destination = Destination(run_id=mlflow_run_of(directory), step=step)
    recorded = record(assessment.measurement, destination, register=name, kept_at=directory.path)
    registered = recorded.registered
    if registered is None or registered.version is None:
        raise AssertionError("a name was given")  # what `record` promises
    client = connected_client(recorded.run.tracking_uri, what_is_safe=f"the checkpoint is kept at {path}")
    client.set_model_version_tag(name, registered.version, TRAINING_STEP, str(step))  # at once: a watch reads it
    beside = replace(destination, run_id=recorded.run.run_id)
    record_pilots(assessment.pilot, beside, measurement=assessment.measurement.document, kept_at=directory.path)
    version = f"models:/{name}/{registered.version}"
    measured = evidence_of(
        measurement=assessment.measurement.document, pilot=assessment.pilot, registered=registered, key=key, now=now
    )
    about = Subject(version, registered.files_digest)
    word = attest(path, about, monitor=monitor_name(directory), alarms=alarms_at(step, alarms), key=key, now=now)
    # one run holds the evidence of several checkpoints, so a file's name says of which
    files = {f"step_{step:06d}_{file}": data for file, data in {**measured, ALARMS_FILE: word}.items()}
    log_evidence(files, recorded.run, kept_at=directory.path)
    open_ones = sum(alarm.is_open for alarm in alarms_at(step, alarms))
    say(f"step {step} is {version}: {open_ones or 'no'} open alarm{'' if open_ones == 1 else 's'}")
    return version
