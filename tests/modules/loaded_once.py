"""Python processes forked from one that has loaded torch and MLflow already, which takes longer than most of them last.

Each has a directory, an environment, files and arguments of its own, as if it had been started anew, and runs what
`python` is told to run: `-m`, `-c`, or a file. What is about a fresh start itself (how light an import is, what a
warning at import does) starts Python. What environment variables say at import is what they said to the tests.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import gc
import json
import os
import runpy
import select
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

LOADED = (
    # with a server; nothing of mlflow.server, which looks at its environment as it is imported
    "uvicorn.main",
    "fastapi",
    "flask_cors",
    "mlflow.artifacts",
    "mlflow.gateway.budget",
    "mlflow.genai",
    "mlflow.metrics",
    "mlflow.projects",
    "mlflow.store.model_registry.sqlalchemy_store",
    "mlflow.store.tracking.sqlalchemy_store",
    "mlflow_rank.registry.gate.gate",
    "mlflow_rank.workflow.gating",
    # with a command
    "matplotlib.backends.backend_agg",
    "matplotlib.backends.backend_svg",
    "transformers.models.auto.modeling_auto",
    "transformers.models.hubert.modeling_hubert",
    "mlflow.pyfunc",
    "mlflow_rank.cli.main",
    "mlflow_rank.encoders.huggingface",
    "mlflow_rank.reports.pilot_table",
    "mlflow_rank.workflow.assessing",
    "mlflow_rank.workflow.recording",
)
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_LONGEST = 1 << 20  # bytes of a request: arguments and an environment
_place: tuple[str, subprocess.Popen[bytes]] | None = None


@dataclass
class Forked:
    """A process that runs, or did; in as much as the tests need it, what `subprocess.Popen` is."""

    words: Sequence[str]
    pid: int
    connection: socket.socket
    returncode: int | None = None

    def poll(self) -> int | None:
        """Return its exit code, if it has ended."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(timeout=0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it has ended; return its exit code.

        Raises:
            subprocess.TimeoutExpired: it runs on.
        """
        if self.returncode is None:
            if not select.select([self.connection], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(list(self.words), timeout or 0.0)
            self.returncode = int(_line(self.connection) or -signal.SIGKILL)
            self.connection.close()
        return self.returncode

    def kill(self) -> None:
        """Kill it, if it has not ended."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)


def start(words: Sequence[str], *, cwd: Path, env: Mapping[str, str], stdout: int, stderr: int | None = None) -> Forked:
    """Run what `python` with these words would, in a session of its own; without `stderr`, errors go to `stdout`."""
    with Path(os.devnull).open("rb") as nothing:
        files = [nothing.fileno(), stdout, stdout if stderr is None else stderr]
        return asked(place(), words, cwd=str(cwd), env=env, files=files, session=True)


def run(words: Sequence[str], *, cwd: Path, env: Mapping[str, str], timeout: float) -> subprocess.CompletedProcess[str]:
    """Run it to its end; return what it said.

    Raises:
        subprocess.TimeoutExpired: it ran for longer than `timeout` seconds, and was killed.
    """
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        process = start(words, cwd=cwd, env=env, stdout=stdout.fileno(), stderr=stderr.fileno())
        try:
            code = process.wait(timeout)
        finally:
            process.kill()
        said = []
        for file in (stdout, stderr):
            file.seek(0)
            said.append(file.read().decode())
    return subprocess.CompletedProcess(list(words), code, *said)


def commands(directory: Path) -> Path:
    """Lay `python`, `mlflow` and `mlflow-rank` into a directory, for a PATH: each is forked likewise."""
    directory.mkdir(parents=True, exist_ok=True)
    ask = [sys.executable, "-I", "-S", __file__, "ask", place()]
    for name, words in {"python": [], "mlflow": ["-m", "mlflow"], "mlflow-rank": ["-m", "mlflow_rank"]}.items():
        file = directory / name
        file.write_text(f'#!/bin/sh\nexec {shlex.join(ask + words)} "$@"\n')
        file.chmod(0o755)
    return directory


def place() -> str:
    """The socket of the process that has loaded everything; it is started when first asked for, one by each of ours."""
    global _place
    if _place is None or _place[1].poll() is not None:
        path = str(Path(tempfile.mkdtemp(prefix="loaded-")) / "socket")
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
        kept.pop("PYTHONPATH", None)
        kept |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "true"}
        process = subprocess.Popen([sys.executable, __file__, "load", path], env=kept, stdin=subprocess.PIPE)
        atexit.register(_end, process, path)
        _place = path, process
    return _place[0]


def _end(process: subprocess.Popen[bytes], path: str) -> None:
    process.kill()
    process.communicate()
    Path(path).unlink(missing_ok=True)
    Path(path).parent.rmdir()


def asked(
    path: str, words: Sequence[str], *, cwd: str, env: Mapping[str, str], files: Sequence[int], session: bool
) -> Forked:
    """Ask for a process at the socket, and wait until it is there."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    for _ in range(6000):  # of 50 ms: it loads for some ten seconds, and listens from then on
        with contextlib.suppress(FileNotFoundError, ConnectionRefusedError):
            connection.connect(path)
            break
        if _place is not None and _place[1].poll() is not None:
            raise RuntimeError(f"what loads everything ended with {_place[1].returncode}")
        time.sleep(0.05)
    request = json.dumps([list(words), cwd, dict(env), session]).encode() + b"\n"
    socket.send_fds(connection, [request[:1]], list(files))
    connection.sendall(request[1:])
    return Forked(words, int(_line(connection)), connection)


def _line(connection: socket.socket) -> bytes:
    """Read a line, or what there was before the end."""
    said = b""
    while not said.endswith(b"\n") and (more := connection.recv(1)):
        said += more
    return said.strip()


# in the process that loads, and in those that are forked from it


def load_and_fork(path: str) -> list[str]:
    """Load, then fork whatever is asked for, until the tests end. Returns in what is forked: the words to run."""
    import importlib
    import warnings

    from mlflow_rank.speech.torchaudio_backend import import_torchaudio

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import_torchaudio()  # before transformers, which imports it by itself
        for name in LOADED:
            importlib.import_module(name)
    threads = [(thread / "comm").read_text().strip() for thread in Path("/proc/self/task").iterdir()]
    if len(threads) - threads.count("jemalloc_bg_thd") > 1:  # this one is pyarrow's, and knows of forks
        raise RuntimeError(f"what is forked has one thread: {threads}")
    if early := [name for name in sys.modules if name.startswith("mlflow.server")]:
        raise RuntimeError(f"imported before it is known how to serve: {early}")
    gc.collect()
    gc.freeze()  # what is shared stays shared
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the tests, which then end this
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that wait
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    listener.listen(64)
    while True:
        ready, _, _ = select.select([listener, sys.stdin], [], [])
        if listener not in ready:
            os._exit(0)
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            return forked(connection)
        connection.close()


def forked(connection: socket.socket) -> list[str]:
    """Fork what is asked for, tell how it ended, and end. Returns in what is forked."""
    die_with_parent()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    first, files, _, _ = socket.recv_fds(connection, 1, 3)
    words, cwd, environment, session = json.loads(first + read_line(connection))
    pid = os.fork()
    if pid == 0:
        die_with_parent()
        connection.close()
        for number, file in enumerate(files):
            os.dup2(file, number)
            os.close(file)
        if session:
            os.setsid()
        os.chdir(cwd)
        os.environ.clear()
        os.environ.update(environment)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        return words
    for file in files:
        os.close(file)
    with contextlib.suppress(OSError):
        connection.sendall(b"%d\n" % pid)
    _, status = os.waitpid(pid, 0)
    with contextlib.suppress(OSError):
        connection.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))
    os._exit(0)


def read_line(connection: socket.socket) -> bytes:
    """Read what follows up to the end of the line, which is long."""
    said = b""
    while not said.endswith(b"\n"):
        more = connection.recv(_LONGEST)
        if not more:
            os._exit(1)
        said += more
    return said


def die_with_parent() -> None:
    """Have the kernel end this process when the one that forked it ends, however that ends."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def main_module(words: list[str]) -> Any:
    """Return what runs what `python` would with these words, in a state as if it had just started."""
    sys.stdin, sys.stdout = os.fdopen(0, closefd=False), os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", closefd=False, buffering=1, errors="backslashreplace")
    added = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    match words:
        case ["-c", code, *rest]:
            sys.argv, first = ["-c", *rest], ""
            module = ModuleType("__main__")
            sys.modules["__main__"] = module
            run = lambda: exec(compile(code, "<string>", "exec"), module.__dict__)  # noqa: E731
        case ["-m", name, *rest]:
            sys.argv, first = [name, *rest], str(Path.cwd())
            run = lambda: runpy.run_module(name, run_name="__main__", alter_sys=True)  # noqa: E731
        case [file, *rest]:
            sys.argv, first = [file, *rest], str(Path(file).parent)
            run = lambda: runpy.run_path(file, run_name="__main__")  # noqa: E731
        case _:
            raise ValueError(f"nothing to run: {words}")
    sys.path[:1] = [first, *filter(None, added)]
    return run


if __name__ == "__main__":
    if sys.argv[1] == "ask":
        there = asked(sys.argv[2], sys.argv[3:], cwd=str(Path.cwd()), env=os.environ, files=(0, 1, 2), session=False)
        sys.exit(there.wait() % 256)
    main_module(load_and_fork(sys.argv[2]))()
