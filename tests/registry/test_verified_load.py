"""Loading what was approved: a real registry behind the gate, and all that must keep a model from being loaded."""

from __future__ import annotations

import gc
import json
import os
import shutil
import sqlite3
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import evidence
import mlflow
import numpy as np
import pandas as pd
import pytest
import yaml
from filed import Desk, key_of, trust, trust_text
from mlflow import MlflowClient

import mlflow_rank
from mlflow_rank.errors import EvidenceError, UsageError
from mlflow_rank.evidence.envelope import Envelope
from mlflow_rank.evidence.file_manifest import file_manifest
from mlflow_rank.evidence.statement import MEASUREMENT, Statement, Subject
from mlflow_rank.evidence.testimony import decision_statement
from mlflow_rank.registry.clients.claimed_approval import Claim, check_basis
from mlflow_rank.registry.clients.served_form import check_form
from mlflow_rank.registry.clients.verified_load import Address
from mlflow_rank.registry.gate.tag_parcel import parcels
from mlflow_rank.registry.runs.flavor import log_encoder
from mlflow_rank.registry.runs.tracking import record_measurement

WAVEFORM = np.random.default_rng(0).uniform(-0.1, 0.1, 3000).astype(np.float32)


@dataclass(frozen=True)
class Registry:
    """A registry behind the gate with `tiny` and `pickled`, each with version 1 as champion; both were approved."""

    place: Path
    files: Path
    pickled_files: Path

    @property
    def database(self) -> Path:
        return self.place / "mlflow.db"

    @property
    def uri(self) -> str:
        return f"rank+sqlite:///{self.database}"

    @property
    def mark(self) -> Path:
        """What appears where something of a model has run that must not."""
        return self.place / "it ran"

    def load(self, address: str = "models:/tiny@champion", **how: Any) -> Any:
        return mlflow_rank.load_model(address, **{"trust": self.place / "trust.yaml", "tracking_uri": self.uri} | how)

    def refuses(self, address: str = "models:/tiny@champion", **how: Any) -> EvidenceError:
        """Fail unless it is refused, and nothing has run; return what is said."""
        with pytest.raises(EvidenceError) as raised:
            self.load(address, **how)
        assert not self.mark.exists()
        return raised.value

    def execute(self, statement: str, *values: object) -> None:
        """Change the database, past MLflow and the gate."""
        with closing(sqlite3.connect(self.database)) as connection, connection:
            connection.execute(statement, values)

    @contextmanager
    def tampered(self, statement: str, *values: object) -> Iterator[None]:
        kept = self.database.read_bytes()
        self.execute(statement, *values)
        try:
            yield
        finally:
            self.database.write_bytes(kept)


@pytest.fixture(scope="module")
def registry(
    tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Path, make_measurement: Callable[..., dict[str, Any]]
) -> Iterator[Registry]:
    place = tmp_path_factory.mktemp("approved")
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
            patch.delenv(name)
        patch.chdir(place)
        desk = Desk.laid(place)
        match = {"models": ["tiny", "pickled"], "targets": ["alias:champion", "stage:Production"]}
        desk.write("policies/policy.yaml", evidence.policy_text(evidence.PILOT_RULE, match=match))
        patch.setenv("MLFLOW_RANK_POLICIES", str(place / "policies"))
        patch.setenv("MLFLOW_RANK_TRUST", str(place / "trust.yaml"))
        patch.setenv("MLFLOW_RANK_GATE_KEY", str(place / "gate.key"))
        plain = f"sqlite:///{place}/mlflow.db"
        patch.setenv("MLFLOW_TRACKING_URI", plain)
        document = make_measurement()
        run = record_measurement(document)
        logged = log_encoder(tiny_encoder, document, run=run, registered_model_name="tiny")
        client = MlflowClient(plain, registry_uri=f"rank+{plain}")
        client.log_artifacts(run.run_id, str(_pickled(place)), "pickled")
        client.create_registered_model("pickled")
        address = f"{client.get_run(run.run_id).info.artifact_uri}/pickled"
        client.create_model_version("pickled", address, run_id=run.run_id)
        files = [Path(client.get_model_version_download_uri(name, "1")) for name in ("tiny", "pickled")]
        assert file_manifest(files[0]).digest == logged.files_digest
        for name, directory in zip(("tiny", "pickled"), files, strict=True):
            about = file_manifest(directory).digest
            pilot = desk.pilot(name=name, called=f"models:/{name}/1", about=about).read_bytes()
            for key, value in parcels(pilot):
                client.set_model_version_tag(name, "1", key, value)
            client.set_registered_model_alias(name, "champion", "1")
        log_encoder(tiny_encoder, document, run=run, registered_model_name="tiny")  # version 2, never decided on
        yield Registry(place, files[0], files[1])


def _pickled(place: Path) -> Path:
    """Save a model whose pickle leaves a mark behind when it is opened."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")

        class Pickled(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
            def __reduce__(self) -> tuple[object, ...]:
                return Path.touch, (place / "it ran",)

            def predict(self, context, model_input):  # type: ignore[no-untyped-def]
                return model_input

        mlflow.pyfunc.save_model(place / "pickled", python_model=Pickled(), pip_requirements=["mlflow"])
    return place / "pickled"


@contextmanager
def changed(path: Path, content: bytes) -> Iterator[None]:
    kept = path.read_bytes()
    path.write_bytes(content)
    try:
        yield
    finally:
        path.write_bytes(kept)


# what is loaded


@pytest.mark.parametrize("address", ["models:/tiny@champion", "models:/tiny@Champion", "models:/tiny/1"])
def test_an_approved_encoder_is_loaded_as_mlflow_loads_it(registry: Registry, address: str, tmp_path: Path) -> None:
    heard = pd.DataFrame({"audio": [WAVEFORM]})

    loaded = registry.load(address).predict(heard)

    copy = shutil.copytree(registry.files, tmp_path / "copy")  # MLflow leaves compiled code beside what it loads
    expected = mlflow.pyfunc.load_model(str(copy)).predict(heard)
    assert list(loaded.columns) == list(expected.columns)
    for name in expected:
        np.testing.assert_array_equal(loaded[name][0], expected[name][0])


def test_nobody_else_can_write_to_what_is_loaded_and_nothing_stays_behind(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    model = registry.load()
    (kept,) = tmp_path.glob("mlflow_rank-*")
    assert kept.stat().st_mode & 0o077 == 0
    del model
    gc.collect()

    assert list(tmp_path.glob("mlflow_rank-*")) == []


def test_users_settings_for_pickles_are_as_before(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "true")

    registry.load()

    assert os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] == "true"


# what is not


def test_one_changed_byte_is_enough(registry: Registry) -> None:
    weights = next(registry.files.rglob("*.safetensors"))
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1

    with changed(weights, bytes(content)):
        error = registry.refuses()

    assert error.what == "these are not the files that were approved"
    assert error.got != error.expected == file_manifest(registry.files).digest


def test_code_that_was_added_never_runs(registry: Registry) -> None:
    code = registry.files / "served_encoder.py"
    evil = f"\nimport pathlib\npathlib.Path({str(registry.mark)!r}).touch()\n".encode()

    with changed(code, code.read_bytes() + evil):
        error = registry.refuses()

    assert error.what == "these are not the files that were approved"


def test_a_pickle_is_not_opened_even_where_it_was_approved(registry: Registry) -> None:
    error = registry.refuses("models:/pickled@champion")

    assert error.what == "this model would be loaded by unpickling"


def test_the_pickle_of_these_tests_does_run_where_it_is_opened(registry: Registry) -> None:
    import pickle

    pickle.loads((registry.pickled_files / "python_model.pkl").read_bytes())

    assert registry.mark.exists()
    registry.mark.unlink()


def test_an_alias_that_was_moved_past_the_gate_is_found(registry: Registry) -> None:
    with registry.tampered("UPDATE registered_model_aliases SET version = 2 WHERE name = 'tiny'"):
        error = registry.refuses()

    assert error.what == "the registry and the ledger disagree about alias:champion of tiny"
    assert (error.got, error.expected) == ("version 2 in the registry", "version 1, says the ledger")


def test_a_version_without_a_decision_is_refused(registry: Registry) -> None:
    assert registry.refuses("models:/tiny/2").what == "no decision placed this version anywhere"
    with registry.tampered("UPDATE rank_placements SET decision = NULL"):
        assert registry.refuses().what == "no decision stands behind alias:champion of tiny"
    with registry.tampered("UPDATE rank_ledger SET body = NULL WHERE kind = 'decision'"):
        assert registry.refuses().what == "the decision behind this version is not in the record"


def test_a_decision_for_another_model_is_refused(registry: Registry) -> None:
    theirs = "(SELECT decision FROM rank_placements WHERE model = 'pickled')"

    with registry.tampered(f"UPDATE rank_placements SET decision = {theirs} WHERE model = 'tiny'"):
        error = registry.refuses()

    assert (error.what, error.got, error.expected) == ("the decision is about another model", "'pickled'", "tiny")


def test_a_decision_that_was_rewritten_has_no_signature(registry: Registry) -> None:
    with registry.tampered("UPDATE rank_ledger SET body = replace(body, '\"sig', '\"sog') WHERE kind = 'decision'"):
        assert registry.refuses().what == "this is no decision"


@pytest.mark.parametrize(
    "more",
    [
        {"gate": {"key": key_of("eve").public.text}},
        {"gate": {"roles": ["measurer", "reviewer", "owner"]}},
        {"gate": {"valid_until": "2020-01-01T00:00:00Z"}},
        {"gate": {"revoked": {"at": "2030-01-01T00:00:00Z", "reason": "compromised"}}},
    ],
)
def test_a_gate_that_is_not_trusted_counts_for_nothing(
    registry: Registry, tmp_path: Path, more: Mapping[str, Mapping[str, object]]
) -> None:
    (tmp_path / "other.yaml").write_text(trust_text(**more))

    error = registry.refuses(trust=tmp_path / "other.yaml")

    assert error.what == "no gate that is trusted signed this decision"
    assert error.remedy is not None


def test_a_database_without_a_ledger_is_said(registry: Registry, tmp_path: Path) -> None:
    shutil.copy(registry.database, tmp_path / "copy.db")
    copy = sqlite3.connect(tmp_path / "copy.db")
    with closing(copy), copy:
        copy.execute("DROP TABLE rank_placements")

    error = registry.refuses(tracking_uri=f"sqlite:///{tmp_path}/copy.db")

    assert error.what == "the record of decisions cannot be read"


@pytest.mark.parametrize(
    "address",
    ["tiny", "models:/tiny", "models:/tiny@", "models:/tiny/latest", "runs:/1/model", "models:/tiny@сhampion"],
)
def test_what_names_no_registered_version_is_a_wrong_call(address: str) -> None:
    with pytest.raises(UsageError) as raised:
        Address.of(address)
    assert raised.value.got == address


def test_stages_are_addresses_too() -> None:
    assert Address.of("models:/tiny/production") == Address("tiny", "stage:Production", None)
    assert Address.of("models:/tiny/007") == Address("tiny", None, "7")


def test_nothing_at_the_address_is_a_wrong_call(registry: Registry, tmp_path: Path) -> None:
    for address in ("models:/tiny@missing", "models:/nobody@champion", "models:/tiny/Production"):
        with pytest.raises(UsageError):
            registry.load(address)
    with pytest.raises(UsageError, match="cannot be read"):
        registry.load(trust=tmp_path / "none.yaml")


# decisions, one thing after another


FILES = evidence.digest("files")
NOW = datetime.now(UTC) - timedelta(hours=1)
CLAIM = Claim("tiny", "1", "alias:champion", FILES)


def decided(*, by: str | None = "gate", files: str = FILES, verdict: str = "approve", **request: object) -> bytes:
    """A decision as the gate writes it."""
    asked = {"model": "tiny", "version": "1", "target": "alias:champion", "digest": files} | request
    document = {"verdict": verdict, "sentence": "denied: floor fails", "request": asked}
    envelope = Envelope(decision_statement(document, now=NOW).to_bytes())
    return (envelope if by is None else envelope.signed_by(key_of(by))).to_json()


def test_the_decision_that_is_claimed_holds() -> None:
    check_basis(decided(), trust(), CLAIM, datetime.now(UTC))


@pytest.mark.parametrize(
    ("envelope", "what"),
    [
        (decided(verdict="deny"), "this version was not approved"),
        (decided(verdict="Approve"), "this version was not approved"),
        (decided(model="other"), "the decision is about another model"),
        (decided(version="2"), "the decision is about another version"),
        (decided(version=1), "the decision is about another version"),
        (decided(version=None), "the decision is about another version"),
        (decided(target="alias:challenger"), "the decision is about another target"),
        (decided(target="stage:Production"), "the decision is about another target"),
        (decided(files=evidence.digest("others")), "these are not the files that were approved"),
        (decided(by=None), "no gate that is trusted signed this decision"),
        (decided(by="eve"), "no gate that is trusted signed this decision"),
        (decided(by="lab"), "no gate that is trusted signed this decision"),
        (b"{}", "this is no decision"),
        (b"\xff", "this is no decision"),
    ],
)
def test_a_decision_of_anything_else_is_refused(envelope: bytes, what: str) -> None:
    with pytest.raises(EvidenceError) as raised:
        check_basis(envelope, trust(), CLAIM, datetime.now(UTC))

    assert raised.value.what == what
    assert raised.value.got
    assert raised.value.expected


def test_a_statement_of_the_gate_that_is_no_decision_approves_nothing() -> None:
    predicate = {"made_at": NOW.isoformat(), "decision": {"verdict": "approve"}}
    other = Envelope(Statement((Subject("tiny", FILES),), MEASUREMENT, predicate).to_bytes()).signed_by(key_of("gate"))

    with pytest.raises(EvidenceError, match="this is no decision"):
        check_basis(other.to_json(), trust(), CLAIM, datetime.now(UTC))


def test_a_decision_that_is_signed_about_further_files_is_refused() -> None:
    document = json.loads(json.dumps({"verdict": "approve", "request": {
        "model": "tiny", "version": "1", "target": "alias:champion", "digest": FILES,
    }}))  # fmt: skip
    whole = decision_statement(document, now=NOW)
    more = Statement((*whole.subjects, Subject("x", evidence.digest("x"))), whole.predicate_type, whole.predicate)

    with pytest.raises(EvidenceError, match="not the files that were approved"):
        check_basis(Envelope(more.to_bytes()).signed_by(key_of("gate")).to_json(), trust(), CLAIM, datetime.now(UTC))


# the form of the files


@pytest.fixture
def form(registry: Registry, tmp_path: Path) -> Path:
    shutil.copytree(registry.files, tmp_path / "files")
    return tmp_path / "files"


@pytest.mark.parametrize(
    ("more", "what"),
    [
        ({"loader_module": "mlflow.sklearn"}, "this model would be loaded by unpickling"),
        ({"python_model": "python_model.pkl"}, "this model would be loaded by unpickling"),
        ({"code": "code"}, "this model would load what is not in its files"),
        ({"data": "/srv"}, "this model would load what is not in its files"),
        (
            {"artifacts": {"encoder": {"path": "../elsewhere", "uri": ""}}},
            "this model would load what is not in its files",
        ),
        ({"model_code_path": None}, "this model is of a form that is not loaded"),
        ({"model_code_path": "MLmodel"}, "this model would be loaded by code of its own"),
    ],
)
def test_only_the_form_that_we_write_is_loaded(form: Path, more: Mapping[str, object], what: str) -> None:
    check_form(form)
    described = yaml.safe_load((form / "MLmodel").read_text())
    described["flavors"]["python_function"] |= more
    (form / "MLmodel").write_text(yaml.safe_dump(described))

    with pytest.raises(EvidenceError) as raised:
        check_form(form)

    assert raised.value.what == what


def test_files_without_a_description_are_of_no_form(form: Path) -> None:
    for content in (b"", b"\xff", b"[", b"flavors: 7"):
        (form / "MLmodel").write_bytes(content)
        with pytest.raises(EvidenceError):
            check_form(form)
