"""What a store elsewhere holds of a version: a listing of its files, and their bytes, read as they come."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from mlflow_rank.errors import EvidenceError

MOST_FILES = 100_000  # a hundred pages of S3's listing; the largest models are in a few hundred pieces
_BLOCK = 1 << 20
_DEEPEST = 32  # folders in folders


@dataclass(frozen=True, slots=True)
class Listed:
    """A file in a listing: its `path` below the version; `size` in bytes, None where the store does not say it.

    `mark` changes whenever the file is written, in stores that have such a thing; "" in those that have not.
    """

    path: str
    size: int | None
    mark: str = ""


class RemoteFiles(Protocol):
    """The files of one version in one store."""

    def listed(self) -> Iterator[Listed]:
        """Yield every file, in no order."""

    def blocks(self, file: Listed) -> Iterator[bytes]:
        """Yield the bytes of one of them, and keep none."""


def files_at(address: str) -> RemoteFiles:
    """Return the files at an address, reached as MLflow reaches them: same credentials, same endpoint.

    Raises:
        MlflowException: MLflow knows no such store, or this server may not speak to it.
    """
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
    from mlflow.store.artifact.s3_artifact_repo import S3ArtifactRepository

    repository = get_artifact_repository(address)
    if address.startswith("s3:") and isinstance(repository, S3ArtifactRepository):
        bucket, path = repository.parse_s3_compliant_uri(repository.artifact_uri)
        more = getattr(repository, "_bucket_owner_params", {})
        return ObjectsOfS3(repository._get_s3_client(), bucket, f"{path.strip('/')}/".lstrip("/"), more)
    return FilesOfRepository(repository)


@dataclass(frozen=True, slots=True)
class ObjectsOfS3:
    """Objects below a prefix of a bucket; `more` is what every request says beside them."""

    client: Any
    bucket: str
    prefix: str
    more: dict[str, str]

    def listed(self) -> Iterator[Listed]:
        """Yield every object with its ETag and time, which an overwrite changes also where the size stays."""
        pages = self.client.get_paginator("list_objects_v2")
        for page in pages.paginate(Bucket=self.bucket, Prefix=self.prefix, **self.more):
            for each in page.get("Contents", ()):
                if each["Size"] or not each["Key"].endswith("/"):  # else it only marks a folder
                    mark = f"{each['ETag']} {each['LastModified'].isoformat()}"
                    yield Listed(each["Key"].removeprefix(self.prefix), each["Size"], mark)

    def blocks(self, file: Listed) -> Iterator[bytes]:
        """Yield the bytes of an object, if it still is the one that was listed.

        Raises:
            EvidenceError: it was written or deleted since.
        """
        try:
            got = self.client.get_object(
                Bucket=self.bucket, Key=self.prefix + file.path, IfMatch=file.mark.partition(" ")[0], **self.more
            )
        except self.client.exceptions.ClientError as error:
            if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") in (404, 412):
                raise EvidenceError(
                    "a file changed while it was read",
                    got=f"{file.path!a} in s3://{self.bucket}/{self.prefix}",
                    expected="files that nobody writes to",
                ) from error
            raise
        with closing(got["Body"]) as body:  # its own `with` gives what is under it, which counts no bytes
            yield from body.iter_chunks(_BLOCK)


@dataclass(frozen=True, slots=True)
class FilesOfRepository:
    """Files in any store that MLflow knows: each is fetched whole, and dropped when it was read."""

    repository: Any

    def listed(self) -> Iterator[Listed]:
        """Yield every file with its size; most stores say no more of it.

        Raises:
            EvidenceError: folders are nested too deep, or too many.
        """
        waiting: list[tuple[str | None, int]] = [(None, 1)]
        seen = 0
        while waiting:
            folder, depth = waiting.pop()
            seen += 1
            if depth > _DEEPEST or seen > MOST_FILES:
                raise EvidenceError(
                    "the folders of this version go too deep, or are too many",
                    got=ascii(folder),
                    expected=f"at most {_DEEPEST} in one another, and {MOST_FILES:,} altogether",
                    remedy="log a directory that holds the model only",
                )
            for each in self.repository.list_artifacts(folder):
                if each.is_dir:
                    waiting.append((each.path, depth + 1))
                else:
                    yield Listed(each.path, each.file_size)

    def blocks(self, file: Listed) -> Iterator[bytes]:
        """Yield the bytes of a file."""
        with tempfile.TemporaryDirectory(prefix="mlflow_rank-") as folder:
            kept = Path(self.repository.download_artifacts(file.path, folder))
            with kept.open("rb") as opened:
                while block := opened.read(_BLOCK):
                    yield block
