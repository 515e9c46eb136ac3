"""Which bytes a model is: the manifest of its files, by which evidence is bound to them."""

from __future__ import annotations

import tempfile
from pathlib import Path

from mlflow_rank.encoders.export import export_encoder
from mlflow_rank.encoders.specs import HuggingFaceSource, parse_spec
from mlflow_rank.encoders.torch_encoder import TorchEncoder
from mlflow_rank.errors import EvidenceError, UsageError
from mlflow_rank.evidence.file_manifest import FileManifest, file_manifest
from mlflow_rank.registry.runs.resolve import ResolvedModel
from mlflow_rank.workflow.progress import Progress

WORTH_A_BAR = 1e9  # bytes; hashing them takes a second or two


def files_digest(resolved: ResolvedModel, encoder: TorchEncoder, progress: Progress) -> str | None:
    """Return the digest of the files that a model is made of; None for log-mel features, which are none.

    What names a directory of files by itself (a checkpoint, a model in MLflow) is hashed as it lies there. Anything
    else (a hub's id, a torchaudio bundle, a module, random or shuffled weights, a directory with links in it) has no
    files of its own: then the encoder is exported, and those files are hashed.
    """
    directory = directory_of(resolved)
    if directory is not None:
        try:
            return hashed(directory, progress).digest
        except EvidenceError as error:
            progress.say(f"{error.what} ({error.got}), so evidence is about the encoder as exported")
    with tempfile.TemporaryDirectory(prefix="mlflow_rank-") as folder:
        try:
            export_encoder(encoder, Path(folder) / "encoder")
        except UsageError:  # log-mel features are a formula
            return None
        return hashed(Path(folder) / "encoder", progress).digest


def hashed(directory: Path, progress: Progress) -> FileManifest:
    """Return the manifest of a directory, with a bar where it takes long."""
    total = sum(path.lstat().st_size for path in directory.rglob("*"))
    if total < WORTH_A_BAR:
        return file_manifest(directory)
    progress.begin("hashing files", total)
    return file_manifest(directory, after=progress.advance)


def directory_of(resolved: ResolvedModel) -> Path | None:
    """Return the directory that a model's name stands for; None where it stands for no directory."""
    if resolved.files is not None:
        return resolved.files
    spec = parse_spec(resolved.loadable)
    if not spec.as_stored or not isinstance(spec.source, HuggingFaceSource):
        return None
    directory = Path(spec.source.location).expanduser()
    return directory if directory.is_dir() else None
