"""Whether evidence holds, years later and offline: what was signed, by whom, about which files, and decided how."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mlflow_rank.errors import EvidenceError
from mlflow_rank.evidence.canonical import canonical_json
from mlflow_rank.evidence.file_manifest import file_manifest
from mlflow_rank.evidence.presented import Presented, each_once
from mlflow_rank.evidence.trust import TrustStore
from mlflow_rank.policy import PromotionPolicy
from mlflow_rank.policy.replay import Recorded, recorded, replay
from mlflow_rank.workflow.deciding import evidence_paths, present_file

GATES: Mapping[str, str] = {"decision": "gate", "summary": "gate"}  # whose word it is; policies say it of all others


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was verified of one file: it holds, fails, or cannot be known from what is at hand."""

    name: str
    state: Literal["holds", "FAILS", "unknown"]
    said: str


def verify_files(
    paths: Sequence[Path],
    trust: TrustStore,
    *,
    model: Path | None = None,
    policies: Sequence[PromotionPolicy] | None = None,
    role: str | None = None,
) -> list[Check]:
    """Return every check of every file.

    Args:
        paths: evidence files, or directories of them.
        trust: whose keys are believed.
        model: the model's directory, which the statements must be about.
        policies: those that were in force; None to leave decisions as they are.
        role: what a signer must be.

    Raises:
        UsageError: there is no such file.
    """
    presented = [(path, present_file(path, trust)) for path in evidence_paths(paths)]
    pool = {each.digest: each for each in each_once(each for _, each in presented)}
    digest = None if model is None else file_manifest(model).digest
    checks: list[Check] = []
    for path, each in presented:
        checks.append(_signature(path.name, each, role, decided_again=policies is not None))
        if digest is not None and each.subjects:
            about = digest in each.subjects
            said = f"it is about the files in {model}" if about else f"the files in {model} are others ({digest[:19]}…)"
            checks.append(Check(path.name, "holds" if about else "FAILS", said))
        if each.kind == "decision" and policies is not None:
            checks += _decision(path.name, each, pool, policies)
    return checks


def decisions_in(presented: Sequence[Presented]) -> Iterator[tuple[Presented, Mapping[str, object]]]:
    """Yield the decisions among statements, each with its document."""
    for each in presented:
        document = each.statement.predicate.get("decision") if each.statement else None
        if each.kind == "decision" and isinstance(document, Mapping):
            yield each, document


def _signature(name: str, each: Presented, role: str | None, *, decided_again: bool) -> Check:
    role = role or GATES.get(each.kind)
    signers = [one for one in each.signers if role is None or role in one.roles]
    if signers:
        by = ", ".join(f"{one.name} ({', '.join(sorted(one.roles))})" for one in signers)
        at = "" if each.made_at is None else f" on {each.made_at:%Y-%m-%d %H:%M} UTC"
        again = "" if decided_again or each.kind != "decision" else "; what it decides was not checked (no --policy)"
        return Check(name, "holds", f"{each.kind} signed by {by}{at}{again}")
    if each.signers:
        return Check(name, "FAILS", f"{each.kind} signed by {each.signers[0].name}, who is no {role}")
    cause, detail = each.problems[0] if each.problems else ("unsigned", "nobody has signed this")
    return Check(name, "FAILS", f"{each.kind}, {cause.replace('_', ' ')}: {detail}")


def _decision(
    name: str, each: Presented, pool: Mapping[str, Presented], policies: Sequence[PromotionPolicy]
) -> Iterator[Check]:
    for _, document in decisions_in([each]):
        try:
            found: Recorded = recorded(document, pool)
        except EvidenceError as error:
            yield Check(name, "FAILS", f"{error.what}: {error.got}")
            continue
        if found.case.request.candidate.digest not in each.subjects:
            yield Check(name, "FAILS", "it is signed as about other files than those that it decides on")
            continue
        if found.missing:
            yield Check(name, "unknown", f"{len(found.missing)} of its statements are not among the files")
            continue
        again = replay(policies, [found])[0].decision
        if again.to_bytes() == canonical_json(dict(document)):
            yield Check(name, "holds", f"decided again, the same bytes: {again.sentence}")
        else:
            yield Check(name, "FAILS", f"decided again, it is another decision: {again.sentence}")
