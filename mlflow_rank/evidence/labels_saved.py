"""At which number of labels a layer is nearly as good as with all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

NEARLY = 0.95  # of the full-label score


def labels_saved(rows: Sequence[Mapping[str, Any]], *, metric: str) -> list[dict[str, object]]:
    """Return, for every layer and head, the fewest labels tried that reach 95 % of the score with the most labels.

    Read from the in-domain rows of `metric`, for which higher is better; only numbers of shots that were tried count,
    nothing is interpolated.
    """
    curves: dict[tuple[object, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        if row["metric"] == metric and row["domain"] == "in_domain":
            curves.setdefault((row["layer"], row["head"]), []).append(row)
    return [_saved(layer, head, metric, curve) for (layer, head), curve in curves.items()]


def _saved(layer: object, head: str, metric: str, curve: Sequence[Mapping[str, Any]]) -> dict[str, object]:
    known = sorted((row for row in curve if row["score"] is not None), key=lambda row: float(row["labels"]))
    found: dict[str, object] = {"layer": layer, "head": head, "metric": metric}
    nothing = dict.fromkeys(("full_score", "target", "shots", "labels", "labels_full"))
    if len(known) < 2:
        cause = "fewer than two numbers of labels have a score"
        return found | nothing | {"status": "unknown", "cause": cause}
    full = known[-1]
    target = NEARLY * full["score"]
    first = next(row for row in known if row["score"] >= target)
    return found | {
        "full_score": full["score"],
        "target": target,
        "shots": first["shots"],
        "labels": first["labels"],
        "labels_full": full["labels"],
        "status": "ok",
        "cause": None,
    }
