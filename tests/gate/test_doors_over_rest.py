"""Every attack on the registry that we know of, played over HTTP against a real server: refused, and recorded."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import evidence
import pytest
import sqlalchemy
from filed import Desk, with_payload
from mlflow.exceptions import RestException
from promotions import exemption, files_of, rules
from servers import Answer, Database, Server, Site, Sqlite, serving

from mlflow_rank.audit import ledger
from mlflow_rank.audit.entry import Entry
from mlflow_rank.evidence.testimony import approval_statement
from mlflow_rank.registry.gate.tag_parcel import parcels

pytestmark = pytest.mark.filterwarnings("ignore:.*stages.*:FutureWarning")

PRODUCTION = "stage:Production"
MATCH = {
    "models": ["encoder*"],
    "targets": ["alias:champion", "stage:Staging", PRODUCTION],
    "ungated_aliases": ["candidate", "exp-*"],
}
NUMBERS = itertools.count(1)


@dataclass(frozen=True)
class House:
    """A gated server, the desk whose policies it goes by, and its database."""

    server: Server
    database: Database
    desk: Desk
    files: Mapping[str, str]

    def entries(self, model: str | None) -> list[Entry]:
        engine = sqlalchemy.create_engine(self.database.uri, poolclass=sqlalchemy.NullPool)
        with engine.connect() as connection:
            return list(ledger.entries(connection, model=model))

    def create(self, name: str, **more: Any) -> Answer:
        return self.server.call("POST", "registered-models/create", {"name": name, **more})


@dataclass(frozen=True)
class Model:
    """A registered model of its own, so that no test sees another's champion."""

    house: House
    name: str

    def post(self, call: str, method: str = "POST", **body: Any) -> Answer:
        return self.house.server.call(method, call, {"name": self.name, **body})

    def version(self, **more: Any) -> str:
        answer = self.post("model-versions/create", **{**self.house.files, **more})
        assert answer.status == 200, answer.text
        return str(answer.body["model_version"]["version"])

    def submit(self, version: str, *files: Path) -> Answer:
        """Hand in evidence, and return the last answer."""
        answers = [
            self.post("model-versions/set-tag", version=version, key=key, value=value)
            for file in files
            for key, value in parcels(file.read_bytes())
        ]
        return answers[-1]

    def pilot(self, version: str, **how: Any) -> Path:
        called = how.pop("called", f"models:/{self.name}/{version}")
        return self.house.desk.pilot(name=f"pilot_{next(NUMBERS)}", called=called, **how)

    def proved(self) -> str:
        """A version with evidence that the policy approves of."""
        version = self.version()
        answer = self.submit(version, self.pilot(version))
        assert answer.status == 200, answer.text
        return version

    def champion(self) -> str:
        """A version that is champion."""
        version = self.proved()
        answer = self.alias("champion", version)
        assert answer.status == 200, answer.text
        return version

    def alias(self, alias: str, version: str) -> Answer:
        return self.post("registered-models/alias", alias=alias, version=version)

    def stage(self, stage: str, version: str, *, archive: bool = False) -> Answer:
        return self.post(
            "model-versions/transition-stage", version=version, stage=stage, archive_existing_versions=archive
        )

    def seen(self) -> dict[str, Any]:
        """Aliases and stages as any client sees them."""
        got = self.house.server.call("GET", f"registered-models/get?name={self.name}").body["registered_model"]
        aliases = {each["alias"]: each["version"] for each in got.get("aliases", [])}
        stages = {each["current_stage"]: each["version"] for each in got.get("latest_versions", [])}
        return {"aliases": aliases, "stages": {name: at for name, at in stages.items() if name != "None"}}

    @property
    def entries(self) -> list[Entry]:
        return self.house.entries(self.name)


@pytest.fixture(scope="module")
def house(sqlite: Sqlite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    desk, database = Desk.laid(tmp_path_factory.mktemp("desk")), sqlite.new()
    policy = evidence.policy_text(evidence.PILOT_RULE, match=MATCH)
    site = Site(tmp_path_factory.mktemp("server"), database, environment=rules(desk, policy, exemption("free*")))
    with serving(site) as [server]:
        yield House(server, database, desk, files_of(server, desk))


@pytest.fixture
def model(house: House) -> Model:
    name = f"encoder-{next(NUMBERS)}"
    assert house.create(name).status == 200
    return Model(house, name)


@pytest.fixture
def free(house: House) -> Model:
    """A model that the gate leaves alone."""
    name = f"free-{next(NUMBERS)}"
    assert house.create(name).status == 200
    return Model(house, name)


def refused(answer: Answer, model: Model, *, kind: str = "refusal") -> str:
    """The sentence of a refusal, which is one line and the last thing that the ledger says of the model."""
    assert (answer.status, answer.code) == (403, "PERMISSION_DENIED"), answer.text
    said = str(answer.body["message"])
    assert said.startswith("Refused: ")
    assert "\n" not in said
    last = model.entries[-1]
    assert last.kind == kind
    assert last.content["sentence"] == said
    return said


# aliases and stages


def test_an_alias_without_evidence(model: Model) -> None:
    version = model.version()

    answer = model.alias("champion", version)

    said = refused(answer, model)
    decision = answer.body["rank_decision"]
    assert said.endswith(f"; decision {decision['id']}")
    assert decision["verdict"] == "deny"
    assert decision["findings"] == [
        {"rule": evidence.PILOT_RULE["id"], "result": "unknown", "cause": "missing_evidence"}
    ]
    assert model.seen()["aliases"] == {}


def test_an_alias_with_evidence_is_set_and_the_ledger_says_why(model: Model) -> None:
    version = model.champion()

    assert model.seen()["aliases"] == {"champion": version}
    evidence_taken, decision, change = model.entries[-3:]
    assert [evidence_taken.kind, decision.kind, change.kind] == ["evidence", "decision", "change"]
    assert change.content["decision"] == decision.reference
    assert decision.content["decision"]["evidence"][0]["digest"] == evidence_taken.reference


@pytest.mark.parametrize(
    "alias",
    ["Champion", "CHAMPION", "\N{CYRILLIC SMALL LETTER ES}hampion", "\N{FULLWIDTH LATIN SMALL LETTER C}hampion",
     "champi\N{GREEK SMALL LETTER OMICRON}n", "cham\N{LATIN SMALL LETTER DOTLESS I}pion"],
)  # fmt: skip
def test_an_alias_that_looks_like_the_champions(model: Model, alias: str) -> None:
    version = model.proved()

    refused(model.alias(alias, version), model)

    assert model.seen()["aliases"] == {}


def test_an_alias_that_nobody_has_thought_of_is_closed_and_one_on_the_list_is_open(model: Model) -> None:
    version = model.version()

    refused(model.alias("live", version), model)
    assert model.alias("candidate", version).status == 200
    assert model.alias("exp-7", version).status == 200
    assert set(model.seen()["aliases"]) == {"candidate", "exp-7"}


@pytest.mark.parametrize("stage", ["Production", "production", "PRODUCTION", "Staging"])
def test_a_stage_without_evidence(model: Model, stage: str) -> None:
    version = model.version()

    refused(model.stage(stage, version), model)

    assert model.seen()["stages"] == {}


def test_a_stage_with_evidence_and_the_way_from_staging_to_production(model: Model) -> None:
    version = model.proved()

    assert model.stage("Staging", version).status == 200
    assert model.stage("Production", version).status == 200
    assert model.seen()["stages"] == {"Production": version}


def test_archiving_is_part_of_an_approved_move_and_of_no_other(model: Model) -> None:
    first, second, third = model.proved(), model.proved(), model.version()
    assert model.stage("Production", first).status == 200

    refused(model.stage("Production", third, archive=True), model)
    assert model.seen()["stages"] == {"Production": first}
    assert model.stage("Production", second, archive=True).status == 200
    assert model.seen()["stages"] == {"Production": second, "Archived": first}


def test_taking_the_last_version_out_of_production(model: Model) -> None:
    first, second = model.proved(), model.proved()
    for version in (first, second):
        assert model.stage("Production", version).status == 200

    assert model.stage("Archived", first).status == 200, "consumers get the second all the same"
    refused(model.stage("Archived", second), model)
    refused(model.stage("None", second), model)


def test_a_body_that_is_encoded_twice(model: Model) -> None:
    version = model.version()
    body = json.dumps(json.dumps({"name": model.name, "alias": "champion", "version": version})).encode()

    answer = model.house.server.raw("POST", "/api/2.0/mlflow/registered-models/alias", body)

    assert answer.status in (400, 403)
    assert model.seen()["aliases"] == {}


@pytest.mark.parametrize("prefix", ["/ajax-api/2.0/mlflow/", "/api/2.0/preview/mlflow/"])
def test_the_other_addresses_of_the_same_call(model: Model, prefix: str) -> None:
    version = model.version()
    body = {"name": model.name, "alias": "champion", "version": version}

    answer = model.house.server.raw("POST", f"{prefix}registered-models/alias", body)

    assert answer.status in (403, 404, 405)
    assert model.seen()["aliases"] == {}


# names, copies, deletions


def test_renaming_away_a_champion(model: Model) -> None:
    model.champion()

    refused(model.post("registered-models/rename", new_name=f"{model.name}-old"), model)


def test_renaming_a_free_model_with_a_champion_into_a_governed_name(free: Model) -> None:
    version = free.version()
    assert free.alias("champion", version).status == 200

    refused(free.post("registered-models/rename", new_name=f"encoder-{next(NUMBERS)}"), free)


def test_renaming_a_model_without_champion_carries_ungated_aliases_along(model: Model) -> None:
    version, new = model.version(), f"{model.name}-new"
    assert model.alias("candidate", version).status == 200

    assert model.post("registered-models/rename", new_name=new).status == 200
    assert Model(model.house, new).seen()["aliases"] == {"candidate": version}


def test_a_copy_brings_no_alias_and_leaves_the_gates_tags_behind(model: Model) -> None:
    model.champion()
    client, target = model.house.server.client(), f"{model.name}-copy"

    copied = client.copy_model_version(f"models:/{model.name}@champion", target)

    assert not [key for key in copied.tags if key.startswith("rank.")]
    assert Model(model.house, target).seen() == {"aliases": {}, "stages": {}}
    refused(Model(model.house, target).alias("champion", str(copied.version)), Model(model.house, target))


@pytest.mark.parametrize(
    ("call", "method", "body"),
    [
        ("registered-models/alias", "DELETE", {"alias": "champion"}),
        ("model-versions/delete", "DELETE", {"version": "1"}),
        ("registered-models/delete", "DELETE", {}),
    ],
)
def test_deleting_a_champion(model: Model, call: str, method: str, body: dict[str, str]) -> None:
    version = model.champion()

    refused(model.post(call, method, **body), model)

    assert model.seen()["aliases"] == {"champion": version}


def test_deleting_what_nobody_consumes(model: Model) -> None:
    version = model.version()

    assert model.post("model-versions/delete", "DELETE", version=version).status == 200
    assert model.post("registered-models/delete", "DELETE").status == 200


# prompts


def test_the_tag_of_prompts_makes_no_prompt_of_an_encoder(model: Model) -> None:
    version = model.version()
    tag = {"key": "mlflow.prompt.is_prompt", "value": "true"}
    assert model.post("registered-models/set-tag", **tag).status == 200

    refused(model.alias("champion", version), model)


def test_a_real_prompt_is_left_alone(house: House) -> None:
    client, name = house.server.client(), f"encoder-prompt-{next(NUMBERS)}"
    client.register_prompt(name, "Say {{it}}.")

    client.set_prompt_alias(name, "champion", 1)

    assert client.get_prompt_version_by_alias(name, "champion").version == 1


# tags


@pytest.mark.parametrize("key", ["rank.evidence.pilot", "Rank.Evidence.pilot", "rank.anything", "rank.decision"])
def test_tags_of_the_gate_at_creation(model: Model, key: str) -> None:
    answer = model.post("model-versions/create", **model.house.files, tags=[{"key": key, "value": "ok"}])

    refused(answer, model)
    name = f"encoder-{next(NUMBERS)}"
    refused(model.house.create(name, tags=[{"key": key, "value": "ok"}]), Model(model.house, name))
    assert model.house.server.call("GET", f"registered-models/get?name={name}").status == 404


def test_tags_of_the_gate_are_nobodys(model: Model) -> None:
    version = model.proved()
    tags = model.house.server.client().get_model_version(model.name, version).tags
    [key] = [key for key in tags if key.startswith("rank.")]
    assert tags[key].startswith("ok sha256:")
    assert len(tags[key]) < 80

    refused(model.post("model-versions/set-tag", version=version, key="rank.verdict", value="approve"), model)
    refused(model.post("model-versions/delete-tag", "DELETE", version=version, key=key), model)
    refused(model.post("registered-models/set-tag", key="rank.x", value="y"), model)
    refused(model.post("registered-models/delete-tag", "DELETE", key="rank.x"), model)


# evidence


def test_evidence_that_a_stranger_signed_or_nobody(model: Model) -> None:
    version = model.version()

    for by in ("eve", None):
        refused(model.submit(version, model.pilot(version, by=by)), model, kind="evidence_refused")


def test_evidence_signed_by_somebody_in_another_role(model: Model) -> None:
    version = model.version()

    said = refused(model.submit(version, model.pilot(version, by="bob")), model, kind="evidence_refused")

    assert "bob signed it, but is no measurer" in said


def test_evidence_that_was_changed_after_it_was_signed(model: Model) -> None:
    version = model.version()
    path = model.pilot(version)
    statement = json.loads(json.dumps(_statement(path)).replace('"score": 0.8', '"score": 0.99'))
    with_payload(path, statement)

    refused(model.submit(version, path), model, kind="evidence_refused")


def test_evidence_of_another_version_and_of_other_files(model: Model) -> None:
    version = model.version()
    elsewhere = model.pilot(version, called="models:/encoder-another/7")
    others = model.pilot(version, about=evidence.digest("other files"))

    assert "not about models:/" in refused(model.submit(version, elsewhere), model, kind="evidence_refused")
    assert "other files" in refused(model.submit(version, others), model, kind="evidence_refused")


def test_evidence_with_a_score_that_is_no_number(model: Model) -> None:
    version = model.version()
    path = model.pilot(version)
    statement = _statement(path)
    statement["predicate"]["document"]["rows"][0]["score"] = float("nan")
    with_payload(path, statement)

    refused(model.submit(version, path), model, kind="evidence_refused")


def test_evidence_that_is_no_evidence(model: Model) -> None:
    version = model.version()

    for value in ("approve", "xz;base64,AAAA", "{}", "[" * 10_000):
        answer = model.post("model-versions/set-tag", version=version, key="rank.evidence.x", value=value)
        assert answer.status == 403, answer.text


def test_evidence_of_a_decision_is_nothing_that_anybody_hands_in(model: Model) -> None:
    version = model.champion()
    [decision] = [each for each in model.entries if each.kind == "decision"]
    path = model.house.desk.write("decision.json", str(decision.content["envelope"]))

    said = refused(model.submit(version, path), model, kind="evidence_refused")
    assert "a decision is nothing that anybody submits" in said


def test_metrics_and_tags_of_a_run_are_no_evidence(model: Model) -> None:
    version, client = model.version(), model.house.server.client()
    run = model.house.files["run_id"]
    client.log_metric(run, "pilot_keyword/pilot_best", 0.99)
    client.set_tag(run, "mlflow_rank.decision", "approve")

    refused(model.alias("champion", version), model)


def test_the_same_evidence_twice_is_taken_once(model: Model) -> None:
    version = model.version()
    path = model.pilot(version)

    assert [model.submit(version, path).status for _ in range(2)] == [200, 200]
    assert [each.kind for each in model.entries].count("evidence") == 1


def test_a_rejection_by_a_reviewer_stops_the_model(model: Model) -> None:
    version = model.proved()
    said = approval_statement(
        {
            "model": model.name, "target": "alias:champion", "digest": model.house.desk.digest,
            "policies": [evidence.digest("any")], "evidence_digest": evidence.digest("any"),
        },
        verdict="reject", comment="no", now=evidence.datetime.now(evidence.UTC),
        expires_at=evidence.datetime.now(evidence.UTC) + evidence.DAY,
    )  # fmt: skip
    from filed import key_of

    from mlflow_rank.workflow.evidencing import sealed

    path = model.house.desk.write(f"rejection_{next(NUMBERS)}.json", sealed(said, key_of("bob")))
    assert model.submit(version, path).status == 200

    assert "rejected by bob" in refused(model.alias("champion", version), model)


# files


def test_files_that_changed_after_they_were_measured(model: Model, tmp_path: Path) -> None:
    client, desk = model.house.server.client(), model.house.desk
    run = client.create_run("0")
    client.log_artifacts(run.info.run_id, str(desk.model), "model")
    version = model.version(source=f"{run.info.artifact_uri}/model", run_id=run.info.run_id)
    assert model.submit(version, model.pilot(version)).status == 200
    (tmp_path / "model.safetensors").write_text("other weights")
    client.log_artifact(run.info.run_id, str(tmp_path / "model.safetensors"), "model")

    refused(model.alias("champion", version), model)


@pytest.mark.parametrize(
    "source",
    ["/etc", "file:///etc", "s3://bucket/elsewhere", "mlflow-artifacts:/0/another/artifacts/model", "runs:/x/m"],
)
def test_a_version_of_files_that_are_not_the_runs(model: Model, source: str) -> None:
    answer = model.post("model-versions/create", source=source, run_id=model.house.files["run_id"])

    assert answer.status in (400, 403), answer.text
    assert model.seen()["stages"] == {}


# what people see


def test_the_python_client_says_the_sentence(model: Model) -> None:
    version = model.version()

    with pytest.raises(RestException, match=r"Refused: no evidence for pilot; decision [0-9a-f]{12}"):
        model.house.server.client().set_registered_model_alias(model.name, "champion", version)


def test_the_description_has_the_findings_and_keeps_what_people_wrote(model: Model) -> None:
    version, client = model.version(), model.house.server.client()
    client.update_model_version(model.name, version, "Trained on Tuesday.")

    refused(model.alias("champion", version), model)
    first = client.get_model_version(model.name, version).description
    assert model.submit(version, model.pilot(version)).status == 200
    assert model.alias("champion", version).status == 200
    second = client.get_model_version(model.name, version).description

    for said, verdict in ((first, "COULD NOT DECIDE"), (second, "APPROVED")):
        assert said.startswith("Trained on Tuesday.")
        assert evidence.PILOT_RULE["id"] in said
        assert verdict in said
        assert said.count("mlflow-rank: decision") == 1


def test_a_broken_policy_keeps_the_gate_shut_and_says_so_until_it_is_mended(model: Model) -> None:
    version, path = model.proved(), model.house.desk.place / "policies" / "policy_0.yaml"
    whole = path.read_text()
    try:
        path.write_text(whole.replace("kind: PromotionPolicy", "kind: Promotion"))
        said = refused(model.alias("champion", version), model)
        assert "the gate is shut" in said
        assert "policy_0.yaml" in said
    finally:
        path.write_text(whole)

    assert model.alias("champion", version).status == 200
    rules = [each.content for each in model.house.entries(None) if each.kind == "policies"]
    assert [bool(each["problems"]) for each in rules[-2:]] == [True, False]


def _statement(path: Path) -> Any:
    from filed import opened

    return opened(path)[1]


# handing evidence in on the command line


def submitted(model: Model, *arguments: str) -> Any:
    from click.testing import CliRunner

    from mlflow_rank.cli.main import main

    return CliRunner().invoke(main, ["submit", *arguments, "--tracking-uri", model.house.server.url])


def test_submit_sends_what_the_versions_run_holds_about_it(model: Model) -> None:
    client, desk = model.house.server.client(), model.house.desk
    run = client.create_run("0")
    client.log_artifacts(run.info.run_id, str(desk.model), "model")
    version = model.version(source=f"{run.info.artifact_uri}/model", run_id=run.info.run_id)
    for path in (model.pilot(version), model.pilot(version, called="models:/encoder-another/7")):
        client.log_artifact(run.info.run_id, str(path), "mlflow_rank/evidence")

    done = submitted(model, f"models:/{model.name}/{version}")

    assert done.exit_code == 0, done.output
    assert "1 of 1 taken" in done.stderr
    assert model.alias("champion", version).status == 200


def test_submit_says_what_the_gate_refused_and_ends_with_1(model: Model) -> None:
    version = model.version()
    good, bad = model.pilot(version), model.pilot(version, by="eve")

    done = submitted(model, f"models:/{model.name}/{version}", "--evidence", f"{good},{bad}")

    assert done.exit_code == 1
    assert "taken" in done.stdout
    assert "Refused: this evidence is not taken" in done.stdout
    assert "1 of 2 taken" in done.stderr


@pytest.mark.parametrize(("address", "code"), [("encoder", 2), ("models:/nobody/7", 2), ("models:/nobody@champion", 2)])
def test_submit_of_no_version(model: Model, address: str, code: int) -> None:
    assert submitted(model, address).exit_code == code


def test_submit_without_evidence_says_how_to_make_some(model: Model) -> None:
    done = submitted(model, f"models:/{model.name}/{model.version()}")

    assert done.exit_code == 2
    assert "there is no evidence about" in done.stderr
    assert "mlflow-rank assess" in done.stderr
