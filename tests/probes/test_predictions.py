"""What heads make of test items: known answers, and a choice of layer in which the test items have no say."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from mlflow_rank.errors import UsageError
from mlflow_rank.probes.design import make_design
from mlflow_rank.probes.group_intervals import score
from mlflow_rank.probes.heads import HEADS
from mlflow_rank.probes.items import Items
from mlflow_rank.probes.predictions import PILOT_BEST, WEIGHTED_SUM, LayerFeatures, predict
from mlflow_rank.probes.scores import replicates
from mlflow_rank.probes.tallies import class_tallies

CLASSES, SPEAKERS, EACH = ("go", "stop", "up"), 8, 6
TWO_HEADS = {name: HEADS[name] for name in ("ridge", "centroid")}


def items_of(prefix="", speakers=SPEAKERS):
    rows = [(word, f"{prefix}s{s}") for s in range(speakers) for word in CLASSES for _ in range(EACH)]
    keys = tuple(f"{prefix}{number:03d}" for number in range(len(rows)))
    labels, groups = zip(*rows, strict=True)
    return Items(keys, labels, groups, tuple(f"audio {key}" for key in keys), (None,) * len(rows))


INSIDE, OUTSIDE = items_of(), items_of("out ", speakers=4)


def noise(count, dim, seed):
    return np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)


def separable(items, dim, seed, gap=20.0):
    """Noise of variance 1 with classes `gap` apart along the first dimensions."""
    features = noise(len(items), dim, seed)
    for row, label in enumerate(items.labels):
        features[row, CLASSES.index(label)] += gap
    return features


def layer(make, dim, seed):
    return LayerFeatures(make(INSIDE, dim, seed), make(OUTSIDE, dim, seed + 100))


def random(items, dim, seed):
    return noise(len(items), dim, seed)


def design_of(**more):
    return make_design(INSIDE, OUTSIDE, **{"shots": (1, 5, "all"), "draws": 4, **more})


def scores_of(design, each):
    found = []
    for items, test, called in (
        (design.inside, design.test, each.inside),
        (design.outside, design.outside_test, each.outside),
    ):
        truth = design.class_codes(items)[list(test)]
        tallies = class_tallies(truth, called, [items.groups[index] for index in test], classes=len(design.classes))
        found.append(score(replicates("balanced_accuracy", tallies)))
    return found


def test_separable_labels_score_one_on_every_row():
    design = design_of(draws=2)
    # A dimension for each class and none beside: from one item per class, standardising makes any other as wide.
    layers = {0: layer(separable, 3, 1), 3: layer(separable, 3, 2)}
    predicted = predict(layers, design, HEADS)
    rows = {(each.layer, each.head, each.shots) for each in predicted}
    expected = {
        (place, head, shots)
        for head in HEADS
        for shots in (1, 5, "all")
        for place in (0, 3, PILOT_BEST, *((WEIGHTED_SUM,) if head == next(iter(HEADS)) else ()))
    }
    assert rows == expected
    for each in predicted:
        assert [one.value for one in scores_of(design, each)] == [1.0, 1.0], (each.layer, each.head, each.shots)


def test_labels_that_features_know_nothing_of_score_chance_within_the_interval():
    design = design_of()
    predicted = predict({0: layer(random, 6, 1), 1: layer(random, 6, 2)}, design, TWO_HEADS)
    inside = 0
    for each in predicted:
        for one in scores_of(design, each):
            assert one.interval.low < one.interval.high
            assert abs(one.value - 1 / 3) < 0.2
            inside += one.interval.low <= 1 / 3 <= one.interval.high
    assert inside >= 0.9 * 2 * len(predicted)  # of 95 % intervals


def test_the_best_layer_is_chosen_without_a_look_at_the_test_items():
    design = design_of()
    weak = LayerFeatures(separable(INSIDE, 6, 5, gap=1.0), separable(OUTSIDE, 6, 6, gap=1.0))
    strong = LayerFeatures(separable(INSIDE, 6, 7, gap=4.0), separable(OUTSIDE, 6, 8, gap=4.0))
    layers = {0: weak, 1: strong}
    swapped = {}
    for position, own, other in ((0, weak, strong), (1, strong, weak)):
        inside = own.inside.copy()
        inside[list(design.test)] = other.inside[list(design.test)]  # in testing, the other layer is the better one
        swapped[position] = LayerFeatures(inside, other.outside)
    before, after = (
        {(each.head, each.shots): each for each in predict(given, design, TWO_HEADS) if each.layer == PILOT_BEST}
        for given in (layers, swapped)
    )
    assert before.keys() == after.keys()
    for row, each in before.items():
        assert each.chosen == after[row].chosen
        assert len(each.chosen) == len(design.draws_of(each.shots))
    assert before["ridge", "all"].chosen == (1,)
    assert scores_of(design, before["ridge", "all"])[0].value > scores_of(design, after["ridge", "all"])[0].value


def test_pilot_best_calls_what_the_chosen_layer_calls_draw_by_draw():
    design = design_of()
    layers = {4: layer(random, 5, 3), 2: LayerFeatures(separable(INSIDE, 5, 4, 1.5), separable(OUTSIDE, 5, 5, 1.5))}
    predicted = {(each.layer, each.shots): each for each in predict(layers, design, {"ridge": HEADS["ridge"]})}
    for shots in (1, 5, "all"):
        best = predicted[PILOT_BEST, shots]
        for draw, chosen in enumerate(best.chosen):
            np.testing.assert_array_equal(best.values[draw], predicted[chosen, shots].values[draw])
            np.testing.assert_array_equal(best.outside[draw], predicted[chosen, shots].outside[draw])


def test_one_shot_leaves_nothing_to_choose_a_layer_by_so_it_is_the_first():
    # Without its one item a class has none, so no item can be predicted by the others.
    design = design_of(shots=(1,))
    layers = {2: layer(separable, 5, 3), 1: layer(separable, 5, 4)}
    (best,) = (each for each in predict(layers, design, {"ridge": HEADS["ridge"]}) if each.layer == PILOT_BEST)
    assert set(best.chosen) == {1}


def test_layers_of_different_widths_have_no_weighted_sum_but_all_else():
    predicted = predict({0: layer(random, 5, 1), 1: layer(random, 6, 2)}, design_of(), {"ridge": HEADS["ridge"]})
    assert {each.layer for each in predicted} == {0, 1, PILOT_BEST}


def test_the_weighted_sum_says_its_weights():
    layers = {0: layer(random, 6, 1), 1: layer(separable, 6, 2)}
    (summed,) = (
        each
        for each in predict(layers, design_of(shots=("all",)), {"ridge": HEADS["ridge"]})
        if each.layer == WEIGHTED_SUM
    )
    assert sum(summed.weights) == pytest.approx(1.0)
    assert summed.weights[1] > 0.9


@pytest.mark.parametrize("combined", [True, False])
def test_one_layer_is_not_combined(combined):
    predicted = predict({7: layer(random, 5, 1)}, design_of(), {"ridge": HEADS["ridge"]}, combined=combined)
    assert {each.layer for each in predicted} == {7}
    assert all(each.chosen == each.weights == () for each in predicted)


def test_the_order_of_the_items_changes_no_call():
    layers = {0: layer(random, 5, 1), 1: layer(separable, 5, 2)}
    order, outside_order = (np.random.default_rng(4).permutation(len(items)) for items in (INSIDE, OUTSIDE))
    turned = [
        Items(*(tuple(getattr(items, field.name)[index] for index in places) for field in dataclasses.fields(items)))
        for items, places in ((INSIDE, order), (OUTSIDE, outside_order))
    ]
    other = {place: LayerFeatures(each.inside[order], each.outside[outside_order]) for place, each in layers.items()}
    design, again = design_of(), make_design(*turned, shots=(1, 5, "all"), draws=4)
    for one, two in zip(predict(layers, design, TWO_HEADS), predict(other, again, TWO_HEADS), strict=True):
        assert (one.layer, one.head, one.shots, one.labels, one.chosen) == (
            two.layer, two.head, two.shots, two.labels, two.chosen,
        )  # fmt: skip
        np.testing.assert_array_equal(one.inside, two.inside)
        np.testing.assert_array_equal(one.outside, two.outside)


def test_the_number_of_labels_and_the_shapes_are_those_of_the_draws():
    design = design_of()
    told = []
    predicted = predict({0: layer(random, 5, 1)}, design, {"ridge": HEADS["ridge"]}, after=lambda: told.append(1))
    assert [(each.shots, each.labels, each.inside.shape) for each in predicted] == [
        (1, 3.0, (4, len(design.test))),
        (5, 15.0, (4, len(design.test))),
        ("all", float(len(design.pool)), (1, len(design.test))),
    ]
    assert len(told) == len(design.draws)
    assert predicted[0].outside_values.shape == (4, len(OUTSIDE), 3)


def test_without_items_of_another_domain_there_are_no_calls_of_them():
    design = make_design(INSIDE, shots=("all",))
    (each,) = predict({0: LayerFeatures(random(INSIDE, 5, 1), np.empty((0, 5)))}, design, {"ridge": HEADS["ridge"]})
    assert each.outside.shape == (1, 0)
    assert each.outside_values.shape == (1, 0, 3)


def test_shots_that_no_class_has_enough_items_for_have_no_row():
    design = design_of(shots=(1, 500))
    assert {each.shots for each in predict({0: layer(random, 5, 1)}, design, TWO_HEADS)} == {1}


def test_vectors_that_are_not_the_items_are_refused():
    short = LayerFeatures(noise(len(INSIDE) - 1, 5, 1), noise(len(OUTSIDE), 5, 2))
    with pytest.raises(UsageError, match="at layer 3") as raised:
        predict({3: short}, design_of(), TWO_HEADS)
    assert raised.value.got == f"{len(INSIDE) - 1} and {len(OUTSIDE)} vectors"
    assert raised.value.expected == f"{len(INSIDE)} and {len(OUTSIDE)}"
