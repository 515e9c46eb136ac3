"""Phones as items: silence under one name, rare phones left out, all classes of equal weight."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from mlflow_rank.probes.design import make_design
from mlflow_rank.probes.frame_clock import FrameClock
from mlflow_rank.probes.phone_frames import frame_labels
from mlflow_rank.probes.phone_tokens import (
    GAP,
    SILENCE,
    class_weights,
    codes_of,
    left_out_phones,
    phone_classes,
    rare_phones,
    spoken,
    token_items,
    utterance_of,
)
from mlflow_rank.probes.refusals import RefusedError

SILENCES = {"", "sil", "h#"}
lengths = st.floats(0.03, 0.4)
tilings = st.lists(st.tuples(st.sampled_from(["a", "b", "x", "h#", ""]), lengths), min_size=1, max_size=15)


def of(*phones, key="u", group="ann", seconds=None):
    """Phones one after the other, as (symbol, length)."""
    ends = np.cumsum([length for _, length in phones]).tolist()
    timed = [(symbol, start, end) for (symbol, _), start, end in zip(phones, [0.0, *ends], ends, strict=False)]
    return spoken(key, group, timed, ends[-1] if seconds is None else seconds, SILENCES)


def test_every_symbol_of_silence_gets_one_name_and_phones_keep_theirs():
    said = of(("h#", 0.1), ("a", 0.1), ("", 0.1), ("b", 0.1), ("sil", 0.1))
    assert [symbol for symbol, _, _ in said.phones] == [SILENCE, "a", SILENCE, "b", SILENCE]


def test_time_that_no_phone_holds_is_silence_too():
    said = spoken("u", "ann", [("a", 0.2, 0.3), ("b", 0.5, 0.6)], 0.8, SILENCES)
    assert said.phones == (
        (SILENCE, 0.0, 0.2), ("a", 0.2, 0.3), (SILENCE, 0.3, 0.5), ("b", 0.5, 0.6), (SILENCE, 0.6, 0.8),
    )  # fmt: skip


def test_what_rounding_leaves_between_phones_is_no_silence():
    said = spoken("u", "ann", [("a", 0.9 * GAP, 0.3), ("b", 0.3 + 0.9 * GAP, 0.6)], 0.6 + 0.9 * GAP, SILENCES)
    assert [symbol for symbol, _, _ in said.phones] == ["a", "b"]


@given(tilings, st.sets(st.integers(0, 14)))
def test_leaving_silence_out_of_the_labels_changes_no_frame(pieces, dropped):
    """Aligners that write silence down and those that do not mean the same."""
    full = of(*pieces)
    kept = [each for place, each in enumerate(full.phones) if each[0] != SILENCE or place not in dropped]
    bare = spoken("u", "ann", kept, full.seconds, SILENCES)
    codes, clock = codes_of(["a", "b"]), FrameClock(first=0.005, hop=0.01)
    labels = [
        frame_labels(
            each.phones,
            frames=max(int(full.seconds * 100), 1),
            seconds=full.seconds,
            classes=codes,
            outside=2,
            clock=clock,
        )
        for each in (full, bare)
    ]
    np.testing.assert_array_equal(*labels)
    np.testing.assert_allclose(class_weights([full], codes), class_weights([bare], codes), rtol=1e-6)


def test_tokens_are_items_of_their_speaker_and_tell_their_utterance():
    said = [of(("sil", 0.1), ("a", 0.1), ("b", 0.1), key="u@1.wav"), of(("b", 0.1), key="v", group="bob")]
    items = token_items(said)
    assert items.keys == ("u@1.wav@0", "u@1.wav@1", "u@1.wav@2", "v@0")
    assert items.labels == (SILENCE, "a", "b", "b")
    assert items.groups == ("ann",) * 3 + ("bob",)
    assert items.digests == ("u@1.wav",) * 3 + ("v",)
    assert token_items(said, {"b"}).keys == ("u@1.wav@0", "u@1.wav@1")


@given(st.text(), st.integers(0, 10**6))
def test_a_token_tells_its_utterance_and_place_whatever_the_utterance_is_called(key, place):
    assert utterance_of(f"{key}@{place}") == (key, place)


@pytest.mark.parametrize(
    ("phones", "left_out", "cause"),
    [
        ([("sil", 0.5)], (), "every labelled stretch of time is silence"),
        ([("h#", 0.5), ("", 0.2)], ("a",), "every labelled stretch of time is silence"),
        ([("sil", 0.5), ("a", 0.2)], ("a",), "no phone is spoken often enough (a)"),
        ([("a", 0.5), ("b", 0.2)], ("a", "b"), "no phone is spoken often enough (a, b)"),
    ],
)
def test_without_a_phone_to_learn_there_is_a_refusal_that_names_the_cause(phones, left_out, cause):
    with pytest.raises(RefusedError) as raised:
        token_items([of(*phones)], left_out)
    assert raised.value.what == cause
    assert raised.value.remedy


def test_rare_phones_are_those_with_fewer_than_two_and_a_half_tokens_per_shot():
    said = [of(*[("a", 0.1)] * 5, *[("b", 0.1)] * 4, *[("sil", 0.1)] * 9)]
    assert rare_phones(said, 2) == {"b": "4 spoken, 5 needed for 2 shots"}
    assert set(rare_phones(said, 1)) == set()
    assert set(rare_phones(said, 3)) == {"a", "b"}


@pytest.mark.parametrize(
    ("shots", "left_out"),
    [
        ((1,), set()),
        ((5,), {"c"}),
        ((1, 5), {"c"}),
        ((1, 5, 20), {"b", "c"}),
        ((1, 5, 50), {"c"}),
        ((50,), set()),
        ((), set()),
    ],
)
def test_asking_for_more_shots_than_a_corpus_has_costs_rare_phones_but_never_more_than_half(shots, left_out):
    said = [of(*[("a", 0.1)] * 60, *[("d", 0.1)] * 60, *[("b", 0.1)] * 20, *[("c", 0.1)] * 6)]
    assert set(left_out_phones(said, shots)) == left_out


def test_little_silence_takes_no_shots_away_from_the_phones():
    said = [
        of(("sil", 0.1), *[("a", 0.1), ("b", 0.1)] * 10, key=f"u{number}", group=group)
        for number, group in enumerate(("ann", "bob", "cid", "dot"))
    ]
    rare = rare_phones(said, 10)
    assert set(rare) == {SILENCE}
    design = make_design(token_items(said, rare), shots=(10,), draws=2)
    assert not design.refusals
    assert phone_classes(design) == ("a", "b")


def test_silence_comes_after_the_phones():
    said = [of(("sil", 0.1), ("z", 0.1), ("a", 0.1), key=group, group=group) for group in ("ann", "bob")]
    phones = phone_classes(make_design(token_items(said), shots=(1,), draws=1))
    assert phones == ("a", "z")
    assert codes_of(phones) == {"a": 0, "z": 1, SILENCE: 2}


@given(st.lists(tilings, min_size=1, max_size=4))
def test_classes_count_equally_and_the_mean_weight_is_one(utterances):
    said = [of(*pieces, key=str(number)) for number, pieces in enumerate(utterances)]
    codes = codes_of(["a", "b"])  # `x` is no phone in use
    weights = class_weights(said, codes)
    seconds = np.zeros(3)
    for each in said:
        for symbol, start, end in each.phones:
            if symbol in codes:
                seconds[codes[symbol]] += end - start
    counted = seconds * weights
    present = seconds > 0
    np.testing.assert_allclose(counted[present], seconds.sum() / max(present.sum(), 1))
    assert all(weight == 0 for weight, there in zip(weights, present, strict=True) if not there)
    assert counted.sum() == pytest.approx(seconds.sum())
