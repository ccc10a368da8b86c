import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from ieast.evaluation.distances import CFSD_POSITIONS, cfsd, content_distance, content_ssim, style_distance
from ieast.models.encoder_weights import build_encoder
from ieast.models.vgg19 import CONVOLUTIONS, STYLE_TAPS


def picture(seed: int, height: int = 40, width: int = 48) -> torch.Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed))


def statistics(features: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of every channel of (1, C, H, W)."""
    channels = [channel.double().numpy().ravel() for channel in features[0]]
    return np.array([c.mean() for c in channels]), np.array([np.sqrt(c.var(ddof=1) + 1e-5) for c in channels])


def test_style_distance_is_the_squared_difference_of_statistics_in_units_of_the_styles_mean_activation(encoder):
    stylized, style = picture(0), picture(1, 36, 60)
    taps, wanted = encoder(stylized), encoder(style)
    expected = 0.0
    for tap in STYLE_TAPS:
        unit = wanted[tap].double().numpy().mean()
        for a, b in zip(statistics(taps[tap]), statistics(wanted[tap]), strict=True):
            expected += np.mean(((a - b) / unit) ** 2)
    assert float(style_distance(encoder, stylized, style)) == pytest.approx(expected, rel=1e-4)


def test_content_distance_is_the_squared_difference_of_normalized_features(encoder):
    stylized, content = picture(0), picture(1)
    taps, wanted = encoder(stylized), encoder(content)
    expected = 0.0
    for tap in ("relu4_1", "relu5_1"):
        normalized = []
        for features in (taps[tap], wanted[tap]):
            mean, deviation = statistics(features)
            normalized.append((features[0].double().numpy() - mean[:, None, None]) / deviation[:, None, None])
        expected += np.mean((normalized[0] - normalized[1]) ** 2)
    assert float(content_distance(encoder, stylized, content)) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("distance", [style_distance, content_distance, cfsd])
def test_distances_are_zero_for_the_same_picture_and_positive_for_others(encoder, distance):
    assert float(distance(encoder, picture(0), picture(0))) == pytest.approx(0, abs=1e-6)
    assert float(distance(encoder, picture(0), picture(1))) > 0


@pytest.mark.parametrize("distance", [style_distance, content_distance])
def test_distances_grow_with_the_difference(encoder, distance):
    a, grey = picture(0), torch.full((1, 3, 40, 48), 0.5)
    found = [float(distance(encoder, torch.lerp(a, grey, weight), a)) for weight in (0.1, 0.5, 0.9)]
    assert found == sorted(found)


def test_style_distance_does_not_care_where_things_are(encoder):
    style = picture(1, 48, 48)
    flipped, noise = style.flip(3), picture(2, 48, 48) * 0.2
    assert float(style_distance(encoder, flipped, style)) < 0.2 * float(style_distance(encoder, noise, style))


@pytest.mark.parametrize("distance", [style_distance, content_distance, cfsd])
def test_distances_do_not_depend_on_the_encoders_scale(make_config, distance):
    encoder = build_encoder(make_config().encoder)
    found = []
    for _ in range(3):
        # Each time larger by 100, and from the first on far above the ε that keeps variances positive.
        encoder.conv1_1.weight.mul_(100)
        for layer in CONVOLUTIONS:
            encoder.get_submodule(f"conv{layer}").bias.mul_(100)
        found.append(float(distance(encoder, picture(0), picture(1))))
    assert found == pytest.approx([found[0]] * 3, rel=1e-3)


def softmax_rows(features: np.ndarray) -> np.ndarray:
    """Of (C, h, w): each position's resemblance to every other, in units of the mean activation."""
    rows = features.reshape(len(features), -1).T / features.mean()
    similarities = np.array([[np.dot(a, b) / len(a) for b in rows] for a in rows])
    powers = np.exp(similarities - similarities.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def mean_divergence(wanted: np.ndarray, made: np.ndarray) -> float:
    return float(
        np.mean([sum(p * np.log(p / q) for p, q in zip(a, b, strict=True)) for a, b in zip(wanted, made, strict=True)])
    )


def test_cfsd_is_the_divergence_of_the_contents_self_similarity_from_the_stylized_pictures(encoder):
    stylized, content = picture(0, 24, 28), picture(1, 24, 28)
    made, wanted = (softmax_rows(encoder(x)["relu3_1"][0].double().numpy()) for x in (stylized, content))
    assert made.shape == (42, 42)  # 6 x 7 positions
    assert float(cfsd(encoder, stylized, content)) == pytest.approx(mean_divergence(wanted, made), rel=1e-4)


def test_cfsd_of_large_pictures_averages_cells(encoder):
    stylized, content = picture(0, 32, 64), picture(1, 32, 64)

    def cells(x: torch.Tensor) -> np.ndarray:
        features = encoder(x)["relu3_1"][0].double().numpy()  # 8 x 16 positions
        return features.reshape(len(features), 4, 2, 8, 2).mean(axis=(2, 4))

    made, wanted = (softmax_rows(cells(x)) for x in (stylized, content))
    assert float(cfsd(encoder, stylized, content, positions=32)) == pytest.approx(mean_divergence(wanted, made), rel=1e-4)


def test_cfsd_compares_no_more_positions_than_it_says(encoder, monkeypatch):
    sizes = []
    original = torch.log_softmax

    def counting(x: torch.Tensor, dim: int) -> torch.Tensor:
        sizes.append(tuple(x.shape))
        return original(x, dim)

    monkeypatch.setattr(torch, "log_softmax", counting)
    cfsd(encoder, picture(0, 160, 240), picture(1, 160, 240))  # 40 x 60 positions
    assert sizes == [(26 * 39, 26 * 39)] * 2
    assert CFSD_POSITIONS >= 26 * 39


def test_cfsd_grows_with_noise(encoder):
    content, noise = picture(0) * 0.5 + 0.25, picture(2) - 0.5
    found = [float(cfsd(encoder, content + scale * noise, content)) for scale in (0.02, 0.1, 0.5)]
    assert found == sorted(found)


def test_cfsd_heeds_structure_and_not_brightness(encoder):
    content = picture(0) * 0.5 + 0.2
    assert float(cfsd(encoder, content * 1.2, content)) < 0.1 * float(cfsd(encoder, content.flip(3), content))


@pytest.mark.parametrize(("height", "width"), [(40, 48), (11, 30)])
def test_content_ssim_is_scikit_images(height, width):
    content = picture(0, height, width)
    stylized = (content + 0.1 * torch.randn(content.shape, generator=torch.Generator().manual_seed(1))).clamp(0, 1)
    expected = structural_similarity(
        *(x[0].permute(1, 2, 0).double().numpy() for x in (stylized, content)),
        data_range=1.0, channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
    )  # fmt: skip
    assert float(content_ssim(stylized, content)) == pytest.approx(expected, abs=1e-5)
    assert 0 < expected < 1


def test_content_ssim_is_one_for_equal_pictures():
    assert float(content_ssim(picture(0), picture(0))) == pytest.approx(1)
