"""MLflow registries on SQLite for tests, with versions that are made in no time."""

import warnings
from pathlib import Path

import mlflow
from mlflow import MlflowClient

from ieast.registry import served_model
from ieast.registry.pyfunc import SIGNATURE


class Registry:
    """An MLflow of its own, which the tests of one module share; each test takes names of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.uri = f"sqlite:///{folder}/mlflow.db"
        mlflow.set_tracking_uri(self.uri)
        self.client = MlflowClient()
        self.client.search_experiments()  # makes the tables
        self.empty = (folder / "mlflow.db").read_bytes()

    def log(self, model: Path, name: str) -> str:
        """What is logged of the exported `model`, less the code."""
        folder = self.folder / name
        code = str(Path(served_model.__file__))
        with warnings.catch_warnings(action="ignore"):  # that there is no input example
            mlflow.pyfunc.save_model(
                folder, python_model=code, artifacts={"model": str(model)}, signature=SIGNATURE, pip_requirements=["mlflow"]
            )
        return folder.as_uri()

    def add(self, name: str, *sources: str, **tags: str) -> list[str]:
        """Versions of `name`, the last as challenger."""
        if name not in [model.name for model in self.client.search_registered_models(max_results=1000)]:
            self.client.create_registered_model(name)
        numbers = [str(self.client.create_model_version(name, source, tags=tags).version) for source in sources]
        self.client.set_registered_model_alias(name, "challenger", numbers[-1])
        return numbers

    def aliases(self, name: str) -> dict[str, str]:
        return {alias: str(number) for alias, number in self.client.get_registered_model(name).aliases.items()}

    def champion(self, name: str) -> str | None:
        return self.aliases(name).get("champion")

    def tags(self, name: str, number: str) -> dict[str, str]:
        return self.client.get_model_version(name, number).tags
