"""Which sequences are tested and which are learned from: by names and seed, whole groups, nothing on both sides."""

from __future__ import annotations

import random
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from mlflow_rank.errors import UsageError
from mlflow_rank.probes.design import Design
from mlflow_rank.probes.items import Items
from mlflow_rank.probes.leaks import LeakError
from mlflow_rank.probes.refusals import RefusedError
from mlflow_rank.probes.sequence_design import NO_SHOTS, sequence_design

GROUPS = ("ann", "bob", "cid", "dot")
Sequences = dict[str, tuple[str, ...]]


def items(groups: tuple[str, ...] = GROUPS, each: int = 3, order: random.Random | None = None) -> Items:
    named = [(f"{group}{number}", group) for group in groups for number in range(each)]
    if order is not None:
        order.shuffle(named)
    keys, owners = zip(*named, strict=True)
    return Items(keys, ("sequence",) * len(keys), owners, tuple(f"d-{key}" for key in keys), (None,) * len(keys))


def spelled(of: Items, phones: tuple[str, ...] = ("a", "b")) -> Sequences:
    return dict.fromkeys(of.keys, phones)


def design(inside: Items, sequences: Sequences | None = None, outside: Items | None = None, **more: Any) -> Design:
    given = {"shots": ("all",), "seed": 0, "test_share": 0.5} | more
    said = spelled(inside) if sequences is None else sequences
    return sequence_design(inside, outside, said, {} if outside is None else spelled(outside), **given)


@hypothesis.given(seed=st.integers(0, 50), share=st.floats(0.05, 0.95), groups=st.integers(2, 12))
def test_whole_groups_are_tested_and_all_others_are_learned_from(seed: int, share: float, groups: int) -> None:
    inside = items(tuple(f"speaker{number:02d}_" for number in range(groups)))
    found = design(inside, seed=seed, test_share=share)
    tested, learned = ({inside.groups[index] for index in side} for side in (found.test, found.pool))
    assert tested
    assert learned
    assert not tested & learned
    assert sorted((*found.test, *found.pool)) == list(range(len(inside)))
    assert abs(len(tested) - share * groups) <= 1
    assert [(draw.shots, draw.items) for draw in found.draws] == [("all", found.pool)]


@hypothesis.given(seed=st.integers(0, 20))
def test_the_order_of_items_changes_nothing(seed: int) -> None:
    inside = items()
    mixed = items(order=random.Random(seed))
    assert design(mixed, seed=3).describe() == design(inside, seed=3).describe()


def test_codes_are_the_phones_learned_from_and_the_others_are_named() -> None:
    inside = items()
    sides = design(inside)
    said = spelled(inside) | {inside.keys[sides.test[0]]: ("ʒ", "a", "ʒ"), inside.keys[sides.pool[0]]: ("c",)}
    found = design(inside, said)
    assert found.classes == ("a", "b", "c")
    assert found.unused_classes == {"ʒ": "in no training sequence; 2 tested, each an error"}


def test_numbers_of_shots_are_refused_by_name_and_all_is_needed() -> None:
    found = design(items(), shots=("all", 5, 1))
    assert found.shots == (1, 5, "all")
    assert found.refusals == {1: NO_SHOTS, 5: NO_SHOTS}
    with pytest.raises(RefusedError) as raised:
        design(items(), shots=(1, 5))
    assert "--shots all" in str(raised.value.remedy)


def test_silent_utterances_and_those_that_cannot_be_learned_from_are_left_out_with_a_cause() -> None:
    inside = items()
    sides = design(inside)
    silent, hasty = inside.keys[sides.pool[0]], inside.keys[sides.pool[1]]
    tested = inside.keys[sides.test[0]]
    fast = dict.fromkeys((hasty, tested), "too fast")
    found = design(inside, spelled(inside) | {silent: ()}, unlearnable=fast)
    assert found.left_out == {silent: "no phone in its sequence", hasty: "too fast"}
    assert {inside.keys[index] for index in found.pool} == {inside.keys[at] for at in sides.pool} - {silent, hasty}
    assert found.test == sides.test


def test_another_domain_is_tested_whole_and_without_phones_says_so() -> None:
    inside, outside = items(), items(("eve", "fay"), each=2)
    assert design(inside).outside_cause == "no out-of-domain items were given"
    found = design(inside, outside=outside)
    assert (found.outside_test, found.outside_cause) == ((0, 1, 2, 3), "")
    silent = sequence_design(
        inside, outside, spelled(inside), spelled(outside, ()), shots=("all",), seed=0, test_share=0.5
    )
    assert (silent.outside_test, silent.outside_cause) == ((), "no out-of-domain sequence has a phone in it")


@pytest.mark.parametrize(
    ("inside", "changes", "what"),
    [
        (items(("ann",)), {}, "every sequence is of one group, 'ann'"),
        (items(), {"sequences": spelled(items(), ())}, "no sequence has a phone in it"),
        (
            items(),
            {"unlearnable": dict.fromkeys(items().keys, "too fast")},
            "no sequence can be learned from (too fast)",
        ),
    ],
)
def test_labels_that_give_no_number_are_refused(inside: Items, changes: dict[str, Any], what: str) -> None:
    with pytest.raises(RefusedError) as raised:
        design(inside, **changes)
    assert raised.value.what.startswith(what)
    assert raised.value.remedy


def test_the_same_audio_on_both_sides_is_a_leak_that_names_it() -> None:
    inside = items()
    sides = design(inside)
    digests = list(inside.digests)
    digests[sides.test[0]] = digests[sides.pool[0]]
    copied = Items(inside.keys, inside.labels, inside.groups, tuple(digests), inside.sessions)
    with pytest.raises(LeakError) as raised:
        design(copied)
    assert raised.value.keys == (inside.keys[sides.test[0]],)
    outside = items(("eve", "fay"))
    elsewhere = Items(
        outside.keys, outside.labels, outside.groups, (digests[sides.pool[1]], *outside.digests[1:]), outside.sessions
    )
    with pytest.raises(LeakError, match="same audio"):
        design(inside, outside=elsewhere)


def test_a_speaker_learned_from_in_another_domain_is_a_leak_and_one_tested_is_none() -> None:
    inside = items()
    sides = design(inside)
    for side, leaks in ((sides.pool, True), (sides.test, False)):
        known = inside.groups[side[0]]
        outside = Items(("x",), ("sequence",), (known,), ("d-x",), (None,))
        if leaks:
            with pytest.raises(LeakError, match="same group"):
                design(inside, outside=outside)
        else:
            assert design(inside, outside=outside).outside_test == (0,)


@pytest.mark.parametrize("share", [0.0, 1.0, -1.0])
def test_a_share_outside_its_range_is_no_share(share: float) -> None:
    with pytest.raises(UsageError, match="no such share"):
        design(items(), test_share=share)
