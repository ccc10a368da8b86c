"""From a dataset version to a registered, promoted model."""

from zenml import Model, pipeline

from ieast.config import ExperimentConfig
from steps.evaluate_model import evaluate_model
from steps.load_data import load_data
from steps.prepare_images import prepare_images
from steps.promote_model import promote_model
from steps.register_model import register_model
from steps.train_model import train_model


@pipeline(name="training_pipeline", model=Model(name="ieast"))
def training_pipeline(config: ExperimentConfig) -> None:
    """Load, prepare, train, evaluate, register, promote.

    Args:
        config: The section `parameters: config:` of a file in configs/; unknown keys are errors.
    """
    data = load_data(config.data, config.work_folder)
    prepared = prepare_images(data, config.prepare, config.work_folder)
    model = train_model(prepared, data, config)
    scores, _report = evaluate_model(model, prepared, config)
    version = register_model(model, scores, data, prepared, config)
    promote_model(version, model, scores, prepared, config)
