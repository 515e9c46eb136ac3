"""The configuration of the evaluator: the options of `mlflow-rank assess`, by the same names."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from mlflow_rank.errors import UsageError
from mlflow_rank.evidence.keys import PrivateKey, read_private_key
from mlflow_rank.workflow.deciding import CHAMPION
from mlflow_rank.workflow.measuring import RankRequest
from mlflow_rank.workflow.piloting import PilotRequest
from mlflow_rank.workflow.setting import DEFAULT_OUTPUT, Setting

DATA = "evaluated data"  # what documents call the rows that were handed in
KEY, PASSPHRASE, TRUST = "MLFLOW_RANK_KEY", "MLFLOW_RANK_KEY_PASSPHRASE", "MLFLOW_RANK_TRUST"


def _absent(value: object) -> object:
    """Return None for what leaves an option out on the command line."""
    return None if isinstance(value, str) and value.strip().lower() in ("", "none") else value


def _listed(value: object) -> object:
    """Return the parts of a text that commas separate; one value alone is a list of one."""
    if isinstance(value, str):
        parts = [part.strip() for part in value.split(",")]
        return tuple(part for part in parts if part and part.lower() != "none")
    return tuple(value) if isinstance(value, list | tuple) else (() if value is None else (value,))


def _shot(value: object) -> object:
    return int(value) if isinstance(value, str) and value.isdecimal() else value


_ABSENT, _LISTED = BeforeValidator(_absent), BeforeValidator(_listed)
Shot = Annotated[int | Literal["all"], BeforeValidator(_shot)]
_RANK, _PILOT, _SETTING = RankRequest(), PilotRequest("keyword", DATA), Setting()
_SAMPLING = _RANK.sampling


class EvaluatorConfig(BaseModel):
    """What `evaluator_config` may say; what it leaves out is as on the command line.

    Unlike there, `audio` and `labels` are by default the data that is evaluated, and `model` is the model.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: Annotated[str | None, _ABSENT] = None
    layers: Annotated[str | None, _ABSENT] = "all"
    audio: str = DATA
    preset: str = _RANK.preset
    hours: Annotated[float | None, _ABSENT] = _SAMPLING.hours
    utterances: Annotated[int | None, _ABSENT] = _SAMPLING.utterances
    frame_stride: int = _SAMPLING.frame_stride
    min_duration: float = _SAMPLING.min_duration
    max_duration: float = _SAMPLING.max_duration
    blocks: int = _SAMPLING.blocks
    intervals: bool = _RANK.intervals
    task: Annotated[tuple[str, ...], _LISTED] = ("keyword",)
    labels: Annotated[str | None, _ABSENT] = DATA
    labels_ood: Annotated[str | None, _ABSENT] = None
    shots: Annotated[tuple[Shot, ...], _LISTED] = _PILOT.shots
    draws: int = _PILOT.draws
    heads: Annotated[tuple[str, ...], _LISTED] = _PILOT.heads
    pooling: str = _PILOT.pooling
    test_share: float = _PILOT.test_share
    against: Annotated[str | None, _ABSENT] = None
    log_mel: bool = _PILOT.log_mel
    control: bool = True
    channel: str | int = _SETTING.channel
    seed: int = _SETTING.seed
    device: str = _SETTING.device
    dtype: str = _SETTING.dtype
    workers: Annotated[int | None, Field(ge=1)] = None
    max_skipped: float = _SETTING.max_skipped
    trust_remote_code: bool = False
    output: Annotated[Path | None, _ABSENT] = None
    resume: bool = False
    cache: Annotated[Path | None, _ABSENT] = None
    key: Annotated[Path | None, _ABSENT] = None
    passphrase_file: Annotated[Path | None, _ABSENT] = None
    policy: Annotated[tuple[Path, ...], _LISTED] = ()
    trust: Annotated[Path | None, _ABSENT] = None
    to: str = CHAMPION
    first_promotion: bool = False
    enforce: bool = False

    @classmethod
    def of(cls, config: Mapping[str, object] | None) -> Self:
        """Read a configuration.

        Raises:
            UsageError: it has an unknown key, or a value that an option of this name does not take.
        """
        given = {name: value for name, value in (config or {}).items() if (name, value) != ("workers", "auto")}
        unknown = sorted(str(name) for name in given if name not in cls.model_fields)
        if unknown:
            raise UsageError(
                "evaluator_config has keys that are no options",
                got=", ".join(unknown),
                expected=", ".join(cls.model_fields),
                remedy="spell them as `mlflow-rank assess --help` does, with underscores",
            )
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(map(str, first["loc"]))
            raise UsageError(
                f"evaluator_config: bad value of {name}", got=repr(first["input"])[:80], expected=first["msg"]
            ) from error

    @property
    def kept_at(self) -> Path:
        """Where results are written, or where they are kept if MLflow fails."""
        return self.output or DEFAULT_OUTPUT

    @property
    def trusted(self) -> Path | None:
        """The trust file; None: trust.yaml where there is one here."""
        return self.trust or (Path(named) if (named := os.environ.get(TRUST)) else None)

    def signing_key(self) -> PrivateKey | None:
        """Return the key that evidence is signed with: of the configuration, else of MLFLOW_RANK_KEY; nobody is asked.

        Raises:
            UsageError: there is no such file, or its passphrase is missing.
            EvidenceError: the key cannot be read.
        """
        place = self.key or (Path(named) if (named := os.environ.get(KEY)) else None)
        return None if place is None else read_private_key(place, self._passphrase)

    def _passphrase(self) -> bytes | None:
        if self.passphrase_file is None:
            return os.fsencode(os.environ[PASSPHRASE]) if PASSPHRASE in os.environ else None
        try:
            return self.passphrase_file.read_bytes().split(b"\n")[0].rstrip(b"\r")
        except OSError as error:
            raise UsageError(
                "the passphrase cannot be read", got=f"{self.passphrase_file}: {error.strerror}"
            ) from error
