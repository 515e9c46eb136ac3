"""Who is told what happens at the gate: receivers in a YAML file, each with a secret that stands elsewhere."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from mlflow_rank.errors import MlflowRankError, UsageError
from mlflow_rank.evidence.canonical import digest_of_bytes
from mlflow_rank.evidence.strict_base64 import decode_base64
from mlflow_rank.evidence.strict_yaml import MOST_CHARACTERS, YamlDocument
from mlflow_rank.policy.closed import Closed, refuse
from mlflow_rank.policy.matching import ModelGlobs, any_matches, model_misfits
from mlflow_rank.policy.vocabulary import Identifier

WEBHOOKS = "MLFLOW_RANK_WEBHOOKS"
Event = Literal["requested", "approved", "refused", "promoted", "demoted", "break-glass"]
SHORTEST_SECRET = 16  # bytes, or 128 bits: what nobody guesses
_STANDARD = "whsec_"  # before a secret in base64, as Standard Webhooks writes it


def _address(text: str) -> str:
    """Return the address of a receiver.

    Raises:
        ValueError: nothing can be sent there, or it holds a password, which would be shown with it.
    """
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not text.isprintable() or " " in text:
        raise ValueError("is no address that can be told; write http://HOST… or https://HOST…")
    if parts.username is not None or parts.password is not None:
        raise ValueError("holds a user or a password; messages are signed instead, with the secret")
    return text


class Hook(Closed):
    """A receiver: where it listens, what it is signed with, and what it wants to hear."""

    name: Identifier
    url: Annotated[str, StringConstraints(max_length=2000), AfterValidator(_address)]
    secret_env: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = None
    """The environment variable that holds the secret."""
    secret_file: Annotated[str, StringConstraints(min_length=1)] | None = None
    """The file that holds it; from the directory of this file on."""
    events: Literal["any"] | Annotated[tuple[Event, ...], Field(min_length=1)]
    models: ModelGlobs = ("*",)
    """Names of registered models, with * ? [..] as in file names."""

    def wants(self, event: str, model: str | None) -> bool:
        """Say whether it is told of an event about a model."""
        return (self.events == "any" or event in self.events) and any_matches(self.models, model or "")

    @property
    def shown(self) -> str:
        """The address without what stands behind the host, which some receivers take for a password."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}/…"

    def secret(self, environment: Mapping[str, str]) -> bytes:
        """Return what messages are signed with: the text as it is, or the bytes in base64 behind `whsec_`.

        Raises:
            UsageError: it is missing, cannot be read, or is too short to protect anything.
        """
        place = self.secret_env if self.secret_file is None else self.secret_file
        try:
            text = environment.get(str(place), "") if self.secret_file is None else Path(self.secret_file).read_text()
            text = text.strip()
            key = decode_base64(text[len(_STANDARD) :], named="it") if text.startswith(_STANDARD) else text.encode()
        except (OSError, UnicodeDecodeError, MlflowRankError) as error:
            said = error.strerror if isinstance(error, OSError) else "no text, or no base64 behind whsec_"
            raise self._no_secret(f"{place}: {said}") from error
        if len(key) < SHORTEST_SECRET:
            raise self._no_secret(f"{place}: {len(key)} bytes" if key else f"{place} is not set or empty")
        return key

    def _no_secret(self, got: str) -> UsageError:
        return UsageError(
            f"the webhook {self.name} has no secret to sign with",
            got=got,
            expected=f"at least {SHORTEST_SECRET} bytes, such as openssl rand -hex 32 gives",
        )

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        misfits = list(model_misfits(self.models, ("models",)))
        if (self.secret_env is None) == (self.secret_file is None):
            misfits.append(((), "needs secret_env or secret_file, and not both"))
        refuse(misfits)
        return self


class Webhooks(Closed):
    """All receivers."""

    apiVersion: Literal["mlflow-rank/v1"]  # noqa: N815 -- the field's name in every such document
    kind: Literal["Webhooks"]
    hooks: Annotated[tuple[Hook, ...], Field(min_length=1, max_length=100)]

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        names = [each.name for each in self.hooks]
        refuse(
            (("hooks", at, "name"), f"{name!r} is taken by a hook above")
            for at, name in enumerate(names)
            if name in names[:at]
        )
        return self


@dataclass(frozen=True, slots=True)
class HooksInForce:
    """The receivers at this moment, and the digest of the file; `problem` is why there are none, in one sentence."""

    hooks: tuple[Hook, ...] = ()
    digest: str | None = None
    problem: str | None = None

    def named(self, name: str) -> Hook | None:
        """Return the receiver of this name."""
        return next((each for each in self.hooks if each.name == name), None)


NO_HOOKS = HooksInForce()


def read_hooks(path: Path) -> tuple[Hook, ...]:
    """Return the receivers that a file names, with the files of their secrets found from its directory on.

    Raises:
        UsageError: it cannot be read, or something in it is wrong: every problem, as `file:line:column: …`.
    """
    return _parsed(_bytes(path), path)


def hooks_in_force() -> HooksInForce:
    """Return the receivers of the file that `MLFLOW_RANK_WEBHOOKS` names; see `hooks_at`."""
    named = os.environ.get(WEBHOOKS)
    return hooks_at(Path(named)) if named else NO_HOOKS


def hooks_at(path: Path) -> HooksInForce:
    """Return the receivers that a file names, read anew whenever its bytes change.

    A file that cannot be used names nobody: the gate decides as it would without.
    """
    named = str(path.absolute())
    try:
        data = _bytes(path)
        last = _LAST.get(named)
        if last is not None and last[0] == data:
            return last[1]
        found = HooksInForce(_parsed(data, path), digest_of_bytes(data))
    except MlflowRankError as error:
        said = " ".join(str(error).split())
        return HooksInForce((), digest_of_bytes(said.encode()), said)
    _LAST[named] = data, found
    return found


_LAST: dict[str, tuple[bytes, HooksInForce]] = {}  # what was read last, by file; its bytes say whether it holds still


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(4 * MOST_CHARACTERS + 1)  # bytes of a character in UTF-8, at most
    except OSError as error:
        got = f"{path}: {error.strerror or error}"
        raise UsageError("the file of webhooks cannot be read", got=got, expected="a YAML file") from error


def _parsed(data: bytes, path: Path) -> tuple[Hook, ...]:
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        got = f"{path}: no UTF-8 text at byte {error.start}"
        raise UsageError("the file of webhooks cannot be read", got=got, expected="a YAML file") from error
    here = path.absolute().parent
    return tuple(
        each if each.secret_file is None else each.model_copy(update={"secret_file": str(here / each.secret_file)})
        for each in YamlDocument.of(text, named=str(path)).validate(Webhooks).hooks
    )
