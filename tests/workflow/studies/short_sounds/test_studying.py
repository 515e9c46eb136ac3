"""Short sounds heard for real by a tiny encoder, its shuffled copy and random weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlflow_rank.errors import UsageError
from mlflow_rank.spectra import Moments, estimate
from mlflow_rank.studies.short_sounds.study import RANDOM, SHUFFLED
from mlflow_rank.workflow import Setting
from mlflow_rank.workflow.studies.short_sounds import studying as short_sounds
from mlflow_rank.workflow.studies.short_sounds.studying import SoundsAsked, study_short_sounds
from mlflow_rank.workflow.studies.short_sounds.variants import SoundRequest

FEW = SoundRequest(
    lengths=(0.05,), counts=(12, 24, 48), strides=(5,), duties=(0.5,), bursts=(2,), ratios=(10.0,), window=0.1, each=48
)


@pytest.fixture(scope="module")
def make_setting(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Make the setting of a tiny encoder of two layers."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(Path(__file__).parents[2] / "modules")
        place = tmp_path_factory.mktemp("setting")
        given: dict[str, Any] = {"model": "module:listeners:plain", "layers": "blocks.*", "device": "cpu"}
        yield lambda **more: Setting(**{**given, "cache": place / "cache", "output": place / "out", **more})


@pytest.fixture(scope="module")
def asked(words: Path) -> SoundsAsked:
    """Ask for a few conditions of words by six speakers."""
    return SoundsAsked(labels=str(words), task="keyword", conditions=FEW)


@pytest.fixture(scope="module")
def study(make_setting: Callable[..., Setting], asked: SoundsAsked) -> Any:
    """Make the study once."""
    return study_short_sounds(make_setting(control=True), asked)


def test_every_condition_is_compared_at_equal_rows_for_every_layer(study: Any) -> None:
    names = [each.condition.name for each in study.of(SHUFFLED, "frame")]
    assert names == [
        "whole clips", "12 clips", "24 clips", "48 clips", "every 5th frame", "at most 0.05 s", "50 % of 0.1 s",
        "25 % in 2 bursts", "25 %, noise at 10 dB",
    ]  # fmt: skip
    assert [each.clips for each in study.of(SHUFFLED, "frame")] == [72, 12, 24, 48, 72, 48, 48, 48, 48]
    assert len(study.of(RANDOM, "frame")) == 5
    assert study.layers == (1, 2)
    for each in study.comparisons:
        assert each.rank.n == each.other_rank.n
        assert each.rank.counts == each.other_rank.counts
    whole, cut = study.of(SHUFFLED, "frame")[0], study.of(SHUFFLED, "frame")[5]
    assert whole.rank.n == 72 * 159  # a frame per 10 samples of 1600, each of 20
    assert cut.rank.n == 48 * 79
    assert study.of(SHUFFLED, "frame")[4].rank.n == 72 * 32
    assert study.of(SHUFFLED, "utterance")[4].rank == study.of(SHUFFLED, "utterance")[0].rank


def test_pilots_tell_the_words_and_are_compared_on_the_same_clips(study: Any) -> None:
    whole = study.of(SHUFFLED, "frame")[0]
    assert whole.pilot.value > 0.5
    assert whole.gained.paired
    assert whole.gained.value == pytest.approx(whole.pilot.value - whole.other_pilot.value)
    document = json.loads(json.dumps(study.document(), allow_nan=False))
    assert document["kind"] == "ShortSoundsStudy"
    assert document["settings"]["group_unit"] == "speaker"
    assert len(set(document["settings"]["encoders"].values())) == 3


def test_the_rank_of_clip_means_is_that_of_the_vectors_that_a_pass_by_hand_gives(
    study: Any, make_setting: Callable[..., Setting], words: Path
) -> None:
    import soundfile
    import torch

    from mlflow_rank.encoders.load import load_encoder

    encoder = load_encoder("module:listeners:plain", layers="blocks.*", device="cpu")
    with torch.inference_mode():
        rows = [
            encoder.encode(torch.from_numpy(soundfile.read(file, dtype="float32")[0][None]))[1][0].mean(0).numpy()
            for file in sorted(words.parent.glob("*.wav"))
        ]
    value = next(
        each.value
        for each in estimate([Moments.of(np.stack(rows))], level="utterance")
        if (each.metric, each.centred) == ("effective_rank", True)
    )
    assert study.of(SHUFFLED, "utterance", 2)[0].rank.value == pytest.approx(value, rel=1e-4)


def test_what_was_heard_before_ctrl_c_is_not_heard_again(
    study: Any,
    make_setting: Callable[..., Setting],
    asked: SoundsAsked,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    heard: list[str] = []
    real = short_sounds.hear_sounds

    def hear(encoder: Any, *given: Any, **more: Any) -> Any:
        if len(heard) == 3:
            heard.append("stopped")
            raise KeyboardInterrupt
        heard.append(encoder.spec)
        return real(encoder, *given, **more)

    monkeypatch.setattr(short_sounds, "hear_sounds", hear)
    fewer = replace(FEW, duties=(), bursts=(), ratios=())
    kept = replace(asked, conditions=fewer, keep=tmp_path / "kept")
    with pytest.raises(KeyboardInterrupt):
        study_short_sounds(make_setting(), kept)
    again = study_short_sounds(make_setting(), kept)
    assert len(heard) == 4 + 1  # of 4 passes: whole and cut, trained and shuffled
    names = {each.condition.name for each in again.comparisons}
    assert len(names) == 6
    same = [each for each in study.comparisons if each.other == SHUFFLED and each.condition.name in names]
    assert [each.document() for each in again.comparisons] == [each.document() for each in same]
    study_short_sounds(make_setting(), kept)
    assert len(heard) == 5


@pytest.mark.parametrize(
    ("setting", "more", "message"),
    [
        ({"model": "log-mel"}, {}, "nothing trained to shuffle"),
        ({"model": "random:module:listeners:plain"}, {}, "nothing trained to shuffle"),
        ({}, {"task": "phone"}, "no such task"),
        ({}, {"layer": 7}, "no such layer"),
        ({}, {"conditions": replace(FEW, lengths=(0.0001,))}, "gives no frame"),
        ({}, {"conditions": replace(FEW, duties=(1.5,))}, "bad duty"),
        ({}, {"conditions": replace(FEW, counts=(12, 12))}, "twice among the counts"),
        ({}, {"conditions": replace(FEW, strides=(1,))}, "bad frame stride"),
        ({}, {"task": "label:kind"}, "no utterance carries"),
        ({}, {"most": 0}, "too few clips"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_heard(
    make_setting: Callable[..., Setting],
    asked: SoundsAsked,
    monkeypatch: pytest.MonkeyPatch,
    setting: dict[str, Any],
    more: dict[str, Any],
    message: str,
) -> None:
    monkeypatch.setattr(short_sounds, "hear_sounds", lambda *given, **more: pytest.fail("something was heard"))
    with pytest.raises(UsageError, match=message):
        study_short_sounds(make_setting(**setting), replace(asked, **more))


def test_noise_that_is_one_of_the_clips_is_refused(
    make_setting: Callable[..., Setting], asked: SoundsAsked, words: Path
) -> None:
    with pytest.raises(UsageError, match="one of the clips"):
        study_short_sounds(make_setting(), replace(asked, noise=str(words)))


def test_noise_of_ones_own_is_heard(
    make_setting: Callable[..., Setting], asked: SoundsAsked, recordings: Path, study: Any
) -> None:
    only = replace(FEW, lengths=(), counts=(), strides=(), duties=(), bursts=())
    own = study_short_sounds(make_setting(), replace(asked, noise=str(recordings), conditions=only))
    assert own.settings["noise"] == str(recordings)
    assert own.of(SHUFFLED, "frame")[-1].rank.value != study.of(SHUFFLED, "frame")[-1].rank.value
    assert own.of(SHUFFLED, "frame")[0].rank == study.of(SHUFFLED, "frame")[0].rank
