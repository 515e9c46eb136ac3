"""A gated registry in this process, and `mlflow-rank` called at it as a person at a terminal does."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import evidence
import pytest
import yaml
from click.testing import CliRunner, Result
from filed import key_of, trust_text
from gated import Hall

from mlflow_rank.cli import main

Document = dict[str, Any]
CID = "cid"
"""Who has a key for emergencies, and none of the other roles."""


@dataclass(frozen=True)
class Counter:
    """A hall, and the command line before it; every test takes a model of its own."""

    hall: Hall
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    @classmethod
    @contextmanager
    def opened(cls, place: Path) -> Iterator[Counter]:
        """A hall of its own in a directory, which is the working directory for as long as the block lasts."""
        with pytest.MonkeyPatch.context() as patch:
            patch.delenv("MLFLOW_RANK_KEY", raising=False)
            hall = Hall.built(place, patch)
            patch.setenv("MLFLOW_REGISTRY_URI", f"rank+sqlite:///{place / 'mlflow.db'}")
            patch.chdir(place)
            hall.desk.write(f"{CID}.key", (place / "eve.key").read_bytes()).chmod(0o600)
            hall.desk.write("trust.yaml", _with_emergency(trust_text()))
            yield cls(hall)

    def call(self, *words: str | Path, **more: Any) -> Result:
        """Call `mlflow-rank`."""
        return CliRunner().invoke(main, [str(word) for word in words], **more)

    def json(self, *words: str | Path) -> Any:
        """What a call prints as JSON."""
        result = self.call(*words, "--json")
        assert result.stdout, result.output
        return json.loads(result.stdout)

    def govern(self, *rules: Document, **parts: Any) -> None:
        """Have the gate go by one policy, for the champion of every model."""
        parts = {"match": {"models": ["*"], "targets": ["alias:champion"]}} | parts
        self.hall.desk.policy(*(rules or (evidence.PILOT_RULE,)), name="policies/policy.yaml", **parts)

    def model(self) -> str:
        """The name of a new registered model."""
        name = f"encoder-{next(self._numbers)}"
        self.hall.store.create_registered_model(name)
        return name

    def bare(self, model: str | None = None) -> str:
        """The address of a new version without evidence."""
        name = model or self.model()
        return f"models:/{name}/{self.hall.version(name=name)}"

    def proved(self, model: str | None = None) -> str:
        """The address of a new version with a good pilot, which is all that the policy asks for."""
        address = self.bare(model)
        _, name, version = address.split("/")
        self.hall.submit(version, self.hall.desk.pilot(called=address), name=name)
        return address

    def measured(self, hours: float) -> str:
        """The address of a new version with a good pilot, and with a measurement that is so old."""
        address = self.proved()
        _, name, version = address.split("/")
        then = datetime.now(UTC) - timedelta(hours=hours)
        self.hall.submit(version, self.hall.desk.measurement(called=address, now=then), name=name)
        return address

    def holder(self, address: str) -> str | None:
        """The version that consumers of the champion of a model get."""
        name = address.split("/")[1]
        placed = self.hall.store.get_registered_model(name).aliases.get("champion")
        return None if placed is None else str(placed)


def _with_emergency(text: str) -> str:
    """A trust file in which `cid` has the key that is nobody's otherwise."""
    document = yaml.safe_load(text)
    entry = {"key": key_of("eve").public.text, "person": CID, "roles": ["emergency"]}
    return yaml.safe_dump(document | {"keys": [*document["keys"], entry]}, sort_keys=False)
