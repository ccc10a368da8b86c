"""What ablations and benchmarks consist of: variants, rows, speed, and the pictures that people compare."""

from typing import Any, Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from ieast.config.base import Settings

VariantName = Literal["full", "no-el", "no-cl", "neither"]
VARIANT_SWITCHES: dict[VariantName, dict[str, bool]] = {
    "full": {"external_learning": True, "contrastive_learning": True},
    "no-el": {"external_learning": False, "contrastive_learning": True},
    "no-cl": {"external_learning": True, "contrastive_learning": False},
    "neither": {"external_learning": False, "contrastive_learning": False},
}


class MethodEntry(Settings):
    """A row of the benchmark: a method that it trains, or a model that is there."""

    method: str | None = Field(None, description="as in an experiment: `wct`, `adain+el+cl`; trained by the benchmark")
    model: str | None = Field(
        None,
        description="taken as it is: `ieast` or `sanet` as shipped, a model folder, or a URI such as models:/NAME@champion",
    )
    label: str | None = Field(
        None, pattern=r"^[A-Za-z0-9][A-Za-z0-9+._-]*$", description="the row's name; by default the method's"
    )
    settings: dict[str, Any] = Field(
        default_factory=dict, description="over the experiment's, for this method alone: sections model, objective, training"
    )

    @model_validator(mode="before")
    @classmethod
    def _a_name_is_a_method(cls, values: Any) -> Any:
        return {"method": values} if isinstance(values, str) else values

    @model_validator(mode="after")
    def _is_one_of_both(self) -> Self:
        if (self.method is None) == (self.model is None):
            raise ValueError("give either `method`, which is trained, or `model`, which is taken as it is")
        if self.model is not None and self.settings:
            raise ValueError(f"model {self.model} is taken as it is, so its settings would not be used; remove them")
        if self.model is not None and self.label is None:
            raise ValueError(f"model {self.model} needs a `label`")
        if foreign := set(self.settings) - {"model", "objective", "training"}:
            raise ValueError(
                f"settings of {self.method} may change model, objective and training, not {', '.join(sorted(foreign))}: "
                "methods are compared on the same data, encoder and evaluation"
            )
        return self

    @property
    def name(self) -> str:
        """The row's name."""
        return str(self.label or self.method)


class SpeedConfig(Settings):
    """How speed and memory are measured."""

    sizes: tuple[PositiveInt, ...] = Field((256, 512, 1024), description="pixels; sides of content and style")
    repeats: PositiveInt = Field(3, description="of which the median counts, after one to warm up")
    limit: PositiveFloat = Field(120.0, description="seconds; a size expected to take longer is not measured, and said so")


class ShowcaseConfig(Settings):
    """The pictures that people compare: every content in every style by every method (the paper's study: 10 x 15)."""

    contents: PositiveInt = 10
    styles: PositiveInt = 15
    artworks: int = Field(10, ge=0, description="real artworks that are no style of the showcase, for deception questions")
    size: PositiveInt = Field(512, description="pixels of the smallest side")
