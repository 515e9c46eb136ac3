"""Decisions on the command line: exit codes, what stands on stdout, and evidence that is about something else."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import evidence
import pytest
from click.testing import Result
from evidence import rule, with_rows
from filed import Desk, key_of, opened
from junitparser import JUnitXml
from securesystemslib.dsse import Envelope as TheirEnvelope
from securesystemslib.signer import SSlibKey

from mlflow_rank.evidence.canonical import canonical_json
from mlflow_rank.evidence.file_manifest import file_manifest
from tests.conftest import plain_environment

Call = Callable[..., Result]
Document = dict[str, Any]

PILOT = evidence.PILOT_RULE
COLLAPSED = evidence.measurement(change=with_rows({"metric": "effective_rank"}, {"low": 1.0}))
OFFLINE = ("--policy", "policy.yaml", "--evidence", "evidence", "--model", "model", "--name", "encoder")


@pytest.fixture
def decide(rank: Call) -> Call:
    """Decide on what lies on the desk, with more options."""
    return lambda *words, base=OFFLINE: rank("decide", *base, *words)


def decided(result: Result) -> Document:
    document: Document = json.loads(result.stdout)
    return document


def finding(document: Document, rule: str) -> Document:
    (found,) = (each for policy in document["policies"] for each in policy["findings"] if each["rule"] == rule)
    return dict(found)


# verdicts and exit codes


def test_good_evidence_is_approved_with_0(decide: Call) -> None:
    result = decide()

    assert result.exit_code == 0, result.output
    assert "APPROVED" in result.stdout
    assert "pilot" in result.stdout
    assert result.stderr == ""


def test_a_rule_that_fails_is_refused_with_1(decide: Call, desk: Desk) -> None:
    desk.measurement(COLLAPSED)

    result = decide("--json", "-")

    assert result.exit_code == 1
    assert decided(result)["sentence"] == "denied: floor fails"
    assert finding(decided(result), "pilot")["result"] == "pass"


def test_missing_evidence_is_undecided_with_3(decide: Call, desk: Desk) -> None:
    (desk.evidence / "measurement.dsse.json").unlink()

    result = decide("--json", "-")

    assert result.exit_code == 3
    assert finding(decided(result), "floor")["cause"] == "missing_evidence"


def test_what_fails_counts_before_what_is_missing(decide: Call, desk: Desk) -> None:
    desk.policy(PILOT, rule("pilot_at_least", "too-much", value=0.99), rule("no_open_alarm"))

    assert decide().exit_code == 1


def test_no_policy_that_matches_is_refused_with_1(decide: Call, desk: Desk) -> None:
    desk.policy(match={"models": ["other-*"]})

    result = decide()

    assert result.exit_code == 1
    assert "what no policy covers is denied" in result.stdout


def test_all_policies_that_match_must_pass(decide: Call, desk: Desk) -> None:
    desk.policy(rule("pilot_at_least", "too-much", value=0.99), name="more/strict.yaml", metadata={"name": "strict"})

    result = decide("--policy", "more", "--json", "-")

    assert result.exit_code == 1
    assert [(each["name"], each["passes"]) for each in decided(result)["policies"]] == [
        ("speech-encoder", True), ("strict", False),
    ]  # fmt: skip


@pytest.mark.parametrize("given", [["policy.yaml,more"], ["policy.yaml", "--policy", "more"], ["more , policy.yaml,"]])
def test_files_and_directories_come_one_by_one_or_with_commas(decide: Call, desk: Desk, given: list[str]) -> None:
    desk.policy(name="more/second.yaml", metadata={"name": "second"})
    base = ("--policy", *given, *OFFLINE[2:])

    result = decide("--json", "-", base=base)

    assert result.exit_code == 0, result.stderr
    assert len(decided(result)["policies"]) == 2


def test_neither_trust_nor_schema_in_a_directory_is_taken_for_a_policy(decide: Call, desk: Desk) -> None:
    desk.policy(name="policies/one.yaml")
    desk.write("policies/trust.yaml", (desk.place / "trust.yaml").read_bytes())
    desk.write("policies/policy.schema.json", "{}")

    assert decide(base=("--policy", "policies", *OFFLINE[2:])).exit_code == 0


# wrong calls


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["--policy", "none.yaml", "--evidence", "evidence"], "this file cannot be read"),
        (["--evidence", "evidence"], "there is no policy to decide by"),
        (["--policy", "model", "--evidence", "evidence"], "there is no policy in this directory"),
        (["--policy", "policy.yaml", "--evidence", "none.dsse.json"], "this evidence cannot be read"),
        (["--policy", "policy.yaml", "--evidence", "model"], "no evidence is in this directory"),
        (["--policy", "policy.yaml"], "nothing says which model the evidence is about"),
        ([*OFFLINE, "--to", "champion"], "there is no such target"),
        ([*OFFLINE, "--to", "alias:chаmpion"], "letters that look like others"),
        ([*OFFLINE, "--model", "not there"], "this model directory cannot be read"),
        ([*OFFLINE, "--trust", "none.yaml"], "this file cannot be read"),
        ([*OFFLINE, "--approval", "bob.dsse.json"], "this evidence cannot be read"),
        ([*OFFLINE, "--champion", "not there"], "the champion has no files here"),
        ([*OFFLINE, "--json", "-", "--sarif", "-"], "stdout holds one document"),
        ([*OFFLINE, "--json", "nowhere/decision.json"], "the document cannot be written there"),
        ([*OFFLINE, "--markdown", "model"], "the document cannot be written there"),
        ([*OFFLINE, "--output", "policy.yaml"], "the results cannot be written there"),
        (["--policy", "policy.yaml", "--version", "models:/encoder@champion"], "this is no registered version"),
        ([*OFFLINE, "--version", "models:/encoder/7"], "--version says which model it is"),
        (["--policy", "policy.yaml", "--version", "models:/encoder/7", "--name", "other"], "--version says which"),
    ],
)
def test_a_wrong_call_ends_with_2_and_says_nothing_on_stdout(rank: Call, words: list[str], what: str) -> None:
    result = rank("decide", *words, "--tracking-uri", "sqlite:///none.db")

    assert result.exit_code == 2, result.output
    assert what in result.stderr
    assert result.stdout == ""


def test_a_broken_policy_is_shown_at_file_line_and_column_and_ends_with_2(decide: Call, desk: Desk) -> None:
    text = (desk.place / "policy.yaml").read_text()
    desk.write("policy.yaml", text.replace("mode: enforce", "mode: perhaps"))
    line = text[: text.index("mode: enforce")].count("\n") + 1

    result = decide()

    assert result.exit_code == 2
    assert f"policy.yaml:{line}:" in result.stderr
    assert "mode" in result.stderr
    assert result.stdout == ""


def test_everything_wrong_in_any_file_is_said_at_once(decide: Call, desk: Desk) -> None:
    desk.write("policy.yaml", "kind: Policy")
    desk.write("more.yaml", "- a list")

    result = decide("--policy", "more.yaml")

    assert result.exit_code == 2
    assert "policy.yaml:1:" in result.stderr
    assert "more.yaml:1:" in result.stderr


# which files it is about


def test_without_the_files_the_decision_says_that_nobody_looked_at_them(decide: Call) -> None:
    result = decide("--json", "-", base=OFFLINE[:4])

    assert result.exit_code == 0
    request = decided(result)["request"]
    assert (request["model"], request["digest_checked"]) == ("encoder", False)


def test_one_changed_byte_of_the_model_is_another_model(decide: Call, desk: Desk) -> None:
    desk.write("model/model.safetensors", "weightz")

    result = decide("--json", "-")

    assert result.exit_code == 3
    assert {each["cause"] for each in decided(result)["policies"][0]["findings"]} == {"wrong_subject"}
    assert decided(result)["request"]["digest"] == file_manifest(desk.model).digest


def test_the_evidence_of_another_model_counts_for_nothing(decide: Call, desk: Desk) -> None:
    (desk.evidence / "pilot.dsse.json").unlink()
    desk.pilot(about=evidence.digest("another model"), name="pilot")

    result = decide("--json", "-")

    assert result.exit_code == 3
    assert finding(decided(result), "pilot")["cause"] == "wrong_subject"


def test_the_evidence_of_most_files_says_which_model_it_is(decide: Call, desk: Desk) -> None:
    desk.pilot(about=evidence.digest("another model"), called="models:/other/1", name="stray")

    assert decided(decide("--json", "-", base=OFFLINE[:4]))["request"]["model"] == "encoder"


def test_a_registered_name_goes_before_where_the_files_lay(decide: Call, desk: Desk) -> None:
    desk.pilot(called="/a/directory/ckpt", name="again")

    for base in (OFFLINE[:4], OFFLINE[:6]):
        assert decided(decide("--json", "-", base=base))["request"]["model"] == "encoder"


def test_approvals_and_decisions_that_lie_beside_evidence_are_no_evidence(decide: Call, rank: Call, desk: Desk) -> None:
    before = decided(decide("--json", "-"))["evidence_digest"]
    decide("--output", "evidence", "--key", "gate.key")
    rank("approve", "--output", "evidence/bob.dsse.json", *OFFLINE, "--comment", "heard it", "--key", "bob.key")

    after = decided(decide("--json", "-", "--approval", "evidence/bob.dsse.json"))

    assert after["evidence_digest"] == before
    assert {each["kind"] for each in after["evidence"]} == {"measurement", "pilot"}


# signatures


@pytest.mark.parametrize(
    ("by", "cause"), [(None, "unsigned"), ("eve", "unknown_key"), ("olga", "wrong_role"), ("lab", None)]
)
def test_only_who_may_measure_is_believed(decide: Call, desk: Desk, by: str | None, cause: str | None) -> None:
    desk.pilot(by=by)

    result = decide("--json", "-")

    assert finding(decided(result), "pilot")["cause"] == cause
    assert result.exit_code == (0 if cause is None else 3)


def test_without_a_trust_file_nobody_is_believed(decide: Call, desk: Desk) -> None:
    (desk.place / "trust.yaml").unlink()

    result = decide("--json", "-")

    assert result.exit_code == 3
    assert finding(decided(result), "pilot")["cause"] == "unknown_key"


def test_in_mode_audit_unsigned_evidence_counts_and_the_decision_is_not_enforced(decide: Call, desk: Desk) -> None:
    desk.policy(mode="audit")
    desk.measurement(by=None)
    desk.pilot(by=None)

    result = decide("--json", "-")

    assert result.exit_code == 0
    assert decided(result)["enforced"] is False


def test_what_cannot_be_read_is_said_and_where_it_lies_is_no_part_of_the_decision(decide: Call, desk: Desk) -> None:
    (desk.evidence / "pilot.dsse.json").write_text("{")
    one = decided(decide("--json", "-"))
    desk.evidence.rename(desk.place / "moved")

    other = decided(decide("--json", "-", base=("--evidence", "moved", *OFFLINE[:2], *OFFLINE[4:])))

    assert finding(one, "pilot")["cause"] == "unreadable"
    assert one["evidence"] == other["evidence"]


# champion


def test_who_is_champion_must_be_known_to_compare_with_it(decide: Call, desk: Desk) -> None:
    desk.policy(PILOT, rule("rank_within_envelope", "like-before"), rule("pilot_not_worse", "not-worse"))
    champion = desk.write("champion/model.safetensors", "other weights").parent
    digest = file_manifest(champion).digest
    desk.pilot(against=digest)
    theirs = desk.measurement(about=digest, called="models:/encoder/6", name="theirs").rename("theirs.dsse.json")

    unknown = decide("--json", "-")
    by_evidence = decide("--json", "-", "--champion-evidence", theirs)
    by_files = decide("--json", "-", "--champion", champion, "--champion-evidence", theirs)
    first = decide("--json", "-", "--first-promotion")

    assert unknown.exit_code == 3
    assert finding(decided(unknown), "not-worse")["cause"] == "champion_unknown"
    assert by_evidence.exit_code == by_files.exit_code == 0, by_evidence.output
    assert decided(by_files)["champion"]["digest"] == digest
    assert first.exit_code == 1  # the rules say no_champion: fail
    assert decided(first)["champion"] == {"none": "first promotion"}


def test_a_pilot_against_another_champion_is_no_answer(decide: Call, desk: Desk) -> None:
    desk.policy(PILOT, rule("pilot_not_worse", "not-worse"))
    desk.pilot(against=evidence.digest("the champion before"))
    champion = desk.write("champion/model.safetensors", "other weights").parent

    result = decide("--json", "-", "--champion", champion)

    assert result.exit_code == 3
    assert finding(decided(result), "not-worse")["cause"] == "other_champion"


@pytest.mark.parametrize("paired", [True, False])
def test_only_what_is_not_worse_than_the_champion_must_be_paired(decide: Call, desk: Desk, paired: bool) -> None:
    names = ("delta_paired", "delta_random_paired", "delta_logmel_paired")
    document = evidence.pilot(
        lambda row: row | {name: paired for name in names if row[name] is not None},
        champion="models:/encoder@champion",
    )
    champion = desk.write("champion/model.safetensors", "other weights").parent
    desk.pilot(document, against=file_manifest(champion).digest)
    desk.policy(
        PILOT, rule("pilot_not_worse", "not-worse"), rule("pilot_above_control", "random"),
        rule("pilot_above_log_mel", "log-mel"),
    )  # fmt: skip

    document = decided(decide("--json", "-", "--champion", champion))

    assert {name: finding(document, name)["cause"] for name in ("random", "log-mel")} == {
        "random": None, "log-mel": None,
    }  # fmt: skip
    assert finding(document, "not-worse")["cause"] == (None if paired else "not_paired")


# forms


def test_each_form_can_stand_alone_on_stdout(decide: Call, desk: Desk) -> None:
    desk.measurement(COLLAPSED)

    as_json, as_sarif = (decide(f"--{form}", "-") for form in ("json", "sarif"))
    as_markdown, as_junit = (decide(f"--{form}", "-") for form in ("markdown", "junit"))

    assert decided(as_json)["kind"] == "Decision"
    (run,) = json.loads(as_sarif.stdout)["runs"]
    assert len(run["results"]) == 1
    assert as_markdown.stdout.startswith("### ")
    assert JUnitXml.fromstring(as_junit.stdout.encode()).failures == 1
    assert {each.exit_code for each in (as_json, as_sarif, as_markdown, as_junit)} == {1}


def test_sarif_points_at_the_rule_s_line_in_the_policy(decide: Call, desk: Desk) -> None:
    desk.measurement(COLLAPSED)
    lines = (desk.place / "policy.yaml").read_text().splitlines()
    (line,) = (number for number, text in enumerate(lines, 1) if text.strip() == "- id: floor")

    (run,) = json.loads(decide("--sarif", "-").stdout)["runs"]

    (place,) = (each["locations"][0]["physicalLocation"] for each in run["results"])
    assert (place["artifactLocation"]["uri"], place["region"]["startLine"]) == ("policy.yaml", line)


def test_all_forms_can_go_to_files_while_the_table_stays(decide: Call) -> None:
    result = decide("--json", "d.json", "--sarif", "d.sarif", "--junit", "d.xml", "--markdown", "d.md")

    assert result.exit_code == 0
    assert "APPROVED" in result.stdout
    assert json.loads(Path("d.json").read_text())["verdict"] == "approve"
    assert json.loads(Path("d.sarif").read_text())["version"] == "2.1.0"
    assert JUnitXml.fromfile("d.xml").failures == 0
    assert Path("d.md").read_text().startswith("### ")
    assert result.stderr.count("written to") == 4


def test_json_is_what_the_decision_s_bytes_are(decide: Call) -> None:
    document = decided(decide("--json", "-"))

    again = decided(decide("--json", "-"))

    assert document["decided_at"] <= again["decided_at"]
    assert {name: value for name, value in document.items() if name not in ("decided_at", "id")} == {
        name: value for name, value in again.items() if name not in ("decided_at", "id")
    }


# statements of it


def test_output_holds_the_decision_and_a_slsa_summary_that_others_verify(decide: Call, desk: Desk) -> None:
    result = decide("--output", "out", "--key", "gate.key", "--json", "-")

    assert result.exit_code == 0, result.output
    assert {path.name for path in Path("out").iterdir()} == {"decision.dsse.json", "summary.dsse.json"}
    public = key_of("gate").public
    theirs = SSlibKey(public.key_id, "ed25519", "ed25519", {"public": public.raw.hex()})
    for path in Path("out").iterdir():
        envelope, statement = opened(path)
        assert TheirEnvelope.from_dict(envelope).verify([theirs], 1)
        assert statement["subject"][0]["digest"] == {"sha256": desk.digest.removeprefix("sha256:")}
    _, statement = opened(Path("out/decision.dsse.json"))
    assert canonical_json(statement["predicate"]["decision"]) == canonical_json(decided(result))


def test_the_summary_has_the_fields_of_the_specification(decide: Call, desk: Desk) -> None:
    document = decided(decide("--output", "out", "--json", "-"))

    envelope, statement = opened(Path("out/summary.dsse.json"))
    predicate = statement["predicate"]

    assert envelope["signatures"] == []
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == "https://slsa.dev/verification_summary/v1"
    assert set(predicate) == {
        "verifier", "timeVerified", "resourceUri", "policy", "inputAttestations", "verificationResult",
        "verifiedLevels", "slsaVersion",
    }  # fmt: skip
    assert predicate["verifier"]["id"].startswith("urn:")
    assert predicate["timeVerified"] == document["decided_at"]
    assert predicate["resourceUri"] == "models:/encoder@champion"
    assert set(predicate["policy"]) == {"uri", "digest"}
    assert predicate["verificationResult"] == "PASSED"
    assert not [level for level in predicate["verifiedLevels"] if level.startswith("SLSA_")]
    assert {each["digest"]["sha256"] for each in predicate["inputAttestations"]} == {
        each["digest"].removeprefix("sha256:") for each in document["evidence"]
    }


def test_a_refusal_is_a_summary_that_failed(decide: Call, desk: Desk) -> None:
    desk.measurement(COLLAPSED)

    assert decide("--output", "out").exit_code == 1

    predicate = opened(Path("out/summary.dsse.json"))[1]["predicate"]
    assert (predicate["verificationResult"], predicate["verifiedLevels"]) == ("FAILED", ["FAILED"])


# watching

WATCH: Document = {"kind": "WatchPolicy"}
FLOOR = rule("rank_at_least", "floor")


def test_a_watch_policy_is_clear_with_0_and_warns_with_1_or_3(decide: Call, desk: Desk) -> None:
    desk.policy(FLOOR, **WATCH)
    clear = decide("--json", "-")
    desk.measurement(COLLAPSED)
    warns = decide("--json", "-")
    (desk.evidence / "measurement.dsse.json").unlink()
    knows_nothing = decide()

    assert (clear.exit_code, decided(clear)["outcome"]) == (0, "clear")
    assert (warns.exit_code, decided(warns)["outcome"]) == (1, "warn")
    assert knows_nothing.exit_code == 3
    assert decided(clear)["kind"] == "Watch"


def test_unsigned_evidence_is_watched(decide: Call, desk: Desk) -> None:
    desk.policy(FLOOR, **WATCH)
    desk.measurement(by=None)

    assert decide().exit_code == 0


def test_of_several_watch_policies_the_document_is_of_the_worst(decide: Call, desk: Desk) -> None:
    desk.policy(FLOOR, **WATCH, metadata={"name": "a-clear-one"})
    desk.policy(rule("rank_at_least", "too-much", value=15.9), **WATCH, name="more.yaml", metadata={"name": "b-strict"})

    result = decide("--policy", "more.yaml", "--json", "-")

    assert (result.exit_code, decided(result)["policy"]["name"]) == (1, "b-strict")


def test_what_is_watched_decides_nothing_beside_what_decides(decide: Call, desk: Desk) -> None:
    desk.policy(rule("no_open_alarm"), **WATCH, name="watch.yaml", metadata={"name": "watch"})
    desk.alarms("open")

    result = decide("--policy", "watch.yaml")

    assert result.exit_code == 0
    assert "watch" in result.stdout
    assert "APPROVED" in result.stdout


def test_an_alarm_that_was_closed_is_calm(decide: Call, desk: Desk) -> None:
    desk.policy(PILOT, rule("no_open_alarm", "calm"))
    desk.alarms("open")
    opened_one = decide()
    desk.alarms("closed")

    assert (opened_one.exit_code, decide().exit_code) == (1, 0)


# weight

LIGHT = ("torch", "torchaudio", "transformers", "mlflow", "matplotlib", "pandas", "sklearn", "pyarrow")


def test_deciding_loads_nothing_that_listens(desk: Desk) -> None:
    calls = [
        ["--help"],
        ["decide", "--help"],
        ["policy", "check", "policy.yaml"],
        ["policy", "schema"],
        ["policy", "explain", "policy.yaml"],
        ["decide", *OFFLINE, "--output", "out", "--key", "gate.key"],
        ["approve", "--output", "bob.dsse.json", *OFFLINE, "--comment", "heard it", "--key", "bob.key"],
        ["evidence", "verify", "out", "evidence", "--policy", "policy.yaml", "--model", "model"],
        ["policy", "replay", "--policy", "policy.yaml", "--decisions", "out", "--evidence", "evidence"],
    ]
    look = (
        "import sys, json\nfrom mlflow_rank.cli import main\nseen = []\n"
        f"for words in {calls!r}:\n"
        "    try:\n        main(words)\n    except SystemExit as ended:\n        code = ended.code or 0\n"
        f"    seen.append([words[:2], code, [name for name in {LIGHT!r} if name in sys.modules]])\n"
        "sys.stderr.write('\\n' + json.dumps(seen))"
    )

    ended = subprocess.run(
        [sys.executable, "-c", look], cwd=desk.place, env=plain_environment(), capture_output=True, text=True,
        check=True, timeout=300,
    )  # fmt: skip

    assert json.loads(ended.stderr.splitlines()[-1]) == [[words[:2], 0, []] for words in calls], ended.stderr


def test_the_process_ends_with_the_decision_s_code_and_stdout_is_pure(
    mlflow_rank: Callable[..., Any], desk: Desk
) -> None:
    desk.measurement(COLLAPSED)

    ended = mlflow_rank("decide", *OFFLINE, "--json", "-", "--sarif", "decision.sarif")

    assert ended.returncode == 1, ended.stderr
    assert json.loads(ended.stdout)["verdict"] == "deny"
    assert "written to decision.sarif" in ended.stderr
