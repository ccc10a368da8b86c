"""The scores that a run left."""

from mlflow.entities import Run

from ieast.metrics import find_metric


def scores_of_run(run: Run) -> dict[str, float]:
    """The scores of a run that scored a model, by name; earlier versions put them below `evaluation/`, beside their bounds."""
    earlier = {
        key.removeprefix("evaluation/"): value for key, value in run.data.metrics.items() if key.startswith("evaluation/")
    }
    if earlier:
        return {name: value for name, value in earlier.items() if not name.endswith(("_low", "_high"))}
    return {name: value for name, value in run.data.metrics.items() if find_metric(name) is not None}
