"""What a monitor listens to: a few utterances, the same at every step."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlflow_rank.encoders.features import DEFAULT_SAMPLING_RATE
from mlflow_rank.errors import UsageError
from mlflow_rank.speech.decoding import decode
from mlflow_rank.speech.digests import content_digest, corpus_digest
from mlflow_rank.speech.skips import UnusableAudio, counts_by_cause
from mlflow_rank.speech.strata import order_of_draw
from mlflow_rank.speech.utterance import Skipped, Utterance

COUNT = 64  # utterances; rows enough at utterance level to see collapse, and a point costs seconds
SECONDS = 4.0  # of each; 64 of them are 12,800 frames at 50 Hz, 16 for each dimension of a base model
BATCH_SECONDS = 160.0  # audio heard at once on a GPU, as `measure` does: about 4 GB of activations at HuBERT-base size

Waveform = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class ProbeSet:
    """Waveforms that are heard at every point.

    `waveforms` are float32 in [-1, 1] at `rate` Hz, `keys` their names. `digest` is of the samples and the rate.
    `convention` says what they are, JSON-ready: points of different conventions are not to be compared. `skipped` are
    utterances that could not be used and were replaced; `note` says in a sentence where fewer are there than were asked
    for, "" where none are missing.
    """

    waveforms: tuple[Waveform, ...]
    keys: tuple[str, ...]
    rate: int
    digest: str
    convention: dict[str, object]
    skipped: tuple[Skipped, ...] = ()
    note: str = ""

    @classmethod
    def drawn(
        cls,
        utterances: Iterable[Utterance],
        *,
        count: int = COUNT,
        seconds: float = SECONDS,
        seed: int = 0,
        rate: int = DEFAULT_SAMPLING_RATE,
        minimum_samples: int = 1,
    ) -> ProbeSet:
        """Draw `count` utterances, in the order in which `measure` would spend a budget on them: every speaker first.

        Each is cut to its first `seconds`. One that cannot be used, or is shorter than `minimum_samples` at `rate` Hz,
        is skipped, and the next in order takes its place.

        Raises:
            UsageError: there is no utterance that can be used, or a count, length, rate or seed makes no sense.
        """
        _require(count >= 1, "count", count, "1 or more")
        _require(seconds > 0.0, "seconds", seconds, "more than 0")
        _require(rate >= 1, "rate", rate, "a positive number of Hz")
        first, others = order_of_draw(sorted(utterances, key=lambda each: each.key), seed)
        heard: dict[str, Waveform] = {}
        skipped: list[Skipped] = []
        for utterance in itertools.chain(first, others):
            if len(heard) == count:
                break
            try:
                heard[utterance.key] = _beginning(utterance, seconds, rate, minimum_samples)
            except UnusableAudio as unusable:
                skipped.append(unusable.skipped(utterance.key))
        if not heard:
            raise _nothing(len(first) + len(others), skipped)
        convention: dict[str, object] = {"seconds": float(seconds), "seed": seed}
        return cls._of(heard, rate, convention, tuple(skipped), _note(count, len(heard)))

    @classmethod
    def of_waveforms(
        cls, arrays: Iterable[Any], rate: int, *, seconds: float | None = SECONDS, keys: Sequence[str] | None = None
    ) -> ProbeSet:
        """Take all waveforms given: arrays or tensors of floats in [-1, 1], (samples,), at `rate` Hz.

        Each is cut to its first `seconds`; None leaves them whole.

        Raises:
            UsageError: there is none, or one is empty, not one-dimensional, not of floats, or not finite.
        """
        _require(rate >= 1, "rate", rate, "a positive number of Hz")
        _require(seconds is None or seconds > 0.0, "seconds", seconds, "more than 0, or None")
        longest = None if seconds is None else round(seconds * rate)
        waveforms = [_waveform(array, number)[:longest].copy() for number, array in enumerate(arrays)]
        if not waveforms:
            raise _nothing(0, [])
        names = [f"{number:04d}" for number in range(len(waveforms))] if keys is None else list(keys)
        if len(set(names)) != len(waveforms) or len(names) != len(waveforms):
            raise UsageError(
                "waveforms and keys do not match", got=f"{len(waveforms)} waveforms, {len(set(names))} keys"
            )
        heard = dict(zip(names, waveforms, strict=True))
        return cls._of(heard, rate, {"seconds": None if seconds is None else float(seconds), "seed": None}, (), "")

    @classmethod
    def _of(
        cls, heard: dict[str, Waveform], rate: int, drawn: dict[str, object], skipped: tuple[Skipped, ...], note: str
    ) -> ProbeSet:
        digest = corpus_digest(content_digest(samples[:, None], rate) for samples in heard.values())
        for samples in heard.values():
            samples.flags.writeable = False
        convention = {"count": len(heard), **drawn, "rate": rate, "digest": digest}
        return cls(tuple(heard.values()), tuple(heard), rate, digest, convention, skipped, note)

    def batches(
        self, numbers: Sequence[int], *, together: bool, samples: int | None = None
    ) -> Iterator[tuple[list[int], Waveform]]:
        """Yield the waveforms of these numbers, (batch, samples), with the number of each; never padded.

        Args:
            numbers: positions in `waveforms`.
            together: equal lengths share a batch (on a GPU); else one at a time.
            samples: at most so many in a batch, but one waveform always; None: `BATCH_SECONDS` of audio.
        """
        room = int(BATCH_SECONDS * self.rate) if samples is None else samples
        by_length = sorted(numbers, key=lambda number: len(self.waveforms[number])) if together else list(numbers)
        for length, group in itertools.groupby(by_length, key=lambda number: len(self.waveforms[number])):
            equal = list(group)
            most = max(1, room // length) if together else 1
            for start in range(0, len(equal), most):
                batch = equal[start : start + most]
                yield batch, np.stack([self.waveforms[number] for number in batch])


def _beginning(utterance: Utterance, seconds: float, rate: int, minimum_samples: int) -> Waveform:
    start = utterance.start or 0.0
    if utterance.duration > seconds:
        utterance = replace(utterance, start=start, end=start + seconds)
    samples = decode(utterance, rate=rate, min_duration=minimum_samples / rate).samples
    return np.array(samples[: round(seconds * rate)])


def _waveform(array: Any, number: int) -> Waveform:
    values = np.asarray(array.detach().cpu() if hasattr(array, "detach") else array)
    if values.ndim != 1 or values.size == 0 or not np.issubdtype(values.dtype, np.floating):
        raise UsageError(
            f"waveform {number} is none", got=f"{values.dtype} of shape {values.shape}", expected="floats, (samples,)"
        )
    if not np.isfinite(values).all():
        raise UsageError(f"waveform {number} holds NaN or infinity", expected="samples in [-1, 1]")
    return values.astype(np.float32)


def _note(wanted: int, found: int) -> str:
    return (
        ""
        if found == wanted
        else f"the probe set has {found} utterances; {wanted} were asked for, and no more can be used"
    )


def _nothing(listed: int, skipped: Sequence[Skipped]) -> UsageError:
    causes = ", ".join(f"{number} {cause}" for cause, number in counts_by_cause(skipped).items())
    return UsageError(
        "there is nothing for the monitor to listen to",
        got=f"{listed} utterances" + (f": {causes}; first: {skipped[0].key}: {skipped[0].detail}" if skipped else ""),
        expected="at least one utterance that can be used",
    )


def _require(holds: bool, name: str, value: object, expected: str) -> None:
    if not holds:
        raise UsageError(f"bad probe set: {name}", got=repr(value), expected=expected)
