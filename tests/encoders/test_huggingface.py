from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from mlflow_rank.encoders.load import load_encoder
from mlflow_rank.errors import UsageError


def relative(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).norm() / b.norm())


@pytest.fixture
def copied(hubert, tmp_path):
    """A copy of the tiny HuBERT that a test may change."""
    return Path(shutil.copytree(hubert, tmp_path / "copied"))


def change_weights(directory, change):
    """Rewrite a directory's safetensors by what `change` makes of the names and tensors."""
    file = directory / "model.safetensors"
    save_file(change(load_file(file)), file, metadata={"format": "pt"})


# --- exact length ---------------------------------------------------------------------------------------------------


def test_padding_changes_a_group_norm_encoder_and_an_attention_mask_does_not_save_it(hubert, waveforms):
    """Why the encoder is fed the exact length: this is the size of the error that padding to twice the length makes."""
    from transformers import HubertModel

    encoder = load_encoder(str(hubert), device="cpu")
    exact = encoder.encode(waveforms[:1])
    padded = torch.zeros(1, 3200)
    padded[:, :1600] = (waveforms[:1] - waveforms[:1].mean()) / waveforms[:1].std(unbiased=False)
    mask = (torch.arange(3200) < 1600)[None].long()
    with torch.no_grad():
        heard = HubertModel.from_pretrained(hubert).eval()(padded, attention_mask=mask, output_hidden_states=True)
    frames = exact[0].shape[1]
    errors = [relative(state[:, :frames], ours) for state, ours in zip(heard.hidden_states, exact, strict=True)]
    assert min(errors) > 0.05


def test_padding_with_a_mask_is_harmless_to_a_layer_norm_encoder(save, tiny, tmp_path, waveforms):
    from transformers import HubertConfig, HubertModel

    config = HubertConfig(**tiny, feat_extract_norm="layer", do_stable_layer_norm=True)
    model = save(HubertModel, config, tmp_path, {"do_normalize": False, "sampling_rate": 16000})
    exact = load_encoder(str(tmp_path), device="cpu").encode(waveforms[:1])
    padded = torch.nn.functional.pad(waveforms[:1], (0, 1600))
    mask = (torch.arange(3200) < 1600)[None].long()
    with torch.no_grad():
        heard = model(padded, attention_mask=mask, output_hidden_states=True)
    frames = exact[0].shape[1]
    assert max(relative(state[:, :frames], ours) for state, ours in zip(heard.hidden_states, exact, strict=True)) < 1e-5


def test_a_batch_of_equal_lengths_gives_each_waveform_what_it_gets_alone(hubert, waveforms):
    encoder = load_encoder(str(hubert), device="cpu")
    together = encoder.encode(waveforms)
    for row, waveform in enumerate(waveforms):
        for layer, alone in zip(together, encoder.encode(waveform[None]), strict=True):
            torch.testing.assert_close(layer[row], alone[0], rtol=1e-4, atol=1e-5)


def test_masking_dropout_and_layerdrop_are_off(save, tiny, tmp_path, waveforms):
    from transformers import HubertConfig, HubertModel

    stormy = {
        "mask_time_prob": 0.5, "mask_time_length": 2, "mask_feature_prob": 0.5, "mask_feature_length": 2,
        "layerdrop": 0.9, "hidden_dropout": 0.5, "attention_dropout": 0.5, "feat_proj_dropout": 0.5,
    }  # fmt: skip
    save(HubertModel, HubertConfig(**tiny, **stormy), tmp_path)
    first = load_encoder(str(tmp_path), device="cpu").encode(waveforms)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | dict.fromkeys(stormy, 0)))
    calm = load_encoder(str(tmp_path), device="cpu").encode(waveforms)
    assert all(torch.equal(a, b) for a, b in zip(first, calm, strict=True))


# --- the model's own normalisation ----------------------------------------------------------------------------------


@pytest.mark.parametrize("file", ["preprocessor_config.json", "processor_config.json"])
def test_the_checkpoints_normalisation_and_rate_are_followed(copied, waveforms, file):
    from transformers import HubertModel

    (copied / "preprocessor_config.json").unlink()
    stated = {"do_normalize": False, "sampling_rate": 8000, "feature_extractor_type": "Wav2Vec2FeatureExtractor"}
    content = stated if file == "preprocessor_config.json" else {"feature_extractor": stated}
    (copied / file).write_text(json.dumps(content))
    encoder = load_encoder(str(copied), device="cpu")
    with torch.no_grad():
        plain = HubertModel.from_pretrained(copied).eval()(waveforms, output_hidden_states=True).hidden_states
    assert encoder.sampling_rate == 8000
    assert encoder.describe()["input"]["normalised"] is False
    torch.testing.assert_close(encoder.encode(waveforms)[2], plain[2])


def test_without_a_preprocessor_configuration_the_documented_defaults_are_taken_and_said(hubert, copied, waveforms):
    (copied / "preprocessor_config.json").unlink()
    encoder = load_encoder(str(copied), device="cpu")
    assert encoder.sampling_rate == 16000
    assert "defaults" in encoder.describe()["input"]["source"]
    normalised = load_encoder(str(hubert), device="cpu").encode(waveforms)
    assert torch.equal(encoder.encode(waveforms)[2], normalised[2])


def test_loudness_does_not_reach_a_normalising_encoder(hubert, waveforms):
    encoder = load_encoder(str(hubert), device="cpu")
    torch.testing.assert_close(
        encoder.encode(waveforms * 0.5 + 0.1)[2], encoder.encode(waveforms)[2], rtol=1e-3, atol=1e-4
    )


# --- weights --------------------------------------------------------------------------------------------------------


def test_copies_agree_wherever_they_lie_and_one_changed_weight_shows(hubert, copied):
    digest = load_encoder(str(hubert), device="cpu").digest
    assert load_encoder(str(copied), device="cpu").digest == digest

    def nudge(weights):
        weights["encoder.layers.1.layer_norm.bias"][3] += 1e-6
        return weights

    change_weights(copied, nudge)
    assert load_encoder(str(copied), device="cpu").digest != digest


def test_a_float16_file_becomes_float32_in_memory(copied, waveforms):
    change_weights(copied, lambda weights: {name: tensor.half() for name, tensor in weights.items()})
    config = json.loads((copied / "config.json").read_text())
    (copied / "config.json").write_text(json.dumps(config | {"dtype": "float16"}))
    encoder = load_encoder(str(copied), device="cpu")
    assert {parameter.dtype for parameter in encoder.anatomy.module.parameters()} == {torch.float32}
    assert all(frames.dtype == torch.float32 and frames.isfinite().all() for frames in encoder.encode(waveforms))
    control = load_encoder(f"random:{copied}", device="cpu")
    assert {parameter.dtype for parameter in control.anatomy.module.parameters()} == {torch.float32}


def test_a_checkpoint_with_a_head_loads_as_its_base_model(save, tiny, tmp_path):
    from transformers import HubertConfig, HubertForCTC, HubertModel

    model = save(HubertForCTC, HubertConfig(**tiny), tmp_path / "ctc")
    model.hubert.save_pretrained(tmp_path / "base")
    encoder = load_encoder(str(tmp_path / "ctc"), device="cpu")
    assert isinstance(encoder.anatomy.module, HubertModel)
    assert encoder.digest == load_encoder(str(tmp_path / "base"), device="cpu").digest
    assert encoder.describe()["heads_left_aside"] == ["lm_head"]


def test_older_names_of_weight_norm_load_as_the_same_weights(hubert, copied):
    def rename(weights):
        plain = {"parametrizations.weight.original0": "weight_g", "parametrizations.weight.original1": "weight_v"}
        for new, old in plain.items():
            weights[f"encoder.pos_conv_embed.conv.{old}"] = weights.pop(f"encoder.pos_conv_embed.conv.{new}")
        return weights

    change_weights(copied, rename)
    assert load_encoder(str(copied), device="cpu").digest == load_encoder(str(hubert), device="cpu").digest


def test_a_lacking_mask_vector_is_zeroed_since_inference_never_reads_it(hubert, copied, waveforms):
    change_weights(copied, lambda weights: {name: t for name, t in weights.items() if name != "masked_spec_embed"})
    first, second = (load_encoder(str(copied), device="cpu") for _ in range(2))
    assert first.digest == second.digest
    assert first.describe()["zeroed_as_never_read"] == ["masked_spec_embed"]
    assert torch.equal(first.encode(waveforms)[2], load_encoder(str(hubert), device="cpu").encode(waveforms)[2])


def test_one_lacking_weight_is_refused_by_name(copied):
    change_weights(
        copied, lambda weights: {n: t for n, t in weights.items() if n != "encoder.layers.1.layer_norm.bias"}
    )
    with pytest.raises(UsageError, match=r"would stay random\n.*encoder\.layers\.1\.layer_norm\.bias\n"):
        load_encoder(str(copied), device="cpu")


def test_the_weights_of_another_model_are_refused(copied):
    change_weights(copied, lambda weights: {f"wav2vec2.{name}": tensor for name, tensor in weights.items()})
    with pytest.raises(UsageError, match=r"does not fill this encoder.*\n.*and \d+ more"):
        load_encoder(str(copied), device="cpu")


@pytest.mark.parametrize("prefix", ["", "hubert."])
def test_a_configuration_that_cuts_the_encoder_short_is_refused(copied, prefix):
    change_weights(copied, lambda weights: {f"{prefix}{name}": tensor for name, tensor in weights.items()})
    config = json.loads((copied / "config.json").read_text())
    (copied / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 1}))
    with pytest.raises(UsageError, match=r"no place for(.|\n)*encoder\.layers\.1\.(.|\n)*1 blocks of width 16"):
        load_encoder(str(copied), device="cpu")


def test_weights_of_another_width_are_refused(copied):
    config = json.loads((copied / "config.json").read_text())
    (copied / "config.json").write_text(json.dumps(config | {"intermediate_size": 64}))
    with pytest.raises(UsageError, match="the weights cannot be loaded"):
        load_encoder(str(copied), device="cpu")


def test_damaged_and_absent_weights_are_refused(copied):
    weights = copied / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:500])
    with pytest.raises(UsageError, match="the weights cannot be loaded"):
        load_encoder(str(copied), device="cpu")
    weights.unlink()
    with pytest.raises(UsageError, match=r"the weights cannot be loaded\n.*no file named model\.safetensors"):
        load_encoder(str(copied), device="cpu")


def test_a_bin_file_of_plain_tensors_loads_as_the_same_weights(hubert, copied):
    torch.save(load_file(copied / "model.safetensors"), copied / "pytorch_model.bin")
    (copied / "model.safetensors").unlink()
    assert load_encoder(str(copied), device="cpu").digest == load_encoder(str(hubert), device="cpu").digest


class Attack:
    """Unpickling this creates a file."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return open, (str(self.target), "w")


@pytest.mark.parametrize("form", ["zip", "pickle"])
def test_a_bin_file_that_would_run_code_is_refused_and_runs_none(copied, tmp_path, form):
    target = tmp_path / "created"
    weights = {**load_file(copied / "model.safetensors"), "extra": Attack(target)}
    (copied / "model.safetensors").unlink()
    if form == "zip":
        torch.save(weights, copied / "pytorch_model.bin")
    else:
        (copied / "pytorch_model.bin").write_bytes(pickle.dumps(weights))
    with pytest.raises(UsageError, match="would execute code"):
        load_encoder(str(copied), device="cpu")
    assert not target.exists()


def test_code_that_comes_with_a_checkpoint_does_not_run_unless_asked(copied, tmp_path):
    config = json.loads((copied / "config.json").read_text())
    own = {"model_type": "own", "auto_map": {"AutoConfig": "own.OwnConfig", "AutoModel": "own.OwnModel"}}
    (copied / "config.json").write_text(json.dumps(config | own))
    (copied / "own.py").write_text(f"open({str(tmp_path / 'created')!r}, 'w')\n")
    for spec in (str(copied), f"random:{copied}"):
        with pytest.raises(UsageError, match="pass --trust-remote-code"):
            load_encoder(spec, device="cpu")
    assert not (tmp_path / "created").exists()


# --- random weights, layers, what is said ---------------------------------------------------------------------------


def test_random_weights_need_no_weights_file_and_follow_the_seed(hubert, copied, waveforms):
    (copied / "model.safetensors").unlink()
    control = load_encoder(f"random:{copied}", device="cpu")
    assert control.digest == load_encoder(f"random:{hubert}", device="cpu", seed=0).digest
    others = {
        load_encoder(f"random:{copied}", device="cpu", seed=1).digest,
        load_encoder(str(hubert), device="cpu").digest,
    }
    assert control.digest not in others
    assert len(others) == 2
    said = control.describe()
    assert (said["weights"], said["seed"]) == ("random", 0)
    assert control.encode(waveforms)[2].isfinite().all()


def test_loading_leaves_the_callers_random_numbers_alone(hubert):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    load_encoder(str(hubert), device="cpu")
    load_encoder(f"random:{hubert}", device="cpu")
    assert torch.equal(torch.rand(3), expected)


def test_chosen_layers_are_the_same_frames_as_among_all(hubert, waveforms):
    everything = load_encoder(str(hubert), device="cpu").encode(waveforms)
    some = load_encoder(str(hubert), layers="0,2", device="cpu")
    assert [(layer.index, layer.name) for layer in some.layers] == [(0, "input"), (2, "encoder.layers.1")]
    assert all(torch.equal(a, b) for a, b in zip(some.encode(waveforms), everything[::2], strict=True))


def test_a_layer_that_does_not_exist_is_refused_with_those_that_do(hubert):
    with pytest.raises(UsageError, match="layers 0 to 2"):
        load_encoder(str(hubert), layers="3", device="cpu")


def test_the_description_is_json_and_names_the_weights(hubert):
    encoder = load_encoder(str(hubert), device="cpu")
    said = json.loads(json.dumps(encoder.describe()))
    assert said["digest"] == encoder.digest
    assert said["family"] == encoder.family == "hubert"
    assert said["parameters"] == sum(p.numel() for p in encoder.anatomy.module.parameters())
    assert said["dtype"] == "float32"


@pytest.mark.parametrize(
    "wrong",
    [torch.zeros(1600), torch.zeros(1, 1, 1600), torch.zeros(1, 1600, dtype=torch.int16)],
    ids=["one axis", "three axes", "integers"],
)
def test_waveforms_of_another_form_are_refused(hubert, wrong):
    with pytest.raises(UsageError, match="float32 of shape"):
        load_encoder(str(hubert), device="cpu").encode(wrong)


# --- where nothing is -----------------------------------------------------------------------------------------------


def test_what_is_not_there_is_told_apart(copied, tmp_path, monkeypatch):
    from mlflow_rank.encoders import hub

    monkeypatch.setattr(hub, "_resolves", lambda host: False)
    monkeypatch.setattr(hub, "getproxies", dict)
    (copied / "config.json").unlink()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text("{")
    for spec, said in {
        "./nowhere/encoder": "this looks like a path",
        str(tmp_path / "nowhere"): "no such directory",
        "no-such-owner/no-such-model": "offline, download the model first",
        str(copied): "without config.json",
        str(copied / "model.safetensors"): "a directory, not a file",
        str(tmp_path / "broken"): "config.json cannot be loaded",
    }.items():
        with pytest.raises(UsageError) as refusal:
            load_encoder(spec, device="cpu")
        assert said in str(refusal.value)


def test_a_model_in_the_hubs_cache_loads_offline_and_says_its_revision(hubert, tmp_path, monkeypatch):
    import huggingface_hub.constants
    import transformers.utils.hub

    from mlflow_rank.encoders import hub

    monkeypatch.setattr(hub, "_resolves", lambda host: False)
    monkeypatch.setattr(hub, "getproxies", dict)
    for module in (huggingface_hub.constants, transformers.utils.hub):
        for name in ("HF_HUB_CACHE", "TRANSFORMERS_CACHE"):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, str(tmp_path))
    revision = "0123456789abcdef0123456789abcdef01234567"
    cached = tmp_path / "models--someone--hubert"
    shutil.copytree(hubert, cached / "snapshots" / revision)
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text(revision)
    encoder = load_encoder("someone/hubert", device="cpu")
    assert encoder.digest == load_encoder(str(hubert), device="cpu").digest
    assert encoder.describe()["revision"] == revision
