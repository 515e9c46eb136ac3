"""`mlflow_rank.RankLightningCallback`: one line that monitors what Lightning's Trainer fits."""

from __future__ import annotations

from typing import Any

from mlflow_rank.monitoring.lightning import LightningHook
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
        super().__init__(lambda model: RankMonitor(model, probe_audio, **settings))
