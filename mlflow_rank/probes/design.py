"""Which items are tested and which are trained on: fixed once, for every layer, model and checkpoint alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mlflow_rank.errors import UsageError
from mlflow_rank.probes.items import Items, listed
from mlflow_rank.probes.leaks import ensure_no_shared_audio, ensure_no_shared_units
from mlflow_rank.probes.refusals import RefusedError
from mlflow_rank.probes.seeded_order import spread
from mlflow_rank.probes.split import units_to_test

Shots: TypeAlias = "int | Literal['all']"
DisjointBy: TypeAlias = Literal["group", "session", "item"]
SHOTS: tuple[Shots, ...] = (1, 5, 10, 20, "all")
BETWEEN = "\x1f"  # joins speaker and session: two speakers' first sessions are two sessions


@dataclass(frozen=True, slots=True)
class Draw:
    """One choice of training items: `items` are indices into the inside items, in the order of their keys."""

    shots: Shots
    number: int
    items: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Design:
    """The test set, the pool of training items and the draws from it; indices in the order of the items' keys.

    `classes` are the labels in use, sorted: their positions are the class codes. `test` and `pool` index `inside`,
    `outside_test` indexes `outside` (items of a class known inside; `outside_cause` says why there are none).
    `units` names, for every inside item, what is never on both sides and what heads leave out together when they
    choose their penalty: the group, the session of a speaker, or the recording. `refusals` says for which shots there
    is no draw and why; `unused_classes` and `left_out` (by key) say what takes no part and why. `disjoint_by` is how
    items were split, `asked_disjoint_by` how it was asked (sessions that nobody knows make `session` an `item`).
    """

    inside: Items
    outside: Items | None
    classes: tuple[str, ...]
    test: tuple[int, ...]
    pool: tuple[int, ...]
    outside_test: tuple[int, ...]
    outside_cause: str
    draws: tuple[Draw, ...]
    units: tuple[str, ...]
    refusals: Mapping[Shots, str]
    unused_classes: Mapping[str, str]
    left_out: Mapping[str, str]
    shots: tuple[Shots, ...]
    seed: int
    test_share: float
    disjoint_by: DisjointBy
    asked_disjoint_by: DisjointBy

    def class_codes(self, items: Items) -> NDArray[np.intp]:
        """Return the class code of every item, (len(items),); −1 where its label is not in use."""
        code = {label: number for number, label in enumerate(self.classes)}
        return np.array([code.get(label, -1) for label in items.labels], dtype=np.intp)

    def draws_of(self, shots: Shots) -> tuple[Draw, ...]:
        """Return the draws with so many shots; none where `refusals` has a cause."""
        return tuple(draw for draw in self.draws if draw.shots == shots)

    def describe(self) -> dict[str, Any]:
        """Return the design with the keys of its items, ready for JSON: the same for any order of the items."""
        inside, outside = self.inside.keys, self.outside.keys if self.outside else ()
        return {
            "seed": self.seed,
            "shots": list(self.shots),
            "test_share": self.test_share,
            "disjoint_by": self.disjoint_by,
            "asked_disjoint_by": self.asked_disjoint_by,
            "classes": list(self.classes),
            "unused_classes": dict(self.unused_classes),
            "left_out": dict(self.left_out),
            "refusals": {str(shots): cause for shots, cause in self.refusals.items()},
            "test": [inside[index] for index in self.test],
            "pool": [inside[index] for index in self.pool],
            "outside_test": [outside[index] for index in self.outside_test],
            "outside_cause": self.outside_cause,
            "draws": [
                {"shots": draw.shots, "draw": draw.number, "items": [inside[index] for index in draw.items]}
                for draw in self.draws
            ],
        }


def make_design(
    inside: Items,
    outside: Items | None = None,
    *,
    shots: Sequence[Shots] = SHOTS,
    draws: int = 10,
    seed: int = 0,
    test_share: float = 0.5,
    disjoint_by: DisjointBy = "group",
) -> Design:
    """Return the design of a pilot trained on `inside` and tested on the rest of it and on `outside`.

    `disjoint_by` is what is never on both sides: the `group`; the `session` of a speaker (labels are speakers); or the
    `item`, that is the recording with its copies. About `test_share` of these are tested, and every class is kept on
    both sides where that can be done. Draws of one number are nested (the items of 5 shots are among those of 10) and
    take evenly from the groups or sessions; `all` is one draw of the whole pool. Everything is decided by names and
    seed: the order of items changes nothing.

    Raises RefusedError where the task cannot be scored at all, LeakError (a UsageError) where audio or a unit would be
    on both sides, UsageError for values out of range.
    """
    _ensure_valid(shots, draws, test_share)
    asked = disjoint_by
    if disjoint_by == "session" and not any(inside.sessions):
        disjoint_by = "item"
    units = _units(inside, disjoint_by)
    left_out = {
        key: f"its {disjoint_by} is not known" for key, unit in zip(inside.keys, units, strict=True) if not unit
    }
    order = sorted(range(len(inside)), key=inside.keys.__getitem__)
    present = [index for index in order if units[index]]
    unused = _unsplittable(inside, units, present, disjoint_by)
    usable = [index for index in present if inside.labels[index] not in unused]
    chosen = units_to_test(
        [inside.labels[index] for index in usable], [units[index] for index in usable], share=test_share, seed=seed
    )
    sides: tuple[list[int], list[int]] = ([], [])
    for index in usable:
        sides[units[index] in chosen].append(index)
    common = {inside.labels[index] for index in sides[0]} & {inside.labels[index] for index in sides[1]}
    for label in sorted({inside.labels[index] for index in usable} - common):
        unused[label] = f"no split by {disjoint_by} was found that has it on both sides"
    _ensure_two(common, unused, disjoint_by)
    pool, test = (tuple(index for index in side if inside.labels[index] in common) for side in sides)
    asked_shots: tuple[Shots, ...] = tuple(sorted({k for k in shots if k != "all"}))
    asked_shots += ("all",) if "all" in shots else ()
    drawn, refusals = _draws(inside, units, pool, asked_shots, draws, seed)
    outside_test, outside_cause = _outside_test(outside, common)
    ensure_no_shared_audio(inside, pool, inside, test)
    if outside is not None:
        ensure_no_shared_audio(inside, pool, outside, outside_test)
        if disjoint_by != "item":
            both = (units, _units(outside, disjoint_by))
            tested = [index for index in outside_test if both[1][index]]
            ensure_no_shared_units(inside, pool, outside, tested, unit=disjoint_by, units=both)
    return Design(
        inside=inside,
        outside=outside,
        classes=tuple(sorted(common)),
        test=test,
        pool=pool,
        outside_test=outside_test,
        outside_cause=outside_cause,
        draws=drawn,
        units=units,
        refusals=refusals,
        unused_classes=unused,
        left_out=left_out,
        shots=asked_shots,
        seed=seed,
        test_share=test_share,
        disjoint_by=disjoint_by,
        asked_disjoint_by=asked,
    )


def _ensure_valid(shots: Sequence[Shots], draws: int, test_share: float) -> None:
    odd = [k for k in shots if k != "all" and (not isinstance(k, int) or isinstance(k, bool) or k < 1)]
    if odd or not shots:
        raise UsageError("no such number of shots", got=str(odd or "none"), expected="1 or more per class, or 'all'")
    if draws < 1:
        raise UsageError("too few draws", got=str(draws), expected="1 or more; 10 show how much the choice matters")
    if not 0.0 < test_share < 1.0:
        raise UsageError("no such share to test", got=f"{test_share:g}", expected="above 0 and below 1")


def _units(items: Items, disjoint_by: DisjointBy) -> tuple[str, ...]:
    """Return the unit of every item; empty text where its session is not known."""
    if disjoint_by == "group":
        return items.groups
    if disjoint_by == "item":
        return items.digests  # copies of one recording are one
    return tuple(
        f"{label}{BETWEEN}{session}" if session else ""
        for label, session in zip(items.labels, items.sessions, strict=True)
    )


def _unsplittable(items: Items, units: Sequence[str], present: Sequence[int], by: DisjointBy) -> dict[str, str]:
    """Return the labels that no split can have on both sides, with the cause; raise RefusedError where none is left."""
    if not len(items):
        raise RefusedError("there are no labelled items", remedy="give a manifest whose rows carry the label")
    counts = Counter(items.labels)
    if len(counts) == 1:
        raise RefusedError(f"every item carries the label {items.labels[0]!r}", remedy="label a second class")
    if max(counts.values()) == 1:
        raise RefusedError(
            "no class has two items", remedy="label at least two items of each class, by different speakers"
        )
    if not present:
        raise RefusedError(f"the {by} of no item is known", remedy="name it in the manifest, or split by item")
    if by == "group" and len(set(items.groups)) == 1:
        raise RefusedError(
            f"every item is of one group, {items.groups[0]!r}: no other is left to test on",
            remedy="add labelled items of other speakers, or split by item, which tests this one voice only",
        )
    of_label: dict[str, set[str]] = {label: set() for label in counts}
    for index in present:
        of_label[items.labels[index]].add(units[index])
    unused = {}
    for label in sorted(of_label):
        if counts[label] == 1:
            unused[label] = "one item only"
        elif not of_label[label]:
            unused[label] = f"the {by} of none of its items is known"
        elif len(of_label[label]) == 1:
            unused[label] = f"all its items are of one {'recording' if by == 'item' else by}"
    _ensure_two(set(of_label) - set(unused), unused, by)
    return unused


def _ensure_two(classes: set[str], unused: Mapping[str, str], by: DisjointBy) -> None:
    if len(classes) < 2:
        causes = listed(f"{label!r}: {cause}" for label, cause in unused.items())
        raise RefusedError(
            f"fewer than two classes can be trained and tested apart by {by} ({causes})",
            remedy="label more items"
            + {
                "group": " of these classes by other speakers",
                "session": " from other sessions, or split by item",
                "item": " of these classes",
            }[by],
        )


def _draws(
    items: Items, units: Sequence[str], pool: Sequence[int], shots: Sequence[Shots], draws: int, seed: int
) -> tuple[tuple[Draw, ...], dict[Shots, str]]:
    of_label: dict[str, list[int]] = {}
    for index in pool:
        of_label.setdefault(items.labels[index], []).append(index)
    scarcest = min(sorted(of_label), key=lambda label: len(of_label[label]))
    enough = len(of_label[scarcest])
    refusals: dict[Shots, str] = {
        k: f"class {scarcest!r} has {enough} training label{'s' * (enough > 1)}, {k} asked"
        for k in shots
        if k != "all" and k > enough
    }
    drawn: list[Draw] = []
    numbers = [k for k in shots if k != "all" and k not in refusals]
    for number in range(draws if numbers else 0):
        orders = [
            [
                members[position]
                for position in spread(
                    [items.keys[i] for i in members], [units[i] for i in members], seed, "draw", number, label
                )
            ]
            for label, members in of_label.items()
        ]
        for k in numbers:
            taken = [index for order in orders for index in order[: int(k)]]
            drawn.append(Draw(k, number, tuple(sorted(taken, key=items.keys.__getitem__))))
    if "all" in shots:
        drawn.append(Draw("all", 0, tuple(pool)))
    return tuple(drawn), refusals


def _outside_test(outside: Items | None, classes: set[str]) -> tuple[tuple[int, ...], str]:
    if outside is None:
        return (), "no out-of-domain items were given"
    order = sorted(range(len(outside)), key=outside.keys.__getitem__)
    tested = tuple(index for index in order if outside.labels[index] in classes)
    unknown = "no out-of-domain item carries a label that is trained in domain"
    return tested, "" if tested else f"{unknown} ({listed(sorted(classes))})"
