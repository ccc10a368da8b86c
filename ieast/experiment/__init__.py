"""Experiments and comparisons of them: settings with the defaults of a preset and of a method's publication."""

from ieast.experiment.comparisons import AblationConfig, BenchmarkConfig
from ieast.experiment.experiment import ExperimentConfig

__all__ = ["AblationConfig", "BenchmarkConfig", "ExperimentConfig"]
