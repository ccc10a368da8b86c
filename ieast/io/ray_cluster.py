"""Work shared by several processes or nodes, by Ray Data."""

import logging
import os
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from typing import Any

from ieast.errors import ConfigError
from ieast.installation import install_with


def require_ray() -> None:
    """Raise unless Ray can be used.

    Raises:
        ConfigError: It is not installed.
    """
    if find_spec("ray") is None:
        raise ConfigError(f"several processes share the work by Ray, which is not installed: {install_with('ray')}")


def shared_out(
    rows: Sequence[dict[str, Any]],
    worker: type,
    arguments: tuple[Any, ...],
    *,
    processes: int,
    size: int,
    gpus: int | None = None,
) -> Iterator[dict[str, Any]]:
    """What workers make of `rows`, as they are done, on this machine or the cluster that Ray is connected to.

    Args:
        rows: The work; each value one that Arrow holds.
        worker: A class whose objects take a pandas table of some of the rows and give one of results.
        arguments: That it is made with, once in each process.
        processes: How many share the work.
        size: Rows that a worker gets at a time.
        gpus: Of each process.

    Raises:
        ConfigError: Ray is not installed.
    """
    require_ray()
    import ray

    if not ray.is_initialized():
        # A process that computes with one thread where this one has two would round otherwise.
        threads = os.environ.get("OMP_NUM_THREADS")
        environment: dict[str, Any] = {"env_vars": {"OMP_NUM_THREADS": threads}} if threads else {}
        ray.init(
            num_cpus=None if os.environ.get("RAY_ADDRESS") else max(processes, os.cpu_count() or 1),
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            runtime_env=environment,
        )
    ray.data.DataContext.get_current().enable_progress_bars = False
    dataset = ray.data.from_items(list(rows), override_num_blocks=-(-len(rows) // size)).map_batches(
        worker,
        fn_constructor_args=arguments,
        batch_size=size,
        batch_format="pandas",
        compute=ray.data.ActorPoolStrategy(size=processes),
        num_gpus=gpus,
    )
    yield from dataset.iter_rows()
