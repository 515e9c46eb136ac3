from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from mlflow_rank.errors import UsageError
from mlflow_rank.speech.containers import read_header
from mlflow_rank.speech.decoding import SILENCE_PEAK, DecodedAudio, decode
from mlflow_rank.speech.skips import UnusableAudio
from mlflow_rank.speech.utterance import AudioFile, SkipCause, Utterance
from tests.speech.conftest import noise


def utterance(path: Path, **known: object) -> Utterance:
    return Utterance(key=path.name, source=AudioFile(path), duration=1.0, **known)


def cause_of(path: Path, *, rate: int = 16_000, channel: str | int = "mix", **limits: float) -> SkipCause:
    with pytest.raises(UnusableAudio) as caught:
        decode(utterance(path), rate=rate, channel=channel, **limits)
    assert caught.value.detail
    return caught.value.cause


def test_sound_at_its_own_rate_comes_back_as_stored(write):
    samples = noise(0.3)
    decoded = decode(utterance(write("a.wav", samples, subtype="FLOAT")), rate=16_000)
    assert decoded.samples.dtype == np.float32
    assert np.array_equal(decoded.samples, samples[:, 0].astype(np.float32))


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
def test_every_format_decodes_to_about_the_same_sound(write, suffix):
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    decoded = decode(utterance(write(f"a.{suffix}", tone)), rate=16_000).samples
    assert decoded.shape == (16_000,)
    assert np.corrcoef(decoded, tone)[0, 1] > 0.999


def test_a_stereo_mp3_at_44100_hz_becomes_mono_at_16000_hz(write):
    time = np.arange(44_100) / 44_100
    left, right = 0.3 * np.sin(2 * np.pi * 440 * time), 0.3 * np.sin(2 * np.pi * 660 * time)
    path = write("music.mp3", np.stack([left, right], axis=1), 44_100)
    decoded = decode(utterance(path), rate=16_000).samples
    assert decoded.shape == (16_000,)
    spectrum = np.abs(np.fft.rfft(decoded))  # 1 s: one bin per Hz
    assert sorted(np.argsort(spectrum)[-2:]) == [440, 660]


def test_channels_are_mixed_or_chosen(write):
    stereo = noise(0.2, channels=2)
    path = write("a.wav", stereo, subtype="FLOAT")
    mixed, left, right = (decode(utterance(path), rate=16_000, channel=c).samples for c in ("mix", 0, "1"))
    assert np.allclose(mixed, stereo.mean(axis=1), atol=1e-7)
    assert np.array_equal(left, stereo[:, 0].astype(np.float32))
    assert np.array_equal(right, stereo[:, 1].astype(np.float32))


def test_a_channel_that_one_file_lacks_skips_that_file_only(write):
    assert cause_of(write("mono.wav"), channel=1) == SkipCause.UNREADABLE


@pytest.mark.parametrize("channel", ["left", -1, ""])
def test_a_channel_that_no_file_can_have_is_refused(write, channel):
    with pytest.raises(UsageError, match="bad channel"):
        decode(utterance(write("a.wav")), rate=16_000, channel=channel)


def test_a_rate_that_is_none_is_refused(write):
    with pytest.raises(UsageError, match="bad sampling rate"):
        decode(utterance(write("a.wav")), rate=0)


@given(start=st.integers(0, 90), length=st.integers(1, 60))
def test_a_segment_is_the_same_stretch_of_the_whole_file(tmp_path_factory, start, length):
    path = tmp_path_factory.getbasetemp() / "segments.flac"
    if not path.exists():
        soundfile.write(path, noise(1.0, 8_000), 8_000)
    end = min(start + length, 100)
    whole = decode(utterance(path), rate=8_000).samples
    part = decode(utterance(path, start=start / 100, end=end / 100), rate=8_000).samples
    assert np.array_equal(part, whole[start * 80 : end * 80])


def test_a_segment_with_one_end_open_reaches_to_the_end_of_the_file(write):
    path = write("a.wav", noise(0.5))
    assert decode(utterance(path, start=0.25), rate=16_000).samples.shape == (4_000,)
    assert decode(utterance(path, end=0.125), rate=16_000).samples.shape == (2_000,)


def test_a_segment_end_rounded_past_the_file_is_the_file_s_end(write):
    assert decode(utterance(write("a.wav", noise(0.496)), end=0.5), rate=16_000).samples.shape == (7_936,)


@pytest.mark.parametrize(("start", "end"), [(0.6, 0.7), (0.4, 0.6), (0.5, None)])
def test_a_segment_outside_the_file_is_named(write, start, end):
    path = write("a.wav", noise(0.5))
    with pytest.raises(UnusableAudio, match=r"0\.5 s") as caught:
        decode(utterance(path, start=start, end=end), rate=16_000)
    assert caught.value.cause == SkipCause.SEGMENT_OUTSIDE_FILE


def test_a_segment_between_two_frames_is_empty(write):
    with pytest.raises(UnusableAudio) as caught:
        decode(utterance(write("a.wav"), start=0.1, end=0.10001), rate=16_000)
    assert caught.value.cause == SkipCause.EMPTY


def test_every_kind_of_bad_file_gives_its_cause_and_stops_no_other(write, tmp_path):
    broken = noise(0.2)
    broken[100] = np.nan
    (tmp_path / "zero.wav").write_bytes(b"")
    (tmp_path / "text.wav").write_text("this is no sound")
    (tmp_path / "folder.wav").mkdir()
    expected = {
        tmp_path / "absent.wav": SkipCause.MISSING,
        tmp_path / "zero.wav": SkipCause.EMPTY,
        tmp_path / "text.wav": SkipCause.UNREADABLE,
        tmp_path / "folder.wav": SkipCause.UNREADABLE,
        tmp_path / f"{300 * 'x'}.wav": SkipCause.UNREADABLE,  # longer than a file system allows
        write("no_frames.wav", np.zeros(0)): SkipCause.EMPTY,
        write("nan.wav", broken, subtype="FLOAT"): SkipCause.NOT_FINITE,
        write("silent.wav", np.zeros(8_000)): SkipCause.SILENT,
        write("offset.wav", np.full(8_000, 0.5)): SkipCause.SILENT,
        write("20ms.wav", noise(0.02)): SkipCause.TOO_SHORT,
        write("long.wav", noise(0.9)): SkipCause.TOO_LONG,
        write("slow.wav", noise(0.5, 2_000), 2_000): SkipCause.UNSUPPORTED_RATE,
        write("odd.wav", noise(0.1, 44_101), 44_101): SkipCause.UNSUPPORTED_RATE,
    }
    good = write("good.wav")
    found = {}
    for path in [*expected, good]:
        try:
            assert isinstance(decode(utterance(path), rate=16_000, min_duration=0.05, max_duration=0.8), DecodedAudio)
        except UnusableAudio as unusable:
            found[path] = unusable.cause
    assert found == expected


@pytest.mark.parametrize("suffix", ["wav", "flac", "mp3"])
@pytest.mark.parametrize("kept", [0.5, 0.9])
def test_a_cut_copy_is_truncated(write, suffix, kept, capfd):
    whole = write(f"whole.{suffix}", noise(2.0))
    data = whole.read_bytes()
    cut = whole.with_name(f"cut.{suffix}")
    cut.write_bytes(data[: int(len(data) * kept)])
    assert cause_of(cut) == SkipCause.TRUNCATED
    capfd.readouterr()  # the MP3 decoder talks on stderr


def test_an_mp3_without_a_length_header_is_whole_though_its_length_is_an_estimate(write, capfd):
    path = write("a.mp3", noise(3.0, 44_100, 2), 44_100, bitrate_mode="CONSTANT", compression_level=0.5)
    data = path.read_bytes()
    path.write_bytes(data[data.index(data[:2], 2) :])  # the first MPEG frame holds the length
    promised = read_header(AudioFile(path)).frames
    decoded = decode(utterance(path), rate=44_100).samples
    assert promised - 2_304 <= len(decoded) < promised
    capfd.readouterr()  # the MP3 decoder talks on stderr


@pytest.mark.parametrize(
    ("total", "cause"),
    [(0, SkipCause.UNREADABLE), (2**36 - 1, SkipCause.TRUNCATED), (8_001, SkipCause.TRUNCATED)],
)
def test_a_flac_header_that_leaves_its_length_open_or_lies_about_it_costs_one_file_and_no_memory(write, total, cause):
    path = write("a.flac")
    data = bytearray(path.read_bytes())
    data[21] = data[21] & 0xF0 | total >> 32  # STREAMINFO from byte 8 on: 36 bits of total samples from bit 108 on
    data[22:26] = (total & 0xFFFFFFFF).to_bytes(4, "big")
    path.write_bytes(data)
    assert cause_of(path) == cause


def test_a_wav_that_was_piped_states_no_size_and_is_not_truncated(write):
    path = write("piped.wav")
    data = bytearray(path.read_bytes())
    place = data.index(b"data") + 4
    data[4:8] = data[place : place + 4] = b"\xff\xff\xff\xff"
    path.write_bytes(data)
    assert decode(utterance(path), rate=16_000).samples.shape == (8_000,)


def test_a_cut_rf64_wav_is_truncated_by_its_64_bit_size(write):
    path = write("big.wav", noise(), format="RF64", subtype="PCM_16")
    data = bytearray(path.read_bytes())
    place = data.index(b"data") + 4
    assert decode(utterance(path), rate=16_000).samples.shape == (8_000,)
    if data[:4] == b"RF64":
        assert bytes(data[place : place + 4]) == b"\xff\xff\xff\xff"
    path.write_bytes(data[:-2_000])
    assert cause_of(path) == SkipCause.TRUNCATED


@given(st.floats(1.0 / 32768, 0.5))
def test_sound_is_silent_exactly_below_the_stated_level(tmp_path_factory, level):
    path = tmp_path_factory.getbasetemp() / "level.wav"
    samples = np.float32(level) * np.where(np.arange(400) % 2, 1.0, -1.0).astype(np.float32)
    soundfile.write(path, samples, 16_000, subtype="FLOAT")
    try:
        decode(utterance(path), rate=16_000)
        silent = False
    except UnusableAudio as unusable:
        silent = unusable.cause == SkipCause.SILENT
    assert silent == (float(np.float32(level)) < SILENCE_PEAK)


def test_the_digest_is_of_the_sound_not_of_its_file(write):
    samples = noise(0.3, channels=2)
    wav = decode(utterance(write("a.wav", samples)), rate=16_000).content_digest
    assert wav.startswith("sha256:")
    stored, _ = soundfile.read(write("a.wav", samples), dtype="int16")
    assert decode(utterance(write("elsewhere/b.flac", stored)), rate=16_000).content_digest == wav
    assert decode(utterance(write("a.wav", samples)), rate=8_000, channel=1).content_digest == wav
    other = noise(0.3, channels=2, seed=1)
    assert decode(utterance(write("c.wav", other)), rate=16_000).content_digest != wav
    assert decode(utterance(write("d.wav", samples, 8_000)), rate=16_000).content_digest != wav


def test_the_digest_of_a_segment_is_that_of_a_file_cut_there(write):
    samples = noise(0.5)
    part = utterance(write("a.wav", samples), start=0.1, end=0.3)
    alone = utterance(write("part.wav", samples[1_600:4_800]))
    assert decode(part, rate=16_000).content_digest == decode(alone, rate=16_000).content_digest


def test_headers_say_how_long_a_file_is_before_it_is_decoded(write):
    header = read_header(AudioFile(write("a.flac", noise(0.5, 22_050, 2), 22_050)))
    assert (header.frames, header.rate, header.channels) == (11_025, 22_050, 2)
    assert header.duration == 0.5


def test_why_audio_is_unusable_survives_the_way_back_from_a_worker_process():
    error = UnusableAudio(SkipCause.SILENT, "peak 0")
    back = pickle.loads(pickle.dumps(error))
    assert (back.cause, back.detail, str(back)) == (error.cause, error.detail, str(error))


def test_resampling_keeps_what_both_rates_can_carry(write):
    time = np.arange(22_050) / 22_050
    tone = 0.5 * np.sin(2 * np.pi * 1_000 * time)
    there = decode(utterance(write("a.wav", tone, 22_050, subtype="FLOAT")), rate=16_000).samples
    ideal = 0.5 * np.sin(2 * np.pi * 1_000 * np.arange(16_000) / 16_000)
    assert np.abs(there[200:-200] - ideal[200:-200]).max() < 0.005
