"""`mlflow server …` whose processes share what they import: MLflow's own command line decides what is run, and how.

A server is three processes or more (the command line, uvicorn, its workers), and each would import MLflow by itself,
which takes longer than most tests. Here all of them are forked from one that has done so (see `loaded_once`), and
passwords are kept so that checking one takes no quarter of a second, as it should elsewhere: it is done at every call.
"""

from __future__ import annotations

import importlib
import json
import multiprocessing
import os
import runpy
import sys
import threading
from functools import partial
from typing import Any, NoReturn

QUICK = "pbkdf2:sha256:1"
"""How passwords are kept: one round instead of a million."""


def main(arguments: list[str]) -> None:
    """Serve as `mlflow` with these arguments does."""
    keep_passwords_quickly()
    command, environment = asked_of_uvicorn(arguments)
    os.environ.clear()
    os.environ.update(environment)
    importlib.import_module("mlflow.server")
    if "--factory" in command:
        importlib.import_module(command[-1].partition(":")[0])
    fork_workers()
    sys.argv = command[2:]  # without `python -m`
    runpy.run_module("uvicorn", run_name="__main__", alter_sys=True)


def keep_passwords_quickly() -> None:
    """Have MLflow's basic-auth, which is not imported yet, keep passwords so that they are checked in no time."""
    import werkzeug.security

    if "mlflow.server" in sys.modules:
        raise RuntimeError("imported before it is known how passwords are kept")
    werkzeug.security.generate_password_hash = partial(werkzeug.security.generate_password_hash, method=QUICK)


def asked_of_uvicorn(arguments: list[str]) -> tuple[list[str], dict[str, str]]:
    """Return the command and the environment with which MLflow's command line would start uvicorn.

    It runs in a process of its own, as it does elsewhere; where it refuses, this process ends with its exit code.
    """
    read, written = os.pipe()
    child = os.fork()
    if not child:
        os.close(read)
        run_mlflow(arguments, written)
    os.close(written)
    with os.fdopen(read, encoding="utf-8") as told:
        said = told.read()
    _, status = os.waitpid(child, 0)
    if not said:
        sys.exit(os.waitstatus_to_exitcode(status) or 1)
    command, environment = json.loads(said)
    return command, environment


def run_mlflow(arguments: list[str], told: int) -> NoReturn:
    """Run MLflow's command line up to where it would start uvicorn, and tell with what."""
    import mlflow.cli
    import mlflow.server

    def tell(command: list[str], *, extra_env: dict[str, str], **_: Any) -> NoReturn:
        os.write(told, json.dumps([command, dict(os.environ) | extra_env]).encode())
        sys.stdout.flush()
        os._exit(0)

    mlflow.server._exec_cmd = tell
    mlflow.cli.cli.main(arguments, prog_name="mlflow")
    raise AssertionError("MLflow's command line started no server")


def fork_workers() -> None:
    """Have uvicorn fork its workers, and those that follow one that died, where it would start Python anew."""
    import uvicorn._subprocess

    if threading.active_count() > 1:
        raise RuntimeError(f"what is forked has one thread: {threading.enumerate()}")
    uvicorn._subprocess.spawn = multiprocessing.get_context("fork")


if __name__ == "__main__":
    main(sys.argv[1:])
