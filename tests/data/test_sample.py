from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ieast.data.sample import draw_artwork, draw_clip, draw_photograph, draw_sample
from ieast.data.sample.artworks import artwork_kind
from ieast.data.sample.photographs import photograph_kind
from ieast.errors import DataError

SMALL = (96, 112)
KINDS_OF_SCENE = 11
STYLES = 24
# Half of the kinds, drawn from two seeds, come nearer to themselves than this.
THRESHOLD = 0.2


@pytest.fixture(scope="module")
def artworks() -> list[np.ndarray]:
    return [draw_artwork(index, 0, SMALL) for index in range(STYLES)]


@pytest.fixture(scope="module")
def photographs() -> list[np.ndarray]:
    return [draw_photograph(index, 0, SMALL) for index in range(KINDS_OF_SCENE)]


@pytest.fixture(scope="module")
def clips() -> list[list[np.ndarray]]:
    return [draw_clip(index, 0, 8, (72, 96)) for index in range(4)]


def look(picture: np.ndarray) -> np.ndarray:
    """Palette (quantiles along grey and two opponent axes) and texture (edge strength by scale, direction and sharpness)."""
    red, green, blue = np.moveaxis(picture.astype(float) / 255, 2, 0)
    grey = (red + green + blue) / 3
    axes = np.stack([grey, red - green, (red + green) / 2 - blue])
    palette = np.quantile(axes, (0.05, 0.25, 0.5, 0.75, 0.95), axis=(1, 2)).ravel()
    down, across = np.gradient(grey)
    strength = np.hypot(down, across) + 1e-6
    ways = np.histogram(np.arctan2(down, across) % np.pi, 6, (0, np.pi), weights=strength)[0] / strength.sum()
    edges = [np.abs(grey[:, step:] - grey[:, :-step]).mean() for step in (1, 2, 4, 8)]
    sharp = strength.mean() / np.sqrt((strength**2).mean())
    return np.concatenate([palette, ways, np.array(edges) * 3, [sharp]])


def difference(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.abs(first.astype(float) - second.astype(float)).mean())


@pytest.mark.parametrize("draw", [draw_photograph, draw_artwork])
def test_same_seed_same_picture_other_seed_another(draw):
    for index in (2, 6):
        again = draw(index, 7, SMALL)
        assert again.shape == (*SMALL, 3)
        assert again.dtype == np.uint8
        assert np.array_equal(again, draw(index, 7, SMALL))
        assert difference(again, draw(index, 8, SMALL)) > 2


def test_a_picture_does_not_depend_on_what_was_drawn_before(photographs, artworks):
    np.random.seed(3)
    assert np.array_equal(photographs[7], draw_photograph(7, 0, SMALL))
    assert np.array_equal(artworks[11], draw_artwork(11, 0, SMALL))


def test_kinds_come_round_with_other_pictures(photographs):
    later = draw_photograph(KINDS_OF_SCENE, 0, SMALL)
    assert photograph_kind(KINDS_OF_SCENE) == photograph_kind(0)
    assert difference(later, photographs[0]) > 2


def test_photographs_have_light_and_texture(photographs):
    for index, picture in enumerate(photographs):
        grey = picture.astype(float).mean(2)
        name = photograph_kind(index)[0]
        assert grey.std() > 16, name
        assert np.abs(np.diff(grey, axis=0)).mean() + np.abs(np.diff(grey, axis=1)).mean() > 4, name
        assert np.quantile(grey, 0.98) - np.quantile(grey, 0.02) > 60, name


def test_formats_are_upright_wide_and_square():
    shapes = {np.sign(size[0] - size[1]) for _, size in map(photograph_kind, range(KINDS_OF_SCENE))}
    assert shapes == {-1, 0, 1}


def test_every_two_artworks_differ_in_palette_or_texture(artworks):
    looks = [look(picture) for picture in artworks]
    apart = {pair: float(np.linalg.norm(looks[pair[0]] - looks[pair[1]])) for pair in combinations(range(STYLES), 2)}
    (first, second), least = min(apart.items(), key=lambda item: item[1])
    assert least > THRESHOLD, f"{artwork_kind(first)[0]} and {artwork_kind(second)[0]} look alike"
    assert len({artwork_kind(index)[0] for index in range(STYLES)}) == STYLES


def test_clips_move_and_hold_together(clips):
    for number, frames in enumerate(clips):
        steps = [difference(a, b) for a, b in pairwise(frames)]
        # Grain alone makes about 1.5.
        assert min(steps) > 3, number
        assert max(steps) < 2.5 * min(steps), "no jumps"
        assert max(steps) < difference(frames[0], frames[-1])
        others = [difference(frames[0], other[0]) for place, other in enumerate(clips) if place != number]
        assert max(steps) < 0.5 * min(others)


def test_a_clip_is_the_same_however_long():
    short = draw_clip(1, 5, 2, (48, 64))
    longer = draw_clip(1, 5, 3, (48, 64))
    assert len(short) == 2
    assert len(longer) == 3
    assert all(np.array_equal(a, b) for a, b in zip(short, longer, strict=False))
    assert not np.array_equal(short[0], draw_clip(1, 6, 1, (48, 64))[0])


def test_draws_what_it_promises(tmp_path: Path):
    counts = draw_sample(tmp_path / "new" / "sample", seed=1, contents=3, styles=2, clips=1, frames=2)
    assert counts == {"content": 3, "style": 2, "clips": 1, "frames": 2}
    actual = sorted(path.relative_to(tmp_path / "new" / "sample").as_posix() for path in tmp_path.rglob("*.*"))
    assert actual == [
        "clips/00_balloon_flight/frame_0000.jpg",
        "clips/00_balloon_flight/frame_0001.jpg",
        "content/00_mountains.jpg",
        "content/01_portrait.jpg",
        "content/02_sea.jpg",
        "style/00_swirls.jpg",
        "style/01_wave_print.jpg",
    ]
    for path in tmp_path.rglob("*.jpg"):
        with Image.open(path) as image:
            assert image.mode == "RGB"
            assert path.stat().st_size < 150_000
            wide, high = image.size
            assert (high, wide) == (192, 256) if "clips" in path.parts else min(high, wide) >= 350


@pytest.mark.parametrize("folder", ["content", "style", "clips"])
def test_refuses_to_draw_among_other_files(tmp_path: Path, folder: str):
    (tmp_path / folder).mkdir()
    kept = tmp_path / folder / "mine.txt"
    kept.write_text("mine")
    with pytest.raises(DataError, match=folder):
        draw_sample(tmp_path, contents=1, styles=0, clips=0)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [kept]


def test_empty_folders_are_no_obstacle_and_bad_numbers_are(tmp_path: Path):
    (tmp_path / "content").mkdir()
    assert draw_sample(tmp_path, contents=0, styles=0, clips=0)["frames"] == 0
    with pytest.raises(DataError, match="negative"):
        draw_sample(tmp_path, contents=-1)
