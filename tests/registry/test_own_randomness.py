from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from mlflow.utils.name_utils import _generate_random_name
from mlflow.utils.request_utils import JitteredRetry

from mlflow_rank.registry.runs.own_randomness import drawing_apart

DRAWS = [_generate_random_name, lambda: JitteredRetry(backoff_jitter=1.0).get_backoff_time()]


@pytest.mark.parametrize("draw", DRAWS, ids=["a name", "a pause"])
def test_what_mlflow_draws_while_it_delivers_is_not_taken_from_the_training(draw: Callable[[], object]) -> None:
    before = random.getstate()
    with drawing_apart():
        draw()
    assert random.getstate() == before


@pytest.mark.parametrize("draw", DRAWS, ids=["a name", "a pause"])
def test_what_mlflow_draws_for_the_training_is_what_it_would_be_without_us(draw: Callable[[], object]) -> None:
    random.seed(3)
    expected = draw()
    with drawing_apart(), ThreadPoolExecutor(1) as training:
        random.seed(3)
        assert training.submit(draw).result() == expected
    random.seed(3)
    assert draw() == expected
