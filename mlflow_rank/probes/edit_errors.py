"""How far a decoded sequence of symbols is from the spoken one."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from mlflow_rank.errors import UsageError
from mlflow_rank.probes.tallies import Tallies

CELLS = 1 << 20  # table cells worked on at once: 8 MiB a row of all pairs


def collapse(labels: Sequence[int] | NDArray[np.integer], *, dropped: Collection[int] = (-1,)) -> list[int]:
    """Return frame labels as a sequence: repeats merged, then the `dropped` symbols (silence, blank) taken out.

    >>> collapse([3, 3, -1, 3, 5, 5])
    [3, 3, 5]
    """
    frames = np.asarray(labels, dtype=np.int64)
    starts = np.flatnonzero(np.diff(frames, prepend=frames[:1] - 1))
    return [int(label) for label in frames[starts] if int(label) not in dropped]


def edit_errors(references: Sequence[Sequence[int]], hypotheses: Sequence[Sequence[int]]) -> NDArray[np.int64]:
    """Return substitutions, deletions, insertions and reference length of every pair, (pairs, 4).

    Symbols are codes of 0 or more. Of the alignments with the fewest errors, one with the fewest insertions and
    deletions is counted (their sum is the Levenshtein distance for any choice; the split is not unique).

    >>> edit_errors([[1, 2, 3], [1]], [[1, 3], [2, 1]]).tolist()
    [[0, 1, 0, 3], [0, 0, 1, 1]]
    """
    if len(references) != len(hypotheses):
        raise UsageError("sequences do not pair up", got=f"{len(references)} references, {len(hypotheses)} hypotheses")
    errors = np.zeros((len(references), 4), dtype=np.int64)
    by_length = sorted(range(len(references)), key=lambda pair: max(len(references[pair]), len(hypotheses[pair])))
    start = 0
    while start < len(by_length):
        stop = start + 1
        while stop < len(by_length) and (stop + 1 - start) * (1 + len(hypotheses[by_length[stop]])) <= CELLS:
            stop += 1
        batch = by_length[start:stop]
        errors[batch] = _aligned([references[pair] for pair in batch], [hypotheses[pair] for pair in batch])
        start = stop
    return errors


def _aligned(references: Sequence[Sequence[int]], hypotheses: Sequence[Sequence[int]]) -> NDArray[np.int64]:
    """Wagner & Fischer (1974), a row of all pairs at a time.

    One integer holds both what is minimised and what is counted: a substitution costs `unit`, an insertion or a
    deletion unit + 1, with `unit` above any possible number of these. So cost // unit is the distance and cost % unit
    the insertions and deletions; their difference is that of the lengths.
    """
    wanted = np.array([len(sequence) for sequence in references], dtype=np.int64)
    given = np.array([len(sequence) for sequence in hypotheses], dtype=np.int64)
    unit = int(wanted.max() + given.max()) + 1
    table = _padded(hypotheses, int(given.max()), -1)
    symbols = _padded(references, int(wanted.max()), -2)
    steps = (unit + 1) * np.arange(table.shape[1] + 1)
    row = np.tile(steps, (len(references), 1))
    cost = row[np.arange(len(row)), given]
    for number in range(symbols.shape[1]):
        best = row + (unit + 1)  # the reference's symbol deleted
        best[:, 1:] = np.minimum(best[:, 1:], row[:, :-1] + unit * (table != symbols[:, number : number + 1]))
        row = np.minimum.accumulate(best - steps, axis=1) + steps  # then insertions, from the left
        done = np.flatnonzero(wanted == number + 1)
        cost[done] = row[done, given[done]]
    distance, gaps = np.divmod(cost, unit)
    deletions = (gaps + wanted - given) // 2
    return np.stack([distance - gaps, deletions, gaps - deletions, wanted], axis=1)


def _padded(sequences: Sequence[Sequence[int]], length: int, filler: int) -> NDArray[np.int64]:
    padded = np.full((len(sequences), length), filler, dtype=np.int64)
    for row, sequence in zip(padded, sequences, strict=True):
        row[: len(sequence)] = sequence
    return padded


def sequence_tallies(
    references: Sequence[Sequence[int]], hypotheses: Sequence[Sequence[Sequence[int]]], groups: Sequence[str]
) -> Tallies:
    """Return the sequence tallies of R draws of hypotheses for n references, each of a named group.

    `hypotheses` are R times n sequences. Utterances without reference symbols are not counted.
    """
    spoken = [index for index, reference in enumerate(references) if len(reference)]
    names = tuple(sorted({groups[index] for index in spoken}))
    place = {name: number for number, name in enumerate(names)}
    counts = np.zeros((len(hypotheses), len(names), 4), dtype=np.int64)
    rows = [place[groups[index]] for index in spoken]
    for draw, decoded in enumerate(hypotheses):
        if len(decoded) != len(references):
            raise UsageError("sequences do not pair up", got=f"{len(references)} references, {len(decoded)} hypotheses")
        errors = edit_errors([references[index] for index in spoken], [decoded[index] for index in spoken])
        np.add.at(counts[draw], rows, errors)
    return Tallies("sequences", names, counts)
