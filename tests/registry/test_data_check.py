"""The dataset beside the champion's, in a real registry."""

import mlflow
import numpy as np
import pandas as pd
import pytest
from helpers.registries import Registry

from ieast.errors import DataError
from ieast.registry import comparing
from ieast.registry.data_check import PROFILE, compare_with_champion, refuse_shift


def profile(lightness):
    rows = [("style", "lightness", lightness, 10.0), ("style", "pictures", 5, np.nan)]
    return pd.DataFrame(rows, columns=["side", "fact", "mean", "deviation"])


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


def test_without_a_champion_or_its_profile_there_is_nothing_to_compare(registry, tmp_path):
    assert compare_with_champion("nobody", profile(50.0)) is None
    crown(registry, "older", tmp_path)
    assert compare_with_champion("older", profile(50.0)) is None


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
