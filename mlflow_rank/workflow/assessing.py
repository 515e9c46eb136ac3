"""Ranks and pilots of an encoder together, in one pass over the audio that they share."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mlflow_rank.evidence.rank_measurement import Document
from mlflow_rank.workflow import measuring, piloting
from mlflow_rank.workflow.measuring import Drawn, Measurement, RankRequest
from mlflow_rank.workflow.piloting import Piloting, PilotRequest, Rounds
from mlflow_rank.workflow.progress import Progress, Silence
from mlflow_rank.workflow.setting import Setting
from mlflow_rank.workflow.subjects import subjects


@dataclass(frozen=True, slots=True)
class Assessment:
    """The measurement, and the `PilotResult` document of all pilots."""

    measurement: Measurement
    pilot: Document


def assess(
    setting: Setting, rank: RankRequest, pilots: Sequence[PilotRequest], progress: Progress | None = None
) -> Assessment:
    """Measure the rank of every layer, and pilot every layer on one task or more.

    The champion and whether log-mel features are wanted are read from the first pilot: a run has one of each.

    Raises:
        UsageError: the model, the audio, the labels or a setting is wrong.
        MeasurementError: too much audio cannot be used, the encoder returns NaN, ….
        KeyboardInterrupt: what was heard is kept; the same request with `resume` goes on from there.
    """
    progress = progress or Silence()
    setting.check()
    measuring.check_preset(rank)
    piloting.check_requests(pilots)
    first = pilots[0]
    with (
        subjects(setting, progress, log_mel=first.log_mel, against=first.against) as loaded,
        tempfile.TemporaryDirectory(prefix="mlflow_rank-") as folder,
    ):
        drawn = Drawn.of(setting, rank, progress)
        planned = [Piloting.of(setting, request, progress) for request in pilots]
        ranked = ("candidate", "control")
        measured = {role: drawn.measured if role in ranked else None for role in loaded.roles}
        rounds = Rounds.of(planned, loaded, measured)
        rounds.hear(setting, Path(folder), progress)
        hearings = [rounds.hearings[role] for role in ranked if role in rounds.hearings]
        measurement = measuring.concluded(drawn, hearings, progress)
        pilot = piloting.concluded(rounds, progress, rank_best=widest_layer(measurement.document))
        rounds.forget()
    return Assessment(measurement, pilot)


def widest_layer(document: Document) -> int | None:
    """Return the layer whose frames have the highest effective rank: named beside the pilot's, chosen by nobody."""
    rows = document["ranks"]
    ranks = {
        row["layer"]: row["corrected"] if row["corrected"] is not None else row["value"]
        for row in (rows if isinstance(rows, list) else [])
        if (row["metric"], row["level"], row["centred"]) == ("effective_rank", "frame", True)
        and row["value"] is not None
    }
    return max(ranks, key=lambda layer: (ranks[layer], -layer)) if ranks else None
