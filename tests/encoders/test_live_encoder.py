from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch

from mlflow_rank.encoders.live_encoder import LiveEncoder, live_encoder, unwrapped
from mlflow_rank.encoders.load import load_encoder
from mlflow_rank.encoders.undisturbed import undisturbed
from mlflow_rank.errors import MeasurementError, UsageError


@pytest.fixture(scope="module")
def trained(hubert: Path) -> Any:
    """The encoder of the `hubert` directory while it is trained: in training mode, with gradients."""
    from transformers import HubertModel

    return HubertModel.from_pretrained(hubert).train()


def heard(encoder: LiveEncoder, waveforms: torch.Tensor) -> list[torch.Tensor]:
    with undisturbed(encoder.module):
        return encoder.encode(waveforms)


def same(one: list[torch.Tensor], other: Any) -> bool:
    return len(one) == len(other) and all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


class Mine(torch.nn.Module):
    """A user's own model around an encoder."""

    def __init__(self, encoder: torch.nn.Module) -> None:
        super().__init__()
        self.student = encoder
        self.head = torch.nn.Linear(16, 4)


def test_an_encoder_is_heard_as_measure_hears_its_checkpoint(
    trained: Any, hubert: Path, waveforms: torch.Tensor
) -> None:
    loaded = load_encoder(str(hubert), device="cpu")
    live = live_encoder(trained)
    assert same(heard(live, waveforms), loaded.encode(waveforms))
    assert live.layers == loaded.layers
    assert (live.sampling_rate, live.minimum_samples, live.maximum_samples) == (16_000, loaded.minimum_samples, None)
    assert live.details["input"]["source"] == "the family's defaults: no preprocessor was given"


def test_it_stays_as_it_is(trained: Any, waveforms: torch.Tensor) -> None:
    before = copy.deepcopy(trained.state_dict())
    heard(live_encoder(trained), waveforms)
    assert all(part.training for part in trained.modules())
    assert all(each.requires_grad and each.dtype == torch.float32 for each in trained.parameters())
    assert all(torch.equal(value, before[name]) for name, value in trained.state_dict().items())


def test_it_is_found_inside_other_models_and_wrappers(
    trained: Any, hubert: Path, tiny: dict[str, Any], waveforms: torch.Tensor
) -> None:
    from transformers import HubertForCTC, Wav2Vec2Config, Wav2Vec2ForPreTraining

    ctc = HubertForCTC.from_pretrained(hubert)
    quantised = {"codevector_dim": 8, "proj_codevector_dim": 8, "num_codevectors_per_group": 4}
    pretraining = Wav2Vec2ForPreTraining(Wav2Vec2Config(**tiny, **quantised))
    assert live_encoder(ctc).module is ctc.hubert
    assert live_encoder(pretraining).module is pretraining.wav2vec2
    mine = Mine(trained)
    compiled = [torch.compile(each, backend="eager") for each in (mine, trained, torch.nn.DataParallel(mine))]
    for model in (mine, torch.nn.DataParallel(mine), *compiled):
        assert live_encoder(model).module is trained
    assert unwrapped(compiled[2]) is mine
    assert same(heard(live_encoder(compiled[0]), waveforms), heard(live_encoder(trained), waveforms))


@pytest.mark.parametrize(
    "family",
    ["Wav2Vec2", "Hubert", "WavLM", "Data2VecAudio", "UniSpeech", "UniSpeechSat", "SEW", "SEWD", "Wav2Vec2Conformer"],
)
def test_the_encoder_of_every_family_is_found_under_its_head(family: str, tiny: dict[str, Any]) -> None:
    import transformers

    config = getattr(transformers, f"{family}Config")(**tiny)
    model = getattr(transformers, f"{family}ForCTC")(config)
    live = live_encoder(model)
    assert live.module is model.base_model
    assert [layer.dim for layer in live.layers] == [16, 16, 16]


def test_the_encoder_of_whisper_is_found_and_not_its_decoder() -> None:
    from transformers import WhisperConfig, WhisperForConditionalGeneration

    sizes = {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "num_mel_bins": 8, "max_source_positions": 50}
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2, "encoder_ffn_dim": 16, "decoder_ffn_dim": 16}
    tokens = {"vocab_size": 20, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1}
    model = WhisperForConditionalGeneration(WhisperConfig(**sizes, **heads, **tokens))
    live = live_encoder(model)
    assert live.module is model.model.encoder
    assert live.maximum_samples == 16_000
    assert [frames.shape for frames in heard(live, torch.ones(1, 3200))] == [(1, 10, 16)] * 2


def test_layers_may_be_chosen(trained: Any, waveforms: torch.Tensor) -> None:
    every = heard(live_encoder(trained), waveforms)
    live = live_encoder(Mine(trained), layers="0,2")
    assert [layer.index for layer in live.layers] == [0, 2]
    assert same(heard(live, waveforms), [every[0], every[2]])


def test_of_two_encoders_one_must_be_named(trained: Any) -> None:
    model = Mine(trained)
    model.teacher = copy.deepcopy(trained)
    with pytest.raises(UsageError) as caught:
        live_encoder(model)
    assert caught.value.got == "student, teacher"
    assert "model.student" in str(caught.value.remedy)
    assert live_encoder(model.teacher).module is model.teacher


def test_an_encoder_under_two_names_is_one(trained: Any) -> None:
    model = Mine(trained)
    model.alias = trained
    assert live_encoder(model).module is trained


def test_a_model_without_an_encoder_is_told_how_to_name_layers() -> None:
    with pytest.raises(UsageError, match="no speech encoder") as caught:
        live_encoder(torch.nn.Sequential(torch.nn.Linear(1, 1)))
    assert caught.value.got == "Sequential, which holds 0 (Linear)"
    assert "layers=" in str(caught.value.remedy)


class Framed(torch.nn.Module):
    """Frames of ten samples, and two blocks of which the second works in place."""

    sampling_rate = 8000

    def __init__(self) -> None:
        super().__init__()
        self.blocks = torch.nn.ModuleList([torch.nn.Linear(10, 4), torch.nn.ReLU(inplace=True)])

    def forward(self, waveforms: torch.Tensor) -> torch.Tensor:
        frames = waveforms[:, : waveforms.shape[1] // 10 * 10].unflatten(1, (-1, 10))
        for block in self.blocks:
            frames = block(frames)
        return frames


def test_any_module_is_heard_by_the_names_of_its_layers() -> None:
    model = Framed().train()
    live = live_encoder(torch.nn.DataParallel(model), layers="blocks.*")
    assert live.module is model
    assert [(layer.index, layer.name, layer.dim) for layer in live.layers] == [(1, "blocks.0", 4), (2, "blocks.1", 4)]
    assert (live.sampling_rate, live.minimum_samples) == (8000, 10)
    linear, relu = heard(live, torch.ones(1, 40))
    assert torch.equal(linear.relu(), relu)
    assert live_encoder(model, layers="blocks.0", sampling_rate=16_000).sampling_rate == 16_000
    assert model.training
    assert live_encoder(torch.nn.Sequential(model), layers="0").layers[0].name == "0"


def test_weights_in_bfloat16_are_heard_as_they_are(trained: Any, waveforms: torch.Tensor) -> None:
    half = copy.deepcopy(trained).bfloat16()
    live = live_encoder(half)
    frames = heard(live, waveforms)
    assert live.dtype == "bfloat16"
    assert next(half.parameters()).dtype == torch.bfloat16
    assert all(each.dtype == torch.float32 and torch.isfinite(each).all() for each in frames)


def test_the_preprocessor_may_be_given_in_every_form(trained: Any, tmp_path: Path, waveforms: torch.Tensor) -> None:
    from transformers import Wav2Vec2FeatureExtractor

    extractor = Wav2Vec2FeatureExtractor(do_normalize=False)
    extractor.save_pretrained(tmp_path)
    plain = heard(live_encoder(trained, preprocessor={"do_normalize": False}), waveforms)
    assert not same(plain, heard(live_encoder(trained), waveforms))
    for given in (extractor, tmp_path, str(tmp_path)):
        live = live_encoder(trained, preprocessor=given)
        assert same(heard(live, waveforms), plain)
        assert live.details["input"] == {"features": "waveform", "normalised": False, "source": "as given"}


@pytest.mark.parametrize("wrong", [3, "nowhere", torch.nn.ReLU()])
def test_what_is_no_preprocessor_is_refused(trained: Any, wrong: object) -> None:
    with pytest.raises(UsageError, match="preprocessor"):
        live_encoder(trained, preprocessor=wrong)


def test_the_sampling_rate_may_be_given_where_the_preprocessor_does_not_say_another(trained: Any) -> None:
    assert live_encoder(trained, sampling_rate=8000).sampling_rate == 8000
    with pytest.raises(UsageError, match="another sampling rate"):
        live_encoder(trained, sampling_rate=8000, preprocessor={"sampling_rate": 16_000})


def test_lengths_that_it_does_not_hear_are_refused(trained: Any) -> None:
    with pytest.raises(UsageError, match="of this length") as caught:
        live_encoder(trained).encode(torch.ones(1, 3))
    assert caught.value.got == "3 samples"


def empty() -> torch.nn.Module:
    model = torch.nn.Linear(2, 2)
    model.weight.data = torch.empty(0)  # as ZeRO-3 leaves it between two forward passes
    return model


def on_meta() -> torch.nn.Module:
    return torch.nn.Linear(2, 2, device="meta")


def unwrapped_fsdp() -> torch.nn.Module:
    model = torch.nn.Linear(2, 2)
    model.bias._fsdp_flattened = True
    return model


class FullyShardedDataParallel(torch.nn.Sequential):
    """A wrapper of that name."""


@pytest.mark.parametrize(
    ("sharded", "got"),
    [
        (empty, "weight is empty"),
        (on_meta, "weight is on the meta device"),
        (unwrapped_fsdp, "bias is a part of FullyShardedDataParallel"),
        (FullyShardedDataParallel, "FullyShardedDataParallel"),
    ],
)
def test_sharded_parameters_are_refused_with_what_to_do(sharded: Any, got: str) -> None:
    with pytest.raises(MeasurementError, match="sharded") as caught:
        live_encoder(Mine(sharded()))
    assert got in str(caught.value.got)
    assert "mlflow-rank watch" in str(caught.value.remedy)


def test_a_transformers_model_of_another_family_needs_its_preprocessor() -> None:
    from transformers import ASTConfig, ASTModel

    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    with pytest.raises(UsageError, match="told how to hear"):
        live_encoder(ASTModel(ASTConfig(**sizes)))
