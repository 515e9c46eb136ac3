"""The design of a pilot on sequences of phones without times: whole groups are tested, all others are learned from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType

from mlflow_rank.errors import UsageError
from mlflow_rank.probes.design import Design, Draw, Shots
from mlflow_rank.probes.items import Items, listed
from mlflow_rank.probes.leaks import ensure_no_shared_audio, ensure_no_shared_units
from mlflow_rank.probes.refusals import RefusedError
from mlflow_rank.probes.split import units_to_test

NO_SHOTS = "shots count labels of a class, and a sequence without times has none: only 'all' is learned from"
SPELLED = "sequence"  # the one label of every item: what a split has to keep on both sides
UNSPELLED = "no phone in its sequence"


def sequence_design(
    inside: Items,
    outside: Items | None,
    sequences: Mapping[str, Sequence[str]],
    outside_sequences: Mapping[str, Sequence[str]],
    *,
    shots: Sequence[Shots],
    seed: int,
    test_share: float,
    unlearnable: Mapping[str, str] = MappingProxyType({}),
) -> Design:
    """Return the design: about `test_share` of the groups are tested, the others' sequences are one draw, `all`.

    Items without a phone take no part. `classes` are the phones that are learned from, sorted: their positions are
    their codes; `unused_classes` are those that are only tested, each an error that no head can avoid. Numbers of shots
    other than `all` are refused by name. Everything is decided by names and seed.

    Args:
        inside: utterances, their digests those of the audio; labels are not read.
        outside: of another domain, only tested; None where there is none.
        sequences: the phones of the inside items by key, silence taken out.
        outside_sequences: likewise of the outside items.
        shots: what was asked for.
        seed: of the split.
        test_share: share of the groups.
        unlearnable: the keys of inside items that can be tested but not learned from, and why.

    Raises:
        RefusedError: no phones, one group only, nothing to learn from, or nothing but numbers of shots asked for.
        LeakError: audio or a group is on both sides.
        UsageError: no share.
    """
    if not 0.0 < test_share < 1.0:
        raise UsageError("no such share to test", got=f"{test_share:g}", expected="above 0 and below 1")
    asked: tuple[Shots, ...] = tuple(sorted({k for k in shots if k != "all"}))
    if "all" not in shots:
        raise RefusedError(NO_SHOTS, remedy="ask for --shots all, or give phones with times")
    spelled = _spelled(inside, sequences)
    if not spelled:
        raise RefusedError("no sequence has a phone in it", remedy="give phones, not only silence, in phone_sequence")
    groups = sorted({inside.groups[index] for index in spelled})
    if len(groups) == 1:
        raise RefusedError(
            f"every sequence is of one group, {groups[0]!r}: no other is left to test on",
            remedy="add sequences of other speakers",
        )
    chosen = units_to_test(
        [SPELLED] * len(spelled), [inside.groups[index] for index in spelled], share=test_share, seed=seed
    )
    trained = [index for index in spelled if inside.groups[index] not in chosen]
    pool = tuple(index for index in trained if inside.keys[index] not in unlearnable)
    if not pool:
        raise RefusedError(
            f"no sequence can be learned from ({listed(sorted(set(unlearnable.values())))})",
            remedy="check that the symbols belong to this audio",
        )
    test = tuple(index for index in spelled if inside.groups[index] in chosen)
    outside_test = () if outside is None else tuple(_spelled(outside, outside_sequences))
    ensure_no_shared_audio(inside, pool, inside, test)
    if outside is not None:
        ensure_no_shared_audio(inside, pool, outside, outside_test)
        ensure_no_shared_units(inside, pool, outside, outside_test, unit="group", units=(inside.groups, outside.groups))
    learned = {phone for index in pool for phone in sequences[inside.keys[index]]}
    return Design(
        inside=inside,
        outside=outside,
        classes=tuple(sorted(learned)),
        test=test,
        pool=pool,
        outside_test=outside_test,
        outside_cause=_outside_cause(outside, outside_test),
        draws=(Draw("all", 0, pool),),
        units=inside.groups,
        refusals=dict.fromkeys(asked, NO_SHOTS),
        unused_classes=_unheard(learned, [sequences[inside.keys[index]] for index in test]),
        left_out={
            **{key: UNSPELLED for key in inside.keys if not sequences[key]},
            **{inside.keys[index]: unlearnable[inside.keys[index]] for index in trained if index not in set(pool)},
        },
        shots=(*asked, "all"),
        seed=seed,
        test_share=test_share,
        disjoint_by="group",
        asked_disjoint_by="group",
    )


def _spelled(items: Items, sequences: Mapping[str, Sequence[str]]) -> list[int]:
    order = sorted(range(len(items)), key=items.keys.__getitem__)
    return [index for index in order if sequences[items.keys[index]]]


def _unheard(learned: Collection[str], tested: Sequence[Sequence[str]]) -> dict[str, str]:
    counts = Counter(phone for each in tested for phone in each if phone not in learned)
    return {phone: f"in no training sequence; {count} tested, each an error" for phone, count in sorted(counts.items())}


def _outside_cause(outside: Items | None, tested: Sequence[int]) -> str:
    if outside is None:
        return "no out-of-domain items were given"
    return "" if tested else "no out-of-domain sequence has a phone in it"
