"""That the CPU never waits for a GPU between logged iterations; seen without one, by tensors that have no values to read."""

from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from benchmarks.subjects import drive
from ieast.experiment import ExperimentConfig
from ieast.methods import new_model
from ieast.models.encoder import Encoder
from ieast.training.iterations import IterationModule
from ieast.training.module import StyleTransferModule

CROP = 32


class Crossings(TorchDispatchMode):
    """The operations that bring something from one device to another."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        devices = {leaf.device.type for leaf in tree_leaves((args, kwargs, result)) if isinstance(leaf, torch.Tensor)}
        if len(devices) > 1:
            self.found.append(str(func))
        return result


def make_step(make_config, device: str, **sections: Any):
    """A training module on `device`, its step, counted as in training, and a batch."""
    config: ExperimentConfig = make_config(
        training={"iterations": 3, "reconstruction_iterations": 0, "gradient_clip": 1.0, "log_every": 3}, **sections
    )
    with torch.device(device):
        stylizer = new_model("ieast", Encoder("vgg19-compact"), config.model)
        module = StyleTransferModule(stylizer, config)
        distinct = config.training.batch_size // 2
        batch = {side: torch.zeros(distinct, 3, CROP, CROP, dtype=torch.uint8) for side in ("content", "style")}
        batch["style_index"] = torch.arange(distinct)
    step = drive(module)
    vars(module)["count"] = IterationModule.count.__get__(module)  # what reads the losses, which `drive` leaves out
    vars(module)["log_terms"] = lambda values: None  # after the first iteration too, which has nothing to wait for yet
    return module, lambda: step(batch)


@pytest.mark.parametrize("adversarial", ["log", "least-squares"])
def test_no_value_is_read_between_logged_iterations(make_config, adversarial):
    with FakeTensorMode():
        module, step = make_step(make_config, "cpu", objective={"adversarial": adversarial})
        module._device = torch.device("cuda", 0)  # where it says it is: on a CPU every loss is looked at
        for _ in range(2):
            step()
        assert module.finished == 2
        with pytest.raises(DataDependentOutputException):  # the third one's losses are logged, and a read is noticed
            step()


def test_nothing_is_brought_to_the_gpu_but_the_batch(make_config):
    with FakeTensorMode(), Crossings() as crossings:
        module, step = make_step(make_config, "cuda")
        # PyTorch's backward pass looks for the GPU itself, so it is left out.
        vars(module)["manual_backward"] = lambda loss: None
        crossings.found.clear()
        step()
        assert module.device.type == "cuda"
        assert crossings.found == []
        torch.ones(1).cuda()
        assert crossings.found  # so it would have been noticed
