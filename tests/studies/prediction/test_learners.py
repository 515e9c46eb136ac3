import numpy as np
import pytest

from mlflow_rank.studies.prediction.learners import SEGMENTS, STRENGTHS, Expansion, Inputs, _all_strengths, learner


def test_a_layer_has_a_level_a_shared_slope_and_one_of_its_own():
    features = Expansion((0, 3), None)(np.array([[0.0, 5.0], [3.0, 7.0]]))
    assert features.tolist() == [[1, 0, 5, 5, 0], [0, 1, 7, 0, 7]]


def test_the_curve_over_steps_sums_to_one_at_every_step():
    steps = np.linspace(2.0, 7.0, 11)
    features = Expansion((0,), (2.0, 7.0))(np.column_stack([np.zeros(11), steps]))
    width = SEGMENTS + 3
    assert np.allclose(features[:, 1 : 1 + width].sum(axis=1), 1.0)


def test_one_step_has_no_curve():
    assert Expansion((0,), (2.0, 2.0))(np.array([[0.0, 2.0]])).tolist() == [[1, 0, 0]]


@pytest.mark.parametrize("model", ["ridge", "boosting"])
def test_what_can_be_learnt_is_learnt_and_rows_held_back_are_not_looked_at(model):
    draw = np.random.default_rng(0)
    run = np.repeat(["a", "b", "c", "d"], 30)
    inputs = Inputs(np.column_stack([np.zeros(120), draw.normal(size=120)]), has_step=False)
    score = 2 * inputs.values[:, 1]
    train, test = np.flatnonzero(run != "d"), np.flatnonzero(run == "d")
    predicted = learner(model, 0)(inputs, score, run, train).predict(inputs.of(test))
    assert np.corrcoef(predicted, score[test])[0, 1] > 0.95
    score[test] = 1e9
    again = learner(model, 0)(inputs, score, run, train).predict(inputs.of(test))
    assert np.array_equal(again, predicted)


def test_ridge_learns_as_least_squares_with_its_penalty_does():
    draw = np.random.default_rng(1)
    run = np.repeat(["a", "b", "c"], 40)
    inputs = Inputs(np.column_stack([np.zeros(120), draw.normal(size=(120, 2))]), has_step=False)
    score = inputs.values[:, 1:] @ [1.0, -2.0] + draw.normal(0, 0.01, 120)
    predicted = learner("ridge", 0)(inputs, score, run, np.arange(120)).predict(inputs.values)
    design = np.column_stack([np.ones(120), inputs.values[:, 1:]])
    least_squares = design @ np.linalg.lstsq(design, score, rcond=None)[0]
    assert np.abs(predicted - least_squares).max() < 0.01  # where there is nearly no noise, the weakest penalty wins


def test_strengths_tried_together_predict_as_each_does_alone():
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    draw = np.random.default_rng(2)
    features, score = draw.normal(size=(30, 5)), draw.normal(size=30)
    features[:, 4] = 1.0  # a layer's level where there is one layer
    together = _all_strengths(features[:20], score[:20], features[20:])
    for at, strength in enumerate(STRENGTHS):
        alone = make_pipeline(StandardScaler(), Ridge(strength)).fit(features[:20], score[:20])
        assert np.allclose(together[:, at], alone.predict(features[20:]))
