"""Pilot documents as `mlflow-rank pilot --json` would write them, from arithmetic: no encoder is heard."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

Document = dict[str, Any]
WORDS = ("down", "go", "left", "no", "off", "on", "right", "stop", "up", "yes", "zero", "nine")
SHOTS = (1, 5, 10, 20, "all")
DELTAS = tuple(
    f"{delta}{part}" for delta in ("delta", "delta_random", "delta_logmel") for part in ("", "_low", "_high", "_paired")
)
ALL = 40  # labels per class where all are used
CAUSE = "class 'up' has 3 training labels, 5 were asked; give at least 5 per class, or fewer shots"


def pilot(
    *,
    tasks: Sequence[str] = ("keyword",),
    layers: int = 5,
    control: bool = True,
    outside: bool = True,
    champion: str | None = None,
    unknown_layers: Sequence[int] = (),
    unknown_shots: Sequence[object] = (),
    heads: Sequence[str] = ("ridge", "centroid"),
    classes: Sequence[str] = WORDS,
    digest: str = "a" * 64,
    interval: bool = True,
) -> Document:
    """A pilot with everything asked for; layers named unknown have rows without a number."""
    rows: list[Document] = []
    described: list[Document] = []
    for task in tasks:
        rows += _rows(
            task=task, layers=layers, control=control, champion=champion, heads=heads, classes=classes,
            unknown_layers=unknown_layers, unknown_shots=unknown_shots, outside=outside, interval=interval,
        )  # fmt: skip
        described.append(_task(task, layers, champion, heads, classes, outside))
    return {
        "kind": "PilotResult",
        "model": {
            "spec": "lab/hubert-small", "family": "hubert", "digest": f"sha256:{digest}", "parameters": 1_735_199,
            "dtype": "float32", "layers_asked": "all",
            "layers": [{"index": i, "name": f"hidden_states.{i}", "dim": 160} for i in range(layers)],
        },
        "against": None if champion is None else {"spec": champion, "family": "hubert", "digest": f"sha256:{'b' * 64}"},
        "tasks": described,
        "skipped": [{"key": "a/b.wav", "cause": "silent", "detail": "peak below -90 dBFS"}],
        "rows": rows,
    }  # fmt: skip


def metrics_of(task: str) -> tuple[str, ...]:
    return {
        "phone": ("balanced_frame_accuracy", "per"),
        "speaker": ("balanced_accuracy", "eer_cosine", "eer_probe"),
    }.get(task, ("balanced_accuracy", "macro_f1"))


def score_of(layer: int, layers: int, per_class: int, head: str, domain: str = "in_domain") -> float:
    """Rises with labels and is best in an upper layer; the centroid prefers an earlier one, and is worse."""
    best = layers - 2 if head == "ridge" else 1
    top = (0.9 if head == "ridge" else 0.78) - 0.04 * min(abs(layer - best), 8)
    return (top - 0.45 * math.exp(-0.45 * math.sqrt(per_class))) * (0.82 if domain == "out_of_domain" else 1.0)


def _task(
    task: str, layers: int, champion: str | None, heads: Sequence[str], classes: Sequence[str], outside: bool
) -> Document:
    def audio(name: str, items: int, letter: str) -> Document:
        return {
            "source": f"/data/{name}.jsonl", "corpus_digest": f"sha256:{letter * 64}", "items": items, "groups": 24,
            "group_unit": "speaker", "minutes": items / 60,
        }  # fmt: skip

    words = {
        "ridge": "features standardised on the training items, one penalty of 13 by leaving speakers out",
        "centroid": "features centred by the training mean, cosine to the mean of each class",
    }
    total = ALL * len(classes)
    size = len(classes)
    matrix = [
        [17 if i == j else 2 if abs(i - j) == 1 else 1 if (i + 3 * j) % 7 == 0 else 0 for j in range(size)]
        for i in range(size)
    ]
    return {
        "task": task,
        "metrics": list(metrics_of(task)),
        "pooling": "mean",
        "heads": {head: words.get(head, head) for head in heads},
        "classes": list(classes),
        "domains": {"in_domain": audio("keywords", 2 * total, "d")}
        | ({"out_of_domain": audio("keywords-phone", total, "e")} if outside else {}),
        "protocol": {
            "seed": 0, "draws": 10, "shots": list(SHOTS), "test_share": 0.5, "disjoint_by": "speaker",
            "train_items": total, "test_items": total, "compared_with": champion or "random weights",
        },
        "splits": {"test": ["t1", "t2"], "pool": ["p1", "p2"], "draws": [{"shots": 1, "draw": 0, "items": ["p1"]}]},
        "labels_saved": [
            {
                "layer": layer, "head": heads[0], "metric": metrics_of(task)[0],
                "full_score": (full := score_of(layer, layers, ALL, heads[0])), "target": 0.95 * full, "shots": 10,
                "labels": 10.0 * size, "labels_full": float(total), "status": "ok", "cause": None,
            }
            for layer in range(layers)
        ],
        "layer_choice": {"pilot_best": layers - 2, "rank_best": layers - 1, "head": heads[0], "shots": "all"},
        "confusions": [
            {"layer": layers - 2, "domain": "in_domain", "head": heads[0], "shots": "all", "matrix": matrix}
        ],
    }  # fmt: skip


def _rows(
    *,
    task: str,
    layers: int,
    control: bool,
    champion: str | None,
    heads: Sequence[str],
    classes: Sequence[str],
    unknown_layers: Sequence[int],
    unknown_shots: Sequence[object],
    outside: bool,
    interval: bool,
) -> list[Document]:
    rows = []
    for metric in metrics_of(task):
        error = metric in {"per", "eer_cosine", "eer_probe"}
        for domain in ("in_domain", "out_of_domain", "drop") if outside else ("in_domain",):
            for head in heads:
                for shots in SHOTS:
                    for layer in (*range(layers), *(("weighted_sum", "pilot_best") if head == "ridge" else ())):
                        row = {"task": task, "domain": domain, "layer": layer, "head": head}
                        row |= {"shots": shots, "metric": metric}
                        rows.append(
                            row | _unknown()
                            if layer in unknown_layers or shots in unknown_shots
                            else row | _known(row, layers, control, champion, len(classes), error, interval)
                        )
    return rows


def _known(
    row: Document, layers: int, control: bool, champion: str | None, classes: int, error: bool, interval: bool
) -> Document:
    per_class = ALL if row["shots"] == "all" else row["shots"]
    layer = {"weighted_sum": layers - 2, "pilot_best": layers - 2}.get(row["layer"], row["layer"])
    inside = score_of(layer, layers, per_class, row["head"])
    beyond = score_of(layer, layers, per_class, row["head"], "out_of_domain")
    half = 0.03 + 0.1 / math.sqrt(per_class)
    chance, logmel, random = (
        1 / classes,
        0.25 + 0.045 * math.sqrt(per_class),
        1 / classes + 0.015 * math.sqrt(per_class),
    )
    if row["domain"] == "drop":
        bounds = {"low": inside - beyond - half, "high": inside - beyond + half} if interval else {}
        absent = dict.fromkeys(("low", "high", "worst_group", "worst_group_name", "chance", "logmel", "random"))
        absent |= dict.fromkeys((*DELTAS, "resolvable"))
        sizes = {"se": half / 2, "n": 480, "groups": 24, "labels": float(per_class * classes)}
        return absent | {"score": inside - beyond} | bounds | sizes | {"status": "ok", "cause": None}
    score = inside if row["domain"] == "in_domain" else beyond
    if error:
        score, logmel, random, chance = 1 - score, 1 - logmel, 1 - random, 0.5
    reference = score - 0.012 if champion else random
    return {
        "score": score,
        "low": max(score - half, 0.0) if interval else None,
        "high": min(score + half, 1.0) if interval else None,
        "se": half / 2 if interval else None,
        "n": 480,
        "groups": 12,
        "worst_group": score - 0.17,
        "worst_group_name": "spk_0417_female",
        "chance": chance,
        "logmel": logmel,
        "random": random if control else None,
        **_delta("delta", score - reference if control or champion else None, half, interval),
        **_delta("delta_random", score - random if control else None, half, interval),
        **_delta("delta_logmel", score - logmel, half, interval),
        "resolvable": 0.061,
        "labels": float(per_class * classes),
        "status": "ok",
        "cause": None,
    }


def _delta(name: str, value: float | None, half: float, interval: bool) -> Document:
    if value is None:
        return dict.fromkeys((name, f"{name}_low", f"{name}_high", f"{name}_paired"))
    low, high = (value - half, value + half) if interval else (None, None)
    return {name: value, f"{name}_low": low, f"{name}_high": high, f"{name}_paired": True}


def _unknown() -> Document:
    absent = (
        "score", "low", "high", "se", "worst_group", "worst_group_name", "chance", "logmel", "random", *DELTAS,
        "resolvable", "labels",
    )  # fmt: skip
    return dict.fromkeys(absent) | {"n": 480, "groups": 12, "status": "unknown", "cause": CAUSE}
