"""The protocol is one page, the same for the same input, and says what the policy and the evidence say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import evidence
import pytest
from evidence import rule
from exemptions import exemption_text

from mlflow_rank.errors import UsageError
from mlflow_rank.evidence.canonical import digest_of
from mlflow_rank.reports.studies.protocol.report import markdown, report
from mlflow_rank.reports.studies.protocol.rules import briefly
from mlflow_rank.reports.studies.protocol.statement import MOST_LINES, MOST_WORDS, NEVER
from mlflow_rank.workflow.policies import read_policies
from mlflow_rank.workflow.studies.comparing import compare
from mlflow_rank.workflow.studies.protocol import protocol

SHIPPED = Path(__file__).parents[3] / "policies"
RECOMMENDED = SHIPPED / "speech-encoder.yaml"


def written(place: Path, document: dict[str, Any]) -> Path:
    place.write_text(json.dumps(document), encoding="utf-8")
    return place


def policy(place: Path, *rules: dict[str, Any], **parts: Any) -> Path:
    path = place / "policy.yaml"
    path.write_text(evidence.policy_text(*rules, **parts), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "name", ["speech-encoder.yaml", "short-sounds.yaml", "early-warning.yaml", "starter.yaml", "."]
)
def test_it_fits_one_page_whatever_the_policies(name: str) -> None:
    page = markdown(protocol([SHIPPED / name]))

    assert len(page.splitlines()) <= MOST_LINES
    assert len(page.split()) <= MOST_WORDS


def test_every_rule_of_the_recommended_policy_is_on_it_in_words() -> None:
    statement = protocol([RECOMMENDED])
    page = markdown(statement)

    assert statement.left_out == ()
    for each in read_policies([RECOMMENDED])[0].policy.rules:  # type: ignore[union-attr]
        assert f"- {each.id}" in page
        assert f"{getattr(each, 'value', '')}" in page


def test_rules_without_room_are_listed_by_id_those_that_warn_first_to_go(tmp_path: Path) -> None:
    many = [rule("pilot_at_least", f"good-enough-{number}", value=0.3 + number / 1000) for number in range(60)]
    page = protocol([policy(tmp_path, *many, rule("no_open_alarm", "calm", severity="warn"))])

    assert 0 < len(page.left_out) < 61
    assert page.left_out[-1] == "calm"
    assert "good-enough-0: " in markdown(page)
    assert f"And {len(page.left_out)} more" in markdown(page)
    assert all(name in markdown(page) for name in page.left_out)
    assert len(markdown(page).splitlines()) <= MOST_LINES
    assert "have no room" in report(page).about[0]


def test_the_same_input_gives_the_same_bytes_and_any_change_another_digest(tmp_path: Path) -> None:
    once, again = protocol([policy(tmp_path)]), protocol([policy(tmp_path)])
    other = protocol([policy(tmp_path, rule("pilot_at_least", "pilot", value=0.51))])

    assert markdown(once) == markdown(again)
    assert once.document() == again.document()
    assert once.digest != other.digest
    content = {name: value for name, value in once.document().items() if name != "digest"}
    assert once.document()["digest"] == digest_of(content)


def test_it_says_convention_sampling_people_and_what_is_never_done(tmp_path: Path) -> None:
    parts = {"approvals": {"count": 2, "signed_by": ["reviewer"]}, "break_glass": {"signed_by": ["emergency"]}}
    page = markdown(protocol([policy(tmp_path, **parts)]))

    for words in (
        "Preset robust", "mean taken off", "ε = 1e-07", "1 h at most", "seed 0", "utterances of 0.05 to 30 s",
        "jackknife over 10 blocks", "keyword (balanced accuracy)", "10 draws", "50 % of the groups tested",
        "2 × reviewer approve, not who asks or who signed the evidence, for 14d", "in an emergency emergency, for 24h",
        "evidence counts for 30d", "every 200", "64 utterances of 4 s",
    ):  # fmt: skip
        assert words in page
    assert all(line.split("`")[0] in page for line in NEVER)


def test_evidence_at_hand_replaces_the_defaults_and_names_the_audio(tmp_path: Path) -> None:
    measured = written(tmp_path / "ranks.json", evidence.measurement())
    piloted = written(tmp_path / "pilot.json", evidence.pilot())

    statement = protocol([policy(tmp_path)], measurement=measured, pilot=piloted)

    page = markdown(statement)
    assert f"corpus {evidence.CORPUS[:19]}" in page
    assert "90 utterances at most" in page
    assert "in domain sha256:dddddddddddd and out of domain sha256:eeeeeeeeeeee" in page
    assert statement.conventions.settings["rank.corpus_digest"] == evidence.CORPUS


def test_a_watch_policy_has_nobody_to_approve() -> None:
    page = markdown(protocol([SHIPPED / "early-warning.yaml"]))

    assert "nobody approves, as it only warns" in page
    assert "None is asked for by these policies" in page


def test_two_sites_may_compare_numbers_where_their_protocols_agree(tmp_path: Path) -> None:
    pilot = written(tmp_path / "pilot.json", evidence.pilot())
    ours = written(tmp_path / "ours.json", protocol([policy(tmp_path)], pilot=pilot).document())
    stricter = policy(tmp_path, rule("pilot_at_least", "pilot", value=0.9))
    theirs = written(tmp_path / "theirs.json", protocol([stricter], pilot=pilot).document())
    fewer = evidence.pilot()
    fewer["tasks"][0]["protocol"]["draws"] = 3
    few = written(tmp_path / "few.json", fewer)
    others = written(tmp_path / "others.json", protocol([stricter], pilot=few).document())

    assert compare(str(ours), str(ours)).notes == ("Their rules are the same.",)
    assert "speech-encoder r1 differs" in compare(str(ours), str(theirs)).notes[0]
    with pytest.raises(UsageError, match=r"pilot\.keyword\.draws"):
        compare(str(ours), str(others))


def test_names_of_models_cannot_steer_the_page(tmp_path: Path) -> None:
    page = markdown(protocol([policy(tmp_path, match={"models": ["a`b|<img src=x>"], "targets": "any"})]))

    assert "`a?b|<img src=x>`" in page


def test_a_rule_keeps_what_does_not_go_without_saying() -> None:
    document = rule("pilot_not_worse", "not-worse", domain="out_of_domain", shots=5, no_champion="fail")
    (sentence,) = (briefly(each) for each in evidence.policy(evidence.PILOT_RULE, document).rules[1:])

    for words in ("out of domain", "5 labels per class", "at a first promotion it fails", "(low)"):
        assert words in sentence


def test_what_cannot_be_stated_is_refused(tmp_path: Path) -> None:
    exempt = tmp_path / "exempt.yaml"
    exempt.write_text(exemption_text("horn"))
    two = tmp_path / "two"
    two.mkdir()
    policy(two)
    (two / "other.yaml").write_text(
        evidence.policy_text(metadata={"name": "other"}, evidence={"max_age": "30d", "preset": "rankme_t"})
    )
    summed = written(tmp_path / "summed.json", evidence.measurement(preset="rankme_t"))

    for paths, more in (
        ([exempt], {}),
        ([two], {}),
        ([two / "policy.yaml"], {"measurement": summed}),
        ([two / "policy.yaml"], {"pilot": summed}),
        ([tmp_path / "nowhere.yaml"], {}),
    ):
        with pytest.raises(UsageError):
            protocol(paths, **more)
