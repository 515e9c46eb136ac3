"""With everything exempt, the gated store answers as MLflow's own does: call by call, errors included."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import hypothesis
import parity
import pytest
from filed import Desk
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule
from mlflow.entities.model_registry import ModelVersionTag, RegisteredModelTag
from mlflow.entities.webhook import WebhookAction, WebhookEntity, WebhookEvent, WebhookStatus
from mlflow.store.model_registry.abstract_store import AbstractStore
from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore
from mlflow.store.model_registry.sqlalchemy_workspace_store import WorkspaceAwareSqlAlchemyStore
from mlflow.utils.workspace_context import WorkspaceContext
from parity import Pair
from promotions import exemption, rules
from servers import Server, Site, Sqlite, serving

from mlflow_rank.audit import triggers
from mlflow_rank.workflow.gating import build_store

pytestmark = pytest.mark.xdist_group("gate parity")
BAD_NAMES = ("", "   ", "a/b", "a:b", None)


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a gate that leaves every model alone."""
    return rules(Desk.laid(tmp_path_factory.mktemp("desk")), exemption("*"))


@pytest.fixture(params=["sqlite", "sqlite, workspaces", "postgresql"])
def pair(request: pytest.FixtureRequest, gate: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    """Both stores, each on an empty database of its own; in the end the rows in their tables are compared."""
    kind, _, workspaces = request.param.partition(", ")
    databases = request.getfixturevalue(kind)
    theirs, ours = databases.new(), databases.new()
    for name, value in gate.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MLFLOW_ENABLE_WORKSPACES", "true" if workspaces else "false")
    monkeypatch.setenv("MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS", "true")  # no name server is asked
    monkeypatch.setenv("MLFLOW_TRACKING_URI", theirs.uri)
    with WorkspaceContext("speech") if workspaces else nullcontext():
        store = WorkspaceAwareSqlAlchemyStore if workspaces else SqlAlchemyStore
        both = Pair(store(theirs.uri), build_store(ours.gated))
        if kind == "postgresql" or workspaces:  # the second wall is in nobody's way who goes through the doors
            _put_up_the_wall(both)
        yield both
        assert parity.rows(ours.uri) == parity.rows(theirs.uri)
    both.theirs.engine.dispose()
    both.ours.engine.dispose()


def _put_up_the_wall(both: Pair) -> None:
    with both.ours.engine.begin() as connection:
        triggers.install(connection, "ann", at=datetime.now(UTC))


def test_registered_models_are_the_same(pair: Pair) -> None:
    pair.create_registered_model("encoder", [RegisteredModelTag("lang", "cy")], "of Welsh", "job-7")
    pair.create_registered_model("other")
    for name in (*BAD_NAMES, "encoder", "Encoder"):
        pair.create_registered_model(name)
    pair.create_registered_model("tagged", [RegisteredModelTag("", "x")])
    pair.update_registered_model("encoder", "better")
    pair.update_registered_model("encoder", None)
    pair.update_registered_model("missing", "d")
    pair.set_registered_model_tag("encoder", RegisteredModelTag("lang", "fr"))
    pair.set_registered_model_tag("encoder", RegisteredModelTag("k" * 300, "v"))
    pair.set_registered_model_tag("encoder", RegisteredModelTag("k", "v" * 200_000))
    pair.set_registered_model_tag("missing", RegisteredModelTag("k", "v"))
    pair.delete_registered_model_tag("encoder", "lang")
    pair.delete_registered_model_tag("encoder", "never")
    pair.delete_registered_model_tag("missing", "lang")
    for old, new in (("other", "renamed"), ("renamed", "encoder"), ("missing", "x"), ("renamed", ""), (None, "y")):
        pair.rename_registered_model(old, new)
    for name in ("encoder", "renamed", "other", *BAD_NAMES):
        pair.get_registered_model(name)
    pair.delete_registered_model("renamed")
    for name in ("renamed", *BAD_NAMES):
        pair.delete_registered_model(name)
    pair.agrees(refused=15)  # the errors are what is compared here


def test_versions_stages_and_aliases_are_the_same(pair: Pair) -> None:
    pair.create_registered_model("encoder")
    pair.create_registered_model("copy")
    tags = [ModelVersionTag("lang", "cy")]
    pair.create_model_version("encoder", "s3://b/1", "run1", tags, "link", "first")
    pair.create_model_version("encoder", "s3://b/2", "run2")
    pair.create_model_version("encoder", "models:/encoder/1")
    for arguments in (("missing", "s3://b"), ("encoder", "models:/encoder/99"), ("encoder", None), (None, "s3://b")):
        pair.create_model_version(*arguments)
    pair.create_model_version("encoder", "s3://b/3", tags=[ModelVersionTag("", "v")])
    source = pair.get_model_version("encoder", "1")
    pair.copy_model_version(source, "copy")
    pair.copy_model_version(source, "new")
    pair.copy_model_version(source, "a/b")
    for version in ("1", 2, "3", "99", "0", "x", "", None):
        pair.get_model_version("encoder", version)
        pair.get_model_version_download_uri("encoder", version)
    pair.update_model_version("encoder", "1", "better")
    pair.update_model_version("encoder", "99", "better")
    pair.set_model_version_tag("encoder", "1", ModelVersionTag("lang", "fr"))
    for name, version, tag in (("encoder", "99", "k"), ("missing", "1", "k"), ("encoder", "1", "k" * 300)):
        pair.set_model_version_tag(name, version, ModelVersionTag(tag, "v"))
        pair.delete_model_version_tag(name, version, tag)
    pair.delete_model_version_tag("encoder", "1", "lang")
    for stage in ("Staging", "production", "Production", "Archived", "None", "champion", "", None):
        for version in ("1", "2"):
            pair.transition_model_version_stage("encoder", version, stage, False)
            pair.transition_model_version_stage("encoder", version, stage, True)
    pair.transition_model_version_stage("encoder", "99", "Staging", False)
    pair.transition_model_version_stage("encoder", "2", "Staging", True)
    for stages in (None, [], ["Staging", "None"], ["production"], ["nowhere"]):
        pair.get_latest_versions("encoder", stages)
    pair.get_latest_versions("missing")
    for alias in ("champion", "Champion", "сhampion", "v1", "latest", "", "a/b", "x" * 300, None):
        pair.set_registered_model_alias("encoder", alias, "1")
        pair.set_registered_model_alias("encoder", alias, "2")
        pair.set_registered_model_alias("encoder", alias, "2")
        pair.get_model_version_by_alias("encoder", alias)
    for name, version in (("encoder", "99"), ("missing", "1"), ("encoder", "x")):
        pair.set_registered_model_alias(name, "champion", version)
        pair.delete_registered_model_alias(name, "challenger")
        pair.get_model_version_by_alias(name, "challenger")
    pair.get_registered_model("encoder")
    pair.rename_registered_model("encoder", "encoder-2")
    pair.get_model_version_by_alias("encoder-2", "champion")
    pair.delete_registered_model_alias("encoder-2", "champion")
    pair.delete_registered_model_alias("encoder-2", "champion")
    pair.set_registered_model_alias("encoder-2", "champion", "1")
    for version in ("1", "1", "99"):
        pair.delete_model_version("encoder-2", version)
    pair.get_model_version_by_alias("encoder-2", "champion")
    pair.get_model_version("encoder-2", "1")
    pair.create_model_version("encoder-2", "s3://b/4")  # numbers are never used twice
    pair.delete_registered_model("encoder-2")
    pair.agrees(refused=40)


def test_searches_are_the_same(pair: Pair) -> None:
    for number in range(5):
        name = f"encoder-{number}"
        pair.create_registered_model(name, [RegisteredModelTag("even", str(number % 2 == 0))])
        pair.create_model_version(name, f"s3://b/{number}", f"run{number}", [ModelVersionTag("n", str(number))])
    pair.create_prompt("greeting")
    for text in (
        None, "", "name = 'encoder-1'", "name LIKE 'encoder-%'", "name ILIKE 'ENCODER-%'", "tags.even = 'True'",
        "tags.even != 'True'", "name = encoder-1", "nothing = 'x'", "name > 'a'", "tags.even IN ('True')",
    ):  # fmt: skip
        pair.search_registered_models(text, max_results=10)
        pair.search_model_versions(text, max_results=10)
    for text in ("run_id = 'run1'", "run_id IN ('run1','run2')", "source_path = 's3://b/1'", "version_number > 0"):
        pair.search_model_versions(text, max_results=10)
    for order in (["name DESC"], ["name ASC", "name DESC"], ["nothing"], ["version_number DESC", "name"]):
        pair.search_registered_models(order_by=order, max_results=10)
        pair.search_model_versions(order_by=order, max_results=10)
    for most in (-1, 0, 1, 2, 10**9):
        first = pair.search_registered_models(max_results=most)
        if not isinstance(first.ours, Exception) and first.ours.token:
            pair.search_registered_models(max_results=most, page_token=first.map(lambda page: page.token))
    pair.search_registered_models(max_results=2, page_token="nonsense")
    pair.agrees(refused=10)


def test_prompts_are_the_same(pair: Pair) -> None:
    pair.create_prompt("greeting", "says hello", {"team": "a"})
    pair.create_prompt("greeting")
    pair.create_prompt("a/b")
    pair.create_registered_model("model")
    version = pair.create_prompt_version("greeting", "Hello {{name}}", "first", {"k": "v"})
    pair.create_prompt_version("greeting", [{"role": "user", "content": "Hi {{name}}"}], response_format={"type": "s"})
    pair.create_prompt_version("missing", "Hello")
    pair.create_prompt_version("model", "Hello")
    for name in ("greeting", "missing", "model"):
        pair.get_prompt(name)
        pair.set_prompt_tag(name, "team", "b")
        pair.delete_prompt_tag(name, "team")
        pair.search_prompt_versions(name)
        for number in ("1", 2, "9", "x"):
            pair.get_prompt_version(name, number)
            pair.set_prompt_version_tag(name, number, "k", "w")
            pair.delete_prompt_version_tag(name, number, "k")
            pair.set_prompt_alias(name, "production", number)
        pair.get_prompt_version_by_alias(name, "production")
        pair.delete_prompt_alias(name, "production")
        pair.get_prompt_version_by_alias(name, "production")
        pair.link_prompt_version_to_run(name, "1", "no such run")
        pair.link_prompt_version_to_model(name, "1", "m-no-such-model")
    pair.link_prompts_to_trace(version.map(lambda each: [each]), "tr-no-such-trace")
    for text in (None, "name = 'greeting'", "tags.team = 'a'", "experiment_id = '1'", "experiment_id = 'x'"):
        pair.search_prompts(text)
    pair.delete_prompt_version("greeting", "1")
    pair.delete_prompt_version("greeting", "1")
    pair.delete_prompt("greeting")
    pair.delete_prompt("greeting")
    pair.agrees(refused=15)


def test_webhooks_are_the_same(pair: Pair) -> None:
    created = WebhookEvent(WebhookEntity.MODEL_VERSION, WebhookAction.CREATED)
    alias = WebhookEvent(WebhookEntity.MODEL_VERSION_ALIAS, WebhookAction.CREATED)
    hook = pair.create_webhook("hook", "https://127.0.0.1/hook", [created], "d", "secret").map(lambda it: it.webhook_id)
    for arguments in (("", "https://127.0.0.1/", [created]), ("h", "ftp://127.0.0.1/", [created]), ("h", "", [])):
        pair.create_webhook(*arguments)
    pair.list_webhooks()
    pair.list_webhooks(max_results=0)
    pair.list_webhooks(max_results=-1)
    pair.list_webhooks_by_event(created)
    pair.list_webhooks_by_event(alias)
    for identifier in (hook, "no such hook"):
        pair.get_webhook(identifier)
        pair.update_webhook(identifier, description="e", events=[alias], status=WebhookStatus.DISABLED)
        pair.update_webhook(identifier, name="", url="nowhere")
        pair.test_webhook(identifier)
        pair.get_webhook(identifier)
        pair.delete_webhook(identifier)
        pair.get_webhook(identifier)
    pair.agrees(refused=10)


def test_every_method_of_mlflows_store_is_compared() -> None:
    said = Path(__file__).read_text()
    methods = [name for name in vars(AbstractStore) if not name.startswith("_") and name != "supports_workspaces"]
    assert [name for name in methods if f"pair.{name}(" not in said] == []
    assert len(methods) > 40


# calls that nobody has thought of

names = st.sampled_from(["a", "b", "c", "a/b"])
versions = st.sampled_from(["1", "2", "3", "9"])
aliases = st.sampled_from(["champion", "Champion", "latest", "x"])
stages = st.sampled_from(["None", "Staging", "Production", "archived", "nowhere"])
tag_names = st.sampled_from(["k", "rank", "mlflow.note"])


@pytest.fixture(scope="module")
def lasting(gate: dict[str, str], sqlite: Sqlite) -> Iterator[Pair]:
    """Two stores that every sequence of calls uses, under names of its own."""
    with pytest.MonkeyPatch.context() as patched:
        for name, value in gate.items():
            patched.setenv(name, value)
        theirs, ours = sqlite.new(), sqlite.new()
        both = Pair(SqlAlchemyStore(theirs.uri), build_store(ours.gated))
        _put_up_the_wall(both)
        yield both
        assert parity.rows(ours.uri) == parity.rows(theirs.uri)
    both.theirs.engine.dispose()
    both.ours.engine.dispose()


def test_any_sequence_of_calls_is_answered_the_same(lasting: Pair) -> None:
    class Calls(RuleBasedStateMachine):
        sequences = 0
        created = Bundle("created")

        def __init__(self) -> None:
            super().__init__()
            Calls.sequences += 1
            self.begins = f"{Calls.sequences}-"

        @initialize(target=created)
        def begin(self) -> str:
            lasting.create_registered_model(self.begins + "a")
            lasting.create_model_version(self.begins + "a", "s3://b")
            return "a"

        @rule(target=created, name=names)
        def create(self, name: str) -> str:
            lasting.create_registered_model(self.begins + name)
            return name

        @rule(name=created, tagged=st.booleans())
        def add_version(self, name: str, tagged: bool) -> None:
            tags = [ModelVersionTag("k", "v")] if tagged else None
            lasting.create_model_version(self.begins + name, "s3://b", tags=tags)

        @rule(name=created, alias=aliases, version=versions)
        def set_alias(self, name: str, alias: str, version: str) -> None:
            lasting.set_registered_model_alias(self.begins + name, alias, version)

        @rule(name=created, alias=aliases)
        def delete_alias(self, name: str, alias: str) -> None:
            lasting.delete_registered_model_alias(self.begins + name, alias)

        @rule(name=created, version=versions, stage=stages, archive=st.booleans())
        def transition(self, name: str, version: str, stage: str, archive: bool) -> None:
            lasting.transition_model_version_stage(self.begins + name, version, stage, archive)

        @rule(name=created, version=versions, key=tag_names)
        def tag(self, name: str, version: str, key: str) -> None:
            lasting.set_model_version_tag(self.begins + name, version, ModelVersionTag(key, "v"))

        @rule(name=created, version=versions, key=tag_names)
        def untag(self, name: str, version: str, key: str) -> None:
            lasting.delete_model_version_tag(self.begins + name, version, key)

        @rule(target=created, name=consumes(created), new=names)
        def rename(self, name: str, new: str) -> str:
            lasting.rename_registered_model(self.begins + name, self.begins + new)
            return new

        @rule(name=created, version=versions)
        def delete_version(self, name: str, version: str) -> None:
            lasting.delete_model_version(self.begins + name, version)

        @rule(name=created)
        def delete(self, name: str) -> None:
            lasting.delete_registered_model(self.begins + name)

        @rule(name=created, new=names, version=versions)
        def copy(self, name: str, new: str, version: str) -> None:
            source = lasting.get_model_version(self.begins + name, version)
            if not isinstance(source.ours, Exception):
                lasting.copy_model_version(source, self.begins + new)

        @invariant()
        def both_hold_the_same(self) -> None:
            lasting.search_model_versions(f"name LIKE '{self.begins}%'", max_results=50)
            lasting.agrees(refused=0)

        def teardown(self) -> None:
            lasting.search_registered_models(f"name LIKE '{self.begins}%'", max_results=50)
            lasting.agrees(refused=0)

    few = hypothesis.settings(max_examples=10, stateful_step_count=25)  # each call writes into two databases
    hypothesis.stateful.run_state_machine_as_test(Calls, settings=few)
    lasting.agrees(refused=10)
    assert len(lasting.asked) > 12


# over HTTP


@pytest.fixture(scope="module")
def servers(gate: dict[str, str], sqlite: Sqlite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Server]]:
    """A server of MLflow's as it comes, and one with the gate."""
    place = tmp_path_factory.mktemp("servers")
    plain = Site(place / "theirs", sqlite.new(), gated=False)
    gated = Site(place / "ours", sqlite.new(), environment=gate)
    with serving(plain, gated) as both:
        yield both


def test_over_http_both_servers_answer_the_same(servers: list[Server]) -> None:
    named = {"name": "encoder"}
    first = named | {"version": "1"}
    calls: list[tuple[str, str, Any]] = [
        ("POST", "registered-models/create", named),
        ("POST", "registered-models/create", named),
        ("POST", "registered-models/create", {}),
        ("POST", "registered-models/create", b"{not json"),
        ("POST", "model-versions/create", named | {"source": "s3://b/1"}),
        ("POST", "model-versions/create", named | {"source": "/etc"}),
        ("POST", "model-versions/create", named | {"source": "file:///etc"}),
        ("POST", "model-versions/create", {"name": "missing", "source": "s3://b/1"}),
        ("POST", "registered-models/alias", first | {"alias": "champion"}),
        ("POST", "registered-models/alias", first | {"alias": "v1"}),
        ("POST", "registered-models/alias", first),
        ("POST", "registered-models/alias", named | {"alias": "champion", "version": "9"}),
        ("GET", "registered-models/alias?name=encoder&alias=champion", None),
        ("GET", "registered-models/alias?name=encoder&alias=nobody", None),
        ("POST", "model-versions/transition-stage", first | {"stage": "Production"}),
        ("POST", "model-versions/transition-stage", first | {"stage": "Nowhere"}),
        ("POST", "model-versions/set-tag", first | {"key": "k", "value": "v"}),
        ("POST", "model-versions/set-tag", first | {"key": "k/:", "value": "v"}),
        ("DELETE", "model-versions/delete-tag", first | {"key": "k"}),
        ("PATCH", "model-versions/update", first | {"description": "better"}),
        ("GET", "registered-models/search", None),
        ("GET", "model-versions/search?filter=name%3D'encoder'", None),
        ("GET", "model-versions/search?filter=nonsense", None),
        ("POST", "registered-models/get-latest-versions", named),
        ("POST", "registered-models/rename", named | {"new_name": "renamed"}),
        ("GET", "registered-models/get?name=renamed", None),
        ("GET", "registered-models/get?name=encoder", None),
        ("DELETE", "registered-models/alias", {"name": "renamed", "alias": "champion"}),
        ("DELETE", "model-versions/delete", {"name": "renamed", "version": "1"}),
        ("DELETE", "registered-models/delete", {"name": "renamed"}),
        ("DELETE", "registered-models/delete", {"name": "renamed"}),
    ]
    statuses = set()
    for method, name, body in calls:
        theirs, ours = (each.call(method, name, body) for each in servers)
        statuses.add(theirs.status)
        assert (ours.status, parity.plain(_json(ours))) == (theirs.status, parity.plain(_json(theirs))), (name, body)
    assert statuses >= {200, 400, 404}


def _json(answer: Any) -> Any:
    return answer.body if answer.text.startswith(("{", "[")) else answer.text
