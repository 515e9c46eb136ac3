"""What one block leaves: the state of every layer and level, and which utterances it holds. Mergeable, and a file."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mlflow_rank.encoders.keeping import Kept, together
from mlflow_rank.errors import MeasurementError
from mlflow_rank.spectra import Moments, PackedMoments, State, merge_states, moments_of, state_from_arrays
from mlflow_rank.speech.utterance import SkipCause, Skipped

KEPT = "kept/"  # before the names of arrays that are no moments
Place = tuple[int, str]  # position of the layer among those measured, and the level


@dataclass(frozen=True, slots=True, eq=False)
class BlockMoments:
    """States by (layer position, level), what else was kept; digest, seconds and speaker of each utterance, by key."""

    states: Mapping[Place, State]
    content_digests: Mapping[str, str]
    seconds: Mapping[str, float]
    speakers: Mapping[str, str | None]
    skipped: tuple[Skipped, ...]
    kept: Kept = field(default_factory=dict)

    @property
    def keys(self) -> frozenset[str]:
        """The utterances that are done with, used or skipped."""
        return frozenset(self.content_digests) | {skipped.key for skipped in self.skipped}

    def moments(self, place: Place) -> Moments:
        """Return the moments of one layer and level."""
        return moments_of(self.states[place])

    def merge(self, other: BlockMoments) -> BlockMoments:
        """Return both together; they share no utterance."""
        return BlockMoments(
            states={place: merge_states(state, other.states[place]) for place, state in self.states.items()},
            content_digests={**self.content_digests, **other.content_digests},
            seconds={**self.seconds, **other.seconds},
            speakers={**self.speakers, **other.speakers},
            skipped=self.skipped + other.skipped,
            kept=together(self.kept, other.kept),
        )


@dataclass(frozen=True, slots=True)
class BlockFile:
    """A block on disk: small beside the audio, complete or absent, opened one layer and level at a time."""

    path: Path

    def write(self, block: BlockMoments) -> None:
        """Write the block at once: a reader sees all of it or nothing.

        Raises:
            MeasurementError: the disk is full or cannot be written.
        """
        arrays = {
            f"{position}/{level}/{name}": array
            for (position, level), state in block.states.items()
            for name, array in state.to_arrays().items()
        } | {f"{KEPT}{name}": array for name, array in block.kept.items()}
        listed = {
            "content_digests": dict(block.content_digests),
            "seconds": dict(block.seconds),
            "speakers": dict(block.speakers),
            "skipped": [[each.key, str(each.cause), each.detail] for each in block.skipped],
        }
        aside = self.path.with_suffix(f".{os.getpid()}.part")
        try:
            with aside.open("wb") as file:
                np.savez(file, allow_pickle=False, listed=np.array(json.dumps(listed)), **arrays)
            aside.replace(self.path)
        except OSError as error:
            aside.unlink(missing_ok=True)
            raise cannot_write(self.path.parent, error) from error

    def read(self) -> BlockMoments:
        """Return the whole block."""
        with np.load(self.path, allow_pickle=False) as stored:
            listed = json.loads(str(stored["listed"]))
            kept = {name.removeprefix(KEPT): stored[name] for name in stored.files if name.startswith(KEPT)}
            names = [name for name in stored.files if "/" in name and not name.startswith(KEPT)]
            places = {(int(name.split("/")[0]), name.split("/")[1]) for name in names}
            states = {place: state_from_arrays(_arrays(stored, place)) for place in places}
        return _with(states, listed, kept)

    def read_listing(self) -> BlockMoments:
        """Return the block without its moments."""
        with np.load(self.path, allow_pickle=False) as stored:
            return _with({}, json.loads(str(stored["listed"])), {})

    def read_kept(self, names: Sequence[str]) -> Kept:
        """Return those of the arrays of these names that the block has."""
        with np.load(self.path, allow_pickle=False) as stored:
            return {name: stored[f"{KEPT}{name}"] for name in names if f"{KEPT}{name}" in stored.files}

    def read_names(self, prefix: str) -> list[str]:
        """Return the names of kept arrays that begin with `prefix`, without it."""
        full = f"{KEPT}{prefix}"
        with np.load(self.path, allow_pickle=False) as stored:
            return [name.removeprefix(full) for name in stored.files if name.startswith(full)]

    def read_packed(self, place: Place) -> PackedMoments:
        """Return the moments of one layer and level, packed; nothing else is read."""
        with np.load(self.path, allow_pickle=False) as stored:
            arrays = _arrays(stored, place)
        if "rows" in arrays:
            return PackedMoments.of(moments_of(state_from_arrays(arrays)))
        return PackedMoments(int(arrays["count"]), arrays["mean"], arrays["triangle"])


def _arrays(stored: np.lib.npyio.NpzFile, place: Place) -> dict[str, np.ndarray]:
    prefix = f"{place[0]}/{place[1]}/"
    return {name.removeprefix(prefix): stored[name] for name in stored.files if name.startswith(prefix)}


def _with(states: Mapping[Place, State], listed: Mapping[str, Any], kept: Kept) -> BlockMoments:
    skipped = tuple(Skipped(key, SkipCause(cause), detail) for key, cause, detail in listed["skipped"])
    return BlockMoments(states, listed["content_digests"], listed["seconds"], listed["speakers"], skipped, kept)


def cannot_write(directory: Path, error: OSError) -> MeasurementError:
    """Return the error for a cache that cannot hold the blocks."""
    return MeasurementError(
        "no disk space for the cache of finished blocks",
        got=f"{directory}: {error.strerror or error}",
        expected="a directory with free, writable space",
        remedy="free some space, or name another place with --cache or MLFLOW_RANK_CACHE; --resume goes on from there",
    )
