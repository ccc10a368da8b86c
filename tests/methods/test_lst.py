import pytest
import torch
from helpers.trainings import Training, draw, small_config

from ieast.errors import ConfigError
from ieast.methods import build
from ieast.methods.lst import LinearTransform, MatrixNetwork
from ieast.stylizer.style import Style


@pytest.fixture(scope="module")
def lst(encoder):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        stylizer = build("lst", encoder, {"channels": 8}).eval()
        with torch.no_grad():
            stylizer.transform.uncompress.weight.normal_(std=0.2)  # no longer what undoes `compress`
            for network in (stylizer.transform.content_matrix, stylizer.transform.style_matrix):
                network.linear.weight.normal_(std=0.2)
    return stylizer


def taps_of(lst, images):
    with torch.no_grad():
        return lst.encoder(images)


def matrix_by_loops(network, features):
    """T of one picture's centred features (C, h, w), entry by entry."""
    x = features[None]
    first, second, third = network.convolutions
    x = third(torch.relu(second(torch.relu(first(x)))))[0]
    count, height, width = x.shape
    moments = torch.zeros(count, count)
    for i in range(count):
        for j in range(count):
            moments[i, j] = sum(x[i, y, k] * x[j, y, k] for y in range(height) for k in range(width)) / (height * width)
    return (network.linear.weight @ moments.flatten() + network.linear.bias).reshape(count, count)


@torch.no_grad()
def test_features_are_what_the_equation_says_position_by_position(lst):
    content, style = taps_of(lst, draw(2, 24, 40)), taps_of(lst, draw(2, 32, 24, seed=1))
    transformed = lst.transform(content, style)
    compress, uncompress = (layer.weight[:, :, 0, 0] for layer in (lst.transform.compress, lst.transform.uncompress))
    for k in range(2):
        c, s = content["relu4_1"][k], style["relu4_1"][k]
        means, centred = s.flatten(1).mean(dim=1), c - c.flatten(1).mean(dim=1)[:, None, None]
        of_style = matrix_by_loops(lst.transform.style_matrix, s - means[:, None, None])
        product = of_style @ matrix_by_loops(lst.transform.content_matrix, centred)
        for y in range(c.shape[1]):
            for x in range(c.shape[2]):
                expected = uncompress @ (product @ (compress @ centred[:, y, x])) + means
                torch.testing.assert_close(transformed[k, :, y, x], expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_second_moments_of_many_positions_do_not_overflow_in_fp16():
    network = MatrixNetwork(2, 2)
    network.convolutions = torch.nn.ModuleList()  # moments of the features themselves
    features = torch.full((1, 2, 32, 32), 9.0)  # squares sum to 82944, more than 65504, and have the mean 81
    expected = network(features)
    with torch.autocast("cpu", torch.float16):
        actual = network(features)
    torch.testing.assert_close(actual.float(), expected, rtol=5e-3, atol=0.05)


@torch.no_grad()
def test_the_learned_product_is_applied_to_centred_features_only(lst):
    content, style = taps_of(lst, draw(1, 32, 40)), taps_of(lst, draw(1, 32, 24, seed=1))
    moved = {"relu4_1": content["relu4_1"] + torch.linspace(-3, 3, 128)[:, None, None]}
    transformed = lst.transform(content, style)
    torch.testing.assert_close(lst.transform(moved, style), transformed, rtol=1e-4, atol=1e-4)
    assert transformed.std(dim=(2, 3)).mean() > 0.01


@torch.no_grad()
def test_the_result_has_the_styles_means(lst):
    content, style = taps_of(lst, draw(2, 32, 40)), taps_of(lst, draw(2, 48, 24, seed=1))
    transformed = lst.transform(content, style).mean(dim=(2, 3))
    torch.testing.assert_close(transformed, style["relu4_1"].mean(dim=(2, 3)), rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_a_style_that_is_moved_moves_the_result_and_changes_nothing_else(lst):
    content, style = taps_of(lst, draw(1, 32, 40)), taps_of(lst, draw(1, 32, 24, seed=1))
    moved = {"relu4_1": style["relu4_1"] + 2}
    torch.testing.assert_close(lst.transform(content, moved), lst.transform(content, style) + 2, rtol=1e-4, atol=1e-4)


def test_it_begins_with_a_projection_of_the_content_and_the_styles_means():
    transform = LinearTransform(32, 8)
    for network in (transform.content_matrix, transform.style_matrix):
        torch.nn.init.zeros_(network.linear.weight)
    content, style = torch.rand(1, 32, 5, 6), torch.rand(1, 32, 4, 4)
    rows = transform.compress.weight[:, :, 0, 0]
    torch.testing.assert_close(rows @ rows.T, torch.eye(8), atol=1e-5, rtol=0)
    centred = (content - content.mean(dim=(2, 3), keepdim=True)).flatten(2)
    expected = (rows.T @ rows @ centred).view_as(content) + style.mean(dim=(2, 3), keepdim=True)
    torch.testing.assert_close(transform({"relu4_1": content}, {"relu4_1": style}), expected)


@pytest.mark.parametrize(("width", "channels", "widths"), [(512, 32, [256, 128, 32]), (128, 32, [64, 32, 32])])
def test_networks_are_as_wide_as_published_for_the_full_encoder_and_scaled_for_others(width, channels, widths):
    network = MatrixNetwork(width, channels)
    assert [layer.out_channels for layer in network.convolutions] == widths
    assert {layer.kernel_size for layer in network.convolutions} == {(3, 3)}
    assert network.linear.weight.shape == (1024, 1024)


@pytest.mark.parametrize("channels", [0, 65])
def test_the_number_of_channels_is_bounded(encoder, channels):
    with pytest.raises(ConfigError, match=r"model\.options of lst is not a valid configuration:\n  channels: "):
        build("lst", encoder, {"channels": channels})


@torch.no_grad()
def test_alpha_mixes_with_the_contents_own_features(lst):
    content, style = draw(1, 32, 48), draw(1, 32, 32, seed=1)
    taps = taps_of(lst, content)
    full = lst.transform(taps, taps_of(lst, style))
    for alpha in (0.0, 0.3, 1.0):
        expected = lst.decoder(alpha * full + (1 - alpha) * taps["relu4_1"]).clamp(0, 1)
        torch.testing.assert_close(lst.stylize(content, style, alpha), expected)


def test_tiles_change_nothing(lst):
    content, style = draw(1, 200, 260), draw(1, 32, 20, seed=1)
    torch.testing.assert_close(lst.stylize(content, style, tile=64), lst.stylize(content, style), rtol=1e-3, atol=1e-4)


def test_a_mask_keeps_the_content_outside(lst):
    content, style = draw(1, 128, 128), draw(1, 32, 32, seed=1)
    mask = torch.zeros(1, 1, 128, 128)
    mask[..., 64:] = 1
    stylized = lst.stylize(content, [Style(style, mask=mask)])
    torch.testing.assert_close(stylized[..., :16], lst.stylize(content, style, 0.0)[..., :16], rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(stylized[..., -16:], lst.stylize(content, style)[..., -16:], rtol=1e-3, atol=1e-4)


@pytest.fixture(scope="module")
def trained(prepared, tmp_path_factory):
    """Two iterations of reconstruction, and three more."""
    stages = {"reconstruction_iterations": 2, "iterations": 3}
    return Training(small_config("lst", training=stages), prepared, tmp_path_factory.mktemp("lst"))


def test_first_the_decoder_learns_and_then_the_transformation_alone(trained):
    assert trained.changed(1, 2) == {"decoder"}
    assert trained.changed(2, 3) == trained.changed(3, 5) == {"transform"}


def test_each_stage_has_its_terms(trained):
    reconstruction = {"reconstruction", "reconstruction_pixels", "reconstruction_taps"}
    stylization = {"style", "content", "total"}
    assert trained.terms == {
        **dict.fromkeys((1, 2), reconstruction),
        **dict.fromkeys((3, 4, 5), stylization),
    }


def test_a_trained_model_is_read_back_and_stylizes_equally(trained):
    content, style = draw(2, 40, 56), draw(2, 33, 48, seed=1)
    actual, expected = (model.stylize(content, style, 0.7) for model in (trained.model, trained.module.stylizer))
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-4)  # the memory format may differ


def test_el_and_cl_can_be_switched_on(prepared, tmp_path):
    terms = Training(small_config("lst+el+cl", training={"iterations": 1}), prepared, tmp_path).terms[3]
    assert terms >= {"adversarial", "discriminator", "style_contrastive", "content_contrastive", "style", "content"}
