"""Speaker verification on the items of a test set: are two utterances of one speaker?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mlflow_rank.errors import UsageError
from mlflow_rank.probes.refusals import RefusedError
from mlflow_rank.probes.scores import METRICS, Replicates
from mlflow_rank.probes.seeded_order import spread

Scores: TypeAlias = NDArray[np.float64]
MAX_ITEMS = 2_000  # 2 million trials: 32 MB of scores, and a second for the rate with each of 50 speakers left out


def trial_items(keys: Sequence[str], speakers: Sequence[str], *, seed: int, most: int = MAX_ITEMS) -> list[int]:
    """Return the positions of at most `most` items, evenly from the speakers, in the order of their keys."""
    return sorted(spread(keys, speakers, seed, "trials")[:most], key=keys.__getitem__)


@dataclass(frozen=True, slots=True)
class Trials:
    """All pairs of n items but those of one speaker in one known session.

    `same` and `different` (n, n) mark, above the diagonal, pairs of one speaker and of two.
    """

    speakers: tuple[str, ...]
    codes: NDArray[np.intp]
    same: NDArray[np.bool_]
    different: NDArray[np.bool_]

    @classmethod
    def of(cls, speakers: Sequence[str], sessions: Sequence[str | None]) -> Trials:
        """Return the trials of items by their speakers and sessions (None where not known).

        Raises RefusedError where there are no two speakers or no speaker has a pair, UsageError above MAX_ITEMS items.
        """
        if len(speakers) > MAX_ITEMS:
            raise UsageError(
                "too many items for all pairs of them",
                got=str(len(speakers)),
                expected=f"at most {MAX_ITEMS}",
                remedy="take them with trial_items",
            )
        names, codes = np.unique(np.asarray(speakers, dtype=str), return_inverse=True)
        if len(names) < 2:
            raise RefusedError("fewer than two speakers to tell apart", remedy="test utterances of more speakers")
        known = {session: number for number, session in enumerate(sorted({s for s in sessions if s}))}
        session = np.array([known.get(s or "", -1) for s in sessions], dtype=np.intp)
        above = np.triu(np.ones((len(codes), len(codes)), dtype=bool), k=1)
        alike = codes[:, None] == codes
        together = (session[:, None] == session) & (session >= 0)
        same = above & alike & ~together
        if not same.any():
            raise RefusedError(
                "no speaker has two test utterances to compare, of different sessions where these are known",
                remedy="label more utterances or sessions of each speaker",
            )
        return cls(tuple(map(str, names)), codes.astype(np.intp), same, above & ~alike)


def verification(
    trials: Trials,
    vectors: NDArray[np.floating],
    *,
    centre: NDArray[np.floating],
    metric: Literal["eer_cosine", "eer_probe"],
) -> Replicates:
    """Return the equal error rate of the trials by cosine, with each speaker left out and alone.

    `vectors` are (n, d), or (R, n, d) for R draws: pooled features for `eer_cosine`, a probe's decision values for
    `eer_probe`. `centre`, (d,) or (R, d), is subtracted first; take it from training items. A speaker alone is their
    own pairs against all pairs of one of theirs with somebody else's. A vector at the centre has cosine 0 with any.
    """
    stacked = np.asarray(vectors, dtype=np.float64)
    stacked = stacked[None] if stacked.ndim == 2 else stacked
    if stacked.ndim != 3 or stacked.shape[1] != len(trials.codes) or not np.isfinite(stacked).all():
        raise UsageError(
            "these are no vectors of the trials' items",
            got=f"shape {np.shape(vectors)}" + ("" if np.isfinite(stacked).all() else " with NaN or infinity"),
            expected=f"(draws, {len(trials.codes)}, d) finite numbers",
        )
    centres = np.broadcast_to(np.asarray(centre, dtype=np.float64), (len(stacked), stacked.shape[2]))
    rates = [_rates(trials, rows - middle) for rows, middle in zip(stacked, centres, strict=True)]
    items = np.bincount(trials.codes, minlength=len(trials.speakers))
    return Replicates(
        metric=METRICS[metric],
        groups=trials.speakers,
        items=tuple(int(number) for number in items),
        effective_items=float(len(trials.codes)),
        full=np.array([full for full, _, _ in rates]),
        without=np.array([without for _, without, _ in rates]),
        alone=np.array([alone for _, _, alone in rates]),
    )


def equal_error(same: NDArray[np.floating], different: NDArray[np.floating]) -> float:
    """Return the rate at which misses equal false alarms: where the ROC polyline crosses the line of equal rates.

    `same` are the scores of pairs of one speaker, `different` of two; higher means more alike; neither is empty.

    >>> equal_error(np.array([0.9, 0.4]), np.array([0.5, 0.1]))
    0.5
    """
    return _crossing(_Sorted.of(same), _Sorted.of(different))


@dataclass(frozen=True, slots=True)
class _Sorted:
    """Sorted scores, some of which (`less`, sorted too) are taken out."""

    scores: Scores
    less: Scores

    @classmethod
    def of(cls, scores: NDArray[np.floating]) -> _Sorted:
        return cls(np.sort(scores.astype(np.float64)), np.empty(0))

    def __len__(self) -> int:
        return len(self.scores) - len(self.less)

    def share_below(self, threshold: float) -> float:
        below = np.searchsorted(self.scores, threshold) - np.searchsorted(self.less, threshold)
        return float(below) / len(self)


def _crossing(same: _Sorted, different: _Sorted, thresholds: Scores | None = None) -> float:
    """Return the rate where misses and false alarms cross, by bisection: one rises with the threshold, one falls.

    `thresholds`, sorted, are at least all scores at hand; between these both rates stand still.
    """
    if thresholds is None:
        thresholds = np.unique(np.concatenate([same.scores, different.scores]))

    def rates(at: int) -> tuple[float, float]:
        if at == len(thresholds):
            return 1.0, 0.0  # past the highest nothing is accepted
        return same.share_below(thresholds[at]), 1.0 - different.share_below(thresholds[at])

    low, high = 0, len(thresholds)
    while high - low > 1:
        middle = (low + high) // 2
        misses, alarms = rates(middle)
        low, high = (low, middle) if misses >= alarms else (middle, high)
    (misses, alarms), (then_misses, then_alarms) = rates(low), rates(high)
    before, after = alarms - misses, then_misses - then_alarms
    return misses + before / (before + after) * (then_misses - misses)


def _rates(trials: Trials, vectors: Scores) -> tuple[float, Scores, Scores]:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
    scores = unit @ unit.T
    same, different = np.sort(scores[trials.same]), np.sort(scores[trials.different])
    thresholds = np.unique(np.concatenate([same, different]))
    without, alone = np.full((2, len(trials.speakers)), np.nan)
    for speaker in range(len(trials.speakers)):
        rows = np.flatnonzero(trials.codes == speaker)
        own = np.sort(scores[np.ix_(rows, rows)][trials.same[np.ix_(rows, rows)]])
        others = np.sort(scores[rows][:, trials.codes != speaker], axis=None)
        if len(own):
            alone[speaker] = equal_error(own, others)
        if len(own) < len(same) and len(others) < len(different):
            without[speaker] = _crossing(_Sorted(same, own), _Sorted(different, others), thresholds)
    whole = _crossing(_Sorted(same, same[:0]), _Sorted(different, different[:0]), thresholds)
    return whole, without, alone
