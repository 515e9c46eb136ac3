"""Audio that cannot be used: raised where it is found, listed in `skipped.jsonl`, and too much of it fails the run."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from mlflow_rank.errors import MeasurementError, UsageError
from mlflow_rank.speech.utterance import SkipCause, Skipped

DEFAULT_MAX_SKIPPED = 0.05  # the share of bad audio a run puts up with unless told otherwise


class UnusableAudio(MeasurementError):  # noqa: N818 - named for what was found; a run lists it and goes on
    """One utterance's audio cannot be used: `cause` for counting, `detail` for a person.

    >>> print(UnusableAudio(SkipCause.EMPTY, "0 frames"))
    unusable audio (empty): 0 frames
    """

    def __init__(self, cause: SkipCause, detail: str) -> None:
        self.cause, self.detail = cause, detail
        super().__init__(f"unusable audio ({cause}): {detail}")

    def __reduce__(self) -> tuple[type[UnusableAudio], tuple[SkipCause, str]]:
        return UnusableAudio, (self.cause, self.detail)  # so that it crosses from a worker process whole

    def skipped(self, key: str) -> Skipped:
        """Return the line that the utterance `key` gets in the list of skipped audio."""
        return Skipped(key, self.cause, self.detail)


def counts_by_cause(skipped: Iterable[Skipped]) -> dict[str, int]:
    """Return how many were skipped for each cause, most frequent first; causes that never came up are absent.

    >>> counts_by_cause([Skipped("b.wav", SkipCause.SILENT, "peak 0"), Skipped("a.wav", SkipCause.SILENT, "peak 0")])
    {'silent': 2}
    """
    counts = Counter(str(item.cause) for item in skipped)
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))


def too_many_skipped(
    skipped: Sequence[Skipped], n_total: int, max_share: float = DEFAULT_MAX_SKIPPED
) -> MeasurementError | None:
    """Return the error to raise where more than `max_share` of all utterances were unusable, else None.

    It is returned, not raised, so that a caller can still write what was found (`skipped.jsonl`) before it stops.

    Args:
        skipped: what could not be used.
        n_total: the number of utterances tried, used and skipped together.
        max_share: in [0, 1]; 0 allows none, 1 allows all.

    Raises:
        UsageError: `max_share` is no share, or `n_total` is smaller than the number skipped.
    """
    if not 0 <= max_share <= 1:
        raise UsageError("bad share of audio to skip", got=f"{max_share}", expected="a number from 0 to 1")
    if n_total < len(skipped):
        raise UsageError("more audio skipped than tried", got=f"{len(skipped)} of {n_total}")
    if len(skipped) <= max_share * n_total:
        return None
    causes = ", ".join(f"{count} {cause}" for cause, count in counts_by_cause(skipped).items())
    first = skipped[0]
    return MeasurementError(
        "too much of the audio cannot be used",
        got=f"{len(skipped)} of {n_total} ({len(skipped) / n_total:.1%}): {causes}; first: {first.key}: {first.detail}",
        expected=f"at most {max_share:.1%}",
        remedy="repair or remove the files listed in skipped.jsonl, or allow more with --max-skipped",
    )


def write_skipped(skipped: Iterable[Skipped], path: Path) -> None:
    """Write one JSON object per line (`key`, `cause`, `detail`), in order of key; an empty file says that none was."""
    rows = sorted(skipped, key=lambda item: (item.key, item.cause, item.detail))
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(
            json.dumps({"key": item.key, "cause": str(item.cause), "detail": item.detail}, ensure_ascii=False) + "\n"
            for item in rows
        )
