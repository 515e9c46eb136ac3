"""The monitor of a run: small enough for a recipe of minutes, and without a clock."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import TYPE_CHECKING

from mlflow_rank import RankMonitor
from mlflow_rank.registry.runs.run_claim import Destination
from mlflow_rank.registry.runs.undelivered import RUN, Belonging
from recipes.pretraining.pretraining import Pretraining
from recipes.pretraining.run_directory import RunDirectory
from recipes.starter_encoder.model import PREPROCESSOR

if TYPE_CHECKING:
    from mlflow_rank.evidence.keys import PrivateKey
    from mlflow_rank.monitoring.alarm import Kind

# Half of the usual probe set, and crops as short as those that are trained on: points lie a few seconds apart here.
UTTERANCES, SECONDS = 32, 2.0


def monitor_of(
    run: Pretraining,
    directory: RunDirectory,
    *,
    audio: str,
    every: int,
    stop_on: Collection[Kind] = (),
    key: PrivateKey | None = None,
    use_mlflow: bool = True,
) -> RankMonitor:
    """Return the monitor of a run, a new one or one that goes on in the MLflow run that it has.

    It has no budget of time, so that a run has the same points on every machine; what they cost it says.
    """
    return RankMonitor(
        run.encoder,
        audio,
        preprocessor=PREPROCESSOR,
        utterances=UTTERANCES,
        seconds=SECONDS,
        every=every,
        max_overhead=None,
        stop_on=stop_on,
        directory=directory.monitor,
        # `mlflow run` has made a run for this process; a chart that goes on has one already
        destination=Destination(run_id=mlflow_run_of(directory)),
        use_mlflow=use_mlflow,
        key=key,
    )


def mlflow_run_of(directory: RunDirectory) -> str | None:
    """Return the MLflow run that a run's monitor writes to, None where it has none yet."""
    there = Belonging.read(directory.monitor / RUN)
    return None if there is None else there.run_id


def monitor_name(directory: RunDirectory) -> str:
    """Return the name under which a run's monitor states alarms."""
    return str(json.loads((directory.monitor / "monitor.json").read_text(encoding="utf-8"))["monitor"])
