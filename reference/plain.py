"""The paper's equations and the published networks, transcribed plainly: what the package must equal, and be faster than.

Written from the paper and from the published layouts, in the order of the released code: pictures stand in the batch as often
as the paper says and each is encoded anew, the softmax of attention is written out, anchors are gone through one by one.
Nothing of the package is used here. Everything is computed in the precision of what is given.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EPSILON = 1e-5  # the released code's, in every variance
RELU_TAPS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")

Taps = Mapping[str, Tensor]
Distance = Literal["l2", "mse"]
Form = Literal["log", "least-squares"]
Arrangement = Sequence[tuple[int, int]]
"""(i, j) of each s_i c_j of a batch, counted from 1 as the paper prints them."""

# -- Eq. 1, 3, 4 ------------------------------------------------------------------------------------------------------------


def statistics(features: Tensor) -> tuple[Tensor, Tensor]:
    """μ and σ over the positions of `features` (B, C, H, W), each (B, C)."""
    values = features.flatten(2)
    return values.mean(dim=2), (values.var(dim=2, unbiased=True) + EPSILON).sqrt()


def normalized(features: Tensor) -> Tensor:
    """Each channel of each sample shifted to mean 0 and scaled to deviation 1, (B, C, H, W)."""
    mean, std = statistics(features)
    return (features - mean[:, :, None, None]) / std[:, :, None, None]


def distance(a: Tensor, b: Tensor, kind: Distance) -> Tensor:
    """`l2`: ‖a - b‖₂ of each sample, averaged over samples. `mse`: squared differences averaged over everything."""
    squares = (a - b) ** 2
    if kind == "l2":
        return squares.flatten(1).sum(dim=1).sqrt().mean()
    return squares.mean()


def style(stylized_taps: Sequence[Tensor], style_taps: Sequence[Tensor], kind: Distance) -> Tensor:
    """Eq. 1 over two lists of taps."""
    losses = []
    for a, b in zip(stylized_taps, style_taps, strict=True):
        for of_a, of_b in zip(statistics(a), statistics(b), strict=True):
            losses.append(distance(of_a, of_b, kind))
    return torch.stack(losses).sum()


def content(stylized_taps: Taps, content_taps: Taps, kind: Distance, layers: str) -> Tensor:
    """Eq. 3: over conv4_2 as it is, or over mean-variance-normalized relu4_1 and relu5_1."""
    if layers == "conv4_2":
        return distance(stylized_taps["conv4_2"], content_taps["conv4_2"], kind)
    losses = [distance(normalized(stylized_taps[tap]), normalized(content_taps[tap]), kind) for tap in ("relu4_1", "relu5_1")]
    return losses[0] + losses[1]


def identity(
    reconstructed: Tensor, original: Tensor, made_taps: Taps, wanted_taps: Taps, kind: Distance
) -> tuple[Tensor, Tensor]:
    """Eq. 4 for I_cc against I_c, or for I_ss against I_s: its distance in pixels and its sum over taps."""
    taps = [distance(made_taps[tap], wanted_taps[tap], kind) for tap in RELU_TAPS]
    return distance(reconstructed, original, kind), torch.stack(taps).sum()


# -- Eq. 2 ------------------------------------------------------------------------------------------------------------------


def sigmoid(x: Tensor) -> Tensor:
    """The probability that a score `x` says."""
    return 1 / (1 + torch.exp(-x))


def discriminator_loss(real: Sequence[Tensor], fake: Sequence[Tensor], form: Form) -> Tensor:
    """What D minimizes, summed over scales: -log D(real) - log(1 - D(fake)), or (D(real) - 1)² + D(fake)²; not halved."""
    losses = []
    for of_real, of_fake in zip(real, fake, strict=True):
        if form == "log":
            losses.append(-sigmoid(of_real).log().mean() - (1 - sigmoid(of_fake)).log().mean())
        else:
            losses.append(((of_real - 1) ** 2).mean() + (of_fake**2).mean())
    return torch.stack(losses).sum()


def generator_adversarial_loss(fake: Sequence[Tensor], form: Form) -> Tensor:
    """-log D(fake), or (D(fake) - 1)², summed over scales."""
    losses = [-sigmoid(scores).log().mean() if form == "log" else ((scores - 1) ** 2).mean() for scores in fake]
    return torch.stack(losses).sum()


# -- Section 3.2, Eq. 5, 6 --------------------------------------------------------------------------------------------------


def arrangement(b: int) -> Arrangement:
    """(i, j) of each s_i c_j of the batch of `b` pictures."""
    half = b // 2
    styles = [*range(1, half + 1), *range(1, half + 1)]
    contents = [*range(1, half + 1), *range(2, half + 1), 1]
    return list(zip(styles, contents, strict=True))


def contrastive(
    embeddings: Tensor,
    pictures: Arrangement,
    factor: Literal["style", "content"],
    tau: float,
    reduction: Literal["mean", "sum"],
) -> Tensor:
    """Eq. 5 (`factor` is "style") or Eq. 6 ("content"), anchor by anchor."""
    losses = []
    for a, (i, j) in enumerate(pictures):
        if factor == "style":
            positives = [p for p, (m, n) in enumerate(pictures) if m == i and n != j]
        else:
            positives = [p for p, (m, n) in enumerate(pictures) if n == j and m != i]
        (positive,) = positives
        negatives = [p for p, (m, n) in enumerate(pictures) if m != i and n != j]

        pulled, *pushed = (torch.exp((embeddings[a] * embeddings[p]).sum() / tau) for p in (positive, *negatives))
        losses.append(-torch.log(pulled / (pulled + torch.stack(pushed).sum())))
    total = torch.stack(losses).sum()
    return total / len(losses) if reduction == "mean" else total


# -- the whole batch, nothing shared ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Networks:
    """What an iteration runs: φ, T, D, the discriminator, h_s and h_c, as modules or functions."""

    encode: Callable[[Tensor], Taps]
    transform: Callable[[Taps, Taps], Tensor]
    decode: Callable[[Tensor], Tensor]
    discriminate: Callable[[Tensor], Sequence[Tensor]]
    style_head: Callable[[Tensor], Tensor]
    content_head: Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class FullBatch:
    """The batch of section 3.2 in full, b pictures of each kind, and the taps of all of them."""

    pictures: Arrangement
    images: Mapping[str, Tensor]
    """I_c, I_s, I_sc, I_cc and I_ss, each (b, 3, H, W), by the names c, s, sc, cc and ss."""
    taps: Mapping[str, Taps]

    @classmethod
    def of(cls, contents: Tensor, styles: Tensor, networks: Networks) -> "FullBatch":
        """The batch over b/2 distinct contents and styles, each (b/2, 3, H, W)."""
        pictures = arrangement(2 * len(contents))
        c = torch.stack([contents[j - 1] for _, j in pictures])
        s = torch.stack([styles[i - 1] for i, _ in pictures])
        of_c, of_s = networks.encode(c), networks.encode(s)
        generated = {
            "sc": networks.decode(networks.transform(of_c, of_s)),
            "cc": networks.decode(networks.transform(of_c, of_c)),
            "ss": networks.decode(networks.transform(of_s, of_s)),
        }
        taps = {name: networks.encode(images) for name, images in generated.items()}
        return cls(pictures, {"c": c, "s": s, **generated}, {"c": of_c, "s": of_s, **taps})


def discriminators_term(batch: FullBatch, networks: Networks, settings: Any) -> Tensor:
    """D's loss; `settings` has `adversarial`, the form of Eq. 2."""
    real, fake = networks.discriminate(batch.images["s"]), networks.discriminate(batch.images["sc"].detach())
    return discriminator_loss(real, fake, settings.adversarial)


def generators_terms(batch: FullBatch, networks: Networks, settings: Any) -> dict[str, Tensor]:
    """Every term of Eq. 7, unweighted.

    `settings` has distance, content_layers, adversarial, contrastive_reduction and temperature.
    """
    images, taps, kind = batch.images, batch.taps, settings.distance
    tau, reduction = settings.temperature, settings.contrastive_reduction
    pixels_c, taps_c = identity(images["cc"], images["c"], taps["cc"], taps["c"], kind)
    pixels_s, taps_s = identity(images["ss"], images["s"], taps["ss"], taps["s"], kind)
    of_style, of_content = networks.style_head(taps["sc"]["relu3_1"]), networks.content_head(taps["sc"]["relu4_1"])
    return {
        "style": style([taps["sc"][tap] for tap in RELU_TAPS], [taps["s"][tap] for tap in RELU_TAPS], kind),
        "content": content(taps["sc"], taps["c"], kind, settings.content_layers),
        "identity_pixels": pixels_c + pixels_s,
        "identity_taps": taps_c + taps_s,
        "adversarial": generator_adversarial_loss(networks.discriminate(images["sc"]), settings.adversarial),
        "style_contrastive": contrastive(of_style, batch.pictures, "style", tau, reduction),
        "content_contrastive": contrastive(of_content, batch.pictures, "content", tau, reduction),
    }


def weighted_sum(terms: Mapping[str, Tensor]) -> Tensor:
    """Eq. 7 with the paper's λ = (1, 5, 1, 1, 0.3, 0.3), λ_identity1 = 50 and λ_identity2 = 1."""
    return (
        1 * terms["style"]
        + 5 * terms["adversarial"]
        + 1 * terms["content"]
        + 1 * (50 * terms["identity_pixels"] + 1 * terms["identity_taps"])
        + 0.3 * terms["style_contrastive"]
        + 0.3 * terms["content_contrastive"]
    )


# -- networks ---------------------------------------------------------------------------------------------------------------


def attention(content_features: Tensor, style_features: Tensor, block: Any) -> Tensor:
    """One SANet block, softmax written out, scores not scaled; `block` has the 1x1 convolutions f, g, h and out_conv."""
    query = block.f(normalized(content_features)).flatten(2)
    key = block.g(normalized(style_features)).flatten(2)
    value = block.h(style_features).flatten(2)
    scores = torch.bmm(query.transpose(1, 2), key)  # (B, content positions, style positions)
    likeness = torch.exp(scores - scores.max(dim=2, keepdim=True).values)
    shares = likeness / likeness.sum(dim=2, keepdim=True)
    mixed = torch.bmm(value, shares.transpose(1, 2))
    return block.out_conv(mixed.reshape(content_features.shape)) + content_features


def upsampled_to(features: Tensor, height: int, width: int) -> Tensor:
    """Nearest neighbour: position y of the output shows position ⌊y · h / height⌋."""
    rows = [math.floor(y * features.shape[2] / height) for y in range(height)]
    columns = [math.floor(x * features.shape[3] / width) for x in range(width)]
    return features[:, :, rows][:, :, :, columns]


def reflected_convolution(features: Tensor, convolution: nn.Conv2d) -> Tensor:
    """A 3x3 convolution over a map mirrored at its borders."""
    return F.conv2d(F.pad(features, (1, 1, 1, 1), mode="reflect"), convolution.weight, convolution.bias)


def transform(content_taps: Taps, style_taps: Taps, parts: Any) -> Tensor:
    """T: `parts` has sanet4_1, sanet5_1 and merge_conv."""
    fine = attention(content_taps["relu4_1"], style_taps["relu4_1"], parts.sanet4_1)
    coarse = attention(content_taps["relu5_1"], style_taps["relu5_1"], parts.sanet5_1)
    height, width = fine.shape[-2:]
    return reflected_convolution(fine + upsampled_to(coarse, height, width), parts.merge_conv)


class PublishedBlock(nn.Module):
    """SANet block under the published names."""

    def __init__(self, channels: int):
        super().__init__()
        for name in ("f", "g", "h", "out_conv"):
            self.add_module(name, nn.Conv2d(channels, channels, (1, 1)))


class PublishedTransform(nn.Module):
    """What `transformer_iter_N.pth` is the state dict of."""

    def __init__(self, channels: int = 512):
        super().__init__()
        self.sanet4_1 = PublishedBlock(channels)
        self.sanet5_1 = PublishedBlock(channels)
        self.merge_conv = nn.Conv2d(channels, channels, (3, 3))

    def forward(self, content_taps: Taps, style_taps: Taps) -> Tensor:
        """Stylized features at relu4_1."""
        return transform(content_taps, style_taps, self)


def published_vgg(widths: Sequence[int] = (64, 128, 256, 512, 512)) -> nn.Sequential:
    """What `vgg_normalised.pth` is the state dict of, up to relu5_4."""
    layers: list[nn.Module] = [nn.Conv2d(3, 3, (1, 1))]
    previous = 3
    for level, (width, count) in enumerate(zip(widths, (2, 2, 4, 4, 4), strict=True)):
        if level:
            layers.append(nn.MaxPool2d((2, 2), (2, 2), (0, 0), ceil_mode=True))
        for _ in range(count):
            layers += [nn.ReflectionPad2d((1, 1, 1, 1)), nn.Conv2d(previous, width, (3, 3)), nn.ReLU()]
            previous = width
    return nn.Sequential(*layers)


# Positions in `published_vgg` whose outputs are the taps.
PUBLISHED_TAPS = {"relu1_1": 3, "relu2_1": 10, "relu3_1": 17, "relu4_1": 30, "conv4_2": 32, "relu5_1": 43}


def published_taps(vgg: nn.Sequential, images: Tensor) -> dict[str, Tensor]:
    """Taps of `published_vgg`; what lies beyond the deepest is not computed."""
    names = {position: name for name, position in PUBLISHED_TAPS.items()}
    taps, x = {}, images
    for position, layer in enumerate(vgg[: max(names) + 1]):
        x = layer(x)
        if position in names:
            taps[names[position]] = x
    return taps


def published_decoder(widths: Sequence[int] = (64, 128, 256, 512)) -> nn.Sequential:
    """What `decoder_iter_N.pth` is the state dict of."""
    one, two, three, four = widths

    def convolution(inputs: int, outputs: int) -> list[nn.Module]:
        return [nn.ReflectionPad2d((1, 1, 1, 1)), nn.Conv2d(inputs, outputs, (3, 3))]

    def upsample() -> nn.Module:
        return nn.Upsample(scale_factor=2, mode="nearest")

    return nn.Sequential(
        *[*convolution(four, three), nn.ReLU(), upsample()],
        *[*convolution(three, three), nn.ReLU()],
        *[*convolution(three, three), nn.ReLU()],
        *[*convolution(three, three), nn.ReLU()],
        *[*convolution(three, two), nn.ReLU(), upsample()],
        *[*convolution(two, two), nn.ReLU()],
        *[*convolution(two, one), nn.ReLU(), upsample()],
        *[*convolution(one, one), nn.ReLU()],
        *convolution(one, 3),
    )


class PublishedDiscriminator(nn.Module):
    """Three patch discriminators as in pix2pixHD, each on the picture average-pooled by 2 once more."""

    def __init__(self, scales: int = 3, width: int = 64):
        super().__init__()
        self.scales = nn.ModuleList(self.patches(width) for _ in range(scales))
        self.pool = nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=False)

    @staticmethod
    def patches(width: int) -> nn.Sequential:
        """Scores of overlapping patches."""
        layers: list[nn.Module] = [nn.Conv2d(3, width, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        for inputs in (width, 2 * width, 4 * width):
            convolution = nn.Conv2d(inputs, 2 * inputs, 4, stride=2, padding=1)
            layers += [convolution, nn.InstanceNorm2d(2 * inputs), nn.LeakyReLU(0.2)]
        return nn.Sequential(*layers, nn.Conv2d(8 * width, 1, 3, padding=1))

    def forward(self, images: Tensor) -> list[Tensor]:
        """Scores of each scale, finest first."""
        scores = []
        for scale in self.scales:
            scores.append(scale(images))
            images = self.pool(images)
        return scores


class PublishedHead(nn.Module):
    """Two layers on features summed over positions; unit length."""

    def __init__(self, channels: int, hidden: int, outputs: int):
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, outputs))

    def forward(self, features: Tensor) -> Tensor:
        """Embeddings (B, outputs)."""
        embeddings = self.mlp(features.sum(dim=(2, 3)))
        return embeddings / embeddings.norm(dim=1, keepdim=True)


Network = TypeVar("Network", bound=nn.Module)


def draw(module: Network, seed: int = 0, bias: float = 0.1) -> Network:
    """Give `module` random weights through which signals keep their size, and biases that are not zero."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for layer in module.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                fan_in = layer.weight[0].numel()
                layer.weight.copy_(torch.randn(layer.weight.shape, generator=generator) * math.sqrt(2 / fan_in))
                assert layer.bias is not None
                layer.bias.copy_(torch.randn(layer.bias.shape, generator=generator) * bias)
    return module
