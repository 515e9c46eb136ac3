"""Reading a CTM file: one line per phone, `utterance channel start duration symbol [confidence]`, times in seconds."""

from __future__ import annotations

import math
from pathlib import Path

from mlflow_rank.errors import UsageError
from mlflow_rank.speech.utterance import Phone

_LINE = "utterance channel start duration symbol [confidence]"


def read_ctm(path: Path) -> dict[str, list[tuple[str, Phone]]]:
    """Return the phones of every utterance in order of time, each with its place `file:line`.

    Lines that begin with `;;` are comments. The channel says nothing here: audio is mixed to one channel before it is
    heard, so an utterance on two channels is refused.

    Raises:
        UsageError: unreadable, or a line that is not the form above, each with its place.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"{path}: not a readable CTM file", got=str(error), expected=f"UTF-8 text, lines of: {_LINE}"
        ) from error
    utterances: dict[str, list[tuple[str, Phone]]] = {}
    channels: dict[str, str] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip() or line.startswith(";;"):
            continue
        place = f"{path}:{number}"
        utterance, channel, phone = _parsed(line, place)
        if channels.setdefault(utterance, channel) != channel:
            raise UsageError(
                f"{place}: {utterance} on two channels",
                got=f"channel {channel!r} after {channels[utterance]!r}",
                expected="one channel per utterance",
                remedy="give each channel an utterance name and a file of its own",
            )
        utterances.setdefault(utterance, []).append((place, phone))
    for phones in utterances.values():
        phones.sort(key=lambda item: (item[1].start, item[1].end))
    return utterances


def _parsed(line: str, place: str) -> tuple[str, str, Phone]:
    cells = line.split()
    if len(cells) not in (5, 6):
        raise UsageError(f"{place}: bad line", got=f"{len(cells)} cells: {line.strip()[:60]!r}", expected=_LINE)
    try:
        start, duration = float(cells[2]), float(cells[3])
    except ValueError:
        start = duration = math.nan
    if not (math.isfinite(start) and math.isfinite(duration) and start >= 0):
        raise UsageError(
            f"{place}: bad time", got=f"start {cells[2]}, duration {cells[3]}", expected="seconds, 0 or more"
        )
    if duration < 0:
        raise UsageError(f"{place}: end before start", got=f"duration {cells[3]}", expected="0 s or more")
    return cells[0], cells[1], Phone(cells[4], start, start + duration)
