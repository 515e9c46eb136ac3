"""What a corpus contains, as one digest that does not depend on names, places, order or lossless packing."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from mlflow_rank.errors import UsageError

_SHA256 = re.compile(r"sha256:[0-9a-f]{64}")


def content_digest(samples: NDArray[np.float32], rate: int) -> str:
    """Return the digest of decoded sound, so that a renamed file and a FLAC copy of a WAV agree.

    Args:
        samples: float32, shape (frames, channels), as decoded, before mixing and resampling.
        rate: the native sampling rate in Hz.

    Returns:
        `sha256:` and 64 hex digits, over rate, channels, frames and the little-endian samples.

    >>> content_digest(np.zeros((1, 1), np.float32), 16000)[:15]
    'sha256:5be036ad'
    """
    frames, channels = samples.shape
    digest = hashlib.sha256(f"{rate} {channels} {frames}\n".encode())
    digest.update(np.ascontiguousarray(samples, dtype="<f4").data)
    return f"sha256:{digest.hexdigest()}"


def corpus_digest(content_digests: Iterable[str]) -> str:
    """Return one digest for a bag of utterances: free of order and path, but twice the same sound counts twice.

    Raises:
        UsageError: there is none, or one is not `sha256:` with 64 hex digits.

    >>> one, two = "sha256:" + 64 * "1", "sha256:" + 64 * "2"
    >>> corpus_digest([one, two]) == corpus_digest([two, one]) != corpus_digest([one, two, two])
    True
    """
    ordered = sorted(content_digests)
    if not ordered:
        raise UsageError("no utterance to take a digest of", got="0 content digests", expected="at least one")
    for each in ordered:
        if not _SHA256.fullmatch(each):
            raise UsageError("not a content digest", got=repr(each), expected="sha256: and 64 lower-case hex digits")
    return "sha256:" + hashlib.sha256("\n".join(ordered).encode()).hexdigest()
