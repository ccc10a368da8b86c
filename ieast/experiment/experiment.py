"""An experiment: what is trained on what, how, and how it is judged."""

from collections.abc import Mapping
from typing import Any, Self

from pydantic import Field, model_validator

from ieast.config import (
    SMALLEST_CROP,
    DataConfig,
    Document,
    EncoderConfig,
    EvaluationConfig,
    ModelConfig,
    ObjectiveConfig,
    PrepareConfig,
    PromotionConfig,
    RegistryConfig,
    TrainingConfig,
    merge,
)
from ieast.errors import ConfigError
from ieast.experiment.presets import Preset, defaults
from ieast.methods import find, full_name, split_name
from ieast.stylizer.base import Stylizer


class ExperimentConfig(Document):
    """One run of the training pipeline: everything that decides its outcome."""

    method: str = Field(
        "ieast",
        description="a file in ieast/methods; `+el` and `+cl` after its name switch the two terms on. Brings its publication's "
        "settings as defaults",
    )
    preset: Preset = Field("paper", description="what is laid below the settings given, see `ieast.experiment.presets`")
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
        """Given values over those of the preset and the method."""
        if not isinstance(values, Mapping):
            return values
        method, on = _find(values.get("method", "ieast"))
        return merge(merge(defaults(values.get("preset", "paper"), method), {"objective": on}), values)

    @model_validator(mode="after")
    def _fits_method(self) -> Self:
        method, on = _find(self.method)
        objective, training = self.objective, self.training
        method.parse_options(self.model.options)
        for switch in on:
            if not getattr(objective, switch):
                raise ValueError(f"method is {self.method}, but objective.{switch} is false; remove one of them")
        if (objective.external_learning or objective.contrastive_learning) and method.learns != "stylization":
            raise ValueError(f"method {self.method}: EL and CL need a method that learns to stylize (paper, section 5)")
        for term in ("coherence", "temporal"):
            if getattr(objective.weights, term) and method.learns != "stylization":
                raise ValueError(
                    f"method {self.method} does not learn to stylize, so the term {term} has nothing to teach it: set "
                    f"objective.weights.{term} to 0"
                )
        if not method.reconstructs and (objective.has_identity or training.reconstruction_iterations):
            raise ValueError(
                f"method {self.method} cannot reconstruct pictures: set objective.weights.identity and "
                "training.reconstruction_iterations to 0"
            )
        if method.learns != "stylization" and training.reconstruction_iterations:
            raise ValueError(
                f"method {self.method} does not learn to stylize, so there is no stage before it: set "
                "training.reconstruction_iterations to 0"
            )
        if self.model.attention_start != "random" and not method.has_attention:
            start = self.model.attention_start
            raise ValueError(f"model.attention_start is {start}, but method {self.method} has no attention")
        return self

    @property
    def any_style(self) -> bool:
        """Whether the method stylizes in styles that it was not trained on."""
        return _find(self.method)[0].any_style

    @property
    def method_name(self) -> str:
        """What the model is called: the method with its switches as they stand, whether by name or by setting."""
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
    def _target_is_of_the_generator(self) -> Self:
        if self.objective.content_layers == "target" and self.objective.loss_network is not None:
            raise ValueError(
                "objective.content_layers is `target`, features of the generator's own encoder, which objective.loss_network "
                "cannot be compared with; choose other layers or remove loss_network"
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

    @model_validator(mode="after")
    def _terms_fit_crop(self) -> Self:
        objective, crop = self.objective, self.training.crop
        for layer in objective.coherence.layers if objective.weights.coherence else ():
            side = crop // 2 ** (int(layer[len("relu")]) - 1)
            if side < 3:
                raise ValueError(
                    f"training.crop is {crop}, of which {layer} has {side} x {side} positions, none with eight neighbours for "
                    f"the term coherence: enlarge the crop or remove {layer} from objective.coherence.layers"
                )
        farthest = objective.motion.shift + objective.motion.bend
        if objective.weights.temporal and farthest >= crop:
            raise ValueError(
                f"objective.motion moves pictures by up to {farthest:g} pixels, out of a training.crop of {crop}: lower its "
                "shift or bend"
            )
        return self


def _find(name: Any) -> tuple[type[Stylizer], dict[str, bool]]:
    """The method called `name`, and the switches that its name turns on."""
    try:
        base, on = split_name(str(name))
        return find(base), on
    except ConfigError as error:
        raise ValueError(str(error)) from None
