"""Steady clips, on drawn clips whose true motion is known."""

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter, map_coordinates

from ieast.stylization.steady import Steady

HEIGHT, WIDTH = 72, 104


def texture(seed, height, width, sigma=2.5):
    noise = gaussian_filter(np.random.default_rng(seed).normal(size=(height, width, 3)), (sigma, sigma, 0))
    return 40 + 175 * (noise - noise.min()) / (noise.max() - noise.min())


SCENE = texture(0, HEIGHT + 80, WIDTH + 400)


def view(right=0.0, down=0.0, scene=SCENE):
    """The scene from where the camera is, which may be between pixels, as RGB."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH] + np.reshape([20 + down, 20 + right], (2, 1, 1))
    samples = np.stack([map_coordinates(scene[..., k], [y, x], order=3) for k in range(3)], axis=-1)
    return Image.fromarray(np.rint(samples).clip(0, 255).astype(np.uint8))


class Flickering:
    """Paints strokes over a picture, others at each call, as a model does that knows nothing of the frame before."""

    def __init__(self, strength=40.0):
        self.strength, self.random = strength, np.random.default_rng(1)

    def __call__(self, picture):
        samples = np.asarray(picture, float)
        strokes = gaussian_filter(self.random.normal(size=samples.shape), (1, 1, 0)) * 3.5 * self.strength
        return Image.fromarray(np.rint(samples + strokes).clip(0, 255).astype(np.uint8))


def run(frames, stylize=None):
    stylize = stylize or Flickering()
    fresh = []

    def noted(picture):
        fresh.append(stylize(picture))
        return fresh[-1]

    steady = Steady(noted)
    shown = [np.asarray(steady(frame), float) for frame in frames]
    return shown, [np.asarray(picture, float) for picture in fresh]


def change(pictures, shift, interval, margin=24):
    """Mean squared difference of pictures so far apart, the later one pulled back along the true motion."""
    y, x = np.mgrid[margin : HEIGHT - margin, margin : WIDTH - margin].astype(float)
    errors = []
    for a, b in zip(pictures, pictures[interval:], strict=False):
        where = [y - interval * shift[1], x - interval * shift[0]]
        pulled = np.stack([map_coordinates(b[..., k], where, order=1) for k in range(3)], axis=-1)
        errors.append(np.square(pulled - a[margin:-margin, margin:-margin]).mean())
    return np.mean(errors)


def detail(picture):
    grey = np.asarray(picture, float).mean(axis=-1)
    return np.sqrt(np.square(grey - gaussian_filter(grey, 1)).mean())


@pytest.mark.parametrize("shift", [(0, 0), (1, 0), (-1.5, 0.5), (0.3, 0.2)])
def test_strokes_go_with_what_they_are_painted_on(shift):
    shown, fresh = run([view(k * shift[0], k * shift[1]) for k in range(22)])
    for interval in (1, 10):
        assert change(shown, shift, interval) < change(fresh, shift, interval) / 5
    assert np.mean([detail(picture) for picture in shown]) == pytest.approx(np.mean([detail(p) for p in fresh]), rel=0.05)


def test_a_still_picture_stays_as_it_is():
    shown, fresh = run([view()] * 12)
    inner = slice(4, -4)
    assert (shown[0] == fresh[0]).all()
    assert np.abs(shown[-1] - shown[0])[inner, inner].mean() < np.abs(fresh[-1] - fresh[0])[inner, inner].mean() / 10


@pytest.mark.parametrize("swing", [0.0, 6.0])
def test_three_hundred_frames_do_not_blur(swing):
    """A camera that stands, and one that swings to and fro by parts of pixels."""
    shown, fresh = run([view(20 + swing * np.sin(k / 9), swing / 2 * np.cos(k / 7)) for k in range(300)])
    strength = np.mean([detail(picture) for picture in fresh])
    assert np.mean([detail(picture) for picture in shown[-20:]]) == pytest.approx(strength, rel=0.07)
    spread, spread_fresh = (np.mean([p.std(axis=(0, 1)).mean() for p in part]) for part in (shown[-20:], fresh))
    assert spread == pytest.approx(spread_fresh, rel=0.07)


def passing(count, step):
    """A red square crosses a still scene; frames, and where it is in each."""
    still = np.asarray(view())
    frames, places = [], []
    for k in range(count):
        frame, left = still.copy(), 8 + step * k
        frame[26:46, left : left + 20] = np.uint8([200, 20, 20] + texture(3, 20, 20)[..., :1] / 8)
        frames.append(Image.fromarray(frame))
        places.append(left)
    return frames, places


@pytest.mark.parametrize("step", [2, 5])
def test_there_are_no_ghosts_behind_what_moves(step):
    frames, places = passing(14, step)
    shown, _ = run(frames, Flickering(strength=8))
    for picture, frame, left in zip(shown, frames, places, strict=True):
        behind = (slice(26, 46), slice(max(0, left - 2 * step - 4), left))
        square = (slice(28, 44), slice(left + 2, left + 18))
        for part in (behind, square):
            colours, expected = (np.asarray(p, float)[part].mean(axis=(0, 1)) for p in (picture, frame))
            assert np.abs(colours - expected).max() < 12


def test_what_stands_beside_something_that_moves_stands_still():
    frames, _ = passing(14, 2)
    shown, fresh = run(frames)
    beside = (slice(4, 20), slice(4, -4))
    assert np.square(shown[-1] - shown[0])[beside].mean() < np.square(fresh[-1] - fresh[0])[beside].mean() / 12


def test_a_cut_begins_anew():
    other = texture(9, HEIGHT + 80, WIDTH + 400)
    shown, fresh = run([*[view(k) for k in range(4)], *[view(k, scene=other) for k in range(4)]])
    assert [(a == b).all() for a, b in zip(shown, fresh, strict=True)] == [True, *[False] * 3, True, *[False] * 3]


def test_with_a_cut_at_each_frame_each_is_the_models():
    shown, fresh = run([view(scene=texture(20 + k, HEIGHT + 80, WIDTH + 400)) for k in range(5)])
    assert all((a == b).all() for a, b in zip(shown, fresh, strict=True))


@pytest.mark.parametrize("level", [0, 255])
def test_frames_of_one_colour_keep_theirs(level):
    blank = Image.new("RGB", (WIDTH, HEIGHT), (level,) * 3)
    shown, fresh = run([view(), blank, blank, blank, view()], lambda picture: picture)
    assert all(np.abs(a - b).max() <= 1 for a, b in zip(shown, fresh, strict=True))


def test_a_clip_that_becomes_brighter_is_followed():
    """What is carried over takes on the tone of what the model paints now, and does not keep that of long ago."""
    tones = iter(np.linspace(0, 60, 60))
    flickering = Flickering(strength=15)

    def stylize(picture):
        tone = next(tones)
        painted = np.asarray(flickering(picture), float) + np.float64([tone, 0, -tone])
        return Image.fromarray(np.uint8(painted.clip(0, 255)))

    shown, fresh = run([view(0.5 * k) for k in range(60)], stylize)
    assert np.abs(shown[-1].mean(axis=(0, 1)) - fresh[-1].mean(axis=(0, 1))).max() < 12


@pytest.mark.parametrize("size", [(1, 1), (9, 200), (40, 7)])
def test_frames_of_any_size_are_taken_and_one_is_as_without(size):
    picture = view().resize(size)
    shown, fresh = run([picture] * 3)
    assert (shown[0] == fresh[0]).all()
    assert all(each.shape == (size[1], size[0], 3) for each in shown)


def test_another_size_begins_anew():
    shown, fresh = run([view(), view(), view().resize((60, 50)), view().resize((60, 50))])
    assert (shown[2] == fresh[2]).all()
    assert shown[3].shape == (50, 60, 3)


def test_a_stylization_of_another_size_is_the_callers_mistake():
    with pytest.raises(ValueError, match=r"the stylized frame has the shape \(50, 60, 3\), but the frame has \(72, 104, 3\)"):
        Steady(lambda picture: picture.resize((60, 50)))(view())


@pytest.mark.parametrize("done", [0, 1, 7])
def test_going_on_from_a_state_gives_the_same_bits(done):
    frames = [view(0.7 * k, 0.2 * k) for k in range(12)]
    fresh = [Flickering()(frame) for frame in frames]

    def steady(pictures):
        coming = iter(pictures)
        return Steady(lambda _: next(coming))

    whole = steady(fresh)
    expected = [whole(frame).tobytes() for frame in frames]
    first = steady(fresh)
    for frame in frames[:done]:
        first(frame)
    second = steady(fresh[done:])
    second.restore(first.state())
    assert [second(frame).tobytes() for frame in frames[done:]] == expected[done:]
