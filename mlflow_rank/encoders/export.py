"""Writing an encoder into a directory from which it loads again, without pickles."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlflow_rank.encoders.foreign_errors import first_line
from mlflow_rank.encoders.specs import HuggingFaceSource, ModuleSource, Source, TorchaudioSource
from mlflow_rank.errors import UsageError

if TYPE_CHECKING:
    from mlflow_rank.encoders.torch_encoder import TorchEncoder

RECORD = "encoder.json"
_KIND = "EncoderExport"


@dataclass(frozen=True, slots=True)
class ExportRecord:
    """What `encoder.json` says: how the module is built again, its layers and digest, and what it was exported from.

    `form` is "huggingface", "torchaudio" or "module"; `build` names the bundle or the factory. `layers` is the
    `--layers` text that was in force.
    """

    directory: Path
    form: str
    build: Mapping[str, str]
    layers: str
    digest: str
    origin: Mapping[str, Any]

    def source(self) -> Source:
        """Return where the encoder's module and weights come from, now that they lie in the directory."""
        weights = self.directory / "model.safetensors"
        if self.form == "torchaudio":
            return TorchaudioSource(self.build["bundle"], weights)
        if self.form == "module":
            return ModuleSource(self.build["module"], self.build["factory"], weights)
        return HuggingFaceSource(str(self.directory))


def export_encoder(encoder: TorchEncoder, directory: Path) -> None:
    """Write everything that `load_encoder(directory)` needs: safetensors, configurations, and `encoder.json`.

    A torchaudio encoder needs torchaudio again, and a module encoder its importable factory: code is not exported.

    Args:
        encoder: from `load_encoder`.
        directory: created where it does not exist; must be empty.

    Raises:
        UsageError: the directory holds something already.
    """
    directory.mkdir(parents=True, exist_ok=True)
    if any(directory.iterdir()):
        raise UsageError(
            "the directory for the export is not empty", got=str(directory), expected="an empty or new directory"
        )
    build = dict(encoder.anatomy.save(directory))
    described = encoder.describe()
    kept = ("spec", "family", "weights", "seed", "architecture", "revision")
    record = {
        "kind": _KIND,
        "form": build.pop("form"),
        "build": build,
        "layers": described["layers_asked"],
        "digest": encoder.digest,
        "origin": described.get("exported_from", {key: described[key] for key in kept if key in described}),
    }
    (directory / RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def read_export(directory: Path) -> ExportRecord:
    """Read the record of an exported encoder.

    Raises:
        UsageError: `encoder.json` is damaged or of another kind.
    """
    path = directory / RECORD
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["kind"] != _KIND or content["form"] not in ("huggingface", "torchaudio", "module"):
            raise ValueError(f"kind {content['kind']!r}, form {content['form']!r}")
        return ExportRecord(
            directory, content["form"], content["build"], content["layers"], content["digest"], content["origin"]
        )
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(
            "encoder.json is not the record of an exported encoder",
            got=f"{path}: {type(error).__name__} {first_line(error)}",
            expected=f'the file that the export wrote, with "kind": "{_KIND}"',
            remedy="export the encoder again",
        ) from error
