"""What a measurement is about, in words: model, audio, and what was left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from mlflow_rank.registry.runs.measured_rank import Document, finite, section


def model_name(document: Document) -> str:
    """Return a short name of the encoder: the last part of a path or hub id, with `random:` where its weights were.

    >>> model_name({"model": {"spec": "random:facebook/hubert-base-ls960"}})
    'random:hubert-base-ls960'
    """
    spec = str(section(document, "model").get("spec") or "encoder")
    prefix = "random:" if spec.startswith("random:") else ""
    rest = spec.removeprefix("random:")
    return f"{prefix}{rest if rest.startswith(('models:', 'runs:')) else Path(rest).name or rest}"


def corpus_name(document: Document) -> str:
    """Return a short name of the audio: the last part of its path."""
    source = str(section(document, "audio").get("source") or "audio")
    return Path(source).name or source


def minutes_heard(document: Document) -> str:
    """Return how much audio was measured, in the unit a person would say it in.

    >>> minutes_heard({"audio": {"minutes": 61.3}}), minutes_heard({"audio": {"minutes": 0.5}}), minutes_heard({})
    ('61 min', '30 s', 'an unknown length')
    """
    minutes = finite(section(document, "audio").get("minutes"))
    if minutes is None:
        return "an unknown length"
    if minutes < 2:
        return f"{60 * minutes:.0f} s"
    return f"{minutes:.0f} min" if minutes < 600 else f"{minutes / 60:.0f} h"


def summary_lines(document: Document) -> tuple[str, ...]:
    """Return what was measured and what was not, a line each: model, audio, left out, skipped with their causes.

    Lines about nothing (no skips, nothing left out) are not there.

    >>> summary_lines({"model": {"spec": "starter", "family": "hubert", "parameters": 1735199},
    ...     "audio": {"source": "starter", "minutes": 61.0, "utterances": 900, "speakers": 24,
    ...               "left_out": {"over_budget": 12}},
    ...     "skipped": [{"key": "a.wav", "cause": "silent", "detail": ""}]})
    ('model     starter (hubert, 1.74 M parameters)', 'audio     starter: 61 min, 900 utterances, 24 speakers',
     'left out  12 over budget', 'skipped   1 utterance: 1 silent')
    """
    audio = section(document, "audio")
    lines = [model_line(document)]
    heard = [minutes_heard(document)]
    heard += [counted(audio.get(noun), noun) for noun in ("utterances", "speakers") if audio.get(noun)]
    lines.append(f"audio     {audio.get('source', 'unknown')}: {', '.join(heard)}")
    lines += _short_sounds(audio)
    left_out = audio.get("left_out")
    if isinstance(left_out, Mapping):
        parts = [f"{_number(value)} {_words(key)}" for key, value in left_out.items() if value]
        lines += [f"left out  {', '.join(parts)}"] if parts else []
    lines += skipped_line(document)
    return tuple(lines)


def model_line(document: Document, part: str = "model") -> str:
    """Return which encoder it is, of what family and size, in one line.

    Args:
        document: a measurement or a pilot.
        part: `model`, or `against` for what a pilot compares it with.

    """
    model = section(document, part)
    about = [str(model["family"])] if model.get("family") else []
    parameters = finite(model.get("parameters"))
    if parameters is not None:
        about.append(f"{parameters / 1e6:.3g} M parameters")
    if model.get("dtype") not in (None, "float32"):
        about.append(str(model["dtype"]))
    return f"{part:<10}{model.get('spec', 'unknown')}" + (f" ({', '.join(about)})" if about else "")


def skipped_line(document: Document) -> list[str]:
    """Return a line on how many utterances could not be used and why; none where all could."""
    causes = skipped_causes(document)
    each = ", ".join(f"{count} {_words(cause)}" for cause, count in causes.items())
    return [f"skipped   {counted(sum(causes.values()), 'utterances')}: {each}"] if causes else []


def _short_sounds(audio: Mapping[str, object]) -> list[str]:
    """Return a line where sounds under a second were heard: their own stratum, with a caution of its own."""
    strata = audio.get("strata")
    shortest = next(iter(strata), None) if isinstance(strata, Sequence) and not isinstance(strata, str) else None
    if not isinstance(shortest, Mapping) or not str(shortest.get("duration")).startswith("under"):
        return []
    taken = shortest.get("taken")
    if not isinstance(taken, int) or taken == 0:
        return []
    return [f"short     {_number(taken)} of them {shortest['duration']}: compare their ranks on the same audio only"]


def skipped_causes(document: Document) -> dict[str, int]:
    """Return how many utterances could not be used, by cause, the most frequent first."""
    skipped = document.get("skipped")
    entries = skipped if isinstance(skipped, Sequence) and not isinstance(skipped, str) else []
    counted = Counter(str(entry.get("cause")) for entry in entries if isinstance(entry, Mapping))
    return dict(counted.most_common())


def counted(count: object, plural: str) -> str:
    """Return a number with its noun.

    >>> counted(1, "speakers"), counted(1200, "items")
    ('1 speaker', '1,200 items')
    """
    return f"{_number(count)} {plural.removesuffix('s') if count == 1 else plural}"


def _number(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}" if isinstance(value, float) else str(value)


def _words(key: object) -> str:
    return str(key).replace("_", " ")
