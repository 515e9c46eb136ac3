from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

from mlflow_rank.encoders.export import export_encoder
from mlflow_rank.encoders.load import load_encoder
from mlflow_rank.errors import UsageError
from mlflow_rank.speech.torchaudio_backend import import_torchaudio

torchaudio = import_torchaudio()

SHARED = {
    "extractor_mode": "group_norm",
    "extractor_conv_layer_config": [(8, 10, 5), (8, 3, 2)],
    "extractor_conv_bias": False,
    "encoder_embed_dim": 16,
    "encoder_projection_dropout": 0.1,
    "encoder_pos_conv_kernel": 8,
    "encoder_pos_conv_groups": 2,
    "encoder_num_layers": 2,
    "encoder_num_heads": 2,
    "encoder_attention_dropout": 0.1,
    "encoder_ff_interm_features": 32,
    "encoder_ff_interm_dropout": 0.1,
    "encoder_dropout": 0.1,
    "encoder_layer_norm_first": False,
    "encoder_layer_drop": 0.5,
    "aux_num_out": None,
}


@pytest.fixture(autouse=True)
def bundles(monkeypatch):
    """Small bundles among torchaudio's own, made with its own class."""
    from torchaudio.pipelines import Wav2Vec2Bundle

    wavlm = {**SHARED, "encoder_num_buckets": 8, "encoder_max_distance": 16}
    made = {
        "TINY": Wav2Vec2Bundle("absent.pth", SHARED, 16000, False, "Wav2Vec2"),
        "TINY_ASR": Wav2Vec2Bundle("absent.pth", {**SHARED, "aux_num_out": 5}, 16000, False, "Wav2Vec2"),
        "TINY_NORMALISING": Wav2Vec2Bundle(
            "absent.pth", {**SHARED, "encoder_layer_norm_first": True}, 16000, True, "Wav2Vec2"
        ),
        "TINY_WAVLM": Wav2Vec2Bundle("absent.pth", wavlm, 16000, False, "WavLM"),
    }
    for name, bundle in made.items():
        monkeypatch.setattr(torchaudio.pipelines, name, bundle, raising=False)
    return made


def model_of(bundle, seed=3):
    """The bundle's model as torchaudio builds it, with seeded weights."""
    factories = {"Wav2Vec2": torchaudio.models.wav2vec2_model, "WavLM": torchaudio.models.wavlm_model}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return factories[bundle._model_type](**bundle._params).eval()


@pytest.mark.parametrize("name", ["TINY", "TINY_ASR", "TINY_NORMALISING", "TINY_WAVLM"])
def test_a_bundle_with_a_local_state_gives_what_torchaudio_gives_and_survives_an_export(
    bundles, name, tmp_path, waveforms
):
    model = model_of(bundles[name])
    torch.save(model.state_dict(), tmp_path / "state.pt")
    encoder = load_encoder(f"torchaudio:{name}@{tmp_path / 'state.pt'}", device="cpu")
    frames = encoder.encode(waveforms)
    for row, waveform in enumerate(waveforms):
        heard = waveform[None]
        if name == "TINY_NORMALISING":  # as torchaudio does for a batch of one
            heard = torch.nn.functional.layer_norm(heard, heard.shape)
        with torch.no_grad():
            expected, _ = model.extract_features(heard)
        for ours, theirs in zip(frames[1:], expected, strict=True):
            torch.testing.assert_close(ours[row], theirs[0], rtol=1e-3, atol=1e-5)
    with torch.no_grad():  # layer 0 is what the first block is given: running the blocks on it gives the rest
        block = model.encoder.transformer.layers[0]
        torch.testing.assert_close(block(frames[0])[0], frames[1])
    export_encoder(encoder, tmp_path / "exported")
    again = load_encoder(str(tmp_path / "exported"), device="cpu")
    assert again.digest == encoder.digest
    assert torch.equal(again.encode(waveforms)[2], frames[2])


def test_the_minimum_gives_one_frame(bundles, waveforms):
    encoder = load_encoder("random:torchaudio:TINY", device="cpu")
    assert [frames.shape for frames in encoder.encode(waveforms[:, : encoder.minimum_samples])] == [(2, 1, 16)] * 3
    with pytest.raises(UsageError, match="at least 20"):
        encoder.encode(waveforms[:, : encoder.minimum_samples - 1])


def test_the_same_weights_have_one_digest_whatever_file_holds_them(bundles, tmp_path):
    state = model_of(bundles["TINY"]).state_dict()
    pretraining = {f"wav2vec2.{name}": tensor for name, tensor in state.items()} | {"logit_generator.w": torch.ones(1)}
    torch.save(state, tmp_path / "plain.pt")
    save_file(state, tmp_path / "plain.safetensors")
    torch.save({"state_dict": {f"model.{name}": tensor for name, tensor in state.items()}}, tmp_path / "wrapped.pt")
    torch.save(pretraining, tmp_path / "pretraining.pt")
    torch.save(state | {"aux.weight": torch.ones(2, 16)}, tmp_path / "head.pt")
    digests = {load_encoder(f"torchaudio:TINY@{file}", device="cpu").digest for file in tmp_path.iterdir()}
    assert len(digests) == 1


def test_random_weights_follow_the_seed_and_read_no_file(bundles, tmp_path):
    torch.save(model_of(bundles["TINY"]).state_dict(), tmp_path / "state.pt")
    trained = load_encoder(f"torchaudio:TINY@{tmp_path / 'state.pt'}", device="cpu").digest
    torch.manual_seed(1)
    first = load_encoder("random:torchaudio:TINY", device="cpu").digest
    torch.manual_seed(2)
    assert load_encoder("random:torchaudio:TINY@/no/such/file.pt", device="cpu").digest == first
    assert len({trained, first, load_encoder("random:torchaudio:TINY", device="cpu", seed=1).digest}) == 3


def test_weights_that_do_not_fit_are_refused(bundles, tmp_path):
    state = model_of(bundles["TINY"]).state_dict()
    del state["encoder.transformer.layer_norm.weight"]
    torch.save(state, tmp_path / "state.pt")
    with pytest.raises(UsageError, match=r"do not fit the bundle TINY(.|\n)*encoder\.transformer\.layer_norm\.weight"):
        load_encoder(f"torchaudio:TINY@{tmp_path / 'state.pt'}", device="cpu")


def test_without_state_and_network_the_way_out_is_named(bundles, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.urlopen", _no_network)
    with pytest.raises(UsageError) as refusal:
        load_encoder("torchaudio:TINY", device="cpu")
    assert "torchaudio:TINY@/path/to/state.pt" in str(refusal.value)


def _no_network(*_args, **_kwargs):
    raise OSError("Network is unreachable")


def test_a_downloaded_state_that_would_run_code_is_refused(bundles, tmp_path, monkeypatch):
    class Attack:
        def __reduce__(self):
            return open, (str(tmp_path / "created"), "w")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    cache = tmp_path / "hub" / "checkpoints"
    cache.mkdir(parents=True)
    torch.save({"w": Attack()}, cache / "absent.pth")
    with pytest.raises(UsageError, match="would execute code"):
        load_encoder("torchaudio:TINY", device="cpu")
    assert not (tmp_path / "created").exists()


def test_a_state_in_torchs_cache_is_used(bundles, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    cache = tmp_path / "hub" / "checkpoints"
    cache.mkdir(parents=True)
    torch.save(model_of(bundles["TINY"]).state_dict(), cache / "absent.pth")
    assert load_encoder("torchaudio:TINY", device="cpu").digest == (
        load_encoder(f"torchaudio:TINY@{cache / 'absent.pth'}", device="cpu").digest
    )


def test_an_unknown_bundle_is_refused_with_the_known_ones():
    with pytest.raises(UsageError, match="HUBERT_BASE"):
        load_encoder("torchaudio:HUBERT_TINY", device="cpu")


def test_layers_are_chosen_by_index(bundles):
    encoder = load_encoder("random:torchaudio:TINY", layers="0,2", device="cpu")
    assert [layer.name for layer in encoder.layers] == ["input", "encoder.transformer.layers.1"]
    with pytest.raises(UsageError, match="layers 0 to 2"):
        load_encoder("random:torchaudio:TINY", layers="1-3", device="cpu")


@pytest.mark.parametrize("name", ["HUBERT_BASE", "WAVLM_LARGE", "WAV2VEC2_ASR_BASE_960H", "WAV2VEC2_XLSR_2B", "MMS_FA"])
def test_torchaudios_own_bundles_are_known(name):
    from mlflow_rank.encoders.torchaudio_bundles import _bundle

    assert _bundle(name)._model_type in ("Wav2Vec2", "WavLM")
