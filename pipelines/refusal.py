"""What cannot work is refused before anything runs, in the one line that matters."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from click import ClickException
from zenml.client import Client
from zenml.integrations.mlflow.experiment_trackers import MLFlowExperimentTracker

from ieast.checkpoint import read_card
from ieast.config import DataConfig, TeacherConfig
from ieast.data.versions import check_version
from ieast.errors import ConfigError, IeastError
from ieast.evaluation.evaluate import require_evaluation_weights
from ieast.experiment import ExperimentConfig
from ieast.models.encoder_weights import build_encoder
from ieast.models.references import released_or_folder
from ieast.models.teacher import build_teacher
from ieast.registry.register import named_model
from ieast.registry.store import make_store
from ieast.training.fit import check_start
from pipelines.aftermath import explain_ends
from pipelines.servers import check_servers


class ConfigRefusedError(ClickException, ConfigError):
    """A configuration that cannot work; `zenml pipeline run` shows its message where it shows other errors with a traceback."""


@contextmanager
def refused_plainly() -> Iterator[None]:
    """Turn what a user can mend into a `ConfigRefusedError`, servers that do not answer first."""
    try:
        if _runs_here():
            stack = Client().active_stack
            check_servers(stack)
            if isinstance(stack.experiment_tracker, MLFlowExperimentTracker):
                make_store(stack.experiment_tracker.get_tracking_uri())
            explain_ends()
        yield
    except IeastError as error:
        raise ConfigRefusedError(str(error)) from error


def check_data(config: DataConfig, work_folder: str) -> None:
    """Raise unless there is such a version of the dataset, if steps run on this machine; others may have another.

    Raises:
        DataError: There is not.
    """
    if _runs_here():
        check_version(config, Path(work_folder))


def check_weights(config: ExperimentConfig) -> None:
    """Raise unless the files which training and scoring begin with are there, if steps run on this machine.

    Raises:
        WeightsError: Names the one that is missing.
        ConfigError: The model to start from is of another network or encoder.
    """
    if not _runs_here():
        return
    require_evaluation_weights(config.evaluation)
    build_encoder(config.promotion.encoder)
    if config.objective.loss_network is not None:
        build_encoder(config.objective.loss_network)
    if config.model.start is None:
        build_encoder(config.encoder)
    else:
        check_start(config, read_card(released_or_folder(config.model.start)))


def check_model(model: str) -> None:
    """Raise unless there is a model that can be called `model`, if steps run on this machine.

    Raises:
        WeightsError: There is no such folder.
        RegistryError: There is no such version or run, or the tracking server cannot be reached.
    """
    stack = Client().active_stack
    if not _runs_here():
        return
    if isinstance(stack.experiment_tracker, MLFlowExperimentTracker):
        stack.experiment_tracker.configure_mlflow()  # the store in which the steps will look
    read_card(named_model(model))


def check_teacher(config: TeacherConfig) -> None:
    """Raise unless the weights of the teacher are there and can teach, if steps run on this machine.

    Raises:
        WeightsError: They are not.
    """
    if _runs_here():
        build_teacher(config)


def _runs_here() -> bool:
    return bool(Client().active_stack.orchestrator.config.is_local)
