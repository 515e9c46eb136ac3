"""What rules read of a statement: exactly what was written, or a refusal that names the field."""

from __future__ import annotations

import contextlib
import copy
import json
from datetime import UTC, datetime

import cases
import evidence
import hypothesis
import pytest
from evidence import MODEL, NOW, digest, measurement, pilot
from hypothesis import strategies as st

from mlflow_rank.errors import EvidenceError
from mlflow_rank.evidence.canonical import canonical_json
from mlflow_rank.evidence.contents import Alarms, Approval, Waiver, contents_of, made_at_of
from mlflow_rank.evidence.measured import Measurement
from mlflow_rank.evidence.pilot_rows import NUMBERS
from mlflow_rank.evidence.piloted import Pilot, PilotRow
from mlflow_rank.evidence.statement import ALARMS, APPROVAL, DECISION, MEASUREMENT, PILOT, WAIVER, Statement, Subject

AT = "2026-11-25T12:00:00Z"
GOOD = {
    MEASUREMENT: {"made_at": AT, "document": measurement()},
    PILOT: {"made_at": AT, "against": {"spec": "it", "files": digest("x")}, "document": pilot(heads=("ridge",))},
    ALARMS: {"made_at": AT, "monitor": "run-7", "alarms": [{"id": "1", "state": "open", "alarm": "divergence"}]},
    APPROVAL: {
        "made_at": AT,
        "expires_at": AT,
        "verdict": "approve",
        "comment": "",
        "model": "m",
        "target": "alias:a",
        "policies": [digest("p")],
        "evidence": digest("e"),
    },
    WAIVER: {"made_at": AT, "expires_at": AT, "policy": digest("p"), "rule": "r", "reason": "why", "ticket": "T-1"},
}
TYPES = {MEASUREMENT: Measurement, PILOT: Pilot, ALARMS: Alarms, APPROVAL: Approval, WAIVER: Waiver}


def read(kind, predicate):
    return contents_of(Statement((Subject("m", MODEL),), kind, predicate), named="it")


def changed(kind, *path, to):
    """The good predicate with one part of it replaced; `...` leaves it out."""
    predicate = copy.deepcopy(GOOD[kind])
    part = predicate
    for step in path[:-1]:
        part = part[step]
    if to is ...:
        del part[path[-1]]
    else:
        part[path[-1]] = to
    return predicate


@pytest.mark.parametrize("kind", GOOD)
def test_what_was_written_is_read(kind):
    content = read(kind, GOOD[kind])

    assert isinstance(content, TYPES[kind])
    assert content.made_at == datetime(2026, 11, 25, 12, tzinfo=UTC)


@pytest.mark.parametrize("kind", GOOD)
def test_what_a_newer_tool_says_besides_is_passed_over(kind):
    assert read(kind, GOOD[kind] | {"more": {"of": "it"}}) == read(kind, GOOD[kind])


def test_a_statement_of_another_kind_says_nothing_to_rules():
    assert read(DECISION, {"made_at": AT}) is None
    assert read("urn:someone-else", {}) is None


@pytest.mark.parametrize(
    ("kind", "path", "to", "said"),
    [
        (MEASUREMENT, ("document", "kind"), "PilotResult", "document.kind: "),
        (MEASUREMENT, ("document", "ranks", 3, "value"), "8.5", "document.ranks.3.value: "),
        (MEASUREMENT, ("document", "ranks", 3, "value"), True, "document.ranks.3.value: "),
        (MEASUREMENT, ("document", "ranks", 3, "value"), 1.1e15, "document.ranks.3.value: "),
        (MEASUREMENT, ("document", "ranks", 3, "low"), -1.1e15, "document.ranks.3.low: "),
        (MEASUREMENT, ("document", "ranks", 3, "low"), ..., "document.ranks.3.low: Field required"),
        (MEASUREMENT, ("document", "ranks", 3, "layer"), -1, "document.ranks.3.layer: "),
        (MEASUREMENT, ("document", "ranks", 3, "layer"), 1.5, "document.ranks.3.layer: "),
        (MEASUREMENT, ("document", "ranks", 3, "n"), -1, "document.ranks.3.n: "),
        (MEASUREMENT, ("document", "ranks", 3, "status"), "fine", "document.ranks.3.status: "),
        (MEASUREMENT, ("document", "ranks", 3, "centred"), "yes", "document.ranks.3.centred: "),
        (MEASUREMENT, ("document", "ranks"), {}, "document.ranks: "),
        (MEASUREMENT, ("document", "audio", "minutes"), ..., "document.audio.minutes: Field required"),
        (MEASUREMENT, ("document", "audio", "corpus_digest"), "sha256:AB", "document.audio.corpus_digest: "),
        (MEASUREMENT, ("document", "model", "dtype"), None, "document.model.dtype: "),
        (MEASUREMENT, ("made_at",), ..., "made_at: Field required"),
        (PILOT, ("document", "kind"), "RankMeasurement", "document.kind: "),
        (PILOT, ("document", "rows", 0, "score"), "0.9", "document.rows.0.score: "),
        (PILOT, ("document", "rows", 0, "chance"), ..., "document.rows.0.chance: Field required"),
        (PILOT, ("document", "rows", 0, "layer"), "rank_best", "document.rows.0.layer"),
        (PILOT, ("document", "rows", 0, "shots"), "many", "document.rows.0.shots"),
        (PILOT, ("document", "rows", 0, "domain"), "elsewhere", "document.rows.0.domain: "),
        (PILOT, ("document", "rows", 0, "delta_paired"), 1, "document.rows.0.delta_paired: "),
        (
            PILOT,
            ("document", "tasks", 0, "layer_choice"),
            {"pilot_best": "3"},
            "document.tasks.0.layer_choice.pilot_best",
        ),
        (PILOT, ("against", "files"), "md5:1", "against.files: "),
        (ALARMS, ("alarms", 0, "state"), "ajar", "alarms.0.state: "),
        (ALARMS, ("monitor",), ..., "monitor: Field required"),
        (APPROVAL, ("verdict",), "approved", "verdict: "),
        (APPROVAL, ("policies",), ["p"], "policies.0: "),
        (APPROVAL, ("evidence",), ..., "evidence: Field required"),
        (WAIVER, ("reason",), "", "reason: "),
        (WAIVER, ("ticket",), "", "ticket: "),
        (WAIVER, ("policy",), "p", "policy: "),
    ],
)
def test_what_does_not_fit_is_refused_with_its_field(kind, path, to, said):
    with pytest.raises(
        EvidenceError, match=f"it does not say what a {TYPES[kind].__name__.lower()} must say"
    ) as caught:
        read(kind, changed(kind, *path, to=to))

    assert caught.value.got.startswith(said)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize(
    ("kind", "path"), [(MEASUREMENT, ("document", "ranks", 0, "value")), (PILOT, ("document", "rows", 0, "low"))]
)
def test_what_is_no_finite_number_is_refused(kind, path, number):
    with pytest.raises(EvidenceError):
        read(kind, changed(kind, *path, to=number))


@pytest.mark.parametrize("kind", [MEASUREMENT, PILOT])
def test_a_number_that_is_claimed_twice_is_refused(kind):
    rows = "ranks" if kind == MEASUREMENT else "rows"
    predicate = copy.deepcopy(GOOD[kind])
    predicate["document"][rows].append(predicate["document"][rows][0] | {"low": 0.0})

    with pytest.raises(EvidenceError, match="two rows claim the same number"):
        read(kind, predicate)


def test_rows_are_found_by_what_they_are_of():
    content = read(MEASUREMENT, GOOD[MEASUREMENT])
    row = content.column("effective_rank", "frame", True).rows[1]

    assert (row.layer, row.metric, row.level, row.centred) == (1, "effective_rank", "frame", True)
    assert sum(len(column.rows) for column in content.columns.values()) == len(GOOD[MEASUREMENT]["document"]["ranks"])
    assert content.layers == {0, 1, 2}
    found = read(PILOT, GOOD[PILOT])
    assert found.rows["keyword", "in_domain", "balanced_accuracy", "ridge", "all"]["pilot_best"].layer == "pilot_best"
    assert found.layers == {"keyword": {0, 1, 2}}
    assert found.tasks["keyword"].layer_choice.pilot_best == 1


def test_every_number_of_a_pilot_row_that_rules_ask_for_is_one_that_is_written():
    names = {"task", "domain", "layer", "head", "shots", "metric", "status", "cause"}
    assert set(PilotRow.model_fields) - names <= set(NUMBERS)


@pytest.mark.parametrize(
    ("asked", "every", "last"),
    [
        ("all", True, True),
        ("last", False, True),
        ("0,3", False, False),
        ("1-4", False, False),
        ("3", False, False),
        ("0 - 2, -1", False, False),
        (r"encoder\.layers\.\d+", True, True),
    ],
)
def test_which_layers_were_left_out_is_told_by_what_was_asked(asked, every, last):
    model = read(MEASUREMENT, {"made_at": AT, "document": measurement(layers_asked=asked)}).document.model

    assert (model.has_every_layer, model.has_last_layer) == (every, last)


def test_the_convention_is_all_that_changes_a_number_and_nothing_else():
    def convention(**how):
        return read(MEASUREMENT, {"made_at": AT, "document": measurement(**how)}).convention

    assert convention() == convention(utterances=7, minutes=1.0, protocol={"preset_note": "another", "blocks": 9})
    for how in (
        {"corpus": digest("another")},
        {"preset": "rankme_t"},
        {"dtype": "float16"},
        {"protocol": {"frame_stride": 2}},
        {"protocol": {"channel": 1}},
        {"protocol": {"epsilon": {"rankme": 1e-6}}},
        {"protocol": {"block_unit": "utterance"}},
        {"protocol": {"sampling": {"utterances": 91, "seed": 0}}},
        {"protocol": {"sampling": {"utterances": 90, "seed": 1}}},
    ):
        assert convention(**how) != convention(), how


# times


@pytest.mark.parametrize(
    ("said", "at"),
    [
        ("2026-11-25T12:00:00Z", NOW),
        ("2026-11-25T12:00:00+00:00", NOW),
        ("2026-11-25T13:30:00+01:30", NOW),
        ("2026-11-25T12:00:00", None),
        ("2026-11-25", None),
        ("2026-11-31T12:00:00Z", None),
        ("yesterday", None),
        ("1764072000", None),
        (1764072001, None),
        (None, None),
        ("0001-01-01T00:00:00+14:00", None),  # before there is a time in UTC
        ("9999-12-31T23:59:59-14:00", None),
        (["2026-11-25T12:00:00Z"], None),
    ],
)
def test_a_time_is_read_with_its_zone_or_not_at_all(said, at):
    statement = Statement((Subject("m", MODEL),), ALARMS, {"made_at": said, "monitor": "m", "alarms": []})

    assert made_at_of(statement) == at
    if at is None:
        with pytest.raises(EvidenceError, match="alarms must say"):
            contents_of(statement, named="it")
    else:
        assert contents_of(statement, named="it").made_at == at


@pytest.mark.parametrize("kind", [APPROVAL, WAIVER])
@pytest.mark.parametrize("said", ["2026-11-25T12:00:00", "9999-12-31T23:59:59-14:00", 5, None])
def test_what_expires_says_when(kind, said):
    with pytest.raises(EvidenceError, match="must say"):
        read(kind, GOOD[kind] | {"expires_at": said})


# whatever comes


@hypothesis.settings(max_examples=50, suppress_health_check=list(hypothesis.HealthCheck))
@hypothesis.given(
    st.sampled_from(list(GOOD)),
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=3),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "made_at",
                        "document",
                        "kind",
                        "model",
                        "audio",
                        "ranks",
                        "rows",
                        "tasks",
                        "protocol",
                        "alarms",
                        "monitor",
                    ]
                ),
                inner,
                max_size=5,
            )
        ),
        max_leaves=12,
    ).filter(lambda each: isinstance(each, dict)),
)
def test_whatever_is_said_is_read_or_refused(kind, predicate):
    for said in (predicate, GOOD[kind] | predicate):
        content = None
        with contextlib.suppress(EvidenceError):  # and nothing else
            content = read(kind, said)
        assert content is None or isinstance(content, TYPES[kind])


@hypothesis.settings(max_examples=40, suppress_health_check=list(hypothesis.HealthCheck))
@hypothesis.given(cases.said)
def test_what_is_read_reads_the_same_again(said):
    kind, predicate = said
    whole = {"made_at": AT} | predicate

    assert read(kind, json.loads(canonical_json(whole))) == read(kind, whole)
    assert evidence.presented(kind, predicate).content == read(
        kind, {"made_at": (NOW - evidence.DAY).isoformat()} | predicate
    )
