"""Jobs shared by several processes or nodes, by Ray Data."""

import logging
import os
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas as pd

from ieast.config.stylization import StylizeOptions
from ieast.errors import ConfigError
from ieast.installation import install_with
from ieast.stylization.jobs import Job, Outcome, Painter
from ieast.stylization.loading import EngineSource

_BATCH = 8
"""Jobs that a process takes at a time: of one style for the most part, which it then encodes once."""


def require_ray() -> None:
    """Raise unless Ray can be used.

    Raises:
        ConfigError: It is not installed.
    """
    if find_spec("ray") is None:
        raise ConfigError(f"several processes share the work by Ray, which is not installed: {install_with('ray')}")


class _Worker:
    """A process with the model loaded."""

    def __init__(self, source: EngineSource, options: StylizeOptions, keep_alpha: bool):
        engine, _ = source.load()
        self.painter = Painter(engine, options, keep_alpha=keep_alpha)

    def __call__(self, batch: pd.DataFrame) -> pd.DataFrame:
        outcomes = []
        for row in batch.to_dict("records"):
            clip = row["clip"] or None
            outcomes.append(self.painter.paint(Job(Path(row["content"]), Path(row["style"]), Path(row["target"]), clip)))
        errors = [(each.error or "", str(each.culprit or "")) for each in outcomes]
        return batch.assign(
            seconds=[each.seconds for each in outcomes],
            error=[error for error, _ in errors],
            culprit=[culprit for _, culprit in errors],
        )


def carry_out_by_ray(
    jobs: Sequence[Job], source: EngineSource, options: StylizeOptions, *, keep_alpha: bool, processes: int
) -> Iterator[Outcome]:
    """As `ieast.stylization.jobs.carry_out`, by `processes` processes that load the model once each.

    Paths are made absolute, because processes have working folders of their own.
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
    absolute = EngineSource(source.folder.resolve(), source.engine, source.device)
    rows = [
        {
            "number": number,
            "content": str(job.content.absolute()),
            "style": str(job.style.absolute()),
            "target": str(job.target.absolute()),
            "clip": job.clip or "",
        }
        for number, job in enumerate(jobs)
    ]
    size = max(1, min(_BATCH, -(-len(rows) // processes)))
    dataset = ray.data.from_items(rows, override_num_blocks=-(-len(rows) // size)).map_batches(
        _Worker,
        fn_constructor_args=(absolute, options, keep_alpha),
        batch_size=size,
        batch_format="pandas",
        compute=ray.data.ActorPoolStrategy(size=processes),
        num_gpus=1 if source.device.startswith("cuda") else None,
    )
    for row in dataset.iter_rows():
        job = jobs[int(row["number"])]
        error = row["error"] or None
        named = {str(path.absolute()): path for path in (job.content, job.style, job.target)}
        yield Outcome(job, float(row["seconds"]), error, named.get(row["culprit"]) if error else None)
