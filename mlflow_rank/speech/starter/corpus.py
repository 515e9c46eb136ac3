"""The starter corpus on disk: made on first use, kept in the cache, verified byte for byte at every use."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlflow_rank.errors import MeasurementError
from mlflow_rank.speech.starter.making import make_shards
from mlflow_rank.speech.starter.plan import plan_shards

VERSION = 1  # raise it when the plan, the making or the synthesiser changes the bytes
ABOUT = (
    "Synthetic: formant speech by libespeak-ng and sounds by formula. It shows how the tool works; "
    "what it says about an encoder need not hold on recordings of people."
)
SET_NAMES = (
    "unlabelled",
    "in_domain/phones",
    "in_domain/keywords",
    "in_domain/speakers",
    "out_of_domain/phones",
    "out_of_domain/keywords",
    "out_of_domain/speakers",
    "sounds",
)


@dataclass(frozen=True, slots=True)
class StarterCorpus:
    """Where the starter corpus lies, and the digest of all its bytes (`sha256:…`)."""

    directory: Path
    digest: str

    def manifest(self, name: str = "unlabelled") -> Path:
        """Return the JSONL manifest of one of `SET_NAMES`."""
        return self.directory / f"{name.replace('/', '_')}.jsonl"


def cache_directory() -> Path:
    """Return where made things are kept: $MLFLOW_RANK_CACHE, else mlflow_rank in the user's cache directory."""
    own = os.environ.get("MLFLOW_RANK_CACHE")
    if own:
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mlflow_rank"


def starter_corpus(cache: Path | None = None, *, say: Callable[[str], None] = lambda _: None) -> StarterCorpus:
    """Return the starter corpus, making it first where it is not there yet.

    A corpus whose bytes no longer match its own list is made again. Two processes that make it at once do not harm
    each other: each works aside and the first to finish is kept.

    Raises:
        MissingDependencyError: where it must be made and espeakng-loader is absent.
        MeasurementError: where it cannot be written.
    """
    directory = (cache or cache_directory()) / f"starter-{VERSION}"
    if (directory / "corpus.json").is_file():
        digest = _verified(directory)
        if digest is not None:
            return StarterCorpus(directory, digest)
        say("the starter corpus in the cache was changed: making it again")
        shutil.rmtree(directory)
    say("making the starter corpus (synthetic speech; once, under a minute) …")
    return StarterCorpus(directory, _make(directory))


def _make(directory: Path) -> str:
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=".making-", dir=directory.parent))
    except OSError as error:
        raise _cannot_write(directory.parent, error) from error
    try:
        rows = make_shards(plan_shards(), aside, workers=min(4, os.cpu_count() or 1))
        _write_manifests(aside, rows)
        digest = _write_list(aside)
        try:
            aside.rename(directory)
        except OSError:  # another process finished first: its corpus is as good
            digest = _verified(directory) or digest
        return digest
    except OSError as error:
        raise _cannot_write(directory.parent, error) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _cannot_write(directory: Path, error: OSError) -> MeasurementError:
    return MeasurementError(
        "the starter corpus could not be written",
        got=f"{directory}: {error.strerror or error}",
        expected="about 400 MB of free, writable space",
        remedy="free some space or set MLFLOW_RANK_CACHE to another directory",
    )


def _write_manifests(directory: Path, rows: list[dict[str, Any]]) -> None:
    by_set: dict[str, list[dict[str, Any]]] = {name: [] for name in SET_NAMES}
    for row in rows:
        for name in row.pop("manifests"):
            by_set[name].append(row)
    for name, members in by_set.items():
        lines = (json.dumps(row, ensure_ascii=False, sort_keys=True) + "\n" for row in members)
        (directory / f"{name.replace('/', '_')}.jsonl").write_text("".join(lines), encoding="utf-8")


def _write_list(directory: Path) -> str:
    files = {
        path.relative_to(directory).as_posix(): _sha256(path) for path in sorted(directory.rglob("*")) if path.is_file()
    }
    about = {"version": VERSION, "about": ABOUT, "digest": _digest(files), "files": files}
    (directory / "corpus.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    return str(about["digest"])


def _verified(directory: Path) -> str | None:
    """Return the corpus digest, or None where a listed file is missing or differs."""
    try:
        about = json.loads((directory / "corpus.json").read_text(encoding="utf-8"))
        files = {str(name): _sha256(directory / name) for name in about["files"]}
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return _digest(files) if files == about["files"] and about.get("digest") == _digest(files) else None


def _digest(files: dict[str, str]) -> str:
    lines = "".join(f"{sha256}  {name}\n" for name, sha256 in sorted(files.items()))
    return "sha256:" + hashlib.sha256(lines.encode()).hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
