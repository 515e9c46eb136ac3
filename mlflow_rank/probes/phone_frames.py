"""Phones with times and frames without: which phone a frame is, and which phones a row of decided frames spells.

Labels go to frames by centre time: a frame is the phone that sounds at its centre.

Two scores need two views of silence. Balanced frame accuracy asks which phone a frame of speech is, so it leaves out
frames of silence, in the truth and among the answers. Decoding a sequence must be able to say that nothing is spoken.
So a head learns silence as one class more, after the phones (`with_silence`), and its decision values are read twice:
`classified` takes the best phone, for frames whose truth is a phone; `decoded` takes the best of all classes, for every
frame of the utterance; merged and without silence that is the sequence for PER, to be held against `reference`.
Frames of symbols that are neither phone nor silence carry −1: no head learns from them, no accuracy counts them, and in
a reference they stand as a phone that cannot be guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mlflow_rank.errors import UsageError
from mlflow_rank.probes.frame_clock import FrameClock

UNLABELLED = -1
WINDOWS = (1, 3, 5, 7)  # frames; 7 of 20 ms are about two phones, beyond which smoothing erases them

Timed = tuple[str, float, float]  # symbol, start, end; seconds from the start of the utterance


def with_silence(classes: Mapping[str, int], silence: Collection[str]) -> dict[str, int]:
    """Return the classes and, under the next code C, every symbol of silence.

    >>> with_silence({"a": 0, "b": 1}, {"sil"})
    {'a': 0, 'b': 1, 'sil': 2}

    Raises:
        UsageError: a symbol is both.
    """
    both = sorted(set(classes) & set(silence))
    if both:
        raise UsageError("a symbol is a phone and silence", got=", ".join(map(repr, both)), expected="one of the two")
    return {**classes, **dict.fromkeys(sorted(silence), len(classes))}


def frame_labels(
    phones: Sequence[Timed],
    *,
    frames: int,
    seconds: float,
    classes: Mapping[str, int],
    outside: int = UNLABELLED,
    clock: FrameClock | None = None,
) -> NDArray[np.int64]:
    """Return the class of the phone at each frame's centre.

    >>> frame_labels([("a", 0.0, 0.05), ("?", 0.05, 0.1)], frames=5, seconds=0.125, classes={"a": 0}).tolist()
    [0, 0, -1, -1, -1]

    Args:
        phones: in order of start; a phone holds the times from its start up to, not with, its end. Of phones that
            overlap, the later one holds.
        frames: T, how many frames the encoder gave.
        seconds: length of the waveform that it heard.
        classes: code by symbol; symbols that are not there get −1.
        outside: code for frames at whose centre no phone is: −1, or the code of silence.
        clock: when frames happen; None shares `seconds` equally among them.

    Returns:
        Shape (T,).

    Raises:
        UsageError: phones out of order, no frames, or no length.
    """
    starts, ends = _times(phones)
    centres = (clock or FrameClock.stretched(frames=frames, seconds=seconds)).centres(frames)
    lasting = np.flatnonzero(ends > starts)
    labels = np.full(frames, outside, dtype=np.int64)
    if not lasting.size:
        return labels
    codes = np.array([classes.get(phones[index][0], UNLABELLED) for index in lasting.tolist()], dtype=np.int64)
    latest = np.searchsorted(starts[lasting], centres, side="right") - 1
    sounding = (latest >= 0) & (centres < ends[lasting][latest])
    labels[sounding] = codes[latest[sounding]]
    return labels


def token_centres(
    phones: Sequence[Timed], *, frames: int, seconds: float, clock: FrameClock | None = None
) -> list[int | None]:
    """Return for each phone the frame whose centre is nearest to the phone's, None where it holds no frame's centre.

    >>> token_centres([("a", 0.0, 0.05), ("b", 0.05, 0.06)], frames=5, seconds=0.125)
    [0, None]

    Arguments and errors are those of `frame_labels`.
    """
    starts, ends = _times(phones)
    times = (clock or FrameClock.stretched(frames=frames, seconds=seconds)).centres(frames)
    step = times[1] - times[0] if frames > 1 else 1.0
    # ⌈x − ½⌉ rounds halves down: of two frames equally near, the earlier, which the phone's end cannot exclude
    nearest = np.ceil(((starts + ends) / 2 - times[0]) / step - 0.5).astype(np.int64).clip(0, frames - 1)
    held = (starts <= times[nearest]) & (times[nearest] < ends)
    return [int(index) if holds else None for index, holds in zip(nearest, held, strict=True)]


def classified(values: NDArray[np.floating], *, phones: int) -> NDArray[np.int64]:
    """Return the best phone of each frame, silence left out of the choice.

    Args:
        values: decision values of shape (T, C + 1), silence last, or (T, C).
        phones: C.
    """
    return np.asarray(values[:, :phones].argmax(axis=1), dtype=np.int64)


def decoded(values: NDArray[np.floating], *, window: int = 1) -> NDArray[np.int64]:
    """Return the best class of each frame, silence included.

    Args:
        values: decision values of one utterance, shape (T, C + 1).
        window: an odd number of frames over which values are averaged first, edges repeated; 1 averages nothing. A
            choice like any other: fixed beforehand, or by `choose_window` on training utterances. Without one, single
            frames' slips are insertions that outnumber all other errors: on synthetic speech PER fell from 1.12 to 0.59
            from 1 to 5 frames.

    Raises:
        UsageError: an even or negative window.
    """
    if window < 1 or window % 2 == 0:
        raise UsageError("bad window", got=f"{window} frames", expected="an odd number, 1 or more")
    smooth = values if window == 1 else ndimage.uniform_filter1d(values, window, axis=0, mode="nearest")
    return np.asarray(smooth.argmax(axis=1), dtype=np.int64)


def choose_window(
    values: Sequence[NDArray[np.floating]],
    references: Sequence[Sequence[int]],
    *,
    errors: Callable[[NDArray[np.int64], Sequence[int]], int],
    windows: Sequence[int] = WINDOWS,
) -> int:
    """Return the window whose sequences have the fewest errors in training utterances, the smallest of equals.

    Args:
        values: decision values per training utterance, (T, C + 1), from a head that did not learn from it.
        references: phones per training utterance, as `reference` gives them.
        errors: counts the errors of one utterance's decoded frames (merged and freed of silence there) against its
            reference.
        windows: to choose from, odd.
    """
    pairs = list(zip(values, references, strict=True))
    return min(sorted(windows), key=lambda window: sum(errors(decoded(v, window=window), ref) for v, ref in pairs))


def reference(phones: Sequence[Timed], *, classes: Mapping[str, int], silence: int) -> list[int]:
    """Return the codes of an utterance's phones in order, silence left out.

    Equal neighbours stay two phones although merged frames can only spell one; unknown symbols stay as −1, which
    nothing decodes to. Both are errors that every model makes, as in the speech they are counted in.

    >>> reference([("sil", 0, 1), ("a", 1, 2), ("x", 2, 3)], classes={"a": 0, "sil": 1}, silence=1)
    [0, -1]
    """
    codes = (classes.get(symbol, UNLABELLED) for symbol, _, _ in phones)
    return [code for code in codes if code != silence]


def _times(phones: Sequence[Timed]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    starts = np.array([start for _, start, _ in phones], dtype=np.float64)
    ends = np.array([end for _, _, end in phones], dtype=np.float64)
    backwards = np.flatnonzero(np.diff(starts) < 0)
    if backwards.size:
        first = int(backwards[0])
        raise UsageError(
            "phones out of order", got=f"{phones[first + 1]} after {phones[first]}", expected="phones in order of start"
        )
    return starts, ends
