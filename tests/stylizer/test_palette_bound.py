import pytest
import torch
from helpers.trainings import draw

from ieast.layers.colour import match_colours
from ieast.layers.palette import mixed, palette_of, within
from ieast.methods.sanet import Sanet
from ieast.models.encoder import Encoder
from ieast.stylizer.style import Style
from reference import plain as reference


@pytest.fixture(scope="module")
def free():
    subject = reference.draw(Sanet(Encoder("vgg19-compact")), seed=1, bias=0.01).eval()
    subject.encoder.normalize_taps([draw(2, 32, 32)])
    with torch.no_grad():  # pictures mostly inside [0, 1], and of more colours than the styles below
        last = subject.decoder.get_submodule("conv1_1")
        last.weight.mul_(0.02)
        last.bias.fill_(0.5)
    return subject


@pytest.fixture(scope="module")
def bound(free):
    subject = Sanet(free.encoder, Sanet.Options(bound_palette=True)).eval()
    subject.load_state_dict(free.state_dict())
    return subject


def pale(seed, size=(48, 40), count=1):
    """Styles of few colours, others for each seed."""
    picture = draw(count, *size, seed=seed)
    grey = picture.mean(dim=1, keepdim=True)
    return 0.8 * grey + 0.05 * picture * torch.tensor([seed % 2, 0.5, (seed + 1) % 2])[None, :, None, None]


def half(size, left):
    mask = torch.zeros(1, 1, *size)
    mask[..., : size[1] // 2] = 1
    return mask if left else 1 - mask


@pytest.mark.parametrize("count", [1, 2])
def test_pictures_keep_to_the_palette_of_their_style(free, bound, count):
    content, style = draw(2, 40, 48), pale(1, count=count)
    expected = within(free.stylize(content, style), palette_of(style))
    torch.testing.assert_close(bound.stylize(content, style), expected)
    assert not torch.allclose(free.stylize(content, style), expected, atol=1e-2)
    torch.testing.assert_close(bound.stylize(content, bound.encode_style(style)), expected)


@pytest.mark.parametrize("tile", [48, 112])
@pytest.mark.parametrize("colour", ["none", "coral", "luminance"])
def test_tiles_give_the_same_with_everything_on(bound, tile, colour):
    content, mask = draw(2, 203, 161), draw(1, 203, 161, seed=4)[:, :1]
    styles = [Style(pale(1, (150, 175)), 2.0), Style(pale(2, (99, 101), 2), mask=mask)]
    whole, actual = (bound.stylize(content, styles, 0.7, preserve_colour=colour, tile=side) for side in (None, tile))
    torch.testing.assert_close(actual, whole, rtol=0, atol=1e-4)


def test_with_masks_each_region_keeps_to_its_own(free, bound):
    content, size = draw(1, 96, 128), (96, 128)
    images = [pale(1), pale(2)]
    styles = [Style(image, mask=half(size, left)) for image, left in zip(images, (True, False), strict=True)]
    unbound, actual = free.stylize(content, styles), bound.stylize(content, styles)
    for image, region in ((images[0], slice(0, 48)), (images[1], slice(80, 128))):
        torch.testing.assert_close(actual[..., region], within(unbound, palette_of(image))[..., region])


def test_where_no_style_is_the_content_keeps_to_its_own(free, bound):
    content, size = draw(1, 96, 128), (96, 128)
    styles = Style(pale(1), mask=half(size, left=True))
    expected = within(free.stylize(content, styles), palette_of(content))
    torch.testing.assert_close(bound.stylize(content, styles)[..., 80:], expected[..., 80:])


def test_below_alpha_1_the_contents_palette_has_its_share(free, bound):
    content, style = draw(1, 40, 48), pale(1)
    palette = mixed(torch.stack([palette_of(style), palette_of(content)]), torch.tensor([0.75, 0.25]).reshape(2, 1, 1, 1, 1))
    torch.testing.assert_close(bound.stylize(content, style, 0.75), within(free.stylize(content, style, 0.75), palette))


def test_styles_have_shares_by_their_weights(free, bound):
    content, styles = draw(1, 40, 48), [Style(pale(1), 3), Style(pale(2), 1), Style(draw(1, 40, 40), 0)]
    palettes = torch.stack([palette_of(style.image) for style in styles[:2]])
    expected = within(free.stylize(content, styles), mixed(palettes, torch.tensor([0.75, 0.25]).reshape(2, 1, 1, 1, 1)))
    torch.testing.assert_close(bound.stylize(content, styles), expected)


def test_with_coral_the_palette_is_that_of_the_changed_style(free, bound):
    content, style = draw(2, 40, 48), pale(1)
    expected = within(free.stylize(content, style, preserve_colour="coral"), palette_of(match_colours(style, content)))
    torch.testing.assert_close(bound.stylize(content, style, preserve_colour="coral"), expected)


def test_the_contents_own_colours_need_no_bound(free, bound):
    content, style = draw(1, 40, 48), pale(1)
    actual, expected = (model.stylize(content, style, preserve_colour="luminance") for model in (bound, free))
    assert torch.equal(actual, expected)


def test_in_half_precision_the_bound_is_computed_in_single(bound):
    content, style = draw(1, 40, 48), pale(1)
    with torch.autocast("cpu", torch.bfloat16):
        actual = bound.stylize(content, style)
    assert actual.dtype == torch.float32
    assert (actual - bound.stylize(content, style)).abs().mean() < 0.02
