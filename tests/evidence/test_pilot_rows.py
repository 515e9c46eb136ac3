"""Rows of a pilot: complete, paired, and without a number where there is none."""

from __future__ import annotations

import json

import numpy as np
import pytest

from mlflow_rank.evidence import pilot_rows, pilot_scores  # as a module: pytest takes its `tested_items` for a test
from mlflow_rank.evidence.pilot_rows import Encoders, scored_rows, unknown_rows
from mlflow_rank.evidence.pilot_scores import Cell, Scored, score_classes, score_pairs
from mlflow_rank.probes.design import make_design
from mlflow_rank.probes.group_intervals import difference, score
from mlflow_rank.probes.heads import HEADS
from mlflow_rank.probes.items import Items
from mlflow_rank.probes.predictions import LayerFeatures, predict
from mlflow_rank.probes.scores import replicates
from mlflow_rank.probes.tallies import class_tallies
from mlflow_rank.probes.tasks import parse_task

NAMES = {"task", "domain", "layer", "head", "shots", "metric"}
NUMBERS = {
    "score", "low", "high", "se", "n", "groups", "worst_group", "worst_group_name", "chance", "logmel", "random",
    "delta", "delta_low", "delta_high", "delta_paired",
    "delta_random", "delta_random_low", "delta_random_high", "delta_random_paired",
    "delta_logmel", "delta_logmel_low", "delta_logmel_high", "delta_logmel_paired", "resolvable", "labels",
}  # fmt: skip
DELTAS = ("delta", "delta_random", "delta_logmel")
PARTS = ("", "_low", "_high", "_paired")
ROW = NAMES | NUMBERS | {"status", "cause"}
CLASSES = ("go", "stop", "up")
TWO_HEADS = {name: HEADS[name] for name in ("ridge", "centroid")}


def items_of(speakers, *, prefix="", classes=CLASSES, each=4):
    rows = [(word, f"{prefix}s{s}", f"session {n}") for s in range(speakers) for word in classes for n in range(each)]
    labels, groups, sessions = zip(*rows, strict=True)
    keys = tuple(f"{prefix}{number:03d}" for number in range(len(rows)))
    return Items(keys, labels, groups, tuple(f"audio {key}" for key in keys), sessions)


def features_of(items, gap, seed, dim=5):
    """Noise with classes `gap` apart; 0 knows nothing."""
    found = np.random.default_rng(seed).normal(size=(len(items), dim))
    codes = {label: code for code, label in enumerate(sorted(set(items.labels)))}
    for row, label in enumerate(items.labels):
        found[row, codes[label] % dim] += gap
    return found


class Pilot:
    """A pilot of a candidate (two layers), a control, log-mel features and a champion, from arrays."""

    def __init__(self, task="keyword", inside=None, outside=None, **design):
        self.task, self.inside, self.outside = parse_task(task), inside or items_of(8), outside
        self.design = make_design(
            self.inside, outside, **{"shots": (1, "all"), "draws": 3, "disjoint_by": self.task.disjoint_by, **design}
        )
        self.candidate = self.scores({0: (1.0, 1), 1: (2.0, 2)})
        self.control = self.scores({0: (0.2, 3), 1: (0.5, 4)})
        self.log_mel = self.scores({0: (0.7, 5)})
        self.champion = self.scores({0: (1.2, 6), 1: (1.5, 7)})

    def scores(self, layers):
        features = {
            place: LayerFeatures(
                features_of(self.inside, gap, seed),
                features_of(self.outside, gap / 2, seed + 50) if self.outside else np.empty((0, 5)),
            )
            for place, (gap, seed) in layers.items()
        }
        predicted = predict(features, self.design, TWO_HEADS)
        scored = score_classes(self.task, pilot_scores.tested_items(self.design), predicted)
        return scored | score_pairs(self.task, self.design, features, predicted)

    def rows(self, reference=None):
        encoders = Encoders(
            self.candidate, self.control, self.log_mel, self.control if reference is None else reference
        )
        return scored_rows(self.task.name, encoders, classes=len(self.design.classes), outside=self.outside is not None)


@pytest.fixture(scope="module")
def pilot():
    return Pilot(outside=items_of(4, prefix="out "))


@pytest.fixture(scope="module")
def speakers():
    return Pilot("speaker", items_of(5, classes=("ann", "bob", "cid"), each=4), items_of(3, prefix="out "))


def cell_of(row):
    return Cell(row["layer"], row["head"], row["shots"], row["metric"])


@pytest.mark.parametrize("which", ["pilot", "speakers"])
def test_every_row_has_every_key_and_either_a_number_or_a_cause(which, request):
    rows = request.getfixturevalue(which).rows()
    assert {frozenset(row) for row in rows} == {frozenset(ROW)}
    names = [tuple(row[name] for name in sorted(NAMES)) for row in rows]
    assert len(set(names)) == len(names)
    for row in rows:
        assert (row["status"], row["cause"] is None, row["score"] is None) in (
            ("ok", True, False), ("unknown", False, True),
        )  # fmt: skip
        if row["status"] == "unknown":
            assert {row[name] for name in NUMBERS} == {None}
    json.dumps(rows, allow_nan=False)


def test_score_interval_and_sizes_are_those_of_the_replicates(pilot):
    for row in pilot.rows():
        if row["domain"] == "drop":
            continue
        own = score(pilot.candidate[cell_of(row)].found[row["domain"]])
        assert (row["score"], row["low"], row["high"], row["se"]) == (
            own.value, own.interval.low, own.interval.high, own.interval.se,
        )  # fmt: skip
        assert row["low"] <= row["score"] <= row["high"]
        assert (row["n"], row["groups"]) == (48, 4)  # half of 8 speakers inside, all 4 outside
        assert row["worst_group"] <= row["score"] + 1e-12
        assert row["worst_group_name"] in own_groups(pilot, row["domain"])
        assert row["chance"] == 1 / 3
        assert row["resolvable"] > row["se"]
        assert row["labels"] == (3.0 if row["shots"] == 1 else 48.0)


def own_groups(pilot, domain):
    items, test = (
        (pilot.inside, pilot.design.test) if domain == "in_domain" else (pilot.outside, pilot.design.outside_test)
    )
    return {items.groups[index] for index in test}


@pytest.mark.parametrize("which", ["pilot", "speakers"])
def test_random_and_logmel_are_those_encoders_own_scores_of_the_same_row(which, request):
    pilot = request.getfixturevalue(which)
    seen = set()
    for row in pilot.rows():
        if row["domain"] == "drop" or row["status"] != "ok":
            assert row["random"] is row["logmel"] is None
            continue
        cell, domain = cell_of(row), row["domain"]
        baseline = Cell(0, cell.head, cell.shots, cell.metric)
        assert row["random"] == score(pilot.control[cell].found[domain]).value
        assert row["logmel"] == score(pilot.log_mel[baseline].found[domain]).value
        seen.add((row["layer"], row["metric"], domain))
    assert {place for place, _, _ in seen} == {0, 1, "weighted_sum", "pilot_best"}
    assert {metric for _, metric, _ in seen} == set(pilot.task.metrics)


@pytest.mark.parametrize("which", ["pilot", "speakers"])
def test_delta_is_the_paired_difference_to_the_reference(which, request):
    pilot = request.getfixturevalue(which)
    for row in pilot.rows(pilot.champion):
        if row["domain"] == "drop" or row["status"] != "ok":
            assert row["delta"] is row["delta_low"] is row["delta_high"] is None
            continue
        cell, domain = cell_of(row), row["domain"]
        expected = difference(
            pilot.candidate[cell].found[domain], pilot.champion[cell].found[domain], pairing="same_items"
        )
        assert row["delta"] == expected.value
        assert (row["delta_low"], row["delta_high"]) == (expected.interval.low, expected.interval.high)
        assert row["delta"] == pytest.approx(row["score"] - score(pilot.champion[cell].found[domain]).value)


def columns(row, delta):
    return tuple(row[f"{delta}{part}"] for part in PARTS)


def in_columns(gained):
    return gained.value, gained.interval.low, gained.interval.high, gained.paired


@pytest.mark.parametrize("which", ["pilot", "speakers"])
def test_beside_a_champion_both_baselines_keep_their_differences(which, request):
    pilot = request.getfixturevalue(which)
    domains = set()
    for row in pilot.rows(pilot.champion):
        if row["domain"] == "drop" or row["status"] != "ok":
            assert {row[f"{delta}{part}"] for delta in DELTAS for part in PARTS} == {None}
            continue
        cell, domain = cell_of(row), row["domain"]
        others = (pilot.champion[cell], pilot.control[cell], pilot.log_mel[Cell(0, cell.head, cell.shots, cell.metric)])
        for delta, other in zip(DELTAS, others, strict=True):
            gained = difference(pilot.candidate[cell].found[domain], other.found[domain], pairing="same_items")
            assert columns(row, delta) == in_columns(gained)
        assert row["delta_random"] == pytest.approx(row["score"] - row["random"])
        assert row["delta_logmel"] == pytest.approx(row["score"] - row["logmel"])
        domains.add(domain)
    assert domains == {"in_domain", "out_of_domain"}


def test_without_a_champion_the_difference_to_the_control_is_taken_once(pilot, monkeypatch):
    taken = []
    monkeypatch.setattr(pilot_rows, "difference", lambda *a, **k: taken.append(a) or difference(*a, **k))
    rows = pilot.rows()
    assert all(columns(row, "delta") == columns(row, "delta_random") for row in rows)
    assert len(taken) == 5 * len(pilot.candidate)  # in each domain to random weights and to log-mel, and one drop


# four speakers who say each of two words once, told apart by how many of the two are heard rightly
WORD = Cell(0, "ridge", "all", "balanced_accuracy")


def heard(*hits, frames=1):
    """One draw of an encoder that hears so many of each speaker's two words rightly, each word so many frames long."""
    truth = np.tile([0, 1], len(hits))
    wrong = np.array([[right < 1, right < 2] for right in hits]).ravel()
    groups = [f"s{speaker}" for speaker in range(len(hits)) for _ in range(2 * frames)]
    tallies = class_tallies(truth.repeat(frames), (truth ^ wrong).repeat(frames)[None], groups, classes=2)
    return {WORD: Scored({"in_domain": replicates("balanced_accuracy", tallies)}, {}, 4.0)}


def row_of(candidate, control, log_mel, reference):
    (row,) = scored_rows("keyword", Encoders(candidate, control, log_mel, reference), classes=2, outside=False)
    return row


def test_differences_are_those_counted_by_hand():
    row = row_of(heard(2, 2, 2, 2), heard(2, 1, 1, 1), heard(2, 0, 0, 0), heard(1, 2, 2, 2))
    t = 3.182446305284263  # of 3 degrees of freedom, 97.5 %
    # Speakers differ by 0, ½, ½, ½: mean 3/8, and √(Σ(d - 3/8)² / (4·3)) = √((9 + 3)/64 / 12) = 1/8 is its error.
    assert columns(row, "delta_random") == pytest.approx((3 / 8, 3 / 8 - t / 8, 3 / 8 + t / 8, True))
    assert columns(row, "delta_logmel") == pytest.approx((3 / 4, 3 / 4 - t / 4, 1.0, True))  # twice that, and 1 at most
    assert columns(row, "delta") == pytest.approx((1 / 8, 1 / 8 - t / 8, 1 / 8 + t / 8, True))
    assert (row["score"], row["random"], row["logmel"]) == (1.0, 5 / 8, 1 / 4)


@pytest.mark.parametrize("coarse", DELTAS)
def test_another_frame_rate_is_marked_unpaired_and_widens_only_that_difference(coarse):
    candidate = heard(2, 2, 1, 2, frames=4)
    row = row_of(
        candidate, *(heard(1, 2, 1, 1, frames=2 if coarse == delta else 4) for delta in DELTAS[1:] + DELTAS[:1])
    )
    unpaired = difference(
        candidate[WORD].found["in_domain"], heard(1, 2, 1, 1, frames=2)[WORD].found["in_domain"], pairing="other_items"
    )
    assert columns(row, coarse) == in_columns(unpaired)
    for delta in DELTAS:
        assert row[f"{delta}_paired"] is (delta != coarse)
        assert row[delta] == pytest.approx(1 / 4)


def test_where_the_other_has_no_interval_the_difference_has_none():
    row = row_of(heard(2, 2, 1, 2), heard(1, frames=2), {}, {})  # one speaker only
    assert columns(row, "delta_random") == (pytest.approx(3 / 8), None, None, False)


def test_an_encoder_compared_with_itself_differs_by_nothing(pilot):
    for row in pilot.rows(pilot.candidate):
        if row["domain"] != "drop":
            assert row["delta"] == 0.0
            assert row["delta_low"] < 0.0 < row["delta_high"]


def test_the_drop_is_what_is_lost_outside(pilot):
    rows = {(row["domain"], cell_of(row)): row for row in pilot.rows()}
    drops = [(cell, row) for (domain, cell), row in rows.items() if domain == "drop"]
    assert len(drops) == len(pilot.candidate)
    for cell, row in drops:
        inside, outside = rows["in_domain", cell], rows["out_of_domain", cell]
        assert row["score"] == pytest.approx(inside["score"] - outside["score"], abs=1e-12)
        assert row["low"] <= row["score"] <= row["high"]
        assert (row["n"], row["groups"]) == (inside["n"] + outside["n"], inside["groups"] + outside["groups"])
    clear = rows["drop", Cell(1, "ridge", "all", "balanced_accuracy")]
    assert clear["low"] > 0  # its classes are half as far apart outside


def test_without_a_reference_or_a_baseline_those_columns_are_empty(pilot):
    rows = scored_rows("keyword", Encoders(pilot.candidate, {}, {}, {}), classes=3, outside=False)
    assert {row["domain"] for row in rows} == {"in_domain"}
    for row in rows:
        assert {row[name] for name in ("logmel", "random")} == {None}
        assert {row[f"{delta}{part}"] for delta in DELTAS for part in PARTS} == {None}
        assert row["status"] == "ok"


def test_a_champion_is_no_baseline(pilot):
    rows = scored_rows("keyword", Encoders(pilot.candidate, {}, {}, pilot.champion), classes=3, outside=True)
    for row in rows:
        assert (None in columns(row, "delta")) == (row["domain"] == "drop")
        assert {*columns(row, "delta_random"), *columns(row, "delta_logmel")} == {None}


def test_a_baseline_of_one_domain_is_absent_in_the_other(pilot):
    inside = {
        cell: Scored({"in_domain": each.found["in_domain"]}, {"out_of_domain": "not heard"}, each.labels)
        for cell, each in pilot.control.items()
    }
    for row in scored_rows("keyword", Encoders(pilot.candidate, inside, {}, inside), classes=3, outside=True):
        for delta in ("delta", "delta_random"):
            assert (columns(row, delta) == (None,) * 4) == (row["domain"] != "in_domain")


def test_a_single_group_to_test_on_gives_a_cause_and_no_number():
    alone = Pilot(inside=items_of(2))  # one speaker to train on, one to test on
    for row in alone.rows():
        assert row["status"] == "unknown"
        assert row["cause"].startswith("one group only (s")
        assert row["score"] is None


def test_an_outside_without_a_known_class_gives_a_cause_and_no_number_there():
    pilot = Pilot(outside=items_of(4, prefix="out ", classes=("left", "right")))
    for row in pilot.rows():
        if row["domain"] == "in_domain":
            assert row["status"] == "ok"
        else:
            assert row["cause"].startswith("no out-of-domain item carries a label that is trained in domain")


def test_speakers_unknown_inside_are_verified_but_not_identified_outside(speakers):
    status = {(row["domain"], row["metric"]): row["status"] for row in speakers.rows() if row["layer"] == 1}
    for domain in ("out_of_domain", "drop"):
        assert status[domain, "balanced_accuracy"] == "unknown"
        assert status[domain, "eer_cosine"] == status[domain, "eer_probe"] == "ok"


def test_verification_knows_one_number_of_labels(speakers):
    pairs = {(row["head"], row["shots"], row["metric"]) for row in speakers.rows() if row["metric"].startswith("eer")}
    assert pairs == {("cosine", "all", "eer_cosine"), ("ridge", "all", "eer_probe"), ("centroid", "all", "eer_probe")}
    assert {row["labels"] for row in speakers.rows() if row["metric"] == "eer_cosine" and row["score"]} == {0.0}
    assert {row["chance"] for row in speakers.rows() if row["metric"] == "eer_cosine" and row["chance"]} == {0.5}


def test_what_was_not_scored_has_a_row_with_its_cause():
    rows = unknown_rows("keyword", [0, 3], ["ridge", "centroid"], {5: "too few", 20: "far too few"}, ["macro_f1"])
    assert {frozenset(row) for row in rows} == {frozenset(ROW)}
    assert [(row["layer"], row["head"], row["shots"], row["cause"]) for row in rows] == [
        (layer, head, shots, cause)
        for layer in (0, 3)
        for head in ("ridge", "centroid")
        for shots, cause in ((5, "too few"), (20, "far too few"))
    ]
    assert all({row[name] for name in NUMBERS} == {None} and row["domain"] == "in_domain" for row in rows)


def test_sessions_that_leave_each_speaker_one_in_the_test_are_no_trials():
    two = items_of(5, classes=("ann", "bob", "cid"), each=4)
    two = Items(two.keys, two.labels, two.groups, two.digests, tuple(f"session {n % 2}" for n in range(len(two))))
    for row in Pilot("speaker", two).rows():
        assert (row["status"] == "unknown") == (row["metric"] == "eer_probe")  # by cosine there are pairs with the pool
        assert row["status"] == "ok" or row["cause"].startswith("no speaker has two test utterances to compare")


def test_a_perfect_score_of_many_groups_has_an_interval():
    # 12 groups: the jackknife of a dozen equal scores is 5e-16, not 0
    truth = np.tile([0, 1, 2, 3], 12)
    tallies = class_tallies(truth, truth[None], [f"s{n // 4:02d}" for n in range(48)], classes=4)
    found = score(replicates("balanced_accuracy", tallies))
    assert found.value == found.interval.high == 1.0
    assert 0.8 < found.interval.low < 1.0
