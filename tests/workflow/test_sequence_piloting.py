"""Phones without times, from manifest to document: one layer of the encoder hears them, the other does not."""

from __future__ import annotations

import json
import shutil
from collections import Counter, namedtuple
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from mlflow_rank import workflow
from mlflow_rank.encoders import extraction
from mlflow_rank.errors import MeasurementError, UsageError
from mlflow_rank.probes.leaks import LeakError
from mlflow_rank.workflow import PilotRequest, Setting, sequence_piloting

Document = dict[str, Any]
Row = Mapping[str, Any]
RATE = 16_000
PITCHES = {"a": 500.0, "e": 1500.0, "o": 3500.0, "u": 6500.0}
SPEAKERS = ("ann", "bob", "cid", "dot", "eve", "fay")
HASTY = ("ann", "dot")  # one learned from, one tested: each has an utterance with more phones than frames
SHORT = "bob_short.wav"  # long enough for a frame of the encoder, too short for log-mel features
Disk = namedtuple("Disk", "total used free")


def said(phones: Sequence[str], rng: np.random.Generator, noise: float) -> np.ndarray:
    """Return tones of 40 to 70 ms, each after 20 ms of nothing, in noise."""
    parts = []
    for phone in phones:
        times = np.arange(int(RATE * rng.uniform(0.04, 0.07))) / RATE
        parts += [np.zeros(RATE // 50), 0.4 * np.sin(2 * np.pi * PITCHES[phone] * rng.uniform(0.95, 1.05) * times)]
    samples = np.concatenate([*parts, np.zeros(RATE // 50)])
    return samples + noise * rng.normal(size=len(samples))


def write(directory: Path, speakers: Sequence[str], *, each: int = 5, noise: float = 0.01, seed: int = 0) -> Path:
    """Write utterances of four to seven phones by every speaker, and a manifest with their `phone_sequence`."""
    directory.mkdir(parents=True, exist_ok=True)
    rng, rows = np.random.default_rng(seed), []
    for speaker in speakers:
        for number in range(each):
            phones = rng.choice(sorted(PITCHES), size=rng.integers(4, 8)).tolist()
            soundfile.write(directory / f"{speaker}_{number}.wav", said(phones, rng, noise), RATE)
            row = {"path": f"{speaker}_{number}.wav", "speaker": speaker}
            rows.append(row | {"phone_sequence": ["sil", *phones, "sil"]})
    return manifest(directory / "sequences.jsonl", rows)


def manifest(path: Path, rows: Sequence[Mapping[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def request(labels: Path, **more: Any) -> PilotRequest:
    return PilotRequest(**{"task": "phone", "labels": str(labels), "shots": ("all",), **more})


def numbers(document: Document, domain: str = "in_domain") -> dict[object, Row]:
    found = [row for row in document["rows"] if row["domain"] == domain and row["shots"] == "all"]
    assert len({row["layer"] for row in found}) == len(found)
    return {row["layer"]: row for row in found}


def causes(document: Document) -> dict[str, int]:
    return Counter(row["cause"] for row in document["rows"] if row["status"] == "unknown")


@pytest.fixture(scope="module")
def sequences(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The manifest, with utterances that cannot be learned from."""
    path = write(tmp_path_factory.mktemp("spoken"), SPEAKERS)
    rows = rows_of(path)
    for number, speaker in enumerate(HASTY):
        samples = said(["a"], np.random.default_rng(100 + number), 0.01)
        soundfile.write(path.with_name(f"{speaker}_hasty.wav"), samples, RATE)
        rows.append({"path": f"{speaker}_hasty.wav", "speaker": speaker, "phone_sequence": ["a", "o"] * 6})
    soundfile.write(path.with_name(SHORT), said(["a"], np.random.default_rng(9), 0.01)[:300], RATE)
    return manifest(path, [*rows, {"path": SHORT, "speaker": "bob", "phone_sequence": ["a", "o"]}])


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three other speakers in more noise; the times that are known of one utterance are not asked for."""
    path = write(tmp_path_factory.mktemp("elsewhere"), ("gil", "hal", "ida"), each=3, noise=0.08, seed=7)
    first, *others = rows_of(path)
    phones = [[phone, 0.05 * number, 0.05 * number + 0.05] for number, phone in enumerate(first.pop("phone_sequence"))]
    return manifest(path, [{**first, "phones": phones}, *others])


@pytest.fixture(scope="module")
def setting(make_setting: Callable[..., Setting]) -> Setting:
    return make_setting(model="module:spellers:speller", layers="bands,loudness", control=True)


@pytest.fixture(scope="module")
def document(setting: Setting, sequences: Path, outside: Path) -> Document:
    return workflow.pilot(setting, [request(sequences, labels_ood=str(outside), shots=(1, 5, "all"), draws=2)])


def test_the_layer_that_hears_the_phones_spells_them_and_the_other_does_not(document: Document) -> None:
    inside = numbers(document)
    assert set(inside) == {1, 2, "pilot_best"}
    for row in inside.values():
        assert (row["metric"], row["head"], row["status"], row["chance"]) == ("per", "ctc", "ok", 1.0)
        assert row["low"] <= row["score"] <= row["high"]
    good, poor = inside[1], inside[2]
    assert good["score"] < 0.5 < 0.8 < poor["score"]
    assert good["groups"] == 3
    assert inside["pilot_best"]["score"] == good["score"]
    (task,) = document["tasks"]
    assert task["layer_choice"]["pilot_best"] == 1
    assert task["layer_choice"]["draws"] == {"1": 3}


def test_control_and_log_mel_have_heads_of_their_own_and_differences_are_paired(document: Document) -> None:
    for row in numbers(document).values():
        assert row["random"] > 0
        assert row["logmel"] < numbers(document)[2]["score"]  # it hears the tones too
        assert row["delta"] == pytest.approx(row["score"] - row["random"])
        assert row["delta_low"] <= row["delta"] <= row["delta_high"]
        assert row["resolvable"] > 0


def test_the_other_domain_is_tested_by_the_same_heads_and_the_drop_is_their_difference(
    document: Document, outside: Path
) -> None:
    inside, beyond, drop = (numbers(document, domain) for domain in ("in_domain", "out_of_domain", "drop"))
    spoken = (row.get("phone_sequence") or [phone for phone, _, _ in row["phones"]] for row in rows_of(outside))
    assert {row["n"] for row in beyond.values()} == {sum(phone != "sil" for each in spoken for phone in each)}
    assert set(beyond) == set(drop) == set(inside)
    for layer, row in drop.items():
        assert row["score"] == pytest.approx(inside[layer]["score"] - beyond[layer]["score"])
        assert row["low"] < row["score"] < row["high"]


def test_the_document_says_how_sequences_were_piloted(document: Document, sequences: Path) -> None:
    (task,) = document["tasks"]
    assert (task["task"], task["metrics"], list(task["heads"])) == ("phone", ["per"], ["ctc"])
    assert "mean of 3 seeds" in task["heads"]["ctc"]
    assert task["classes"] == sorted(PITCHES)
    assert task["protocol"]["draws"] == 1
    assert task["confusions"] == []
    speaker = {row["path"]: row["speaker"] for row in rows_of(sequences)}
    tested, learned = ({speaker[key] for key in task["splits"][side]} for side in ("test", "pool"))
    assert not tested & learned
    assert tested | learned == set(SPEAKERS)
    assert {entry["status"] for entry in task["labels_saved"]} == {"unknown"}
    assert numbers(document)[1]["labels"] == len(task["splits"]["pool"]) == task["protocol"]["train_items"]
    json.dumps(document)


def test_silence_is_no_phone_and_every_reference_phone_counts(document: Document, sequences: Path) -> None:
    (task,) = document["tasks"]
    by_path = {row["path"]: row["phone_sequence"] for row in rows_of(sequences)}
    spoken = sum(symbol != "sil" for key in task["splits"]["test"] for symbol in by_path[key])
    assert {row["n"] for row in numbers(document).values()} == {spoken}


def test_numbers_of_shots_are_unknown_and_say_why(document: Document) -> None:
    unknown = {(row["layer"], row["shots"]): row for row in document["rows"] if row["shots"] != "all"}
    assert set(unknown) == {(layer, shots) for layer in (1, 2) for shots in (1, 5)}
    for row in unknown.values():
        assert (row["status"], row["score"], row["metric"]) == ("unknown", None, "per")
        assert row["cause"].startswith("shots count labels of a class")


def test_utterances_with_fewer_frames_than_phones_are_tested_but_not_learned_from(document: Document) -> None:
    (task,) = document["tasks"]
    left_out = task["protocol"]["left_out"]
    hasty = {f"{speaker}_hasty.wav" for speaker in HASTY}
    assert len(left_out) == 1
    assert set(left_out) == hasty - set(task["splits"]["test"])
    assert not hasty & set(task["splits"]["pool"])
    assert all(cause.endswith("12 needed to spell its phones") for cause in left_out.values())


def test_each_encoder_hears_each_utterance_once_and_nothing_stays_on_disk(document: Document, setting: Setting) -> None:
    assert setting.cache is not None
    assert document["rows"]
    assert not [each for each in (setting.cache / "blocks").iterdir() if each.is_dir()]


def test_what_one_encoder_cannot_hear_is_used_by_none_and_named(document: Document) -> None:
    (skipped,) = document["skipped"]
    assert (skipped["key"], skipped["cause"]) == (SHORT, "too_short")
    assert skipped["detail"].startswith("log_mel: ")
    splits = document["tasks"][0]["splits"]
    assert SHORT not in {*splits["test"], *splits["pool"]}


def test_a_champion_has_heads_of_its_own_and_equals_itself(setting: Setting, sequences: Path) -> None:
    alone = replace(setting, control=False, layers="bands")
    same = workflow.pilot(alone, [request(sequences, log_mel=False, against=setting.model)])
    row = numbers(same)[1]
    assert same["tasks"][0]["protocol"]["compared_with"] == setting.model
    assert row["delta"] == 0
    assert row["delta_low"] < 0 < row["delta_high"]


def test_ctrl_c_while_heads_learn_leaves_the_frames_and_resume_hears_nothing_again(
    setting: Setting, sequences: Path, document: Document, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone, asked = replace(setting, control=False, layers="bands"), request(sequences, log_mel=False)

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(sequence_piloting, "fit_ctc", stop)
        with pytest.raises(KeyboardInterrupt):
            workflow.pilot(alone, [asked])
    monkeypatch.setattr(extraction, "decode", stop)
    resumed = workflow.pilot(replace(alone, resume=True), [asked])
    assert numbers(resumed)[1]["score"] == numbers(document)[1]["score"]


def test_neither_the_order_of_rows_nor_other_layers_change_a_score_and_a_phone_nobody_learned_is_an_error(
    setting: Setting, sequences: Path, document: Document
) -> None:
    tested = sorted(document["tasks"][0]["splits"]["test"])
    strange = [
        {**row, "phone_sequence": [*row["phone_sequence"], "ʒ"]} if row["path"] == tested[0] else row
        for row in rows_of(sequences)
    ]
    changed = manifest(sequences.with_name("changed.jsonl"), strange[::-1])
    alone = replace(setting, control=False, layers="bands")
    other = workflow.pilot(alone, [request(changed, log_mel=False)])
    assert other["tasks"][0]["splits"]["test"] == document["tasks"][0]["splits"]["test"]
    assert other["tasks"][0]["protocol"]["unused_classes"] == {"ʒ": "in no training sequence; 1 tested, each an error"}
    before, after = numbers(document)[1], numbers(other)[1]
    assert after["n"] == before["n"] + 1
    assert after["score"] * after["n"] == pytest.approx(before["score"] * before["n"] + 1)
    assert after["random"] is after["logmel"] is after["delta"] is None
    assert list(numbers(other)) == [1]  # of one layer there is nothing to choose


def test_where_phones_have_times_too_times_win(setting: Setting, sequences: Path) -> None:
    rows = rows_of(sequences)
    rows[0]["phones"] = [["a", 0.0, 0.05], ["e", 0.05, 0.1]]
    both = manifest(sequences.with_name("both.jsonl"), rows)
    (task,) = workflow.pilot(replace(setting, control=False), [request(both, log_mel=False)])["tasks"]
    assert task["metrics"] == ["balanced_frame_accuracy", "per"]
    assert task["domains"]["in_domain"]["unlabelled"] == len(rows) - 1


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (lambda row: {**row, "speaker": "ann"}, "every sequence is of one group, 'ann'"),
        (lambda row: {**row, "phone_sequence": ["sil", "sp"]}, "no sequence has a phone in it"),
    ],
)
def test_labels_that_give_no_number_are_refused_before_anything_is_heard(
    setting: Setting, sequences: Path, change: Callable[[Row], Row], cause: str
) -> None:
    path = manifest(sequences.with_name("refused.jsonl"), [change(row) for row in rows_of(sequences)])
    refused = workflow.pilot(setting, [request(path)])
    assert refused["rows"]
    assert all(each.startswith(cause) for each in causes(refused))
    assert set(causes(refused).values()) == {2}
    assert refused["tasks"][0]["metrics"] == ["per"]
    assert refused["tasks"][0]["layer_choice"] is None


def test_shots_without_all_are_refused(setting: Setting, sequences: Path) -> None:
    refused = workflow.pilot(setting, [request(sequences, shots=(1, 5))])
    assert {row["shots"] for row in refused["rows"]} == {1, 5}
    assert all("--shots all" in cause for cause in causes(refused))


def test_sequences_of_which_none_can_be_learned_from_give_no_number(setting: Setting, sequences: Path) -> None:
    rows = [{**row, "phone_sequence": ["a", "o"] * 100} for row in rows_of(sequences)]
    path = manifest(sequences.with_name("hasty.jsonl"), rows)
    refused = workflow.pilot(replace(setting, control=False), [request(path, log_mel=False)])
    assert all(cause.startswith("no sequence can be learned from") for cause in causes(refused))
    assert set(causes(refused).values()) == {2}


def test_a_copy_of_a_recording_under_another_speaker_is_a_leak(
    setting: Setting, sequences: Path, document: Document
) -> None:
    splits, rows = document["tasks"][0]["splits"], rows_of(sequences)
    by_path = {row["path"]: row for row in rows}
    tested = next(key for key in splits["test"] if "hasty" not in key)
    learned = next(key for key in splits["pool"] if "hasty" not in key)
    shutil.copy(sequences.with_name(learned), sequences.with_name("copy.wav"))
    copy = {**by_path[learned], "path": "copy.wav", "speaker": by_path[tested]["speaker"]}
    path = manifest(sequences.with_name("leak.jsonl"), [*rows, copy])
    with pytest.raises(LeakError) as raised:
        workflow.pilot(replace(setting, control=False), [request(path, log_mel=False)])
    assert raised.value.keys == ("copy.wav",)


def test_a_speaker_of_both_domains_is_a_leak_that_shows_before_listening(
    setting: Setting, sequences: Path, outside: Path, document: Document
) -> None:
    learned = document["tasks"][0]["splits"]["pool"][0].split("_")[0]
    rows = [{**row, "speaker": learned} for row in rows_of(outside)]
    path = manifest(outside.with_name("leak.jsonl"), rows)
    with pytest.raises(LeakError, match="group"):
        workflow.pilot(setting, [request(sequences, labels_ood=str(path))])


def test_no_disk_space_is_said_before_anything_is_heard(
    setting: Setting, sequences: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Disk(0, 0, 10))
    with pytest.raises(MeasurementError, match="no disk space for the frames"):
        workflow.pilot(setting, [request(sequences)])
    assert setting.cache is not None
    assert not [each for each in (setting.cache / "blocks").iterdir() if each.is_dir()]


def test_phones_of_neither_kind_name_what_is_there(setting: Setting, sequences: Path) -> None:
    rows = [{key: value for key, value in row.items() if key != "phone_sequence"} for row in rows_of(sequences)]
    path = manifest(sequences.with_name("none.jsonl"), rows)
    with pytest.raises(UsageError) as raised:
        workflow.pilot(setting, [request(path)])
    assert raised.value.got is not None
    assert raised.value.got.endswith("with the labels speaker")
