from __future__ import annotations

import numpy as np
import pytest
import torch

from mlflow_rank.errors import MeasurementError, UsageError
from mlflow_rank.probes.ctc import LinearCTC, fit_ctc, shortest_for
from mlflow_rank.probes.edit_errors import edit_errors

SYMBOLS, DIM = 6, 12


def spoken(count, seed, informative=True):
    """Return frames and targets: each symbol three to five frames of its own direction, in noise, silence between."""
    rng = np.random.default_rng(seed)
    directions = np.random.default_rng(99).normal(size=(SYMBOLS + 1, DIM)) * 3 * informative
    frames, targets = [], []
    for _ in range(count):
        target = rng.integers(SYMBOLS, size=rng.integers(4, 9)).tolist()
        path = [each for symbol in target for each in [SYMBOLS] * 2 + [symbol] * rng.integers(3, 6)]
        frames.append((directions[path] + rng.normal(size=(len(path), DIM)) + 5).astype(np.float32))
        targets.append(target)
    return frames, targets, [f"s{number % 5}" for number in range(count)]


def error_rate(head, frames, targets):
    substituted, deleted, inserted, length = edit_errors(targets, [head.decode(each) for each in frames]).sum(axis=0)
    return (substituted + deleted + inserted) / length


@pytest.fixture(scope="module")
def fitted():
    frames, targets, groups = spoken(60, seed=1)
    return fit_ctc(frames, targets, symbols=SYMBOLS, groups=groups, seed=3)


def test_separable_frames_are_spelled_nearly_without_error(fitted):
    assert error_rate(fitted, *spoken(40, seed=2)[:2]) < 0.05
    assert fitted.epochs >= 1
    assert fitted.held_out_per < 0.05
    assert fitted.symbols == SYMBOLS


def test_frames_that_say_nothing_are_spelled_no_better_than_silence():
    frames, targets, groups = spoken(60, seed=1, informative=False)
    head = fit_ctc(frames, targets, symbols=SYMBOLS, groups=groups, seed=3)
    assert error_rate(head, *spoken(40, seed=2, informative=False)[:2]) > 0.75


def test_the_same_seed_gives_the_same_weights_and_draws_of_others_change_nothing(fitted):
    frames, targets, groups = spoken(60, seed=1)
    state = torch.random.get_rng_state()
    again = fit_ctc(frames, targets, symbols=SYMBOLS, groups=groups, seed=3)
    assert torch.equal(state, torch.random.get_rng_state())
    np.testing.assert_array_equal(again.weights, fitted.weights)
    assert (again.epochs, again.held_out_per) == (fitted.epochs, fitted.held_out_per)
    other = fit_ctc(frames, targets, symbols=SYMBOLS, groups=groups, seed=4, epochs=2)
    assert not np.array_equal(other.weights, fitted.weights)


def test_half_precision_and_a_scale_per_dimension_change_no_spelling(fitted):
    frames, targets, groups = spoken(60, seed=1)
    scaled = [(each * np.linspace(0.1, 10, DIM)).astype(np.float16) for each in frames]
    head = fit_ctc(scaled, targets, symbols=SYMBOLS, groups=groups, seed=3)
    heard, expected, _ = spoken(20, seed=2)
    assert error_rate(head, [each * np.linspace(0.1, 10, DIM) for each in heard], expected) < 0.05


def test_one_group_learns_to_the_last_epoch_and_a_constant_dimension_does_no_harm():
    frames, targets, _ = spoken(20, seed=1)
    frames = [np.column_stack([each, np.full(len(each), 7, np.float32)]) for each in frames]
    head = fit_ctc(frames, targets, symbols=SYMBOLS, groups=["one"] * 20, seed=0, epochs=40)
    assert (head.epochs, head.held_out_per) == (40, None)
    assert error_rate(head, frames, targets) < 0.05


def test_decoding_merges_repeats_and_leaves_out_blanks():
    identity = np.eye(3, dtype=np.float32)
    head = LinearCTC(np.zeros(3, np.float32), np.ones(3, np.float32), identity, np.zeros(3, np.float32), 1, None)
    assert head.decode(identity[[2, 0, 0, 2, 0, 1, 1, 2]]) == [0, 0, 1]
    assert head.decode(identity[[2, 2]]) == []
    assert shortest_for([0, 0, 0, 1]) == 6
    assert shortest_for([]) == 0


def refusal(kind=UsageError, **changes):
    frames, targets, groups = spoken(2, seed=1)
    with pytest.raises(kind) as caught:
        fit_ctc(**{"frames": frames, "targets": targets, "groups": groups, "symbols": SYMBOLS, "seed": 0, **changes})
    return caught.value


def test_targets_that_ctc_cannot_emit_are_refused_by_name():
    frames = [np.zeros((4, 2), np.float32), np.zeros((3, 2), np.float32)]
    error = refusal(frames=frames, targets=[[0, 1, 2, 3], [1, 1, 2]], keys=["a.wav", "b.wav"])
    assert error.what == "targets longer than their frames can spell"
    assert error.got == "b.wav (3 frames for 4)"
    assert refusal(frames=frames, targets=[[0], [1, 1, 2]]).got == "utterance 1 (3 frames for 4)"
    many = refusal(frames=frames * 6, targets=[[1, 1, 2, 2]] * 12, groups=["s"] * 12)
    assert many.got.endswith("utterance 9 (3 frames for 6) and 2 more")


def test_what_cannot_be_learned_is_refused_by_name():
    assert refusal(targets=[[0], []]).got == "utterance 1"
    assert refusal(targets=[[0], [SYMBOLS]]).expected == "codes from 0 to 5"
    assert refusal(groups=["a"]).got == "2 arrays of frames, 2 targets, 1 groups, 2 keys"
    assert refusal(frames=[], targets=[], groups=[]).got == "0 arrays of frames, 0 targets, 0 groups, 0 keys"
    ragged = [np.zeros((9, 2), np.float32), np.zeros((9, 3), np.float32)]
    assert refusal(frames=ragged, targets=[[0], [1]]).what == "bad frames"
    broken = [np.full((9, 2), np.nan, np.float32), np.zeros((9, 2), np.float32)]
    assert refusal(MeasurementError, frames=broken, targets=[[0], [1]]).got == "utterance 0"
