"""Which of an encoder's layers are meant by "all", "last" or "0,3,6-12"."""

from __future__ import annotations

import re

from mlflow_rank.errors import UsageError


def select_layers(text: str | None, count: int) -> tuple[int, ...]:
    """Return the layer indices that a `--layers` text names, ascending and without repeats.

    Args:
        text: "all" (as None), "last", or indices and inclusive ranges separated by commas.
        count: how many layers there are, so 0 to count - 1 exist.

    Raises:
        UsageError: the text is malformed or names a layer that does not exist.

    >>> select_layers("0,3,6-8", 13)
    (0, 3, 6, 7, 8)
    >>> select_layers("last", 13)
    (12,)
    """
    wanted = (text or "all").strip()
    if wanted == "all":
        return tuple(range(count))
    if wanted == "last":
        return (count - 1,)
    indices: set[int] = set()
    for part in wanted.split(","):
        match = re.fullmatch(r"\s*(\d+)\s*(?:-\s*(\d+)\s*)?", part)
        if match is None:
            raise UsageError(
                f"cannot read {part.strip()!r} as layers", got=repr(text), expected='"all", "last", or e.g. "0,3,6-12"'
            )
        first = int(match[1])
        last = first if match[2] is None else int(match[2])
        if last < first:
            raise UsageError("a layer range runs backwards", got=part.strip(), expected=f"{last}-{first}")
        if last >= count:
            raise UsageError(
                f"layer {last} does not exist",
                got=repr(text),
                expected=f"layers 0 to {count - 1}, where 0 is what enters the first block",
                remedy='use --layers all, or "last" for the deepest',
            )
        indices.update(range(first, last + 1))
    return tuple(sorted(indices))
