"""A phone pilot from audio to document, on speech whose phones are tones."""

from __future__ import annotations

import json
import math
import random
import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner
from praatio import textgrid

from mlflow_rank import workflow
from mlflow_rank.cli import main
from mlflow_rank.errors import UsageError
from mlflow_rank.probes.leaks import LeakError
from mlflow_rank.workflow import PilotRequest, Setting
from mlflow_rank.workflow.phone_design import CLOCK_SECONDS
from tests.modules.tones import RATE, SPEAKERS, TONES, listed, rows_of, tones
from tests.workflow.conftest import Heard

Document = dict[str, Any]
Row = Mapping[str, Any]
PLAIN, COARSE = "module:listeners:plain", "module:coarse:plain"
NOISES = len(CLOCK_SECONDS)  # heard once a round to learn when frames happen
PHONES = tuple(sorted(set(TONES) - {"sil"}))
OUTSIDERS = ("ian", "joy", "kim")


def request(labels: Path | str, **more: Any) -> PilotRequest:
    given = {"task": "phone", "labels": str(labels), "shots": (1, 5, "all"), "draws": 2, "log_mel": False}
    return PilotRequest(**(given | more))


def pilot(setting: Setting, asked: PilotRequest) -> Document:
    return workflow.pilot(setting, [asked])


def cells(document: Document, domain: str = "in_domain") -> dict[tuple[object, ...], Row]:
    return {
        tuple(row[name] for name in ("layer", "head", "shots", "metric")): row
        for row in document["rows"]
        if row["domain"] == domain
    }


def row_of(document: Document, *cell: object, domain: str = "in_domain") -> Row:
    return cells(document, domain)[cell]


def changed(manifest: Path, change: Callable[[dict[str, Any]], dict[str, Any]], name: str) -> Path:
    return listed(manifest.with_name(name), [change(row) for row in rows_of(manifest)])


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight speakers, three utterances of eight phones each."""
    return tones(tmp_path_factory.mktemp("tones") / "in")


@pytest.fixture(scope="module")
def log_mel(make_setting: Callable[..., Setting]) -> Setting:
    return make_setting(model="log-mel")


@pytest.fixture(scope="module")
def document(log_mel: Setting, spoken: Path, tmp_path_factory: pytest.TempPathFactory) -> Document:
    outside = tones(tmp_path_factory.mktemp("tones") / "out", speakers=OUTSIDERS, noise=3.0)
    return pilot(log_mel, request(spoken, labels_ood=str(outside)))


def with_test_turned(manifest: Path, found: Document) -> Path:
    """Give every phone of the speakers tested another one's name."""
    tested = {key.rpartition("@")[0] for key in found["tasks"][0]["splits"]["test"]}
    turn = {symbol: PHONES[(place + 1) % len(PHONES)] for place, symbol in enumerate(PHONES)}

    def turned(row: dict[str, Any]) -> dict[str, Any]:
        if row["path"] not in tested:
            return row
        return row | {"phones": [[turn.get(symbol, symbol), *times] for symbol, *times in row["phones"]]}

    return changed(manifest, turned, "turned.jsonl")


# what it finds


@pytest.mark.parametrize("head", ["ridge", "centroid"])
def test_tones_are_told_apart_by_features_that_hold_them(document: Document, head: str) -> None:
    accuracy = row_of(document, 0, head, "all", "balanced_frame_accuracy")
    assert accuracy["status"] == "ok"
    assert accuracy["score"] > (0.95 if head == "ridge" else 0.9)
    assert (accuracy["chance"], accuracy["groups"]) == (0.25, 4)
    errors = row_of(document, 0, head, "all", "per")
    assert errors["score"] < 0.15  # the same tone twice in a row is one to any head
    assert errors["n"] == 4 * 3 * 8


def test_five_of_each_teach_more_than_one(document: Document) -> None:
    one, five = (row_of(document, 0, "ridge", shots, "balanced_frame_accuracy") for shots in (1, 5))
    assert one["score"] <= five["score"] + 0.02
    assert five["score"] > 0.85
    assert (one["labels"], five["labels"]) == (5, 25)  # silence is learned too


def test_another_domain_is_tested_by_the_same_heads(document: Document) -> None:
    beyond = row_of(document, 0, "ridge", "all", "balanced_frame_accuracy", domain="out_of_domain")
    drop = row_of(document, 0, "ridge", "all", "balanced_frame_accuracy", domain="drop")
    inside = row_of(document, 0, "ridge", "all", "balanced_frame_accuracy")
    assert beyond["groups"] == len(OUTSIDERS)
    assert drop["score"] == pytest.approx(inside["score"] - beyond["score"])


def test_the_document_is_json_and_names_the_phones_without_silence(document: Document) -> None:
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    (task,) = document["tasks"]
    assert task["classes"] == list(PHONES)
    assert {len(each["matrix"]) for each in task["confusions"]} == {4}
    assert task["domains"]["in_domain"]["groups"] == len(SPEAKERS)
    assert all(row["status"] == "ok" or row["cause"] for row in document["rows"])


def test_nobody_who_is_tested_was_learned_from(document: Document) -> None:
    splits = document["tasks"][0]["splits"]
    sides = [{key.split("_")[0] for key in splits[side]} for side in ("test", "pool")]
    assert not sides[0] & sides[1]
    assert sides[0] | sides[1] == set(SPEAKERS)
    assert all(set(draw["items"]) <= set(splits["pool"]) for draw in splits["draws"])


def test_labels_that_mean_nothing_are_at_chance(log_mel: Setting, spoken: Path) -> None:
    rng = random.Random(3)

    def shuffled(row: dict[str, Any]) -> dict[str, Any]:
        phones = [[s if s == "sil" else rng.choice(PHONES), start, end] for s, start, end in row["phones"]]
        return row | {"phones": phones}

    found = pilot(log_mel, request(changed(spoken, shuffled, "shuffled.jsonl"), shots=(5, "all")))
    for head in ("ridge", "centroid"):
        for shots in (5, "all"):
            row = row_of(found, 0, head, shots, "balanced_frame_accuracy")
            assert row["low"] <= row["chance"] <= row["high"], row


def test_silence_that_the_labels_leave_out_is_silence_all_the_same(
    log_mel: Setting, spoken: Path, document: Document
) -> None:
    """Forced aligners that write silence and readers of TextGrids that drop it give the same numbers."""
    bare = changed(
        spoken, lambda row: row | {"phones": [each for each in row["phones"] if each[0] != "sil"]}, "bare.jsonl"
    )
    found = cells(pilot(log_mel, request(bare)))
    for cell, row in cells(document).items():
        assert found[cell]["score"] == pytest.approx(row["score"]), cell


# whom it is compared with


def test_encoders_of_other_frame_rates_are_compared_on_frames_without_pairing_and_on_phones_with(
    make_setting: Callable[..., Setting], spoken: Path
) -> None:
    asked = request(spoken, shots=("all",), heads=("ridge",))
    found = pilot(make_setting(), replace(asked, against=COARSE))
    champion = pilot(make_setting(model=COARSE, layers="blocks.*"), asked)
    own, theirs = (row_of(each, 1, "ridge", "all", "balanced_frame_accuracy") for each in (found, champion))
    assert own["n"] == pytest.approx(2 * theirs["n"], rel=0.01)
    assert own["delta"] == pytest.approx(own["score"] - theirs["score"])
    assert own["delta_low"] < own["delta"] < own["delta_high"]
    wide = own["delta_high"] - own["delta_low"]
    assert wide > 2 * 1.95 * math.hypot(own["se"], theirs["se"])  # the errors of both add up: nothing is paired
    errors, best = (row_of(each, 1, "ridge", "all", "per") for each in (found, champion))
    assert errors["n"] == best["n"] == 4 * 3 * 8
    assert errors["delta"] == pytest.approx(errors["score"] - best["score"])


def test_controls_stand_in_the_row(make_setting: Callable[..., Setting], spoken: Path) -> None:
    found = pilot(make_setting(control=True), request(spoken, shots=("all",), heads=("ridge",), log_mel=True))
    for metric, better in (("balanced_frame_accuracy", 1), ("per", -1)):
        row = row_of(found, 1, "ridge", "all", metric)
        assert row["delta"] == pytest.approx(row["score"] - row["random"])
        assert better * (row["logmel"] - row["score"]) > 0


def test_the_layer_is_chosen_without_the_test_frames(make_setting: Callable[..., Setting], spoken: Path) -> None:
    """With other labels on the test side everything about the training side stays, the choice included."""
    setting, asked = make_setting(), request(spoken, heads=("ridge",))
    one = pilot(setting, asked)
    other = pilot(setting, replace(asked, labels=str(with_test_turned(spoken, one))))
    mine, theirs = (each["tasks"][0] for each in (one, other))
    assert mine["splits"] == theirs["splits"]
    assert mine["layer_choice"] == theirs["layer_choice"]
    best = ("pilot_best", "ridge", "all", "balanced_frame_accuracy")
    assert row_of(one, *best)["score"] > row_of(other, *best)["score"] + 0.2
    chosen = mine["layer_choice"]["pilot_best"]
    assert row_of(one, *best)["score"] == row_of(one, chosen, *best[1:])["score"]


# how it hears


def test_each_utterance_is_heard_exactly_once(make_setting: Callable[..., Setting], spoken: Path, heard: Heard) -> None:
    pilot(make_setting(), request(spoken))
    lengths = Counter(soundfile.info(spoken.with_name(row["path"])).frames for row in rows_of(spoken))
    assert max(lengths.values()) == 1
    noises = Counter(int(seconds * RATE) for seconds in CLOCK_SECONDS for _ in range(2))
    assert Counter(map(int, heard.log.read_text().split())) == lengths + noises


@pytest.mark.parametrize("stop", [NOISES + 5, NOISES + 12 + NOISES + 4], ids=["first round", "second round"])
def test_ctrl_c_keeps_what_was_heard_and_resume_ends_as_if_it_had_not_come(
    make_setting: Callable[..., Setting],
    spoken: Path,
    heard: Heard,
    monkeypatch: pytest.MonkeyPatch,
    stop: int,
) -> None:
    setting = make_setting()
    whole = pilot(make_setting(), request(spoken))
    before = heard.times
    monkeypatch.setenv("LISTENER_INTERRUPT", str(before + stop))
    with pytest.raises(KeyboardInterrupt):
        pilot(setting, request(spoken))
    assert heard.times == before + stop
    again = pilot(replace(setting, resume=True), request(spoken))
    # The one at which it came may be heard again; the noises are, in every round that is begun again.
    assert heard.times - before <= len(rows_of(spoken)) + 1 + 4 * NOISES
    assert again["tasks"] == whole["tasks"]
    for mine, theirs in zip(again["rows"], whole["rows"], strict=True):
        assert mine == {
            name: pytest.approx(value) if isinstance(value, float) else value for name, value in theirs.items()
        }
    assert setting.cache is not None
    assert not list(setting.cache.rglob("*.npz"))


@pytest.mark.parametrize("what", ["heads", "labels of the test side"])
def test_resuming_with_another_request_reads_no_stale_answers(
    make_setting: Callable[..., Setting],
    spoken: Path,
    document: Document,
    heard: Heard,
    monkeypatch: pytest.MonkeyPatch,
    what: str,
) -> None:
    setting = make_setting()
    monkeypatch.setenv("LISTENER_INTERRUPT", str(NOISES + 12 + NOISES + 12))  # at the last one
    with pytest.raises(KeyboardInterrupt):
        pilot(setting, request(spoken))
    other = request(spoken, heads=("centroid",)) if what == "heads" else request(with_test_turned(spoken, document))
    resumed, fresh = pilot(replace(setting, resume=True), other), pilot(make_setting(), other)
    assert resumed["rows"] == fresh["rows"]


# what gives no number


def test_one_speaker_to_learn_from_gives_numbers_for_few_shots_and_a_cause_for_all(
    log_mel: Setting, spoken: Path
) -> None:
    rows = [row for row in rows_of(spoken) if row["speaker"] in SPEAKERS[:3]]
    found = pilot(log_mel, request(listed(spoken.with_name("three.jsonl"), rows), test_share=0.7))
    few = row_of(found, 0, "ridge", 5, "balanced_frame_accuracy")
    assert few["score"] > 0.5
    for head in ("ridge", "centroid"):
        row = row_of(found, 0, head, "all", "balanced_frame_accuracy")
        assert (row["status"], row["score"]) == ("unknown", None)
        assert "is left to learn from: a penalty is chosen on left-out speakers" in row["cause"]


def test_where_no_number_of_shots_can_be_drawn_the_pilot_is_unknown_with_every_cause(
    log_mel: Setting, spoken: Path
) -> None:
    rows = [row for row in rows_of(spoken) if row["speaker"] in SPEAKERS[:2]]
    found = pilot(log_mel, request(listed(spoken.with_name("two.jsonl"), rows), shots=("all",)))
    assert {row["status"] for row in found["rows"]} == {"unknown"}
    assert {"is left to learn from" in row["cause"] for row in found["rows"]} == {True}


def test_more_shots_than_any_phone_has_is_unknown_and_says_so(log_mel: Setting, spoken: Path) -> None:
    found = pilot(log_mel, request(spoken, shots=(50,)))
    assert {row["status"] for row in found["rows"]} == {"unknown"}
    assert {"50 asked" in row["cause"] for row in found["rows"]} == {True}


def test_labels_that_are_all_silence_are_unknown(log_mel: Setting, spoken: Path) -> None:
    silent = changed(spoken, lambda row: row | {"phones": [["sil", 0.0, 0.5]]}, "silent.jsonl")
    found = pilot(log_mel, request(silent))
    assert {row["status"] for row in found["rows"]} == {"unknown"}
    assert {"every labelled stretch of time is silence" in row["cause"] for row in found["rows"]} == {True}


@pytest.mark.parametrize("symbols", [{"a": "α", "o": "ο", "e": "ε", "s": "σ"}, dict.fromkeys(PHONES, "sil")])
def test_another_domain_without_a_known_phone_is_unknown_and_the_first_keeps_its_numbers(
    log_mel: Setting, spoken: Path, tmp_path: Path, symbols: Mapping[str, str]
) -> None:
    def renamed(row: dict[str, Any]) -> dict[str, Any]:
        return row | {"phones": [[symbols.get(symbol, symbol), start, end] for symbol, start, end in row["phones"]]}

    outside = changed(tones(tmp_path / "out", speakers=OUTSIDERS, each=1), renamed, "unknown.jsonl")
    found = pilot(log_mel, request(spoken, labels_ood=str(outside), shots=("all",)))
    assert {row["status"] for row in cells(found).values()} == {"ok"}
    for domain in ("out_of_domain", "drop"):
        for row in cells(found, domain).values():
            assert (row["status"], row["score"]) == ("unknown", None)
            assert "out-of-domain" in row["cause"] or "out of domain" in row["cause"]


def test_some_unknown_phones_out_of_domain_cost_phone_errors_and_no_frame_accuracy(
    log_mel: Setting, spoken: Path, tmp_path: Path
) -> None:
    def renamed(row: dict[str, Any]) -> dict[str, Any]:
        return row | {"phones": [["?" if symbol == "a" else symbol, *times] for symbol, *times in row["phones"]]}

    outside = changed(tones(tmp_path / "out", speakers=OUTSIDERS, each=2), renamed, "partly.jsonl")
    found = pilot(log_mel, request(spoken, labels_ood=str(outside), shots=("all",)))
    beyond = cells(found, "out_of_domain")
    assert beyond[0, "ridge", "all", "balanced_frame_accuracy"]["score"] > 0.9
    assert beyond[0, "ridge", "all", "per"]["score"] >= 0.25  # every fourth phone is one that nobody learned


@pytest.mark.parametrize(
    ("side", "cause"),
    [
        ("pool", "too few of the speakers to learn from could be heard"),
        ("test", "none of the utterances to test could be heard"),
    ],
)
def test_audio_that_cannot_be_heard_on_one_side_leaves_the_pilot_unknown(
    log_mel: Setting, document: Document, tmp_path: Path, side: str, cause: str
) -> None:
    spoken = tones(tmp_path / "silent")
    for key in {key.rpartition("@")[0] for key in document["tasks"][0]["splits"][side]}:
        path = spoken.with_name(key)
        soundfile.write(path, np.zeros(soundfile.info(path).frames), RATE)
    found = pilot(replace(log_mel, max_skipped=1.0), request(spoken))
    assert {row["status"] for row in found["rows"]} == {"unknown"}
    assert {cause in row["cause"] for row in found["rows"]} == {True}
    assert {each["cause"] for each in found["skipped"]} == {"silent"}


def test_a_head_that_frames_cannot_stream_through_is_refused_before_anything_is_heard(
    make_setting: Callable[..., Setting], spoken: Path, heard: Heard
) -> None:
    with pytest.raises(UsageError) as raised:
        pilot(make_setting(), request(spoken, heads=("ridge", "logistic")))
    assert (raised.value.got, raised.value.expected) == ("logistic", "ridge or centroid")
    assert heard.times == 0


def test_a_speaker_of_both_domains_who_is_learned_from_is_a_leak(
    log_mel: Setting, spoken: Path, tmp_path: Path
) -> None:
    outside = tones(tmp_path / "out", speakers=SPEAKERS, each=1)
    with pytest.raises(LeakError) as raised:
        pilot(log_mel, request(spoken, labels_ood=str(outside)))
    assert raised.value.keys
    assert all(key.split("_")[0] in SPEAKERS for key in raised.value.keys)


def test_the_same_audio_under_two_speakers_is_a_leak_that_names_the_files(
    log_mel: Setting, spoken: Path, document: Document, tmp_path: Path
) -> None:
    splits = document["tasks"][0]["splits"]
    trained, tested = (splits[side][0].rpartition("@")[0] for side in ("pool", "test"))
    here = Path(shutil.copytree(spoken.parent, tmp_path / "copied")) / spoken.name
    shutil.copy(here.with_name(trained), here.with_name(tested))
    times = {row["path"]: row["phones"] for row in rows_of(here)}
    twice = changed(here, lambda row: row | {"phones": times[trained]} if row["path"] == tested else row, "twice.jsonl")
    with pytest.raises(LeakError) as raised:
        pilot(log_mel, request(twice))
    assert raised.value.keys == (tested,)
    assert trained in str(raised.value.got)


# from the command line


def test_a_folder_of_textgrids_is_piloted_from_the_command_line(
    spoken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "grids"
    for row in rows_of(spoken):
        speaker = folder / row["speaker"]
        speaker.mkdir(parents=True, exist_ok=True)
        audio = Path(shutil.copy(spoken.with_name(row["path"]), speaker))
        seconds = soundfile.info(audio).duration
        grid = textgrid.Textgrid()
        phones = [(start, end, symbol) for symbol, start, end in row["phones"] if symbol != "sil"]
        grid.addTier(textgrid.IntervalTier("phones", phones, 0, seconds))
        grid.save(str(audio.with_suffix(".TextGrid")), format="long_textgrid", includeBlankSpaces=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_RANK_CACHE", str(tmp_path / "cache"))
    arguments = ["--model", "log-mel", "--task", "phone", "--labels", str(folder), "--shots", "5,all", "--draws", "2"]
    done = CliRunner().invoke(main, ["pilot", *arguments, "--control", "false", "--json", "found.json", "--no-mlflow"])
    assert done.exit_code == 0, done.output
    found = json.loads(Path("found.json").read_text())
    assert row_of(found, 0, "ridge", "all", "balanced_frame_accuracy")["score"] > 0.95
    assert row_of(found, 0, "ridge", "all", "per")["score"] < 0.15
    assert "balanced frame accuracy" in done.output.lower().replace("_", " ")
