"""`mlflow-rank keys`: make a key to sign with, and say which one it is."""

from __future__ import annotations

from pathlib import Path

import click

from mlflow_rank.cli.options import OPTIONAL_PATH, OPTIONAL_TEXT, say
from mlflow_rank.cli.signing import PASSPHRASE, passphrase

KEY_FILE = click.argument("path", type=click.Path(path_type=Path))


@click.group("keys", short_help="Make and show the keys that evidence is signed with.")
def keys_group() -> None:
    """Make and show the Ed25519 keys that evidence, approvals and decisions are signed with.

    A private key never leaves the machine on which it was made. What others need is its public key, as a line of the
    trust file: `mlflow-rank keys show` prints it, and `mlflow-rank keys trust` writes it there.
    """


@keys_group.command("generate", short_help="Make a key.")
@KEY_FILE
@click.option(
    "--passphrase-file",
    type=OPTIONAL_PATH,
    default=None,
    help=f"File with the passphrase on its first line.  [default: {PASSPHRASE}, else a prompt]",
)
@click.option(
    "--no-passphrase", is_flag=True, help="Leave the key in the open, for machines whose secrets are kept otherwise."
)
def generate(path: Path, passphrase_file: Path | None, no_passphrase: bool) -> None:
    """Make a private key at PATH, which only you can read (0600), and its public key at PATH.pub.

    \b
    Examples:
      mlflow-rank keys generate ~/.config/mlflow_rank/key
      MLFLOW_RANK_KEY_PASSPHRASE=… mlflow-rank keys generate ci.key
    """
    from mlflow_rank.errors import UsageError
    from mlflow_rank.evidence.keys import generate_key

    if no_passphrase and passphrase_file is not None:
        raise UsageError("a key has a passphrase or none", got="--passphrase-file and --no-passphrase")
    secret = None if no_passphrase else passphrase(passphrase_file, path, twice=True)
    if secret is None and not no_passphrase:
        raise UsageError(
            "a key needs a passphrase, and there is nobody here to ask",
            expected=f"--passphrase-file FILE, {PASSPHRASE} in the environment, or a terminal",
            remedy="or leave the key in the open with --no-passphrase",
        )
    public = generate_key(path, secret)
    say(f"private key  {path}  (keep it; {'without' if secret is None else 'with'} a passphrase)")
    say(f"public key   {path}.pub")
    say("so that others believe it, add to the trust file under keys: (with a name and roles of your own)")
    click.echo(trust_entry(public.text), nl=False)


@keys_group.command("show", short_help="Print a public key as an entry of the trust file.")
@KEY_FILE
def show(path: Path) -> None:
    """Print the public key at PATH (a .pub file) as an entry of the trust file."""
    from mlflow_rank.evidence.keys import read_public_key

    click.echo(trust_entry(read_public_key(path).text), nl=False)


@keys_group.command("trust", short_help="Add a public key to the trust file.")
@KEY_FILE
@click.option("--person", type=OPTIONAL_TEXT, default=None, help="Whose key it is, where it is a person's.")
@click.option("--service", type=OPTIONAL_TEXT, default=None, help="Whose key it is, where it is a machine's.")
@click.option(
    "--role",
    "roles",
    type=click.Choice(["measurer", "reviewer", "owner", "gate", "emergency"]),
    multiple=True,
    required=True,
    help="What its signatures count as; may be given several times.",
)
@click.option(
    "--trust", type=click.Path(path_type=Path), default=Path("trust.yaml"), show_default=True, help="The trust file."
)
def trust(path: Path, person: str | None, service: str | None, roles: tuple[str, ...], trust: Path) -> None:
    """Add the public key at PATH (a .pub file) to the trust file, or begin a trust file with it.

    \b
    Examples:
      mlflow-rank keys trust ci.key.pub --service ci --role measurer
      mlflow-rank keys trust ann.key.pub --person ann@example.org --role reviewer --trust trust.yaml
    """
    from mlflow_rank.errors import UsageError
    from mlflow_rank.evidence.keys import read_public_key
    from mlflow_rank.workflow.trusting import believe

    if (person is None) == (service is None):
        raise UsageError("a key is a person's or a service's", expected="exactly one of --person and --service")
    name = person or service or ""
    believe(trust, read_public_key(path), name=name, is_person=person is not None, roles=roles)
    say(f"{name} is believed as {' and '.join(roles)} by {trust}")


@keys_group.command("fingerprint", short_help="Print the fingerprint of a public key.")
@KEY_FILE
def fingerprint(path: Path) -> None:
    """Print the fingerprint of the public key at PATH (a .pub file), by which evidence and decisions name it."""
    from mlflow_rank.evidence.keys import read_public_key

    click.echo(read_public_key(path).key_id)


def trust_entry(text: str) -> str:
    """Return a public key as an entry of the trust file."""
    return f"  - key: {text}\n    person: you@example.org\n    roles: [measurer]\n"
