"""A ledger's size and root in three lines that anyone can keep, signed: a C2SP checkpoint (c2sp.org/tlog-checkpoint).

Whoever keeps one elsewhere finds out when the ledger is cut short or written anew, which nothing inside the database
can show.
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, NoReturn

from mlflow_rank.errors import EvidenceError, LedgerError
from mlflow_rank.evidence.keys import PrivateKey, PublicKey
from mlflow_rank.evidence.strict_base64 import decode_base64

if TYPE_CHECKING:
    from mlflow_rank.audit.ledger import Head
    from mlflow_rank.evidence.trust import TrustStore

MOST_CHARACTERS = 2**16
_ED25519 = b"\x01"  # the algorithm's number in key ids (c2sp.org/signed-note)
_KEY_HASH_BYTES = 4
_SIZE = re.compile(r"0|[1-9][0-9]{0,15}")
_NAME = re.compile(r"[^\s+]{1,254}")
_SIGNATURE_LINE = re.compile(r"— (\S+) (\S+)")


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """A signature under a note: by which `name`, a hint at the key, and its bytes; only Ed25519's count."""

    name: str
    key_hash: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a ledger was: `origin` names it, `root` commits to its first `size` entries."""

    origin: str
    size: int
    root: bytes
    signatures: tuple[NoteSignature, ...] = ()

    @property
    def signed_text(self) -> str:
        """Return the lines that signatures are over."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"

    @property
    def text(self) -> str:
        """Return the checkpoint as a signed note; without signatures, the same without their lines."""
        lines = (
            f"— {each.name} {base64.b64encode(each.key_hash + each.signature).decode()}\n" for each in self.signatures
        )
        return f"{self.signed_text}\n{''.join(lines)}"

    def verified_by(self, key: PublicKey) -> bool:
        """Say whether one of the signatures is by this key."""
        signed = self.signed_text.encode()
        return any(
            each.key_hash == key_hash(each.name, key) and key.verifies(each.signature, signed)
            for each in self.signatures
        )


def checkpoint_of(head: Head, key: PrivateKey | None = None, name: str | None = None) -> Checkpoint:
    """Return the checkpoint of a ledger at this head.

    Args:
        head: where the ledger ends.
        key: signs it; None leaves it unsigned, which proves nothing to others.
        name: of the key in the note; None for the ledger's own.

    Raises:
        LedgerError: the name has white space or a plus in it, or is empty.
    """
    return signed(Checkpoint(head.origin, head.size, head.tree.root), key, name)


def signed(checkpoint: Checkpoint, key: PrivateKey | None, name: str | None = None) -> Checkpoint:
    """Return the checkpoint with this key's signature, in place of any that it had; without a key, as it is.

    Raises:
        LedgerError: see `checkpoint_of`.
    """
    if key is None:
        return checkpoint
    name = checkpoint.origin if name is None else name
    if not _NAME.fullmatch(name):
        raise LedgerError("no note can be signed under this name", got=ascii(name)[:80], expected="no space and no +")
    signature = NoteSignature(name, key_hash(name, key.public), key.sign(checkpoint.signed_text.encode()))
    return Checkpoint(checkpoint.origin, checkpoint.size, checkpoint.root, (signature,))


def read_checkpoint(text: str, *, named: str = "the checkpoint") -> Checkpoint:
    """Read a checkpoint, and nothing that is not exactly one; whether its signatures hold is not looked at.

    Lines that others put under the root (extensions) are not accepted.

    Raises:
        LedgerError: it is written otherwise.
    """
    if len(text) > MOST_CHARACTERS:
        _refuse(named, f"{len(text):,} characters", f"at most {MOST_CHARACTERS:,}")
    note, blank, under = text.partition("\n\n")
    lines = note.split("\n")
    if not blank or len(lines) != 3 or not (under == "" or under.endswith("\n")):
        _refuse(named, f"{len(lines)} lines", "origin, size and root, a blank line, and signature lines")
    origin, size, root = lines
    if not origin or not origin.isprintable():
        _refuse(named, f"the origin {ascii(origin)[:60]}", "a printable name")
    if not _SIZE.fullmatch(size):
        _refuse(named, f"the size {ascii(size)[:60]}", "a whole number")
    try:
        found = decode_base64(root, named="the root")
        signatures = tuple(_signature(line, named) for line in under.split("\n")[:-1])
    except EvidenceError as error:
        _refuse(named, f"{error.what}: {error.got}", "standard base64")
    if len(found) != hashlib.sha256().digest_size:
        _refuse(named, f"a root of {len(found)} bytes", "32 bytes")
    return Checkpoint(origin, int(size), found, signatures)


def key_hash(name: str, key: PublicKey) -> bytes:
    """Return the four bytes by which a note names a key: of its name, the algorithm and the public key."""
    return hashlib.sha256(name.encode() + b"\n" + _ED25519 + key.raw).digest()[:_KEY_HASH_BYTES]


def signature_problem(checkpoint: Checkpoint, trust: TrustStore, *, made_at: datetime | None) -> str | None:
    """Return why no trusted gate vouches for the checkpoint, as a sentence; None where one does.

    Args:
        checkpoint: what was signed.
        trust: whose keys are believed; only those with the role `gate` count.
        made_at: when it was signed at the earliest, such as the time of the last entry that it covers; None where no
            entry says so, and then a key that was ever revoked, or is valid for a time only, does not count.
    """
    if not checkpoint.signatures:
        return "nobody has signed it"
    for trusted in trust.keys:
        if not checkpoint.verified_by(trusted.key):
            continue
        if "gate" not in trusted.roles:
            return f"the key of {trusted.signer.name}, who signed it, is not trusted as a gate"
        if made_at is not None:
            problem = trusted.problem(made_at, None)
            return None if problem is None else problem.detail
        if trusted.revoked or trusted.valid_from or trusted.valid_until:
            return f"nothing says whether the key of {trusted.signer.name} was in force when it was signed"
        return None
    return "no signature under it holds with a trusted key"


def _signature(line: str, named: str) -> NoteSignature:
    found = _SIGNATURE_LINE.fullmatch(line)
    if found is None:
        _refuse(named, f"the line {ascii(line)[:60]}", "— NAME BASE64")
    data = decode_base64(found[2], named="a signature")
    if len(data) <= _KEY_HASH_BYTES:
        _refuse(named, f"a signature of {len(data)} bytes", "4 bytes of the key's hash, and a signature")
    return NoteSignature(found[1], data[:_KEY_HASH_BYTES], data[_KEY_HASH_BYTES:])


def _refuse(named: str, got: str, expected: str) -> NoReturn:
    raise LedgerError(f"{named} is no checkpoint that we accept", got=got, expected=expected)
