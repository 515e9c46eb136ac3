"""How well each layer serves a task with few labels, beside chance, log-mel features, random weights and champion."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from threadpoolctl import threadpool_limits

from mlflow_rank.encoders.extraction import Protocol as RowProtocol
from mlflow_rank.encoders.pooled_vectors import check_pooling
from mlflow_rank.errors import UsageError
from mlflow_rank.evidence.pilot_result import Piloted, Protocol, pilot_result
from mlflow_rank.evidence.pilot_scores import DOMAINS, Cell, Domain, Scored, score_classes, score_pairs, tested_items
from mlflow_rank.evidence.rank_measurement import Document
from mlflow_rank.probes.design import SHOTS, Shots, make_design
from mlflow_rank.probes.heads import HEADS
from mlflow_rank.probes.items import Items
from mlflow_rank.probes.predictions import LayerFeatures, Predictions, predict
from mlflow_rank.probes.refusals import RefusedError
from mlflow_rank.probes.tasks import Task, parse_task, without_times
from mlflow_rank.speech.digests import corpus_digest
from mlflow_rank.speech.labelled import (
    GroupUnit,
    LabelledCorpus,
    group_of,
    group_unit,
    label_of,
    labelled,
    sequences_only,
)
from mlflow_rank.speech.sampling import Sample
from mlflow_rank.speech.utterance import Skipped, Utterance
from mlflow_rank.workflow.hearing import Hearing, KeptVectors, Wish, sound_of
from mlflow_rank.workflow.phone_design import PhonePilot
from mlflow_rank.workflow.phone_piloting import PhoneCourse
from mlflow_rank.workflow.progress import Progress, Silence
from mlflow_rank.workflow.sequence_piloting import HEADS_IN_WORDS, POOLING, SequenceCourse, SequencePilot
from mlflow_rank.workflow.setting import Setting
from mlflow_rank.workflow.subjects import Subject, Subjects, hear_all, subjects


@dataclass(frozen=True, slots=True)
class PilotRequest:
    """A task, where its labels are, and how it is piloted.

    `labels` are trained and tested on, `labels_ood` (another room, channel, language) only tested. `against` names the
    encoder that differences are taken against, the champion; where it is None that is the random-weights control.
    """

    task: str
    labels: str
    labels_ood: str | None = None
    shots: tuple[Shots, ...] = SHOTS
    draws: int = 10
    heads: tuple[str, ...] = ("ridge", "centroid")
    pooling: str = "mean"
    test_share: float = 0.5
    log_mel: bool = True
    against: str | None = None
    seed: int = 0


def check_request(request: PilotRequest) -> Task:
    """Return the task, and refuse what cannot be done before anything is heard.

    Raises:
        UsageError: no such task, head or pooling, too few draws, ….
    """
    task = parse_task(request.task)
    check_pooling(request.pooling)
    unknown = [name for name in request.heads if name not in HEADS]
    if unknown or not request.heads:
        raise UsageError("no such head", got=", ".join(unknown) or "none", expected=", ".join(HEADS))
    # The design refuses these too, but only when everything was heard.
    if request.draws < 1:
        raise UsageError("too few draws", got=str(request.draws), expected="1 or more")
    if not 0.0 < request.test_share < 1.0:
        raise UsageError("no such share to test", got=f"{request.test_share:g}", expected="above 0 and below 1")
    odd = [k for k in request.shots if k != "all" and k < 1]
    if odd or not request.shots:
        raise UsageError("no such number of shots", got=str(odd or "none"), expected="1 or more per class, or 'all'")
    return task


def check_requests(requests: Sequence[PilotRequest]) -> None:
    """Refuse, before anything is heard, pilots that cannot be done or that would be filed under one name.

    Raises:
        UsageError: there is none, one is asked for twice, or one cannot be done.
    """
    if not requests:
        raise UsageError("no task to pilot", got="none", expected="one task or more")
    names = [check_request(request).name for request in requests]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(
            "a task is asked for twice",
            got=", ".join(twice),
            expected="each once",
            remedy="pilot it in a run of its own",
        )


def pilot(setting: Setting, requests: Sequence[PilotRequest], progress: Progress | None = None) -> Document:
    """Return the `PilotResult` document of one task or several.

    The champion and whether log-mel features are wanted are read from the first: a run has one of each.

    Raises:
        UsageError: the model, the labels or a setting is wrong; audio or a speaker is on both sides.
        MeasurementError: too much audio cannot be used, the encoder returns NaN, ….
        KeyboardInterrupt: what was heard is kept; the same request with `resume` goes on from there.
    """
    progress = progress or Silence()
    setting.check()
    check_requests(requests)
    first = requests[0]
    with (
        subjects(setting, progress, log_mel=first.log_mel, against=first.against) as loaded,
        tempfile.TemporaryDirectory(prefix="mlflow_rank-") as folder,
    ):
        planned = [Piloting.of(setting, request, progress) for request in requests]
        rounds = Rounds.of(planned, loaded, dict.fromkeys(loaded.roles))
        rounds.hear(setting, Path(folder), progress)
        document = concluded(rounds, progress)
        rounds.forget()
    return document


@dataclass(frozen=True, slots=True)
class Piloting:
    """A pilot before anything is heard: the task, the labelled utterances of each domain, and what groups them."""

    setting: Setting
    request: PilotRequest
    task: Task
    corpora: Mapping[Domain, LabelledCorpus]
    units: Mapping[Domain, GroupUnit]

    @classmethod
    def of(cls, setting: Setting, request: PilotRequest, progress: Progress) -> Piloting:
        """Open the corpora and find the labels."""
        task = check_request(request)
        sources: dict[Domain, str | None] = {"in_domain": request.labels, "out_of_domain": request.labels_ood}
        opened = {
            domain: setting.corpus(source, progress, alignments=task.kind == "phone")
            for domain, source in sources.items()
            if source is not None
        }
        if task.kind == "phone" and sequences_only(opened["in_domain"]):
            task = without_times(task)
        corpora = {domain: labelled(corpus, task) for domain, corpus in opened.items()}
        # Of each corpus by itself: that nobody is known outside must not mix the speakers inside.
        units = {domain: group_unit(corpus.utterances) for domain, corpus in corpora.items()}
        return cls(setting, request, task, corpora, units)

    def group(self, utterance: Utterance, domain: Domain) -> str:
        """Return the name of an utterance's group, which no group of another domain has unless it is the same."""
        name = group_of(utterance, self.units[domain])
        # A key is relative to its manifest: the same one in two corpora is two recordings.
        alone = domain == "out_of_domain" and self.units[domain] == "utterance"
        return f"{domain}: {name}" if alone else name

    @property
    def wish(self) -> Wish:
        """What is to be kept of the utterances; for phones nothing, as they have rounds of their own."""
        if self.task.kind in ("phone", "phone_sequence"):
            return Wish(self.task.name, {}, "mean")
        sounds = {sound_of(each): each for corpus in self.corpora.values() for each in corpus.utterances}
        return Wish(f"pilot_{self.task.name}", sounds, check_pooling(self.request.pooling))

    def phones(self) -> PhonePilot | RefusedError:
        """Return the design over spoken phones, or why there is none."""
        request = self.request
        try:
            return PhonePilot.of(
                self.setting,
                self.task,
                {domain: corpus.utterances for domain, corpus in self.corpora.items()},
                self.group,
                shots=request.shots,
                draws=request.draws,
                seed=request.seed,
                test_share=request.test_share,
                heads=request.heads,
            )
        except RefusedError as refused:
            return refused

    def sequences(self) -> SequencePilot | RefusedError:
        """Return the pilot of phones without times, or why it gives no number."""
        request = self.request
        try:
            return SequencePilot.of(
                self.setting,
                {domain: corpus.utterances for domain, corpus in self.corpora.items()},
                self.group,
                shots=request.shots,
                seed=request.seed,
                test_share=request.test_share,
            )
        except RefusedError as refused:
            return refused

    def course(self, roles: Mapping[str, Subject]) -> PhoneCourse | SequenceCourse | None:
        """Return the rounds of a task that has some of its own: phones, with times or without."""
        if self.task.kind == "phone":
            return PhoneCourse(self.phones(), roles)
        return SequenceCourse(self.sequences(), roles) if self.task.kind == "phone_sequence" else None

    def skipped(self, unheard: Mapping[str, Skipped], progress: Progress) -> list[Skipped]:
        """Return what could not be used, found while listing or while hearing.

        Raises:
            MeasurementError: it is too much.
        """
        listed = [each for corpus in self.corpora.values() for each in corpus.corpus.skipped]
        used = [each for corpus in self.corpora.values() for each in corpus.utterances]
        named = [replace(unheard[sound_of(each)], key=each.key) for each in used if sound_of(each) in unheard]
        skipped = sorted((*listed, *named), key=lambda each: each.key)
        self.setting.check_skipped(skipped, len(listed) + len(used), progress)
        return skipped

    def result(self, kept: Mapping[str, KeptVectors], progress: Progress) -> tuple[Protocol, Piloted | RefusedError]:
        """Return how the task was piloted and what was found, or why there is no number.

        Items are the utterances that every encoder could hear, so that all are compared on the same.

        Raises:
            UsageError: the same audio or speaker is trained and tested on.
        """
        usable = frozenset.intersection(*(frozenset(each.place) for each in kept.values()))
        chosen = {
            domain: [each for each in corpus.utterances if sound_of(each) in usable]
            for domain, corpus in self.corpora.items()
        }
        digests = kept["candidate"].digests
        protocol = self.protocol(chosen, digests, controlled="control" in kept)
        try:
            return protocol, self._piloted(kept, chosen, digests, progress)
        except RefusedError as refused:
            return protocol, refused

    def _piloted(
        self,
        kept: Mapping[str, KeptVectors],
        chosen: Mapping[Domain, Sequence[Utterance]],
        digests: Mapping[str, str],
        progress: Progress,
    ) -> Piloted:
        request = self.request
        items = {domain: self._items(utterances, digests, domain) for domain, utterances in chosen.items()}
        design = make_design(
            items["in_domain"],
            items.get("out_of_domain"),
            shots=request.shots,
            draws=request.draws,
            seed=request.seed,
            test_share=request.test_share,
            disjoint_by=self.task.disjoint_by,
        )
        tested = tested_items(design)
        heads = {name: HEADS[name] for name in request.heads}
        steps = len(heads) * sum(len(design.draws_of(shots)) for shots in design.shots)
        progress.begin("training probes", steps * sum(len(each.layers) for each in kept.values()))
        predicted: dict[str, list[Predictions]] = {}
        scored: dict[str, dict[Cell, Scored]] = {}
        for role, each in kept.items():
            inside, outside = ([sound_of(one) for one in chosen.get(domain, ())] for domain in DOMAINS)
            layers = {
                index: LayerFeatures(each.vectors(position, inside), each.vectors(position, outside))
                for position, index in enumerate(each.layers)
            }
            with threadpool_limits(1):  # many small decompositions: threads would wait longer than they work
                predicted[role] = predict(layers, design, heads, after=partial(progress.advance, len(layers)))
                scored[role] = score_classes(self.task, tested, predicted[role])
                scored[role] |= score_pairs(self.task, design, layers, predicted[role])
        others = (scored.get(role, {}) for role in ("control", "log_mel", "champion"))
        return Piloted(design, tested, predicted["candidate"], scored["candidate"], *others)

    def _items(self, utterances: Sequence[Utterance], digests: Mapping[str, str], domain: Domain) -> Items:
        return Items(
            keys=tuple(each.key for each in utterances),
            labels=tuple(label_of(each, self.task) for each in utterances),
            groups=tuple(self.group(each, domain) for each in utterances),
            digests=tuple(digests[sound_of(each)] for each in utterances),
            sessions=tuple(each.session for each in utterances),
        )

    def protocol(
        self, chosen: Mapping[Domain, Sequence[Utterance]], digests: Mapping[str, str], *, controlled: bool
    ) -> Protocol:
        """Return how the task was piloted on the `chosen` utterances."""
        request = self.request
        sources = {"in_domain": request.labels, "out_of_domain": request.labels_ood}
        domains: dict[Domain, Mapping[str, object]] = {}
        for domain, utterances in chosen.items():
            domains[domain] = {
                "source": sources[domain],
                "corpus_digest": corpus_digest(digests[sound_of(each)] for each in utterances)
                if utterances and digests
                else None,
                "items": len(utterances),
                "unlabelled": self.corpora[domain].unlabelled,
                "groups": len({self.group(each, domain) for each in utterances}),
                "group_unit": self.units[domain],
                "minutes": sum(each.duration for each in utterances) / 60,
            }
        spelled = self.task.kind == "phone_sequence"
        return Protocol(
            task=self.task,
            pooling=POOLING if spelled else request.pooling,
            heads=HEADS_IN_WORDS if spelled else {name: HEADS[name].normalisation for name in request.heads},
            shots=_in_order(request.shots),
            draws=1 if spelled else request.draws,
            seed=request.seed,
            test_share=request.test_share,
            group_unit=self.units["in_domain"],
            compared_with=request.against or ("random weights" if controlled else None),
            domains=domains,
        )


@dataclass(frozen=True, slots=True)
class Rounds:
    """Everything that is heard for some pilots, and for a measurement beside them where there is one."""

    pilotings: tuple[Piloting, ...]
    hearings: Mapping[str, Hearing]
    courses: Mapping[str, PhoneCourse | SequenceCourse]

    @classmethod
    def of(
        cls,
        pilotings: Sequence[Piloting],
        loaded: Subjects,
        measured: Mapping[str, tuple[Sample, RowProtocol] | None],
    ) -> Rounds:
        """Plan what every encoder is to hear; `measured` says by role whose rank is to be measured on which sample."""
        setting, wishes = pilotings[0].setting, [each.wish for each in pilotings]
        hearings = {
            role: Hearing.prepare(setting, subject, wishes, measured[role]) for role, subject in loaded.roles.items()
        }
        planned = {each.task.name: each.course(loaded.roles) for each in pilotings}
        courses = {name: course for name, course in planned.items() if course is not None}
        return cls(tuple(pilotings), hearings, courses)

    def hear(self, setting: Setting, folder: Path, progress: Progress) -> None:
        """Hear the first round, and where phones are piloted the second."""
        first = [one for each in self.hearings.values() for one in each.listenings]
        hear_all([*first, *(one for course in self.courses.values() for one in course.first())], setting, progress)
        second = [one for course in self.courses.values() for one in course.second(folder, progress)]
        if second:
            hear_all(second, setting, progress)

    def forget(self) -> None:
        """Remove what was kept for going on: only when nothing can interrupt the use case any more."""
        for hearing in self.hearings.values():
            hearing.forget()
        for course in self.courses.values():
            course.forget()


def concluded(rounds: Rounds, progress: Progress, *, rank_best: int | None = None) -> Document:
    """Return the document of all pilots, once everything was heard.

    Raises:
        UsageError: the same audio or speaker is trained and tested on.
        MeasurementError: too much audio could not be used.
    """
    tasks, skipped = [], []
    for piloting in rounds.pilotings:
        course = rounds.courses.get(piloting.task.name)
        kept = {role: hearing.kept(piloting.wish) for role, hearing in rounds.hearings.items()}
        unheard = _unheard(kept) if course is None else course.skipped
        skipped += [
            {"task": piloting.task.name, **asdict(each), "cause": str(each.cause)}
            for each in piloting.skipped(unheard, progress)
        ]
        if course is None:
            tasks.append(piloting.result(kept, progress))
        else:
            digests = course.digests
            chosen = {
                domain: [each for each in corpus.utterances if not digests or sound_of(each) in digests]
                for domain, corpus in piloting.corpora.items()
            }
            protocol = piloting.protocol(chosen, digests, controlled="control" in kept)
            tasks.append((protocol, course.result(progress)))
    champion = rounds.hearings.get("champion")
    document = pilot_result(
        rounds.hearings["candidate"].subject.encoder,
        tasks,
        against=None if champion is None else champion.subject.encoder,
        skipped=skipped,
        rank_best=rank_best,
    )
    for name, role in (("model", "candidate"), ("against", "champion")):
        if role in rounds.hearings:
            document[name] = rounds.hearings[role].subject.named(_mapping(document[name]))
    return document


def _in_order(shots: Sequence[Shots]) -> tuple[Shots, ...]:
    """Return each number of shots once, fewest first, as a design has them."""
    numbers: list[Shots] = [*sorted({k for k in shots if k != "all"})]
    return (*numbers, "all") if "all" in shots else tuple(numbers)


def _unheard(kept: Mapping[str, KeptVectors]) -> dict[str, Skipped]:
    """Return what the candidate could not hear, and what only another encoder could not, which says so."""
    unheard: dict[str, Skipped] = {}
    for role, each in kept.items():
        if role != "candidate":
            named = {sound: replace(one, detail=f"{role}: {one.detail}") for sound, one in each.skipped.items()}
            unheard = named | unheard
    return unheard | dict(kept["candidate"].skipped)


def _mapping(value: object) -> dict[str, object]:
    return dict(value) if isinstance(value, dict) else {}
