import numpy as np
import pytest
import torch

from ieast.checkpoint import load_model
from ieast.errors import ConfigError, MemoryLimitError
from ieast.evaluation.textures import seam_ratio
from ieast.io.images import to_tensor
from ieast.layers.statistics import gram_matrix
from ieast.models.pretrained import MODELS
from ieast.styles import shipped_styles
from ieast.stylization import texture
from ieast.stylization.inputs import read_style
from ieast.stylization.texture import MARGIN, clouds, collage, make_texture, optimize_texture, stylize_periodic
from ieast.stylizer import memory


@pytest.fixture(scope="module")
def model():
    return load_model(MODELS["ieast"])[0]


@pytest.fixture(scope="module")
def style():
    return to_tensor(read_style(shipped_styles()["swirls"], 96))


@pytest.mark.parametrize("draw", [collage, clouds])
@pytest.mark.parametrize("size", [(288, 304), (283, 261)])
def test_contents_have_the_size_and_the_styles_colours_and_differ_by_seed(draw, size, style):
    contents = [draw(style, size, seed) for seed in (0, 0, 1)]
    assert contents[0].shape == (1, 3, *size)
    assert torch.equal(contents[0], contents[1])
    assert (contents[0] - contents[2]).abs().mean() > 0.03
    deviation, mean = torch.std_mean(style, dim=(2, 3))
    own_deviation, own_mean = torch.std_mean(contents[0], dim=(2, 3))
    assert (own_mean - mean).abs().max() < 0.12
    assert (own_deviation / deviation > 0.6).all()
    assert (own_deviation / deviation < 1.4).all()


def test_a_collages_blend_keeps_the_variance_of_noise():
    # The mean of several independent patches has less; theirs, divided by the root of the sum of squares, has the same.
    grains = 0.5 + 0.12 * torch.randn(1, 3, 256, 256, generator=torch.Generator().manual_seed(0))
    assert collage(grains, (256, 256), 0).std() == pytest.approx(float(grains.std()), rel=0.06)


@pytest.mark.parametrize("draw", [collage, clouds])
def test_periodic_contents_continue_themselves(draw, style):
    assert seam_ratio(draw(style, (96, 112), 0, periodic=True)) < 1.5
    assert seam_ratio(draw(style, (96, 112), 0)) > 2


def test_a_periods_stylization_is_that_of_many_periods(model, style):
    # The middle of 3 x 3 copies, computed at once, is what the endless picture has.
    content = collage(style, (256, 256), 3, periodic=True)
    many = model.stylize(content.repeat(1, 1, 3, 3), style, tile=None)[..., 256:512, 256:512]
    one = stylize_periodic(model, content, style)
    # Statistics of attention are over the margins, too, which weigh a little differently.
    assert (one - many).abs().mean() < 0.01
    assert MARGIN >= 120


def test_tileable_textures_have_no_seam_and_others_have(model, style):
    tiles = make_texture(model, style, (128, 160), 0, tileable=True)
    assert tiles.shape == (1, 3, 128, 160)
    within = tiles.diff(dim=2).abs().mean(dim=(0, 1, 3))
    across = (tiles[..., 0, :] - tiles[..., -1, :]).abs().mean()
    assert across < 1.5 * within.mean()
    assert across <= within.max()  # no more than between some two rows of the inside
    assert seam_ratio(tiles) < 1.5
    assert seam_ratio(make_texture(model, style, (128, 160), 0)) > 2


def test_textures_are_pictures_in_the_style_and_differ_by_seed_and_start(model, style):
    pictures = [
        make_texture(model, style, (96, 96), 0),
        make_texture(model, style, (96, 96), 1),
        make_texture(model, style, (96, 96), 0, start="noise"),
    ]
    for number, picture in enumerate(pictures):
        assert 0 <= picture.min() <= picture.max() <= 1
        for other in pictures[:number]:
            assert (picture - other).abs().mean() > 0.03
    assert torch.equal(pictures[0], make_texture(model, style, (96, 96), 0))


def test_large_textures_are_computed_in_tiles_and_are_the_same(model, style, monkeypatch):
    whole = make_texture(model, style, (160, 192), 0, tileable=True)
    monkeypatch.setattr("ieast.stylizer.tiling.AUTO_PIXELS", 1)
    monkeypatch.setattr("ieast.stylizer.tiling.AUTO_TILE", 128)
    torch.testing.assert_close(make_texture(model, style, (160, 192), 0, tileable=True), whole, atol=2e-4, rtol=0)


def test_the_reference_comes_near_the_styles_gram_matrices(model, style):
    actual = optimize_texture(model, style, (64, 64), seed=0, iterations=25)
    start = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))

    def distance(picture):
        taps, goal = model.encoder(picture), model.encoder(style)
        return sum(float((gram_matrix(taps[tap]) - gram_matrix(goal[tap])).square().sum()) for tap in goal)

    assert actual.shape == (1, 3, 64, 64)
    assert distance(actual) < 0.1 * distance(start)


@pytest.mark.parametrize("size", [(100, 128), (128, 100)])
def test_sides_between_the_encoders_positions_cannot_tile(model, style, size):
    width, height = size[1], size[0]
    near = f"{'96' if width == 100 else '128'}x{'96' if height == 100 else '128'}"
    with pytest.raises(ConfigError, match=rf"{width}x{height} is not. Try {near}"):
        make_texture(model, style, size, tileable=True)
    assert make_texture(model, style, (52, 50)).shape == (1, 3, 52, 50)
    assert np.isfinite(make_texture(model, style[..., :40, :33], (48, 64), tileable=True).numpy()).all()


def test_what_is_too_large_is_refused_before_it_is_drawn(model, style, monkeypatch):
    monkeypatch.setattr(texture, "collage", pytest.fail)
    monkeypatch.setattr(memory, "available_bytes", lambda _: 1_000_000)
    with pytest.raises(MemoryLimitError, match=r"drawing 512x256 pixels to stylize"):
        make_texture(model, style, (256, 512))


@pytest.mark.parametrize("width", [1, 2, 3])
def test_a_collage_of_a_thin_artwork_is_of_its_colours(width):
    thin = torch.rand(1, 3, 64, width, generator=torch.Generator().manual_seed(0))
    content = collage(thin, (48, 48), 0)
    assert content.isfinite().all()
    assert content.std() > 0.1
