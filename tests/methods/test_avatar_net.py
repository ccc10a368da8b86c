import pytest
import torch
from helpers import measuring
from helpers.trainings import draw

from ieast.checkpoint import load_model
from ieast.errors import ConfigError
from ieast.experiment import ExperimentConfig
from ieast.layers.adain import adain
from ieast.methods import build
from ieast.methods.avatar_net import SKIPS, AvatarNet, SkipDecoder
from ieast.models.decoder import Decoder
from ieast.models.encoder import Encoder
from ieast.models.vgg19 import WIDTHS
from ieast.stylizer.base import Originals
from ieast.stylizer.style import Style
from ieast.training.fit import fit
from reference import plain as reference

COMPACT = WIDTHS["vgg19-compact"]


@pytest.fixture(scope="module")
def stylizer():
    subject = reference.draw(AvatarNet(Encoder("vgg19-compact")), seed=1, bias=0.01).eval()
    subject.encoder.normalize_taps([draw(2, 32, 32)])
    with torch.no_grad():  # pictures mostly inside [0, 1], so that clamping hides nothing
        pictures = draw(2, 64, 64)
        (picture,) = subject.reconstruct(Originals(pictures, subject.encoder(pictures)))
        last, factor = subject.decoder.get_submodule("conv1_1"), 0.2 / picture.std()
        last.bias.copy_((last.bias - picture.mean(dim=(0, 2, 3))) * factor + 0.5)
        last.weight.mul_(factor)
    return subject


@torch.no_grad()
def reconstruction(stylizer, picture):
    return stylizer.reconstruct(Originals(picture, stylizer.encoder(picture)))[0].clamp(0, 1)


# -- decorator --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(64, 48), (128, 128), (32, 32)])
def test_a_style_given_as_the_content_gives_the_contents_features(stylizer, size):
    picture = draw(1, *size)
    features = stylizer.encoder(picture)["relu4_1"]
    values = stylizer.encode_style(picture).values
    torch.testing.assert_close(stylizer.decorate(features, [values], [1.0], 0.0), features, rtol=0, atol=1e-3)


def test_a_style_given_as_the_content_gives_the_decoders_reconstruction(stylizer):
    picture = draw(1, 64, 80)
    torch.testing.assert_close(stylizer.stylize(picture, picture), reconstruction(stylizer, picture), rtol=0, atol=2e-3)


def test_alpha_blends_whitened_features_which_get_the_styles_covariance(stylizer):
    content, style = draw(1, 192, 160), draw(1, 176, 144, seed=1)
    features, target = (stylizer.encoder(picture)["relu4_1"] for picture in (content, style))
    values = stylizer.encode_style(style).values
    full, part, none = (stylizer.decorate(features, [values], [1.0], 0.0, alpha) for alpha in (1.0, 0.4, 0.0))
    torch.testing.assert_close(part, 0.4 * full + 0.6 * none, rtol=1e-4, atol=1e-4)
    actual, expected = (torch.cov(each[0].double().flatten(1)) for each in (none, target))
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-2 * float(expected.diagonal().mean()))
    torch.testing.assert_close(none.mean(dim=(2, 3)), target.mean(dim=(2, 3)), rtol=1e-4, atol=1e-4)


def test_several_styles_and_the_content_share_positions_as_told(stylizer):
    features = stylizer.encoder(draw(1, 64, 48))["relu4_1"]
    first, second = (stylizer.encode_style(draw(1, 48, 48, seed=seed)).values for seed in (1, 2))
    alone = [stylizer.decorate(features, [each], [1.0], 0.0) for each in (first, second)]
    mask = torch.rand(1, 1, 8, 6)
    actual = stylizer.decorate(features, [first, second], [0.5 * mask, 0.2], 0.8 - 0.5 * mask)
    torch.testing.assert_close(actual, 0.5 * mask * alone[0] + 0.2 * alone[1] + (0.8 - 0.5 * mask) * features)


def test_the_size_of_patches_is_an_option():
    small = AvatarNet(Encoder("vgg19-compact"), AvatarNet.parse_options({"patch_size": 3}))
    assert small.options.patch_size == 3
    assert AvatarNet(Encoder("vgg19-compact")).options.patch_size == 5
    for wrong in (4, 0, -1, 33, "large"):
        with pytest.raises(ConfigError, match=r"avatar-net is not a valid configuration:\n  patch_size"):
            AvatarNet.parse_options({"patch_size": wrong})


# -- decoder ----------------------------------------------------------------------------------------------------------------


@torch.no_grad()
def test_skips_give_the_decoders_features_the_styles_statistics_at_three_levels():
    decoder = reference.draw(SkipDecoder(COMPACT), seed=3)
    features, taps = torch.randn(2, 128, 6, 5), Encoder("vgg19-compact")(draw(1, 48, 40))
    statistics = {tap: [each[..., None, None] for each in reversed(torch.var_mean(taps[tap], dim=(2, 3)))] for tap in SKIPS}
    skips = {tap: (mean, (variance + 1e-5).sqrt()) for tap, (mean, variance) in statistics.items()}

    def through(x, *layers):
        for layer in layers:
            x = torch.relu(decoder.get_submodule(f"conv{layer}")(x))
        return x

    def upsampled(x):
        return x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)

    x = upsampled(through(features, "4_1"))
    x = adain(through(x, "3_4", "3_3", "3_2"), taps["relu3_1"])
    x = adain(through(upsampled(through(x, "3_1")), "2_2"), taps["relu2_1"])
    x = adain(through(upsampled(through(x, "2_1")), "1_2"), taps["relu1_1"])
    torch.testing.assert_close(decoder(features, skips), decoder.get_submodule("conv1_1")(x), rtol=1e-4, atol=1e-4)
    plain = Decoder(COMPACT)
    plain.load_state_dict(decoder.state_dict())
    assert torch.equal(decoder(features), plain(features))


# -- stylize ----------------------------------------------------------------------------------------------------------------


def test_moments_that_span_many_orders_of_magnitude_give_finite_pictures(stylizer):
    picture = torch.zeros(1, 3, 32, 32)
    picture[..., 16:] = 1e4
    for content, style in ((picture, draw(1, 48, 48)), (draw(1, 48, 48), picture), (picture, picture)):
        assert torch.isfinite(stylizer.stylize(content, style)).all()


def test_an_encoded_style_is_small(stylizer):
    encoded = stylizer.encode_style(draw(1, 64, 48, seed=1))
    assert {name: value.shape for name, value in encoded.values.items() if value.ndim == 4 and value.shape[-1] > 1} == {
        "whitened": (1, 128, 8, 6)
    }


def test_what_no_mask_covers_is_reconstructed(stylizer):
    content, style = draw(1, 64, 96), draw(1, 48, 48, seed=1)
    kept = stylizer.stylize(content, [Style(style, mask=torch.zeros(1, 1, 64, 96))])
    torch.testing.assert_close(kept, reconstruction(stylizer, content), rtol=0, atol=1e-4)


# -- memory -----------------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not measuring.HAS_PEAK, reason="the peak is read from Linux's /proc")
def test_the_estimate_bounds_the_measured_peak_and_is_no_wild_guess():
    peak, estimate = measuring.peak_and_estimate("avatar-net", masked=True)
    assert peak <= estimate <= 2.5 * peak


# -- training ---------------------------------------------------------------------------------------------------------------


def test_the_recipe_is_that_of_the_publication_in_pixels_from_0_to_1():
    config = ExperimentConfig.parse({"method": "avatar-net"})
    weights = config.objective.weights
    assert (weights.identity_pixels, weights.identity_taps) == (10, 1)
    # 10 · (255 d)² + 10 · 255 |d|, divided by 255²
    assert weights.total_variation / weights.identity_pixels == pytest.approx(255 / 255**2)
    assert config.method_name == "avatar-net"


def test_it_trains_and_the_exported_model_stylizes_as_the_same_weights_do(tmp_path, make_config, prepared):
    config = make_config(
        method="avatar-net",
        objective=AvatarNet.recipe["objective"],
        model={"attention_start": "random", "options": {"patch_size": 3}},
        training={"reconstruction_iterations": 0},
    )
    result = fit(config, prepared, tmp_path)
    stylizer, card = load_model(result.model_folder)
    assert (card.method, card.network, card.options) == ("avatar-net", "avatar-net", {"patch_size": 3})
    state = torch.load(result.checkpoint, weights_only=True)["state_dict"]
    trained = build("avatar-net", Encoder("vgg19-compact"), {"patch_size": 3}).eval()
    trained.load_state_dict({name.removeprefix("stylizer."): value for name, value in state.items() if "stylizer." in name})
    content, style = draw(1, 40, 56), draw(1, 33, 48, seed=1)
    assert torch.equal(stylizer.stylize(content, style, 0.6), trained.stylize(content, style, 0.6))
