"""Every method of the paper's tables on the same data, encoder, pairs and clips."""

from typing import Any

from zenml import pipeline
from zenml.enums import ExecutionMode

from ieast.experiment import BenchmarkConfig
from pipelines.quiet import quieten
from pipelines.refusal import check_data, check_model, check_weights, refused_plainly
from steps.benchmark_method import benchmark_method
from steps.conclude_benchmark import conclude_benchmark
from steps.load_data import load_data
from steps.prepare_images import prepare_images
from steps.report_benchmark import report_benchmark
from steps.support.dead_runs import sign_run


# A method's error is an outcome and no failure of its step; what fails a step, such as Ctrl-C, is to stop the rest too.
@pipeline(name="benchmark_pipeline", execution_mode=ExecutionMode.STOP_ON_FAILURE)
def benchmark_pipeline(config: dict[str, Any]) -> None:
    """One prepared dataset, one MLflow run a method below that of the pipeline, one report, one folder of pictures.

    Methods do not depend on each other: orchestrators that can, run them in parallel. One that fails does not stop the others;
    the same command then makes what is missing.

    Args:
        config: The section `parameters: config:` of configs/benchmark.yaml, see `ieast.config.BenchmarkConfig`.

    Raises:
        ConfigRefusedError: An unknown key or an unusable value, or a file or revision that is not there, before anything runs.
    """
    quieten()
    sign_run()
    with refused_plainly():
        settings = BenchmarkConfig.parse(config, "parameters.config")
        shared = settings.cell(settings.methods[0])
        check_data(shared.data, settings.work_folder)
        for entry in settings.methods:
            if entry.model is None:
                check_weights(settings.cell(entry))
            else:
                check_model(entry.model)
    data = load_data(shared.data, settings.work_folder)
    prepared = prepare_images(data, shared.prepare, settings.work_folder)
    for entry in settings.methods:
        benchmark_method(prepared, data, settings, entry, id=entry.name.replace("+", "-"))
    names = [entry.name.replace("+", "-") for entry in settings.methods]
    _report, outcomes, showcase = report_benchmark(prepared, data, settings, after=names)
    conclude_benchmark(outcomes, showcase, settings.work_folder)
