import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from helpers.datasets import draw_dataset, draw_picture
from PIL import Image

from ieast.checkpoint import EncoderCard, ModelCard
from ieast.config import EvaluationConfig
from ieast.data.prepare import prepare_dataset
from ieast.evaluation.distances import cfsd, content_distance, content_ssim, style_distance, style_mismatch
from ieast.evaluation.evaluate import Evaluation, evaluate
from ieast.evaluation.features import pooled_features
from ieast.evaluation.flow import WarpingErrors
from ieast.evaluation.grid import stylization_grid
from ieast.evaluation.heatmaps import clip_heat_map, common_limit
from ieast.evaluation.noise import fine_structure
from ieast.evaluation.pairs import read_picture, scoring_styles
from ieast.evaluation.perceptual import EncoderTapDistance
from ieast.evaluation.preference import PreferenceScorer, ScorerCard, read_scorer, save_scorer, scorer_features
from ieast.evaluation.references import CONTENT, REFERENCES, STYLE, style_as_it_is
from ieast.evaluation.report import html_report
from ieast.evaluation.statistics import mean_interval
from ieast.evaluation.temporal import score_clip
from ieast.evaluation.weave import weave
from ieast.io.images import to_image, to_tensor
from ieast.methods.adain import AdaIn
from ieast.models.encoder_weights import build_encoder
from ieast.stylization.steady import Steady

PAIR_NAMES = (
    "style_distance",
    "style_mismatch",
    "content_distance",
    "content_ssim",
    "content_encoder_tap_distance",
    "cfsd",
    "detail",
    "colour_noise",
    "weave",
)
CLIP_NAMES = (
    "temporal_encoder_tap_distance",
    "temporal_encoder_tap_distance_inputs",
    "warping_error_1",
    "warping_error_1_inputs",
)
NAMES = PAIR_NAMES + CLIP_NAMES
FEW_STYLES = "deception was not scored: it takes stylizations in 10 styles, and there are 3"
TOO_SHORT = (
    "the warping error at interval 10 was not scored on 2 of 2 clips, which have no two frames so far apart that show the same "
    "(evaluation.max_frames is 3)"
)


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


def test_scores_have_these_names_and_are_finite_and_positive(evaluation):
    assert tuple(evaluation.metrics) == NAMES
    assert all(np.isfinite(value) and value > 0 for value in evaluation.metrics.values())


def test_scores_are_the_means_of_the_tables(evaluation, config):
    assert len(evaluation.pairs) == config.pairs
    assert list(evaluation.pairs) == ["content", "style", *PAIR_NAMES]
    for name in PAIR_NAMES:
        assert evaluation.metrics[name] == pytest.approx(evaluation.pairs[name].mean())
    assert list(evaluation.clips) == ["clip", "style", "frames", *CLIP_NAMES]
    assert list(evaluation.clips["clip"]) == ["clip0", "clip1"]
    assert list(evaluation.clips["frames"]) == [3, 3]  # max_frames of 4
    for name in CLIP_NAMES:
        assert evaluation.metrics[name] == pytest.approx(evaluation.clips[name].mean())


def test_scores_of_pairs_are_those_of_the_pictures(evaluation, stylizer, encoder, prepared, config):
    distance = EncoderTapDistance(encoder)
    for _, row in evaluation.pairs.iterrows():
        content, style = (
            read_picture(Path(prepared.folder, side, row[side]), config.size)[None] for side in ("content", "style")
        )
        stylized = stylizer.stylize(content, style)
        expected = [
            style_distance(encoder, stylized, style),
            style_mismatch(encoder, stylized, style),
            content_distance(encoder, stylized, content),
            content_ssim(stylized, content),
            distance(stylized, content),
            cfsd(encoder, stylized, content),
            fine_structure(stylized).detail,
            fine_structure(stylized).colour_noise,
            weave(stylized),
        ]
        assert [row[name] for name in PAIR_NAMES] == pytest.approx([float(value) for value in expected], rel=1e-5)


def test_every_score_lies_in_its_interval_over_pairs_or_clips(evaluation, config):
    assert set(evaluation.intervals) == set(NAMES)
    for name, (low, high) in evaluation.intervals.items():
        assert low <= evaluation.metrics[name] <= high
        table = evaluation.pairs if name in PAIR_NAMES else evaluation.clips
        expected = mean_interval(table[name], config.seed)
        assert (low, high) == (expected.low, expected.high)


@pytest.fixture(scope="module")
def many(prepared, config):
    """So many pairs that deception can be scored, and no clips."""
    return prepared.model_copy(update={"clips_folder": None}), config.model_copy(update={"pairs": 60})


@pytest.fixture(scope="module")
def scorer(encoder, tmp_path_factory) -> Path:
    width = 3 * len(pooled_features(encoder, picture(0)))
    card = ScorerCard(encoder.digest(), "an encoder", "votes", 12, 40.0, 0.7, 0.6, 0.8, 9)
    weights = np.random.default_rng(0).normal(size=width)
    path = tmp_path_factory.mktemp("scorer") / "scorer.safetensors"
    save_scorer(PreferenceScorer(weights, np.zeros(width), np.full(width, np.sqrt(width)), card), path)
    return path


@pytest.fixture(scope="module")
def judged(stylizer, many, scorer) -> Evaluation:
    dataset, config = many
    return evaluate(stylizer, dataset, config.model_copy(update={"preference": str(scorer)}))


def test_with_pictures_enough_a_classifier_judges_every_pair(judged):
    assert set(judged.pairs["deception"]) <= {0.0, 0.5, 1.0}
    assert judged.metrics["deception"] == pytest.approx(judged.pairs["deception"].mean())
    low, high = judged.intervals["deception"]
    assert low <= judged.metrics["deception"] <= high
    assert 0 <= judged.metrics["deception_accuracy"] <= 1
    assert "deception was not scored" not in judged.skipped


def test_random_weights_deceive_less_often_than_artworks(judged):
    assert judged.metrics["deception"] < 0.2 < judged.reference_metrics[STYLE]["deception"]
    assert judged.metrics["deception_accuracy"] > 0.8


def test_artworks_that_were_enlarged_are_not_real_ones(stylizer, tmp_path, make_config, many):
    larger = make_config().prepare.model_copy(update={"size": 64})  # of 60 x 52 pixels and more
    dataset = prepare_dataset(draw_dataset(tmp_path / "source", 13, 13), tmp_path / "work", larger, "enlarged")
    assert len(dataset.enlarged("style")) == 13
    actual = evaluate(stylizer, dataset, many[1])
    assert "deception was not scored: it takes 10 real artworks that were not enlarged, and there are 0" in actual.skipped
    assert "deception" not in actual.metrics


def test_the_preference_score_is_the_scorers_with_its_agreement_beside_it(judged, many, scorer, stylizer, encoder):
    dataset, config = many
    loaded = read_scorer(scorer)
    for _, row in judged.pairs.head(3).iterrows():
        content, style = (
            read_picture(Path(dataset.folder, side, row[side]), config.size)[None] for side in ("content", "style")
        )
        odds = np.exp(loaded.score(scorer_features(encoder, stylizer.stylize(content, style), style, content)))
        assert row["preference"] == pytest.approx(odds / (1 + odds), rel=1e-4)
    assert judged.metrics["preference_agreement"] == 0.7
    assert judged.intervals["preference_agreement"] == (0.6, 0.8)


def test_a_scorer_of_another_encoder_does_not_score_and_it_is_said(many, scorer, stylizer, make_config):
    dataset, config = many
    expected = config.model_copy(update={"preference": str(scorer), "pairs": 2})
    other = build_encoder(make_config().encoder, seed=1)
    actual = evaluate(stylizer, dataset, expected, other)
    assert not [name for name in actual.metrics if name.startswith("preference")]
    assert "preference was not scored: its scorer was made with the features of encoder an encoder" in actual.skipped
    assert f"and models are scored here by {other.digest()[:12]}" in actual.skipped
    assert actual.encoder == f"vgg19-compact {other.digest()}"


def test_content_and_style_as_they_are_are_scored_as_if_models_had_made_them(evaluation, encoder, prepared, config):
    table = evaluation.references
    assert list(table["reference"]) == [CONTENT] * config.pairs + [STYLE] * config.pairs
    assert list(table) == [*evaluation.pairs, "reference"]
    for name in REFERENCES:
        rows = table[table["reference"] == name]
        assert list(rows["content"]) == list(evaluation.pairs["content"])
        assert list(rows["style"]) == list(evaluation.pairs["style"])
    means = evaluation.reference_metrics
    assert means[CONTENT]["content_distance"] == 0
    assert means[CONTENT]["content_ssim"] == pytest.approx(1)
    assert means[STYLE]["style_mismatch"] < 0.1 < means[STYLE]["content_distance"]
    same = evaluate(ReturnsContent(encoder).eval(), prepared, config)
    for name in PAIR_NAMES:
        assert same.metrics[name] == pytest.approx(means[CONTENT][name])


def test_the_style_as_it_is_has_the_contents_size_and_its_own_pixels(tmp_path):
    image = draw_picture(3, 90, 60)
    image.save(tmp_path / "style.png")
    actual = style_as_it_is(tmp_path / "style.png", 60, 60)
    assert torch.equal(actual, to_tensor(image.crop((15, 0, 75, 60))))
    assert style_as_it_is(tmp_path / "style.png", 33, 70).shape == (1, 3, 33, 70)


def test_flicker_over_time_has_the_clips_scores_as_means(evaluation):
    temporal = list(CLIP_NAMES[:2])
    assert list(evaluation.flicker) == ["clip", "frame", *temporal]
    assert list(evaluation.flicker["clip"]) == ["clip0"] * 2 + ["clip1"] * 2
    assert list(evaluation.flicker["frame"]) == [1, 2] * 2
    means = evaluation.flicker.groupby("clip")[temporal].mean().reset_index(drop=True)
    assert means.to_numpy() == pytest.approx(evaluation.clips[temporal].to_numpy())


def test_there_is_a_heat_map_of_each_clip_and_all_have_one_scale(evaluation):
    assert list(evaluation.heatmaps) == list(evaluation.differences) == ["clip0", "clip1"]
    limit = common_limit(evaluation.differences.values())
    for clip, differences in evaluation.differences.items():
        assert evaluation.heatmaps[clip].tobytes() == clip_heat_map(differences, limit).tobytes()


def test_intervals_that_no_clip_is_long_enough_for_are_skipped_and_it_is_said(evaluation, stylizer, prepared, config, caplog):
    assert evaluation.skipped == f"{TOO_SHORT}; {FEW_STYLES}"
    assert "warping_error_10" not in evaluation.metrics
    assert "warping_error_10" not in evaluation.clips
    every = config.model_copy(update={"warping_intervals": (2,)})
    actual = evaluate(stylizer, prepared, every)
    assert actual.skipped == FEW_STYLES
    assert actual.metrics["warping_error_2"] > 0
    assert "warping_error_1" not in actual.metrics


def test_clips_too_short_for_an_interval_leave_it_to_the_others(stylizer, prepared, config, tmp_path):
    for clip, frames in (("long", 4), ("short", 2)):
        (tmp_path / clip).mkdir()
        for k in range(frames):
            shutil.copy(Path(prepared.clips_folder, "clip0", f"{k}.png"), tmp_path / clip)
    expected = config.model_copy(update={"warping_intervals": (1, 3), "max_frames": 4})
    actual = evaluate(stylizer, prepared.model_copy(update={"clips_folder": str(tmp_path)}), expected)
    scores = actual.clips.set_index("clip")["warping_error_3"]
    assert np.isnan(scores["short"])
    assert actual.metrics["warping_error_3"] == scores["long"]
    assert all(np.isnan(bound) for bound in actual.intervals["warping_error_3"])  # one clip
    assert "interval 3 was not scored on 1 of 2 clips" in actual.skipped
    assert "interval 1 " not in actual.skipped


class Diverged(AdaIn):
    """A model that gives nothing but NaN."""

    def stylize(self, content: torch.Tensor, style: torch.Tensor, alpha: float = 1.0) -> torch.Tensor:
        return torch.full_like(content, float("nan"))


def test_a_model_that_diverged_has_no_finite_score_and_the_clips_keep_theirs(encoder, prepared, config):
    scores = evaluate(Diverged(encoder).eval(), prepared, config).metrics
    assert set(scores) == set(NAMES)
    for name, value in scores.items():
        assert np.isfinite(value) == name.endswith("_inputs")


def test_an_evaluation_is_the_same_every_time(evaluation, stylizer, prepared, config):
    np.random.default_rng(1).random()
    torch.rand(3)
    again = evaluate(stylizer, prepared, config)
    assert again.metrics == evaluation.metrics
    assert again.pairs.equals(evaluation.pairs)
    assert again.clips.equals(evaluation.clips)
    assert again.grid.tobytes() == evaluation.grid.tobytes()
    assert again.intervals == evaluation.intervals
    assert again.flicker.equals(evaluation.flicker)
    assert again.heatmaps["clip0"].tobytes() == evaluation.heatmaps["clip0"].tobytes()


def test_another_seed_scores_other_pairs(evaluation, stylizer, no_clips, prepared, config):
    other = evaluate(stylizer, prepared.model_copy(update={"clips_folder": None}), config.model_copy(update={"seed": 1}))
    assert list(other.pairs["content"]) + list(other.pairs["style"]) != [
        *evaluation.pairs["content"],
        *evaluation.pairs["style"],
    ]


def test_the_metric_encoder_takes_the_place_of_the_models_own(evaluation, stylizer, prepared, config, make_config):
    other = build_encoder(make_config().encoder, seed=1)
    scores = evaluate(stylizer, prepared, config, other).metrics
    assert {name for name in NAMES if scores[name] == evaluation.metrics[name]} == {
        "content_ssim", "detail", "colour_noise", "weave", "warping_error_1", "warping_error_1_inputs",
    }  # fmt: skip
    assert evaluate(stylizer, prepared, config, stylizer.encoder).metrics == evaluation.metrics


class ReturnsContent(AdaIn):
    """A model that changes nothing."""

    def stylize(self, content: torch.Tensor, style: torch.Tensor, alpha: float = 1.0) -> torch.Tensor:
        return content


def test_a_model_that_changes_nothing_keeps_the_content_and_is_as_steady_as_the_clips(encoder, prepared, config):
    scores = evaluate(ReturnsContent(encoder).eval(), prepared, config).metrics
    assert scores["content_distance"] == 0
    assert scores["content_ssim"] == pytest.approx(1)
    assert scores["cfsd"] == pytest.approx(0, abs=1e-9)
    assert scores["temporal_encoder_tap_distance"] == scores["temporal_encoder_tap_distance_inputs"] > 0
    assert scores["warping_error_1"] == scores["warping_error_1_inputs"] > 0


def test_the_clips_own_steadiness_does_not_depend_on_the_model(evaluation, encoder, prepared, config):
    scores = evaluate(ReturnsContent(encoder).eval(), prepared, config).metrics
    for name in ("temporal_encoder_tap_distance_inputs", "warping_error_1_inputs"):
        assert scores[name] == evaluation.metrics[name]


def test_a_clips_scores_are_those_of_its_frames(stylizer, encoder, prepared, config):
    clip = Path(prepared.clips_folder) / "clip0"
    distance, style = EncoderTapDistance(encoder), picture(5)[0]
    scores = score_clip(stylizer, distance, clip, style, config)
    stylized, inputs = scores.stylized_steps, scores.input_steps
    frames = [torch.from_numpy(np.array(Image.open(clip / f"{k}.png"))).permute(2, 0, 1)[None] / 255 for k in range(3)]
    expected = [float(distance(a, b)) for a, b in zip(frames, frames[1:], strict=False)]  # noqa: RUF007
    assert inputs == pytest.approx(expected, rel=1e-5)
    shown = [stylizer.stylize(frame, style[None]) for frame in frames]
    assert stylized == pytest.approx([float(distance(a, b)) for a, b in zip(shown, shown[1:], strict=False)], rel=1e-5)  # noqa: RUF007
    errors = WarpingErrors(config.warping_intervals)
    for frame, picture_of_it in zip(frames, shown, strict=True):
        errors.add(frame[0], picture_of_it[0])
    assert scores.warping.stylized[1] == pytest.approx(errors.stylized[1])
    steps = [(shown[k + 1] - shown[k]).abs()[0].mean(dim=0) for k in range(2)]
    assert scores.differences.stylized == pytest.approx(torch.stack(steps).mean(dim=0).numpy(), abs=1e-6)


def test_steady_clips_are_scored_as_the_command_makes_them(stylizer, encoder, prepared, config):
    clip = Path(prepared.clips_folder) / "clip0"
    distance, style = EncoderTapDistance(encoder), picture(5)[0]
    asked = config.model_copy(update={"steady": True})
    scores = score_clip(stylizer, distance, clip, style, asked)
    steady = Steady(lambda frame: to_image(stylizer.stylize(to_tensor(frame), style[None])))
    shown = [to_tensor(steady(Image.open(clip / f"{k}.png").convert("RGB"))) for k in range(3)]
    expected = [float(distance(a, b)) for a, b in zip(shown, shown[1:], strict=False)]  # noqa: RUF007
    assert scores.stylized_steps == pytest.approx(expected, rel=1e-5)
    assert scores.input_steps == score_clip(stylizer, distance, clip, style, config).input_steps
    diverged = score_clip(Diverged(encoder).eval(), distance, clip, style, asked)
    assert np.isnan(diverged.stylized_steps).all()


def test_features_of_each_frame_are_computed_once(stylizer, encoder, prepared, config):
    class Counting(EncoderTapDistance):
        calls = 0

        def features(self, images: torch.Tensor) -> list[torch.Tensor]:
            self.calls += 1
            return super().features(images)

    distance = Counting(encoder)
    score_clip(stylizer, distance, Path(prepared.clips_folder) / "clip0", picture(5)[0], config)
    assert distance.calls == 2 * 3  # frames, stylized and as they are


def test_without_clips_temporal_scores_are_absent_and_it_is_said(stylizer, no_clips, config, caplog):
    actual = evaluate(stylizer, no_clips, config)
    assert tuple(actual.metrics) == PAIR_NAMES
    assert actual.skipped.startswith("the dataset has no clips: temporal stability was not scored; deception was not scored")
    assert all(note in caplog.text for note in actual.skipped.split("; "))
    assert actual.clips.empty
    assert actual.flicker.empty
    assert actual.heatmaps == {}


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
        self.addresses: list[str] = []
        self.elements: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "action", "data")]


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
    assert len(links.addresses) == 1
    assert links.addresses[0].startswith("data:image/jpeg;base64,")
    assert not re.search(r"https?://|@import|url\(", page)
    assert not {"script", "link", "iframe", "object"} & set(links.elements)


def test_the_report_says_what_was_scored_and_every_score(evaluation, card):
    page = html_report(evaluation, card)
    assert "<p>ieast on vgg19-compact, 12 iterations, code abc, data f00</p>" in page
    for name, value in evaluation.metrics.items():
        assert name in page
        assert f"{value:.4f}" in page
        low, high = evaluation.intervals[name]
        assert f"{low:.4f} to {high:.4f}" in page
    assert all(name in page for name in [*evaluation.pairs["content"], *evaluation.clips["clip"]])
    for name, means in evaluation.reference_metrics.items():
        assert f"<th>{name}</th>" in page
        assert all(f"{value:.4f}" in page for value in means.values())


def test_the_report_escapes_names(evaluation, card):
    evil = "<script>alert('x')</script>&.png"
    pairs = evaluation.pairs.assign(content=evil, style=evil)
    clips = evaluation.clips.assign(clip=evil)
    poisoned = replace(evaluation, metrics={evil: 1.0}, pairs=pairs, clips=clips, skipped=evil)
    card = card.model_copy(update={"method": evil, "provenance": {"code": evil, "data": {"md5": evil}}})
    page = html_report(poisoned, card)
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_the_report_says_when_clips_were_not_scored(evaluation, card):
    skipped = "the dataset has no clips"
    actual = replace(evaluation, clips=pd.DataFrame(), skipped=skipped)
    page = html_report(actual, card)
    assert f"<strong>{skipped}</strong>" in page
    assert "<h2>Clips</h2>\n<p>none</p>" in page


def test_so_many_styles_evenly_spread_are_scored_in(prepared, stylizer):
    scoring = prepared.scoring_paths("style")
    actual = scoring_styles(stylizer, prepared, EvaluationConfig(styles=2))
    assert list(actual) == [scoring[0], scoring[-1]]
    assert list(scoring_styles(stylizer, prepared, EvaluationConfig())) == list(scoring)
