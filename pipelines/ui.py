"""`python -m pipelines.ui`: MLflow's UI, ZenML's dashboard and a first page, on the loopback address, until Ctrl-C.

`zenml login --local` would also start a dashboard, but it turns the client's configuration over to that server, and pipelines
fail once it stops. Here the dashboard only reads the same database.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from types import FrameType
from urllib.parse import urlsplit

from zenml.client import Client
from zenml.config.global_config import GlobalConfiguration
from zenml.constants import FINISHED_ONBOARDING_SURVEY_KEY

from ieast.errors import IeastError
from ieast.registry.addresses import ui_address
from ieast.registry.landing import landing_page, serve_landing
from ieast.registry.store import make_store
from pipelines.stack import check_server, tracking_uri

HOST = "127.0.0.1"
MLFLOW_PORT = int(os.environ.get("MLFLOW_PORT", "5000"))
ZENML_PORT = int(os.environ.get("ZENML_PORT", "8237"))
LANDING_PORT = int(os.environ.get("UI_PORT", "8236"))
START_SECONDS = 120


def mlflow_command(store: str) -> tuple[list[str], dict[str, str]]:
    """MLflow's UI over `store`, and its environment: for one person, by one worker, and without what runs evaluations."""
    place = ["--host", HOST, "--port", str(MLFLOW_PORT), "--workers", "1"]
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", store, *place]
    return command, os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}


def zenml_command() -> tuple[list[str], dict[str, str]]:
    """ZenML's server over the client's own database, and its environment. Only this machine reaches it: no password."""
    command = [
        sys.executable,
        "-m",
        "uvicorn",
        "zenml.zen_server.zen_server_api:app",
        "--host",
        HOST,
        "--port",
        str(ZENML_PORT),
    ]
    settings = {
        "ZENML_SERVER": "true",
        "ZENML_CONFIG_PATH": str(GlobalConfiguration().config_directory),
        "ZENML_SERVER_AUTH_SCHEME": "NO_AUTH",
        "ZENML_SERVER_DEPLOYMENT_TYPE": "local",
        "ZENML_SERVER_AUTO_ACTIVATE": "true",
        "ZENML_SERVER_ALLOW_LOCAL_FILE_ACCESS": "true",
        "ZENML_DISABLE_DATABASE_MIGRATION": "true",
    }
    return [*command, "--log-level", "warning"], os.environ | settings


def skip_survey() -> None:
    """Let ZenML's dashboard begin with the runs: without this it asks for a name and an address first."""
    client = Client()
    user = client.active_user
    if FINISHED_ONBOARDING_SURVEY_KEY not in user.user_metadata:
        metadata = {**user.user_metadata, FINISHED_ONBOARDING_SURVEY_KEY: True}
        client.update_user(user.id, updated_email_opt_in=False, updated_metadata=metadata)


def main() -> int:
    """Start all, say where they are, and stop all together."""
    try:
        check_server()
        store = tracking_uri()
        make_store(store)
    except IeastError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    remote = urlsplit(store).scheme in ("http", "https")
    ports = {"UI_PORT": LANDING_PORT, "ZENML_PORT": ZENML_PORT} | ({} if remote else {"MLFLOW_PORT": MLFLOW_PORT})
    for name, port in ports.items():
        if _answers(port):
            sys.stderr.write(f"port {port} is taken; choose another: make ui {name}=...\n")
            return 2
    skip_survey()
    log = Path(GlobalConfiguration().config_directory, "ui.log")
    commands = [zenml_command()] + ([] if remote else [mlflow_command(store)])
    mlflow_ui, zenml_ui = ui_address(store), f"http://{HOST}:{ZENML_PORT}/projects/{Client().active_project.name}/runs"
    signal.signal(signal.SIGTERM, _as_interrupt)
    landing = serve_landing((HOST, LANDING_PORT), partial(landing_page, store, mlflow_ui, zenml_ui))
    with log.open("w") as output:
        servers = [
            subprocess.Popen(command, env=environment, stdout=output, stderr=output) for command, environment in commands
        ]
        try:
            if not _wait_for_start(servers, list(ports.values())):
                sys.stderr.write(f"a server did not start; the reason stands in {log}\n")
                return 1
            sys.stdout.write(f"begin at http://{HOST}:{LANDING_PORT}\nMLflow   {mlflow_ui}\nZenML    {zenml_ui}\n")
            sys.stdout.write(f"log      {log}\nCtrl-C stops all\n")
            sys.stdout.flush()
            while all(server.poll() is None for server in servers):
                time.sleep(0.5)
            sys.stderr.write(f"a server has stopped; the reason stands in {log}\n")
        except KeyboardInterrupt:
            return 0
        finally:
            for signum in (signal.SIGINT, signal.SIGTERM):
                signal.signal(signum, signal.SIG_IGN)  # one is enough; a second would leave a server behind
            landing.shutdown()
            for server in servers:
                server.terminate()
            for server in servers:
                server.wait()
    return 1


def _wait_for_start(servers: list[subprocess.Popen[bytes]], ports: list[int]) -> bool:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if any(server.poll() is not None for server in servers):
            return False
        if all(_answers(port) for port in ports):
            return True
        time.sleep(0.5)
    return False


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def _as_interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
