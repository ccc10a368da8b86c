"""The distillation of a compact encoder."""

from typing import Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from ieast.config.base import Document, Settings
from ieast.config.sections import SMALLEST_CROP, DataConfig, OptimizerName, PrepareConfig


class TeacherConfig(Settings):
    """The encoder whose taps a student learns."""

    name: Literal["vgg19", "vgg19-normalised", "vgg19-compact"] = "vgg19"
    weights: str | None = Field(
        None,
        description="file of weights, for vgg19-compact with its 1x1 lifts to full width; none: torchvision's ImageNet VGG-19",
    )

    @model_validator(mode="after")
    def _weights_exist_for_name(self) -> Self:
        if self.weights is None and self.name != "vgg19":
            raise ValueError(f"teacher {self.name} needs `weights`: the path of its file")
        return self


class DistillationTrainingConfig(Settings):
    """How the student learns."""

    iterations: PositiveInt = 20_000
    batch_size: PositiveInt = Field(16, description="pictures an iteration, half of them contents, half styles")
    crop: PositiveInt = Field(128, description="pixels; square random crops")
    zoom: float = Field(2.0, ge=1, description="crops are cut up to this many times larger, at random, and scaled to `crop`")
    optimizer: OptimizerName = "adam"
    learning_rate: PositiveFloat = Field(
        0.1, description="in units of each layer's weights at the start; falls along a cosine to a hundredth of itself"
    )
    apart: float = Field(
        0.5, ge=0, le=1, description="share of the iterations, from the first, in which each tap teaches its own layers only"
    )
    leak: float = Field(0.1, ge=0, lt=1, description="slope of ReLUs below 0 at the start; falls to 0 at the end")
    seed: int = Field(0, ge=0)

    accelerator: Literal["auto", "cpu", "gpu"] = "auto"
    precision: Literal["auto", "32-true", "bf16-mixed"] = Field(
        "32-true", description="`auto` is bf16-mixed where the GPU or CPU gains by it, and else 32-true"
    )
    channels_last: bool = True
    loader_workers: int = Field(2, ge=0)
    cache_gb: float = Field(0.0, ge=0, description="memory for decoded pictures, in each loading process")
    log_every: PositiveInt = Field(50, description="iterations")
    checkpoint_every: PositiveInt = Field(1000, description="iterations")

    @model_validator(mode="after")
    def _fits_encoder(self) -> Self:
        if self.batch_size % 2:
            raise ValueError(f"batch_size is {self.batch_size}; it must be even: half contents, half styles")
        if self.crop < SMALLEST_CROP or self.crop % 16:
            raise ValueError(f"crop is {self.crop}; it must be a multiple of 16 and at least {SMALLEST_CROP}")
        return self


class DistillationConfig(Document):
    """One run of the distillation pipeline: a vgg19-compact that imitates a teacher's taps."""

    data: DataConfig = DataConfig()
    prepare: PrepareConfig = PrepareConfig(size=320, held_out=0.1)
    teacher: TeacherConfig = TeacherConfig()
    training: DistillationTrainingConfig = DistillationTrainingConfig()

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.training.crop > self.prepare.size:
            raise ValueError(f"training.crop is {self.training.crop}, larger than prepare.size {self.prepare.size}")
        if not self.prepare.held_out:
            raise ValueError("prepare.held_out is 0; the student must be measured on pictures it has not seen")
        return self
