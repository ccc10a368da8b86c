import pytest
import reference
import torch

from ieast.config import ModelConfig
from ieast.models.encoder import Encoder
from ieast.models.stylizer import Stylizer, build_stylizer, empty_stylizer

SIZES = [(1, 1), (7, 300), (300, 7), (16, 16), (17, 33), (15, 64), (127, 64), (64, 64), (1, 40), (18, 97)]


@pytest.fixture(scope="module")
def stylizer():
    made = reference.draw(Stylizer(Encoder("vgg19-compact")), seed=1, bias=0.01).eval()
    made.encoder.normalise_taps([draw(2, 32, 32)])
    with torch.no_grad():  # pictures mostly inside [0, 1], so that clamping hides nothing
        last = made.decoder.get_submodule("conv1_1")
        last.weight.mul_(0.02)
        last.bias.fill_(0.5)
    return made


def draw(batch, height, width, seed=0):
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(seed))


def features_of(stylizer, *args):
    """What the decoder is given when `stylize` is called with `args`."""
    seen = []
    handle = stylizer.decoder.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].clone()))
    stylizer.stylize(*args)
    handle.remove()
    (features,) = seen
    return features


@pytest.mark.parametrize("size", SIZES)
def test_result_has_the_contents_size_and_lies_between_0_and_1(stylizer, size):
    made = stylizer.stylize(draw(1, *size), draw(1, 24, 40, seed=1))
    assert made.shape == (1, 3, *size)
    assert torch.isfinite(made).all()
    assert made.min() >= 0
    assert made.max() <= 1


@pytest.mark.parametrize("size", SIZES)
def test_any_size_of_style_serves(stylizer, size):
    made = stylizer.stylize(draw(1, 20, 36), draw(1, *size, seed=1))
    assert made.shape == (1, 3, 20, 36)
    assert torch.isfinite(made).all()


def test_result_is_cut_off_at_0_and_1(stylizer):
    last = stylizer.decoder.get_submodule("conv1_1")
    try:
        with torch.no_grad():
            last.weight.mul_(1000)
        made = stylizer.stylize(draw(1, 32, 32), draw(1, 32, 32, seed=1))
    finally:
        with torch.no_grad():
            last.weight.div_(1000)
    assert (made.min(), made.max()) == (0, 1)


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


@pytest.mark.parametrize("alpha", [1.0, 0.5, 0.0])
def test_one_style_for_many_contents_equals_separate_calls(stylizer, alpha):
    contents, style = draw(3, 24, 40), draw(1, 32, 20, seed=1)
    together = stylizer.stylize(contents, style, alpha)
    for k in range(3):
        torch.testing.assert_close(
            together[k : k + 1], stylizer.stylize(contents[k : k + 1], style, alpha), rtol=1e-3, atol=1e-4
        )


def test_a_style_for_each_content_equals_separate_calls(stylizer):
    contents, styles = draw(3, 24, 40), draw(3, 32, 20, seed=1)
    together = stylizer.stylize(contents, styles)
    for k in range(3):
        alone = stylizer.stylize(contents[k : k + 1], styles[k : k + 1])
        torch.testing.assert_close(together[k : k + 1], alone, rtol=1e-3, atol=1e-4)


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
    made = build_stylizer(Encoder("vgg19-compact"), ModelConfig(attention_start=start))
    assert torch.equal(made.transform.sanet4_1.h.weight[:, :, 0, 0], torch.eye(128)) == is_identity


@pytest.mark.parametrize(("name", "channels"), [("vgg19-compact", 128), ("vgg19", 512)])
def test_transform_is_as_wide_as_the_encoder(name, channels):
    assert empty_stylizer(name).transform.merge_conv.weight.shape == (channels, channels, 3, 3)
