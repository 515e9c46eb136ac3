"""From what phone probes called the frames of the test utterances to frame accuracy and phone error rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlflow_rank.encoders.phone_answers import Answers
from mlflow_rank.evidence.pilot_scores import Cell, Domain, Scored, Tested
from mlflow_rank.probes.design import Shots
from mlflow_rank.probes.edit_errors import collapse, sequence_tallies
from mlflow_rank.probes.predictions import PILOT_BEST, LayerKey, Predictions
from mlflow_rank.probes.scores import METRICS, replicates
from mlflow_rank.probes.tasks import Task


@dataclass(frozen=True, slots=True, eq=False)
class PhoneTest:
    """The test utterances of each domain: which frames are theirs, what is spoken, and by whom.

    `frames` (by domain) are the positions, among all frames of the answers, of those whose truth is a phone;
    `spans` the first and last frame of each utterance; `references` and `speakers` one entry for each utterance.
    """

    tested: Tested
    frames: Mapping[Domain, NDArray[np.intp]]
    spans: Mapping[Domain, Sequence[tuple[int, int]]]
    references: Mapping[Domain, Sequence[Sequence[int]]]
    speakers: Mapping[Domain, Sequence[str]]

    @classmethod
    def of(
        cls,
        answers: Answers,
        *,
        sides: Mapping[Domain, Sequence[str]],
        groups: Mapping[str, str],
        references: Mapping[str, Sequence[int]],
        classes: tuple[str, ...],
        outside_cause: str,
    ) -> PhoneTest:
        """Return the test from the utterances that were heard, in the order of the answers."""
        ends = np.cumsum(answers.frames)
        span = {
            key: (int(end - count), int(end))
            for key, end, count in zip(answers.keys, ends, answers.frames, strict=True)
        }
        heard = {domain: [key for key in sounds if key in span] for domain, sounds in sides.items()}
        frames, names = {}, {}
        for domain, keys in heard.items():
            places = np.concatenate([np.arange(*span[key]) for key in keys] or [np.empty(0, np.intp)]).astype(np.intp)
            owners = np.repeat([groups[key] for key in keys], [span[key][1] - span[key][0] for key in keys])
            spoken = answers.truth[places] >= 0
            frames[domain], names[domain] = places[spoken], [str(name) for name in owners[spoken]]
        truth = {domain: answers.truth[places] for domain, places in frames.items()}
        unknown = "no out-of-domain frame is of a phone that is trained in domain"
        return cls(
            Tested(truth, names, classes, outside_cause or unknown),
            frames,
            {domain: [span[key] for key in keys] for domain, keys in heard.items()},
            {domain: [references[key] for key in keys] for domain, keys in heard.items()},
            {domain: [groups[key] for key in keys] for domain, keys in heard.items()},
        )


@dataclass(frozen=True, slots=True, eq=False)
class Spelt:
    """The decoded frames (R, N) of one layer, head and number of shots, silence included."""

    layer: LayerKey
    head: str
    shots: Shots
    frames: NDArray[np.uint16]
    labels: float


def predictions(
    answers: Mapping[int, Answers],
    held_out: Mapping[int, Sequence[float | None]],
    columns: Mapping[tuple[str, Shots], Sequence[int]],
    test: PhoneTest,
    *,
    labels: Sequence[int],
) -> tuple[list[Predictions], list[Spelt]]:
    """Return predictions of frames, and decoded frames, of every layer and of the layer each draw chose.

    Args:
        answers: by layer.
        held_out: by layer, how good each head was on training frames that it had not learned from.
        columns: by head and shots, which columns of the answers are its draws.
        test: the test utterances.
        labels: how many phones each column was learned from.
    """
    predicted, spelt = [], []
    for (head, shots), draws in columns.items():
        best = [max((held_out[layer][draw] or 0.0, -layer) for layer in answers)[1] * -1 for draw in draws]
        sources: dict[LayerKey, list[int]] = {layer: [layer] * len(draws) for layer in answers}
        if len(answers) > 1 and any(held_out[layer][draws[0]] is not None for layer in answers):
            sources[PILOT_BEST] = best
        learned = float(np.mean([labels[draw] for draw in draws]))
        for layer, origins in sources.items():
            called = np.stack([answers[at].classified[:, draw] for at, draw in zip(origins, draws, strict=True)])
            decoded = np.stack([answers[at].decoded[:, draw] for at, draw in zip(origins, draws, strict=True)])
            nothing = np.empty((len(draws), 0), dtype=np.intp)
            sides = {domain: called[:, places].astype(np.intp) for domain, places in test.frames.items()}
            predicted.append(
                Predictions(
                    layer=layer,
                    head=head,
                    shots=shots,
                    inside=sides["in_domain"],
                    outside=sides.get("out_of_domain", nothing),
                    values=np.empty((len(draws), 0, 0)),
                    outside_values=np.empty((len(draws), 0, 0)),
                    labels=learned,
                    chosen=tuple(best) if layer == PILOT_BEST else (),
                )
            )
            spelt.append(Spelt(layer, head, shots, decoded, learned))
    return predicted, spelt


def score_sequences(task: Task, test: PhoneTest, spelt: Sequence[Spelt]) -> dict[Cell, Scored]:
    """Return the phone error rates of decoded frames, merged and freed of silence."""
    scored = {}
    silence = len(test.tested.classes)
    for metric in (name for name in task.metrics if METRICS[name].reads == "sequences"):
        for each in spelt:
            found = {}
            for domain, spans in test.spans.items():
                if any(code >= 0 for spoken in test.references[domain] for code in spoken):  # else all is an error
                    said = [
                        [collapse(row[start:end], dropped=(silence,)) for start, end in spans] for row in each.frames
                    ]
                    tallies = sequence_tallies(test.references[domain], said, test.speakers[domain])
                    found[domain] = replicates(metric, tallies)
            causes: dict[Domain, str] = {} if "out_of_domain" in found else {"out_of_domain": test.tested.outside_cause}
            scored[Cell(each.layer, each.head, each.shots, metric)] = Scored(found, causes, each.labels)
    return scored
