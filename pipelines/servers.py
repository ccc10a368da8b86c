"""A ZenML stack on servers: an MLflow server, and S3 or another object store for artifacts.

Credentials stay where they are: in the environment of whoever runs, or in a ZenML secret that the stack names. Neither the
stack nor a log holds them.
"""

import os
import threading
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from zenml.artifact_stores import BaseArtifactStore
from zenml.client import Client
from zenml.enums import StackComponentType
from zenml.integrations.mlflow.experiment_trackers import MLFlowExperimentTracker
from zenml.models import StackResponse
from zenml.stack import Stack

from ieast.errors import ConfigError
from ieast.registry.server import PASSWORD, TOKEN, USERNAME, check_mlflow, refuse_silence
from ieast.registry.store import redacted

KEY, SECRET = "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"
WRITE_SECONDS = 20
_FLAVORS = {"s3": "s3", "gs": "gcp", "az": "azure", "abfs": "azure"}
_PATIENCE = {"connect_timeout": 5, "read_timeout": 20, "retries": {"max_attempts": 3}}
"""Of S3's client: its own is minutes."""
_PROBE = "ieast-probe"


@dataclass(frozen=True)
class Servers:
    """What a stack on servers is made of.

    Attributes:
        mlflow: Address of an MLflow server, without credentials.
        artifacts: Where ZenML keeps artifacts: `s3://BUCKET/FOLDER`, `gs://...`, or `az://...`.
        endpoint: Of an S3 that is not Amazon's; none: as AWS_ENDPOINT_URL says.
        secret: A ZenML secret with the credentials, under the names of their variables; none: they stay in the environment.
    """

    mlflow: str
    artifacts: str
    endpoint: str | None = None
    secret: str | None = None


def ensure_server_stack(name: str, servers: Servers) -> StackResponse:
    """Register a stack on `servers`, or bring the one of that name up to date.

    Raises:
        ConfigError: An address is none, holds a password, or a credential is missing where it has to be.
    """
    client = Client()
    components = {
        StackComponentType.EXPERIMENT_TRACKER: ("mlflow", _tracker(servers)),
        StackComponentType.MODEL_REGISTRY: ("mlflow", {}),
        StackComponentType.ARTIFACT_STORE: (_flavor(servers.artifacts), _artifact_store(servers)),
    }
    for kind, (flavor, configuration) in components.items():
        known = client.list_stack_components(type=kind, name=name).items
        if not known:
            client.create_stack_component(name=name, flavor=flavor, component_type=kind, configuration=configuration)
        elif known[0].flavor_name != flavor:
            raise ConfigError(
                f"the ZenML {kind.value} {name} is of the flavour {known[0].flavor_name}: give the new stack another name "
                "by --name"
            )
        elif known[0].configuration != configuration:
            client.update_stack_component(known[0].id, kind, configuration=configuration)
    wanted, parts = _secrets(servers), dict.fromkeys(components, name)
    if not client.list_stacks(name=name).items:
        client.create_stack(name, parts | {StackComponentType.ORCHESTRATOR: "default"}, secrets=wanted)
    else:
        others = [secret for secret in _had(client, name) if secret not in wanted]
        # The orchestrator stays: somebody may have put a cluster's in the place of the default.
        client.update_stack(name, component_updates=parts, add_secrets=wanted, remove_secrets=others)
    return client.get_stack(name)


def _had(client: Client, stack: str) -> list[str]:
    """The secrets that the stack gives to its steps so far."""
    return [client.get_secret(secret).name for secret in client.get_stack(stack).secrets or []]


def check_servers(stack: Stack) -> None:
    """Raise unless the stack's MLflow server and artifact store answer and let us in, in less than half a minute.

    Files on this machine are not looked at.

    Raises:
        ConfigError: One does not; names it, and says what to do.
    """
    # First, because MLflow's files often lie in the same storage: its server would be named for what that one does.
    if not stack.artifact_store.config.is_local:
        check_artifact_store(stack.artifact_store)
    tracker = stack.experiment_tracker
    if isinstance(tracker, MLFlowExperimentTracker):
        check_mlflow(tracker.get_tracking_uri())


def check_artifact_store(store: BaseArtifactStore) -> None:
    """Raise unless a file can be written to the artifact store.

    Raises:
        ConfigError: It cannot.
    """
    if endpoint := _endpoint(store):
        refuse_silence(
            endpoint, f"the S3 endpoint {endpoint} of the artifact store {store.path}", "start it, or correct the address"
        )
    errors: list[BaseException | None] = []
    # In a thread that may be left behind: the clients of storages wait and retry for minutes.
    probe = threading.Thread(target=lambda: errors.append(_write_failure(store)), daemon=True)
    probe.start()
    probe.join(WRITE_SECONDS)
    if not errors:
        raise ConfigError(
            f"the artifact store {store.path} does not take a file within {WRITE_SECONDS} seconds: see that it works, and run "
            "the same command again"
        )
    if errors[0] is not None:
        raise ConfigError(f"the artifact store {store.path} takes no files: {explained_storage(errors[0])}")


def _write_failure(store: BaseArtifactStore) -> BaseException | None:
    path = f"{store.path.rstrip('/')}/{_PROBE}"
    try:
        with store.open(path, "wb") as file:
            file.write(b"ieast")
        store.remove(path)
    except Exception as error:  # each kind of storage has its own
        return error
    return None


def explained_storage(error: BaseException) -> str:
    """What is wrong with a storage, and what to do, by the error that it raised."""
    text = " ".join(f"{type(each).__name__}: {each}" for each in (error, error.__cause__) if each is not None)
    for signs, advice in _SIGNS:
        if any(sign in text for sign in signs):
            return f"{advice} ({redacted(str(error))[:300]})"
    return f"{redacted(text)[:400]}. Mend it, and run the same command again"


_SIGNS = (
    (("NoSuchBucket", "bucket does not exist"), "there is no such bucket: make it, or correct the address"),
    (
        (
            "InvalidAccessKeyId",
            "SignatureDoesNotMatch",
            "AccessDenied",
            "Access Denied",
            "Forbidden",
            "ExpiredToken",
            "PermissionError",
        ),
        f"the key is not one that may write there: correct {KEY} and {SECRET}, or the ZenML secret that the stack names",
    ),
    (
        ("NoCredentials", "Unable to locate credentials"),
        f"there are no credentials: set {KEY} and {SECRET}, or name a ZenML secret",
    ),
    (
        ("StorageFull", "QuotaExceeded", "InsufficientStorage", "507"),
        "it is full: make room, and run the same command again; what is on this machine is kept",
    ),
    (("EndpointConnectionError", "Could not connect", "ConnectTimeout", "Connection refused"), "it does not answer"),
)


def _endpoint(store: BaseArtifactStore) -> str | None:
    if not store.path.startswith("s3://"):
        return None
    chosen = (getattr(store.config, "client_kwargs", None) or {}).get("endpoint_url")
    return chosen or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")


def _flavor(artifacts: str) -> str:
    scheme, _, place = artifacts.partition("://")
    if scheme not in _FLAVORS or not place:
        raise ConfigError(f"--artifacts is {artifacts}: give s3://BUCKET/FOLDER, gs://BUCKET/FOLDER or az://CONTAINER/FOLDER")
    return _FLAVORS[scheme]


def _tracker(servers: Servers) -> dict[str, Any]:
    address = urlsplit(servers.mlflow)
    if address.scheme not in ("http", "https"):
        raise ConfigError(
            f"--mlflow is {redacted(servers.mlflow)}: give the address of an MLflow server, http://... or https://..."
        )
    if address.password is not None:
        raise ConfigError(
            f"--mlflow holds a password, which the stack would keep: give http://{address.hostname}..., and the password by "
            f"{USERNAME} and {PASSWORD}, or by a ZenML secret"
        )
    held = set(_secret_names(servers))
    if {USERNAME, PASSWORD} <= held:
        signing = {
            "tracking_username": f"{{{{{servers.secret}.{USERNAME}}}}}",
            "tracking_password": f"{{{{{servers.secret}.{PASSWORD}}}}}",
        }
    elif TOKEN in held:
        signing = {"tracking_token": f"{{{{{servers.secret}.{TOKEN}}}}}"}
    elif os.environ.get(TOKEN):
        raise ConfigError(
            f"a token for MLflow has to lie in a ZenML secret, because ZenML sets {TOKEN} itself: type "
            f"`zenml secret create NAME --{TOKEN}=...`, and give --secret NAME"
        )
    else:
        # ZenML asks for a credential. MLflow takes a name and a password in the environment before this token, and a server
        # without accounts looks at none.
        signing = {"tracking_token": "none"}
    return {"tracking_uri": servers.mlflow.rstrip("/"), **signing}


def _artifact_store(servers: Servers) -> dict[str, Any]:
    configuration: dict[str, Any] = {"path": servers.artifacts.rstrip("/")}
    if _flavor(servers.artifacts) != "s3":
        return configuration
    configuration["config_kwargs"] = _PATIENCE
    if servers.endpoint:
        configuration["client_kwargs"] = {"endpoint_url": servers.endpoint}
    if {KEY, SECRET} <= set(_secret_names(servers)):
        configuration |= {"key": f"{{{{{servers.secret}.{KEY}}}}}", "secret": f"{{{{{servers.secret}.{SECRET}}}}}"}
    return configuration


def _secret_names(servers: Servers) -> list[str]:
    if servers.secret is None:
        return []
    try:
        return list(Client().get_secret(servers.secret).secret_values)
    except KeyError:
        raise ConfigError(
            f"there is no ZenML secret {servers.secret}: type `zenml secret create {servers.secret} --{KEY}=... --{SECRET}=... "
            f"--{USERNAME}=... --{PASSWORD}=...`"
        ) from None


def _secrets(servers: Servers) -> list[str]:
    """What every step gets into its environment, for MLflow's and DVC's clients."""
    return [servers.secret] if servers.secret else []
