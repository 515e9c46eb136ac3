"""Where the seal stands in MLflow's server: behind authentication, before every handler that writes artifacts.

MLflow's app is FastAPI around Flask. What FastAPI serves itself (uploads, as a stream) is checked in a layer just
outside of its routes; what Flask serves, in a hook that comes after those of basic-auth. So whoever is not allowed to
write learns nothing of what is sealed, and bodies are never held back.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any

from mlflow_rank.registry.server.artifact_routes import (
    NATIVE_PREFIXES,
    SAFE_METHODS,
    is_about_artifacts,
    route_of,
    written_by_request,
    written_through_proxy,
)
from mlflow_rank.registry.server.artifact_seal import ArtifactSeal, Attempt

if TYPE_CHECKING:
    from fastapi import FastAPI
    from flask import Flask, Response
    from mlflow.exceptions import MlflowException

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


def seal_flask(app: Flask, seal: ArtifactSeal) -> None:
    """Check what Flask serves; call this after basic-auth has put up its own hooks, which then come first."""

    def check() -> Response | None:
        from flask import request
        from mlflow.exceptions import MlflowException
        from mlflow.server.handlers import _add_static_prefix

        if request.url_rule is None or request.method in SAFE_METHODS:
            return None
        rule = request.url_rule.rule
        route = route_of(request.method, rule, _add_static_prefix("/").rstrip("/"))
        try:
            if route is not None:
                seal.check(written_by_request(route), Attempt.here())
            elif is_about_artifacts(rule):
                seal.refuse_unknown(Attempt.here())
        except MlflowException as error:
            return _flask_response(error)
        return None

    app.before_request(check)


def seal_fastapi(app: FastAPI, seal: ArtifactSeal) -> None:
    """Check what FastAPI serves itself, innermost: after everything that authenticates."""
    from starlette.middleware import Middleware
    from starlette.routing import BaseRoute, Match, Mount

    native: list[BaseRoute] = [route for route in app.routes if not isinstance(route, Mount)]

    def is_native(scope: Scope) -> bool:
        return any(route.matches(scope)[0] is Match.FULL for route in native)

    app.user_middleware.append(Middleware(SealedUploads, seal=seal, is_native=is_native))


class SealedUploads:
    """An ASGI layer that looks at paths; bodies stream through it.

    An upload that began before its place was sealed is looked at again with its last chunk: it is then cut off, and
    what it sent is dropped.
    """

    def __init__(self, app: App, seal: ArtifactSeal, is_native: Callable[[Scope], bool]) -> None:
        self.app, self.seal, self.is_native = app, seal, is_native

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, unless it would write to what is sealed."""
        if scope["type"] != "http" or scope["method"] in SAFE_METHODS or not is_about_artifacts(scope["path"]):
            await self.app(scope, receive, send)
            return
        if not self.is_native(scope):  # Flask's, which has a check of its own
            await self.app(scope, receive, send)
            return
        refused = await self._refusal(scope)
        if refused is not None:
            await _answer(send, refused)
            return
        watched = _Watched(receive, send, lambda: self._refusal(scope))
        try:
            await self.app(scope, watched.receive, watched.send)
        except Exception:
            if watched.refused is None:
                raise
        if watched.refused is not None and not watched.answering:
            await _answer(send, watched.refused)

    async def _refusal(self, scope: Scope) -> MlflowException | None:
        import anyio
        from mlflow.exceptions import MlflowException

        def look() -> MlflowException | None:
            try:
                self._look(scope)
            except MlflowException as error:
                return error
            return None

        return await anyio.to_thread.run_sync(look)

    def _look(self, scope: Scope) -> None:
        attempt, path = Attempt.of_scope(scope), str(scope["path"])
        root = str(scope.get("root_path") or "")  # routes are matched without it
        path = path.removeprefix(root) if path.startswith(f"{root}/") else path
        prefix = next((prefix for prefix in NATIVE_PREFIXES if path.startswith(prefix)), None)
        if prefix is None or scope["method"] not in ("PUT", "DELETE"):
            self.seal.refuse_unknown(attempt)
            return
        self.seal.check(written_through_proxy(path.removeprefix(prefix)), attempt)


class _Watched:
    """The two ends of a request whose last chunk is held until it has been looked at again."""

    def __init__(self, receive: Receive, send: Send, look: Callable[[], Awaitable[MlflowException | None]]) -> None:
        self._receive, self._send, self._look = receive, send, look
        self._first = True
        self.refused: MlflowException | None = None
        self.answering = False

    async def receive(self) -> Message:
        message = await self._receive()
        last = message["type"] == "http.request" and not message.get("more_body", False)
        if last and not self._first:  # a body of one piece has just been looked at
            self.refused = await self._look()
            if self.refused is not None:
                return {"type": "http.disconnect"}  # what was received so far is not kept
        self._first = False
        return message

    async def send(self, message: Message) -> None:
        if self.refused is None:
            self.answering = True
            await self._send(message)


def _flask_response(error: MlflowException) -> Response:
    from flask import Response

    return Response(error.serialize_as_json(), error.get_http_status_code(), mimetype="application/json")


async def _answer(send: Send, error: MlflowException) -> None:
    body = error.serialize_as_json().encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": error.get_http_status_code(), "headers": headers})
    await send({"type": "http.response.body", "body": body})
