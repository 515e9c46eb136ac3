"""What a model is fed: the waveform as it is or normalised, or the spectral features that it was trained on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mlflow_rank.errors import UsageError

if TYPE_CHECKING:
    import torch

_VARIANCE_FLOOR = 1e-7
"""Added to the variance before the root, as transformers' Wav2Vec2FeatureExtractor.zero_mean_unit_var_norm does."""

DEFAULT_SAMPLING_RATE = 16_000
"""Hz; the default of every speech feature extractor in transformers, and of torchaudio's bundles."""


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """How waveforms become a model's input.

    `prepare` takes float32 waveforms (batch, samples) to the model's keyword arguments. `frames_kept` says how many of
    the frames belong to a waveform of so many samples, where the model hears padding after it; None where it hears
    exactly the waveform.
    """

    sampling_rate: int
    prepare: Callable[[torch.Tensor], dict[str, torch.Tensor]]
    description: Mapping[str, object]
    minimum_samples: int | None = None
    maximum_samples: int | None = None
    frames_kept: Callable[[int], int] | None = None
    preprocessor: Mapping[str, Any] = field(default_factory=dict)


def normalised(waveforms: torch.Tensor) -> torch.Tensor:
    """Bring each waveform to zero mean and unit variance over its samples; a constant one becomes zeros.

    >>> import torch
    >>> normalised(torch.tensor([[1.0, 2.0, 3.0]]))
    tensor([[-1.2247,  0.0000,  1.2247]])
    """
    centred = waveforms - waveforms.mean(dim=-1, keepdim=True)
    variance = centred.square().mean(dim=-1, keepdim=True)
    return centred / (variance + _VARIANCE_FLOOR).sqrt()


def waveform_features(preprocessor: Mapping[str, Any], *, stated: bool, argument: str = "input_values") -> Features:
    """Features of models that take the waveform itself.

    Args:
        preprocessor: the checkpoint's preprocessor configuration; `do_normalize`, `sampling_rate` and `feature_size`
            are read, with the defaults of transformers' Wav2Vec2FeatureExtractor (True, 16000, 1).
        stated: whether the checkpoint came with one; where not, the description says that defaults were taken.
        argument: the name of the model's waveform argument.
    """
    normalise = bool(preprocessor.get("do_normalize", True))
    size = int(preprocessor.get("feature_size", 1))
    if size != 1:
        raise UsageError(
            "the preprocessor configuration does not fit a model that takes the waveform",
            got=f"feature_size {size}",
            expected="feature_size 1",
        )

    def prepare(waveforms: torch.Tensor) -> dict[str, torch.Tensor]:
        return {argument: normalised(waveforms) if normalise else waveforms}

    return Features(
        sampling_rate=int(preprocessor.get("sampling_rate", DEFAULT_SAMPLING_RATE)),
        prepare=prepare,
        description={
            "features": "waveform",
            "normalised": normalise,
            "source": "the checkpoint's" if stated else "defaults: the checkpoint has no preprocessor configuration",
        },
        preprocessor={
            "feature_extractor_type": "Wav2Vec2FeatureExtractor",
            "feature_size": 1,
            "padding_value": 0.0,
            "return_attention_mask": False,
            "do_normalize": True,
            "sampling_rate": DEFAULT_SAMPLING_RATE,
            **preprocessor,
        },
    )


def whisper_features(preprocessor: Mapping[str, Any], encoder: Any) -> Features:
    """Features of Whisper's encoder: the log-mel spectrogram of the audio padded with silence to its fixed window.

    Whisper's position table has one length, so it hears 30 s whatever the audio lasts. The frames that lie wholly
    within the audio are kept, the rest are dropped.
    """
    from transformers import WhisperFeatureExtractor

    stride = encoder.conv1.stride[0] * encoder.conv2.stride[0]
    window = encoder.config.max_source_positions * stride  # mel frames that the encoder insists on
    hop, rate = preprocessor.get("hop_length", 160), preprocessor.get("sampling_rate", DEFAULT_SAMPLING_RATE)
    defaults = {"feature_size": encoder.config.num_mel_bins, "chunk_length": window * hop // rate}
    extractor = WhisperFeatureExtractor.from_dict(defaults | dict(preprocessor))
    if extractor.nb_max_frames != window or extractor.feature_size != encoder.config.num_mel_bins:
        raise UsageError(
            "the preprocessor configuration does not fit this Whisper encoder",
            got=f"{extractor.feature_size} mel bands × {extractor.nb_max_frames} frames",
            expected=f"{encoder.config.num_mel_bins} × {window}",
        )
    samples_per_frame = stride * extractor.hop_length
    return Features(
        sampling_rate=extractor.sampling_rate,
        prepare=_by_extractor(extractor, "input_features"),
        description={
            "features": f"log-mel spectrogram, {extractor.feature_size} bands",
            "padding": f"silence up to {extractor.chunk_length} s, which the encoder hears; "
            f"kept are the frames wholly within the audio, one per {samples_per_frame} samples",
        },
        minimum_samples=samples_per_frame,
        maximum_samples=extractor.n_samples,
        frames_kept=lambda samples: samples // samples_per_frame,
        preprocessor=extractor.to_dict(),
    )


def filter_bank_features(preprocessor: Mapping[str, Any]) -> Features:
    """Features of Wav2Vec2-BERT: normalised Kaldi filter banks, stacked in pairs; an odd last one is dropped."""
    from transformers import SeamlessM4TFeatureExtractor

    extractor = SeamlessM4TFeatureExtractor.from_dict(dict(preprocessor))
    frame, hop = 400, 160  # samples: the 25 ms window and 10 ms step that SeamlessM4TFeatureExtractor fixes at 16 kHz
    return Features(
        sampling_rate=extractor.sampling_rate,
        # Without pad_to_multiple_of the extractor drops an odd frame; its default would pad one.
        prepare=_by_extractor(extractor, "input_features", pad_to_multiple_of=None),
        description={
            "features": f"log filter banks, {extractor.num_mel_bins} bands × {extractor.stride} frames, "
            "each band normalised over the utterance"
        },
        minimum_samples=frame + hop * (max(extractor.stride, 2) - 1),  # the normalisation needs two frames
        preprocessor=extractor.to_dict(),
    )


def extractor_features(extractor: Any, argument: str) -> Features:
    """Features by whatever extractor a checkpoint names, called with its own defaults."""
    return Features(
        sampling_rate=int(extractor.sampling_rate),
        prepare=_by_extractor(extractor, argument),
        description={"features": f"{type(extractor).__name__} with its own defaults"},
        preprocessor=extractor.to_dict(),
    )


def _by_extractor(extractor: Any, argument: str, **options: object) -> Callable[[torch.Tensor], dict[str, Any]]:
    def prepare(waveforms: torch.Tensor) -> dict[str, Any]:
        import torch

        arrays = [waveform.cpu().numpy() for waveform in waveforms]
        with torch.autocast("cpu", enabled=False):  # spectra in float32 whatever the model runs in
            heard = extractor(arrays, sampling_rate=extractor.sampling_rate, return_tensors="pt", **options)
        return {argument: heard[argument].to(waveforms.device)}

    return prepare
