"""Measurements and pilots of checkpoints on disk, each found again by its files and by what was asked of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import mlflow_rank
from mlflow_rank.errors import EvidenceError
from mlflow_rank.evidence.file_manifest import file_manifest
from mlflow_rank.evidence.rank_measurement import Document
from mlflow_rank.workflow.assessing import Assessment
from mlflow_rank.workflow.measuring import RankRequest
from mlflow_rank.workflow.piloting import PilotRequest
from mlflow_rank.workflow.setting import Setting
from mlflow_rank.workflow.studies.kept_file import keep

KEEP = Path("mlflow_rank_study")
FORMAT = 1  # raise it when what is asked for, or what is kept, changes meaning
_DIGITS = 24  # of a digest in a file's name: 96 bits, of which no two are the same
_UNREAD = ("splits", "confusions")  # of a task: most of a pilot's bytes, and nothing that a study reads


@dataclass(frozen=True, slots=True)
class KeptAssessments:
    """A directory of documents of one request; those of other requests may lie beside them."""

    directory: Path
    request: str

    def read(self, identity: str) -> tuple[Document, Document] | None:
        """Return the measurement and the pilot of the checkpoint whose files are known by `identity`; None of others.

        What is damaged counts as not there: it is made again.
        """
        try:
            said = json.loads(self._file(identity).read_text(encoding="utf-8"))
            measurement, pilot = said["measurement"], said["pilot"]
        except (OSError, ValueError, TypeError, KeyError):
            return None
        return (measurement, pilot) if isinstance(measurement, dict) and isinstance(pilot, dict) else None

    def write(self, identity: str, spec: str, assessment: Assessment) -> None:
        """Keep an assessment: all of it or nothing, whenever it is interrupted.

        Raises:
            MeasurementError: it cannot be written.
        """
        said = {
            "kind": "Assessment",
            "spec": spec,
            "files": identity,
            "request": self.request,
            "measurement": assessment.measurement.document,
            "pilot": _without_unread(assessment.pilot),
        }
        keep(said, self._file(identity))

    def _file(self, identity: str) -> Path:
        return self.directory / f"{_short(_digest(identity))}-{_short(self.request)}.json"


def request_digest(setting: Setting, rank: RankRequest, pilots: Sequence[PilotRequest], loaded_as: str) -> str:
    """Return the digest of everything that changes the numbers of a checkpoint, but for the checkpoint itself.

    Of audio and labels on disk that is when the named files were written: a manifest that was edited is another.
    """
    sources = {rank.audio, *(each.labels for each in pilots), *(each.labels_ood for each in pilots)} - {None}
    asked = {
        "format": FORMAT,
        "version": mlflow_rank.__version__,
        "loaded_as": loaded_as,
        "setting": [setting.layers, setting.channel, setting.dtype, setting.seed],
        "rank": asdict(rank),
        "pilots": [asdict(each) for each in pilots],
        "sources": {str(source): _written(Path(str(source))) for source in sources},
    }
    return _digest(json.dumps(asked, sort_keys=True))


def files_identity(place: Path) -> str:
    """Return what the files at a place are known by: the digest of their bytes.

    A directory with links in it is known by the sizes and times of its files.
    """
    if place.is_file():
        with place.open("rb") as file:
            return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    try:
        return file_manifest(place).digest
    except EvidenceError:
        return _digest(json.dumps(_written(place)))


def _written(place: Path) -> list[list[object]]:
    """Return size and time of a file, or of every file below a directory; nothing where nothing is there."""
    files = sorted(path for path in place.rglob("*") if path.is_file()) if place.is_dir() else [place]
    there = [(file, file.stat()) for file in files if file.is_file()]
    return [[str(file.relative_to(place)), state.st_size, state.st_mtime_ns] for file, state in there]


def _without_unread(pilot: Document) -> Document:
    tasks = pilot["tasks"]
    slim = [
        {name: part for name, part in task.items() if name not in _UNREAD}
        for task in (tasks if isinstance(tasks, list) else [])
    ]
    return {**pilot, "tasks": slim}


def _digest(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _short(digest: str) -> str:
    return digest.removeprefix("sha256:")[:_DIGITS]
