"""Measuring and piloting many checkpoints, one after the other: what is done is kept, and none is heard twice."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from mlflow_rank.errors import MeasurementError, MlflowRankError, UsageError
from mlflow_rank.evidence.rank_measurement import Document
from mlflow_rank.reports.untrusted_text import plain
from mlflow_rank.workflow import measuring, piloting
from mlflow_rank.workflow.assessing import Assessment, assess
from mlflow_rank.workflow.measuring import Drawn, RankRequest
from mlflow_rank.workflow.piloting import Piloting, PilotRequest
from mlflow_rank.workflow.progress import Progress
from mlflow_rank.workflow.setting import Setting
from mlflow_rank.workflow.studies.gathering.kept_assessments import KeptAssessments, request_digest
from mlflow_rank.workflow.studies.gathering.observing import Assessed

Documents = tuple[Document, Document]  # measurement and pilot
MOST_FAILED = 0.2  # of the checkpoints; what happens to more of them is no accident of a few
_MINUTE = 60.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """A checkpoint that is to be assessed: what it is of, its `--model` text, and what its files are known by.

    `identity` is asked for when the checkpoint's turn comes: it may have to read all of the files.
    """

    run: str
    step: int
    spec: str
    identity: Callable[[], str]
    loss: float | None = None

    def __str__(self) -> str:
        return f"{self.run}, step {self.step}"


@dataclass(frozen=True, slots=True)
class AssessmentPlan:
    """How every checkpoint is measured and piloted; `loaded_as` is the form of their `--model` texts.

    `max_failed` is the share of checkpoints that may be broken.
    """

    setting: Setting
    rank: RankRequest
    pilots: tuple[PilotRequest, ...]
    keep: Path
    loaded_as: str
    max_failed: float = MOST_FAILED

    def check(self, progress: Progress) -> None:
        """Refuse, before hours are spent, what would fail for every checkpoint alike.

        Raises:
            UsageError: the audio, the labels or a setting is wrong.
        """
        if not 0.0 <= self.max_failed <= 1.0:
            raise UsageError("no such share of checkpoints", got=f"--max-failed {self.max_failed:g}", expected="0 to 1")
        self.setting.check()
        measuring.check_preset(self.rank)
        piloting.check_requests(self.pilots)
        Drawn.of(self.setting, self.rank, progress)
        for request in self.pilots:
            Piloting.of(self.setting, request, progress)


@dataclass(slots=True)
class CheckpointAssessor:
    """Assesses checkpoints of one plan; `broken` lists those that could not be, each with its cause."""

    plan: AssessmentPlan
    progress: Progress
    broken: list[tuple[str, str]] = field(default_factory=list)

    def assessed(self, wanted: Sequence[Wanted]) -> list[Assessed]:
        """Return what is known of the checkpoints, in their order, after assessing those of which nothing is kept.

        Raises:
            UsageError: the audio, the labels or a setting is wrong.
            MeasurementError: too many checkpoints could not be assessed.
            KeyboardInterrupt: what was done is kept; the same call goes on from there.
        """
        plan = self.plan
        kept = KeptAssessments(plan.keep, request_digest(plan.setting, plan.rank, plan.pilots, plan.loaded_as))
        self.progress.begin("reading files", len(wanted))
        known = {str(each): self._kept(each, kept) for each in wanted}
        missing = [each for each in wanted if known[str(each)] is None]
        if len(missing) < len(wanted):
            self.progress.say(f"{len(wanted) - len(missing)} of {len(wanted)} checkpoints were assessed before")
        if missing:
            plan.check(self.progress)
            self.progress.begin("assessing", len(missing))
        begun = time.monotonic()
        for number, each in enumerate(missing, start=1):
            found = self._assessed(each, kept, allowed=plan.max_failed * len(wanted))
            known[str(each)] = found
            left = (time.monotonic() - begun) / number * (len(missing) - number)
            said = "assessed" if found is not None else "left out, as it cannot be assessed"
            self.progress.advance(1)
            self.progress.say(plain(f"{each}: {said} ({number} of {len(missing)}{_time_left(left)})"))
        there = [(each, documents) for each in wanted if (documents := known[str(each)]) is not None]
        return [Assessed(each.run, each.step, each.loss, *documents) for each, documents in there]

    def _kept(self, wanted: Wanted, kept: KeptAssessments) -> Documents | None:
        self.progress.advance(1)
        return kept.read(wanted.identity())

    def _assessed(self, wanted: Wanted, kept: KeptAssessments, *, allowed: float) -> Documents | None:
        """Return the documents of a checkpoint, which are kept then; None where it fails, as some may."""
        identity = wanted.identity()
        again = kept.read(identity)  # another step may be of the same bytes
        if again is not None:
            return again
        assessment = self._attempt(wanted)
        if assessment is not None and wanted.identity() == identity:
            kept.write(identity, wanted.spec, assessment)
            return assessment.measurement.document, assessment.pilot
        if assessment is not None:
            self.broken.append((str(wanted), "it was written anew while it was assessed"))
        if len(self.broken) > allowed:
            raise MeasurementError(
                "too many checkpoints cannot be assessed",
                got="; ".join(f"{name}: {why}" for name, why in self.broken[:3]),
                expected=f"at most {self.plan.max_failed:.0%} of them",
                remedy="look at the first cause; allow more with --max-failed",
            )
        return None

    def _attempt(self, wanted: Wanted) -> Assessment | None:
        """Return what assessing gives; None where it fails, with the cause put down."""
        setting = replace(self.plan.setting, model=wanted.spec, resume=True, control=False)
        try:
            return assess(setting, self.plan.rank, self.plan.pilots, _Within(self.progress))
        except MlflowRankError as error:
            cause = error.what if error.got is None else f"{error.what} (got {error.got})"
        except KeyboardInterrupt:
            self.progress.say(f"what was assessed is kept in {self.plan.keep}; the same command goes on from there")
            raise
        except Exception as error:  # each format of weights, and each model's code, has errors of its own
            cause = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
        self.broken.append((str(wanted), plain(" ".join(cause.split()))))
        return None


@dataclass(frozen=True, slots=True)
class _Within:
    """The progress of one assessment among many: only what is said once is passed on."""

    outer: Progress

    def say(self, text: str) -> None:
        """Say nothing."""

    def say_once(self, text: str) -> None:
        """Pass it on."""
        self.outer.say_once(text)

    def begin(self, title: str, total: float) -> None:
        """Show nothing."""

    def advance(self, amount: float) -> None:
        """Count nothing."""


def _time_left(seconds: float) -> str:
    if seconds <= 0:
        return ""
    return f", about {seconds / _MINUTE:.0f} min left" if seconds >= _MINUTE else f", about {seconds:.0f} s left"
