"""The labelled part of a corpus: which utterances carry what a task asks for, and who they come from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from mlflow_rank.errors import UsageError
from mlflow_rank.probes.tasks import Task
from mlflow_rank.speech.corpus import Corpus
from mlflow_rank.speech.utterance import Utterance

GroupUnit = Literal["speaker", "session", "utterance"]


@dataclass(frozen=True, slots=True)
class LabelledCorpus:
    """The utterances of a corpus that carry a task's label, in order of key, and how many do not."""

    corpus: Corpus
    task: Task
    utterances: tuple[Utterance, ...]
    unlabelled: int


def labelled(corpus: Corpus, task: Task) -> LabelledCorpus:
    """Return the utterances that carry the task's label.

    Raises:
        UsageError: none does; the error names the labels that there are.
    """
    carrying = sorted((each for each in corpus.utterances if _label(each, task)), key=lambda each: each.key)
    if not carrying:
        names = sorted({name for each in corpus.utterances for name in each.labels})
        there = [*names, *(["speaker"] if any(each.speaker for each in corpus.utterances) else [])]
        there += ["phones"] if any(each.phones for each in corpus.utterances) else []
        there += ["phone_sequence"] if any(each.phone_sequence for each in corpus.utterances) else []
        raise UsageError(
            f"no utterance carries what the task {task.name} asks for",
            got=f"{corpus.source} with the labels {', '.join(there) or 'none'}",
            expected=f"a column {task.field!r}" + (" or 'label'" if task.name == "keyword" else ""),
            remedy="add the column to the manifest, or choose a --task that it has: "
            + (", ".join(f"label:{name}" for name in names) or "none is there"),
        )
    return LabelledCorpus(corpus, task, tuple(carrying), len(corpus.utterances) - len(carrying))


def sequences_only(corpus: Corpus) -> bool:
    """Return whether phones are known in order but nowhere in time: where both are known, times say more."""
    return not any(each.phones for each in corpus.utterances) and any(each.phone_sequence for each in corpus.utterances)


def phones_in_order(utterance: Utterance) -> tuple[str, ...]:
    """Return the phones of an utterance without their times, symbols of silence among them."""
    return utterance.phone_sequence or tuple(phone.symbol for phone in utterance.phones or ())


def label_of(utterance: Utterance, task: Task) -> str:
    """Return the label that an utterance carries for a task; for `speaker` the speaker's name."""
    return str(_label(utterance, task))


def group_unit(utterances: Iterable[Utterance]) -> GroupUnit:
    """Return what is known to be one voice or one device for every utterance: speaker, else session, else itself."""
    utterances = tuple(utterances)
    if all(each.speaker for each in utterances):
        return "speaker"
    return "session" if all(each.session for each in utterances) else "utterance"


def group_of(utterance: Utterance, unit: GroupUnit) -> str:
    """Return the name of the utterance's group."""
    named = {"speaker": utterance.speaker, "session": utterance.session, "utterance": utterance.key}[unit]
    return str(named)


def _label(utterance: Utterance, task: Task) -> str | None:
    if task.kind == "speaker":
        return utterance.speaker
    if task.kind == "phone":
        return "phones" if utterance.phones else None
    if task.kind == "phone_sequence":
        return "phones" if phones_in_order(utterance) else None
    if task.name == "keyword":
        return utterance.labels.get("keyword") or utterance.labels.get("label")
    return utterance.labels.get(task.field)
