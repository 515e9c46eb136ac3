"""How many threads a pass takes."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from mlflow_rank.encoders.threads import SMALL, suitable_threads, threads_for


def encoder(parameters: int) -> SimpleNamespace:
    return SimpleNamespace(describe=lambda: {"parameters": parameters})


@pytest.mark.parametrize(("parameters", "threads"), [(SMALL - 1, 1), (SMALL, 6)])
def test_a_small_encoder_gets_one_thread_and_a_large_one_all(parameters, threads):
    assert threads_for(encoder(parameters), 6) == threads


def test_after_the_pass_there_are_as_many_threads_as_before():
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with suitable_threads(encoder(1)):
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
