"""The labelled things that a pilot trains and tests on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, fields

from mlflow_rank.errors import UsageError

SHOWN = 10  # keys or names listed in one message; the rest is counted


@dataclass(frozen=True, slots=True)
class Items:
    """Labelled items of one corpus, one entry of every field per item; keys are unique.

    `labels` are class names, `groups` what folds and intervals treat as one (speakers), `digests` content digests of
    the audio that holds each item (equal for the phones of one utterance), `sessions` the recording session or None
    where it is not known. The order of items carries no meaning.

    Raises UsageError where the fields differ in length or a key comes twice.
    """

    keys: tuple[str, ...]
    labels: tuple[str, ...]
    groups: tuple[str, ...]
    digests: tuple[str, ...]
    sessions: tuple[str | None, ...]

    def __post_init__(self) -> None:
        lengths = {field.name: len(getattr(self, field.name)) for field in fields(self)}
        if len(set(lengths.values())) > 1:
            raise UsageError(
                "the fields of labelled items differ in length", got=str(lengths), expected="one entry for each item"
            )
        twice = sorted(key for key, times in Counter(self.keys).items() if times > 1)
        if twice:
            raise UsageError(
                "labelled items come more than once",
                got=listed(twice),
                expected="each key once",
                remedy="remove the repeated rows from the manifest",
            )

    def __len__(self) -> int:
        return len(self.keys)


def listed(names: Iterable[str]) -> str:
    """Return the first names, and how many more there are.

    >>> listed(str(number) for number in range(12))
    '0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more (12 in all)'
    """
    found = list(names)
    shown = ", ".join(found[:SHOWN])
    return shown if len(found) <= SHOWN else f"{shown} and {len(found) - SHOWN} more ({len(found)} in all)"
