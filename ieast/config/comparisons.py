"""Several experiments side by side: the ablation and the benchmark."""

from typing import Literal, Self

from pydantic import Field, model_validator

from ieast.config.base import Document
from ieast.config.experiment import ExperimentConfig

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
