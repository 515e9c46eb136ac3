"""Reading the intervals of one tier from a Praat TextGrid, long or short text form, by the library praatio."""

from __future__ import annotations

from pathlib import Path

from mlflow_rank.errors import MissingDependencyError, UsageError
from mlflow_rank.speech.utterance import Phone

PHONE_TIERS = ("phones", "phone")  # tried in this order, in any case: what forced aligners write
SUFFIXES = (".TextGrid", ".textgrid")
GAP = 0.02  # s; Praat's intervals fill their tier, so a tier that stops earlier by more than a frame was cut short


def textgrid_beside(audio: Path) -> Path | None:
    """Return the TextGrid that lies beside an audio file under the same stem, None where there is none."""
    return next((path for suffix in SUFFIXES if (path := audio.with_suffix(suffix)).is_file()), None)


def read_textgrid(path: Path, tier: str | None) -> list[tuple[str, Phone]]:
    """Return the labelled intervals of a tier in order of time, each with its place; unlabelled ones are left out.

    Args:
        path: of the TextGrid, UTF-8 or UTF-16.
        tier: its exact name, or None for the tier called `phones` or `phone`.

    Raises:
        UsageError: unreadable, no such tier, not a tier of intervals, an end before its start, an overlap, a tier that
            stops before the end that the file states.
        MissingDependencyError: the package `praatio` is not installed.
    """
    try:
        from praatio import textgrid
        from praatio.utilities.errors import PraatioException, TextgridStateError
    except ImportError as error:
        raise MissingDependencyError("praatio", needed_for="reading TextGrid files", install="praatio") from error
    try:
        grid = textgrid.openTextgrid(str(path), includeEmptyIntervals=True, reportingMode="silence")
    except TextgridStateError as error:
        raise UsageError(
            f"{path}: bad interval",
            got=" ".join(str(error).split()),
            expected="intervals that end after they start and do not overlap",
            remedy="correct the tier in Praat",
        ) from error
    except (PraatioException, OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        # praatio's parser meets text that is no TextGrid with whatever the failing line of its own code raises.
        raise UsageError(
            f"{path}: not a readable TextGrid",
            got=" ".join(str(error).split()) or type(error).__name__,
            expected="a Praat TextGrid in text form, UTF-8 or UTF-16",
            remedy="open it in Praat and save it again as a text file",
        ) from error
    intervals = grid.getTier(_tier_name(path, grid.tierNames, tier))
    if not isinstance(intervals, textgrid.IntervalTier):
        raise UsageError(f"{path}: tier {intervals.name!r} has no durations", got="points", expected="intervals")
    reached = max((float(entry.end) for entry in intervals.entries), default=0.0)
    stated = float(grid.maxTimestamp)
    if not intervals.entries or reached < stated - GAP:
        raise UsageError(
            f"{path}: tier {intervals.name!r} is cut short",
            got=f"{len(intervals.entries)} intervals up to {reached:g} s",
            expected=f"intervals up to {stated:g} s, as the file states",
            remedy="write the file anew",
        )
    return [
        (str(path), Phone(str(entry.label), float(entry.start), float(entry.end)))
        for entry in intervals.entries
        if entry.label
    ]


def _tier_name(path: Path, names: tuple[str, ...], wanted: str | None) -> str:
    if wanted is None:
        found = next((name for ours in PHONE_TIERS for name in names if name.casefold() == ours), None)
    else:
        found = wanted if wanted in names else None
    if found is None:
        raise UsageError(
            f"{path}: no such tier",
            got=f"tiers: {', '.join(names) or 'none'}",
            expected=" or ".join(map(repr, PHONE_TIERS)) if wanted is None else repr(wanted),
            remedy="name the tier of the phones in the manifest's column 'tier'",
        )
    return found
