"""`python -m pipelines.ui`: MLflow's UI and ZenML's dashboard on the loopback address, until Ctrl-C.

`zenml login --local` would also start a dashboard, but it turns the client's configuration over to that server, and pipelines
fail once it stops. Here the dashboard only reads the same database.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

from zenml.config.global_config import GlobalConfiguration

from pipelines.stack import tracking_uri

HOST = "127.0.0.1"
MLFLOW_PORT = int(os.environ.get("MLFLOW_PORT", "5000"))
ZENML_PORT = int(os.environ.get("ZENML_PORT", "8237"))
START_SECONDS = 120


def mlflow_command(store: str) -> list[str]:
    """MLflow's UI over `store`."""
    return [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", store, "--host", HOST, "--port", str(MLFLOW_PORT)]


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


def main() -> int:
    """Start both, say where they are, and stop both together."""
    for name, port in (("MLFLOW_PORT", MLFLOW_PORT), ("ZENML_PORT", ZENML_PORT)):
        if _answers(port):
            sys.stderr.write(f"port {port} is taken; choose another: make ui {name}=...\n")
            return 2
    log = Path(GlobalConfiguration().config_directory, "ui.log")
    command, environment = zenml_command()
    signal.signal(signal.SIGTERM, _as_interrupt)
    with log.open("w") as output:
        servers = [
            subprocess.Popen(mlflow_command(tracking_uri()), stdout=output, stderr=output),
            subprocess.Popen(command, env=environment, stdout=output, stderr=output),
        ]
        try:
            if not _wait_for_start(servers):
                sys.stderr.write(f"a server did not start; the reason stands in {log}\n")
                return 1
            sys.stdout.write(f"MLflow   http://{HOST}:{MLFLOW_PORT}\nZenML    http://{HOST}:{ZENML_PORT}\n")
            sys.stdout.write(f"log      {log}\nCtrl-C stops both\n")
            sys.stdout.flush()
            while all(server.poll() is None for server in servers):
                time.sleep(0.5)
            sys.stderr.write(f"a server has stopped; the reason stands in {log}\n")
        except KeyboardInterrupt:
            return 0
        finally:
            for signum in (signal.SIGINT, signal.SIGTERM):
                signal.signal(signum, signal.SIG_IGN)  # one is enough; a second would leave a server behind
            for server in servers:
                server.terminate()
            for server in servers:
                server.wait()
    return 1


def _wait_for_start(servers: list[subprocess.Popen[bytes]]) -> bool:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if any(server.poll() is not None for server in servers):
            return False
        if _answers(MLFLOW_PORT) and _answers(ZENML_PORT):
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
