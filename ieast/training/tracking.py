"""Curves and pictures on their way to MLflow, which may be away for a while: training goes on, and they wait."""

import logging
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from lightning.pytorch.loggers import MLFlowLogger
from lightning.pytorch.utilities.rank_zero import rank_zero_only
from PIL import Image

RETRY_SECONDS = 30.0
MOST_WAITING = 100_000
"""Calls that are kept; of more, the oldest are given up."""
_RETRIES = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"

log = logging.getLogger(__name__)


class PatientMLFlowLogger(MLFlowLogger):
    """Lightning's logger, which keeps what the server does not take and sends it later, in order, and nothing twice.

    A training that goes on from a checkpoint repeats the iterations after it, whose points a killed process may have logged to
    the same run; they are the same, and are not sent again.

    A server that does not answer costs training a few seconds each half a minute, where MLflow's client would try for four
    minutes at each call and then end the training.
    """

    def __init__(self, *args: Any, **options: Any):
        super().__init__(*args, **options)
        self._waiting: deque[Callable[[], Any]] = deque(maxlen=MOST_WAITING)
        self._not_before = 0.0
        self._begun: set[str] | None = None
        self._last: dict[str, int] = {}

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """As Lightning's, sooner or later."""
        self._send(lambda: self._log_new(metrics, step))

    @rank_zero_only
    def log_picture(self, picture: Image.Image, key: str, step: int) -> None:
        """Log `picture` as one of those called `key`, sooner or later."""
        self._send(lambda: self.experiment.log_image(self.run_id, picture, key=key, step=step))

    @rank_zero_only
    def finalize(self, status: str = "success") -> None:
        """Try once more to send what waits, and say what is given up.

        The run is left open, where Lightning's logger ends it: it is its opener's, who scores the model in it, and a process
        killed meanwhile would leave a run that is said to be finished.
        """
        del status
        self._not_before = 0.0
        self._deliver()
        if self._waiting:
            log.warning(
                "%d entries of curves and pictures did not reach MLflow; the model and its checkpoint are whole",
                len(self._waiting),
            )

    def _log_new(self, metrics: Mapping[str, float], step: int | None) -> None:
        new = {name: value for name, value in metrics.items() if step is None or step > self._last_before(name)}
        if new:
            super().log_metrics(new, step)

    def _last_before(self, name: str) -> int:
        """The last step at which the run had `name` when this logger came to it; -1 if it had none."""
        if self._begun is None:
            self._begun = set(self.experiment.get_run(self.run_id).data.metrics)
        if name not in self._last:
            points = self.experiment.get_metric_history(self.run_id, name) if name in self._begun else ()
            self._last[name] = max((point.step for point in points), default=-1)
        return self._last[name]

    def _send(self, call: Callable[[], Any]) -> None:
        self._waiting.append(call)
        self._deliver()

    def _deliver(self) -> None:
        if time.monotonic() < self._not_before:
            return
        while self._waiting:
            try:
                with _few_retries():
                    self._waiting[0]()
            except Exception as error:
                if not _is_of_the_server(error):
                    raise
                if not self._not_before:
                    log.warning("MLflow does not take what training logs (%s): training goes on, and it is sent later", error)
                self._not_before = time.monotonic() + RETRY_SECONDS
                return
            self._waiting.popleft()
        self._not_before = 0.0


def _is_of_the_server(error: BaseException) -> bool:
    # By name, because nothing below the registry imports MLflow.
    return isinstance(error, OSError) or type(error).__module__.split(".")[0] in {"mlflow", "requests", "urllib3"}


@contextmanager
def _few_retries() -> Iterator[None]:
    before = os.environ.get(_RETRIES)
    os.environ[_RETRIES] = before or "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_RETRIES]
