"""Every formula against an independent reference, on known spectra, and under the laws that all ranks obey."""

import math

import numpy as np
import pytest
from dimensionality import participation_ratio as reference_participation_ratio
from hypothesis import given, settings
from hypothesis import strategies as st

from mlflow_rank.errors import MeasurementError
from mlflow_rank.spectra import METRICS, Moments, MomentsAccumulator, Spectrum, estimate, family
from mlflow_rank.spectra.metrics import SCALES, SPECTRAL
from mlflow_rank.spectra.spectrum import Scales

laws = settings(max_examples=40, derandomize=True, deadline=None)
RANKS = [metric for metric in SPECTRAL if metric.kind == "rank"]


def rotation(rng, dim):
    return np.linalg.qr(rng.normal(size=(dim, dim)))[0]


def spectrum(rows, centred=True):
    return Spectrum.of(Moments.of(rows), centred=centred)


def known(eigenvalues, count=10**6):
    """A centred spectrum with these eigenvalues."""
    eigenvalues = np.asarray(eigenvalues, dtype=float)
    return Spectrum.of(Moments(count, np.zeros(eigenvalues.size), np.diag(eigenvalues) * count), centred=True)


def exp_entropy(p):
    p = p[p > 0]
    return np.exp(-(p * np.log(p)).sum())


@pytest.mark.parametrize("condition", [1.0, 1e2, 1e4, 1e6, 1e8])
@pytest.mark.parametrize("centred", [True, False])
def test_rank_of_float32_frames_is_that_of_a_float64_svd_to_a_thousandth_of_a_percent(condition, centred):
    rng = np.random.default_rng(0)
    dim = 96
    frames = rng.normal(size=(3000, dim)) * np.geomspace(1, 1 / condition, dim) @ rotation(rng, dim)
    frames = (frames + 0.1).astype(np.float32)
    accumulator = MomentsAccumulator(dim)
    for part in np.array_split(frames, 11):
        accumulator.update(part)
    exact = frames.astype(np.float64)
    s = np.linalg.svd(exact - exact.mean(axis=0) if centred else exact, compute_uv=False)
    measured = Spectrum.of(accumulator.moments(), centred=centred)
    assert family.effective_rank(measured) == pytest.approx(exp_entropy(s / s.sum()), rel=1e-5)
    p = s / s.sum() + 1e-7
    assert family.rankme(measured) == pytest.approx(np.exp(-(p * np.log(p)).sum()), rel=1e-5)
    assert family.participation_ratio(measured) == pytest.approx((s**2).sum() ** 2 / (s**4).sum(), rel=1e-9)


@pytest.mark.parametrize("true_rank", [1, 3, 20])
def test_exactly_k_directions_read_k_although_float64_leaves_a_rounding_floor(true_rank):
    rng = np.random.default_rng(1)
    dim = 256
    rows = rng.normal(size=(1500, true_rank)) @ rng.normal(size=(true_rank, dim))
    s = np.linalg.svd(rows - rows.mean(axis=0), compute_uv=False)[:true_rank]
    measured = spectrum(rows)
    assert family.effective_rank(measured) == pytest.approx(exp_entropy(s / s.sum()), rel=1e-5)
    assert family.threshold_rank(measured) == true_rank


@pytest.mark.parametrize("k", [1, 2, 7, 10])
def test_k_equal_eigenvalues_read_k_in_every_rank(k):
    flat = known([4.0] * k + [0.0] * (10 - k))
    for metric in RANKS:
        expected = k if not metric.name.startswith("energy") else math.ceil(k * int(metric.name[-2:]) / 100 - 1e-9)
        assert metric.report(metric.formula(flat), 10) == pytest.approx(expected, rel=1e-4), metric.name
    assert family.isoscore(flat) == pytest.approx((k - 1) / 9)


def test_a_mean_far_off_leaves_centred_ranks_alone_and_takes_uncentred_ranks_to_one():
    rows = np.random.default_rng(0).normal(size=(4000, 6))
    moved = rows + 1e6
    assert family.effective_rank(spectrum(moved)) == pytest.approx(family.effective_rank(spectrum(rows)), rel=1e-6)
    assert family.effective_rank(spectrum(moved, centred=False)) == pytest.approx(1.0, abs=1e-3)
    assert family.mean_norm_ratio(Scales.of(Moments.of(moved))) == pytest.approx(1.0)


def test_hill_numbers_fall_with_their_order():
    for decay in (0.5, 1.0, 2.0):
        measured = known(np.arange(1, 65.0) ** -decay)
        numbers = [
            family.effective_rank(measured),
            family.spectral_entropy_rank(measured),
            family.participation_ratio(measured),
            family.stable_rank(measured),
        ]
        assert numbers == sorted(numbers, reverse=True)


def test_a_power_law_is_given_its_exponent_and_the_range_follows_the_dimension():
    for dim in (24, 200, 2000):
        assert family.alpha(known(np.arange(1, dim + 1.0) ** -1.37)) == pytest.approx(1.37)
    assert family.alpha_range(2000) == (11, 500)


def test_counts_have_a_fraction_that_their_neighbours_explain():
    steps = known([1.0, 1e-3, 1e-5, 1e-9])
    assert family.threshold_rank(steps) == pytest.approx(2.5)  # ln 1e-4 is half-way from ln 1e-3 to ln 1e-5
    assert METRICS["threshold_rank"].report(family.threshold_rank(steps), 4) == 2.0
    assert family.threshold_rank(known([1.0, 1e-4, 1e-5])) == pytest.approx(2.0)
    assert family.threshold_rank(known([1.0, 0.5])) == 2.0
    assert family.energy_rank(known([3.0, 1.0]), 0.875) == pytest.approx(1.5)
    assert METRICS["energy_rank_90"].report(family.energy_rank(known([3.0, 1.0]), 0.9), 2) == 2.0


def test_rankme_adds_epsilon_after_the_division_over_the_singular_values_that_rows_allow():
    few = known(np.ones(8), count=5)  # five rows, less one for the mean, span four directions
    p = np.array([0.25] * 4 + [0.0]) + 1e-7
    assert family.rankme(few) == pytest.approx(np.exp(-(p * np.log(p)).sum()), rel=1e-12)


def test_participation_ratio_extrapolates_to_an_unbiased_published_estimator():
    rng = np.random.default_rng(0)
    dim, sd = 40, np.geomspace(1, 0.2, 40)
    rows = rng.normal(size=(320, dim)) * sd
    oracle = reference_participation_ratio(rows, return_all=True)
    estimates = estimate(
        [Moments.of(part) for part in np.split(rows, 10)], level="frame", metrics=["participation_ratio"]
    )
    row = next(e for e in estimates if e.centred)
    assert row.value == pytest.approx(oracle["naive"], rel=1e-9)
    assert row.corrected == pytest.approx(oracle["row"], rel=0.02)
    truth = (sd**2).sum() ** 2 / (sd**4).sum()
    assert abs(row.corrected - truth) < abs(row.value - truth)


def test_scales_have_their_closed_forms():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(500, 6)) * [1, 2, 3, 1, 1, 1] + 2
    scales = Scales.of(Moments.of(rows))
    assert family.total_variance(scales) == pytest.approx(rows.var(axis=0).sum())
    energy = (rows**2).sum(axis=1).mean()
    assert family.mean_norm_ratio(scales) == pytest.approx((rows.mean(axis=0) ** 2).sum() / energy)
    assert family.normalised_std(scales) == pytest.approx(rows.std(axis=0).mean() * math.sqrt(6 / energy))


def test_normalised_std_is_that_of_normalised_rows_where_all_norms_are_equal():
    rows = np.random.default_rng(0).normal(size=(500, 6)) + 0.3
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    expected = math.sqrt(6) * rows.std(axis=0).mean()
    assert family.normalised_std(Scales.of(Moments.of(7 * rows))) == pytest.approx(expected)


@laws
@given(st.integers(0, 10**6), st.integers(2, 8), st.integers(2, 30), st.floats(1e-6, 1e6), st.booleans())
def test_ranks_lie_between_one_and_rows_or_dimensions_and_ignore_scale_and_rotation(seed, dim, n, scale, centred):
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(n, dim)) * np.geomspace(1, rng.uniform(1e-3, 1), dim) + rng.normal(size=dim)
    original = spectrum(rows, centred)
    turned = spectrum(scale * rows @ rotation(rng, dim), centred)
    for metric in RANKS:
        value = metric.formula(original)
        # ε outside the division lifts RankMe by at most ε·min(N, D)·ln min(N, D), relatively
        slack = 1e-6 if metric.epsilon else 1e-9
        assert 1 - slack <= value <= min(n, dim) * (1 + slack), metric.name
        assert metric.formula(turned) == pytest.approx(value, rel=1e-5), metric.name
    for scale_metric in SCALES:
        if scale_metric.highest == 1.0:
            assert 0.0 <= scale_metric.formula(original.scales) <= 1.0 + 1e-12


@pytest.mark.parametrize("metric", SPECTRAL, ids=lambda metric: metric.name)
def test_constant_rows_have_no_centred_spectrum_and_the_error_says_so(metric):
    with pytest.raises(MeasurementError, match="nothing varies"):
        metric.formula(spectrum(np.full((50, 4), 0.1)))


@pytest.mark.parametrize("metric", SPECTRAL, ids=lambda metric: metric.name)
def test_zero_rows_have_no_uncentred_spectrum_and_the_error_says_so(metric):
    with pytest.raises(MeasurementError, match="every row is zero"):
        metric.formula(spectrum(np.zeros((50, 4)), centred=False))


def test_variation_below_float32_rounding_is_no_rank():
    rows = 1000.0 + 1e-6 * np.random.default_rng(0).normal(size=(500, 4))
    with pytest.raises(MeasurementError, match="nothing varies"):
        family.effective_rank(spectrum(rows))
    assert family.effective_rank(spectrum(rows, centred=False)) == pytest.approx(1.0, abs=1e-3)


def test_zero_rows_have_a_variance_but_no_ratio():
    scales = Scales.of(Moments.of(np.zeros((3, 2))))
    assert family.total_variance(scales) == 0.0
    for formula in (family.mean_norm_ratio, family.normalised_std):
        with pytest.raises(MeasurementError, match="every row is zero"):
            formula(scales)


def test_a_slope_and_isotropy_need_enough_directions():
    with pytest.raises(MeasurementError, match="three eigenvalues"):
        family.alpha(known(np.ones(4)))
    with pytest.raises(MeasurementError, match="three eigenvalues"):
        family.alpha(known([1.0] * 5 + [0.0] * 27))
    with pytest.raises(MeasurementError, match="one dimension"):
        family.isoscore(known([1.0]))


def test_no_rows_have_no_spectrum():
    with pytest.raises(MeasurementError, match="0 rows"):
        Spectrum.of(Moments.zero(3), centred=True)


def test_a_spectrum_knows_its_rows():
    measured = spectrum(np.array([[3.0, 4.0], [3.0, 4.0]]), centred=False)
    assert (measured.count, measured.dim, measured.mean_norm) == (2, 2, 5.0)
    np.testing.assert_allclose(measured.eigenvalues, [25.0, 0.0], atol=1e-12)
