"""Base64 with exactly one spelling for each alphabet."""

from __future__ import annotations

import base64

from mlflow_rank.errors import EvidenceError

_STANDARD = str.maketrans("-_", "+/")


def decode_base64(text: str, *, named: str, url_safe: bool = False) -> bytes:
    """Return the bytes of base64 with padding (RFC 4648, section 4, or also 5 where `url_safe`).

    Refused: white space and other letters, both alphabets mixed, padding left out, and bits at the end that are not
    zero, so that bytes have one text in each alphabet.

    Raises:
        EvidenceError: the text is not that.

    >>> decode_base64("_-8=", named="it", url_safe=True) == decode_base64("/+8=", named="it") == b"\\xff\\xef"
    True
    """
    cause, spellings = "", list[bytes]()
    try:
        data = base64.b64decode(text.translate(_STANDARD) if url_safe else text, validate=True)
        spellings = [base64.b64encode(data), *([base64.urlsafe_b64encode(data)] if url_safe else [])]
    except ValueError as error:  # also binascii.Error, and letters that are not ASCII
        cause = f": {error}"
    if not spellings or text.encode() not in spellings:
        raise EvidenceError(
            f"{named} is no base64",
            got=f"{len(text):,} characters{cause}",
            expected="one of its alphabets with padding, no white space, and no bits left over",
        )
    return data
