"""JSON that decides something: what two readers would read differently is refused.

Python's reader alone keeps the last of two equal keys, takes NaN and 1e999, and follows a thousand brackets until its
stack ends. The limits are those of I-JSON (RFC 7493) and RFC 8785, so that whatever is read here can be written by
`canonical_json`, and reads the same again.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from itertools import accumulate
from typing import NoReturn

from mlflow_rank.errors import EvidenceError

MOST_BYTES = 32 * 2**20
DEEPEST = 64  # nested lists and objects; our documents need eight
LARGEST_WHOLE = 2**53 - 1  # the largest whole number that every JSON reader keeps exactly (RFC 8785, appendix D)
SHORTEST_EXPONENT = 1e21  # from here on canonical JSON writes a float with an exponent (ECMA-262, Number::toString)
_LONGEST_NUMBER = 400  # characters; a double written out in full with 17 digits has at most 326
_BYTE_ORDER_MARK = "\ufeff"
_HIGH, _LOW = r"\\u[dD][89abAB][0-9a-fA-F]{2}", r"\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_HALF_PAIR = re.compile(rf"{_HIGH}(?!{_LOW})|(?<!{_HIGH}){_LOW}")
_QUOTED = re.compile(rb'"[^"]*"?')
_STEPS = [(character in b"[{") - (character in b"]}") for character in range(256)]
_NO_BRACKETS = bytes(character for character in range(256) if not _STEPS[character])


def parse_json(data: bytes | str, *, named: str, most_bytes: int = MOST_BYTES, deepest: int = DEEPEST) -> object:
    """Return the value of a JSON document: dictionaries, lists, text, numbers, truth values, None.

    Refused, beside what is no JSON: equal keys in one object; NaN and Infinity, and numbers that overflow; whole
    numbers that doubles do not keep (beyond ±(2⁵³ - 1)), in whatever notation; half a surrogate pair; a byte order
    mark; bytes that are not UTF-8.

    Args:
        data: the document, as UTF-8 bytes or as text.
        named: what it is called in messages.
        most_bytes: the largest document that is looked at.
        deepest: how many lists and objects may stand in one another; a few hundred at most.

    Raises:
        EvidenceError: with the place or the key; nothing else, whatever the data.

    >>> parse_json(b'{"a": [1, 2.5]}', named="it")
    {'a': [1, 2.5]}
    >>> parse_json('{"a": 1, "a": 2}', named="it")
    Traceback (most recent call last):
    ...
    mlflow_rank.errors.EvidenceError: it is no JSON that we accept
      got:      the key 'a' twice in one object
      ...
    """
    reader = _Reader(named)
    text = reader.text(data, most_bytes)
    reader.check_nesting(text, deepest)
    try:
        return json.loads(
            text,
            object_pairs_hook=reader.mapping,
            parse_int=reader.whole,
            parse_float=reader.decimal,
            parse_constant=reader.constant,
        )
    except json.JSONDecodeError as error:
        reader.refuse(f"{error.msg} at {_place(text, error.pos)}", "one JSON value", cause=error)
    except RecursionError as error:
        reader.refuse("lists in lists that no stack holds", f"at most {deepest} in one another", cause=error)


class _Reader:
    """Makes values of what json finds, or refuses in the name of the document."""

    def __init__(self, named: str) -> None:
        self.named = named

    def refuse(self, got: str, expected: str, *, cause: BaseException | None = None) -> NoReturn:
        raise EvidenceError(f"{self.named} is no JSON that we accept", got=got, expected=expected) from cause

    def text(self, data: bytes | str, most_bytes: int) -> str:
        size = len(data)  # of text: at least as many bytes
        if size <= most_bytes and isinstance(data, str):
            try:
                size = len(data.encode())
            except UnicodeEncodeError as error:
                self.refuse(f"half a surrogate pair at character {error.start}", "whole characters", cause=error)
        if size > most_bytes:
            self.refuse(f"{size:,} bytes", f"at most {most_bytes:,} bytes")
        try:
            text = data if isinstance(data, str) else data.decode("utf-8")
        except UnicodeDecodeError as error:
            self.refuse(f"bytes that are not UTF-8 at byte {error.start}", "UTF-8", cause=error)
        if text.startswith(_BYTE_ORDER_MARK):
            self.refuse("a byte order mark at character 0", "UTF-8 without one")
        return text

    def check_nesting(self, text: str, deepest: int) -> None:
        """Refuse too many brackets in one another, and half surrogate pairs, before anything follows them.

        Where the text is no JSON, everything before its first fault is understood as json understands it, which
        stops at that fault. All of this runs in C and keeps the length of the text, so that places stay right.
        """
        plain = text.replace(r"\\", "  ")  # from here on a backslash begins an escape
        if half := _HALF_PAIR.search(plain):
            self.refuse(f"half a surrogate pair {half[0]} at {_place(text, half.start())}", "whole characters")
        unescaped = plain.replace(r"\"", "  ").encode("ascii", "replace")
        if max(_depths(_QUOTED.sub(b"", unescaped).translate(None, _NO_BRACKETS)), default=0) > deepest:
            blanked = _QUOTED.sub(lambda quoted: b" " * len(quoted[0]), unescaped)
            position = next(position for position, depth in enumerate(_depths(blanked)) if depth > deepest)
            self.refuse(
                f"lists and objects nested deeper at {_place(text, position)}", f"at most {deepest} in one another"
            )

    def mapping(self, pairs: list[tuple[str, object]]) -> dict[str, object]:
        values = dict(pairs)
        if len(values) < len(pairs):
            seen: set[str] = set()
            for key, _ in pairs:
                if key in seen:
                    self.refuse(f"the key {_short(key)} twice in one object", "each key once")
                seen.add(key)
        return values

    def whole(self, text: str) -> int:
        if len(text) > len(str(LARGEST_WHOLE)) + 1 or abs(int(text)) > LARGEST_WHOLE:
            self._too_large(text)
        return int(text)

    def decimal(self, text: str) -> float:
        if len(text) > _LONGEST_NUMBER:
            self.refuse(f"a number of {len(text):,} characters: {text[:20]}…", f"at most {_LONGEST_NUMBER}")
        value = float(text)
        if math.isinf(value):
            self.refuse(f"the number {_short(text)}", "numbers that a double can hold")
        if is_inexact_whole(value):
            self._too_large(text)
        return value

    def constant(self, text: str) -> NoReturn:
        self.refuse(f"{text}, which is no number", "finite numbers, or null where there is none")

    def _too_large(self, text: str) -> NoReturn:
        self.refuse(f"the whole number {_short(text)}", f"whole numbers from -{LARGEST_WHOLE} to {LARGEST_WHOLE}")


def is_inexact_whole(value: float) -> bool:
    """Say whether canonical JSON would write this float as a whole number that readers do not keep exactly.

    >>> [is_inexact_whole(value) for value in (1.5, 2.0**52, 1e17, -1e17, 1e21)]
    [False, False, True, True, False]
    """
    return LARGEST_WHOLE < abs(value) < SHORTEST_EXPONENT


def _depths(brackets: bytes) -> Iterator[int]:
    """Yield, after each character, how many brackets are open."""
    return accumulate(map(_STEPS.__getitem__, brackets))


def _place(text: str, position: int) -> str:
    line = text.count("\n", 0, position) + 1
    column = position - (text.rfind("\n", 0, position) + 1) + 1
    return f"line {line}, column {column} (character {position})"


def _short(text: str) -> str:
    shown = ascii(text)  # so that no letter from the document can look like another, or steer a terminal
    return shown if len(shown) <= 60 else f"{shown[:57]}…"
