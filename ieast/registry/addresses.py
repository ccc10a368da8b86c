"""Addresses of MLflow's UI that open what they name, in the view of trainings, with columns, filter and order set.

MLflow's UI opens on its view of traces unless an address says otherwise, and takes the columns and groups of its table of runs
only from a saved view: a tag of the experiment (`mlflow.sharedViewState.KEY`, plain JSON) that an address names by its key.
What such a view may hold was read in the UI of MLflow 3.17 (its `viewStateShareKey`).
"""

import json
import os
from collections.abc import Sequence
from urllib.parse import quote, urlencode, urlsplit

from mlflow import MlflowClient

from ieast.metrics import find_metric
from ieast.registry.store import redacted

SAVED_VIEW = "mlflow.sharedViewState."
DEFAULT_PORT = 5000
_TRAINING = {"workflowType": "machine_learning"}


def ui_address(store: str) -> str:
    """Where the UI over `store` is: the tracking server itself, or what `make ui` starts over a database on this machine."""
    if urlsplit(store).scheme in ("http", "https"):
        return redacted(store).rstrip("/")
    return f"http://127.0.0.1:{os.environ.get('MLFLOW_PORT', DEFAULT_PORT)}"


def how_to_open(store: str) -> str:
    """What has to be typed before the addresses of `ui_address` answer."""
    if urlsplit(store).scheme in ("http", "https"):
        return f"the MLflow server {redacted(store)} shows them"
    return f"make ui, or: mlflow ui --backend-store-uri {redacted(store)}"


def run_address(store: str, experiment: str, run: str) -> str:
    """The page of one run."""
    return f"{ui_address(store)}/#/experiments/{experiment}/runs/{run}?{urlencode(_TRAINING)}"


def report_address(store: str, experiment: str, run: str, artifact: str) -> str:
    """An artifact of a run, opened."""
    return f"{ui_address(store)}/#/experiments/{experiment}/runs/{run}/artifacts/{quote(artifact)}?{urlencode(_TRAINING)}"


def runs_address(store: str, experiment: str, view: str, *, charts: bool = False) -> str:
    """The runs of an experiment as the saved view `view` shows them: a table, or with `charts` their curves."""
    query = _TRAINING | {"viewStateShareKey": view} | ({"compareRunsMode": "CHART"} if charts else {})
    return f"{ui_address(store)}/#/experiments/{experiment}/runs?{urlencode(query)}"


def models_address(store: str, experiment: str) -> str:
    """The models of an experiment with their scores by dataset."""
    return f"{ui_address(store)}/#/experiments/{experiment}/models?{urlencode(_TRAINING)}"


def version_address(store: str, name: str, version: str) -> str:
    """The page of a version of a registered model."""
    return f"{ui_address(store)}/#/models/{quote(name)}/versions/{version}?{urlencode(_TRAINING)}"


def view_keys(parent: str) -> tuple[str, str]:
    """The keys of the saved views of the runs below the run `parent`: its table and curves, and its pictures."""
    return parent[:12], f"{parent[:12]}-pictures"


def save_view(
    experiment: str, view: str, query: str, scores: Sequence[str], *, group: str | None = None, images: Sequence[str] = ()
) -> None:
    """Keep a view of the runs that `query` finds with the experiment, for `runs_address`.

    Args:
        experiment: Its id.
        view: The key to keep it by; what was kept by it before is replaced.
        query: As MLflow's search of runs takes it.
        scores: Names of metrics, in the order of columns; runs are sorted by the first, the better ones above.
        group: A tag whose values runs are grouped by, each with the mean of its runs; none: they stand one by one.
        images: Keys of pictures; of charts these alone are shown, as wide as the page.
    """
    # Six scores fit a screen of 1400 pixels, or of 1920 while MLflow's assistant is open, as it is on the first visit.
    widths = {"tags.`variant`": 72, "tags.`seed`": 52} | {f"metrics.`{score}`": 100 for score in scores}
    widths |= {f"attributes.`{name}`": 120 for name in ("Dataset", "Models")}
    state: dict[str, object] = {
        "searchFilter": query,
        "selectedColumns": list(widths),
        "columnOrder": list(widths),
        "columnWidths": widths,
        "runsHiddenMode": "SHOW_ALL",
        "viewMaximized": False,
        "groupBy": None,
    }
    if scores:
        metric = find_metric(scores[0])
        ascending = metric is None or metric.better == "lower"
        state |= {"orderByKey": f"metrics.`{scores[0]}`", "orderByAsc": ascending}
    if images:
        state |= {
            "chartsSearchFilter": f"^({'|'.join(images)})$",
            "compareRunSections": [_IMAGES],
            "compareRunCharts": [_image_card(key) for key in images],
        }
    if group is not None:
        state["groupBy"] = {"aggregateFunction": "average", "groupByKeys": [{"mode": "tag", "groupByData": group}]}
    MlflowClient().set_experiment_tag(experiment, SAVED_VIEW + view, json.dumps(state))


_IMAGES = {
    "uuid": "images",
    "name": "Model metrics",  # where the UI looks for what has no folder in its name
    "display": True,
    "isReordered": False,
    "deleted": False,
    "isGenerated": True,
    "columns": 1,
    "cardHeight": 430,
}


def _image_card(key: str) -> dict[str, object]:
    return {
        "type": "IMAGE",
        "uuid": f"image-{key}",
        "metricSectionId": _IMAGES["uuid"],
        "imageKeys": [key],
        "step": 0,
        "showRunParams": False,
        "deleted": False,
        "isGenerated": True,
        "runsCountToCompare": 10,
    }
