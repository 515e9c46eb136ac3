"""Encoders that are any torch module: a factory makes it, name patterns say which submodules are its layers."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlflow_rank.encoders.anatomy import Anatomy, frozen
from mlflow_rank.encoders.features import DEFAULT_SAMPLING_RATE
from mlflow_rank.encoders.foreign_errors import first_line
from mlflow_rank.encoders.interface import Layer
from mlflow_rank.encoders.minimum_length import probe
from mlflow_rank.encoders.random_weights import redraw, seeded
from mlflow_rank.encoders.specs import ModuleSource
from mlflow_rank.encoders.taps import Tap, read_taps
from mlflow_rank.encoders.weights import read_state_file, write_state_file
from mlflow_rank.errors import MlflowRankError, UsageError

if TYPE_CHECKING:
    import torch


def load_module(source: ModuleSource, layers: str | None, *, seed: int | None) -> Anatomy:
    """Make an encoder from a torch module that takes float32 waveforms (batch, samples).

    The tapped outputs must be (batch, frames, dim), or a tuple, list or mapping whose first tensor is that. A (batch,
    dim, frames) output is refused, not guessed: with few frames the two cannot be told apart. Layers are numbered from
    1, since each is an output. A `sampling_rate` attribute of the module is used, else 16000 Hz; a `maximum_samples`
    attribute likewise, else there is no limit.

    Args:
        source: the factory, looked for on the import path and in the current directory.
        layers: name patterns separated by commas, see `match_modules`.
        seed: redraw every weight from it; None keeps what the factory gives.

    Raises:
        UsageError: no such factory, no such layer, not a torch module, or outputs of another form.
    """
    with _current_directory_importable():
        module = _make(source, seed)
    if source.state is not None and seed is None:
        _fill(module, source.state)
    module = frozen(module)
    if seed is not None:
        redraw(module, seed)
    names = match_modules(layers, module)
    forward = by_names(module, names)
    rate, longest = (
        stated_number(module, "sampling_rate") or DEFAULT_SAMPLING_RATE,
        stated_number(module, "maximum_samples"),
    )
    widths, minimum = probe(forward, rate, longest)

    def save(directory: Path) -> Mapping[str, object]:
        write_state_file(module, directory / "model.safetensors")
        return {"form": "module", "module": source.module, "factory": source.factory}

    return Anatomy(
        family=type(module).__name__,
        module=module,
        layers=numbered(names, widths),
        forward=forward,
        sampling_rate=rate,
        minimum_samples=minimum,
        maximum_samples=longest,
        details={
            "architecture": f"{type(module).__module__}.{type(module).__qualname__}",
            "input": {"features": "waveform", "normalised": False, "source": "the module does what it needs itself"},
            "frames": "outputs of the named modules",
        },
        save=save,
    )


def by_names(module: torch.nn.Module, names: Sequence[str]) -> Callable[[torch.Tensor], list[torch.Tensor]]:
    """Return the forward pass that gives what the submodules of these names give."""
    taps = [Tap(name, module.get_submodule(name), copied=True) for name in names]
    return lambda waveforms: read_taps(taps, lambda: module(waveforms))


def numbered(names: Sequence[str], widths: Sequence[int]) -> tuple[Layer, ...]:
    """Return the layers of these names, counted from 1, since each is an output."""
    return tuple(
        Layer(index, name, width) for index, (name, width) in enumerate(zip(names, widths, strict=True), start=1)
    )


def match_modules(patterns: str | None, module: torch.nn.Module) -> tuple[str, ...]:
    """Return the names of submodules that comma-separated patterns match, pattern by pattern, in the module's order.

    A pattern is matched part by part between the dots, so `blocks.*` means each block and nothing inside them.

    Raises:
        UsageError: no pattern, or one that matches nothing.

    >>> import torch
    >>> match_modules("1,*", torch.nn.Sequential(torch.nn.ReLU(), torch.nn.ReLU()))
    ('1', '0')
    """
    available = [name for name, _ in module.named_modules() if name]
    wanted = [pattern.strip() for pattern in (patterns or "").split(",") if pattern.strip()]
    if not wanted or wanted == ["all"]:
        raise UsageError(
            "a module encoder needs to be told which of its modules are layers",
            got=f"--layers {patterns}" if patterns else "no --layers",
            expected='module names or patterns, e.g. "blocks.*"',
            remedy=f"choose among: {_some(_groups(module) or available)}",
        )
    found: dict[str, None] = {}  # a dict keeps order and drops repeats
    for pattern in wanted:
        matching = [name for name in available if _matches(name, pattern)]
        if not matching:
            raise UsageError(
                "no module of the encoder has this name",
                got=f"--layers {pattern}",
                expected=f"a pattern for one of: {_some(available)}",
                remedy="* stands for one part of a dotted name: blocks.* are the blocks, blocks.*.norm their norms",
            )
        found.update(dict.fromkeys(matching))
    return tuple(found)


def _matches(name: str, pattern: str) -> bool:
    parts, patterns = name.split("."), pattern.split(".")
    return len(parts) == len(patterns) and all(map(fnmatchcase, parts, patterns))


def _groups(module: torch.nn.Module) -> list[str]:
    import torch

    lists = (torch.nn.ModuleList, torch.nn.Sequential)
    return [f"{name}.*" if name else "*" for name, part in module.named_modules() if isinstance(part, lists)]


def _some(names: list[str]) -> str:
    return ", ".join(names[:20]) + (", …" if len(names) > 20 else "")  # 20 fill a few terminal lines


def _make(source: ModuleSource, seed: int | None) -> Any:
    import torch

    where = f"{source.module}:{source.factory}"
    try:
        factory = getattr(importlib.import_module(source.module), source.factory)
    except (ImportError, AttributeError) as error:
        raise UsageError(
            "the factory cannot be imported",
            got=f"module:{where} ({first_line(error)})",
            expected="an importable module with that function in it",
            remedy="run from the directory that holds it, or install its package",
        ) from error
    if not callable(factory):
        raise UsageError("this is no factory", got=f"{where} is a {type(factory).__name__}", expected="a function")
    try:
        with seeded(seed or 0):  # a factory that draws weights gives the same ones each time
            module = factory()
    except MlflowRankError:
        raise
    except Exception as error:  # the factory's code may raise anything
        raise UsageError("the factory failed", got=f"{where}: {type(error).__name__}: {first_line(error)}") from error
    if not isinstance(module, torch.nn.Module):
        raise UsageError(
            "the factory returned no torch module", got=type(module).__name__, expected="a torch.nn.Module"
        )
    return module


def _fill(module: torch.nn.Module, state: Path) -> None:
    try:
        module.load_state_dict(read_state_file(state))
    except RuntimeError as error:
        raise UsageError(
            "the weights do not fit what the factory makes",
            got=f"{state}: {' '.join(str(error).split())[:300]}",  # torch lists every name; the first ones tell enough
            expected="the factory as it was when these weights were saved",
        ) from error


def stated_number(module: torch.nn.Module, attribute: str) -> int | None:
    """Return what a module says of itself in an attribute, None where it has none.

    Raises:
        UsageError: it is no positive whole number.
    """
    value = getattr(module, attribute, None)
    if value is None:
        return None
    if isinstance(value, bool) or not float(value).is_integer() or value <= 0:
        raise UsageError(f"the module's {attribute} is no positive whole number", got=repr(value))
    return int(value)


@contextmanager
def _current_directory_importable() -> Iterator[None]:
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        yield
    finally:
        if here in sys.path:
            sys.path.remove(here)
