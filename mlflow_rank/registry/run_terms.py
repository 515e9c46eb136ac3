"""A measurement in the terms of an MLflow run: its name, parameters, tags and audio set."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow_rank.errors import UsageError
from mlflow_rank.registry.measured_rank import Document, ranks_of, section

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput

_PARAM_CHARACTERS = 500  # the least any MLflow backend has allowed; newer ones cut at 6,000 without a word
_TAG_CHARACTERS = 5000  # likewise; newer ones cut at 8,000
_DIGEST_CHARACTERS = 36  # mlflow.utils.validation.MAX_DATASET_DIGEST_SIZE: a sha256 does not fit, its start does


def run_name_of(document: Document) -> str:
    """Return a name for the run: what was measured."""
    spec = str(section(document, "model").get("spec") or "encoder")
    return f"rank of {Path(spec).name or spec}"[:250]  # MLflow's longest key; long names only make pages wide


def params_of(document: Document, step: int | None) -> dict[str, str]:
    """Return what was set, flattened to `part.field`, cut to 500 characters; digests are tags instead.

    A run's parameters cannot change, so a monitored run leaves out what differs from checkpoint to checkpoint.
    """
    params: dict[str, str] = {}
    for part in ("model", "audio", "protocol"):
        for key, value in _flat(section(document, part), part):
            if key.endswith("digest") or (step is not None and key == "model.spec"):
                continue
            text = value if isinstance(value, str) else json.dumps(value)
            params[key] = _cut(text, _PARAM_CHARACTERS)
    return params


def _flat(values: Mapping[str, object], prefix: str) -> list[tuple[str, object]]:
    flat: list[tuple[str, object]] = []
    for key, value in values.items():
        name = f"{prefix}.{key}"
        if isinstance(value, Mapping) and value:
            flat += _flat(value, name)
        elif value is not None:
            flat.append((_accepted(name), value))
    return flat


def _accepted(name: str) -> str:
    """Return a name MLflow accepts: letters, digits, `_ - . space : /`, at most 250 characters."""
    return "".join(sign if sign.isalnum() or sign in "_-. :/" else "_" for sign in name)[:250]


def tags_of(document: Document, control: Document | None) -> dict[str, str]:
    """Return what identifies the measurement, and how many numbers are unknown and utterances skipped."""
    import mlflow_rank

    unknown = sum(1 for row in ranks_of(document) if row.get("status") == "unknown")
    tags: dict[str, object] = {
        "mlflow_rank.version": mlflow_rank.__version__,
        "mlflow_rank.kind": document.get("kind"),
        "mlflow_rank.model_digest": section(document, "model").get("digest"),
        "mlflow_rank.corpus_digest": section(document, "audio").get("corpus_digest"),
        "mlflow_rank.preset": section(document, "protocol").get("preset"),
        "mlflow_rank.unknown_numbers": unknown,
        "mlflow_rank.skipped_utterances": len(skipped_of(document)),
        "mlflow_rank.control_digest": None if control is None else section(control, "model").get("digest"),
    }
    return {key: _cut(str(value), _TAG_CHARACTERS) for key, value in tags.items() if value is not None}


def audio_input(document: Document) -> DatasetInput:
    """Return the audio of a measurement as MLflow's dataset: the corpus digest cut to the characters MLflow keeps."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    audio = section(document, "audio")
    digest = str(audio.get("corpus_digest") or "unknown").removeprefix("sha256:")
    source = str(audio.get("source") or "unknown")
    profile: dict[str, object] = {key: value for key, value in audio.items() if isinstance(value, int | float | str)}
    profile["num_rows"] = audio.get("utterances")
    dataset = Dataset(
        name=_cut(Path(source).name or source, 500),  # mlflow.utils.validation.MAX_DATASET_NAME_SIZE
        digest=digest[:_DIGEST_CHARACTERS],
        source_type="local",
        source=json.dumps({"uri": source}),
        profile=json.dumps(profile),
    )
    return DatasetInput(dataset=dataset, tags=[InputTag(key="mlflow.data.context", value="rank measurement")])


def skipped_of(document: Document) -> list[object]:
    """Return the entries about utterances that could not be used."""
    skipped = document.get("skipped")
    return list(skipped) if isinstance(skipped, Sequence) and not isinstance(skipped, str) else []


def digest_of(document: Document) -> str:
    """Return `sha256:…` of the document as JSON with sorted keys.

    Raises:
        UsageError: it holds something that JSON has no form for, such as NaN.

    """
    try:
        text = json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise UsageError(
            "the measurement cannot be written as JSON",
            got=str(error),
            expected="finite numbers, text, lists and mappings; an absent number is null with a cause",
        ) from error
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _cut(text: str, characters: int) -> str:
    return text if len(text) <= characters else text[: characters - 1] + "…"
