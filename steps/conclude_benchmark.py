"""Step: end the run of a benchmark as its methods ended."""

from zenml import step

from steps.support.comparison_runs import conclude
from steps.support.variant_runs import Outcome


@step(experiment_tracker=True, enable_cache=False)
def conclude_benchmark(outcomes: list[Outcome], showcase: str, work_folder: str) -> None:
    """Say where to look; fail if a method did."""
    also = [f"  pictures            {showcase}", f"  ask people          ieast study build {showcase} -o STUDY"]
    conclude(outcomes, work_folder, "Methods", also)
