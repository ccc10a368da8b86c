"""Every setting and its default, once. YAML files only override; an unknown key is an error.

The defaults are the preset `paper`; what the released code does otherwise is the preset `official` (bottom of this file).
"""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, ValidationError, model_validator

from ieast.errors import ConfigError

if TYPE_CHECKING:
    from ieast.models.stylizer import Stylizer

# Reflection padding needs two positions at relu5_1, a sixteenth of the crop.
SMALLEST_CROP = 32

# Below this nothing is left for the last layers of Inception-v3, which ArtFID takes its features from.
SMALLEST_ARTFID_SIDE = 75

OptimizerName = Literal["adam", "soap"]
StyleLayer = Literal["relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"]


class Settings(BaseModel):
    """Base of every section: immutable, and strict about names."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Document(Settings):
    """A whole configuration: what `parameters: config:` of a pipeline's YAML file holds."""

    work_folder: str = Field(
        default_factory=lambda: os.environ.get("IEAST_WORK", ".work"),
        description="prepared datasets, checkpoints and models that are being made",
    )

    @classmethod
    def parse(cls, values: Mapping[str, Any], source: str = "configuration") -> Self:
        """Check `values` and fill in defaults.

        Raises:
            ConfigError: Names each wrong key with its place in `source`.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise ConfigError(describe(error, source)) from None

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read the `parameters: config:` section of a pipeline's YAML file.

        Raises:
            ConfigError: The file is missing, is not YAML, has no such section, or a key is wrong.
        """
        path = Path(path)
        try:
            document = yaml.safe_load(path.read_text())
        except FileNotFoundError:
            raise ConfigError(f"there is no configuration file {path}") from None
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path} is not valid YAML: {error}") from None
        try:
            values = document["parameters"]["config"]
        except (TypeError, KeyError):
            raise ConfigError(f"{path} has no section `parameters: config:`; see the files in configs/") from None
        return cls.parse(values, str(path))

    def canonical_json(self) -> str:
        """The configuration as JSON with sorted keys, for digests and records."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True)


class DataConfig(Settings):
    """Which version of the dataset to read, through DVC."""

    repository: str = Field(".", description="git repository that tracks the dataset: a folder or a URL")
    revision: str = Field("workspace", description="tag, branch or commit; `workspace` is data.dvc as it stands on disk")
    path: str = Field("data", description="folder in the repository that holds content/, style/ and clips/")

    @model_validator(mode="after")
    def _holds_no_secret(self) -> Self:
        # Configurations are logged with runs and exported with models.
        if re.match(r"https?://[^/]*@", self.repository):
            raise ValueError("data.repository holds credentials, which would be logged; leave them to git's credential helper")
        return self


class PrepareConfig(Settings):
    """How source pictures become training pictures (paper, section 4: resize 512, crop 256)."""

    resize: Literal["smallest-side", "square"] = "smallest-side"
    size: PositiveInt = Field(512, description="pixels of the smallest side, or of both sides when square")
    min_side: PositiveInt = Field(64, description="sources with a smaller side, in pixels, are quarantined")
    max_pixels: PositiveInt = Field(150_000_000, description="sources with more pixels are quarantined undecoded")
    jpeg_quality: int = Field(95, ge=1, le=100)
    max_bad_share: float = Field(0.05, ge=0, le=1, description="stop when more than this share of a side is unusable")
    held_out: float = Field(
        0.0, ge=0, lt=1, description="share of each side that training never sees and that models are scored on; 0: no split"
    )
    workers: int = Field(0, ge=0, description="threads; 0 is one per core")


class EncoderConfig(Settings):
    """The frozen feature extractor φ."""

    name: Literal["vgg19", "vgg19-normalised", "vgg19-compact"] = "vgg19"
    weights: str | None = Field(
        None,
        description="file of weights; `untrained` for seeded random ones (compact only); none: the shipped vgg19-compact, or "
        "torchvision's ImageNet vgg19",
    )
    unit_mean_taps: bool = Field(
        True,
        description="fold one scale per layer into the weights so that mean activations are 1, as the loss weights assume; "
        "vgg_normalised.pth and the shipped encoder come so",
    )

    @model_validator(mode="after")
    def _weights_exist_for_name(self) -> Self:
        if self.weights is None and self.name == "vgg19-normalised":
            raise ValueError("encoder vgg19-normalised needs `weights`: the path of its file (vgg_normalised.pth)")
        if self.weights == "untrained" and self.name != "vgg19-compact":
            raise ValueError("`untrained` weights are offered for vgg19-compact only: random features make poor styles")
        return self

    @property
    def source(self) -> str:
        """Where the weights come from, for people."""
        return self.weights or ("shipped" if self.name == "vgg19-compact" else "torchvision ImageNet")

    @property
    def has_unit_mean_taps(self) -> bool:
        """Whether the weights come with the scale that `unit_mean_taps` asks for."""
        return self.name == "vgg19-normalised" or self.source == "shipped"


class ModelConfig(Settings):
    """The method's network and what attaches to it in training."""

    options: dict[str, Any] = Field(
        default_factory=dict, description="what the method can be told besides, see its file in ieast/methods"
    )

    start: str | None = Field(
        None,
        description="a trained model to go on from, with its encoder: `ieast` or `sanet` as shipped, or a model folder",
    )
    attention_start: Literal["random", "identity", "adain"] = Field(
        "random",
        description="`identity` lets T(c, s) start near c; `adain` also solves for the merge that comes nearest to AdaIN's "
        "features, so that a reconstructing decoder shows recognisable pictures from the first iteration",
    )
    style_head: tuple[PositiveInt, PositiveInt] = (256, 128)
    content_head: tuple[PositiveInt, PositiveInt] = (128, 128)
    discriminator_width: PositiveInt = 64
    discriminator_scales: PositiveInt = 3


class LossWeights(Settings):
    """λ of Eq. 7 and Eq. 4."""

    style: float = Field(1.0, ge=0)
    adversarial: float = Field(5.0, ge=0)
    content: float = Field(1.0, ge=0)
    identity: float = Field(1.0, ge=0)
    style_contrastive: float = Field(0.3, ge=0)
    content_contrastive: float = Field(0.3, ge=0)
    identity_pixels: float = Field(50.0, ge=0, description="λ_identity1")
    identity_taps: float = Field(1.0, ge=0, description="λ_identity2")
    total_variation: float = Field(0.0, ge=0, description="of the stylized pictures, or of what decoders reconstruct")


class ObjectiveConfig(Settings):
    """Eq. 7 with its switches."""

    external_learning: bool = Field(True, description="EL: the adversarial term, Eq. 2")
    contrastive_learning: bool = Field(True, description="CL: the two contrastive terms, Eq. 5 and 6")
    distance: Literal["l2", "mse"] = Field("l2", description="distance in Eq. 1, 3 and 4")
    unit: Literal["layer", "picture"] = Field(
        "layer", description="of taps in Eq. 1 and 4: the encoder's scale, as published, or the mean of the picture to match"
    )
    content_layers: Literal["conv4_2", "normalised-relu4_1-relu5_1", "relu3_1", "relu4_1", "target"] = Field(
        "conv4_2", description="`target`: relu4_1 of the stylized picture against the features it was decoded from"
    )
    style_layers: tuple[StyleLayer, ...] = Field(("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"), min_length=1)
    style_statistics: Literal["mean-std", "gram", "mean-gram"] = Field(
        "mean-std", description="what is compared in Eq. 1: means and deviations, or other methods' Gram matrices"
    )
    adversarial: Literal["log", "least-squares"] = "log"
    contrastive_reduction: Literal["mean", "sum"] = "mean"
    temperature: PositiveFloat = Field(0.2, description="τ of Eq. 5 and 6")
    weights: LossWeights = LossWeights()

    @property
    def has_identity(self) -> bool:
        """Whether Eq. 4 has any weight."""
        w = self.weights
        return w.identity * w.identity_pixels > 0 or w.identity * w.identity_taps > 0


class TrainingConfig(Settings):
    """The training loop (paper, section 4.1)."""

    iterations: PositiveInt = 160_000
    reconstruction_iterations: int = Field(
        0, ge=0, description="iterations before the first of `iterations` in which the decoder alone learns D(E(x)) = x"
    )
    batch_size: PositiveInt = Field(16, description="stylizations an iteration, on each device")
    crop: PositiveInt = Field(256, description="pixels; square random crops")
    zoom: float = Field(1.0, ge=1, description="crops are cut up to this many times larger, at random, and scaled to `crop`")
    optimizer: OptimizerName = Field("adam", description="of the generator; the discriminator's is Adam")
    learning_rate: PositiveFloat = 1e-4
    transform_learning_rate: PositiveFloat | None = Field(None, description="of the transform, where it differs")
    reconstruction_learning_rate: PositiveFloat | None = Field(
        None, description="of the reconstruction stage, where it differs"
    )
    learning_rate_decay: float = Field(0.0, ge=0, description="rate at iteration i is rate / (1 + decay · i)")
    anneal: float = Field(
        0.0, ge=0, le=1, description="share of each stage, at its end, over which rates fall along half a cosine to 0"
    )
    discriminator_betas: tuple[float, float] = (0.5, 0.999)  # the paper is silent: the released code's choice
    gradient_clip: PositiveFloat | None = Field(None, description="largest gradient norm of the generator")
    seed: int = Field(0, ge=0)

    accelerator: Literal["auto", "cpu", "gpu"] = "auto"
    devices: PositiveInt = 1
    nodes: PositiveInt = 1
    strategy: str = "auto"
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    channels_last: bool = False
    compile: bool = False
    loader_workers: int = Field(2, ge=0)
    cache_gb: float = Field(0.0, ge=0, description="memory for decoded pictures, in each loading process")

    log_every: PositiveInt = Field(50, description="iterations")
    picture_every: PositiveInt = Field(1000, description="iterations")
    checkpoint_every: PositiveInt = Field(1000, description="iterations")

    @model_validator(mode="after")
    def _batch_can_hold_pairs(self) -> Self:
        if self.batch_size % 2 or self.batch_size < 6:
            raise ValueError(
                f"batch_size is {self.batch_size}; it must be even and at least 6, because the contrastive losses pair "
                "each of b/2 >= 3 styles with two contents (paper, section 3.2)"
            )
        if self.crop % 16:
            raise ValueError(f"crop is {self.crop}; it must be a multiple of 16, the encoder's total reduction")
        return self


class EvaluationConfig(Settings):
    """What a model is scored on."""

    perceptual_distance: Literal["lpips-alex", "lpips-vgg", "lpips-squeeze", "encoder-taps"] = "lpips-alex"
    size: PositiveInt = Field(256, description="pixels of the smallest side of frames and pictures")
    pairs: PositiveInt = Field(20, description="content and style pairs that are scored")
    grid_contents: PositiveInt = 4
    grid_styles: PositiveInt = 6
    max_frames: int = Field(50, ge=2, description="frames scored of each clip")
    warping_intervals: tuple[PositiveInt, ...] = Field(
        (1, 10), description="frames between those whose warping error is scored"
    )
    artfid_weights: str | None = Field(
        None, description="file of ArtFID's network (art_inception.pth); none: ArtFID is not scored"
    )
    seed: int = Field(0, ge=0, description="of the pairs that are drawn and of the bootstrap")

    @model_validator(mode="after")
    def _artfid_is_as_published(self) -> Self:
        if self.artfid_weights is not None and self.perceptual_distance != "lpips-alex":
            raise ValueError(
                f"artfid_weights is set, but perceptual_distance is {self.perceptual_distance}: the content term of ArtFID is "
                "LPIPS on AlexNet, so set perceptual_distance to lpips-alex"
            )
        if self.artfid_weights is not None and self.size < SMALLEST_ARTFID_SIDE:
            raise ValueError(f"artfid_weights is set, but size is {self.size}: its network needs {SMALLEST_ARTFID_SIDE} pixels")
        return self


class Threshold(Settings):
    """One condition a candidate must meet to be promoted."""

    metric: str = Field(description="a score's name, as in the evaluation's report and `ieast models`")
    better: Literal["lower", "higher"] = Field("lower", description="which direction `relative_to_champion` takes as better")
    at_most: float | None = None
    at_least: float | None = None
    relative_to_champion: PositiveFloat | None = Field(
        None,
        description="limit as a ratio candidate / champion. Where lower is better, 1.0: no worse, 1.05: up to 5 % worse, 0.95: "
        "at least 5 % better; where higher is better, 0.95: up to 5 % worse, 1.05: at least 5 % better",
    )

    @model_validator(mode="after")
    def _can_be_met(self) -> Self:
        if self.at_most is None and self.at_least is None and self.relative_to_champion is None:
            raise ValueError(f"threshold on {self.metric} sets none of at_most, at_least, relative_to_champion")
        if self.at_most is not None and self.at_least is not None and self.at_most < self.at_least:
            raise ValueError(
                f"threshold on {self.metric} asks for at most {self.at_most:g} and at least {self.at_least:g}; no value is both"
            )
        return self


class PromotionConfig(Settings):
    """The gate between challenger and champion; every condition must hold."""

    thresholds: tuple[Threshold, ...] = (
        Threshold(metric="style_distance", relative_to_champion=1.0),
        Threshold(metric="content_distance", relative_to_champion=1.1),
    )
    encoder: EncoderConfig = Field(
        EncoderConfig(name="vgg19-compact"),
        description="by whose features both sides are scored; the same for every candidate, so that decisions are comparable "
        "and none is judged by what it brings along. The shipped one is at hand everywhere",
    )


class RegistryConfig(Settings):
    """Where models are registered."""

    name: str = Field("ieast", pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")


class ExperimentConfig(Document):
    """One run of the training pipeline: everything that decides its outcome."""

    method: str = Field(
        "ieast",
        description="a file in ieast/methods; `+el` and `+cl` after its name switch the two terms on. Brings its publication's "
        "settings as defaults",
    )
    preset: Literal["paper", "official"] = "paper"
    data: DataConfig = DataConfig()
    prepare: PrepareConfig = PrepareConfig()
    encoder: EncoderConfig = EncoderConfig()
    model: ModelConfig = ModelConfig()
    objective: ObjectiveConfig = ObjectiveConfig()
    training: TrainingConfig = TrainingConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    promotion: PromotionConfig = PromotionConfig()
    registry: RegistryConfig = RegistryConfig()

    @model_validator(mode="before")
    @classmethod
    def _lay_over_defaults(cls, values: Any) -> Any:
        """Given values over the method's, these over the preset's."""
        if not isinstance(values, Mapping):
            return values
        method, on = _find(values.get("method", "ieast"))
        base = OFFICIAL if values.get("preset") == "official" else {}
        return _merge(_merge(_merge(base, method.recipe), {"objective": on}), values)

    @model_validator(mode="after")
    def _fits_method(self) -> Self:
        method, on = _find(self.method)
        objective, training = self.objective, self.training
        method.parse_options(self.model.options)
        for switch in on:
            if not getattr(objective, switch):
                raise ValueError(f"method is {self.method}, but objective.{switch} is false; remove one of them")
        if (objective.external_learning or objective.contrastive_learning) and method.learns != "stylization":
            raise ValueError(f"method {self.method}: EL and CL need a method that learns to stylise (paper, section 5)")
        if not method.reconstructs and (objective.has_identity or training.reconstruction_iterations):
            raise ValueError(
                f"method {self.method} cannot reconstruct pictures: set objective.weights.identity and "
                "training.reconstruction_iterations to 0"
            )
        if method.learns != "stylization" and training.reconstruction_iterations:
            raise ValueError(
                f"method {self.method} does not learn to stylise, so there is no stage before it: set "
                "training.reconstruction_iterations to 0"
            )
        if self.model.attention_start != "random" and not method.has_attention:
            start = self.model.attention_start
            raise ValueError(f"model.attention_start is {start}, but method {self.method} has no attention")
        return self

    @property
    def method_name(self) -> str:
        """What the model is called: the method with its switches as they stand, whether by name or by setting."""
        from ieast.methods import full_name

        objective = self.objective
        return full_name(
            _find(self.method)[0].name,
            external_learning=objective.external_learning,
            contrastive_learning=objective.contrastive_learning,
        )

    @model_validator(mode="after")
    def _start_brings_its_encoder(self) -> Self:
        if self.model.start is not None and self.encoder.weights is not None:
            raise ValueError(
                f"model.start {self.model.start} brings the encoder it was trained on, so encoder.weights "
                f"{self.encoder.weights} would not be used; remove one of them"
            )
        return self

    @model_validator(mode="after")
    def _discriminator_fits_crop(self) -> Self:
        smallest = 32 * 2 ** (self.model.discriminator_scales - 1)
        if self.objective.external_learning and self.training.crop < smallest:
            raise ValueError(
                f"training.crop is {self.training.crop}, but {self.model.discriminator_scales} discriminator scales need at "
                f"least {smallest} pixels: enlarge the crop or lower model.discriminator_scales"
            )
        if self.training.crop < SMALLEST_CROP:
            raise ValueError(f"training.crop is {self.training.crop}; the encoder needs at least {SMALLEST_CROP} pixels")
        if self.training.crop > self.prepare.size:
            raise ValueError(f"training.crop is {self.training.crop}, larger than prepare.size {self.prepare.size}")
        return self


VariantName = Literal["full", "no-el", "no-cl", "neither"]
SWITCHES: dict[VariantName, dict[str, bool]] = {
    "full": {"external_learning": True, "contrastive_learning": True},
    "no-el": {"external_learning": False, "contrastive_learning": True},
    "no-cl": {"external_learning": True, "contrastive_learning": False},
    "neither": {"external_learning": False, "contrastive_learning": False},
}


class AblationConfig(Document):
    """The paper's ablation (section 4.4): one experiment with and without EL and CL, times seeds."""

    experiment: ExperimentConfig = Field(description="what all variants share; its two switches and its seed are overridden")
    variants: tuple[VariantName, ...] = Field(tuple(SWITCHES), min_length=1)
    seeds: tuple[int, ...] = Field((0, 1, 2), min_length=1)

    @model_validator(mode="after")
    def _no_cell_twice(self) -> Self:
        for name, values in (("variants", self.variants), ("seeds", self.seeds)):
            if len(set(values)) < len(values):
                raise ValueError(f"{name} {list(values)} holds something twice")
        if min(self.seeds) < 0:
            raise ValueError(f"seeds {list(self.seeds)} holds a negative one")
        return self

    def cell(self, variant: VariantName, seed: int) -> ExperimentConfig:
        """The experiment of one variant and seed. Batches depend on the seed alone: every variant of a seed sees the same."""
        values = self.experiment.model_dump(mode="json")
        values["objective"] |= SWITCHES[variant]
        values["training"] |= {"seed": seed}
        return ExperimentConfig.parse(values | {"work_folder": self.work_folder}, f"variant {variant}, seed {seed}")


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
    precision: Literal["32-true", "bf16-mixed"] = "32-true"
    channels_last: bool = False
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


def describe(error: ValidationError, source: str) -> str:
    """Pydantic's findings as one readable line each, with the place in the configuration."""
    lines = [f"{source} is not a valid configuration:"]
    for finding in error.errors():
        place = ".".join(str(part) for part in finding["loc"]) or "(whole)"
        if finding["type"] == "extra_forbidden":
            lines.append(f"  {place}: unknown key; check its spelling and the section it stands in")
        else:
            lines.append(f"  {place}: {finding['msg'].removeprefix('Value error, ')}")
    return "\n".join(lines)


def _find(name: Any) -> tuple["type[Stylizer]", dict[str, bool]]:
    """The method called `name`, and the switches that its name turns on."""
    from ieast.methods import find, split_name  # which import torch, and this file

    try:
        base, on = split_name(str(name))
        return find(base), on
    except ConfigError as error:
        raise ValueError(str(error)) from None


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        both_maps = isinstance(merged.get(key), Mapping) and isinstance(value, Mapping)
        merged[key] = _merge(merged[key], value) if both_maps else value
    return merged


# The released code departs from the paper here. Each entry replaces the default above it in `paper`.
OFFICIAL: dict[str, Any] = {
    "prepare": {"resize": "square"},  # 512 x 512, which distorts the aspect; the paper keeps it
    "model": {
        "style_head": (128, 128),  # the paper prints 256 units, then 128
        "content_head": (256, 128),  # the paper prints 128 units, then 128
    },
    "objective": {
        "distance": "mse",  # Eq. 1, 3 and 4 print an L2 norm
        "content_layers": "normalised-relu4_1-relu5_1",  # Eq. 3 prints conv4_2
        "adversarial": "least-squares",  # Eq. 2 prints the log form
        "contrastive_reduction": "sum",  # Eq. 5 and 6 are for one anchor; the paper does not say how anchors add up
    },
    "training": {"batch_size": 12, "learning_rate_decay": 5e-5},  # the paper: 16 and a constant rate
}
