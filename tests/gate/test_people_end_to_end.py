"""Three people, a pipeline and a server with basic-auth: how a version is promoted, and all that nobody gets away with.

The pipeline `ci` measures and asks, `ann` and `bob` review, `olga` owns the policy; `emma` is called in emergencies.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy
import yaml
from click.testing import CliRunner, Result
from filed import Desk, key_of, trust_text
from promotions import asking_for_a_pilot, files_of, rules
from servers import ADMIN, Answer, Database, Server, Site, Sqlite, serving

from mlflow_rank.audit import ledger
from mlflow_rank.audit.entry import Entry
from mlflow_rank.cli import main
from mlflow_rank.evidence import acts
from mlflow_rank.evidence.acts import Aim
from mlflow_rank.evidence.canonical import digest_of_bytes
from mlflow_rank.evidence.statement import Statement
from mlflow_rank.evidence.testimony import approval_statement
from mlflow_rank.registry.gate.tag_parcel import parcels
from mlflow_rank.workflow.evidencing import sealed

USERS = ("ci", "ann", "bob", "olga", "emma", "dora")
MODEL, OTHER = "encoder", "twin"
CHAMPION = "alias:champion"


@dataclass(frozen=True)
class Gatehouse:
    """A server with users, each with a password and a key, before a registry whose policy wants two reviewers."""

    server: Server
    database: Database
    desk: Desk
    files: Mapping[str, str]

    # calls

    def call(self, user: str, method: str, path: str, body: object = None) -> Answer:
        return self.server.call(method, path, body, auth=(user, password_of(user)))

    def command(self, user: str, *words: str) -> Result:
        with pytest.MonkeyPatch.context() as patch:
            be(patch, self.server, user)
            return CliRunner().invoke(main, [*words])

    def hand_in(self, user: str, envelope: bytes, version: str, *, model: str = MODEL) -> Answer:
        """Set the tags that make up an envelope; return what was said of the last."""
        for key, value in parcels(envelope):
            body = {"name": model, "version": version, "key": key, "value": value}
            answer = self.call(user, "POST", "model-versions/set-tag", body)
        return answer

    def promote(self, user: str, version: str, *, model: str = MODEL) -> Answer:
        body = {"name": model, "alias": "champion", "version": version}
        return self.call(user, "POST", "registered-models/alias", body)

    # what lies there

    def policy(self, **parts: Any) -> None:
        match = {"models": [MODEL, OTHER], "targets": [CHAMPION]}
        terms = {"approvals": {"count": 2, "witnessed": True}, "promote": "automatic", "break_glass": {}}
        self.desk.write("policies/policy_0.yaml", asking_for_a_pilot(**{"match": match} | terms | parts))

    def version(self, *, model: str = MODEL, by: str = "ci", asked: bool = True) -> str:
        """A version of which `by` signed good evidence, and that `ci` has asked for."""
        made = self.call("ci", "POST", "model-versions/create", {"name": model} | dict(self.files))
        assert made.status == 200, made.text
        version = str(made.body["model_version"]["version"])
        pilot = self.desk.pilot(called=f"models:/{model}/{version}", by=by)
        assert self.hand_in("ci", pilot.read_bytes(), version, model=model).status == 200
        if asked:
            request = acts.request_statement(self.aim(version, model), comment="", now=datetime.now(UTC))
            assert self.hand_in("ci", sealed(request, None), version, model=model).status == 200
        return version

    def aim(self, version: str, model: str = MODEL) -> Aim:
        return Aim("default", model, version, self.desk.digest, CHAMPION)

    def approval(
        self, version: str, /, *, of: str = MODEL, lasts: float = 1, made: float = 0, **other: Any
    ) -> Statement:
        """Yes to what the gate shows of a version; it lasts so many hours, and is made so many from now."""
        path = f"/mlflow-rank/api/v1/standing/{of}?version={version}&target={CHAMPION}"
        seen = self.server.raw("GET", path, auth=ADMIN).body["version"]
        about = {
            "workspace": "default", "model": of, "version": version, "target": CHAMPION, "digest": seen["files"],
            "policies": [each["digest"] for each in seen["policies"]], "evidence_digest": seen["evidence_digest"],
        }  # fmt: skip
        now = datetime.now(UTC) + timedelta(hours=made)
        how = {"verdict": other.pop("verdict", "approve"), "witnessed": other.pop("witnessed", None)}
        how |= {"comment": other.pop("comment", "heard")}
        return approval_statement(about | other, now=now, expires_at=now + timedelta(hours=lasts), **how)

    def champion(self, model: str = MODEL) -> str | None:
        with closing(sqlite3.connect(self.database.file)) as connection:
            asked = "SELECT version FROM registered_model_aliases WHERE name = ? AND alias = 'champion'"
            found = connection.execute(asked, (model,)).fetchone()
        return None if found is None else str(found[0])

    def last(self, kind: str) -> Entry:
        engine = sqlalchemy.create_engine(self.database.uri, poolclass=sqlalchemy.NullPool)
        with engine.connect() as connection:
            return [each for each in ledger.entries(connection) if each.kind == kind][-1]

    def refuses(self, user: str, envelope: bytes, version: str, said: str, *, model: str = MODEL) -> None:
        """Fail unless this user is refused with these words, which are recorded under the user's name."""
        champion = self.champion(model)
        answer = self.hand_in(user, envelope, version, model=model)
        assert (answer.status, answer.code) == (403, "PERMISSION_DENIED"), answer.text
        assert said in answer.body["message"]
        entry = self.last("evidence_refused")
        assert (entry.version, entry.content["actor"]) == (version, {"name": user, "verified": True})
        assert said in str(entry.content["sentence"])
        assert self.champion(model) == champion


def password_of(user: str) -> str:
    return ADMIN[1] if user == ADMIN[0] else f"a pass phrase of {user}"


def be(patch: pytest.MonkeyPatch, server: Server, user: str) -> None:
    for name in ("MLFLOW_REGISTRY_URI", "MLFLOW_RANK_KEY"):
        patch.delenv(name, raising=False)
    patch.setenv("MLFLOW_TRACKING_URI", server.url)
    patch.setenv("MLFLOW_TRACKING_USERNAME", user)
    patch.setenv("MLFLOW_TRACKING_PASSWORD", password_of(user))


def believed() -> str:
    """The usual trust file, with a key of the pipeline, and with an `emma` who may review as well."""
    document = yaml.safe_load(trust_text(emma={"roles": ["emergency", "reviewer"]}))
    document["keys"].append({"key": key_of("ci").public.text, "service": "ci", "roles": ["measurer"]})
    return yaml.safe_dump(document)


@pytest.fixture(scope="module")
def house(sqlite: Sqlite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gatehouse]:
    desk, database = Desk.laid(tmp_path_factory.mktemp("desk")), sqlite.new()
    desk.write("trust.yaml", believed())
    place = tmp_path_factory.mktemp("server")
    (place / "auth.ini").write_text(
        f"[mlflow]\ndefault_permission = READ\ndatabase_uri = sqlite:///{place}/auth.db\n"
        "admin_username = admin\nauthorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
        "auth_cache_ttl_seconds = 3600\n"  # else every call hashes a password, which takes longer than all the rest
    )
    environment = rules(desk, asking_for_a_pilot()) | {"MLFLOW_AUTH_CONFIG_PATH": str(place / "auth.ini")}
    site = Site(place, database, app="mlflow-rank-basic-auth", environment=environment)
    with serving(site) as [server], pytest.MonkeyPatch.context() as patch:
        be(patch, server, ADMIN[0])
        house = Gatehouse(server, database, desk, files_of(server, desk))
        house.policy()
        for model in (MODEL, OTHER):
            assert house.call(ADMIN[0], "POST", "registered-models/create", {"name": model}).status == 200
        for user in USERS:
            made = house.call(ADMIN[0], "POST", "users/create", {"username": user, "password": password_of(user)})
            assert made.status == 200, made.text
            for model in (MODEL, OTHER):
                grant = {
                    "username": user,
                    "resource_type": "registered_model",
                    "resource_id": model,
                    "permission": "EDIT",
                }
                granted = server.raw("POST", "/api/3.0/mlflow/users/permissions/grant", grant, auth=ADMIN)
                assert granted.status == 200, granted.text
        yield house


@pytest.fixture(scope="module")
def asked(house: Gatehouse) -> str:
    """A version that `ci` has asked for, and that nobody ever approves of."""
    house.policy()
    return house.version()


@pytest.fixture(autouse=True)
def _policy_as_it_was(house: Gatehouse) -> None:
    house.policy()


def approves(house: Gatehouse, user: str, version: str) -> Answer:
    return house.hand_in(user, sealed(house.approval(version), key_of(user)), version)


# how it goes


def test_the_second_of_two_reviewers_promotes_and_the_history_says_who_did_what(house: Gatehouse) -> None:
    version = house.version(asked=False)
    address, heard = f"models:/{MODEL}/{version}", ("--comment", "heard twenty clips")
    before = house.champion()

    asked = house.command("ci", "submit", address, "--to", CHAMPION, "--comment", "best so far")
    first = house.command("ann", "approve", address, "--key", str(house.desk.place / "ann.key"), *heard)
    assert (asked.exit_code, first.exit_code) == (0, 0), asked.output + first.output
    assert house.champion() == before, "one of two"
    second = house.command("bob", "approve", address, "--key", str(house.desk.place / "bob.key"), *heard)

    assert second.exit_code == 0, second.output
    assert house.champion() == version
    change = house.last("change")
    assert change.content["actor"] == {"name": "mlflow-rank-gate", "verified": True, "on_behalf_of": "ci"}
    assert change.content["origin"]["address"] == "127.0.0.1"
    [ruling] = house.last("decision").content["decision"]["policies"]
    assert ruling["approvals"]["by"] == ["ann", "bob"]
    assert house.last("decision").content["decision"]["request"]["requester"] == "ci"
    told = house.command(ADMIN[0], "audit", "history", MODEL, "--json", "--database", house.database.uri)
    assert told.exit_code == 0, told.output
    row = json.loads(told.stdout)[-1]
    assert (row["after"], row["actor"], row["verified"]) == (version, "mlflow-rank-gate for ci", True)
    assert row["decision"] == house.last("decision").reference


# what nobody gets away with


@pytest.mark.parametrize(
    ("user", "key", "witnessed", "said"),
    [
        ("ci", "ci", None, "ci signed it, but is no reviewer"),
        ("ci", "bob", None, "bob signed it, and ci hands it in; people hand in their own word"),
        ("ci", None, "ci", "ci is a service; approvals are people's"),
        ("ci", None, "bob", "ci hands in an approval of bob; people hand in their own word"),
        ("ci", "bob", "bob", "ci hands in an approval of bob; people hand in their own word"),
        ("ann", "bob", None, "bob signed it, and ann hands it in"),
        ("ann", None, "bob", "ann hands in an approval of bob"),
        ("dora", "eve", None, "holds with no trusted key"),
        ("olga", "olga", None, "olga signed it, but is no reviewer"),
        ("ann", None, None, "nobody has signed this"),
        ("admin", "bob", None, "bob signed it, and admin hands it in"),
        ("admin", None, "bob", "admin hands in an approval of bob"),
    ],
)
def test_nobody_approves_who_may_not(
    house: Gatehouse, asked: str, user: str, key: str | None, witnessed: str | None, said: str
) -> None:
    statement = house.approval(asked, witnessed=witnessed)

    house.refuses(user, sealed(statement, None if key is None else key_of(key)), asked, said)


@pytest.mark.parametrize("word", ["signed twice", "and witnessed"])
def test_one_reviewer_is_not_two(house: Gatehouse, word: str) -> None:
    version = house.version()
    assert approves(house, "ann", version).status == 200

    again = house.approval(version, witnessed=None if word == "signed twice" else "ann", comment="once more")
    assert house.hand_in("ann", sealed(again, key_of("ann") if word == "signed twice" else None), version).status == 200

    answer = house.promote("ann", version)
    assert answer.status == 403
    assert "1 of 2 approvals" in answer.body["message"]
    assert house.last("refusal").content["actor"] == {"name": "ann", "verified": True}
    assert house.champion() != version


def test_who_signed_the_evidence_does_not_approve_though_a_reviewer(house: Gatehouse) -> None:
    made = house.call("ann", "POST", "model-versions/create", {"name": MODEL} | dict(house.files))
    version = str(made.body["model_version"]["version"])
    pilot = house.desk.pilot(called=f"models:/{MODEL}/{version}", by="ann")
    assert house.hand_in("ann", pilot.read_bytes(), version).status == 200

    assert [approves(house, by, version).status for by in ("ann", "bob")] == [200, 200]

    answer = house.promote("ci", version)
    assert (answer.status, "1 of 2 approvals" in answer.text) == (403, True), answer.text


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"version": "999"}, "given for version 999"),
        ({"model": OTHER}, f"about the model {OTHER}"),
        ({"workspace": "elsewhere"}, "given in the workspace elsewhere"),
        ({"digest": "sha256:" + "0" * 64}, "about other files"),
    ],
)
def test_an_approval_of_something_else_is_not_taken(
    house: Gatehouse, asked: str, other: dict[str, str], said: str
) -> None:
    house.refuses("ann", sealed(house.approval(asked, **other), key_of("ann")), asked, said)


def test_an_approval_that_was_given_is_carried_to_no_other_version_or_model(house: Gatehouse) -> None:
    first, second, twin = house.version(), house.version(), house.version(model=OTHER)
    envelope = sealed(house.approval(first), key_of("ann"))
    assert house.hand_in("ann", envelope, first).status == 200

    house.refuses("ann", envelope, second, f"given for version {first}, not for version {second}")
    house.refuses("ann", envelope, twin, f"about the model {MODEL}, not about {OTHER}", model=OTHER)


@pytest.mark.parametrize(
    "how",
    [
        {"made": -2, "lasts": 1},
        {"made": 1},
        {"policies": ["sha256:" + "1" * 64]},
        {"evidence_digest": "sha256:" + "1" * 64},
    ],
    ids=["over", "yet to come", "another policy", "other evidence"],
)
def test_an_approval_that_does_not_hold_now_promotes_nothing(house: Gatehouse, how: dict[str, Any]) -> None:
    version = house.version()
    assert approves(house, "bob", version).status == 200
    house.hand_in("ann", sealed(house.approval(version, **how), key_of("ann")), version)

    answer = house.promote("ann", version)

    assert answer.status == 403
    assert "1 of 2 approvals" in answer.body["message"]
    assert house.last("refusal").content["sentence"] == answer.body["message"]


def test_approvals_end_with_the_policy_that_they_were_given_under(house: Gatehouse) -> None:
    house.policy(promote="manual")
    version = house.version()
    assert [approves(house, by, version).status for by in ("ann", "bob")] == [200, 200]
    house.policy()
    again = sealed(house.approval(version, policies=["sha256:" + "1" * 64]), key_of("bob"))
    house.hand_in("bob", again, version)

    answer = house.promote("bob", version)

    assert (answer.status, "0 of 2 approvals" in answer.text) == (403, True), answer.text
    assert house.champion() != version


def test_a_rejection_stands_against_two_approvals(house: Gatehouse) -> None:
    house.policy(approvals={"count": 1})
    version = house.version()
    statement = house.approval(version, verdict="reject")
    assert house.hand_in("bob", sealed(statement, key_of("bob")), version).status == 200

    assert approves(house, "ann", version).status == 200

    answer = house.promote("ann", version)
    assert (answer.status, "rejected" in answer.text) == (403, True), answer.text


# acts of others


def act(house: Gatehouse, make: Callable[..., Statement], version: str, **said: Any) -> Statement:
    return make(house.aim(version), now=datetime.now(UTC), **said)


def test_a_request_is_withdrawn_by_who_asked_and_by_nobody_else(house: Gatehouse) -> None:
    version = house.version()
    statement = act(house, acts.withdrawal_statement, version, comment="no")

    for user, key in (("ann", "ann"), ("dora", None)):
        envelope = sealed(statement, None if key is None else key_of(key))
        house.refuses(user, envelope, version, "only ci or an owner withdraws it")
    house.refuses("ann", sealed(statement, key_of("olga")), version, "olga signed it, and ann hands it in")

    assert house.hand_in("ci", sealed(statement, None), version).status == 200
    assert house.last("closing").content["how"] == "withdrawn by ci"


def test_who_has_no_role_for_it_neither_goes_back_nor_breaks_the_glass(house: Gatehouse) -> None:
    house.policy(approvals={"count": 0})
    first, second = house.version(), house.version()
    assert house.champion() == second
    back = act(house, acts.rollback_statement, first, reason="hisses")
    until = datetime.now(UTC) + timedelta(hours=2)
    glass = act(house, acts.break_glass_statement, first, reason="calls drop", ticket="OPS-1", expires_at=until)

    house.refuses("ci", sealed(back, key_of("ci")), first, "ci signed it, but is no owner or reviewer")
    house.refuses("ci", sealed(back, None), first, "nobody has signed this")
    house.refuses("ci", sealed(back, key_of("olga")), first, "olga signed it, and ci hands it in")
    house.refuses("ann", sealed(glass, key_of("ann")), first, "a person with the role emergency breaks the glass")
    house.refuses("ann", sealed(glass, key_of("emma")), first, "emma signed it, and ann hands it in")

    assert house.hand_in("olga", sealed(back, key_of("olga")), first).status == 200
    assert house.champion() == first
    house.refuses("olga", sealed(back, key_of("olga")), first, "an act is carried out once")


def test_whoever_broke_the_glass_does_not_review_it(house: Gatehouse) -> None:
    version = house.version()
    until = datetime.now(UTC) + timedelta(hours=2)
    glass = act(house, acts.break_glass_statement, version, reason="calls drop", ticket="OPS-1", expires_at=until)
    assert house.hand_in("emma", sealed(glass, key_of("emma")), version).status == 200
    assert house.champion() == version
    named = {"break_glass": digest_of_bytes(glass.to_bytes()), "verdict": "accept", "comment": "looked"}
    review = act(house, acts.review_statement, version, **named)

    house.refuses("emma", sealed(review, key_of("emma")), version, "whoever broke the glass does not review it")
    house.refuses("emma", sealed(review, key_of("olga")), version, "olga signed it, and emma hands it in")
    house.refuses("ci", sealed(review, key_of("ci")), version, "ci signed it, but is no owner or reviewer")

    assert house.hand_in("bob", sealed(review, key_of("bob")), version).status == 200
    assert house.last("closing").content["how"] == "reviewed by bob: accepted"
