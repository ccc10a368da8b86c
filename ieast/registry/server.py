"""Whether an MLflow server answers, and to our credentials, before minutes are spent on asking again."""

import socket
from urllib.parse import urlsplit

from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.rest_utils import http_request

from ieast.errors import ConfigError
from ieast.registry.store import redacted

USERNAME, PASSWORD, TOKEN = "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN"
ANSWER_SECONDS = 5


def check_mlflow(address: str) -> None:
    """Raise unless the MLflow server at `address` answers to our credentials; a database or a folder is no server.

    Raises:
        ConfigError: It does not.
    """
    if urlsplit(address).scheme not in ("http", "https"):
        return
    shown = redacted(address)
    refuse_silence(
        address, f"the MLflow server {shown}", "start it, or give the right address to `python -m pipelines.stack --mlflow`"
    )
    try:
        answer = http_request(
            get_default_host_creds(address),
            "/api/2.0/mlflow/experiments/search",
            "POST",
            timeout=ANSWER_SECONDS,
            max_retries=0,
            raise_on_status=False,
            json={"max_results": 1},
        )
    except Exception as error:  # of requests and of MLflow, for each of the ways to have no answer
        raise ConfigError(
            f"the MLflow server {shown} does not answer ({redacted(str(error))[:300]}): see its log, and run the same command "
            "again"
        ) from None
    if answer.status_code in (401, 403):
        raise ConfigError(
            f"the MLflow server {shown} refuses the credentials it was given (HTTP {answer.status_code}): set {USERNAME} and "
            f"{PASSWORD}, or mend the ZenML secret that the stack names"
        )
    if answer.status_code != 200:
        raise ConfigError(
            f"{shown} does not answer as an MLflow server does (HTTP {answer.status_code}): see its log, or correct the address"
        )


def refuse_silence(address: str, what: str, remedy: str) -> None:
    """Raise unless something listens at `address`; the error calls it `what` and ends with the `remedy`.

    Raises:
        ConfigError: Nothing does.
    """
    parts = urlsplit(address)
    place = (parts.hostname or "", parts.port or {"https": 443}.get(parts.scheme, 80))
    try:
        socket.create_connection(place, ANSWER_SECONDS).close()
    except OSError as error:
        raise ConfigError(f"{what} does not answer ({error}): {remedy}") from None
