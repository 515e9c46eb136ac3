"""Evidence as the values of ordinary tags: whole where it is small, else compressed and in numbered parts."""

from __future__ import annotations

import base64
import hashlib
import lzma
import re
from collections.abc import Iterator
from dataclasses import dataclass

from mlflow_rank.errors import EvidenceError

PREFIX = "rank."
EVIDENCE, PART = f"{PREFIX}evidence", f"{PREFIX}part"
FLAG = f"{PREFIX}flag"  # that something speaks against a version that is in use, in short
MOST_CHARACTERS = 90_000  # of one value; MLflow takes 100,000
MOST_PARTS = 200
MOST_BYTES = 64_000_000  # of an envelope; less than a server has to spare
_PACKED = "xz;base64,"
_PART_KEY = re.compile(rf"{re.escape(PART)}\.(?P<digest>[0-9a-f]{{64}})\.(?P<number>[0-9]{{3}})of(?P<count>[0-9]{{3}})")


@dataclass(frozen=True, slots=True)
class Part:
    """One piece of a packed envelope: of which (sha256 of the packed text), the how manieth, of how many."""

    digest: str
    number: int
    count: int

    @property
    def key(self) -> str:
        """The key of its tag."""
        return f"{PART}.{self.digest}.{self.number:03d}of{self.count:03d}"

    @classmethod
    def of(cls, key: str) -> Part | None:
        """Return the part that a tag's key names; None where it names none."""
        match = _PART_KEY.fullmatch(key)
        if match is None:
            return None
        part = cls(match["digest"], int(match["number"]), int(match["count"]))
        return part if 1 <= part.number <= part.count <= MOST_PARTS else None


def parcels(envelope: bytes) -> Iterator[tuple[str, str]]:
    """Yield the tags, key and value, that carry an envelope; the last one completes it.

    Raises:
        EvidenceError: it is too large.
    """
    if len(envelope) > MOST_BYTES:
        raise EvidenceError(
            "this evidence is too large for the registry", got=f"{len(envelope):,} bytes", expected=f"{MOST_BYTES:,}"
        )
    packed = _PACKED + base64.b64encode(lzma.compress(envelope, preset=6)).decode()
    if len(packed) <= MOST_CHARACTERS:
        yield f"{EVIDENCE}.{hashlib.sha256(envelope).hexdigest()[:12]}", packed
        return
    pieces = [packed[start : start + MOST_CHARACTERS] for start in range(0, len(packed), MOST_CHARACTERS)]
    if len(pieces) > MOST_PARTS:
        raise EvidenceError(
            "this evidence is too large for the registry",
            got=f"{len(packed):,} characters packed",
            expected=f"{MOST_PARTS * MOST_CHARACTERS:,} at most",
        )
    digest = hashlib.sha256(packed.encode()).hexdigest()
    for number, piece in enumerate(pieces, start=1):
        yield Part(digest, number, len(pieces)).key, piece


def unpacked(value: str) -> bytes:
    """Return the envelope that the value of a tag holds: packed, or as plain JSON.

    Raises:
        EvidenceError: it holds none, or one that is larger when unpacked than an envelope may be.
    """
    if not value.startswith(_PACKED):
        try:
            return value.encode()
        except UnicodeEncodeError as error:
            got = f"half a surrogate pair at character {error.start}"
            raise EvidenceError("this evidence is no text", got=got, expected="whole characters") from error
    expand = lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=4 * MOST_BYTES)
    try:
        packed = base64.b64decode(value.removeprefix(_PACKED), validate=True)
        envelope = expand.decompress(packed, max_length=MOST_BYTES + 1)
    except (ValueError, lzma.LZMAError) as error:
        raise EvidenceError("this evidence cannot be unpacked", got=str(error), expected="xz as base64") from error
    if not expand.eof or expand.unused_data or len(envelope) > MOST_BYTES:
        raise EvidenceError(
            "this evidence cannot be unpacked", got="it is cut off, too long, or more than one", expected="one envelope"
        )
    return envelope


def joined(part: Part, pieces: dict[int, str]) -> bytes:
    """Return the envelope of all its pieces.

    Raises:
        EvidenceError: the pieces are not those of the digest, or hold no envelope.
    """
    packed = "".join(pieces[number] for number in range(1, part.count + 1))
    if hashlib.sha256(packed.encode()).hexdigest() != part.digest:
        raise EvidenceError("the parts of this evidence are not those that were sent", got="another digest")
    return unpacked(packed)
