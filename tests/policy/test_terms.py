"""What a policy says besides its rules: who may do what; and that what is not written changes no digest."""

from __future__ import annotations

from pathlib import Path

import evidence
import pytest
from evidence import policy, policy_text
from exemptions import exemption

from mlflow_rank.errors import UsageError
from mlflow_rank.policy import load_policy

SHIPPED = {  # of commit 3bfc933, when a policy had none of these fields
    "early-warning": "sha256:ca5de8ac73ffbc420882c81a1b4bfc95a8ddc6ff37b4d82db0235686522c0e3e",
    "short-sounds": "sha256:890e0484666d8f591c3b5f77c1b43767402228458da257cb10daa39c00f9b1c2",
    "speech-encoder": "sha256:7062475d7076507b55fc9576dd30458dde9bb4c8d4381f614dff420b386f5ef4",
    "starter": "sha256:eb5a2c00c08b8de56c6e4ee9348ca3352400423ba6d31d7a0c72ab2e2820fc0d",
}
FOLDER = Path(__file__).parents[2] / "policies"
PLAIN = policy(approvals={"count": 1})


@pytest.mark.parametrize("name", SHIPPED)
def test_what_is_not_written_changes_no_digest(name):
    assert load_policy((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"), named=name).digest == SHIPPED[name]


@pytest.mark.parametrize(
    "written",
    [
        {"approvals": {"count": 1, "not_by": ["evidence_signer", "requester"]}},
        {"approvals": {"count": 1, "witnessed": False}},
        {"rollback": {"signed_by": ["reviewer", "owner"]}},
        {"on_contrary_evidence": "flag"},
    ],
)
def test_nor_does_what_would_be_meant_without_it(written):
    assert policy(**({"approvals": {"count": 1}} | written)).digest == PLAIN.digest


@pytest.mark.parametrize(
    "written",
    [
        {"approvals": {"count": 1, "not_by": ["requester"]}},
        {"approvals": {"count": 1, "not_by": []}},
        {"approvals": {"count": 1, "witnessed": True}},
        {"rollback": {"signed_by": ["owner"]}},
        {"on_contrary_evidence": "demote"},
        {"break_glass": {}},
        {"metadata": {"author": "ann"}},
    ],
)
def test_what_means_something_else_has_another_digest(written):
    assert policy(**({"approvals": {"count": 1}} | written)).digest != PLAIN.digest


def test_the_author_of_an_exemption_is_part_of_its_digest_only_where_it_is_named():
    anonymous, authored = exemption("horn-*"), exemption("horn-*", metadata={"name": "not-speech", "author": "ann"})

    assert "author" not in anonymous.document()["metadata"]
    assert authored.document()["metadata"]["author"] == "ann"


def test_the_order_of_names_makes_no_difference():
    one = {"signed_by": ["emergency", "owner"], "reviewed_by": ["owner", "reviewer"]}
    other = {name: roles[::-1] for name, roles in one.items()}

    assert policy(break_glass=one).digest == policy(break_glass=other).digest
    assert policy(rollback={"signed_by": ["gate", "owner"]}).digest == (
        policy(rollback={"signed_by": ["owner", "gate"]}).digest
    )


def test_an_emergency_has_a_role_of_its_own_a_day_and_a_review_unless_it_is_written_otherwise():
    assert policy().break_glass is None
    assert policy(break_glass={}).break_glass.model_dump() == {
        "signed_by": ("emergency",), "max_duration": "24h", "review_within": "3d", "reviewed_by": ("owner", "reviewer"),
    }  # fmt: skip


@pytest.mark.parametrize("longest", ["7d", "168h", "1w"])
def test_an_emergency_may_last_a_week(longest):
    assert policy(break_glass={"max_duration": longest}).break_glass.max_duration == longest


EMERGENCY = "break_glass.max_duration: emergencies are short: 7d at most, not "
MISFITS = [
    ({"approvals": {"count": 1, "not_by": ["policy_author"]}},
     "approvals.not_by: names policy_author, but metadata.author does not say who that is"),
    ({"approvals": {"count": 1, "not_by": ["requester", "requester"]}}, "approvals.not_by: names one twice"),
    ({"approvals": {"count": 1, "not_by": ["owner"]}}, "approvals.not_by[0]: Input should be 'requester', "),
    ({"approvals": {"count": 1, "witnessed": 1}}, "approvals.witnessed: Input should be a valid boolean"),
    ({"metadata": {"author": "an\u200bn"}}, "metadata.author: must be printable"),
    ({"metadata": {"author": "\u3000"}}, "metadata.author: must be printable"),
    ({"metadata": {"author": ""}}, "metadata.author: String should have at least 1 character"),
    ({"break_glass": {"max_duration": "8d"}}, f"{EMERGENCY}8d"),
    ({"break_glass": {"max_duration": "169h"}}, f"{EMERGENCY}169h"),
    ({"break_glass": {"signed_by": []}}, "break_glass.signed_by: "),
    ({"rollback": {"signed_by": ["anybody"]}}, "rollback.signed_by[0]: "),
    ({"on_contrary_evidence": "delete"}, "on_contrary_evidence: Input should be 'flag' or 'demote'"),
    ({"promote": "automatic", "mode": "warn"},
     "promote: automatic needs mode: enforce; in mode warn a denial would stop nothing"),
    ({"promote": "automatic", "mode": "audit"}, "promote: automatic needs mode: enforce"),
]  # fmt: skip


@pytest.mark.parametrize(("parts", "said"), MISFITS)
def test_what_makes_no_sense_is_refused_where_it_stands(parts, said):
    with pytest.raises(UsageError) as caught:
        load_policy(policy_text(**parts), named="p.yaml")

    assert any(line.partition(": ")[2].startswith(said) for line in str(caught.value).splitlines()), str(caught.value)


@pytest.mark.parametrize(
    "parts",
    [
        {"approvals": {"count": 2, "not_by": []}},
        {"metadata": {"author": "ann@lab"}, "approvals": {"count": 1, "not_by": ["policy_author"]}},
        {"promote": "manual", "on_contrary_evidence": "demote"},
        {"promote": "automatic", "mode": "enforce"},
    ],
)
def test_what_makes_sense_loads(parts):
    assert policy(**parts).kind == "PromotionPolicy"


def test_a_watch_policy_and_an_exemption_have_authors_and_nothing_else_of_this():
    watch = evidence.policy_text(evidence.rule("no_open_alarm"), kind="WatchPolicy", metadata={"author": "a\u200b"})

    with pytest.raises(UsageError, match=r"metadata\.author: must be printable"):
        load_policy(watch, named="w.yaml")
    with pytest.raises(UsageError, match=r"rollback: there is no such field"):
        load_policy(
            evidence.policy_text(evidence.rule("no_open_alarm"), kind="WatchPolicy", rollback={}), named="w.yaml"
        )
    with pytest.raises(UsageError, match=r"metadata\.author: must be printable"):
        exemption("horn-*", metadata={"name": "not-speech", "author": "a\u200b"})
