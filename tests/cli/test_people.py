"""The commands of people around the gate: each at a real store in this process, as a person at a terminal types it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import evidence
import pytest
from click.testing import Result
from counter import Counter
from evidence import rule
from filed import SUFFIX

from mlflow_rank.workflow.acting import Aimed, GatedRegistry
from mlflow_rank.workflow.addresses import named_version
from mlflow_rank.workflow.promoting import Patience, Promoted, wait_and_promote

EMERGENCIES = {"break_glass": {}}
ONE, COMMENT = {"approvals": {"count": 1}}, ("--comment", "heard twenty clips")
FRESH = rule("evidence_age_at_most", "fresh", age="2h", of="measurement")


@pytest.fixture(scope="module")
def counter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Counter]:
    with Counter.opened(tmp_path_factory.mktemp("counter")) as opened:
        yield opened


@pytest.fixture(scope="module")
def good(counter: Counter) -> str:
    """A version with a pilot, of a measurement that is old, for what changes nothing."""
    return counter.measured(hours=5)


@pytest.fixture(autouse=True)
def _a_pilot_is_enough(counter: Counter) -> None:
    counter.govern()


def approved(counter: Counter, address: str, by: str = "bob") -> Result:
    return counter.call("approve", address, "--key", f"{by}.key", *COMMENT)


def promoted(counter: Counter, model: str | None = None) -> str:
    """A version that was promoted as people do it."""
    address = counter.proved(model)
    assert counter.call("promote", address).exit_code == 0
    return address


def ended(result: Result, code: int) -> str:
    """What a call printed, which must have ended with a code."""
    assert result.exit_code == code, result.output
    return result.stdout


def waited(
    aimed: Aimed,
    sleep: Callable[[float], None],
    told: list[Aimed],
    *,
    limit: timedelta = timedelta(hours=2),
    slept: list[float] | None = None,
) -> Promoted:
    """Wait by a clock that goes on only while one sleeps, if `slept` counts that."""
    start = datetime.now(UTC)
    clock = (lambda: start) if slept is None else (lambda: start + timedelta(seconds=sum(slept)))
    return wait_and_promote(aimed, Patience(start + limit, clock, sleep, told.append))


# asking


def test_a_request_is_opened_and_what_lacks_is_said_with_the_command_that_supplies_it(counter: Counter) -> None:
    counter.govern(**ONE)
    address = counter.proved()

    pilot = f"evidence/pilot{SUFFIX}"
    said = ended(counter.call("submit", address, "--to", "alias:champion", "--evidence", pilot), 0)

    assert f"The request is open: {address} to alias:champion." in said
    assert "0 of 1 approvals; ann or bob can give it" in said
    assert f"ann or bob: mlflow-rank approve {address} --to alias:champion --key FILE" in said
    assert f"Next: mlflow-rank promote {address} --to alias:champion --wait 2h" in said


def test_asking_again_changes_nothing(counter: Counter) -> None:
    counter.govern(**ONE)
    address = counter.proved()
    ask = ("submit", address, "--to", "alias:champion")
    ended(counter.call(*ask), 0)
    before = len(counter.hall.entries())

    again = ended(counter.call(*ask), 0)

    assert "It is asked for already." in again
    assert len(counter.hall.entries()) == before


def test_asking_again_with_a_key_changes_nothing_either(counter: Counter) -> None:
    counter.govern(**ONE)
    address = counter.proved()
    ask = ("submit", address, "--to", "alias:champion", "--key", "ann.key")
    ended(counter.call(*ask), 0)

    again = ended(counter.call(*ask), 0)

    assert "It is asked for already." in again
    (opened,) = counter.json("request", "list", address.rpartition("/")[0])
    assert (opened["by"], opened["verified"]) == ("ann", True)


def test_a_version_without_evidence_is_not_asked_for(counter: Counter) -> None:
    address = counter.bare()

    result = counter.call("submit", address, "--to", "alias:champion")

    assert result.exit_code == 2
    assert f"there is no evidence about {address}" in result.stderr
    assert counter.json("request", "list", address.rpartition("/")[0]) == []


def test_evidence_that_is_refused_is_said_and_nothing_is_asked_for(counter: Counter) -> None:
    address = counter.proved()
    stranger = counter.hall.desk.pilot(name="stranger", by="eve", called=address)
    stranger.rename(stranger.parent.parent / f"stranger{SUFFIX}")

    result = counter.call("submit", address, "--to", "alias:champion", "--evidence", f"stranger{SUFFIX}", "--json")

    document = json.loads(ended(result, 1))
    assert document["request"] is None
    assert document["evidence"][0]["refused"].startswith("Refused: ")
    assert counter.json("request", "list", address.rpartition("/")[0]) == []


def test_where_policies_promote_automatically_asking_for_what_is_in_order_promotes_it(counter: Counter) -> None:
    counter.govern(promote="automatic")
    address = counter.proved()

    result = counter.call("submit", address, "--to", "alias:champion")

    assert f"{address} was promoted in that very call: it is at alias:champion" in ended(result, 0)
    assert counter.holder(address) == "1"


def test_the_last_approval_promotes_what_was_asked_for_and_says_so(counter: Counter) -> None:
    counter.govern(promote="automatic", **ONE)
    address = counter.proved()
    ended(counter.call("submit", address, "--to", "alias:champion", "--key", "ann.key"), 0)
    assert counter.holder(address) is None

    said = ended(approved(counter, address), 0)

    assert "was promoted in that very call" in said
    assert "by mlflow-rank-gate for ann" in said
    assert counter.holder(address) == "1"
    assert counter.json("request", "list", address.rpartition("/")[0]) == []


def test_a_request_is_withdrawn(counter: Counter) -> None:
    address = counter.proved()
    ended(counter.call("submit", address, "--to", "alias:champion", *COMMENT), 0)
    model = address.rpartition("/")[0]
    assert "heard twenty clips" in ended(counter.call("request", "list", model), 0)

    said = ended(counter.call("request", "withdraw", address), 0)

    assert said == f"The request is withdrawn: {address} to alias:champion.\n"
    assert ended(counter.call("request", "list", model), 0) == "no request is open\n"


def test_what_nobody_asked_for_is_not_withdrawn(counter: Counter, good: str) -> None:
    result = counter.call("request", "withdraw", good)

    assert "nobody asks for version 1" in ended(result, 1)


def test_a_comment_without_a_request_is_a_wrong_call(counter: Counter) -> None:
    assert counter.call("submit", "models:/encoder/1", *COMMENT).exit_code == 2


# why, and status


def test_why_says_what_is_missing_what_is_refused_and_what_is_in_order(counter: Counter) -> None:
    bare, good = counter.bare(), counter.proved()
    counter.govern(rule("pilot_at_least", "impossible", value=0.999))
    refused = counter.call("why", good)
    counter.govern()

    missing, fine = counter.call("why", bare), counter.call("why", good)

    assert "no pilot" in ended(missing, 3)
    assert f"lab: mlflow-rank submit {bare}" in missing.stdout
    assert f"{good} to alias:champion: REFUSED: impossible fails." in ended(refused, 1)
    assert f"{good} to alias:champion: would be approved now." in ended(fine, 0)
    assert f"Next: mlflow-rank promote {good} --to alias:champion" in fine.stdout


def test_why_of_what_is_there_says_since_when_and_on_which_decision(counter: Counter) -> None:
    address = promoted(counter)
    decision = counter.json("status", address)[0]["placements"][0]["decision"]

    said = ended(counter.call("why", address), 0)

    assert f"{address} is at alias:champion since " in said
    assert f"on decision {decision}." in said


def test_why_says_where_nobody_is_asked_and_where_no_policy_can_be(counter: Counter, good: str) -> None:
    counter.govern(match={"models": ["*"], "targets": ["alias:champion"], "ungated_aliases": ["candidate"]})

    assert "nobody is asked" in ended(counter.call("why", good, "--to", "alias:candidate"), 0)
    assert "REFUSED. No policy is asked" in ended(counter.call("why", good, "--to", "stage:Production"), 1)


def test_why_of_a_gate_that_is_shut_says_what_is_wrong_with_its_rules(counter: Counter, good: str) -> None:
    counter.hall.desk.write("policies/broken.yaml", "kind: nonsense\n")
    try:
        said = ended(counter.call("why", good), 3)
        refused = counter.call("promote", good)
    finally:
        Path("policies/broken.yaml").unlink()

    assert "the gate is shut, its rules cannot be read" in said
    assert "broken.yaml" in said
    assert "the gate is shut" in ended(refused, 3)


def test_status_tells_of_one_model_of_one_version_and_of_all(counter: Counter) -> None:
    first = promoted(counter)
    model = first.rpartition("/")[0]
    second = counter.proved(model.removeprefix("models:/"))
    ended(counter.call("submit", second, "--to", "alias:champion", *COMMENT), 0)

    of_model, of_first = counter.call("status", model), counter.call("status", first)
    every = counter.json("status")

    assert "open requests" in ended(of_model, 0)
    assert "heard twenty clips" in of_model.stdout
    assert "open requests" not in ended(of_first, 0)
    name = model.removeprefix("models:/")
    (document,) = (each for each in every if each["model"] == name)
    assert [each["version"] for each in document["placements"]] == ["1"]
    assert [(each["version"], each["kind"]) for each in document["matters"]] == [("2", "request")]


def test_status_of_a_model_of_which_nothing_is_known_says_so(counter: Counter) -> None:
    said = ended(counter.call("status", f"models:/{counter.model()}"), 0)

    assert said == "nothing is placed, and nobody has asked for anything\n"


@pytest.mark.parametrize(
    "words",
    [
        ["why", "models:/encoder"], ["why", "models:/encoder@champion"], ["status", "encoder"],
        ["request", "list", "models:/encoder/1"], ["rollback", "models:/e/1", "--reason", "x", "--key", "bob.key"],
        ["why", "models:/nobody/1"], ["why", "models:/encoder/77"], ["why", "models:/encoder/1", "--to", "nowhere"],
    ],
)  # fmt: skip
def test_what_is_no_version_no_model_or_no_target_is_a_wrong_call(counter: Counter, words: list[str]) -> None:
    assert counter.call(*words).exit_code == 2


def test_a_registry_without_a_gate_is_a_wrong_call(counter: Counter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_REGISTRY_URI")

    result = counter.call("status")

    assert result.exit_code == 2
    assert "this registry is not behind the gate" in result.stderr


# approving and rejecting


def test_who_approves_sees_what_is_signed_and_how_things_stand_then(counter: Counter) -> None:
    counter.govern(**ONE)
    address = counter.proved()

    said = ended(approved(counter, address), 0)

    name = address.split("/")[1]
    assert f"model     {name} version 1, in workspace default" in said
    assert counter.hall.desk.digest in said
    assert "policies  speech-encoder r1 sha256:" in said
    assert "pilot sha256:" in said
    assert "signed by lab" in said
    assert "lower bound of keyword balanced_accuracy" in said.replace("\n", " ")
    assert "would be approved now." in said


def test_an_approval_is_bound_to_the_version_the_workspace_and_what_the_gate_showed(counter: Counter) -> None:
    counter.govern(**ONE)
    address = counter.proved()
    seen = counter.json("why", address)

    ended(approved(counter, address), 0)

    decision = counter.json("why", address)["version"]["decision"]
    assert decision["policies"][0]["approvals"]["by"] == ["bob"]
    assert decision["evidence_digest"] == seen["version"]["evidence_digest"]
    other = counter.proved(address.split("/")[1])
    assert counter.json("why", other)["version"]["decision"]["policies"][0]["approvals"]["by"] == []


def test_an_approval_is_only_signed_if_the_gate_goes_by_one_s_own_copies_of_the_policies(counter: Counter) -> None:
    counter.govern(**ONE)
    address = counter.proved()
    Path("mine").mkdir(exist_ok=True)
    Path("mine/policy.yaml").write_bytes(Path("policies/policy.yaml").read_bytes())
    same = counter.call("approve", address, "--key", "bob.key", *COMMENT, "--policy", "mine")
    counter.govern(metadata={"revision": 2}, **ONE)
    other = counter.call("approve", address, "--key", "ann.key", *COMMENT, "--policy", "mine")

    assert same.exit_code == 0, same.output
    assert other.exit_code == 3
    assert "the gate goes by other policies than your copies say; nothing was signed" in other.stderr
    assert "speech-encoder r2" in other.stderr
    assert "speech-encoder r1" in other.stderr
    assert counter.json("why", address)["version"]["decision"]["policies"][0]["approvals"]["by"] == []


def test_an_approval_that_does_not_count_says_why(counter: Counter) -> None:
    counter.govern(**ONE)
    address = counter.bare()
    version = address.rpartition("/")[2]
    hers = counter.hall.desk.pilot(called=address, by="ann")
    counter.hall.submit(version, hers, name=address.split("/")[1])

    said = ended(approved(counter, address, "ann"), 1)

    assert "It was taken, but it does not count: ann asked for the promotion or signed the evidence." in said


def test_who_may_not_approve_is_refused_in_the_gate_s_words(counter: Counter) -> None:
    counter.govern(**ONE)

    said = ended(approved(counter, counter.proved(), "olga"), 1)

    assert "Refused: " in said
    assert "olga signed it, but is no reviewer" in said


def test_a_rejection_is_a_veto(counter: Counter) -> None:
    counter.govern(**ONE)
    address = counter.proved()
    ended(approved(counter, address, "ann"), 0)

    rejected = counter.call("reject", address, "--key", "bob.key", "--comment", "clicks")
    then = counter.call("promote", address)

    assert "You rejected it." in ended(rejected, 0)
    assert "REFUSED: rejected by bob." in rejected.stdout
    assert "rejected by bob" in ended(then, 1)
    assert counter.holder(address) is None


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["--comment", " ", "--key", "bob.key"], "a rejection needs a comment"),
        (["--comment", "no"], "this must be signed"),
        (["--comment", "no", "--key", "bob.key", "--valid-for", "soon"], "this is no duration"),
        (["--comment", "no", "--key", "bob.key", "--evidence", "evidence"], "written to a file"),
        (["--comment", "no", "--witnessed"], "the server does not know you"),
        (["--comment", "no", "--witnessed", "--key", "bob.key"], "handed in without a key"),
    ],
)
def test_a_word_must_make_sense(counter: Counter, good: str, words: list[str], what: str) -> None:
    result = counter.call("reject", good, *words)

    assert result.exit_code == 2
    assert what in result.stderr


def test_where_no_policy_is_asked_there_is_nothing_to_approve(counter: Counter, good: str) -> None:
    result = counter.call("approve", good, "--to", "stage:Archived", "--key", "bob.key", *COMMENT)

    assert result.exit_code == 2
    assert "no policy is asked" in result.stderr


def test_json_on_stdout_is_all_that_is_there(counter: Counter) -> None:
    counter.govern(**ONE)
    address = counter.proved()

    document = json.loads(ended(counter.call("approve", address, "--key", "bob.key", *COMMENT, "--json"), 0))

    assert (document["kind"], document["refused"], document["does_not_count"]) == ("approval", None, None)
    assert document["missing"] == []
    assert document["statement"].startswith("sha256:")


# waiving


def test_a_rule_that_may_be_waived_is_put_aside_until_a_day(counter: Counter) -> None:
    counter.govern(evidence.PILOT_RULE, FRESH, waivers={"rules": ["fresh"]})
    address = counter.measured(hours=5)
    assert "fresh fails" in ended(counter.call("why", address), 1)
    day = f"{datetime.now(UTC) + timedelta(days=3):%Y-%m-%d}"
    said = ("--reason", "the lab is closed", "--ticket", "OPS-7")

    given = counter.call("waive", address, "--rule", "fresh", *said, "--until", day, "--key", "olga.key")

    assert f"fresh is put aside until {day} 23:59 UTC." in ended(given, 0)
    assert counter.call("promote", address).exit_code == 0


def test_a_waiver_that_puts_nothing_aside_says_why(counter: Counter) -> None:
    counter.govern(evidence.PILOT_RULE, FRESH, waivers={"rules": ["fresh"], "max_duration": "2d"})
    address = counter.measured(hours=5)
    said = ("--reason", "the lab is closed", "--ticket", "OPS-7", "--key", "olga.key")

    too_long = counter.call("waive", address, "--rule", "fresh", *said, "--valid-for", "7d")
    a_pilot = counter.call("waive", address, "--rule", "pilot", *said)

    assert "it does not count: it lasts longer than 2d" in ended(too_long, 1)
    assert "it does not count: the policy does not let pilot be waived" in ended(a_pilot, 1)


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["--rule", "none"], "no policy that is asked has a rule 'none'"),
        (["--rule", "fresh", "--until", "2020-01-01"], "it would have ended before it begins"),
        (["--rule", "fresh", "--until", "soon"], "this is no date"),
        (["--rule", "fresh", "--ticket", " "], "a waiver needs a reason and a ticket"),
    ],
)
def test_a_waiver_must_make_sense(counter: Counter, good: str, words: list[str], what: str) -> None:
    counter.govern(evidence.PILOT_RULE, FRESH, waivers={"rules": ["fresh"]})
    said = ("--reason", "the lab is closed", "--ticket", "OPS-7", "--key", "olga.key")

    result = counter.call("waive", good, *said, *words)

    assert result.exit_code == 2
    assert what in result.stderr


# promoting


def test_promoting_is_done_once(counter: Counter) -> None:
    address = counter.proved()

    first, again = counter.call("promote", address), counter.call("promote", address)

    assert f"{address} is at alias:champion now since " in ended(first, 0)
    assert f"{address} is at alias:champion already since " in ended(again, 0)
    assert counter.holder(address) == "1"
    name = address.split("/")[1]
    assert len([each for each in counter.hall.entries("change") if each.model == name and each.content["moves"]]) == 1


def test_promoting_what_lacks_something_ends_with_3_and_what_fails_with_1(counter: Counter) -> None:
    bare, failed = counter.bare(), counter.proved()
    missing = counter.call("promote", bare)
    counter.govern(rule("pilot_at_least", "impossible", value=0.999))

    refused = counter.call("promote", failed, "--json")

    assert "Refused: no evidence for pilot" in ended(missing, 3)
    document = json.loads(ended(refused, 1))
    assert (document["end"], document["placed"]) == ("refused", None)
    assert "impossible fails" in document["refused"]


def test_a_version_goes_to_a_stage_by_mlflow_s_own_call(counter: Counter) -> None:
    counter.govern(match={"models": ["*"], "targets": ["stage:Production"]})
    address = counter.proved()

    said = ended(counter.call("promote", address, "--to", "stage:production"), 0)

    assert f"{address} is at stage:Production now" in said
    assert counter.hall.store.get_model_version(address.split("/")[1], "1").current_stage == "Production"


# rolling back


def test_rolling_back_goes_to_the_version_before_and_says_from_where(counter: Counter) -> None:
    first = promoted(counter)
    name = first.split("/")[1]
    second = promoted(counter, name)
    assert counter.holder(second) == "2"

    said = ended(counter.call("rollback", f"models:/{name}", "--reason", "worse", "--key", "bob.key"), 0)

    assert f"alias:champion of {name} went back from version 2: it is at version 1" in said
    assert counter.holder(first) == "1"


def test_rolling_back_goes_to_a_version_that_is_named_if_it_was_approved(counter: Counter) -> None:
    first = promoted(counter)
    name = first.split("/")[1]
    promoted(counter, name)
    promoted(counter, name)
    never = counter.proved(name).rpartition("/")[2]
    back = ("rollback", f"models:/{name}", "--reason", "worse", "--key", "bob.key", "--version")

    named, other = counter.call(*back, "1"), counter.call(*back, never)

    assert named.exit_code == 0, named.output
    assert counter.holder(first) == "1"
    assert "was never approved for alias:champion" in ended(other, 1)


def test_there_is_nothing_to_go_back_to_after_one_promotion_or_none(counter: Counter) -> None:
    address = promoted(counter)
    back = ("--reason", "worse", "--key", "bob.key")

    one = counter.call("rollback", address.rpartition("/")[0], *back)
    none = counter.call("rollback", f"models:/{counter.model()}", *back)

    assert (one.exit_code, none.exit_code) == (2, 2)
    assert "there is no version to go back to" in one.stderr
    assert "nothing is placed at alias:champion" in none.stderr


def test_who_may_not_roll_back_is_refused(counter: Counter) -> None:
    first = promoted(counter)
    name = first.split("/")[1]
    promoted(counter, name)

    result = counter.call("rollback", f"models:/{name}", "--reason", "worse", "--key", "lab.key")

    assert "Refused: " in ended(result, 1)
    assert counter.holder(first) == "2"


# emergencies


def broken(counter: Counter, address: str, *words: str) -> Result:
    said = ("--reason", "the champion crashes", "--ticket", "OPS-7", "--key", "cid.key")
    return counter.call("break-glass", address, *said, *words)


def test_breaking_the_glass_is_loud_until_somebody_has_reviewed_it(counter: Counter) -> None:
    counter.govern(**EMERGENCIES)
    address = counter.bare()
    model = address.rpartition("/")[0]

    done = broken(counter, address, "--yes", "--for", "12h")
    loud, why = counter.call("status", model), counter.call("why", address)
    reviewed = counter.call("review", model, "--accept", "--comment", "it did crash", "--key", "bob.key")
    quiet = counter.call("status", model)

    assert f"THE GLASS IS BROKEN: {address} IS AT alias:champion WITHOUT APPROVAL." in ended(done, 0)
    assert "IT MUST BE REVIEWED BY " in done.stdout
    assert f"THIS PLACES {address} AT alias:champion WITHOUT APPROVAL, UNTIL " in done.stderr
    assert counter.holder(address) == "1"
    assert ended(loud, 0).startswith("!! BREAK-GLASS: cid put ")
    assert "(OPS-7): the champion crashes" in loud.stdout
    assert "by break-glass bg-" in ended(why, 3)
    assert "is reviewed: accepted." in ended(reviewed, 0)
    assert "!!" not in ended(quiet, 0)


def test_the_glass_is_not_broken_by_accident_nor_by_whom_the_policy_does_not_name(counter: Counter) -> None:
    counter.govern(**EMERGENCIES)
    address = counter.bare()
    said = ("--reason", "x", "--ticket", "OPS-7", "--yes")

    unasked = broken(counter, address)
    other = counter.call("break-glass", address, *said, "--key", "bob.key")
    counter.govern()
    not_allowed = broken(counter, address, "--yes")

    assert unasked.exit_code == 2
    assert "there is nobody here to ask" in unasked.stderr
    assert "Refused: " in ended(other, 1)
    assert "allows no break-glass" in ended(not_allowed, 1)
    assert counter.holder(address) is None


def test_who_broke_the_glass_does_not_review_it_and_what_is_not_broken_is_not_reviewed(counter: Counter) -> None:
    counter.govern(break_glass={"reviewed_by": ["owner", "emergency"]})
    address = counter.bare()
    model = address.rpartition("/")[0]
    ended(broken(counter, address, "--yes"), 0)

    own = counter.call("review", model, "--accept", "--comment", "fine", "--key", "cid.key")
    none = counter.call("review", f"models:/{counter.model()}", "--reject", "--comment", "x", "--key", "olga.key")
    unsaid = counter.call("review", model, "--comment", "x", "--key", "olga.key")

    assert "whoever broke the glass does not review it" in ended(own, 1)
    assert none.exit_code == 2
    assert "waits for a review" in none.stderr
    assert "--accept or --reject" in unsaid.stderr


def test_of_several_broken_glasses_one_is_named(counter: Counter) -> None:
    counter.govern(match={"models": ["*"], "targets": "any"}, **EMERGENCIES)
    address = counter.bare()
    model = address.rpartition("/")[0]
    for target in ("alias:champion", "alias:second"):
        ended(broken(counter, address, "--yes", "--to", target), 0)
    review = ("review", model, "--reject", "--comment", "no emergency", "--key", "olga.key")
    numbers = [each["number"] for each in counter.json("status", model)[0]["matters"]]

    unnamed, named = counter.call(*review), counter.call(*review, "--number", numbers[1])

    assert unnamed.exit_code == 2
    assert f"--number {numbers[0]} (version 1), --number {numbers[1]} (version 1)" in unnamed.stderr
    assert "at alias:second is reviewed: rejected." in ended(named, 0)


# what others wrote


def test_words_of_others_do_not_steer_the_terminal(counter: Counter) -> None:
    counter.govern(**ONE)
    address = counter.proved()
    ended(counter.call("submit", address, "--to", "alias:champion", "--comment", "fine\x1b[2J\nNext: rm"), 0)

    for words in (("status", address.rpartition("/")[0]), ("why", address), ("request", "list")):
        said = counter.call(*words).stdout
        assert "\x1b" not in said
        assert "\nNext: rm" not in said


# waiting


def test_a_gate_is_waited_for_until_others_have_supplied_what_lacks(counter: Counter) -> None:
    counter.govern(**ONE)
    address = counter.proved()
    aimed = GatedRegistry.reached(None).aimed(named_version(address), "alias:champion")
    told: list[Aimed] = []
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            ended(approved(counter, address), 0)

    end = waited(aimed, sleep, told)

    assert (end.end, counter.holder(address)) == ("promoted", "1")
    assert slept == [5.0, 7.5, 11.25]
    assert len(told) == 1  # what lacked did not change


def test_a_gate_that_promotes_by_itself_ends_the_wait(counter: Counter) -> None:
    counter.govern(promote="automatic", **ONE)
    address = counter.proved()
    ended(counter.call("submit", address, "--to", "alias:champion"), 0)
    aimed = GatedRegistry.reached(None).aimed(named_version(address), "alias:champion")

    def sleep(_: float) -> None:
        ended(approved(counter, address), 0)

    end = waited(aimed, sleep, [])

    assert end.end == "promoted"
    placed = counter.json("status", address)[0]["placements"][0]
    assert placed["by"] == "mlflow-rank-gate"


def test_a_rejection_ends_the_wait(counter: Counter) -> None:
    counter.govern(**ONE)
    address = counter.proved()
    aimed = GatedRegistry.reached(None).aimed(named_version(address), "alias:champion")
    reject = ("reject", address, "--key", "bob.key", "--comment", "clicks")

    def sleep(_: float) -> None:
        ended(counter.call(*reject), 0)

    end = waited(aimed, sleep, [])

    assert end.end == "refused"
    assert "rejected by bob" in str(end.sentence)


def test_the_time_is_up_at_the_second_and_what_lacks_is_said(counter: Counter) -> None:
    counter.govern(**ONE)
    address = counter.proved()
    aimed = GatedRegistry.reached(None).aimed(named_version(address), "alias:champion")
    slept: list[float] = []

    end = waited(aimed, slept.append, [], limit=timedelta(seconds=10), slept=slept)

    assert end.end == "missing"
    assert slept == [5.0, 5.0]


def test_what_no_waiting_can_help_is_not_waited_for(counter: Counter, good: str) -> None:
    counter.govern(rule("pilot_at_least", "impossible", value=0.999), **ONE)

    result = counter.call("promote", good, "--wait", "2h")

    assert "is refused: impossible fails" in ended(result, 1)


def test_ctrl_c_says_how_to_go_on(counter: Counter, monkeypatch: pytest.MonkeyPatch) -> None:
    counter.govern(**ONE)
    address = counter.proved()

    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", interrupted)
    result = counter.call("promote", address, "--wait", "2h")

    assert result.exit_code == 130
    assert f"mlflow-rank promote {address} --to alias:champion --wait 2h" in result.stderr
    assert "waiting for: 0 of 1 approvals" in result.stderr
