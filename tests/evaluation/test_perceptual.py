import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError

import lpips
import numpy as np
import pytest
import torch
import torchvision.models

from ieast.errors import WeightsError
from ieast.evaluation.perceptual import EncoderTapDistance, Lpips, perceptual_distance, require_weights
from ieast.models.vgg19 import STYLE_TAPS

# The package asks torchvision for weights in a way that torchvision has deprecated.
pytestmark = [
    pytest.mark.filterwarnings("ignore:The parameter 'pretrained' is deprecated"),
    pytest.mark.filterwarnings("ignore:Arguments other than a weight enum"),
]

FILES = {
    "alex": "alexnet-owt-7be5be79.pth",
    "vgg": "vgg16-397923af.pth",
    "squeeze": "squeezenet1_1-b8a52dc0.pth",
}


def pictures(count: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, 3, 40, 48, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def hub(tmp_path, monkeypatch) -> Path:
    """An empty torch home on a machine without network."""

    def unreachable(*_args: object, **_options: object) -> None:
        raise URLError("no network")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    monkeypatch.setattr(torch.hub, "download_url_to_file", unreachable)
    return tmp_path / "hub" / "checkpoints"


@pytest.fixture
def squeeze(hub) -> Iterator[Lpips]:
    """LPIPS's trained heads for SqueezeNet on a backbone of random weights, which lie where torchvision looks for its own."""
    hub.mkdir(parents=True)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        torch.save(torchvision.models.squeezenet1_1(weights=None).state_dict(), hub / FILES["squeeze"])
    return Lpips("squeeze")


def test_tap_distance_is_the_mean_over_taps_and_positions_of_unit_vectors_squared_differences(encoder):
    a, b = pictures(2), pictures(2, seed=1)
    taps_a, taps_b = encoder(a), encoder(b)
    expected = []
    for k in range(2):
        per_tap = []
        for tap in STYLE_TAPS:
            x, y = (taps[tap][k].double().numpy() for taps in (taps_a, taps_b))
            _, height, width = x.shape
            differences = []
            for row in range(height):
                for column in range(width):
                    u, v = x[:, row, column], y[:, row, column]
                    u, v = (w / max(np.sqrt((w**2).sum()), 1e-10) for w in (u, v))
                    differences.append(((u - v) ** 2).sum())
            per_tap.append(np.mean(differences))
        expected.append(np.mean(per_tap))
    assert EncoderTapDistance(encoder)(a, b).tolist() == pytest.approx(expected, rel=1e-4)


def test_tap_distance_is_zero_for_equal_pictures_only_and_symmetric(encoder):
    distance = EncoderTapDistance(encoder)
    a, b = pictures(3), pictures(3, seed=1)
    assert distance(a, a).tolist() == [0, 0, 0]
    assert (distance(a, b) > 0).all()
    assert torch.equal(distance(a, b), distance(b, a))


def test_tap_distance_treats_each_pair_of_a_batch_alone(encoder):
    distance = EncoderTapDistance(encoder)
    a, b = pictures(3), pictures(3, seed=1)
    alone = [float(distance(a[k : k + 1], b[k : k + 1])) for k in range(3)]
    assert distance(a, b).tolist() == pytest.approx(alone, rel=1e-5)


def test_tap_distance_grows_with_noise(encoder):
    distance, a = EncoderTapDistance(encoder), pictures(1) * 0.5 + 0.25
    noise = torch.randn(a.shape, generator=torch.Generator().manual_seed(2))
    distances = [float(distance(a, a + scale * noise)) for scale in (0.01, 0.03, 0.1)]
    assert distances == sorted(distances)


def test_tap_distance_is_never_named_lpips(encoder):
    assert perceptual_distance("encoder-taps", encoder).name == "encoder_tap_distance"


def test_lpips_is_the_packages_on_pictures_in_minus_one_to_one(squeeze):
    a, b = pictures(2), pictures(2, seed=1)
    with torch.inference_mode():
        expected = lpips.LPIPS(net="squeeze", verbose=False).eval()(a * 2 - 1, b * 2 - 1)
    assert expected.shape == (2, 1, 1, 1)
    actual = squeeze(a, b)
    assert actual.shape == (2,)
    assert torch.equal(actual, expected.flatten())
    assert (actual > 0).all()


@pytest.mark.parametrize("net", FILES)
def test_features_of_each_frame_once_give_what_the_package_gives_for_pairs(net, monkeypatch):
    monkeypatch.setattr("ieast.evaluation.perceptual.require_backbone", lambda _net: Path())
    with torch.random.fork_rng():
        torch.manual_seed(0)
        package = lpips.LPIPS(net=net, pnet_rand=True, verbose=False).eval()  # trained heads, random backbone
    monkeypatch.setattr(lpips, "LPIPS", lambda **_options: package)
    distance, frames = Lpips(net), pictures(4).repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    features = [distance.features(frame[None]) for frame in frames]
    for k in range(3):
        actual = distance.between(features[k], features[k + 1])
        with torch.inference_mode():
            expected = package(frames[k][None] * 2 - 1, frames[k + 1][None] * 2 - 1)
        assert actual.shape == (1,)
        assert float(actual) == pytest.approx(float(expected), abs=1e-6, rel=1e-5)
        assert float(expected) > 1e-4


def test_features_and_between_take_batches(squeeze, encoder):
    a, b = pictures(3), pictures(3, seed=1)
    for distance in (squeeze, EncoderTapDistance(encoder)):
        actual = distance.between(distance.features(a), distance.features(b))
        assert actual.tolist() == pytest.approx(distance(a, b).tolist(), abs=1e-6)
        assert distance.between(distance.features(a), distance.features(a)).tolist() == [0, 0, 0]


def test_lpips_is_zero_for_equal_pictures_and_symmetric(squeeze):
    a, b = pictures(2), pictures(2, seed=1)
    assert squeeze(a, a).tolist() == [0, 0]
    assert squeeze(a, b).tolist() == pytest.approx(squeeze(b, a).tolist(), rel=1e-6)


def test_lpips_is_named_after_its_network_and_never_trained(squeeze, encoder):
    assert squeeze.name == "lpips_squeeze"
    assert not squeeze.model.training
    assert not any(parameter.requires_grad for parameter in squeeze.parameters())
    assert perceptual_distance("lpips-squeeze", encoder).name == "lpips_squeeze"


def test_lpips_is_quiet(squeeze, capsys):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        squeeze(pictures(1), pictures(1, seed=1))
    assert capsys.readouterr() == ("", "")


def expected_message(net: str, hub: Path) -> str:
    file = FILES[net]
    return (
        f"The backbone of LPIPS ({net}) could not be had from https://download.pytorch.org/models/{file} (<urlopen error no "
        f"network>). On a machine without network, put the file {file} into {hub} (or set TORCH_HOME), "
        "or set evaluation.perceptual_distance to `encoder-taps`"
    )


@pytest.mark.parametrize("net", FILES)
def test_a_missing_backbone_is_an_error_that_names_the_file_and_its_folder(hub, encoder, net):
    for ask in (lambda: require_weights(f"lpips-{net}"), lambda: perceptual_distance(f"lpips-{net}", encoder)):
        with pytest.raises(WeightsError, match=f"^{re.escape(expected_message(net, hub))}$"):
            ask()


def test_a_backbone_at_hand_is_enough(squeeze):
    require_weights("lpips-squeeze")


def test_the_tap_distance_needs_no_weights(hub):
    require_weights("encoder-taps")
    assert not hub.exists()


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>"])
def test_a_damaged_backbone_is_an_error_that_names_the_file(hub, content):
    hub.mkdir(parents=True)
    path = hub / FILES["squeeze"]
    path.write_bytes(content)
    message = f"LPIPS (squeeze) cannot use {path} ("
    with pytest.raises(
        WeightsError, match=f"^{re.escape(message)}.*{re.escape('); remove the file, or put the right one there')}$"
    ):
        Lpips("squeeze")


def test_the_training_step_fails_before_training_when_evaluation_will_lack_its_weights(
    hub, prepared, make_config, monkeypatch, tmp_path
):
    pytest.importorskip("zenml")
    monkeypatch.setenv("ZENML_CONFIG_PATH", str(tmp_path / "zenml"))
    monkeypatch.setenv("ZENML_ANALYTICS_OPT_IN", "false")
    import steps.train_model

    def train(_job: object) -> None:
        pytest.fail("training started")

    monkeypatch.setattr(steps.train_model, "train", train)
    config = make_config(evaluation={"perceptual_distance": "lpips-alex"})
    with pytest.raises(WeightsError, match=f"^{re.escape(expected_message('alex', hub))}$"):
        steps.train_model.train_model.entrypoint(prepared, None, config)
