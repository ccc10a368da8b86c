import math
import re

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from torchvision.models import Inception3

from ieast.config import EvaluationConfig
from ieast.errors import ConfigError, WeightsError
from ieast.evaluation.artfid import ArtFid, frechet_distance, load_art_inception
from ieast.evaluation.evaluate import require_evaluation_weights


def pictures(count: int, seed: int) -> torch.Tensor:
    return torch.rand(count, 1, 3, 80, 90, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def inception() -> Inception3:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Inception3(aux_logits=False, init_weights=False).eval()


@pytest.fixture(scope="module")
def weights(tmp_path_factory, inception):
    """A file with the published one's keys: the trunk, and two classifiers with an auxiliary one each."""
    state = {name: value for name, value in inception.state_dict().items() if not name.startswith("fc.")}
    for k in (1, 2):
        state |= {f"fc{k}.weight": torch.zeros(5, 2048), f"AuxLogits{k}.fc.weight": torch.zeros(5, 768)}
    path = tmp_path_factory.mktemp("artfid") / "art_inception.pth"
    torch.save(state, path)
    return path


@pytest.fixture(scope="module")
def network(weights):
    return load_art_inception(weights)


def test_the_network_gives_inceptions_pooled_features(network, inception):
    pooled = []
    hook = inception.avgpool.register_forward_hook(lambda _module, _inputs, output: pooled.append(output.flatten(1)))
    with torch.inference_mode():
        inception(pictures(1, 0)[0])
        actual = network(pictures(1, 0)[0])
    hook.remove()
    assert actual.shape == (1, 2048)
    assert torch.equal(actual, pooled[0])
    assert not any(parameter.requires_grad for parameter in network.parameters())


@pytest.mark.parametrize("rows", [4, 40])
def test_the_frechet_distance_is_that_of_the_covariances(rows):
    random = np.random.default_rng(0)
    a, b = random.normal(size=(rows, 6)), random.normal(1, 2, size=(rows + 3, 6))
    covariances = [np.cov(x, rowvar=False) for x in (a, b)]
    root = sqrtm(covariances[0] @ covariances[1]).real
    expected = np.square(a.mean(0) - b.mean(0)).sum() + np.trace(covariances[0] + covariances[1] - 2 * root)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-5)


def test_the_frechet_distance_in_one_dimension_by_hand():
    # Means 1 and 4, deviations 1 and 2: (1 - 4)² + (1 - 2)².
    assert frechet_distance(np.array([[0.0], [1], [2]]), np.array([[2.0], [4], [6]])) == pytest.approx(10)


def test_art_fid_multiplies_content_and_style(network):
    stylized, styles, lpips = pictures(3, 1), pictures(3, 2), [0.2, 0.3, 0.7]
    art_fid = ArtFid(network)
    for picture, style, distance in zip(stylized, styles, lpips, strict=True):
        art_fid.add(picture, style, distance)
    with torch.inference_mode():
        features = [torch.cat([network(x) for x in side]).double().numpy() for side in (stylized, styles)]
    assert art_fid.value() == pytest.approx((1 + 0.4) * (1 + frechet_distance(*features)))


def test_one_picture_has_no_art_fid(network):
    art_fid = ArtFid(network)
    art_fid.add(pictures(1, 0)[0], pictures(1, 1)[0], 0.1)
    assert math.isnan(art_fid.value())


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(WeightsError, match=f"there is none at {re.escape(str(tmp_path / 'none.pth'))}"):
        load_art_inception(tmp_path / "none.pth")


def test_another_networks_file_is_refused(tmp_path, inception):
    path = tmp_path / "other.pth"
    torch.save({"conv.weight": torch.zeros(3)}, path)
    with pytest.raises(WeightsError, match=f"^{re.escape(str(path))} does not hold ArtFID's network"):
        load_art_inception(path)


def test_missing_artfid_weights_are_noticed_before_they_are_needed(tmp_path, monkeypatch):
    monkeypatch.setattr("ieast.evaluation.evaluate.require_weights", lambda _name: None)
    config = EvaluationConfig(perceptual_distance="lpips-alex", artfid_weights=str(tmp_path / "none.pth"))
    with pytest.raises(WeightsError, match=r"^ArtFID needs the file"):
        require_evaluation_weights(config)


def test_art_fid_on_another_content_distance_is_refused(make_config):
    with pytest.raises(ConfigError, match="the content term of ArtFID is LPIPS on AlexNet"):
        make_config(evaluation={"artfid_weights": "art_inception.pth"})
    small = {"artfid_weights": "art_inception.pth", "perceptual_distance": "lpips-alex"}
    with pytest.raises(ConfigError, match="size is 48: its network needs 75 pixels"):
        make_config(evaluation=small)
    assert make_config(evaluation=small | {"size": 80}).evaluation.artfid_weights == "art_inception.pth"
