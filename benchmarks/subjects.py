"""The package and the reference with the same weights, on the same pictures."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ieast.experiment import ExperimentConfig
from ieast.methods import new_model
from ieast.models.encoder import Encoder
from ieast.models.vgg19 import CONVOLUTIONS
from ieast.stylizer.base import Stylizer
from ieast.training.module import StyleTransferModule
from reference import plain as reference


def draw_pictures(count: int, height: int, width: int, seed: int) -> Tensor:
    """Smooth coloured pictures (count, 3, height, width), uint8, all different."""
    coarse = torch.rand(count, 3, 12, 12, generator=torch.Generator().manual_seed(seed))
    smooth = F.interpolate(coarse, size=(height, width), mode="bicubic", antialias=False).clamp(0, 1)
    return (smooth * 255).round().byte()


def draw_encoder(name: str) -> Encoder:
    """The encoder `name` with random weights: how long it takes does not depend on them, and no file is needed."""
    return reference.draw(Encoder(name), seed=1, bias=0.01).eval()


def draw_stylizer(name: str, config: ExperimentConfig | None = None) -> Stylizer:
    """The paper's model on `draw_encoder(name)`, whose decoder keeps the features' scale."""
    torch.manual_seed(0)
    # Another start of attention is fitted to pictures, and computes the same.
    model = (config or ExperimentConfig()).model.model_copy(update={"attention_start": "random"})
    stylizer = new_model("ieast", draw_encoder(name), model)
    parts = stylizer.parts()
    reference.draw(parts["decoder"], seed=2, bias=0.01)
    return stylizer


@dataclass(frozen=True)
class ReferenceModel:
    """The published networks with a stylizer's weights."""

    vgg: nn.Sequential
    transform: reference.PublishedTransform
    decoder: nn.Sequential

    @classmethod
    def like(cls, stylizer: Stylizer) -> "ReferenceModel":
        """With copies of the weights of `stylizer`, of the paper's method."""
        widths, parts = stylizer.encoder.widths, stylizer.parts()
        # Beyond relu5_1 the published layout goes on, and none of it is computed.
        convolutions = [stylizer.encoder.get_submodule(name) for name in ("conv0", *(f"conv{layer}" for layer in CONVOLUTIONS))]
        vgg = reference.published_vgg(widths)[: max(reference.PUBLISHED_TAPS.values()) + 1]
        model = cls(vgg, reference.PublishedTransform(widths[3]), reference.published_decoder(widths[:4]))
        copy_parameters((p for layer in convolutions for p in layer.parameters()), vgg.parameters())
        model.transform.load_state_dict(parts["transform"].state_dict())
        copy_parameters(parts["decoder"].parameters(), model.decoder.parameters())
        vgg.requires_grad_(False)
        return model

    def encode(self, images: Tensor) -> dict[str, Tensor]:
        """All taps."""
        return reference.published_taps(self.vgg, images)

    @torch.no_grad()
    def stylize(self, content: Tensor, style: Tensor) -> Tensor:
        """As the released code tests: both pictures encoded, T, D."""
        return self.decoder(self.transform(self.encode(content), self.encode(style))).clamp(0, 1)


class ReferenceTraining:
    """The released loop's iteration, by PyTorch's plain Adam, in fp32."""

    def __init__(self, module: StyleTransferModule, device: torch.device | str = "cpu"):
        """Start from the weights of `module`, on `device`."""
        config, widths = module.config, module.stylizer.encoder.widths
        self.settings = config.objective
        self.model = ReferenceModel.like(module.stylizer)
        discriminator = reference.PublishedDiscriminator(config.model.discriminator_scales, config.model.discriminator_width)
        style_head = reference.PublishedHead(widths[2], *config.model.style_head)
        content_head = reference.PublishedHead(widths[3], *config.model.content_head)
        copy_parameters(module.discriminator.parameters(), discriminator.parameters())
        copy_parameters(module.style_head.parameters(), style_head.parameters())
        copy_parameters(module.content_head.parameters(), content_head.parameters())
        for network in (self.model.vgg, self.model.transform, self.model.decoder, discriminator, style_head, content_head):
            network.to(device)
        learning = [self.model.transform, self.model.decoder, style_head, content_head]
        rate = config.training.learning_rate
        self.generators_adam = torch.optim.Adam([p for part in learning for p in part.parameters()], rate)
        self.discriminators_adam = torch.optim.Adam(discriminator.parameters(), rate, config.training.discriminator_betas)
        self.networks = reference.Networks(
            self.model.encode, self.model.transform, self.model.decoder, discriminator, style_head, content_head
        )

    def step(self, content: Tensor, style: Tensor) -> dict[str, Tensor]:
        """One iteration on distinct contents and styles (b/2, 3, H, W), uint8; the terms it had."""
        batch = reference.FullBatch.of(content.float() / 255, style.float() / 255, self.networks)
        discriminators = reference.discriminators_term(batch, self.networks, self.settings)
        self.discriminators_adam.zero_grad()
        discriminators.backward()
        self.discriminators_adam.step()
        terms = reference.generators_terms(batch, self.networks, self.settings)
        total = reference.weighted_sum(terms)
        self.generators_adam.zero_grad()
        total.backward()
        self.generators_adam.step()
        return {name: term.detach() for name, term in {"discriminator": discriminators, **terms, "total": total}.items()}


def drive(module: StyleTransferModule, precision: str = "32-true") -> Callable[[dict[str, Tensor]], dict[str, Tensor]]:
    """The training step of `module` without Lightning around it; `module` can not be given to a trainer any more.

    Args:
        module: On the device it is to learn on; its optimizers are made here.
        precision: 32-true, or bf16-mixed.

    Returns:
        A function that learns from one batch (`content` and `style` (b/2, 3, H, W), uint8, and `style_index` (b/2,)) and
        returns the detached terms of its losses. Iterations are not counted: every one has the learning rate of the first.

    Raises:
        ValueError: Another precision.
    """
    if precision not in ("32-true", "bf16-mixed"):
        raise ValueError(f"a step is driven in 32-true or bf16-mixed, not in {precision!r}")
    optimizers, noted = module.configure_optimizers(), dict[str, Tensor]()
    for optimizer in optimizers:
        optimizer.register_step_pre_hook(lambda stepping, *_: module.on_before_optimizer_step(stepping))
    # What Lightning's trainer gives a module; set beside its methods, which would look for the trainer.
    vars(module).update(optimizers=lambda: optimizers, manual_backward=lambda loss: loss.backward(), count=noted.update)

    def step(batch: dict[str, Tensor]) -> dict[str, Tensor]:
        noted.clear()
        with torch.autocast(module.device.type, torch.bfloat16, enabled=precision == "bf16-mixed"):
            module.training_step(batch, 0)
        return {name: term.detach() for name, term in noted.items()}

    return step


def draw_batch(batch: int, crop: int, device: torch.device | str = "cpu", number: int = 0) -> dict[str, Tensor]:
    """A batch of `batch` as `training_step` takes it: half as many distinct contents and styles of `crop` pixels a side.

    Batches of different `number` hold different pictures.
    """
    seeds = {"content": 2 * number, "style": 2 * number + 1}
    pictures = {side: draw_pictures(batch // 2, crop, crop, seed).to(device) for side, seed in seeds.items()}
    return pictures | {"style_index": torch.arange(batch // 2, device=device)}


def copy_parameters(source: Iterable[Tensor], target: Iterable[Tensor]) -> None:
    """Copy values in order; both must be equally many and of the same shapes."""
    with torch.no_grad():
        for of_source, of_target in zip(source, target, strict=True):
            if of_source.shape != of_target.shape:  # copy_ would broadcast
                raise ValueError(f"parameters differ in shape: {tuple(of_source.shape)} and {tuple(of_target.shape)}")
            of_target.copy_(of_source)
