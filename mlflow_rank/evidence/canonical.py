"""One value, one sequence of bytes (RFC 8785), one digest."""

from __future__ import annotations

import hashlib
import re

import rfc8785

from mlflow_rank.errors import EvidenceError
from mlflow_rank.evidence.strict_json import DEEPEST, is_inexact_whole

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def canonical_json(value: object) -> bytes:
    """Return the value as canonical JSON after RFC 8785: sorted keys, no spaces, the shortest numbers, UTF-8.

    What `parse_json` would refuse is refused here as well, so that nothing is signed which nobody could read back.
    1 and 1.0 are one value to JSON, and so are 0 and -0.

    Args:
        value: dictionaries with text as keys, lists, tuples, text, numbers, truth values, None.

    Raises:
        EvidenceError: it holds something else, a number that is not finite, a whole number beyond ±(2⁵³ - 1), half
            a surrogate pair, or is nested too deep.

    >>> canonical_json({"b": 1.0, "a": [True, None, "é"]})
    b'{"a":[true,null,"\\xc3\\xa9"],"b":1}'
    """
    try:
        _check(value)
        return rfc8785.dumps(value)  # type: ignore[arg-type]  # what is no JSON value, it refuses
    except (ValueError, TypeError) as error:  # of which rfc8785's own are; and half surrogate pairs, which it forgets
        raise EvidenceError(
            "this cannot be written as canonical JSON",
            got=str(error).partition("\n")[0][:200],
            expected="text, finite numbers, truth values, null, and lists and objects of them",
        ) from error


def digest_of(value: object) -> str:
    """Return `sha256:…` of the value as canonical JSON.

    Raises:
        EvidenceError: it is no JSON value; see `canonical_json`.

    >>> digest_of({"b": 1, "a": 2}) == digest_of({"a": 2.0, "b": 1})
    True
    """
    return digest_of_bytes(canonical_json(value))


def digest_of_bytes(data: bytes) -> str:
    """Return `sha256:…` of the bytes.

    >>> digest_of_bytes(b"")[:15]
    'sha256:e3b0c442'
    """
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def is_digest(text: str) -> bool:
    """Say whether the text is `sha256:` and 64 lower-case hex digits."""
    return _DIGEST.fullmatch(text) is not None


def _check(value: object) -> None:
    """Refuse what rfc8785 would follow without end, or write so that it does not read back."""
    waiting = [(value, 1)]
    while waiting:
        each, depth = waiting.pop()
        if isinstance(each, float) and is_inexact_whole(each):
            raise ValueError(f"the whole number {each!r}, which readers do not keep exactly")
        if isinstance(each, dict | list | tuple):
            if depth > DEEPEST:
                raise ValueError(f"lists and objects nested deeper than {DEEPEST}")
            waiting.extend((part, depth + 1) for part in (each.values() if isinstance(each, dict) else each))
