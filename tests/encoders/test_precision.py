from __future__ import annotations

import pytest
import torch

from mlflow_rank.encoders.load import load_encoder
from mlflow_rank.encoders.precision import Precision, choose_precision
from mlflow_rank.errors import UsageError


def test_bfloat16_is_coarser_is_said_and_leaves_the_weights_digest(hubert, waveforms):
    exact, coarse = (load_encoder(str(hubert), device="cpu", dtype=dtype) for dtype in ("float32", "bfloat16"))
    for ours, theirs in zip(coarse.encode(waveforms), exact.encode(waveforms), strict=True):
        assert ours.dtype == torch.float32
        assert 0 < float((ours - theirs).norm() / theirs.norm()) < 0.05  # bfloat16 keeps 8 bits of mantissa
    assert coarse.digest == exact.digest
    assert (coarse.describe()["dtype"], exact.describe()["dtype"]) == ("bfloat16", "float32")


def test_frames_carry_no_gradients(hubert, waveforms):
    assert not any(frames.requires_grad for frames in load_encoder(str(hubert), device="cpu").encode(waveforms))


def test_auto_takes_a_gpu_where_there_is_one():
    assert choose_precision("auto", "float32").device.type == ("cuda" if torch.cuda.is_available() else "cpu")


def test_cuda_where_there_is_none_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match="--device cpu"):
        choose_precision("cuda", "float32")


@pytest.mark.parametrize(("device", "dtype"), [("tpu", "float32"), ("cuda:1", "float32"), ("cpu", "float16")])
def test_other_devices_and_formats_are_refused(device, dtype):
    with pytest.raises(UsageError, match="no such"):
        choose_precision(device, dtype)


def test_on_a_gpu_float32_means_float32_and_the_callers_choice_comes_back():
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    with Precision(torch.device("cuda"), "float32").applied():
        assert (torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32) == (False, False)
    assert (torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32) == before


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gives_what_the_cpu_gives(hubert, waveforms):
    on_cpu, on_gpu = (load_encoder(str(hubert), device=device) for device in ("cpu", "cuda"))
    for ours, theirs in zip(on_gpu.encode(waveforms), on_cpu.encode(waveforms), strict=True):
        torch.testing.assert_close(ours.cpu(), theirs, rtol=1e-4, atol=1e-5)
