"""A measurement in the terms of an MLflow run: its name, parameters, tags and audio set."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow_rank.errors import UsageError
from mlflow_rank.registry.runs.measured_rank import Document, ranks_of, section
from mlflow_rank.registry.runs.run_claim import FILES_DIGEST

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput

_PARAM_CHARACTERS = 500  # the least any MLflow backend has allowed; newer ones cut at 6,000 without a word
TAG_CHARACTERS = 5000  # likewise; newer ones cut at 8,000
_DIGEST_CHARACTERS = 36  # mlflow.utils.validation.MAX_DATASET_DIGEST_SIZE: a sha256 does not fit, its start does


_VERBS = {"PilotResult": "pilot"}  # what a run is called after; a measurement is the rule


def run_name_of(document: Document) -> str:
    """Return a name for the run: what was measured or piloted.

    >>> run_name_of({"kind": "PilotResult", "model": {"spec": "lab/hubert-small"}})
    'pilot of hubert-small'
    """
    spec = str(section(document, "model").get("spec") or "encoder")
    name = f"{_VERBS.get(str(document.get('kind')), 'rank')} of {Path(spec).name or spec}"
    return name[:250]  # MLflow's longest key; long names only make pages wide


def params_of(document: Document, step: int | None) -> dict[str, str]:
    """Return what was set, flattened to `part.field`, cut to 500 characters; digests are tags instead.

    A run's parameters cannot change, so a monitored run leaves out what differs from checkpoint to checkpoint.
    """
    params: dict[str, str] = {}
    for part in ("model", "audio", "protocol"):
        params |= flat_params(section(document, part), part)
    if step is not None:
        params.pop("model.spec", None)
    return params


def flat_params(values: Mapping[str, object], prefix: str) -> dict[str, str]:
    """Return values as parameters named `prefix.field`, nested ones further down; no digests, nothing absent."""
    return {
        key: cut(value if isinstance(value, str) else json.dumps(value), _PARAM_CHARACTERS)
        for key, value in _flat(values, prefix)
        if not key.endswith("digest")
    }


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
        FILES_DIGEST: section(document, "model").get("files_digest"),
        "mlflow_rank.corpus_digest": section(document, "audio").get("corpus_digest"),
        "mlflow_rank.preset": section(document, "protocol").get("preset"),
        "mlflow_rank.unknown_numbers": unknown,
        "mlflow_rank.skipped_utterances": len(skipped_of(document)),
        "mlflow_rank.control_digest": None if control is None else section(control, "model").get("digest"),
    }
    return {key: cut(str(value), TAG_CHARACTERS) for key, value in tags.items() if value is not None}


def model_digest_of(document: Document) -> str | None:
    """Return the digest of the weights a document is about, None where it names none."""
    digest = section(document, "model").get("digest")
    return None if digest is None else str(digest)


def audio_input(document: Document) -> DatasetInput:
    """Return the audio of a measurement as MLflow's dataset: the corpus digest cut to the characters MLflow keeps."""
    audio = section(document, "audio")
    return dataset_input(audio, rows=audio.get("utterances"), tags={"mlflow.data.context": "rank measurement"})


def dataset_input(
    described: Mapping[str, object], *, rows: object, tags: Mapping[str, str], labels: str | None = None
) -> DatasetInput:
    """Return an audio set as MLflow's dataset: named by the last part of its source, and by the labels it is used for.

    Args:
        described: `source`, `corpus_digest` and whatever else is known; plain values become the profile.
        rows: how many items there are.
        tags: of the input; `mlflow.data.context` shows in MLflow's pages.
        labels: which labels are meant: one set of audio with two sorts of labels is two datasets.

    """
    from mlflow.entities import Dataset, DatasetInput, InputTag

    digest = str(described.get("corpus_digest") or "unknown").removeprefix("sha256:")
    source = str(described.get("source") or "unknown")
    profile = {key: value for key, value in described.items() if isinstance(value, int | float | str)}
    name = Path(source).name or source
    dataset = Dataset(
        name=cut(
            name if labels is None else f"{name} ({labels})", 500
        ),  # mlflow.utils.validation.MAX_DATASET_NAME_SIZE
        digest=digest[:_DIGEST_CHARACTERS],
        source_type="local",
        source=json.dumps({"uri": source}),
        profile=json.dumps(profile | {"num_rows": rows}),
    )
    return DatasetInput(dataset=dataset, tags=[InputTag(key=key, value=value) for key, value in tags.items()])


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
            "this result cannot be written as JSON",
            got=str(error),
            expected="finite numbers, text, lists and mappings; an absent number is null with a cause",
        ) from error
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def cut(text: str, characters: int) -> str:
    """Return the text, its end replaced by `…` where it is longer than so many characters."""
    return text if len(text) <= characters else text[: characters - 1] + "…"
