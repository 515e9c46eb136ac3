"""From an utterance to its samples: decoded, checked, reduced to one channel, and brought to the encoder's rate."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import soundfile
from numpy.typing import NDArray

from mlflow_rank.errors import UsageError
from mlflow_rank.speech.containers import open_audio
from mlflow_rank.speech.digests import content_digest
from mlflow_rank.speech.skips import UnusableAudio
from mlflow_rank.speech.torchaudio_backend import import_torchaudio
from mlflow_rank.speech.utterance import SkipCause

if TYPE_CHECKING:
    from mlflow_rank.speech.utterance import Utterance

SILENCE_PEAK = 1e-4  # of full scale, −80 dB: about three steps of 16-bit sound, where dither lives and speech does not
MIN_RATE, MAX_RATE = 4_000, 384_000  # Hz; half the telephone's 8 kHz, and the highest rate of common converters
MAX_FILTER_TAPS = (
    2**22
)  # torchaudio builds about old × new taps (over their divisor), 8 bytes each, some 5 copies: 160 MB
SEGMENT_TOLERANCE = 0.01  # s; manifests round times to two decimals, so an end this far out means the end of the file
MP3_TOLERANCE = 2 * 1152  # frames of two MPEG blocks: without a length header an MP3's length is an estimate
BLOCK_FRAMES = 65_536  # frames a read asks for: small beside an utterance, large beside the cost of a call


@dataclass(frozen=True, slots=True, eq=False)
class DecodedAudio:
    """Samples float32, shape (samples,), at the rate asked for; and the digest of the sound as it was stored."""

    samples: NDArray[np.float32]
    content_digest: str


def decode(
    utterance: Utterance,
    *,
    rate: int,
    channel: str | int = "mix",
    min_duration: float = 0.0,
    max_duration: float = math.inf,
) -> DecodedAudio:
    """Decode one utterance.

    Args:
        utterance: what to decode; `start` and `end` are sought in the file, so a long file is not read whole.
        rate: the sampling rate in Hz of the samples to return.
        channel: "mix" for the mean of all channels, or the number of one, counted from 0.
        min_duration: shortest allowed, in seconds; a shorter one is `too_short`.
        max_duration: longest allowed, in seconds; a longer one is `too_long`, and is not read.

    Returns:
        Samples in [-1, 1] for sound stored as integers, and `sha256:…` over all channels at the native rate, so that a
        moved file and a FLAC copy of a WAV agree, whatever `rate` and `channel` are.

    Raises:
        UnusableAudio: the audio cannot be used; `cause` says why.
        UsageError: `rate` or `channel` makes no sense for any audio.
    """
    wanted = _checked_channel(channel)
    if rate <= 0:
        raise UsageError("bad sampling rate", got=f"{rate} Hz", expected="a positive number of Hz")
    with open_audio(utterance.source) as sound:
        native_rate = sound.samplerate
        _require_convertible(native_rate, rate)
        first, last = _frame_range(utterance, sound.frames, native_rate)
        _require_duration((last - first) / native_rate, min_duration, max_duration)
        stored = _read(sound, first, last)
    if not np.isfinite(stored).all():
        bad = int(stored.size - np.isfinite(stored).sum())
        raise UnusableAudio(SkipCause.NOT_FINITE, f"{bad} of {stored.size} samples are NaN or infinite")
    samples = _one_channel(stored, wanted)
    # Half of peak to peak, not the largest absolute value: a constant offset is silence too.
    peak = float(samples.max() - samples.min()) / 2
    if peak < SILENCE_PEAK:
        raise UnusableAudio(SkipCause.SILENT, f"peak {peak:.1e} of full scale, below {SILENCE_PEAK:.0e}")
    digest = content_digest(stored, native_rate)
    return DecodedAudio(_resampled(samples, native_rate, rate), digest)


def _checked_channel(channel: str | int) -> int | None:
    """Return the channel's number, or None for the mix of all."""
    if channel == "mix":
        return None
    text = str(channel)
    if text.isdecimal():
        return int(text)
    raise UsageError("bad channel", got=repr(channel), expected='"mix", or a channel number counted from 0')


def _require_convertible(native: int, rate: int) -> None:
    divisor = math.gcd(native, rate)
    taps = (native // divisor) * (rate // divisor)
    if not MIN_RATE <= native <= MAX_RATE:
        raise UnusableAudio(SkipCause.UNSUPPORTED_RATE, f"{native} Hz is outside {MIN_RATE} to {MAX_RATE} Hz")
    if taps > MAX_FILTER_TAPS:
        raise UnusableAudio(
            SkipCause.UNSUPPORTED_RATE,
            f"{native} Hz to {rate} Hz needs a filter of {taps} taps (common divisor too small)",
        )


def _frame_range(utterance: Utterance, frames: int, rate: int) -> tuple[int, int]:
    """Return the first frame of the utterance and the frame after its last."""
    length = frames / rate
    start = 0.0 if utterance.start is None else utterance.start
    end = length if utterance.end is None else utterance.end
    if start < 0 or end > length + SEGMENT_TOLERANCE or start >= length:
        raise UnusableAudio(
            SkipCause.SEGMENT_OUTSIDE_FILE, f"segment {start:g} to {end:g} s, the file ends at {length:g} s"
        )
    first, last = round(start * rate), min(round(end * rate), frames)
    if last <= first:
        raise UnusableAudio(SkipCause.EMPTY, f"segment {start:g} to {end:g} s holds no frame")
    return first, last


def _require_duration(seconds: float, shortest: float, longest: float) -> None:
    if seconds < shortest:
        raise UnusableAudio(SkipCause.TOO_SHORT, f"{seconds:g} s, shorter than {shortest:g} s")
    if seconds > longest:
        raise UnusableAudio(SkipCause.TOO_LONG, f"{seconds:g} s, longer than {longest:g} s")


def _read(sound: soundfile.SoundFile, first: int, last: int) -> NDArray[np.float32]:
    """Return frames `first` to `last`, shape (frames, channels)."""
    parts: list[NDArray[np.float32]] = []  # in parts, so that memory follows what is there, not what a header claims
    wanted, done = last - first, 0
    stopped_by = "the data ends there"
    try:
        sound.seek(first)
        while done < wanted:
            part = sound.read(min(BLOCK_FRAMES, wanted - done), dtype="float32", always_2d=True)
            if len(part) == 0:
                break
            parts.append(part)
            done += len(part)
    except soundfile.SoundFileError as error:
        stopped_by = str(getattr(error, "error_string", error))
    missing = wanted - done
    if missing == 0 or (done > 0 and missing <= MP3_TOLERANCE and sound.format == "MP3"):
        return np.concatenate(parts)
    raise UnusableAudio(
        SkipCause.TRUNCATED,
        f"the header promises {wanted} frames from frame {first} on, {done} could be read: {stopped_by}",
    )


def _one_channel(stored: NDArray[np.float32], wanted: int | None) -> NDArray[np.float32]:
    channels = stored.shape[1]
    if wanted is None:
        return stored[:, 0] if channels == 1 else stored.mean(axis=1, dtype=np.float32)
    if wanted >= channels:
        raise UnusableAudio(
            SkipCause.UNREADABLE, f"channel {wanted} (counted from 0) was asked for, there are {channels} channels"
        )
    return stored[:, wanted]


def _resampled(samples: NDArray[np.float32], native: int, rate: int) -> NDArray[np.float32]:
    if native == rate:
        return np.ascontiguousarray(samples)
    import_torchaudio()
    import torch
    from torchaudio.functional import resample

    with torch.inference_mode():
        converted: NDArray[np.float32] = resample(torch.from_numpy(np.ascontiguousarray(samples)), native, rate).numpy()
    return converted
