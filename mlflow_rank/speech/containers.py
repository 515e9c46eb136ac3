"""Opening the container that holds the audio, and finding out whether it holds what its header promises."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import soundfile

from mlflow_rank.speech.dataset_rows import embedded_audio
from mlflow_rank.speech.skips import UnusableAudio
from mlflow_rank.speech.utterance import AudioFile, DatasetAudio, SkipCause

UNKNOWN_SIZE = 0xFFFFFFFF  # what a WAV writer that cannot seek leaves in a size field (RIFF; in RF64 it refers to ds64)

UNSTATED_FRAMES = 2**63 - 1  # SF_COUNT_MAX, by which libsndfile says that a FLAC's header leaves the length open


@dataclass(frozen=True, slots=True)
class Header:
    """What the container says about its audio: frames per channel, the rate in Hz, and the number of channels."""

    frames: int
    rate: int
    channels: int

    @property
    def duration(self) -> float:
        """The length in seconds."""
        return self.frames / self.rate


def read_header(source: AudioFile | DatasetAudio) -> Header:
    """Return what the container promises, without decoding it.

    Raises:
        UnusableAudio: missing, unreadable, truncated or empty.
    """
    with open_audio(source) as sound:
        return Header(sound.frames, sound.samplerate, sound.channels)


@contextlib.contextmanager
def open_audio(source: AudioFile | DatasetAudio) -> Iterator[soundfile.SoundFile]:
    """Open a file or a dataset row for decoding.

    A cut WAV is found here, from its own chunk sizes: the decoder would shorten it without a word. FLAC and MP3 with a
    length header are found cut when decoded; Ogg states no length, so a cut copy is a shorter recording. An MP3 without
    a length header is read as far as the decoder estimates from its first frame, which is short where its rate varies.

    Raises:
        UnusableAudio: missing, unreadable, truncated or empty.
    """
    place = source.path if isinstance(source, AudioFile) else embedded_audio(source)
    try:
        if isinstance(place, Path):
            require_file(place)
            with place.open("rb") as file:
                _require_promised_bytes(file)
            opened = soundfile.SoundFile(place)
        else:
            stream = io.BytesIO(place)
            _require_promised_bytes(stream)
            stream.seek(0)
            opened = soundfile.SoundFile(stream)
    except (OSError, soundfile.SoundFileError) as error:
        raise UnusableAudio(SkipCause.UNREADABLE, _reason(error)) from error
    with opened as sound:
        if sound.frames == 0:
            raise UnusableAudio(SkipCause.EMPTY, "the header states 0 frames")
        if sound.frames >= UNSTATED_FRAMES:
            raise UnusableAudio(
                SkipCause.UNREADABLE, "the header states no length (a stream never closed); write it anew"
            )
        yield sound


def require_file(path: Path) -> None:
    """Refuse a path where no file is; cheaper than opening it.

    Raises:
        UnusableAudio: missing; or unreadable, where something else is there or the path cannot be looked up.
    """
    try:
        if path.is_file():
            return
        is_directory = path.is_dir()
    except OSError as error:
        raise UnusableAudio(SkipCause.UNREADABLE, _reason(error)) from error
    if is_directory:
        raise UnusableAudio(SkipCause.UNREADABLE, f"a directory, not a file: {path}")
    raise UnusableAudio(SkipCause.MISSING, f"no such file: {path}")


def _reason(error: Exception) -> str:
    """Return the decoder's own words without the path or object that it puts in front of them."""
    if isinstance(error, soundfile.LibsndfileError):
        return str(error.error_string)
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error)


def _require_promised_bytes(stream: BinaryIO) -> None:
    size = stream.seek(0, io.SEEK_END)
    if size == 0:
        raise UnusableAudio(SkipCause.EMPTY, "the file has 0 bytes")
    stream.seek(0)
    promised = _promised_end(stream)
    if promised is not None and promised > size:
        raise UnusableAudio(
            SkipCause.TRUNCATED, f"the header promises sound up to byte {promised}, the file ends at {size}"
        )


def _promised_end(stream: BinaryIO) -> int | None:
    """Return the byte where the sound of a WAV (RIFF or RF64) ends by its header; None where it does not say."""
    magic, form = (head := stream.read(12))[:4], head[8:]
    if magic not in (b"RIFF", b"RF64") or form != b"WAVE":
        return None
    long_size = None
    while len(chunk := stream.read(8)) == 8:
        name, size = chunk[:4], int.from_bytes(chunk[4:], "little")
        body = stream.tell()
        if name == b"ds64":  # EBU Tech 3306: bytes 8 to 16 of this chunk hold the 64-bit size of the data chunk
            long_size = int.from_bytes(stream.read(16)[8:], "little")
        if name == b"data":
            if size == UNKNOWN_SIZE:
                return None if long_size is None else body + long_size
            return body + size
        stream.seek(body + size + size % 2)  # chunks are padded to even length
    return None
