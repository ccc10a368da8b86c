import pytest
import torch
from helpers import measuring
from helpers.trainings import draw

from ieast.checkpoint import load_model
from ieast.errors import NumericsError
from ieast.experiment import ExperimentConfig
from ieast.layers.whitening import KEPT, moments, powers
from ieast.methods import build
from ieast.methods.wct import Wct, mix
from ieast.models.encoder import Encoder
from ieast.models.vgg19 import STYLE_TAPS
from ieast.stylizer.base import Originals
from ieast.stylizer.style import Style
from ieast.training.fit import fit
from reference import plain as reference


@pytest.fixture(scope="module")
def stylizer():
    subject = reference.draw(Wct(Encoder("vgg19-compact")), seed=1, bias=0.01).eval()
    subject.encoder.normalize_taps([draw(2, 32, 32)])
    with torch.no_grad():  # pictures mostly inside [0, 1], so that clamping hides nothing
        for tap, decoder in subject.decoder.items():
            picture = decoder(subject.encoder(draw(2, 64, 64))[tap])
            factor = 0.2 / picture.std()
            decoder.conv1_1.bias.copy_((decoder.conv1_1.bias - picture.mean(dim=(0, 2, 3))) * factor + 0.5)
            decoder.conv1_1.weight.mul_(factor)
    return subject


def statistics(features):
    mean, covariance = moments(features)
    return mean, powers(covariance, 0.5)[0]


def taps_that_decoders_get(stylizer, *args, **options):
    seen = {}
    handles = [
        decoder.register_forward_pre_hook(lambda _, inputs, tap=tap: seen.update({tap: inputs[0].clone()}))
        for tap, decoder in stylizer.decoder.items()
    ]
    stylizer.stylize(*args, **options)
    for handle in handles:
        handle.remove()
    return seen


# -- the transform ----------------------------------------------------------------------------------------------------------


def test_mixed_features_have_the_styles_mean_and_covariance():
    content, style = torch.randn(2, 8, 12, 12), 3 * torch.randn(2, 8, 10, 14) + 2
    mixed = mix(content, [statistics(style)], [1.0], 0.0)
    for k in range(2):
        actual, expected = (torch.cov(features[k].double().flatten(1)) for features in (mixed, style))
        torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(mixed[k].mean(dim=(1, 2)), style[k].mean(dim=(1, 2)), rtol=1e-4, atol=1e-4)


def test_several_styles_and_the_content_share_positions_as_told():
    content, first, second = (torch.randn(1, 5, 6, 7) for _ in range(3))
    both = [statistics(first), statistics(second)]
    alone = [mix(content, [each], [1.0], 0.0) for each in both]
    mask = torch.rand(1, 1, 6, 7)
    actual = mix(content, both, [0.5 * mask, 0.2], 0.8 - 0.5 * mask)
    torch.testing.assert_close(actual, 0.5 * mask * alone[0] + 0.2 * alone[1] + (0.8 - 0.5 * mask) * content)


def test_at_every_level_features_get_the_styles_mean(stylizer):
    style = draw(1, 64, 80, seed=1)
    expected = stylizer.encoder(style)
    for tap, features in taps_that_decoders_get(stylizer, draw(1, 96, 64), style).items():
        torch.testing.assert_close(features.mean(dim=(2, 3)), expected[tap].mean(dim=(2, 3)), rtol=1e-3, atol=1e-3)


def test_a_style_given_as_the_content_changes_nothing_but_by_the_decoders(stylizer):
    picture = draw(1, 64, 48)
    taps = stylizer.encoder(picture)
    actual = {tap: mix(features, [statistics(features)], [1.0], 0.0) for tap, features in taps.items()}
    actual |= {"seen": taps_that_decoders_get(stylizer, picture, picture)["relu5_1"]}
    for tap, features in (taps | {"seen": taps["relu5_1"]}).items():  # but for directions of less variance than is kept
        assert (actual[tap] - features).square().mean() <= KEPT


def cascade(stylizer, content):
    """The content through the five autoencoders alone."""
    for tap in reversed(STYLE_TAPS):
        content = stylizer.decoder[tap](stylizer.encoder(content)[tap]).clamp(0, 1)
    return content


@torch.no_grad()
def test_with_alpha_0_the_content_passes_through_the_five_autoencoders(stylizer, monkeypatch):
    content = draw(1, 64, 48)
    actual = stylizer.stylize(content, draw(1, 33, 40, seed=1), 0.0)
    torch.testing.assert_close(actual, cascade(stylizer, content), rtol=1e-4, atol=1e-5)


def test_alpha_blends_features_at_every_level(stylizer):
    content, style = draw(1, 64, 48), draw(1, 48, 48, seed=1)
    actual = taps_that_decoders_get(stylizer, content, style, 0.3)["relu5_1"]
    full, none = (taps_that_decoders_get(stylizer, content, style, alpha)["relu5_1"] for alpha in (1.0, 0.0))
    torch.testing.assert_close(actual, 0.3 * full + 0.7 * none)


# -- stylize ----------------------------------------------------------------------------------------------------------------


def test_moments_that_span_many_orders_of_magnitude_give_finite_pictures(stylizer):
    picture = torch.zeros(1, 3, 32, 32)
    picture[..., 16:] = 1e4
    for content, style in ((picture, draw(1, 48, 48)), (draw(1, 48, 48), picture), (picture, picture)):
        assert torch.isfinite(stylizer.stylize(content, style)).all()


def test_an_encoded_style_is_small(stylizer):
    encoded = stylizer.encode_style(draw(1, 64, 48, seed=1))
    assert set(encoded.values) == {f"{tap}.{kind}" for tap in STYLE_TAPS for kind in ("mean", "root")}


def test_masks_divide_the_picture(stylizer):
    content, first, second = draw(1, 64, 256), draw(1, 48, 48, seed=1) * 0.2, draw(1, 40, 40, seed=2)
    left = torch.zeros(1, 1, 64, 256)
    left[..., :128] = 1
    both = taps_that_decoders_get(stylizer, content, [Style(first, mask=left), Style(second, mask=1 - left)])["relu5_1"]
    alone = [taps_that_decoders_get(stylizer, content, style)["relu5_1"] for style in (first, second)]
    torch.testing.assert_close(both, torch.cat([alone[0][..., :8], alone[1][..., 8:]], dim=-1))
    nowhere = stylizer.stylize(content, [Style(first, mask=torch.zeros(1, 1, 64, 256))])
    with torch.no_grad():
        torch.testing.assert_close(nowhere, cascade(stylizer, content))


def test_what_does_not_converge_is_said(stylizer, monkeypatch):
    def fail(_):
        raise torch.linalg.LinAlgError("linalg.eigh: failed to converge")

    monkeypatch.setattr(torch.linalg, "eigh", fail)
    with pytest.raises(NumericsError, match="does not converge"):
        stylizer.stylize(draw(1, 32, 32), draw(1, 32, 32))


# -- memory -----------------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not measuring.HAS_PEAK, reason="the peak is read from Linux's /proc")
def test_the_estimate_bounds_the_measured_peak_and_is_no_wild_guess():
    peak, estimate = measuring.peak_and_estimate("wct", masked=True)
    assert peak <= estimate <= 2.5 * peak


# -- training ---------------------------------------------------------------------------------------------------------------


def test_every_decoder_reconstructs_from_its_tap(stylizer):
    pictures = draw(2, 48, 32)
    taps = stylizer.encoder(pictures)
    stylized = stylizer.reconstruct(Originals(pictures, taps))
    assert [picture.shape for picture in stylized] == [(2, 3, 48, 32)] * 5
    for tap, picture in zip(reversed(STYLE_TAPS), stylized, strict=True):
        torch.testing.assert_close(picture, stylizer.decoder[tap](taps[tap]))


@pytest.mark.parametrize("encoder", ["vgg19-compact", "vgg19"])
def test_decoders_mirror_the_encoder_from_their_taps(encoder):
    layers = {tap: list(dict(decoder.named_children())) for tap, decoder in build("wct", Encoder(encoder)).decoder.items()}
    assert layers["relu1_1"] == ["conv1_1"]
    assert layers["relu2_1"] == ["conv2_1", "conv1_2", "conv1_1"]
    assert layers["relu3_1"] == ["conv3_1", "conv2_2", *layers["relu2_1"]]
    assert layers["relu4_1"] == ["conv4_1", "conv3_4", "conv3_3", "conv3_2", *layers["relu3_1"]]
    assert layers["relu5_1"] == ["conv5_1", "conv4_4", "conv4_3", "conv4_2", *layers["relu4_1"]]


def test_the_recipe_is_that_of_the_publication():
    config = ExperimentConfig.parse({"method": "wct"})
    weights = config.objective.weights
    assert (weights.identity_pixels, weights.identity_taps, weights.total_variation) == (1, 1, 0)
    assert not config.objective.external_learning
    assert config.method_name == "wct"


def test_it_trains_and_the_exported_model_stylizes_as_the_same_weights_do(tmp_path, make_config, prepared):
    config = make_config(
        method="wct",
        objective=Wct.recipe["objective"],
        model={"attention_start": "random"},
        training={"reconstruction_iterations": 0},
    )
    result = fit(config, prepared, tmp_path)
    stylizer, card = load_model(result.model_folder)
    assert (card.method, card.network) == ("wct", "wct")
    state = torch.load(result.checkpoint, weights_only=True)["state_dict"]
    trained = build("wct", Encoder("vgg19-compact")).eval()
    trained.load_state_dict({name.removeprefix("stylizer."): value for name, value in state.items() if "stylizer." in name})
    content, style = draw(1, 40, 56), draw(1, 33, 48, seed=1)
    assert torch.equal(stylizer.stylize(content, style, 0.6), trained.stylize(content, style, 0.6))
