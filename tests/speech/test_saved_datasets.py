from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from mlflow_rank.errors import MissingDependencyError, UsageError
from mlflow_rank.speech.decoding import decode
from mlflow_rank.speech.sources import open_corpus
from mlflow_rank.speech.utterance import DatasetAudio, SkipCause
from tests.speech.conftest import noise

datasets = pytest.importorskip("datasets")
datasets.disable_progress_bars()


def saved(directory: Path, rows: list[dict[str, object]], *, split: str | None = None, column: str = "audio") -> Path:
    dataset = datasets.Dataset.from_list(rows).cast_column(column, datasets.Audio())
    if "label" in dataset.column_names:
        dataset = dataset.cast_column("label", datasets.ClassLabel(names=["no", "yes"]))
    (dataset if split is None else datasets.DatasetDict({split: dataset})).save_to_disk(str(directory))
    return directory


def test_embedded_audio_is_listed_and_decoded_with_what_is_known_about_it(write, tmp_path):
    files = [write(f"{n}.{s}", noise(0.25, seed=n)) for n, s in enumerate(("wav", "flac"))]
    rows = [
        {
            "audio": {"bytes": path.read_bytes(), "path": path.name},
            "speaker_id": 7 + n,
            "text": f"word {n}",
            "label": n,
            "id": f"u{n}",
            "snr": 1.5,
        }
        for n, path in enumerate(files)
    ]
    corpus = open_corpus(saved(tmp_path / "saved", rows))
    assert corpus.kind == "dataset"
    first, second = corpus.utterances
    assert (first.key, first.speaker, first.text) == ("0.wav", "7", "word 0")
    assert second.labels == {"label": "yes", "id": "u1"}
    assert second.source == DatasetAudio(tmp_path / "saved", None, 1, "audio")
    assert second.duration == 0.25
    assert corpus.ignored_columns == ("snr",)
    from_files = open_corpus(tmp_path).utterances
    digests = [decode(each, rate=16_000).content_digest for each in corpus.utterances]
    assert digests == [decode(each, rate=16_000).content_digest for each in from_files]


def saved_without_embedding(directory: Path, rows: list[dict[str, object]], *, column: str, split: str) -> Path:
    """Save rows as they are: `save_to_disk` by itself would embed every file, and fail where one is gone."""
    audio = {"bytes": datasets.Value("binary"), "path": datasets.Value("string")}
    plain = datasets.Dataset.from_list(rows, features=datasets.Features({column: audio}))
    datasets.DatasetDict({split: plain}).save_to_disk(str(directory))
    info = directory / split / "dataset_info.json"
    said = json.loads(info.read_text())
    said["features"][column] = {"_type": "Audio"}
    info.write_text(json.dumps(said))
    return directory


def test_splits_and_audio_named_by_path(write, tmp_path):
    a = write("wav/a.wav")
    rows = [{"sound": {"bytes": None, "path": str(p)}} for p in (a, tmp_path / "gone.wav")]
    corpus = open_corpus(saved_without_embedding(tmp_path / "saved", rows, column="sound", split="test"))
    (only,) = corpus.utterances
    assert (only.key, only.source) == ("test/a.wav", DatasetAudio(tmp_path / "saved", "test", 0, "sound"))
    assert decode(only, rate=16_000).samples.shape == (8_000,)
    assert [(each.key, each.cause) for each in corpus.skipped] == [("test/gone.wav", SkipCause.MISSING)]


def test_rows_without_distinct_names_are_known_by_number_and_bad_rows_by_cause(write, tmp_path):
    data = write("a.wav").read_bytes()
    rows = [{"audio": {"bytes": b, "path": None}} for b in (data, b"no sound", b"")]
    rows.append({"audio": {"bytes": None, "path": None}})
    corpus = open_corpus(saved_without_embedding(tmp_path / "saved", rows, column="audio", split="all"))
    assert [each.key for each in corpus.utterances] == ["all/row-0"]
    assert {each.key: each.cause for each in corpus.skipped} == {
        "all/row-1": SkipCause.UNREADABLE,
        "all/row-2": SkipCause.EMPTY,
        "all/row-3": SkipCause.MISSING,
    }


def test_a_stated_duration_saves_reading_the_bytes(tmp_path):
    rows = [{"audio": {"bytes": b"no sound", "path": "a.wav"}, "duration": 2.0}]
    assert open_corpus(saved(tmp_path / "saved", rows)).utterances[0].duration == 2.0


def test_a_dataset_without_audio_is_an_error_that_lists_its_columns(tmp_path):
    datasets.Dataset.from_list([{"text": "a", "length": 1}]).save_to_disk(str(tmp_path / "saved"))
    with pytest.raises(UsageError, match="no column of audio") as caught:
        open_corpus(tmp_path / "saved")
    assert caught.value.got == "columns: text, length"


def test_several_columns_of_audio_need_one_called_audio(write, tmp_path):
    audio = {"bytes": write("a.wav").read_bytes(), "path": "a.wav"}
    dataset = datasets.Dataset.from_list([{"near": audio, "far": audio}])
    for column in ("near", "far"):
        dataset = dataset.cast_column(column, datasets.Audio())
    dataset.save_to_disk(str(tmp_path / "two"))
    with pytest.raises(UsageError, match="several columns of audio"):
        open_corpus(tmp_path / "two")
    dataset.rename_column("near", "audio").save_to_disk(str(tmp_path / "named"))
    assert open_corpus(tmp_path / "named").utterances[0].source.column == "audio"


@pytest.mark.parametrize(
    "files",
    [
        {"dataset_dict.json": "{}"},
        {"dataset_dict.json": "no json"},
        {"dataset_dict.json": json.dumps({"splits": ["train"]})},
        {"dataset_info.json": "{}", "state.json": "{}"},
    ],
)
def test_a_damaged_dataset_is_an_error(tmp_path, files):
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    with pytest.raises(UsageError, match="cannot open the saved dataset"):
        open_corpus(tmp_path)


def test_without_the_package_the_error_says_what_to_install(tmp_path, monkeypatch):
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["train"]}')
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingDependencyError) as caught:
        open_corpus(tmp_path)
    assert caught.value.remedy == "pip install 'mlflow_rank[datasets]'"


def test_a_value_that_its_column_does_not_allow_names_the_row(write, tmp_path):
    audio = {"bytes": write("a.wav").read_bytes(), "path": "a.wav"}
    with pytest.raises(UsageError, match=r"row 0: bad value in column 'start'"):
        open_corpus(saved(tmp_path / "saved", [{"audio": audio, "start": -1.0}]))
