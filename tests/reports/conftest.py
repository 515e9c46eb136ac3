"""A measurement with one unknown layer and one that could not be corrected, at each level."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from evidence import ANN, CHAMPION, DAY, LAB, NOW, alarms, approval, case, measured, piloted, waiver

from mlflow_rank.evidence.presented import Presented
from mlflow_rank.policy import (
    Approve,
    Case,
    Champion,
    Deny,
    NoChampion,
    PromotionPolicy,
    Watched,
    WatchPolicy,
    decide,
    load_policy,
    watch,
)

Document = dict[str, Any]
DIM = 100
CAUSE = "60 rows for 100 dimensions: about 4 more minutes of audio are needed"


def _row(level: str, layer: int, centred: bool, scale: float) -> Document:
    value = scale * (40.0 + 5 * layer) * (1.0 if centred else 0.5)
    row: Document = {"layer": layer, "name": f"hidden_states.{layer}", "level": level, "centred": centred}
    row |= {"metric": "effective_rank", "value": value - 2, "corrected": value, "low": value - 3, "high": value + 3}
    row |= {"n": 9000 if level == "frame" else 450, "dim": DIM, "status": "ok", "cause": None}
    if (level, layer) == ("utterance", 1):
        row |= {"corrected": None, "status": "uncorrected", "cause": "N/D below 4"}
    if (level, layer) == ("utterance", 2):
        row |= dict.fromkeys(("value", "corrected", "low", "high")) | {"status": "unknown", "cause": CAUSE, "n": 60}
    return row


def _measurement(*, spec: str = "lab/hubert-small", scale: float = 1.0) -> Document:
    return {
        "kind": "RankMeasurement",
        "model": {
            "spec": spec,
            "family": "hubert",
            "parameters": 1_735_199,
            "dtype": "float32",
            "layers_asked": "all",
        },
        "audio": {
            "source": "/data/dev",
            "minutes": 12.0,
            "utterances": 450,
            "speakers": 1,
            "left_out": {"too_long": 3},
        },
        "protocol": {"preset": "robust"},
        "skipped": [
            {"key": "a", "cause": "silent"},
            {"key": "b", "cause": "too_short"},
            {"key": "c", "cause": "silent"},
        ],
        "ranks": [
            _row(level, layer, centred, scale)
            for level in ("frame", "utterance")
            for centred in (True, False)
            for layer in range(4)
        ],
    }


@pytest.fixture
def make_document() -> Callable[..., Document]:
    return _measurement


@pytest.fixture(scope="session")
def make_pilot() -> Callable[..., Document]:
    """Make a pilot document: see tests/modules/pilots.py for what it can be asked."""
    spec = importlib.util.spec_from_file_location("pilots", Path(__file__).parents[1] / "modules" / "pilots.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    make: Callable[..., Document] = module.pilot
    return make


# decisions: real ones, on the documents above

POLICY = """\
apiVersion: mlflow-rank/v1
kind: PromotionPolicy
metadata: {name: speech-encoder, revision: 3, owners: [speech-team]}
match: {models: ["*"], targets: ["alias:champion"]}
mode: enforce
evidence: {max_age: 30d}
rules:
  - {id: alarms-closed, kind: no_open_alarm}
  - {id: audio-enough, kind: measurement_size_at_least, utterances: 400}
  - {id: evidence-fresh, kind: evidence_age_at_most, of: pilot, age: 14d, severity: warn}
  - {id: keyword-above-log-mel, kind: pilot_above_log_mel, task: keyword, metric: balanced_accuracy,
     layers: pilot_best, bound: ci_lower, by: 0.05, why: Log-mel features cost nothing.}
  - {id: keyword-above-random-weights, kind: pilot_above_control, task: keyword, metric: balanced_accuracy,
     layers: pilot_best, bound: ci_lower, by: 0.2}
  - {id: keyword-domain-drop, kind: domain_drop_at_most, task: keyword, metric: balanced_accuracy,
     layers: pilot_best, bound: ci_upper, value: 0.25}
  - {id: keyword-floor, kind: pilot_at_least, task: keyword, metric: balanced_accuracy, layers: pilot_best,
     bound: ci_lower, value: FLOOR, why: Below this the product's wake word is missed too often.}
  - {id: keyword-not-worse, kind: pilot_not_worse, task: keyword, metric: balanced_accuracy, layers: pilot_best,
     bound: ci_lower, margin: 0.08, no_champion: pass}
  - {id: keyword-worst-speaker, kind: worst_group_at_least, task: keyword, metric: balanced_accuracy,
     layers: pilot_best, value: 0.6}
  - {id: pilot-in-float32, kind: dtype_float32, of: pilot}
  - {id: pilot-size, kind: pilot_size_at_least, task: keyword, items: 250}
  - {id: rank-not-collapsed, kind: rank_at_least, metric: effective_rank, level: frame, layers: all, centred: true,
     bound: corrected, value: RANK}
  - {id: utterance-rank, kind: rank_at_least, metric: effective_rank, level: utterance, layers: [3], centred: true,
     bound: ci_lower, value: 60, severity: warn}
approvals: {count: 1}
waivers: {rules: [rank-not-collapsed]}
"""
WATCH = """\
apiVersion: mlflow-rank/v1
kind: WatchPolicy
metadata: {name: early-warning, revision: 1, owners: [speech-team]}
match: {models: ["*"], targets: any}
evidence: {max_age: 30d}
rules:
  - {id: alarms-closed, kind: no_open_alarm}
  - {id: mean-share, kind: centring_disagreement, metric: effective_rank, level: frame, layers: all, bound: point,
     at_most: RATIO}
  - {id: rank-not-collapsed, kind: rank_at_least, metric: effective_rank, level: frame, layers: all, centred: true,
     bound: ci_lower, value: 0.2, unit: share_of_dim}
"""


@dataclass(frozen=True)
class Decisions:
    """Makes decisions: everything passes and is approved but for what is asked to be otherwise."""

    pilot: Callable[..., Document]
    measurement: Callable[..., Document]

    def evidence(self, *, champion: bool = True, signed: bool = True, group: str = "spk_0417") -> list[Presented]:
        """A measurement, a pilot with its worst test group, and alarms."""
        how: dict[str, Any] = {"made_at": NOW - 2 * DAY, "signers": (LAB,) if signed else ()}
        document = self.pilot(champion="models:/encoder@champion" if champion else None)
        for row in document["rows"]:
            row["worst_group_name"] = group
        return [
            alarms(**how), measured(self.measurement(), **how),
            piloted(document, against=CHAMPION if champion else None, **how),
        ]  # fmt: skip

    def case(self, *evidence: Presented, champion: bool = True, **options: Any) -> Case:
        """A request for version 7 with evidence."""
        held = Champion(CHAMPION, "5") if champion else NoChampion()
        return case(*(evidence or self.evidence(champion=champion)), champion=held, requester="dana", **options)

    def policy(
        self, text: str = POLICY, *, floor: float = 0.8, rank: float = 30.0, mode: str = "enforce"
    ) -> PromotionPolicy:
        """The policy above, with other bounds, or in another mode."""
        text = text.replace("FLOOR", str(floor)).replace("RANK", str(rank)).replace("mode: enforce", f"mode: {mode}")
        policy = load_policy(text, named="policies/speech-encoder.yaml")
        assert isinstance(policy, PromotionPolicy)
        return policy

    def made(
        self, *policies: PromotionPolicy, about: Case | None = None, approved: bool = True, waived: bool = False
    ) -> Approve | Deny:
        """Decide under the policies, the one above where none is given."""
        policies = policies or (self.policy(),)
        about = about or self.case()
        given = [approval(each, about, ANN) for each in policies] if approved else []
        waivers = [waiver(each, "rank-not-collapsed") for each in policies] if waived else []
        return decide(policies, replace(about, approvals=(*about.approvals, *given), waivers=tuple(waivers)), NOW)

    def denied(self) -> Deny:
        """Two rules fail, one of them by a hair's breadth, and nobody has approved."""
        decision = self.made(self.policy(floor=0.85, rank=41.0), approved=False)
        assert isinstance(decision, Deny)
        return decision

    def undecided(self) -> Deny:
        """There is a pilot and nothing else: four rules are unknown for the same two reasons."""
        only_pilot = [each for each in self.evidence() if each.kind == "pilot"]
        decision = self.made(about=self.case(*only_pilot, checked=False))
        assert isinstance(decision, Deny)
        return decision

    def watched(self, *evidence: Presented, ratio: float = 3.0) -> Watched:
        """What the watch policy above says."""
        policy = load_policy(WATCH.replace("RATIO", str(ratio)), named="policies/early-warning.yaml")
        assert isinstance(policy, WatchPolicy)
        return watch(policy, self.case(*evidence), NOW)


@pytest.fixture(scope="session")
def decisions(make_pilot: Callable[..., Document]) -> Decisions:
    return Decisions(make_pilot, _measurement)
