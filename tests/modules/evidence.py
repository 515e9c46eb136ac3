"""Evidence, cases and policies for the tests of rules: documents as our tools write them, signed by whom a test says.

Nothing is signed here: whoever presents a statement says whose signatures hold. What it says is read as always.
"""

from __future__ import annotations

import copy
import functools
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pilots
import yaml

from mlflow_rank.evidence.canonical import digest_of_bytes
from mlflow_rank.evidence.contents import Content, contents_of
from mlflow_rank.evidence.presented import KINDS, UNREADABLE, Presented
from mlflow_rank.evidence.statement import ALARMS, APPROVAL, MEASUREMENT, PILOT, WAIVER, Statement, Subject
from mlflow_rank.evidence.trust import Signer
from mlflow_rank.policy import Candidate, Case, Champion, NoChampion, Request, load_policy

Document = dict[str, Any]
NOW = datetime(2026, 11, 25, 12, 0, 0, tzinfo=UTC)
DAY, HOUR, SECOND = timedelta(days=1), timedelta(hours=1), timedelta(seconds=1)


def digest(name: str) -> str:
    """A digest that differs with the name."""
    return "sha256:" + hashlib.sha256(name.encode()).hexdigest()


MODEL, CHAMPION, CORPUS = digest("the candidate's files"), digest("the champion's files"), f"sha256:{'c' * 64}"
LAYERS, DIM = 3, 16

# the metrics of a measurement: what a layer of 16 dimensions may well read, centred and not
METRICS = {
    "effective_rank": {True: 9.0, False: 8.0},
    "participation_ratio": {True: 6.0, False: 4.0},
    "rankme": {False: 8.1},
    "rankme_t": {False: 4.0},
    "isoscore": {True: 0.3},
    "total_variance": {True: 20.0},
    "mean_norm_ratio": {False: 0.4},
}
LEVELS = {"rankme": ("frame", "utterance"), "rankme_t": ("utterance_sum",)}


# who


def signer(
    name: str, *roles: str, key: str | None = None, person: bool = True, ended: datetime | None = None
) -> Signer:
    return Signer(key or f"ed25519:{name}", name, person, frozenset(roles), ended)


LAB = signer("svc:lab", "measurer", person=False)
ANN, BOB, EVE = signer("ann", "reviewer"), signer("bob", "reviewer"), signer("eve", "reviewer")
OWNER = signer("olga", "owner")
GATE = signer("svc:gate", "gate", person=False)


# what was measured and piloted


def measurement(
    *,
    layers: int = LAYERS,
    dim: int = DIM,
    preset: str = "robust",
    dtype: str = "float32",
    layers_asked: str = "all",
    corpus: str | None = CORPUS,
    utterances: int = 90,
    speakers: int = 8,
    minutes: float = 3.5,
    rows_per_dim: float = 60.0,
    protocol: Mapping[str, object] | None = None,
    change: Callable[[Document], Document | None] = lambda row: row,
) -> Document:
    """A measurement of every metric at every level; `change` may give each row other numbers, or leave it out."""
    rows: list[Document] = []
    for metric, centrings in METRICS.items():
        for level in LEVELS.get(metric, ("frame", "utterance", "utterance_sum")):
            for centred, number in centrings.items():
                half = 0.1 * number
                for layer in range(layers):
                    row = {
                        "layer": layer, "name": f"hidden_states.{layer}", "level": level, "centred": centred,
                        "metric": metric, "value": number, "corrected": number, "se": half / 2,
                        "low": number - half, "high": number + half, "n": int(rows_per_dim * dim),
                        "n_utterances": utterances, "n_speakers": speakers, "n_effective": 120.5, "dim": dim,
                        "status": "ok", "cause": None,
                    }  # fmt: skip
                    changed = change(row)
                    rows += [] if changed is None else [changed]
    return {
        "kind": "RankMeasurement",
        "model": {
            "spec": "lab/hubert-small", "family": "hubert", "digest": f"sha256:{'a' * 64}", "parameters": 12345,
            "dtype": dtype, "device": "cpu", "sampling_rate": 16000, "layers_asked": layers_asked,
        },
        "audio": {
            "source": "/data/speech/dev", "kind": "directory", "minutes": minutes, "utterances": utterances,
            "speakers": speakers, "left_out": {"over_budget": 7}, "corpus_digest": corpus,
        },
        "protocol": {
            "preset": preset, "preset_note": "as of today", "frame_stride": 1, "channel": None, "dtype": dtype,
            "blocks": 8, "block_unit": "speaker", "levels": ["frame", "utterance", "utterance_sum"],
            "intervals": True, "sampling": {"utterances": 90, "seed": 0}, "epsilon": {"rankme": 1e-7},
        } | dict(protocol or {}),
        "skipped": [{"key": "a/b.wav", "cause": "silent", "detail": "peak below -90 dBFS"}],
        "ranks": rows,
    }  # fmt: skip


def with_rows(
    where: Mapping[str, object], change: Mapping[str, object] | None
) -> Callable[[Document], Document | None]:
    """Return a `change` of the rows that have all of `where`; None leaves them out."""

    def changed(row: Document) -> Document | None:
        if any(row.get(name) != value for name, value in where.items()):
            return row
        return None if change is None else row | change

    return changed


_PILOTS: dict[str, Document] = {}


def pilot(
    change: Callable[[Document], Document | None] = lambda row: row, *, layers_asked: str = "all", **asked: Any
) -> Document:
    """A pilot as of `pilots.pilot`, of three layers; `change` may give each row other numbers, or leave it out."""
    asked = {"layers": LAYERS, "champion": "models:/encoder@champion"} | asked
    name = repr(sorted(asked.items()))
    if name not in _PILOTS:
        whole = pilots.pilot(**asked)
        whole["rows"] = [row for row in whole["rows"] if row["shots"] in (10, "all")]
        for task in whole["tasks"]:
            del task["confusions"], task["labels_saved"]  # which no rule reads
        _PILOTS[name] = whole
    document = {part: copy.deepcopy(value) for part, value in _PILOTS[name].items() if part != "rows"}
    rows = (change(dict(row)) for row in _PILOTS[name]["rows"])
    document["rows"] = [row for row in rows if row is not None]
    document["model"]["layers_asked"] = layers_asked
    return document


# statements of it


def presented(
    kind: str,
    predicate: Mapping[str, object],
    *,
    subjects: Sequence[str] = (MODEL,),
    signers: Iterable[Signer] = (LAB,),
    problems: Sequence[tuple[str, str]] | None = None,
    made_at: datetime = NOW - DAY,
) -> Presented:
    """A statement whose signatures were judged: those of `signers` hold. Without any it is unsigned, unless
    `problems` says otherwise."""
    said = {"made_at": made_at.isoformat()} | dict(predicate)
    held = tuple(signers)
    if problems is None:
        problems = () if held else (("unsigned", "nobody has signed this"),)
    name, content, statement = _said(kind, json.dumps(said, sort_keys=True), tuple(subjects))
    return Presented(name, KINDS[kind], frozenset(subjects), made_at, content, held, tuple(problems), statement)


@functools.lru_cache(maxsize=500)
def _said(kind: str, predicate: str, subjects: tuple[str, ...]) -> tuple[str, Content | None, Statement]:
    """What is read of a statement: the same each time, so that tests need not read it each time."""
    statement = Statement(tuple(Subject("model", each) for each in subjects), kind, json.loads(predicate))
    return digest_of_bytes(statement.to_bytes()), contents_of(statement, named="it"), statement


def unreadable(name: str = "junk") -> Presented:
    return Presented(digest(name), UNREADABLE, problems=((UNREADABLE, "it is no JSON that we accept"),))


def measured(document: Document | None = None, **how: Any) -> Presented:
    return presented(MEASUREMENT, {"document": measurement() if document is None else document}, **how)


def piloted(document: Document | None = None, *, against: str | None = CHAMPION, **how: Any) -> Presented:
    """A pilot that was compared with the champion of these files; None: with nobody."""
    named = None if against is None else {"spec": "models:/encoder@champion", "files": against}
    said = {"against": named, "document": pilot() if document is None else document}
    return presented(PILOT, said, **how)


def alarms(*states: str, monitor: str = "run-7", **how: Any) -> Presented:
    """What a monitor says: an alarm in each of the states."""
    listed = [
        {"id": f"{number}", "state": state, "alarm": "dimensional_collapse", "since_step": 100, "message": "narrow"}
        for number, state in enumerate(states)
    ]
    return presented(ALARMS, {"monitor": monitor, "alarms": listed}, **how)


@functools.cache
def evidence() -> tuple[Presented, ...]:
    """A measurement, a pilot and a quiet monitor, all of them good."""
    return measured(), piloted(), alarms()


def champion_of(*statements: Presented) -> Champion:
    """The champion, measured as the candidate was unless told otherwise."""
    return Champion(CHAMPION, "6", statements or _champions())


@functools.cache
def _champions() -> tuple[Presented, ...]:
    return (measured(subjects=(CHAMPION,)),)


def case(
    *statements: Presented,
    model: str = "encoder",
    target: str = "alias:champion",
    files: str = MODEL,
    checked: bool = True,
    requester: str | None = "req",
    champion: Any = None,
    approvals: Sequence[Presented] = (),
    waivers: Sequence[Presented] = (),
) -> Case:
    """A request to promote version 7 of `encoder`, with a champion, on good evidence or on what is given."""
    return Case(
        Request(model, "7", target, Candidate(files, checked), requester),
        statements or evidence(),
        champion_of() if champion is None else champion,
        tuple(approvals),
        tuple(waivers),
    )


def first(*statements: Presented, **how: Any) -> Case:
    """A request where nothing was ever promoted."""
    return case(*statements, champion=NoChampion(), **how)


def approval(
    policy: Any,
    about: Case,
    *signers: Signer,
    verdict: str = "approve",
    made_at: datetime = NOW - HOUR,
    expires_at: datetime = NOW + DAY,
    subjects: Sequence[str] = (MODEL,),
    **said: Any,
) -> Presented:
    """A person's word for this very promotion; `said` replaces parts of it."""
    predicate = {
        "expires_at": expires_at.isoformat(), "verdict": verdict, "comment": "", "model": about.request.model,
        "target": about.request.target, "policies": [policy.digest], "evidence": about.evidence_digest,
    }  # fmt: skip
    return presented(APPROVAL, predicate | said, subjects=subjects, signers=signers, made_at=made_at)


def waiver(
    policy: Any,
    rule: str,
    *signers: Signer,
    made_at: datetime = NOW - HOUR,
    expires_at: datetime = NOW + DAY,
    subjects: Sequence[str] = (MODEL,),
    **said: Any,
) -> Presented:
    """A rule put aside for the candidate; `said` replaces parts of it."""
    predicate = {
        "expires_at": expires_at.isoformat(), "policy": policy.digest, "rule": rule, "reason": "a known fault",
        "ticket": "SSL-12",
    }  # fmt: skip
    return presented(WAIVER, predicate | said, subjects=subjects, signers=signers or (OWNER,), made_at=made_at)


# policies

RULES: Mapping[str, Document] = {
    "rank_at_least": {
        "metric": "effective_rank", "level": "frame", "layers": "all", "centred": True, "bound": "ci_lower",
        "value": 5.0,
    },
    "rank_at_most": {
        "metric": "mean_norm_ratio", "level": "frame", "layers": "all", "centred": False, "bound": "ci_upper",
        "value": 0.6,
    },
    "rank_within_envelope": {
        "metric": "effective_rank", "level": "frame", "layers": "all", "centred": True, "bound": "ci_lower",
        "at_least": 0.5, "no_champion": "fail",
    },
    "centring_disagreement": {
        "metric": "participation_ratio", "level": "frame", "layers": "all", "bound": "point", "at_most": 2.0,
    },
    "no_open_alarm": {},
    "pilot_at_least": {
        "task": "keyword", "metric": "balanced_accuracy", "layers": "pilot_best", "bound": "ci_lower", "value": 0.5,
    },
    "pilot_at_most": {
        "task": "speaker", "metric": "eer_probe", "layers": "pilot_best", "bound": "ci_upper", "value": 0.45,
    },
    "pilot_not_worse": {
        "task": "keyword", "metric": "balanced_accuracy", "layers": "pilot_best", "bound": "ci_lower", "margin": 0.1,
        "no_champion": "fail",
    },
    "pilot_above_control": {
        "task": "keyword", "metric": "balanced_accuracy", "layers": "pilot_best", "bound": "ci_lower", "by": 0.2,
    },
    "pilot_above_log_mel": {
        "task": "keyword", "metric": "balanced_accuracy", "layers": "pilot_best", "bound": "ci_lower", "by": 0.1,
    },
    "domain_drop_at_most": {
        "task": "keyword", "metric": "balanced_accuracy", "layers": "pilot_best", "bound": "ci_upper", "value": 0.3,
    },
    "worst_group_at_least": {
        "task": "keyword", "metric": "balanced_accuracy", "layers": "pilot_best", "value": 0.4,
    },
    "pilot_size_at_least": {"task": "keyword", "items": 400, "groups": 10},
    "measurement_size_at_least": {
        "utterances": 50, "speakers": 5, "minutes": 2.0, "rows_per_dim": 4.0, "level": "frame",
    },
    "evidence_age_at_most": {"of": "measurement", "age": "7d"},
    "corpus_allowed": {"of": "measurement", "digests": [CORPUS]},
    "dtype_float32": {"of": "measurement"},
    "model_digest_equals": {"digest": MODEL},
}  # fmt: skip
"""A rule of every kind, each of which passes on `evidence()` of keywords (and of speakers)."""

WATCHED = (
    "rank_at_least", "rank_at_most", "rank_within_envelope", "centring_disagreement", "no_open_alarm",
    "measurement_size_at_least", "evidence_age_at_most", "corpus_allowed", "dtype_float32", "model_digest_equals",
)  # fmt: skip


def rule(kind: str, name: str | None = None, **changed: Any) -> Document:
    """A rule of a kind, named after it; a field that is changed to None is left out."""
    whole = {"id": name or kind.replace("_", "-"), "kind": kind} | dict(RULES[kind]) | changed
    return {field: value for field, value in whole.items() if value is not None}


PILOT_RULE = rule("pilot_at_least", "pilot")


def policy_document(*rules: Document, kind: str = "PromotionPolicy", **parts: Any) -> Document:
    """A policy of these rules; a part that is given as None is left out, and a dictionary adds to what stands there."""
    document: Document = {
        "apiVersion": "mlflow-rank/v1",
        "kind": kind,
        "metadata": {"name": "speech-encoder", "revision": 1, "owners": ["speech@lab"]},
        "match": {"models": ["*"], "targets": "any"},
        "evidence": {"max_age": "30d"},
        "rules": list(rules or (PILOT_RULE,)),
    }
    if kind == "PromotionPolicy":
        document["mode"] = "enforce"
    for name, part in parts.items():
        held = document.get(name)
        document[name] = held | part if isinstance(held, dict) and isinstance(part, dict) else part
    return {name: part for name, part in document.items() if part is not None}


def policy_text(*rules: Document, **parts: Any) -> str:
    """The policy as a person would write it."""
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    return yaml.dump(policy_document(*rules, **parts), Dumper=dumper, sort_keys=False, allow_unicode=True, width=120)


def policy(*rules: Document, **parts: Any) -> Any:
    """The policy, loaded."""
    return _loaded(policy_text(*rules, **parts))


@functools.lru_cache(maxsize=500)
def _loaded(text: str) -> Any:
    return load_policy(text, named="policy.yaml")
