"""`python -m pipelines.stack [COMMAND ...]`: make the local ZenML stack with MLflow, once; with a command, run that on it.

`python -m pipelines.stack --mlflow URL --artifacts s3://BUCKET/FOLDER` makes one on servers and activates it (docs/scale.md).

What `zenml init` does is done here too, because every command that imports ZenML takes five seconds. It changes the ZenML
configuration that ZENML_CONFIG_PATH names; the Makefile names one of the project's own. A stack that somebody chose for this
folder stays the chosen one: the command gets ours by its environment, for as long as it runs.
"""

import argparse
import os
import socket
import sys
from pathlib import Path
from urllib.parse import urlsplit

from zenml.client import Client
from zenml.config.global_config import GlobalConfiguration
from zenml.constants import ENV_ZENML_ACTIVE_STACK_ID
from zenml.enums import StackComponentType, StoreType
from zenml.integrations.mlflow.experiment_trackers import MLFlowExperimentTracker
from zenml.models import StackResponse
from zenml.stack import Stack

from ieast.errors import ConfigError, IeastError
from pipelines.servers import Servers, check_servers, ensure_server_stack

STACK, COMPONENT = "ieast_local", "ieast_mlflow"
SERVER_STACK = "ieast_servers"
UNCHOSEN = "default"
"""What ZenML activates by itself; it has no MLflow, so that no pipeline here runs on it."""
SERVER_SECONDS = 3.0


def check_server() -> None:
    """Raise unless the ZenML server this configuration is logged in to listens; ZenML itself tries for most of a minute.

    Raises:
        ConfigError: It does not; says what starts it again, and what goes on without it.
    """
    store = GlobalConfiguration().store_configuration
    if store.type != StoreType.REST:
        return
    address = urlsplit(store.url)
    place = (address.hostname or "", address.port or {"https": 443}.get(address.scheme, 80))
    try:
        socket.create_connection(place, SERVER_SECONDS).close()
    except OSError as error:
        local = address.hostname in ("127.0.0.1", "localhost", "::1")
        mend = "`zenml login --local --restart` starts it again, `zenml logout --local` goes on without a server"
        raise ConfigError(
            f"the ZenML server at {store.url} does not answer ({error}): "
            + (mend if local else f"`zenml login {store.url}` logs in again, `zenml logout` goes on without it")
        ) from None


def ensure_stack() -> StackResponse:
    """Make this folder a ZenML repository, register MLflow as experiment tracker and model registry, and a stack of them.

    What exists is kept. The stack is activated for this folder alone, and only where nobody has chosen one.

    Raises:
        ConfigError: ZenML's server does not answer.
    """
    check_server()
    if not Client.is_repository_directory(Path.cwd()):
        Client.initialize()
    client = Client()
    for kind in (StackComponentType.EXPERIMENT_TRACKER, StackComponentType.MODEL_REGISTRY):
        if not client.list_stack_components(type=kind, name=COMPONENT).items:
            client.create_stack_component(name=COMPONENT, flavor="mlflow", component_type=kind, configuration={})
    if not client.list_stacks(name=STACK).items:
        client.create_stack(
            STACK,
            {
                StackComponentType.ORCHESTRATOR: "default",
                StackComponentType.ARTIFACT_STORE: "default",
                StackComponentType.EXPERIMENT_TRACKER: COMPONENT,
                StackComponentType.MODEL_REGISTRY: COMPONENT,
            },
        )
    if client.active_stack_model.name == UNCHOSEN:
        client.activate_stack(STACK)
    return client.get_stack(STACK)


def tracking_uri() -> str:
    """The store MLflow keeps its runs in under the active stack, or else, where that has no MLflow, under ours.

    Raises:
        ConfigError: Neither has.
    """
    client = Client()
    ours = client.list_stacks(name=STACK).items
    for model in (client.active_stack_model, *ours):
        tracker = Stack.from_model(model).experiment_tracker
        if isinstance(tracker, MLFlowExperimentTracker):
            return str(tracker.get_tracking_uri())
    raise ConfigError(f"the active ZenML stack {client.active_stack_model.name} has no MLflow: type `make stack`")


def parse(words: list[str]) -> tuple[Servers | None, str, list[str]]:
    """What `python -m pipelines.stack` was given: servers, the name of their stack, and a command to run.

    Raises:
        ConfigError: One of --mlflow and --artifacts is given without the other.
        SystemExit: What belongs to servers is given without them, or an option is unknown.
    """
    parser = argparse.ArgumentParser(
        "python -m pipelines.stack", description="make a ZenML stack; with a command, run it there"
    )
    parser.add_argument("--mlflow", metavar="URL", help="an MLflow server, in the place of files")
    parser.add_argument("--artifacts", metavar="URL", help="s3://BUCKET/FOLDER, in the place of files")
    parser.add_argument("--endpoint", metavar="URL", help="of an S3 that is not Amazon's")
    parser.add_argument("--secret", metavar="NAME", help="a ZenML secret with the credentials; else they are the environment's")
    parser.add_argument("--name", help=f"of the stack on servers, {SERVER_STACK} by default")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="what to run on the stack")
    given = parser.parse_args(words)
    if (given.mlflow is None) != (given.artifacts is None):
        raise ConfigError("--mlflow and --artifacts go together: ZenML on several machines needs both")
    if given.mlflow is not None:
        return Servers(given.mlflow, given.artifacts, given.endpoint, given.secret), given.name or SERVER_STACK, given.command
    if idle := [f"--{name}" for name in ("endpoint", "secret", "name") if getattr(given, name) is not None]:
        parser.error(f"{', '.join(idle)}: of a stack on servers, which --mlflow and --artifacts make")
    return None, STACK, given.command


def main(words: list[str]) -> int:
    """Make the stack and say where MLflow keeps its runs, or become a command on it; the exit code."""
    try:
        servers, name, command = parse(words)
        stack = ensure_stack()
        client = Client()
        if servers is not None:
            stack = ensure_server_stack(name, servers)
            check_servers(Stack.from_model(stack))
            client.activate_stack(stack.id)
        active = client.active_stack_model.name
        if command:
            if active != name:
                sys.stderr.write(f"on the stack {name}; {active}, which you chose, stays the active one\n")
            # In the place of this process, so that Ctrl-C reaches the command alone, which may have a checkpoint to save.
            os.execvpe(command[0], command, os.environ | {ENV_ZENML_ACTIVE_STACK_ID: str(stack.id)})  # noqa: S606
        if active != name:
            sys.stderr.write(f"the active stack is {active}, as you chose; `zenml stack set {name}` chooses the project's\n")
        sys.stdout.write(f"{tracking_uri()}\n")
    except IeastError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
