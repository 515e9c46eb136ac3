from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mlflow_rank.encoders.device_moments import DeviceMoments
from mlflow_rank.spectra import Moments, MomentsAccumulator

DIM = 5


@given(
    counts=st.lists(st.integers(0, 40), max_size=6),
    offset=st.sampled_from([0.0, 1.0, 1000.0]),
    seed=st.integers(0, 1000),
)
def test_sums_on_the_device_agree_with_the_accumulator_whatever_the_mean_and_the_batches(
    counts: list[int], offset: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    batches = [(rng.normal(size=(count, DIM)) + offset).astype(np.float32) for count in counts]
    device, host = DeviceMoments(DIM), MomentsAccumulator(DIM)
    for batch in batches:
        device.update(torch.from_numpy(batch))
        host.update(batch)

    one, other = device.moments(), host.moments()

    assert one.count == other.count == sum(counts)
    np.testing.assert_allclose(one.mean, other.mean, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(one.scatter, other.scatter, rtol=1e-9, atol=1e-9 * max(1.0, other.diagonal.max()))


def test_rows_of_a_strided_view_count_like_their_copy() -> None:
    rows = torch.randn(40, DIM, generator=torch.Generator().manual_seed(0))
    moments = DeviceMoments(DIM)

    moments.update(rows[::3])

    np.testing.assert_allclose(moments.moments().scatter, Moments.of(rows.numpy()[::3]).scatter, rtol=1e-12, atol=1e-12)


def test_no_rows_are_the_identity() -> None:
    moments = DeviceMoments(DIM)
    moments.update(torch.empty(0, DIM))

    assert moments.moments().count == 0


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_a_gpu_gives_the_same_sums() -> None:
    rows = torch.randn(1000, DIM, generator=torch.Generator().manual_seed(0)) + 100
    moments = DeviceMoments(DIM)

    moments.update(rows.cuda())

    np.testing.assert_allclose(moments.moments().scatter, Moments.of(rows.numpy()).scatter, rtol=1e-9)
