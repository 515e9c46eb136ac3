"""Errors, intervals and corrections against brute force, closed forms and simulated corpora whose truth is known."""

import numpy as np
import pytest
from scipy import signal, stats

from mlflow_rank.spectra import METRICS, Moments, Spectrum, estimate, merge_all
from mlflow_rank.spectra.effective_size import effective_size
from mlflow_rank.spectra.extrapolation import LINEAR, RECIPROCAL, RECIPROCAL_ISOSCORE
from mlflow_rank.spectra.influence import scales_without, spectra_without
from mlflow_rank.spectra.intervals import balanced_halves, half_width, jackknife_error
from mlflow_rank.spectra.spectrum import Scales, matrix_of

SMOOTH = (
    "effective_rank",
    "rankme",
    "spectral_entropy_rank",
    "participation_ratio",
    "isoscore",
    "alpha",
    "total_variance",
    "mean_norm_ratio",
    "normalised_std",
)


def autoregressive(rng, n, dim, rho):
    """Rows (n, dim) of a stationary AR(1) process of unit variance."""
    innovations = rng.normal(size=(n, dim)) * np.sqrt(1 - rho**2)
    innovations[0] /= np.sqrt(1 - rho**2)
    return signal.lfilter([1.0], [1.0, -rho], innovations, axis=0)


def corpus(rng, sd, *, speakers=10, utterances=6, frames=40, rho=0.7, of_speaker=0.03, of_utterance=0.15):
    """Moments of each speaker: utterances of unequal length, with a speaker's and an utterance's own offset."""
    blocks = []
    for _ in range(speakers):
        voice = rng.normal(size=sd.size) * np.sqrt(of_speaker)
        rows = []
        for _ in range(utterances):
            offset = voice + rng.normal(size=sd.size) * np.sqrt(of_utterance)
            n = int(rng.integers(frames // 2, frames * 3 // 2))
            rows.append(0.5 + sd * (offset + autoregressive(rng, n, sd.size, rho) * np.sqrt(1 - of_speaker - of_utterance)))
        blocks.append(Moments.of(np.concatenate(rows).astype(np.float32)))
    return blocks


def population(sd, mean, centred):
    many = 10**9
    return Spectrum.of(Moments(many, mean, np.diag(sd**2) * many), centred=centred)


def truth(metric, sd, mean, centred):
    spectrum = population(sd, mean, centred)
    return METRICS[metric].report(METRICS[metric].formula(spectrum.scales if METRICS[metric].kind == "scale" else spectrum), sd.size)


def test_intervals_cover_the_truth_in_90_to_98_percent_of_simulated_corpora():
    replications = 250
    for sd, options in (
        (np.geomspace(1, 0.1, 16), {}),
        (np.geomspace(1, 0.2, 12), {"speakers": 16, "rho": 0.8, "of_utterance": 0.05, "of_speaker": 0.05}),
    ):
        rng = np.random.default_rng(7)
        mean = np.full(sd.size, 0.5)
        hits: dict[tuple[str, bool], list[bool]] = {}
        for _ in range(replications):
            for row in estimate(corpus(rng, sd, **options), level="frame", metrics=SMOOTH):
                true = truth_of(row, sd, mean)
                hits.setdefault((row.metric, row.centred), []).append(row.low <= true <= row.high)
        coverage = {key: float(np.mean(found)) for key, found in hits.items()}
        assert all(0.90 <= share <= 0.98 for share in coverage.values()), coverage


_truths: dict[tuple[str, bool, int], float] = {}


def truth_of(row, sd, mean):
    key = (row.metric, row.centred, sd.size)
    if key not in _truths:
        _truths[key] = truth(row.metric, sd, mean, row.centred)
    return _truths[key]
