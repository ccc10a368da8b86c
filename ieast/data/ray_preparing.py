"""Pictures prepared by several processes or nodes, by Ray Data, with the same results as by one."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

import pandas as pd

from ieast.config import PrepareConfig
from ieast.data.pictures import Record, Source
from ieast.data.portions import Portion, prepare_portion
from ieast.io.files import DiskFullError
from ieast.io.ray_cluster import shared_out


def _prepare(batch: pd.DataFrame, source: Path, folder: Path, config: PrepareConfig) -> pd.DataFrame:
    done = []
    for row in batch.to_dict("records"):
        portion = Portion(tuple(Source(*fields) for fields in json.loads(row["pictures"])), row["shard"])
        try:
            records = [asdict(each) for each in prepare_portion(portion, source, folder, config)]
            done.append((json.dumps(records), ""))
        except DiskFullError as error:  # Ray would wrap it in one of its own
            done.append(("", str(error)))
    return batch.assign(records=[records for records, _ in done], full=[full for _, full in done])


def prepare_by_ray(
    portions: Sequence[Portion], source: Path, folder: Path, config: PrepareConfig
) -> Iterator[tuple[int, list[Record]]]:
    """Prepare `portions` by `config.processes` processes, all of which see both folders.

    Yields:
        The place of a portion in `portions`, and what became of its pictures; in any order.

    Raises:
        ConfigError: Ray is not installed.
        DiskFullError: No space was left.
    """
    # As JSON, which holds names that are not UTF-8 as well.
    rows = [
        {
            "number": number,
            "shard": portion.shard,
            "pictures": json.dumps([(each.side, each.source, each.prepared) for each in portion.pictures]),
        }
        for number, portion in enumerate(portions)
    ]
    one_thread = config.model_copy(update={"workers": 1})
    work = partial(_prepare, source=source.absolute(), folder=folder, config=one_thread)
    for row in shared_out(rows, work, processes=config.processes, size=1):
        if row["full"]:
            raise DiskFullError(row["full"])
        yield int(row["number"]), [Record(**fields) for fields in json.loads(row["records"])]
