"""Profiles of datasets, against plain computation."""

import cv2
import numpy as np
import pandas as pd
import pytest
from helpers.datasets import draw_picture
from PIL import Image

from ieast.config import EncoderConfig, PrepareConfig
from ieast.data.prepare import prepare_dataset
from ieast.data.profile import compare_profiles, profile_dataset
from ieast.models.encoder_weights import build_encoder
from ieast.models.vgg19 import STYLE_TAPS


@pytest.fixture(scope="module")
def encoder():
    return build_encoder(EncoderConfig(name="vgg19-compact"))


def dataset(folder, shade=None, count=4):
    for side in ("content", "style"):
        (folder / "source" / side).mkdir(parents=True)
        for number in range(count):
            picture = draw_picture(number, 300 + 20 * number, 280)
            if shade is not None:
                picture = Image.eval(picture, lambda value: int(value * shade))
            picture.save(folder / "source" / side / f"{number}.png")
    config = PrepareConfig(size=256, workers=1, max_bad_share=0)
    return prepare_dataset(folder / "source", folder / "work", config, f"digest of {folder.name}")


def test_a_profile_has_the_means_and_deviations_over_pictures(tmp_path, encoder):
    prepared = dataset(tmp_path)
    profile = profile_dataset(prepared, encoder).set_index(["side", "fact"])
    labs = []
    for path in sorted(prepared.source_sides("style")):
        labs.append(cv2.cvtColor(np.asarray(Image.open(path), np.float32) / 255, cv2.COLOR_RGB2LAB))
    lightness = [lab[..., 0].mean() for lab in labs]
    assert profile.loc[("style", "lightness"), "mean"] == pytest.approx(np.mean(lightness), rel=1e-4)
    assert profile.loc[("style", "lightness"), "deviation"] == pytest.approx(np.std(lightness, ddof=1), rel=1e-3)
    chroma = [np.sqrt((lab[..., 1:] ** 2).sum(axis=2)).mean() for lab in labs]
    assert profile.loc[("style", "colourfulness"), "mean"] == pytest.approx(np.mean(chroma), rel=1e-4)
    assert profile.loc[("content", "pictures"), "mean"] == 4
    assert profile.loc[("content", "smallest side"), "mean"] == 280
    assert (profile.loc["content", "mean"].filter(like="relu") > 0).all()
    by = profile["encoder"].dropna()
    assert set(by) == {f"vgg19-compact {encoder.digest()}"}
    assert set(by.index.get_level_values("fact")) == set(STYLE_TAPS)


def test_darker_pictures_shift_lightness_and_the_same_shift_nothing(tmp_path, encoder):
    before = profile_dataset(dataset(tmp_path / "before"), encoder)
    assert (compare_profiles(before, before)["shift"].fillna(0) == 0).all()
    darker = compare_profiles(profile_dataset(dataset(tmp_path / "darker", shade=0.4), encoder), before)
    row = darker[(darker["side"] == "style") & (darker["fact"] == "lightness")].iloc[0]
    assert row["now"] < 0.6 * row["before"]
    spread = before[(before["side"] == "style") & (before["fact"] == "lightness")]["deviation"].item()
    assert row["shift"] == pytest.approx((row["now"] - row["before"]) / spread)


def test_what_was_alike_in_all_pictures_and_is_no_more_has_moved_infinitely():
    before = pd.DataFrame([("style", "smallest side", 512.0, 0.0), ("style", "pictures", 9, np.nan)])
    now = pd.DataFrame([("style", "smallest side", 500.0, 3.0), ("style", "pictures", 12, np.nan)])
    columns = ["side", "fact", "mean", "deviation"]
    changes = compare_profiles(now.set_axis(columns, axis=1), before.set_axis(columns, axis=1)).set_index("fact")
    assert changes.loc["smallest side", "shift"] == np.inf
    assert np.isnan(changes.loc["pictures", "shift"])
    assert changes.loc["pictures", "now"] == 12
