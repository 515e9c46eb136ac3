"""Numbers are compared only under one convention; every difference has a name."""

import dataclasses
import json

import pytest

from mlflow_rank.errors import UsageError
from mlflow_rank.spectra import LEVELS, METRICS, PRESETS, Convention, Sampling, ensure_comparable

CONVENTION = Convention(
    metric="rankme",
    level="frame",
    centred=False,
    epsilon=1e-7,
    frame_stride=1,
    dtype="float32",
    preset="robust",
    sampling=Sampling(utterances=None, hours=1.0, min_duration=None, max_duration=30.0, seed=7),
    corpus_digest="sha256:aa",
    encoder_digest="sha256:bb",
    layer=3,
    count=180_000,
)
OTHER = {
    "metric": "effective_rank",
    "level": "utterance",
    "centred": True,
    "epsilon": None,
    "frame_stride": 5,
    "dtype": "bfloat16",
    "preset": "rankme_t",
    "corpus_digest": "sha256:cc",
    "encoder_digest": "sha256:dd",
    "layer": 4,
    "count": 5,
}


def test_equal_conventions_are_comparable():
    ensure_comparable(CONVENTION, dataclasses.replace(CONVENTION))


@pytest.mark.parametrize("setting", OTHER)
def test_any_setting_that_differs_is_refused_and_named_with_both_values(setting):
    other = dataclasses.replace(CONVENTION, **{setting: OTHER[setting]})
    with pytest.raises(UsageError) as caught:
        ensure_comparable(CONVENTION, other)
    assert caught.value.what.endswith(f": {setting}")
    assert caught.value.got == f"{setting}: {getattr(CONVENTION, setting)!r} and {OTHER[setting]!r}"
    ensure_comparable(CONVENTION, other, ignoring={setting})


def test_all_differences_are_named_at_once_down_to_the_sampling():
    other = dataclasses.replace(
        CONVENTION, layer=4, sampling=dataclasses.replace(CONVENTION.sampling, seed=8, hours=2.0)
    )
    with pytest.raises(UsageError, match=r"compared: sampling\.hours, sampling\.seed, layer"):
        ensure_comparable(CONVENTION, other)
    ensure_comparable(CONVENTION, other, ignoring={"layer", "sampling"})
    ensure_comparable(CONVENTION, other, ignoring=["layer", "sampling.seed", "sampling.hours"])


def test_a_misspelt_setting_to_ignore_is_refused():
    with pytest.raises(UsageError, match=r"got: +seeds\n"):
        ensure_comparable(CONVENTION, CONVENTION, ignoring={"seeds"})


def test_settings_are_flat_and_json_ready():
    settings = CONVENTION.settings()
    assert json.loads(json.dumps(settings))["sampling.seed"] == 7
    assert "sampling" not in settings


def test_every_setting_is_covered_above():
    assert set(OTHER) | {"sampling"} == {field.name for field in dataclasses.fields(Convention)}


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
def test_presets_name_existing_levels_and_metrics(preset):
    assert set(preset.levels) <= set(LEVELS)
    assert set(preset.metrics) <= set(METRICS)
    assert preset.headline[0] in preset.metrics
    assert preset.headline[1] in METRICS[preset.headline[0]].centrings


def test_the_papers_preset_says_that_it_is_reconstructed():
    preset = PRESETS["rankme_t"]
    assert (preset.levels, preset.metrics) == (("utterance_sum",), ("rankme_t",))
    assert METRICS["rankme_t"].epsilon == 1e-7
    assert METRICS["rankme_t"].centrings == (False,)
    assert "secondary readings" in preset.note
