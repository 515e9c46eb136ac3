"""The seal: where files lie however it is spelled, which routes write, and what is sealed; servers are in test_app."""

from __future__ import annotations

import asyncio
import inspect
import os
from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import evidence
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mlflow_rank.policy.load import load_policy
from mlflow_rank.registry.server.artifact_places import Place, parts_of, place_of, proxied_place
from mlflow_rank.registry.server.artifact_routes import ROUTES, SAFE_METHODS, is_about_artifacts, route_of
from mlflow_rank.registry.server.artifact_seal import Held, is_protected
from mlflow_rank.registry.server.sealed_app import SealedUploads

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="/\\%", exclude_categories=["Cs", "Cc"]), min_size=1)
PARTS = st.lists(NAMES.filter(lambda name: name not in (".", "..")), min_size=1, max_size=5)
DESTINATION = Place("file:", ("srv", "artifacts"))

pytestmark = pytest.mark.filterwarnings("ignore:starlette.middleware.wsgi is deprecated")


# places


@given(PARTS, st.integers(0, 4), st.sampled_from(["/", "//", "/./", "\\", "/x/../"]))
def test_every_spelling_of_a_path_is_the_same_place(parts: list[str], encodings: int, separator: str) -> None:
    path = separator.join(parts)
    for _ in range(encodings):
        path = quote(path, safe="")

    assert parts_of(path) == tuple(parts)


@given(PARTS, PARTS)
def test_places_overlap_exactly_if_one_contains_the_other(one: list[str], other: list[str]) -> None:
    first, second = Place("s3://b", tuple(one)), Place("s3://b", tuple(other))
    texts = ["\n".join(each) + "\n" for each in (one, other)]

    assert first.overlaps(second) is (texts[0].startswith(texts[1]) or texts[1].startswith(texts[0]))
    assert first.overlaps(second) is second.overlaps(first)
    assert not first.overlaps(Place("s3://c", second.parts))


@given(PARTS)
def test_no_path_leads_out_of_a_place(parts: list[str]) -> None:
    assert DESTINATION.below("/".join(["..", "..", "..", *parts])).parts == ("srv", "artifacts", *parts)


def test_what_is_encoded_without_end_is_the_root() -> None:
    path = "a/b%"
    for _ in range(12):
        path = quote(path, safe="")

    assert parts_of(path) == ()


@pytest.mark.parametrize(
    "address",
    [
        "mlflow-artifacts:/1/m/files",
        "mlflow-artifacts://lab:5000/1/m/files",
        "http://lab:5000/api/2.0/mlflow-artifacts/artifacts/1/m/files",
        "https://lab/mlflow/ajax-api/2.0/mlflow-artifacts/artifacts/1/m/files",
        "/srv/artifacts/1/m/files",
        "file:///srv/artifacts/1/m/files",
        "file:/srv/artifacts/1/m/./files",
    ],
)
def test_all_addresses_of_one_directory_are_one_place(address: str) -> None:
    found = place_of(address, destination=DESTINATION, workspace=None)

    assert found == DESTINATION.below("1/m/files")


def test_a_bucket_behind_the_proxy_is_the_bucket_itself() -> None:
    bucket = place_of("s3://models/mlflow", destination=None, workspace=None)

    through = place_of("mlflow-artifacts:/1/m", destination=bucket, workspace=None)

    assert through == place_of("s3://models/mlflow/1/m", destination=bucket, workspace=None)
    assert not through.overlaps(place_of("gs://models/mlflow/1/m", destination=bucket, workspace=None))


def test_links_on_the_way_to_a_directory_make_no_other_place(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")

    places = {place_of(str(tmp_path / name / "m"), destination=None, workspace=None) for name in ("real", "link")}

    assert len(places) == 1


def test_each_workspace_has_its_own_folder() -> None:
    ours, theirs, default = (
        proxied_place("1/m", destination=DESTINATION, workspace=name) for name in ("ours", "theirs", "default")
    )
    spelled_out = proxied_place("workspaces/ours/1/m", destination=DESTINATION, workspace="ours")

    assert ours == spelled_out
    assert not any(ours.overlaps(each) for each in (theirs, default))


# the table of routes


@pytest.fixture(scope="module")
def mlflow_routes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[set[tuple[str, str, Any]]]:
    """Every route of MLflow's app that is no mere read: method, path as Flask spells it, and the function."""
    from fastapi.routing import APIRoute

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("_MLFLOW_SERVER_FILE_STORE", f"sqlite:///{tmp_path_factory.mktemp('store')}/mlflow.db")
        from mlflow.server import app as flask_app
        from mlflow.server.artifact_router import artifact_router
        from mlflow.server.fastapi_app import create_fastapi_app

        found = {
            (method, rule.rule, flask_app.view_functions[rule.endpoint])
            for rule in flask_app.url_map.iter_rules()
            for method in (rule.methods or set()) - SAFE_METHODS
        }
        routers = [route.original_router for route in create_fastapi_app().routes if hasattr(route, "original_router")]
        assert artifact_router in routers
        found |= {
            (method, route.path.replace("{artifact_path:path}", "<path:artifact_path>"), route.endpoint)
            for router in routers
            for route in router.routes
            if isinstance(route, APIRoute)
            for method in route.methods - SAFE_METHODS
        }
        yield found


def test_every_route_that_speaks_of_artifacts_is_in_the_table(mlflow_routes: set[tuple[str, str, Any]]) -> None:
    found = {(method, path) for method, path, _ in mlflow_routes if is_about_artifacts(path)}

    assert found == {(route.method, route.path) for route in ROUTES}


def test_every_handler_that_writes_artifacts_is_in_the_table(mlflow_routes: set[tuple[str, str, Any]]) -> None:
    words = ("log_artifact", "delete_artifacts(", "_multipart_upload(", "create_presigned_upload_url(")
    writers = {
        (method, path)
        for method, path, function in mlflow_routes
        if any(word in inspect.getsource(inspect.unwrap(function)) for word in words)
    }

    written = {(route.method, route.path) for route in ROUTES if route.writes != "nothing"}
    assert len(writers) > 8  # the words still find MLflow's handlers
    assert writers <= written


def test_a_static_prefix_is_no_part_of_a_route() -> None:
    rule = "/mlflow/ajax-api/2.0/mlflow/upload-artifact"

    assert route_of("POST", rule, "/mlflow") is not None
    assert route_of("POST", rule) is None
    assert route_of("PATCH", rule, "/mlflow") is None


# what is protected


def policy(**parts: Any) -> Any:
    return load_policy(evidence.policy_text(evidence.PILOT_RULE, **parts), named="policy.yaml")


EXEMPTION = load_policy(
    yaml.safe_dump(
        {
            "apiVersion": "mlflow-rank/v1",
            "kind": "Exemption",
            "metadata": {"name": "others", "revision": 1, "owners": ["lab"]},
            "models": ["text*"],
            "reason": "no speech",
        }
    ),
    named="exemption.yaml",
)


@pytest.mark.parametrize(
    ("model", "target", "mode", "expected"),
    [
        ("encoder", "alias:champion", "enforce", True),
        ("encoder", "alias:champion", "audit", False),
        ("encoder", "alias:other", "enforce", True),
        ("unknown", "alias:champion", "enforce", True),
        ("text-7", "alias:champion", "enforce", False),
    ],
)
def test_what_policies_enforce_and_what_nobody_thought_of_is_sealed(
    model: str, target: str, mode: str, expected: bool
) -> None:
    asked = policy(mode=mode, match={"models": ["encoder"], "targets": ["alias:champion"]})

    assert is_protected([asked, EXEMPTION], Held("default", model, target, "1", "/files")) is expected


# uploads that FastAPI serves itself


@dataclass
class Refusing:
    """A seal that refuses from the n-th look on."""

    since: int
    looks: int = 0

    def check(self, places: object, attempt: object) -> None:
        from mlflow.exceptions import MlflowException
        from mlflow.protos.databricks_pb2 import PERMISSION_DENIED

        self.looks += 1
        if self.looks >= self.since:
            raise MlflowException("Refused: sealed.", PERMISSION_DENIED)


@dataclass
class Upload:
    """A request whose body comes in pieces, an app that keeps it once it is whole, and what was answered."""

    pieces: list[bytes]
    kept: bytes | None = None
    said: list[Message] = field(default_factory=list)

    async def app(self, scope: Scope, receive: Any, send: Any) -> None:
        from starlette.requests import Request
        from starlette.responses import Response

        received = [piece async for piece in Request(scope, receive).stream()]
        self.kept = b"".join(received)
        await Response(status_code=200)(scope, receive, send)

    async def receive(self) -> Message:
        piece = self.pieces.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(self.pieces)}

    async def send(self, message: Message) -> None:
        self.said.append(message)

    def through(self, seal: Any, *, method: str = "PUT", native: bool = True) -> int:
        path = "/api/2.0/mlflow-artifacts/artifacts/1/m/x"
        scope = {"type": "http", "method": method, "path": path, "headers": [], "query_string": b""}
        layer = SealedUploads(self.app, seal, lambda scope: native)
        asyncio.run(layer(scope, self.receive, self.send))
        return int(self.said[0]["status"])


@pytest.fixture
def _served(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith(("MLFLOW_", "_MLFLOW_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("_MLFLOW_SERVER_ARTIFACT_DESTINATION", str(tmp_path))


@pytest.mark.usefixtures("_served")
@pytest.mark.parametrize("pieces", [[b"whole"], [b"in ", b"two"], [b"a", b"b", b"c", b""]])
def test_bodies_pass_through_untouched_and_are_looked_at_twice_at_most(pieces: list[bytes]) -> None:
    upload, seal = Upload(list(pieces)), Refusing(since=99)

    assert upload.through(seal) == 200
    assert upload.kept == b"".join(pieces)
    assert seal.looks == min(len(pieces), 2)


@pytest.mark.usefixtures("_served")
def test_a_sealed_place_is_refused_before_the_body_is_read() -> None:
    upload = Upload([b"evil"])

    assert upload.through(Refusing(since=1)) == 403
    assert upload.kept is None
    assert upload.pieces == [b"evil"]


@pytest.mark.usefixtures("_served")
def test_a_place_that_is_sealed_meanwhile_keeps_nothing_of_an_upload() -> None:
    upload = Upload([b"ev", b"il"])

    assert upload.through(Refusing(since=2)) == 403
    assert upload.kept is None
    assert [message["type"] for message in upload.said] == ["http.response.start", "http.response.body"]


@pytest.mark.usefixtures("_served")
def test_reads_and_what_flask_serves_are_not_looked_at_here() -> None:
    for how in ({"method": "GET"}, {"native": False}):
        upload, seal = Upload([b"x"]), Refusing(since=1)
        assert upload.through(seal, **how) == 200  # type: ignore[arg-type]
        assert seal.looks == 0
