"""Whether a model may be promoted: policies, evidence and champion are brought together, and `decide` decides."""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow_rank.errors import EvidenceError, UsageError
from mlflow_rank.evidence.keys import PrivateKey
from mlflow_rank.evidence.presented import Presented, present
from mlflow_rank.evidence.testimony import decision_statement, summary_statement
from mlflow_rank.evidence.trust import TrustStore
from mlflow_rank.policy import (
    Candidate,
    Case,
    Champion,
    Decision,
    NoChampion,
    Request,
    UnknownChampion,
    Watched,
    WatchPolicy,
    watch,
)
from mlflow_rank.policy.targets import canonical_target
from mlflow_rank.registry.clients.connection import connected_client
from mlflow_rank.registry.runs.evidence_files import SUFFIX, evidence_of_version, holder_of, version_of
from mlflow_rank.registry.runs.resolve import ResolvedModel, resolve_model
from mlflow_rank.workflow.evidencing import sealed, write_evidence
from mlflow_rank.workflow.model_files import directory_of, hashed
from mlflow_rank.workflow.policies import read_at_most
from mlflow_rank.workflow.progress import Progress, Silence

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

CHAMPION = "alias:champion"
_VERSION = re.compile(r"models:/(?P<name>[^/@]+)/(?P<version>[0-9]+)")
_NO_EVIDENCE = ("approval", "waiver", "decision", "summary")  # what people and gates say, wherever it lies
_MOST_BYTES = 64 * 2**20  # of an evidence file; reading refuses more anyway


@dataclass(frozen=True, slots=True)
class PromotionQuestion:
    """What is asked: may this model be promoted to `target`?

    Either `version` names a registered version (`models:/name/7`), whose files, evidence and champion MLflow knows; or
    evidence files say which model it is, `files` is a directory to hash, and `champion` (a directory or an address in
    MLflow) or its evidence say who is champion now. `model` is the registered name that policies are matched with; None
    for the name in the evidence.
    """

    evidence: tuple[Path, ...] = ()
    target: str = CHAMPION
    version: str | None = None
    model: str | None = None
    files: Path | None = None
    champion: str | None = None
    champion_evidence: tuple[Path, ...] = ()
    first_promotion: bool = False
    approvals: tuple[Path, ...] = ()
    waivers: tuple[Path, ...] = ()
    requester: str | None = None
    tracking_uri: str | None = None
    given: tuple[bytes, ...] = field(default=(), repr=False)
    """Evidence that is at hand already, beside the files."""


def case_of(question: PromotionQuestion, trust: TrustStore, progress: Progress | None = None) -> Case:
    """Gather everything that a decision is about.

    Raises:
        UsageError: a file is missing, a target is none, the version does not exist, or nothing says which model it is.
        EvidenceError: the model's files cannot be hashed.
        MeasurementError: MLflow cannot be reached.
    """
    progress, target = progress or Silence(), asked_target(question.target)
    if question.version is not None:
        return _online(question, target, trust, progress)
    evidence = _evidence(question, trust)
    if question.files is not None:
        digest = hashed(question.files, progress).digest
        name = _name_of(digest, evidence) or question.files.resolve().name
    else:
        digest, name = _subject(evidence, "the evidence")
    request = Request(
        question.model or name, None, target, Candidate(digest, checked=question.files is not None), question.requester
    )
    return Case(
        request,
        evidence,
        _champion(question, trust, progress),
        present_files(question.approvals, trust),
        present_files(question.waivers, trust),
    )


def asked_target(text: str) -> str:
    """Return a target in its only form.

    Raises:
        UsageError: there is no such target.
    """
    try:
        return canonical_target(text)
    except ValueError as error:
        raise UsageError(
            "there is no such target", got=str(error), expected="alias:champion, stage:Production, …"
        ) from error


def has_files(model: str) -> bool:
    """Say whether a model is files, here or in MLflow; a hub's id, a bundle or a module is none by itself."""
    return model.startswith(("models:/", "runs:/")) or directory_of(ResolvedModel(model, model)) is not None


def watch_all(policies: Sequence[WatchPolicy], case: Case, now: datetime) -> list[Watched]:
    """Return what each watch policy that matches says."""
    request = case.request
    return [watch(policy, case, now) for policy in policies if policy.matches(request.model, request.target)]


def present_files(paths: Sequence[Path], trust: TrustStore) -> tuple[Presented, ...]:
    """Read evidence files, and those in directories.

    Raises:
        UsageError: there is no such file, or no evidence in a directory.
    """
    return tuple(present_file(path, trust) for path in evidence_paths(paths))


def evidence_paths(paths: Sequence[Path]) -> list[Path]:
    """Return the files, and in place of directories the files in them that end in .dsse.json.

    Raises:
        UsageError: there is no evidence in a directory.
    """
    found: list[Path] = []
    for path in paths:
        files = sorted(path.glob(f"**/*{SUFFIX}")) if path.is_dir() else [path]
        if not files:
            raise UsageError("no evidence is in this directory", got=str(path), expected=f"files ending in {SUFFIX}")
        found += files
    return list(dict.fromkeys(found))


def present_file(path: Path, trust: TrustStore) -> Presented:
    """Read an evidence file and judge its signatures; where it lies is no part of what is said of it.

    Raises:
        UsageError: there is no such file.
    """
    return present(read_evidence(path), trust=trust)


def read_evidence(path: Path) -> bytes:
    """Return the bytes of an evidence file.

    Raises:
        UsageError: there is no such file, or it is too large to be evidence.
    """
    try:
        data = read_at_most(path, _MOST_BYTES)
    except OSError as error:
        raise UsageError(
            "this evidence cannot be read",
            got=f"{path}: {error.strerror or error}",
            expected=f"a file ending in {SUFFIX}",
        ) from error
    if data is None:
        raise UsageError("this is too large for evidence", got=f"{path}: more than {_MOST_BYTES:,} bytes")
    return data


def _online(question: PromotionQuestion, target: str, trust: TrustStore, progress: Progress) -> Case:
    named = _VERSION.fullmatch(question.version or "")
    if named is None:
        raise UsageError("this is no registered version", got=str(question.version), expected="models:/NAME/VERSION")
    for option, value in (("--model", question.files), ("--name", question.model)):
        if value is not None:
            raise UsageError("--version says which model it is", got=f"{option} {value}", expected=f"no {option}")
    client = connected_client(question.tracking_uri)
    version = version_of(client, named["name"], named["version"])
    with tempfile.TemporaryDirectory(prefix="mlflow_rank-") as folder:
        digest = _digest_of_version(version, Path(folder), question, progress)
        found = [present(data, trust=trust) for data in evidence_of_version(client, version, digest)]
        holder = holder_of(client, version.name, target) if question.champion is None else None
        champion = _champion(question, trust, progress) if question.champion is not None else NoChampion()
        if holder is not None:
            theirs = _digest_of_version(holder, Path(folder), question, progress)
            kept = (present(data, trust=trust) for data in evidence_of_version(client, holder, theirs))
            evidence = (*kept, *present_files(question.champion_evidence, trust))
            champion = Champion(theirs, str(holder.version), evidence)
    # as MLflow spells it: some databases find `encoder` by the name of `Encoder`, and 7 by 007
    request = Request(version.name, str(version.version), target, Candidate(digest, checked=True), question.requester)
    return Case(
        request,
        (*found, *_evidence(question, trust)),
        champion,
        present_files(question.approvals, trust),
        present_files(question.waivers, trust),
    )


def _champion(
    question: PromotionQuestion, trust: TrustStore, progress: Progress
) -> Champion | NoChampion | UnknownChampion:
    theirs = present_files(question.champion_evidence, trust)
    if question.champion is not None:
        with tempfile.TemporaryDirectory(prefix="mlflow_rank-") as folder:
            resolved = resolve_model(question.champion, into=Path(folder), tracking_uri=question.tracking_uri)
            files = directory_of(resolved)
            if files is None:
                raise UsageError(
                    "the champion has no files here",
                    got=question.champion,
                    expected="a directory, or models:/NAME@ALIAS",
                )
            digest = hashed(files, progress).digest
            if resolved.name is not None and resolved.version is not None:
                client = connected_client(question.tracking_uri)
                version = version_of(client, resolved.name, resolved.version)
                theirs += tuple(present(data, trust=trust) for data in evidence_of_version(client, version, digest))
        return Champion(digest, resolved.version, theirs)
    if theirs:
        return Champion(_subject(theirs, "the champion's evidence")[0], None, theirs)
    return NoChampion() if question.first_promotion else UnknownChampion()


def _digest_of_version(version: ModelVersion, into: Path, question: PromotionQuestion, progress: Progress) -> str:
    address = f"models:/{version.name}/{version.version}"
    resolved = resolve_model(address, into=into, tracking_uri=question.tracking_uri)
    if resolved.files is None:
        raise EvidenceError("MLflow keeps no files of this version", got=address, expected="a model with files")
    progress.say(f"hashing {address}")
    return hashed(resolved.files, progress).digest


def _evidence(question: PromotionQuestion, trust: TrustStore) -> tuple[Presented, ...]:
    given = (present(data, trust=trust) for data in question.given)
    return tuple(each for each in (*given, *present_files(question.evidence, trust)) if each.kind not in _NO_EVIDENCE)


def _subject(evidence: Sequence[Presented], what: str) -> tuple[str, str]:
    """Return the digest that most of the evidence is about (a registered model's before its source's), and its name."""
    names = _names(evidence)
    if not names:
        raise UsageError(
            f"nothing says which model {what} is about",
            got="no evidence" if not evidence else "no evidence that can be read",
            expected="evidence files, or the model's own",
            remedy="give --evidence files that mlflow-rank assess wrote, or --model DIRECTORY",
        )
    best = max(names, key=lambda digest: (names[digest].total(), _is_registered(_called(names[digest])), digest))
    return best, _registered_name(_called(names[best]))


def _name_of(digest: str, evidence: Sequence[Presented]) -> str | None:
    """Return the registered name by which the evidence calls the files of a digest."""
    called = _called(_names(evidence).get(digest, {}))
    return _registered_name(called) if called else None


def _names(evidence: Sequence[Presented]) -> dict[str, Counter[str]]:
    """Return what the evidence calls the files of each digest, and how often.

    Where anybody trusted has signed, only what they say: what a stranger lays beside it must not choose the policies.
    """
    readable = [each for each in evidence if each.statement]
    names: dict[str, Counter[str]] = {}
    for each in [each for each in readable if each.signers] or readable:
        for subject in each.statement.subjects if each.statement else ():
            names.setdefault(subject.digest, Counter())[subject.name] += 1
    return names


def _called(names: Iterable[str]) -> str:
    """Return the name of files that policies know them by: an address in MLflow before any other."""
    return min(filter(None, names), key=lambda name: (not _is_registered(name), name), default="")


def _is_registered(name: str) -> bool:
    return name.startswith("models:/")


def _registered_name(name: str) -> str:
    """Return the name that policies know a subject by.

    >>> _registered_name("models:/encoder/7"), _registered_name("checkpoints/step_2000")
    ('encoder', 'step_2000')
    """
    match = re.match(r"models:/([^/@]+)[/@]", name)
    return match[1] if match else Path(name).name or name


def write_decision(decision: Decision, directory: Path, key: PrivateKey | None, now: datetime) -> list[Path]:
    """Write a decision as a statement of ours, and as a SLSA verification summary; signed where there is a key."""
    document = decision.document()
    files = {
        f"decision{SUFFIX}": sealed(decision_statement(document, now=now), key),
        f"summary{SUFFIX}": sealed(summary_statement(document), key),
    }
    return write_evidence(files, directory)
