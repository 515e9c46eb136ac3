"""Real MLflow servers for tests: started as a person starts them, asked over HTTP, ended with all their processes."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import loaded_once
from tables_at_once import empty_registry, make_tables

ADMIN = ("admin", "a pass phrase of tests")
"""Who may do everything on a server with basic-auth."""
_START_SECONDS = 240.0  # ten times what a start takes while both cores are busy
_API = "/api/2.0/mlflow/"


@dataclass(frozen=True)
class Database:
    """Where a server keeps its tables, as SQLAlchemy spells it."""

    uri: str

    @property
    def gated(self) -> str:
        """The URI of its registry behind the gate."""
        return f"rank+{self.uri}"

    @property
    def file(self) -> Path:
        """The file of an SQLite database."""
        return Path(self.uri.removeprefix("sqlite:///"))


@dataclass(frozen=True)
class Answer:
    """What a server said."""

    status: int
    text: str

    @property
    def body(self) -> Any:
        """The answer's JSON."""
        return json.loads(self.text)

    @property
    def code(self) -> str | None:
        """MLflow's error code, if this is an error of MLflow's."""
        try:
            body = self.body
        except ValueError:
            return None
        return body.get("error_code") if isinstance(body, dict) else None


@dataclass(frozen=True)
class Site:
    """How to start a server: every field is something that a person may choose."""

    place: Path
    """Its working directory: artifacts, the log, and the database of basic-auth lie here."""
    database: Database
    gated: bool = True
    workers: int = 1
    app: str | None = None
    """What `--app-name` says, such as basic-auth."""
    workspaces: bool = False
    options: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    as_typed: bool = False
    """Whether each of its processes imports MLflow by itself, as after `mlflow server`: see `served_at_once`."""

    def words(self, port: int) -> list[str]:
        """What Python is told to run: `mlflow server` with what was chosen."""
        command = ["-m", "mlflow"] if self.as_typed else [str(Path(__file__).with_name("served_at_once.py"))]
        command += ["server", "--host", "127.0.0.1", "--port", str(port)]
        command += ["--backend-store-uri", self.database.uri, "--workers", str(self.workers)]
        command += ["--artifacts-destination", str(self.place / "artifacts")]
        # A worker that imports while the machine is busy answers no health check for longer than the usual 5 s; for one
        # that is killed while it is asked, uvicorn waits as long before it starts another.
        command += ["--uvicorn-opts", f"--timeout-worker-healthcheck {120 if self.as_typed else 20}"]
        if self.gated:
            command += ["--registry-store-uri", self.database.gated]
        if self.app is not None:
            command += ["--app-name", self.app]
        if self.workspaces:
            command += ["--enable-workspaces"]
        return command + list(self.options)

    def surroundings(self) -> dict[str, str]:
        """The environment: this one without what MLflow reads from it, and what makes a start light."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
        kept |= {"OMP_NUM_THREADS": "1", "DO_NOT_TRACK": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        kept |= {"MLFLOW_FLASK_SERVER_SECRET_KEY": "a secret of tests", "MLFLOW_AUTH_ADMIN_PASSWORD": ADMIN[1]}
        return kept | dict(self.environment)


@dataclass(frozen=True)
class Server:
    """A server that runs, or did."""

    url: str
    log: Path
    process: subprocess.Popen[bytes] | loaded_once.Forked

    def raw(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        auth: tuple[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Ask as `curl` does: no MLflow client, no retries. A body of bytes goes as it is, any other as JSON."""
        return raw(self.url, method, path, body, auth=auth, headers=headers)

    def call(self, method: str, name: str, body: object = None, **how: Any) -> Answer:
        """Ask MLflow's REST API, such as `call("POST", "registered-models/create", {"name": "encoder"})`."""
        return self.raw(method, _API + name, body, **how)

    def client(self) -> Any:
        """An `MlflowClient` of this server, for models and runs alike."""
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=self.url, registry_uri=self.url)

    def worker_processes(self) -> list[int]:
        """The processes that answer requests: of several workers each one, else the server itself."""
        family = _family(self.process.pid)
        spawned = [pid for pid in family if b"spawn_main" in _command_of(pid)]
        forked = [pid for pid in family[1:] if _command_of(pid) == _command_of(self.process.pid)]
        alone = [pid for pid in family if b"uvicorn" in _command_of(pid)]
        return spawned or forked or alone or family

    def ready(self) -> None:
        """Wait until it answers.

        Raises:
            RuntimeError: it ended, or does not answer; with the end of its log.
        """
        until = time.monotonic() + _START_SECONDS
        while time.monotonic() < until:
            if self.process.poll() is not None:
                raise RuntimeError(f"the server ended with {self.process.returncode}:\n{self.said()}")
            with contextlib.suppress(OSError, http.client.HTTPException):
                if self.raw("GET", "/health").status == 200:
                    return
            time.sleep(0.1)
        raise RuntimeError(f"the server did not answer within {_START_SECONDS:.0f} s:\n{self.said()}")

    def said(self) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-6000:]

    def end(self) -> None:
        """End it and all processes it started: politely, so that what they measured of themselves is kept."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout=10)
            os.killpg(self.process.pid, signal.SIGKILL)  # workers that outlive their server, and any other
        self.process.wait()


def start(site: Site, port: int | None = None) -> Server:
    """Start a server, without waiting until it answers: two servers may start at the same time."""
    site.place.mkdir(parents=True, exist_ok=True)
    port = port or free_port()
    log = site.place / "server.log"
    with log.open("ab") as written:
        how: dict[str, Any] = {"cwd": site.place, "env": site.surroundings(), "stdout": written.fileno()}
        process = started_anew(site.words(port), **how) if site.as_typed else loaded_once.start(site.words(port), **how)
    return Server(f"http://127.0.0.1:{port}", log, process)


def started_anew(words: Sequence[str], **how: Any) -> subprocess.Popen[bytes]:
    """Start Python itself, which ends with the tests, even if these are killed; a group of its own, ended whole."""
    command = ["setpriv", "--pdeathsig", "TERM"] if shutil.which("setpriv") else []
    command += [sys.executable, *words]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.STDOUT, start_new_session=True, **how)


@contextlib.contextmanager
def serving(*sites: Site) -> Iterator[list[Server]]:
    """Run servers, all started at once, as long as the block lasts. A failure in it shows the ends of their logs."""
    servers = [start(site) for site in sites]
    try:
        for server in servers:
            server.ready()
        yield servers
    except Exception as error:
        for server in servers:
            error.add_note(f"{server.url} said:\n{server.said()}")
        raise
    finally:
        for server in servers:
            server.end()


def raw(
    url: str,
    method: str,
    path: str,
    body: object = None,
    *,
    auth: tuple[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    timeout: float = 120.0,
) -> Answer:
    """Ask a server over one connection of its own; errors of HTTP are answers like others."""
    sent = dict(headers or {})
    if auth is not None:
        sent["Authorization"] = "Basic " + base64.b64encode(":".join(auth).encode()).decode()
    payload = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    if payload is not None:
        sent.setdefault("Content-Type", "application/json")
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=timeout)
    try:
        connection.request(method, path, payload, sent)
        answer = connection.getresponse()
        return Answer(answer.status, answer.read().decode("utf-8", "replace"))
    finally:
        connection.close()


def free_port() -> int:
    """A port of this machine that nobody uses now."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


# databases


@dataclass
class Sqlite:
    """SQLite databases, each a copy of one that has MLflow's tables: making them takes as long as a server's start."""

    place: Path
    made: int = 0

    def new(self) -> Database:
        """A database of its own."""
        self.made += 1
        return Database(f"sqlite:///{shutil.copy(empty_registry(), self.place / f'registry_{self.made}.db')}")


@dataclass
class Postgresql:
    """Databases of a PostgreSQL server that the tests may do everything with, likewise; dropped at the end."""

    administration: str
    """URI of a database of the server, for a user who may create others."""
    made: list[str] = field(default_factory=list)

    def new(self) -> Database:
        """A database of its own."""
        template = f"rank_tests_{os.getpid()}"
        if not self.made:
            self.execute(f'CREATE DATABASE "{template}"')
            self.made.append(template)
            make_tables(self.named(template).uri)
        name = f"{template}_{len(self.made)}"
        self.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        self.made.append(name)
        return self.named(name)

    def named(self, name: str) -> Database:
        """The database of this name."""
        import sqlalchemy

        uri = sqlalchemy.make_url(self.administration).set(database=name)
        return Database(uri.render_as_string(hide_password=False))

    def execute(self, statement: str, database: Database | None = None) -> None:
        """Carry out a statement that belongs to no transaction."""
        import sqlalchemy

        uri = self.administration if database is None else database.uri
        engine = sqlalchemy.create_engine(uri, isolation_level="AUTOCOMMIT", poolclass=sqlalchemy.NullPool)
        with engine.connect() as connection:
            connection.exec_driver_sql(statement)

    def drop(self) -> None:
        """Drop every database that was made here."""
        while self.made:
            self.execute(f'DROP DATABASE IF EXISTS "{self.made.pop()}" WITH (FORCE)')


# processes, as Linux lists them


def _family(pid: int) -> list[int]:
    """Return a process and all that it started, directly or not."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            parents.setdefault(parent, []).append(int(entry.name))
    family, new = [pid], [pid]
    while new:
        new = [child for parent in new for child in parents.get(parent, ())]
        family += new
    return family


def _command_of(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
