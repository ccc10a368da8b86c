"""Every setting and its default, once. YAML files only override; an unknown key is an error.

Settings alone: whole experiments, which know methods and presets, stand in `ieast.experiment`.
"""

from ieast.config.adaptation import AdaptationConfig
from ieast.config.base import (
    Document,
    Settings,
    describe,
    merge,
)
from ieast.config.batch import BatchConfig
from ieast.config.comparison import (
    VARIANT_SWITCHES,
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
from ieast.config.sections import (
    FREE_SETTINGS,
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
from ieast.config.stylization import (
    PRESERVE_COLOUR,
    PreserveColour,
    StylizeOptions,
)

__all__ = [
    "FREE_SETTINGS",
    "PRESERVE_COLOUR",
    "SMALLEST_ARTFID_SIDE",
    "SMALLEST_CROP",
    "VARIANT_SWITCHES",
    "AdaptationConfig",
    "BatchConfig",
    "DataConfig",
    "DistillationConfig",
    "DistillationTrainingConfig",
    "Document",
    "EncoderConfig",
    "EvaluationConfig",
    "LossWeights",
    "MethodEntry",
    "ModelConfig",
    "ObjectiveConfig",
    "OptimizerName",
    "PrepareConfig",
    "PreserveColour",
    "PromotionConfig",
    "RegistryConfig",
    "Settings",
    "ShowcaseConfig",
    "SpeedConfig",
    "StyleLayer",
    "StylizeOptions",
    "TeacherConfig",
    "Threshold",
    "TrainingConfig",
    "VariantName",
    "describe",
    "merge",
]
