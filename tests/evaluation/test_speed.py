import math

import pytest
from PIL import Image

from ieast.checkpoint import save_model
from ieast.config import SpeedConfig
from ieast.evaluation.speed import measure_speed


@pytest.fixture(scope="module")
def inputs(tmp_path_factory, stylizer):
    folder = tmp_path_factory.mktemp("speed")
    save_model(stylizer, folder / "model", method="sanet", encoder_source="untrained", provenance={})
    for number, name in enumerate(("content.png", "style.png")):
        Image.effect_noise((70, 90), 40 + number).convert("RGB").save(folder / name)
    return folder / "model", folder / "content.png", folder / "style.png"


def test_time_and_memory_of_each_size_are_measured(inputs):
    actual = measure_speed(*inputs, SpeedConfig(sizes=(48, 384), repeats=2, limit=60))
    assert list(actual["size"]) == [48, 384]
    assert (actual["seconds"] > 0).all()
    small, large = actual["peak_mb"]
    # Of the larger, maps of the first level alone: 4 bytes for each of 16 channels and 384² pixels, and more than one such.
    assert 4 * 16 * 384**2 / 2**20 < large < 200
    assert small < large
    assert list(actual["note"]) == ["", ""]


def test_a_size_that_would_take_too_long_is_not_measured_and_says_so(inputs):
    actual = measure_speed(*inputs, SpeedConfig(sizes=(64, 128, 256), repeats=1, limit=1e-6))
    assert actual["seconds"][0] > 0
    assert [math.isnan(seconds) for seconds in actual["seconds"]] == [False, True, True]
    assert "not measured: about" in actual["note"][1]
    assert "the limit is 1e-06 s" in actual["note"][2]


def test_what_reading_large_pictures_takes_is_none_of_the_peak(inputs, tmp_path):
    model, content, style = inputs
    Image.effect_noise((4000, 3000), 40).convert("RGB").save(tmp_path / "large.jpg")
    settings = SpeedConfig(sizes=(64,), repeats=1, limit=60)
    of_small, of_large = (
        measure_speed(model, path, style, settings)["peak_mb"][0] for path in (content, tmp_path / "large.jpg")
    )
    assert of_large < of_small + 12  # the picture at full size has 36 MiB
