"""The findings of the study as the README's tables."""

from __future__ import annotations

from collections.abc import Sequence

from mlflow_rank.monitoring.alarm import KINDS
from recipes.pretraining.fault_findings import Fall, Finding
from recipes.pretraining.piloting import Pilot

_NONE = "—"


def fault_rows(findings: Sequence[Finding]) -> list[str]:
    """Return one line per fault: when each kind of alarm was raised, when the pilot fell, and what was missed."""
    names = [kind.replace("_", " ") for kind in KINDS]
    columns = [
        "fault (objective)", "after step", *names, "points to the first alarm",
        "keywords, best layer: before → lowest after", "fell clearly at step",
        "keywords, last layer: before → lowest after", "fell clearly at step", "missed",
    ]  # fmt: skip
    lines = [_line(columns), "|" + "---|" * len(columns)]
    for each in findings:
        if each.is_healthy:
            continue
        raised = [
            [str(alarm["raised_step"]) for alarm in each.alarms if alarm["alarm"] == kind] or [_NONE] for kind in KINDS
        ]
        falls = [text for fall in (each.best, each.last) for text in (_fall(fall), str(fall.fell_at or _NONE))]
        cells = [_name(each), str(each.onset), *(steps[0] for steps in raised), str(each.delay or _NONE), *falls]
        lines.append(_line([*cells, each.missed or "nothing"]))
    return lines


def healthy_rows(findings: Sequence[Finding]) -> list[str]:
    """Return one line per healthy run: how many points it had, and how many alarms, all of them false."""
    columns = ["healthy run", "points", "false alarms", "keywords, best layer", "keywords, last layer"]
    lines = [_line(columns), "|" + "---|" * len(columns)]
    for each in findings:
        if each.is_healthy:
            false = len(each.alarms) + len(each.false_alarms)
            falls = [_fall(each.best), _fall(each.last)]
            lines.append(_line([f"{_objective(each)}, seed {each.seed}", str(each.points), str(false), *falls]))
    return lines


def _name(finding: Finding) -> str:
    seed = f", seed {finding.seed}" if finding.seed else ""
    return f"`{finding.fault}` ({_objective(finding)}{seed})"


def _objective(finding: Finding) -> str:
    return finding.objective.replace("_", "-")


def _fall(fall: Fall) -> str:
    after = "NaN" if fall.lowest is None else _percent(fall.lowest)
    return f"{_percent(fall.before)} → {after} (step {fall.lowest_step})"


def _percent(pilot: Pilot) -> str:
    return f"{100 * pilot.score:.0f} % [{100 * pilot.low:.0f}, {100 * pilot.high:.0f}]"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
