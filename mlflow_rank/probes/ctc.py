"""Phones without times: one linear layer on the frames, trained with CTC, as SUPERB recognises phones, in small.

CTC (Graves et al. 2006) sums over every way in which frames can spell a sequence of symbols and blanks. As in SUPERB
(Yang et al. 2021, task PR) nothing but the linear layer learns, so that the score is the encoder's and not the head's.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mlflow_rank.errors import MeasurementError, UsageError
from mlflow_rank.probes.edit_errors import collapse, edit_errors

if TYPE_CHECKING:
    import torch

EPOCHS = 40  # in whose second half steps shrink to nothing; held-out errors of minutes of speech turn before
BATCH = 8  # utterances per step at most, and so few that an epoch has STEPS: small sets need many small steps
STEPS = 15
STEP = 0.12  # learning rate times √D, so that a step of AdamW moves a score alike in all widths; 0.01 at D = 160
BLANK_LEAD = 2.0  # nats by which the blank starts above its share of frames, see `_prior`
WEIGHT_DECAY = 0.01  # AdamW's own default
HELD_OUT = 0.15  # share of the groups, at least one, whose errors choose the epoch


@dataclass(frozen=True, slots=True)
class LinearCTC:
    """A fitted head: standardise frames with `mean` and `scale` (D,), then `weights` (D, symbols + 1) and `bias`.

    The blank is the last symbol. `epochs` says how many passes gave these weights, `held_out_per` the errors per
    reference symbol on the groups that chose among them (optimistic: for choosing, never reported), None where
    there was one group only.
    """

    mean: NDArray[np.float32]
    scale: NDArray[np.float32]
    weights: NDArray[np.float32]
    bias: NDArray[np.float32]
    epochs: int
    held_out_per: float | None

    @property
    def symbols(self) -> int:
        """How many symbols there are, the blank not counted."""
        return len(self.bias) - 1

    def decide(self, frames: NDArray[np.floating]) -> NDArray[np.float32]:
        """Return the scores of every symbol and, last, the blank, of shape (T, symbols + 1)."""
        standard = (np.asarray(frames, dtype=np.float32) - self.mean) / self.scale
        return np.asarray(standard @ self.weights + self.bias, dtype=np.float32)

    def decode(self, frames: NDArray[np.floating]) -> list[int]:
        """Return the symbols of frames (T, D): the best of each frame, repeats merged, blanks left out."""
        return collapse(self.decide(frames).argmax(axis=1), dropped=(self.symbols,))


def shortest_for(target: Sequence[int]) -> int:
    """Return how many frames CTC needs for a target: one per symbol, and a blank between equal neighbours.

    >>> shortest_for([1, 2, 2])
    4
    """
    return len(target) + sum(one == other for one, other in pairwise(target))


def fit_ctc(
    frames: Sequence[NDArray[np.floating]],
    targets: Sequence[Sequence[int]],
    *,
    symbols: int,
    groups: Sequence[str],
    seed: int,
    epochs: int = EPOCHS,
    device: str = "cpu",
    keys: Sequence[str] | None = None,
) -> LinearCTC:
    """Return the linear layer that spells the targets best in groups that it did not learn from.

    Frames are standardised by the mean and spread of those that are learned from. AdamW; weights start at zero, biases
    at how often each symbol is met, and steps shrink evenly in the second half of epochs. The groups held out, and the
    order of utterances, are drawn from `seed`. The weights of the epoch with the fewest held-out errors are kept (the
    loss has its minimum sooner, where more phones are still left out); with one group only, those of the last epoch.
    The same call gives the same weights on CPU; on CUDA the loss adds up in an order of its own.

    Args:
        frames: one array (T_i, D) per utterance, float32 or float16.
        targets: one sequence of codes 0…`symbols` − 1 per utterance; none may be empty.
        symbols: how many there are; the blank comes after them.
        groups: the speaker, or whatever shall not be on both sides, of each utterance.
        seed: of everything that is drawn.
        epochs: passes over the utterances, at least 1.
        device: "cpu" or "cuda".
        keys: names of the utterances for errors; their numbers without it.

    Raises:
        UsageError: shapes or codes that do not fit, an empty target, or targets that need more frames than there are,
            the utterances by name.
        MeasurementError: a frame is NaN or infinite.
    """
    _require(frames, targets, symbols, groups, keys or [f"utterance {number}" for number in range(len(frames))])
    rng = np.random.default_rng(seed)
    learning, stopping = _parts(groups, rng)
    mean, scale = _standard([frames[index] for index in learning])
    corpus = _Corpus(frames, targets, mean, scale, device)
    return _trained(corpus, learning, stopping, symbols=symbols, epochs=epochs, rng=rng)


def _require(
    frames: Sequence[NDArray[np.floating]],
    targets: Sequence[Sequence[int]],
    symbols: int,
    groups: Sequence[str],
    keys: Sequence[str],
) -> None:
    if not len(frames) == len(targets) == len(groups) == len(keys) or not len(frames):
        raise UsageError(
            "utterances do not fit together",
            got=f"{len(frames)} arrays of frames, {len(targets)} targets, {len(groups)} groups, {len(keys)} keys",
            expected="one of each per utterance, and at least one utterance",
        )
    dims = {each.shape[1:] for each in frames}
    if len(dims) != 1 or len(next(iter(dims))) != 1:
        raise UsageError("bad frames", got=f"shapes (T, …) with … = {sorted(dims)}", expected="(T, D), one D")
    foreign = [key for key, target in zip(keys, targets, strict=True) if any(not 0 <= c < symbols for c in target)]
    if foreign:
        raise UsageError(
            "symbols that the head does not have", got=_listed(foreign), expected=f"codes from 0 to {symbols - 1}"
        )
    empty = [key for key, target in zip(keys, targets, strict=True) if not len(target)]
    if empty:
        raise UsageError(
            "utterances without symbols", got=_listed(empty), expected="at least one", remedy="leave them out"
        )
    late = [
        f"{key} ({len(each)} frames for {shortest_for(target)})"
        for key, each, target in zip(keys, frames, targets, strict=True)
        if len(each) < shortest_for(target)
    ]
    if late:
        raise UsageError(
            "targets longer than their frames can spell",
            got=_listed(late),
            expected="a frame per symbol, and one more between equal neighbours",
            remedy="check that the symbols belong to this audio, or leave these utterances out",
        )
    broken = [key for key, each in zip(keys, frames, strict=True) if not np.isfinite(each).all()]
    if broken:
        raise MeasurementError("frames are not finite", got=_listed(broken), expected="no NaN and no infinity")


def _listed(names: Sequence[str], most: int = 10) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _parts(groups: Sequence[str], rng: np.random.Generator) -> tuple[list[int], list[int]]:
    """Return the utterances to learn from and those that choose the epoch, none where there is one group."""
    names = sorted(set(groups))
    count = round(HELD_OUT * len(names)) or 1
    chosen = set(rng.permutation(names)[:count].tolist()) if len(names) > 1 else set()
    return (
        [index for index, group in enumerate(groups) if group not in chosen],
        [index for index, group in enumerate(groups) if group in chosen],
    )


def _standard(frames: Sequence[NDArray[np.floating]]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return mean and spread of each dimension over all frames, in two passes; a constant dimension keeps scale 1."""
    count = sum(map(len, frames))
    mean = sum(each.sum(axis=0, dtype=np.float64) for each in frames) / count
    variance = sum(np.square(each - mean).sum(axis=0) for each in frames) / count
    scale = np.sqrt(variance)
    constant = scale <= np.finfo(np.float32).eps * np.abs(mean)
    return np.asarray(mean, dtype=np.float32), np.where(constant, 1.0, scale).astype(np.float32)


class _Corpus:
    """Standardised utterances on a device, given in padded batches; padding never enters the loss."""

    def __init__(
        self,
        frames: Sequence[NDArray[np.floating]],
        targets: Sequence[Sequence[int]],
        mean: NDArray[np.float32],
        scale: NDArray[np.float32],
        device: str,
    ) -> None:
        import torch

        self.mean, self.scale, self.device = mean, scale, torch.device(device)
        self.targets = [torch.tensor(list(target), dtype=torch.long) for target in targets]
        self.frames = [
            torch.from_numpy((np.asarray(each, dtype=np.float32) - mean) / scale).to(self.device) for each in frames
        ]

    def batches(self, indices: Sequence[int]) -> Iterator[Sequence[int]]:
        size = min(BATCH, max(1, len(indices) // STEPS))
        for first in range(0, len(indices), size):
            yield indices[first : first + size]

    def loss(self, layer: torch.nn.Linear, batch: Sequence[int]) -> torch.Tensor:
        """Return the negative log likelihood of the batch's targets, summed."""
        import torch

        padded = torch.nn.utils.rnn.pad_sequence([self.frames[index] for index in batch])
        return torch.nn.functional.ctc_loss(
            layer(padded).log_softmax(dim=-1),
            torch.cat([self.targets[index] for index in batch]).to(self.device),
            torch.tensor([len(self.frames[index]) for index in batch]),
            torch.tensor([len(self.targets[index]) for index in batch]),
            blank=layer.out_features - 1,
            reduction="sum",
        )

    def error_rate(self, layer: torch.nn.Linear, indices: Sequence[int]) -> float:
        """Return the errors per reference symbol of greedy decoding."""
        import torch

        with torch.inference_mode():
            best = [layer(self.frames[index]).argmax(dim=-1).cpu().numpy() for index in indices]
        spelled = [collapse(each, dropped=(layer.out_features - 1,)) for each in best]
        errors = edit_errors([self.targets[index].tolist() for index in indices], spelled).sum(axis=0)
        return float(errors[:3].sum() / errors[3])

    def symbols_in(self, indices: Sequence[int]) -> int:
        return sum(len(self.targets[index]) for index in indices)


def _prior(corpus: _Corpus, indices: Sequence[int], symbols: int) -> NDArray[np.float32]:
    """Return the biases to start from: logarithms of each symbol's share of the frames, and of the blank's.

    From equal biases a linear layer learns to name a phone in every frame and hardly uses the blank: as good on what
    it learned from, but on other voices its names flicker and each flicker is an insertion. Starting where most frames
    are blank, as in what CTC converges to, PER on two unheard voices after 30 epochs fell from about 0.8 to 0.39,
    and to 0.35 with `BLANK_LEAD` (six minutes of synthetic speech at a third of the step, layer 2 of the starter).
    """
    import torch

    frames = sum(len(corpus.frames[index]) for index in indices)
    counts = torch.bincount(torch.cat([corpus.targets[index] for index in indices]), minlength=symbols).numpy()
    spoken = min(counts.sum() / frames, 0.5)  # targets with few frames to spare leave the blank half of them
    shares = (counts + 1) / (counts.sum() + symbols) * spoken  # + 1: a symbol not met stays possible
    biases = np.append(np.log(shares), np.log(1 - spoken) + BLANK_LEAD)
    return np.asarray(biases, dtype=np.float32)


def _trained(
    corpus: _Corpus,
    learning: Sequence[int],
    stopping: Sequence[int],
    *,
    symbols: int,
    epochs: int,
    rng: np.random.Generator,
) -> LinearCTC:
    import torch

    with torch.random.fork_rng(devices=[]):  # a new layer draws the weights that zero replaces here
        layer = torch.nn.Linear(len(corpus.mean), symbols + 1)
    with torch.no_grad():
        layer.weight.zero_()
        layer.bias.copy_(torch.from_numpy(_prior(corpus, learning, symbols)))
    layer.to(corpus.device)
    optimizer = torch.optim.AdamW(layer.parameters(), weight_decay=WEIGHT_DECAY)
    step = STEP / math.sqrt(len(corpus.mean))
    best, best_epoch, best_errors = copy.deepcopy(layer.state_dict()), 0, float("inf")
    for epoch in range(1, epochs + 1):
        optimizer.param_groups[0]["lr"] = step * min(1.0, 2 * (1 - (epoch - 1) / epochs))
        for batch in corpus.batches(rng.permutation(learning).tolist()):
            optimizer.zero_grad()
            torch.autograd.backward(corpus.loss(layer, batch) / corpus.symbols_in(batch))
            optimizer.step()
        if not stopping:
            best, best_epoch = layer.state_dict(), epoch  # the last one's
            continue
        errors = corpus.error_rate(layer, stopping)
        if errors <= best_errors:  # of equals the later, whose steps were smaller
            best, best_epoch, best_errors = copy.deepcopy(layer.state_dict()), epoch, errors
    return LinearCTC(
        mean=corpus.mean,
        scale=corpus.scale,
        weights=best["weight"].cpu().numpy().T.copy(),
        bias=best["bias"].cpu().numpy().copy(),
        epochs=best_epoch,
        held_out_per=best_errors if stopping else None,
    )
