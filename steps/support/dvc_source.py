"""Where a dataset came from, as MLflow's dataset inputs record it."""

from pathlib import Path
from typing import Any

from mlflow.data.dataset_source import DatasetSource
from mlflow.data.meta_dataset import MetaDataset

from ieast.config import DataConfig
from ieast.data.versions import DataRef, load_dataset


class DvcDatasetSource(DatasetSource):
    """A folder under DVC at one revision of a git repository."""

    def __init__(self, repository: str, revision: str, path: str):
        self.repository, self.revision, self.path = repository, revision, path

    @staticmethod
    def _get_source_type() -> str:
        return "dvc"

    def load(self, work_folder: str = ".work") -> str:
        """Fetch the dataset; the folder it then lies in."""
        config = DataConfig(repository=self.repository, revision=self.revision, path=self.path)
        return str(load_dataset(config, Path(work_folder)).folder)

    @staticmethod
    def _can_resolve(raw_source: Any) -> bool:
        return isinstance(raw_source, DataConfig)

    @classmethod
    def _resolve(cls, raw_source: Any) -> "DvcDatasetSource":
        return cls(raw_source.repository, raw_source.revision, raw_source.path)

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {"repository": self.repository, "revision": self.revision, "path": self.path}

    @classmethod
    def from_dict(cls, source_dict: dict[Any, Any]) -> "DvcDatasetSource":
        """The source that `to_dict` described."""
        return cls(source_dict["repository"], source_dict["revision"], source_dict["path"])


def dataset_of(data: DataRef, path: str) -> MetaDataset:
    """The dataset version `data`, whose folder in its repository is `path`, as MLflow takes datasets."""
    source = DvcDatasetSource(data.source, data.commit or data.revision, path)
    return MetaDataset(source, name=path, digest=data.md5)  # type: ignore[abstract]  # MLflow leaves `profile` out
