"""Settings of an encoder that takes milliseconds, and a count of what it hears."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mlflow_rank.workflow import Setting

MODULES = Path(__file__).parents[1] / "modules"


class Heard:
    """What the encoder and its control were given, one line for each forward pass."""

    def __init__(self, log: Path) -> None:
        self.log = log

    @property
    def times(self) -> int:
        return len(self.log.read_text().splitlines()) if self.log.exists() else 0


@pytest.fixture(scope="module")
def listeners() -> Iterator[pytest.MonkeyPatch]:
    """Make `module:listeners:…` importable."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(MODULES)
        yield patch


@pytest.fixture(scope="module")
def make_setting(listeners: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Setting]:
    """Make a setting of a tiny encoder of two layers, with files in a place of its own."""

    def make(**more: object) -> Setting:
        place = tmp_path_factory.mktemp("setting")
        given = {"model": "module:listeners:plain", "device": "cpu", "cache": place / "cache", "output": place / "out"}
        given |= more
        if "listeners" in str(given["model"]):
            given.setdefault("layers", "blocks.*")
        return Setting(**given)  # type: ignore[arg-type]

    return make


@pytest.fixture
def heard(tmp_path: Path, listeners: pytest.MonkeyPatch, monkeypatch: pytest.MonkeyPatch) -> Heard:
    """Count forward passes from here on."""
    monkeypatch.setenv("LISTENER_LOG", str(tmp_path / "heard"))
    return Heard(tmp_path / "heard")
