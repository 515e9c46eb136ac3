"""Each case runs in a process of its own: what is tested is the first import."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXTENSION_THAT_FAILS = 'raise OSError("libc10_cuda.so: cannot open shared object file")'
EXTENSION_THAT_LOADS = "_IS_TORCHAUDIO_EXT_AVAILABLE = True"
PACKAGE = """
from . import _extension
from torchaudio._extension import _IS_TORCHAUDIO_EXT_AVAILABLE as compiled
"""


def run(script: str, path: Path | None = None) -> list[str]:
    environment = os.environ | {"OMP_NUM_THREADS": "1"} | ({"PYTHONPATH": str(path)} if path else {})
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.fixture
def stub(tmp_path: Path):
    def write_package(extension: str, package: str = PACKAGE) -> Path:
        root = tmp_path / "torchaudio"
        (root / "_extension").mkdir(parents=True)
        (root / "__init__.py").write_text(package)
        (root / "_extension" / "__init__.py").write_text(extension)
        return tmp_path

    return write_package


def test_a_torchaudio_that_imports_is_left_alone(stub):
    script = """
from mlflow_rank.speech.torchaudio_backend import import_torchaudio
module = import_torchaudio()
import sys, torchaudio
print(module is torchaudio, module.compiled, bool(module._extension.__file__), import_torchaudio() is module)
"""
    assert run(script, stub(EXTENSION_THAT_LOADS)) == ["True", "True", "True", "True"]


def test_a_missing_cuda_library_leaves_torchaudio_without_its_extension(stub):
    script = """
try:
    import torchaudio
except OSError:
    print("plain-import-fails")
from mlflow_rank.speech.torchaudio_backend import import_torchaudio
module = import_torchaudio()
import torchaudio._extension as extension, importlib.util
print(module.compiled, module._extension is extension, extension._IS_ALIGN_AVAILABLE)
print(importlib.util.find_spec("torchaudio") is not None, import_torchaudio() is module)
try:
    extension.fail_if_no_align(len)([1])
except RuntimeError as error:
    print(type(error.__cause__).__name__)
print(hasattr(extension, "anything_else"))
"""
    said = run(script, stub(EXTENSION_THAT_FAILS))
    assert said == ["plain-import-fails", "False", "True", "False", "True", "True", "OSError", "False"]


@pytest.mark.parametrize("extension", [EXTENSION_THAT_FAILS, EXTENSION_THAT_LOADS])
def test_a_failure_of_another_kind_is_not_hidden(stub, extension):
    script = """
from mlflow_rank.speech.torchaudio_backend import import_torchaudio
import sys
for _ in range(2):
    try:
        import_torchaudio()
    except ImportError as error:
        print(error.name, "StandIn" in repr(type(sys.modules.get("torchaudio._extension"))))
"""
    broken = stub(extension, PACKAGE + "import torchaudio.no_such_part\n")
    assert run(script, broken) == ["torchaudio.no_such_part", "False"] * 2


def test_an_absent_torchaudio_is_named_with_its_remedy():
    script = """
import sys
sys.path[:] = [p for p in sys.path if "site-packages" not in p] + [PLACE]
import importlib, importlib.abc
class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "torchaudio":
            raise ModuleNotFoundError("No module named 'torchaudio'", name="torchaudio")
sys.meta_path.insert(0, Absent())
from mlflow_rank.errors import MissingDependencyError
from mlflow_rank.speech.torchaudio_backend import import_torchaudio
try:
    import_torchaudio()
except MissingDependencyError as error:
    print(error.remedy)
"""
    place = Path(__file__).parents[2]
    assert run(script.replace("PLACE", repr(str(place)))) == ["pip", "install", "torchaudio"]


def test_the_installed_torchaudio_resamples_and_serves_transformers_whether_or_not_it_imports_plainly():
    script = """
try:
    import torchaudio
    plainly = True
except OSError:
    plainly = False
from mlflow_rank.speech.torchaudio_backend import import_torchaudio
module = import_torchaudio()
import numpy, torch
from transformers.models.audio_spectrogram_transformer.feature_extraction_audio_spectrogram_transformer import (
    ASTFeatureExtractor,
)
print(plainly == bool(getattr(module._extension, "__file__", None)))
print(tuple(module.functional.resample(torch.zeros(44100), 44100, 16000).shape) == (16000,))
features = ASTFeatureExtractor()(numpy.zeros(4000, "f4"), sampling_rate=16000)["input_values"][0]
print(features.shape == (1024, 128))
"""
    assert run(script) == ["True", "True", "True"]
