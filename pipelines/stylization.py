"""From a dataset version or folders, and a model, to a version of stylizations."""

from typing import Any

from zenml import pipeline

from ieast.config import BatchConfig
from ieast.stylization.batch import check_batch
from pipelines.quiet import quieten
from pipelines.refusal import check_data, refused_plainly
from steps.load_data import load_data
from steps.stylize_contents import stylize_contents
from steps.support.dead_runs import sign_run


@pipeline(name="stylization_pipeline")
def stylization_pipeline(config: dict[str, Any]) -> Any:
    """Load the dataset version, if one is asked for, and stylize; the same command makes only what is missing or changed.

    Returns:
        The folder of the results, which a deployed pipeline answers with.

    Args:
        config: The section `parameters: config:` of configs/stylization.yaml, see `ieast.config.BatchConfig`.

    Raises:
        ConfigRefusedError: An unknown key or an unusable value, or a file or revision that is not there, before anything runs.
    """
    quieten()
    sign_run()
    with refused_plainly():
        settings = BatchConfig.parse(config, "parameters.config")
        check_batch(settings)
        if settings.data is not None:
            check_data(settings.data, settings.work_folder)
    data = load_data(settings.data, settings.work_folder) if settings.data is not None else None
    _report, _manifest, results = stylize_contents(data, settings)
    return results
