"""Reading a policy, reading signed evidence, and deciding: 50 rules over an encoder of 48 layers."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.interleaved import interleaved, whole
from benchmarks.table import Limit, Row
from mlflow_rank.evidence import presented
from mlflow_rank.evidence.envelope import Envelope
from mlflow_rank.evidence.file_manifest import file_manifest
from mlflow_rank.evidence.keys import PrivateKey
from mlflow_rank.evidence.presented import present
from mlflow_rank.evidence.testimony import measurement_statement, pilot_statement
from mlflow_rank.evidence.trust import TrustStore, read_trust
from mlflow_rank.policy import Candidate, Case, NoChampion, PromotionPolicy, Request, decide, load_policy
from mlflow_rank.policy.vocabulary import CENTRINGS, LEVELS_OF

DIGEST = f"sha256:{'a' * 64}"
NOW = datetime(2026, 1, 2, tzinfo=UTC)
DIM = 1280  # of encoders with 48 layers, such as HuBERT X-Large
TASKS = (("keyword", "balanced_accuracy"), ("phone", "balanced_frame_accuracy"), ("speaker", "balanced_accuracy"))


def run(folder: Path, *, quick: bool) -> list[Row]:
    """Return the times, in rounds taken in turn."""
    layers, rounds = (6, 3) if quick else (48, 21)
    text = policy_text(50)
    policy = load_policy(text, named="fifty.yaml")
    if not isinstance(policy, PromotionPolicy):
        raise TypeError("a promotion policy was expected")
    key = PrivateKey.from_seed(b"0" * 32)
    trust = trusting(key)
    envelopes = [
        Envelope(statement.to_bytes()).signed_by(key).to_json()
        for statement in (
            measurement_statement(measurement(layers), now=NOW),
            pilot_statement(pilot(layers), now=NOW),
        )
    ]
    evidence = tuple(present(each, trust=trust) for each in envelopes)
    request = Request("encoder", "1", "alias:champion", Candidate(DIGEST, checked=True))
    case = Case(request, evidence, NoChampion())
    decided = decide([policy], case, NOW)
    if decided.verdict != "approve":
        raise RuntimeError(decided.sentence)
    times = interleaved(
        {
            "load": whole(lambda: load_policy(text, named="fifty.yaml")),
            "decide": whole(lambda: decide([policy], case, NOW)),
            "bytes": whole(decided.to_bytes),
            "read": whole(lambda: _read_anew(envelopes, trust)),
        },
        rounds=rounds,
    )
    size = sum(len(each) for each in envelopes) / 1e6
    what = f"50 rules, {layers} layers"
    milliseconds = {name: tuple(1e3 * each for each in seconds) for name, seconds in times.seconds.items()}
    return [
        Row("loading a policy", milliseconds["load"], "ms", Limit("≤", 50), f"{what}, {len(text.splitlines())} lines"),
        Row("deciding", milliseconds["decide"], "ms", Limit("≤", 5), f"{what}; evidence read before"),
        Row("a decision as canonical JSON", milliseconds["bytes"], "ms", None, what),
        Row(
            "reading and verifying evidence", milliseconds["read"], "ms", None, f"measurement and pilot, {size:.1f} MB"
        ),
        Row("importing mlflow_rank.policy", tuple(_imports(3)), "ms", None, "a fresh process, less Python's own start"),
        Row(
            "hashing a model's files",
            tuple(_hashed(folder, quick)),
            "MB/s",
            None,
            "one file of 400 MB, in the page cache",
        ),
    ]


def _read_anew(envelopes: Sequence[bytes], trust: TrustStore) -> None:
    presented._read.cache_clear()  # as a gate reads what it has not read lately
    for each in envelopes:
        present(each, trust=trust)


def policy_text(rules: int) -> str:
    """Return a policy of so many rules, most of them about every layer."""
    lines = list(_rules(rules))
    return "\n".join(
        [
            "apiVersion: mlflow-rank/v1",
            "kind: PromotionPolicy",
            "metadata: {name: fifty, revision: 1, owners: [bench]}",
            'match: {models: ["*"], targets: any}',
            "mode: enforce",
            "evidence: {max_age: 30d}",
            "rules:",
            *lines,
            "",
        ]
    )


def _rules(count: int) -> Iterator[str]:
    metrics = [name for name in CENTRINGS if "frame" in LEVELS_OF.get(name, ("frame",))]
    for number in range(count - 10):
        metric = metrics[number % len(metrics)]
        centred = str(CENTRINGS[metric][0]).lower()
        yield f"  - id: rank-{number}"
        yield "    kind: rank_at_least"
        yield f"    metric: {metric}"
        yield "    level: frame"
        yield f"    centred: {centred}"
        yield "    layers: all"
        yield "    bound: ci_lower"
        yield f"    value: 0.{number + 1:03d}"
    for number in range(10):
        task, metric = TASKS[number % len(TASKS)]
        yield f"  - id: pilot-{number}"
        yield "    kind: pilot_at_least"
        yield f"    task: {task}"
        yield f"    metric: {metric}"
        yield "    layers: all"
        yield "    bound: ci_lower"
        yield f"    value: 0.{40 + number}"


def measurement(layers: int) -> dict[str, object]:
    """Return a measurement with every metric at every level of so many layers, as the preset `robust` has it."""
    rows = [
        {
            "layer": layer, "name": f"hidden_states.{layer}", "level": level, "centred": centred, "metric": metric,
            "value": 0.9, "corrected": 0.91, "se": 0.01, "low": 0.88, "high": 0.93, "n": 180_000,
            "n_utterances": 1_113, "n_speakers": 32, "n_effective": 9_000.0, "dim": DIM, "status": "ok", "cause": None,
        }
        for layer in range(layers)
        for metric, centrings in CENTRINGS.items()
        for level in LEVELS_OF.get(metric, ("frame", "utterance", "utterance_sum"))
        for centred in centrings
    ]  # fmt: skip
    return {
        "kind": "RankMeasurement",
        "model": _model(),
        "audio": {"corpus_digest": DIGEST, "minutes": 60.0, "utterances": 1_113, "speakers": 32},
        "protocol": {"preset": "robust", "levels": ["frame"], "frame_stride": 1, "dtype": "float32"},
        "skipped": [],
        "ranks": rows,
    }


def pilot(layers: int) -> dict[str, object]:
    """Return a pilot of three tasks with two heads and five numbers of labels."""
    rows = [
        {
            "task": task, "domain": domain, "layer": layer, "head": head, "shots": shots, "metric": metric,
            "score": 0.8, "low": 0.7, "high": 0.9, "se": 0.04, "n": 480, "groups": 8, "worst_group": 0.6,
            "worst_group_name": "ann", "chance": 0.05, "logmel": 0.4, "random": 0.4, "delta": 0.4, "delta_low": 0.3,
            "delta_high": 0.5, "delta_paired": True, "resolvable": 0.2, "labels": 480.0, "status": "ok", "cause": None,
        }
        for task, metric in TASKS
        for domain in ("in_domain", "out_of_domain")
        for layer in (*range(layers), "weighted_sum", "pilot_best")
        for head in ("ridge", "centroid")
        for shots in (1, 5, 10, 20, "all")
    ]  # fmt: skip
    domains = {"in_domain": {"corpus_digest": DIGEST}, "out_of_domain": {"corpus_digest": DIGEST}}
    tasks = [{"task": task, "domains": domains, "layer_choice": {"pilot_best": 3}} for task, _ in TASKS]
    return {"kind": "PilotResult", "model": _model(), "against": None, "tasks": tasks, "skipped": [], "rows": rows}


def trusting(key: PrivateKey) -> TrustStore:
    """Return a trust file in which the key measures."""
    return read_trust(
        "apiVersion: mlflow-rank/v1\nkind: TrustStore\nkeys:\n"
        f"  - key: {key.public.text}\n    service: bench\n    roles: [measurer]\n",
        named="trust.yaml",
    )


def _model() -> dict[str, object]:
    return {"spec": "encoder", "digest": DIGEST, "files_digest": DIGEST, "dtype": "float32", "layers_asked": "all"}


def _imports(rounds: int) -> Iterator[float]:
    for _ in range(rounds):
        seconds = []
        for code in ("import mlflow_rank.policy", "pass"):
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603 -- our own words
            seconds.append(time.perf_counter() - start)
        yield 1e3 * (seconds[0] - seconds[1])


def _hashed(folder: Path, quick: bool) -> Iterator[float]:
    directory = folder / "model"
    directory.mkdir(exist_ok=True)
    size = 4_000_000 if quick else 400_000_000
    (directory / "model.safetensors").write_bytes(bytes(size))
    for _ in range(3):
        start = time.perf_counter()
        file_manifest(directory)
        yield size / 1e6 / (time.perf_counter() - start)
