import pytest
import torch
from helpers.trainings import draw

import ieast.stylizer.memory
from ieast.config import ModelConfig
from ieast.errors import MemoryLimitError
from ieast.layers.colour import match_colours
from ieast.methods import new_model
from ieast.methods.sanet import Sanet
from ieast.models.encoder import Encoder
from ieast.stylizer.style import Style
from reference import plain as reference


@pytest.fixture(scope="module")
def stylizer():
    subject = reference.draw(Sanet(Encoder("vgg19-compact")), seed=1, bias=0.01).eval()
    subject.encoder.normalize_taps([draw(2, 32, 32)])
    with torch.no_grad():  # pictures mostly inside [0, 1], so that clamping hides nothing
        last = subject.decoder.get_submodule("conv1_1")
        last.weight.mul_(0.02)
        last.bias.fill_(0.5)
    return subject


def features_of(stylizer, *args):
    """What the decoder is given when `stylize` is called with `args`."""
    seen = []
    handle = stylizer.decoder.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].clone()))
    stylizer.stylize(*args)
    handle.remove()
    (features,) = seen
    return features


def test_result_is_cut_off_at_0_and_1(stylizer):
    last = stylizer.decoder.get_submodule("conv1_1")
    try:
        with torch.no_grad():
            last.weight.mul_(1000)
        stylized = stylizer.stylize(draw(1, 32, 32), draw(1, 32, 32, seed=1))
    finally:
        with torch.no_grad():
            last.weight.div_(1000)
    assert (stylized.min(), stylized.max()) == (0, 1)


@torch.no_grad()
def test_stylize_is_d_of_t_of_the_encoded_pictures(stylizer):
    content, style = draw(2, 32, 48), draw(2, 40, 24, seed=1)
    expected = stylizer.decoder(stylizer.transform(stylizer.encoder(content), stylizer.encoder(style)))
    torch.testing.assert_close(stylizer.stylize(content, style), expected.clamp(0, 1))


@torch.no_grad()
def test_a_size_that_is_no_multiple_of_16_is_continued_and_cut_from_the_left_upper_corner(stylizer):
    content, style = draw(1, 33, 42), draw(1, 32, 32, seed=1)
    continued = torch.cat([content, content[..., -1:].expand(-1, -1, -1, 6)], dim=3)
    continued = torch.cat([continued, continued[:, :, -1:].expand(-1, -1, 15, -1)], dim=2)
    whole = stylizer.decoder(stylizer.transform(stylizer.encoder(continued), stylizer.encoder(style)))
    assert whole.shape[-2:] == (48, 48)
    torch.testing.assert_close(stylizer.stylize(content, style), whole[..., :33, :42].clamp(0, 1))


@torch.no_grad()
def test_matched_statistics_hold_in_tiles_for_encoded_styles_and_below_alpha_1(stylizer):
    matching = Sanet(stylizer.encoder, Sanet.Options(match_statistics=True)).eval()
    matching.load_state_dict(stylizer.state_dict())
    content, style = draw(2, 64, 96), draw(1, 48, 40, seed=1)
    whole = matching.stylize(content, style, tile=None)
    taps, of_style = stylizer.encoder(content), stylizer.encoder(style.expand(2, -1, -1, -1))
    torch.testing.assert_close(whole, matching.decoder(matching.transform(taps, of_style)).clamp(0, 1), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(matching.stylize(content, matching.encode_style(style), tile=32), whole, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(stylizer.stylize(content, style), whole, atol=1e-2)
    assert torch.equal(matching.stylize(content, style, 0.0), stylizer.stylize(content, style, 0.0))


def test_a_tiny_picture_is_continued_by_its_border(stylizer):
    content, style = draw(1, 3, 20), draw(1, 32, 32, seed=1)
    larger = torch.cat([content, content[:, :, -1:].expand(-1, -1, 14, -1)], dim=2)
    torch.testing.assert_close(stylizer.stylize(content, style), stylizer.stylize(larger, style)[:, :, :3])


@torch.no_grad()
def test_alpha_0_reconstructs_the_content(stylizer):
    content, style = draw(1, 32, 48), draw(1, 32, 32, seed=1)
    taps = stylizer.encoder(content)
    expected = stylizer.decoder(stylizer.transform(taps, taps)).clamp(0, 1)
    torch.testing.assert_close(stylizer.stylize(content, style, 0.0), expected)
    assert not torch.allclose(stylizer.stylize(content, style, 1.0), expected, atol=1e-3)


@pytest.mark.parametrize("alpha", [0.25, 0.5, 0.9])
def test_alpha_between_mixes_the_features(stylizer, alpha):
    content, style = draw(1, 32, 40), draw(1, 32, 32, seed=1)
    none, full = (features_of(stylizer, content, style, end) for end in (0.0, 1.0))
    mixed = features_of(stylizer, content, style, alpha)
    torch.testing.assert_close(mixed, (1 - alpha) * none + alpha * full, rtol=1e-4, atol=1e-5)


def test_alpha_is_1_unless_told(stylizer):
    content, style = draw(1, 32, 40), draw(1, 32, 32, seed=1)
    assert torch.equal(stylizer.stylize(content, style), stylizer.stylize(content, style, 1.0))


@pytest.mark.parametrize(
    ("content", "style", "message"),
    [
        ((3, 32, 32), (1, 3, 32, 32), r"content has shape \(3, 32, 32\); expected \(B, 3, H, W\)"),
        ((1, 1, 32, 32), (1, 3, 32, 32), r"content has shape \(1, 1, 32, 32\)"),
        ((1, 3, 0, 32), (1, 3, 32, 32), r"content has shape \(1, 3, 0, 32\)"),
        ((0, 3, 32, 32), (1, 3, 32, 32), r"content has shape \(0, 3, 32, 32\)"),
        ((1, 3, 32, 32), (1, 4, 32, 32), r"style has shape \(1, 4, 32, 32\)"),
        ((1, 3, 32, 32), (3, 32, 32), r"style has shape \(3, 32, 32\)"),
        ((3, 3, 32, 32), (2, 3, 32, 32), r"2 styles for 3 contents; give one, or as many as contents"),
        ((1, 3, 32, 32), (2, 3, 32, 32), r"2 styles for 1 contents"),
    ],
)
def test_wrong_shapes_are_refused(stylizer, content, style, message):
    with pytest.raises(ValueError, match=message):
        stylizer.stylize(torch.rand(content), torch.rand(style))


@pytest.mark.parametrize("alpha", [-0.01, 1.01, float("nan")])
def test_alpha_out_of_range_is_refused(stylizer, alpha):
    with pytest.raises(ValueError, match=f"alpha is {alpha}; it must lie between 0 and 1"):
        stylizer.stylize(draw(1, 32, 32), draw(1, 32, 32), alpha)


def test_what_goes_in_is_not_changed_and_no_gradient_is_kept(stylizer):
    content, style = draw(1, 5, 33), draw(1, 9, 9, seed=1)
    before = content.clone(), style.clone()
    assert not stylizer.stylize(content, style, 0.5).requires_grad
    assert torch.equal(content, before[0])
    assert torch.equal(style, before[1])


@pytest.mark.parametrize(("start", "is_identity"), [("identity", True), ("random", False)])
def test_build_starts_the_attention_as_configured(start, is_identity):
    stylizer = new_model("ieast", Encoder("vgg19-compact"), ModelConfig(attention_start=start))
    assert torch.equal(stylizer.transform.sanet4_1.h.weight[:, :, 0, 0], torch.eye(128)) == is_identity


@pytest.mark.parametrize(("name", "channels"), [("vgg19-compact", 128), ("vgg19", 512)])
def test_transform_is_as_wide_as_the_encoder(name, channels):
    assert Sanet(Encoder(name)).transform.merge_conv.weight.shape == (channels, channels, 3, 3)


# -- several styles ---------------------------------------------------------------------------------------------------------

CONTENT = draw(1, 40, 72)
FIRST, SECOND = draw(1, 32, 48, seed=1), draw(1, 24, 24, seed=2) * torch.tensor([1.0, 0.3, 0.1])[:, None, None]


def masks(height, width):
    """The left and the right half."""
    left = torch.zeros(1, 1, height, width)
    left[..., : width // 2] = 1
    return left, 1 - left


@torch.no_grad()
def transformed(stylizer, *styles):
    """T(c, s) of the content for each style, the content itself for None."""
    return [
        stylizer.transform(stylizer.encoder(padded), stylizer.encoder(padded if style is None else style))
        for style in styles
        for padded in [torch.nn.functional.pad(CONTENT, (0, 8, 0, 8), mode="replicate")]
    ]


def test_an_encoded_style_serves_as_the_picture_does(stylizer):
    taps = stylizer.encode_style(FIRST)
    assert {name: tap.shape for name, tap in taps.values.items()} == {"relu4_1": (1, 128, 4, 6), "relu5_1": (1, 128, 2, 3)}
    for given in (taps, Style(taps), Style(FIRST), [Style(FIRST, weight=7)]):
        assert torch.equal(stylizer.stylize(CONTENT, given, 0.7), stylizer.stylize(CONTENT, FIRST, 0.7))


@pytest.mark.parametrize("alpha", [1.0, 0.4, 0.0])
def test_styles_add_up_in_the_proportion_of_their_weights(stylizer, alpha):
    first, second, none = transformed(stylizer, FIRST, SECOND, None)
    actual = features_of(stylizer, CONTENT, [Style(FIRST, 3.0), Style(SECOND, 1.0)], alpha)
    torch.testing.assert_close(actual, alpha * (0.75 * first + 0.25 * second) + (1 - alpha) * none, rtol=3e-4, atol=3e-4)


def test_many_contents_share_several_styles_and_masks(stylizer):
    contents, left = draw(2, 40, 72), masks(40, 72)[0]
    chosen = [Style(draw(2, 20, 20, seed=3)), Style(SECOND, mask=left)]
    together = stylizer.stylize(contents, chosen, 0.8)
    for k in range(2):
        alone = [Style(chosen[0].image[k : k + 1]), chosen[1]]
        torch.testing.assert_close(together[k : k + 1], stylizer.stylize(contents[k : k + 1], alone, 0.8), rtol=1e-3, atol=1e-4)


# -- masks ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("weights", [(1.0, 1.0), (1.0, 5.0)])
def test_each_side_of_two_masks_is_stylized_as_if_alone(stylizer, weights):
    content = draw(1, 48, 203)
    left, right = masks(48, 203)
    actual = stylizer.stylize(content, [Style(FIRST, weights[0], left), Style(SECOND, weights[1], right)])
    beyond = 56  # pixels further from the edge than the decoder and the merge convolution see, in whole positions
    first, second = (stylizer.stylize(content, style) for style in (FIRST, SECOND))
    torch.testing.assert_close(actual[..., : 101 - beyond], first[..., : 101 - beyond], rtol=0, atol=1e-5)
    torch.testing.assert_close(actual[..., 101 + beyond :], second[..., 101 + beyond :], rtol=0, atol=1e-5)
    assert not torch.allclose(first, second, atol=1e-2)


def test_outside_every_mask_the_content_is_reconstructed(stylizer):
    content = draw(1, 48, 200)
    actual = stylizer.stylize(content, Style(FIRST, mask=masks(48, 200)[0]))
    torch.testing.assert_close(actual[..., 156:], stylizer.stylize(content, FIRST, 0.0)[..., 156:], rtol=0, atol=1e-5)
    torch.testing.assert_close(actual[..., :44], stylizer.stylize(content, FIRST)[..., :44], rtol=0, atol=1e-5)


def test_an_empty_mask_reconstructs_and_a_full_one_changes_nothing(stylizer):
    empty, full = torch.zeros(1, 1, 40, 72), torch.ones(1, 1, 40, 72)
    assert torch.equal(stylizer.stylize(CONTENT, Style(FIRST, mask=empty)), stylizer.stylize(CONTENT, FIRST, 0.0))
    assert torch.equal(stylizer.stylize(CONTENT, Style(FIRST, mask=full)), stylizer.stylize(CONTENT, FIRST))


def test_a_style_without_a_mask_applies_everywhere(stylizer):
    content = draw(1, 48, 200)
    actual = stylizer.stylize(content, [Style(FIRST), Style(SECOND, mask=masks(48, 200)[1])])
    both = stylizer.stylize(content, [Style(FIRST), Style(SECOND)])
    torch.testing.assert_close(actual[..., :44], stylizer.stylize(content, FIRST)[..., :44], rtol=0, atol=1e-5)
    torch.testing.assert_close(actual[..., 156:], both[..., 156:], rtol=0, atol=1e-5)


def test_half_a_mask_mixes_style_and_reconstruction_whatever_the_weight(stylizer):
    first, none = transformed(stylizer, FIRST, None)
    actual = features_of(stylizer, CONTENT, Style(FIRST, 4.0, torch.full((1, 1, 40, 72), 0.5)))
    torch.testing.assert_close(actual, 0.5 * first + 0.5 * none, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ((1.0, -0.1), "style 1 has weight -0.1; weights must be finite and at least 0"),
        ((float("nan"), 1.0), "style 0 has weight nan"),
        ((1.0, float("inf")), "style 1 has weight inf"),
        ((0.0, 0.0), "the weights of all 2 styles are 0"),
    ],
)
def test_weights_that_cannot_be_normalized_are_refused(stylizer, weights, message):
    with pytest.raises(ValueError, match=message):
        stylizer.stylize(CONTENT, [Style(FIRST, weight) for weight in weights])


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (torch.ones(1, 1, 40, 71), "the mask of style 0 has 71x40 pixels and the content 72x40"),
        (torch.ones(40, 72), r"the mask of style 0 has shape \(40, 72\)"),
        (torch.ones(1, 3, 40, 72), r"has shape \(1, 3, 40, 72\)"),
        (torch.full((1, 1, 40, 72), 255.0), "has values from 255 to 255; they must lie in"),
        (torch.full((1, 1, 40, 72), float("nan")), "has values from nan to nan"),
    ],
)
def test_masks_that_do_not_fit_are_refused(stylizer, mask, message):
    with pytest.raises(ValueError, match=message):
        stylizer.stylize(CONTENT, Style(FIRST, mask=mask))


def test_no_style_and_a_strangers_taps_are_refused(stylizer):
    with pytest.raises(ValueError, match="there is no style; give at least one"):
        stylizer.stylize(CONTENT, [])
    with pytest.raises(ValueError, match="style was encoded by sanet on vgg19, not by sanet on vgg19-compact"):
        stylizer.stylize(CONTENT, Sanet(Encoder("vgg19")).encode_style(FIRST))


# -- colour -----------------------------------------------------------------------------------------------------------------


def test_kept_luminance_is_that_of_the_finished_picture(stylizer):
    last = stylizer.decoder.get_submodule("conv1_1")
    with torch.no_grad():
        last.weight.mul_(20)  # much is cut off at 0 and 1
    try:
        plain = stylizer.stylize(CONTENT, FIRST)
        actual = stylizer.stylize(CONTENT, FIRST, preserve_colour="luminance")
    finally:
        with torch.no_grad():
            last.weight.div_(20)
    weights = torch.tensor([0.299, 0.587, 0.114])[:, None, None]
    rounded = (actual * 255).round() / 255
    assert ((plain == 0) | (plain == 1)).float().mean() > 0.1
    assert ((rounded - plain) * weights).sum(dim=1).abs().max() < 1 / 255


def test_coral_is_stylizing_with_the_recoloured_style(stylizer):
    actual = stylizer.stylize(CONTENT, SECOND, preserve_colour="coral")
    assert torch.equal(actual, stylizer.stylize(CONTENT, match_colours(SECOND, CONTENT)))
    assert not torch.allclose(actual, stylizer.stylize(CONTENT, SECOND), atol=1e-2)


def test_what_colour_cannot_be_kept_by_is_refused(stylizer):
    with pytest.raises(ValueError, match="style is encoded, too late for preserve_colour='coral'"):
        stylizer.stylize(CONTENT, stylizer.encode_style(FIRST), preserve_colour="coral")
    with pytest.raises(ValueError, match="preserve_colour is 'hue'; it must be one of none, luminance, coral"):
        stylizer.stylize(CONTENT, FIRST, preserve_colour="hue")


# -- memory -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("work", ["stylize", "encode_style"])
def test_what_would_not_fit_is_refused_before_any_work(stylizer, monkeypatch, work):
    monkeypatch.setattr(ieast.stylizer.memory, "available_bytes", lambda device: 1_000_000)
    monkeypatch.setattr(stylizer.encoder, "forward", lambda *args: pytest.fail("the encoder ran"))
    arguments = (CONTENT, FIRST) if work == "stylize" else (FIRST,)
    with pytest.raises(
        MemoryLimitError, match=r"needs up to 0\.1 GB of memory on cpu, and 0\.0 GB are available.*--style-size"
    ):
        getattr(stylizer, work)(*arguments)
