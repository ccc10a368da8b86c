import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import draw_dataset
from PIL import Image

from ieast.data.prepare import prepare_dataset
from ieast.evaluation.evaluate import Evaluation, content_distance, evaluate, style_distance, temporal_distances
from ieast.evaluation.grid import stylization_grid
from ieast.evaluation.perceptual import EncoderTapDistance
from ieast.evaluation.report import html_report
from ieast.models.checkpoint import EncoderCard, ModelCard
from ieast.models.encoder import CONVOLUTIONS, STYLE_TAPS, build_encoder
from ieast.models.stylizer import Stylizer

NAMES = ("style_distance", "content_distance", "temporal_encoder_tap_distance", "temporal_encoder_tap_distance_inputs")


def picture(seed: int, height: int = 40, width: int = 48) -> torch.Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def config(make_config):
    return make_config().evaluation


@pytest.fixture(scope="module")
def evaluation(stylizer, prepared, config) -> Evaluation:
    return evaluate(stylizer, prepared, config)


@pytest.fixture(scope="module")
def no_clips(tmp_path_factory, make_config):
    folder = tmp_path_factory.mktemp("no_clips")
    return prepare_dataset(draw_dataset(folder / "source", 3, 3), folder / "work", make_config().prepare, "no clips")


def statistics(features: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of every channel of (1, C, H, W)."""
    channels = [channel.double().numpy().ravel() for channel in features[0]]
    return np.array([c.mean() for c in channels]), np.array([np.sqrt(c.var(ddof=1) + 1e-5) for c in channels])


def test_style_distance_is_the_squared_difference_of_statistics_in_units_of_the_styles_mean_activation(encoder):
    stylized, style = picture(0), picture(1, 36, 60)
    taps, wanted = encoder(stylized), encoder(style)
    expected = 0.0
    for tap in STYLE_TAPS:
        unit = wanted[tap].double().numpy().mean()
        for a, b in zip(statistics(taps[tap]), statistics(wanted[tap]), strict=True):
            expected += np.mean(((a - b) / unit) ** 2)
    assert float(style_distance(encoder, stylized, style)) == pytest.approx(expected, rel=1e-4)


def test_content_distance_is_the_squared_difference_of_normalised_features(encoder):
    stylized, content = picture(0), picture(1)
    taps, wanted = encoder(stylized), encoder(content)
    expected = 0.0
    for tap in ("relu4_1", "relu5_1"):
        normalised = []
        for features in (taps[tap], wanted[tap]):
            mean, deviation = statistics(features)
            normalised.append((features[0].double().numpy() - mean[:, None, None]) / deviation[:, None, None])
        expected += np.mean((normalised[0] - normalised[1]) ** 2)
    assert float(content_distance(encoder, stylized, content)) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("distance", [style_distance, content_distance])
def test_distances_are_zero_for_the_same_picture_and_positive_for_others(encoder, distance):
    assert float(distance(encoder, picture(0), picture(0))) == 0
    assert float(distance(encoder, picture(0), picture(1))) > 0


@pytest.mark.parametrize("distance", [style_distance, content_distance])
def test_distances_grow_with_the_difference(encoder, distance):
    a, grey = picture(0), torch.full((1, 3, 40, 48), 0.5)
    found = [float(distance(encoder, torch.lerp(a, grey, weight), a)) for weight in (0.1, 0.5, 0.9)]
    assert found == sorted(found)


def test_style_distance_does_not_care_where_things_are(encoder):
    style = picture(1, 48, 48)
    flipped, noise = style.flip(3), picture(2, 48, 48) * 0.2
    assert float(style_distance(encoder, flipped, style)) < 0.2 * float(style_distance(encoder, noise, style))


@pytest.mark.parametrize("distance", [style_distance, content_distance])
def test_distances_do_not_depend_on_the_encoders_scale(make_config, distance):
    encoder = build_encoder(make_config().encoder)
    found = []
    for _ in range(3):
        # Each time larger by 100, and from the first on far above the ε that keeps variances positive.
        encoder.conv1_1.weight.mul_(100)
        for layer in CONVOLUTIONS:
            encoder.get_submodule(f"conv{layer}").bias.mul_(100)
        found.append(float(distance(encoder, picture(0), picture(1))))
    assert found == pytest.approx([found[0]] * 3, rel=1e-3)


def test_scores_have_these_names_and_are_finite_and_positive(evaluation):
    assert tuple(evaluation.metrics) == NAMES
    assert all(np.isfinite(value) and value > 0 for value in evaluation.metrics.values())
    assert evaluation.skipped is None


def test_scores_are_the_means_of_the_tables(evaluation, config):
    assert len(evaluation.pairs) == config.pairs
    assert list(evaluation.pairs) == ["content", "style", "style_distance", "content_distance"]
    for name in NAMES[:2]:
        assert evaluation.metrics[name] == pytest.approx(evaluation.pairs[name].mean())
    assert list(evaluation.clips) == ["clip", "style", "frames", *NAMES[2:]]
    assert list(evaluation.clips["clip"]) == ["clip0", "clip1"]
    assert list(evaluation.clips["frames"]) == [3, 3]  # max_frames of 4
    for name in NAMES[2:]:
        assert evaluation.metrics[name] == pytest.approx(evaluation.clips[name].mean())


def test_an_evaluation_is_the_same_every_time(evaluation, stylizer, prepared, config):
    np.random.default_rng(1).random()
    torch.rand(3)
    again = evaluate(stylizer, prepared, config)
    assert again.metrics == evaluation.metrics
    assert again.pairs.equals(evaluation.pairs)
    assert again.clips.equals(evaluation.clips)
    assert again.grid.tobytes() == evaluation.grid.tobytes()


def test_another_seed_scores_other_pairs(evaluation, stylizer, no_clips, prepared, config):
    other = evaluate(stylizer, prepared.model_copy(update={"clips_folder": None}), config.model_copy(update={"seed": 1}))
    assert list(other.pairs["content"]) + list(other.pairs["style"]) != [
        *evaluation.pairs["content"],
        *evaluation.pairs["style"],
    ]


def test_the_metric_encoder_takes_the_place_of_the_models_own(evaluation, stylizer, prepared, config, make_config):
    other = build_encoder(make_config().encoder, seed=1)
    scores = evaluate(stylizer, prepared, config, other).metrics
    assert all(scores[name] != evaluation.metrics[name] for name in NAMES)
    assert evaluate(stylizer, prepared, config, stylizer.encoder).metrics == evaluation.metrics


class ReturnsContent(Stylizer):
    """A model that changes nothing."""

    def stylize(self, content: torch.Tensor, style: torch.Tensor, alpha: float = 1.0) -> torch.Tensor:
        return content


def test_a_model_that_changes_nothing_keeps_the_content_and_is_as_steady_as_the_clips(encoder, prepared, config):
    scores = evaluate(ReturnsContent(encoder).eval(), prepared, config).metrics
    assert scores["content_distance"] == 0
    assert scores["temporal_encoder_tap_distance"] == scores["temporal_encoder_tap_distance_inputs"] > 0


def test_the_clips_own_steadiness_does_not_depend_on_the_model(evaluation, encoder, prepared, config):
    scores = evaluate(ReturnsContent(encoder).eval(), prepared, config).metrics
    name = "temporal_encoder_tap_distance_inputs"
    assert scores[name] == evaluation.metrics[name]


def test_temporal_distances_are_between_adjacent_frames(stylizer, encoder, prepared, config):
    clip = Path(prepared.clips_folder) / "clip0"
    distance, style = EncoderTapDistance(encoder), picture(5)[0]
    stylized, inputs = temporal_distances(stylizer, distance, clip, style, config)
    frames = [torch.from_numpy(np.array(Image.open(clip / f"{k}.png"))).permute(2, 0, 1)[None] / 255 for k in range(3)]
    expected = [float(distance(a, b)) for a, b in zip(frames, frames[1:], strict=False)]  # noqa: RUF007
    assert inputs == pytest.approx(expected, rel=1e-5)
    shown = [stylizer.stylize(frame, style[None]) for frame in frames]
    assert stylized == pytest.approx([float(distance(a, b)) for a, b in zip(shown, shown[1:], strict=False)], rel=1e-5)  # noqa: RUF007


def test_without_clips_temporal_scores_are_absent_and_it_is_said(stylizer, no_clips, config, caplog):
    found = evaluate(stylizer, no_clips, config)
    assert tuple(found.metrics) == NAMES[:2]
    assert found.skipped == "the dataset has no clips: temporal stability was not scored"
    assert found.skipped in caplog.text
    assert found.clips.empty


def test_fewer_pictures_than_asked_make_a_smaller_grid(stylizer, no_clips, config):
    wide = config.model_copy(update={"grid_contents": 5, "grid_styles": 7})
    assert evaluate(stylizer, no_clips, wide).grid.size == grid_size(3, 3, 48)


def grid_size(contents: int, styles: int, cell: int) -> tuple[int, int]:
    return (styles + 1) * (cell + 4) + 4, (contents + 1) * (cell + 4) + 4


def test_the_grid_of_an_evaluation_has_the_configured_size(evaluation):
    assert evaluation.grid.size == grid_size(2, 3, 48)


@pytest.mark.parametrize(("contents", "styles", "cell"), [(1, 1, 32), (2, 3, 20), (3, 1, 48)])
def test_a_grid_shows_styles_on_top_contents_on_the_left_and_each_content_in_each_style(stylizer, contents, styles, cell):
    shown = [picture(k, cell, cell)[0] for k in range(contents)], [picture(50 + k, cell, cell)[0] for k in range(styles)]
    grid = stylization_grid(stylizer, *shown, cell)
    assert grid.size == grid_size(contents, styles, cell)
    samples = torch.from_numpy(np.array(grid)).permute(2, 0, 1).float() / 255

    def at(row: int, column: int) -> torch.Tensor:
        top, left = row * (cell + 4) + 4, column * (cell + 4) + 4
        return samples[:, top : top + cell, left : left + cell]

    def close(a: torch.Tensor, b: torch.Tensor) -> bool:
        return bool((a - b).abs().max() <= 0.5 / 255 + 1e-5)

    assert close(at(0, 0), torch.ones(3, cell, cell))
    for k, style in enumerate(shown[1]):
        assert close(at(0, k + 1), style)
        for i, content in enumerate(shown[0]):
            assert close(at(i + 1, 0), content)
            assert close(at(i + 1, k + 1), stylizer.stylize(content[None], style[None])[0])


def test_a_grid_cuts_pictures_to_their_central_square(stylizer):
    wide = torch.zeros(3, 20, 60)
    wide[0, :, 20:40] = 1
    samples = np.array(stylization_grid(stylizer, [wide], [wide], 20))
    assert (samples[28:48, 4:24] == (255, 0, 0)).all()


class Links(HTMLParser):
    """Every place that a page would load something from, and every element."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.elements: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.found += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "action", "data")]


@pytest.fixture
def card() -> ModelCard:
    return ModelCard(
        method="ieast",
        encoder=EncoderCard(name="vgg19-compact", digest="d", source="untrained"),
        files={},
        provenance={"iterations": 12, "code": "abc", "data": {"md5": "f00"}},
    )


def test_the_report_is_one_page_that_loads_nothing(evaluation, card):
    page = html_report(evaluation, card)
    links = Links()
    links.feed(page)
    assert len(links.found) == 1
    assert links.found[0].startswith("data:image/jpeg;base64,")
    assert not re.search(r"https?://|@import|url\(", page)
    assert not {"script", "link", "iframe", "object"} & set(links.elements)


def test_the_report_says_what_was_scored_and_every_score(evaluation, card):
    page = html_report(evaluation, card)
    assert "<p>ieast on vgg19-compact, 12 iterations, code abc, data f00</p>" in page
    for name, value in evaluation.metrics.items():
        assert name in page
        assert f"{value:.4f}" in page
    assert all(name in page for name in [*evaluation.pairs["content"], *evaluation.clips["clip"]])


def test_the_report_escapes_names(evaluation, card):
    evil = "<script>alert('x')</script>&.png"
    pairs = evaluation.pairs.assign(content=evil, style=evil)
    clips = evaluation.clips.assign(clip=evil)
    poisoned = Evaluation(metrics={evil: 1.0}, pairs=pairs, clips=clips, grid=evaluation.grid, skipped=evil)
    card = card.model_copy(update={"method": evil, "provenance": {"code": evil, "data": {"md5": evil}}})
    page = html_report(poisoned, card)
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_the_report_says_when_clips_were_not_scored(evaluation, card):
    skipped = "the dataset has no clips"
    found = Evaluation(
        metrics=evaluation.metrics, pairs=evaluation.pairs, clips=pd.DataFrame(), grid=evaluation.grid, skipped=skipped
    )
    page = html_report(found, card)
    assert f"<strong>{skipped}</strong>" in page
    assert "<h2>Clips</h2>\n<p>none</p>" in page
