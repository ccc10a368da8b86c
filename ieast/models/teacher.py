"""What a student of distillation imitates: the five taps of a VGG-19 at full width."""

from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor, nn

from ieast.config import EncoderConfig, TeacherConfig
from ieast.errors import WeightsError
from ieast.io.weights import read_weights
from ieast.models.encoder import Encoder
from ieast.models.encoder_weights import build_encoder
from ieast.models.vgg19 import STYLE_TAPS, WIDTHS

FULL_WIDTHS = WIDTHS["vgg19"]


class Lifts(nn.Module):
    """A 1x1 convolution a tap, from a narrow encoder's channels to the 64 to 512 of the full VGG-19."""

    def __init__(self, widths: tuple[int, ...]):
        super().__init__()
        self.taps = nn.ModuleDict(
            {tap: nn.Conv2d(width, full, 1) for tap, width, full in zip(STYLE_TAPS, widths, FULL_WIDTHS, strict=True)}
        )

    def forward(self, taps: dict[str, Tensor]) -> dict[str, Tensor]:
        """Taps (B, width, h, w) lifted to (B, full width, h, w)."""
        return {name: lift(taps[name]) for name, lift in self.taps.items()}

    @torch.no_grad()
    def absorb(self, means: dict[str, float]) -> None:
        """Make up for `Encoder.normalize_taps`, which divided the layers by `means`: what is lifted stays what it was."""
        for name, lift in self.taps.items():
            lift.weight.mul_(means[name.removeprefix("relu")])  # type: ignore[operator]


class Teacher(nn.Module):
    """An encoder with, if it is narrow, the lifts it was distilled with."""

    def __init__(self, encoder: Encoder, lifts: Lifts | None):
        super().__init__()
        self.encoder, self.lifts = encoder, lifts
        self.requires_grad_(False).eval()

    def normalize_taps(self, pictures: Iterable[Tensor]) -> None:
        """Bring the encoder's layers to unit mean activation over `pictures`; lifted taps stay what they were."""
        means = self.encoder.normalize_taps(pictures)
        if self.lifts is not None:
            self.lifts.absorb(means)

    @torch.no_grad()
    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """The five taps of `images` (B, 3, H, W) in [0, 1], with 64, 128, 256, 512 and 512 channels."""
        taps = self.encoder(images)
        return self.lifts(taps) if self.lifts is not None else taps


def build_teacher(config: TeacherConfig) -> Teacher:
    """The teacher that `config` names.

    Raises:
        WeightsError: Its weights are missing or unusable, or a narrow one has no lifts.
    """
    encoder = build_encoder(EncoderConfig(name=config.name, weights=config.weights))
    if encoder.widths == FULL_WIDTHS:
        return Teacher(encoder, None)
    assert config.weights is not None
    state = read_weights(Path(config.weights))
    lifts = Lifts(encoder.widths)
    try:
        # Collaborative Distillation's names: conv11_aux for the lift of relu1_1, and so on.
        names = {tap: f"conv{tap[4]}{tap[6]}_aux" for tap in STYLE_TAPS}
        lifts.load_state_dict(
            {f"taps.{tap}.{kind}": state[f"{name}.{kind}"] for tap, name in names.items() for kind in ("weight", "bias")}
        )
    except (KeyError, RuntimeError) as error:
        raise WeightsError(
            f"{config.weights} cannot be a teacher: it lacks a lift to full width ({error}). Take the encoder5 file of "
            "Collaborative Distillation with its `_aux` convolutions, or a full VGG-19"
        ) from error
    return Teacher(encoder, lifts)
