import copy
import io

import pytest
import torch
import torch.nn.functional as F
from helpers import measuring
from helpers.datasets import draw_picture
from helpers.trainings import Training, draw, small_config
from PIL import Image
from torch import nn

from ieast.config import StylizeOptions
from ieast.errors import ConfigError, DataError
from ieast.evaluation.evaluate import evaluate
from ieast.evaluation.pairs import scoring_styles
from ieast.io.images import resize_smallest_side, to_image, to_tensor
from ieast.methods import build
from ieast.methods.johnson import StyleNetwork, some_of
from ieast.stylization.files import stylize_folder
from ieast.stylization.session import StyleSession, TorchEngine
from ieast.stylizer.base import Originals
from ieast.training.fit import fit

CONTENT = draw(1, 24, 40)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Six styles as files."""
    folder = tmp_path_factory.mktemp("styles")
    paths = [folder / f"painting-{number}.png" for number in range(6)]
    for number, path in enumerate(paths):
        draw_picture(100 + number, 90, 70).save(path)
    return paths


@pytest.fixture(scope="module")
def johnson(encoder, pictures):
    """Three networks with random weights, for styles 1, 3 and 5 of the six."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        stylizer = build("johnson", encoder, {"styles": ["painting-1", "painting-3", "painting-5"], "width": 4}).eval()
    stylizer.choose_styles(pictures[:3], pictures[3:])
    return stylizer


def picture_of(path):
    return to_tensor(Image.open(path))


# -- the network ------------------------------------------------------------------------------------------------------------


def normalized(x, layer):
    mean, variance = x.mean(dim=(2, 3), keepdim=True), x.var(dim=(2, 3), keepdim=True, correction=0)
    return (x - mean) / (variance + 1e-5).sqrt() * layer.weight[:, None, None] + layer.bias[:, None, None]


def convolved(x, layer, stride=1):
    border = layer.kernel_size[0] // 2
    return F.conv2d(F.pad(x, (border,) * 4, mode="reflect"), layer.weight, layer.bias, stride)


@torch.no_grad()
def test_the_network_is_the_published_one_layer_by_layer():
    network, images = StyleNetwork(4).eval(), draw(2, 24, 32)
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    norms = [module for module in network.modules() if isinstance(module, nn.InstanceNorm2d)]
    for layer in norms:
        nn.init.normal_(layer.weight)
        nn.init.normal_(layer.bias)
    assert [layer.kernel_size[0] for layer in convolutions] == [9, 3, 3, *[3] * 10, 3, 3, 9]
    assert [layer.out_channels for layer in convolutions] == [4, 8, 16, *[16] * 10, 8, 4, 3]
    assert len(norms) == 15
    x = images
    for k, stride in enumerate((1, 2, 2)):
        x = normalized(convolved(x, convolutions[k], stride), norms[k]).relu()
    assert x.shape == (2, 16, 6, 8)
    for k in range(3, 13, 2):
        inner = normalized(convolved(x, convolutions[k]), norms[k]).relu()
        x = x + normalized(convolved(inner, convolutions[k + 1]), norms[k + 1])
    for k in (13, 14):
        doubled = x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
        x = normalized(convolved(doubled, convolutions[k]), norms[k]).relu()
    expected = 1 / (1 + torch.exp(-convolved(x, convolutions[15])))
    torch.testing.assert_close(network(images), expected, rtol=1e-4, atol=1e-5)


def test_each_content_goes_through_the_network_of_its_style(johnson):
    images = draw(4, 16, 24)
    index = torch.tensor([2, 0, 2, 4])  # the list of styles may be repeated: 4 is 1 again
    actual, features = johnson.generate(Originals(images, {}), Originals(images, {}, index))
    assert features is None
    for k, number in enumerate((2, 0, 2, 1)):
        torch.testing.assert_close(actual[k], johnson.networks[number](images[k : k + 1])[0], rtol=1e-4, atol=1e-5)


# -- which styles -----------------------------------------------------------------------------------------------------------


def test_a_number_of_styles_is_spread_over_those_that_models_are_scored_in_and_their_names_stay(encoder, pictures):
    training, scoring = pictures[:1], pictures[1:]
    for count, expected in ((1, [1]), (2, [1, 5]), (3, [1, 3, 5]), (5, [1, 2, 3, 4, 5])):
        johnson = build("johnson", encoder, {"styles": count, "width": 4})
        assert johnson.choose_styles(training, scoring) == [pictures[k] for k in expected]
        assert johnson.options.styles == tuple(pictures[k].stem for k in expected)
        assert johnson.known_styles(pictures) == [pictures[k] for k in expected]


def test_more_styles_than_there_are_are_refused(encoder, pictures):
    with pytest.raises(ConfigError, match=r"^model\.options\.styles is 7, but there are 6 styles that models are scored in; "):
        build("johnson", encoder, {"styles": 7, "width": 4}).choose_styles([], pictures)


def test_a_name_that_no_style_has_is_refused(encoder, pictures):
    johnson = build("johnson", encoder, {"styles": ["painting-1", "mosaic"], "width": 4})
    with pytest.raises(ConfigError, match=r"names mosaic, of which there is no picture among the 6 .* they are painting-0, "):
        johnson.choose_styles(pictures[:3], pictures[3:])


@pytest.mark.parametrize("styles", [0, [], ["a", "a"]])
def test_styles_must_be_some_and_differ(encoder, styles):
    with pytest.raises(ConfigError, match=r"model\.options of johnson is not a valid configuration:"):
        build("johnson", encoder, {"styles": styles})


def test_a_style_is_found_in_any_size_and_as_any_file(johnson, pictures):
    for number, path in enumerate((pictures[1], pictures[3], pictures[5])):
        image = Image.open(path)
        compressed = io.BytesIO()
        image.save(compressed, "JPEG", quality=75)
        for version in (
            image,
            image.resize((180, 140)),
            resize_smallest_side(image, 48),
            image.crop((10, 0, 80, 70)),
            Image.open(compressed),
        ):
            assert johnson.find(johnson.signature(to_tensor(version))).tolist() == [number]


def test_another_style_is_refused_and_the_known_ones_named(johnson, pictures):
    with pytest.raises(ValueError, match=r"^the style is none that .* it knows painting-1, painting-3, painting-5\. Give the"):
        johnson.stylize(CONTENT, picture_of(pictures[0]))
    both = torch.cat([picture_of(pictures[k]) for k in (1, 0)])
    with pytest.raises(ValueError, match=r"^style 1 of the batch is none"):
        johnson.stylize(CONTENT.expand(2, -1, -1, -1), both)


def test_a_model_without_training_knows_no_style(encoder):
    with pytest.raises(ValueError, match=r"^this johnson model knows no style yet: train it"):
        build("johnson", encoder, {"width": 4}).stylize(CONTENT, CONTENT)


def test_a_signature_is_means_and_deviations_of_four_taps_at_64_pixels(johnson, pictures):
    image = picture_of(pictures[1])
    small = F.interpolate(image, (64, 64), mode="bilinear", antialias=True)
    taps = johnson.encoder(small)
    parts = []
    for name in ("relu1_1", "relu2_1", "relu3_1", "relu4_1"):
        values = taps[name][0].flatten(1).double()
        parts += [values.mean(dim=1), (values.var(dim=1) + 1e-5).sqrt()]
    torch.testing.assert_close(johnson.signature(image)[0].double(), torch.cat(parts), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(johnson.signatures[0, 0], johnson.signature(image)[0])
    torch.testing.assert_close(johnson.signatures[0, 1], johnson.signature(image[..., 10:80])[0])  # 90 x 70 pixels


def test_distances_are_relative_in_each_tap(johnson):
    moved = johnson.signatures[:1, 0].clone()
    johnson = copy.deepcopy(johnson)
    johnson.signatures[:, 1] += 100
    moved[:, :32] *= 1.5  # relu1_1: 16 means and deviations
    moved[:, 32:96] *= 0.8
    assert float(johnson.distances(moved)[0, 0]) == pytest.approx((0.5 + 0.2) / 4, rel=1e-4)


def test_many_names_are_cut_short():
    assert some_of(["a", "b", "c"], 3) == "a, b, c"
    assert some_of(["a", "b", "c", "d"], 2) == "a, b and 2 others"


# -- use --------------------------------------------------------------------------------------------------------------------


def test_a_picture_is_painted_by_the_network_of_the_style_given(johnson, pictures):
    for number, path in enumerate((pictures[1], pictures[3], pictures[5])):
        with torch.no_grad():
            expected = johnson.networks[number](CONTENT)
        torch.testing.assert_close(johnson.stylize(CONTENT, picture_of(path)), expected)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (7, 50), (16, 16), (33, 21), (18, 18)])
def test_pictures_of_any_size_are_continued_and_cut(johnson, pictures, height, width):
    content, style = draw(1, height, width), picture_of(pictures[1])
    stylized = johnson.stylize(content, style)
    rows, columns = (max(16, -(-side // 4) * 4) for side in (height, width))
    y, x = (torch.arange(extent).clamp(max=side - 1) for extent, side in ((rows, height), (columns, width)))
    with torch.no_grad():
        expected = johnson.networks[0](content[:, :, y][..., x])[..., :height, :width]
    torch.testing.assert_close(stylized, expected)
    assert stylized.isfinite().all()


def test_changing_a_styles_colours_is_refused(johnson, pictures):
    style = picture_of(pictures[1])
    with pytest.raises(ValueError, match=r"^a johnson model has learnt its styles' colours"):
        johnson.stylize(CONTENT, style, preserve_colour="coral")
    with pytest.raises(ConfigError, match=r"^a johnson model has learnt its styles' colours"):
        StyleSession(johnson, [to_image(style)], StylizeOptions(preserve_colour="coral"))


def test_a_style_that_it_does_not_know_loses_no_other_of_a_folder(johnson, pictures, tmp_path):
    (tmp_path / "styles").mkdir()
    to_image(picture_of(pictures[1])).save(tmp_path / "styles" / "known.png")
    draw_picture(77, 64, 64).save(tmp_path / "styles" / "other.png")
    draw_picture(1, 48, 48).save(tmp_path / "photo.png")
    engine = TorchEngine(johnson)
    result = stylize_folder(
        engine, tmp_path / "photo.png", tmp_path / "styles", tmp_path / "out", StylizeOptions(content_noise=0)
    )
    assert result.made == 1
    assert [path.name for path in result.failed] == ["other.png"]
    assert "is none that this johnson model was trained on" in str(result.failed)


# -- training ---------------------------------------------------------------------------------------------------------------

STAGE = {"iterations": 3, "reconstruction_iterations": 0}


@pytest.fixture(scope="module", params=["johnson", "johnson+el+cl"])
def trained(request, prepared, tmp_path_factory):
    config = small_config(request.param, model={"options": {"styles": 4, "width": 4}}, training=STAGE)
    return request.param, Training(config, prepared, tmp_path_factory.mktemp("johnson"))


def test_it_trains_with_every_term_of_its_objective(trained):
    method, training = trained
    terms = {"style", "content", "total_variation", "total"}
    if method == "johnson+el+cl":
        terms |= {"adversarial", "discriminator", "style_contrastive", "content_contrastive"}
    assert training.terms == dict.fromkeys((1, 2, 3), terms)
    assert training.changed(1, 3) == {"networks"}


def test_a_trained_model_is_read_back_with_its_styles_and_stylizes_equally(trained, prepared):
    _, training = trained
    known = training.model.options.styles
    paths = [path for path in prepared.training_paths("style") if path.stem in known]
    assert len(paths) == 4
    for path in paths:
        style = picture_of(path)
        actual, expected = (model.stylize(CONTENT, style) for model in (training.model, training.module.stylizer))
        torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5)  # the memory format may differ


def test_it_is_scored_in_the_styles_that_it_knows(trained, prepared, make_config):
    _, training = trained
    known = training.model.known_styles(prepared.scoring_paths("style"))
    config = make_config(evaluation={"pairs": 4}).evaluation
    assert scoring_styles(training.model, prepared, config) == known
    actual = evaluate(training.model, prepared, config)
    assert set(actual.pairs["style"]) <= {path.name for path in known}
    with pytest.raises(DataError, match=r"^this johnson model knows none of the dataset's styles"):
        scoring_styles(build("johnson", training.model.encoder, {"styles": ["mosaic"], "width": 4}), prepared, config)


def test_fewer_styles_than_a_batch_holds_are_repeated(prepared, tmp_path):
    config = small_config("johnson", model={"options": {"styles": 2, "width": 4}}, training=STAGE)
    training = Training(config, prepared, tmp_path)
    last, first = training.weights[2], training.weights[0]
    for number in range(2):
        assert any(not torch.equal(last[name], first[name]) for name in last if name.startswith(f"networks.{number}."))


def test_contrastive_learning_needs_as_many_styles_as_it_pairs(prepared, tmp_path):
    config = small_config("johnson+cl", model={"options": {"styles": 2, "width": 4}}, training=STAGE)
    with pytest.raises(
        ConfigError, match=r"^method johnson\+cl learns 2 styles, but .* pairs 3 different ones .* to 3 or more"
    ):
        fit(config, prepared, tmp_path)


def test_it_cannot_be_asked_to_reconstruct():
    with pytest.raises(ConfigError, match="method johnson cannot reconstruct pictures"):
        small_config("johnson", training={"reconstruction_iterations": 5})


# -- memory -----------------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not measuring.HAS_PEAK, reason="the peak is read from Linux's /proc")
@pytest.mark.parametrize(("height", "width", "channels"), [(512, 512, 32), (900, 700, 8)])
def test_the_estimate_bounds_the_measured_peak_and_is_no_wild_guess(height, width, channels):
    options = {"width": channels, "styles": ["a"]}
    peak, estimate = measuring.peak_and_estimate("johnson", (height, width), options=options)
    assert peak <= estimate <= 3 * peak
