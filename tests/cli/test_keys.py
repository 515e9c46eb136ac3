"""Keys on the command line: made once, kept secret, shown in public, and asked for before anything is heard."""

from __future__ import annotations

import fcntl
import os
import pty
import subprocess
import sys
import termios
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from click.testing import CliRunner, Result

from mlflow_rank.cli import main
from mlflow_rank.cli.signing import PASSPHRASE
from mlflow_rank.errors import UsageError
from mlflow_rank.evidence.keys import read_private_key, read_public_key
from mlflow_rank.evidence.trust import read_trust
from tests.conftest import plain_environment

SECRET = "correct horse"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
        monkeypatch.delenv(name)


def keys(*words: str, **more: object) -> Result:
    return CliRunner().invoke(main, ["keys", *words], **more)  # type: ignore[arg-type]


# generate


def test_a_key_opens_with_its_passphrase_and_only_its_owner_reads_it() -> None:
    result = keys("generate", "my.key", env={PASSPHRASE: SECRET})

    assert result.exit_code == 0, result.output
    assert Path("my.key").stat().st_mode & 0o777 == 0o600
    assert Path("my.key.pub").stat().st_mode & 0o777 == 0o644
    private = read_private_key(Path("my.key"), SECRET.encode())
    assert private.public == read_public_key(Path("my.key.pub"))
    with pytest.raises(UsageError):
        read_private_key(Path("my.key"), None)


def test_what_it_prints_is_an_entry_of_the_trust_file_and_no_secret() -> None:
    result = keys("generate", "my.key", "--no-passphrase")

    (entry,) = yaml.safe_load(result.stdout)
    assert entry["key"] == read_public_key(Path("my.key.pub")).text
    assert set(entry) == {"key", "person", "roles"}
    assert "PRIVATE" not in result.output
    assert "without a passphrase" in result.stderr


def test_a_key_is_never_written_over() -> None:
    keys("generate", "my.key", "--no-passphrase")
    before = Path("my.key").read_bytes()

    again = keys("generate", "my.key", "--no-passphrase")

    assert again.exit_code == 2
    assert "never written over" in again.stderr
    assert Path("my.key").read_bytes() == before


def test_the_passphrase_may_be_the_first_line_of_a_file() -> None:
    Path("secret").write_text(f"{SECRET}\r\nand nothing else\n")

    assert keys("generate", "my.key", "--passphrase-file", "secret").exit_code == 0
    read_private_key(Path("my.key"), SECRET.encode())


def test_a_file_goes_before_the_environment() -> None:
    Path("secret").write_text(SECRET)

    keys("generate", "my.key", "--passphrase-file", "secret", env={PASSPHRASE: "another"})

    read_private_key(Path("my.key"), SECRET.encode())


def test_at_a_terminal_it_is_asked_for_twice_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlflow_rank.cli.signing.sys", SimpleNamespace(stdin=SimpleNamespace(isatty=lambda: True)))

    result = keys("generate", "my.key", input=f"{SECRET}\nmistyped\n{SECRET}\n{SECRET}\n")

    assert result.exit_code == 0, result.output
    assert SECRET not in result.output
    assert "Passphrase of my.key" in result.stderr
    read_private_key(Path("my.key"), SECRET.encode())


def test_at_a_real_terminal_it_is_asked_for_as_well(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "mlflow_rank", "keys", "generate", "my.key"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=plain_environment(),
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # passphrases are read from /dev/tty
    )
    os.close(theirs)
    said = b""
    for _ in range(2):
        while not said.endswith(b": "):
            said += os.read(ours, 1000)
        os.write(ours, f"{SECRET}\n".encode())
        said += b"|"
    while chunk := read_from(ours):
        said += chunk

    assert process.wait(timeout=300) == 0, said
    assert SECRET.encode() not in said
    read_private_key(tmp_path / "my.key", SECRET.encode())


def read_from(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1000)
    except OSError:  # the other side has closed it
        return b""


@pytest.mark.parametrize(
    ("words", "environment", "what"),
    [
        ([], {}, "there is nobody here to ask"),
        ([], {PASSPHRASE: ""}, "this passphrase cannot encrypt a key"),
        (["--passphrase-file", "none there"], {}, "the passphrase cannot be read"),
        (["--passphrase-file", "there", "--no-passphrase"], {}, "a passphrase or none"),
    ],
)
def test_without_a_passphrase_there_is_no_key(words: list[str], environment: dict[str, str], what: str) -> None:
    Path("there").write_text(SECRET)

    result = keys("generate", "my.key", *words, env=environment)

    assert result.exit_code == 2
    assert what in result.stderr
    assert not Path("my.key").exists()


def test_a_key_needs_a_directory_that_is_there() -> None:
    result = keys("generate", "nowhere/my.key", "--no-passphrase")

    assert result.exit_code == 2
    assert "cannot be written" in result.stderr


# show, fingerprint


def test_show_prints_what_generate_printed() -> None:
    made = keys("generate", "my.key", "--no-passphrase")

    assert keys("show", "my.key.pub").stdout == made.stdout


def test_the_fingerprint_is_what_evidence_names_the_key_by() -> None:
    keys("generate", "my.key", "--no-passphrase")

    assert keys("fingerprint", "my.key.pub").stdout.strip() == read_public_key(Path("my.key.pub")).key_id


@pytest.mark.parametrize(("verb", "code"), [("show", 3), ("fingerprint", 3)])
def test_a_private_key_is_not_shown(verb: str, code: int) -> None:
    keys("generate", "my.key", "--no-passphrase")

    result = keys(verb, "my.key")

    assert result.exit_code == code
    assert "name my.key.pub" in result.stderr
    assert result.stdout == ""


def test_a_key_that_is_not_there_ends_with_2() -> None:
    assert keys("show", "nothing.pub").exit_code == 2


# signing


@pytest.mark.parametrize("verb", ["measure", "pilot", "assess", "decide"])
@pytest.mark.parametrize(
    ("secret", "code", "what"),
    [
        ("wrong", 3, "this passphrase does not open the private key"),
        (None, 2, "this private key is encrypted and no passphrase was given"),
    ],
)
def test_a_key_that_does_not_open_ends_it_before_anything_is_heard(
    verb: str, secret: str | None, code: int, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys("generate", "my.key", env={PASSPHRASE: SECRET})
    environment = {} if secret is None else {PASSPHRASE: secret}
    words = [verb, "--key", "my.key", *(["--policy", "none.yaml"] if verb == "decide" else ["--model", "nothing"])]

    result = CliRunner().invoke(main, words, env=environment)

    assert result.exit_code == code
    assert what in result.stderr
    assert "loading" not in result.stderr


def test_a_key_that_others_may_read_signs_nothing() -> None:
    keys("generate", "my.key", "--no-passphrase")
    Path("my.key").chmod(0o644)

    result = CliRunner().invoke(main, ["measure", "--model", "nothing", "--key", "my.key"])

    assert result.exit_code == 3
    assert "others may read this private key" in result.stderr


def test_the_key_may_be_named_in_the_environment() -> None:
    result = CliRunner().invoke(main, ["measure", "--model", "nothing"], env={"MLFLOW_RANK_KEY": "not there"})

    assert result.exit_code == 2
    assert "not there" in result.stderr


def test_keys_are_made_without_loading_what_listens() -> None:
    code = (
        "import sys; from mlflow_rank.cli import main; "
        "main(['keys', 'generate', 'my.key', '--no-passphrase'], standalone_mode=False); "
        "sys.exit(sum(name in sys.modules for name in ('torch', 'mlflow', 'numpy', 'soundfile')))"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, timeout=300).returncode == 0


# trust


def made(name: str) -> str:
    keys("generate", f"{name}.key", "--no-passphrase")
    return read_public_key(Path(f"{name}.key.pub")).text


def test_keys_are_believed_one_after_the_other_in_a_file_that_reads() -> None:
    texts = [made("ci"), made("ann")]

    first = keys("trust", "ci.key.pub", "--service", "ci", "--role", "measurer")
    second = keys("trust", "ann.key.pub", "--person", "ann@lab", "--role", "reviewer", "--role", "owner")

    assert (first.exit_code, second.exit_code) == (0, 0), second.output
    found = read_trust(Path("trust.yaml").read_text(), named="trust.yaml").keys
    assert [each.key.text for each in found] == texts
    assert [(each.service, each.person, each.roles) for each in found] == [
        ("ci", None, ("measurer",)),
        (None, "ann@lab", ("reviewer", "owner")),
    ]


def test_words_of_people_in_a_trust_file_stay() -> None:
    made("ci")
    Path("t.yaml").write_text("apiVersion: mlflow-rank/v1  # ours\nkind: TrustStore\nkeys:\n")
    keys("trust", "ci.key.pub", "--service", "ci", "--role", "gate", "--trust", "t.yaml")

    assert "# ours" in Path("t.yaml").read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--service", "ci", "--person", "ci", "--role", "gate"], "a person's or a service's"),
        (["--role", "gate"], "a person's or a service's"),
        (["--service", "c i", "--role", "gate"], "without spaces"),
        (["--service", "ci", "--role", "king"], "is not one of"),
    ],
)
def test_what_makes_no_sense_writes_nothing(words: list[str], said: str) -> None:
    made("ci")

    result = keys("trust", "ci.key.pub", *words)

    assert result.exit_code == 2
    assert said in result.stderr
    assert not Path("trust.yaml").exists()


def test_a_key_is_believed_once_and_a_broken_file_stays_as_it_is() -> None:
    made("ci")
    words = ("trust", "ci.key.pub", "--service", "ci", "--role", "gate")
    keys(*words)
    before = Path("trust.yaml").read_text()

    assert "again; each key stands here once" in keys(*words).stderr
    assert Path("trust.yaml").read_text() == before
    Path("trust.yaml").write_text("kind: TrustStore\nkeys: []\n")
    assert keys(*words).exit_code == 2
    assert Path("trust.yaml").read_text() == "kind: TrustStore\nkeys: []\n"
