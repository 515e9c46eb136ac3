"""`mlflow_rank.RankTrainerCallback`: one line that monitors what Hugging Face's Trainer trains."""

from __future__ import annotations

from functools import partial
from typing import Any

from mlflow_rank.monitoring.huggingface import TrainerHook
from mlflow_rank.workflow.monitoring import ProbeAudio, RankMonitor
from mlflow_rank.workflow.setting import STARTER


class RankTrainerCallback(TrainerHook):
    """A `transformers.TrainerCallback` that monitors every layer's rank while a Trainer trains.

        trainer.add_callback(RankTrainerCallback("dev.jsonl"))

    Args:
        probe_audio: what is listened to, as of `RankMonitor`.
        settings: everything else that `RankMonitor` takes by name, such as `every` or `stop_on`.
    """

    def __init__(self, probe_audio: ProbeAudio = STARTER, **settings: Any) -> None:
        super().__init__(partial(RankMonitor, probe_audio=probe_audio, **settings))
