"""The commands of people at a real server with basic-auth: what counts there is who somebody is, not what they say."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from click.testing import CliRunner, Result
from filed import Desk
from promotions import approved_versions, asking_for_a_pilot, files_of, rules
from servers import ADMIN, Answer, Server, Site, Sqlite, serving

from mlflow_rank.cli import main

USERS = ("ann", "bob", "cid", "dora")
COMMENT = ("--comment", "heard twenty clips")


def password_of(user: str) -> str:
    return ADMIN[1] if user == ADMIN[0] else f"a pass phrase of {user}"


@dataclass(frozen=True)
class Admin(Server):
    """A server, asked by the administrator."""

    def raw(self, method: str, path: str, body: object = None, **how: Any) -> Answer:
        return super().raw(method, path, body, **{"auth": ADMIN} | how)


@dataclass(frozen=True)
class Office:
    """A server with users, whose policies differ by the names of models."""

    server: Admin
    desk: Desk
    files: Mapping[str, str]

    def version(self, model: str) -> str:
        """The address of a new version with a good pilot."""
        (number,) = approved_versions(self.server, self.desk, self.files, 1, model=model)
        return f"models:/{model}/{number}"

    def call(self, user: str, *words: str) -> Result:
        """Call `mlflow-rank` as a user, with the user's key where a word ends in `.key`."""
        said = [str(self.desk.place / word) if word.endswith(".key") else word for word in words]
        with pytest.MonkeyPatch.context() as patch:
            be(patch, self.server, user)
            return CliRunner().invoke(main, said)

    def champion(self, address: str) -> str | None:
        name = address.split("/")[1]
        found = self.server.call("GET", f"registered-models/get?name={name}").body["registered_model"]
        return {each["alias"]: str(each["version"]) for each in found.get("aliases", [])}.get("champion")


def be(patch: pytest.MonkeyPatch, server: Server, user: str) -> None:
    patch.delenv("MLFLOW_REGISTRY_URI", raising=False)
    patch.delenv("MLFLOW_RANK_KEY", raising=False)
    patch.setenv("MLFLOW_TRACKING_URI", server.url)
    patch.setenv("MLFLOW_TRACKING_USERNAME", user)
    patch.setenv("MLFLOW_TRACKING_PASSWORD", password_of(user))


def policy(name: str, **parts: Any) -> str:
    match = {"models": [f"{name}-*"], "targets": ["alias:champion"]}
    return asking_for_a_pilot(**{"match": match, "metadata": {"name": name}} | parts)


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    desk, auth = Desk.laid(tmp_path_factory.mktemp("desk")), tmp_path_factory.mktemp("auth")
    (auth / "auth.ini").write_text(
        f"[mlflow]\ndefault_permission = EDIT\ndatabase_uri = sqlite:///{auth}/auth.db\n"
        "admin_username = admin\nauthorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
    )
    go_by = rules(
        desk,
        policy("manual", approvals={"count": 1}),
        policy("known", approvals={"count": 1, "witnessed": True}),
        policy("auto", approvals={"count": 1}, promote="automatic"),
    )
    site = Site(
        tmp_path_factory.mktemp("server"),
        Sqlite(tmp_path_factory.mktemp("database")).new(),
        app="mlflow-rank-basic-auth",
        environment=go_by | {"MLFLOW_AUTH_CONFIG_PATH": str(auth / "auth.ini")},
    )
    with serving(site) as [server], pytest.MonkeyPatch.context() as patch:
        admin = Admin(server.url, server.log, server.process)
        for user in USERS:
            made = admin.call("POST", "users/create", {"username": user, "password": password_of(user)})
            assert made.status == 200, made.text
        be(patch, server, ADMIN[0])
        yield Office(admin, desk, files_of(server, desk))


def ended(result: Result, code: int) -> str:
    """What a call printed, which must have ended with a code."""
    assert result.exit_code == code, result.output
    return result.stdout


def test_a_version_goes_from_a_request_to_the_champion_in_three_commands_of_two_people(office: Office) -> None:
    address = office.version("manual-way")

    asked = office.call("cid", "submit", address, "--to", "alias:champion", *COMMENT)
    early = office.call("cid", "promote", address)
    approved = office.call("bob", "approve", address, "--key", "bob.key", *COMMENT)
    done = office.call("cid", "promote", address)
    again = office.call("cid", "promote", address, "--json")

    assert "The request is open" in ended(asked, 0)
    assert "0 of 1 approvals" in ended(early, 3)
    assert "would be approved now" in ended(approved, 0)
    assert f"{address} is at alias:champion now since " in ended(done, 0)
    assert "by cid, on decision " in done.stdout
    assert json.loads(ended(again, 0))["end"] == "there"
    assert office.champion(address) == "1"


def test_people_hand_in_their_own_word(office: Office) -> None:
    address = office.version("manual-own")

    for user, verb in (("ann", "approve"), ("cid", "reject")):
        refused = office.call(user, verb, address, "--key", "bob.key", *COMMENT)
        assert f"bob signed it, and {user} hands it in; people hand in their own word" in ended(refused, 1)
    asked = office.call("cid", "submit", address, "--to", "alias:champion", "--key", "bob.key")

    assert "people hand in their own word" in ended(asked, 1)
    assert office.call("cid", "why", address).exit_code == 3


def test_an_approval_without_a_key_counts_where_the_policy_says_so(office: Office) -> None:
    known, manual = office.version("known-witness"), office.version("manual-witness")

    counts = office.call("dora", "approve", known, "--witnessed", *COMMENT)
    idle = office.call("dora", "approve", manual, "--witnessed", *COMMENT)

    assert "would be approved now" in ended(counts, 0)
    assert "handed in as dora, without a key" in counts.stderr
    assert "It was taken, but it does not count: the policy takes no approval without a key" in ended(idle, 1)


def test_who_asked_does_not_approve(office: Office) -> None:
    address = office.version("known-requester")
    ended(office.call("dora", "submit", address, "--to", "alias:champion"), 0)

    office.call("dora", "approve", address, "--witnessed", *COMMENT)
    promoted = office.call("dora", "promote", address)

    assert promoted.exit_code != 0
    assert office.champion(address) is None


def test_asking_again_as_the_same_user_changes_nothing_and_others_cannot_withdraw(office: Office) -> None:
    address = office.version("manual-again")
    ask = ("submit", address, "--to", "alias:champion")
    ended(office.call("cid", *ask), 0)

    again = office.call("cid", *ask)
    by_another = office.call("dora", "request", "withdraw", address)
    listed = json.loads(office.call("ann", "request", "list", "models:/manual-again", "--json").stdout)
    own = office.call("cid", "request", "withdraw", address)

    assert "It is asked for already." in ended(again, 0)
    assert "only cid or an owner withdraws it" in ended(by_another, 1)
    assert [(each["by"], each["verified"]) for each in listed] == [("cid", True)]
    assert own.exit_code == 0


def test_the_last_approval_promotes_in_that_very_call_on_whose_request(office: Office) -> None:
    address = office.version("auto-way")
    ended(office.call("cid", "submit", address, "--to", "alias:champion"), 0)

    said = ended(office.call("ann", "approve", address, "--key", "ann.key", *COMMENT), 0)

    assert "was promoted in that very call" in said
    assert "by mlflow-rank-gate for cid" in said
    assert office.champion(address) == "1"


def test_rolling_back_takes_one_command_of_a_reviewer(office: Office) -> None:
    first, second = office.version("manual-back"), office.version("manual-back")
    for address in (first, second):
        ended(office.call("bob", "approve", address, "--key", "bob.key", *COMMENT), 0)
        ended(office.call("cid", "promote", address), 0)
    back = ("rollback", "models:/manual-back", "--reason", "far-field words got worse", "--key", "bob.key")

    by_another = office.call("cid", *back)
    done = office.call("bob", *back)

    assert "people hand in their own word" in ended(by_another, 1)
    assert "went back from version 2: it is at version 1" in ended(done, 0)
    assert office.champion(first) == "1"


def test_a_model_that_is_not_there_is_a_wrong_call(office: Office) -> None:
    result = office.call("cid", "why", "models:/nobody/1")

    assert result.exit_code == 2
    assert result.stdout == ""


def test_a_wrong_password_decides_nothing(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    be(monkeypatch, office.server, "ann")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "a guess")

    assert CliRunner().invoke(main, ["status"]).exit_code == 3
