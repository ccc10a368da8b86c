"""Several experiments side by side: the ablation and the benchmark."""

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from ieast.config.base import Document, Settings, merge
from ieast.config.experiment import ExperimentConfig
from ieast.errors import ConfigError

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


class BenchmarkConfig(Document):
    """All methods on the same data, encoder, pairs and clips (the paper's Tables 1 and 2)."""

    experiment: dict[str, Any] = Field(
        description="what all methods share, as in a training configuration; laid over each method's own settings"
    )
    methods: tuple[MethodEntry, ...] = Field(min_length=1)
    baseline: str | None = Field(None, description="the row others are compared with; by default the first")
    speed: SpeedConfig = SpeedConfig()
    showcase: ShowcaseConfig = ShowcaseConfig()

    @model_validator(mode="after")
    def _fits(self) -> Self:
        names = [entry.name for entry in self.methods]
        if len(set(names)) < len(names):
            raise ValueError(f"methods {names} holds a name twice; give one of them a `label`")
        if self.baseline is not None and self.baseline not in names:
            raise ValueError(f"baseline is {self.baseline}, which is none of the methods {', '.join(names)}")
        if "method" in self.experiment:
            raise ValueError("experiment.method: the methods stand under `methods`")
        for entry in self.methods:
            try:
                cell = self.cell(entry)
            except ConfigError as error:
                raise ValueError(str(error)) from None
            own, shared = cell.model.options.get("styles"), cell.evaluation.styles
            if not cell.any_style and (own is None or own != shared):
                raise ValueError(
                    f"{entry.name} knows the styles that it learns and no others, so all methods must be compared in as many: "
                    "set model.options.styles in its settings and experiment.evaluation.styles to the same number"
                )
        return self

    def cell(self, entry: MethodEntry) -> ExperimentConfig:
        """The experiment of one row; of a model that is taken as it is, only data and evaluation count."""
        method: Mapping[str, Any] = {} if entry.method is None else {"method": entry.method}
        values = merge(merge(self.experiment, entry.settings), {**method, "work_folder": self.work_folder})
        return ExperimentConfig.parse(values, f"method {entry.name}")

    @property
    def reference(self) -> str:
        """The row that others are compared with."""
        return self.baseline or self.methods[0].name
