"""An evidence file in a few lines for people."""

from __future__ import annotations

from collections.abc import Iterator

from mlflow_rank.evidence.contents import Alarms, Approval, Waiver
from mlflow_rank.evidence.measured import Measurement
from mlflow_rank.evidence.piloted import Pilot
from mlflow_rank.evidence.presented import Presented
from mlflow_rank.reports.untrusted_text import plain


def evidence_words(each: Presented) -> list[str]:
    """Return what a statement says, about which files, made when, and who vouches for it."""
    return [f"{each.kind}  {each.digest}", *(f"  {label:<9} {said}" for label, said in _labelled(each))]


def _labelled(each: Presented) -> Iterator[tuple[str, str]]:
    for subject in each.statement.subjects if each.statement else ():
        yield "about", f"{plain(subject.name) or 'files'}  {subject.digest}"
    if each.made_at is not None:
        yield "made", f"{each.made_at:%Y-%m-%d %H:%M:%S} UTC"
    for signer in each.signers:
        yield "signed", f"{signer.name} ({', '.join(sorted(signer.roles))}), key {signer.key_id[:19]}…"
    for cause, detail in each.problems:
        yield "problem", f"{cause.replace('_', ' ')}: {plain(detail)}"
    for said in _said(each):
        yield "says", plain(said)


def _said(each: Presented) -> Iterator[str]:
    content = each.content
    if isinstance(content, Measurement):
        audio, model = content.document.audio, content.document.model
        yield f"ranks of {model.spec} ({model.dtype}), preset {content.preset}"
        yield f"{audio.utterances:,} utterances of {audio.speakers} speakers, {audio.minutes:.0f} min"
        layers = {row.layer for row in content.document.ranks}
        yield f"{len(content.document.ranks):,} numbers of {len(layers)} layers"
    elif isinstance(content, Pilot):
        yield f"pilots of {content.document.model.spec}: {', '.join(content.tasks)}"
        yield f"{len(content.document.rows):,} scores" + (
            "" if content.against is None else f", compared with {content.against.spec}"
        )
    elif isinstance(content, Alarms):
        opened = sum(alarm.state == "open" for alarm in content.alarms)
        until = "" if content.heard_until is None else f", heard until step {content.heard_until:,}"
        yield f"{len(content.alarms)} alarms of {content.monitor}, {opened} open{until}"
    elif isinstance(content, Approval):
        yield f"{content.verdict}: {content.model} to {content.target}, until {content.expires_at:%Y-%m-%d %H:%M} UTC"
        yield content.comment
    elif isinstance(content, Waiver):
        yield f"waives {content.rule} until {content.expires_at:%Y-%m-%d %H:%M} UTC"
        yield f"{content.ticket}: {content.reason}"
    elif each.kind == "decision" and each.statement is not None:
        decision = each.statement.predicate.get("decision")
        yield str(decision.get("sentence")) if isinstance(decision, dict) else "a decision"
