"""From a dataset version to a registered, promoted model."""

from typing import Any

from zenml import Model, pipeline

from ieast.experiment import ExperimentConfig
from pipelines.quiet import quieten
from pipelines.refusal import check_data, check_weights, refused_plainly
from steps.check_data import check_data as compare_data
from steps.evaluate_model import evaluate_model
from steps.load_data import load_data
from steps.prepare_images import prepare_images
from steps.promote_model import promote_model
from steps.register_model import register_model
from steps.support.dead_runs import sign_run
from steps.train_model import train_model


@pipeline(name="training_pipeline", model=Model(name="ieast"))
def training_pipeline(config: dict[str, Any]) -> None:
    """Load, prepare, compare the data with the champion's, train, evaluate, register, promote.

    Args:
        config: The section `parameters: config:` of a file in configs/, see `ieast.config.ExperimentConfig`.

    Raises:
        ConfigRefusedError: An unknown key or an unusable value, or a file or revision that is not there, before anything runs.
    """
    quieten()
    sign_run()
    with refused_plainly():
        settings = ExperimentConfig.parse(config, "parameters.config")
        check_data(settings.data, settings.work_folder)
        check_weights(settings)
    data = load_data(settings.data, settings.work_folder)
    prepared = prepare_images(data, settings.prepare, settings.work_folder)
    changes = compare_data(prepared, settings)
    model = train_model(prepared, data, settings, after=["check_data"])
    scores, _report = evaluate_model(model, prepared, data, changes, settings)
    version = register_model(model, scores, data, settings)
    promote_model(version, model, scores, prepared, settings)
