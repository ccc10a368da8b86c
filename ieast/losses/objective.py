"""Eq. 7: the weighted sum of all terms, with external learning (EL) and contrastive learning (CL) as switches."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ieast.config import ObjectiveConfig
from ieast.losses import functional
from ieast.losses.pairs import PairBatch
from ieast.models.encoder import STYLE_TAPS

Taps = dict[str, Tensor]


@dataclass(frozen=True)
class GeneratedBatch:
    """What one training iteration made, and from what; b pictures of b/2 distinct contents and styles.

    Pictures are (·, 3, H, W); taps map names to (·, C, h, w). Originals and their identity reconstructions are kept once each:
    the means over a full batch, in which each stands twice, are the same.
    """

    pairs: PairBatch
    content: Tensor  # (b/2, ...)  I_c
    style: Tensor  # (b/2, ...)  I_s
    content_taps: Taps
    style_taps: Taps
    stylized_taps: Taps  # of I_sc, b pictures
    content_identity: Tensor  # (b/2, ...)  I_cc
    style_identity: Tensor  # (b/2, ...)  I_ss
    content_identity_taps: Taps
    style_identity_taps: Taps


class Objective:
    """The generator's objective. Terms come out unweighted; `total` weights them with λ of Eq. 7."""

    def __init__(self, config: ObjectiveConfig):
        self.config = config
        w = config.weights
        self.weights = {
            "style": w.style,
            "content": w.content,
            "identity_pixels": w.identity * w.identity_pixels,
            "identity_taps": w.identity * w.identity_taps,
        }
        if config.external_learning:
            self.weights["adversarial"] = w.adversarial
        if config.contrastive_learning:
            self.weights |= {"style_contrastive": w.style_contrastive, "content_contrastive": w.content_contrastive}

    @property
    def needs_conv4_2(self) -> bool:
        """Whether the encoder must also give conv4_2."""
        return self.config.content_layers == "conv4_2"

    def internal_terms(self, batch: GeneratedBatch) -> dict[str, Tensor]:
        """L_s, L_c and the two sums of L_identity."""
        config = self.config
        wanted_style = [batch.style_taps[tap][batch.pairs.style] for tap in STYLE_TAPS]
        style = functional.style_loss(
            [batch.stylized_taps[tap] for tap in STYLE_TAPS], wanted_style, config.distance, config.unit
        )
        layers = ("conv4_2",) if self.needs_conv4_2 else ("relu4_1", "relu5_1")
        content = functional.content_loss(
            [batch.stylized_taps[layer] for layer in layers],
            [batch.content_taps[layer][batch.pairs.content] for layer in layers],
            config.distance,
            normalise=not self.needs_conv4_2,
        )
        pixels, taps = self.identity_terms(batch)
        return {"style": style, "content": content, "identity_pixels": pixels, "identity_taps": taps}

    def identity_terms(self, batch: GeneratedBatch) -> tuple[Tensor, Tensor]:
        """Both sums of Eq. 4 over I_cc and I_ss."""
        reconstructions = (
            (batch.content_identity, batch.content, batch.content_identity_taps, batch.content_taps),
            (batch.style_identity, batch.style, batch.style_identity_taps, batch.style_taps),
        )
        config = self.config
        (pixels_c, taps_c), (pixels_s, taps_s) = (
            functional.identity_loss(image, original, _in_order(taps), _in_order(wanted), config.distance, config.unit)
            for image, original, taps, wanted in reconstructions
        )
        return pixels_c + pixels_s, taps_c + taps_s

    def contrastive_terms(self, style_embeddings: Tensor, content_embeddings: Tensor, pairs: PairBatch) -> dict[str, Tensor]:
        """L_s-contra and L_c-contra from l_s and l_c of the stylized pictures, each (b, D)."""
        tau, reduction = self.config.temperature, self.config.contrastive_reduction
        negatives = pairs.negatives
        return {
            "style_contrastive": functional.contrastive_loss(style_embeddings, pairs.same_style, negatives, tau, reduction),
            "content_contrastive": functional.contrastive_loss(
                content_embeddings, pairs.same_content, negatives, tau, reduction
            ),
        }

    def total(self, terms: dict[str, Tensor]) -> Tensor:
        """Σ λ_k · term_k over exactly the terms that are switched on."""
        return torch.stack([weight * terms[name] for name, weight in self.weights.items()]).sum()


def _in_order(taps: Taps) -> list[Tensor]:
    return [taps[tap] for tap in STYLE_TAPS]
