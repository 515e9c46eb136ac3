"""Options for keys and for whom to believe, and how a passphrase gets in: a file, the environment, or a prompt."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mlflow_rank.cli.options import OPTIONAL_PATH, all_of

if TYPE_CHECKING:
    from mlflow_rank.evidence.keys import PrivateKey

PASSPHRASE = "MLFLOW_RANK_KEY_PASSPHRASE"  # the name of the variable  # noqa: S105

KEY = all_of(
    click.option(
        "--key",
        type=OPTIONAL_PATH,
        default=None,
        envvar="MLFLOW_RANK_KEY",
        help="Private key that signs what this command states; see `mlflow-rank keys generate`. Also MLFLOW_RANK_KEY.",
    ),
    click.option(
        "--passphrase-file",
        type=OPTIONAL_PATH,
        default=None,
        help=f"File with the key's passphrase on its first line.  [default: {PASSPHRASE}, else a prompt]",
    ),
)

TRUST = click.option(
    "--trust",
    type=OPTIONAL_PATH,
    default=None,
    envvar="MLFLOW_RANK_TRUST",
    help="Whose keys are believed.  [default: MLFLOW_RANK_TRUST, else trust.yaml where there is one here]",
)


def signing_key(options: Mapping[str, Any]) -> PrivateKey | None:
    """Return the key to sign with, asking for its passphrase now rather than after an hour; None where none is given.

    Raises:
        UsageError: there is no such file, or its passphrase is missing.
        EvidenceError: the key cannot be read.
    """
    if options["key"] is None:
        return None
    from mlflow_rank.evidence.keys import read_private_key

    return read_private_key(options["key"], lambda: passphrase(options["passphrase_file"], options["key"]))


def passphrase(file: Path | None, key: Path, *, twice: bool = False) -> bytes | None:
    """Return the passphrase of a key: from a file, the environment, or whoever sits at the terminal.

    Raises:
        UsageError: the file cannot be read.
    """
    from mlflow_rank.errors import UsageError

    if file is not None:
        try:
            return file.read_bytes().split(b"\n")[0].rstrip(b"\r")
        except OSError as error:
            raise UsageError("the passphrase cannot be read", got=f"{file}: {error.strerror}") from error
    if PASSPHRASE in os.environ:
        return os.fsencode(os.environ[PASSPHRASE])  # the bytes that were set, whether they are UTF-8 or not
    if not sys.stdin.isatty():
        return None
    said = click.prompt(f"Passphrase of {key}", hide_input=True, confirmation_prompt=twice, err=True)
    return str(said).encode()
