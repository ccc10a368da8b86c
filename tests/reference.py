"""Slow, plain transcriptions of the paper's equations and of the published networks, for comparison with the package.

Written from the paper and from the published layouts; nothing of the package is used here. Losses are computed in float64.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

EPSILON = 1e-5  # the released code's, in every variance
RELU_TAPS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")

# -- Eq. 1, 3, 4 ------------------------------------------------------------------------------------------------------------


def sample_statistics(sample):
    """μ and σ of each channel of one picture's features (C, H, W)."""
    values = sample.double().flatten(1)
    count = values.shape[1]
    mean = values.sum(dim=1) / count
    variance = ((values - mean[:, None]) ** 2).sum(dim=1) / (count - 1)
    return mean, (variance + EPSILON).sqrt()


def statistics(features):
    """Lists over samples of μ and of σ, each (C,)."""
    pairs = [sample_statistics(sample) for sample in features]
    return [mean for mean, _ in pairs], [std for _, std in pairs]


def normalised(features):
    """Each channel of each sample shifted to mean 0 and scaled to deviation 1."""
    samples = []
    for sample in features:
        mean, std = sample_statistics(sample)
        samples.append((sample.double() - mean[:, None, None]) / std[:, None, None])
    return torch.stack(samples)


def distance(a, b, kind):
    """`l2`: ‖a - b‖₂ of each sample, averaged over samples. `mse`: squared differences averaged over everything."""
    per_sample = [((x.double() - y.double()) ** 2).sum() for x, y in zip(a, b, strict=True)]
    if kind == "l2":
        return sum(total.sqrt() for total in per_sample) / len(per_sample)
    return sum(per_sample) / sum(x.numel() for x in a)


def style(stylized_taps, style_taps, kind):
    """Eq. 1 over two lists of taps."""
    loss = 0.0
    for a, b in zip(stylized_taps, style_taps, strict=True):
        for of_a, of_b in zip(statistics(a), statistics(b), strict=True):
            loss = loss + distance(of_a, of_b, kind)
    return loss


def content(stylized_taps, content_taps, kind, layers):
    """Eq. 3: over conv4_2 as it is, or over mean-variance-normalised relu4_1 and relu5_1."""
    if layers == "conv4_2":
        return distance(stylized_taps["conv4_2"], content_taps["conv4_2"], kind)
    return sum(distance(normalised(stylized_taps[tap]), normalised(content_taps[tap]), kind) for tap in ("relu4_1", "relu5_1"))


def identity(i_cc, i_c, i_ss, i_s, encode, kind):
    """Eq. 4: its sum in pixels and its sum in taps."""
    pixels = distance(i_cc, i_c, kind) + distance(i_ss, i_s, kind)
    taps = 0.0
    for made, wanted in ((i_cc, i_c), (i_ss, i_s)):
        of_made, of_wanted = encode(made), encode(wanted)
        for tap in RELU_TAPS:
            taps = taps + distance(of_made[tap], of_wanted[tap].detach(), kind)
    return pixels, taps


# -- Eq. 2 ------------------------------------------------------------------------------------------------------------------


def sigmoid(x):
    return 1 / (1 + torch.exp(-x.double()))


def discriminator_loss(real, fake, form):
    """What D minimises, summed over scales: -log D(real) - log(1 - D(fake)), or (D(real) - 1)² + D(fake)²; not halved."""
    loss = 0.0
    for of_real, of_fake in zip(real, fake, strict=True):
        if form == "log":
            loss = loss - sigmoid(of_real).log().mean() - (1 - sigmoid(of_fake)).log().mean()
        else:
            loss = loss + ((of_real.double() - 1) ** 2).mean() + (of_fake.double() ** 2).mean()
    return loss


def generator_adversarial_loss(fake, form):
    """-log D(fake), or (D(fake) - 1)², summed over scales."""
    loss = 0.0
    for scores in fake:
        loss = loss + (-sigmoid(scores).log().mean() if form == "log" else ((scores.double() - 1) ** 2).mean())
    return loss


# -- Section 3.2, Eq. 5, 6 --------------------------------------------------------------------------------------------------


def arrangement(b):
    """(i, j) of each s_i c_j of the batch, counted from 1 as the paper prints them."""
    half = b // 2
    styles = [*range(1, half + 1), *range(1, half + 1)]
    contents = [*range(1, half + 1), *range(2, half + 1), 1]
    return list(zip(styles, contents, strict=True))


def contrastive(embeddings, pictures, factor, tau, reduction):
    """Eq. 5 (`factor` is "style") or Eq. 6 ("content"), anchor by anchor."""
    losses = []
    for a, (i, j) in enumerate(pictures):
        if factor == "style":
            positives = [p for p, (m, n) in enumerate(pictures) if m == i and n != j]
        else:
            positives = [p for p, (m, n) in enumerate(pictures) if n == j and m != i]
        (positive,) = positives
        negatives = [p for p, (m, n) in enumerate(pictures) if m != i and n != j]

        def likeness(p, a=a):
            return torch.exp((embeddings[a].double() * embeddings[p].double()).sum() / tau)

        pulled = likeness(positive)
        losses.append(-torch.log(pulled / (pulled + sum(likeness(p) for p in negatives))))
    return sum(losses) / (len(losses) if reduction == "mean" else 1)


# -- the whole batch, nothing shared ----------------------------------------------------------------------------------------


def full_batch(distinct_content, distinct_style, *, encode, transform, decode, discriminate, heads, settings):
    """Every term of Eq. 7 and D's loss, on the batch of section 3.2 in full: every picture is encoded as often as it stands.

    `settings` has distance, content_layers, adversarial, contrastive_reduction and temperature.
    """
    b = 2 * len(distinct_content)
    pictures = arrangement(b)
    i_s = torch.stack([distinct_style[i - 1] for i, _ in pictures])
    i_c = torch.stack([distinct_content[j - 1] for _, j in pictures])

    def generate(of_content, of_style):
        return decode(transform(encode(of_content), encode(of_style)))

    i_sc, i_cc, i_ss = generate(i_c, i_s), generate(i_c, i_c), generate(i_s, i_s)
    of_sc, of_c, of_s = encode(i_sc), encode(i_c), encode(i_s)
    kind, form = settings.distance, settings.adversarial
    pixels, taps = identity(i_cc, i_c, i_ss, i_s, encode, kind)
    style_head, content_head = heads
    tau, reduction = settings.temperature, settings.contrastive_reduction
    return {
        "style": style([of_sc[tap] for tap in RELU_TAPS], [of_s[tap] for tap in RELU_TAPS], kind),
        "content": content(of_sc, of_c, kind, settings.content_layers),
        "identity_pixels": pixels,
        "identity_taps": taps,
        "adversarial": generator_adversarial_loss(discriminate(i_sc), form),
        "style_contrastive": contrastive(style_head(of_sc["relu3_1"]), pictures, "style", tau, reduction),
        "content_contrastive": contrastive(content_head(of_sc["relu4_1"]), pictures, "content", tau, reduction),
        "discriminator": discriminator_loss(discriminate(i_s), discriminate(i_sc.detach()), form),
    }


def weighted_sum(terms):
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


def attention(content_features, style_features, block):
    """One SANet block in float64, softmax written out, scores not scaled; `block` has the 1x1 f, g, h and out_conv."""

    def project(convolution, features):
        kernel = convolution.weight.double()[:, :, 0, 0]
        return torch.einsum("oc,bcn->bon", kernel, features.flatten(2)) + convolution.bias.double()[None, :, None]

    content_features, style_features = content_features.double(), style_features.double()
    query = project(block.f, normalised(content_features))
    key = project(block.g, normalised(style_features))
    value = project(block.h, style_features)
    mixtures = []
    for q, k, v in zip(query, key, value, strict=True):
        scores = q.T @ k  # (content positions, style positions)
        likeness = torch.exp(scores - scores.max(dim=1, keepdim=True).values)
        mixtures.append(v @ (likeness / likeness.sum(dim=1, keepdim=True)).T)
    mixed = torch.stack(mixtures)
    return project(block.out_conv, mixed).reshape(content_features.shape) + content_features


def upsampled_to(features, height, width):
    """Nearest neighbour: position y of the output shows position ⌊y · h / height⌋."""
    rows = [math.floor(y * features.shape[2] / height) for y in range(height)]
    columns = [math.floor(x * features.shape[3] / width) for x in range(width)]
    return features[:, :, rows][:, :, :, columns]


def reflected_convolution(features, convolution):
    """A 3x3 convolution over a map mirrored at its borders, in float64."""
    padded = F.pad(features.double(), (1, 1, 1, 1), mode="reflect")
    return F.conv2d(padded, convolution.weight.double(), convolution.bias.double())


def transform(content_taps, style_taps, parts):
    """T: `parts` has sanet4_1, sanet5_1 and merge_conv."""
    fine = attention(content_taps["relu4_1"], style_taps["relu4_1"], parts.sanet4_1)
    coarse = attention(content_taps["relu5_1"], style_taps["relu5_1"], parts.sanet5_1)
    return reflected_convolution(fine + upsampled_to(coarse, *fine.shape[-2:]), parts.merge_conv)


class PublishedBlock(nn.Module):
    """SANet block under the published names."""

    def __init__(self, channels):
        super().__init__()
        for name in ("f", "g", "h", "out_conv"):
            self.add_module(name, nn.Conv2d(channels, channels, (1, 1)))


class PublishedTransform(nn.Module):
    """What `transformer_iter_N.pth` is the state dict of."""

    def __init__(self, channels=512):
        super().__init__()
        self.sanet4_1 = PublishedBlock(channels)
        self.sanet5_1 = PublishedBlock(channels)
        self.merge_conv = nn.Conv2d(channels, channels, (3, 3))

    def forward(self, content_taps, style_taps):
        return transform(content_taps, style_taps, self).float()


def published_vgg(widths=(64, 128, 256, 512, 512)):
    """What `vgg_normalised.pth` is the state dict of, up to relu5_4."""
    layers = [nn.Conv2d(3, 3, (1, 1))]
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


def published_taps(vgg, images):
    """Taps of `published_vgg`."""
    names = {position: name for name, position in PUBLISHED_TAPS.items()}
    taps, x = {}, images
    for position, layer in enumerate(vgg):
        x = layer(x)
        if position in names:
            taps[names[position]] = x.clone()
    return taps


def published_decoder(widths=(64, 128, 256, 512)):
    """What `decoder_iter_N.pth` is the state dict of."""
    one, two, three, four = widths

    def convolution(inputs, outputs):
        return [nn.ReflectionPad2d((1, 1, 1, 1)), nn.Conv2d(inputs, outputs, (3, 3))]

    def upsample():
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


def draw(module, seed=0, bias=0.1):
    """Give `module` random weights through which signals keep their size, and biases that are not zero."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for layer in module.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                fan_in = layer.weight[0].numel()
                layer.weight.copy_(torch.randn(layer.weight.shape, generator=generator) * math.sqrt(2 / fan_in))
                layer.bias.copy_(torch.randn(layer.bias.shape, generator=generator) * bias)
    return module
