"""Thresholds from past versions: outcomes and numbers put together, calibrated, and written as a policy that loads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from mlflow_rank.errors import MeasurementError, UsageError
from mlflow_rank.evidence.canonical import digest_of
from mlflow_rank.policy.load import load_policy
from mlflow_rank.policy.model import Metadata, PromotionMatch, PromotionPolicy
from mlflow_rank.reports.studies.calibration.proposed_policy import PolicyTerms, proposed_policy
from mlflow_rank.reports.studies.calibration.proposed_rules import RANK_NAMES
from mlflow_rank.reports.studies.calibration.report import calibration_report
from mlflow_rank.reports.studies.report import StudyReport
from mlflow_rank.reports.untrusted_text import plain
from mlflow_rank.studies.calibration.cases import BEST, Layer, Place, cases_of
from mlflow_rank.studies.calibration.retraining_envelope import retraining_envelope
from mlflow_rank.studies.calibration.study import Calibration, calibrate
from mlflow_rank.studies.trajectories import Trajectories
from mlflow_rank.workflow.policies import read_policies
from mlflow_rank.workflow.progress import Progress

RANKS = ("rank_frame", "rank_utterance")
EVERY = "all"


@dataclass(frozen=True, slots=True)
class CalibrationRequest:
    """What is calibrated: at which rate, on which ranks, scores and layer, and which runs repeat one recipe.

    No `ranks` are the usual two, or what else of ranks the table has; no `scores` are all those in domain; `repeats`
    may be `all`. `rank_bound` says what number of a rank the table holds.
    """

    alpha: float = 0.05
    ranks: tuple[str, ...] = ()
    scores: tuple[str, ...] = ()
    layer: Layer = BEST
    repeats: tuple[str, ...] = ()
    rank_bound: str = "corrected"


@dataclass(frozen=True, slots=True)
class Calibrated:
    """A calibration, the table that it is of, and its report."""

    found: Calibration
    table: Trajectories
    report: StudyReport


def calibrate_table(
    table: Trajectories,
    outcomes: Mapping[Place, bool],
    request: CalibrationRequest,
    progress: Progress,
    *,
    about: tuple[str, ...] = (),
    window: Mapping[str, object] | None = None,
    nobodys: tuple[str, ...] = (),
) -> Calibrated:
    """Return thresholds for a table whose outcomes are known, with their report.

    Args:
        table: ranks and scores, the window already chosen.
        outcomes: whether a version was good, by run and step.
        request: what is calibrated.
        progress: told of checkpoints without an outcome, and of outcomes of nobody.
        about: sentences of how the table came about.
        window: the window, JSON-ready, for the document.
        nobodys: outcomes that are of no known version.

    Raises:
        UsageError: the table has no such rank, score, layer or run; no such rate; nothing to calibrate on.
    """
    _refuse(request)
    if not outcomes and not request.repeats:
        raise UsageError(
            "there is nothing to calibrate on",
            got="no outcome of a past version",
            expected="--outcomes FILE, versions with a tag outcome, or --repeats RUN,RUN for the envelope alone",
        )
    ranks = request.ranks or _usual(table)
    scores = request.scores or tuple(each.name for each in table.outcomes if each.domain == "in_domain")
    cases = cases_of(table, outcomes, ranks=ranks, scores=scores, layer=request.layer, chance=_chances(table, scores))
    unmatched = (*cases.unmatched, *nobodys)
    for what, names in (("without an outcome", cases.unlabelled), ("in the outcomes and nowhere else", unmatched)):
        for name in names[:5]:
            progress.say(plain(f"{what}: {name}"))
        if len(names) > 5:
            progress.say(f"{what}: {len(names) - 5} more")
    if outcomes and not cases.cases:
        raise UsageError(
            "none of the outcomes is of a checkpoint that was looked at",
            got="; ".join(unmatched[:3]),
            expected="; ".join(cases.unlabelled[:3]),
            remedy="write run and step as the table has them, and look at the window (--from-step)",
        )
    repeats = table.runs if EVERY in request.repeats else request.repeats
    envelope = retraining_envelope(table, repeats, ranks=ranks, scores=scores) if repeats else None
    settings = {
        "ranks": list(ranks),
        "scores": list(scores),
        "layer": request.layer,
        "rank_bound": request.rank_bound,
        "window": dict(window or {}),
        "table": digest_of(table.document()),
        "conventions": table.conventions.document(),
    }
    whole = calibrate(replace(cases, unmatched=unmatched), request.alpha, envelope=envelope, about=settings)
    return Calibrated(whole, table, calibration_report(whole, about))


def write_policy(calibrated: Calibrated, terms: PolicyTerms, path: Path, *, force: bool = False) -> PromotionPolicy:
    """Write the policy that a calibration proposes, and return it as it was read back.

    Args:
        calibrated: what was found.
        terms: whose policy it is, and for which models.
        path: where to.
        force: whether an existing file is replaced.

    Raises:
        MeasurementError: no pilot proves here, so that there is no policy; or it cannot be written.
        UsageError: the file is there already, or the terms make no policy.
    """
    refuse_existing(path, force=force)
    if not calibrated.found.proposed:
        raise MeasurementError(
            "no policy is written: no pilot score tells good versions from bad ones here",
            got="; ".join(f"{each.quantity.name}: {each.because}" for each in calibrated.found.floors) or "no outcome",
            expected="a pilot that proves, as ranks alone approve nothing",
            remedy="give outcomes of more trainings, good and bad, or pilot a task nearer to yours",
        )
    text = proposed_policy(calibrated.found, calibrated.table, terms)
    policy = load_policy(text, named=str(path))  # what does not load is not written
    if not isinstance(policy, PromotionPolicy):
        raise TypeError("a proposed policy is a PromotionPolicy")
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise MeasurementError(
            "the policy cannot be written", got=f"{path}: {error.strerror or error}", expected="a file in a directory"
        ) from error
    read = read_policies([path])[0].policy
    if read.digest != policy.digest:
        raise MeasurementError("the policy is not what was written", got=read.digest, expected=policy.digest)
    return policy


def check_terms(terms: PolicyTerms) -> None:
    """Refuse terms that make no policy, before hours are spent.

    Raises:
        UsageError: a name, an owner, a model or the target is none that a policy can have.
    """
    from pydantic import ValidationError

    try:
        Metadata(name=terms.name, revision=1, owners=terms.owners)
        PromotionMatch(models=terms.models, targets=(terms.target,))
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise UsageError(
            "no policy can be written with this", got=wrong, expected="--name in lower-case words joined by hyphens"
        ) from error


def refuse_existing(path: Path, *, force: bool) -> None:
    """Refuse a place at which there is something already, before hours are spent.

    Raises:
        UsageError: there is, and nobody said that it may go; or no directory holds it.
    """
    if path.is_dir() or not path.parent.is_dir():
        raise UsageError(
            "the policy cannot be written there", got=str(path), expected="a file in an existing directory"
        )
    if path.exists() and not force:
        raise UsageError(
            "this file is there already", got=str(path), expected="a new file", remedy="name another, or add --force"
        )


def _refuse(request: CalibrationRequest) -> None:
    unknown = [name for name in request.ranks if name not in RANK_NAMES]
    if unknown:
        raise UsageError("no such rank", got=", ".join(unknown), expected=", ".join(RANK_NAMES))


def _usual(table: Trajectories) -> tuple[str, ...]:
    there = [name for name in table.predictors if name in RANK_NAMES]
    return tuple(name for name in RANKS if name in there) or tuple(there)


def _chances(table: Trajectories, scores: tuple[str, ...]) -> dict[str, float]:
    """Return the score of guessing for balanced accuracies: one over the number of classes, where that is recorded."""
    chances = {}
    for name in scores:
        outcome = table.outcome(name)
        classes = table.conventions.settings.get(f"{outcome.settings}classes")
        if outcome.metric.startswith("balanced") and isinstance(classes, int) and classes > 1:
            chances[name] = 1.0 / classes
    return chances
