"""libespeak-ng through its C API: text and voice in, samples and exact phone times out.

The library keeps one global voice and one random generator per process, so audio is reproducible only when a fresh
process seeds it once and speaks the same texts in the same order; `corpus.py` does exactly that, shard by shard.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlflow_rank.errors import MeasurementError, MissingDependencyError
from mlflow_rank.speech.starter.voices import Delivery
from mlflow_rank.speech.utterance import Phone

# Names and numbers of espeak-ng's public header speak_lib.h.
AUDIO_OUTPUT_SYNCHRONOUS = 2
INITIALIZE_PHONEME_EVENTS_AS_IPA = 0x0001 | 0x0002
CHARS_UTF8 = 1
PARAMETER_RATE, PARAMETER_PITCH, PARAMETER_RANGE = 1, 3, 4
EVENT_LIST_TERMINATED, EVENT_PHONEME = 0, 7
STRESS = str.maketrans("", "", "ˈˌ")  # stress marks are not part of a phone's identity
SILENCE = "sil"
SILENT_SHARE = 0.1  # of the utterance's level; measured: pauses lie at 0.0, glides without a symbol above 0.6


class _EventId(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    )


_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


@dataclass(frozen=True, slots=True)
class Speech:
    """Synthesised samples, int16 mono of shape (n,), their rate in Hz, and the phones with times in seconds."""

    samples: NDArray[np.int16]
    rate: int
    phones: tuple[Phone, ...]


class Espeak:
    """The synthesiser of this process; make one per process, and only one."""

    def __init__(self, seed: int) -> None:
        try:
            import espeakng_loader
        except ImportError as error:
            raise MissingDependencyError(
                "espeakng-loader", needed_for="making the starter corpus", install="'mlflow_rank[starter]'"
            ) from error
        self._library: Any = ctypes.CDLL(espeakng_loader.get_library_path())
        self._library.espeak_ng_SetRandSeed.argtypes = [ctypes.c_long]
        data = str(espeakng_loader.get_data_path()).encode()
        self.rate: int = self._library.espeak_Initialize(
            AUDIO_OUTPUT_SYNCHRONOUS, 0, data, INITIALIZE_PHONEME_EVENTS_AS_IPA
        )
        if self.rate <= 0:
            raise MeasurementError(
                "libespeak-ng did not start",
                got=f"return code {self.rate} with data in {data.decode()}",
                remedy="reinstall espeakng-loader",
            )
        self._library.espeak_ng_SetRandSeed(seed)
        self._chunks: list[NDArray[np.int16]] = []
        self._phones: list[tuple[str, int]] = []
        self._callback = _CALLBACK(self._receive)  # kept alive as long as the library may call it
        self._library.espeak_SetSynthCallback(self._callback)

    def _receive(self, wave: Any, count: int, events: Any) -> int:
        if wave and count > 0:
            self._chunks.append(np.ctypeslib.as_array(wave, (count,)).copy())
        index = 0
        while events[index].type != EVENT_LIST_TERMINATED:
            if events[index].type == EVENT_PHONEME:
                # eight bytes hold the symbol; a longer one may be cut inside a character
                symbol = bytes(events[index].id.string).decode("utf-8", errors="ignore").translate(STRESS)
                self._phones.append((symbol, events[index].sample))
            index += 1
        return 0

    def say(self, text: str, delivery: Delivery) -> Speech:
        """Return `text` spoken as `delivery` says.

        Raises:
            MeasurementError: where the library refuses the voice or makes no sound.
        """
        self._chunks, self._phones = [], []
        refused = self._library.espeak_SetVoiceByName(delivery.voice.encode())
        self._library.espeak_SetParameter(PARAMETER_RATE, delivery.rate, 0)
        self._library.espeak_SetParameter(PARAMETER_PITCH, delivery.pitch, 0)
        self._library.espeak_SetParameter(PARAMETER_RANGE, delivery.pitch_range, 0)
        data = text.encode()
        failed = self._library.espeak_Synth(data, len(data) + 1, 0, 0, 0, CHARS_UTF8, None, None)
        self._library.espeak_Synchronize()
        if refused or failed or not self._chunks:
            raise MeasurementError(
                "libespeak-ng made no speech",
                got=f"voice {delivery.voice!r} (code {refused}), text {text!r} (code {failed})",
                remedy="reinstall espeakng-loader at the version in requirements.lock",
            )
        samples = np.concatenate(self._chunks)
        return Speech(samples, self.rate, _phones(self._phones, samples, self.rate))


def _phones(starts: list[tuple[str, int]], samples: NDArray[np.int16], rate: int) -> tuple[Phone, ...]:
    """Turn start events into intervals that tile the speech.

    An event without a symbol is a pause where nothing sounds; where something does, it is a glide or a reduced vowel
    that has no symbol of its own, and belongs to the phone before it.
    """
    level = SILENT_SHARE * float(samples.std())
    ends = [start for _, start in starts[1:]] + [len(samples)]
    intervals: list[tuple[str, int, int]] = []
    for (symbol, start), end in zip(starts, ends, strict=True):
        if end <= start:
            continue
        silent = not symbol and float(np.sqrt(np.mean(samples[start:end].astype(np.float64) ** 2))) < level
        if (silent and intervals and intervals[-1][0] == SILENCE) or (not symbol and not silent and intervals):
            intervals[-1] = (intervals[-1][0], intervals[-1][1], end)
        else:
            intervals.append((symbol or SILENCE, start, end))
    return tuple(Phone(symbol, start / rate, end / rate) for symbol, start, end in intervals)
