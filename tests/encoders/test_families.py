from __future__ import annotations

import pytest
import torch

from mlflow_rank.encoders.export import export_encoder
from mlflow_rank.encoders.load import load_encoder
from mlflow_rank.errors import UsageError

CONVOLUTIONAL = {
    "Wav2Vec2": {},
    "Hubert": {},
    "Hubert, stable": {"do_stable_layer_norm": True, "feat_extract_norm": "layer"},
    "WavLM": {},
    "Data2VecAudio": {},
    "UniSpeech": {},
    "UniSpeechSat": {},
    "SEW": {},
    "SEWD": {},
    "Wav2Vec2Conformer": {},
}
FAMILIES = [*CONVOLUTIONAL, "Wav2Vec2Bert", "Whisper"]


@pytest.fixture(scope="module")
def build(tiny, save):
    """Save a tiny model of a family and return it."""
    import transformers

    def make(family, directory):
        name = family.split(",")[0]
        config_class, model_class = getattr(transformers, f"{name}Config"), getattr(transformers, f"{name}Model")
        if name == "Whisper":  # positions for one second instead of thirty
            config = config_class(
                d_model=16, encoder_layers=2, decoder_layers=1, encoder_attention_heads=2, decoder_attention_heads=2,
                encoder_ffn_dim=32, decoder_ffn_dim=32, num_mel_bins=8, max_source_positions=50, vocab_size=20,
                pad_token_id=0, bos_token_id=1, eos_token_id=2, decoder_start_token_id=1, max_target_positions=8,
            )  # fmt: skip
        elif name == "Wav2Vec2Bert":
            blocks = {key: tiny[key] for key in ("hidden_size", "num_hidden_layers", "num_attention_heads")}
            config = config_class(**blocks, intermediate_size=32, feature_projection_input_dim=160)
        else:
            config = config_class(**tiny, **CONVOLUTIONAL[family])
        return save(model_class, config, directory)

    return make


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_gives_what_transformers_gives_and_survives_an_export(family, build, tmp_path, waveforms):
    import transformers

    model = build(family, tmp_path / "saved")
    encoder = load_encoder(str(tmp_path / "saved"), device="cpu")
    frames = encoder.encode(waveforms)
    assert [layer.index for layer in encoder.layers] == [0, 1, 2]
    assert all(layer.dim == heard.shape[2] == 16 for layer, heard in zip(encoder.layers, frames, strict=True))

    with torch.no_grad():  # transformers' own feature extractors and hidden states
        arrays = [row.numpy() for row in waveforms]
        if family == "Whisper":
            extractor = transformers.WhisperFeatureExtractor(feature_size=8, chunk_length=1)
            heard = extractor(arrays, sampling_rate=16000, return_tensors="pt")["input_features"]
            output = model.encoder(heard, output_hidden_states=True)
            normed = model.encoder.layer_norm(frames[2])
            torch.testing.assert_close(normed, output.hidden_states[2][:, :5])  # HF's last one is after the norm
            expected = [state[:, : 1600 // 320] for state in output.hidden_states[:2]] + [frames[2]]
        elif family == "Wav2Vec2Bert":
            extractor = transformers.SeamlessM4TFeatureExtractor()
            heard = extractor(arrays, sampling_rate=16000, return_tensors="pt")["input_features"]
            expected = model(heard, output_hidden_states=True).hidden_states
        else:
            extractor = transformers.Wav2Vec2FeatureExtractor()
            heard = extractor(arrays, sampling_rate=16000, return_tensors="pt")["input_values"]
            expected = model(heard, output_hidden_states=True).hidden_states
    for ours, theirs in zip(frames, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)

    export_encoder(encoder, tmp_path / "exported")
    again = load_encoder(str(tmp_path / "exported"), device="cpu")
    assert again.digest == encoder.digest
    assert all(torch.equal(first, second) for first, second in zip(frames, again.encode(waveforms), strict=True))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_minimum_gives_one_frame_and_one_sample_less_gives_none(family, build, tmp_path, waveforms):
    model = build(family, tmp_path)
    encoder = load_encoder(str(tmp_path), device="cpu")
    shortest = waveforms[:, : encoder.minimum_samples]
    assert [frames.shape[1] for frames in encoder.encode(shortest)] == [1, 1, 1]
    with pytest.raises(UsageError, match=f"at least {encoder.minimum_samples}"):
        encoder.encode(shortest[:, 1:])
    if family in CONVOLUTIONAL:  # the model itself agrees
        with torch.no_grad():
            try:
                heard = model(shortest[:, 1:], output_hidden_states=True).hidden_states[0].shape[1]
            except RuntimeError:
                heard = 0
        assert heard == 0


def test_whisper_says_that_it_pads_and_refuses_what_is_longer_than_its_window(build, tmp_path):
    build("Whisper", tmp_path)
    encoder = load_encoder(str(tmp_path), device="cpu")
    assert "silence up to 1 s" in encoder.describe()["input"]["padding"]
    assert encoder.maximum_samples == 16000
    assert encoder.encode(torch.zeros(1, 16000))[0].shape == (1, 50, 16)
    with pytest.raises(UsageError, match="at most 16000"):
        encoder.encode(torch.zeros(1, 16001))


def test_a_whisper_export_carries_no_decoder_and_gives_a_random_control(build, tmp_path):
    build("Whisper", tmp_path / "saved")
    encoder = load_encoder(str(tmp_path / "saved"), device="cpu")
    export_encoder(encoder, tmp_path / "exported")
    again = load_encoder(str(tmp_path / "exported"), layers="last", device="cpu")
    control = load_encoder(f"random:{tmp_path / 'exported'}", device="cpu")
    assert again.describe()["architecture"] == control.describe()["architecture"] == "WhisperEncoder"
    assert again.describe()["parameters"] == control.describe()["parameters"]
    assert control.digest != again.digest == encoder.digest


def test_a_whisper_preprocessor_for_another_size_is_refused(build, tmp_path):
    build("Whisper", tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(
        '{"feature_size": 80, "chunk_length": 30, "sampling_rate": 16000}'
    )
    with pytest.raises(UsageError, match="80 mel bands × 3000 frames"):
        load_encoder(str(tmp_path), device="cpu")


def test_models_without_a_family_of_their_own_are_read_through_hidden_states(save, tmp_path):
    from transformers import MoonshineConfig, MoonshineModel

    config = MoonshineConfig(
        hidden_size=16, encoder_num_hidden_layers=2, decoder_num_hidden_layers=1, encoder_num_attention_heads=2,
        decoder_num_attention_heads=2, intermediate_size=32, vocab_size=16,
    )  # fmt: skip
    hears = {"feature_extractor_type": "Wav2Vec2FeatureExtractor", "do_normalize": False, "sampling_rate": 16000}
    model = save(MoonshineModel, config, tmp_path, hears)
    encoder = load_encoder(str(tmp_path), layers="1,2", device="cpu")
    sound = torch.randn(1, encoder.minimum_samples + 384, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = model.encoder(sound, output_hidden_states=True).hidden_states
    for ours, theirs in zip(encoder.encode(sound), expected[1:], strict=True):
        torch.testing.assert_close(ours, theirs)
    assert [layer.index for layer in encoder.layers] == [1, 2]
    assert encoder.encode(sound[:, : encoder.minimum_samples])[0].shape[1] == 1
    assert encoder.describe()["frames"] == "hidden_states as transformers gives them"


def test_a_model_that_pads_every_input_to_one_length_is_refused(save, tmp_path):
    from transformers import ASTConfig, ASTFeatureExtractor, ASTModel

    config = ASTConfig(
        hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8, num_mel_bins=16, max_length=64
    )
    save(ASTModel, config, tmp_path, ASTFeatureExtractor(num_mel_bins=16, max_length=64).to_dict())
    with pytest.raises(UsageError, match="number of frames does not grow with the audio"):
        load_encoder(str(tmp_path), device="cpu")


def test_a_text_model_is_no_speech_encoder(save, tmp_path):
    from transformers import BertConfig, BertModel

    config = BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8, vocab_size=9)
    save(BertModel, config, tmp_path)
    with pytest.raises(UsageError, match="BertModel, whose input is input_ids"):
        load_encoder(str(tmp_path), device="cpu")
