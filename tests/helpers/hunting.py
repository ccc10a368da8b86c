"""What the hunt's trials share: how many there are, when a process is ended, and what is counted.

`make hunt` sets HUNT_TRIALS, and HUNT_FIGURES to a file that a line is added to for each kind of trial; without them each kind
has a sample. With HUNT_SECONDS no further trial of a kind begins once it has taken so long. HUNT_SEED draws other points.
"""

import hashlib
import json
import os
import random
import signal
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from helpers.warm_processes import SETTINGS, Ending, Outcome, run_warm_together
from helpers.zenml_projects import BIN

from ieast.io.video.folders import MARK

T = TypeVar("T")

SEED = int(os.environ.get("HUNT_SEED", "0"))
LIMIT = 300.0
"""Seconds after which a process counts as hanging."""

_KEPT = {".dvc", ".git", ".gitignore", ".dvcignore", ".lock", ".locks", MARK, ".work", ".zen"}
"""Hidden names that belong where they are."""


def trials(sample: int) -> int:
    """How many to make of a kind of which the ordinary suite has `sample`."""
    return int(os.environ.get("HUNT_TRIALS", sample))


def in_time(points: Iterable[T]) -> Iterator[T]:
    """`points`, the first in any case, and no more of them once HUNT_SECONDS are over."""
    until = time.monotonic() + float(os.environ.get("HUNT_SECONDS", "inf"))
    for number, point in enumerate(points):
        if number and time.monotonic() > until:
            return
        yield point


class Tally:
    """Counts trials of one kind, and what went wrong in them.

    Args:
        kind: As the report calls it.
    """

    def __init__(self, kind: str):
        self.kind, self.trials, self.crashes, self.hangs, self.losses = kind, 0, 0, 0, 0
        self.faults: list[str] = []

    @contextmanager
    def trial(self, point: object) -> Iterator[None]:
        """One trial, whose assertions that fail are losses; the others go on."""
        self.trials += 1
        try:
            yield
        except (Exception, AssertionError) as fault:
            self.losses += 1
            where = traceback.extract_tb(fault.__traceback__)[-1]
            self.faults.append(f"{self.kind}, {point}: {type(fault).__name__}: {fault} ({where.name}, line {where.lineno})")

    def see(self, outcome: Outcome, may_trace: bool = False) -> Outcome:
        """Count `outcome` if its process hung, or said a traceback; ZenML says one of every step that fails."""
        self.hangs += outcome.hung
        if not may_trace and "Traceback (most recent call last)" in outcome.stderr + outcome.stdout:
            self.crashes += 1
            self.faults.append(f"{self.kind}: {outcome.stderr[-3000:]}")
        return outcome

    def conclude(self) -> None:
        """Write the line of the report, and fail if anything went wrong."""
        line = {name: getattr(self, name) for name in ("kind", "trials", "crashes", "hangs", "losses")}
        if figures := os.environ.get("HUNT_FIGURES"):
            with Path(figures).open("a") as file:
                file.write(f"{json.dumps(line)}\n")
        assert (self.crashes, self.hangs, self.losses) == (0, 0, 0), "\n".join([json.dumps(line), *self.faults])


def environment_of(folder: Path) -> dict[str, str]:
    """Variables of a shell that has nothing of this process's stores."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "ZENML_"))}
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    return inherited | SETTINGS | {"ZENML_CONFIG_PATH": str(folder / "zenml"), "PATH": path, "OMP_NUM_THREADS": "1"}


def endings(kind: str, count: int, whole: Outcome, begins: float = 0.05) -> list[Ending]:
    """Points at which to end a process that, left alone, has the outcome `whole`: by changes of files, and by time.

    Two of five are by SIGTERM. `begins` is the share of its time before which there is nothing to interrupt.
    """
    draw = random.Random(f"{kind} {SEED}")
    actual = []
    for number in range(count):
        sign = signal.SIGTERM if number % 5 >= 3 else signal.SIGKILL
        if number % 2:
            actual.append(Ending(sign, seconds=whole.seconds * draw.uniform(begins, 1)))
        else:
            # A half of them near the end, where what was made takes the place of what was there.
            first = max(1, whole.changes - 12) if number % 4 else 1
            actual.append(Ending(sign, change=draw.randint(first, whole.changes)))
    return actual


def run(command: Sequence[str], folder: Path, ending: Ending | None = None) -> Outcome:
    """Run one command in `folder`."""
    (outcome,) = run_warm_together([command], folder, environment_of(folder), ending, LIMIT)
    return outcome


def hunt_by_ending(
    kind: str,
    sample: int,
    tmp_path: Path,
    begin: Callable[[Path], Sequence[str]],
    outcome_of: Callable[[Path], Mapping[str, object]],
    left_over: Callable[[Path], list[str]] | None = None,
) -> None:
    """End a command at random points, give it again, and compare with what it makes when left alone.

    Args:
        kind: As the report calls it.
        sample: Trials in the ordinary suite.
        tmp_path: A folder for this.
        begin: Fills a new folder, and says which command is to run there.
        outcome_of: Everything in such a folder that must be the same in the end.
        left_over: Names that must not be there in the end; what is hidden, if not given.
    """
    tally = Tally(kind)
    place = tmp_path / "whole"
    place.mkdir()
    command = begin(place)
    whole = run(command, place)
    assert whole.status == 0, whole.stderr
    expected = outcome_of(place)
    assert expected
    for number, ending in enumerate(in_time(endings(kind, trials(sample), whole))):
        with tally.trial(ending):
            folder = tmp_path / f"trial{number}"
            folder.mkdir()
            command = begin(folder)
            tally.see(run(command, folder, ending))
            again = tally.see(run(command, folder))
            assert again.status == 0, again.stdout[-3000:] + again.stderr[-3000:]
            assert_same(outcome_of(folder), expected)
            assert (left_over or hidden)(folder) == []
    tally.conclude()


def assert_same(now: Mapping[str, object], expected: Mapping[str, object]) -> None:
    """Compare outcomes, and name what differs."""
    differing = sorted(name for name in {*now, *expected} if now.get(name) != expected.get(name))
    assert not differing, f"{len(differing)} differ or are missing: {differing[:5]}"


def digests(folder: Path, *patterns: str) -> dict[str, str]:
    """SHA-256 of the files in `folder` that any of the patterns names."""
    paths = {path for pattern in patterns for path in folder.glob(pattern) if path.is_file()}
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(paths)}


def hidden(folder: Path) -> list[str]:
    """Hidden files and folders below `folder` that nothing needs, and those that stepped aside."""
    paths = (path.relative_to(folder) for path in folder.rglob("*"))
    inner = {".git", ".dvc", ".work", ".zen"}
    return sorted(
        path.as_posix()
        for path in paths
        if path.name not in _KEPT and path.name.startswith(".") and not inner & {*path.parts[:-1]}
    )
