"""No sequence of calls leaves a protected target without an approving decision or a recorded emergency."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import evidence
import hypothesis
import pytest
from acting import CHAMPION, People
from filed import PEOPLE, trust, trust_text
from gated import Hall
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from lawful import PLACEHOLDER, Law, digest_in
from mlflow.entities.model_registry import ModelVersionTag, RegisteredModelTag
from mlflow.exceptions import MlflowException
from promotions import exemption

import mlflow_rank
from mlflow_rank.audit.stored import verify_database
from mlflow_rank.errors import EvidenceError
from mlflow_rank.evidence.acts import review_statement
from mlflow_rank.evidence.canonical import digest_of_bytes
from mlflow_rank.evidence.file_manifest import file_manifest
from mlflow_rank.registry.gate.ended_emergencies import end_emergencies

PROMPT = "mlflow.prompt.is_prompt"
NAMED, OTHERS = ("encoder", "twin"), ("free", "stranger")  # by policies; `free` is exempt, of `stranger` nobody speaks
ANSWERS = ("PERMISSION_DENIED", "RESOURCE_DOES_NOT_EXIST", "RESOURCE_ALREADY_EXISTS", "INVALID_PARAMETER_VALUE")
names = st.sampled_from((*NAMED[:1] * 4, *NAMED, *OTHERS))
versions = st.sampled_from(("1", "2", "3"))
spelled_versions = st.sampled_from(("1", "2", "3", 2, "02", " 1", "latest"))
aliases = st.sampled_from(("champion", "champion", "Champion", "CHAMPION ", "ｃhampion", "scratch", "blue"))
stages = st.sampled_from(("Production", "production", "Staging", "Archived", "None"))
targets = st.sampled_from((CHAMPION, CHAMPION, CHAMPION, "stage:Production", "alias:Champion", "alias:scratch"))
people = st.sampled_from((*PEOPLE, "bob", "bob", "eve", None))
keys = st.sampled_from(("note", PROMPT, "rank.evidence.0123456789ab", "Rank.flag", "rank.request.0123456789ab"))
OPENINGS = ("promoted", "asked", "rolled back", "demoted", "glass broken", "nothing")
ON = st.sampled_from((True, True, False))
STALE = ("", "", "", "other evidence", "another version", "another model", "over", "yet to come")


@pytest.fixture(scope="module")
def hall(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hall]:
    """One store for all sequences, each with models of its own."""
    with pytest.MonkeyPatch.context() as patch:
        hall = Hall.built(tmp_path_factory.mktemp("hall"), patch)
        hall.desk.write("policies/free.yaml", exemption("free-*"))
        yield hall
        hall.store._dispose_engine()


@pytest.fixture(scope="module")
def sequences() -> Iterator[int]:
    """Numbers the sequences of all tests."""
    return itertools.count(1)


def rows_worse(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"score": 0.05, "low": 0.01, "high": 0.09}


@pytest.mark.parametrize("opening", OPENINGS)
def test_no_sequence_of_calls_leaves_a_protected_target_without_a_basis(
    hall: Hall, sequences: Iterator[int], opening: str
) -> None:
    gate, store = hall.store.gate, hall.store
    tables = sqlite3.connect(hall.desk.place / "mlflow.db")
    law = Law(tables, lambda name: name.startswith(NAMED))

    class Calls(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.ending = f"-{next(sequences)}"
            self.time = datetime.now(UTC)
            store.gate = replace(gate, clock=lambda: self.time)
            self.broken: list[tuple[str, str, str]] = []  # model, version and digest of the statement
            self.runs: dict[str, tuple[str, Path, str]] = {}

        # what others need

        @initialize(approvals=st.sampled_from((0, 0, 1, 2)), automatic=ON)
        def begin(self, approvals: int, automatic: bool) -> None:
            """Two versions are good; mostly one was champion after the other, and then something has happened."""
            self.trust_bob()
            self.policy(0.5, 0, True, True, True, False)
            for files in ("good", "other"):
                self.runs[files] = self.logged(files)
            for name in (*NAMED, *OTHERS):
                store.create_registered_model(name + self.ending)
            for _ in range(2):
                self.proved("encoder")
            if opening != "nothing":
                for version in ("1", "2"):
                    store.set_registered_model_alias("encoder" + self.ending, "champion", version)
                self.goes_on()
                champion = law.placed(self.ending)["encoder" + self.ending, CHAMPION]
                assert champion == ("2" if opening == "promoted" else "1"), opening
            self.policy(0.5, approvals, automatic, True, True, False)

        def goes_on(self) -> None:
            match opening:
                case "asked":
                    self.ask_for_the_champion("1", "bob")
                case "rolled back":
                    self.go_back_to_an_earlier_champion("1")
                case "demoted":
                    self.measure_the_champion_again(False)
                case "glass broken":
                    self.break_glass("1", "emma", 24)

        def logged(self, files: str) -> tuple[str, Path, str]:
            run = hall.client.create_run(hall.experiment).info
            hall.client.log_artifacts(run.run_id, str(hall.desk.model), "model")
            directory = Path(run.artifact_uri.removeprefix("file://"), "model")
            if files == "other":
                (directory / "config.json").write_text('{"other": true}')
            return f"{run.artifact_uri}/model", directory, run.run_id

        def about(self, name: str) -> People:
            return People(hall, name + self.ending)

        def files_of(self, name: str, version: str) -> Path:
            source = store.get_model_version(name + self.ending, version).source
            return next((place for uri, place, _ in self.runs.values() if uri == source), self.runs["good"][1])

        def tries(self, call: Callable[..., object], *arguments: Any, user: str | None = None, **more: Any) -> bool:
            """Whether a call went through; what is refused is answered with a reason, and changes nothing."""
            self.time += timedelta(seconds=1)
            before = law.placed(self.ending)
            refusal = None
            try:
                with nullcontext() if user is None else People(hall).as_user(user):
                    call(*arguments, **more)
            except MlflowException as error:
                refusal = error
            if refusal is not None:
                assert refusal.error_code in ANSWERS, refusal
                assert law.placed(self.ending) == before, refusal
            return refusal is None

        # MLflow's doors

        @rule(name=names, files=st.sampled_from(("good", "other")))
        def register(self, name: str, files: str) -> None:
            source, _, run = self.runs[files]
            self.tries(store.create_model_version, name + self.ending, source, run)

        @rule(name=names, alias=aliases, version=spelled_versions)
        def set_alias(self, name: str, alias: str, version: Any) -> None:
            self.tries(store.set_registered_model_alias, name + self.ending, alias, version)

        @rule(version=versions)
        def promote(self, version: str) -> None:
            self.tries(store.set_registered_model_alias, "encoder" + self.ending, "champion", version)

        @rule(name=names, version=spelled_versions, stage=stages, archive=st.booleans())
        def transition(self, name: str, version: Any, stage: str, archive: bool) -> None:
            archive = archive and stage.capitalize() in (
                "Production",
                "Staging",
            )  # elsewhere it is no call that MLflow knows
            self.tries(store.transition_model_version_stage, name + self.ending, version, stage, archive)

        @rule(name=names, alias=aliases)
        def delete_alias(self, name: str, alias: str) -> None:
            self.tries(store.delete_registered_model_alias, name + self.ending, alias)

        @rule(name=names, version=versions, whole=st.booleans())
        def delete(self, name: str, version: str, whole: bool) -> None:
            if whole:
                self.tries(store.delete_registered_model, name + self.ending)
            else:
                self.tries(store.delete_model_version, name + self.ending, version)

        @rule(name=names, new=names, back=st.booleans(), alias=aliases, version=versions)
        def rename(self, name: str, new: str, back: bool, alias: str, version: str) -> None:
            """And, under the other name, move what the first name protects."""
            self.tries(store.rename_registered_model, name + self.ending, new + self.ending)
            if back:
                self.tries(store.set_registered_model_alias, new + self.ending, alias, version)
                self.tries(store.rename_registered_model, new + self.ending, name + self.ending)

        @rule(name=names, version=versions, new=names)
        def copy(self, name: str, version: str, new: str) -> None:
            def copied() -> None:
                there = store.get_model_version(name + self.ending, version)
                with suppress(MlflowException):  # MLflow says of every refusal that it is a failure of the server
                    store.copy_model_version(there, new + self.ending)

            self.tries(copied)

        @rule(name=names, version=versions, key=keys)
        def tag(self, name: str, version: str, key: str) -> None:
            self.tries(store.set_model_version_tag, name + self.ending, version, ModelVersionTag(key, "x"))
            self.tries(store.delete_model_version_tag, name + self.ending, version, key)

        @rule(name=names, on=st.booleans(), text=st.booleans())
        def pretend_to_be_a_prompt(self, name: str, on: bool, text: bool) -> None:
            if on:
                self.tries(store.set_registered_model_tag, name + self.ending, RegisteredModelTag(PROMPT, "true"))
            else:
                self.tries(store.delete_registered_model_tag, name + self.ending, PROMPT)
            if text:
                self.tries(store.create_model_version, name + self.ending, PLACEHOLDER)

        @rule(name=names, key=keys)
        def create(self, name: str, key: str) -> None:
            self.tries(store.create_registered_model, name + self.ending, [RegisteredModelTag(key, "true")])

        # what is handed in

        def proved(self, name: str, files: str = "good") -> None:
            source, _, run = self.runs[files]
            version = str(store.create_model_version(name + self.ending, source, run).version)
            self.hand_in_evidence(name, version, "good", "lab")

        @rule(
            name=st.sampled_from(NAMED), version=versions, sort=st.sampled_from(("good", "bad", "foreign")), by=people
        )
        def hand_in_evidence(self, name: str, version: str, sort: str, by: str | None) -> None:
            about = hall.desk.digest if sort == "foreign" else self.digest(name, version)
            called = f"models:/{name}{self.ending}/{version}"
            document = evidence.pilot(rows_worse) if sort == "bad" else None
            file = hall.desk.pilot(
                document, called=called, by=by, about=about, now=self.time - timedelta(minutes=10), name="it"
            )
            if (
                self.tries(hall.submit, version, file, name=name + self.ending)
                and sort == "good"
                and by in ("lab", "ann")
            ):
                law.good.add(digest_in(file.read_bytes()))

        @rule(version=versions)
        def prove(self, version: str) -> None:
            self.hand_in_evidence("encoder", version, "good", "lab")

        def digest(self, name: str, version: str) -> str:
            try:
                return file_manifest(self.files_of(name, version)).digest
            except MlflowException:
                return hall.desk.digest

        @rule(name=names, version=versions, by=people, at=targets)
        def ask(self, name: str, version: str, by: str | None, at: str) -> None:
            files = self.digest(name, version)
            self.tries(self.about(name).ask, version, by, target=at, files=files)

        @rule(version=versions, by=st.sampled_from((None, "bob")))
        def ask_for_the_champion(self, version: str, by: str | None) -> None:
            self.ask("encoder", version, by, CHAMPION)

        @rule(kept=st.booleans())
        def measure_the_champion_again(self, kept: bool) -> None:
            """And find it bad, or still good."""
            version = law.placed(self.ending).get(("encoder" + self.ending, CHAMPION))
            if version is not None:
                self.hand_in_evidence("encoder", version, "good" if kept else "bad", "lab")

        @rule(version=versions, by=people)
        def withdraw(self, version: str, by: str | None) -> None:
            self.tries(self.about("encoder").withdraw, version, by)

        @rule(
            version=versions, by=people, verdict=st.sampled_from(("approve", "approve", "approve", "reject")),
            stale=st.sampled_from(STALE), user=st.sampled_from((None, None, "bob", "dora")),
        )  # fmt: skip
        def approve(self, version: str, by: str | None, verdict: str, stale: str, user: str | None) -> None:
            about, other = self.about("encoder"), self.staleness(stale, version)
            if user == "dora":
                other, by = other | {"witnessed": "dora"}, None
            lasts = timedelta(minutes=-1 if stale == "over" else 600)

            def said() -> None:
                with about.at(self.time + timedelta(hours=1)) if stale == "yet to come" else nullcontext():
                    statement = about.approval(version, verdict, lasts=lasts, **other)
                about.hand_in(version, statement, by)

            if self.tries(said, user=user) and verdict == "approve" and not stale:
                law.consents.add((f"models:/encoder{self.ending}/{version}", "dora" if user == "dora" else str(by)))

        def staleness(self, stale: str, version: str) -> dict[str, Any]:
            other: dict[str, dict[str, Any]] = {
                "other evidence": {"evidence_digest": "sha256:" + "0" * 64},
                "another version": {"version": str(int(version) + 1)},
                "another model": {"model": "twin" + self.ending},
            }
            return {"digest": self.digest("encoder", version)} | other.get(stale, {})

        @rule(version=versions, by=st.sampled_from(("olga", "bob", "lab", "emma", None)), at=targets)
        def go_back(self, version: str, by: str | None, at: str) -> None:
            files = self.digest("encoder", version)
            self.tries(self.about("encoder").go_back, version, by, target=at, files=files)

        @rule(version=versions)
        def go_back_to_an_earlier_champion(self, version: str) -> None:
            self.go_back(version, "olga", CHAMPION)

        @rule(
            version=versions, by=st.sampled_from(("emma", "emma", "emma", "bob", None)),
            hours=st.sampled_from((1, 24, 24, 30)),
        )  # fmt: skip
        def break_glass(self, version: str, by: str | None, hours: int) -> None:
            about = self.about("encoder")

            def broke() -> None:
                statement = about.break_glass(version, by, hours, files=self.digest("encoder", version))
                self.broken.append(("encoder", version, digest_of_bytes(statement.to_bytes())))

            self.tries(broke)

        @rule(by=st.sampled_from(("olga", "bob", "emma")), verdict=st.sampled_from(("accept", "reject")))
        def review(self, by: str, verdict: str) -> None:
            for name, version, statement in self.broken[-1:]:
                about = self.about(name)
                aim = about.aim(version, files=self.digest(name, version))
                said = review_statement(aim, break_glass=statement, verdict=verdict, comment="looked", now=self.time)
                self.tries(about.hand_in, version, said, by)

        # what changes around it

        @rule(
            floor=st.sampled_from((0.5, 0.5, 0.5, 0.5, 0.99)), approvals=st.sampled_from((0, 0, 0, 1, 2)),
            automatic=ON, demote=st.booleans(), glass=st.booleans(), any_target=st.booleans(),
        )  # fmt: skip
        def policy(
            self, floor: float, approvals: int, automatic: bool, demote: bool, glass: bool, any_target: bool
        ) -> None:
            parts = {
                "match": {
                    "models": [f"{name}-*" for name in NAMED], "ungated_aliases": ["scratch"],
                    "targets": "any" if any_target else [CHAMPION, "stage:Production"],
                },
                "approvals": {"count": approvals, "witnessed": True},
                "promote": "automatic" if automatic else "manual",
                "on_contrary_evidence": "demote" if demote else "flag",
                "break_glass": {} if glass else None,
            }  # fmt: skip
            self.about("encoder").policy(evidence.PILOT_RULE | {"value": floor}, **parts)

        @rule()
        def trust_bob(self) -> None:
            hall.desk.write("trust.yaml", trust_text())

        @rule(reason=st.sampled_from(("retired", "compromised")))
        def revoke_bob(self, reason: str) -> None:
            revoked = {"revoked": {"at": self.time.isoformat(), "reason": reason}}
            hall.desk.write("trust.yaml", trust_text(bob=revoked))

        @rule(hours=st.sampled_from((1, 1, 3, 30, 24 * 40)))
        def time_passes(self, hours: int) -> None:
            self.time += timedelta(hours=hours)
            end_emergencies(store, self.time)

        @rule(files=st.sampled_from(("good", "good", "other")), back=ON)
        def change_bytes(self, files: str, back: bool) -> None:
            """And, where they were changed before or `back` says so, put them back."""
            source, directory, _ = self.runs[files]
            weights = directory / "model.safetensors"
            changed = weights.read_text() == "weights"
            weights.write_text("other weights" if changed else "weights")
            for (model, target), version in law.placed(self.ending).items() if changed else ():
                if model.startswith(NAMED) and store.get_model_version(model, version).source == source:
                    sort, _, where = target.partition(":")
                    refuses_to_load(hall, f"models:/{model}@{where}" if sort == "alias" else f"models:/{model}/{where}")
            if back:
                weights.write_text("weights")

        @invariant()
        def every_protected_target_has_a_basis(self) -> None:
            law.holds(self.ending)

    settings = hypothesis.settings(max_examples=4, stateful_step_count=18, deadline=None)
    if settings.derandomize:  # other calls after each opening
        hypothesis.seed(OPENINGS.index(opening))(Calls)
    with closing(tables):
        hypothesis.stateful.run_state_machine_as_test(Calls, settings=settings)
    verified = verify_database(store.engine, trust=trust())
    assert verified.holds, verified.problems


def refuses_to_load(hall: Hall, address: str) -> None:
    """Fail unless consumers who verify refuse an address, for its bytes or for want of anything that placed it."""
    with pytest.raises(EvidenceError):
        mlflow_rank.load_model(
            address, trust=hall.desk.place / "trust.yaml", tracking_uri=f"rank+sqlite:///{hall.desk.place}/mlflow.db"
        )
