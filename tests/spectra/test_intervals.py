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


def autoregressive(rng, shape, rho):
    """A stationary AR(1) process of unit variance along the last axis but one of `shape`."""
    innovations = rng.normal(size=shape) * np.sqrt(1 - rho**2)
    innovations[..., 0, :] /= np.sqrt(1 - rho**2)
    return signal.lfilter([1.0], [1.0, -rho], innovations, axis=-2)


def corpus(rng, sd, *, speakers=10, utterances=6, frames=40, rho=0.7, of_speaker=0.03, of_utterance=0.15):
    """Moments of each speaker: utterances of unequal length, with a speaker's and an utterance's own offset."""
    dim = sd.size
    blocks = []
    for _ in range(speakers):
        offsets = rng.normal(size=dim) * np.sqrt(of_speaker) + rng.normal(size=(utterances, 1, dim)) * np.sqrt(
            of_utterance
        )
        within = autoregressive(rng, (utterances, frames * 3 // 2, dim), rho) * np.sqrt(1 - of_speaker - of_utterance)
        lengths = rng.integers(frames // 2, frames * 3 // 2, size=utterances)
        rows = [utterance[:n] for utterance, n in zip(0.5 + sd * (offsets + within), lengths, strict=True)]
        blocks.append(Moments.of(np.concatenate(rows).astype(np.float32)))
    return blocks


def population(sd, mean, centred):
    many = 10**9
    return Spectrum.of(Moments(many, mean, np.diag(sd**2) * many), centred=centred)


def truth(metric, sd, mean, centred):
    spectrum = population(sd, mean, centred)
    return METRICS[metric].report(
        METRICS[metric].formula(spectrum.scales if METRICS[metric].kind == "scale" else spectrum), sd.size
    )


@pytest.mark.parametrize(
    ("sd", "options"),
    [
        (np.geomspace(1, 0.1, 16), {}),
        (np.geomspace(1, 0.2, 12), {"speakers": 16, "rho": 0.8, "of_utterance": 0.05, "of_speaker": 0.05}),
    ],
    ids=["10 speakers", "16 speakers and longer memory"],
)
def test_intervals_cover_the_truth_in_90_to_98_percent_of_simulated_corpora(sd, options):
    rng = np.random.default_rng(7)
    mean = np.full(sd.size, 0.5)
    hits: dict[tuple[str, bool], list[bool]] = {}
    truths = {(name, centred): truth(name, sd, mean, centred) for name in SMOOTH for centred in METRICS[name].centrings}
    for _ in range(250):
        for row in estimate(corpus(rng, sd, **options), level="frame", metrics=SMOOTH):
            key = row.metric, row.centred
            hits.setdefault(key, []).append(row.low <= truths[key] <= row.high)
    coverage = {key: float(np.mean(found)) for key, found in hits.items()}
    assert all(0.90 <= share <= 0.98 for share in coverage.values()), coverage


def test_the_first_order_error_agrees_with_leaving_blocks_out_by_force():
    rng = np.random.default_rng(3)
    sd = np.geomspace(1, 0.1, 24)
    blocks = corpus(rng, sd, utterances=8)
    rows = [row for row in estimate(blocks, level="frame", metrics=SMOOTH) if row.metric != "alpha"]
    for row in rows:
        metric = METRICS[row.metric]

        def value(moments, metric=metric, centred=row.centred):
            return metric.formula(
                Scales.of(moments) if metric.kind == "scale" else Spectrum.of(moments, centred=centred)
            )

        without = [value(merge_all(blocks[:b] + blocks[b + 1 :])) for b in range(len(blocks))]
        by_force = jackknife_error(value(merge_all(blocks)), without, [block.count for block in blocks])
        assert row.se == pytest.approx(by_force, rel=1e-9 if metric.kind == "scale" else 0.15), row.metric


@pytest.mark.parametrize("centred", [True, False])
def test_leave_out_states_are_the_quadratic_forms_and_exact_scales_they_claim(centred):
    rng = np.random.default_rng(3)
    blocks = [Moments.of(rng.normal(size=(n, 6)) * [3, 2, 1, 1, 1, 0.1] + rng.normal(size=6)) for n in (20, 35, 50)]
    total = merge_all(blocks)
    values, vectors = np.linalg.eigh(matrix_of(total, centred=centred))
    for b, left_out in enumerate(spectra_without(blocks, total, values, vectors, centred=centred)):
        rest = merge_all(blocks[:b] + blocks[b + 1 :])
        forms = np.diag(vectors.T @ matrix_of(rest, centred=centred) @ vectors)
        np.testing.assert_allclose(left_out.eigenvalues, np.sort(forms)[::-1], rtol=1e-10)
        for scales in (left_out.scales, scales_without(blocks[b], total)):
            assert scales.count == rest.count
            assert scales.total_variance == pytest.approx(Scales.of(rest).total_variance)
            assert scales.mean_norm == pytest.approx(Scales.of(rest).mean_norm)
            assert scales.mean_channel_std == pytest.approx(Scales.of(rest).mean_channel_std)


def test_the_jackknife_of_a_mean_is_its_textbook_error_for_equal_blocks():
    rows = np.random.default_rng(0).normal(size=12)
    without = [np.delete(rows, i).mean() for i in range(12)]
    assert jackknife_error(rows.mean(), without, [1] * 12) == pytest.approx(stats.sem(rows))


def test_the_jackknife_of_a_mean_of_unequal_blocks_estimates_its_error():
    rng = np.random.default_rng(0)
    counts = [5, 10, 20, 40, 15, 10]
    errors, means = [], []
    for _ in range(400):
        blocks = [rng.normal(size=n) for n in counts]
        everything = np.concatenate(blocks)
        without = [np.concatenate(blocks[:b] + blocks[b + 1 :]).mean() for b in range(len(blocks))]
        errors.append(jackknife_error(everything.mean(), without, counts))
        means.append(everything.mean())
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(1 / np.sqrt(sum(counts)), rel=0.05)
    assert np.std(means) == pytest.approx(1 / np.sqrt(sum(counts)), rel=0.1)


def test_few_blocks_widen_the_interval_as_students_t_does():
    for blocks in (2, 5, 30):
        assert half_width(2.0, blocks) == pytest.approx(2 * stats.t.ppf(0.975, blocks - 1))


def test_halves_take_every_block_once_and_are_balanced():
    counts = [7, 1, 9, 3, 3, 8, 2, 30]
    first, second = balanced_halves(counts)
    assert sorted([*first, *second]) == list(range(8))
    rows = [sum(counts[b] for b in half) for half in (first, second)]
    assert abs(rows[0] - rows[1]) <= 3


@pytest.mark.parametrize("decay", [0.3, 0.1, 0.01])
@pytest.mark.parametrize("rows_per_dim", [4, 8])
def test_the_correction_removes_nearly_all_of_a_bias_whose_truth_is_known(decay, rows_per_dim):
    dim = 60
    sd = np.geomspace(1, decay, dim)
    rng = np.random.default_rng(0)
    found = []
    for _ in range(12):
        blocks = [Moments.of(rng.normal(size=(rows_per_dim * dim // 10, dim)) * sd) for _ in range(10)]
        rows = estimate(blocks, level="frame", metrics=["effective_rank", "participation_ratio"])
        found.append([(row.value, row.corrected) for row in rows if row.centred])
    for metric, (plug_in, corrected) in zip(
        ("effective_rank", "participation_ratio"), np.mean(found, axis=0), strict=True
    ):
        true = truth(metric, sd, np.zeros(dim), True)
        assert plug_in < 0.99 * true
        assert corrected == pytest.approx(true, rel=0.015)
        assert abs(corrected - true) < 0.3 * abs(plug_in - true)


def test_extrapolation_is_exact_on_a_bias_that_falls_with_the_rows():
    rows = {"whole": 1000, "halves": [400, 600]}
    linear = {n: 50.0 - 800.0 / n for n in (1000, 400, 600)}
    assert LINEAR.limit(linear[1000], [linear[400], linear[600]], rows["halves"], dim=99) == pytest.approx(50.0)
    inverse = {n: 1 / (1 / 50.0 + 1 / n) for n in (1000, 400, 600)}
    assert RECIPROCAL.limit(inverse[1000], [inverse[400], inverse[600]], rows["halves"], dim=99) == pytest.approx(50.0)
    score = {n: (value - 1) / 98 for n, value in inverse.items()}
    limit = RECIPROCAL_ISOSCORE.limit(score[1000], [score[400], score[600]], rows["halves"], dim=99)
    assert limit == pytest.approx(49 / 98)


def test_halves_that_share_no_direction_extrapolate_to_infinity_not_below_zero():
    assert RECIPROCAL.limit(2.0, [1.0, 1.0], [5, 5], dim=9) == np.inf


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9])
def test_effective_size_of_autoregressive_rows_is_that_of_their_mean(rho):
    rng = np.random.default_rng(1)
    blocks = [Moments.of(autoregressive(rng, (1500, 40), rho)) for _ in range(20)]
    total = merge_all(blocks)
    assert effective_size(blocks, total) == pytest.approx(total.count * (1 - rho) / (1 + rho), rel=0.15)


def test_rows_alike_within_a_block_count_once_per_block():
    rng = np.random.default_rng(1)
    blocks = [Moments.of(np.repeat(rng.normal(size=(1, 5)), 50, axis=0)) for _ in range(8)]
    assert effective_size(blocks, merge_all(blocks)) == pytest.approx(8, rel=0.02)


def test_blocks_more_alike_than_chance_do_not_count_more_than_their_rows():
    block = Moments.of(np.random.default_rng(1).normal(size=(50, 5)))
    assert effective_size([block, block], block + block) == 100
    constant = Moments.of(np.ones((5, 2)))
    assert effective_size([constant, constant], constant + constant) == 10
