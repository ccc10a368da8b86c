"""The paper's ablation: with and without external learning (EL) and contrastive learning (CL), times seeds."""

from typing import Any

from zenml import pipeline
from zenml.enums import ExecutionMode

from ieast.experiment import AblationConfig
from pipelines.quiet import quieten
from pipelines.refusal import check_data, check_weights, refused_plainly
from steps.conclude_ablation import conclude_ablation
from steps.load_data import load_data
from steps.prepare_images import prepare_images
from steps.report_ablation import report_ablation
from steps.support.dead_runs import sign_run
from steps.train_variant import train_variant


# A variant's error is an outcome and no failure of its step; what fails a step, such as Ctrl-C, is to stop the rest too.
@pipeline(name="ablation_pipeline", execution_mode=ExecutionMode.STOP_ON_FAILURE)
def ablation_pipeline(config: dict[str, Any]) -> None:
    """One prepared dataset, one MLflow run a variant and seed below that of the pipeline, one report.

    Variants do not depend on each other: orchestrators that can, run them in parallel. One that fails does not stop the others;
    the same command then trains what is missing.

    Args:
        config: The section `parameters: config:` of configs/ablation.yaml, see `ieast.config.AblationConfig`.

    Raises:
        ConfigRefusedError: An unknown key or an unusable value, or a file or revision that is not there, before anything runs.
    """
    quieten()
    sign_run()
    with refused_plainly():
        settings = AblationConfig.parse(config, "parameters.config")
        check_data(settings.experiment.data, settings.work_folder)
        check_weights(settings.experiment)
    data = load_data(settings.experiment.data, settings.work_folder)
    prepared = prepare_images(data, settings.experiment.prepare, settings.work_folder)
    trained = []
    for seed in settings.seeds:  # outermost: what is done first compares all variants
        for variant in settings.variants:
            name = f"{variant}-seed-{seed}"
            train_variant(prepared, data, settings.cell(variant, seed), variant, seed, id=name)
            trained.append(name)
    _report, outcomes = report_ablation(prepared, data, settings, after=trained)
    conclude_ablation(outcomes, settings.work_folder)
