"""What lies at a location in transformers' form, a directory or a hub id: its configurations, or a clear error."""

from __future__ import annotations

import json
import os
import pickle
import re
import socket
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

from mlflow_rank.encoders.foreign_errors import first_line, pickle_refused
from mlflow_rank.encoders.specs import STARTER
from mlflow_rank.errors import UsageError


@dataclass(frozen=True, slots=True)
class Location:
    """Where a model lies: `name` is a directory's path or a hub id, `text` is what the caller wrote.

    `local` says that only files on this machine are looked at. `revision` is the hub's commit, so that all files come
    from one commit whatever is pushed meanwhile; empty for a directory.
    """

    text: str
    name: str
    local: bool
    revision: str = ""

    @property
    def options(self) -> dict[str, Any]:
        """What every `from_pretrained` is given beside the name."""
        return {"local_files_only": self.local} | ({"revision": self.revision} if self.revision else {})


def locate(text: str) -> Location:
    """Find a directory, or a model on the hub.

    Raises:
        UsageError: a file, a directory without config.json, a path to nothing, or a hub id that the hub does not give.
    """
    _refuse_what_holds_no_encoder(text)
    path = Path(text).expanduser()
    if path.is_dir():
        return Location(text, str(path), local=True)
    from transformers.utils import cached_file

    offline = _hub_is_out_of_reach()
    try:
        found = cached_file(text, "config.json", local_files_only=offline)
    except OSError as error:
        raise unreadable(text, error, "config.json") from error
    commit = re.search(r"/snapshots/([0-9a-f]{40})/", Path(str(found)).as_posix())  # the layout of the hub's cache
    return Location(text, text, local=offline, revision=commit[1] if commit else "")


def _refuse_what_holds_no_encoder(location: str) -> None:
    path = Path(location).expanduser()
    if path.is_dir() and (path / "config.json").is_file():
        return
    if path == STARTER:
        raise UsageError(
            "the starter encoder is not in this installation",
            got=f"no config.json in {path}",
            remedy="reinstall the package, or train it with the recipe in recipes/starter_encoder",
        )
    if path.is_dir():
        raise UsageError(
            "this directory holds no encoder",
            got=f"{location}, without config.json",
            expected="config.json and model.safetensors as transformers' save_pretrained writes them",
        )
    if path.exists():
        raise UsageError(
            "an encoder is a directory, not a file", got=location, expected="the directory that holds config.json"
        )
    # A hub id is NAME or OWNER/NAME in these characters (huggingface_hub's rule for repository ids).
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?", location):
        raise UsageError(
            "no such directory",
            got=location,
            expected="an existing directory (this looks like a path: a hub id is OWNER/NAME)",
            remedy="check the path; a relative one starts at the current directory",
        )


def read_config(location: Location, *, trust_remote_code: bool) -> Any:
    """Return the model's configuration.

    Raises:
        UsageError: it is damaged, of an unknown kind, or needs code that the caller does not trust.
    """
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(location.name, trust_remote_code=trust_remote_code, **location.options)
    except Exception as error:  # transformers raises OSError, ValueError, KeyError and validation errors of its own
        raise unreadable(location.text, error, "config.json") from error


def unreadable(location: str, error: Exception, what: str) -> UsageError:
    """Say what a failure of transformers to load `what` from a location means, and what to do."""
    if isinstance(error, pickle.UnpicklingError):
        return pickle_refused(location, error)
    said = f"{location}: {first_line(error)}"
    if "trust_remote_code" in str(error):
        return UsageError(
            "this checkpoint comes with its own code, which is not run unless you say so",
            got=said,
            remedy="read that code, then pass --trust-remote-code",
        )
    if not Path(location).expanduser().is_dir():
        return UsageError(
            f"no such model: {location!r} is no directory here, and the hub did not give it",
            got=said,
            expected="an existing directory, or the hub id of a public model while the network is up",
            remedy="check the spelling; offline, download the model first and pass its directory",
        )
    return UsageError(f"{what} cannot be loaded", got=said, expected="a speech encoder that transformers knows")


def read_preprocessor(location: Location) -> Mapping[str, Any]:
    """Return the feature extractor's configuration, in either of the files that transformers writes, or nothing."""
    from transformers.utils import cached_file

    for name in ("preprocessor_config.json", "processor_config.json"):
        try:
            found = cached_file(location.name, name, _raise_exceptions_for_missing_entries=False, **location.options)
            content = {} if found is None else json.loads(Path(found).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:  # no answer from the hub is no leave to take defaults
            raise unreadable(location.text, error, name) from error
        content = content.get("feature_extractor", content) if name == "processor_config.json" else content
        if "sampling_rate" in content or "feature_extractor_type" in content:
            return dict(content)
    return {}


def _hub_is_out_of_reach() -> bool:
    """Say whether the hub's name cannot be resolved, in milliseconds; its client would retry for half a minute.

    Behind a proxy names need not resolve here, so then the client finds out by itself.
    """
    if getproxies():
        return False
    return not _resolves(urlsplit(os.environ.get("HF_ENDPOINT", "https://huggingface.co")).hostname or "")


@cache
def _resolves(host: str) -> bool:
    try:
        socket.getaddrinfo(host, 443)
    except OSError:
        return False
    return True


@contextmanager
def quiet() -> Iterator[None]:
    """Silence transformers' talk while loading; what matters in it is judged by `check_fit` and raised as errors.

    It also keeps transformers from asking the hub, in the name of whoever loads a model, to convert its weights.
    """
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    conversion = os.environ.get("DISABLE_SAFETENSORS_CONVERSION")
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    os.environ["DISABLE_SAFETENSORS_CONVERSION"] = "true"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
        if conversion is None:
            del os.environ["DISABLE_SAFETENSORS_CONVERSION"]
        else:
            os.environ["DISABLE_SAFETENSORS_CONVERSION"] = conversion
