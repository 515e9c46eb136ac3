"""From a document to the statement that is signed: what was found, about which bytes, when, by which program.

A statement carries everything that rules and readers need. What only fills pages (who was drawn for which split,
confusion tables, the list of skipped files) is left out of it; the digest of the whole document says what it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import mlflow_rank
from mlflow_rank.errors import EvidenceError
from mlflow_rank.evidence.canonical import digest_of
from mlflow_rank.evidence.contents import contents_of
from mlflow_rank.evidence.making import made, moment_text
from mlflow_rank.evidence.statement import (
    ALARMS,
    APPROVAL,
    DECISION,
    MEASUREMENT,
    PILOT,
    SLSA_SUMMARY,
    WAIVER,
    Statement,
    Subject,
)

Document = Mapping[str, object]
VERIFIER = "urn:mlflow-rank:gate"
FILES_DIGEST = "files_digest"
_LEFT_OUT = ("skipped",)
_LEFT_OUT_OF_TASKS = ("splits", "confusions")


def measurement_statement(document: Document, *, also: Sequence[Subject] = (), now: datetime) -> Statement:
    """Return the statement of a `RankMeasurement`.

    Args:
        document: whose `model` has the `files_digest` of the files that were measured.
        also: further subjects with the same weights: the model that was logged of them.
        now: when it is made.

    Raises:
        EvidenceError: the document does not say which files it is about.
    """
    return Statement(_subjects(document, also), MEASUREMENT, _predicate(document, now))


def pilot_statement(document: Document, *, also: Sequence[Subject] = (), now: datetime) -> Statement:
    """Return the statement of a `PilotResult`; as `measurement_statement`, and with whom it was compared."""
    against = document.get("against")
    compared = None
    if isinstance(against, Mapping):
        compared = {"spec": against.get("spec"), "files": against.get(FILES_DIGEST)}
    return Statement(_subjects(document, also), PILOT, {**_predicate(document, now), "against": compared})


def alarms_statement(
    subject: Subject,
    *,
    monitor: str,
    alarms: Sequence[Document],
    now: datetime,
    also: Sequence[Subject] = (),
    heard_until: int | None = None,
) -> Statement:
    """Return what the monitor of a training run has to say of a checkpoint; without alarms, that it raised none.

    Args:
        subject: the files of the checkpoint.
        monitor: the name of the run: a monitor's last word counts, and no other monitor's word closes its alarms.
        alarms: each with `id`, `state` (`open` or `closed`), `alarm` (what it is an alarm of), `since_step` and
            `message`.
        now: when it is made.
        also: further subjects with the same weights: the model that was logged of them.
        heard_until: the step of the last point that the monitor had judged by then; None where it is not known.

    Raises:
        EvidenceError: a field is missing or of another kind: nothing is signed that no rule could read.
    """
    predicate: dict[str, object] = {**made(now), "monitor": monitor, "alarms": [dict(alarm) for alarm in alarms]}
    if heard_until is not None:
        predicate["heard_until"] = heard_until
    subjects = (subject, *(each for each in also if each.digest != subject.digest))
    statement = Statement(subjects, ALARMS, predicate)
    contents_of(statement, named=f"the word of monitor {monitor}")
    return statement


def approval_statement(
    request: Document, *, verdict: str, comment: str, now: datetime, expires_at: datetime, witnessed: str | None = None
) -> Statement:
    """Return a person's word for a promotion.

    Args:
        request: `model`, `target`, `digest` of the files, `policies` (their digests) and `evidence_digest`; of a
            registered version also `version` and `workspace`.
        verdict: `approve` or `reject`.
        comment: why.
        now: when it is given.
        expires_at: when it ends.
        witnessed: the user who gives it without a key, for the gate to vouch for; None: whoever signs it gives it.
    """
    predicate: dict[str, object] = {
        **made(now),
        "expires_at": moment_text(expires_at),
        "verdict": verdict,
        "comment": comment,
        "model": request["model"],
        "target": request["target"],
        "policies": request["policies"],
        "evidence": request["evidence_digest"],
        **{name: request[name] for name in ("version", "workspace") if request.get(name) is not None},
    }
    if witnessed is not None:
        predicate["witnessed"] = witnessed
    return Statement((Subject(str(request["model"]), str(request["digest"])),), APPROVAL, predicate)


def waiver_statement(
    subject: Subject,
    *,
    policy: str,
    rule: str,
    reason: str,
    ticket: str,
    now: datetime,
    expires_at: datetime,
    workspace: str | None = None,
) -> Statement:
    """Return that a rule of a policy (by its digest) is put aside for one model's files for a while.

    Where the subject names a registered version, `workspace` says where it is registered.
    """
    predicate: dict[str, object] = {
        **made(now),
        "expires_at": moment_text(expires_at),
        "policy": policy,
        "rule": rule,
        "reason": reason,
        "ticket": ticket,
    }
    if workspace is not None:
        predicate["workspace"] = workspace
    return Statement((subject,), WAIVER, predicate)


def decision_statement(decision: Document, *, now: datetime, checkpoint: str | None = None) -> Statement:
    """Return the statement of a decision, about the files that it decided on.

    Args:
        decision: the document of a decision.
        now: when it is made.
        checkpoint: of the ledger before this decision, where there is one: whoever has the decision can tell later
            whether the ledger's past was rewritten.
    """
    request = _part(decision, "request")
    subject = Subject(str(request["model"]), str(request["digest"]))
    seen = {} if checkpoint is None else {"checkpoint": checkpoint}
    return Statement((subject,), DECISION, {**made(now), "decision": decision, **seen})


def summary_statement(decision: Document) -> Statement:
    """Return the decision as a SLSA verification summary, for tools that know nothing of this product.

    The resource is the address that consumers load by, so that a summary for one target cannot be shown for another.
    Source: SLSA v1.1, Verification Summary Attestation (predicate `verification_summary/v1`).
    """
    request, asked = _part(decision, "request"), _parts(decision, "policies")
    model, version = str(request["model"]), request.get("version")
    passed = decision.get("verdict") == "approve"
    predicate = {
        "verifier": {"id": VERIFIER, "version": {"mlflow_rank": mlflow_rank.__version__}},
        "timeVerified": decision["decided_at"],
        "resourceUri": _address(model, str(request["target"])),
        "policy": {
            "uri": "urn:mlflow-rank:policies:" + "+".join(f"{each['name']}@{each['revision']}" for each in asked),
            "digest": {"sha256": digest_of(sorted(str(each["digest"]) for each in asked)).removeprefix("sha256:")},
        },
        "inputAttestations": [
            {"uri": f"urn:mlflow-rank:evidence:{kind}", "digest": {"sha256": digest.removeprefix("sha256:")}}
            for kind, digest in _inputs(decision)
        ],
        "verificationResult": "PASSED" if passed else "FAILED",
        "verifiedLevels": ["MLFLOW_RANK_APPROVED" if passed else "FAILED"],
        "slsaVersion": "1.1",
    }
    named = f"models:/{model}/{version}" if version else model
    return Statement((Subject(named, str(request["digest"])),), SLSA_SUMMARY, predicate)


def evidence_subject(document: Document) -> Subject:
    """Return which files a measurement or a pilot is about.

    Raises:
        EvidenceError: it does not say.
    """
    model = _part(document, "model")
    digest = model.get(FILES_DIGEST)
    if not isinstance(digest, str):
        raise EvidenceError(
            "this document does not say which files it is about",
            got=f"a model without {FILES_DIGEST}",
            expected="the digest of the files that were heard",
            remedy="measure again with this version",
        )
    return Subject(str(model.get("spec", "")), digest)


def _address(model: str, target: str) -> str:
    """Return how MLflow names what a target of a model points at.

    >>> _address("encoder", "alias:champion"), _address("encoder", "stage:Production")
    ('models:/encoder@champion', 'models:/encoder/Production')
    """
    sort, _, name = target.partition(":")
    return f"models:/{model}@{name}" if sort == "alias" else f"models:/{model}/{name}"


def _inputs(decision: Document) -> list[tuple[str, str]]:
    """Return kind and digest of every statement that a decision looked at: a summary must leave none out."""
    given = [each for name in ("evidence", "approvals", "waivers") for each in _parts(decision, name)]
    theirs = _part(decision, "champion").get("evidence")
    found = [(str(each["kind"]), str(each["digest"])) for each in given]
    return found + [("champion", str(digest)) for digest in (theirs if isinstance(theirs, list) else [])]


def _subjects(document: Document, also: Sequence[Subject]) -> tuple[Subject, ...]:
    first = evidence_subject(document)
    return (first, *(each for each in also if each.digest != first.digest))


def _predicate(document: Document, now: datetime) -> dict[str, object]:
    shortened = {name: value for name, value in document.items() if name not in _LEFT_OUT}
    tasks = document.get("tasks")
    if isinstance(tasks, list):
        shortened["tasks"] = [
            {name: value for name, value in task.items() if name not in _LEFT_OUT_OF_TASKS} for task in tasks
        ]
    left_out = [name for name in _LEFT_OUT if name in document] + (
        [f"tasks[].{name}" for name in _LEFT_OUT_OF_TASKS] if isinstance(tasks, list) else []
    )
    return {**made(now), "document": shortened, "document_digest": digest_of(document), "left_out": left_out}


def _part(document: Document, name: str) -> Mapping[str, object]:
    part = document.get(name)
    return part if isinstance(part, Mapping) else {}


def _parts(document: Document, name: str) -> list[Mapping[str, object]]:
    parts = document.get(name)
    return [each for each in parts if isinstance(each, Mapping)] if isinstance(parts, list) else []
