"""From `models:/…` and `runs:/…` to the local directory of the encoder that MLflow holds there."""

from __future__ import annotations

import re
import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from mlflow_rank.errors import UsageError
from mlflow_rank.registry.clients.connection import connected_client, speaking_to

if TYPE_CHECKING:
    from mlflow import MlflowClient

_VERSION = re.compile(r"models:/(?P<name>[^/@]+)/(?P<version>[0-9]+)")
_ALIAS = re.compile(r"models:/(?P<name>[^/@]+)@(?P<alias>[^/@]+)")
_LOGGED_MODEL = re.compile(r"models:/(?P<model_id>m-[0-9a-f]{32})")
_RUN = re.compile(r"runs:/(?P<run_id>[^/]+)/(?P<path>.+)")
_FORMS = "models:/NAME/VERSION, models:/NAME@ALIAS, models:/m-MODEL_ID or runs:/RUN_ID/PATH"

_WEIGHTS = ("*.safetensors", "pytorch_model*.bin")
_OTHER_WEIGHTS = ("random:", "shuffled:")  # in front of an address: its architecture, not what it holds
_DEEPEST = 4  # pyfunc keeps an artifact two folders down, transformers one; two more for a folder logged as it was
_PREPROCESSOR = "preprocessor_config.json"


@dataclass(frozen=True, slots=True)
class ResolvedModel:
    """A model named by `spec`, and what `load_encoder` takes for it.

    `loadable` is a local directory, after `random:` or `shuffled:` where the spec had it, or the spec itself where
    MLflow has no part in it. `version` is the registered version that the name or alias pointed at, `run_id` the run
    that logged it; both None where there is none. `files` is the directory with all that MLflow keeps of the model,
    None where MLflow has no part in it, or where random or shuffled weights are asked for.
    """

    spec: str
    loadable: str
    name: str | None = None
    version: str | None = None
    run_id: str | None = None
    files: Path | None = None


def resolve_model(spec: str, *, into: Path, tracking_uri: str | None = None) -> ResolvedModel:
    """Find the encoder that an MLflow address names; any other spec passes through untouched.

    A model in a store on this machine is read where it lies; any other is downloaded.

    Args:
        spec: what `--model` says.
        into: a directory for what must be downloaded; the caller's to keep or remove.
        tracking_uri: None for MLflow's own choice.

    Raises:
        UsageError: the address is malformed, names nothing, or holds no encoder in a form that loads without pickles.
        MeasurementError: the store cannot be reached.

    >>> resolve_model("facebook/hubert-base-ls960", into=Path("unused")).loadable
    'facebook/hubert-base-ls960'
    """
    prefix = next((each for each in _OTHER_WEIGHTS if spec.startswith(each)), "")
    address = spec.removeprefix(prefix)
    if not address.startswith(("models:/", "runs:/")):
        return ResolvedModel(spec, spec)
    forms = [form.fullmatch(address) for form in (_LOGGED_MODEL, _VERSION, _ALIAS, _RUN)]
    if not any(forms):
        raise UsageError("this MLflow address is not complete", got=address, expected=_FORMS)
    client = connected_client(tracking_uri)
    logged, version, alias, run = forms
    if logged:
        found = _logged_model(client, spec, logged["model_id"], into)
    elif version:
        found = _version(client, spec, version["name"], version["version"], into)
    elif alias:
        found = _version(client, spec, alias["name"], _aliased(client, alias["name"], alias["alias"]), into)
    elif run:
        found = _run(client, spec, run["run_id"], address, into)
    files = Path(found.loadable)
    encoder = find_encoder(files, into=into, named=address)
    return replace(found, loadable=f"{prefix}{encoder}", files=None if prefix else files)


def find_encoder(directory: Path, *, into: Path, named: str) -> Path:
    """Return the folder within a model's files that `load_encoder` takes.

    That is one with `encoder.json` (exported by this package), else one in transformers' form: `config.json` beside
    weights. MLflow's transformers flavour keeps the preprocessor apart; the two are then put side by side in `into`.

    Raises:
        UsageError: there is no such folder.

    """
    folders = [directory, *sorted(path for path in directory.rglob("*") if path.is_dir())]
    folders = [path for path in folders if len(path.relative_to(directory).parts) <= _DEEPEST]
    folders.sort(key=lambda path: len(path.relative_to(directory).parts))
    for folder in folders:
        if (folder / "encoder.json").is_file():
            return folder
    for folder in folders:
        if (folder / "config.json").is_file() and any(any(folder.glob(pattern)) for pattern in _WEIGHTS):
            return _with_preprocessor(folder, directory, into)
    raise UsageError(
        f"there is no encoder in {named}",
        got=", ".join(sorted(path.name for path in directory.iterdir())[:12]) or "an empty folder",
        expected="a folder with encoder.json, or with config.json beside model.safetensors",
        remedy="log the encoder with `mlflow-rank measure --model … --register NAME`; a pickled model is never loaded",
    )


def _with_preprocessor(folder: Path, directory: Path, into: Path) -> Path:
    apart = sorted(directory.rglob(_PREPROCESSOR))
    if (folder / _PREPROCESSOR).is_file() or not apart:
        return folder
    together = _fresh(into)
    for file in [*(path for path in folder.iterdir() if path.is_file()), apart[0]]:
        beside = together / file.name
        try:
            beside.symlink_to(file.resolve())
        except OSError:  # some file systems have no links
            shutil.copyfile(file, beside)
    return together


def _fresh(into: Path) -> Path:
    """Return a new folder: files of two models, or of an alias before and after it moved, must never mix."""
    into.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix="model-", dir=into))


def _version(client: MlflowClient, spec: str, name: str, number: str, into: Path) -> ResolvedModel:
    from mlflow.exceptions import MlflowException

    try:
        version = client.get_model_version(name, number)
        storage = client.get_model_version_download_uri(name, number)
    except MlflowException as error:
        raise _no_such_version(client, name, number) from error
    found = _fetch(client, storage, into, named=f"models:/{name}/{number}")
    return ResolvedModel(spec, str(found), name, str(version.version), version.run_id or None)


def _aliased(client: MlflowClient, name: str, alias: str) -> str:
    from mlflow.exceptions import MlflowException

    try:
        aliases = dict(client.get_registered_model(name).aliases)
    except MlflowException as error:
        raise _no_such_model(client, name) from error
    if alias not in aliases:
        known = ", ".join(f"{known} (version {number})" for known, number in sorted(aliases.items()))
        raise UsageError(
            f"the registered model {name!r} has no alias {alias!r}",
            got=f"models:/{name}@{alias}",
            expected=known or "an alias, but none is set on this model",
            remedy=f"use one of these, or a version: models:/{name}/1",
        )
    return str(aliases[alias])


def _logged_model(client: MlflowClient, spec: str, model_id: str, into: Path) -> ResolvedModel:
    from mlflow.exceptions import MlflowException

    try:
        model = client.get_logged_model(model_id)
    except MlflowException as error:
        raise UsageError(
            f"there is no logged model {model_id}", expected="the id of a model in this tracking store", got=spec
        ) from error
    found = _fetch(client, model.artifact_location, into, named=f"models:/{model_id}")
    return ResolvedModel(spec, str(found), run_id=model.source_run_id)


def _run(client: MlflowClient, spec: str, run_id: str, address: str, into: Path) -> ResolvedModel:
    from mlflow.exceptions import MlflowException

    try:
        client.get_run(run_id)
    except MlflowException as error:
        raise UsageError(
            f"there is no run {run_id}", got=address, expected=f"a run in {client.tracking_uri}, as {_FORMS}"
        ) from error
    return ResolvedModel(spec, str(_fetch(client, address, into, named=address)), run_id=run_id)


def _fetch(client: MlflowClient, uri: str, into: Path, *, named: str) -> Path:
    import mlflow
    from mlflow.exceptions import MlflowException

    lies_here = _local_path(uri)
    if lies_here is not None and lies_here.is_dir():
        return lies_here
    into = _fresh(into)
    downloaded: str | None = None
    problem: Exception | None = None
    try:
        with speaking_to(client.tracking_uri):
            downloaded = mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=str(into))
    except (MlflowException, OSError) as error:
        problem = error
    if downloaded is None or not Path(downloaded).is_dir() or not any(Path(downloaded).iterdir()):
        raise UsageError(
            f"the files of {named} cannot be fetched",
            got=f"nothing at {uri}" if problem is None else str(problem).strip().partition("\n")[0],
            expected="a folder with the model's files",
            remedy="look at its artifacts in MLflow's pages; the path follows the run's id: runs:/RUN_ID/PATH",
        ) from problem
    return Path(downloaded)


def _local_path(uri: str) -> Path | None:
    """Return the path of a `file:` URI or a plain absolute path, None for anything that must be downloaded."""
    parts = urlsplit(uri)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    return Path(uri) if Path(uri).is_absolute() else None


def _no_such_version(client: MlflowClient, name: str, number: str) -> UsageError:
    versions = client.search_model_versions(f"name = '{_quoted(name)}'")
    if not versions:
        return _no_such_model(client, name)
    return UsageError(
        f"the registered model {name!r} has no version {number}",
        got=f"models:/{name}/{number}",
        expected="version " + ", ".join(sorted((str(each.version) for each in versions), key=int)),
    )


def _no_such_model(client: MlflowClient, name: str) -> UsageError:
    names: list[str] = []
    with suppress(Exception):  # the list only helps; without it the error still says what is wrong
        names = [model.name for model in client.search_registered_models(max_results=10)]
    return UsageError(
        f"there is no registered model {name!r} with versions",
        got=name,
        expected=f"one of {', '.join(names)}" if names else f"a registered model; none is in {client.tracking_uri}",
        remedy="register one with `mlflow-rank measure --model … --register NAME`",
    )


def _quoted(name: str) -> str:
    return name.replace("'", "\\'")
