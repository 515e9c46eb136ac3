"""Phones written in files beside the audio, TextGrid or CTM, made into the phones of an utterance.

Times in such files are seconds in the audio file. An utterance that is a part of its file gets the phones whose
centre lies within it, shifted to its start and cut at its borders, so that each phone belongs to one utterance of a
file cut without overlap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import pairwise
from pathlib import Path

from mlflow_rank.errors import UsageError
from mlflow_rank.speech.ctm import read_ctm
from mlflow_rank.speech.textgrids import read_textgrid
from mlflow_rank.speech.utterance import Phone

# Symbols that stand for no phone: the one list of the package, an argument wherever it is used. Praat and Montreal
# Forced Aligner ("", sil, sp, spn), Kaldi (SIL, SPN, NSN, LAUGH, <eps>), TIMIT (h#, #h, pau, epi), WebMAUS (<p:>,
# <usb>, <nib>), Buckeye (SIL, NOISE, VOCNOISE, IVER, LAUGH), CMU Sphinx (<sil>, ++…++), SAMPA and Festival (#, _).
# TIMIT's closures (bcl, dcl, …) are parts of stops, not silence; fold them before, if at all.
SILENCE = frozenset(
    {"", "#", "_", "h#", "#h", "pau", "epi", "sil", "sp", "spn", "SIL", "SP", "SPN", "NSN", "LAUGH", "NOISE"}
    | {"VOCNOISE", "IVER", "<eps>", "<sil>", "<SIL>", "<p:>", "<usb>", "<nib>", "++NOISE++", "++BREATH++"}
)
OVERHANG = 0.02  # s; a phone may end that much after its audio: one frame of an encoder or aligner at 50 Hz
MICRO = 6  # decimals in which times are compared: a start plus a duration is not the end to the last bit
ROUNDING = 0.015  # s; neighbours in CTM may overlap so far: start, duration and next start each rounded to 0.01 s


class AlignmentKind(StrEnum):
    """How phones are written; the value is the column of a manifest that names the file."""

    TEXTGRID = "textgrid"
    CTM = "ctm"


@dataclass(frozen=True, slots=True)
class Alignment:
    """Where an utterance's phones are written: `part` is the tier of a TextGrid or the utterance's name in a CTM."""

    kind: AlignmentKind
    path: Path
    part: str | None


class AlignmentFiles:
    """Reads phones from alignment files, a CTM file once for all of its utterances.

    `base` is the directory that relative paths start at.
    """

    def __init__(self, base: Path) -> None:
        self.base = base
        self._ctm: dict[Path, dict[str, list[tuple[str, Phone]]]] = {}

    def phones(
        self, alignment: Alignment, *, place: str, start: float, duration: float, whole: bool
    ) -> tuple[Phone, ...]:
        """Return an utterance's phones, in seconds from its start.

        Args:
            alignment: where they are written.
            place: of the utterance in its source, for errors.
            start: of the utterance in the audio file, seconds.
            duration: of the utterance, seconds.
            whole: whether the utterance goes to the end of its file, so that nothing may come after it.

        Raises:
            UsageError: no such file, tier or utterance; overlapping phones; phones beyond the audio by more than
                0.02 s; each with the file, and the line where it has one.
        """
        path = self.base / alignment.path  # an absolute path stays as it is
        if not path.is_file():
            raise UsageError(
                f"{place}: no such file in column {alignment.kind.value!r}",
                got=str(path),
                expected="a file that is there, its path relative to the manifest",
            )
        timed = self._read(path, alignment, place)
        end = start + duration
        if whole and timed and timed[-1][1].end > end + OVERHANG:
            raise UsageError(
                f"{timed[-1][0]}: phones beyond the audio",
                got=f"{timed[-1][1].symbol!r} ends at {timed[-1][1].end:g} s",
                expected=f"at most {end:g} s, the end of the audio of {place}",
                remedy="check that the labels belong to this file",
            )
        return tuple(
            Phone(each.symbol, max(each.start - start, 0.0), max(min(each.end, end) - start, 0.0))
            for each in _without_overlap(timed)
            if round(start, MICRO) <= round((each.start + each.end) / 2, MICRO) < round(end, MICRO)
        )

    def _read(self, path: Path, alignment: Alignment, place: str) -> Sequence[tuple[str, Phone]]:
        if alignment.kind is AlignmentKind.TEXTGRID:
            return read_textgrid(path, alignment.part)
        if path not in self._ctm:
            self._ctm[path] = read_ctm(path)
        utterances = self._ctm[path]
        if alignment.part not in utterances:
            raise UsageError(
                f"{place}: no such utterance in {path}",
                got=f"{alignment.part!r}; the file has {len(utterances)}, first: {', '.join(list(utterances)[:3])}",
                expected="the stem of the audio file, or the name in the column 'ctm_id'",
            )
        return utterances[alignment.part]


def _without_overlap(timed: Sequence[tuple[str, Phone]]) -> list[Phone]:
    """Return phones in order of time, each ending where the next begins at the latest."""
    phones = [phone for _, phone in timed]
    for index, ((_, one), (place, other)) in enumerate(pairwise(timed)):
        if one.end - other.start > ROUNDING:
            raise UsageError(
                f"{place}: phones overlap",
                got=f"{other.symbol!r} starts at {other.start:g} s, {one.symbol!r} ends at {one.end:g} s",
                expected="one phone at a time",
            )
        phones[index] = replace(one, end=min(one.end, max(one.start, other.start)))
    return phones
