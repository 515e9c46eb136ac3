from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlflow_rank.encoders.specs import STARTER, HuggingFaceSource, ModuleSource, TorchaudioSource, parse_spec
from mlflow_rank.errors import UsageError

SPECS = {
    "facebook/hubert-base-ls960": HuggingFaceSource("facebook/hubert-base-ls960"),
    "../my encoder": HuggingFaceSource("../my encoder"),
    "starter": HuggingFaceSource(str(STARTER)),
    "torchaudio:WAVLM_BASE": TorchaudioSource("WAVLM_BASE", None),
    "torchaudio:HUBERT_BASE@/weights/a@b.pt": TorchaudioSource("HUBERT_BASE", Path("/weights/a@b.pt")),
    "module:mine.models:build": ModuleSource("mine.models", "build"),
    "module:mine.models:build@/weights/a@b.pt": ModuleSource("mine.models", "build", Path("/weights/a@b.pt")),
}


@pytest.mark.parametrize("text", SPECS)
def test_each_form_names_its_source(text):
    spec = parse_spec(text)
    assert (spec.text, spec.source, spec.random) == (text, SPECS[text], False)


@given(st.sampled_from(sorted(SPECS)))
def test_random_before_any_form_keeps_its_source(text):
    spec = parse_spec(f"random:{text}")
    assert (spec.source, spec.random) == (SPECS[text], True)


@pytest.mark.parametrize(
    "text", ["", "random:", "random:random:starter", "torchaudio:", "module:", "module:a", "module::f", "models:"]
)
def test_what_names_no_encoder_is_refused_with_the_forms_that_do(text):
    with pytest.raises(UsageError) as refusal:
        parse_spec(text)
    assert "module:PACKAGE.MODULE:FACTORY" in str(refusal.value)


@pytest.mark.parametrize("text", ["models:/speech/3", "models:/speech@champion", "random:runs:/ab12/model"])
def test_registry_addresses_must_be_resolved_before(text):
    with pytest.raises(UsageError, match="local directory that the registry resolves it to"):
        parse_spec(text)


def test_importing_the_loader_loads_no_heavy_package():
    code = (
        "import sys, mlflow_rank.encoders.load, mlflow_rank.encoders.export;"
        "print([name for name in ('torch', 'torchaudio', 'transformers', 'mlflow') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
