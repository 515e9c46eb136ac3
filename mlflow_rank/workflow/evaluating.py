"""An assessment inside a run that MLflow has begun: of a model that it knows, on data that are in memory."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow_rank.errors import MlflowRankError, UsageError
from mlflow_rank.evidence.rank_measurement import Document
from mlflow_rank.evidence.trust import TrustStore
from mlflow_rank.policy import Decision, Deny, Watched, decide
from mlflow_rank.registry.runs.evaluation import GivenData, evaluation_result, log_documents, registered_as
from mlflow_rank.registry.runs.evidence_files import log_evidence
from mlflow_rank.registry.runs.run_claim import Destination
from mlflow_rank.speech.given_rows import GivenRows
from mlflow_rank.speech.sampling import Sampling
from mlflow_rank.workflow import deciding
from mlflow_rank.workflow.assessing import assess
from mlflow_rank.workflow.evaluator_config import DATA, EvaluatorConfig
from mlflow_rank.workflow.evidencing import EvidenceFiles, evidence_of, write_evidence
from mlflow_rank.workflow.measuring import Measurement, RankRequest, measure
from mlflow_rank.workflow.piloting import PilotRequest
from mlflow_rank.workflow.policies import (
    PolicyFile,
    promotion_policies,
    read_policies,
    read_trust_file,
    watch_policies,
)
from mlflow_rank.workflow.recording import record, record_pilots, write_pilot, write_results
from mlflow_rank.workflow.setting import Setting

if TYPE_CHECKING:
    from mlflow.models import EvaluationResult

_VERSION = re.compile(r"models:/[^/@]+/[0-9]+")
_TASKS = {"label": "keyword", "speaker_id": "speaker"} | dict.fromkeys(
    ("phones", "textgrid", "ctm", "phone_sequence"), "phone"
)
"""The task that a column of labels is for, where that is not its name."""


class NotApprovedError(MlflowRankError):
    """The policies do not approve what was evaluated, and `enforce` was asked for (exit 1)."""

    exit_code = 1


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How, of which encoder, on which data, and the run that it is logged into."""

    config: EvaluatorConfig
    address: str
    data: GivenData
    run_id: str

    def concluded(self, clock: Callable[[], datetime]) -> EvaluationResult:
        """Listen, record, sign and decide; see `RankEvaluator.evaluate` for what it raises.

        Args:
            clock: asked once everything is heard: when the evidence is made, and for when the policies decide.
        """
        config = self.config
        key = config.signing_key()  # as what follows: before hours are spent
        files, trust = read_policies(config.policy), read_trust_file(config.trusted)
        deciding.asked_target(config.to)
        if config.enforce and not files:
            raise UsageError("there is no policy to enforce", got="enforce", expected="policy: files or directories")
        measurement, pilot = self._heard()
        destination = Destination(run_id=self.run_id)
        try:
            recorded = record(measurement, destination, kept_at=config.kept_at)
            if pilot is not None:
                beside = Destination(run_id=recorded.run.run_id)
                record_pilots(pilot, beside, measurement=measurement.document, kept_at=config.kept_at)
        except BaseException:
            self._write(measurement, pilot)
            raise
        if config.output is not None:
            self._write(measurement, pilot)
        now = clock()
        evidence = evidence_of(measurement=measurement.document, pilot=pilot, key=key, now=now)
        kept = config.kept_at / "evidence" if config.output is not None else None
        if kept is not None:
            write_evidence(evidence, kept)
        log_evidence(evidence, recorded.run, kept_at=kept)
        decided = self._decided(evidence, files, trust, now) if files else {}
        documents = {name: said.document() for name, said in decided.items()}
        log_documents(documents, recorded.run)
        if config.enforce:
            _enforce(decided)
        return evaluation_result(
            recorded.run,
            measurement=measurement.document,
            control=measurement.control,
            pilot=pilot,
            evidence=evidence,
            documents=documents,
        )

    def _heard(self) -> tuple[Measurement, Document | None]:
        pilots = self.pilots()
        if not pilots:
            return measure(self.setting(), self.rank()), None
        assessment = assess(self.setting(), self.rank(), pilots)
        return assessment.measurement, assessment.pilot

    def setting(self) -> Setting:
        """Return the encoder and how it is run, with the data that were handed in."""
        config, path = self.config, None if self.data.path is None else Path(self.data.path)
        base = Path() if path is None else path if path.is_dir() else path.parent
        shared = ("layers", "channel", "device", "dtype", "trust_remote_code", "seed", "workers", "control")
        return Setting(
            model=self.address,
            **{name: getattr(config, name) for name in (*shared, "max_skipped", "resume", "cache")},
            output=config.kept_at,
            rows=GivenRows(DATA, base, self.data.rows),
        )

    def rank(self) -> RankRequest:
        """Return what is measured, and how."""
        config = self.config
        drawn = ("hours", "utterances", "frame_stride", "min_duration", "max_duration", "seed", "blocks")
        sampling = Sampling(**{name: getattr(config, name) for name in drawn})
        return RankRequest(config.audio, config.preset, sampling, config.intervals)

    def pilots(self) -> list[PilotRequest]:
        """Return a pilot for each task; the column that `targets` named says which, unless the configuration does."""
        config, target = self.config, self.data.target
        if config.labels is None:
            return []
        tasks = config.task
        if target is not None and "task" not in config.model_fields_set:
            named = target.removeprefix("label:")
            tasks = (_TASKS.get(named, named if named in ("keyword", "speaker") else f"label:{named}"),)
        shared = ("labels_ood", "shots", "draws", "heads", "pooling", "test_share", "log_mel", "against", "seed")
        asked = {name: getattr(config, name) for name in shared}
        return [PilotRequest(task=task, labels=config.labels, **asked) for task in tasks]

    def _write(self, measurement: Measurement, pilot: Document | None) -> None:
        write_results(measurement, self.config.kept_at)
        if pilot is not None:
            write_pilot(pilot, self.config.kept_at, measurement.document)

    def _decided(
        self, evidence: EvidenceFiles, files: Sequence[PolicyFile], trust: TrustStore, now: datetime
    ) -> dict[str, Decision | Watched]:
        """Return what the policies say, by the name of the file that keeps it."""
        config, version = self.config, self._version()
        against = config.against
        question = deciding.PromotionQuestion(
            given=() if version else tuple(evidence.values()),
            version=version,
            target=config.to,
            champion=against if against and not version and deciding.has_files(against) else None,
            first_promotion=config.first_promotion,
        )
        case = deciding.case_of(question, trust)
        now = now.replace(microsecond=0)
        promotions = promotion_policies(files)
        said: dict[str, Decision | Watched] = {
            f"watch_{each.policy.metadata.name}.json": each
            for each in deciding.watch_all(watch_policies(files), case, now)
        }
        if promotions or not said:
            said["decision.json"] = decide(promotions, case, now)
        return said

    def _version(self) -> str | None:
        """Return the registered version that is decided on; None where the model is in no registry, or in it twice."""
        if _VERSION.fullmatch(self.address):
            return self.address
        logged = self.address.removeprefix("models:/")
        known = registered_as(logged) if logged.startswith("m-") and logged != self.address else ()
        return known[0] if len(known) == 1 else None


def _enforce(decided: Mapping[str, Decision | Watched]) -> None:
    """Refuse what was not approved: a decision counts before what is only watched."""
    decision = decided.get("decision.json")
    if decision is None:
        warned = [name for name, each in decided.items() if isinstance(each, Watched) and each.outcome != "clear"]
        if warned:
            raise NotApprovedError(
                "a watch policy warns", got=", ".join(warned), expected="clear", remedy="read it among the run's files"
            )
    elif isinstance(decision, Deny):
        raise NotApprovedError(
            "the policies do not approve this model" if not decision.undecided else "the policies could not decide",
            got=f"decision {decision.id}",
            expected="an approval, as `enforce` was asked for",
            remedy="read mlflow_rank/decision.json among the run's files: it names every rule",
        )
