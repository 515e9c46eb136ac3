"""How an organisation measures: policies, the tool's defaults, and what evidence at hand says instead of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import MISSING, asdict, fields
from pathlib import Path

from mlflow_rank.errors import UsageError
from mlflow_rank.policy.load import Policy
from mlflow_rank.policy.model import PromotionPolicy, WatchPolicy
from mlflow_rank.probes.tasks import parse_task
from mlflow_rank.registry.runs.measured_rank import section
from mlflow_rank.reports.studies.protocol.statement import Practice, ProtocolStatement, state
from mlflow_rank.spectra.convention import PRESETS
from mlflow_rank.spectra.metrics import METRICS
from mlflow_rank.speech.sampling import Sampling
from mlflow_rank.studies.conventions import Conventions, Setting
from mlflow_rank.workflow.piloting import PilotRequest
from mlflow_rank.workflow.policies import read_policies
from mlflow_rank.workflow.studies.document_files import read_part
from mlflow_rank.workflow.studies.gathering.measured_conventions import conventions_of

_OF_REQUEST = ("draws", "seed", "test_share", "pooling")


def protocol(
    policies: Sequence[Path], *, measurement: Path | None = None, pilot: Path | None = None
) -> ProtocolStatement:
    """Return the statement; the same files give the same one.

    Raises:
        UsageError: no policy, one that cannot be used, two presets, or evidence that is none.
    """
    read = [each.policy for each in read_policies(policies)]
    asking = [each for each in read if isinstance(each, PromotionPolicy | WatchPolicy)]
    if not asking:
        raise UsageError(
            "there is no policy to state", got=f"{len(read)} exemptions", expected="a policy", remedy="--policy FILE"
        )
    measured = None if measurement is None else read_part(measurement, "RankMeasurement")
    piloted = None if pilot is None else read_part(pilot, "PilotResult")
    read_from = conventions_of(measured, piloted).settings
    preset = _preset(asking, read_from.get("rank.preset"))
    settings: dict[str, Setting] = {} if measured is not None else _rank_defaults(preset)
    tasks = {name.split(".")[1] for name in read_from if name.startswith("pilot.")}
    for task in sorted(_tasks(asking)):
        if task not in tasks:
            settings |= _pilot_defaults(task)
    audio = None if measured is None else section(measured, "audio")
    return state(_each_once(read), Practice(Conventions({**settings, **read_from}), audio))


def _each_once(policies: Sequence[Policy]) -> list[Policy]:
    return list({each.digest: each for each in policies}.values())


def _preset(policies: Sequence[PromotionPolicy | WatchPolicy], measured: Setting) -> str:
    """Return the one preset that all of them mean.

    Raises:
        UsageError: they mean two, or the measurement has another.
    """
    presets = {each.evidence.preset: each.metadata.name for each in policies}
    if len(presets) > 1:
        raise UsageError(
            "these policies measure in different ways",
            got=", ".join(f"{name} has preset {preset}" for preset, name in sorted(presets.items())),
            expected="one preset",
            remedy="state each in a protocol of its own",
        )
    (preset,) = presets
    if measured is not None and measured != preset:
        raise UsageError(
            "the measurement was not made as the policy asks",
            got=f"preset {measured}",
            expected=f"preset {preset}, as {presets[preset]} has it",
        )
    return preset


def _tasks(policies: Sequence[PromotionPolicy | WatchPolicy]) -> set[str]:
    """Return the tasks that rules ask to be piloted."""
    tasks: set[str] = set()
    for policy in policies:
        for rule in policy.rules:
            task = getattr(rule, "task", None)
            if isinstance(task, str) and (rule.kind.startswith(("pilot", "domain_drop", "worst_group"))):
                tasks.add(task.replace(".", "_"))
    return tasks


def _rank_defaults(preset: str) -> dict[str, Setting]:
    """Return the settings of a measurement of which nobody says otherwise."""
    sampling = {name: value for name, value in asdict(Sampling()).items() if name not in ("frame_stride", "blocks")}
    epsilons = {name: METRICS[name].epsilon for name in METRICS if METRICS[name].epsilon is not None}
    return {
        "rank.preset": preset,
        "rank.levels": ",".join(PRESETS[preset].levels),
        "rank.frame_stride": Sampling().frame_stride,
        "rank.channel": "mix",
        "rank.dtype": "float32",
        "rank.blocks": Sampling().blocks,
        "rank.intervals": True,
        **{f"rank.sampling.{name}": value for name, value in sampling.items()},
        **{f"rank.epsilon.{name}": value for name, value in epsilons.items()},
    }


def _pilot_defaults(task: str) -> dict[str, Setting]:
    """Return the settings of a pilot of which nobody says otherwise."""
    defaults = {each.name: each.default for each in fields(PilotRequest) if each.default is not MISSING}
    about = parse_task(task)
    by = {"group": "speaker"}.get(str(about.disjoint_by), str(about.disjoint_by))
    return {
        f"pilot.{task}.metric": about.metrics[0],
        f"pilot.{task}.head": defaults["heads"][0],
        f"pilot.{task}.shots": "all",
        f"pilot.{task}.disjoint_by": by,
        **{f"pilot.{task}.{name}": defaults[name] for name in _OF_REQUEST},
    }
