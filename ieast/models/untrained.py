"""Seeded random weights for an encoder: features that keep what they see, for trying things without a trained one."""

import torch
from torch import Tensor, nn

# Differences of neighbouring positions: across, down, and diagonal.
_DIFFERENCES = torch.tensor(
    [
        [[0, 0, 0], [-1, 0, 1], [0, 0, 0]],
        [[0, -1, 0], [0, 0, 0], [0, 1, 0]],
        [[0.5, 0, -0.5], [0, 0, 0], [-0.5, 0, 0.5]],
    ]
)
_TEXTURE = 0.3


@torch.no_grad()
def draw_weights(convolutions: list[nn.Conv2d], seed: int) -> None:
    """Fill a stack of 3x3 convolutions with ReLUs between, the first on three channels in [-1, 1].

    Plain random layers forget colours and edges within a few poolings, and no decoder can bring them back. Here each layer's
    channels are the two halves relu(u), relu(-u) of a signed code u, so that ReLU loses nothing. The next layer turns u by a
    random rotation, adds a little random texture, and gives new channels to differences of neighbouring positions before
    pooling merges these.

    Raises:
        ValueError: A layer has an odd number of channels, or fewer codes than the one before.
    """
    generator = torch.Generator().manual_seed(seed)
    codes = 3
    for position, convolution in enumerate(convolutions):
        channels = convolution.out_channels
        if channels % 2 or channels // 2 < codes:
            raise ValueError(f"layer {position} has {channels} channels, which cannot hold {codes} signed codes")
        weight = _code(codes, channels // 2, generator)
        if position:
            weight = torch.cat([weight, -weight], dim=1)  # reads u from its two halves
        convolution.weight.copy_(torch.cat([weight, -weight]))
        assert convolution.bias is not None
        convolution.bias.zero_()
        codes = channels // 2


def _code(inputs: int, outputs: int, generator: torch.Generator) -> Tensor:
    weight = torch.zeros(outputs, inputs, 3, 3)
    weight[range(inputs), range(inputs), 1, 1] = 1
    for new in range(outputs - inputs):
        weight[inputs + new, new // 3 % inputs] = _DIFFERENCES[new % 3]
    texture = torch.randn(weight.shape, generator=generator)
    texture -= texture.mean(dim=(2, 3), keepdim=True)
    weight += _TEXTURE * texture / (9 * inputs) ** 0.5
    rotation = nn.init.orthogonal_(torch.empty(outputs, outputs), generator=generator)
    return torch.einsum("ou,uixy->oixy", rotation, weight)
