import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from ieast.evaluation.distances import CFSD_POSITIONS, cfsd, content_distance, content_ssim, style_distance, style_mismatch
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
    taps, target = encoder(stylized), encoder(style)
    expected = 0.0
    for tap in STYLE_TAPS:
        unit = target[tap].double().numpy().mean()
        for a, b in zip(statistics(taps[tap]), statistics(target[tap]), strict=True):
            expected += np.mean(((a - b) / unit) ** 2)
    assert float(style_distance(encoder, stylized, style)) == pytest.approx(expected, rel=1e-4)


def test_content_distance_is_the_squared_difference_of_normalized_features(encoder):
    stylized, content = picture(0), picture(1)
    taps, target = encoder(stylized), encoder(content)
    expected = 0.0
    for tap in ("relu4_1", "relu5_1"):
        normalized = []
        for features in (taps[tap], target[tap]):
            mean, deviation = statistics(features)
            normalized.append((features[0].double().numpy() - mean[:, None, None]) / deviation[:, None, None])
        expected += np.mean((normalized[0] - normalized[1]) ** 2)
    assert float(content_distance(encoder, stylized, content)) == pytest.approx(expected, rel=1e-3)


def test_style_mismatch_is_the_bounded_difference_of_all_statistics_of_a_tap(encoder):
    stylized, style = picture(0), picture(1, 36, 60)
    taps, expected = encoder(stylized), encoder(style)
    shares = []
    for tap in STYLE_TAPS:
        a, b = (np.concatenate(statistics(features[tap])) for features in (taps, expected))
        shares.append(sum((a - b) ** 2) / (sum(a**2) + sum(b**2)))
    assert float(style_mismatch(encoder, stylized, style)) == pytest.approx(np.mean(shares), rel=1e-4)
    assert float(style_mismatch(encoder, style, stylized)) == pytest.approx(np.mean(shares), rel=1e-4)


def test_style_mismatch_by_hand():
    def taps(images: torch.Tensor) -> dict[str, torch.Tensor]:  # one channel: mean v, deviation 0 but for the ε
        return {tap: images.mean().expand(1, 1, 4, 4) for tap in STYLE_TAPS}

    three, one = torch.full((1, 3, 4, 4), 3.0), torch.ones(1, 3, 4, 4)
    assert float(style_mismatch(taps, three, one)) == pytest.approx((3 - 1) ** 2 / (3**2 + 1**2), rel=1e-4)


def test_a_nearly_empty_style_blows_up_the_style_distance_and_not_the_mismatch():
    def silent(images: torch.Tensor) -> dict[str, torch.Tensor]:  # an encoder that gives nothing on white, as some nearly do
        return {tap: (1 - images).mean(dim=1, keepdim=True) for tap in STYLE_TAPS}

    drawing = torch.ones(1, 3, 40, 40)
    drawing[..., 20, 20] = 0.5
    assert float(style_distance(silent, picture(0), drawing)) > 1e4
    assert 0.9 < float(style_mismatch(silent, picture(0), drawing)) <= 1


@pytest.mark.parametrize("distance", [style_distance, style_mismatch, content_distance, cfsd])
def test_distances_are_zero_for_the_same_picture_and_positive_for_others(encoder, distance):
    assert float(distance(encoder, picture(0), picture(0))) == pytest.approx(0, abs=1e-6)
    assert float(distance(encoder, picture(0), picture(1))) > 0


@pytest.mark.parametrize("distance", [style_distance, style_mismatch, content_distance])
def test_distances_grow_with_the_difference(encoder, distance):
    a, grey = picture(0), torch.full((1, 3, 40, 48), 0.5)
    actual = [float(distance(encoder, torch.lerp(a, grey, weight), a)) for weight in (0.1, 0.5, 0.9)]
    assert actual == sorted(actual)


def test_style_distance_does_not_care_where_things_are(encoder):
    style = picture(1, 48, 48)
    flipped, noise = style.flip(3), picture(2, 48, 48) * 0.2
    assert float(style_distance(encoder, flipped, style)) < 0.2 * float(style_distance(encoder, noise, style))


@pytest.mark.parametrize("distance", [style_distance, style_mismatch, content_distance, cfsd])
def test_distances_do_not_depend_on_the_encoders_scale(make_config, distance):
    encoder = build_encoder(make_config().encoder)
    actual = []
    for _ in range(3):
        # Each time larger by 100, and from the first on far above the ε that keeps variances positive.
        encoder.conv1_1.weight.mul_(100)
        for layer in CONVOLUTIONS:
            encoder.get_submodule(f"conv{layer}").bias.mul_(100)
        actual.append(float(distance(encoder, picture(0), picture(1))))
    assert actual == pytest.approx([actual[0]] * 3, rel=1e-3)


def softmax_rows(features: np.ndarray) -> np.ndarray:
    """Of (C, h, w): each position's resemblance to every other, in units of the mean activation."""
    rows = features.reshape(len(features), -1).T / features.mean()
    similarities = np.array([[np.dot(a, b) / len(a) for b in rows] for a in rows])
    powers = np.exp(similarities - similarities.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def mean_divergence(expected: np.ndarray, actual: np.ndarray) -> float:
    return float(
        np.mean([sum(p * np.log(p / q) for p, q in zip(a, b, strict=True)) for a, b in zip(expected, actual, strict=True)])
    )


def test_cfsd_is_the_divergence_of_the_contents_self_similarity_from_the_stylized_pictures(encoder):
    stylized, content = picture(0, 24, 28), picture(1, 24, 28)
    output, expected = (softmax_rows(encoder(x)["relu3_1"][0].double().numpy()) for x in (stylized, content))
    assert output.shape == (42, 42)  # 6 x 7 positions
    assert float(cfsd(encoder, stylized, content)) == pytest.approx(mean_divergence(expected, output), rel=1e-4)


def test_cfsd_of_large_pictures_averages_cells(encoder):
    stylized, content = picture(0, 32, 64), picture(1, 32, 64)

    def cells(x: torch.Tensor) -> np.ndarray:
        features = encoder(x)["relu3_1"][0].double().numpy()  # 8 x 16 positions
        return features.reshape(len(features), 4, 2, 8, 2).mean(axis=(2, 4))

    output, expected = (softmax_rows(cells(x)) for x in (stylized, content))
    assert float(cfsd(encoder, stylized, content, positions=32)) == pytest.approx(mean_divergence(expected, output), rel=1e-4)


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
    actual = [float(cfsd(encoder, content + scale * noise, content)) for scale in (0.02, 0.1, 0.5)]
    assert actual == sorted(actual)


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
