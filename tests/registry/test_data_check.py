"""The dataset beside the champion's, in a real registry."""

import mlflow
import numpy as np
import pandas as pd
import pytest
from helpers.registries import Registry

from ieast.errors import DataError
from ieast.registry import comparing
from ieast.registry.data_check import PROFILE, compare_with_champion, refuse_shift
from steps import check_data as step


def profile(lightness):
    """As profiles were before they named their encoder."""
    rows = [("style", "lightness", lightness, 10.0), ("style", "relu1_1", 2.0, 0.5), ("style", "pictures", 5, np.nan)]
    return pd.DataFrame(rows, columns=["side", "fact", "mean", "deviation"])


def profile_by(encoder, lightness):
    return profile(lightness).assign(encoder=[np.nan, encoder, np.nan])


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    before = mlflow.get_tracking_uri()
    yield Registry(tmp_path_factory.mktemp("registry"))
    mlflow.set_tracking_uri(before)


def crown(registry, name, folder, table=None):
    """A champion whose run kept `table` as its profile, or no profile."""
    experiment = registry.client.create_experiment(name, folder.as_uri())
    run = registry.client.create_run(experiment)
    if table is not None:
        registry.client.log_text(run.info.run_id, table.to_csv(index=False), PROFILE)
    registry.client.create_registered_model(name)
    registry.client.create_model_version(name, "file:///nowhere", run_id=run.info.run_id)
    registry.client.set_registered_model_alias(name, "champion", "1")


def test_without_a_champion_or_its_profile_there_is_nothing_to_compare(registry, tmp_path, caplog):
    assert compare_with_champion("nobody", profile(50.0)) is None
    crown(registry, "older", tmp_path)
    with caplog.at_level("INFO"):
        assert compare_with_champion("older", profile(50.0)) is None
    assert caplog.messages == [
        "version 1 of older, the champion, kept no profile of its pictures: there is nothing to compare with"
    ]


def test_a_limit_without_a_profile_to_hold_it_against_is_refused(registry, tmp_path):
    assert compare_with_champion("nobody", profile(50.0), limit=0.5) is None  # the first has nobody to be like
    crown(registry, "ablated", tmp_path)
    with pytest.raises(DataError) as caught:
        compare_with_champion("ablated", profile(50.0), limit=0.5)
    assert str(caught.value) == (
        "data.max_shift is 0.5, but version 1 of ablated, the champion, kept no profile of its pictures, which the training "
        "pipeline alone makes. Leave data.max_shift out for this run, or promote a version that the training pipeline trained"
    )


def test_the_training_pipeline_stops_before_training_if_its_limit_cannot_be_held(registry, tmp_path, monkeypatch, make_config):
    crown(registry, "from_a_folder", tmp_path)
    for name, stand_in in {
        "prepared_at_hand": lambda prepared, folder: prepared,
        "build_encoder": lambda config: None,
        "profile_dataset": lambda prepared, encoder: profile(50.0),
    }.items():
        monkeypatch.setattr(step, name, stand_in)
    config = make_config(data={"max_shift": 0.5}, registry={"name": "from_a_folder"})
    experiment = registry.client.create_experiment("training", tmp_path.as_uri())
    with mlflow.start_run(experiment_id=experiment), pytest.raises(DataError, match=r"^data.max_shift is 0.5, but version 1"):
        step.check_data.entrypoint(None, config)


@pytest.mark.parametrize(
    ("before", "now", "compared"),
    [
        (profile_by("vgg19 c0de", 50.0), profile_by("vgg19 c0de", 35.0), True),
        (profile_by("vgg19 c0de", 50.0), profile_by("vgg19 f00d", 35.0), False),
        (profile(50.0), profile_by("vgg19 f00d", 35.0), True),  # of an unknown encoder
    ],
)
def test_features_by_another_encoder_are_left_out_and_it_is_said(registry, tmp_path, caplog, before, now, compared):
    crown(registry, tmp_path.name, tmp_path, before)
    changes = compare_with_champion(tmp_path.name, now).set_index("fact")
    assert list(changes.index) == ["lightness", *(["relu1_1"] if compared else []), "pictures"]
    assert changes.loc["lightness", "shift"] == -1.5
    said = "features are not compared: the earlier profile's are by the encoder vgg19 c0de, this one's by vgg19 f00d"
    assert caplog.messages == ([] if compared else [said])


def test_a_shift_is_measured_in_the_champions_deviations_and_refused_beyond_the_limit(registry, tmp_path):
    crown(registry, "profiled", tmp_path, profile(50.0))
    changes = compare_with_champion("profiled", profile(35.0))
    assert changes.set_index("fact").loc["lightness", "shift"] == -1.5
    refuse_shift(changes, 1.5)  # not beyond
    with pytest.raises(DataError, match=r"data.max_shift is 1\): lightness of style from 50 to 35, -1.50 deviations. If that"):
        refuse_shift(changes, 1.0)


def test_a_comparison_that_never_came_to_its_report_can_be_compared(registry, tmp_path):
    experiment = registry.client.create_experiment("stopped", tmp_path.as_uri())
    parent = registry.client.create_run(experiment).info.run_id
    for variant, seed in (("neither", "1"), ("full", "0")):
        tags = {"mlflow.parentRunId": parent, "variant": variant, "seed": seed}
        child = registry.client.create_run(experiment, tags=tags)
        registry.client.set_terminated(child.info.run_id, "FINISHED")
    assert [each.label for each in comparing._resolve(parent)] == ["full", "neither"]  # by their seeds
