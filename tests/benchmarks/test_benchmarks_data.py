"""The benchmarks of data and pipelines compare like with like, on tiny inputs; nothing here is timed."""

import pytest
import torch
from PIL import Image

from benchmarks.loading import TakingTurns, draw_prepared
from benchmarks.overhead import LONG_RUN, rows_of, seconds_of_logging
from benchmarks.preparing import decode_entropy, differences, draw_photographs, prepare_plainly
from ieast.config import PrepareConfig
from ieast.data.batches import PairBatches
from ieast.data.prepare import prepare_dataset

JPEG_NOISE = 2.0  # grey levels in the mean, of the two chains' rounding and colour resolution


def test_prepared_pictures_are_those_of_the_plain_way_but_for_the_noise_of_jpeg(tmp_path):
    for side in ("content", "style"):
        (tmp_path / side).mkdir()
        draw_photographs(tmp_path / side, 3, 1600, 1200)
    dataset = prepare_dataset(tmp_path, tmp_path / "work", PrepareConfig(size=320, workers=1), "drawn")
    prepared = dataset.training_paths("content")
    plain = [tmp_path / f"plain-{path.name}" for path in prepared]
    for path, target in zip(prepared, plain, strict=True):
        prepare_plainly(tmp_path / "content" / path.name, target, 320, 95)
    assert [Image.open(path).size for path in plain] == [(427, 320)] * 3
    assert 0 < differences(prepared, plain) < JPEG_NOISE
    assert differences(prepared, prepared) == 0
    assert differences(prepared[:1], plain[1:2]) > 10 * JPEG_NOISE


def test_drawn_photographs_have_the_size_asked_for_and_differ(tmp_path):
    paths = draw_photographs(tmp_path, 2, 160, 120)
    decode_entropy(paths)
    assert [Image.open(path).size for path in paths] == [(160, 120)] * 2
    assert differences(paths[:1], paths[1:]) > 1


def test_a_training_that_compares_is_given_one_batch_of_each_source_after_the_other(tmp_path):
    contents, styles = draw_prepared(tmp_path, 4, 48, 64)
    assert {Image.open(path).size for path in (*contents, *styles)} == {(64, 48)}
    sources = [PairBatches(contents, styles, distinct=4, crop=32, seed=seed) for seed in range(2)]
    turns = TakingTurns([[source[0], source[1]] for source in sources], 2)
    yielded = list(turns)
    assert len(yielded) == len(turns) == 4
    for place, given in enumerate(yielded):
        assert torch.equal(given["content"], sources[place % 2][place // 2]["content"])


def test_overhead_is_the_demos_commands_less_the_plain_process_and_scales_logging_to_ten_minutes():
    stages = {"stack": 4.0, "pipeline": 60.0, "training": 30.0, "logging": 0.06, "cpu": 55.0}
    plain = {"total": 50.0, "training": 30.0, "iterations": 100, "log_every": 10, "logging": 0.01, "cpu": 48.0}
    whole, share = rows_of(stages, plain)
    assert whole.measured == pytest.approx(14)
    assert whole.verdict == "aim"
    logged = LONG_RUN / 0.3 / 10  # 0.3 s an iteration
    assert share.measured == pytest.approx(100 * (14 + logged * 0.05) / LONG_RUN)
    assert share.verdict == "least"
    assert rows_of(stages | {"pipeline": 87.0}, plain)[0].verdict == "missed"


def test_logging_is_timed_as_training_logs_losses_before_the_speed():
    logged: list[tuple[set[str], int]] = []
    assert seconds_of_logging(lambda metrics, step: logged.append((set(metrics), step))) >= 0
    assert [step for _, step in logged[:4]] == [1, 1, 2, 2]
    assert logged[1][0] == {"train/images_per_second"}
    assert len(logged[0][0]) > 10
