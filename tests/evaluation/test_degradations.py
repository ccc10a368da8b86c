"""What metrics say of pictures made worse must be what people would say."""

import numpy as np
import pytest
import torch
from PIL import Image

from ieast.config import EncoderConfig
from ieast.data.sample import draw_artwork
from ieast.evaluation.deception import Stylizations, deception
from ieast.evaluation.degradations import DEGRADATIONS, FRINGE, blurred, fringed, rippled, speckled
from ieast.evaluation.distances import style_mismatch
from ieast.evaluation.features import pooled_features
from ieast.evaluation.noise import fine_structure
from ieast.evaluation.preference import Preference, held_out_agreement, scorer_features, train_scorer
from ieast.io.images import to_tensor
from ieast.models.encoder_weights import build_encoder

KINDS = 16
SIZE = (96, 112)
WAYS = pytest.mark.parametrize("way", list(DEGRADATIONS))


@pytest.fixture(scope="module")
def artworks() -> list[torch.Tensor]:
    return [to_tensor(Image.fromarray(draw_artwork(index, 0, SIZE))) for index in range(KINDS)]


@pytest.fixture(scope="module")
def trained():
    """The shipped encoder: people's eyes are no random network's."""
    return build_encoder(EncoderConfig(name="vgg19-compact"))


def half(way: str, picture: torch.Tensor) -> torch.Tensor:
    return torch.lerp(picture, DEGRADATIONS[way](picture), 0.5)


@pytest.fixture(scope="module")
def comparisons(artworks, trained):
    actual = []
    for number, picture in enumerate(artworks):
        real = scorer_features(trained, picture)
        worse = [scorer_features(trained, worsen(picture)) for worsen in DEGRADATIONS.values()]
        actual += [Preference(real, each, f"c{number}", f"s{number}") for each in worse]
    return actual


def test_the_scorer_prefers_real_pictures_that_it_has_not_seen(comparisons):
    actual = held_out_agreement(comparisons)
    assert actual.mean > 0.85
    assert actual.low > 0.75
    assert actual.count == KINDS


@WAYS
def test_a_picture_comes_before_what_is_half_as_bad_and_that_before_what_is_worse(artworks, trained, comparisons, way):
    scorer = train_scorer([each for each in comparisons if int(each.style[1:]) % 2])
    unseen = artworks[::2]
    real, mild, bad = (
        np.array([scorer.score_picture(trained, version(picture)) for picture in unseen])
        for version in (lambda x: x, lambda x: half(way, x), DEGRADATIONS[way])
    )
    for better, worse in ((real, mild), (mild, bad), (real, bad)):  # of the same picture: others' scores are on another scale
        assert np.mean(better > worse) > 0.75


def natural(seed: int, side: int = 64) -> torch.Tensor:
    """A picture whose amplitudes fall with frequency as natural ones' do (Field 1987), mostly in lightness."""
    random = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None]) + 0.5 / side
    waves = np.fft.rfft2(random.normal(size=(4, side, side))) / frequency
    light, *colours = (part / part.std() for part in np.fft.irfft2(waves, (side, side)))
    return torch.from_numpy(0.5 + 0.12 * light + 0.04 * np.stack(colours)).float()[None].clamp(0, 1)


@WAYS
def test_a_classifier_tells_them_from_real_ones(trained, way):
    names, contents = [f"a{number}" for number in range(40)], [f"c{number % 20}" for number in range(40)]
    real, others, worse = (
        np.stack([pooled_features(trained, version(natural(first + number)), crop=64) for number in range(40)])
        for first, version in ((0, lambda x: x), (100, lambda x: x), (100, DEGRADATIONS[way]))
    )
    other, bad = (deception(real, names, Stylizations(features, names, contents)) for features in (others, worse))
    assert other.low <= 0.5 <= other.high
    assert bad.high < other.score
    assert bad.accuracy > 0.8 > other.accuracy


@pytest.mark.parametrize("way", ["speckled", "rippled", "fringed"])
def test_colour_noise_rises_with_speckle_ripple_and_fringes(artworks, way):
    real, mild, bad = (
        np.median([fine_structure(version(picture)).colour_noise for picture in artworks])
        for version in (lambda x: x, lambda x: half(way, x), DEGRADATIONS[way])
    )
    assert real < mild < bad


def test_detail_falls_with_blur(artworks):
    for picture in artworks:
        assert fine_structure(picture).detail > fine_structure(half("blurred", picture)).detail > 0
        assert fine_structure(half("blurred", picture)).detail > fine_structure(blurred(picture)).detail


@WAYS
def test_the_style_of_a_worse_picture_is_farther_away(artworks, trained, way):
    for picture in artworks[::4]:
        versions = (picture, half(way, picture), DEGRADATIONS[way](picture))
        actual = [float(style_mismatch(trained, each, picture)) for each in versions]
        assert actual[0] == 0
        assert actual[0] < actual[1] < actual[2] < 1


def test_pictures_are_made_worse_as_is_said():
    picture = torch.rand(1, 3, 60, 66, generator=torch.Generator().manual_seed(0)) * 0.5 + 0.25
    for worsen in DEGRADATIONS.values():
        assert worsen(picture).shape == picture.shape
        assert torch.equal(worsen(picture), worsen(picture))
        assert 0 <= worsen(picture).min() <= worsen(picture).max() <= 1
    assert (speckled(picture) != picture).any(dim=1).float().mean() == pytest.approx(0.1, abs=0.02)
    assert (rippled(picture) - picture).abs().max() == pytest.approx(0.05, abs=1e-3)
    shifted = fringed(picture)
    assert torch.equal(shifted[:, 0, :, :-FRINGE], picture[:, 0, :, FRINGE:])
    assert torch.equal(shifted[:, 1], picture[:, 1])
    assert torch.equal(shifted[:, 2, :, FRINGE:], picture[:, 2, :, :-FRINGE])
    assert blurred(picture).std() < 0.3 * picture.std()
