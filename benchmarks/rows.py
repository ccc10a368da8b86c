"""What a benchmark found, as a line of the table."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One line: what was measured, by how much it beats what it is compared with, and by how much it should.

    Attributes:
        what: The task.
        measured: The figure, in `unit`; None where it could not be measured here, which `note` explains.
        unit: `x` for "times as fast as the reference", or a unit such as `s`, `GB` or `%`.
        least: What is asked, at least (or at most, where `lower_is_better`).
        aim: What is aimed at.
        lower_is_better: Whether `measured` should be below `least` and `aim`.
        note: Medians behind the figure, how far results agree, and on what.
        possible: Share, 0 to 1, of what this machine's measured rates allow; None where nothing was counted.
    """

    what: str
    measured: float | None
    unit: str = "x"
    least: float | None = None
    aim: float | None = None
    lower_is_better: bool = False
    note: str = ""
    possible: float | None = None

    @property
    def verdict(self) -> str:
        """`aim`, `least`, `missed`, or `not measured`."""
        if self.measured is None:
            return "not measured"
        sign = -1 if self.lower_is_better else 1
        for name, limit in (("aim", self.aim), ("least", self.least)):
            if limit is not None and sign * self.measured >= sign * limit:
                return name
        return "missed" if self.least is not None else ""


def take_turns(subjects: Mapping[str, Callable[[], object]], repetitions: int) -> dict[str, float]:
    """Median seconds of each of `subjects`, after one untimed round; they take turns, so that a busy moment strikes all."""
    for run in subjects.values():
        run()
    times: dict[str, list[float]] = {name: [] for name in subjects}
    for _ in range(repetitions):
        for name, run in subjects.items():
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(measured) for name, measured in times.items()}
