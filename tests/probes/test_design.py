"""Designs: what is tested is never trained on, and only names and seed decide."""

from __future__ import annotations

import json
import pickle
from collections import Counter

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from mlflow_rank.errors import UsageError
from mlflow_rank.probes.design import make_design
from mlflow_rank.probes.items import Items
from mlflow_rank.probes.leaks import LeakError
from mlflow_rank.probes.refusals import RefusedError
from mlflow_rank.probes.split import units_to_test


def items_of(rows, prefix=""):
    """Items of (label, group) or (label, group, session) rows, each its own recording."""
    sessions = tuple(row[2] if len(row) > 2 else None for row in rows)
    keys = tuple(f"{prefix}{number:04d}" for number in range(len(rows)))
    return Items(
        keys, tuple(row[0] for row in rows), tuple(row[1] for row in rows), tuple(f"audio {k}" for k in keys), sessions
    )


def shuffled(items, seed):
    order = np.random.default_rng(seed).permutation(len(items))
    fields = (items.keys, items.labels, items.groups, items.digests, items.sessions)
    return Items(*(tuple(field[index] for index in order) for field in fields))


WORDS = items_of([(word, f"speaker {s}") for s in range(8) for word in ("go", "stop", "up") for _ in range(6)])
rows = st.lists(
    st.tuples(
        st.sampled_from("abcd"), st.sampled_from(["s1", "s2", "s3", "s4", "s5"]), st.sampled_from([None, "x", "y"])
    ),
    min_size=2,
    max_size=40,
)


@hypothesis.given(rows=rows, by=st.sampled_from(["group", "session", "item"]), seed=st.integers(0, 9))
def test_no_unit_is_both_tested_and_trained_on_and_draws_stay_in_the_pool(rows, by, seed):
    items = items_of(rows)
    try:
        design = make_design(items, shots=(1, 2, "all"), draws=3, seed=seed, disjoint_by=by)
    except RefusedError:
        return
    pool, test = set(design.pool), set(design.test)
    assert not pool & test
    assert not {design.units[index] for index in pool} & {design.units[index] for index in test}
    if design.disjoint_by == "group":
        assert not {items.groups[index] for index in pool} & {items.groups[index] for index in test}
    for side in (pool, test):
        assert {items.labels[index] for index in side} == set(design.classes)
    for draw in design.draws:
        assert set(draw.items) <= pool
        assert len(set(draw.items)) == len(draw.items)
        counts = Counter(items.labels[index] for index in draw.items)
        assert draw.shots == "all" or counts == dict.fromkeys(design.classes, draw.shots)
    assert set(design.classes).isdisjoint(design.unused_classes)
    assert set(design.classes) | set(design.unused_classes) == set(items.labels)


@hypothesis.given(rows=rows, by=st.sampled_from(["group", "session", "item"]), seed=st.integers(0, 9))
@hypothesis.settings(max_examples=50)
def test_the_order_of_items_changes_nothing(rows, by, seed):
    items = items_of(rows)

    def outcome(given):
        try:
            return make_design(given, shots=(1, 2, "all"), draws=2, disjoint_by=by).describe()
        except RefusedError as refused:
            return str(refused)

    assert outcome(items) == outcome(shuffled(items, seed))


def test_a_duplicate_row_is_refused_by_its_key():
    with pytest.raises(UsageError, match="come more than once") as caught:
        Items(("a", "b", "a"), ("x",) * 3, ("s",) * 3, ("d",) * 3, (None,) * 3)
    assert caught.value.got == "a"


def test_fields_of_unequal_length_are_refused():
    with pytest.raises(UsageError, match="differ in length"):
        Items(("a", "b"), ("x",), ("s", "s"), ("d", "e"), (None, None))


def test_another_seed_tests_other_speakers():
    tested = {frozenset(make_design(WORDS, seed=seed).test) for seed in range(10)}
    assert len(tested) > 5


def test_about_the_asked_share_of_speakers_is_tested():
    for share, speakers in ((0.5, 4), (0.25, 2), (0.01, 1), (0.99, 7)):
        design = make_design(WORDS, test_share=share)
        assert len({WORDS.groups[index] for index in design.test}) == speakers


def test_draws_are_nested_and_spread_over_the_speakers():
    design = make_design(WORDS, shots=(1, 4, 8, "all"), draws=5)
    for number in range(5):
        chosen = {draw.shots: set(draw.items) for draw in design.draws if draw.number == number}
        assert chosen[1] < chosen[4] < chosen[8]
        for k, each in ((4, 1), (8, 2)):  # four speakers are in the pool
            assert set(Counter((WORDS.labels[i], WORDS.groups[i]) for i in chosen[k]).values()) == {each}
    assert len({draw.items for draw in design.draws_of(4)}) > 1
    assert [draw.items for draw in design.draws_of("all")] == [design.pool]


def test_shots_beyond_the_scarcest_class_are_refused_with_its_name():
    scarce = items_of(
        [(w, f"s{s}") for s in range(4) for w in ("go", "stop") for _ in range(8)] + [("up", f"s{s}") for s in range(4)]
    )
    design = make_design(scarce, shots=(1, 2, 5, "all"), draws=2)
    assert dict(design.refusals) == {5: "class 'up' has 2 training labels, 5 asked"}
    assert {draw.shots for draw in design.draws} == {1, 2, "all"}
    assert design.draws_of(5) == ()


def test_every_class_is_on_both_sides_even_where_chance_rarely_finds_it():
    labels, units = [], []
    for number in range(12):  # each class is said by two of 24 speakers, who say another one too
        for speaker in (2 * number, 2 * number + 1, 2 * number + 2):
            labels.append(f"class {number}")
            units.append(f"speaker {speaker % 24}")
    for seed in range(5):
        tested = units_to_test(labels, units, share=0.5, seed=seed)
        on = {(label, unit in tested) for label, unit in zip(labels, units, strict=True)}
        assert len(on) == 2 * 12
        assert len(tested) == 12


def test_speakers_of_one_label_each_are_split_within_the_label():
    accents = items_of([(f"accent {s % 3}", f"speaker {s}") for s in range(12) for _ in range(2)])
    design = make_design(accents, shots=("all",))
    tested = {(accents.labels[index], accents.groups[index]) for index in design.test}
    assert Counter(label for label, _ in tested) == {"accent 0": 2, "accent 1": 2, "accent 2": 2}


def test_sessions_of_a_speaker_are_split_and_a_speaker_of_one_session_takes_no_part():
    people = items_of(
        [(p, p, f"day {d}") for p in ("ann", "bob", "cid") for d in range(4) for _ in range(3)]
        + [("dan", "dan", "day 0")] * 3
    )
    design = make_design(people, shots=(1, "all"), disjoint_by="session")
    assert design.classes == ("ann", "bob", "cid")
    assert dict(design.unused_classes) == {"dan": "all its items are of one session"}
    assert design.disjoint_by == "session"
    sides = [{(people.labels[i], people.sessions[i]) for i in side} for side in (design.test, design.pool)]
    assert not sides[0] & sides[1]
    assert len(sides[0]) == len(sides[1]) == 6


def test_items_of_unknown_session_are_left_out_by_key():
    people = items_of([(p, p, f"day {d}" if d else None) for p in ("ann", "bob") for d in range(5) for _ in range(2)])
    design = make_design(people, shots=("all",), disjoint_by="session")
    assert set(design.left_out.values()) == {"its session is not known"}
    assert set(design.left_out) == {k for k, s in zip(people.keys, people.sessions, strict=True) if s is None}


def test_unknown_sessions_make_the_split_one_by_recording():
    people = items_of([(p, p) for p in ("ann", "bob", "cid") for _ in range(10)])
    design = make_design(people, shots=(5, "all"), disjoint_by="session")
    assert (design.asked_disjoint_by, design.disjoint_by) == ("session", "item")
    assert Counter(people.labels[index] for index in design.test) == dict.fromkeys(("ann", "bob", "cid"), 5)


def test_phones_of_one_recording_stay_together_in_a_split_by_item():
    count = 40
    phones = Items(
        tuple(f"{n:02d}" for n in range(count)),
        tuple("aeiou"[n % 5] for n in range(count)),
        ("one voice",) * count,
        tuple(f"recording {n // 5}" for n in range(count)),
        (None,) * count,
    )
    design = make_design(phones, shots=("all",), disjoint_by="item")
    assert not {phones.digests[i] for i in design.pool} & {phones.digests[i] for i in design.test}
    assert design.classes == tuple("aeiou")


@pytest.mark.parametrize(
    ("given", "by", "what"),
    [
        ([], "group", "there are no labelled items"),
        ([("go", "s1"), ("go", "s2")], "group", "every item carries the label 'go'"),
        ([("go", "s1"), ("up", "s2")], "group", "no class has two items"),
        ([("go", "s1"), ("up", "s1")] * 3, "group", "every item is of one group, 's1'"),
        ([("go", "s1"), ("up", "s2")] * 3, "group", "'go': all its items are of one group, 'up': all its"),
        ([("ann", "ann", "d1"), ("bob", "bob", "d1")] * 3, "session", "trained and tested apart by session"),
        ([("go", ""), ("up", "")] * 3, "group", "the group of no item is known"),
        ([("go", "s1"), ("go", "s2"), ("up", "s1")], "group", "'up': one item only"),
    ],
)
def test_what_cannot_be_scored_is_refused_with_cause_and_remedy(given, by, what):
    with pytest.raises(RefusedError) as caught:
        make_design(items_of(given), disjoint_by=by)
    assert what in caught.value.what
    assert caught.value.remedy


@pytest.mark.parametrize(
    "wrong", [{"shots": (0,)}, {"shots": ()}, {"shots": ("most",)}, {"draws": 0}, {"test_share": 1.0}]
)
def test_values_out_of_range_are_a_wrong_call(wrong):
    with pytest.raises(UsageError):
        make_design(WORDS, **wrong)


def test_out_of_domain_items_of_known_classes_are_tested():
    outside = items_of([("go", "other 1"), ("left", "other 1"), ("up", "other 2")], prefix="B")
    design = make_design(WORDS, outside)
    assert [outside.keys[index] for index in design.outside_test] == ["B0000", "B0002"]
    assert design.class_codes(outside).tolist() == [0, -1, 2]
    assert design.outside_cause == ""
    none = make_design(WORDS, items_of([("left", "other")], prefix="B"))
    assert none.outside_test == ()
    assert none.outside_cause.startswith("no out-of-domain item carries a label that is trained in domain")


def test_a_speaker_of_the_pool_among_the_out_of_domain_items_is_an_error_that_lists_them():
    pool = make_design(WORDS).pool
    speaker = WORDS.groups[pool[0]]
    outside = items_of([("go", speaker)] * 12 + [("go", "other")], prefix="B")
    with pytest.raises(LeakError, match="the same group is on the training and the test side") as caught:
        make_design(WORDS, outside)
    assert caught.value.keys == tuple(f"B{n:04d}" for n in range(12))
    assert "B0009 and 2 more (12 in all)" in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_tested_speaker_may_come_again_out_of_domain():
    design = make_design(WORDS)
    outside = items_of([("go", WORDS.groups[design.test[0]])], prefix="B")
    assert make_design(WORDS, outside).outside_test == (0,)


def test_speakers_to_be_told_apart_may_come_again_out_of_domain():
    people = items_of([(p, p) for p in ("ann", "bob") for _ in range(6)])
    outside = items_of([("ann", "ann"), ("bob", "bob")], prefix="B")
    assert make_design(people, outside, disjoint_by="session").outside_test == (0, 1)


def test_the_same_audio_under_two_speakers_is_an_error_that_lists_both_files():
    copied = Items(WORDS.keys, WORDS.labels, WORDS.groups, ("one recording",) * len(WORDS), WORDS.sessions)
    with pytest.raises(LeakError, match="the same audio is on the training and the test side"):
        make_design(copied)


def test_the_same_audio_in_the_pool_and_out_of_domain_is_an_error():
    index = make_design(WORDS).pool[0]
    outside = Items(("B",), (WORDS.labels[index],), ("other",), (WORDS.digests[index],), (None,))
    with pytest.raises(LeakError) as caught:
        make_design(WORDS, outside)
    assert caught.value.keys == ("B",)
    assert WORDS.keys[index] in (caught.value.got or "")


def test_a_session_of_the_pool_among_the_out_of_domain_items_is_an_error():
    people = items_of([(p, p, f"day {d}") for p in ("ann", "bob") for d in range(4)])
    index = make_design(people, disjoint_by="session").pool[0]
    again = items_of([(people.labels[index], people.groups[index], people.sessions[index])], prefix="B")
    with pytest.raises(LeakError, match="the same session"):
        make_design(people, again, disjoint_by="session")
    another = items_of([(people.labels[index], people.groups[index], "day 9")], prefix="B")
    assert make_design(people, another, disjoint_by="session").outside_test == (0,)


def test_a_label_whose_speakers_are_not_known_takes_no_part():
    design = make_design(items_of([(w, f"s{s}") for w in ("go", "up") for s in range(4)] + [("no", "")] * 2))
    assert dict(design.unused_classes) == {"no": "the group of none of its items is known"}
    assert set(design.left_out.values()) == {"its group is not known"}


def test_a_leak_crosses_from_a_worker_process_whole():
    leak = LeakError("the same audio", keys=["a"], trained=["b"], remedy="keep one")
    again = pickle.loads(pickle.dumps(leak))
    assert (str(again), again.keys) == (str(leak), ("a",))


def test_a_design_is_ready_for_json_and_crosses_to_a_worker_process():
    design = make_design(WORDS)
    assert json.loads(json.dumps(design.describe()))["test"] == [WORDS.keys[index] for index in design.test]
    assert pickle.loads(pickle.dumps(design)).describe() == design.describe()


def test_a_class_that_no_split_has_on_both_sides_takes_no_part():
    ring = items_of([(w, s) for w, pair in (("a", "12"), ("b", "23"), ("c", "31")) for s in pair for _ in range(2)])
    design = make_design(ring, shots=("all",))
    assert len(design.classes) == 2
    assert list(design.unused_classes.values()) == ["no split by group was found that has it on both sides"]


def test_shots_are_asked_in_any_order_and_more_than_once():
    design = make_design(WORDS, shots=("all", 5, 1, 5), draws=1)
    assert design.shots == (1, 5, "all")
    assert [draw.shots for draw in design.draws] == [1, 5, "all"]
    assert make_design(WORDS, shots=(1,), draws=1).draws_of("all") == ()
