"""Small real HTTP servers that are told what happens, and keep what they were told."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

SECRET = "a secret of the tests"


@dataclass(frozen=True)
class Message:
    """A request as it came; header names in small letters."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def said(self) -> Any:
        return json.loads(self.body)

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    def is_signed(self, secret: bytes = SECRET.encode()) -> bool:
        """Verify it as the specification has it, without any code of the product's."""
        signed = f"{self.id}.{self.headers['webhook-timestamp']}.".encode() + self.body
        expected = base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()
        return self.headers["webhook-signature"] == f"v1,{expected}"


@dataclass
class Receiver:
    """Answers 200, or what `answers` says next; while `held` is not set, it answers nothing."""

    port: int = 0
    answers: list[int] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    held: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def wait_for(self, found: Callable[[list[Message]], object], seconds: float = 60.0) -> None:
        """Wait until what came is what a test waits for."""
        until = time.monotonic() + seconds
        while not found(self.messages):
            assert time.monotonic() < until, [message.body for message in self.messages]
            time.sleep(0.02)


@contextlib.contextmanager
def receiving(port: int = 0, *answers: int) -> Iterator[Receiver]:
    """Run a receiver as long as the block lasts."""
    receiver = Receiver(answers=list(answers))
    receiver.held.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            receiver.messages.append(Message(self.path, headers, body))
            receiver.held.wait(60)
            self.send_response(receiver.answers.pop(0) if receiver.answers else 200)
            self.send_header("Location", f"http://127.0.0.1:{receiver.port}/elsewhere")
            self.send_header("Content-Length", "0")
            with contextlib.suppress(OSError):  # who asked is gone
                self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    receiver.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield receiver
    finally:
        receiver.held.set()
        server.shutdown()
        server.server_close()
        thread.join()


def hooks_text(*hooks: Mapping[str, object]) -> str:
    """A file of webhooks."""
    return yaml.safe_dump({"apiVersion": "mlflow-rank/v1", "kind": "Webhooks", "hooks": [dict(each) for each in hooks]})


def hook(url: str, name: str = "chat", **more: object) -> dict[str, object]:
    """A receiver of everything, whose secret is in `CHAT_SECRET`."""
    return {"name": name, "url": url, "secret_env": "CHAT_SECRET", "events": "any"} | more


def write_hooks(place: Path, *hooks: Mapping[str, object]) -> Path:
    path = place / "webhooks.yaml"
    path.write_text(hooks_text(*hooks))
    return path
