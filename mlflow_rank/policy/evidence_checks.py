"""Rules about the evidence itself: how much, how old, of which audio, in which precision, of which bytes."""

from __future__ import annotations

from collections.abc import Iterator

from mlflow_rank.evidence.measured import Measurement
from mlflow_rank.evidence.piloted import Pilot
from mlflow_rank.evidence.presented import Presented
from mlflow_rank.policy.admission import Refusal, hours, in_days
from mlflow_rank.policy.evidence_rules import (
    CorpusAllowed,
    DtypeFloat32,
    EvidenceAgeAtMost,
    MeasurementSizeAtLeast,
    ModelDigestEquals,
)
from mlflow_rank.policy.outcomes import Cause, Observation
from mlflow_rank.policy.reading import Limits, Reading, View, worst_layer


def check_measurement_size(rule: MeasurementSizeAtLeast, view: View) -> Iterator[Reading]:
    """Count audio, and rows for each dimension of every layer."""
    measurements = view.measurements()
    if not measurements:
        yield view.why_no_measurement()
    for statement, measurement in measurements:
        audio = measurement.document.audio
        counted = (
            ("utterances", rule.utterances, audio.utterances),
            ("speakers", rule.speakers, audio.speakers),
            ("minutes", rule.minutes, audio.minutes),
        )
        for name, least, number in counted:
            if least is not None:
                said = f"{number:,.5g} {name} were measured"
                yield Reading.held(Observation(float(number)), float(least), at_least=True, said=said).of(statement)
        if rule.rows_per_dim is not None:
            yield _rows_per_dim(rule, statement, measurement)


def check_age(rule: EvidenceAgeAtMost, view: View) -> Iterator[Reading]:
    """Hold the age of every statement of a kind against a limit."""
    admitted, limit = view.admitted(rule.of), hours(rule.age)
    if not admitted.statements:
        why = admitted.why_none(rule.of)
        yield Reading.unknown(why.cause, why.detail)
    for statement in admitted.statements:
        if statement.made_at is not None:
            age = view.now - statement.made_at
            in_hours, most = age.total_seconds() / 3600, limit.total_seconds() / 3600
            said = f"the {rule.of} is {in_days(age)} old, {rule.age} is allowed"
            yield Reading.held(Observation(in_hours), most, at_least=False, said=said).of(statement)


def check_corpus(rule: CorpusAllowed, view: View) -> Iterator[Reading]:
    """Look whether the sound that was heard is one of the corpora that are allowed."""
    statements = view.measurements() if rule.of == "measurement" else view.pilots(str(rule.task))
    if not statements:
        yield view.why_no_measurement() if rule.of == "measurement" else view.why_no_pilot(str(rule.task))
    for statement, content in statements:
        if isinstance(content, Measurement):
            digest = content.document.audio.corpus_digest
        else:
            about = content.tasks[str(rule.task)].domains.get(str(rule.domain)) if isinstance(content, Pilot) else None
            if about is None:
                detail = f"{rule.task} was not piloted {str(rule.domain).replace('_', ' ')}"
                yield Reading.unknown(Cause.NOT_IN_EVIDENCE, detail).of(statement)
                continue
            digest = about.corpus_digest
        if digest is None:
            yield Reading.unknown(Cause.NOT_MEASURED, "the digest of the corpus is not in the evidence").of(statement)
            continue
        allowed = digest in rule.digests
        said = (
            f"the corpus {digest[:19]}… is {'one' if allowed else 'none'} of the {len(rule.digests)} that are allowed"
        )
        yield Reading(allowed, said, Observation(digest), bound=", ".join(sorted(rule.digests))).of(statement)


def check_dtype(rule: DtypeFloat32, view: View) -> Iterator[Reading]:
    """Look in which precision the encoder ran."""
    statements = view.admitted(rule.of).statements
    if not statements:
        why = view.admitted(rule.of).why_none(rule.of)
        yield Reading.unknown(why.cause, why.detail)
    for statement in statements:
        if isinstance(statement.content, Measurement | Pilot):
            dtype = statement.content.document.model.dtype
            said = f"the encoder ran in {dtype} for the {rule.of}"
            yield Reading(dtype == "float32", said, Observation(dtype), bound="float32").of(statement)


def check_model_digest(rule: ModelDigestEquals, view: View) -> Iterator[Reading]:
    """Compare the digest of the model's files, which somebody must have hashed now."""
    candidate = view.case.request.candidate
    if not candidate.checked:
        yield Reading.unknown(
            Cause.SUBJECT_NOT_CHECKED, "the model's files were not hashed; its digest is what the evidence says"
        )
        return
    same = candidate.digest == rule.digest
    said = f"the model's files are {candidate.digest[:19]}…, {'as' if same else 'not as'} asked"
    yield Reading(same, said, Observation(candidate.digest), bound=rule.digest)


def _rows_per_dim(rule: MeasurementSizeAtLeast, statement: Presented, measurement: Measurement) -> Reading:
    found: dict[int, float] = {}
    for (_, level, _), column in measurement.columns.items():
        if level == rule.level:
            for layer, row in column.rows.items():
                found[layer] = min(found.get(layer, float("inf")), row.n / row.dim if row.dim else 0.0)
    if not found:
        return Reading.unknown(Cause.NOT_IN_EVIDENCE, f"level {rule.level} was not measured").of(statement)

    def words(layer: int, ratio: float) -> tuple[str, Observation]:
        return f"there are {ratio:.3g} rows per dimension at level {rule.level}", Observation(ratio)

    def why(layer: int) -> Refusal:
        return Refusal(Cause.NOT_IN_EVIDENCE, f"layer {layer} was not measured")

    limits = Limits(at_least=float(rule.rows_per_dim or 0.0))
    return worst_layer(sorted(found), found, limits, why=why, words=words, statements=[statement])
