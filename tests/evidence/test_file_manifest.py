"""The digest of a model's files: it knows nothing but their names, sizes and bytes, and it notices each of them."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import socket
import sys
import tempfile
from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies as st

from mlflow_rank.errors import EvidenceError, UsageError
from mlflow_rank.evidence.file_manifest import FileManifest, ManifestEntry, file_manifest, manifest_difference

names = st.text("abc.é ñ_-", min_size=1, max_size=3).filter(lambda name: name.strip(".") != "")
paths = st.lists(names, min_size=1, max_size=3).map("/".join)


def plantable(files):
    """Whether no path is a directory of another one."""
    return not any(other.startswith(f"{path}/") for path in files for other in files)


trees = st.dictionaries(paths, st.binary(max_size=20), min_size=1, max_size=6).filter(plantable)


def planted(directory: Path, files) -> Path:
    for path, content in files.items():
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_bytes(content)
    return directory


def manifest_of(files) -> FileManifest:
    with tempfile.TemporaryDirectory() as directory:
        return file_manifest(planted(Path(directory), files))


def entry(path, content=b""):
    return ManifestEntry(path, len(content), hashlib.sha256(content).hexdigest())


@pytest.fixture
def model(tmp_path) -> Path:
    return planted(tmp_path / "model", {"MLmodel": b"flavor", "data/weights": b"\x00\x01", ".hidden": b"", "é": b"e"})


# laws


@hypothesis.given(trees, st.randoms(use_true_random=False))
def test_the_order_in_which_files_were_made_changes_nothing(files, random):
    order = list(files)
    random.shuffle(order)
    assert manifest_of({path: files[path] for path in order}) == manifest_of(files)


@hypothesis.given(trees, trees)
def test_two_trees_have_one_digest_only_if_they_are_the_same_files(one, other):
    assert (manifest_of(one).digest == manifest_of(other).digest) == (one == other)


@hypothesis.given(trees, st.data())
def test_every_changed_byte_and_every_renamed_added_or_removed_file_shows(files, data):
    manifest = manifest_of(files)
    path = data.draw(st.sampled_from(sorted(files)))
    others = {each: content for each, content in files.items() if each != path}
    content = files[path]
    for changed in [
        {**files, "new": b""},
        {**files, path: content + b"\x00"},
        {**others, f"{path}x": content},
        {**others, f"{path}/x": content},
        others,
        *([{**files, path: bytes([content[0] ^ 1]) + content[1:]}] if content else []),
    ]:
        if changed in ({}, files) or not plantable(changed):
            continue
        found = manifest_of(changed)
        assert found.digest != manifest.digest
        assert manifest_difference(manifest, found)
    assert manifest_difference(manifest, manifest) == ""


# what it is


def test_every_file_is_there_hidden_and_empty_ones_too_in_the_order_of_utf_8(model):
    manifest = file_manifest(model)
    assert manifest.entries == (
        entry(".hidden"), entry("MLmodel", b"flavor"), entry("data/weights", b"\x00\x01"), entry("é", b"e"),
    )  # fmt: skip
    assert manifest.bytes == 9


def test_the_digest_is_of_the_canonical_json_of_the_entries(model):
    manifest = file_manifest(model)
    written_out = ",".join(
        f'{{"path":"{each.path}","sha256":"{each.sha256}","size":{each.size}}}' for each in manifest.entries
    )
    assert manifest.digest == "sha256:" + hashlib.sha256(f"[{written_out}]".encode()).hexdigest()
    assert json.loads(json.dumps(manifest.document())) == json.loads(f"[{written_out}]")


def test_paths_are_compared_whole_and_not_directory_by_directory(tmp_path):
    planted(tmp_path, {"a/b": b"", "a.b": b"", "a0": b"", "\uffee": b"", "\U0001f600": b""})
    assert [each.path for each in file_manifest(tmp_path).entries] == ["a.b", "a/b", "a0", "\uffee", "\U0001f600"]


def test_empty_directories_leave_no_trace(model):
    before = file_manifest(model)
    (model / "empty" / "within").mkdir(parents=True)
    assert file_manifest(model) == before


def test_the_directory_itself_may_be_a_link_and_times_and_modes_do_not_count(model, tmp_path):
    before = file_manifest(model)
    (tmp_path / "link").symlink_to(model)
    os.utime(model / "MLmodel", (0, 0))
    (model / "MLmodel").chmod(0o400)
    assert file_manifest(tmp_path / "link") == before


def test_progress_is_told_of_every_byte(tmp_path):
    planted(tmp_path, {"large": bytes(3 * 2**20 + 5), "small": b"1"})
    told: list[int] = []
    assert file_manifest(tmp_path, after=told.append).bytes == sum(told) == 3 * 2**20 + 6
    assert len(told) >= 4


def test_entries_sort_themselves_and_may_not_repeat():
    assert FileManifest((entry("b"), entry("a"))) == FileManifest((entry("a"), entry("b")))
    with pytest.raises(EvidenceError, match="names one file twice"):
        FileManifest((entry("a"), entry("a", b"1")))
    with pytest.raises(EvidenceError, match="no file"):
        FileManifest(())


def test_a_difference_names_a_few_files_of_each_kind():
    one = FileManifest(tuple(entry(f"{number}") for number in range(8)))
    other = FileManifest((entry("0", b"x"), entry("1"), entry("new\n")))
    said = manifest_difference(one, other)
    assert said == "missing: 2, 3, 4, 5, 6 and 1 more; added: new\\n; changed: 0"


# what is refused


def refused(directory: Path) -> str:
    with pytest.raises(EvidenceError) as caught:
        file_manifest(directory)
    return str(caught.value)


@pytest.mark.parametrize("target", ["MLmodel", "data", "nowhere", "/etc/passwd", "..", "link"])
def test_links_are_refused(model, target):
    (model / "data" / "link").symlink_to(model / target if target in ("MLmodel", "data") else target)
    assert "'data/link', a symbolic link" in refused(model)


def test_pipes_sockets_and_devices_are_refused(model, tmp_path, monkeypatch):
    os.mkfifo(model / "data" / "pipe")
    assert "'data/pipe', a named pipe" in refused(model)
    (model / "data" / "pipe").unlink()
    monkeypatch.chdir(model)  # a socket's path must be short
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
        assert "'socket', a socket" in refused(model)


def test_devices_are_refused(tmp_path):
    try:
        os.mknod(tmp_path / "null", 0o20600, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("only root makes devices")
    assert "a device" in refused(tmp_path)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems make no such name")
def test_a_name_that_is_not_utf_8_is_refused(model):
    (model / os.fsdecode(b"data/\xff")).write_bytes(b"")
    said = refused(model)
    assert "a name is not UTF-8" in said
    assert "\\udcff" in said


@pytest.mark.skipif(sys.platform != "linux", reason="other systems take them for one")
@pytest.mark.parametrize(
    ("one", "other"),
    [("README", "readme"), ("e\u0301", "\u00e9"), ("stra\u00dfe", "STRASSE"), ("\u00c9a", "e\u0301A"), ("\u212a", "k")],
)
@pytest.mark.parametrize("directories", [False, True])
def test_names_that_are_one_elsewhere_are_refused(tmp_path, one, other, directories):
    planted(tmp_path, {f"{one}/a": b"", f"{other}/b": b""} if directories else {one: b"", other: b""})
    assert "two names are one on other systems" in refused(tmp_path)


def test_the_same_name_in_two_directories_is_no_clash(tmp_path):
    assert len(file_manifest(planted(tmp_path, {"a/x": b"", "b/X": b""})).entries) == 2


@pytest.mark.parametrize("files", [[], ["empty/within"]])
def test_a_tree_without_files_is_refused(tmp_path, files):
    for each in files:
        (tmp_path / each).mkdir(parents=True)
    assert "holds no file" in refused(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        lambda path: path.write_bytes(path.read_bytes() + b"1"),
        lambda path: os.truncate(path, 2**20),
        lambda path: path.write_bytes(bytes([1]) + path.read_bytes()[1:]),  # its size stays
    ],
    ids=["grows", "shrinks", "is overwritten"],
)
def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path, change):
    path = planted(tmp_path, {"weights": bytes(3 * 2**20)}) / "weights"
    os.utime(path, (0, 0))  # so that a change shows however coarse the file system's clock

    def after(_: int) -> None:
        if path.stat().st_mtime == 0:
            change(path)

    with pytest.raises(EvidenceError, match=r"a file changed while it was read[^\0]*'weights'"):
        file_manifest(tmp_path, after=after)


def test_a_directory_that_becomes_a_link_meanwhile_is_not_followed(tmp_path):
    planted(tmp_path, {"model/a/x": b"1", "model/b/x": b"1", "outside/x": b"2"})

    def swap(_: int) -> None:
        for name in ("a", "b"):
            directory = tmp_path / "model" / name
            if not directory.is_symlink():
                directory.rename(tmp_path / f"was {name}")
                directory.symlink_to(tmp_path / "outside")

    with pytest.raises(EvidenceError, match="a symbolic link"):
        file_manifest(tmp_path / "model", after=swap)


def test_directories_too_deep_in_one_another_are_refused(tmp_path):
    deep = tmp_path
    for _ in range(63):
        deep /= "d"
    planted(deep, {"file": b""})
    assert len(file_manifest(tmp_path).entries) == 1
    (deep / "d").mkdir()
    assert "nested too deep" in refused(tmp_path)


def test_a_file_that_cannot_be_read_is_refused(model, monkeypatch):
    real = os.open

    def broken(path, flags, *args, **options):
        if path == b"weights":
            raise OSError(errno.EIO, "Input/output error")
        return real(path, flags, *args, **options)

    monkeypatch.setattr(os, "open", broken)
    assert "'data/weights', Input/output error" in refused(model)


@pytest.mark.parametrize("where", ["nowhere", "model/MLmodel", "zero\0byte"])
def test_no_directory_is_a_wrong_call(model, tmp_path, where):
    with pytest.raises(UsageError, match="model directory cannot be read"):
        file_manifest(tmp_path / where)


def test_what_progress_raises_is_not_taken_for_a_bad_file(model):
    def fail(_: int) -> None:
        raise BrokenPipeError("the terminal is gone")

    with pytest.raises(BrokenPipeError):
        file_manifest(model, after=fail)


def test_no_file_stays_open(model):
    before = os.dup(0)  # the lowest number that is free
    os.close(before)
    file_manifest(model)
    (model / "data" / "link").symlink_to("nowhere")
    refused(model)
    now = os.dup(0)
    os.close(now)
    assert now == before
