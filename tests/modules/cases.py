"""Hypothesis strategies of policies and cases, from sensible to absurd."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import evidence
from evidence import ANN, BOB, CHAMPION, EVE, LAB, MODEL, NOW, OWNER
from hypothesis import strategies as st

from mlflow_rank.evidence.statement import ALARMS, MEASUREMENT, PILOT
from mlflow_rank.policy import Champion, NoChampion, UnknownChampion
from mlflow_rank.policy.outcomes import Cause

# policies

FREE = {kind: rule for kind, rule in evidence.RULES.items() if kind != "pilot_at_most"}  # of the keyword task


@st.composite
def policies(draw: Any, kinds: tuple[str, ...] = tuple(FREE)) -> Any:
    """A policy of some rules, combined somehow, that never passes without its pilot rule."""
    chosen = draw(st.lists(st.sampled_from(kinds), unique=True, max_size=6))
    rules = [evidence.PILOT_RULE]
    for kind in chosen:
        changed = (
            {"no_champion": draw(st.sampled_from(["pass", "fail"]))} if "no_champion" in evidence.RULES[kind] else {}
        )
        rules.append(evidence.rule(kind, **changed))
    names = [rule["id"] for rule in rules[1:]]
    cut = draw(st.integers(0, len(names)))
    decide: Any = {"all": ["pilot", *names[:cut]]}
    if names[cut:]:
        decide["all"].append({"any": names[cut:]})
    modes = st.sampled_from(["audit", "warn", "enforce"])
    approvals = {"count": draw(st.integers(0, 2))}
    name = draw(st.sampled_from(["one", "two", "three"]))
    waivable = [rule["id"] for rule in rules if not rule["kind"].startswith(("pilot", "worst", "domain"))]
    return evidence.policy(
        *draw(st.permutations(rules)), decide=decide, mode=draw(modes), approvals=approvals, metadata={"name": name},
        waivers={"rules": waivable} if waivable else None,
    )  # fmt: skip


# evidence that says anything

numbers = st.one_of(st.none(), st.floats(-1e15, 1e15), st.sampled_from([0.0, -0.0, 1.0, 1e-300, 1e15, -1e15, 5e-324]))
shares = st.one_of(st.none(), st.floats(-2, 2))
counts = st.one_of(st.none(), st.integers(0, 2**40))
rank_rows = st.fixed_dictionaries(
    {
        "layer": st.integers(0, 3), "level": st.sampled_from(["frame", "utterance", "odd"]), "centred": st.booleans(),
        "metric": st.sampled_from(["effective_rank", "participation_ratio", "mean_norm_ratio", "unheard_of"]),
        "value": numbers, "corrected": numbers, "low": numbers, "high": numbers, "n": st.integers(0, 2**40),
        "dim": st.integers(0, 2**20), "status": st.sampled_from(["ok", "uncorrected", "unknown"]),
        "cause": st.one_of(st.none(), st.text("é\n<|\x1b", max_size=4)),
    }
)  # fmt: skip
deltas = [f"delta{who}{end}" for who in ("", "_random", "_logmel") for end in ("", "_low", "_high")]
pilot_rows = st.fixed_dictionaries(
    {
        "task": st.just("keyword"), "domain": st.sampled_from(["in_domain", "out_of_domain", "drop"]),
        "layer": st.sampled_from([0, 1, "pilot_best"]), "head": st.just("ridge"), "shots": st.just("all"),
        "metric": st.just("balanced_accuracy"), "score": shares, "low": shares, "high": shares, "n": counts,
        "groups": counts, "worst_group": shares, "chance": shares, "status": st.sampled_from(["ok", "unknown"]),
        "cause": st.none(),
    }
    | dict.fromkeys(deltas, shares)
    | {f"delta{who}_paired": st.sampled_from([None, True, False]) for who in ("", "_random", "_logmel")}
)  # fmt: skip
models = st.fixed_dictionaries(
    {"dtype": st.sampled_from(["float32", "float16"]), "layers_asked": st.sampled_from(["all", "last", "0-1", "h.*"])}
)
measurements = st.fixed_dictionaries(
    {
        "kind": st.just("RankMeasurement"), "model": models,
        "audio": st.fixed_dictionaries({
            "corpus_digest": st.sampled_from([None, evidence.CORPUS]), "minutes": st.floats(-1e15, 1e15),
            "utterances": st.integers(-5, 2**40), "speakers": st.integers(-5, 2**40),
        }),
        "protocol": st.sampled_from([{"preset": "robust"}, {}, {"preset": 7, "epsilon": {"rankme": [1]}}]),
        "ranks": st.lists(
            rank_rows, max_size=12, unique_by=lambda r: (r["layer"], r["level"], r["centred"], r["metric"])
        ),
    }
)  # fmt: skip
pilots = st.fixed_dictionaries(
    {
        "kind": st.just("PilotResult"), "model": models,
        "tasks": st.lists(st.fixed_dictionaries({
            "task": st.sampled_from(["keyword", "speaker"]), "domains": st.sampled_from([{}, {"in_domain": {}}]),
            "layer_choice": st.sampled_from([None, {"pilot_best": 1}, {"pilot_best": 77}]),
        }), max_size=2),
        "rows": st.lists(pilot_rows, max_size=9, unique_by=lambda r: (r["domain"], r["layer"])),
    }
)  # fmt: skip
said = st.one_of(
    st.tuples(st.just(MEASUREMENT), measurements.map(lambda each: {"document": each})),
    st.tuples(
        st.just(PILOT),
        st.tuples(pilots, st.sampled_from([None, CHAMPION, evidence.digest("another")])).map(
            lambda each: {"document": each[0], "against": each[1] and {"spec": "it", "files": each[1]}}
        ),
    ),
    st.tuples(
        st.just(ALARMS),
        st.lists(st.sampled_from(["open", "closed"]), max_size=2).map(
            lambda states: {"monitor": "m", "alarms": [{"id": "1", "state": each, "alarm": "a"} for each in states]}
        ),
    ),
)
times = st.one_of(
    st.just(NOW - evidence.DAY),
    st.sampled_from([NOW, datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)]),
    st.datetimes(timezones=st.just(UTC)),
)
people = st.lists(st.sampled_from([LAB, ANN, BOB, EVE, OWNER]), max_size=2, unique=True)
wrong = st.sampled_from(
    [cause.value for cause in Cause if cause.value in ("unsigned", "bad_signature") or cause.value.startswith("key_")]
)
problems = st.one_of(st.none(), st.lists(st.tuples(wrong, st.just("why")), min_size=1, max_size=2))
subjects = st.lists(st.sampled_from([MODEL, CHAMPION, evidence.digest("another")]), min_size=1, max_size=2, unique=True)


@st.composite
def statements(draw: Any) -> Any:
    """A statement of any kind that says anything, signed by anybody, or nothing that could be read."""
    if draw(st.integers(0, 9)) == 0:
        return evidence.unreadable(draw(st.sampled_from("ab")))
    kind, predicate = draw(said)
    return evidence.presented(
        kind, predicate, subjects=tuple(draw(subjects)), signers=draw(people), problems=draw(problems),
        made_at=draw(times),
    )  # fmt: skip


good = st.sampled_from(evidence.evidence())
champions = st.one_of(
    st.sampled_from([NoChampion(), UnknownChampion(), Champion(CHAMPION), evidence.champion_of()]),
    st.lists(statements(), max_size=2).map(lambda each: Champion(CHAMPION, None, tuple(each))),
)


@st.composite
def cases(draw: Any, asked: Any) -> Any:
    """A case with any evidence, and with words about it by people who may or may not have a say."""
    about = evidence.case(
        *draw(st.lists(st.one_of(good, statements()), min_size=1, max_size=5)),
        champion=draw(champions),
        requester=draw(st.sampled_from([None, "req", "ann"])),
        checked=draw(st.booleans()),
    )
    words = st.sampled_from(["approve", "approve", "reject"])
    approvals = [
        evidence.approval(
            policy, about, *draw(people), verdict=draw(words), made_at=draw(times), expires_at=draw(times)
        )
        for policy in asked
        for _ in range(draw(st.integers(0, 2)))
    ]
    waivers = [
        evidence.waiver(policy, draw(st.sampled_from([rule.id for rule in policy.rules])), *draw(people))
        for policy in asked
        for _ in range(draw(st.integers(0, 1)))
    ]
    return evidence.case(
        *about.evidence, champion=about.champion, requester=about.request.requester,
        checked=about.request.candidate.checked, approvals=approvals, waivers=waivers,
    )  # fmt: skip
