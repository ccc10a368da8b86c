"""Artistic style transfer with internal-external learning and contrastive learning."""

__version__ = "0.1.0"
