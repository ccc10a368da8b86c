import pytest
import torch
from helpers.trainings import Training, draw, small_config

from ieast.errors import ConfigError
from ieast.experiment import ExperimentConfig
from ieast.methods import build
from ieast.methods.ccpl import CovarianceTransform

WIDTH, CHANNELS = 12, 4


@pytest.fixture(scope="module")
def transform():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return CovarianceTransform(WIDTH, CHANNELS).eval()


def maps(batch, height, width, seed=0):
    return draw(batch * WIDTH // 3, height, width, seed).reshape(batch, WIDTH, height, width)


def through(layers, patch):
    """What three convolutions make of one patch (C, k, k) of their kernels' size."""
    x = patch
    for k, layer in enumerate(layers):
        x = torch.einsum("oikl,ikl->o", layer.weight, x) + layer.bias
        x = (torch.relu(x) if k < 2 else x)[:, None, None]
    return x[:, 0, 0]


def style_features_by_loops(layers, features):
    """(n, h, w) of features (C, h, w): 3x3 positions at a time, mirrored at the border."""
    for k, layer in enumerate(layers):
        height, width = features.shape[1:]
        made = torch.empty(len(layer.bias), height, width)
        for y in range(height):
            for x in range(width):
                rows = [abs(v) if v < height else 2 * (height - 1) - v for v in (y - 1, y, y + 1)]
                columns = [abs(u) if u < width else 2 * (width - 1) - u for u in (x - 1, x, x + 1)]
                patch = features[:, rows][:, :, columns]
                made[:, y, x] = torch.einsum("oikl,ikl->o", layer.weight, patch) + layer.bias
        features = torch.relu(made) if k < 2 else made
    return features


@torch.no_grad()
def test_features_are_what_the_equations_say_position_by_position(transform):
    content, style = maps(2, 3, 4), maps(2, 4, 3, seed=1)
    actual = transform({"relu4_1": content}, {"relu4_1": style})
    for k in range(2):
        means = style[k].flatten(1).mean(dim=1)
        of_style = style_features_by_loops(transform.style[::2], style[k] - means[:, None, None])
        moments = torch.zeros(CHANNELS, CHANNELS)
        for i in range(CHANNELS):
            for j in range(CHANNELS):
                moments[i, j] = (of_style[i] * of_style[j]).sum() / 12
        flat = content[k].flatten(1)
        normed = (content[k] - flat.mean(dim=1)[:, None, None]) / (flat.var(dim=1) + 1e-5).sqrt()[:, None, None]
        weight, bias = transform.uncompress.weight[:, :, 0, 0], transform.uncompress.bias
        for y in range(3):
            for x in range(4):
                compressed = through(transform.content[::2], normed[:, y : y + 1, x : x + 1])
                expected = weight @ (moments @ compressed) + bias + means
                torch.testing.assert_close(actual[k, :, y, x], expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_the_contents_own_contrast_and_brightness_do_not_count(transform):
    content, style = maps(1, 6, 5), {"relu4_1": maps(1, 4, 4, seed=1)}
    other = content * torch.linspace(0.5, 3, WIDTH)[:, None, None] + torch.linspace(-1, 4, WIDTH)[:, None, None]
    actual, expected = (transform({"relu4_1": each}, style) for each in (other, content))
    torch.testing.assert_close(actual, expected, rtol=1e-3, atol=1e-3)


@torch.no_grad()
def test_a_style_that_is_moved_moves_the_result_and_changes_nothing_else(transform):
    content, style = {"relu4_1": maps(1, 6, 5)}, maps(1, 4, 4, seed=1)
    moved = transform(content, {"relu4_1": style + 2})
    torch.testing.assert_close(moved, transform(content, {"relu4_1": style}) + 2, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("width", "widths"), [(512, [256, 128, 32]), (128, [64, 32, 32])])
def test_networks_are_as_wide_as_published_for_the_full_encoder_and_scaled_for_others(width, widths):
    transform = CovarianceTransform(width, 32)
    for branch, kernel in ((transform.content, 1), (transform.style, 3)):
        assert [layer.out_channels for layer in branch[::2]] == widths
        assert {layer.kernel_size for layer in branch[::2]} == {(kernel, kernel)}


@pytest.mark.parametrize("channels", [0, 513])
def test_the_number_of_channels_is_bounded(encoder, channels):
    with pytest.raises(ConfigError, match=r"model\.options of ccpl is not a valid configuration:\n  channels: "):
        build("ccpl", encoder, {"channels": channels})


def test_the_recipe_is_that_of_the_publication():
    config = ExperimentConfig.parse({"method": "ccpl"})
    weights, training = config.objective.weights, config.training
    assert (weights.content, weights.style, weights.coherence, weights.identity, weights.temporal) == (1, 10, 5, 0, 0)
    assert config.objective.coherence.model_dump() == {
        "layers": ("relu2_1", "relu3_1", "relu4_1"),
        "anchors": 8,
        "temperature": 0.07,
    }
    assert (training.batch_size, training.learning_rate, training.learning_rate_decay) == (8, 1e-4, 5e-5)
    assert (training.iterations, training.reconstruction_iterations) == (160_000, 0)


def test_tiles_change_nothing(encoder):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build("ccpl", encoder, {"channels": 8}).eval()
    content, style = draw(1, 100, 130), draw(1, 32, 20, seed=1)
    torch.testing.assert_close(model.stylize(content, style, tile=64), model.stylize(content, style), rtol=1e-3, atol=1e-4)


@pytest.fixture(scope="module")
def trained(prepared, tmp_path_factory):
    stage = {"iterations": 2, "reconstruction_iterations": 0}
    return Training(small_config("ccpl", training=stage), prepared, tmp_path_factory.mktemp("ccpl"))


def test_transformation_and_decoder_learn_by_every_term_of_the_objective(trained):
    assert trained.terms[1] == trained.terms[2] == {"style", "content", "coherence", "total"}
    assert trained.changed(1, 2) == {"decoder", "transform"}


def test_a_trained_model_is_read_back_and_stylizes_equally(trained):
    content, style = draw(2, 40, 56), draw(2, 33, 48, seed=1)
    actual, expected = (model.stylize(content, style, 0.7) for model in (trained.model, trained.module.stylizer))
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-4)  # the memory format may differ
