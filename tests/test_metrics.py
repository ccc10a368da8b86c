import re
from pathlib import Path

import pytest

from ieast.config import EvaluationConfig
from ieast.evaluation.evaluate import evaluate
from ieast.metrics import METRICS, find_metric, with_arrow

README = (Path(__file__).resolve().parents[1] / "README.md").read_text()


def test_the_readme_prints_the_table():
    rows = [f"| `{m.name}` | {m.better} {m.arrow} | {m.unit} | {m.meaning} |" for m in METRICS]
    section = README.split("## Scores")[1].split("\n## ")[0]
    assert re.findall(r"^\| `.*", section, re.MULTILINE) == rows


def test_every_score_of_an_evaluation_is_in_the_table(stylizer, prepared):
    config = EvaluationConfig(perceptual_distance="encoder-taps", size=48, pairs=2, max_frames=3)
    scores = evaluate(stylizer, prepared, config).metrics
    assert len(scores) > 8
    assert [name for name in scores if find_metric(name) is None] == []


@pytest.mark.parametrize(
    ("name", "actual"),
    [
        ("content_ssim", "content_ssim"),
        ("content_lpips_squeeze", "content_lpips_<net>"),
        ("temporal_lpips_alex_inputs", "temporal_lpips_<net>"),
        ("warping_error_10", "warping_error_<frames>"),
        ("warping_error_1_inputs", "warping_error_<frames>"),
        ("warping_error_", None),
        ("content_lpips", None),
        ("ssim", None),
    ],
)
def test_names_are_found_with_their_settings(name, actual):
    metric = find_metric(name)
    assert (None if metric is None else metric.name) == actual


def test_arrows_show_where_better_values_lie():
    assert with_arrow("content_ssim") == "content_ssim ↑"
    assert with_arrow("cfsd") == "cfsd ↓"
    assert with_arrow("votes") == "votes"


def test_names_are_unique():
    assert len({metric.name for metric in METRICS}) == len(METRICS)
