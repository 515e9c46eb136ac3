"""The file that names receivers: what is wrong in it is said with its place, and a secret is never in it."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path

import pytest
from receivers import hook, hooks_text, write_hooks

from mlflow_rank.errors import UsageError
from mlflow_rank.registry.outside import hook_file
from mlflow_rank.registry.outside.hook_file import NO_HOOKS, Hook, hooks_at, hooks_in_force, read_hooks

URL = "https://hooks.lab/T0/b64secret"


def one(place: Path, **more: object) -> Hook:
    (found,) = read_hooks(write_hooks(place, hook(URL) | more))
    return found


def test_receivers_say_what_they_want_to_hear(tmp_path: Path) -> None:
    some = one(tmp_path, events=["promoted", "break-glass"], models=["hubert-*"])

    assert some.wants("promoted", "hubert-base")
    assert not some.wants("refused", "hubert-base")
    assert not some.wants("promoted", "wavlm")
    every = one(tmp_path)
    assert every.wants("refused", "anything")


def test_an_address_is_shown_up_to_its_host(tmp_path: Path) -> None:
    assert one(tmp_path).shown == "https://hooks.lab/…"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"url": "ftp://lab/x"}, "hooks[0].url: is no address"),
        ({"url": "https://"}, "hooks[0].url: is no address"),
        ({"url": "https://lab:99999/x"}, "hooks[0].url: is no address"),
        ({"url": "https://me:word@lab/x"}, "hooks[0].url: holds a user or a password"),
        ({"events": []}, "hooks[0].events"),
        ({"events": ["moved"]}, "hooks[0].events"),
        ({"name": "Chat Room"}, "hooks[0].name"),
        ({"secret_env": None}, "needs secret_env or secret_file"),
        ({"secret_file": "x"}, "needs secret_env or secret_file"),
        ({"secret": "in the open"}, "there is no such field"),
    ],
)
def test_what_cannot_be_told_is_refused_with_its_place(tmp_path: Path, more: Mapping[str, object], said: str) -> None:
    with pytest.raises(UsageError) as raised:
        one(tmp_path, **more)

    assert said in str(raised.value)
    assert str(raised.value).startswith(f"{tmp_path}/webhooks.yaml:")
    assert "word" not in str(raised.value).replace("password", "")


def test_two_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'chat' is taken by a hook above"):
        read_hooks(write_hooks(tmp_path, hook(URL), hook(URL)))


def test_a_secret_comes_from_the_environment_or_from_a_file_beside(tmp_path: Path) -> None:
    (tmp_path / "chat.secret").write_text("sixteen letters!\n")

    assert one(tmp_path).secret({"CHAT_SECRET": " sixteen letters! "}) == b"sixteen letters!"
    assert one(tmp_path, secret_env=None, secret_file="chat.secret").secret({}) == b"sixteen letters!"


def test_a_secret_of_the_standard_is_its_bytes(tmp_path: Path) -> None:
    key = bytes(range(24))

    assert one(tmp_path).secret({"CHAT_SECRET": f"whsec_{base64.b64encode(key).decode()}"}) == key


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"CHAT_SECRET": ""},
        {"CHAT_SECRET": "fifteen letters"},
        {"CHAT_SECRET": "whsec_" + base64.b64encode(b"fifteen letters").decode()},
        {"CHAT_SECRET": "whsec_no base64 at all, and long"},
    ],
)
def test_no_secret_and_a_short_one_sign_nothing(tmp_path: Path, environment: Mapping[str, str]) -> None:
    with pytest.raises(UsageError, match="the webhook chat has no secret to sign with") as raised:
        one(tmp_path).secret(environment)

    assert "fifteen" not in str(raised.value)


def test_a_missing_file_of_a_secret_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file") as raised:
        one(tmp_path, secret_env=None, secret_file="gone").secret({})

    assert str(tmp_path / "gone") in str(raised.value)


def test_it_is_read_again_when_its_bytes_change_and_only_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_hooks(tmp_path, hook(URL))
    monkeypatch.setenv(hook_file.WEBHOOKS, str(path))
    first = hooks_in_force()

    assert hooks_in_force() is first
    write_hooks(tmp_path, hook(URL), hook(URL, "other"))
    assert [each.name for each in hooks_in_force().hooks] == ["chat", "other"]
    path.write_text("hooks: [")
    broken = hooks_in_force()
    assert (broken.hooks, broken.digest == first.digest) == ((), False)
    assert "webhooks.yaml:2:1" in (broken.problem or "")
    assert "\n" not in (broken.problem or "")
    write_hooks(tmp_path, hook(URL))
    assert hooks_in_force() == first


def test_without_a_file_nobody_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(hook_file.WEBHOOKS, raising=False)

    assert hooks_in_force() is NO_HOOKS


@pytest.mark.parametrize("content", [None, b"\xff\xfe", b""])
def test_a_file_that_cannot_be_read_is_a_problem_and_no_fault(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "webhooks.yaml"
    if content is not None:
        path.write_bytes(content)

    assert hooks_at(path).hooks == ()
    assert str(path) in (hooks_at(path).problem or "")


def test_another_version_of_the_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "webhooks.yaml"
    path.write_text(hooks_text(hook(URL)).replace("mlflow-rank/v1", "mlflow-rank/v2"))

    with pytest.raises(UsageError, match="apiVersion"):
        read_hooks(path)
