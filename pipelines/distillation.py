"""From a dataset version to a compact encoder that imitates a VGG-19."""

from typing import Any

from zenml import pipeline

from ieast.config import DistillationConfig
from pipelines.quiet import quieten
from pipelines.refusal import check_data, check_teacher, refused_plainly
from steps.distill_encoder import distill_encoder
from steps.load_data import load_data
from steps.prepare_images import prepare_images
from steps.support.dead_runs import sign_run


@pipeline(name="distillation_pipeline")
def distillation_pipeline(config: dict[str, Any]) -> None:
    """Load, prepare, distil.

    Args:
        config: The section `parameters: config:` of a file in configs/, see `ieast.config.DistillationConfig`.

    Raises:
        ConfigRefusedError: An unknown key or an unusable value, or a file or revision that is not there, before anything runs.
    """
    quieten()
    sign_run()
    with refused_plainly():
        settings = DistillationConfig.parse(config, "parameters.config")
        check_data(settings.data, settings.work_folder)
        check_teacher(settings.teacher)
    data = load_data(settings.data, settings.work_folder)
    prepared = prepare_images(data, settings.prepare, settings.work_folder)
    distill_encoder(prepared, data, settings)
