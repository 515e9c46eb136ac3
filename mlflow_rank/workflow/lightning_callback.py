"""`mlflow_rank.RankLightningCallback`: one line that monitors what Lightning's Trainer fits."""

from __future__ import annotations

from functools import partial
from typing import Any

from mlflow_rank.monitoring.lightning import LightningHook, mlflow_run_of
from mlflow_rank.registry.runs.run_claim import Destination
from mlflow_rank.workflow.monitoring import ProbeAudio, RankMonitor
from mlflow_rank.workflow.setting import STARTER


class RankLightningCallback(LightningHook):
    """A Lightning callback that monitors every layer's rank while a Trainer fits.

        trainer = lightning.Trainer(callbacks=[RankLightningCallback("dev.jsonl")])

    Args:
        probe_audio: what is listened to, as of `RankMonitor`.
        settings: everything else that `RankMonitor` takes by name, such as `every` or `stop_on`.
    """

    def __init__(self, probe_audio: ProbeAudio = STARTER, **settings: Any) -> None:
        super().__init__(partial(_beside_the_logger, probe_audio=probe_audio, **settings))


def _beside_the_logger(model: Any, **settings: Any) -> RankMonitor:
    """Return a monitor that writes to the run of an `MLFlowLogger`, which MLflow itself does not know as active."""
    logged = mlflow_run_of(model)
    if logged is not None:
        uri, run_id = logged
        settings.setdefault("destination", Destination(tracking_uri=uri, run_id=run_id))
    return RankMonitor(model, **settings)
