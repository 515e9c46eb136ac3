from __future__ import annotations

import hashlib
import json
import pickle

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from mlflow_rank.encoders.weights import read_state_file, state_tensors, weights_digest, write_state_file
from mlflow_rank.errors import UsageError


class Attack:
    """Unpickling this creates a file."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return open, (str(self.target), "w")


def test_the_digest_is_sha256_over_headers_and_bytes_in_the_order_of_names():
    b, a = torch.arange(3, dtype=torch.int32), torch.tensor([[0.5]])
    by_hand = hashlib.sha256()
    by_hand.update(json.dumps(["a", "float32", [1, 1]]).encode() + b"\n" + a.numpy().tobytes())
    by_hand.update(json.dumps(["b", "int32", [3]]).encode() + b"\n" + b.numpy().tobytes())
    assert weights_digest({"b": b, "a": a}) == f"sha256:{by_hand.hexdigest()}"


@given(st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=6), st.data())
def test_one_changed_weight_changes_the_digest_and_a_copy_does_not(values, data):
    weights = {"a": torch.tensor(values), "b": torch.ones(2)}
    copied = {name: tensor.clone() for name, tensor in weights.items()}
    assert weights_digest(copied) == weights_digest(weights)
    index = data.draw(st.integers(0, len(values) - 1))
    copied["a"].view(torch.int32)[index] ^= 1  # its last bit
    assert weights_digest(copied) != weights_digest(weights)


@pytest.mark.parametrize(
    "other",
    [
        {"w": torch.zeros(4, dtype=torch.int32)},
        {"w": torch.zeros(2, 2)},
        {"v": torch.zeros(4)},
        {"w": torch.zeros(4), "x": torch.zeros(0)},
        {"w": torch.zeros(5)},
    ],
    ids=["dtype", "shape", "name", "empty tensor more", "length"],
)
def test_the_digest_tells_dtype_shape_and_name_apart(other):
    assert weights_digest(other) != weights_digest({"w": torch.zeros(4)})


def test_the_digest_reads_any_layout_and_type():
    square = torch.arange(6.0).reshape(2, 3)
    assert weights_digest({"w": square.T}) == weights_digest({"w": square.T.contiguous()})
    assert weights_digest({"w": torch.tensor(1.5, dtype=torch.bfloat16)}).startswith("sha256:")


def test_buffers_count_as_weights_and_derived_tables_do_not():
    module = torch.nn.BatchNorm1d(2)
    module.register_buffer("table", torch.ones(3), persistent=False)
    assert set(state_tensors(module)) == {"bias", "num_batches_tracked", "running_mean", "running_var", "weight"}


def test_state_that_is_no_tensor_is_refused_by_name():
    class Odd(torch.nn.Linear):
        def get_extra_state(self):
            return {"note": "not a tensor"}

        def set_extra_state(self, state):
            pass

    with pytest.raises(UsageError, match="_extra_state"):
        state_tensors(Odd(1, 1))


def test_tied_weights_are_written_and_read_back(tmp_path):
    module = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2))
    module[1].weight = module[0].weight
    write_state_file(module, tmp_path / "w.safetensors")
    assert weights_digest(read_state_file(tmp_path / "w.safetensors")) == weights_digest(state_tensors(module))


@pytest.mark.parametrize("key", ["", "state_dict", "model"])
def test_torch_files_are_read_bare_or_inside_a_training_checkpoint(tmp_path, key):
    state = {"w": torch.ones(2)}
    torch.save({key: state, "step": 3} if key else state, tmp_path / "state.pt")
    assert read_state_file(tmp_path / "state.pt")["w"].tolist() == [1, 1]


@pytest.mark.parametrize("protocol", ["zip", 2, 4])
def test_a_pickle_that_would_run_code_is_refused_and_runs_none(tmp_path, protocol):
    target, file = tmp_path / "created", tmp_path / "state.pt"
    if protocol == "zip":
        torch.save({"w": Attack(target)}, file)
    else:
        file.write_bytes(pickle.dumps(Attack(target), protocol=protocol))
    with pytest.raises(UsageError, match="would execute code"):
        read_state_file(file)
    assert not target.exists()


def test_damaged_empty_absent_and_other_files_are_named(tmp_path):
    save_file({"w": torch.ones(100)}, tmp_path / "cut.safetensors")
    (tmp_path / "cut.safetensors").write_bytes((tmp_path / "cut.safetensors").read_bytes()[:120])
    (tmp_path / "empty.pt").touch()
    torch.save([1, 2], tmp_path / "list.pt")
    for name, said in {
        "cut.safetensors": "cannot be read",
        "empty.pt": "cannot be read",
        "list.pt": "no named tensors",
        "none.pt": "no such weights file",
    }.items():
        with pytest.raises(UsageError, match=said) as refusal:
            read_state_file(tmp_path / name)
        assert name in str(refusal.value)
