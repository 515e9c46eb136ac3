"""An encoder as an MLflow model: safetensors beside a small file of code, no pickles, with its ranks on it."""

from __future__ import annotations

import importlib.metadata
import json
import math
import re
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow_rank.errors import UsageError
from mlflow_rank.evidence.file_manifest import file_manifest
from mlflow_rank.registry.clients.connection import connected_client, quiet_mlflow, speaking_to, unreachable
from mlflow_rank.registry.runs.measured_rank import Document, MeasuredRank, read_ranks, section
from mlflow_rank.registry.runs.metric_names import metrics_of
from mlflow_rank.registry.runs.run_claim import RecordedRun
from mlflow_rank.registry.runs.run_terms import audio_input

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel

DEFAULT_NAME = "encoder"
_CODE = Path(__file__).with_name("served_encoder.py")
# What loading runs on; `mlflow_rank` itself must be installable where the model is served.
_RUNS_ON = ("mlflow_rank", "mlflow", "torch", "torchaudio", "transformers", "safetensors", "numpy", "pandas")
_NAME = re.compile(r"[^/:.%\"'@]{1,250}")  # what MLflow refuses in model names, and `@`, which begins an alias


@dataclass(frozen=True, slots=True)
class LoggedEncoder:
    """A logged encoder: `model_uri` is `models:/m-…`; `version` of `name` where it was registered, else None.

    `files_digest` is of the manifest of its files as they were uploaded: what evidence about it is bound to.
    """

    model_uri: str
    model_id: str
    name: str | None
    version: str | None
    files_digest: str


def log_encoder(
    encoder_directory: Path,
    document: Document,
    *,
    run: RecordedRun,
    control: Document | None = None,
    registered_model_name: str | None = None,
    name: str = DEFAULT_NAME,
) -> LoggedEncoder:
    """Log an exported encoder as a model of the run that measured it, and register it where a name is given.

    The model is a pyfunc from code with the directory as its artifact: it loads with
    `MLFLOW_ALLOW_PICKLE_DESERIALIZATION=false`, and `predict` gives per-layer utterance embeddings (`served_encoder`).
    The run's metrics are linked to it, and its metadata holds the headline ranks with the digests they belong to.
    `mlflow_rank` must be installed where the model is loaded: its code does not travel with the model, so that loading
    one never replaces the code that is running.

    Args:
        encoder_directory: what `encoders.export.export_encoder` wrote.
        document: the measurement of this encoder.
        run: what `record_measurement` returned for `document`.
        control: the control that was recorded with it.
        registered_model_name: a registered model, made on first use; None to register nothing.
        name: the model's name in the run.

    Raises:
        UsageError: there is no encoder in the directory, or the name is none that MLflow takes.
        MeasurementError: the store cannot be reached or refuses.

    """
    from mlflow.exceptions import MlflowException

    _check(encoder_directory, name, registered_model_name)
    safe = f"the encoder is kept at {encoder_directory}"
    client = connected_client(run.tracking_uri, what_is_safe=safe)
    try:
        with quiet_mlflow():
            model, digest = _log(client, encoder_directory, document, run, name)
            _link_metrics(client, model, document, control, run)
            if registered_model_name is None:
                return LoggedEncoder(model.model_uri, model.model_id, None, None, digest)
            version = _register(client, model, document, registered_model_name)
    except MlflowException as error:
        raise unreachable(client.tracking_uri, error, what_is_safe=safe) from error
    return LoggedEncoder(model.model_uri, model.model_id, registered_model_name, version, digest)


def _check(encoder_directory: Path, *names: str | None) -> None:
    if not (encoder_directory / "encoder.json").is_file() and not (encoder_directory / "config.json").is_file():
        raise UsageError(
            "there is no exported encoder in this directory",
            got=str(encoder_directory),
            expected="a directory written by export_encoder, with encoder.json",
        )
    for name in names:
        check_model_name(name)


def check_model_name(name: str | None) -> None:
    """Refuse a name that MLflow cannot keep a model under; None is no name and fine.

    Raises:
        UsageError: the name holds a sign that MLflow refuses.
    """
    if name is not None and not _NAME.fullmatch(name):
        raise UsageError(
            "MLflow cannot keep a model under this name", got=repr(name), expected="no / : . % @ or quotes"
        )


def _log(
    client: MlflowClient, directory: Path, document: Document, run: RecordedRun, name: str
) -> tuple[LoggedModel, str]:
    """Return the logged model, and the digest of its files."""
    from mlflow.entities import LoggedModelOutput, LoggedModelStatus

    model = client.create_logged_model(
        run.experiment_id,
        name=name,
        source_run_id=run.run_id,
        tags=_tags(document),
        params=dict(client.get_run(run.run_id).data.params),
    )
    client.log_outputs(run.run_id, [LoggedModelOutput(model.model_id, step=run.step)])
    try:
        with tempfile.TemporaryDirectory(prefix="mlflow_rank-") as folder:
            _save(Path(folder, "model"), directory, document, model)
            digest = file_manifest(Path(folder, "model")).digest
            client.log_model_artifacts(model.model_id, str(Path(folder, "model")))
    except BaseException:
        client.finalize_logged_model(model.model_id, LoggedModelStatus.FAILED)
        raise
    return client.finalize_logged_model(model.model_id, LoggedModelStatus.READY), digest


def _save(path: Path, directory: Path, document: Document, model: LoggedModel) -> None:
    import mlflow
    from mlflow.models import Model

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"mlflow\.")  # advice for those who write models
        mlflow.pyfunc.save_model(
            path,
            mlflow_model=Model(
                artifact_path=model.artifact_location,
                run_id=model.source_run_id,
                model_id=model.model_id,
                model_uuid=model.model_id,
            ),
            python_model=str(_CODE),
            artifacts={"encoder": str(directory)},
            signature=_signature(),
            input_example=_example(document),
            pip_requirements=_requirements(),
            metadata={"mlflow_rank": model_metadata(document)},
        )


def _link_metrics(
    client: MlflowClient, model: LoggedModel, document: Document, control: Document | None, run: RecordedRun
) -> None:
    """Log the run's metrics again for the model: same time, value and step, so the run's history gains no point."""
    from mlflow.entities import Metric

    audio = audio_input(document).dataset
    metrics = [
        Metric(
            key,
            value,
            run.logged_at,
            run.step,
            model_id=model.model_id,
            dataset_name=audio.name,
            dataset_digest=audio.digest,
            run_id=run.run_id,
        )
        for key, value in metrics_of(document, control).items()
    ]
    client.log_batch(run.run_id, metrics=metrics)


def _register(client: MlflowClient, model: LoggedModel, document: Document, name: str) -> str:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    with speaking_to(client.tracking_uri):
        version = client.create_model_version(
            name,
            model.model_uri,
            run_id=model.source_run_id,
            tags=_tags(document),
            model_id=model.model_id,
            await_creation_for=0,  # the files are there already: nothing is left to wait for
        )
    # MLflow's pages lead from a logged model to its versions by this tag.
    versions = json.dumps([{"name": name, "version": version.version}])
    client.set_logged_model_tags(model.model_id, {"mlflow.modelVersions": versions})
    return str(version.version)


def model_metadata(document: Document) -> dict[str, object]:
    """Return what a model says about itself: digests, protocol and the headline effective ranks, layer by layer.

    An unknown rank is its cause in words, never a number.
    """
    audio, model = section(document, "audio"), section(document, "model")
    return {
        "model_digest": model.get("digest"),
        "corpus_digest": audio.get("corpus_digest"),
        "minutes": audio.get("minutes"),
        "preset": section(document, "protocol").get("preset"),
        "effective_rank": {
            level: {
                f"layer_{rank.layer:02d}": _in_words(rank)
                if isinstance(rank, MeasuredRank)
                else {"unknown": rank.cause}
                for rank in read_ranks(document, level=level, centred=True)
            }
            for level in ("frame", "utterance")
        },
    }


def _in_words(rank: MeasuredRank) -> dict[str, object]:
    shown: dict[str, object] = {"value": rank.value, "bias_corrected": rank.corrected, "dim": rank.dim, "n": rank.n}
    if rank.interval is not None:
        shown["low"], shown["high"] = rank.interval
    return shown


def _tags(document: Document) -> dict[str, str]:
    digests = {
        "mlflow_rank.model_digest": section(document, "model").get("digest"),
        "mlflow_rank.corpus_digest": section(document, "audio").get("corpus_digest"),
    }
    return {key: str(value) for key, value in digests.items() if value is not None}


def _requirements() -> list[str]:
    installed = ((package, importlib.metadata.version(package)) for package in _RUNS_ON)
    # A local label such as +cpu names a build that an index does not offer under that name.
    return [f"{package}=={version.partition('+')[0]}" for package, version in installed]


def _signature() -> object:
    from mlflow.models import ModelSignature
    from mlflow.types import DataType, Schema
    from mlflow.types.schema import Array, ColSpec

    return ModelSignature(
        inputs=Schema(
            [
                ColSpec(Array(DataType.double), name="audio"),
                ColSpec(DataType.long, name="sampling_rate", required=False),
            ]
        )
    )


def _example(document: Document) -> object:
    """Return a request: a tenth of a second of a 220 Hz tone, enough to show the form and for most encoders to hear."""
    import pandas as pd

    rate = section(document, "model").get("sampling_rate")
    rate = rate if isinstance(rate, int) else 16_000
    tone = [round(0.1 * math.sin(2 * math.pi * 220 * sample / rate), 4) for sample in range(rate // 10)]
    return pd.DataFrame({"audio": [tone], "sampling_rate": [rate]})
