"""Policies and trust from files: everything that is wrong with any of them is said at once."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mlflow_rank.errors import UsageError
from mlflow_rank.evidence.strict_yaml import MOST_CHARACTERS, DocumentError, Problem, YamlDocument
from mlflow_rank.evidence.trust import TrustStore, read_trust
from mlflow_rank.policy.exemption import Exemption
from mlflow_rank.policy.load import Policy, load_policy
from mlflow_rank.policy.model import PromotionPolicy, WatchPolicy

TRUST_FILE = "trust.yaml"
NOBODY = TrustStore(apiVersion="mlflow-rank/v1", kind="TrustStore", keys=())
_ENDINGS = (".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class PolicyFile:
    """A policy or an exemption, and the file and text that it was read from."""

    path: Path
    text: str
    policy: Policy

    @property
    def lines(self) -> dict[str, int]:
        """The line on which each rule begins, by rule; an exemption has none."""
        if isinstance(self.policy, Exemption):
            return {}
        document = YamlDocument.of(self.text, named=str(self.path))
        return {rule.id: document.place(("rules", number))[0] for number, rule in enumerate(self.policy.rules)}


def read_policies(paths: Sequence[Path]) -> list[PolicyFile]:
    """Read policy files, and those anywhere in directories (.yaml and .yml, but no trust.yaml), in order of path.

    Raises:
        UsageError: there is no such file, no policy in a directory, two of one name and revision that differ, or
            something wrong in one: then all problems of all files, one per line.
    """
    files = [file for path in paths for file in policy_files(path)]
    found, problems = [], []
    for path in dict.fromkeys(files):
        try:
            text = read_document(path)
            found.append(PolicyFile(path, text, load_policy(text, named=str(path))))
        except DocumentError as error:
            problems.append(error)
    if problems:
        raise PoliciesError(problems)
    _check_names(found)
    return found


class PoliciesError(UsageError):
    """Policy files that cannot be used: every problem of each, one per line."""

    heading = DocumentError.heading

    def __init__(self, errors: Sequence[DocumentError]) -> None:
        self.errors = tuple(errors)
        super().__init__("\n".join(error.what for error in errors))


def promotion_policies(files: Sequence[PolicyFile]) -> list[PromotionPolicy]:
    """Return those that may approve, and so all that a decision asks: no exemption has a part in it."""
    return [each.policy for each in files if isinstance(each.policy, PromotionPolicy)]


def watch_policies(files: Sequence[PolicyFile]) -> list[WatchPolicy]:
    """Return those that only warn."""
    return [each.policy for each in files if isinstance(each.policy, WatchPolicy)]


def exemptions(files: Sequence[PolicyFile]) -> list[Exemption]:
    """Return what no policy is to be asked about."""
    return [each.policy for each in files if isinstance(each.policy, Exemption)]


def read_trust_file(path: Path | None) -> TrustStore:
    """Read whose keys are believed: from `path`, else from trust.yaml where there is one here, else nobody's.

    Raises:
        UsageError: there is no such file, or something is wrong in it.
    """
    if path is None:
        path = Path(TRUST_FILE)
        if not path.is_file():
            return NOBODY
    return read_trust(read_document(path), named=str(path))


def read_document(path: Path) -> str:
    """Return the text of a file that is small enough to be a policy.

    Raises:
        UsageError: there is no such file, it cannot be read, or it is no text.
        DocumentError: it is too large.
    """
    most = 4 * MOST_CHARACTERS  # bytes of a character in UTF-8, at most
    try:
        data = read_at_most(path, most)
        if data is None:
            raise DocumentError(str(path), [Problem(1, 1, "document", f"is larger than {most:,} bytes")])
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DocumentError(
            str(path), [Problem(1, 1, "document", f"is no UTF-8 text at byte {error.start}")]
        ) from error
    except OSError as error:
        raise UsageError(
            "this file cannot be read", got=f"{path}: {error.strerror or error}", expected="a YAML file"
        ) from error


def read_at_most(path: Path, most: int) -> bytes | None:
    """Return the bytes of a file; None where there are more, whatever size it says it has: a device has no end.

    Raises:
        OSError: it cannot be read.
    """
    number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe that nobody writes to is empty
    os.set_blocking(number, True)
    with os.fdopen(number, "rb") as file:
        data = file.read(most + 1)
    return data if len(data) <= most else None


def policy_files(path: Path) -> list[Path]:
    """Return a file, or the policy files anywhere in a directory, in order of path.

    Raises:
        UsageError: there is none in the directory.
    """
    if not path.is_dir():
        return [path]
    files = sorted(each for each in path.rglob("*") if each.suffix.lower() in _ENDINGS and each.name != TRUST_FILE)
    if not files:
        raise UsageError("there is no policy in this directory", got=str(path), expected="files that end in .yaml")
    return files


def _check_names(files: Sequence[PolicyFile]) -> None:
    seen: dict[str, PolicyFile] = {}
    for each in files:
        name = each.policy.metadata.name
        first = seen.setdefault(name, each)
        if first.policy.digest != each.policy.digest:
            raise UsageError(
                f"two policies have the name {name}",
                got=f"{first.path} and {each.path}",
                expected="a name for each policy, and one revision of it",
            )
