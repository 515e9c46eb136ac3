"""What a pilot is about: which label of an utterance, scored how, and what is kept apart."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from mlflow_rank.errors import UsageError
from mlflow_rank.probes.design import DisjointBy

Kind = Literal["label", "speaker", "phone", "phone_sequence"]
LABEL = "label:"


@dataclass(frozen=True, slots=True)
class Task:
    """A task by its `name` on the command line; `field` is the label it reads, `metrics` its scores, primary first.

    `label` classifies whole utterances by a label, `speaker` by who speaks, `phone` frames by what is spoken,
    `phone_sequence` spells what is spoken where nobody knows when.
    """

    name: str
    kind: Kind
    field: str
    metrics: tuple[str, ...]
    disjoint_by: DisjointBy


def parse_task(text: str) -> Task:
    """Return the task that a `--task` text names.

    Raises:
        UsageError: there is none of this name.

    >>> parse_task("label:kind").field, parse_task("keyword").metrics
    ('kind', ('balanced_accuracy', 'macro_f1'))
    """
    of_classes = ("balanced_accuracy", "macro_f1")
    if text == "keyword":
        return Task(text, "label", "keyword", of_classes, "group")
    if text == "speaker":
        return Task(text, "speaker", "speaker", ("balanced_accuracy", "eer_cosine", "eer_probe"), "session")
    if text == "phone":
        return Task(text, "phone", "phones", ("balanced_frame_accuracy", "per"), "group")
    if text.startswith(LABEL) and len(text) > len(LABEL):
        return Task(text, "label", text.removeprefix(LABEL), of_classes, "group")
    raise UsageError("no such task", got=repr(text), expected="phone, keyword, speaker or label:FIELD")


def without_times(task: Task) -> Task:
    """Return the phone task where phones are known in order only: what can be scored then is what is spelled.

    >>> without_times(parse_task("phone")).metrics
    ('per',)
    """
    return replace(task, kind="phone_sequence", field="phone_sequence", metrics=("per",))
