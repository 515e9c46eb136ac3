"""Promotions by the gate itself, many at once: one champion, each on its decision, each request ended once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import evidence
import pytest
import sqlalchemy
from filed import Desk, key_of
from lawful import digest_in
from promotions import Kept, files_of

from mlflow_rank.audit import ledger
from mlflow_rank.audit.matters import open_matters
from mlflow_rank.evidence.acts import Aim, request_statement
from mlflow_rank.evidence.canonical import digest_of
from mlflow_rank.evidence.testimony import approval_statement
from mlflow_rank.policy.load import load_policy
from mlflow_rank.registry.gate.tag_parcel import parcels
from mlflow_rank.workflow.evidencing import sealed

if TYPE_CHECKING:
    from servers import Answer

pytestmark = pytest.mark.xdist_group("gate servers")
CHAMPION = "alias:champion"
MANY = 50


@dataclass(frozen=True)
class Course:
    """A model whose promotions happen by themselves, on the server that tests of races share."""

    registry: Any
    model: str

    @classmethod
    def laid(cls, registry: Any, model: str, **parts: Any) -> Course:
        """A policy about this model alone lies beside those that lie there."""
        match = {"models": [model], "targets": [CHAMPION]}
        terms = {"match": match, "metadata": {"name": model}, "promote": "automatic"} | parts
        registry.desk.write(f"policies/{model}.yaml", evidence.policy_text(evidence.PILOT_RULE, **terms))
        registry.server.call("POST", "registered-models/create", {"name": model})
        return cls(registry, model)

    @property
    def desk(self) -> Desk:
        return self.registry.desk

    def version(self, files: Mapping[str, str] | None = None) -> str:
        body = {"name": self.model} | dict(files or self.registry.files)
        made = self.registry.server.call("POST", "model-versions/create", body)
        assert made.status == 200, made.text
        return str(made.body["model_version"]["version"])

    def pilot(self, version: str, **how: Any) -> bytes:
        called = f"models:/{self.model}/{version}"
        return self.desk.pilot(name=f"{self.model}_{version}", called=called, **how).read_bytes()

    def request(self, version: str) -> bytes:
        aim = Aim("default", self.model, version, self.desk.digest, CHAMPION)
        return sealed(request_statement(aim, comment="", now=datetime.now(UTC)), None)

    def approval(self, version: str, pilot: bytes, by: str) -> bytes:
        """A word on a version of which this pilot is all that was handed in."""
        policy = load_policy((self.desk.place / f"policies/{self.model}.yaml").read_text(), named="it")
        about = {
            "model": self.model, "target": CHAMPION, "digest": self.desk.digest, "version": version,
            "policies": [policy.digest], "evidence_digest": digest_of([digest_in(pilot)]),
        }  # fmt: skip
        now = datetime.now(UTC)
        how = {"verdict": "approve", "comment": "heard", "now": now, "expires_at": now + timedelta(days=1)}
        return sealed(approval_statement(about, **how), key_of(by))

    def hand_in(self, version: str, *envelopes: bytes) -> list[Answer]:
        bodies = [
            {"name": self.model, "version": version, "key": key, "value": value}
            for envelope in envelopes
            for key, value in parcels(envelope)
        ]
        return [self.registry.server.call("POST", "model-versions/set-tag", body) for body in bodies]

    def promote(self, version: str) -> list[Answer]:
        body = {"name": self.model, "alias": "champion", "version": version}
        return [self.registry.server.call("POST", "registered-models/alias", body)]

    def champion(self) -> str | None:
        return Kept.of(self.registry.database, self.model).aliases.get((self.model, CHAMPION))

    def entries(self, kind: str) -> list[Any]:
        engine = sqlalchemy.create_engine(self.registry.database.uri, poolclass=sqlalchemy.NullPool)
        with engine.connect() as connection:
            return [each for each in ledger.entries(connection, model=self.model) if each.kind == kind]

    def open(self, kind: Any) -> list[str]:
        engine = sqlalchemy.create_engine(self.registry.database.uri, poolclass=sqlalchemy.NullPool)
        with engine.connect() as connection:
            return [each.version for each in open_matters(connection, model=self.model, kind=kind)]

    def explained(self) -> list[Any]:
        """Fail unless every move has its decision, follows the one before, and what was asked was ended once."""
        kept = Kept.of(self.registry.database, self.model)
        assert kept.problems == ()
        assert kept.aliases == kept.placements
        moves, before = [], None
        approved = {each.reference: each.content["decision"] for each in self.entries("decision")}
        for change in self.entries("change"):
            for move in change.content["moves"]:
                assert move["before"] == before, moves
                said = approved[change.content["decision"]]
                assert (said["verdict"], said["request"]["version"]) == ("approve", move["after"])
                before = move["after"]
                moves.append(change)
        assert before == kept.aliases.get((self.model, CHAMPION))
        closed = [each.reference for each in self.entries("closing")]
        assert len(closed) == len(set(closed)), "closed twice"
        return moves


def at_once(calls: Sequence[Callable[[], list[Answer]]], most: int = 8) -> list[Answer]:
    with ThreadPoolExecutor(most) as clients:
        asked = [clients.submit(call) for call in calls]
        return [answer for each in asked for answer in each.result()]


def refused(answers: Iterable[Answer]) -> list[str]:
    return [answer.text for answer in answers if answer.status != 200]


def test_of_fifty_versions_whose_last_piece_comes_at_once_one_is_champion(registry) -> None:
    course = Course.laid(registry, "racer")
    versions = [course.version() for _ in range(MANY)]
    assert refused(at_once([partial(course.hand_in, each, course.request(each)) for each in versions])) == []
    pilots = {each: course.pilot(each) for each in versions}

    answers = at_once([partial(course.hand_in, each, pilots[each]) for each in versions])

    assert refused(answers) == []
    moves = course.explained()
    assert sorted(each.version for each in moves) == sorted(versions), "each was promoted in its turn, and once"
    assert {each.content["door"] for each in moves} == {"automatic_promotion"}
    assert course.champion() == moves[-1].version
    assert course.open("request") == []
    assert len(course.entries("closing")) == MANY


def test_two_reviewers_who_approve_at_once_promote_once(registry) -> None:
    course = Course.laid(registry, "pair", approvals={"count": 2})
    for _ in range(2):
        version = course.version()
        pilot = course.pilot(version)
        assert refused(course.hand_in(version, pilot, course.request(version))) == []
        words = [course.approval(version, pilot, by) for by in ("ann", "bob")]

        assert refused(at_once([partial(course.hand_in, version, word) for word in words])) == []

        assert course.champion() == version
        assert [each.version for each in course.explained()].count(version) == 1
        decision = course.entries("decision")[-1].content["decision"]
        assert decision["policies"][0]["approvals"]["by"] == ["ann", "bob"]


def test_a_promotion_by_hand_outlives_the_demotion_of_what_it_replaced(registry, tmp_path: Path) -> None:
    course = Course.laid(registry, "slope", promote="manual", on_contrary_evidence="demote")
    other = Desk.laid(tmp_path)  # what speaks against a version speaks against all that have its bytes
    for round_ in range(2):
        other.write("model/config.json", f'{{"other": {round_}}}')
        first, second, third = course.version(), course.version(files_of(registry.server, other)), course.version()
        for each, about in ((first, None), (second, other.digest), (third, None)):
            assert refused(course.hand_in(each, course.pilot(each, about=about))) == []
        assert refused([*course.promote(first), *course.promote(second)]) == []
        bad = evidence.pilot(worse_than_chance)
        worse = course.pilot(second, document=bad, about=other.digest, now=datetime.now(UTC))
        calls = [partial(course.hand_in, second, worse), partial(course.promote, third)]

        assert refused(at_once(calls[:: (-1) ** round_])) == []

        course.explained()
        assert course.champion() == third
        assert course.entries("change")[-1].content["door"] == "set_registered_model_alias"


def worse_than_chance(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"score": 0.05, "low": 0.01, "high": 0.09}
