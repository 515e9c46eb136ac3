"""What a pilot found, in plain sentences: what was tested, how many labels were needed, which layer, how sure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from pathlib import Path

from mlflow_rank.registry.runs.measured_rank import Row, finite
from mlflow_rank.registry.runs.measured_score import (
    LOWER_IS_BETTER,
    RANDOM_WEIGHTS,
    Interval,
    Layer,
    MeasuredScore,
    PilotTask,
    Scores,
    Shots,
    mapping,
    sequence,
)
from mlflow_rank.reports.subject import counted, minutes_heard

_METRICS = {"per": "PER", "eer_cosine": "EER by cosine", "eer_probe": "EER by probe", "macro_f1": "macro F1"}
_CLASSES_NAMED = 4
SHORT = {"weighted_sum": "weighted", "pilot_best": "best"}  # the summaries as a narrow column names them


def metric_name(metric: str) -> str:
    """Return a metric as people write it.

    >>> metric_name("balanced_accuracy"), metric_name("per")
    ('balanced accuracy', 'PER')
    """
    return _METRICS.get(metric, metric.replace("_", " "))


def percent(share: float, *, sign: bool = False) -> str:
    """Return a share in percent with one decimal, and a difference with its sign.

    >>> percent(0.8912), percent(0.8912, sign=True), percent(-0.0001, sign=True)
    ('89.1', '+89.1', '+0.0')
    """
    rounded = round(100 * share, 1) + 0.0  # no minus before a zero
    return f"{rounded:+.1f}" if sign else f"{rounded:.1f}"


def bounds(interval: Interval | None, *, sign: bool = False) -> str:
    """Return an interval in percent, or that there is none."""
    if interval is None:
        return "no interval"
    return f"[{percent(interval[0], sign=sign)}, {percent(interval[1], sign=sign)}]"


def shots_name(shots: Shots) -> str:
    """Return a number of labels per class in words.

    >>> shots_name("all"), shots_name(1), shots_name(20)
    ('all labels', '1 label per class', '20 labels per class')
    """
    return "all labels" if isinstance(shots, str) else f"{counted(shots, 'labels')} per class"


def heading(task: PilotTask) -> str:
    """Return task, classes and chance level.

    >>> heading(PilotTask("keyword", {"classes": ["no", "yes"]}, ()))
    'keyword: 2 classes (no, yes)'
    """
    more = "" if len(task.classes) <= _CLASSES_NAMED else ", ..."
    named = f"{counted(len(task.classes), 'classes')} ({', '.join(task.classes[:_CLASSES_NAMED])}{more})"
    chance = next((score.chance for score in known(task.scores()) if score.chance is not None), None)
    return f"{task.name}: {named}" + ("" if chance is None else f", chance {percent(chance)} %")


def setting_lines(task: PilotTask) -> list[tuple[str, str]]:
    """Return what was tested on what and how, as pairs of a name and what there is to say."""
    lines = [
        (domain.replace("_", " "), _audio(described))
        for domain, described in mapping(task.described, "domains").items()
        if isinstance(described, Mapping)
    ]
    protocol = mapping(task.described, "protocol")
    said = []
    if protocol.get("train_items") and protocol.get("test_items"):
        said.append(f"{protocol['train_items']} training and {protocol['test_items']} test items")
    if protocol.get("disjoint_by"):
        said.append(f"no {protocol['disjoint_by']} in both")
    if protocol.get("draws"):
        said.append(f"{counted(protocol['draws'], 'draws')}, seed {protocol.get('seed')}")
    if task.described.get("pooling"):
        said.append(f"pooling {str(task.described['pooling']).replace('_', ' and ')}")
    lines += [("protocol", ", ".join(said))] if said else []
    lines += [(head, str(words)) for head, words in mapping(task.described, "heads").items()]
    return [*lines, ("compared with", f"{task.compared_with}, on the same test items")]


def findings(task: PilotTask) -> list[str]:
    """Return the sentences on what was found, the most useful first."""
    scores = task.scores()
    return [
        *_labels_saved(task),
        *_best_layers(task, scores),
        *_references(task, scores),
        *_other_metrics(task, scores),
        *_resolvable(task, scores),
        *_second_opinions(task, scores),
    ]


def unknowns(task: PilotTask) -> list[str]:
    """Return what is unknown, once per cause: layers, labels, the cause and what to do where that is said."""
    causes: dict[tuple[str, str], list[Row]] = {}
    for row in task.rows:
        if row.get("status") == "unknown" or finite(row.get("score")) is None:
            about = str(row.get("cause") or "no cause is given"), str(row.get("remedy") or "")
            causes.setdefault(about, []).append(row)
    lines = []
    for (cause, remedy), rows in causes.items():
        layers_by_shots: dict[Shots, set[object]] = {}
        for row in rows:
            shots = row["shots"]
            layers_by_shots.setdefault(shots if isinstance(shots, int) else "all", set()).add(row["layer"])
        shots_by_layers: dict[frozenset[object], list[Shots]] = {}
        for each in (each for each in task.shots if each in layers_by_shots):
            shots_by_layers.setdefault(frozenset(layers_by_shots[each]), []).append(each)
        heads = {str(row["head"]) for row in rows}
        only = f" ({', '.join(sorted(heads))} only)" if heads != set(task.heads) else ""
        where = [
            _layers_named(task, layers) + ("" if tuple(counts) == task.shots else f" with {_shots_listed(counts)}")
            for layers, counts in shots_by_layers.items()
        ]
        lines.append(f"unknown: {'; '.join(where)}{only}: {cause}" + (f" Next: {remedy}" if remedy else ""))
    return lines


def known(scores: Scores) -> Iterator[MeasuredScore]:
    """Yield the scores that are numbers."""
    yield from (score for score in scores.values() if isinstance(score, MeasuredScore))


def best_layer(scores: Scores, metric: str) -> MeasuredScore | None:
    """Return the best score of a single layer, the lowest layer among equals, or None where none is known."""
    sign = -1 if metric in LOWER_IS_BETTER else 1
    single = [score for score in known(scores) if isinstance(score.layer, int)]
    return max(single, key=lambda score: sign * score.value, default=None)


def layers_listed(layers: Iterable[int]) -> str:
    """Return layers in few characters.

    >>> layers_listed([0, 1, 2, 5, 7, 8]), layers_listed([3])
    ('layers 0-2, 5, 7-8', 'layer 3')
    """
    runs: list[list[int]] = []
    for layer in sorted(layers):
        if runs and layer == runs[-1][-1] + 1:
            runs[-1].append(layer)
        else:
            runs.append([layer])
    listed = ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)
    return f"layer {listed}" if listed.isdigit() else f"layers {listed}"


def saved_entries(task: PilotTask) -> dict[Layer, Mapping[str, object]]:
    """Return by layer what the document says of labels saved, for the first head and the primary metric."""
    entries = [each for each in sequence(task.described, "labels_saved") if isinstance(each, Mapping)]
    return {each["layer"]: each for each in entries if (each["head"], each["metric"]) == (task.head, task.metrics[0])}


def share_of_full(entry: Mapping[str, object]) -> str:
    """Return which share of the full-label score the target is, in percent.

    >>> share_of_full({"full_score": 0.9, "target": 0.855})
    '95 %'
    """
    full, target = finite(entry.get("full_score")), finite(entry.get("target"))
    return "the target" if not full or target is None else f"{100 * target / full:.0f} %"


def _audio(described: Mapping[str, object]) -> str:
    source = str(described.get("source") or "unknown")
    groups = counted(described.get("groups"), f"{described.get('group_unit') or 'group'}s")
    return f"{Path(source).name or source}: {counted(described.get('items'), 'items')} of {groups}, " + minutes_heard(
        {"audio": described}
    )


def _labels_saved(task: PilotTask) -> Iterator[str]:
    entries = saved_entries(task)
    for name in dict.fromkeys((task.layer_choice("pilot_best"), task.layer_choice("rank_best"))):
        if name is None or name not in entries:
            continue
        entry = entries[name]
        if entry.get("status") == "unknown" or not isinstance(entry.get("shots"), int):
            if entry.get("cause"):
                yield f"How many labels layer {name} saves is unknown: {entry['cause']}."
            elif entry.get("shots") == "all":
                yield f"Layer {name} needs all labels for {share_of_full(entry)} of its full-label score."
            continue
        used, full = finite(entry.get("labels")), finite(entry.get("labels_full"))
        counts = "" if used is None or full is None else f" ({used:,.0f} of {full:,.0f})"
        reached = f"{share_of_full(entry)} of its full-label score"
        if task.metrics[0] in LOWER_IS_BETTER:
            reached = f"within reach of its full-label {metric_name(task.metrics[0])}"
        yield f"Layer {name} reaches {reached} with {shots_name(int(str(entry['shots'])))}{counts}."


def _best_layers(task: PilotTask, scores: Scores) -> Iterator[str]:
    pilot, rank = task.layer_choice("pilot_best"), task.layer_choice("rank_best")
    if pilot is None or rank is None:
        return
    if pilot == rank:
        yield f"The pilot and the rank agree on layer {pilot}."
        return
    ours, theirs = scores.get(pilot), scores.get(rank)
    said = f"The pilot's best is layer {pilot}, the layer of highest rank is {rank}"
    if isinstance(ours, MeasuredScore) and isinstance(theirs, MeasuredScore):
        said += f": {percent(ours.value)} against {percent(theirs.value)} %{_overlap(ours, theirs)}"
    yield f"{said}. Layers are chosen by the pilot."


def _references(task: PilotTask, scores: Scores) -> Iterator[str]:
    """Say which layers are better than what they are compared with, beyond the interval, and than log-mel features."""
    single = [score for score in known(scores) if isinstance(score.layer, int)]
    sign = -1 if task.metrics[0] in LOWER_IS_BETTER else 1
    clear = {
        score.layer for score in single if score.delta_interval and min(sign * b for b in score.delta_interval) > 0
    }
    worse = {
        score.layer for score in single if score.delta_interval and max(sign * b for b in score.delta_interval) < 0
    }
    open_ = {score.layer for score in single if score.delta_interval} - clear - worse
    if clear or worse or open_:
        verdicts = (("better", clear), ("worse", worse), ("not told apart", open_))
        each = [f"{verdict}: {layers_listed(_whole(layers))}" for verdict, layers in verdicts if layers]
        yield f"Against {task.compared_with}: {'; '.join(each)}."
    if single and all(score.random is None for score in single):
        yield f"No control with {RANDOM_WEIGHTS}: what training added to the architecture is not known."
    below = {score.layer for score in single if score.logmel is not None and sign * (score.value - score.logmel) <= 0}
    if below:
        yield f"No better than log-mel features: {layers_listed(_whole(below))}."


def _other_metrics(task: PilotTask, scores: Scores) -> Iterator[str]:
    shown = _shown(task, scores)
    if shown is None:
        return
    beside = [(metric, task.scores(metric=metric).get(shown.layer)) for metric in task.metrics[1:]]
    named = [
        f"{metric_name(metric)} {percent(score.value)} {bounds(score.interval)}"
        + (", lower is better" if metric in LOWER_IS_BETTER else "")
        for metric, score in beside
        if isinstance(score, MeasuredScore)
    ]
    if named:
        yield f"Layer {shown.layer} in other metrics, in %: {'; '.join(named)}."


def _shown(task: PilotTask, scores: Scores) -> MeasuredScore | None:
    """Return the score of the layer the pilot chose, else of the best one."""
    chosen = task.layer_choice("pilot_best")
    score = None if chosen is None else scores.get(chosen)
    return score if isinstance(score, MeasuredScore) else best_layer(scores, task.metrics[0])


def _resolvable(task: PilotTask, scores: Scores) -> Iterator[str]:
    shown = _shown(task, scores)
    if shown is not None and shown.resolvable is not None:
        unit = mapping(mapping(task.described, "domains"), "in_domain").get("group_unit") or "group"
        yield (
            f"This test set ({counted(shown.n, 'items')} of {counted(shown.groups, f'{unit}s')}) can resolve "
            f"differences of {percent(shown.resolvable)} points (80 % power, two-sided 5 %); smaller ones may be luck."
        )


def _second_opinions(task: PilotTask, scores: Scores) -> Iterator[str]:
    metric = task.metrics[0]
    first = best_layer(scores, metric)
    for head in task.heads[1:]:
        theirs = task.scores(head=head)
        other = best_layer(theirs, metric)
        if first is None or other is None or first.layer == other.layer:
            continue
        beside = theirs.get(first.layer)
        gap = "" if not isinstance(beside, MeasuredScore) else f", {percent(beside.value)} % in layer {first.layer}"
        overlap = _overlap(other, beside) if isinstance(beside, MeasuredScore) else ""
        yield (
            f"Second opinion: {head} finds layer {other.layer} best ({percent(other.value)} %{gap}{overlap}), "
            f"{task.head} layer {first.layer}."
        )


def _overlap(one: MeasuredScore, other: MeasuredScore) -> str:
    if one.interval is None or other.interval is None:
        return ""
    apart = one.interval[0] > other.interval[1] or other.interval[0] > one.interval[1]
    return ", intervals apart" if apart else ", intervals overlap"


def _shots_listed(counts: Sequence[Shots]) -> str:
    if len(counts) == 1:
        return shots_name(counts[0])
    return f"{', '.join(str(each) for each in counts)} labels per class"


def _layers_named(task: PilotTask, layers: Set[object]) -> str:
    if layers == {row["layer"] for row in task.rows}:
        return "all layers"
    single = [layer for layer in layers if isinstance(layer, int)]
    names = [layers_listed(single)] if single else []
    return ", ".join([*names, *(SHORT.get(layer, layer) for layer in layers if isinstance(layer, str))])


def _whole(layers: Iterable[Layer]) -> list[int]:
    return [layer for layer in layers if isinstance(layer, int)]
