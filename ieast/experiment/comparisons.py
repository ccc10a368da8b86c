"""Several experiments side by side: the ablation and the benchmark."""

from collections.abc import Mapping
from typing import Any, Self

from pydantic import Field, model_validator

from ieast.config import (
    FREE_SETTINGS,
    SMALLEST_CROP,
    VARIANT_SWITCHES,
    Document,
    MethodEntry,
    ShowcaseConfig,
    SpeedConfig,
    VariantName,
    merge,
)
from ieast.errors import ConfigError
from ieast.experiment.experiment import ExperimentConfig

# What a model that is taken as it is needs of an experiment, and what lets the rest of it pass: nothing is trained.
_JUDGED = ("preset", "data", "prepare", "evaluation", "promotion")
_UNTRAINED: Mapping[str, Any] = {
    "objective": {"external_learning": False, "contrastive_learning": False},
    "training": {"crop": SMALLEST_CROP},
}


class AblationConfig(Document):
    """The paper's ablation (section 4.4): one experiment with and without EL and CL, times seeds."""

    experiment: ExperimentConfig = Field(description="what all variants share; its two switches and its seed are overridden")
    variants: tuple[VariantName, ...] = Field(tuple(VARIANT_SWITCHES), min_length=1)
    seeds: tuple[int, ...] = Field((0, 1, 2), min_length=1)

    @model_validator(mode="after")
    def _no_cell_twice(self) -> Self:
        for name, values in (("variants", self.variants), ("seeds", self.seeds)):
            if len(set(values)) < len(values):
                raise ValueError(f"{name} {list(values)} holds something twice")
        if min(self.seeds) < 0:
            raise ValueError(f"seeds {list(self.seeds)} holds a negative one")
        return self

    @model_validator(mode="after")
    def _every_variant_fits(self) -> Self:
        # What the experiment switches off is not checked in it, but variants switch it on.
        try:
            for variant in self.variants:
                self.cell(variant, self.seeds[0])
        except ConfigError as error:
            raise ValueError(str(error)) from None
        return self

    def cell(self, variant: VariantName, seed: int) -> ExperimentConfig:
        """The experiment of one variant and seed. Batches depend on the seed alone: every variant of a seed sees the same."""
        values = self.experiment.model_dump(mode="json")
        values["objective"] |= VARIANT_SWITCHES[variant]
        values["training"] |= {"seed": seed}
        return ExperimentConfig.parse(values | {"work_folder": self.work_folder}, f"variant {variant}, seed {seed}")


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
        trained: dict[str, str] = {}
        for entry in self.methods:
            try:
                cell = self.cell(entry)
            except ConfigError as error:
                raise ValueError(str(error)) from None
            decisive = cell.model_dump_json(exclude={"training": set(FREE_SETTINGS)})
            if entry.method is not None and (twin := trained.setdefault(decisive, entry.name)) != entry.name:
                raise ValueError(f"{twin} and {entry.name} are one training: give one of them other settings, or remove it")
            own, shared = cell.model.options.get("styles"), cell.evaluation.styles
            if not cell.any_style and (own is None or own != shared):
                raise ValueError(
                    f"{entry.name} knows the styles that it learns and no others, so all methods must be compared in as many: "
                    "set model.options.styles in its settings and experiment.evaluation.styles to the same number"
                )
        return self

    def cell(self, entry: MethodEntry) -> ExperimentConfig:
        """The experiment of one row; of a model that is taken as it is, only data and evaluation count and are checked."""
        if entry.method is None:
            judged = {name: self.experiment[name] for name in _JUDGED if name in self.experiment}
            values: Mapping[str, Any] = {**judged, **_UNTRAINED, "work_folder": self.work_folder}
        else:
            values = merge(merge(self.experiment, entry.settings), {"method": entry.method, "work_folder": self.work_folder})
        return ExperimentConfig.parse(values, f"method {entry.name}")

    @property
    def reference(self) -> str:
        """The row that others are compared with."""
        return self.baseline or self.methods[0].name
