"""Better evidence never turns yes into no: higher scores, more of what is good, one more approval."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import cases
import evidence
import hypothesis
from evidence import ANN, BOB, NOW, alarms, approval, case, measured, measurement, pilot, piloted
from hypothesis import strategies as st

from mlflow_rank.policy import decide
from mlflow_rank.policy.approvals import count_approvals
from mlflow_rank.policy.vocabulary import Excluded

LOOSE = hypothesis.settings(suppress_health_check=list(hypothesis.HealthCheck), max_examples=20)

# Which way is better, by the rules of `evidence.RULES`: each number is asked for in one direction only.
RISE = {
    "effective_rank": ("value", "corrected", "low", "high"),  # a floor, and at least so much of the champion's
}
FALL = {"mean_norm_ratio": ("value", "corrected", "low", "high")}
PILOT_RISE = (
    "score",
    "low",
    "high",
    "worst_group",
    "delta",
    "delta_low",
    "delta_high",
    "delta_random",
    "delta_random_low",
    "delta_random_high",
    "delta_logmel",
    "delta_logmel_low",
    "delta_logmel_high",
    "n",
    "groups",
)
MORE = ("utterances", "speakers", "minutes")


def quality(draw) -> dict:
    """How good evidence is, from hopeless to perfect."""
    share = st.floats(-1.0, 1.0)
    return {
        "rank": draw(share),
        "ratio": draw(share),
        "gap": draw(st.floats(0.0, 1.0)),
        "score": draw(share),
        "size": draw(st.integers(-80, 100)),
        "open": draw(st.booleans()),
        "age": draw(st.integers(0, 40)),
        "missing": draw(st.booleans()),
        "float32": draw(st.booleans()),
    }


def better(draw, than: dict) -> dict:
    """At least as good in every respect."""
    more = st.floats(0.0, 1.0)
    return {
        "rank": than["rank"] + draw(more),
        "ratio": than["ratio"] + draw(more),
        "gap": than["gap"] * draw(more),
        "score": than["score"] + draw(more),
        "size": than["size"] + draw(st.integers(0, 50)),
        "open": than["open"] and draw(st.booleans()),
        "age": draw(st.integers(0, than["age"])),
        "missing": than["missing"] and draw(st.booleans()),
        "float32": than["float32"] or draw(st.booleans()),
    }


def as_good_as(quality: dict):
    """Evidence of this quality, each number moved from the usual one to its good or its bad side."""

    def rank(row):
        if quality["missing"] and row["layer"] == 1:
            return (
                row | dict.fromkeys(("value", "corrected", "low", "high")) | {"status": "unknown", "cause": "few rows"}
            )
        if row["metric"] == "participation_ratio":
            return row | {"value": 4.0 + 4.0 * quality["gap"] * row["centred"]}
        by = 6.0 * quality["rank"] if row["metric"] in RISE else -0.3 * quality["ratio"]
        names = RISE.get(row["metric"], FALL.get(row["metric"], ()))
        return row | {name: row[name] + by for name in names}

    def scored(row):
        sign = -1.0 if row["domain"] == "drop" else 1.0
        moved = {
            name: row[name] + (quality["size"] if name in ("n", "groups") else 0.6 * quality["score"] * sign)
            for name in PILOT_RISE
            if row[name] is not None
        }
        least = -1.0 if row["domain"] == "drop" else 0.0

        def possible(name: str, number: float) -> float:  # a share stays a share, and somebody was tested
            if name in ("n", "groups"):
                return max(number, 1)
            return min(max(number, -1.0 if name.startswith("delta") else least), 1.0)

        return row | {name: possible(name, number) for name, number in moved.items()}

    made_at = NOW - quality["age"] * evidence.DAY
    document = measurement(
        change=rank,
        utterances=90 + quality["size"],
        speakers=max(8 + quality["size"], 0),
        minutes=3.5 + quality["size"] / 20,
        dtype="float32" if quality["float32"] else "bfloat16",
    )
    document["protocol"]["dtype"] = "float32"  # the convention is the champion's either way
    state = "open" if quality["open"] else "closed"
    return (
        measured(document, made_at=made_at),
        piloted(pilot(scored, heads=("ridge",)), made_at=made_at),
        alarms(state, made_at=made_at),
    )


@LOOSE
@hypothesis.given(st.data())
def test_better_numbers_never_turn_yes_into_no(data):
    asked = [
        data.draw(cases.policies()).model_copy(update={"approvals": evidence.policy().approvals}) for _ in range(2)
    ]
    worse = quality(data.draw)
    before = decide(asked, case(*as_good_as(worse)), NOW)

    after = decide(asked, case(*as_good_as(better(data.draw, worse))), NOW)

    assert not (before.verdict == "approve" and after.verdict == "deny"), after.sentence
    for (_, one), (_, other) in zip(before.findings, after.findings, strict=True):
        assert not (one.result == "pass" and other.result != "pass"), other.sentence


@LOOSE
@hypothesis.given(st.data())
def test_good_evidence_that_was_missing_never_turns_yes_into_no(data):
    asked = [data.draw(cases.policies()).model_copy(update={"approvals": evidence.policy().approvals})]
    there = data.draw(
        st.lists(st.sampled_from(evidence.evidence()), min_size=1, max_size=3, unique_by=lambda each: each.digest)
    )
    before = decide(asked, case(*there), NOW)

    after = decide(asked, case(*there, *MORE_OF_IT, *evidence.evidence()), NOW)

    assert not (before.verdict == "approve" and after.verdict == "deny"), after.sentence
    for (_, one), (_, other) in zip(before.findings, after.findings, strict=True):
        assert not (one.result == "pass" and other.result != "pass"), other.sentence


MORE_OF_IT = (
    measured(measurement(layers_asked="0-2"), made_at=NOW - evidence.HOUR),  # some of the layers
    measured(measurement(corpus=evidence.CORPUS, protocol={"frame_stride": 2})),  # under another convention
    measured(measurement(change=lambda row: row if row["level"] == "utterance" else None)),  # at another level
    piloted(pilot(tasks=("speaker",))),  # of another task
    piloted(pilot(outside=False, heads=("centroid",))),  # with another head
    piloted(against=None),  # without a champion
    alarms("closed", monitor="another"),
)


def test_what_is_added_there_is_good_and_leaves_something_open_by_itself():
    rules = [evidence.rule(kind) for kind in cases.FREE]
    [*_, ruling] = decide([evidence.policy(*rules)], case(*MORE_OF_IT, *evidence.evidence()), NOW).rulings
    alone = decide([evidence.policy(*rules)], case(*MORE_OF_IT), NOW).rulings[0]

    assert {each.result for each in ruling.findings} == {"pass"}
    assert "unknown" in {each.result for each in alone.findings}
    assert "fail" not in {each.result for each in alone.findings}


@LOOSE
@hypothesis.given(st.data())
def test_one_more_approval_never_turns_yes_into_no(data):
    asked = [data.draw(cases.policies())]
    about = data.draw(cases.cases(asked))
    before = decide(asked, about, NOW)

    by = data.draw(st.sampled_from([ANN, BOB, evidence.LAB, evidence.OWNER, evidence.signer("zoe", "reviewer")]))
    more = approval(asked[0], about, by, comment="more")
    after = decide(asked, replace(about, approvals=(*about.approvals, more)), NOW)

    assert not (before.verdict == "approve" and after.verdict == "deny"), after.sentence
    assert set(before.rulings[0].approvals.by) <= set(after.rulings[0].approvals.by)


@LOOSE
@hypothesis.given(st.data())
def test_one_more_approval_by_somebody_barred_counts_for_nothing(data):
    not_by = data.draw(st.lists(st.sampled_from(get_args(Excluded)), min_size=1, unique=True))
    involved = {"requester": "req", "evidence_signer": "dora", "policy_author": "cid"}
    terms = {"count": 2, "not_by": not_by, "witnessed": True}
    asked = [evidence.policy(metadata={"author": "cid"}, approvals=terms)]
    signed = measured(signers=(evidence.LAB, evidence.signer("dora", "measurer", key="ed25519:doras-other")))
    about = evidence.case(signed, piloted(), approvals=[])
    given = [approval(asked[0], about, each, comment=each.name) for each in data.draw(st.sets(st.sampled_from(WORDS)))]
    about = replace(about, approvals=tuple(given))
    name = involved[data.draw(st.sampled_from(not_by))]
    spelt = data.draw(st.sampled_from([name, name.upper(), name.title()]))
    more = data.draw(
        st.sampled_from(
            [
                approval(asked[0], about, evidence.signer(spelt, "reviewer"), comment="more"),
                approval(asked[0], about, evidence.GATE, witnessed=spelt),
                approval(asked[0], about, evidence.GATE, evidence.signer(spelt, "reviewer"), comment="more"),
            ]
        )
    )

    before, after = (count_approvals(asked[0], each, NOW) for each in (about, replace(about, approvals=(*given, more))))

    assert after.by == before.by


@LOOSE
@hypothesis.given(st.data())
def test_what_the_gate_witnessed_never_counts_where_the_policy_refuses_it(data):
    asked = [data.draw(cases.policies())]
    about = data.draw(cases.cases(asked))
    signers = data.draw(st.lists(st.sampled_from([evidence.GATE, ANN, BOB, evidence.LAB]), unique=True))
    name = data.draw(st.sampled_from(["ann", "cid", "zoe"]))
    more = approval(
        asked[0], about, *signers, witnessed=name, verdict=data.draw(st.sampled_from(["approve", "reject"]))
    )

    before, after = (
        decide(asked, each, NOW).rulings[0].approvals
        for each in (about, replace(about, approvals=(*about.approvals, more)))
    )

    assert (after.by, after.rejected_by) == (before.by, before.rejected_by)


@LOOSE
@hypothesis.given(st.data())
def test_a_key_that_ends_never_turns_no_into_yes(data):
    asked = [data.draw(cases.policies())]
    about = data.draw(cases.cases(asked))
    gone = data.draw(st.sets(st.sampled_from([ANN, BOB, evidence.EVE, evidence.OWNER, evidence.LAB]), min_size=1))

    def ended(statements):
        return tuple(
            replace(each, signers=tuple(replace(one, ended_at=NOW) if one in gone else one for one in each.signers))
            for each in statements
        )

    later = replace(
        about, evidence=ended(about.evidence), approvals=ended(about.approvals), waivers=ended(about.waivers)
    )
    before, after = decide(asked, about, NOW), decide(asked, later, NOW)

    assert not (before.verdict == "deny" and after.verdict == "approve"), after.sentence
    assert set(after.rulings[0].approvals.by) <= set(before.rulings[0].approvals.by)
    assert after.rulings[0].approvals.rejected_by == before.rulings[0].approvals.rejected_by


WORDS = (ANN, BOB, evidence.EVE)


@LOOSE
@hypothesis.given(st.data())
def test_one_more_waiver_never_turns_yes_into_no(data):
    asked = [data.draw(cases.policies())]
    about = data.draw(cases.cases(asked))
    more = evidence.waiver(asked[0], data.draw(st.sampled_from([rule.id for rule in asked[0].rules])))

    after = decide(asked, replace(about, waivers=(*about.waivers, more)), NOW)

    assert not (decide(asked, about, NOW).verdict == "approve" and after.verdict == "deny")
