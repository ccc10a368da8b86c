"""Whether servers answer, asked before work begins that needs them."""

import socket
from urllib.parse import urlsplit

from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.rest_utils import http_request

from ieast.errors import ConfigError
from ieast.registry.store import redacted

USERNAME, PASSWORD = "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"
ANSWER_SECONDS = 5


def check_mlflow(address: str) -> None:
    """See that the MLflow server at `address` answers to our credentials; a database or a folder is no server.

    Raises:
        ConfigError: It does not.
    """
    if urlsplit(address).scheme not in ("http", "https"):
        return
    shown = redacted(address)
    check_listens(
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


def check_listens(address: str, what: str, remedy: str) -> None:
    """See that something listens at `address`, which messages call `what`; `remedy` says what to do if not.

    Raises:
        ConfigError: Nothing does.
    """
    parts = urlsplit(address)
    place = (parts.hostname or "", parts.port or {"https": 443}.get(parts.scheme, 80))
    try:
        socket.create_connection(place, ANSWER_SECONDS).close()
    except OSError as error:
        raise ConfigError(f"{what} does not answer ({error}): {remedy}") from None
