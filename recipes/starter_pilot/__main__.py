"""Pilot the starter encoder, and a spoilt copy of it, on all tasks of the starter corpus; print the README's tables.

    python -m recipes.starter_pilot [--output DIRECTORY]

One command, fixed seeds. Nothing is tuned on what it prints: tasks, shots, draws, heads and pooling are the defaults of
`mlflow-rank pilot`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from mlflow_rank.encoders.specs import STARTER
from mlflow_rank.workflow import PilotRequest, RankRequest, Setting, as_json, assess, pilot
from recipes.starter_pilot.spoilt import write_spoilt

SETS = {"phone": "phones", "keyword": "keywords", "speaker": "speakers", "label:kind": None}


class Lines:
    """Progress as lines on stderr."""

    def say(self, text: str) -> None:
        """Say what happens next."""
        click.echo(text, err=True)

    def say_once(self, text: str) -> None:
        """Say nothing that is said again and again."""

    def begin(self, title: str, total: float) -> None:
        """Say which stretch of work begins."""
        self.say(f"{title} …")

    def advance(self, amount: float) -> None:
        """Count nothing."""


def requests(against: str | None = None) -> list[PilotRequest]:
    """Return a pilot of every task, with the defaults."""
    return [
        PilotRequest(
            task,
            f"starter:in_domain/{name}" if name else "starter:sounds",
            f"starter:out_of_domain/{name}" if name else None,
            against=against,
        )
        for task, name in SETS.items()
    ]


@click.command()
@click.option("--output", type=click.Path(path_type=Path), default=Path("build/starter_pilot"), show_default=True)
def main(output: Path) -> None:
    """Pilot the starter encoder and a spoilt copy of it on all tasks of the starter corpus."""
    output.mkdir(parents=True, exist_ok=True)
    assessment = assess(Setting(control=True, workers=None), RankRequest(), requests(), Lines())
    (output / "starter.json").write_text(as_json(assessment.pilot), encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        spoilt = Path(folder) / "starter_spoilt"
        write_spoilt(STARTER, spoilt)
        setting = Setting(model=str(spoilt), control=False, workers=None)
        beside = pilot(setting, requests(against="starter"), Lines())
    (output / "spoilt.json").write_text(as_json(beside), encoding="utf-8")
    click.echo(
        "\n".join([*beside_controls(assessment.pilot), "", *choices(assessment.pilot), "", *spoilt_rows(beside)])
    )


def beside_controls(document: Mapping[str, Any]) -> list[str]:
    """Return the table of every task: the layer that the pilot chose, with all labels, beside its references."""
    columns = (
        "task, metric",
        "domain",
        "layer chosen by the pilot",
        "random weights",
        "difference",
        "log-mel",
        "chance",
    )
    lines = [f"| {' | '.join(columns)} | layers better than random weights |", "|---|---|---|---|---|---|---|---|"]
    for task in document["tasks"]:
        for domain in ("in_domain", "out_of_domain"):
            row = _row(document, task, domain, "pilot_best")
            if row is None:
                continue
            layers = [each for each in _layers(document, task, domain) if each["delta_low"] > 0]
            lines.append(
                f"| {task['task']}, {row['metric'].replace('_', ' ')} | {domain.replace('_', ' ')} | {_interval(row)} "
                f"| {_percent(row['random'])} | {_delta(row)} | {_percent(row['logmel'])} | {_percent(row['chance'])} "
                f"| {len(layers)} of {len(_layers(document, task, domain))} |"
            )
    return lines


def choices(document: Mapping[str, Any]) -> list[str]:
    """Return the table of the layer of highest rank beside the one that the pilot chose, per task."""
    lines = ["| task | highest rank | its score | chosen by the pilot | its score |", "|---|---|---|---|---|"]
    for task in document["tasks"]:
        choice = task["layer_choice"]
        scores = {row["layer"]: row for row in _layers(document, task, "in_domain")}
        lines.append(
            f"| {task['task']} | layer {choice['rank_best']} | {_interval(scores[choice['rank_best']])} "
            f"| layer {choice['pilot_best']} | {_interval(scores[choice['pilot_best']])} |"
        )
    return lines


def spoilt_rows(document: Mapping[str, Any]) -> list[str]:
    """Return the table of the spoilt encoder beside the starter encoder."""
    lines = ["| task | weights shuffled inside each tensor | minus the starter encoder |", "|---|---|---|"]
    for task in document["tasks"]:
        row = _row(document, task, "in_domain", "pilot_best")
        if row is not None:
            lines.append(f"| {task['task']} | {_interval(row)} | {_delta(row)} |")
    return lines


def _row(document: Mapping[str, Any], task: Mapping[str, Any], domain: str, layer: object) -> Mapping[str, Any] | None:
    head, metric = next(iter(task["heads"])), task["metrics"][0]
    names = (task["task"], domain, layer, head, "all", metric)
    for row in document["rows"]:
        if (row["task"], row["domain"], row["layer"], row["head"], row["shots"], row["metric"]) == names:
            return row if row["status"] == "ok" else None
    return None


def _layers(document: Mapping[str, Any], task: Mapping[str, Any], domain: str) -> Sequence[Mapping[str, Any]]:
    indices = [layer["index"] for layer in document["model"]["layers"]]
    return [row for index in indices if (row := _row(document, task, domain, index)) is not None]


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f} %"


def _interval(row: Mapping[str, Any]) -> str:
    return f"{_percent(row['score'])} [{100 * row['low']:.1f}, {100 * row['high']:.1f}]"


def _delta(row: Mapping[str, Any]) -> str:
    return f"{100 * row['delta']:+.1f} [{100 * row['delta_low']:+.1f}, {100 * row['delta_high']:+.1f}]"


if __name__ == "__main__":
    main()
