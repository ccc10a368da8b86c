import os
import pickle
import random
import tempfile
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
import torch.nn.functional as F
from helpers.encoders import COMPACT, FULL, WITH_CONTENT, draw_pictures, make_compact
from safetensors.torch import save_file
from torch import nn
from torchvision.models import vgg19
from torchvision.transforms.functional import normalize

from ieast.config import EncoderConfig
from ieast.errors import WeightsError
from ieast.io.weights import read_weights
from ieast.models.encoder_weights import build_encoder, read_encoder_file
from reference import plain as reference

# -- published layouts ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder():
    with tempfile.TemporaryDirectory() as name:  # the files are large, and pytest would keep those of three runs
        yield Path(name)


@pytest.fixture(scope="module")
def torchvision_vgg(folder):
    """torchvision's network with random weights, and its state dict in a file; the classifier is a stub."""
    with torch.device("meta"):
        network = vgg19(weights=None)
    features = reference.draw(network.features.to_empty(device="cpu"), seed=3).eval()
    names = [name for name in network.state_dict() if name.startswith("features.")]
    state = {name: features.state_dict()[name.removeprefix("features.")] for name in names}
    torch.save(state | {"classifier.6.weight": torch.zeros(2, 2)}, folder / "vgg19.pth")
    return features, folder / "vgg19.pth"


@pytest.fixture(scope="module")
def normalized_vgg(folder):
    network = reference.draw(reference.published_vgg(), seed=4).eval()
    torch.save(network.state_dict(), folder / "vgg_normalised.pth")
    return network, folder / "vgg_normalised.pth"


@torch.no_grad()
def test_torchvision_weights_give_torchvisions_features_away_from_the_borders(torchvision_vgg):
    features, path = torchvision_vgg
    encoder = build_encoder(EncoderConfig(name="vgg19", weights=str(path)))
    pictures = draw_pictures(192, 192, batch=1)
    taps = encoder(pictures, WITH_CONTENT)
    x = normalize(pictures, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    position_of = {1: "relu1_1", 6: "relu2_1", 11: "relu3_1", 20: "relu4_1", 21: "conv4_2", 29: "relu5_1"}
    for position, layer in enumerate(features[:30]):
        x = layer(x)
        if position in position_of:
            # torchvision pads with zeros, which reaches at most 5 positions into any tap.
            inner = (..., slice(5, -5), slice(5, -5))
            actual = taps[position_of[position]]
            assert actual.shape == x.shape
            scale = x.abs().mean().item()
            torch.testing.assert_close(actual[inner], x.clone()[inner], rtol=1e-3, atol=1e-4 * scale)
            x = x.clone()


def test_torchvision_normalization_is_folded_into_conv0(torchvision_vgg):
    state = read_encoder_file(torchvision_vgg[1])
    pictures = draw_pictures(5, 5)
    actual = F.conv2d(pictures, state["conv0.weight"], state["conv0.bias"])
    torch.testing.assert_close(actual, normalize(pictures, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))


@pytest.mark.parametrize("size", [(48, 48), (35, 50)])
@torch.no_grad()
def test_vgg_normalised_gives_the_published_networks_taps(normalized_vgg, size):
    network, path = normalized_vgg
    encoder = build_encoder(EncoderConfig(name="vgg19-normalised", weights=str(path)))
    pictures = draw_pictures(*size, batch=1)
    expected = reference.published_taps(network, pictures)
    actual = encoder(pictures, WITH_CONTENT)
    assert set(actual) == set(expected)
    for tap, value in expected.items():
        torch.testing.assert_close(actual[tap], value, rtol=1e-3, atol=1e-4 * value.abs().mean().item())


def make_distilled_state(seed=0):
    """Keys and shapes of Collaborative Distillation's encoder5.safetensors."""
    generator = torch.Generator().manual_seed(seed)
    state = {"conv0.weight": torch.randn(3, 3, 1, 1, generator=generator), "conv0.bias": torch.randn(3, generator=generator)}
    previous = 3
    for level, count in enumerate((2, 2, 4, 4, 1), start=1):
        width = COMPACT[level - 1]
        for position in range(1, count + 1):
            name = f"conv{level}{position}"
            spread = (2 / (9 * previous)) ** 0.5
            state[f"{name}.weight"] = torch.randn(width, previous, 3, 3, generator=generator) * spread
            state[f"{name}.bias"] = torch.randn(width, generator=generator) * 0.1
            previous = width
        state[f"conv{level}1_aux.weight"] = torch.randn(FULL[level - 1], width, 1, 1, generator=generator)
        state[f"conv{level}1_aux.bias"] = torch.randn(FULL[level - 1], generator=generator)
    return state


@torch.no_grad()
def test_collaborative_distillation_file_gives_its_taps(tmp_path):
    state = make_distilled_state()
    save_file(state, tmp_path / "encoder5.safetensors")
    encoder = build_encoder(EncoderConfig(name="vgg19-compact", weights=str(tmp_path / "encoder5.safetensors")))
    pictures = draw_pictures(33, 40)
    x = F.conv2d(pictures, state["conv0.weight"], state["conv0.bias"])
    expected = {}
    for name in ("11", "12", "21", "22", "31", "32", "33", "34", "41", "42", "43", "44", "51"):
        if name in ("21", "31", "41", "51"):
            x = F.max_pool2d(x, 2, ceil_mode=True)
        x = F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), state[f"conv{name}.weight"], state[f"conv{name}.bias"]).relu()
        if name.endswith("1"):
            expected[f"relu{name[0]}_1"] = x
    for tap, value in encoder(pictures).items():
        torch.testing.assert_close(value, expected[tap], rtol=1e-3, atol=1e-4)


def test_distilled_encoder_that_ends_early_names_what_it_lacks(tmp_path):
    state = {name: value for name, value in make_distilled_state().items() if not name.startswith("conv5")}
    save_file(state, tmp_path / "encoder4.safetensors")
    with pytest.raises(WeightsError, match=r"encoder4\.safetensors ends before relu5_1: it has no conv51\.weight"):
        read_encoder_file(tmp_path / "encoder4.safetensors")


def test_own_layout_round_trip_keeps_taps_and_digest(tmp_path):
    encoder = make_compact(seed=5)
    save_file(encoder.state_dict(), tmp_path / "own.safetensors")
    again = build_encoder(EncoderConfig(name="vgg19-compact", weights=str(tmp_path / "own.safetensors")))
    assert again.digest() == encoder.digest()
    assert not again.training
    pictures = draw_pictures()
    for tap, value in encoder(pictures).items():
        assert torch.equal(again(pictures)[tap], value)


# -- untrained --------------------------------------------------------------------------------------------------------------


def test_untrained_weights_depend_on_the_seed_alone():
    config = EncoderConfig(name="vgg19-compact", weights="untrained")
    torch.manual_seed(1)
    first = build_encoder(config, seed=7).digest()
    torch.manual_seed(2)
    torch.rand(10)
    assert build_encoder(config, seed=7).digest() == first
    assert build_encoder(config, seed=8).digest() != first


def test_building_an_untrained_encoder_does_not_start_the_global_generator_anew():
    torch.manual_seed(1)
    build_encoder(EncoderConfig(name="vgg19-compact", weights="untrained"), seed=7)
    first = torch.rand(3)
    torch.manual_seed(2)
    build_encoder(EncoderConfig(name="vgg19-compact", weights="untrained"), seed=7)
    assert not torch.equal(torch.rand(3), first)


def test_untrained_features_tell_pictures_apart_at_every_tap():
    encoder = build_encoder(EncoderConfig(name="vgg19-compact", weights="untrained"))
    for tap in encoder(torch.stack([draw_pictures(seed=1)[0], draw_pictures(seed=2)[0]])).values():
        assert (tap[0] - tap[1]).abs().mean() > 0.01


# -- what goes wrong --------------------------------------------------------------------------------------------------------


def test_missing_file(tmp_path):
    with pytest.raises(WeightsError, match=r"there is no weights file .*nowhere\.pth; check the path"):
        build_encoder(EncoderConfig(weights=str(tmp_path / "nowhere.pth")))


@pytest.mark.parametrize("name", ["vgg19", "vgg19-normalised"])
def test_compact_weights_for_the_full_network_are_refused(tmp_path, name):
    save_file(make_compact().state_dict(), tmp_path / "compact.safetensors")
    with pytest.raises(WeightsError, match=rf"compact\.safetensors does not hold the weights of encoder {name}: conv1_1\.bias"):
        build_encoder(EncoderConfig(name=name, weights=str(tmp_path / "compact.safetensors")))


def test_own_layout_without_a_layer_is_refused(tmp_path):
    state = make_compact().state_dict()
    del state["conv5_1.bias"]
    save_file(state, tmp_path / "half.safetensors")
    with pytest.raises(WeightsError, match=r"conv5_1\.bias has shape None, expected \(128,\)"):
        build_encoder(EncoderConfig(name="vgg19-compact", weights=str(tmp_path / "half.safetensors")))


def test_some_other_network_is_refused_by_its_first_key(tmp_path):
    torch.save({"layer1.weight": torch.zeros(3)}, tmp_path / "resnet.pth")
    with pytest.raises(
        WeightsError, match=r"resnet\.pth is not a VGG-19 this project knows \(its first key is 'layer1\.weight'\)"
    ):
        read_encoder_file(tmp_path / "resnet.pth")


def test_published_decoder_given_as_an_encoder_is_refused(tmp_path):
    torch.save(reference.published_decoder((2, 3, 4, 5)).state_dict(), tmp_path / "decoder.pth")
    with pytest.raises(WeightsError, match="is not a VGG-19 this project knows"):
        read_encoder_file(tmp_path / "decoder.pth")


@pytest.mark.parametrize("value", [{}, [1, 2], {"epoch": 3}, {"state_dict": {"a": torch.zeros(1)}}], ids=str)
def test_file_without_a_state_dict_is_refused(tmp_path, value):
    torch.save(value, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match="is not a state dict of tensors"):
        read_weights(tmp_path / "other.pth")


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize(
    "data",
    [b"", b"hello, this is text", b"PK\x03\x04 half an archive", b"\x80\x02", random.Random(0).randbytes(100)],
    ids=["empty", "text", "half an archive", "half a pickle", "noise"],
)
def test_file_that_is_no_weights_is_refused(tmp_path, suffix, data):
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(data)
    with pytest.raises(WeightsError, match=r"weights\.(pth|safetensors) (cannot be read as weights|is not a plain state dict)"):
        read_weights(path)


@pytest.mark.parametrize("kind", ["safetensors", "zip", "legacy"])
def test_file_cut_anywhere_is_refused(tmp_path, kind):
    state = {"a.weight": torch.ones(2, 2), "a.bias": torch.ones(2)}
    path = tmp_path / ("w.safetensors" if kind == "safetensors" else "w.pth")
    if kind == "safetensors":
        save_file(state, path)
    else:
        torch.save(state, path, _use_new_zipfile_serialization=kind == "zip")
    data = path.read_bytes()
    for length in range(0, len(data), 3):
        path.write_bytes(data[:length])
        with pytest.raises(WeightsError, match=r"w\.(pth|safetensors)"):
            read_weights(path)


class Harmful:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize("legacy", [False, True])
def test_code_in_a_pickle_is_refused_and_not_run(tmp_path, legacy):
    marker, path = tmp_path / "it-ran", tmp_path / "vgg_normalised.pth"
    torch.save({"0.weight": Harmful(marker)}, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(WeightsError, match=r"is not a plain state dict of tensors; refused, because loading it could run code"):
        build_encoder(EncoderConfig(name="vgg19-normalised", weights=str(path)))
    assert not marker.exists()
    torch.load(path, weights_only=False)  # the file is armed: a careless reader would have run it
    assert marker.exists()


def test_a_plain_pickle_with_code_is_refused_and_not_run(tmp_path):
    marker, path = tmp_path / "it-ran", tmp_path / "encoder.pth"
    path.write_bytes(pickle.dumps(Harmful(marker)))
    with pytest.raises(WeightsError):
        read_weights(path)
    assert not marker.exists()
    pickle.loads(path.read_bytes())
    assert marker.exists()


# -- torchvision's ImageNet weights -----------------------------------------------------------------------------------------


@pytest.fixture
def torch_home(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


def test_without_network_the_message_names_file_and_folder(torch_home, monkeypatch):
    def refuse(url, *args, **kwargs):
        raise URLError("no route to host")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", refuse)
    with pytest.raises(WeightsError) as caught:
        build_encoder(EncoderConfig())
    message = str(caught.value)
    assert "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth" in message
    assert "no route to host" in message
    assert f"put the file vgg19-dcbb9e9d.pth into {torch_home} (or set TORCH_HOME)" in message
    assert "encoder.weights" in message


def test_imagenet_file_in_torch_home_is_used_without_network(torch_home, torchvision_vgg, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("the network was touched")

    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    (torch_home / "vgg19-dcbb9e9d.pth").symlink_to(torchvision_vgg[1])
    encoder = build_encoder(EncoderConfig())
    expected = build_encoder(EncoderConfig(weights=str(torchvision_vgg[1])))
    assert encoder.digest() == expected.digest()


@pytest.mark.parametrize("data", [b"", b"<html>proxy error</html>", b"PK\x03\x04"], ids=["empty", "html", "cut"])
def test_damaged_imagenet_file_in_torch_home_is_reported(torch_home, data):
    (torch_home / "vgg19-dcbb9e9d.pth").write_bytes(data)
    with pytest.raises(WeightsError, match=r"vgg19-dcbb9e9d\.pth"):
        build_encoder(EncoderConfig())


def test_a_network_module_is_no_state_dict(tmp_path):
    torch.save(nn.Linear(1, 1), tmp_path / "whole.pth")
    with pytest.raises(WeightsError, match="refused"):
        read_weights(tmp_path / "whole.pth")


@pytest.mark.parametrize("name", ["vgg19-normalised", "vgg19-compact"])
def test_weights_of_another_family_are_refused(torchvision_vgg, name):
    path = torchvision_vgg[1]
    with pytest.raises(WeightsError, match=rf"holds weights of encoder vgg19, not of {name}; set encoder\.name"):
        build_encoder(EncoderConfig(name=name, weights=str(path)))
    assert build_encoder(EncoderConfig(name="vgg19", weights=str(path))).name == "vgg19"
