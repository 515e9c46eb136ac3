"""A pilot from manifest to document, with a real encoder that takes milliseconds."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from mlflow_rank import workflow
from mlflow_rank.errors import MeasurementError, UsageError
from mlflow_rank.probes.leaks import LeakError
from mlflow_rank.workflow import PilotRequest, Setting

Document = dict[str, Any]
Row = Mapping[str, Any]
PLAIN = "module:listeners:plain"
NUMBERS = {
    "score", "low", "high", "se", "n", "groups", "worst_group", "worst_group_name", "chance", "logmel", "random",
    "delta", "delta_low", "delta_high", "delta_paired",
    "delta_random", "delta_random_low", "delta_random_high", "delta_random_paired",
    "delta_logmel", "delta_logmel_low", "delta_logmel_high", "delta_logmel_paired", "resolvable", "labels",
}  # fmt: skip
ROW = {"task", "domain", "layer", "head", "shots", "metric", "status", "cause"} | NUMBERS
OUTSIDERS = ("gil", "hal", "ida")


def pilot(setting: Setting, asked: PilotRequest) -> Document:
    return workflow.pilot(setting, [asked])


def request(labels: Path | str, **more: Any) -> PilotRequest:
    return PilotRequest(**{"task": "keyword", "labels": str(labels), "shots": (1, "all"), "draws": 2, **more})


def cells(document: Document, domain: str = "in_domain") -> dict[tuple[object, ...], Row]:
    return {
        tuple(row[name] for name in ("layer", "head", "shots", "metric")): row
        for row in document["rows"]
        if row["domain"] == domain
    }


def rewritten(manifest: Path, change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]], name: str) -> Path:
    """Write a changed copy of a manifest beside it."""
    rows = change([json.loads(line) for line in manifest.read_text().splitlines()])
    target = manifest.with_name(name)
    target.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return target


@pytest.fixture(scope="module")
def words_here(words: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the words, to write further manifests beside."""
    return Path(shutil.copytree(words.parent, tmp_path_factory.mktemp("here") / "words")) / words.name


@pytest.fixture(scope="module")
def outside(make_words: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_words(tmp_path_factory.mktemp("outside") / "noisy", speakers=OUTSIDERS, noise=0.5)


@pytest.fixture(scope="module")
def document(make_setting: Callable[..., Setting], words: Path, outside: Path) -> Document:
    return pilot(make_setting(control=True), request(words, labels_ood=str(outside)))


# what it gives


def test_the_document_has_its_parts_and_is_json_without_nan(document: Document) -> None:
    assert list(document) == ["kind", "model", "against", "tasks", "skipped", "rows"]
    assert (document["kind"], document["against"], document["skipped"]) == ("PilotResult", None, [])
    assert document["model"]["spec"] == PLAIN
    assert document["model"]["digest"].startswith("sha256:")
    assert json.loads(json.dumps(document, allow_nan=False)) == document


def test_a_task_says_how_it_was_piloted(document: Document) -> None:
    (task,) = document["tasks"]
    assert (task["task"], task["metrics"]) == ("keyword", ["balanced_accuracy", "macro_f1"])
    assert task["classes"] == ["go", "stop", "up"]
    assert list(task["heads"]) == ["ridge", "centroid"]
    assert all("centred" in words for words in task["heads"].values())
    inside, beyond = task["domains"]["in_domain"], task["domains"]["out_of_domain"]
    assert (inside["items"], inside["groups"], inside["group_unit"], inside["unlabelled"]) == (72, 6, "speaker", 0)
    assert inside["minutes"] == pytest.approx(72 * 0.1 / 60)
    assert (beyond["items"], beyond["groups"]) == (36, 3)
    assert inside["corpus_digest"].startswith("sha256:")
    assert inside["corpus_digest"] != beyond["corpus_digest"]
    protocol = task["protocol"]
    assert (protocol["disjoint_by"], protocol["compared_with"]) == ("speaker", "random weights")
    assert (protocol["shots"], protocol["draws"], protocol["seed"]) == ([1, "all"], 2, 0)
    assert (protocol["train_items"], protocol["test_items"]) == (36, 36)


def test_splits_name_the_files_of_every_draw_and_no_speaker_is_on_both_sides(document: Document) -> None:
    splits = document["tasks"][0]["splits"]
    sides = [{key.split("_")[0] for key in splits[side]} for side in ("test", "pool")]
    assert not sides[0] & sides[1]
    assert sides[0] | sides[1] == {"ann", "bob", "cid", "dot", "eve", "fay"}
    assert len(splits["outside_test"]) == 36
    assert [(draw["shots"], draw["draw"], len(draw["items"])) for draw in splits["draws"]] == [
        (1, 0, 3), (1, 1, 3), ("all", 0, 36),
    ]  # fmt: skip
    assert all(set(draw["items"]) <= set(splits["pool"]) for draw in splits["draws"])


def test_every_row_is_there_once_with_all_its_columns(document: Document) -> None:
    assert {frozenset(row) for row in document["rows"]} == {frozenset(ROW)}
    found = [tuple(row[name] for name in ("domain", "layer", "head", "shots", "metric")) for row in document["rows"]]
    assert len(found) == len(set(found))
    assert set(found) == {
        (domain, layer, head, shots, metric)
        for domain in ("in_domain", "out_of_domain", "drop")
        for head in ("ridge", "centroid")
        for layer in (1, 2, "pilot_best", *(("weighted_sum",) if head == "ridge" else ()))
        for shots in (1, "all")
        for metric in ("balanced_accuracy", "macro_f1")
    }
    assert {row["status"] for row in document["rows"]} == {"ok"}


def test_words_of_different_pitch_are_told_apart_with_their_interval_above_chance(document: Document) -> None:
    row = cells(document)[2, "ridge", "all", "balanced_accuracy"]
    assert row["score"] > 0.9
    assert row["low"] > row["chance"] == 1 / 3
    assert (row["n"], row["groups"], row["labels"]) == (36, 3, 36.0)


def test_confusions_add_up_to_the_items_tested(document: Document) -> None:
    confusions = document["tasks"][0]["confusions"]
    assert {(each["layer"], each["domain"]) for each in confusions} == {
        (layer, domain) for layer in (1, 2, "weighted_sum", "pilot_best") for domain in ("in_domain", "out_of_domain")
    }
    for each in confusions:
        assert (each["head"], each["shots"]) == ("ridge", "all")
        assert np.sum(each["matrix"], axis=1).tolist() == [12, 12, 12]
    (own,) = (each for each in confusions if (each["layer"], each["domain"]) == (2, "in_domain"))
    recall = np.diagonal(own["matrix"]).sum() / 36
    assert recall == pytest.approx(cells(document)[2, "ridge", "all", "balanced_accuracy"]["score"])


def test_the_choice_of_a_layer_and_the_labels_saved_are_read_from_the_rows(document: Document) -> None:
    task = document["tasks"][0]
    choice = task["layer_choice"]
    assert choice == {
        "pilot_best": choice["pilot_best"], "rank_best": None, "head": "ridge", "shots": "all",
        "draws": {str(choice["pilot_best"]): 1},
    }  # fmt: skip
    best = cells(document)["pilot_best", "ridge", "all", "balanced_accuracy"]
    assert best["score"] == cells(document)[choice["pilot_best"], "ridge", "all", "balanced_accuracy"]["score"]
    for each in task["labels_saved"]:
        row = cells(document)[each["layer"], each["head"], each["shots"], "balanced_accuracy"]
        assert row["score"] >= each["target"]
        assert row["labels"] == each["labels"]


# with whom it is compared


def test_random_is_what_the_same_pilot_of_random_weights_scores(
    document: Document, make_setting: Callable[..., Setting], words: Path, outside: Path
) -> None:
    asked = request(words, labels_ood=str(outside), log_mel=False)
    control = pilot(make_setting(model=f"random:{PLAIN}"), asked)
    assert control["tasks"][0]["splits"] == document["tasks"][0]["splits"]
    assert control["model"]["digest"] != document["model"]["digest"]
    for domain in ("in_domain", "out_of_domain"):
        own = cells(control, domain)
        for cell, row in cells(document, domain).items():
            assert row["random"] == own[cell]["score"]
            assert row["delta"] == pytest.approx(row["score"] - own[cell]["score"], abs=1e-12)
            assert own[cell]["random"] is own[cell]["delta"] is None


def test_logmel_is_what_the_same_pilot_of_log_mel_features_scores(
    document: Document, make_setting: Callable[..., Setting], words: Path, outside: Path
) -> None:
    log_mel = pilot(make_setting(model="log-mel"), request(words, labels_ood=str(outside), log_mel=False))
    for domain in ("in_domain", "out_of_domain"):
        own = cells(log_mel, domain)
        for (layer, *rest), row in cells(document, domain).items():
            assert row["logmel"] == own[(0, *rest)]["score"], (layer, rest)


def test_against_another_encoder_the_difference_is_taken_against_that(
    document: Document, make_setting: Callable[..., Setting], words: Path, outside: Path
) -> None:
    asked = request(words, labels_ood=str(outside), against=f"random:{PLAIN}", log_mel=False)
    against = pilot(make_setting(), asked)
    assert against["against"]["spec"] == f"random:{PLAIN}"
    assert against["tasks"][0]["protocol"]["compared_with"] == f"random:{PLAIN}"
    for cell, row in cells(against).items():
        other = cells(document)[cell]
        assert [row[name] for name in ("score", "delta", "delta_low", "delta_high")] == [
            other[name] for name in ("score", "delta", "delta_low", "delta_high")
        ]
        assert row["random"] is row["logmel"] is None


def test_an_encoder_differs_from_itself_by_nothing(make_setting: Callable[..., Setting], words: Path) -> None:
    itself = pilot(make_setting(), request(words, against=PLAIN, log_mel=False, heads=("ridge",)))
    for row in itself["rows"]:
        assert row["delta"] == 0.0
        assert row["delta_low"] < 0.0 < row["delta_high"]


# what changes nothing


def test_the_same_call_gives_the_same_document(
    document: Document, make_setting: Callable[..., Setting], words: Path, outside: Path
) -> None:
    again = pilot(make_setting(control=True), request(words, labels_ood=str(outside)))
    assert json.dumps(again) == json.dumps(document)


def test_the_order_of_the_manifest_changes_nothing(make_setting: Callable[..., Setting], words_here: Path) -> None:
    def shuffled(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return random.Random(3).sample(rows, len(rows))

    turned = rewritten(words_here, shuffled, "turned.jsonl")
    one, other = (pilot(make_setting(), request(labels, log_mel=False)) for labels in (words_here, turned))
    for document in (one, other):
        document["tasks"][0]["domains"]["in_domain"].pop("source")
    assert json.dumps(one) == json.dumps(other)


@pytest.mark.parametrize("shots", [(1, "all"), ("all", 1), ("all", 1, 1)])
def test_the_order_in_which_shots_are_asked_changes_nothing(
    make_setting: Callable[..., Setting], words: Path, shots: tuple[Any, ...]
) -> None:
    document = pilot(make_setting(), request(words, shots=shots, log_mel=False, heads=("ridge",)))
    (task,) = document["tasks"]
    assert task["layer_choice"]["shots"] == "all"
    assert {each["shots"] for each in task["confusions"]} == {"all"}
    assert {row["shots"] for row in document["rows"]} == {1, "all"}


# other tasks


def test_speakers_are_told_apart_in_sessions_that_were_not_trained_on(
    make_setting: Callable[..., Setting], words: Path
) -> None:
    document = pilot(make_setting(), request(words, task="speaker", log_mel=False))
    (task,) = document["tasks"]
    assert task["classes"] == ["ann", "bob", "cid", "dot", "eve", "fay"]
    assert task["protocol"]["disjoint_by"] == "session"
    assert {row["metric"] for row in document["rows"]} == {"balanced_accuracy", "eer_cosine", "eer_probe"}
    session = {json.loads(line)["path"]: json.loads(line)["session"] for line in words.read_text().splitlines()}
    sides = [{(key[:3], session[key]) for key in task["splits"][side]} for side in ("test", "pool")]
    assert not sides[0] & sides[1]


def test_any_column_is_a_task_and_what_lacks_it_is_counted(
    make_setting: Callable[..., Setting], words_here: Path
) -> None:
    def loud(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        kinds = {"go": "low", "stop": "low", "up": "high"}
        return [row | ({"pitch": kinds[row["keyword"]]} if number % 5 else {}) for number, row in enumerate(rows)]

    asked = request(rewritten(words_here, loud, "loud.jsonl"), task="label:pitch", pooling="segments", log_mel=False)
    document = pilot(make_setting(), asked)
    (task,) = document["tasks"]
    assert task["classes"] == ["high", "low"]
    assert task["pooling"] == "segments"
    assert task["domains"]["in_domain"]["unlabelled"] == 15
    assert task["domains"]["in_domain"]["items"] == 57


# what gives no number


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (lambda row: row | {"speaker": "ann"}, "every item is of one group, 'ann'"),
        (lambda row: row | {"keyword": "go"}, "every item carries the label 'go'"),
        (lambda row: row | {"keyword": row["speaker"]}, "fewer than two classes can be trained and tested apart"),
    ],
)
def test_labels_that_prove_nothing_give_rows_with_a_cause_and_no_number(
    make_setting: Callable[..., Setting],
    words_here: Path,
    change: Callable[[dict[str, Any]], dict[str, Any]],
    cause: str,
) -> None:
    manifest = rewritten(words_here, lambda rows: [change(row) for row in rows], "changed.jsonl")
    document = pilot(make_setting(control=True), request(manifest))
    json.dumps(document, allow_nan=False)
    assert {frozenset(row) for row in document["rows"]} == {frozenset(ROW)}
    assert {(row["layer"], row["head"], row["shots"], row["metric"]) for row in document["rows"]} == {
        (layer, head, shots, metric)
        for layer in (1, 2)
        for head in ("ridge", "centroid")
        for shots in (1, "all")
        for metric in ("balanced_accuracy", "macro_f1")
    }
    for row in document["rows"]:
        assert row["status"] == "unknown"
        assert cause in row["cause"]
        assert {row[name] for name in NUMBERS} == {None}
    (task,) = document["tasks"]
    assert task["layer_choice"] is None
    assert task["splits"] == {"test": [], "pool": [], "draws": []}


def test_two_speakers_leave_one_to_test_on_which_is_no_interval(
    make_setting: Callable[..., Setting], words_here: Path
) -> None:
    two = rewritten(words_here, lambda rows: [row for row in rows if row["speaker"] in ("ann", "bob")], "two.jsonl")
    document = pilot(make_setting(), request(two, log_mel=False))
    assert {row["status"] for row in document["rows"]} == {"unknown"}
    assert all(row["cause"].startswith("one group only") for row in document["rows"])
    assert all({row[name] for name in NUMBERS} == {None} for row in document["rows"])


def test_more_shots_than_a_class_has_are_unknown_beside_those_that_are_there(
    make_setting: Callable[..., Setting], words: Path
) -> None:
    document = pilot(make_setting(), request(words, shots=(1, 13, "all"), log_mel=False))
    rows = {cell: row for cell, row in cells(document).items() if cell[3] == "balanced_accuracy"}
    assert {shots for (_, _, shots, _), row in rows.items() if row["status"] == "ok"} == {1, "all"}
    unknown = [row for row in rows.values() if row["status"] == "unknown"]
    assert {row["cause"] for row in unknown} == {"class 'go' has 12 training labels, 13 asked"}
    both = ("ridge", "centroid")
    assert {(row["layer"], row["head"]) for row in unknown} == {(layer, head) for layer in (1, 2) for head in both}


def test_the_same_recording_under_two_speakers_is_a_leak_that_names_both_files(
    make_setting: Callable[..., Setting], words_here: Path, document: Document
) -> None:
    splits = document["tasks"][0]["splits"]
    tested, trained = splits["test"][0], splits["pool"][0]
    copied = words_here.parent / "leak"
    shutil.copytree(words_here.parent, copied)
    shutil.copy(copied / tested, copied / trained)
    with pytest.raises(LeakError, match="the same audio is on the training and the test side") as raised:
        pilot(make_setting(), request(copied / words_here.name, log_mel=False))
    assert raised.value.keys == (tested,)
    assert raised.value.got == f"tested: {tested}; trained: {trained}"
    assert raised.value.exit_code == 2


def test_a_speaker_of_both_domains_is_a_leak(
    make_setting: Callable[..., Setting], make_words: Callable[..., Path], words: Path, tmp_path: Path
) -> None:
    everybody = ("ann", "bob", "cid", "dot", "eve", "fay")
    other_room = make_words(tmp_path / "room", speakers=everybody, each=1, noise=0.3)
    with pytest.raises(LeakError, match="the same group") as raised:
        pilot(make_setting(), request(words, labels_ood=str(other_room), log_mel=False))
    both = {key.split("_")[0] for key in raised.value.keys}
    assert len(both) == 3  # those who are trained on
    assert f"tested: {min(both)}_go_0.wav" in str(raised.value.got)


def test_files_of_one_name_in_two_corpora_are_no_leak(
    make_setting: Callable[..., Setting], words_here: Path, tmp_path: Path
) -> None:
    def nameless(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [
            {"path": row["path"], "keyword": "go" if number % 7 == 3 else row["keyword"]}  # some of them wrong
            for number, row in enumerate(rows)
        ]

    inside = rewritten(words_here, nameless, "nameless.jsonl")
    beyond = shutil.copytree(words_here.parent, tmp_path / "beyond")
    for path in beyond.glob("*.wav"):
        samples, rate = soundfile.read(path)
        soundfile.write(path, samples[::-1] * 0.9, rate)
    asked = request(inside, labels_ood=str(beyond / inside.name), log_mel=False, heads=("ridge",))
    document = pilot(make_setting(), asked)
    assert {row["status"] for row in document["rows"]} == {"ok"}
    assert document["tasks"][0]["domains"]["out_of_domain"]["group_unit"] == "utterance"


def test_speakers_known_in_domain_are_kept_apart_though_those_outside_are_not_known(
    make_setting: Callable[..., Setting], words: Path, make_words: Callable[..., Path], tmp_path: Path
) -> None:
    def nameless(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{"path": row["path"], "keyword": row["keyword"]} for row in rows]

    beyond = rewritten(make_words(tmp_path / "beyond", speakers=OUTSIDERS), nameless, "nameless.jsonl")
    document = pilot(make_setting(), request(words, labels_ood=str(beyond), log_mel=False, heads=("ridge",)))
    (task,) = document["tasks"]
    sides = [{key.split("_")[0] for key in task["splits"][side]} for side in ("test", "pool")]
    assert not sides[0] & sides[1]
    assert task["protocol"]["disjoint_by"] == "speaker"
    assert [each["group_unit"] for each in task["domains"].values()] == ["speaker", "utterance"]


# audio that cannot be used


def test_audio_that_cannot_be_used_is_left_out_by_all_encoders_and_listed(
    make_setting: Callable[..., Setting], words_here: Path, tmp_path: Path
) -> None:
    place = shutil.copytree(words_here.parent, tmp_path / "bad")
    soundfile.write(place / "ann_go_0.wav", np.zeros(1600), 16_000)
    short, rate = soundfile.read(place / "bob_up_1.wav", frames=300)
    soundfile.write(place / "bob_up_1.wav", short, rate)  # long enough for all but log-mel features
    (place / "cid_up_2.wav").unlink()
    document = pilot(make_setting(control=True), request(place / words_here.name))
    assert [(each["task"], each["key"], each["cause"]) for each in document["skipped"]] == [
        ("keyword", "ann_go_0.wav", "silent"),
        ("keyword", "bob_up_1.wav", "too_short"),
        ("keyword", "cid_up_2.wav", "missing"),
    ]
    assert document["skipped"][1]["detail"].startswith("log_mel: 0.019 s, too short for one frame")
    assert document["tasks"][0]["domains"]["in_domain"]["items"] == 69
    splits = document["tasks"][0]["splits"]
    assert not {"ann_go_0.wav", "bob_up_1.wav", "cid_up_2.wav"} & {*splits["test"], *splits["pool"]}
    with pytest.raises(MeasurementError, match="too much of the audio") as raised:
        pilot(make_setting(max_skipped=0.01), request(place / words_here.name))
    assert str(raised.value.got).startswith("3 of 72")


# what it refuses before anything is heard


@pytest.mark.parametrize(
    ("wrong", "what", "got"),
    [
        ({"task": "words"}, "no such task", "'words'"),
        ({"heads": ("ridge", "svm")}, "no such head", "svm"),
        ({"heads": ()}, "no such head", "none"),
        ({"pooling": "max"}, "no such pooling", "'max'"),
        ({"draws": 0}, "too few draws", "0"),
        ({"test_share": 1.0}, "no such share to test", "1"),
        ({"shots": (0, 5)}, "no such number of shots", "[0]"),
        ({"shots": ()}, "no such number of shots", "none"),
        ({"labels": "nowhere.jsonl"}, "no such audio source", "nowhere.jsonl"),
        ({"task": "label:mood"}, "no utterance carries what the task label:mood asks for", "keyword"),
    ],
)
def test_a_wrong_request_is_refused_before_anything_is_heard(
    make_setting: Callable[..., Setting], words: Path, heard: Any, wrong: dict[str, Any], what: str, got: str
) -> None:
    with pytest.raises(UsageError, match=what) as raised:
        pilot(make_setting(), replace(request(words), **wrong))
    assert got in str(raised.value.got)
    assert heard.times == 0


def test_one_pass_of_each_encoder_serves_all_layers_and_shots(
    make_setting: Callable[..., Setting], words: Path, heard: Any
) -> None:
    setting = make_setting(control=True)
    pilot(setting, request(words))
    assert heard.times == 2 * 72
    assert setting.cache is not None
    assert not list(setting.cache.rglob("*.npz"))  # a finished pilot leaves no blocks
