"""What every training here has in common: a count of iterations, a watch on the losses, checkpoints that continue exactly."""

from typing import Any

import lightning as L
import torch
from torch import Tensor

from ieast.config import DistillationConfig
from ieast.errors import TrainingError
from ieast.experiment import ExperimentConfig


class IterationModule(L.LightningModule):
    """Manual optimization, counted.

    `iteration` counts finished iterations; it alone decides what the next batch is, so a checkpoint that holds it continues
    exactly.
    """

    iteration: Tensor
    remedy = "Lower training.learning_rate, or use precision 32-true"
    """What to try when a loss is not finite."""

    def __init__(self, config: ExperimentConfig | DistillationConfig):
        super().__init__()
        self.automatic_optimization = False
        self.config = config
        self.register_buffer("iteration", torch.zeros((), dtype=torch.long))
        self.finished = 0  # `iteration` as a number, so that reading it does not wait for the GPU
        self.schedules = [{"from": 0, "iterations": config.training.iterations}]
        """Which length rates were scheduled for, from which iteration on: more than one where a training was made longer."""
        self.loss = torch.tensor(float("nan"))
        """Of the iteration that was logged last; not a number, so that only who shows it waits for the GPU."""
        self._bad_terms: dict[str, Tensor] = {}

    def _optimizers(self) -> list[Any]:
        optimizers = self.optimizers()  # Lightning gives one by itself, several as a list
        return optimizers if isinstance(optimizers, list) else [optimizers]

    def _param_groups(self) -> list[dict[str, Any]]:
        return [group for optimizer in self._optimizers() for group in optimizer.param_groups]

    def _step(self, optimizer: Any, loss: Tensor) -> None:
        optimizer.zero_grad()
        self.manual_backward(loss)
        with torch.autocast(self.device.type, enabled=False):  # preconditioners need their matrix products in fp32
            optimizer.step()

    def _as_images(self, crops: Tensor) -> Tensor:
        images = crops.float() / 255
        return images.contiguous(memory_format=torch.channels_last) if self.config.training.channels_last else images

    def count(self, terms: dict[str, Tensor]) -> None:
        """Note that an iteration is finished, and what its loss terms were."""
        self.finished += 1
        self.iteration += 1
        values = {name: value.detach() for name, value in terms.items()}
        for name, value in values.items():
            worst = self._bad_terms.get(name)
            # The iteration a term first was not finite, or 0; kept on the device and read rarely.
            first = torch.where(torch.isfinite(value), 0, self.finished)
            self._bad_terms[name] = first if worst is None else torch.where(worst > 0, worst, first)
        due = self.finished % self.config.training.log_every == 0
        if due or self.device.type == "cpu":
            self.stop_if_not_finite()
        if due or self.finished == 1:
            values = self.shown(values)
            self.loss = values["total"] if "total" in values else values["reconstruction"]
            self.log_terms(values)

    def shown(self, values: dict[str, Tensor]) -> dict[str, Tensor]:
        """What the logger gets for an iteration whose terms were `values`, one of them `total` or `reconstruction`."""
        return values

    def length(self) -> dict[str, Any]:
        """How long training has lasted, for the record; with `schedules` if it was made longer or shorter on the way."""
        return {"iterations": self.finished} | ({"schedules": self.schedules} if len(self.schedules) > 1 else {})

    def log_terms(self, values: dict[str, Tensor]) -> None:
        """Send `values`, as means over all processes, and the learning rates to the logger, under the finished iterations.

        All processes call it for the same iterations.
        """
        if self.trainer.world_size > 1:
            means = torch.stack([value.float() for value in values.values()])
            values = dict(zip(values, self.trainer.strategy.reduce(means, reduce_op="mean"), strict=True))
        if not self.trainer.is_global_zero or self.logger is None:
            return
        metrics = {f"train/{name}": float(value) for name, value in values.items()}
        metrics |= {f"train_learning_rate/{group['name']}": group["lr"] for group in self._param_groups()}
        self.logger.log_metrics(metrics, step=self.finished)

    def stop_if_not_finite(self) -> None:
        """Raise if any loss has been NaN or infinite since the start.

        Raises:
            TrainingError: Names the term and the iteration it happened in.
        """
        bad = {name: int(first) for name, first in self._bad_terms.items() if int(first) > 0}
        if bad:
            name = min(bad, key=lambda term: (bad[term], term == "total"))
            raise TrainingError(
                f"the loss term `{name}` was not finite in iteration {bad[name]}. Training has stopped; the last good "
                f"checkpoint is kept. {self.remedy}, then run again"
            )

    def _stop_if_weights_not_finite(self) -> None:
        # Losses cannot show it yet when the gradients of the last iteration were the first not to be finite.
        finite = torch.stack([parameter.detach().isfinite().all() for parameter in self.parameters()])
        if not finite.all():
            raise TrainingError(
                f"the weights were not finite after iteration {self.finished}. Training has stopped; the last good checkpoint "
                f"is kept. {self.remedy}, then run again"
            )

    # -- checkpoints ----------------------------------------------------------------------------------------------------

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep what Lightning's loops counted out of the checkpoint: position is `iteration` alone."""
        self.stop_if_not_finite()
        self._stop_if_weights_not_finite()
        checkpoint.pop("loops")
        checkpoint["ieast_config"] = self.config.canonical_json()
        checkpoint["ieast_schedules"] = self.schedules

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take up the position."""
        self.finished = int(checkpoint["state_dict"]["iteration"])
