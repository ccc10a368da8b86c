import logging
import os

import pytest

from pipelines.quiet import quieten

NOISE = [
    (
        "zenml.integrations.mlflow",
        logging.WARNING,
        "Failed to disable MLflow autologging for the following ones",
    ),
    (
        "zenml.pipelines",
        logging.INFO,
        "You can visualize your pipeline runs in the `ZenML Dashboard`.",
    ),
    ("zenml.models", logging.INFO, "Models can be viewed in the dashboard using ZenML Pro. Sign up for a free trial at ..."),
    ("zenml.pipelines", logging.INFO, "  orchestrator: `default`"),
    ("lightning.pytorch.utilities.rank_zero", logging.INFO, "Tip: try installing litlogger"),
    ("pytorch_lightning.utilities.rank_zero", logging.INFO, "GPU available: False, used: False"),
    ("mlflow.store.db.utils", logging.INFO, "Updating database tables"),
]
SAID = [
    ("zenml.pipelines", logging.INFO, "Step `train_model` has started."),
    ("zenml.pipelines", logging.INFO, "Using stack: `ieast_local`"),
    ("lightning.pytorch", logging.WARNING, "something that matters"),
    ("mlflow", logging.WARNING, "something that matters"),
    ("steps.promote_model", logging.INFO, "Scores"),
]


@pytest.fixture
def root(monkeypatch):
    for name in ("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "ZENML_LOGGING_COLORS_DISABLED"):
        monkeypatch.delenv(name, raising=False)
    root, heard = logging.getLogger(), []
    handler = logging.Handler()
    handler.emit = lambda record: heard.append((record.name, record.levelno, record.getMessage()))
    before = logging.getLogger("mlflow").level
    root.addHandler(handler)
    monkeypatch.setattr(root, "level", logging.INFO)
    for name in ("lightning.pytorch", "mlflow"):  # which keep to handlers of their own once another test has imported them
        monkeypatch.setattr(logging.getLogger(name), "propagate", True)
    yield heard
    root.removeHandler(handler)
    for other in root.handlers:
        other.filters = [known for known in other.filters if type(known).__module__ != "pipelines.quiet"]
    logging.getLogger("mlflow").setLevel(before)
    for name in ("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "ZENML_LOGGING_COLORS_DISABLED"):
        os.environ.pop(name, None)


def test_a_run_says_what_matters_and_not_what_libraries_say_of_themselves(root):
    quieten()
    quieten()
    for name, level, message in (*NOISE, *SAID):
        logging.getLogger(name).log(level, message)
    assert root == SAID
    assert os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] == "false"


def test_what_the_user_set_is_kept(root, monkeypatch):
    monkeypatch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "true")
    quieten()
    assert os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] == "true"
