"""Ways round the gate that somebody found, each played once more against the store in this process."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from filed import key_of
from gated import MODEL, Hall
from mlflow.entities.model_registry import ModelVersionTag, RegisteredModelTag
from mlflow.exceptions import MlflowException

from mlflow_rank.audit import ledger
from mlflow_rank.audit.stored import verify_database
from mlflow_rank.evidence.envelope import read_envelope
from mlflow_rank.registry.gate import acceptance, question
from mlflow_rank.registry.gate.call import MOST_CHARACTERS
from mlflow_rank.registry.gate.description import BEGIN
from mlflow_rank.registry.gate.tag_parcel import Part

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")  # MLflow's own use
PROMPT, NO_FILES = "mlflow.prompt.is_prompt", "dummy-source"  # as MLflow's pages make prompts


@pytest.fixture
def hall(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hall]:
    hall = Hall.built(tmp_path, monkeypatch)
    yield hall
    assert verify_database(hall.store.engine).problems == (), "whatever was tried, the ledger is whole"
    hall.store._dispose_engine()


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(MlflowException) as caught:
        call()
    assert caught.value.error_code == "PERMISSION_DENIED", caught.value.message
    return str(caught.value.message)


def before_the_gate(hall: Hall, statement: str, *values: str) -> None:
    """Change MLflow's tables as a server without the gate did."""
    with sqlite3.connect(hall.store.engine.url.database) as connection:
        connection.execute(statement, values)
    connection.close()


def placed(hall: Hall) -> dict[str, tuple[str, str | None]]:
    """Which version the ledger has at each target, and the digest of its files."""
    with hall.store.engine.connect() as connection:
        return {each.target: (each.version, each.files) for each in ledger.placements(connection)}


# what consumers get without anybody's approval


def test_a_prompt_with_a_champion_stays_a_prompt(hall: Hall) -> None:
    hall.store.set_registered_model_tag(MODEL, RegisteredModelTag(PROMPT, "true"))
    hall.store.create_model_version(MODEL, NO_FILES)
    hall.store.set_registered_model_alias(MODEL, "champion", "1")

    for call in (
        lambda: hall.store.delete_registered_model_tag(MODEL, PROMPT),
        lambda: hall.store.set_registered_model_tag(MODEL, RegisteredModelTag(PROMPT, "no")),
        hall.version,
    ):
        assert "alias:champion" in refusal(call)
    assert [each.kind for each in hall.entries()[-3:]] == ["refusal"] * 3
    hall.store.delete_registered_model_alias(MODEL, "champion")
    hall.store.delete_registered_model_tag(MODEL, PROMPT)
    assert "only an approved version" not in refusal(
        lambda: hall.store.set_registered_model_alias(MODEL, "champion", "1")
    )


def test_leaving_production_for_staging_uncovers_no_older_version(hall: Hall) -> None:
    old, new = hall.version(), hall.proved()
    before_the_gate(hall, "UPDATE model_versions SET current_stage = 'Production' WHERE version = ?", old)
    hall.store.transition_model_version_stage(MODEL, new, "Production", False)

    said = refusal(lambda: hall.store.transition_model_version_stage(MODEL, new, "Staging", False))

    assert f"stage:Production of {MODEL} would point at version {old} instead of version {new}" in said
    assert placed(hall)["stage:Production"][0] == new


def test_files_that_are_changed_between_hashing_and_the_move_are_hashed_anew(
    hall: Hall, monkeypatch: pytest.MonkeyPatch
) -> None:
    version, hashing = hall.proved(), question.files_digest
    [file] = (hall.desk.place / "artifacts").rglob("model.safetensors")

    def hashed_then_changed(*arguments: object) -> str:
        digest = hashing(*arguments)  # type: ignore[arg-type]
        file.write_bytes(b"WEIGHTS")  # as many bytes as before
        monkeypatch.setattr(question, "files_digest", hashing)
        return digest

    monkeypatch.setattr(question, "files_digest", hashed_then_changed)

    refusal(lambda: hall.store.set_registered_model_alias(MODEL, "champion", version))

    assert hall.champion() is None


def test_a_champion_from_before_the_gate_that_is_approved_now_is_in_the_ledger(hall: Hall) -> None:
    version = hall.proved()
    before_the_gate(
        hall, "INSERT INTO registered_model_aliases (name, alias, version) VALUES (?, 'champion', ?)", MODEL, version
    )

    for _ in range(2):
        hall.store.set_registered_model_alias(MODEL, "champion", version)

    assert placed(hall) == {"alias:champion": (version, hall.desk.digest)}
    changes = [each.content["moves"] for each in hall.entries("change")[-2:]]
    assert [len(moves) for moves in changes] == [1, 0], "the second time the ledger knew"


# evidence


def test_more_signatures_under_a_statement_that_is_kept_are_kept_and_fewer_change_nothing(hall: Hall) -> None:
    version = hall.version()
    file = hall.desk.measurement(called=f"models:/{MODEL}/{version}", by="ann")
    by_ann = file.read_bytes()
    by_both = read_envelope(by_ann, named="it").signed_by(key_of("lab")).to_json()

    counts = []
    for envelope in (by_ann, by_both, by_ann):
        file.write_bytes(envelope)
        hall.submit(version, file)
        with hall.store.engine.connect() as connection:
            [kept] = ledger.evidence_of(connection, "default", MODEL, version)
        counts.append(len(read_envelope(kept.envelope, named="it").signatures))

    assert counts == [1, 2, 2]
    assert len(hall.entries("evidence")) == 2


def test_evidence_is_kept_for_the_number_however_it_is_written(hall: Hall) -> None:
    version = hall.version()
    called = f"models:/{MODEL}/{version}"
    hall.submit(f"0{version}", hall.desk.measurement(called=called), hall.desk.pilot(called=called))

    hall.store.set_registered_model_alias(MODEL, "champion", f" {version}")

    assert placed(hall) == {"alias:champion": (version, hall.desk.digest)}


def test_nothing_is_hashed_for_evidence_that_nobody_trusts(hall: Hall, monkeypatch: pytest.MonkeyPatch) -> None:
    version, hashed = hall.version(), []
    hashing = acceptance.files_digest
    monkeypatch.setattr(acceptance, "files_digest", lambda *of: hashed.append(of) or hashing(*of))

    refusal(lambda: hall.submit(version, hall.desk.measurement(by="eve")))
    assert not hashed
    hall.submit(version, hall.desk.measurement(called=f"models:/{MODEL}/{version}"))
    assert len(hashed) == 1


def test_parts_of_evidence_that_was_never_completed_can_be_taken_away(hall: Hall) -> None:
    version, part = hall.version(), Part("0" * 64, 1, 2)
    hall.store.set_model_version_tag(MODEL, version, ModelVersionTag(part.key, "x" * 90_000))

    hall.store.delete_model_version_tag(MODEL, version, part.key)

    assert hall.store.get_model_version(MODEL, version).tags == {}


def test_a_copy_does_not_say_that_it_was_approved(hall: Hall) -> None:
    version = hall.proved()
    hall.store.update_model_version(MODEL, version, "Trained on Tuesday.")
    hall.store.set_registered_model_alias(MODEL, "champion", version)
    original = hall.store.get_model_version(MODEL, version)

    copy = hall.store.copy_model_version(original, "copies")

    assert BEGIN in original.description
    assert copy.description == "Trained on Tuesday."


# calls that must not fail otherwise than by an answer


@pytest.mark.parametrize(
    ("version", "code"),
    [
        ("abc", "INVALID_PARAMETER_VALUE"),
        ("", "INVALID_PARAMETER_VALUE"),
        ("1.5", "INVALID_PARAMETER_VALUE"),
        ("9" * 5000, "INVALID_PARAMETER_VALUE"),
        ("9" * 30, "RESOURCE_DOES_NOT_EXIST"),
        ("-1", "RESOURCE_DOES_NOT_EXIST"),
    ],
)
def test_what_is_no_version_is_answered_as_such_at_every_governed_door(hall: Hall, version: str, code: str) -> None:
    store = hall.store
    for call in (
        lambda: store.set_registered_model_alias(MODEL, "champion", version),
        lambda: store.transition_model_version_stage(MODEL, version, "Production", False),
        lambda: store.set_model_version_tag(MODEL, version, ModelVersionTag("rank.evidence.x", "{}")),
    ):
        with pytest.raises(MlflowException) as caught:
            call()
        assert caught.value.error_code == code


@pytest.mark.parametrize("source", ["s3://[no-address/model", "file:///a\x00b", "models:/m-1/../m-2/x"])
def test_a_source_that_is_no_address_is_refused(hall: Hall, source: str) -> None:
    with pytest.raises(MlflowException):
        hall.store.create_model_version(MODEL, source)

    assert hall.store.search_model_versions(f"name = '{MODEL}'") == []


def test_what_is_recorded_of_a_refused_tag_is_short_and_readable(hall: Hall) -> None:
    tags = [RegisteredModelTag(f"rank.{'x' * 100_000}{number}", "") for number in range(30)]

    refusal(lambda: hall.store.create_registered_model("copies", [*tags, RegisteredModelTag("rank.\ud800", "")]))

    body = hall.entries("refusal")[-1].body
    assert body is not None
    assert len(body) < 21 * (MOST_CHARACTERS + 10) + 2000


def test_half_a_character_is_no_evidence(hall: Hall) -> None:
    version = hall.version()

    said = refusal(lambda: hall.store.set_model_version_tag(MODEL, version, ModelVersionTag("rank.evidence", "\ud800")))

    assert "surrogate" in said
    assert hall.entries()[-1].kind == "refusal"


def test_no_connection_to_the_database_is_held_while_files_are_hashed(
    hall: Hall, monkeypatch: pytest.MonkeyPatch
) -> None:
    version, hashing = hall.proved(), question.files_digest
    held: list[int] = []

    def looked_at(*arguments: object) -> str:
        held.append(hall.store.engine.pool.checkedout())
        return hashing(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(question, "files_digest", looked_at)

    hall.store.set_registered_model_alias(MODEL, "champion", version)

    assert held == [0]


# what is in order


def test_a_version_of_a_reference_to_a_run_is_one_of_the_files_that_it_stands_for(hall: Hall) -> None:
    run = hall.client.create_run(hall.experiment)
    hall.client.log_artifacts(run.info.run_id, str(hall.desk.model), "model")

    version = hall.store.create_model_version(MODEL, f"runs:/{run.info.run_id}/model", run.info.run_id)

    assert version.source == f"{run.info.artifact_uri}/model"
    called = f"models:/{MODEL}/{version.version}"
    hall.submit(version.version, hall.desk.measurement(called=called), hall.desk.pilot(called=called))
    hall.store.set_registered_model_alias(MODEL, "champion", version.version)
    assert hall.champion() == str(version.version)


def test_a_policy_that_only_audits_stops_no_version_of_files_from_elsewhere(hall: Hall) -> None:
    source = "s3://a-team/model"
    refusal(lambda: hall.store.create_model_version(MODEL, source))

    hall.desk.policy(name="policies/policy.yaml", mode="audit")

    assert hall.store.create_model_version(MODEL, source).source == source
    hall.desk.policy(name="policies/policy.yaml", mode="enforce")
    assert "not those of its run" in refusal(lambda: hall.store.set_registered_model_alias(MODEL, "champion", "1"))
