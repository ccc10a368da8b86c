"""Step: end the run of an ablation as its variants ended."""

from zenml import step

from steps.support.comparison_runs import conclude
from steps.support.variant_runs import Outcome


@step(experiment_tracker=True, enable_cache=False)
def conclude_ablation(outcomes: list[Outcome], work_folder: str) -> None:
    """Say where to look; fail if a variant did."""
    conclude(outcomes, work_folder, "Variants")
