"""Every setting and its default, once. YAML files only override; an unknown key is an error.

The defaults are the preset `paper`; what the released code does otherwise is the preset `official`, and what other methods'
publications do otherwise stands with the methods.
"""

from ieast.config.base import (
    Document,
    Settings,
    describe,
    merge,
)
from ieast.config.comparisons import (
    SWITCHES,
    AblationConfig,
    BenchmarkConfig,
    MethodEntry,
    ShowcaseConfig,
    SpeedConfig,
    VariantName,
)
from ieast.config.distillation import (
    DistillationConfig,
    DistillationTrainingConfig,
    TeacherConfig,
)
from ieast.config.experiment import (
    OFFICIAL,
    ExperimentConfig,
)
from ieast.config.sections import (
    SMALLEST_ARTFID_SIDE,
    SMALLEST_CROP,
    DataConfig,
    EncoderConfig,
    EvaluationConfig,
    LossWeights,
    ModelConfig,
    ObjectiveConfig,
    OptimizerName,
    PrepareConfig,
    PromotionConfig,
    RegistryConfig,
    StyleLayer,
    Threshold,
    TrainingConfig,
)

__all__ = [
    "OFFICIAL",
    "SMALLEST_ARTFID_SIDE",
    "SMALLEST_CROP",
    "SWITCHES",
    "AblationConfig",
    "BenchmarkConfig",
    "DataConfig",
    "DistillationConfig",
    "DistillationTrainingConfig",
    "Document",
    "EncoderConfig",
    "EvaluationConfig",
    "ExperimentConfig",
    "LossWeights",
    "MethodEntry",
    "ModelConfig",
    "ObjectiveConfig",
    "OptimizerName",
    "PrepareConfig",
    "PromotionConfig",
    "RegistryConfig",
    "Settings",
    "ShowcaseConfig",
    "SpeedConfig",
    "StyleLayer",
    "TeacherConfig",
    "Threshold",
    "TrainingConfig",
    "VariantName",
    "describe",
    "merge",
]
