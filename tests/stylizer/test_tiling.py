import itertools

import pytest
import torch
from helpers.trainings import draw

from ieast.config import EncoderConfig
from ieast.methods.sanet import Sanet
from ieast.models.encoder_weights import build_encoder
from ieast.stylizer import tiling
from ieast.stylizer.style import Style
from ieast.stylizer.tiling import DECODER_HALO, ENCODER_HALO, largest_window
from reference import plain as reference

SIZES = [(300, 417), (200, 513), (16, 400), (1, 340), (353, 240)]


@pytest.fixture(scope="module")
def stylizer():
    subject = Sanet(build_encoder(EncoderConfig(name="vgg19-compact", weights="untrained"))).eval()
    reference.draw(subject.transform, seed=1)
    reference.draw(subject.decoder, seed=2)
    with torch.no_grad():  # pictures with contrast, mostly inside [0, 1], so that clamping hides nothing
        picture = subject.decoder(subject.transform(*[subject.encoder(draw(1, 64, 64, seed=k)) for k in range(2)]))
        last, factor = subject.decoder.get_submodule("conv1_1"), 0.15 / picture.std()
        last.bias.copy_((last.bias - picture.mean(dim=(0, 2, 3))) * factor + 0.5)
        last.weight.mul_(factor)
    return subject


# -- the same result --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "tile"), [*itertools.product(SIZES, [64, 112, 256]), ((16, 400), 16), ((1, 340), 16), ((20, 65), 16)]
)
def test_tiles_give_what_the_whole_gives(stylizer, size, tile):
    content, style = draw(1, *size), draw(1, 150, 75, seed=1)
    whole = stylizer.stylize(content, style, tile=None)
    assert whole.std() > 0.05
    torch.testing.assert_close(stylizer.stylize(content, style, tile=tile), whole, rtol=0, atol=1e-4)


def test_tiles_give_the_same_with_everything_on(stylizer):
    content, mask = draw(2, 203, 161), draw(1, 203, 161, seed=4)[:, :1]
    styles = [Style(draw(1, 150, 175, seed=1), 2.0), Style(draw(2, 99, 101, seed=2), mask=mask)]
    for colour in ("luminance", "coral"):
        whole = stylizer.stylize(content, styles, 0.7, preserve_colour=colour, tile=None)
        actual = stylizer.stylize(content, styles, 0.7, preserve_colour=colour, tile=64)
        torch.testing.assert_close(actual, whole, rtol=0, atol=1e-4)


@pytest.mark.parametrize("size", [(203, 130), (145, 33), (16, 300), (177, 161)])
def test_a_style_of_any_size_is_encoded_the_same(stylizer, size):
    style = draw(1, *size)
    whole, actual = stylizer.encode_style(style, tile=None), stylizer.encode_style(style, tile=48)
    for tap in ("relu4_1", "relu5_1"):
        torch.testing.assert_close(actual.values[tap], whole.values[tap], rtol=1e-4, atol=1e-4)


# -- halos ------------------------------------------------------------------------------------------------------------------


def test_the_encoder_sees_no_further_than_its_halo(stylizer):
    pixels = draw(1, 32, 336).requires_grad_()
    tap = stylizer.encoder(pixels)["relu5_1"][..., 10]  # over the pixels 160 to 175
    columns = torch.autograd.grad(tap.sum(), pixels)[0].abs().sum(dim=(0, 1, 2)).nonzero().flatten()
    assert 160 - columns.min() <= 70 <= ENCODER_HALO
    assert columns.max() - 175 <= 70


@pytest.mark.parametrize("offset", range(8))
def test_the_decoder_sees_no_further_than_its_halo(stylizer, offset):
    features = torch.rand(1, 128, 2, 24, generator=torch.Generator().manual_seed(0), requires_grad=True)
    pixel = stylizer.decoder(stylizer.transform.merge_conv(features))[..., 12 * 8 + offset].sum()
    positions = torch.autograd.grad(pixel, features)[0].abs().sum(dim=(0, 1, 2)).nonzero().flatten()
    assert positions.min() >= 12 - DECODER_HALO
    assert positions.max() <= 12 + DECODER_HALO


# -- which tiles ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("unit", [8, 16])
@pytest.mark.parametrize("side", [None, 16, 64, 1024])
@pytest.mark.parametrize("length", [1, 16, 17, 100, 1024, 1040, 4096])
def test_parts_cover_everything_once_and_are_no_longer_than_asked(length, side, unit):
    parts = tiling._parts(length, side, unit)
    assert [start for start, _ in parts] == [0, *(stop for _, stop in parts[:-1])]
    assert parts[-1][1] == length
    assert all(start % unit == 0 and start < stop <= start + (side or length) for start, stop in parts)


def test_small_pictures_are_whole_and_large_ones_in_tiles_unless_told():
    assert largest_window(1000, 1500, "auto", 80) == (1000, 1500)
    assert largest_window(4096, 3000, "auto", 80) == (1024 + 160, 1008 + 160)
    assert largest_window(4096, 3000, None, 80) == (4096, 3000)
    assert largest_window(200, 3000, 256, 40) == (200, 256 + 80)


@pytest.mark.parametrize("tile", [0, -16, 100, 64.0, "large"])
def test_other_tiles_are_refused(stylizer, tile):
    picture, message = draw(1, 32, 32), f"tile is {tile!r}; it must be None, 'auto', or a multiple of 16 pixels"
    with pytest.raises(ValueError, match=message):
        stylizer.stylize(picture, picture, tile=tile)
    with pytest.raises(ValueError, match=message):
        stylizer.encode_style(picture, tile=tile)
