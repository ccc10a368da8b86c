"""Work shared by several processes or nodes, by Ray Data."""

import logging
import os
from collections.abc import Callable, Iterator, Sequence
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
    work: Callable[..., Any],
    *,
    processes: int,
    size: int,
    arguments: tuple[Any, ...] = (),
    gpus: int | None = None,
) -> Iterator[dict[str, Any]]:
    """What workers make of `rows`, as they are done, on this machine or the cluster that Ray is connected to.

    Args:
        rows: The work; each value one that Arrow holds.
        work: Gives a pandas table of results for one of some of the rows: a function, or a class whose objects do so, which are
            made in processes of their own, for what takes long to load.
        processes: How many share the work, at most: there is one for each `size` rows in any case.
        size: Rows that a process gets at a time.
        arguments: That the class is made with.
        gpus: Of each process.

    Raises:
        ConfigError: Ray is not installed.
    """
    require_ray()
    import ray

    if not ray.is_initialized():
        # A process that computes with one thread where this one has two would round otherwise. Processes of this machine
        # inherit the variable; told to Ray, it would have each of them started anew, which takes twice as long.
        threads, elsewhere = os.environ.get("OMP_NUM_THREADS"), os.environ.get("RAY_ADDRESS")
        environment: dict[str, Any] = {"env_vars": {"OMP_NUM_THREADS": threads}} if threads and elsewhere else {}
        ray.init(
            num_cpus=None if elsewhere else max(processes, os.cpu_count() or 1),
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            runtime_env=environment,
        )
    ray.data.DataContext.get_current().enable_progress_bars = False
    blocks = -(-len(rows) // size)
    pool = ray.data.ActorPoolStrategy if isinstance(work, type) else ray.data.TaskPoolStrategy
    dataset = ray.data.from_items(list(rows), override_num_blocks=blocks).map_batches(
        work,
        fn_constructor_args=arguments if isinstance(work, type) else None,
        batch_size=size,
        batch_format="pandas",
        compute=pool(size=min(processes, blocks)),
        num_gpus=gpus,
    )
    yield from dataset.iter_rows()
