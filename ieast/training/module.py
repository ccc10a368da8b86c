"""One iteration of training: a pair batch through Eq. 7, first the discriminator, then the generator."""

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim import Adam, Optimizer

from ieast.config import ExperimentConfig
from ieast.losses import functional
from ieast.losses.objective import GeneratedBatch, Objective, Taps
from ieast.losses.pairs import PairBatch
from ieast.models.discriminator import MultiScaleDiscriminator
from ieast.models.heads import ProjectionHead
from ieast.models.stylizer import Stylizer
from ieast.training.iterations import IterationModule
from ieast.training.optimizers import make_optimizer


class StyleTransferModule(IterationModule):
    """The generator, the discriminator if EL is on, the projection heads if CL is on, and how they learn.

    Iterations of the reconstruction stage are counted first.
    """

    config: ExperimentConfig
    remedy = "Lower training.learning_rate, set training.gradient_clip, or use precision 32-true"

    def __init__(self, stylizer: Stylizer, config: ExperimentConfig):
        super().__init__(config)
        self.stylizer = stylizer
        self.objective = Objective(config.objective)
        model, widths = config.model, stylizer.encoder.widths
        if config.objective.external_learning:
            self.discriminator = MultiScaleDiscriminator(model.discriminator_scales, model.discriminator_width)
        if config.objective.contrastive_learning:
            self.style_head = ProjectionHead(widths[2], model.style_head)  # on relu3_1
            self.content_head = ProjectionHead(widths[3], model.content_head)  # on relu4_1

    # -- optimisers -----------------------------------------------------------------------------------------------------

    def configure_optimizers(self) -> list[Optimizer]:
        """One for the generator with its heads and, under EL, Adam for the discriminator."""
        training = self.config.training
        transform_rate = training.transform_learning_rate or training.learning_rate
        groups = [
            _group("decoder", self.stylizer.decoder.parameters(), training.learning_rate),
            _group("transform", self.stylizer.transform.parameters(), transform_rate),
        ]
        if self.config.objective.contrastive_learning:
            heads = [*self.style_head.parameters(), *self.content_head.parameters()]
            groups.append(_group("heads", heads, training.learning_rate))
        # Under fp16 a fused Adam would unscale the gradients itself, after they have been clipped.
        fused = self.device.type == "cuda" and training.precision != "16-mixed"
        optimizers: list[Optimizer] = [make_optimizer(groups, training.optimizer, fused=fused)]
        if self.config.objective.external_learning:
            group = _group("discriminator", self.discriminator.parameters(), training.learning_rate)
            optimizers.append(Adam([group], betas=training.discriminator_betas, fused=fused))
        return optimizers

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Clip the generator's gradients; here, because under fp16 they have just been unscaled."""
        clip = self.config.training.gradient_clip
        if clip is not None and optimizer.param_groups[0]["name"] == "decoder":
            parameters = [p for group in optimizer.param_groups for p in group["params"]]
            torch.nn.utils.clip_grad_norm_(parameters, clip)

    def _set_learning_rates(self) -> None:
        # A function of the iteration alone, so that there is no schedule to restore.
        training = self.config.training
        if self.in_reconstruction:
            rate = training.reconstruction_learning_rate or training.learning_rate
            rate *= annealing(self.finished, training.reconstruction_iterations, training.anneal)
            for group in self._param_groups():
                group["lr"] = rate if group["name"] == "decoder" else 0.0
            return
        done = self.finished - training.reconstruction_iterations
        factor = annealing(done, training.iterations, training.anneal) / (1 + training.learning_rate_decay * done)
        for group in self._param_groups():
            group["lr"] = group["base_lr"] * factor

    @property
    def in_reconstruction(self) -> bool:
        """Whether the next iteration belongs to the reconstruction stage."""
        return self.finished < self.config.training.reconstruction_iterations

    # -- one iteration --------------------------------------------------------------------------------------------------

    def training_step(self, batch: dict[str, Tensor], _batch_index: int) -> None:
        """Learn from one batch: content and style crops (b/2, 3, H, W), uint8."""
        content, style = (self._as_images(batch[side]) for side in ("content", "style"))
        self._set_learning_rates()
        terms = self._reconstruct(content, style) if self.in_reconstruction else self._stylise(content, style)
        self.count(terms)

    def _stylise(self, content: Tensor, style: Tensor) -> dict[str, Tensor]:
        generator, *adversary = self._optimizers()
        stylized, batch = self._generate(content, style)
        terms: dict[str, Tensor] = {}
        if adversary:
            terms["discriminator"] = self._train_discriminator(adversary[0], real=style, fake=stylized.detach())
        terms |= self.objective.internal_terms(batch)
        if self.config.objective.external_learning:
            # The generator answers the discriminator that has just learnt; gradients pass through it, not into it.
            self.discriminator.requires_grad_(False)
            scores = self.discriminator(stylized)
            terms["adversarial"] = functional.generator_adversarial_loss(scores, self.config.objective.adversarial)
        if self.config.objective.contrastive_learning:
            style_embeddings = self.style_head(batch.stylized_taps["relu3_1"])
            content_embeddings = self.content_head(batch.stylized_taps["relu4_1"])
            terms |= self.objective.contrastive_terms(style_embeddings, content_embeddings, batch.pairs)
        terms["total"] = self.objective.total(terms)
        self._step(generator, terms["total"])
        return terms

    def _generate(self, content: Tensor, style: Tensor) -> tuple[Tensor, GeneratedBatch]:
        """I_sc of the pair batch, I_cc and I_ss of the distinct pictures, and the taps of all of them."""
        encoder, n = self.stylizer.encoder, len(content)
        conv4_2 = self.objective.needs_conv4_2
        with torch.no_grad():
            originals = encoder(torch.cat([content, style]), conv4_2)  # each distinct picture once
        content_taps, style_taps = _split(originals, [n, n])
        pairs = PairBatch.of(n, content.device)
        # One pass for b stylizations and b identity reconstructions: contents 0..n-1, styles n..2n-1 of the originals.
        both = torch.arange(2 * n, device=content.device)
        as_content, as_style = torch.cat([pairs.content, both]), torch.cat([pairs.style + n, both])
        features = self.stylizer.transform(_pick(originals, as_content), _pick(originals, as_style))
        images = self.stylizer.decoder(features)
        stylized, content_identity, style_identity = images.split([2 * n, n, n])
        stylized_taps, content_identity_taps, style_identity_taps = _split(encoder(images, conv4_2), [2 * n, n, n])
        return stylized, GeneratedBatch(
            pairs=pairs,
            content=content,
            style=style,
            content_taps=content_taps,
            style_taps=style_taps,
            stylized_taps=stylized_taps,
            content_identity=content_identity,
            style_identity=style_identity,
            content_identity_taps=content_identity_taps,
            style_identity_taps=style_identity_taps,
        )

    def _train_discriminator(self, optimizer: Any, real: Tensor, fake: Tensor) -> Tensor:
        self.discriminator.requires_grad_(True)
        # Real artworks stand twice in the full batch: means over the distinct ones are the same.
        loss = functional.discriminator_loss(
            self.discriminator(real), self.discriminator(fake), self.config.objective.adversarial
        )
        self._step(optimizer, loss)
        return loss

    def _reconstruct(self, content: Tensor, style: Tensor) -> dict[str, Tensor]:
        """D(E(x)) = x: the decoder alone, with the identity terms of Eq. 4 on the encoder's own features."""
        generator = self._optimizers()[0]
        images = torch.cat([content, style])
        with torch.no_grad():
            taps = self.stylizer.encoder(images)
        reconstructed = self.stylizer.decoder(taps["relu4_1"])
        pixels, features = functional.identity_loss(
            reconstructed,
            images,
            list(self.stylizer.encoder(reconstructed).values()),
            list(taps.values()),
            self.config.objective.distance,
            self.config.objective.unit,
        )
        weights = self.config.objective.weights
        total = weights.identity_pixels * pixels + weights.identity_taps * features
        self._step(generator, total)
        return {"reconstruction_pixels": pixels, "reconstruction_taps": features, "reconstruction": total}


def annealing(finished: int, iterations: int, share: float) -> float:
    """Factor on the learning rate after `finished` of `iterations`: 1, then half a cosine towards 0 over the last `share`."""
    left = (iterations - finished) / iterations
    return 1.0 if left >= share else (1 - math.cos(math.pi * left / share)) / 2


def _group(name: str, parameters: Iterable[Parameter], rate: float) -> dict[str, Any]:
    return {"name": name, "params": list(parameters), "lr": rate, "base_lr": rate}


def _split(taps: Taps, sizes: list[int]) -> list[Taps]:
    parts = {name: tap.split(sizes) for name, tap in taps.items()}
    return [{name: part[k] for name, part in parts.items()} for k in range(len(sizes))]


def _pick(taps: Taps, index: Tensor) -> Taps:
    return {name: taps[name][index] for name in ("relu4_1", "relu5_1")}
