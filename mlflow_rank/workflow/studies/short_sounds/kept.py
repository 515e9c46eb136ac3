"""Readings of sounds on disk, so that a study that was stopped goes on where it was."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlflow_rank.studies.short_sounds.readings import SoundReading, read_sound_reading
from mlflow_rank.workflow.studies.kept_file import keep

FORMAT = 1  # raise it when what is kept, or what it is kept by, changes meaning
_DIGITS = 24  # of a digest in a file's name


@dataclass(frozen=True, slots=True)
class KeptReadings:
    """A directory with a file for each pass, by everything that its numbers depend on; None keeps nothing."""

    directory: Path | None

    def read(self, identity: Mapping[str, object]) -> list[SoundReading] | None:
        """Return the readings of a pass; None where it is not there, or damaged."""
        if self.directory is None:
            return None
        try:
            said = json.loads(self._file(self.directory, identity).read_text(encoding="utf-8"))
            return [read_sound_reading(each) for each in said["readings"]]
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def write(self, identity: Mapping[str, object], readings: Sequence[SoundReading]) -> None:
        """Keep the readings of a pass, all of them or nothing.

        Raises:
            MeasurementError: they cannot be written.
        """
        if self.directory is None:
            return
        said = {"kind": "SoundReadings", "identity": identity, "readings": [each.document() for each in readings]}
        keep(said, self._file(self.directory, identity))

    def _file(self, directory: Path, identity: Mapping[str, object]) -> Path:
        text = json.dumps({"format": FORMAT, **identity}, sort_keys=True)
        return directory / f"sounds-{hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]}.json"
