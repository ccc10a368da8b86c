import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ieast.experiment import ExperimentConfig
from ieast.models.discriminator import MultiScaleDiscriminator, patch_discriminator
from ieast.models.heads import ProjectionHead
from reference import plain as reference


def draw(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


# -- discriminator ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("side", "expected"),
    [
        ((128, 128), [(8, 8), (4, 4), (2, 2)]),
        ((256, 192), [(16, 12), (8, 6), (4, 3)]),
        ((130, 161), [(8, 10), (4, 5), (2, 2)]),
    ],
)
@torch.no_grad()
def test_one_map_of_scores_a_scale_finest_first(side, expected):
    scores = MultiScaleDiscriminator(scales=3, width=2)(draw(2, 3, *side))
    assert [tuple(score.shape) for score in scores] == [(2, 1, *size) for size in expected]


def test_the_papers_discriminator_by_its_layers():
    scales = MultiScaleDiscriminator().scales
    assert len(scales) == 3
    for scale in scales:
        convolutions = [m for m in scale if isinstance(m, nn.Conv2d)]
        assert [(c.in_channels, c.out_channels) for c in convolutions] == [
            (3, 64),
            (64, 128),
            (128, 256),
            (256, 512),
            (512, 1),
        ]
        assert [(c.kernel_size, c.stride) for c in convolutions] == [((4, 4), (2, 2))] * 4 + [((3, 3), (1, 1))]
        assert all(m.negative_slope == 0.2 for m in scale if isinstance(m, nn.LeakyReLU))
        kinds = [type(m).__name__ for m in scale]
        normalized = ["Conv2d", "InstanceNorm2d", "LeakyReLU"]
        assert kinds == ["Conv2d", "LeakyReLU", *normalized * 3, "Conv2d"]


@torch.no_grad()
def test_spectral_normalization_takes_the_place_of_instance_norm_and_bounds_every_layers_slope():
    torch.manual_seed(0)
    (scale,) = MultiScaleDiscriminator(1, width=4, normalization="spectral").scales
    assert [type(m).__name__.removeprefix("Parametrized") for m in scale] == ["Conv2d", "LeakyReLU"] * 4 + ["Conv2d"]
    for _ in range(100):  # each pass is one iteration of the power method
        scale(draw(1, 3, 32, 32))
    for layer in scale[::2]:
        assert np.linalg.svd(layer.weight.flatten(1).numpy(), compute_uv=False)[0] == pytest.approx(1, rel=1e-2)


@torch.no_grad()
def test_without_instance_norm_the_strength_of_noise_shows():
    torch.manual_seed(0)
    noise, flat = torch.randn(1, 3, 96, 96), torch.full((1, 3, 96, 96), 0.5)

    def growth(scale: nn.Module) -> float:
        """How much more the scores change by noise that is four times as strong; far from borders, which padding marks."""
        weak, strong = (scale(flat + factor * noise) - scale(flat) for factor in (0.02, 0.08))
        return float(strong[..., 2:-2, 2:-2].norm() / weak[..., 2:-2, 2:-2].norm())

    spectral, published = patch_discriminator(8, "spectral"), patch_discriminator(8)
    for scale in (spectral, published):
        for layer in scale:
            if isinstance(layer, nn.Conv2d):
                layer.bias.zero_()
        scale.eval()
    assert growth(spectral) > 3
    assert growth(published) < 1.5


@pytest.mark.parametrize("count", [1, 2])
def test_number_of_scales_and_width_are_as_asked(count):
    discriminator = MultiScaleDiscriminator(count, width=6)
    assert len(discriminator.scales) == count
    assert discriminator.scales[0][0].out_channels == 6


def pool_by_hand(images):
    """Mean over the 3x3 window around every second position; what lies outside is not counted."""
    batch, channels, height, width = images.shape
    pooled = torch.empty(batch, channels, (height + 1) // 2, (width + 1) // 2)
    for y in range(pooled.shape[2]):
        for x in range(pooled.shape[3]):
            window = images[:, :, max(0, 2 * y - 1) : 2 * y + 2, max(0, 2 * x - 1) : 2 * x + 2]
            pooled[:, :, y, x] = window.mean(dim=(2, 3))
    return pooled


@pytest.mark.parametrize("side", [(64, 64), (65, 70)])
@torch.no_grad()
def test_each_scale_sees_the_picture_average_pooled_once_more(side):
    discriminator = reference.draw(MultiScaleDiscriminator(2, 3))
    images = draw(1, 3, *side)
    first, second = discriminator(images)
    torch.testing.assert_close(first, discriminator.scales[0](images))
    torch.testing.assert_close(second, discriminator.scales[1](pool_by_hand(images)), rtol=1e-4, atol=1e-5)


def test_pooling_does_not_darken_borders():
    seen = []
    discriminator = MultiScaleDiscriminator(3, 2)
    for scale in discriminator.scales:
        scale.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    discriminator(torch.full((1, 3, 128, 128), 0.5))
    assert [images.shape[-1] for images in seen] == [128, 64, 32]
    assert all((images - 0.5).abs().max() < 1e-6 for images in seen)


@torch.no_grad()
def test_one_scale_equals_its_layers_written_out():
    network = reference.draw(patch_discriminator(3), seed=2)
    convolutions = [m for m in network if isinstance(m, nn.Conv2d)]
    x = images = draw(2, 3, 48, 48)
    for index, convolution in enumerate(convolutions[:4]):
        x = F.conv2d(x, convolution.weight, convolution.bias, stride=2, padding=1)
        if index:
            mean, variance = x.mean(dim=(2, 3), keepdim=True), x.var(dim=(2, 3), keepdim=True, unbiased=False)
            x = (x - mean) / (variance + 1e-5).sqrt()
        x = torch.where(x > 0, x, 0.2 * x)
    expected = F.conv2d(x, convolutions[4].weight, convolutions[4].bias, padding=1)
    torch.testing.assert_close(network(images), expected, rtol=1e-3, atol=1e-4)


@torch.no_grad()
def test_the_scales_do_not_share_weights():
    first, second = MultiScaleDiscriminator(2, 3).scales
    assert not torch.equal(first[0].weight, second[0].weight)


# -- heads ------------------------------------------------------------------------------------------------------------------


@torch.no_grad()
def test_embeddings_have_unit_length():
    head = ProjectionHead(6, (5, 4))
    embeddings = head(draw(7, 6, 3, 2) * 50)
    assert embeddings.shape == (7, 4)
    torch.testing.assert_close(embeddings.norm(dim=1), torch.ones(7))


@torch.no_grad()
def test_head_is_a_two_layer_network_on_sums_over_positions():
    head = reference.draw(ProjectionHead(6, (5, 4)), seed=1)
    features = draw(3, 6, 4, 5)
    first, second = (layer for layer in head.modules() if isinstance(layer, nn.Linear))
    summed = torch.stack([torch.stack([plane.sum() for plane in sample]) for sample in features])
    hidden = (summed @ first.weight.T + first.bias).clamp(min=0)
    outputs = hidden @ second.weight.T + second.bias
    expected = outputs / outputs.square().sum(dim=1, keepdim=True).sqrt()
    torch.testing.assert_close(head(features), expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_half_precision_features_are_summed_in_fp32():
    head = ProjectionHead(4, (5, 4))
    features = torch.full((1, 4, 64, 64), 100.0, dtype=torch.float16)  # the sum, 409,600, is beyond fp16
    actual = head(features)
    assert actual.dtype == torch.float32
    torch.testing.assert_close(actual, head(features.float()))


@pytest.mark.parametrize(
    ("preset", "style_units", "content_units"), [("paper", (256, 128), (128, 128)), ("official", (128, 128), (256, 128))]
)
def test_units_of_the_heads_of_each_preset(preset, style_units, content_units):
    model = ExperimentConfig.parse({"preset": preset}).model
    for units, channels, expected in ((model.style_head, 256, style_units), (model.content_head, 512, content_units)):
        first, second = (layer for layer in ProjectionHead(channels, units).modules() if isinstance(layer, nn.Linear))
        assert (first.in_features, first.out_features, second.out_features) == (channels, *expected)
