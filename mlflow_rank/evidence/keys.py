"""Ed25519 keys: who signs, in files that only their owner reads, and who is believed, in one line of text."""

from __future__ import annotations

import base64
import hashlib
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow_rank.errors import EvidenceError, UsageError
from mlflow_rank.evidence.strict_base64 import decode_base64

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

Passphrase = Callable[[], bytes | None] | bytes | None

_TEXT = "ed25519:"
_PRIME = 2**255 - 19
_D = -121665 * pow(121666, -1, _PRIME) % _PRIME  # of the curve -x² + y² = 1 + d x² y² (RFC 8032, section 5.1)
_ORDER_8 = 2707385501144840649318225287225658788936804267575313519463743609750303402022  # d y⁴ + 2 y² = 1
_SMALL_ORDER = frozenset({0, 1, _PRIME - 1, _ORDER_8, _PRIME - _ORDER_8})
_MOST_BYTES = 2**16  # of a file with one key
_LONGEST_PASSPHRASE = 1023  # bytes; OpenSSL takes no more


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key by its 32 `raw` bytes, which are what makes two keys the same.

    Refused: the eight points of small order, for which anyone can write signatures that hold for every document, their
    other spellings, and bytes that are no point at all (Chalkias et al. 2020, "Taming the many EdDSAs"). OpenSSL
    looks at none of this.

    Raises:
        EvidenceError: it is one of those.
    """

    raw: bytes

    def __post_init__(self) -> None:
        if len(self.raw) != 32:
            raise EvidenceError("this is no Ed25519 public key", got=f"{len(self.raw)} bytes", expected="32 bytes")
        y = int.from_bytes(self.raw, "little") % 2**255  # the last bit is the sign of x
        if y >= _PRIME or y in _SMALL_ORDER or not _on_curve(y):
            raise EvidenceError(
                "this is no public key that we trust",
                got=self.text,
                expected="a point on the curve, of large order, in its only spelling",
                remedy="make another key: no program that follows RFC 8032 makes such a one",
            )

    @classmethod
    def from_text(cls, text: str) -> PublicKey:
        """Return the key of its `text`.

        Raises:
            EvidenceError: the text is not `ed25519:` and base64 of 32 bytes, or the key is refused.
        """
        if not text.startswith(_TEXT):
            raise EvidenceError(
                "this is no public key", got=ascii(text[:20]), expected=f"{_TEXT} and 32 bytes as base64"
            )
        return cls(decode_base64(text.removeprefix(_TEXT), named="a public key"))

    @classmethod
    def from_pem(cls, text: str) -> PublicKey:
        """Return the key of a PEM file (`-----BEGIN PUBLIC KEY-----`, RFC 8410).

        Raises:
            EvidenceError: the text is no PEM of a public key, the key is of another kind, or is refused.
        """
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        expected = "an Ed25519 public key as PEM"
        try:
            key = serialization.load_pem_public_key(text.encode("utf-8", "replace"))
        except (ValueError, UnsupportedAlgorithm) as error:
            raise EvidenceError("this public key cannot be read", got=_first_line(error), expected=expected) from error
        if not isinstance(key, Ed25519PublicKey):
            raise EvidenceError("this public key is of another kind", got=_kind(key), expected=expected)
        return cls(key.public_bytes_raw())

    @property
    def key_id(self) -> str:
        """Return `sha256:…` of the raw bytes."""
        return f"sha256:{hashlib.sha256(self.raw).hexdigest()}"

    @property
    def text(self) -> str:
        """Return the key as one line, as `trust.yaml` has it."""
        return _TEXT + base64.b64encode(self.raw).decode()

    @property
    def pem(self) -> str:
        """Return the key as PEM."""
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        key = Ed25519PublicKey.from_public_bytes(self.raw)
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return key.public_bytes(serialization.Encoding.PEM, form).decode()

    def verifies(self, signature: bytes, data: bytes) -> bool:
        """Say whether the signature is by this key and over these bytes."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, data)
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True, slots=True, eq=False)
class PrivateKey:
    """A key to sign with; it shows itself by its public key only."""

    key: Ed25519PrivateKey = field(repr=False)

    @classmethod
    def from_seed(cls, seed: bytes) -> PrivateKey:
        """Return the key that RFC 8032 makes of 32 secret bytes.

        Raises:
            EvidenceError: they are not 32.
        """
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        if len(seed) != 32:
            raise EvidenceError("this is no seed of an Ed25519 key", got=f"{len(seed)} bytes", expected="32 bytes")
        return cls(Ed25519PrivateKey.from_private_bytes(seed))

    @property
    def public(self) -> PublicKey:
        """Return the public key."""
        return PublicKey(self.key.public_key().public_bytes_raw())

    def sign(self, data: bytes) -> bytes:
        """Return the signature, 64 bytes; the same for the same data (RFC 8032)."""
        return self.key.sign(data)


def generate_key(path: Path, passphrase: bytes | None) -> PublicKey:
    """Make a key: the private one at `path` (PKCS#8 PEM, mode 0600 from its creation on), the public at `path.pub`.

    Args:
        path: where nothing lies yet; its directory must exist.
        passphrase: what encrypts the private key; None leaves it in the open, for machines that keep secrets.

    Raises:
        UsageError: one of the two files is there already, the directory is not or cannot be written to, or the
            passphrase is empty or longer than 1023 bytes.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    if passphrase is not None and not 0 < len(passphrase) <= _LONGEST_PASSPHRASE:
        raise UsageError(
            "this passphrase cannot encrypt a key",
            got=f"{len(passphrase)} bytes",
            expected=f"1 to {_LONGEST_PASSPHRASE} bytes, or none at all",
        )
    key = PrivateKey(Ed25519PrivateKey.generate())
    pem = key.key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption() if passphrase is None else serialization.BestAvailableEncryption(passphrase),
    )
    _write_new(path, pem, 0o600)
    try:
        _write_new(path.with_name(f"{path.name}.pub"), key.public.pem.encode(), 0o644)
    except UsageError:
        path.unlink()
        raise
    return key.public


def read_private_key(path: Path, passphrase: Passphrase) -> PrivateKey:
    """Read a private key that `generate_key` or another program wrote.

    Args:
        path: a PEM file that nobody but its owner may read.
        passphrase: or what asks for it; looked at only if the key is encrypted.

    Raises:
        UsageError: there is no such file, or the key is encrypted and no passphrase came.
        EvidenceError: group or others may read the file, the passphrase is wrong, the file is damaged, or the key is
            not Ed25519.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    pem = _read(path, secret=True)
    secret: bytes | None = None
    try:
        try:
            key = serialization.load_pem_private_key(pem, None)
        except TypeError:  # it is encrypted
            secret = passphrase() if callable(passphrase) else passphrase
            if not secret:
                raise UsageError(
                    "this private key is encrypted and no passphrase was given",
                    got=str(path),
                    expected="its passphrase",
                    remedy="give the passphrase with which the key was made",
                ) from None
            key = serialization.load_pem_private_key(pem, secret)
    except (ValueError, UnsupportedAlgorithm) as error:  # their text may quote the file, which is a secret
        raise EvidenceError(
            "this private key cannot be read" if secret is None else "this passphrase does not open the private key",
            got=str(path),
            expected="an Ed25519 key as PKCS#8 PEM" if secret is None else "the passphrase with which it was made",
            remedy=None if secret is None else "try again; if it is right, the file is damaged",
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise EvidenceError(
            "this private key is of another kind", got=f"{path}: {_kind(key)}", expected="an Ed25519 key"
        )
    return PrivateKey(key)


def read_public_key(path: Path) -> PublicKey:
    """Read a public key: PEM, or one line `ed25519:…`.

    Raises:
        UsageError: there is no such file.
        EvidenceError: it holds no public key that we trust; a private key in it is not shown.
    """
    content = _read(path, secret=False).decode("utf-8", "replace").strip()
    if "PRIVATE KEY" in content:
        raise EvidenceError(
            "this is a private key",
            got=str(path),
            expected="a public key",
            remedy=f"name {path}.pub, and keep this one",
        )
    return PublicKey.from_pem(content) if content.startswith("-----") else PublicKey.from_text(content)


def _on_curve(y: int) -> bool:
    """Say whether a point has this y: x² = (y² - 1) / (d y² + 1) must be a square."""
    square = (y * y - 1) * pow(_D * y * y + 1, -1, _PRIME) % _PRIME
    return pow(square, (_PRIME - 1) // 2, _PRIME) in (0, 1)


def _read(path: Path, *, secret: bool) -> bytes:
    try:
        number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # waits for no writer of a pipe
        with os.fdopen(number, "rb") as file:
            mode = os.fstat(number).st_mode
            data = file.read(_MOST_BYTES + 1) if stat.S_ISREG(mode) else None
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        said = getattr(error, "strerror", None) or str(error)
        raise UsageError("this key file cannot be read", got=f"{path}: {said}", expected="a file with a key") from error
    if data is None:
        raise UsageError("this key is no file", got=str(path), expected="a file with a key")
    if secret and stat.S_IMODE(mode) & 0o077:
        raise EvidenceError(
            "others may read this private key",
            got=f"{path} with mode {stat.S_IMODE(mode):04o}",
            expected="mode 0600",
            remedy=f"chmod 600 {path}, and think about who read it before",
        )
    if len(data) > _MOST_BYTES:
        raise EvidenceError("this is no key", got=f"{path}: more than {_MOST_BYTES} bytes", expected="one key")
    return data


def _write_new(path: Path, data: bytes, mode: int) -> None:
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    except FileExistsError as error:
        raise UsageError(
            "a key is never written over",
            got=f"{path} is there already",
            expected="a path where nothing lies",
            remedy="choose another path, or move the old key away",
        ) from error
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        said = getattr(error, "strerror", None) or str(error)
        raise UsageError(
            "this key cannot be written", got=f"{path}: {said}", expected="a path in a directory that exists"
        ) from error
    try:
        with os.fdopen(file, "wb") as opened:
            os.fchmod(opened.fileno(), mode)  # whatever the umask took away
            opened.write(data)
            opened.flush()
            os.fsync(opened.fileno())
    except OSError as error:
        path.unlink()
        raise UsageError("this key cannot be written", got=f"{path}: {error.strerror}", expected="space") from error


def _kind(key: object) -> str:
    return type(key).__name__.strip("_").removesuffix("PublicKey").removesuffix("PrivateKey")


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0][:200]
