from __future__ import annotations

import json
import sys
from itertools import pairwise

import hypothesis.strategies as st
import pytest
from hypothesis import example, given
from praatio import textgrid

from mlflow_rank.errors import MissingDependencyError, UsageError
from mlflow_rank.speech.alignments import SILENCE, Alignment, AlignmentFiles, AlignmentKind
from mlflow_rank.speech.ctm import read_ctm
from mlflow_rank.speech.sources import open_corpus
from mlflow_rank.speech.textgrids import read_textgrid
from mlflow_rank.speech.utterance import Phone
from tests.speech.conftest import noise

PHONES = [(0.05, 0.1, "n"), (0.1, 0.25, "oʊ"), (0.3, 0.5, "sil")]


def close(phones):
    return [(each.symbol, pytest.approx(each.start), pytest.approx(each.end)) for each in phones]


def expected(times, shift=0.0):
    return [(symbol, start - shift, end - shift) for start, end, symbol in times]


@pytest.fixture
def grid(tmp_path):
    """Write a TextGrid with a tier of words and, unless told otherwise, a tier `phones`."""

    def write_grid(name="a.TextGrid", tier="phones", intervals=PHONES, form="long_textgrid", end=0.5):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        made = textgrid.Textgrid()
        made.addTier(textgrid.IntervalTier("words", [(0.05, 0.25, "no")], 0, end))
        made.addTier(textgrid.PointTier("clicks", [(0.2, "x")], 0, end))
        made.addTier(textgrid.IntervalTier(tier, intervals, 0, end))
        made.save(str(path), format=form, includeBlankSpaces=True)
        return path

    return write_grid


@pytest.fixture
def rows(write, tmp_path):
    """Return the corpus of a manifest beside a.wav, 0.5 s of noise."""
    write("a.wav", noise(0.5))

    def listed(*cells):
        path = tmp_path / "m.jsonl"
        path.write_text("".join(json.dumps({"path": "a.wav", **each}) + "\n" for each in cells))
        return open_corpus(path, alignments=True)

    return listed


@pytest.fixture
def refusal(rows):
    def refuse(*cells):
        with pytest.raises(UsageError) as caught:
            rows(*cells)
        return caught.value

    return refuse


@pytest.mark.parametrize("form", ["long_textgrid", "short_textgrid"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_phones_come_from_a_textgrid_in_every_text_form(grid, rows, form, encoding):
    path = grid(form=form)
    path.write_text(path.read_text("utf-8"), encoding)
    (utterance,) = rows({"textgrid": "a.TextGrid"}).utterances
    assert close(utterance.phones) == expected(PHONES)
    assert utterance.labels == {}
    assert "sil" in SILENCE


@pytest.mark.parametrize(("tier", "cells"), [("Phone", {}), ("PHONES", {}), ("segments", {"tier": "segments"})])
def test_a_tier_is_found_by_name(grid, rows, tier, cells):
    grid(tier=tier)
    assert close(rows({"textgrid": "a.TextGrid", **cells}).utterances[0].phones) == expected(PHONES)


def test_phones_come_from_a_ctm_by_the_stem_of_the_audio_or_by_name(rows, tmp_path):
    (tmp_path / "all.ctm").write_text(
        ";; a comment\na 1 0.10 0.15 oʊ 0.99\na 1 0.05 0.05 n\nother A 0.00 0.20 x\n\na 1 0.3 0.2 sil\n"
    )
    (by_stem,) = rows({"ctm": "all.ctm"}).utterances
    assert close(by_stem.phones) == expected(PHONES)
    (by_name,) = rows({"ctm": "all.ctm", "ctm_id": "other"}).utterances
    assert close(by_name.phones) == [("x", 0, 0.2)]


def test_symbols_without_times_are_kept_as_a_sequence(rows, tmp_path):
    corpus = rows({"phone_sequence": "n oʊ  n"}, {"path": "./b.wav", "phone_sequence": ["n", "oʊ"]}, {"path": "c.wav"})
    assert [each.phone_sequence for each in corpus.utterances] == [("n", "oʊ", "n")]
    (tmp_path / "m.csv").write_text("path,phone_sequence\na.wav,n oʊ\n")
    (utterance,) = open_corpus(tmp_path / "m.csv").utterances
    assert (utterance.phone_sequence, utterance.phones, utterance.labels) == (("n", "oʊ"), None, {})


def test_a_segment_gets_the_phones_whose_centre_it_holds_from_its_own_start(grid, rows):
    grid(intervals=[(0.0, 0.1, "a"), (0.1, 0.24, "b"), (0.24, 0.5, "c")])
    first, second = rows(
        {"textgrid": "a.TextGrid", "start": 0.0, "end": 0.2}, {"textgrid": "a.TextGrid", "start": 0.2}
    ).utterances
    assert close(first.phones) == [("a", 0, 0.1), ("b", 0.1, 0.2)]  # b goes on to 0.24: cut
    assert close(second.phones) == [("c", pytest.approx(0.04), pytest.approx(0.3))]


def test_a_directory_finds_labels_beside_the_audio_only_when_asked(write, grid, tmp_path):
    write("a.wav", noise(0.5))
    write("deep/b.flac", noise(0.5))
    write("c.wav", noise(0.5))
    grid()
    grid("deep/b.textgrid", tier="phone")
    (tmp_path / "c.wav.txt").write_text("nothing")
    with_phones = open_corpus(tmp_path, alignments=True)
    assert {each.key: each.phones is not None for each in with_phones.utterances} == {
        "a.wav": True,
        "deep/b.flac": True,
        "c.wav": False,
    }
    (tmp_path / "a.TextGrid").write_text("no TextGrid at all")
    assert {each.phones for each in open_corpus(tmp_path).utterances} == {None}
    with pytest.raises(UsageError, match=r"a\.TextGrid: not a readable TextGrid"):
        open_corpus(tmp_path, alignments=True)


@pytest.mark.parametrize("cut", [20, 200, 700, 1200])
def test_text_that_is_no_textgrid_is_an_error_with_its_file(grid, refusal, cut):
    path = grid()
    path.write_text(path.read_text("utf-8")[:cut])
    error = refusal({"textgrid": "a.TextGrid"})
    assert error.what.startswith(f"{path}: ")
    assert error.got
    assert error.expected


@pytest.mark.parametrize("form", ["long_textgrid", "short_textgrid"])
def test_a_textgrid_cut_anywhere_never_loses_phones_silently(grid, form):
    path = grid(form=form)
    whole = path.read_bytes()
    for length in range(0, len(whole) - 1, 3):
        path.write_bytes(whole[:length])
        try:
            phones = [phone.symbol for _, phone in read_textgrid(path, None)]
        except UsageError as error:
            assert error.what.startswith(f"{path}: ")  # noqa: PT017 - most cuts are refused, a few harm nothing
        else:
            assert phones == ["n", "oʊ", "sil"]


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"", b"\x00\x01\x02", b"{}", b"[1]", b"caf\xe9"])
def test_bytes_that_are_no_textgrid_are_an_error_with_its_file(refusal, tmp_path, content):
    (tmp_path / "a.TextGrid").write_bytes(content)
    assert refusal({"textgrid": "a.TextGrid"}).what == f"{tmp_path / 'a.TextGrid'}: not a readable TextGrid"


def test_a_missing_tier_is_named_with_the_tiers_there(grid, refusal):
    path = grid(tier="segments")
    error = refusal({"textgrid": "a.TextGrid"})
    assert (error.what, error.got) == (f"{path}: no such tier", "tiers: words, clicks, segments")
    assert error.expected == "'phones' or 'phone'"
    assert refusal({"textgrid": "a.TextGrid", "tier": "Words"}).expected == "'Words'"
    assert refusal({"textgrid": "a.TextGrid", "tier": "clicks"}).got == "points"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [("xmax = 0.25", "xmax = 0.08", "cannot occur after its end"), ("xmax = 0.1 ", "xmax = 0.2 ", "overlap in time")],
)
def test_intervals_that_cannot_be_are_an_error_with_the_file(grid, refusal, old, new, words):
    path = grid()
    head, tier = path.read_text("utf-8").split('"phones"')
    path.write_text(f'{head}"phones"{tier.replace(old, new)}')
    error = refusal({"textgrid": "a.TextGrid"})
    assert error.what == f"{path}: bad interval"
    assert words in error.got


def test_phones_beyond_the_audio_are_an_error_but_for_a_frame_of_rounding(grid, rows, refusal):
    path = grid(intervals=[(0.1, 0.519, "a")], end=0.519)
    assert close(rows({"textgrid": "a.TextGrid"}).utterances[0].phones) == [("a", 0.1, 0.5)]
    grid(intervals=[(0.1, 0.53, "a")], end=0.53)
    error = refusal({"textgrid": "a.TextGrid"})
    assert (error.what, error.got) == (f"{path}: phones beyond the audio", "'a' ends at 0.53 s")
    assert error.expected.startswith("at most 0.5 s")
    # before the end of a segment that stops earlier, they belong to what follows it
    assert close(rows({"textgrid": "a.TextGrid", "start": 0, "end": 0.4}).utterances[0].phones) == [("a", 0.1, 0.4)]


@pytest.mark.parametrize(
    ("line", "what", "got"),
    [
        ("a 1 0.1 0.2", "bad line", "4 cells: 'a 1 0.1 0.2'"),
        ("a 1 0.1 soon x", "bad time", "start 0.1, duration soon"),
        ("a 1 nan 0.1 x", "bad time", "start nan, duration 0.1"),
        ("a 1 -0.1 0.1 x", "bad time", "start -0.1, duration 0.1"),
        ("a 1 0.1 -0.1 x", "end before start", "duration -0.1"),
        ("a 2 0.1 0.1 x", "a on two channels", "channel '2' after '1'"),
        ("a 1 0.02 0.1 x", "phones overlap", "'x' starts at 0.02 s, 'n' ends at 0.05 s"),
        ("a 1 0.4 0.2 x", "phones beyond the audio", "'x' ends at 0.6 s"),
    ],
)
def test_a_bad_line_of_a_ctm_is_an_error_with_its_number(refusal, tmp_path, line, what, got):
    path = tmp_path / "all.ctm"
    path.write_text(f";; ours\na 1 0.0 0.05 n\n{line}\n")
    error = refusal({"ctm": "all.ctm"})
    assert (error.what, error.got) == (f"{path}:3: {what}", got)
    assert error.expected


def test_times_rounded_to_hundredths_are_no_overlap(rows, tmp_path):
    (tmp_path / "all.ctm").write_text("a 1 0.00 0.11 n\na 1 0.10 0.20 x\n")
    assert close(rows({"ctm": "all.ctm"}).utterances[0].phones) == [("n", 0, 0.1), ("x", 0.1, 0.3)]


def test_what_a_row_promises_and_is_not_there_is_an_error_with_the_line(refusal, tmp_path):
    manifest = tmp_path / "m.jsonl"
    error = refusal({"speaker": "x", "end": 0.1}, {"textgrid": "none.TextGrid"})
    assert (error.what, error.got) == (
        f"{manifest}:2: no such file in column 'textgrid'",
        str(tmp_path / "none.TextGrid"),
    )
    (tmp_path / "all.ctm").write_text("b 1 0 0.1 n\n")
    error = refusal({"ctm": "all.ctm"})
    assert error.what == f"{manifest}:1: no such utterance in {tmp_path / 'all.ctm'}"
    assert error.got == "'a'; the file has 1, first: b"
    assert refusal({"ctm": "all.ctm", "phones": [["n", 0, 0.1]]}).what == f"{manifest}:1: bad value in column 'ctm'"
    assert refusal({"textgrid": 3}).got == "3"
    assert refusal({"phone_sequence": ["n", ""]}).got == "['n', '']"
    assert refusal({"phone_sequence": 3}).what == f"{manifest}:1: bad value in column 'phone_sequence'"
    (tmp_path / "all.ctm").write_bytes(b"a 1 0 0.1 \xff\n")
    assert refusal({"ctm": "all.ctm"}).what == f"{tmp_path / 'all.ctm'}: not a readable CTM file"


def test_praatio_is_asked_for_by_name_where_it_is_missing(grid, refusal, monkeypatch):
    grid()
    monkeypatch.setitem(sys.modules, "praatio", None)
    assert isinstance(refusal({"textgrid": "a.TextGrid"}), MissingDependencyError)


@given(lengths=st.lists(st.integers(1, 30), min_size=1, max_size=12), borders=st.lists(st.integers(1, 120), max_size=4))
@example(lengths=[1, 11, 24], borders=[1, 24])  # a centre on a border that floats do not hit
def test_every_phone_belongs_to_one_segment_of_a_file_cut_without_overlap(tmp_path_factory, lengths, borders):
    path = tmp_path_factory.mktemp("ctm") / "a.ctm"
    starts = [sum(lengths[:index]) for index in range(len(lengths))]
    path.write_text(
        "".join(f"a 1 {s / 100} {n / 100} p{i}\n" for i, (s, n) in enumerate(zip(starts, lengths, strict=True)))
    )
    assert sum(map(len, read_ctm(path).values())) == len(lengths)
    end = sum(lengths)
    cuts = sorted({0, end} | {each for each in borders if each < end})
    files = AlignmentFiles(path.parent)
    found = [
        phone
        for start, stop in pairwise(cuts)
        for phone in files.phones(
            Alignment(AlignmentKind.CTM, path, "a"),
            place="m:1",
            start=start / 100,
            duration=(stop - start) / 100,
            whole=stop == end,
        )
    ]
    assert [each.symbol for each in found] == [f"p{index}" for index in range(len(lengths))]
    assert all(isinstance(each, Phone) and 0 <= each.start <= each.end for each in found)
