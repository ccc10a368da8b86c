"""Jobs shared by several processes or nodes, by Ray Data."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from ieast.config.stylization import StylizeOptions
from ieast.io.ray_cluster import shared_out
from ieast.stylization.jobs import Job, Outcome, Painter
from ieast.stylization.loading import EngineSource

_BATCH = 8
"""Jobs that a process takes at a time: of one style for the most part, which it then encodes once."""


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
    arguments = (absolute, options, keep_alpha)
    gpus = 1 if source.device.startswith("cuda") else None
    for row in shared_out(rows, _Worker, processes=processes, size=size, arguments=arguments, gpus=gpus):
        job = jobs[int(row["number"])]
        error = row["error"] or None
        named = {str(path.absolute()): path for path in (job.content, job.style, job.target)}
        yield Outcome(job, float(row["seconds"]), error, named.get(row["culprit"]) if error else None)
