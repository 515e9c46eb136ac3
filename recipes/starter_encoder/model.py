"""The starter encoder's architecture, its prediction head, and how a checkpoint is written."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from transformers import HubertConfig, HubertModel

SAMPLING_RATE = 16_000
HOP, WINDOW = 320, 400  # samples; product of the strides, and the receptive field of the convolutions
PREPROCESSOR = {
    "feature_extractor_type": "Wav2Vec2FeatureExtractor",
    "do_normalize": True,
    "feature_size": 1,
    "padding_value": 0.0,
    "return_attention_mask": False,
    "sampling_rate": SAMPLING_RATE,
}


def architecture() -> HubertConfig:
    """Return HuBERT base made narrow: same kernels, strides and group norm, 5 blocks of width 160."""
    return HubertConfig(
        hidden_size=160,
        num_hidden_layers=5,
        num_attention_heads=4,
        intermediate_size=640,
        conv_dim=(32, 48, 64, 96, 96, 128, 128),
        num_conv_pos_embeddings=64,
        num_conv_pos_embedding_groups=8,
        hidden_dropout=0.05,
        attention_dropout=0.0,
        activation_dropout=0.0,
        feat_proj_dropout=0.0,
        final_dropout=0.0,
        layerdrop=0.0,
        mask_time_prob=0.5,  # non-zero, so that the mask embedding exists; the recipe draws its own masks
        vocab_size=32,
    )


class MaskedPredictor(torch.nn.Module):
    """HuBERT with a linear classifier of cluster indices over every frame."""

    def __init__(self, encoder: HubertModel, clusters: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = torch.nn.Linear(encoder.config.hidden_size, clusters)

    def forward(self, waveforms: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return logits of shape (batch, frames, clusters); frames where `mask` is true are hidden from the encoder."""
        hidden = self.encoder(waveforms, mask_time_indices=mask).last_hidden_state
        return self.head(hidden)


def normalised(waveforms: torch.Tensor) -> torch.Tensor:
    """Return each waveform with zero mean and unit variance, as the shipped preprocessor does."""
    centred = waveforms - waveforms.mean(dim=-1, keepdim=True)
    return centred / torch.sqrt(centred.var(dim=-1, keepdim=True, unbiased=False) + 1e-7)


def save_encoder(encoder: HubertModel, directory: Path) -> None:
    """Write the encoder in transformers' format, weights as float16 safetensors (half the size, read as float32)."""
    directory.mkdir(parents=True, exist_ok=True)
    half = HubertModel(encoder.config)
    half.load_state_dict(encoder.state_dict())
    half.half().save_pretrained(directory)
    (directory / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR, indent=2) + "\n")
