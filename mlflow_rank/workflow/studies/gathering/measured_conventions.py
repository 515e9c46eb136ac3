"""Under which settings a measurement and a pilot were made, read from their documents; and what many agree on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mlflow_rank.registry.runs.measured_rank import Document, section
from mlflow_rank.registry.runs.measured_score import IN_DOMAIN, PilotTask, Shots, mapping, most_shots, read_tasks
from mlflow_rank.registry.runs.pilot_metrics import metric_groups
from mlflow_rank.studies.conventions import Conventions, Setting, ensure_same

RANK, PILOT = "rank.", "pilot."
_OF_ROWS = ("preset", "levels", "frame_stride", "channel", "dtype", "blocks", "block_unit", "intervals")
_NESTED = ("sampling", "epsilon")
_OF_SPLITS = ("draws", "seed", "test_share", "disjoint_by", "train_items", "test_items")
_OF_AUDIO = ("corpus_digest", "items", "groups", "group_unit")


def conventions_of(measurement: Document | None, pilot: Document | None) -> Conventions:
    """Return what the numbers of a measurement, a pilot or both mean: not the encoder, nor its layers.

    Ranks have `rank.…`; each task of a pilot has `pilot.<task>.…`, about the score that stands for it: the primary
    metric of the first head with the most labels. What a document does not say is not there.

    Raises:
        UsageError: a document is not what it is given as.
    """
    settings: dict[str, Setting] = {}
    if measurement is not None:
        settings |= _flat(RANK, dict(_rank_settings(measurement)))
    if pilot is not None:
        tasks = read_tasks(pilot)
        dtype = section(pilot, "model").get("dtype")
        for group, task in zip(metric_groups(tasks), tasks, strict=True):
            said = {**dict(_pilot_settings(task)), "dtype": dtype}
            settings |= _flat(f"{PILOT}{_one_part(group.removeprefix('pilot_'))}.", said)
    return Conventions(settings)


def agreed(named: Mapping[str, Conventions]) -> Conventions:
    """Return the conventions of all, by the name of who has them, where nobody contradicts another.

    Ranks are held against ranks and a task against the same task: who has no pilot of a task, has none of another
    convention.

    Raises:
        UsageError: there are none, or two differ; the error names every setting that does.
    """
    settings: dict[str, Setting] = {}
    for part in sorted({part for each in named.values() for part in parts_of(each)}):
        having = {name: each.part(part) for name, each in named.items() if part in parts_of(each)}
        settings |= ensure_same(having).settings
    return Conventions(settings) if settings else ensure_same(named)


def parts_of(conventions: Conventions) -> frozenset[str]:
    """Return the beginnings of names that belong together.

    >>> sorted(parts_of(Conventions({"rank.dtype": "float32", "pilot.keyword.seed": 0, "pilot.keyword.head": "ridge"})))
    ['pilot.keyword.', 'rank.']
    """
    names = (name.split(".") for name in conventions.settings)
    return frozenset(".".join(parts[:2] if parts[0] == "pilot" else parts[:1]) + "." for parts in names)


def _rank_settings(measurement: Document) -> Iterator[tuple[str, object]]:
    protocol, audio = section(measurement, "protocol"), section(measurement, "audio")
    for name in (*_OF_ROWS, *_NESTED):
        if name in protocol:
            yield name, protocol[name]
    for name in ("corpus_digest", "utterances"):
        if name in audio:
            yield name, audio[name]


def _pilot_settings(task: PilotTask) -> Iterator[tuple[str, object]]:
    metric, head = next(iter(task.metrics), None), task.head
    shown = [row for row in task.rows if (row["domain"], row["metric"], row["head"]) == (IN_DOMAIN, metric, head)]
    yield "metric", metric
    yield "head", head
    yield "normalisation", mapping(task.described, "heads").get(head)
    yield "pooling", task.described.get("pooling")
    yield "shots", most_shots(_shots(row["shots"]) for row in shown)
    yield "classes", len(task.classes)
    protocol = mapping(task.described, "protocol")
    for name in _OF_SPLITS:
        if name in protocol:
            yield name, protocol[name]
    for domain, about in mapping(task.described, "domains").items():
        if isinstance(about, Mapping):
            yield domain, {name: about[name] for name in _OF_AUDIO if name in about}


def _flat(prefix: str, said: Mapping[str, object]) -> dict[str, Setting]:
    """Return plain values by dotted name; a list is its entries, separated by commas."""
    flat: dict[str, Setting] = {}
    for name, value in said.items():
        if isinstance(value, Mapping):
            flat |= _flat(f"{prefix}{name}.", {str(key): each for key, each in value.items()})
        elif isinstance(value, list | tuple):
            flat[f"{prefix}{name}"] = ",".join(str(each) for each in value)
        else:
            flat[f"{prefix}{name}"] = value if isinstance(value, str | int | float | None) else str(value)
    return flat


def _shots(value: object) -> Shots:
    return value if isinstance(value, int) else "all"


def _one_part(name: str) -> str:
    """Return a task's name without the dots that would make two parts of it."""
    return name.replace(".", "_")
