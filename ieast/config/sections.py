"""The sections of an experiment: every setting and its default, once."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from ieast.config.base import Settings
from ieast.metrics import Direction, find_metric

# Reflection padding needs two positions at relu5_1, a sixteenth of the crop.
SMALLEST_CROP = 32

# Below this nothing is left for the last layers of Inception-v3, which ArtFID takes its features from.
SMALLEST_ARTFID_SIDE = 75

OptimizerName = Literal["adam", "soap"]
StyleLayer = Literal["relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"]

Beta = Annotated[float, Field(ge=0, lt=1)]
"""Of Adam."""


class DataConfig(Settings):
    """Which version of the dataset to read, through DVC."""

    repository: str = Field(".", description="git repository that tracks the dataset: a folder or a URL")
    revision: str = Field("workspace", description="tag, branch or commit; `workspace` is data.dvc as it stands on disk")
    path: str = Field("data", description="folder in the repository that holds content/, style/ and clips/")
    max_shift: float | None = Field(
        None,
        gt=0,
        description="stop the training pipeline when the pictures differ from the champion's by more than this: the means of "
        "sizes, palettes and features, in deviations over the champion's pictures. Without it the difference is only reported",
    )

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
    enlarge: bool = Field(
        True,
        description="scale smaller pictures up to `size`, as published; if not, they stay as they are: enlarged ones have no "
        "detail, and a model learns to paint what it sees",
    )
    min_side: PositiveInt = Field(64, description="sources with a smaller side, in pixels, are quarantined")
    max_pixels: PositiveInt = Field(150_000_000, description="sources with more pixels are quarantined undecoded")
    jpeg_quality: int = Field(95, ge=1, le=100)
    max_bad_share: float = Field(0.05, ge=0, le=1, description="stop when more than this share of a side is unusable")
    held_out: float = Field(
        0.0, ge=0, lt=1, description="share of each side that training never sees and that models are scored on; 0: no split"
    )
    shard_pictures: int = Field(
        0,
        ge=0,
        description="pictures in each of the tar files that they are kept in, for disks which are slow with many small files; "
        "0: a file each",
    )
    engine: Literal["embedded", "ray"] = Field(
        "embedded", description="this process alone, or several by Ray Data, here or on the cluster Ray is connected to"
    )
    processes: PositiveInt = Field(2, description="that share the work with `engine: ray`")
    workers: int = Field(0, ge=0, description="threads of the one process; 0 is one per core")


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
        "features, so that a reconstructing decoder shows recognizable pictures from the first iteration",
    )
    style_head: tuple[PositiveInt, PositiveInt] = (256, 128)  # hidden units and outputs, as the paper prints them
    content_head: tuple[PositiveInt, PositiveInt] = (128, 128)  # the paper's, too
    discriminator_width: PositiveInt = 64  # as pix2pixHD, whose discriminator it is
    discriminator_scales: PositiveInt = 3
    discriminator_normalization: Literal["instance", "spectral"] = Field(
        "instance",
        description="`instance` as published, which takes from the layers above the first how strong a picture's noise is; "
        "`spectral` bounds how fast scores can change instead, and leaves it in",
    )


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
    bands: float = Field(
        0.0,
        ge=0,
        description="of how strong fine detail is in lightness and in colour, beside the artwork's: small networks' features "
        "do not see coloured fringes",
    )
    total_variation: float = Field(0.0, ge=0, description="of the stylized pictures, or of what decoders reconstruct")
    coherence: float = Field(
        0.0,
        ge=0,
        description="of how neighbouring patches differ, beside the content's: CCPL, which steadies clips without seeing any",
    )
    temporal: float = Field(
        0.0, ge=0, description="of how a content that moved, with noise, is stylized, beside what it became"
    )


class CoherenceConfig(Settings):
    """What the term `coherence` looks at; the defaults are those of Wu et al. 2022."""

    layers: tuple[StyleLayer, ...] = Field(("relu2_1", "relu3_1", "relu4_1"), min_length=1)
    anchors: PositiveInt = Field(8, description="positions of each layer that are compared with the eight around them")
    temperature: PositiveFloat = Field(0.07, description="τ")


class MotionConfig(Settings):
    """How pictures move for the term `temporal`; in pixels of the crop, to each side."""

    shift: float = Field(8.0, ge=0, description="the most that a whole picture does")
    bend: float = Field(2.0, ge=0, description="the most that its parts do besides, smoothly")
    noise: float = Field(0.02, ge=0, le=1, description="deviation of Gaussian noise, for values in [0, 1]")


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
    adversarial: Literal["log", "least-squares"] = "log"  # Eq. 2; the released code has the other
    loss_network: EncoderConfig | None = Field(
        None,
        description="network whose features the losses compare, where it is not the generator's own encoder: a large one can "
        "teach a model that is small",
    )
    gradient_penalty: float = Field(
        0.0,
        ge=0,
        description="factor of R1: the discriminator pays for steep scores at real artworks, so that it cannot run away from a "
        "generator that is close",
    )
    contrastive_reduction: Literal["mean", "sum"] = "mean"  # of anchors: so that weights do not depend on the batch
    temperature: PositiveFloat = Field(0.2, description="τ of Eq. 5 and 6")
    coherence: CoherenceConfig = CoherenceConfig()
    motion: MotionConfig = MotionConfig()
    weights: LossWeights = LossWeights()

    @property
    def has_identity(self) -> bool:
        """Whether Eq. 4 has any weight."""
        w = self.weights
        return w.identity * w.identity_pixels > 0 or w.identity * w.identity_taps > 0


FREE_SETTINGS = frozenset(
    {
        "accelerator",
        "cache_gb",
        "channels_last",
        "compile",
        "loader_workers",
        "log_every",
        "picture_every",
        "checkpoint_every",
        "model_every",
    }
)
"""Settings of `TrainingConfig` that do not decide the outcome and may change when a run is continued."""


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
    identity_every: PositiveInt = Field(
        1,
        description="iterations between those with the terms of Eq. 4, which weigh as many times as much; they take "
        "almost half of an iteration's time",
    )
    gradient_penalty_every: PositiveInt = Field(
        16, description="iterations between those with the gradient penalty, which weighs as many times as much"
    )
    discriminator_learning_rate: PositiveFloat | None = Field(None, description="of the discriminator, where it differs")
    discriminator_betas: tuple[Beta, Beta] = (0.5, 0.999)  # the paper is silent: the released code's choice
    gradient_clip: PositiveFloat | None = Field(None, description="largest gradient norm of the generator")
    ema_decay: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="export an exponential moving average of the generator's weights, which keeps so much of itself an "
        "iteration (0.999 averages over about 1,000); none: the last weights",
    )
    seed: int = Field(0, ge=0)

    accelerator: Literal["auto", "cpu", "gpu"] = "auto"
    devices: PositiveInt = 1
    nodes: PositiveInt = 1
    strategy: str = "auto"
    precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed"] = Field(
        "32-true", description="`auto` is bf16-mixed where the GPU or CPU gains by it, and else 32-true"
    )
    channels_last: bool = True
    compile: bool | Literal["reduce-overhead", "max-autotune"] = Field(
        False,
        description="fuse operations by torch.compile; `reduce-overhead` also records CUDA graphs, and `max-autotune` "
        "tries kernels as well. For GPUs: on CPUs it is slower",
    )
    loader_workers: int = Field(2, ge=0)
    cache_gb: float = Field(0.0, ge=0, description="memory for decoded pictures, in each loading process")

    log_every: PositiveInt = Field(50, description="iterations")
    picture_every: PositiveInt = Field(1000, description="iterations")
    checkpoint_every: PositiveInt = Field(1000, description="iterations")
    model_every: PositiveInt | None = Field(
        None,
        description="iterations between models that are kept on the way, which pipelines score and log as the finished one; "
        "none: the finished one alone",
    )

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
    styles: PositiveInt | None = Field(
        None, description="so many of the styles, evenly spread, are scored in; none: all. For methods that learn single styles"
    )
    grid_contents: PositiveInt = 4
    grid_styles: PositiveInt = 6
    max_frames: int = Field(50, ge=2, description="frames scored of each clip")
    warping_intervals: tuple[PositiveInt, ...] = Field(
        (1, 10), description="frames between those whose warping error is scored"
    )
    steady: bool = Field(
        False, description="whether clips are stylized as by `ieast stylize --steady`, in the place of each frame by itself"
    )
    artfid_weights: str | None = Field(
        None, description="file of ArtFID's network (art_inception.pth); none: ArtFID is not scored"
    )
    preference: str | None = Field(
        None, description="file of a preference scorer, as `ieast study scorer` writes it; none: preference is not scored"
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
    better: Direction = Field(
        "lower",
        description="which of two values is the better one. Scores of `ieast.metrics` have their direction there; others must "
        "say it where they are compared with the champion's",
    )
    at_most: float | None = None
    at_least: float | None = None
    relative_to_champion: PositiveFloat | None = Field(
        None,
        description="limit as a ratio candidate / champion. Where lower is better, 1.0: no worse, 1.05: up to 5 % worse, 0.95: "
        "at least 5 % better; where higher is better, 0.95: up to 5 % worse, 1.05: at least 5 % better",
    )

    @model_validator(mode="before")
    @classmethod
    def _direction_is_the_metrics(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        name, better = values.get("metric"), values.get("better")
        metric = find_metric(name) if isinstance(name, str) else None
        if metric is None:
            if better is None and values.get("relative_to_champion") is not None:
                raise ValueError(
                    f"threshold on {name}, which is no score of this project, compares with the champion: say with `better` "
                    "whether lower or higher values are better"
                )
            return values
        if better is not None and better != metric.better:
            raise ValueError(f"threshold on {name} says better: {better}, but of this score {metric.better} values are better")
        return {**values, "better": metric.better}

    @model_validator(mode="after")
    def _bounds_the_worse_side(self) -> Self:
        lower = self.better == "lower"
        wrong, right = ("at_least", "at_most") if lower else ("at_most", "at_least")
        asks_for_worse = getattr(self, wrong) is not None and getattr(self, right) is None and self.relative_to_champion is None
        if asks_for_worse and find_metric(self.metric) is not None:
            raise ValueError(
                f"threshold on {self.metric} sets {wrong} alone, but of this score {self.better} values are better: "
                f"set {right}, or both for a range"
            )
        return self

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
        # Bounded, where a few pairs with near-empty styles would rule the mean of `style_distance`.
        Threshold(metric="style_mismatch", relative_to_champion=1.0),
        Threshold(metric="content_distance", relative_to_champion=1.1),
    )
    encoder: EncoderConfig = Field(
        EncoderConfig(name="vgg19-compact"),
        description="by whose features both sides are scored; the same for every candidate, so that decisions are comparable "
        "and none is judged by what it brings along. The shipped one is at hand everywhere",
    )
    ask: bool = Field(
        False,
        description="a candidate that passes stays challenger until somebody agrees: `ieast promote NAME VERSION -c FILE` asks",
    )


class RegistryConfig(Settings):
    """Where models are registered."""

    name: str = Field("ieast", pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
