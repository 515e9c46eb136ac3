"""The one place that imports torchaudio, so that it also works beside a CPU-only torch.

torchaudio's Linux wheel carries a compiled extension linked against CUDA. Beside a CPU-only torch that extension cannot
be loaded, `import torchaudio` raises OSError, and every package that imports torchaudio for its Python parts (the audio
feature extractors of transformers among them) fails with it. Resampling, models, pipelines and transforms are plain
Python on top of torch and never call the extension. So, only where the plain import fails in this way, a stand-in takes
the place of `torchaudio._extension`; it says that nothing compiled is available, and what needs it raises when called.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, NoReturn

from mlflow_rank.errors import MissingDependencyError

_EXTENSION = "torchaudio._extension"


class _ExtensionStandIn(ModuleType):
    """A module that answers "not available" to each question that torchaudio asks its compiled extension.

    The names differ between torchaudio releases, the two patterns do not: `_IS_…_AVAILABLE` flags, and `fail_if_no_…`
    decorators around functions that need compiled code.
    """

    def __init__(self, cause: OSError) -> None:
        super().__init__(_EXTENSION, "Stand-in: the compiled extension could not be loaded.")
        self.__spec__ = ModuleSpec(_EXTENSION, loader=None)
        self.__path__: list[str] = []
        self._cause = cause

    def __getattr__(self, name: str) -> object:
        if name.startswith("_IS_") and name.endswith("_AVAILABLE"):
            return False
        if name.startswith("fail_if_no_"):
            return self._refusing
        raise AttributeError(f"module {_EXTENSION!r} has no attribute {name!r} (its compiled part could not be loaded)")

    def _refusing(self, function: Callable[..., Any]) -> Callable[..., NoReturn]:
        def refuse(*_args: object, **_kwargs: object) -> NoReturn:
            raise RuntimeError(
                f"{function.__name__} needs torchaudio's compiled extension, which could not be loaded"
            ) from self._cause

        return refuse


def import_torchaudio() -> ModuleType:
    """Import torchaudio, with a stand-in for its compiled extension only where that cannot be loaded.

    Call it before anything that imports torchaudio by itself. A torchaudio that imports plainly is left as it is.

    Returns:
        The torchaudio module.

    Raises:
        MissingDependencyError: torchaudio is not installed.
    """
    try:
        return importlib.import_module("torchaudio")
    except ModuleNotFoundError as error:
        if error.name != "torchaudio":
            raise
        raise MissingDependencyError(
            "torchaudio", needed_for="resampling and torchaudio's encoders", install="torchaudio"
        ) from error
    except OSError as error:  # what torch.ops.load_library raises when a linked library is absent
        stand_in = _ExtensionStandIn(error)
    sys.modules[_EXTENSION] = stand_in
    try:
        torchaudio = importlib.import_module("torchaudio")
    except BaseException:
        del sys.modules[_EXTENSION]  # a failure of another kind must show itself again at the next import
        raise
    torchaudio._extension = stand_in  # type: ignore[attr-defined]  # the import system sets it only on modules it loads
    return torchaudio
