"""What a pipeline run says: its steps, progress, scores and where to look, and not what libraries say of themselves."""

import logging
import os
import re
import sys

from zenml.logger import init_logging

_NOISE = (
    r"Failed to disable MLflow autologging",  # for each step, of a library that is not installed
    r"You can visualize your pipeline runs",  # and advice, `zenml login --local`, that local runs do not survive
    r"Models can be viewed in the dashboard using",
    r"Using user: |  [a-z_]+: ",  # the parts of the stack, whose name is said
)
# Whichever was imported last by anyone speaks for both.
_LIGHTNING = ("lightning", "pytorch_lightning")
_NOISY = re.compile("|".join(_NOISE))


class _Filter(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING and record.name.startswith(_LIGHTNING):
            return False
        return not (record.name.startswith("zenml") and _NOISY.match(record.getMessage()))


def quieten() -> None:
    """Keep the noise of libraries out of what this process says from here on, and colours out of what is not a terminal.

    A server that is away is asked again for some seconds, where MLflow's client would go on for minutes.
    """
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")  # 14 seconds; with MLflow's own 7 a dead server is 4 minutes
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # after every step; the last words name it
    if "ZENML_LOGGING_COLORS_DISABLED" not in os.environ and not (sys.__stdout__ and sys.__stdout__.isatty()):
        os.environ["ZENML_LOGGING_COLORS_DISABLED"] = "true"
        init_logging()  # which reads that again
    for library in ("mlflow", "botocore", "aiobotocore"):  # which say at every step where they have credentials from
        logging.getLogger(library).setLevel(logging.WARNING)
    for handler in logging.getLogger().handlers:
        if not any(isinstance(known, _Filter) for known in handler.filters):
            handler.addFilter(_Filter())
