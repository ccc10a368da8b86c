"""One iteration of training: a pair batch through Eq. 7, first the discriminator, then the generator."""

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import Parameter
from torch.optim import Adam, Optimizer
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ieast.experiment import ExperimentConfig
from ieast.layers.statistics import total_variation
from ieast.losses import functional
from ieast.losses.motion import draw_flow, moved
from ieast.losses.objective import GeneratedBatch, Identity, Moved, Objective
from ieast.losses.pairs import PairBatch
from ieast.models.discriminator import MultiScaleDiscriminator
from ieast.models.encoder import Encoder, Taps
from ieast.models.heads import DifferenceHeads, ProjectionHead
from ieast.models.vgg19 import STYLE_TAPS
from ieast.stylizer.base import Originals, Stylizer
from ieast.training.iterations import IterationModule
from ieast.training.optimizers import make_optimizer

# What an iteration draws besides its batch, beside the sides of `ieast.data.batches` (0 and 1).
ANCHORS, MOTION = 2, 3
HEADS = ("style_head", "content_head", "coherence_heads")
"""Projection heads, those of them that the objective asks for; they learn with the generator."""
IDENTITY = ("identity_pixels", "identity_taps")
RARE = (*IDENTITY, "gradient_penalty")
"""Terms that `training` may ask for every few iterations only, which need not be those that are logged."""


class StyleTransferModule(IterationModule):
    """The generator, the discriminator if EL is on, the projection heads that the objective asks for, and how they learn.

    Iterations of the reconstruction stage are counted first.
    """

    config: ExperimentConfig
    remedy = "Lower training.learning_rate, set training.gradient_clip, or use precision 32-true"

    def __init__(self, stylizer: Stylizer, config: ExperimentConfig, loss_network: Encoder | None = None):
        """`loss_network` gives the features that losses compare, where it is not the generator's encoder."""
        super().__init__(config)
        self.stylizer = stylizer
        self.loss_network = loss_network
        self.objective = Objective(config.objective)
        model, widths = config.model, (loss_network or stylizer.encoder).widths
        if config.objective.external_learning:
            self.discriminator = MultiScaleDiscriminator(
                model.discriminator_scales, model.discriminator_width, model.discriminator_normalization
            )
        if config.objective.contrastive_learning:
            self.style_head = ProjectionHead(widths[2], model.style_head)  # on relu3_1
            self.content_head = ProjectionHead(widths[3], model.content_head)  # on relu4_1
        if config.objective.weights.coherence:
            of_layer = dict(zip(STYLE_TAPS, widths, strict=True))
            self.coherence_heads = DifferenceHeads([of_layer[layer] for layer in config.objective.coherence.layers])
        decay = config.training.ema_decay
        if decay is not None:
            parts = nn.ModuleDict(stylizer.parts())
            self.average = AveragedModel(parts, multi_avg_fn=get_ema_multi_avg_fn(decay)).requires_grad_(False)
        self._rare: dict[str, Tensor] = {}

    def networks(self) -> list[nn.Module]:
        """All that compute in an iteration: the encoder, the method's parts, the discriminator and the heads."""
        names = ("loss_network", "discriminator", *HEADS)
        others = [network for name in names if (network := getattr(self, name, None)) is not None]
        # A container of networks computes nothing itself.
        parts = [
            network
            for part in self.stylizer.parts().values()
            for network in (part.children() if isinstance(part, (nn.ModuleDict, nn.ModuleList)) else [part])
        ]
        return [self.stylizer.encoder, *parts, *others]

    def compile_networks(self) -> None:
        """Have `torch.compile` make each of `networks` as `training.compile` says; weights and results stay what they are."""
        mode = self.config.training.compile
        if mode:
            for network in self.networks():
                network.compile(mode=None if mode is True else mode)

    # -- optimizers -----------------------------------------------------------------------------------------------------

    def configure_optimizers(self) -> list[Optimizer]:
        """One for the generator with its heads and, under EL, Adam for the discriminator."""
        training = self.config.training
        rates = {"transform": training.transform_learning_rate or training.learning_rate}
        groups = [
            _group(name, part.parameters(), rates.get(name, training.learning_rate))
            for name, part in self.stylizer.parts().items()
        ]
        heads = [p for name in HEADS if (head := getattr(self, name, None)) is not None for p in head.parameters()]
        if heads:
            groups.append(_group("heads", heads, training.learning_rate))
        # In one pass over memory. Under fp16 a fused Adam would unscale the gradients itself, after they have been clipped.
        fused = training.precision != "16-mixed"
        optimizers: list[Optimizer] = [make_optimizer(groups, training.optimizer, fused=fused)]
        if self.config.objective.external_learning:
            rate = training.discriminator_learning_rate or training.learning_rate
            group = _group("discriminator", self.discriminator.parameters(), rate)
            optimizers.append(Adam([group], betas=training.discriminator_betas, fused=fused))
        return optimizers

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Clip the generator's gradients; here, because under fp16 they have just been unscaled."""
        clip = self.config.training.gradient_clip
        if clip is not None and optimizer.param_groups[0]["name"] != "discriminator":
            parameters = [p for group in optimizer.param_groups for p in group["params"]]
            torch.nn.utils.clip_grad_norm_(parameters, clip)

    def _set_learning_rates(self) -> None:
        # A function of the iteration alone, so that there is no schedule to restore.
        training = self.config.training
        if self.finished < training.reconstruction_iterations:
            rate = training.reconstruction_learning_rate or training.learning_rate
            rate *= annealing(self.finished, training.reconstruction_iterations, training.anneal)
            for group in self._param_groups():
                group["lr"] = rate if group["name"] == "decoder" else 0.0
            return
        done = self.finished - training.reconstruction_iterations
        factor = annealing(done, training.iterations, training.anneal) / (1 + training.learning_rate_decay * done)
        for group in self._param_groups():
            group["lr"] = 0.0 if group["name"] in self.stylizer.frozen else group["base_lr"] * factor

    @property
    def in_reconstruction(self) -> bool:
        """Whether the next iteration reconstructs: in the stage before, or because the method learns nothing else."""
        before = self.finished < self.config.training.reconstruction_iterations
        return before or self.stylizer.learns == "reconstruction"

    # -- checkpoints ----------------------------------------------------------------------------------------------------

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep also what the next iteration that is logged shows of earlier ones."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["ieast_rare_terms"] = {name: float(value) for name, value in self._rare.items()}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take up the position, and what was kept."""
        super().on_load_checkpoint(checkpoint)
        kept = checkpoint.get("ieast_rare_terms", {})  # older checkpoints have none
        self._rare = {name: torch.tensor(value) for name, value in kept.items()}

    # -- one iteration --------------------------------------------------------------------------------------------------

    def training_step(self, batch: dict[str, Tensor], _batch_index: int) -> None:
        """Learn from one batch: content and style crops (b/2, 3, H, W), uint8."""
        if self.config.training.compile:
            # A network runs several times in an iteration, and what a CUDA graph wrote must last until its end.
            torch.compiler.cudagraph_mark_step_begin()
        content, style = (self._as_images(batch[side]) for side in ("content", "style"))
        self._set_learning_rates()
        if self.in_reconstruction:
            terms = self._reconstruct(torch.cat([content, style]))
        else:
            self._freeze()
            terms = self._stylize(content, style, batch["style_index"])
        if self.config.training.ema_decay is not None:
            self.average.update_parameters(nn.ModuleDict(self.stylizer.parts()))
        self._rare |= {name: terms[name].detach() for name in RARE if name in terms}
        self.count(terms)

    def shown(self, values: dict[str, Tensor]) -> dict[str, Tensor]:
        """`values` with the latest of the terms that are computed more rarely, and a total in which each term counts once."""
        if "total" not in values:
            return values
        values = values | {name: value.to(self.device) for name, value in self._rare.items()}
        return values | {"total": self.objective.total(values, int(IDENTITY[0] in values))}

    @torch.no_grad()
    def take_average(self) -> None:
        """Give the generator the average of its weights, if one was kept, for export."""
        if self.config.training.ema_decay is not None:
            nn.ModuleDict(self.stylizer.parts()).load_state_dict(self.average.module.state_dict())

    def generator_state(self) -> dict[str, Tensor]:
        """A copy of the weights of what is exported."""
        return {name: value.clone() for name, value in nn.ModuleDict(self.stylizer.parts()).state_dict().items()}

    def load_generator(self, state: Mapping[str, Tensor]) -> None:
        """Give the generator, and the average of its weights if one is kept, what `generator_state` returned."""
        nn.ModuleDict(self.stylizer.parts()).load_state_dict(state)
        if self.config.training.ema_decay is not None:
            self.average.module.load_state_dict(state)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Within it the generator has the average of its weights, as it will when it is exported."""
        own = self.generator_state()
        self.take_average()
        try:
            yield
        finally:
            nn.ModuleDict(self.stylizer.parts()).load_state_dict(own)

    def _freeze(self) -> None:
        for name in self.stylizer.frozen:  # what learnt to reconstruct and stays; without gradients it costs less
            self.stylizer.parts()[name].requires_grad_(False)

    def _stylize(self, content: Tensor, style: Tensor, style_index: Tensor) -> dict[str, Tensor]:
        generator, *adversary = self._optimizers()
        every = self.config.training.identity_every
        has_identity = self.config.objective.has_identity and self.finished % every == 0
        batch = self._generate(content, style, style_index, has_identity)
        terms: dict[str, Tensor] = {}
        if adversary:
            terms |= self._train_discriminator(adversary[0], real=style, fake=batch.stylized.detach())
        terms |= self.objective.internal_terms(batch)
        if self.config.objective.external_learning:
            # The generator answers the discriminator that has just learnt; gradients pass through it, not into it.
            self.discriminator.requires_grad_(False)
            scores = self.discriminator(batch.stylized)
            terms["adversarial"] = functional.generator_adversarial_loss(scores, self.config.objective.adversarial)
        if self.config.objective.contrastive_learning:
            style_embeddings = self.style_head(batch.stylized_taps["relu3_1"])
            content_embeddings = self.content_head(batch.stylized_taps["relu4_1"])
            terms |= self.objective.contrastive_terms(style_embeddings, content_embeddings, batch.pairs)
        if self.config.objective.weights.coherence:
            terms["coherence"] = self.objective.coherence_term(batch, self.coherence_heads, self._random(ANCHORS))
        terms["total"] = self.objective.total(terms, every if has_identity else 0)
        self._step(generator, terms["total"])
        return terms

    def _generate(self, content: Tensor, style: Tensor, style_index: Tensor, has_identity: bool) -> GeneratedBatch:
        """I_sc of the pair batch, where asked for I_cc and I_ss of the distinct pictures, and the taps of all of them."""
        n, pictures_in = len(content), torch.cat([content, style])  # each distinct picture once
        seen, layers = self._seen_by_losses, self.objective.layers
        with torch.no_grad():
            # The transform looks at some of the five, and losses at all and perhaps one more.
            taps = self.stylizer.encoder(pictures_in, layers if self.loss_network is None else STYLE_TAPS)
            content_taps, style_taps = _split(taps if self.loss_network is None else seen(pictures_in, layers), [n, n])
        originals = Originals(pictures_in, taps, torch.cat([style_index, style_index]))
        pairs = PairBatch.of(n, content.device)
        # One pass for b stylizations and b identity reconstructions: contents 0..n-1, styles n..2n-1 of the originals.
        both = torch.arange(2 * n if has_identity else 0, device=content.device)
        as_content, as_style = torch.cat([pairs.content, both]), torch.cat([pairs.style + n, both])
        images, features = self.stylizer.generate(
            *(originals.pick(chosen, self.stylizer.taps) for chosen in (as_content, as_style))
        )
        sizes = [2 * n, n, n] if has_identity else [2 * n]
        pictures, made_taps = images.split(sizes), _split(seen(images, layers), sizes)
        steady = self.config.objective.weights.temporal > 0
        return GeneratedBatch(
            pairs=pairs,
            content=content,
            style=style,
            content_taps=content_taps,
            style_taps=style_taps,
            stylized=pictures[0],
            stylized_taps=made_taps[0],
            target=None if features is None else features[: 2 * n],
            identity=Identity(*pictures[1:], *made_taps[1:]) if has_identity else None,
            moved=self._stylize_moved(content, originals.pick(pairs.style[:n] + n, self.stylizer.taps)) if steady else None,
        )

    def _stylize_moved(self, content: Tensor, style: Originals) -> Moved:
        """The contents, moved and with noise, each in the style at its place."""
        motion, random = self.config.objective.motion, self._random(MOTION)
        flow = draw_flow(len(content), content.shape[-1], motion.shift, motion.bend, random).to(content.device)
        images = moved(content, flow, motion.noise, random)
        taps = self.stylizer.encoder(images, self.stylizer.taps) if self.stylizer.taps else {}
        return Moved(flow, self.stylizer.generate(Originals(images, taps), style)[0])

    def _random(self, purpose: int) -> np.random.Generator:
        """Draws the same for an iteration however often training was interrupted before it; as batches are drawn."""
        return np.random.default_rng((self.config.training.seed, purpose, self.global_rank, self.finished))

    @property
    def _seen_by_losses(self) -> Encoder:
        return self.stylizer.encoder if self.loss_network is None else self.loss_network

    def _train_discriminator(self, optimizer: Any, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        self.discriminator.requires_grad_(True)
        # Real artworks stand twice in the full batch: means over the distinct ones are the same. Both kinds go in one pass,
        # in which no picture knows of another.
        sizes = [len(real), len(fake)]
        scores = [score.split(sizes) for score in self.discriminator(torch.cat([real, fake]))]
        of_real, of_fake = zip(*scores, strict=True)
        loss = functional.discriminator_loss(of_real, of_fake, self.config.objective.adversarial)
        terms = {"discriminator": loss}
        factor, every = self.config.objective.gradient_penalty, self.config.training.gradient_penalty_every
        if factor and self.finished % every == 0:
            terms["gradient_penalty"] = self._gradient_penalty(real)
            loss = loss + every * factor * terms["gradient_penalty"]
        self._step(optimizer, loss)
        return terms

    def _gradient_penalty(self, real: Tensor) -> Tensor:
        with torch.autocast(real.device.type, enabled=False):  # squares of small gradients of gradients
            images = real.detach().float().requires_grad_(True)
            # Not as compiled: torch.compile cannot differentiate twice.
            return functional.gradient_penalty(self.discriminator.forward(images), images)

    def _reconstruct(self, images: Tensor) -> dict[str, Tensor]:
        """D(E(x)) = x: the decoders alone, with the identity terms of Eq. 4 on the encoder's own features."""
        generator = self._optimizers()[0]
        seen = self._seen_by_losses
        with torch.no_grad():
            originals = Originals(images, self.stylizer.encoder(images))
            taps = originals.taps if self.loss_network is None else seen(images)
        objective, weights = self.config.objective, self.config.objective.weights
        pixels = features = variation = images.new_zeros(())
        for reconstructed in self.stylizer.reconstruct(originals):
            made_taps = seen(reconstructed)
            in_pixels, in_taps = functional.identity_loss(
                reconstructed,
                images,
                [made_taps[tap] for tap in STYLE_TAPS],
                [taps[tap] for tap in STYLE_TAPS],
                objective.distance,
                objective.unit,
            )
            pixels, features = pixels + in_pixels, features + in_taps
            if weights.total_variation:
                variation = variation + total_variation(reconstructed)
        total = weights.identity_pixels * pixels + weights.identity_taps * features
        terms = {"reconstruction_pixels": pixels, "reconstruction_taps": features}
        if weights.total_variation:
            total = total + weights.total_variation * variation
            terms["reconstruction_variation"] = variation
        self._step(generator, total)
        return terms | {"reconstruction": total}


def annealing(finished: int, iterations: int, share: float) -> float:
    """Factor on the learning rate after `finished` of `iterations`: 1, then half a cosine towards 0 over the last `share`."""
    left = (iterations - finished) / iterations
    return 1.0 if left >= share else (1 - math.cos(math.pi * left / share)) / 2


def _group(name: str, parameters: Iterable[Parameter], rate: float) -> dict[str, Any]:
    return {"name": name, "params": list(parameters), "lr": rate, "base_lr": rate}


def _split(taps: Taps, sizes: list[int]) -> list[Taps]:
    parts = {name: tap.split(sizes) for name, tap in taps.items()}
    return [{name: part[k] for name, part in parts.items()} for k in range(len(sizes))]
