"""Eq. 7: the weighted sum of all terms, with external learning (EL) and contrastive learning (CL) as switches."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from numpy.random import Generator
from torch import Tensor

from ieast.config import ObjectiveConfig
from ieast.layers.statistics import total_variation
from ieast.losses import functional
from ieast.losses.coherence import coherence_loss, draw_anchors, neighbour_differences
from ieast.losses.motion import temporal_loss
from ieast.losses.pairs import PairBatch
from ieast.losses.pyramid import band_loss
from ieast.models.encoder import Taps
from ieast.models.vgg19 import STYLE_TAPS


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
    stylized: Tensor  # (b, ...)  I_sc
    stylized_taps: Taps
    target: Tensor | None  # (b, C, h, w)  the features that I_sc were decoded from, where there are such
    identity: "Identity | None"
    moved: "Moved | None" = None


@dataclass(frozen=True)
class Identity:
    """Identity reconstructions, where the objective asks for them."""

    content: Tensor  # (b/2, ...)  I_cc
    style: Tensor  # (b/2, ...)  I_ss
    content_taps: Taps
    style_taps: Taps


@dataclass(frozen=True)
class Moved:
    """Contents that moved, where the objective asks how they are stylized: the k-th content in the k-th style."""

    flow: Tensor  # (b/2, 2, H, W)
    stylized: Tensor  # (b/2, ...)


class Objective:
    """The generator's objective. Terms come out unweighted; `total` weights them with λ of Eq. 7."""

    def __init__(self, config: ObjectiveConfig):
        self.config = config
        w = config.weights
        self.weights = {
            "style": w.style,
            "content": w.content,
        }
        if config.has_identity:
            self.weights |= {"identity_pixels": w.identity * w.identity_pixels, "identity_taps": w.identity * w.identity_taps}
        if w.total_variation:
            self.weights["total_variation"] = w.total_variation
        if w.bands:
            self.weights["bands"] = w.bands
        if w.coherence:
            self.weights["coherence"] = w.coherence
        if w.temporal:
            self.weights["temporal"] = w.temporal
        if config.external_learning:
            self.weights["adversarial"] = w.adversarial
        if config.contrastive_learning:
            self.weights |= {"style_contrastive": w.style_contrastive, "content_contrastive": w.content_contrastive}

    @property
    def layers(self) -> tuple[str, ...]:
        """What of the encoder's the terms read."""
        return (*STYLE_TAPS, "conv4_2") if self.config.content_layers == "conv4_2" else STYLE_TAPS

    def internal_terms(self, batch: GeneratedBatch) -> dict[str, Tensor]:
        """L_s, L_c, and where they have weight the two sums of L_identity and the total variation."""
        config = self.config
        terms = {"style": self.style_term(batch), "content": self.content_term(batch)}
        if batch.identity is not None:
            terms["identity_pixels"], terms["identity_taps"] = self.identity_terms(batch, batch.identity)
        if config.weights.total_variation:
            terms["total_variation"] = total_variation(batch.stylized)
        if config.weights.bands:
            terms["bands"] = band_loss(batch.stylized, batch.style, batch.pairs.style)
        if batch.moved is not None:
            count = len(batch.moved.stylized)  # the first half of a pair batch is the k-th content in the k-th style
            terms["temporal"] = temporal_loss(batch.stylized[:count], batch.moved.stylized, batch.moved.flow)
        return terms

    def style_term(self, batch: GeneratedBatch) -> Tensor:
        """L_s."""
        config = self.config
        return functional.style_loss(
            [batch.stylized_taps[tap] for tap in config.style_layers],
            [batch.style_taps[tap] for tap in config.style_layers],
            config.distance,
            config.unit,
            config.style_statistics,
            batch.pairs.style,
        )

    def content_term(self, batch: GeneratedBatch) -> Tensor:
        """L_c, or what other methods have in its place."""
        layers, distance = self.config.content_layers, self.config.distance
        if layers == "target":
            assert batch.target is not None
            return functional.feature_distance(batch.stylized_taps["relu4_1"], batch.target, distance)
        chosen = ("relu4_1", "relu5_1") if layers == "normalised-relu4_1-relu5_1" else (layers,)
        return functional.content_loss(
            [batch.stylized_taps[layer] for layer in chosen],
            [batch.content_taps[layer][batch.pairs.content] for layer in chosen],
            distance,
            normalize=layers == "normalised-relu4_1-relu5_1",
        )

    def identity_terms(self, batch: GeneratedBatch, identity: Identity) -> tuple[Tensor, Tensor]:
        """Both sums of Eq. 4 over I_cc and I_ss."""
        reconstructions = (
            (identity.content, batch.content, identity.content_taps, batch.content_taps),
            (identity.style, batch.style, identity.style_taps, batch.style_taps),
        )
        config = self.config
        (pixels_c, taps_c), (pixels_s, taps_s) = (
            functional.identity_loss(image, original, _in_order(taps), _in_order(original_taps), config.distance, config.unit)
            for image, original, taps, original_taps in reconstructions
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

    def coherence_term(
        self, batch: GeneratedBatch, heads: Callable[[Sequence[Tensor]], Sequence[Tensor]], random: Generator
    ) -> Tensor:
        """L_ccp of Wu et al. 2022: the sum over layers, at anchors that all pictures share.

        Args:
            batch: What was made.
            heads: From differences (B, S, C) to embeddings (B, S, D) of unit length, one for each layer.
            random: Draws the anchors.
        """
        config = self.config.coherence
        of_stylized, of_content = [], []
        for layer in config.layers:
            tap = batch.stylized_taps[layer]
            height, width = tap.shape[2:]
            rows, columns = (each.to(tap.device) for each in draw_anchors(height, width, config.anchors, random))
            of_stylized.append(neighbour_differences(tap, rows, columns))
            # Of each content once; it stands twice in the batch.
            of_content.append(neighbour_differences(batch.content_taps[layer], rows, columns))
        pairs = zip(heads(of_stylized), heads(of_content), strict=True)
        losses = [coherence_loss(stylized, content[batch.pairs.content], config.temperature) for stylized, content in pairs]
        return torch.stack(losses).sum()

    def total(self, terms: dict[str, Tensor], identity_factor: int = 1) -> Tensor:
        """Σ λ_k · term_k over exactly the terms that are switched on.

        Args:
            terms: What the iteration computed.
            identity_factor: How much more the terms of Eq. 4 weigh, because they are computed so much more rarely; 0: they
                were not computed.
        """
        factors = dict.fromkeys(("identity_pixels", "identity_taps"), identity_factor)
        weights = {name: weight * factors.get(name, 1) for name, weight in self.weights.items()}
        return torch.stack([weight * terms[name] for name, weight in weights.items() if weight or name in terms]).sum()


def _in_order(taps: Taps) -> list[Tensor]:
    return [taps[tap] for tap in STYLE_TAPS]
