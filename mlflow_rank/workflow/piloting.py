"""How well each layer serves a task with few labels, beside chance, log-mel features, random weights and champion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial

from threadpoolctl import threadpool_limits

from mlflow_rank.encoders.pooled_vectors import check_pooling
from mlflow_rank.errors import UsageError
from mlflow_rank.evidence.pilot_result import Piloted, Protocol, pilot_result
from mlflow_rank.evidence.pilot_scores import DOMAINS, Cell, Domain, Scored, score_items, score_pairs
from mlflow_rank.evidence.rank_measurement import Document
from mlflow_rank.probes.design import SHOTS, Shots, make_design
from mlflow_rank.probes.heads import HEADS
from mlflow_rank.probes.items import Items
from mlflow_rank.probes.predictions import LayerFeatures, Predictions, predict
from mlflow_rank.probes.refusals import RefusedError
from mlflow_rank.probes.tasks import Task, parse_task
from mlflow_rank.speech.digests import corpus_digest
from mlflow_rank.speech.labelled import GroupUnit, LabelledCorpus, group_of, group_unit, label_of, labelled
from mlflow_rank.speech.utterance import Skipped, Utterance
from mlflow_rank.workflow.hearing import Hearing, KeptVectors, Wish, sound_of
from mlflow_rank.workflow.progress import Progress, Silence
from mlflow_rank.workflow.setting import Setting
from mlflow_rank.workflow.subjects import hear_all, subjects


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
    return task


def pilot(setting: Setting, request: PilotRequest, progress: Progress | None = None) -> Document:
    """Return the `PilotResult` document of one task.

    Raises:
        UsageError: the model, the labels or a setting is wrong; audio or a speaker is on both sides.
        MeasurementError: too much audio cannot be used, the encoder returns NaN, ….
        KeyboardInterrupt: what was heard is kept; the same request with `resume` goes on from there.
    """
    progress = progress or Silence()
    setting.check()
    check_request(request)
    with subjects(setting, progress, log_mel=request.log_mel, against=request.against) as loaded:
        piloting = Piloting.of(setting, request, progress)
        hearings = {role: Hearing.prepare(setting, each, [piloting.wish]) for role, each in loaded.roles.items()}
        hear_all([one for each in hearings.values() for one in each.listenings], setting, progress)
        document = concluded([piloting], hearings, progress)
        for each in hearings.values():
            each.forget()
    return document


@dataclass(frozen=True, slots=True)
class Piloting:
    """A pilot before anything is heard: the task, the labelled utterances of each domain, and what groups them."""

    setting: Setting
    request: PilotRequest
    task: Task
    corpora: Mapping[Domain, LabelledCorpus]
    unit: GroupUnit

    @classmethod
    def of(cls, setting: Setting, request: PilotRequest, progress: Progress) -> Piloting:
        """Open the corpora and find the labels."""
        task = check_request(request)
        corpora: dict[Domain, LabelledCorpus] = {"in_domain": labelled(setting.corpus(request.labels, progress), task)}
        if request.labels_ood is not None:
            corpora["out_of_domain"] = labelled(setting.corpus(request.labels_ood, progress), task)
        unit = group_unit(each for corpus in corpora.values() for each in corpus.utterances)
        return cls(setting, request, task, corpora, unit)

    @property
    def wish(self) -> Wish:
        """What is to be kept of the utterances."""
        sounds = {sound_of(each): each for corpus in self.corpora.values() for each in corpus.utterances}
        return Wish(f"pilot_{self.task.name}", sounds, check_pooling(self.request.pooling))

    def skipped(self, kept: KeptVectors, progress: Progress) -> list[Skipped]:
        """Return what could not be used, found while listing or while hearing.

        Raises:
            MeasurementError: it is too much.
        """
        listed = [each for corpus in self.corpora.values() for each in corpus.corpus.skipped]
        used = [each for corpus in self.corpora.values() for each in corpus.utterances]
        unheard = [
            replace(kept.skipped[sound_of(each)], key=each.key) for each in used if sound_of(each) in kept.skipped
        ]
        skipped = sorted((*listed, *unheard), key=lambda each: each.key)
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
        protocol = self._protocol(chosen, digests, controlled="control" in kept)
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
        items = {domain: self._items(utterances, digests) for domain, utterances in chosen.items()}
        design = make_design(
            items["in_domain"],
            items.get("out_of_domain"),
            shots=request.shots,
            draws=request.draws,
            seed=request.seed,
            test_share=request.test_share,
            disjoint_by=self.task.disjoint_by,
        )
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
                scored[role] = score_items(self.task, design, predicted[role])
                scored[role] |= score_pairs(self.task, design, layers, predicted[role])
        others = (scored.get(role, {}) for role in ("control", "log_mel", "champion"))
        return Piloted(design, predicted["candidate"], scored["candidate"], *others)

    def _items(self, utterances: Sequence[Utterance], digests: Mapping[str, str]) -> Items:
        return Items(
            keys=tuple(each.key for each in utterances),
            labels=tuple(label_of(each, self.task) for each in utterances),
            groups=tuple(group_of(each, self.unit) for each in utterances),
            digests=tuple(digests[sound_of(each)] for each in utterances),
            sessions=tuple(each.session for each in utterances),
        )

    def _protocol(
        self, chosen: Mapping[Domain, Sequence[Utterance]], digests: Mapping[str, str], *, controlled: bool
    ) -> Protocol:
        request = self.request
        sources = {"in_domain": request.labels, "out_of_domain": request.labels_ood}
        domains: dict[Domain, Mapping[str, object]] = {}
        for domain, utterances in chosen.items():
            domains[domain] = {
                "source": sources[domain],
                "corpus_digest": corpus_digest(digests[sound_of(each)] for each in utterances) if utterances else None,
                "items": len(utterances),
                "unlabelled": self.corpora[domain].unlabelled,
                "groups": len({group_of(each, self.unit) for each in utterances}),
                "group_unit": self.unit,
                "minutes": sum(each.duration for each in utterances) / 60,
            }
        return Protocol(
            task=self.task,
            pooling=request.pooling,
            heads={name: HEADS[name].normalisation for name in request.heads},
            shots=request.shots,
            draws=request.draws,
            seed=request.seed,
            test_share=request.test_share,
            group_unit=self.unit,
            compared_with=request.against or ("random weights" if controlled else None),
            domains=domains,
        )


def concluded(
    pilotings: Sequence[Piloting],
    hearings: Mapping[str, Hearing],
    progress: Progress,
    *,
    rank_best: int | None = None,
) -> Document:
    """Return the document of all pilots, once everything was heard.

    Raises:
        UsageError: the same audio or speaker is trained and tested on.
        MeasurementError: too much audio could not be used.
    """
    tasks, skipped = [], []
    for piloting in pilotings:
        kept = {role: hearing.kept(piloting.wish) for role, hearing in hearings.items()}
        skipped += [
            {"task": piloting.task.name, **asdict(each), "cause": str(each.cause)}
            for each in piloting.skipped(kept["candidate"], progress)
        ]
        tasks.append(piloting.result(kept, progress))
    champion = hearings.get("champion")
    document = pilot_result(
        hearings["candidate"].subject.encoder,
        tasks,
        against=None if champion is None else champion.subject.encoder,
        skipped=skipped,
        rank_best=rank_best,
    )
    for name, role in (("model", "candidate"), ("against", "champion")):
        if role in hearings:
            # as the user named it: what it was resolved to is a path of this machine
            document[name] = {**_mapping(document[name]), "spec": hearings[role].subject.spec}
    return document


def _mapping(value: object) -> dict[str, object]:
    return dict(value) if isinstance(value, dict) else {}
