"""How wide is it? Moments of rows, their spectrum, and every rank read from it with its uncertainty.

Arithmetic only: numpy and scipy, no labels, no audio, no registry. The way through the folder is

`rows → MomentsAccumulator → Moments (one per block) → estimate → RankEstimate`
"""

from mlflow_rank.spectra.accumulator import MomentsAccumulator
from mlflow_rank.spectra.convention import PRESETS, Convention, Preset, Sampling, ensure_comparable
from mlflow_rank.spectra.estimate import RankEstimate, estimate
from mlflow_rank.spectra.few_rows import FewRows, State, merge_states, moments_of, state_from_arrays
from mlflow_rank.spectra.level import LEVELS
from mlflow_rank.spectra.metrics import METRICS, Metric
from mlflow_rank.spectra.moments import Moments, merge, merge_all
from mlflow_rank.spectra.packed import PackedMoments
from mlflow_rank.spectra.spectrum import Spectrum

__all__ = [
    "LEVELS",
    "METRICS",
    "PRESETS",
    "Convention",
    "FewRows",
    "Metric",
    "Moments",
    "MomentsAccumulator",
    "PackedMoments",
    "Preset",
    "RankEstimate",
    "Sampling",
    "Spectrum",
    "State",
    "ensure_comparable",
    "estimate",
    "merge",
    "merge_all",
    "merge_states",
    "moments_of",
    "state_from_arrays",
]
