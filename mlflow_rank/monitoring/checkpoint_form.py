"""What checkpoints look like that somebody else writes: how they are loaded, and what their names say."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePath

from mlflow_rank.errors import UsageError

PLACE = "{path}"
_NUMBER = re.compile(r"(?<!\d)(?<!\d\.)\d+(?!\d|\.\d)")  # whole: neither side of 0.35 is one
_UNFINISHED = re.compile(r"^\.|^_?te?mp[-_.]|[-_.](?:te?mp|part|partial|incomplete)(?:[-_.]?\w*)?$|~$", re.IGNORECASE)
_WEIGHTS = (".pt", ".pth", ".bin", ".ckpt", ".safetensors")  # how files of weights end
_CONFIGURATIONS = ("config.json", "encoder.json")


@dataclass(frozen=True, slots=True)
class CheckpointForm:
    r"""How a checkpoint is loaded, and how its step is read from its name.

    `loaded_as` is a `--model` text in which `{path}` stands for where the checkpoint lies; where it ends in `@{path}`,
    checkpoints are files of weights, else directories. `pattern` is a regular expression whose group `step`, or first
    group, is the step; without one the step is the last whole number in the name.

    Raises:
        UsageError: there is no `{path}`, or the pattern is no regular expression.

    >>> CheckpointForm().step("epoch=3-step=000500-loss=0.35")
    500
    >>> CheckpointForm(pattern=r"update(\d+)").step("update500_of_9000")
    500
    >>> CheckpointForm().step("latest") is None
    True
    >>> CheckpointForm("torchaudio:HUBERT_BASE@{path}").spec(Path("step_5.pt"))
    'torchaudio:HUBERT_BASE@step_5.pt'
    """

    loaded_as: str = PLACE
    pattern: str | None = None

    def __post_init__(self) -> None:
        if PLACE not in self.loaded_as:
            raise UsageError(
                "this does not say where the checkpoint comes in",
                got=f"--as {self.loaded_as}",
                expected=f"a text for --model with {PLACE} in it, as in 'torchaudio:HUBERT_BASE@{PLACE}'",
            )
        try:
            re.compile(self.pattern or "")
        except re.error as error:
            raise UsageError(
                "the step's pattern is no regular expression",
                got=f"--step-pattern {self.pattern} ({error})",
                expected=r"such as 'update_(\d+)'",
            ) from error

    def spec(self, path: Path) -> str:
        """Return what `load_encoder` takes for the checkpoint at a path."""
        return self.loaded_as.replace(PLACE, str(path))

    def step(self, name: str) -> int | None:
        """Return the step that a name says, None where it says none."""
        if self.pattern is None:
            numbers = _NUMBER.findall(PurePath(name).stem if is_weights_file(name) else name)
            return int(numbers[-1]) if numbers else None
        found = re.search(self.pattern, name)
        if found is None:
            return None
        told = found["step"] if "step" in found.groupdict() else found[1 if found.re.groups else 0]
        return int(told) if told is not None and told.isdecimal() else None

    @property
    def is_file(self) -> bool:
        """Whether checkpoints are files of weights."""
        return self.loaded_as.endswith(f"@{PLACE}")

    def has_begun(self, name: str, inside: frozenset[str]) -> bool:
        """Whether an entry of the right sort, with these files in it, is a checkpoint, be it a part of one."""
        if self.is_file:
            return is_weights_file(name)
        return any(self.loaded_as != PLACE or each in _CONFIGURATIONS or is_weights_file(each) for each in inside)


def is_unfinished(name: str) -> bool:
    """Whether a name is one that writers give while they write, or that hides an entry.

    >>> [is_unfinished(name) for name in ("tmp-checkpoint-500", ".step_5.Xy3", "step_5.pt.tmp", "template_5", "step_5")]
    [True, True, True, False, False]
    """
    return _UNFINISHED.search(name) is not None


def is_weights_file(name: str) -> bool:
    """Whether a file's name says that it holds weights."""
    return name.lower().endswith(_WEIGHTS)
