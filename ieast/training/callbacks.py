"""What happens around iterations: checkpoints, pictures, speed, progress."""

import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.plugins.io import TorchCheckpointIO
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch import Tensor
from tqdm import tqdm

from ieast.evaluation.grid import stylization_grid
from ieast.io.files import atomic_write
from ieast.io.images import write_image
from ieast.io.progress import progress_bar
from ieast.training.folders import model_on_the_way
from ieast.training.module import StyleTransferModule
from ieast.training.tracking import PatientMLFlowLogger


class AtomicCheckpointIO(TorchCheckpointIO):
    """Checkpoints that are complete or absent, and are read without running anything in them."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write beside `path`, then move into place.

        Raises:
            DiskFullError: No space was left; an earlier checkpoint at `path` is intact.
        """
        del storage_options
        # Through a Python file, whose errors say that the disk is full; torch's own writer hides the reason.
        with atomic_write(path) as temporary, temporary.open("wb") as file:
            noted = _NotedErrors(file)
            try:
                torch.save(checkpoint, cast(IO[bytes], noted))
            except RuntimeError:
                if noted.error is not None:
                    raise noted.error from None
                raise

    def load_checkpoint(self, path: str | Path, map_location: Any = "cpu", weights_only: bool | None = True) -> dict[str, Any]:
        """Tensors and plain values of the checkpoint at `path`."""
        del weights_only  # never optional here
        return torch.load(path, map_location=map_location, weights_only=True)


class _NotedErrors:
    """A file to write to that keeps the system's error: torch says only that it is not where it meant to be."""

    def __init__(self, file: BinaryIO):
        self.file = file
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        """As of a file."""
        try:
            return self.file.write(data)
        except OSError as error:
            self.error = error
            raise

    def flush(self) -> None:
        """As of a file."""
        self.file.flush()


class Checkpoints(Callback):
    """Saves to one file on an interval, at the end, and when the process is asked to stop (SIGTERM or Ctrl-C)."""

    def __init__(self, path: Path, every: int):
        self.path, self.every = path, every

    def on_train_batch_end(self, trainer: L.Trainer, module: StyleTransferModule, *_: Any) -> None:
        if module.finished % self.every == 0:
            trainer.save_checkpoint(self.path)

    def on_train_end(self, trainer: L.Trainer, module: StyleTransferModule) -> None:
        if module.finished % self.every:
            trainer.save_checkpoint(self.path)

    def on_exception(self, trainer: L.Trainer, _module: L.LightningModule, exception: BaseException) -> None:
        # Lightning raises this between iterations, where the state is whole; after any other exception it may not be.
        if isinstance(exception, SIGTERMException):
            trainer.save_checkpoint(self.path)


class OrderlyStop(Callback):
    """On SIGTERM or the first Ctrl-C, ends training after the iteration at hand, the same one on every device.

    Its handlers replace Lightning's, which call those of the surrounding program (ZenML's raise in the middle of an iteration)
    and which, on several devices, exchange a message from inside the handler, whatever else is just being exchanged. A second
    Ctrl-C stops at once.
    """

    def __init__(self) -> None:
        self._asked = False

    def on_train_start(self, *_: Any) -> None:
        try:
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, self._ask)
        except ValueError:
            pass  # not the main thread, which alone receives signals

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        self._stop_if_asked(trainer)

    def on_train_end(self, trainer: L.Trainer, *_: Any) -> None:
        self._stop_if_asked(trainer)  # while what stands before it did what it does at the end

    def _stop_if_asked(self, trainer: L.Trainer) -> None:
        if trainer.strategy.reduce_boolean_decision(self._asked, all=False):
            raise SIGTERMException

    def _ask(self, number: int, _frame: Any) -> None:
        self._asked = True
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.default_int_handler)


class StylizationGrids(Callback):
    """Stylizes the same contents and styles on an interval and at the end, so that progress can be seen.

    It stands before `Checkpoints`: a process killed between the two would never draw what the checkpoint has behind it.
    """

    def __init__(self, folder: Path, contents: list[Tensor], styles: list[Tensor], every: int, total: int, cell: int):
        self.folder, self.contents, self.styles, self.cell = folder, contents, styles, cell
        self.every, self.total = every, total

    def on_train_start(self, trainer: L.Trainer, module: StyleTransferModule) -> None:
        if module.finished == 0 and trainer.is_global_zero:
            self._draw(trainer, module)  # what training begins with, where MLflow's sliders of steps stand

    def on_train_batch_end(self, trainer: L.Trainer, module: StyleTransferModule, *_: Any) -> None:
        if (module.finished % self.every == 0 or module.finished == self.total) and trainer.is_global_zero:
            self._draw(trainer, module)

    def _draw(self, trainer: L.Trainer, module: StyleTransferModule) -> None:
        grid = stylization_grid(module.stylizer, self.contents, self.styles, self.cell)
        write_image(grid, self.folder / f"iteration_{module.finished:07d}.jpg")
        for logger in trainer.loggers:
            if isinstance(logger, PatientMLFlowLogger):
                logger.log_picture(grid, "stylizations", module.finished)


class ModelsOnTheWay(Callback):
    """Keeps the model of iterations between, as it would be exported if training ended there.

    It stands before `Checkpoints`, as `StylizationGrids` does, and for the same reason.
    """

    def __init__(self, export: Callable[[Path], object], folder: Path, every: int, total: int):
        self.export, self.folder, self.every, self.total = export, folder, every, total

    def on_train_batch_end(self, trainer: L.Trainer, module: StyleTransferModule, *_: Any) -> None:
        learnt = module.finished > module.config.training.reconstruction_iterations  # more than to copy
        if learnt and module.finished < self.total and module.finished % self.every == 0 and trainer.is_global_zero:
            with module.averaged():
                self.export(model_on_the_way(self.folder, module.finished))


class StylesMeasured(Callback):
    """Measures at the end where the training styles lie, while the model is on its device: Lightning then takes it to the CPU.

    It stands behind `Checkpoints`, so that what it may fail at does not lose the training.
    """

    def __init__(self, measure: Callable[[], object]):
        self.measure = measure

    def on_train_end(self, trainer: L.Trainer, *_: Any) -> None:
        if trainer.is_global_zero:
            self.measure()


class Progress(Callback):
    """A progress bar over iterations with the loss, and images per second there and for the logger."""

    def __init__(self, total: int):
        self.total = total
        self.bar: tqdm | None = None
        self._since = (0, 0.0)

    def on_train_start(self, trainer: L.Trainer, module: StyleTransferModule) -> None:
        disable = not trainer.is_global_zero
        self.bar = progress_bar(total=self.total, initial=module.finished, desc="training", unit="it", disable=disable)
        self._since = (module.finished, time.perf_counter())

    def on_train_batch_end(self, trainer: L.Trainer, module: StyleTransferModule, *_: Any) -> None:
        assert self.bar is not None
        if module.finished % module.config.training.log_every == 0:
            iteration, then = self._since
            now = time.perf_counter()
            images = (module.finished - iteration) * module.config.training.batch_size * trainer.world_size / (now - then)
            if trainer.logger is not None:
                trainer.logger.log_metrics({"train/images_per_second": images}, step=module.finished)
            self.bar.set_postfix_str(f"loss {module.loss:.4g}, {images:.1f} images/s", refresh=False)
            self._since = (module.finished, now)
        self.bar.update()

    def on_exception(self, *_: Any) -> None:
        self.teardown()  # which Lightning calls only after a training that ends well

    def teardown(self, *_: Any, **__: Any) -> None:
        if self.bar is not None:
            self.bar.close()
