"""A plan from what the user says, what a pilot and a measurement of the past say, and guesses that are named so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlflow_rank.errors import UsageError
from mlflow_rank.probes.group_intervals import INTRACLASS
from mlflow_rank.probes.tasks import parse_task
from mlflow_rank.registry.runs.measured_rank import Document, MeasuredRank, read_ranks, section
from mlflow_rank.studies.planning.plan import Labelling, Listening, Plan, plan_need
from mlflow_rank.studies.planning.power import Question, TestItems, independent_discordance
from mlflow_rank.studies.planning.rank_size import (
    ALIKE,
    FRAMES_PER_SECOND,
    RankSize,
    Read,
    assumed_size,
    measured_size,
)
from mlflow_rank.workflow.progress import Progress, Silence
from mlflow_rank.workflow.setting import Setting
from mlflow_rank.workflow.studies.document_files import read_part
from mlflow_rank.workflow.studies.pace import measured_pace
from mlflow_rank.workflow.studies.pilot_experience import PilotExperience, experience_of

PACE = 4.5  # s of audio per second of one core: HuBERT base in float32, the slower end of what was measured
ACCURACY, CLASSES, PER_CLASS, PER_SPEAKER = 0.8, 10, 20, 20
DIM = 768  # of HuBERT base and its kin
UTTERANCE_SECONDS = 4.0
ITEM_SECONDS: Mapping[str, float] = {"keyword": 1.0, "speaker": 4.0, "phone": 0.1}  # a phone lasts a tenth of a second
OTHER_ITEM = 2.0
GUESS = "a guess"
ASKED = "as asked"
_LEVELS = ("frame", "utterance")


@dataclass(frozen=True, slots=True)
class PlanRequest:
    """What is asked. None: a pilot or a measurement says it, else a guess.

    `model` is heard for its pace; None: `pace`, else a guess. `discordance` and `paired` as in `TestItems`.
    """

    task: str = "keyword"
    resolution: float = 0.05
    margin: float | None = None
    power: float = 0.8
    alpha: float = 0.05
    accuracy: float | None = None
    paired: bool = True
    discordance: float | None = None
    intraclass: float | None = None
    effect: float | None = None
    speakers: int | None = None
    per_speaker: int | None = None
    classes: int | None = None
    per_class: int | None = None
    item_seconds: float | None = None
    full: int | None = None
    price: float | None = None
    dim: int | None = None
    rank_precision: float = 0.03
    utterance_seconds: float | None = None
    pace: float | None = None
    model: str | None = None
    checkpoints: int = 1
    pilot: Path | None = None
    measurement: Path | None = None


@dataclass(slots=True)
class _Choosing:
    """Takes for each number what is known best, and notes where it is from."""

    sources: dict[str, str] = field(default_factory=dict)

    def of(self, name: str, *candidates: tuple[Any, str]) -> Any:
        """Return the first value that somebody knows; the last candidate always does."""
        value, source = next((value, source) for value, source in candidates if value is not None)
        self.sources[name] = source
        return value


def plan(request: PlanRequest, progress: Progress | None = None, *, setting: Setting | None = None) -> Plan:
    """Return what is needed for what is asked, and what it costs.

    Args:
        request: what is asked.
        progress: told what is heard.
        setting: how the model is loaded whose pace is measured.

    Raises:
        UsageError: a number is out of its range, or a document is none of the kind or of another task.
    """
    task = parse_task(request.task).name
    past = None if request.pilot is None else experience_of(read_part(request.pilot, "PilotResult"), task)
    named = f"pilot {request.pilot.name}" if request.pilot else ""
    choose = _Choosing()
    labelling = _labelling(request, task, past, named, choose)
    expected = _expected(request, past, named, labelling, choose)
    questions = [Question("difference", request.resolution, request.power, request.alpha)]
    if request.margin is not None:
        questions.append(Question("margin", request.margin, request.power, request.alpha))
    needs = tuple(plan_need(each, expected, labelling) for each in questions)
    ranks = _ranks(request, choose)
    listening = Listening(_pace(request, setting, progress or Silence(), choose), request.checkpoints)
    return Plan(task, expected, labelling, listening, ranks, needs, choose.sources)


def _labelling(
    request: PlanRequest, task: str, past: PilotExperience | None, named: str, choose: _Choosing
) -> Labelling:
    per_speaker = None if past is None or not past.speakers else max(1, round(past.items / past.speakers))
    return Labelling(
        classes=choose.of(
            "classes", (request.classes, ASKED), ((past and past.classes) or None, named), (CLASSES, GUESS)
        ),
        per_class=choose.of(
            "labels per class",
            (request.per_class, ASKED),
            (past and past.per_class, f"{named}: the fewest tried that reach 95 % of the score with all"),
            (PER_CLASS, GUESS),
        ),
        per_speaker=choose.of(
            "items per speaker", (request.per_speaker, ASKED), (per_speaker, named), (PER_SPEAKER, GUESS)
        ),
        item_seconds=choose.of(
            "seconds of an item",
            (request.item_seconds, ASKED),
            (past and past.item_seconds, named),
            (ITEM_SECONDS.get(task, OTHER_ITEM), GUESS),
        ),
        speakers=request.speakers,
        full=request.full,
        price=request.price,
    )


def _expected(
    request: PlanRequest, past: PilotExperience | None, named: str, labelling: Labelling, choose: _Choosing
) -> TestItems:
    accuracy = choose.of("accuracy", (request.accuracy, ASKED), (past and past.accuracy, named), (ACCURACY, GUESS))
    intraclass = choose.of(
        "intraclass correlation",
        (request.intraclass, ASKED),
        (_intraclass(request.effect, labelling.per_speaker), "from the design effect, as asked"),
        (past and past.intraclass, f"{named}: from the error of its score over that of independent items"),
        (INTRACLASS, f"{GUESS}, that of pilots whose error shows none"),
    )
    if not request.paired:
        choose.sources["discordant items"] = "none: the encoders are tested on different items"
        return TestItems(accuracy, None, intraclass)
    discordance = choose.of(
        "discordant items",
        (request.discordance, ASKED),
        (
            None if past is None or past.discordance is None else max(past.discordance, request.resolution),
            f"{named}: from its paired interval against {past.compared_with if past else ''}",
        ),
        (
            independent_discordance(accuracy, request.resolution),
            f"{GUESS}, a cautious one: as if the encoders' errors had nothing to do with each other",
        ),
    )
    return TestItems(accuracy, min(discordance, 0.99), intraclass)


def _intraclass(effect: float | None, per_speaker: int) -> float | None:
    """Return the ρ that a design effect means: deff = 1 + (m − 1)ρ."""
    if effect is None:
        return None
    if effect < 1.0 or (per_speaker == 1 and effect > 1.0) or effect > per_speaker:
        raise UsageError(
            "bad design effect",
            got=f"{effect:g} with {per_speaker} items per speaker",
            expected=f"1 to {per_speaker}, the items of a speaker",
        )
    return 0.0 if per_speaker == 1 else (effect - 1) / (per_speaker - 1)


def _ranks(request: PlanRequest, choose: _Choosing) -> tuple[RankSize, ...]:
    if request.measurement is not None:
        document = read_part(request.measurement, "RankMeasurement")
        named = f"measurement {request.measurement.name}"
        choose.sources["precision of a rank"] = f"{named}: its least certain layer"
        found = [_measured(document, level, request.rank_precision) for level in _LEVELS]
        sizes = tuple(each for each in found if each is not None)
        if not sizes:
            raise UsageError(
                "nothing can be planned from this measurement",
                got=f"{request.measurement}: no rank with an interval",
                expected="effective ranks of frames or utterances with intervals",
                remedy="measure with --intervals true, on more audio",
            )
        return sizes
    dim = choose.of("dimensions", (request.dim, ASKED), (DIM, GUESS))
    seconds = choose.of("seconds of an utterance", (request.utterance_seconds, ASKED), (UTTERANCE_SECONDS, GUESS))
    if seconds <= 0:
        raise UsageError("bad length of an utterance", got=f"{seconds:g} s", expected="more than 0")
    choose.sources["precision of a rank"] = (
        f"{GUESS}: singular values that fall as 1/index; frames of an utterance are alike, which makes errors "
        f"{ALIKE:g} times as large"
    )
    frames = assumed_size("frame", dim, request.rank_precision, rows_per_minute=60 * FRAMES_PER_SECOND, alike=ALIKE)
    utterances = assumed_size("utterance", dim, request.rank_precision, rows_per_minute=60 / seconds, alike=1.0)
    return frames, utterances


def _measured(document: Document, level: str, precision: float) -> RankSize | None:
    """Return the size for the layer whose interval is the widest, None where none has one."""
    minutes = section(document, "audio").get("minutes")
    ranks = read_ranks(document, level=level, centred=True)
    known = [each for each in ranks if isinstance(each, MeasuredRank) and each.interval is not None]
    if not known or not isinstance(minutes, int | float) or minutes <= 0:
        return None
    widths = [((each.interval or (0, 0))[1] - (each.interval or (0, 0))[0]) / 2 / each.value for each in known]
    worst = known[widths.index(max(widths))]
    read = Read(float(minutes), worst.n, max(widths))
    return measured_size(level, max(each.dim for each in known), precision, read)


def _pace(request: PlanRequest, setting: Setting | None, progress: Progress, choose: _Choosing) -> float:
    if request.pace is None and request.model is not None:
        choose.sources["pace"] = f"measured with {request.model}, one core"
        return measured_pace(setting or Setting(model=request.model), progress)
    return float(choose.of("pace", (request.pace, ASKED), (PACE, f"{GUESS}: HuBERT base in float32 on one core")))
