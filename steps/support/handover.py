"""What a step takes over from another that may have run on another machine: folders are fetched where they are not.

Steps on one machine share folders, and nothing is copied. Where the artifact store is not on this machine, prepared pictures
are handed over in it.
"""

from pathlib import Path

from zenml.artifact_stores import BaseArtifactStore
from zenml.client import Client

from ieast.config import PrepareConfig
from ieast.data.handover import located, pack, unpack
from ieast.data.prepare import PreparedDataset, preparation_key
from ieast.data.versions import DataRef, refetch
from ieast.errors import DataError

FOLDER = "ieast"
"""In the artifact store, beside ZenML's own."""


def data_at_hand(data: DataRef, work_folder: str) -> DataRef:
    """`data` with its files on this machine.

    Raises:
        DataError: They are not, and cannot be fetched.
    """
    return refetch(data, Path(work_folder))


def was_prepared(data: DataRef, config: PrepareConfig, work_folder: str) -> bool:
    """Whether the pictures that `config` makes of `data` are here, brought from the artifact store if need be."""
    key = preparation_key(config, data.md5)
    store = _shared_store()
    if store is None:
        return False
    return unpack(key, Path(work_folder), store, _root(store)) is not None


def hand_over(prepared: PreparedDataset) -> None:
    """Let other machines have `prepared`, if the artifact store is one that they reach."""
    if (store := _shared_store()) is not None:
        pack(prepared, store, _root(store))


def prepared_at_hand(prepared: PreparedDataset, work_folder: str) -> PreparedDataset:
    """`prepared` with its files on this machine.

    Raises:
        DataError: They are not, and no store holds them.
    """
    if (here := located(prepared, Path(prepared.folder))) is not None:
        return here
    store = _shared_store()
    folder = None if store is None else unpack(prepared.key, Path(work_folder), store, _root(store))
    if folder is not None and (here := located(prepared, folder)) is not None:
        return here
    raise DataError(
        f"the prepared pictures in {prepared.folder} are not on this machine, and no artifact store that machines share holds "
        "them: run all steps on one machine, share the work folder, or use a stack with such a store (docs/scale.md)"
    )


def _shared_store() -> BaseArtifactStore | None:
    store = Client().active_stack.artifact_store
    return None if store.config.is_local else store


def _root(store: BaseArtifactStore) -> str:
    return f"{store.path.rstrip('/')}/{FOLDER}"
